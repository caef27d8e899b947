"""The left half of a symmetric mesh, and its mirrored completion.

Topology is only ever edited on the half x >= 0, whose border on the plane x = 0 is the midline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class HalfMesh:
    """Triangles on the left half of a mesh with V vertices.

    faces, faces_uv: (F, 3), counter-clockwise from outside; faces use vertices with x >= 0 only.
    mirror: (V,), own index on the midline. uv_mirror: (U,), -1 where a uv is not on the left.
    """

    faces: NDArray
    faces_uv: NDArray
    mirror: NDArray
    uv_mirror: NDArray

    @property
    def midline(self) -> NDArray:
        return self.mirror == np.arange(len(self.mirror))

    def complete(self) -> tuple[NDArray, NDArray]:
        """Faces and uv faces of both halves, (2F, 3) each."""
        turned = [0, 2, 1]  # mirroring turns the winding
        faces = np.concatenate([self.faces, self.mirror[self.faces][:, turned]])
        return faces, np.concatenate([self.faces_uv, self.uv_mirror[self.faces_uv][:, turned]])


def left_half(points: NDArray, quads: NDArray, quads_uv: NDArray, mirror: NDArray) -> HalfMesh:
    """Split quads (Q, 4) along their shorter diagonal and keep those at x >= 0.

    points: (V, 3), used for the side and the diagonals.
    """
    on_left = (points[quads][..., 0] > -1e-9).all(1)
    corner = points[quads[on_left]]
    first = np.linalg.norm(corner[:, 0] - corner[:, 2], axis=1)
    second = np.linalg.norm(corner[:, 1] - corner[:, 3], axis=1)
    roll = (np.arange(4) + (second < first)[:, None]) % 4
    left = np.take_along_axis(quads[on_left], roll, 1)
    left_uv = np.take_along_axis(quads_uv[on_left], roll, 1)
    split = np.array([[0, 1, 2], [0, 2, 3]])
    return HalfMesh(
        faces=left[:, split].reshape(-1, 3),
        faces_uv=left_uv[:, split].reshape(-1, 3),
        mirror=mirror,
        uv_mirror=_mirrored_uv(quads, quads_uv, mirror, on_left),
    )


def _mirrored_uv(quads: NDArray, quads_uv: NDArray, mirror: NDArray, on_left: NDArray) -> NDArray:
    """For each uv index of a left quad, the one of the mirrored corner of the mirrored quad."""
    corners = np.stack([quads, quads_uv], -1)  # (Q, 4, 2): vertex, uv
    found = {frozenset(quad[:, 0].tolist()): dict(quad.tolist()) for quad in corners}
    table = np.full(quads_uv.max() + 1, -1)
    for quad in corners[on_left]:
        other = found[frozenset(mirror[quad[:, 0]].tolist())]
        for vertex, uv in quad.tolist():
            mirrored = other[int(mirror[vertex])]
            if table[uv] not in (-1, mirrored):
                raise RuntimeError("the texture seams are not symmetric")
            table[uv] = mirrored
    return table


def boundary_loops(faces: NDArray) -> list[list[int]]:
    """Closed loops of directed edges that only one face has."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()
    directed = {tuple(edge) for edge in edges}
    following = {a: b for a, b in directed if (b, a) not in directed}
    loops = []
    while following:
        start, vertex = following.popitem()
        loop = [start]
        while vertex != start:
            loop.append(vertex)
            vertex = following.pop(vertex)
        loops.append(loop)
    return loops


def mouth_loop(faces: NDArray, mirror: NDArray) -> list[int]:
    """The one boundary loop that crosses the midline."""
    crossing = [p for p in boundary_loops(faces) if (mirror[p] == np.asarray(p)).any()]
    if len(crossing) != 1:
        raise RuntimeError(f"expected one hole on the midline, the mouth; found {len(crossing)}")
    return crossing[0]


def close_mouth(half: HalfMesh, loop: list[int], uv: NDArray) -> tuple[HalfMesh, NDArray]:
    """Fan the mouth's hole from a new midline vertex, appended last; also returns uv with its own.

    The caller appends the vertex itself, in the middle of ``loop`` and behind it.
    """
    center, center_uv = len(half.mirror), len(uv)
    vertex_uv = dict(np.stack([half.faces, half.faces_uv], -1).reshape(-1, 2).tolist())
    left = set(vertex_uv)
    edges = np.stack([loop, np.roll(loop, -1)], 1).tolist()
    fan = [[b, a, center] for a, b in edges if a in left and b in left]
    vertex_uv[center] = center_uv
    fan_uv = [[vertex_uv[v] for v in face] for face in fan]
    known = [vertex_uv[v] for v in loop if v in left]
    center_at = uv[known + half.uv_mirror[known].tolist()].mean(0)
    uv_mirror = np.full(center_uv + 1, -1)
    uv_mirror[: len(half.uv_mirror)] = half.uv_mirror
    uv_mirror[center_uv] = center_uv
    closed = HalfMesh(
        faces=np.concatenate([half.faces, fan]),
        faces_uv=np.concatenate([half.faces_uv, fan_uv]),
        mirror=np.append(half.mirror, center),
        uv_mirror=uv_mirror,
    )
    return closed, np.concatenate([uv, center_at[None]])
