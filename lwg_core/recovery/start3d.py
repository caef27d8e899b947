"""Where a fit to 3D points starts: the size from bones, the trunk turned onto the points."""

from __future__ import annotations

import torch
from torch import Tensor

from ..body.params import JOINT_NAMES
from ..body.rotations import axis_angle_to_matrix
from ..errors import InputError
from .kinematics import LinearPoints, positions
from .point_targets import PointTargets
from .priors import RangeOfMotion
from .solver import Bodies

STRETCH = 0.07  # sizes that the shape coefficients explain; what is beyond goes to the scale
RIGID = 0.02  # two points whose distance varies less than this over all poses lie on one bone
TRUNK = "pelvis spine1 spine2 spine3 neck left_collar right_collar".split()
NEAR_TRUNK = "left_hip right_hip left_shoulder right_shoulder".split()


def kabsch(source: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """(B, 3, 3) rotations that bring source (B, K, 3), centred, nearest to the target.

    weight: (B, K).
    """
    share = weight / weight.sum(1, keepdim=True).clamp_min(1e-9)
    source = source - (share[..., None] * source).sum(1, keepdim=True)
    target = target - (share[..., None] * target).sum(1, keepdim=True)
    u, _, v = torch.linalg.svd((share[..., None] * source).transpose(1, 2) @ target)
    sign = torch.ones_like(u[:, 0])
    sign[:, 2] = torch.det(u @ v).sign()
    return (v.transpose(1, 2) * sign[:, None]) @ u.transpose(1, 2)


def starting_bodies(table: LinearPoints, motion: RangeOfMotion, targets: PointTargets) -> Bodies:
    """B bodies in the usual pose, the trunk turned onto the targets."""
    count, like = len(targets.points), targets.points
    pose = axis_angle_to_matrix(motion.mean).expand(count, 23, 3, 3)
    rotations = torch.cat([torch.eye(3).to(like).expand(count, 1, 3, 3), pose], 1)
    betas = like.new_zeros(count, 10)
    usual = positions(table, rotations, betas)
    trunk = table.weight[:, [JOINT_NAMES.index(n) for n in TRUNK]].sum(1)
    trunk = trunk + 0.5 * table.weight[:, [JOINT_NAMES.index(n) for n in NEAR_TRUNK]].sum(1)
    held = targets.weight * (trunk > 0.4)
    # Without a trunk (a hand-held picture of legs) everything has to serve.
    held = torch.where((held > 0).sum(1, keepdim=True) >= 3, held, targets.weight)
    rotations = torch.cat([kabsch(usual, targets.points, held)[:, None], pose], 1)
    return Bodies(rotations, betas, like.new_zeros(count), like.new_zeros(count, 2))


def relative_scale(
    table: LinearPoints, motion: RangeOfMotion, points: Tensor, weight: Tensor
) -> float:
    """Metres of the points (T, K, 3) per metre of the body, from distances along its bones."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(48, 23, 3, generator=generator).to(motion.sd) * motion.sd
    pose = axis_angle_to_matrix((motion.mean + spread).clamp(motion.low, motion.high))
    root = torch.eye(3).to(pose).expand(48, 1, 3, 3)
    posed = positions(table, torch.cat([root, pose], 1), pose.new_zeros(48, 10))
    apart = torch.cdist(posed, posed)
    length = apart.mean(0)
    rigid = (apart.std(0) < RIGID * length) & (length > 0.2)
    first, second = rigid.triu(1).nonzero().unbind(1)
    seen = (weight[:, first] > 0) & (weight[:, second] > 0)
    found = (points[:, first] - points[:, second]).norm(dim=-1)
    # The median over the clip per bone, then over the bones, long ones first.
    per_bone = torch.where(seen, found, torch.nan).nanmedian(0).values / length[first, second]
    use = torch.isfinite(per_bone)
    if not use.any():
        return 1.0
    values, order = per_bone[use].sort()
    share = length[first, second][use][order].cumsum(0)
    ratio = float(values[(share >= share[-1] / 2).nonzero()[0, 0]])
    if not 1e-4 < ratio < 1e6:
        raise InputError(
            f"3D points: the bones are {ratio:.3g} times as long as a person's; give metres"
        )
    explained = min(max(ratio, 1 - STRETCH), 1 + STRETCH)
    return ratio / explained
