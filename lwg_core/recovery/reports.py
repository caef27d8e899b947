"""Sentences about the frames of a clip: what the detector did not see or got wrong in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from .keypoints import KEYPOINT_NAMES, MINIMUM_POINTS, Keypoints
from .labels import brief_swaps
from .tracking import person_size

# Of the person's height, a little less than a bone: a limb that ends so near to the picture's edge
# goes on beyond it.
BONE = {"leg": 0.2, "arm": 0.13}

# Limbs from the trunk outwards: a point of the trunk, its own root, and what may be out of sight.
_LIMBS = {
    "left leg": "right_hip left_hip left_knee left_ankle",
    "right leg": "left_hip right_hip right_knee right_ankle",
    "left arm": "neck left_shoulder left_elbow left_wrist",
    "right arm": "neck right_shoulder right_elbow right_wrist",
}
_LIMBS = {k: [KEYPOINT_NAMES.index(name) for name in v.split()] for k, v in _LIMBS.items()}
_EDGES = ("left", "upper", "right", "lower")


def report_frames(keypoints: Keypoints, fps: float = 30.0) -> tuple[str, ...]:
    """T sentences about what the detector missed, several joined by "; ", "" = nothing to say."""
    heights = [
        person_size(torch.cat([xy, seen[:, None]], 1).double().numpy())
        for xy, seen in zip(keypoints.points.cpu(), keypoints.confidence.cpu(), strict=True)
    ]
    swapped = brief_swaps(keypoints, torch.tensor(heights), fps)
    reports = []
    for frame, height in enumerate(heights):
        seen = keypoints.confidence[frame] > 0
        if not seen.any():
            reports.append("the person was not found")
            continue
        if not keypoints.usable[frame]:
            reports.append(f"too few points, at least {MINIMUM_POINTS} are needed")
            continue
        found = [_unseen(seen, name) for name in ("leg", "arm")]
        found += [_cut_off(keypoints, frame, height)]
        which = [name for name, yes in zip(("legs", "arms"), swapped[frame], strict=True) if yes]
        if which:
            found.append(f"left and right of the {' and '.join(which)} were swapped")
        reports.append("; ".join(text for text in found if text))
    return tuple(reports)


def describe_frames(messages: Iterable[str], first: int = 0) -> list[str]:
    """Sentences about single frames as lines like "frames 12-19, 25: too few points".

    messages: one for each frame, "" = nothing to say, several joined by "; ".
    first: number of the first frame.
    """
    frames: dict[str, list[int]] = {}
    count = 0
    for count, message in enumerate(messages, 1):
        for reason in filter(None, message.split("; ")):
            frames.setdefault(reason, []).append(first + count - 1)
    return [f"{_name(numbers, count)}: {reason}" for reason, numbers in frames.items()]


def _name(numbers: Sequence[int], count: int) -> str:
    if len(numbers) == count and count > 1:
        return f"all {count} frames"
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    text = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
    return f"frame {text}" if len(numbers) == 1 else f"frames {text}"


def _unseen(seen: Tensor, limb: str) -> str:
    """What is not seen beyond the hips or shoulders."""
    lost = [
        name for name, index in _LIMBS.items() if name.endswith(limb) and not seen[index[2:]].any()
    ]
    if len(lost) == 2:
        return f"the {limb}s were not seen"
    return f"the {lost[0]} was not seen" if lost else ""


def _cut_off(keypoints: Keypoints, frame: int, height: float) -> str:
    """Names the edges of the picture beyond which limbs go on."""
    rows, columns = keypoints.size
    edges = set()
    for name, index in _LIMBS.items():
        known = [i for i in index if keypoints.confidence[frame, i] > 0]
        if not known or known[-1] == index[-1]:
            continue
        x, y = keypoints.points[frame, known[-1]].tolist()
        apart = (x, y, columns - x, rows - y)
        nearest = min(range(4), key=apart.__getitem__)
        if apart[nearest] < BONE[name.split()[1]] * height:
            edges.add(nearest)
    if not edges:
        return ""
    names = " and ".join(_EDGES[edge] for edge in sorted(edges))
    return f"the body is cut off by the {names} edge of the picture"
