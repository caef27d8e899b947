"""A body laid onto somebody else's surface: vertices of any mesh of the same person.

Iterated closest points inside the solver: some thousand points of the body, evenly spread, go to
the nearest vertex of the other mesh, held across the surface and sliding along it (point to plane,
Chen and Medioni, 1992), robustly, because hands and hair differ. Keypoints hold the start together.
Joints alone leave limbs free to twist; feet, hands and the flat sides of limbs do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ..body.model import BodyModel, vertex_normals
from ..body.rotations import matrix_to_axis_angle
from .kinematics import LinearPoints, forward, positions
from .point_targets import PointTargets, no_picture
from .priors import range_of_motion
from .solver import Bodies, in_chunks

SPACING = 0.045  # metres between the body's points in the T-pose
ROUNDS = 8  # of finding the nearest points and one step of the solver
SURFACE_SD = 0.02  # metres
OUTLIER = 4.0  # times SURFACE_SD
SLIDE = 0.3  # what an error along the surface counts, squared
SURFACE_WEIGHT = 3.0  # against PRIOR_WEIGHT: a surface says more than its points
KEYPOINT_WEIGHT = 0.5
ACROSS = 0.3  # least cosine between the two surfaces' normals for points to belong together
CHUNK = 8  # frames solved at once: about 100 MB


@dataclass(frozen=True)
class Surfaces:
    """The same mesh in T poses, in one frame with the keypoints.

    vertices: (T, V, 3) metres. faces: (F, 3) int64, counter-clockwise from outside or the other
    way round, or None when only the vertices are known.
    """

    vertices: Tensor
    faces: Tensor | None = None


def fit_surfaces(
    body: BodyModel,
    bodies: Bodies,
    keypoints: PointTargets,
    surfaces: Surfaces,
    *,
    shape: bool = True,
    rounds: int = ROUNDS,
    spacing: float = SPACING,
) -> tuple[Bodies, Tensor]:
    """Bodies of T frames that already lie near; returns them and their place (T, 3).

    keypoints: targets in the surfaces' frame. shape: whether the betas move.
    spacing: metres between the body's points.
    """
    motion = range_of_motion(bodies.betas.dtype, bodies.betas.device)
    index = spread_vertices(body, spacing)
    table = with_vertices(keypoints.table, body, index)
    normals = body.rest_normals()[index]
    trees = [cKDTree(v.detach().cpu().numpy()) for v in surfaces.vertices]
    outward = None if surfaces.faces is None else outward_normals(surfaces)
    each = SURFACE_WEIGHT * (spacing / SPACING) ** 2
    targets = keypoints
    for _ in range(rounds):
        place = targets.place(bodies)
        exact = _exact(body, keypoints, index, table, bodies)
        found = exact[:, len(keypoints.table) :] + place[:, None]
        pairs = [
            torch.from_numpy(tree.query(points.detach().cpu().numpy())[1])
            for tree, points in zip(trees, found, strict=True)
        ]
        pairs = torch.stack(pairs).to(found.device)[..., None].expand(-1, -1, 3)
        nearest = surfaces.vertices.gather(1, pairs)
        facing = _facing(table.weight[len(keypoints.table) :], normals, table, bodies)
        weight = torch.full_like(nearest[..., 0], each)
        if outward is not None:
            theirs = outward.gather(1, pairs)
            weight = weight * ((theirs * facing).sum(-1) > ACROSS)
            facing = theirs
        # Pose blend shapes move little in one step: the targets take them on themselves.
        blended = exact - positions(table, bodies.rotations, bodies.betas)
        targets = PointTargets(
            table,
            torch.cat([keypoints.points, nearest], 1) - blended,
            torch.cat([KEYPOINT_WEIGHT * keypoints.weight, weight], 1),
            torch.cat([torch.zeros_like(keypoints.points), facing], 1),
            slide=SLIDE,
            sd=SURFACE_SD,
            outlier=OUTLIER,
        )
        empty, evidence = no_picture(targets)
        bodies, _ = in_chunks(empty, motion, evidence, bodies, 1, 0.01, shape, size=CHUNK)
    return bodies, targets.place(bodies)


def _exact(
    body: BodyModel, keypoints: PointTargets, index: Tensor, table: LinearPoints, bodies: Bodies
) -> Tensor:
    """(T, K, 3) keypoints and vertices of the bodies with their pose blend shapes."""
    if body.posedirs is None:
        return positions(table, bodies.rotations, bodies.betas)
    vertices = body.vertices(matrix_to_axis_angle(bodies.rotations), bodies.betas)
    first = positions(keypoints.table, bodies.rotations, bodies.betas)
    return torch.cat([first, vertices[:, index]], 1)


def _facing(weight: Tensor, normals: Tensor, table: LinearPoints, bodies: Bodies) -> Tensor:
    """(T, N, 3) rest normals (N, 3), turned with skinning weights (N, 24)."""
    turned = forward(table, bodies.rotations, bodies.betas).rotation
    blended = torch.einsum("kj,njcd->nkcd", weight, turned)
    return torch.nn.functional.normalize((blended @ normals[..., None]).squeeze(-1), dim=-1)


def outward_normals(surfaces: Surfaces) -> Tensor:
    """(T, V, 3) vertex normals that point out of the body, however its faces are wound."""
    vertices, faces = surfaces.vertices, surfaces.faces
    first, second, third = (vertices[:, faces[:, corner]] for corner in range(3))
    first, second, third = (corner - vertices.mean(1, keepdim=True) for corner in
                            (first, second, third))  # fmt: skip
    volume = (first * torch.linalg.cross(second, third)).sum((1, 2))
    return vertex_normals(vertices, faces) * torch.sign(volume)[:, None, None]


def spread_vertices(body: BodyModel, spacing: float) -> Tensor:
    """Indices of vertices spread evenly over the T-pose: one in each cell of a grid."""
    cell = torch.floor(body.v_template / spacing).cpu().numpy().astype(np.int64)
    _, first = np.unique(cell, axis=0, return_index=True)
    return torch.from_numpy(np.sort(first)).to(body.v_template.device)


def with_vertices(table: LinearPoints, body: BodyModel, index: Tensor) -> LinearPoints:
    """The points of a table, then vertices ``index``: what ``fold`` makes of one-hot rows.

    Without pose blend shapes.
    """
    weight = body.weights[index]
    share = weight[..., None]
    offset = share * (body.v_template[index][:, None] - table.joints)
    dirs = share[..., None] * (body.shapedirs[index][:, None] - table.joint_dirs)
    return replace(
        table,
        offset=torch.cat([table.offset, offset]),
        offset_dirs=torch.cat([table.offset_dirs, dirs]),
        offset_pose=None,
        weight=torch.cat([table.weight, weight]),
    )


def surface_distance(points: Tensor, surfaces: Surfaces) -> Tensor:
    """(T,) mean distance from points (T, N, 3) to the nearest vertex of the surface, metres."""
    means = []
    for body, surface in zip(points, surfaces.vertices, strict=True):
        tree = cKDTree(surface.detach().cpu().numpy())
        means.append(float(tree.query(body.detach().cpu().numpy())[0].mean()))
    return points.new_tensor(means)
