"""Clothes and hair as geometry: what lies on the mesh, as offsets along its rest normals."""

from __future__ import annotations

import numpy as np

from .identity import Hair, Identity
from .mannequin import Landmarks, Mannequin
from .noise import smoothstep

# Hairline: height (relative to the eyes, in head units) over depth z (relative to the eyes).
_LINE_Z = np.array([-0.2, -0.125, -0.1, -0.075, -0.06, -0.05, -0.034, -0.016, 0.0, 0.03])
_LINE_Y = np.array([-0.095, -0.08, -0.04, -0.015, -0.012, 0.01, 0.045, 0.066, 0.076, 0.08])


def hairline(points: np.ndarray, hair: Hair, marks: Landmarks) -> np.ndarray:
    """(N,) metres above the hairline (positive = hair grows here), for points of the head."""
    up, ahead = (points[:, 1:] - marks.eye[1:]).T / marks.unit
    line = np.interp(ahead, _LINE_Z, _LINE_Y) + hair.line
    line = line - 0.062 * hair.fringe * smoothstep(-0.045, -0.02, ahead)
    line = line + 0.006 * np.sin(170 * points[:, 0] / marks.unit + 40 * hair.wave)
    return np.where(_ears(points, marks), -0.05, up - line) * marks.unit


def _ears(points: np.ndarray, marks: Landmarks) -> np.ndarray:
    """(N,) bool: ears, for points of the head."""
    up, ahead = (points[:, 1:] - marks.eye[1:]).T / marks.unit
    side = np.abs(points[:, 0]) / marks.unit
    return (side > 0.067) & (up < 0.006) & (ahead > -0.12) & (ahead < -0.05)


def neckline(points: np.ndarray, identity: Identity, marks: Landmarks) -> np.ndarray:
    """(N,) height of the upper edge of the top at the (x, z) of each point."""
    x, z = points[:, 0], points[:, 2] - marks.neck[2]
    crew = marks.neck[1] + 0.016 - 0.42 * np.clip(z, -0.05, 0.12)
    front = smoothstep(0.0, 0.04, z)
    top = identity.top
    if top.neckline == "high":
        return crew + 0.045
    if top.neckline == "boat":
        return crew - 0.012 - 0.02 * (np.abs(x) < 0.12)
    if top.neckline == "v":
        cut = np.clip(1 - np.abs(x) / 0.085, 0, 1)
    else:
        cut = np.sqrt(np.clip(1 - (x / 0.1) ** 2, 0, 1))
    return crew - 0.008 - top.depth * cut * front


def shirt_hem(identity: Identity, marks: Landmarks) -> float:
    """Height of the lower edge of the top."""
    return float(marks.pelvis[1]) - identity.top.hem


def shoe_line(points: np.ndarray, identity: Identity, marks: Landmarks) -> np.ndarray:
    """(N,) height of the upper edge of the shoe."""
    if identity.shoes.kind == "boots":
        return np.full(len(points), marks.ankle[1] + identity.shoes.shaft)
    ahead = points[:, 2] - marks.ankle[2]
    drop = 0.1 if identity.shoes.kind == "trainers" else 0.26
    base = marks.ankle[1] + (0.012 if identity.shoes.kind == "trainers" else -0.012)
    return base - drop * np.clip(ahead, -0.02, 0.12)


def clothing_offsets(identity: Identity, figure: Mannequin) -> np.ndarray:
    """(V,) float32 metres along the rest normals: clothes, shoes and hair that lie on the mesh."""
    points, marks = figure.template, figure.marks
    head = figure.head > 0.5
    offsets = np.where(head, _hair_offsets(points, identity, marks), 0.0)
    top, bottom = _top_offsets(points, identity, marks), _bottom_offsets(points, identity, marks)
    shoes = _shoe_offsets(points, identity, marks)
    cloth = np.maximum(np.maximum(top, bottom), shoes)
    offsets = np.where(head, offsets, cloth)
    offsets = figure.smooth(offsets, 2)
    offsets[head & _ears(points, marks)] *= 0.15
    return offsets.astype(np.float32)


