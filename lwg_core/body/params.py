"""SMPL parameters of one person over T frames: what every stage passes along."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import InputError
from ..render.camera import Camera

JOINT_NAMES = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 "
    "left_foot right_foot neck left_collar right_collar head left_shoulder right_shoulder "
    "left_elbow right_elbow left_wrist right_wrist left_hand right_hand"
).split()
JOINT_PARENTS = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21,
)  # fmt: skip


@dataclass(frozen=True)
class SmplParams:
    """One person over T frames.

    pose: (T, 24, 3) axis-angle, radians. ``pose[:, 0]`` turns the body (y up, facing +z) into the
        camera frame (x right, y down, z forward): an upright person who faces the camera has about
        (pi, 0, 0), as in HMR and SPIN.
    betas: (10,) shape coefficients, or None for a motion that only carries poses.
    body_model: id of the model that the betas belong to ("open", "smpl", ...), None without betas.
    camera: cameras of the T frames, or None for a motion.
    confidence: (T, 24) in 0..1 per joint; recovery and import give 0 to frames that are not valid.
    valid: (T,) bool, False where the body is not to be trusted.
    fps: frames per second of the clip.
    track: number of the person in its clip.
    """

    pose: Tensor
    betas: Tensor | None = None
    body_model: str | None = None
    camera: Camera | None = None
    confidence: Tensor | None = None
    valid: Tensor | None = None
    fps: float = 30.0
    track: int = 0

    def __post_init__(self) -> None:
        if self.pose.ndim != 3 or self.pose.shape[1:] != (24, 3) or self.pose.shape[0] < 1:
            raise InputError(
                f"pose must be (T, 24, 3) axis-angle with T >= 1; got {tuple(self.pose.shape)}"
            )
        frames = self.pose.shape[0]
        if not torch.isfinite(self.pose).all():
            bad = (~torch.isfinite(self.pose).flatten(1).all(1)).nonzero().flatten().tolist()
            raise InputError(f"pose holds NaN or infinite values in frames {bad[:10]}")
        if self.betas is not None:
            if self.betas.shape != (10,) or not torch.isfinite(self.betas).all():
                raise InputError(f"betas must be (10,) and finite; got {tuple(self.betas.shape)}")
            if self.body_model is None:
                raise InputError("betas without body_model: say which body model they belong to")
        if self.camera is not None and len(self.camera) != frames:
            raise InputError(f"{frames} poses but {len(self.camera)} cameras")
        if self.confidence is None:
            object.__setattr__(self, "confidence", self.pose.new_ones(frames, 24))
        if self.valid is None:
            object.__setattr__(
                self, "valid", torch.ones(frames, dtype=torch.bool, device=self.pose.device)
            )
        if self.confidence.shape != (frames, 24) or self.valid.shape != (frames,):
            raise InputError(
                f"confidence must be ({frames}, 24) and valid ({frames},); got "
                f"{tuple(self.confidence.shape)} and {tuple(self.valid.shape)}"
            )
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise InputError("confidence must be 0 to 1 for every joint and frame")
        if not 0 < self.fps <= 1000:
            raise InputError(f"fps must be above zero and at most 1000; got {self.fps}")

    def __len__(self) -> int:
        return self.pose.shape[0]

    def select(self, index) -> SmplParams:
        """Frames ``index`` (slice, list or LongTensor; must keep the frame axis)."""
        return replace(
            self,
            pose=self.pose[index],
            camera=None if self.camera is None else self.camera.select(index),
            confidence=self.confidence[index],
            valid=self.valid[index],
        )

    def to(self, device) -> SmplParams:
        return replace(
            self,
            pose=self.pose.to(device),
            betas=None if self.betas is None else self.betas.to(device),
            camera=None if self.camera is None else self.camera.to(device),
            confidence=self.confidence.to(device),
            valid=self.valid.to(device),
        )
