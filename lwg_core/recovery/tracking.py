"""Several people in a clip: who is who from frame to frame.

Detectors number people anew in every frame. A person is followed by where each keypoint should be
next (constant velocity), by size and by limb lengths, all in units of the person's own size; one
assignment problem per frame gives every detection at most one person (Kuhn, 1955). A person who is
hidden keeps walking for a while, so that two who cross come out as themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ..errors import InputError
from .keypoints import BODY_COUNT, Keypoints, read_people, stack_keypoints
from .start import BUST, LIMBS

GAP = 10  # frames that a person may be unseen and still be the same one
MOST = 40  # people looked at in a frame, the largest ones
GHOST = 5  # frames: what is seen in fewer of a long clip is no person
GHOST_SHARE = 4  # of a short clip a person must be seen in one of four frames
TWIN = 0.06  # of the size: two detections nearer than this, point by point, are one person
GATE = 0.4  # what an assignment may cost: mean distance of the points in sizes, and the rest
FAR = 1.0  # sizes: one point cannot miss by more
LINK = 0.6  # the same for who is lost and found again, by place alone
SIZE_COST, LIMB_COST, HIDDEN_COST = 0.3, 0.1, 0.01  # per log ratio, per log ratio, per frame
STEADY = 0.7  # how much of size, limbs and velocity is kept from frame to frame
SLOWING = 0.9  # of the velocity left after each frame in which a person was not seen

# Lengths of the pairs LIMBS and BUST of an upright adult, in heights.
_LIMB_LENGTHS = np.array([0.155, 0.145, 0.155, 0.145, 0.23, 0.23, 0.23, 0.23, *[0.31] * 4])
_BUST_LENGTHS = np.array([0.19, 0.12, 0.14, 0.14, 0.09])
_PAIRS = np.array((*LIMBS, *BUST))


@dataclass(frozen=True)
class Track:
    """One person over a clip.

    keypoints: of all T frames, no points where the person was not seen.
    number: 0 = the largest and longest seen person.
    seen: (T,) bool. height: (T,) px, how tall the person would stand there; 0 where not seen.
    """

    keypoints: Keypoints
    number: int
    seen: Tensor
    height: Tensor

    @property
    def presence(self) -> float:
        """Mean height over all frames, 0 where not seen: what people are ranked by."""
        return float(self.height.mean())


@dataclass
class _Person:
    """A person being followed: latest points (26, 3), their velocity in px per frame, size in px,
    log limb lengths in sizes (NaN = never seen), the frame of the latest points, all detections."""

    points: np.ndarray
    size: float
    limbs: np.ndarray
    last: int
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    found: dict[int, np.ndarray] = field(default_factory=dict)
    sizes: dict[int, float] = field(default_factory=dict)


def track_people(payload: object, size: tuple[int, int] | None = None) -> tuple[Track, ...]:
    """Everybody in POSE_KEYPOINT as tracks over all frames, largest and longest seen first.

    payload, size: as in ``keypoints.read_people``. Gaps of up to GAP frames are bridged (there are
    no points in them); people may come and go. What is seen too briefly, or never with enough
    points for a body, is no track.
    """
    found = read_people(payload, size)
    people: list[_Person] = []
    for frame, detections in enumerate(found.frames):
        _follow([p for p in people if frame - p.last <= GAP + 1], people, frame, detections)
    frames = len(found.frames)
    least = min(GHOST, math.ceil(frames / GHOST_SHARE))
    people = _link([p for p in people if len(p.found) >= min(least, 2)])
    tracks = [_track(p, frames, found.size) for p in people if len(p.found) >= least]
    tracks = [track for track in tracks if track.keypoints.usable.any()]
    if not tracks:
        raise InputError(
            "POSE_KEYPOINT: no person was found in enough frames and with enough keypoints for a "
            "body"
        )
    tracks.sort(key=lambda track: -track.presence)
    return tuple(replace(track, number=number) for number, track in enumerate(tracks))


def _follow(
    known: list[_Person], people: list[_Person], frame: int, detections: Sequence[np.ndarray]
) -> None:
    """Gives the detections of one frame to ``known`` people or to new ones in ``people``."""
    detections = _distinct(detections)
    sizes = [person_size(points) for points in detections]
    limbs = [_limbs(points, size) for points, size in zip(detections, sizes, strict=True)]
    cost = np.full((len(known), len(detections)), GATE)
    for row, person in enumerate(known):
        expected = _expected(person, frame)
        for column, points in enumerate(detections):
            size = math.sqrt(person.size * sizes[column])
            cost[row, column] = _distance(expected, points, size)
            cost[row, column] += SIZE_COST * abs(math.log(sizes[column] / person.size))
            cost[row, column] += LIMB_COST * _unlike(person.limbs, limbs[column])
            cost[row, column] += HIDDEN_COST * (frame - person.last - 1)
    # At the gate it costs the same to leave both alone: nobody is taken to please the others.
    rows, columns = linear_sum_assignment(np.minimum(cost, GATE))
    owner = {c: known[r] for r, c in zip(rows, columns, strict=True) if cost[r, c] < GATE}
    for column, points in enumerate(detections):
        person = owner.get(column)
        if person is None:
            person = _Person(points, sizes[column], limbs[column], frame)
            people.append(person)
        else:
            _update(person, frame, points, sizes[column], limbs[column])
        person.found[frame], person.sizes[frame] = points, sizes[column]


def _link(people: list[_Person]) -> list[_Person]:
    """Joins people who are lost, as in a somersault, to those found soon after in their place."""
    pairs = []
    for first, before in enumerate(people):
        for second in range(first + 1, len(people)):  # in the order of their first frames
            after = people[second]
            start = next(iter(after.found))
            if start > before.last + GAP + 1:
                break
            if start > before.last:
                points = after.found[start]
                places = _expected(before, start), before.points
                apart = min(_between(place, points) for place in places)
                cost = apart / math.sqrt(before.size * after.size)
                cost += SIZE_COST * abs(math.log(after.size / before.size))
                pairs.append((cost, first, second))
    earlier: dict[int, int] = {}
    for cost, first, second in sorted(pairs):
        if cost < LINK and second not in earlier and first not in earlier.values():
            earlier[second] = first
    for second in sorted(earlier, reverse=True):
        people[earlier[second]].found.update(people[second].found)
        people[earlier[second]].sizes.update(people[second].sizes)
    return [person for number, person in enumerate(people) if number not in earlier]


def _update(
    person: _Person, frame: int, points: np.ndarray, size: float, limbs: np.ndarray
) -> None:
    shared = (points[:, 2] > 0) & (person.points[:, 2] > 0)
    if shared.any():
        moved = np.median(points[shared, :2] - person.points[shared, :2], axis=0)
        moved = moved / (frame - person.last)
        keep = STEADY if len(person.found) > 1 else 0.0
        person.velocity = keep * person.velocity + (1 - keep) * moved
    person.size = person.size**STEADY * size ** (1 - STEADY)
    blended = STEADY * person.limbs + (1 - STEADY) * limbs
    person.limbs = np.where(
        np.isnan(person.limbs), limbs, np.where(np.isnan(limbs), person.limbs, blended)
    )
    person.points, person.last = points, frame


def _expected(person: _Person, frame: int) -> np.ndarray:
    """(26, 3) where the person's points should be by now."""
    ahead = sum(SLOWING**step for step in range(frame - person.last))
    expected = person.points.copy()
    expected[:, :2] += ahead * person.velocity
    return expected


