"""Hands turned at the wrist to where their knuckles were seen.

The body's own keypoints end at the wrists, so the fit leaves the hands as they usually are. The
knuckles say how the line from the wrist to the hand joint lies in the picture; its length says how
far it comes out of it, on the side where the arm already has it. The hand takes the smallest turn
that brings it there, a little less for the noise of the points. Nothing else moves.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..body.params import JOINT_NAMES
from ..body.rotations import axis_angle_to_matrix
from .keypoints import KEYPOINT_NAMES
from .kinematics import PARENTS, LinearPoints, forward
from .smoothing import local_line
from .solver import KEYPOINT_SD, Bodies

WRISTS = [JOINT_NAMES.index(f"{side}_wrist") for side in ("left", "right")]
HANDS = [JOINT_NAMES.index(f"{side}_hand") for side in ("left", "right")]
USUAL_SD = 0.5  # rad: how far wrists are usually bent
FARTHEST = 2.0  # hand lengths: knuckles farther from the wrist are not this hand's
MOST = 1.4  # rad
SECONDS = 0.06  # the Gaussian's sigma over a clip


def hand_lines(
    hands: Tensor, points: Tensor, weight: Tensor, exchanged: Tensor, pixels: Tensor
) -> tuple[Tensor, Tensor]:
    """From the wrists to the knuckles: (T, 2, 2) metres, left and right, and (T, 2) in 0..1.

    hands: (T, 2, 3) as ``Keypoints.hands``. points: (T, K, 2) px and weight: (T, K), sides mended;
    exchanged: (T,) bool, the arms were. pixels: (T,) per metre.
    """
    hands = hands.to(points)
    hands = torch.where(exchanged[:, None, None], hands.flip(1), hands)
    index = [KEYPOINT_NAMES.index(f"{side}_wrist") for side in ("left", "right")]
    lines = (hands[..., :2] - points[:, index]) / pixels[:, None, None]
    return lines, torch.minimum(hands[..., 2], weight[:, index]).clamp(0, 1)


def turn_hands(
    table: LinearPoints,
    bodies: Bodies,
    seen: Tensor,
    weight: Tensor,
    fps: float | None = None,
) -> Tensor:
    """Rotations (T, 24, 3, 3) of ``bodies`` with their wrists turned.

    seen: (T, 2, 2) metres in the picture at the body's distance, from wrist to knuckles, left and
    right. weight: (T, 2) in 0..1, 0 = not seen. fps: of a clip, whose turns are smoothed over time;
    None = single pictures.
    """
    frames = forward(table, bodies.rotations, bodies.betas)
    line = frames.position[:, HANDS] - frames.position[:, WRISTS]
    length = line.norm(dim=-1, keepdim=True)
    across = seen.norm(dim=-1, keepdim=True)
    weight = weight * (across <= FARTHEST * length)[..., 0]
    flat = seen * (length / across.clamp_min(1e-6)).clamp_max(1)
    depth = (length**2 - flat.square().sum(-1, keepdim=True)).clamp_min(0).sqrt()
    wanted = torch.cat([flat, torch.copysign(depth, line[..., 2:])], -1)
    turn = smallest_turn(line, wanted) * (weight > 0)[..., None]
    # Noise across the line against how far wrists bend.
    noise = KEYPOINT_SD / length
    turn = turn * USUAL_SD**2 / (USUAL_SD**2 + noise**2)
    if fps is not None and len(turn) > 1:
        wide = weight.repeat_interleave(3, 1)
        sigma = SECONDS * fps
        smooth, mass = local_line(turn.flatten(1), wide, sigma)
        # Beyond the ends of what was seen, where less than half a Gaussian is left, it fades.
        share = (mass / (0.5 * max(1.0, sigma * math.sqrt(2 * math.pi)))).clamp_max(1)
        turn = (smooth * share).view_as(turn)
    turn = turn * (MOST / turn.norm(dim=-1, keepdim=True).clamp_min(1e-6)).clamp_max(1)
    world = axis_angle_to_matrix(turn) @ frames.rotation[:, WRISTS]
    above = frames.rotation[:, [PARENTS[wrist] for wrist in WRISTS]]
    rotations = bodies.rotations.clone()
    rotations[:, WRISTS] = above.transpose(-1, -2) @ world
    return rotations


def smallest_turn(start: Tensor, end: Tensor) -> Tensor:
    """(..., 3) rotation vector, radians, that turns ``start`` to the direction of ``end``."""
    axis = torch.linalg.cross(start, end)
    sine = axis.norm(dim=-1, keepdim=True)
    cosine = (start * end).sum(-1, keepdim=True)
    return axis / sine.clamp_min(1e-9) * torch.atan2(sine, cosine)
