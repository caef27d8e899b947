"""Loose pieces that leave the body's surface: skirts, coats, long hair, scarves, flares, bags.

Every piece is a grid of rings around a limb or the trunk, cut on the dressed rest body, carried by
skinning weights that blend between the bones, then pushed out of the posed body and smoothed
(``drape``). They are what clothing offsets cannot describe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from .identity import Identity
from .mannequin import Landmarks, Mannequin
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
    """(A,) distance from the origin to the convex hull of points (N, 2) in directions (sin, cos)."""
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


def _piece(
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


def _weights(shape: tuple[int, int], **shares: np.ndarray | float) -> np.ndarray:
    """(R, C, 24) skinning weights from joint name -> share, normalised."""
    weights = np.zeros((*shape, 24))
    for name, share in shares.items():
        weights[..., INDEX[name]] = share
    return weights / weights.sum(-1, keepdims=True)


def _leg_weights(y: np.ndarray, angles: np.ndarray, marks: Landmarks, follow: float) -> np.ndarray:
    """Weights of cloth around both legs at heights (R,) and angles (C,) (0 = front, left > 0)."""
    legs = follow * smoothstep(marks.waist - 0.06, marks.crotch - 0.06, y)[:, None]
    left = smoothstep(-0.75, 0.75, np.sin(angles))[None]
    knee = 0.8 * smoothstep(marks.knee[1] + 0.06, marks.knee[1] - 0.16, y)[:, None]
    return _weights(
        (len(y), len(angles)),
        pelvis=1 - legs,
        left_hip=legs * left * (1 - knee),
        right_hip=legs * (1 - left) * (1 - knee),
        left_knee=legs * left * knee,
        right_knee=legs * (1 - left) * knee,
    )


def _trunk_rings(
    rest: np.ndarray, low: float, high: float, angles: np.ndarray, step: float = 0.03
) -> tuple[np.ndarray, np.ndarray, float]:
    """Heights (R,) from high to low, hull radii (R, C) of the body there, and the depth axis z."""
    heights = np.linspace(high, low, max(3, int(np.ceil((high - low) / step)) + 1))
    trunk = rest[(rest[:, 1] < high + 0.05) & (np.abs(rest[:, 0]) < 0.4)]
    middle = float(trunk[np.abs(trunk[:, 1] - high) < 0.06, 2].mean())
    radii = []
    for height in heights:
        band = trunk[np.abs(trunk[:, 1] - height) < 0.03]
        radii.append(hull_radius(band[:, [0, 2]] - (0, middle), angles))
    return heights, np.stack(radii), middle


def _skirt(
    rest: np.ndarray, identity: Identity, figure: Mannequin, rng: np.random.Generator, look: str
) -> Piece:
    marks, bottom = figure.marks, identity.bottom
    gap = 0.0
    if look == "skirt":
        high, low = marks.waist - 0.005, marks.leg_y(bottom.leg)
        ease, flare, pleats, follow = 0.008, bottom.flare, bottom.pleats, 0.95
    elif look == "tunic":
        high, low = marks.pelvis[1] + 0.03, marks.leg_y(rng.uniform(0.05, 0.3))
        ease, flare, pleats, follow = 0.012, rng.uniform(0.03, 0.12), 7, 0.85
    else:  # a coat, open in front
        high, low = marks.pelvis[1] + 0.08, marks.leg_y(rng.uniform(0.25, 0.75))
        ease, flare, pleats, follow = 0.022, rng.uniform(0.03, 0.12), 5, 0.8
        gap = rng.uniform(0.05, 0.5)
    closed = gap == 0.0
    angles = np.linspace(gap, 2 * np.pi - gap, 44, endpoint=not closed)
    heights, radii, middle = _trunk_rings(rest, low, high, angles)
    hip = marks.hip[1]
    for row in range(1, len(heights)):  # cloth bridges the legs and does not turn inward
        keep = 0.996 if heights[row] < hip + 0.02 else 0.95
        radii[row] = np.maximum(radii[row], keep * radii[row - 1])
    below = np.clip((hip + 0.06 - heights) / max(hip + 0.06 - low, 0.05), 0, 1)[:, None]
    length = np.clip((high - low) / 0.6, 0.4, 1.3)
    wide = flare * length * below**1.2 * np.ones_like(radii)
    radii = radii + ease + wide
    fold = np.sin(pleats * angles + rng.uniform(0, 6.3)) + 0.5 * np.sin(
        (pleats + 3) * angles + rng.uniform(0, 6.3)
    )
    depth = min(0.004 + 0.08 * flare, 0.016)
    radii = radii + depth * (1 + fold)[None] * below
    x, z = radii * np.sin(angles), radii * np.cos(angles) + middle
    places = np.stack([x, np.broadcast_to(heights[:, None], x.shape), z], -1)
    against = (figure.template[:, 1] < marks.waist + 0.05) & (np.abs(figure.template[:, 0]) < 0.4)
    weights = _leg_weights(heights, angles, marks, follow)
    slack = np.stack([wide * np.sin(angles), 0 * wide, wide * np.cos(angles)], -1)
    return _piece(look, places, weights, figure, closed, slack, margin=ease * 0.8, against=against)


def _curtain(rest: np.ndarray, identity: Identity, figure: Mannequin, rng) -> Piece:
    """Long hair: a sheet from the scalp around the back of the head, open at the face."""
    marks, hair = figure.marks, identity.hair
    unit, eye = marks.unit, marks.eye
    opening = rng.uniform(0.95, 1.25)
    angles = np.linspace(opening, 2 * np.pi - opening, 34)
    high, low = eye[1] + 0.055 * unit, eye[1] - 0.03 * unit - hair.length
    heights = np.linspace(high, low, max(8, int((high - low) / 0.018)))
    head = rest[(figure.head > 0.5)]
    middle = eye[2] - 0.095 * unit
    radii = []
    for height in heights:
        level = max(height, eye[1] - 0.025 * unit)
        band = head[np.abs(head[:, 1] - level) < 0.02]
        radii.append(hull_radius(band[:, [0, 2]] - (0, middle), angles))
    radii = np.stack(radii)
    down = np.clip((eye[1] + 0.02 - heights) / 0.1, 0, 1)[:, None]
    tip = np.linspace(0, 1, len(heights))[:, None] ** 3
    radii = np.maximum.accumulate(radii, 0) * (1 - 0.1 * tip)
    fallen = high - heights[:, None]
    grow = smoothstep(0.0, 0.09, fallen)
    edge = 0.25 + 0.75 * smoothstep(opening, opening + 0.5, np.minimum(angles, 2 * np.pi - angles))
    radii = radii - 0.006 + (0.014 + hair.volume) * grow * edge
    radii = radii - 0.022 * smoothstep(0.05, 0.14, fallen)
    strands = np.sin(9 * angles + 30 * hair.wave)[None] + 0.6 * np.sin(23 * angles)[None]
    curl = hair.wave * np.sin(heights * 55 + 2)[:, None] * 0.006
    radii = radii + (0.0035 * strands + curl) * down
    x, z = radii * np.sin(angles), radii * np.cos(angles) + middle
    places = np.stack([x, np.broadcast_to(heights[:, None], x.shape), z], -1)
    carried = smoothstep(eye[1] - 0.07, marks.neck[1] - 0.1, heights)[:, None]
    weights = _weights(
        places.shape[:2], head=1 - carried, neck=0.35 * carried, spine3=0.65 * carried
    )
    against = (figure.template[:, 1] > marks.chest[1] - 0.25) & (figure.head < 0.5)
    against &= np.abs(figure.template[:, 0]) < marks.shoulder[0] + 0.06
    return _piece("hair", places, weights, figure, False, margin=0.012, against=against)


def _tube(
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
    return _piece(look, places, wide, figure, **options)


def _tail(identity: Identity, figure: Mannequin) -> Piece:
    """A ponytail or a bun at the back of the head."""
    marks, hair = figure.marks, identity.hair
    back = figure.template[(figure.head > 0.5)]
    height = marks.eye[1] + 0.035
    start = np.array([0, height, back[np.abs(back[:, 1] - height) < 0.02, 2].min()])
    share = np.linspace(0, 1, 12)
    if hair.style == "bun":
        size = 0.03 + 0.015 * hair.wave
        path = start + np.outer(share, (0, 0.2 * size, -1.9 * size)) + (0, 0, 0.008)
        radius = size * np.sqrt(np.clip(1 - (2 * share - 1) ** 2, 0.003, 1))
        carried = np.zeros(12)
    else:
        length = 0.6 * hair.length + 0.08
        path = start + np.stack(
            [0 * share, 0.02 * np.sin(share * 3) - length * share**1.5, -0.05 * np.sin(2.6 * share)], 1
        )
        radius = (0.017 + 0.012 * hair.wave) * (0.6 + np.sin(np.pi * share**0.6)) * (1.02 - share)
        carried = smoothstep(marks.eye[1] - 0.04, marks.neck[1] - 0.1, path[:, 1])
    weights = _weights((12, 1), head=1 - carried[:, None], spine3=carried[:, None])[:, 0]
    against = (figure.template[:, 1] < marks.neck[1]) & (np.abs(figure.template[:, 0]) < 0.2)
    return _tube("hair", path, np.maximum(radius, 0.002), weights, figure, margin=0.015, against=against)


def _neck_ring(
    look: str, rest: np.ndarray, figure: Mannequin, angles: np.ndarray, thick: float, drop: float
) -> Piece:
    """A padded ring about the neck (scarf) or behind it (hood)."""
    marks = figure.marks
    height = marks.neck[1] + 0.012 - drop
    near = rest[(np.abs(rest[:, 1] - height) < 0.02) & (np.abs(rest[:, 0]) < 0.11)]
    middle = near[:, 2].mean()
    radius = np.minimum(hull_radius(near[:, [0, 2]] - (0, middle), angles), 0.105) + 0.4 * thick
    path = np.stack(
        [
            radius * np.sin(angles),
            height - 0.3 * radius * np.cos(angles),
            radius * np.cos(angles) + middle,
        ],
        1,
    )
    ends = np.sin(np.linspace(0, np.pi, len(angles))) ** 0.4 if look == "hood" else 1.0
    weights = _weights((len(angles), 1), neck=0.4, spine3=0.6)[:, 0]
    return _tube(look, path, thick * np.ones(len(angles)) * ends, weights, figure, (0, 1, 0.01))


def _scarf(rest: np.ndarray, figure: Mannequin, rng: np.random.Generator) -> list[Piece]:
    marks = figure.marks
    ring = _neck_ring("scarf", rest, figure, np.linspace(0, 2 * np.pi, 30), rng.uniform(0.02, 0.032), 0)
    x = rng.uniform(0.02, 0.07) * rng.choice([-1, 1])
    end = marks.neck[1] - rng.uniform(0.25, 0.5)
    heights = np.linspace(marks.neck[1] - 0.01, end, 14)
    width = 0.035 + 0.012 * np.linspace(0, 1, 14)
    front = rest[(np.abs(rest[:, 0] - x) < 0.04) & (rest[:, 2] > 0)]
    depth = np.array([front[np.abs(front[:, 1] - h) < 0.05, 2].max() for h in heights]) + 0.014
    offsets = np.linspace(-1, 1, 5)
    places = np.stack(
        [
            x + width[:, None] * offsets,
            np.broadcast_to(heights[:, None], (14, 5)),
            depth[:, None] - 0.008 * offsets**2,
        ],
        -1,
    )
    low = smoothstep(marks.chest[1], end, heights)[:, None]
    weights = _weights((14, 5), spine3=1 - 0.6 * low, spine1=0.6 * low)
    against = (figure.template[:, 1] < marks.neck[1]) & (np.abs(figure.template[:, 0]) < 0.25)
    strip = _piece("scarf", places, weights, figure, False, margin=0.012, against=against)
    return [ring, strip]


def _sleeves(rest: np.ndarray, figure: Mannequin, rng: np.random.Generator) -> list[Piece]:
    """Wide sleeve ends that hang from the forearms."""
    marks, pieces = figure.marks, []
    flare = rng.uniform(0.03, 0.09)
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    along = np.linspace(marks.elbow[0] - 0.04, marks.wrist[0] - 0.02, 9)
    share = np.linspace(0, 1, 9)[:, None]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        places = []
        for x in along:
            band = rest[(np.abs(rest[:, 0] - sign * x) < 0.02) & (np.abs(rest[:, 1]) < 0.5)]
            middle = band[:, 1:].mean(0)
            radius = hull_radius(band[:, [2, 1]] - middle[::-1], angles) + 0.006
            ring = np.stack([radius * np.cos(angles) + middle[0], radius * np.sin(angles)], 1)
            ring[:, 1] += middle[1]
            places.append(np.stack([np.full(20, sign * x), ring[:, 0], ring[:, 1]], 1))
        places = np.stack(places)
        outward = places - places.mean(1, keepdims=True)
        outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
        places = places + outward * (flare * 0.5 * share**1.3)[..., None]
        weights = _weights((9, 20), **{f"{side}_elbow": 1.0})
        # The underside hangs; which side is below depends on the pose, so all of it sags a little.
        sag = flare * share**1.5 * np.ones((1, 20)) * 0.6
        pieces.append(_piece("sleeve", places, weights, figure, sag=sag))
    return pieces


def _flares(rest: np.ndarray, figure: Mannequin, rng: np.random.Generator) -> list[Piece]:
    """Trouser legs that widen below the knee."""
    marks, pieces = figure.marks, []
    flare = rng.uniform(0.03, 0.075)
    angles = np.linspace(0, 2 * np.pi, 22, endpoint=False)
    heights = np.linspace(marks.knee[1] - 0.02, marks.ankle[1] - 0.015, 13)
    share = np.linspace(0, 1, 13)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        leg = rest[(rest[:, 0] * sign > 0) & (rest[:, 1] < marks.crotch)]
        places = []
        for height, part in zip(heights, share, strict=True):
            level = max(height, marks.ankle[1] + 0.05)
            band = leg[np.abs(leg[:, 1] - level) < 0.02][:, [0, 2]]
            middle = (band.min(0) + band.max(0)) / 2
            radius = hull_radius(band - middle, angles) + 0.005 + flare * part**1.3
            x, z = radius * np.sin(angles) + middle[0], radius * np.cos(angles) + middle[1]
            places.append(np.stack([x, np.full(22, height), z], 1))
        weights = _weights((13, 22), **{f"{side}_knee": 1.0})
        pieces.append(_piece("flare", np.stack(places), weights, figure))
    return pieces


def _backpack(rest: np.ndarray, figure: Mannequin, rng: np.random.Generator) -> Piece:
    marks = figure.marks
    size = np.array([rng.uniform(0.11, 0.15), rng.uniform(0.16, 0.22), rng.uniform(0.06, 0.1)])
    height = marks.chest[1] - 0.02
    back = rest[(np.abs(rest[:, 1] - height) < 0.1) & (np.abs(rest[:, 0]) < 0.1), 2].min()
    centre = np.array([0, height, back - 0.75 * size[2]])
    polar = np.linspace(0.02, np.pi - 0.02, 13)[:, None]
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)[None]
    ball = np.stack(
        [np.sin(polar) * np.sin(turn), np.cos(polar) + 0 * turn, np.sin(polar) * np.cos(turn)], -1
    )
    places = centre + size * np.sign(ball) * np.abs(ball) ** 0.45  # a rounded box
    weights = _weights((13, 24), spine2=0.35, spine3=0.65)
    return _piece("backpack", places, weights, figure)


def _brim(figure: Mannequin) -> Piece:
    marks = figure.marks
    angles = np.linspace(-1.1, 1.1, 15)
    height = marks.eye[1] + 0.042 * marks.unit
    head = figure.template[figure.head > 0.5]
    middle = marks.eye[2] - 0.095 * marks.unit
    band = head[np.abs(head[:, 1] - height) < 0.015][:, [0, 2]] - (0, middle)
    inner = hull_radius(band, angles)
    reach = np.array([0.0, 0.03, 0.07])[:, None] * np.cos(angles * 1.25)[None].clip(0.15) + 0.004
    radius = inner[None] + reach
    x, z = radius * np.sin(angles), radius * np.cos(angles) + middle
    y = height - 0.16 * reach
    weights = _weights((3, 15), head=1.0)
    return _piece("hat", np.stack([x, y, z], -1), weights, figure, False)


def fit_piece(piece: Piece, figure: Mannequin, change: np.ndarray) -> Piece:
    """A piece cut on the template, moved with the body's shape: ``change`` (V, 3) metres."""
    distance, nearest = cKDTree(figure.template).query(piece.vertices, 10)
    share = 1 / (distance + 0.02) ** 2
    share /= share.sum(1, keepdims=True)
    moved = piece.vertices + (share[..., None] * change[nearest]).sum(1)
    return replace(piece, vertices=moved.astype(np.float32))


