"""Which of several people is meant. ``track_people`` first finds out who is who."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .keypoints import Keypoints
from .start import LIMBS
from .tracking import Track, track_people

__all__ = ["CHOICES", "Track", "choose_people", "track_people"]

CHOICES = ("largest", "all", "only", "index", "mask", "point")
TOUCH = 0.1  # of the size: how far a click may miss the bones
INSIDE = 0.5  # of a person's points must lie in a mask that means them
AMBIGUOUS = 0.8  # of the best person's score: another one who fits a mask as well
_BONES = np.array([*LIMBS[:8], (1, 2), (1, 5), (1, 8), (1, 11), (2, 8), (5, 11), (8, 11), (0, 1)])


def choose_people(
    tracks: Sequence[Track],
    how: str = "largest",
    index: int = 0,
    mask: Tensor | None = None,
    point: tuple[float, float] | None = None,
) -> tuple[Track, ...]:
    """The people who are meant, as a tuple of tracks.

    how: "largest" and "all"; "only" = the one person there is; "index" = ``tracks[index]``;
        "mask" = whom ``mask`` covers; "point" = who is at ``point``.
    mask: (H, W), (T, H, W) or (T, 1, H, W) in 0..1, 1 = the person, of any size in the picture's
        proportions. One mask is of the first frame in which anybody is seen; of several those that
        are empty say nothing.
    point: x, y in pixels of the first frame in which anybody is seen.
    """
    if how not in CHOICES:
        raise InputError(f"people can be chosen by {', '.join(CHOICES)}; got {how!r}")
    if not tracks:
        raise InputError("no person was found in the keypoints")
    if how == "all":
        return tuple(tracks)
    if how == "only" and len(tracks) > 1:
        raise InputError(
            f"{len(tracks)} people were found where one is wanted; choose the largest one, or one "
            "by index, mask or point"
        )
    if how == "index":
        if not isinstance(index, int) or not 0 <= index < len(tracks):
            raise InputError(
                f"there is no person {index}; {len(tracks)} were found, numbered from 0 = the "
                "largest one"
            )
        return (tracks[index],)
    if how == "mask":
        return (_masked(tracks, mask),)
    if how == "point":
        return (_clicked(tracks, point),)
    return (tracks[0],)


def _first_frame(tracks: Sequence[Track]) -> int:
    """The first frame in which anybody is seen."""
    return min(int(track.seen.int().argmax()) for track in tracks)


def _masked(tracks: Sequence[Track], mask: Tensor | None) -> Track:
    if mask is None:
        raise InputError("a mask is needed to choose a person by mask")
    frames, (height, width) = len(tracks[0].keypoints), tracks[0].keypoints.size
    masks = mask.reshape(-1, *mask.shape[-2:])
    if len(masks) not in (1, frames):
        raise InputError(
            f"mask must be one picture or one of each of the {frames} frames; got "
            f"{tuple(mask.shape)}"
        )
    first = _first_frame(tracks) if len(masks) == 1 else 0
    drawn = [(first + i, m > 0.5) for i, m in enumerate(masks) if (m > 0.5).any()]
    if not drawn:
        raise InputError("mask is empty: draw it over the person who is meant")
    rows, columns = masks.shape[1:]
    if abs(columns / rows * height / width - 1) > 0.03:
        raise InputError(
            f"mask is {columns}x{rows} but the keypoints belong to pictures of {width}x{height}; "
            "they must have the same proportions"
        )
    scores = [_covered(track, drawn, (columns / width, rows / height)) for track in tracks]
    best = int(np.argmax(scores))
    rivals = sum(score >= AMBIGUOUS * scores[best] for score in scores)
    if scores[best] == 0:
        raise InputError("mask covers nobody whose keypoints were found; draw it over a person")
    if rivals > 1:
        raise InputError(f"mask covers {rivals} people; draw it over the one person who is meant")
    return tracks[best]


def _covered(track: Track, masks: list[tuple[int, Tensor]], factor: tuple[float, float]) -> float:
    """How well masks fit a person: the share of the points inside, times the share of the mask
    that the person's box explains."""
    inside = total = 0.0
    explained = []
    for frame, mask in masks:
        known = track.keypoints.confidence[frame] > 0
        if not known.any():
            continue
        places = track.keypoints.points[frame, known] * torch.tensor(factor)
        limit = torch.tensor([mask.shape[1] - 1, mask.shape[0] - 1])
        column, row = places.long().clamp(min=0).minimum(limit).unbind(-1)
        inside += float(mask[row, column].sum())
        total += len(places)
        # Hair, hands and soles lie beyond the points.
        grown = 0.08 * float(track.height[frame]) * factor[0]
        low = (places.amin(0) - grown).long().clamp(min=0).tolist()
        high = (places.amax(0) + grown).ceil().long().tolist()
        part = mask[low[1] : high[1] + 1, low[0] : high[0] + 1]
        explained.append(float(part.sum() / mask.sum()))
    if not total or inside / total < INSIDE:
        return 0.0
    return inside / total * sum(explained) / len(explained)


def _clicked(tracks: Sequence[Track], point: tuple[float, float] | None) -> Track:
    if point is None or len(point) != 2 or not all(math.isfinite(v) for v in point):
        raise InputError(f"a point (x, y) is needed to choose a person by point; got {point!r}")
    frame = _first_frame(tracks)
    misses = [
        _miss(track.keypoints, frame, np.array(point)) / max(float(track.height[frame]), 1.0)
        for track in tracks
    ]
    best = int(np.argmin(misses))
    if misses[best] > TOUCH:
        raise InputError(
            f"point ({point[0]:g}, {point[1]:g}) hits nobody in frame {frame}, the first one with "
            "a person; give a point on the person who is meant"
        )
    return tracks[best]


def _miss(keypoints: Keypoints, frame: int, point: np.ndarray) -> float:
    """Pixels from a point to the person's nearest bone or keypoint, inf if not seen."""
    places = keypoints.points[frame].double().numpy()
    known = keypoints.confidence[frame].numpy() > 0
    apart = np.hypot(*(places[known] - point).T)
    bones = _BONES[known[_BONES].all(1)]
    start, along = places[bones[:, 0]], places[bones[:, 1]] - places[bones[:, 0]]
    share = ((point - start) * along).sum(1) / np.maximum((along**2).sum(1), 1e-9)
    nearest = start + share.clip(0, 1)[:, None] * along
    return float(min([*apart, *np.hypot(*(nearest - point).T)], default=np.inf))
