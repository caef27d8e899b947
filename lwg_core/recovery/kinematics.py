"""Points of a posed body without its vertices.

A keypoint detector's point is a fixed average of surface vertices, p_k = sum_v K_kv x_v, and linear
blend skinning is linear in the vertices, so the average can be taken before posing. With joint
rotations G_j (world), joint positions t_j and rest joints J_j:

    x_v = sum_j W_vj (G_j (v_v - J_j) + t_j)
    p_k = sum_j G_j a_kj + w_kj t_j      a_kj = sum_v K_kv W_vj (v_v - J_j),  w_kj = sum_v K_kv W_vj

where a_kj is linear in the shape coefficients (and, with pose blend shapes, in the rotations). The
loop of a fitter then costs K x 24 small products instead of thousands of vertices, and derivatives
are closed: turning joint i on the right, R_i <- R_i exp(d), moves every point by

    dp_k/dd_i = -[D_ki]x G_i             D_ki = sum_{j below i} (G_j a_kj + w_kj t_j) - w_kj t_i
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import JOINT_PARENTS


def _levels(parents: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Joints by their depth in the tree. SMPL numbers its joints level by level."""
    depth = [0] * len(parents)
    for joint in range(1, len(parents)):
        depth[joint] = depth[parents[joint]] + 1
    levels = tuple(
        tuple(j for j, d in enumerate(depth) if d == level) for level in range(max(depth) + 1)
    )
    assert sum(levels, ()) == tuple(range(len(parents)))
    return levels


PARENTS = tuple(JOINT_PARENTS)
LEVELS = _levels(PARENTS)


@dataclass(frozen=True)
class LinearPoints:
    """K linear surface points of one body model, folded onto its 24 joints.

    joints: (24, 3) rest joints, metres; joint_dirs: (24, 3, 10) their shape directions.
    offset: (K, 24, 3) a_kj of the mean shape; offset_dirs: (K, 24, 3, 10) its shape directions.
    offset_pose: (K, 24, 3, 207) its pose blend shapes, or None.
    weight: (K, 24) w_kj.
    subtree: (24, 24) 1 where column j lies in the subtree of row i, i itself included.
    """

    joints: Tensor
    joint_dirs: Tensor
    offset: Tensor
    offset_dirs: Tensor
    offset_pose: Tensor | None
    weight: Tensor
    subtree: Tensor

    def __len__(self) -> int:
        return self.offset.shape[0]

    @property
    def bones(self) -> Tensor:
        """(24, 3) rest joint minus its parent's; the root's own position for the root."""
        return _from_parent(self.joints)

    @property
    def bone_dirs(self) -> Tensor:
        """(24, 3, 10) shape directions of ``bones``."""
        return _from_parent(self.joint_dirs)


def _from_parent(values: Tensor) -> Tensor:
    return torch.cat([values[:1], values[1:] - values[list(PARENTS[1:])]])


def fold(body: BodyModel, regressor: Tensor, dtype: torch.dtype = torch.float32) -> LinearPoints:
    """Fold the vertex averages ``regressor`` (K, V) of a body model onto its joints."""
    regressor = regressor.to(dtype)
    template, dirs = body.v_template.to(dtype), body.shapedirs.to(dtype)
    joint_regressor = body.joint_regressor.to(dtype)
    joints = joint_regressor @ template
    joint_dirs = torch.einsum("jv,vcb->jcb", joint_regressor, dirs)
    used = (regressor != 0).any(0).nonzero().flatten()
    share = regressor[:, None, used] * body.weights.to(dtype)[used].T  # (K, 24, U)
    weight = share.sum(-1)
    offset_pose = None
    if body.posedirs is not None:
        offset_pose = torch.einsum("kju,ucp->kjcp", share, body.posedirs.to(dtype)[used])
    subtree = torch.zeros(24, 24, dtype=dtype, device=template.device)
    for joint in range(24):
        above = joint
        while above >= 0:
            subtree[above, joint] = 1
            above = PARENTS[above]
    return LinearPoints(
        joints,
        joint_dirs,
        share @ template[used] - weight[..., None] * joints,
        torch.einsum("kju,ucb->kjcb", share, dirs[used]) - weight[..., None, None] * joint_dirs,
        offset_pose,
        weight,
        subtree,
    )


@dataclass(frozen=True)
class PosedFrames:
    """Joints of B bodies in the camera frame: rotation (B, 24, 3, 3), position (B, 24, 3) m."""

    rotation: Tensor
    position: Tensor


