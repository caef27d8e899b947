"""Half-edge collapse on the left half of the mesh.

Every collapse merges a vertex into a neighbour, so the result is a subset of the vertices and all
attributes survive without resampling. The cost of a collapse is the length of the edge, dearer
where the surface bends, plus the distance to the planes of the faces merged so far (the quadric
error of Garland and Heckbert, 1997), so that triangles stay even and lips stay lips. Texture seams
and holes stay as they are; the midline only collapses along itself.
"""

from __future__ import annotations

import heapq
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from .half_mesh import HalfMesh

CURVATURE = 2.5  # how much more an edge costs where the surface bends
DISTANCE = 8.0  # how much a metre off the merged planes costs, in metres of edge
MIN_COSINE = 0.5  # a face may not turn further than this in one collapse
MIN_SHAPE = 0.12  # twice the area over the longest edge squared; below is a sliver


def decimate(
    half: HalfMesh, points: NDArray, normals: NDArray, importance: NDArray, target: int
) -> HalfMesh:
    """Collapse until the completed mesh has at most ``target`` vertices.

    points, normals: (V, 3). importance: (V,), 1 = ordinary, more = kept longer.
    The vertex numbers stay those of ``half``; unused ones are simply no longer referenced.
    """
    return _Collapser(half, points, normals, importance).run(target)


class _Collapser:
    """The mutable state of one decimation."""

    def __init__(self, half: HalfMesh, points: NDArray, normals: NDArray, importance: NDArray):
        self.half, self.points, self.normals, self.importance = half, points, normals, importance
        self.faces, self.faces_uv = half.faces.copy(), half.faces_uv.copy()
        self.midline = half.midline
        self.quadrics = _quadrics(half, points)
        self.locked = _holes_and_seams(half)
        self.around = [set() for _ in points]  # faces around each vertex
        for face, corners in enumerate(self.faces):
            for vertex in corners:
                self.around[vertex].add(face)
        self.alive = np.ones(len(self.faces), bool)
        self.heap: list[tuple[float, int, int]] = []

    def run(self, target: int) -> HalfMesh:
        used = np.unique(self.faces)
        count = int(np.where(self.midline[used], 1, 2).sum())
        for vertex in used:
            self.push(int(vertex))
        while count > target:
            if not self.heap:
                raise RuntimeError(f"nothing left to collapse at {count} vertices")
            _, vertex, into = heapq.heappop(self.heap)
            if self.around[vertex] and self.around[into] and self.collapse(vertex, into):
                count -= 1 if self.midline[vertex] else 2
        faces, faces_uv = self.faces[self.alive], self.faces_uv[self.alive]
        return HalfMesh(faces, faces_uv, self.half.mirror, self.half.uv_mirror)

    def neighbours(self, vertex: int) -> set[int]:
        return {int(v) for face in self.around[vertex] for v in self.faces[face]} - {vertex}

    def push(self, vertex: int) -> None:
        if self.locked[vertex]:
            return
        for other in self.neighbours(vertex):
            if self.midline[vertex] and not self.midline[other]:
                continue
            bend = 1 - self.normals[vertex] @ self.normals[other]
            length = np.linalg.norm(self.points[vertex] - self.points[other])
            error = _distance(self.quadrics[vertex], self.points[other])
            cost = self.importance[vertex] * (length * (1 + CURVATURE * bend) + DISTANCE * error)
            heapq.heappush(self.heap, (float(cost), vertex, other))

    def collapse(self, vertex: int, into: int) -> bool:
        """Merge ``vertex`` into ``into``; False if the surface would not stay clean."""
        near, far = self.neighbours(vertex), self.neighbours(into)
        border = bool(self.midline[vertex])
        if into not in near or len(near & far) != (1 if border else 2):
            return False
        # A midline-to-midline edge inside the half would get four faces once mirrored.
        if self.midline[into] and not border:
            if any(self.midline[v] and v != into and v not in far for v in near):
                return False
        shared = [face for face in self.around[vertex] if into in self.faces[face]]
        moved = [face for face in self.around[vertex] if into not in self.faces[face]]
        into_uv = {int(self.faces_uv[face][self.faces[face] == into][0]) for face in shared}
        if len(into_uv) != 1 or not all(self.keeps_shape(f, vertex, into) for f in moved):
            return False
        for face in shared:
            self.alive[face] = False
            for corner in self.faces[face]:
                self.around[corner].discard(face)
        for face in moved:
            corner = self.faces[face] == vertex
            self.faces[face][corner] = into
            self.faces_uv[face][corner] = next(iter(into_uv))
            self.around[into].add(face)
        self.around[vertex] = set()
        self.quadrics[into] += self.quadrics[vertex]
        for other in self.neighbours(into) | {into}:
            self.push(other)
        return True

    def keeps_shape(self, face: int, vertex: int, into: int) -> bool:
        before = self.points[self.faces[face]]
        after = np.where((self.faces[face] == vertex)[:, None], self.points[into], before)
        old = np.cross(before[1] - before[0], before[2] - before[0])
        new = np.cross(after[1] - after[0], after[2] - after[0])
        area = np.linalg.norm(new)
        longest = max(np.sum((after[k] - after[k - 1]) ** 2) for k in range(3))
        turned = old @ new < MIN_COSINE * np.linalg.norm(old) * area
        return not turned and area >= MIN_SHAPE * longest


def _quadrics(half: HalfMesh, points: NDArray) -> NDArray:
    """(V, 4, 4) sums of area-weighted squared plane distances of the faces around each vertex."""
    faces, _ = half.complete()
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-12)
    normal = normal / area
    plane = np.concatenate([normal, -(normal * a).sum(1, keepdims=True)], 1)
    total = np.zeros((len(points), 4, 4))
    # The trace of the upper block counts the area, as normals are unit vectors.
    for corner in range(3):
        np.add.at(total, faces[:, corner], area[:, None] * plane[:, :, None] * plane[:, None])
    return total


def _distance(quadric: NDArray, point: NDArray) -> float:
    """Root mean square distance in metres of a point to the planes in a quadric."""
    homogeneous = np.append(point, 1.0)
    squared = homogeneous @ quadric @ homogeneous / np.trace(quadric[:3, :3])
    return float(np.sqrt(max(squared, 0.0)))


def _holes_and_seams(half: HalfMesh) -> NDArray:
    """(V,) bool: vertices with two texture coordinates or on an open edge off the midline."""
    locked = np.zeros(len(half.mirror), bool)
    pairs = np.unique(np.stack([half.faces.ravel(), half.faces_uv.ravel()], 1), axis=0)
    vertices, uses = np.unique(pairs[:, 0], return_counts=True)
    locked[vertices[uses > 1]] = True
    # On the midline, a texture coordinate that mirrors to another one is a seam too.
    seam = half.midline[pairs[:, 0]] & (half.uv_mirror[pairs[:, 1]] != pairs[:, 1])
    locked[pairs[seam, 0]] = True
    edges = Counter(
        frozenset((int(f[k - 1]), int(f[k]))) for f in half.faces for k in range(3)
    )  # fmt: skip
    for edge, count in edges.items():
        if count == 1 and not all(half.midline[v] for v in edge):
            locked[list(edge)] = True
    return locked
