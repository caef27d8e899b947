"""Cameras in full-image pixels.

One model covers weak perspective and pinhole. The model origin (the body's own origin before any
translation) projects to ``center`` and one metre at its depth spans ``scale`` pixels:

    weak perspective   u = center + scale * X                                  depth = Z
    pinhole            u = principal + focal * (X + tx) / (Z + tz)             depth = Z + tz
                       tz = focal / scale,  (tx, ty) = (center - principal) / scale

so a pinhole is a weak-perspective camera plus a focal length, and its translation is derived, never
stored twice. Camera frame: x right, y down, z forward (away from the viewer), metres.
Pixels: (0, 0) is the corner of the image, pixel centres lie at half-integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import InputError

NEAR = 0.01  # metres in front of a pinhole eye


@dataclass(frozen=True)
class Camera:
    """Cameras of T frames.

    scale: (T,) pixels per metre at the model origin, > 0.
    center: (T, 2) pixel position (x, y) of the model origin.
    size: (height, width) of the image in pixels.
    focal: (T,) focal length in pixels, > 0, or None for weak perspective.
    principal: (T, 2) principal point in pixels; None = image centre. Only read with ``focal``.
    """

    scale: Tensor
    center: Tensor
    size: tuple[int, int]
    focal: Tensor | None = None
    principal: Tensor | None = None

    def __post_init__(self) -> None:
        frames = self.scale.shape[0] if self.scale.ndim == 1 else -1
        if frames < 1 or self.center.shape != (frames, 2):
            raise InputError(
                f"camera: scale must be (T,) and center (T, 2); got {tuple(self.scale.shape)} "
                f"and {tuple(self.center.shape)}"
            )
        if self.focal is not None and self.focal.shape != (frames,):
            raise InputError(f"camera: focal must be ({frames},); got {tuple(self.focal.shape)}")
        if self.principal is not None and self.principal.shape != (frames, 2):
            raise InputError(
                f"camera: principal must be ({frames}, 2); got {tuple(self.principal.shape)}"
            )
        for name in ("focal", "scale", "center", "principal"):
            value = getattr(self, name)
            if value is None:
                continue
            if not torch.isfinite(value).all():
                raise InputError(f"camera: {name} holds NaN or infinite values")
            if name in ("scale", "focal") and (value <= 0).any():
                raise InputError(
                    f"camera: {name} must be above zero in every frame; got {value.min():g}"
                )

    def __len__(self) -> int:
        return self.scale.shape[0]

    @property
    def principal_point(self) -> Tensor:
        """(T, 2) principal point in pixels: ``principal`` or the image centre."""
        if self.principal is not None:
            return self.principal
        height, width = self.size
        return self.center.new_tensor([width / 2, height / 2]).expand(len(self), 2)

    @property
    def translation(self) -> Tensor | None:
        """(T, 3) metres, model origin relative to the eye; None for weak perspective."""
        if self.focal is None:
            return None
        planar = (self.center - self.principal_point) / self.scale[:, None]
        return torch.cat([planar, (self.focal / self.scale)[:, None]], 1)

    @classmethod
    def from_pinhole(
        cls,
        focal: Tensor,
        translation: Tensor,
        size: tuple[int, int],
        principal: Tensor | None = None,
    ) -> Camera:
        """Pinhole camera from focal (T,) px and translation (T, 3) m."""
        middle = focal.new_tensor([size[1] / 2, size[0] / 2]) if principal is None else principal
        if not (translation[:, 2] > 0).all():
            raise InputError("camera: translation z, the distance from the eye, must be above zero")
        scale = focal / translation[:, 2]
        return cls(scale, middle + translation[:, :2] * scale[:, None], size, focal, principal)

    @property
    def near(self) -> float:
        """Depth at or below which points cannot be seen: the ``near`` of ``raster.rasterize``."""
        return float("-inf") if self.focal is None else NEAR

    def project(self, points: Tensor) -> Tensor:
        """Camera-frame points (T, N, 3) m -> (T, N, 3): pixel x, pixel y, depth in metres."""
        if self.focal is None:
            uv = points[..., :2] * self.scale[:, None, None] + self.center[:, None]
            return torch.cat([uv, points[..., 2:]], -1)
        moved = points + self.translation[:, None]
        uv = moved[..., :2] / moved[..., 2:] * self.focal[:, None, None]
        return torch.cat([uv + self.principal_point[:, None], moved[..., 2:]], -1)

    def resize(self, size: tuple[int, int]) -> Camera:
        """The same view on an image resized to (height, width). The aspect must be kept."""
        across, down = size[1] / self.size[1], size[0] / self.size[0]
        if abs(down / across - 1) > 0.02:
            raise InputError(f"camera: cannot resize {self.size} to {size}, the aspect differs")
        factor = math.sqrt(across * down)  # sizes are whole pixels, so the two differ a little
        factors = self.center.new_tensor([across, down])
        return Camera(
            self.scale * factor,
            self.center * factors,
            size,
            None if self.focal is None else self.focal * factor,
            None if self.principal is None else self.principal * factors,
        )

    def crop(self, left: float, top: float, size: tuple[int, int]) -> Camera:
        """The same view on a crop whose corner is (left, top) px; ``size`` = (height, width)."""
        offset = self.center.new_tensor([left, top])
        principal = None if self.focal is None else self.principal_point - offset
        return Camera(self.scale, self.center - offset, size, self.focal, principal)

    def select(self, index) -> Camera:
        """Frames ``index`` (slice, list or LongTensor; must keep the frame axis)."""
        return Camera(
            self.scale[index],
            self.center[index],
            self.size,
            None if self.focal is None else self.focal[index],
            None if self.principal is None else self.principal[index],
        )

    def to(self, device) -> Camera:
        return replace(
            self,
            scale=self.scale.to(device),
            center=self.center.to(device),
            focal=None if self.focal is None else self.focal.to(device),
            principal=None if self.principal is None else self.principal.to(device),
        )
