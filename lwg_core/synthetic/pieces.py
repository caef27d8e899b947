"""Loose pieces that leave the body's surface: skirts, coats, long hair, scarves, flares, bags.

Every piece is a grid of rings around a limb or the trunk, cut on the dressed rest body, carried by
skinning weights that blend between the bones, then pushed out of the posed body and smoothed
(``drape``). They are what clothing offsets cannot describe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from .mannequin import Mannequin
from .motions import INDEX
from .noise import smoothstep


@dataclass(frozen=True)
class Piece:
    """A loose piece of R x C vertices.

    vertices: (M, 3) rest pose. faces: (F, 3). weights: (M, 24). cloth: (M, 2)
    surface coordinates in metres. look: which fabric or hair colours it. grid: (R, C, closed):
    rows, columns, and whether the last column joins the first. slack: (M, 3) the part of the rest
    position that only stands off the body because the cloth is wide: it falls in where it would
    point upward. sag: (M,) metres it hangs down. margin: metres kept off the body, or 0 to leave it
    alone. against: (V,) body vertices that it must not enter.
    """

    vertices: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    cloth: np.ndarray
    look: str
    grid: tuple[int, int, bool]
    slack: np.ndarray
    sag: np.ndarray
    margin: float
    against: np.ndarray


def hull_radius(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(A,) distance from the origin to the hull of points (N, 2) in directions (sin, cos)."""
    normals = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    support = (points @ np.stack([np.sin(normals), np.cos(normals)])).max(0)
    facing = np.cos(angles[:, None] - normals[None])
    return np.where(facing > 0.15, support / np.maximum(facing, 0.15), np.inf).min(1)


def _grid_faces(rows: int, columns: int, closed: bool) -> np.ndarray:
    index = np.arange(rows * columns).reshape(rows, columns)
    if closed:
        index = np.concatenate([index, index[:, :1]], 1)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    return np.concatenate(
        [np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]
    )


def make_piece(
    look: str,
    places: np.ndarray,
    weights: np.ndarray,
    figure: Mannequin,
    closed: bool = True,
    slack: np.ndarray | float = 0.0,
    sag: np.ndarray | float = 0.0,
    margin: float = 0.0,
    against: np.ndarray | None = None,
) -> Piece:
    """A piece from places (R, C, 3) and weights (R, C, 24)."""
    rows, columns = places.shape[:2]
    around = np.linalg.norm(np.diff(places, axis=1, prepend=places[:, :1]), axis=-1).cumsum(1)
    down = np.linalg.norm(np.diff(places, axis=0, prepend=places[:1]), axis=-1).cumsum(0)
    around = around.mean(0, keepdims=True).repeat(rows, 0)
    cloth = np.stack([around, -down], -1).reshape(-1, 2)
    return Piece(
        vertices=places.reshape(-1, 3).astype(np.float32),
        faces=_grid_faces(rows, columns, closed),
        weights=weights.reshape(-1, 24).astype(np.float32),
        cloth=cloth.astype(np.float32),
        look=look,
        grid=(rows, columns, closed),
        slack=np.broadcast_to(slack, places.shape).reshape(-1, 3).astype(np.float32),
        sag=np.broadcast_to(sag, (rows, columns)).reshape(-1).astype(np.float32),
        margin=margin,
        against=np.zeros(len(figure.template), bool) if against is None else against,
    )


def share_weights(shape: tuple[int, int], **shares: np.ndarray | float) -> np.ndarray:
    """(R, C, 24) skinning weights from joint name -> share, normalised."""
    weights = np.zeros((*shape, 24))
    for name, share in shares.items():
        weights[..., INDEX[name]] = share
    return weights / weights.sum(-1, keepdims=True)


def make_tube(
    look: str,
    path: np.ndarray,
    radius: np.ndarray,
    weights: np.ndarray,
    figure: Mannequin,
    across: tuple = (1.0, 0.0, 0.0),
    columns: int = 14,
    **options,
) -> Piece:
    """A tube along path (R, 3) with radius (R,) and weights (R, 24)."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    first = np.asarray(across) - (along @ np.asarray(across))[:, None] * along
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-6)
    second = np.cross(along, first)
    angles = np.linspace(0, 2 * np.pi, columns, endpoint=False)[:, None]
    ring = np.cos(angles) * first[:, None] + np.sin(angles) * second[:, None]
    places = path[:, None] + radius[:, None, None] * ring
    wide = np.repeat(weights[:, None], columns, 1)
    return make_piece(look, places, wide, figure, **options)


def fit_piece(piece: Piece, figure: Mannequin, change: np.ndarray) -> Piece:
    """A piece cut on the template, moved with the body's shape: ``change`` (V, 3) metres."""
    distance, nearest = cKDTree(figure.template).query(piece.vertices, 10)
    share = 1 / (distance + 0.02) ** 2
    share /= share.sum(1, keepdims=True)
    moved = piece.vertices + (share[..., None] * change[nearest]).sum(1)
    return replace(piece, vertices=moved.astype(np.float32))


def drape(
    piece: Piece, posed: np.ndarray, slack: np.ndarray, body: np.ndarray, normals: np.ndarray
) -> np.ndarray:
    """Posed vertices (M, 3) of a piece, hung and pushed out of the posed body.

    slack: (M, 3), turned as the vertices were. body, normals: (V, 3). All in the camera frame,
    where y points down.
    """
    upward = -slack[:, 1] / np.maximum(np.linalg.norm(slack, axis=1), 1e-6)
    hung = posed - 0.9 * smoothstep(0.1, 0.7, upward)[:, None] * slack
    hung[:, 1] += piece.sag
    if piece.margin == 0.0:
        return hung
    points, outward = body[piece.against], normals[piece.against]
    tree = cKDTree(points)
    rows, columns, closed = piece.grid
    for round_ in range(3):
        distance, nearest = tree.query(hung, distance_upper_bound=0.16)
        near = np.isfinite(distance)
        foot = nearest[near]
        depth = ((hung[near] - points[foot]) * outward[foot]).sum(1)
        push = np.clip(piece.margin - depth, 0, 0.08)
        hung[near] += push[:, None] * outward[foot]
        if round_ < 2:
            hung = _relax(hung.reshape(rows, columns, 3), closed).reshape(-1, 3)
    return hung.astype(np.float32)


def _relax(grid: np.ndarray, closed: bool) -> np.ndarray:
    """Each vertex moves a little toward its neighbours; the first row and open edges stay."""
    out = grid.copy()
    if closed:
        sides = (np.roll(grid, 1, 1) + np.roll(grid, -1, 1)) / 2
        out[1:] += 0.3 * (sides[1:] - grid[1:])
    else:
        out[1:, 1:-1] += 0.3 * ((grid[1:, 2:] + grid[1:, :-2]) / 2 - grid[1:, 1:-1])
    out[1:-1] += 0.2 * ((grid[2:] + grid[:-2]) / 2 - grid[1:-1])
    return out
