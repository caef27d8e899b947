"""Where the fit starts: size from limb lengths, roll from the trunk, the heading all around.

Left and right and the visible half of the face carry the heading, but a start on the wrong side
never turns around; eight headings cost little and leave no body facing backwards.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..body.rotations import axis_angle_to_matrix
from .kinematics import LinearPoints, positions
from .priors import RangeOfMotion
from .solver import Bodies, Evidence, minimise

HEADINGS = 8
FIRST_STEPS, LAST_STEPS = 8, 12
FINAL_OUTLIER = 6.0  # the first steps still listen to far points
LIMBS = (
    (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13),
    (2, 8), (5, 11), (2, 11), (5, 8),
)  # fmt: skip
BUST = ((2, 5), (0, 1), (0, 2), (0, 5), (16, 17))
SPAN = 2.2  # metres: no two points of a body are farther apart


def pixel_scale(table: LinearPoints, points: Tensor, confidence: Tensor) -> Tensor:
    """(B,) pixels per metre from keypoints (B, K, 2) px.

    Foreshortening only shortens, so a high quantile of image length over body length.
    """
    rest = table.offset.sum(1) + table.weight @ table.joints
    ratios = []
    for pairs in (LIMBS, BUST):
        first, second = (list(side) for side in zip(*pairs, strict=True))
        length = (rest[first] - rest[second]).norm(dim=-1)
        seen = (points[:, first] - points[:, second]).norm(dim=-1) / length
        known = (confidence[:, first] > 0) & (confidence[:, second] > 0)
        ratios.append(torch.where(known, seen, torch.nan).nanquantile(0.85, dim=1))
    scale = torch.where(ratios[0].isnan(), ratios[1], ratios[0]).nan_to_num(0)
    low = torch.where((confidence > 0)[..., None], points, torch.inf).amin(1)
    high = torch.where((confidence > 0)[..., None], points, -torch.inf).amax(1)
    return torch.maximum(scale, (high - low).amax(-1).clamp_min(1) / SPAN)


def _average(values: Tensor, confidence: Tensor, index: list[int]) -> tuple[Tensor, Tensor]:
    """Weighted mean (B, 2) of some keypoints, and whether any was seen (B,)."""
    weight = confidence[:, index, None]
    total = weight.sum(1)
    return (values[:, index] * weight).sum(1) / total.clamp_min(1e-6), total[:, 0] > 0


def in_plane_roll(evidence: Evidence) -> Tensor:
    """(B,) radians that turn an upright trunk onto the one in the picture; 0 where unclear."""
    points, confidence = evidence.points, evidence.weight
    shoulders, has_shoulders = _average(points, confidence, [1, 2, 5])
    hips, has_hips = _average(points, confidence, [8, 11])
    knees, has_knees = _average(points, confidence, [9, 12])
    face, has_face = _average(points, confidence, [0, 14, 15, 16, 17])
    top = torch.where(has_shoulders[:, None], shoulders, face)
    bottom = torch.where(has_hips[:, None], hips, knees)
    # No lower body: the head above the shoulders says as much.
    bust = has_shoulders & has_face & ~(has_hips | has_knees)
    top, bottom = (
        torch.where(bust[:, None], face, top),
        torch.where(bust[:, None], shoulders, bottom),
    )
    down = bottom - top
    clear = (has_hips | has_knees | bust) & (has_shoulders | has_face) & (down.norm(dim=1) > 0.12)
    return torch.where(clear, torch.atan2(-down[:, 0], down[:, 1]), 0.0)


def starting_bodies(table: LinearPoints, motion: RangeOfMotion, evidence: Evidence) -> Bodies:
    """B * HEADINGS bodies in the usual pose, the headings of one item side by side."""
    count = len(evidence.points)
    like = evidence.points
    roll = in_plane_roll(evidence)
    heading = torch.arange(HEADINGS).to(like) * (2 * math.pi / HEADINGS)
    zero = torch.zeros_like(roll)
    rolled = axis_angle_to_matrix(torch.stack([zero, zero, roll], -1))
    turned = axis_angle_to_matrix(heading[:, None] * like.new_tensor([0.0, 1.0, 0.0]))
    facing = torch.diag(like.new_tensor([1.0, -1.0, -1.0]))  # y up -> y down, towards the camera
    root = (rolled[:, None] @ (facing @ turned)).flatten(0, 1)
    pose = axis_angle_to_matrix(motion.mean).expand(len(root), 23, 3, 3)
    rotations = torch.cat([root[:, None], pose], 1)
    betas = like.new_zeros(len(root), 10)
    place = positions(table, rotations, betas)[..., :2].unflatten(0, (count, HEADINGS))
    weight = evidence.weight[:, None, :, None]
    shift = (weight * (like[:, None] - place)).sum(2) / weight.sum(2).clamp_min(1e-6)
    return Bodies(rotations, betas, like.new_zeros(len(root)), shift.flatten(0, 1))


def hypotheses(
    table: LinearPoints, motion: RangeOfMotion, evidence: Evidence, keep: int
) -> tuple[Bodies, Tensor]:
    """The ``keep`` best bodies of each item, side by side (B * keep), energies (B, keep)."""
    count = len(evidence.points)
    item = torch.arange(count, device=evidence.points.device)
    bodies = starting_bodies(table, motion, evidence)
    repeated = evidence.select(item.repeat_interleave(HEADINGS))
    bodies, energy = minimise(table, motion, repeated, bodies, FIRST_STEPS, 0.1, shape=False)
    kept = energy.view(count, HEADINGS).topk(keep, 1, largest=False).indices
    kept = (kept + item[:, None] * HEADINGS).flatten()
    repeated = replace(evidence.select(item.repeat_interleave(keep)), outlier=FINAL_OUTLIER)
    bodies, energy = minimise(table, motion, repeated, bodies.select(kept), LAST_STEPS, 0.01)
    return bodies, energy.view(count, keep)