def forward(points: LinearPoints, rotations: Tensor, betas: Tensor) -> PosedFrames:
    """World frames of the joints from local rotations (B, 24, 3, 3) and betas (B, 10).

    The root turns about its own rest position, as in SMPL.
    """
    bones = points.bones + torch.einsum("jcb,nb->njc", points.bone_dirs, betas)
    local = torch.cat([rotations, bones[..., None]], -1)
    frames = [local[:, :1]]
    first = 0
    for level in LEVELS[1:]:
        parent = frames[-1][:, [PARENTS[j] - first for j in level]]
        moved = parent[..., :3] @ local[:, level[0] : level[-1] + 1]
        position = moved[..., 3:] + parent[..., 3:]
        frames.append(torch.cat([moved[..., :3], position], -1))
        first = level[0]
    world = torch.cat(frames, 1)
    return PosedFrames(world[..., :3], world[..., 3])


def _offsets(points: LinearPoints, rotations: Tensor, betas: Tensor) -> Tensor:
    """(B, K, 24, 3) a_kj of each body."""
    offset = points.offset + torch.einsum("kjcb,nb->nkjc", points.offset_dirs, betas)
    if points.offset_pose is not None:
        feature = rotations[:, 1:] - torch.eye(3, dtype=betas.dtype, device=betas.device)
        offset = offset + torch.einsum("kjcp,np->nkjc", points.offset_pose, feature.flatten(1))
    return offset


def positions(points: LinearPoints, rotations: Tensor, betas: Tensor) -> Tensor:
    """(B, K, 3) the points in the camera frame, metres."""
    frames = forward(points, rotations, betas)
    offset = _offsets(points, rotations, betas)
    turned = torch.einsum("njcd,nkjd->nkc", frames.rotation, offset)
    return turned + points.weight @ frames.position


def positions_with_jacobian(
    points: LinearPoints, rotations: Tensor, betas: Tensor, shape: bool = True
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Points and their derivatives.

    Returns the points (B, K, 3), d/d right-perturbed joint rotations (B, K, 3, 72) and d/d betas
    (B, K, 3, 10), the last one None unless ``shape``.
    """
    frames = forward(points, rotations, betas)
    turn, place = frames.rotation, frames.position
    offset = _offsets(points, rotations, betas)
    part = torch.einsum("njcd,nkjd->nkjc", turn, offset)
    part = part + points.weight[..., None] * place[:, None]
    lever = torch.einsum("ij,nkjc->nkic", points.subtree, part)
    lever = lever - (points.weight @ points.subtree.T)[..., None] * place[:, None]
    # -[D]x G column by column: g x D. Written out, which is three times as fast as linalg.cross.
    gx, gy, gz = turn[:, None].unbind(-2)
    x, y, z = lever[..., None].unbind(-2)
    columns = torch.stack([gy * z - gz * y, gz * x - gx * z, gx * y - gy * x], 2)
    if points.offset_pose is not None:
        columns[:, :, :, 1:] += _pose_blend_columns(points, rotations, turn).movedim(-1, 2)
    by_rotation = columns.flatten(3)
    by_shape = None
    if shape:
        eye = torch.eye(3).to(turn).expand(len(turn), 1, 3, 3)
        above = torch.cat([eye, turn[:, PARENTS[1:]]], 1)
        joint_step = torch.einsum("njcd,jdb->njcb", above, points.bone_dirs)
        joint_shape = torch.einsum("ij,nicb->njcb", points.subtree, joint_step)
        by_shape = torch.einsum("njcd,kjdb->nkcb", turn, points.offset_dirs)
        by_shape = by_shape + torch.einsum("kj,njcb->nkcb", points.weight, joint_shape)
    return part.sum(2), by_rotation, by_shape


def _pose_blend_columns(points: LinearPoints, rotations: Tensor, turn: Tensor) -> Tensor:
    """(B, K, 23, 3, 3) [joint, perturbed axis, point] share of the pose blend shapes."""
    moved = torch.einsum("njcd,kjdp->nkcp", turn, points.offset_pose)
    moved = moved.unflatten(-1, (23, 3, 3))
    generators = torch.linalg.cross(  # [axis] hat matrices of the unit vectors
        torch.eye(3).to(turn)[:, None].expand(3, 3, 3), torch.eye(3).to(turn).expand(3, 3, 3)
    ).transpose(-1, -2)
    change = torch.einsum("nird,ade->niare", rotations[:, 1:], generators)
    return torch.einsum("nkcire,niare->nkiac", moved, change)
