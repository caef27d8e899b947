"""Long hair, tails and buns, caps, scarves, hoods, bags and shoes."""

from __future__ import annotations

import numpy as np

from .identity import Identity
from .mannequin import Mannequin
from .noise import smoothstep
from .pieces import Piece, hull_radius, make_piece, make_tube, share_weights


def curtain(rest: np.ndarray, identity: Identity, figure: Mannequin, rng) -> Piece:
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
    weights = share_weights(
        places.shape[:2], head=1 - carried, neck=0.35 * carried, spine3=0.65 * carried
    )
    against = (figure.template[:, 1] > marks.chest[1] - 0.25) & (figure.head < 0.5)
    against &= np.abs(figure.template[:, 0]) < marks.shoulder[0] + 0.06
    return make_piece("hair", places, weights, figure, False, margin=0.012, against=against)


def tail(identity: Identity, figure: Mannequin) -> Piece:
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
            [
                0 * share,
                0.02 * np.sin(share * 3) - length * share**1.5,
                -0.05 * np.sin(2.6 * share),
            ],
            1,
        )
        radius = (0.017 + 0.012 * hair.wave) * (0.6 + np.sin(np.pi * share**0.6)) * (1.02 - share)
        carried = smoothstep(marks.eye[1] - 0.04, marks.neck[1] - 0.1, path[:, 1])
    weights = share_weights((12, 1), head=1 - carried[:, None], spine3=carried[:, None])[:, 0]
    against = (figure.template[:, 1] < marks.neck[1]) & (np.abs(figure.template[:, 0]) < 0.2)
    return make_tube(
        "hair", path, np.maximum(radius, 0.002), weights, figure, margin=0.015, against=against
    )


def neck_ring(
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
    weights = share_weights((len(angles), 1), neck=0.4, spine3=0.6)[:, 0]
    return make_tube(look, path, thick * np.ones(len(angles)) * ends, weights, figure, (0, 1, 0.01))


def scarf(rest: np.ndarray, figure: Mannequin, rng: np.random.Generator) -> list[Piece]:
    marks = figure.marks
    ring = neck_ring(
        "scarf", rest, figure, np.linspace(0, 2 * np.pi, 30), rng.uniform(0.02, 0.032), 0
    )
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
    weights = share_weights((14, 5), spine3=1 - 0.6 * low, spine1=0.6 * low)
    against = (figure.template[:, 1] < marks.neck[1]) & (np.abs(figure.template[:, 0]) < 0.25)
    strip = make_piece("scarf", places, weights, figure, False, margin=0.012, against=against)
    return [ring, strip]


def backpack(rest: np.ndarray, figure: Mannequin, rng: np.random.Generator) -> Piece:
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
    weights = share_weights((13, 24), spine2=0.35, spine3=0.65)
    return make_piece("backpack", places, weights, figure)


def brim(figure: Mannequin) -> Piece:
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
    weights = share_weights((3, 15), head=1.0)
    return make_piece("hat", np.stack([x, y, z], -1), weights, figure, False)


def shoes(rest: np.ndarray, identity: Identity, figure: Mannequin) -> list[Piece]:
    """A shell about each foot, so that shoes have no toes."""
    marks, pieces = figure.marks, []
    kind = identity.shoes.kind
    thick = {"trainers": 0.011, "boots": 0.01, "flats": 0.005}[kind]
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        foot = rest[(rest[:, 0] * sign > 0) & (rest[:, 1] < marks.ankle[1] + 0.02)]
        heel, toe = foot[:, 2].min(), foot[:, 2].max()
        depths = np.linspace(heel + 0.008, toe - 0.008, 15)
        rings = []
        for depth in depths:
            band = foot[np.abs(foot[:, 2] - depth) < 0.016, :2]
            low, high = band.min(0), band.max(0)
            middle = (low + high) / 2
            radius = hull_radius(band - middle, angles) + 0.002
            x, y = radius * np.sin(angles) + middle[0], radius * np.cos(angles) + middle[1]
            y = np.where(np.cos(angles) < -0.25, marks.floor - thick, y)  # a flat sole
            rings.append(np.stack([x, y, np.full(20, depth)], 1))
        ends = []
        for ring, depth in ((rings[0], heel - 0.004), (rings[-1], toe + 0.006)):
            centre = ring.mean(0)
            end = centre + 0.55 * (ring - centre)
            end[:, 2] = depth
            ends.append((end, np.tile(end.mean(0), (20, 1))))
        places = np.stack([ends[0][1], ends[0][0], *rings, ends[1][0], ends[1][1]])
        front = smoothstep(marks.foot[2] - 0.03, marks.foot[2] + 0.02, places[..., 2])
        weights = share_weights(
            places.shape[:2], **{f"{side}_ankle": 1 - front, f"{side}_foot": front}
        )
        pieces.append(make_piece("shoe", places, weights, figure))
    return pieces
