"""What keypoint labels say: which joints were seen, and the mistakes that detectors make."""

from __future__ import annotations

import torch
from torch import Tensor

from ..body.params import JOINT_NAMES
from .keypoints import KEYPOINT_NAMES, MIRRORED, Keypoints

LEG_POINTS = ("hip", "knee", "ankle", "toe", "heel")
ARM_POINTS = ("shoulder", "elbow", "wrist")
SHORT = 0.35  # seconds: sides exchanged for longer may just as well be a person who turned
LEAP = 0.04  # of the person's height: how far points leap on average where an exchange begins
CLEARLY = 0.4  # the other reading must leave no more than this part of the leap

# Joint -> keypoints at the far end of its bone, and those further down that say half as much.
_SUPPORT = {
    "pelvis": ("right_hip left_hip", "right_shoulder left_shoulder"),
    "spine1 spine2 spine3": ("right_shoulder left_shoulder", ""),
    "neck head": ("nose right_eye left_eye right_ear left_ear", "right_shoulder left_shoulder"),
    "SIDE_collar": ("SIDE_shoulder", "SIDE_elbow"),
    "SIDE_shoulder": ("SIDE_elbow", "SIDE_wrist"),
    "SIDE_elbow": ("SIDE_wrist", ""),
    "SIDE_wrist SIDE_hand": ("", "SIDE_wrist"),
    "SIDE_hip": ("SIDE_knee", "SIDE_ankle"),
    "SIDE_knee": ("SIDE_ankle", "SIDE_heel SIDE_big_toe"),
    "SIDE_ankle SIDE_foot": ("SIDE_heel SIDE_big_toe SIDE_small_toe", "SIDE_ankle"),
}


def side_swaps(count: int) -> Tensor:
    """(3, K) keypoint orders with left and right exchanged: legs, arms, legs and arms."""
    legs = [i for i in range(count) if KEYPOINT_NAMES[i].split("_")[-1] in LEG_POINTS]
    arms = [i for i in range(count) if KEYPOINT_NAMES[i].split("_")[-1] in ARM_POINTS]
    orders = torch.arange(count).repeat(3, 1)
    mirrored = torch.tensor(MIRRORED)
    for row, group in enumerate((legs, arms, legs + arms)):
        orders[row, group] = mirrored[group]
    return orders


def brief_swaps(keypoints: Keypoints, heights: Tensor, fps: float = 30.0) -> Tensor:
    """(T, 2) bool: frames in which legs, arms were exchanged, where that clearly comes and goes.

    heights: (T,) px, how tall the person would stand in each frame.

    For reports: a clip alone cannot tell every exchange from a person who turns quickly. A leap
    counts only against both standing still and moving on, so legs that pass each other do not.
    """
    points = keypoints.points.cpu() / heights.to(keypoints.points.dtype)[:, None, None].cpu()
    orders = side_swaps(len(KEYPOINT_NAMES))[:2]
    known = keypoints.confidence.cpu() > 0
    short = max(round(SHORT * fps), 1)
    states = [_readings(points, known, order, short) for order in orders]
    return torch.stack([_short_runs(state, short) for state in states], 1)


def _readings(points: Tensor, known: Tensor, order: Tensor, short: int) -> Tensor:
    """(T,) bool: which frames continue those before them better with sides exchanged.

    points: (T, K, 2) heights. known: (T, K). order: (K,) as exchanged. short: frames.
    """
    group = (order != torch.arange(len(order))).nonzero().flatten()
    # Only pairs of which both sides were seen say which is which.
    seen = known[:, group] & known[:, order[group]]
    readings = torch.stack([points[:, group], points[:, order[group]]], 1)
    state = torch.zeros(len(points), dtype=torch.long)
    past: list[int] = []  # the last two frames with a pair
    for frame in range(len(points)):
        state[frame] = state[frame - 1] if frame else 0
        if not seen[frame].any():
            continue
        if past and frame - past[-1] <= short:
            misses = _leap(readings, state, seen, frame, past)
            same, other = misses[int(state[frame])], misses[1 - int(state[frame])]
            if same - other > LEAP and other < CLEARLY * same:
                state[frame] = 1 - state[frame]
        past = [*past[-1:], frame]
    return state.bool()


def _leap(
    readings: Tensor, state: Tensor, seen: Tensor, frame: int, past: list[int]
) -> list[float]:
    """How far both readings of a frame are from where its points were or would have moved to."""
    last = past[-1]
    shared = seen[frame] & seen[last]
    if not shared.any():
        return [0.0, 0.0]
    before = readings[last, state[last]]
    misses = (readings[frame] - before)[:, shared].norm(dim=-1).mean(1)
    if len(past) > 1 and (shared & seen[past[0]]).any():
        shared = shared & seen[past[0]]
        speed = (before - readings[past[0], state[past[0]]]) / (last - past[0])
        moved = before + (frame - last) * speed
        ahead = (readings[frame] - moved)[:, shared].norm(dim=-1).mean(1)
        misses = torch.minimum(misses, ahead)
    return misses.tolist()


def _short_runs(state: Tensor, short: int) -> Tensor:
    """Runs of a (T,) state of at most ``short`` frames, shorter than those on either side.

    A run at an end of the clip has one side only, and must be much shorter.
    """
    runs = torch.unique_consecutive(state, return_counts=True)[1].tolist()
    marked = torch.zeros_like(state)
    start = 0
    for number, length in enumerate(runs):
        beside = [runs[i] for i in (number - 1, number + 1) if 0 <= i < len(runs)]
        limit = beside[0] // 3 if len(beside) == 1 else min(beside, default=0)
        marked[start : start + length] = length <= short and length < limit
        start += length
    return marked


def joint_confidence(confidence: Tensor) -> Tensor:
    """How well the bone that each joint turns was seen: (T, 18 or 24) keypoints -> (T, 24) joints.

    1 = the keypoint at its far end was certain, half when only a point further down the chain (or
    for hands and feet only the wrist or ankle) was, 0 = the pose is only the usual one there.
    """
    table = {}
    for names, (direct, indirect) in _SUPPORT.items():
        for side in ("left", "right"):
            for name in names.replace("SIDE", side).split():
                table[name] = tuple(
                    [KEYPOINT_NAMES.index(k) for k in group.replace("SIDE", side).split()]
                    for group in (direct, indirect)
                )
    confidence = torch.nn.functional.pad(confidence, (0, len(KEYPOINT_NAMES) - confidence.shape[1]))
    columns = []
    for name in JOINT_NAMES:
        best = confidence.new_zeros(len(confidence))
        for factor, group in zip((1.0, 0.5), table[name], strict=True):
            if group:
                best = torch.maximum(best, factor * confidence[:, group].amax(1))
        columns.append(best)
    return torch.stack(columns, 1)
