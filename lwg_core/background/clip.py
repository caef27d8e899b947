"""The picture behind a person who moves before a still camera: what each frame uncovers."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .hole import background_hole

SAMPLES = 24  # frames that are looked at
ROWS = 64  # of the median at a time
FEATURES, FEWEST = 300, 12  # corners that are followed; fewer tell nothing
STILL = 0.004  # of the longer side: how far a still camera's corners may move
FOLLOWED = 0.5  # of the corners must be found again, or the scene has changed


def clip_background(frames: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """The median of what the frames of a still camera show beside the person.

    frames: (T, 3, H, W) in [-1, 1]. masks: (T, 1, H, W) in 0..1, 1 = person.
    Returns the picture (3, H, W), 0 where no frame shows it, and where one does (1, H, W) bool.
    Raises an InputError if the camera moves.
    """
    if masks.shape != (len(frames), 1, *frames.shape[2:]):
        raise InputError(
            f"masks of the clip must be {len(frames)} of {frames.shape[3]} x {frames.shape[2]} px, "
            f"one per frame; got {masks.shape[0]} of {masks.shape[-1]} x {masks.shape[-2]}"
        )
    index = sampled(len(frames))
    frames = frames[index]
    known = torch.stack([known_pixels(mask) for mask in masks[index]])
    check_still(frames, known)
    strips = []
    for top in range(0, frames.shape[2], ROWS):
        rows = slice(top, top + ROWS)
        seen = frames[:, :, rows].masked_fill(~known[:, :, rows], torch.nan)
        strips.append(seen.nanmedian(0).values)
    return torch.cat(strips, 1).nan_to_num(0.0), known.any(0)


def sampled(frames: int) -> Tensor:
    """Numbers of the frames of a clip that are looked at: spread evenly, SAMPLES at most."""
    return torch.linspace(0, frames - 1, min(SAMPLES, frames)).round().long()


def known_pixels(mask: Tensor) -> Tensor:
    """(1, H, W) bool, True where the background is certain; everywhere if there is nobody."""
    if not (mask > 0.5).any():
        return torch.ones_like(mask, dtype=torch.bool)
    return background_hole(mask)


def check_still(frames: Tensor, known: Tensor) -> None:
    """Raise an InputError if the background moves from frame to frame (T, 3, H, W).

    Corners of the middle frame, off the person (known: (T, 1, H, W) bool), are followed into each
    of the others (Lucas and Kanade).
    """
    grey = ((frames.mean(1) + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()
    off = known[:, 0].cpu().numpy()
    middle = len(grey) // 2
    corners = cv2.goodFeaturesToTrack(
        grey[middle], FEATURES, 0.02, 7, mask=off[middle].astype(np.uint8)
    )
    if corners is None or len(corners) < FEWEST:
        return
    limit = max(STILL * max(grey.shape[1:]), 1.0)
    for k in range(len(grey)):
        there, found, _ = cv2.calcOpticalFlowPyrLK(grey[middle], grey[k], corners, None)
        column, row = corners[:, 0].round().astype(int).T
        height, width = grey[k].shape
        free = off[k][row.clip(0, height - 1), column.clip(0, width - 1)]
        if free.sum() < FEWEST:
            continue
        found = (found[:, 0] > 0) & free
        moved = np.linalg.norm(there - corners, axis=-1)[:, 0]
        if found.sum() < FOLLOWED * free.sum() or np.median(moved[found]) > limit:
            raise InputError(
                "the camera of this clip moves, so no single picture lies behind the person; "
                "connect the clip itself (without its person) as a background frame by frame, or "
                "any other picture"
            )