def cut_pieces(identity: Identity, figure: Mannequin, rest: np.ndarray) -> list[Piece]:
    """The loose pieces of a person; ``rest`` (V, 3) is the template with the person's offsets."""
    rng = np.random.default_rng([identity.seed, 2])
    pieces: list[Piece] = []
    if identity.bottom.kind == "skirt":
        pieces.append(_skirt(rest, identity, figure, rng, "skirt"))
    if "tunic" in identity.extras:
        pieces.append(_skirt(rest, identity, figure, rng, "tunic"))
    if "coat" in identity.extras:
        pieces.append(_skirt(rest, identity, figure, rng, "coat"))
    if identity.hair.style in ("long", "bob"):
        pieces.append(_curtain(rest, identity, figure, rng))
    if identity.hair.style in ("ponytail", "bun"):
        pieces.append(_tail(identity, figure))
    if identity.hair.style == "hat" and identity.hair.brim:
        pieces.append(_brim(figure))
    if "scarf" in identity.extras:
        pieces += _scarf(rest, figure, rng)
    if "hood" in identity.extras:
        pieces.append(_neck_ring("hood", rest, figure, np.linspace(1.75, 4.53, 20), 0.03, 0.014))
    if "wide_sleeves" in identity.extras:
        pieces += _sleeves(rest, figure, rng)
    if "flared_legs" in identity.extras:
        pieces += _flares(rest, figure, rng)
    if "backpack" in identity.extras:
        pieces.append(_backpack(rest, figure, rng))
    return pieces


def hidden_vertices(identity: Identity, figure: Mannequin) -> np.ndarray:
    """(V,) bool: body under a closed skirt or tunic, which must never poke through it."""
    marks, y = figure.marks, figure.template[:, 1]
    low = marks.waist
    if identity.bottom.kind == "skirt":
        low = marks.leg_y(identity.bottom.leg) + 0.05
    central = np.abs(figure.template[:, 0]) < 0.4
    return (y < marks.waist - 0.03) & (y > low) & central


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
