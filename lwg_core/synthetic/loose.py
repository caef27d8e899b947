"""Loose clothes: skirts, tunics, coats, wide sleeves, flared trouser legs; and the whole wardrobe.

All are cut on the template with the person's offsets; ``pieces.fit_piece`` moves them to the shape.
"""

from __future__ import annotations

import numpy as np

from .accessories import backpack, brim, curtain, neck_ring, scarf, shoes, tail
from .garments import shoe_line
from .identity import Identity
from .mannequin import Landmarks, Mannequin
from .noise import smoothstep
from .pieces import Piece, hull_radius, make_piece, share_weights


def _leg_weights(y: np.ndarray, angles: np.ndarray, marks: Landmarks, follow: float) -> np.ndarray:
    """Weights of cloth around both legs at heights (R,) and angles (C,) (0 = front, left > 0)."""
    legs = follow * smoothstep(marks.waist - 0.06, marks.crotch - 0.06, y)[:, None]
    left = smoothstep(-0.75, 0.75, np.sin(angles))[None]
    knee = 0.8 * smoothstep(marks.knee[1] + 0.06, marks.knee[1] - 0.16, y)[:, None]
    return share_weights(
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
    if look != "skirt":  # starts flush with the cloth that it continues
        ease = ease * smoothstep(high, high - 0.07, heights)[:, None] - 0.002
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
    return make_piece(look, places, weights, figure, closed, slack, margin=0.008, against=against)


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
        weights = share_weights((9, 20), **{f"{side}_elbow": 1.0})
        # The underside hangs; which side is below depends on the pose, so all of it sags a little.
        sag = flare * share**1.5 * np.ones((1, 20)) * 0.6
        pieces.append(make_piece("sleeve", places, weights, figure, sag=sag))
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
        weights = share_weights((13, 22), **{f"{side}_knee": 1.0})
        pieces.append(make_piece("flare", np.stack(places), weights, figure))
    return pieces


def hidden_vertices(identity: Identity, figure: Mannequin) -> np.ndarray:
    """(V,) bool: body under a skirt and inside shoes, which must never poke through them."""
    marks, points = figure.marks, figure.template
    y = points[:, 1]
    hidden = np.zeros(len(points), bool)
    if identity.bottom.kind == "skirt":
        low = marks.leg_y(identity.bottom.leg) + 0.05
        hidden = (y < marks.waist - 0.03) & (y > low) & (np.abs(points[:, 0]) < 0.4)
    if identity.shoes.kind != "bare":
        top = np.minimum(shoe_line(points, identity, marks), marks.ankle[1])
        hidden |= y < top - 0.015
    return hidden


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
        pieces.append(curtain(rest, identity, figure, rng))
    if identity.hair.style in ("ponytail", "bun"):
        pieces.append(tail(identity, figure))
    if identity.hair.style == "hat" and identity.hair.brim:
        pieces.append(brim(figure))
    if identity.shoes.kind != "bare":
        pieces += shoes(rest, identity, figure)
    if "scarf" in identity.extras:
        pieces += scarf(rest, figure, rng)
    if "hood" in identity.extras:
        pieces.append(neck_ring("hood", rest, figure, np.linspace(1.75, 4.53, 20), 0.03, 0.014))
    if "wide_sleeves" in identity.extras:
        pieces += _sleeves(rest, figure, rng)
    if "flared_legs" in identity.extras:
        pieces += _flares(rest, figure, rng)
    if "backpack" in identity.extras:
        pieces.append(backpack(rest, figure, rng))
    return pieces
