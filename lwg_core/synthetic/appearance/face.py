"""A painted face: eyes, brows, nose, lips, glasses, beard.

Coordinates are metres in the template, relative to the middle between the eyes and divided by the
head's unit: side = |x|, up = y, ahead = z. Features are drawn a little larger and darker than in
life, because a face is some thirty pixels high in a full-body picture.
"""

from __future__ import annotations

import numpy as np

from ..garments import beard_cover
from ..identity import Identity
from ..mannequin import Landmarks
from ..noise import SpaceNoise, smoothstep

MOUTH = -0.0715  # height of the line between the lips


def paint_face(
    colour: np.ndarray,
    points: np.ndarray,
    identity: Identity,
    marks: Landmarks,
    noise: SpaceNoise,
) -> None:
    """Paints over the skin colours (N, 3) of head points (N, 3), in place."""
    up_all, ahead_all = (points[:, 1:] - marks.eye[1:]).T / marks.unit
    front = np.nonzero((ahead_all > -0.12) & (up_all < 0.07))[0]
    if not len(front):
        return
    x = points[front, 0] / marks.unit
    side, up, ahead = np.abs(x), up_all[front], ahead_all[front]
    skin = colour[front]
    _shade_skin(skin, side, up, ahead, identity, noise, points[front])
    _beard(skin, points[front], side, up, ahead, identity, marks, noise)
    _lips(skin, side, up, ahead, identity)
    _eyes(skin, x, side, up, ahead, identity)
    _brows(skin, side, up, ahead, identity, noise, points[front])
    if identity.face.glasses is not None:
        _glasses(skin, side, up, ahead, identity)
    colour[front] = skin


def _mix(colour: np.ndarray, weight: np.ndarray, other: np.ndarray) -> None:
    colour += np.asarray(weight, np.float32)[:, None] * (other - colour)


def _blob(a: np.ndarray, b: np.ndarray, wide: float, high: float) -> np.ndarray:
    return np.exp(-((a / wide) ** 2) - (b / high) ** 2)


def _shade_skin(skin, side, up, ahead, identity, noise, points) -> None:
    tone, face = identity.skin, identity.face
    facing = smoothstep(-0.075, -0.04, ahead)
    red = tone * np.array([1.02, 0.78, 0.76])
    cheeks = _blob(side - 0.042, up + 0.037, 0.02, 0.015)
    _mix(skin, (0.25 + 0.55 * face.blush) * facing * cheeks, red)
    _mix(skin, 0.3 * _blob(side, up + 0.037, 0.012, 0.011) * (ahead > 0.0), red)
    dark = tone * 0.55
    _mix(skin, 0.3 * facing * _blob(side - 0.03, up - 0.005, 0.02, 0.011), dark)  # sockets
    _mix(skin, 0.25 * facing * _blob(side - 0.0165, up + 0.03, 0.0045, 0.02), dark)  # nose sides
    _mix(skin, 0.35 * facing * _blob(side, up + 0.0525, 0.016, 0.0035), dark)  # under the nose
    _mix(skin, 0.3 * facing * _blob(side, up + 0.0865, 0.015, 0.004), dark)  # under the lip
    nostril = smoothstep(1.3, 0.8, ((side - 0.0085) / 0.005) ** 2 + ((up + 0.0465) / 0.003) ** 2)
    _mix(skin, 0.75 * nostril * (ahead > -0.01), tone * 0.25)
    crease = side - 0.024 - 0.25 * (-0.05 - up)
    fold = np.exp(-((crease / 0.002) ** 2)) * smoothstep(-0.045, -0.052, up) * (up > -0.072)
    _mix(skin, 0.35 * face.lines * fold * facing, dark)
    lines = np.exp(-(((up - 0.045) % 0.011 - 0.0055) ** 2) / 1e-6) * (up > 0.034) * (side < 0.03)
    _mix(skin, 0.25 * face.lines * lines * facing, dark)
    if face.freckles:
        spots = smoothstep(0.7, 0.78, noise(points, 330))
        spots = spots * _blob(side - 0.02, up + 0.03, 0.03, 0.018)
        _mix(skin, 0.6 * face.freckles * spots * facing, tone * np.array([0.72, 0.55, 0.45]))


