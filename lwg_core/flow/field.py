"""Flow fields, and the only place where flow conventions convert.

One convention inside the core: absolute source coordinates in [-1, 1] with the picture's edges at
+-1 (``grid_sample`` with ``align_corners=False``), so a field does not change when its source is
resized. Others enter and leave here: pixels, pixel offsets (Global-Flow Local-Attention) and the
official -2 sentinel of Liquid Warping GAN.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..errors import InputError

SENTINEL = -2.0


def pixel_centers(size: tuple[int, int], like: Tensor) -> Tensor:
    """(H, W, 2) pixel coordinates (x, y) of the pixel centres, corner origin: i + 0.5."""
    y = torch.arange(size[0], device=like.device, dtype=like.dtype) + 0.5
    x = torch.arange(size[1], device=like.device, dtype=like.dtype) + 0.5
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def normalize_pixels(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., 2) pixel coordinates of a (height, width) picture -> [-1, 1], edges at +-1."""
    return pixels * 2 / pixels.new_tensor([size[1], size[0]]) - 1


def denormalize(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., 2) in [-1, 1] -> pixel coordinates of a (height, width) picture, corner origin."""
    return (grid + 1) * grid.new_tensor([size[1], size[0]]) / 2


@dataclass(frozen=True)
class FlowField:
    """Where every target pixel comes from, in each of S sources, over T frames.

    grid: (T, S, H, W, 2) absolute source coordinates (x, y) in [-1, 1]; SENTINEL where invalid.
    valid: (T, S, H, W) bool.
    """

    grid: Tensor
    valid: Tensor

    def __post_init__(self) -> None:
        if self.grid.ndim != 5 or self.grid.shape[-1] != 2:
            raise InputError(f"flow: grid must be (T, S, H, W, 2); got {tuple(self.grid.shape)}")
        if self.valid.shape != self.grid.shape[:4] or self.valid.dtype != torch.bool:
            raise InputError(
                f"flow: valid must be bool {tuple(self.grid.shape[:4])}; got "
                f"{self.valid.dtype} {tuple(self.valid.shape)}"
            )

    def __len__(self) -> int:
        return self.grid.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the target."""
        return self.grid.shape[2], self.grid.shape[3]

    @classmethod
    def from_grid(cls, grid: Tensor, valid: Tensor | None = None) -> FlowField:
        """From absolute coordinates (T, S, H, W, 2) in [-1, 1].

        Without ``valid`` (T, S, H, W) every finite coordinate inside the source is valid, so a
        field with the official sentinel enters as it is.
        """
        inside = (grid.abs() <= 1).all(-1)  # False for NaN
        valid = inside if valid is None else valid
        return cls(torch.where(valid[..., None], grid, SENTINEL), valid)

    @classmethod
    def from_pixels(
        cls, pixels: Tensor, source_size: tuple[int, int], valid: Tensor | None = None
    ) -> FlowField:
        """From source pixel coordinates (T, S, H, W, 2), corner origin, of (height, width)."""
        return cls.from_grid(normalize_pixels(pixels, source_size), valid)

    @classmethod
    def from_offsets(
        cls,
        offsets: Tensor,
        source_size: tuple[int, int] | None = None,
        valid: Tensor | None = None,
    ) -> FlowField:
        """From pixel offsets (T, S, H, W, 2): source pixel = target pixel + offset (GFLA).

        ``source_size`` (height, width) defaults to the target's own, as GFLA has it.
        """
        size = (offsets.shape[2], offsets.shape[3])
        return cls.from_pixels(pixel_centers(size, offsets) + offsets, source_size or size, valid)

    def to_pixels(self, source_size: tuple[int, int]) -> Tensor:
        """(T, S, H, W, 2) source pixel coordinates; outside the picture where invalid."""
        return denormalize(self.grid, source_size)

    def to_offsets(self, source_size: tuple[int, int] | None = None) -> Tensor:
        """(T, S, H, W, 2) pixel offsets, source minus target; 0 where invalid."""
        offsets = self.to_pixels(source_size or self.size) - pixel_centers(self.size, self.grid)
        return torch.where(self.valid[..., None], offsets, 0.0)

    def to_official(self) -> Tensor:
        """(T, S, H, W, 2) as the official generators take it: -2 where invalid, as ``grid`` is."""
        return self.grid

    def resize(self, size: tuple[int, int]) -> FlowField:
        """The field on a target of another (height, width).

        Coordinates are averaged over the valid pixels only, so that the sentinel never blends in;
        a pixel stays valid when at least half of its footprint is.
        """
        if size == self.size:
            return self
        shrink = size[0] <= self.size[0] and size[1] <= self.size[1]
        mode = {"mode": "area"} if shrink else {"mode": "bilinear", "align_corners": False}
        weight = rearrange(self.valid, "t s h w -> (t s) 1 h w").to(self.grid.dtype)
        grid = rearrange(self.grid, "t s h w c -> (t s) c h w")
        coverage = F.interpolate(weight, size, **mode)
        mean = F.interpolate(grid * weight, size, **mode) / coverage.clamp(min=1e-6)
        frames = len(self)
        grid = rearrange(mean, "(t s) c h w -> t s h w c", t=frames)
        valid = rearrange(coverage >= 0.5, "(t s) 1 h w -> t s h w", t=frames)
        return FlowField(torch.where(valid[..., None], grid, SENTINEL), valid)

    def warp(self, images: Tensor) -> Tensor:
        """Sample images (S, C, h, w) or (T, S, C, h, w) -> (T, S, C, H, W), 0 where invalid.

        Bilinear, zeros outside the picture.
        """
        frames, sources, height, width = self.valid.shape
        if images.ndim == 4:  # frames stacked along the rows: the images are not copied
            grid = rearrange(self.grid, "t s h w c -> s (t h) w c")
            warped = F.grid_sample(images.to(grid.dtype), grid, align_corners=False)
            warped = rearrange(warped, "s c (t h) w -> t s c h w", t=frames)
        else:
            warped = F.grid_sample(
                images.flatten(0, 1).to(self.grid.dtype),
                self.grid.flatten(0, 1),
                align_corners=False,
            ).unflatten(0, (frames, sources))
        return (warped * self.valid[:, :, None]).to(images.dtype)

    def select(self, index) -> FlowField:
        """Frames ``index`` (slice, list or LongTensor; must keep the frame axis)."""
        return FlowField(self.grid[index], self.valid[index])

    def to(self, device) -> FlowField:
        return FlowField(self.grid.to(device), self.valid.to(device))
