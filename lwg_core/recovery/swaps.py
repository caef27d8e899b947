"""Left and right exchanged by the detector: found and mended, per frame and over time.

A label is a sum of 1 (legs exchanged), 2 (arms) and 4 (head); 0 as they are. Exchanging twice is
nothing, so labels combine by exclusive or.

One frame tells by the energy of the fit: a body with its legs exchanged is twisted beyond what
joints do. A clip tells by the jump where an exchange begins and ends; which side of the jump was
wrong is settled by the frames that told for themselves, else by the majority.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..body.params import JOINT_NAMES
from .keypoints import KEYPOINT_NAMES, MIRRORED
from .kinematics import LinearPoints, forward
from .labels import ARM_POINTS, LEG_POINTS
from .priors import RangeOfMotion
from .smoothing import best_path
from .solver import Bodies, Evidence
from .start import hypotheses

GROUPS = {"legs": LEG_POINTS, "arms": ARM_POINTS, "head": ("eye", "ear")}
LEGS, ARMS, EVERYTHING = 1, 2, 7
HEAD_BIT = 2
DOUBTFUL = 2.5  # energy per seen keypoint above which other labels are tried
SWAP_GAIN = 0.6  # another label must bring the energy below this part
TURN_GAIN = 0.9  # the same, for turning the whole person around where the face asks for it
FACE_SEEN = 12.0  # energy of a body that turns away the face that the picture shows
FACING = 0.5  # cosine of the head's forward axis with the direction to or from the camera
# Over time: how far a point may move between frames (metres, metres per second), the most that one
# jump says, the price of a frame with an exchange, and of going against what a frame told.
STILL, SPEED, MOST, EXCHANGED, AGAINST = 0.1, 4.0, 4.0, 1.0, 6.0
# The most that a point says which only one of the two labels brings together with its neighbour in
# time: before and after together less than a frame's price, as a point missed on the left, then on
# the right, is chance.
UNSEEN = 0.45


def orders(count: int) -> Tensor:
    """(8, K) keypoint order of each label."""
    table = torch.arange(count).repeat(8, 1)
    mirrored = torch.tensor(MIRRORED)
    for bit, group in enumerate(_members(count)):
        for label in range(8):
            if label >> bit & 1:
                table[label, group] = mirrored[group]
    return table


def describe(label: int) -> str:
    if label == EVERYTHING:
        return "of the whole body"
    return "of the " + " and ".join(n for bit, n in enumerate(GROUPS) if label >> bit & 1)


def _members(count: int) -> list[list[int]]:
    return [
        [i for i in range(count) if KEYPOINT_NAMES[i].split("_")[-1] in names]
        for names in GROUPS.values()
    ]


def mend_frames(
    table: LinearPoints,
    motion: RangeOfMotion,
    evidence: Evidence,
    bodies: Bodies,
    energy: Tensor,
    most: int | None = None,
) -> tuple[Bodies, Tensor, Tensor]:
    """Bodies (B * H) and energies (B, H) after trying other labels, and the labels (B,) chosen.

    most: how many frames may be tried, the worst first; None = all that are in doubt.
    """
    count, keep = energy.shape
    least = energy.amin(1)
    label = torch.zeros(count, dtype=torch.long, device=energy.device)
    excess = least / (evidence.weight > 0).sum(1).clamp_min(1) - DOUBTFUL
    index = (excess > 0).nonzero().flatten()
    if most is not None and len(index) > most:
        index = excess.topk(most).indices
    first = bodies.select(energy.argmin(1) + torch.arange(count, device=energy.device) * keep)
    hidden, unseen = (
        which.nonzero().flatten()[:most] for which in _wrong_face(table, evidence, first)
    )
    swap, turn, face = SWAP_GAIN * least, TURN_GAIN * least, TURN_GAIN * (least + FACE_SEEN)
    offers = [(index, choice, swap) for choice in (LEGS, ARMS, LEGS + ARMS)]
    offers += [(hidden, LEGS + ARMS, face), (hidden, EVERYTHING, face), (unseen, EVERYTHING, turn)]
    frame, limit = (
        torch.cat(part) for part in zip(*((i, v[i]) for i, _, v in offers), strict=True)
    )
    if not len(frame):
        return bodies, energy, label
    tried = torch.cat([torch.full_like(index, choice) for index, choice, _ in offers])
    order = orders(len(table)).to(frame.device)[tried]
    changed = evidence.select(frame)
    changed = replace(
        changed,
        points=changed.points.gather(1, order[..., None].expand_as(changed.points)),
        weight=changed.weight.gather(1, order),
    )
    others, other_energy = hypotheses(table, motion, changed, keep)
    number = torch.arange(len(frame), device=frame.device) * keep
    away, _ = _wrong_face(table, changed, others.select(other_energy.argmin(1) + number))
    asked = other_energy.amin(1) + FACE_SEEN * away
    origin = torch.arange(count, device=frame.device)
    rows = zip(frame.tolist(), tried.tolist(), limit.tolist(), strict=True)
    for number, (at, choice, most_energy) in enumerate(rows):
        value = asked[number]
        best_yet = torch.inf if label[at] == 0 else asked[origin[at] - count]
        if value < min(most_energy, best_yet):
            origin[at], label[at] = count + number, choice
    pick = (origin[:, None] * keep + torch.arange(keep, device=frame.device)).flatten()
    joined = Bodies(
        *(torch.cat(p) for p in zip(bodies.tensors, others.tensors, strict=True))
    ).select(pick)
    return joined, torch.cat([energy, other_energy])[origin], label


def _wrong_face(table: LinearPoints, evidence: Evidence, bodies: Bodies) -> tuple[Tensor, Tensor]:
    """(B,) twice: the picture shows the whole face but the body turns it away; and the body faces
    the camera although only its ears were seen."""
    nose, eyes, ears = ([i for i, n in enumerate(KEYPOINT_NAMES) if n.endswith(part)]
                        for part in ("nose", "eye", "ear"))  # fmt: skip
    seen = evidence.weight > 0
    head = forward(table, bodies.rotations, bodies.betas).rotation[:, JOINT_NAMES.index("head")]
    towards = -head[:, 2, 2]
    front = seen[:, nose + eyes].all(1)
    back = seen[:, ears].any(1) & ~seen[:, nose + eyes].any(1)
    return front & (towards < -FACING), back & (towards > FACING)


def mend_over_time(
    points: Tensor, weight: Tensor, present: Tensor, fps: float, told: Tensor | None = None
) -> Tensor:
    """Labels (T,) that make the keypoints move evenly.

    points: (T, K, 2) metres. weight: (T, K). present: (T,) bool, frames to look at.
    told: (T,) labels that single frames found for themselves, -1 = nothing said.
    """
    label = torch.zeros(len(points), dtype=torch.long, device=points.device)
    index = present.nonzero().flatten()
    if len(index) < 2:
        return label if told is None else told.clamp_min(0)
    points, seen = points[index], weight[index] > 0
    reach = torch.hypot(
        points.new_tensor(STILL), SPEED / fps * torch.diff(index).to(points).clamp_max(10)
    )
    table = orders(points.shape[1]).to(index.device)
    said = torch.full_like(index, -1) if told is None else told[index]
    for bit, members in enumerate(_members(points.shape[1])):
        if bit == HEAD_BIT and not (said > 0).any():
            continue  # eyes and ears are too near each other to show a jump
        choice = (said.clamp_min(0) >> bit) & 1
        price = EXCHANGED * points.new_tensor([0.0, 1.0]) * (said < 0)[:, None]
        price = price + AGAINST * torch.nn.functional.one_hot(1 - choice, 2) * (said >= 0)[:, None]
        pair = torch.stack([points, points[:, table[1 << bit]]], 1)[:, :, members]
        both = torch.stack([seen, seen[:, table[1 << bit]]], 1)[:, :, members]
        jump = (pair[1:, None] - pair[:-1, :, None]).norm(dim=-1) / reach[:, None, None, None]
        known = both[1:, None] & both[:-1, :, None]
        other = [members.index(MIRRORED[member]) for member in members]
        count = known.int() + known[..., other]
        limit = torch.where(count == count.flip(2), MOST, UNSEEN)
        jump = torch.where(known, jump.square().minimum(limit), UNSEEN)
        label[index] += best_path(price, jump.sum(-1)) << bit
    return label
