"""A body in SMPL layout and its linear blend skinning.

The layout is the one of SMPL (Loper et al., 2015): 24 joints, T-pose, y up, facing +z, the person's
left at +x, metres. Everything is a pure function of the arrays, so one class serves the built-in
open body and any SMPL-layout file.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from einops import einsum, rearrange
from torch import Tensor

from .rotations import axis_angle_to_matrix

PART_NAMES = (
    "head", "face", "torso", "left_arm", "right_arm", "left_hand", "right_hand",
    "left_leg", "right_leg", "left_foot", "right_foot",
)  # fmt: skip

NORMAL_SMOOTHING = 15  # rounds: enough that offsets of 5 cm do not fold armpits, ears or fingers


@dataclass(frozen=True)
class BodyModel:
    """A body in SMPL layout with V vertices and F faces.

    id: "open", "smpl", ...; betas belong to one id.
    v_template: (V, 3) metres, T-pose, y up, facing +z.
    shapedirs: (V, 3, 10) metres per unit beta.
    posedirs: (V, 3, 207) metres per entry of (R - 1) of joints 1..23, or None.
    joint_regressor: (24, V), rows sum to 1.
    weights: (V, 24) skinning weights, rows sum to 1.
    parents: parent of each of the 24 joints, -1 for the pelvis; parents come before children.
    faces: (F, 3) int64, counter-clockwise seen from outside.
    uv, faces_uv: (U, 2) in 0..1 and (F, 3) int64 indices into uv, or None.
    parts: (V,) uint8 index into PART_NAMES, or None.
    keypoint_regressor: (18, V) onto the COCO-18 keypoints of OpenPose, or None.
    foot_regressor: (6, V) onto LBigToe, LSmallToe, LHeel, RBigToe, RSmallToe, RHeel, or None.
    mirror: (V,) int64, index of the vertex on the other side, or None if not symmetric.
    """

    id: str
    v_template: Tensor
    shapedirs: Tensor
    posedirs: Tensor | None
    joint_regressor: Tensor
    weights: Tensor
    parents: tuple[int, ...]
    faces: Tensor
    uv: Tensor | None = None
    faces_uv: Tensor | None = None
    parts: Tensor | None = None
    keypoint_regressor: Tensor | None = None
    foot_regressor: Tensor | None = None
    mirror: Tensor | None = None

    def to(self, device=None, dtype: torch.dtype | None = None) -> BodyModel:
        """The same body on another device; ``dtype`` changes the floating tensors only."""
        moved = {}
        # Never inference tensors: a body loaded by a node must also serve training.
        with torch.inference_mode(False):
            for field in fields(self):
                value = getattr(self, field.name)
                if isinstance(value, Tensor):
                    wanted = dtype if value.is_floating_point() else None
                    moved[field.name] = value.to(device, wanted)
        return replace(self, **moved)

    @cached_property
    def _joint_basis(self) -> tuple[Tensor, Tensor]:
        """Rest joints of the template (24, 3) and their change per unit beta (24, 3, 10)."""
        with torch.inference_mode(False):
            return (
                self.joint_regressor @ self.v_template,
                einsum(self.joint_regressor, self.shapedirs, "j v, v c k -> j c k"),
            )

    @cached_property
    def _template_normals(self) -> Tensor:
        with torch.inference_mode(False):
            return smooth_normals(self.v_template, self.faces, self.mirror)

    def joints_rest(self, betas: Tensor) -> Tensor:
        """Rest joints (N, 24, 3) of betas (N, 10)."""
        template, directions = self._joint_basis
        return template + einsum(directions, betas, "j c k, n k -> n j c")

    def rest(self, betas: Tensor | None = None, offsets: Tensor | None = None) -> Tensor:
        """T-pose vertices (V, 3) of betas (10,), pushed by ``offsets`` (V,) m along the normals."""
        shaped = self.v_template if betas is None else self.v_template + self.shapedirs @ betas
        return shaped if offsets is None else shaped + offsets[:, None] * self._template_normals

    def rest_normals(self, betas: Tensor | None = None) -> Tensor:
        """Smooth, symmetric unit normals (V, 3) of the T-pose.

        Offsets always run along the template's (``betas`` None), whatever the shape.
        """
        if betas is None:
            return self._template_normals
        return smooth_normals(self.rest(betas), self.faces, self.mirror)

    def vertices(
        self, pose: Tensor, betas: Tensor | None = None, offsets: Tensor | None = None
    ) -> Tensor:
        """Posed vertices (T, V, 3) in the frame that ``pose[:, 0]`` turns into.

        pose: (T, 24, 3) axis-angle. betas: (10,) or (T, 10), None = the average body.
        offsets: (V,) metres along the rest normals, added before skinning.
        """
        rotations = axis_angle_to_matrix(pose)
        if betas is not None and betas.ndim == 2:
            shaped = self.v_template + einsum(self.shapedirs, betas, "v c k, t k -> t v c")
        else:
            shaped = self.rest(betas)[None]
        if offsets is not None:
            shaped = shaped + offsets[:, None] * self._template_normals
        if self.posedirs is not None:
            eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
            feature = rearrange(rotations[:, 1:] - eye, "t j a b -> t (j a b)")
            shaped = shaped + einsum(self.posedirs, feature, "v c p, t p -> t v c")
        joints = self._rest_joints_of(betas)
        turned, placed = self._chain(rotations, joints)
        moved = placed - (turned @ joints[..., None]).squeeze(-1)
        # Planar layout: one matmul for all frames, then nine long multiply-adds.
        transforms = torch.cat([turned.flatten(2), moved], -1)
        blended = rearrange(transforms, "t j r -> t r j") @ self.weights.T
        x, y, z = shaped.unbind(-1)
        planes = [
            blended[:, 3 * r] * x + blended[:, 3 * r + 1] * y + blended[:, 3 * r + 2] * z
            for r in range(3)
        ]
        return torch.stack([p + blended[:, 9 + r] for r, p in enumerate(planes)], -1)

    def joints(self, pose: Tensor, betas: Tensor | None = None) -> Tensor:
        """Posed joints (T, 24, 3); arguments as in ``vertices``."""
        return self._chain(axis_angle_to_matrix(pose), self._rest_joints_of(betas))[1]

    def correspondence_code(self) -> Tensor:
        """(V, 3) T-pose coordinate of each vertex, about [-1, 1]: a code of no body model."""
        low, high = self.v_template.amin(0), self.v_template.amax(0)
        return (self.v_template - (low + high) / 2) / (high - low)[1] * 2

    def _rest_joints_of(self, betas: Tensor | None) -> Tensor:
        """(1 or T, 24, 3) rest joints."""
        if betas is None:
            return self._joint_basis[0][None]
        return self.joints_rest(betas if betas.ndim == 2 else betas[None])

    def _chain(self, rotations: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
        """Forward kinematics: world rotations (T, 24, 3, 3) and joint positions (T, 24, 3)."""
        turned = [rotations[:, 0]]
        placed = [joints[:, 0].expand(len(rotations), 3)]
        for joint, parent in enumerate(self.parents[1:], 1):
            bone = (joints[:, joint] - joints[:, parent])[..., None]
            turned.append(turned[parent] @ rotations[:, joint])
            placed.append(placed[parent] + (turned[parent] @ bone).squeeze(-1))
        return torch.stack(turned, 1), torch.stack(placed, 1)


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Area-weighted unit normals (..., V, 3) of vertices (..., V, 3) and faces (F, 3)."""
    first, second, third = (vertices[..., faces[:, corner], :] for corner in range(3))
    crosses = torch.linalg.cross(second - first, third - first)
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total = total.index_add(-2, faces[:, corner], crosses)
    return torch.nn.functional.normalize(total, dim=-1, eps=1e-20)


def smooth_normals(
    vertices: Tensor, faces: Tensor, mirror: Tensor | None = None, rounds: int = NORMAL_SMOOTHING
) -> Tensor:
    """Unit normals (V, 3) averaged ``rounds`` times over the mesh, symmetric if ``mirror`` is."""
    start = faces.flatten()
    end = faces.roll(-1, 1).flatten()
    normals = vertex_normals(vertices, faces)
    for _ in range(rounds):
        total = normals.index_add(0, start, normals[end]).index_add(0, end, normals[start])
        normals = torch.nn.functional.normalize(total, dim=-1)
    if mirror is not None:
        flip = normals.new_tensor([-1.0, 1.0, 1.0])
        normals = torch.nn.functional.normalize(normals + normals[mirror] * flip, dim=-1)
    return normals