def _top_offsets(points: np.ndarray, identity: Identity, marks: Landmarks) -> np.ndarray:
    top = identity.top
    x, y = np.abs(points[:, 0]), points[:, 1]
    hem, end = shirt_hem(identity, marks), marks.arm_x(top.sleeve)
    edge = neckline(points, identity, marks)
    inside = (y > hem) & (y < edge) & (x < end)
    rise = smoothstep(0.0, 0.05, edge - y)
    fall = smoothstep(marks.chest[1] - 0.05, hem, y)
    trunk = top.ease * (0.4 + 0.6 * rise) + top.flare * fall
    sleeve = top.ease + top.cuff * smoothstep(marks.shoulder[0], end, x)
    on_arm = smoothstep(marks.shoulder[0] - 0.02, marks.shoulder[0] + 0.04, x)
    return np.where(inside, trunk * (1 - on_arm) + sleeve * on_arm, 0.0)


def _bottom_offsets(points: np.ndarray, identity: Identity, marks: Landmarks) -> np.ndarray:
    bottom = identity.bottom
    y = points[:, 1]
    end = marks.leg_y(bottom.leg)
    hips = smoothstep(marks.waist, marks.waist - 0.08, y)
    if bottom.kind == "skirt":  # the skirt itself is a loose piece; legs stay slim under it
        return np.where((y < marks.waist) & (y > marks.hip[1]), 0.004 * hips, 0.0)
    inside = (y < marks.waist) & (y > end) & (np.abs(points[:, 0]) < 0.4)
    low = smoothstep(marks.crotch - 0.1, min(end, marks.knee[1]), y)
    inner = smoothstep(0.0, 0.05, np.abs(points[:, 0]))  # legs must not grow into each other
    ease = (bottom.ease * (0.3 + 0.7 * hips) + bottom.flare * low) * (0.35 + 0.65 * inner)
    return np.where(inside, ease, 0.0)


def _shoe_offsets(points: np.ndarray, identity: Identity, marks: Landmarks) -> np.ndarray:
    if identity.shoes.kind == "bare":
        return np.zeros(len(points))
    edge = shoe_line(points, identity, marks)
    thick = {"trainers": 0.011, "boots": 0.01, "flats": 0.006}[identity.shoes.kind]
    return thick * smoothstep(0.0, 0.01, edge - points[:, 1])


def _hair_offsets(points: np.ndarray, identity: Identity, marks: Landmarks) -> np.ndarray:
    hair = identity.hair
    above = hairline(points, hair, marks)
    grown = hair.volume * smoothstep(0.0, 0.012 + 0.3 * hair.volume, above)
    up = (points[:, 1] - marks.eye[1]) / marks.unit
    if hair.style in ("short", "side"):  # cropped at the neck and the temples
        grown = grown * (0.25 + 0.75 * smoothstep(-0.06, 0.06, up))
    if hair.style == "side":
        grown = grown * (1 + 0.3 * np.tanh(points[:, 0] / 0.03))
    if hair.style == "hat":
        grown = hair.volume * smoothstep(0.035, 0.05, up)
    if hair.beard == "full":
        grown = np.maximum(grown, 0.012 * beard_cover(points, marks))
    return grown


def beard_cover(points: np.ndarray, marks: Landmarks) -> np.ndarray:
    """(N,) 0..1: where a full beard grows, for points of the head."""
    side = np.abs(points[:, 0]) / marks.unit
    up, ahead = (points[:, 1:] - marks.eye[1:]).T / marks.unit
    jaw = smoothstep(-0.058, -0.068, up + 0.5 * np.clip(side - 0.035, 0, 1) * -1.6)
    jaw = jaw * smoothstep(-0.075, -0.06, ahead) * smoothstep(-0.135, -0.12, up)
    lips = ((up + 0.071) / 0.0125) ** 2 + (side / 0.027) ** 2 < 1
    cheek = smoothstep(-0.004, 0.022, -(up + 0.052) + 0.55 * np.clip(side - 0.03, 0, 1))
    moustache = (np.abs(up + 0.0565 + 0.1 * side) < 0.0065) & (side < 0.033) & (ahead > -0.03)
    return np.where(lips, 0.0, np.maximum(jaw * cheek, moustache))