def _eyes(skin, x, side, up, ahead, identity) -> None:
    face, tone = identity.face, identity.skin
    facing = (ahead > -0.03) * 1.0
    wide, high = 0.0155, 0.0066 * face.eye
    a, b = side - 0.0298, up + 0.0025 - 0.06 * (side - 0.03)
    lid = np.clip(1 - (a / wide) ** 2, 0, 1) ** 0.8
    top, low = high * lid, -0.72 * high * lid
    inside = smoothstep(-0.0004, 0.0004, np.minimum(top - b, b - low)) * (np.abs(a) < wide)
    white = np.array([0.93, 0.92, 0.91]) * (0.55 + 0.45 * min(1.0, tone.mean() + 0.45))
    ball = np.tile(white, (len(side), 1))
    ball *= (1 - 0.35 * smoothstep(0.3 * high, high, b))[:, None]  # shadow of the lid
    round_ = np.hypot(a, b - 0.0003)
    _mix(ball, smoothstep(0.0068, 0.0062, round_), face.iris * 0.45)
    _mix(ball, smoothstep(0.0056, 0.005, round_), face.iris)
    _mix(ball, smoothstep(0.0031, 0.0027, round_), np.full(3, 0.03))
    glint = np.hypot(x - np.sign(x) * 0.0298 - 0.002, b - 0.0022)
    _mix(ball, smoothstep(0.0017, 0.0011, glint), np.ones(3))
    _mix(skin, inside * facing, 0.0)
    skin += (inside * facing)[:, None] * ball
    near = (np.abs(a) < wide + 0.003) * facing
    lash = np.array([0.09, 0.06, 0.05])
    thick = 0.0011 + 0.0013 * face.liner
    line = np.exp(-(((b - top - 0.0004) / thick) ** 2)) * near
    _mix(skin, 0.92 * line, lash)
    _mix(skin, (0.25 + 0.3 * face.liner) * np.exp(-(((b - low) / 0.0009) ** 2)) * near, lash)
    crease = np.exp(-(((b - top - 0.0042) / 0.0011) ** 2)) * near * (lid > 0.15)
    _mix(skin, 0.4 * crease, tone * 0.5)


def _brows(skin, side, up, ahead, identity, noise, points) -> None:
    face = identity.face
    rise = 0.0175 + 0.14 * (side - 0.012) - 0.3 * np.clip(side - 0.039, 0, 1)
    taper = smoothstep(0.0095, 0.0145, side) * smoothstep(0.055, 0.038, side)
    thick = 0.0034 * face.brow * (0.45 + 0.55 * smoothstep(0.052, 0.03, side))
    hair = smoothstep(1.15, 0.6, np.abs(up - rise) / np.maximum(thick, 1e-5)) * taper
    strands = 0.72 + 0.4 * noise(points, (420, 160, 160))
    tint = np.minimum(identity.hair.colour * 0.75, 0.42)
    _mix(skin, np.clip(0.88 * hair * strands, 0, 1) * (ahead > -0.05), tint)


def _lips(skin, side, up, ahead, identity) -> None:
    face = identity.face
    wide = 0.0255 * face.mouth * (1 + 0.08 * max(face.smile, 0))
    part = np.clip(side / wide, 0, 1)
    line = MOUTH + 0.0045 * face.smile * part**2
    arch = np.clip(1 - part**2, 0, 1)
    bow = 1 - 0.22 * np.exp(-((side / 0.004) ** 2))
    above = 0.0072 * arch**0.7 * bow
    below = 0.0098 * arch**0.8
    offset = up - line
    upper = smoothstep(-0.0005, 0.0005, np.minimum(offset, above - offset))
    lower = smoothstep(-0.0005, 0.0005, np.minimum(-offset, below + offset))
    inside = (side < wide) & (ahead > -0.03)
    _mix(skin, 0.85 * upper * inside, face.lips * 0.86)
    _mix(skin, 0.85 * lower * inside, face.lips)
    _mix(skin, 0.35 * inside * _blob(side - 0.006, offset + 0.005, 0.008, 0.002), np.ones(3) * 0.95)
    gap = np.exp(-((offset / 0.0011) ** 2)) * (side < wide * 1.03) * (ahead > -0.03)
    _mix(skin, 0.85 * gap, face.lips * 0.28)


def _beard(skin, points, side, up, ahead, identity, marks, noise) -> None:
    kind, tint = identity.hair.beard, identity.hair.colour
    if kind == "none":
        return
    if kind == "moustache":
        cover = (np.abs(up + 0.0572 + 0.16 * side) < 0.0055) & (side < 0.03) & (ahead > -0.03)
        cover = cover * 0.9
    else:
        cover = beard_cover(points, marks) * (0.38 if kind == "stubble" else 0.94)
    strands = 0.6 + 0.65 * noise(points, (260, 110, 260))
    _mix(skin, cover * np.clip(0.7 + 0.3 * strands, 0, 1), 0.0)
    skin += (cover * np.clip(0.7 + 0.3 * strands, 0, 1) * strands)[:, None] * tint


def _glasses(skin, side, up, ahead, identity) -> None:
    face = identity.face
    facing = ahead > -0.045
    a, b = (side - 0.0315) / 0.0255, (up + 0.0035) / 0.019
    radius = (np.abs(a) ** 2.8 + np.abs(b) ** 2.8) ** (1 / 2.8)
    lens = smoothstep(1.02, 0.95, radius) * facing
    tint = face.glasses * 0.2 if face.shades else np.array([0.85, 0.9, 0.95])
    _mix(skin, lens * (0.92 if face.shades else 0.1), tint)
    rim = np.exp(-(((radius - 1) / 0.085) ** 2)) * facing
    bridge = np.exp(-(((up - 0.001) / 0.0016) ** 2)) * (side < 0.0075) * facing
    temple = np.exp(-(((up - 0.003) / 0.0024) ** 2)) * (side > 0.053) * (ahead > -0.095)
    _mix(skin, np.clip(rim + bridge + temple, 0, 1) * 0.95, face.glasses)