def _distance(expected: np.ndarray, points: np.ndarray, size: float) -> float:
    """Mean distance of the shared points in sizes; of the middles if hardly any are shared."""
    weight = expected[:, 2] * points[:, 2]
    if (weight > 0).sum() < 3:
        return min(_between(expected, points) / size, FAR)
    apart = np.hypot(*(expected[:, :2] - points[:, :2]).T) / size
    return float((weight * np.minimum(apart, FAR)).sum() / weight.sum())


def _between(first: np.ndarray, second: np.ndarray) -> float:
    """Pixels between the middles of two people."""
    middles = [np.median(points[points[:, 2] > 0, :2], axis=0) for points in (first, second)]
    return float(np.hypot(*(middles[0] - middles[1])))


def _unlike(first: np.ndarray, second: np.ndarray) -> float:
    """Mean log ratio of the limb lengths that both have."""
    ratio = np.abs(first - second)
    known = ~np.isnan(ratio)
    return float(np.minimum(ratio[known], 1).mean()) if known.any() else 0.0


def _lengths(points: np.ndarray) -> np.ndarray:
    """(P,) px of the pairs LIMBS and BUST, NaN where a point is missing."""
    first, second = points[_PAIRS[:, 0]], points[_PAIRS[:, 1]]
    length = np.hypot(*(first[:, :2] - second[:, :2]).T)
    return np.where((first[:, 2] > 0) & (second[:, 2] > 0), length, np.nan)


def _limbs(points: np.ndarray, size: float) -> np.ndarray:
    # The logarithm of a limb that points at the camera is mostly noise.
    return np.log(np.maximum(_lengths(points) / size, 0.05))


def person_size(points: np.ndarray) -> float:
    """Pixels that the person (N, 3) with N >= 18 would stand tall, from whatever was seen.

    Foreshortening only shortens, so a high quantile of image length over body length.
    """
    ratio = _lengths(points) / np.concatenate([_LIMB_LENGTHS, _BUST_LENGTHS])
    limbs, bust = ratio[: len(_LIMB_LENGTHS)], ratio[len(_LIMB_LENGTHS) :]
    seen = points[points[:, 2] > 0, :2]
    if not len(seen):
        return 1.0
    size = 1.0
    for part in (limbs, bust):
        if not np.isnan(part).all():
            size = float(np.nanquantile(part, 0.85))
            break
    return max(size, float(np.ptp(seen, axis=0).max()) / 1.3, 1.0)


def _distinct(detections: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The MOST largest without empty and double ones: of two at one place the surer one stays."""
    there = [points for points in detections if (points[:, 2] > 0).any()]
    there = sorted(there, key=person_size)[-MOST:]
    kept: list[np.ndarray] = []
    for points in sorted(there, key=lambda points: -points[:BODY_COUNT, 2].sum()):
        size = person_size(points)
        if all(_distance(other, points, size) > TWIN for other in kept):
            kept.append(points)
    return kept


def _track(person: _Person, frames: int, size: tuple[int, int]) -> Track:
    keypoints = stack_keypoints([person.found.get(frame) for frame in range(frames)], size)
    seen = torch.tensor([frame in person.found for frame in range(frames)])
    height = torch.tensor([person.sizes.get(frame, 0.0) for frame in range(frames)])
    return Track(keypoints, 0, seen, height)
