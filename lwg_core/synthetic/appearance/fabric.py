"""Woven and printed cloth: colour as a function of surface coordinates."""

from __future__ import annotations

import numpy as np

from ..noise import SpaceNoise, smoothstep
from ..outfits import Fabric, Print


def fabric_colour(fabric: Fabric, cloth: np.ndarray, noise: SpaceNoise) -> np.ndarray:
    """(N, 3) RGB of a fabric at surface coordinates (N, 2) in metres (across, up)."""
    across, up = cloth.T
    first, second, third = fabric.colours
    scale, share = fabric.scale, fabric.share
    flat = np.concatenate([cloth, np.zeros((len(cloth), 1), np.float32)], 1)
    colour = np.broadcast_to(first, (len(cloth), 3)).copy()
    kind = fabric.kind
    if kind == "stripes":
        _mix(colour, _band(up * scale, share), second)
    elif kind == "pinstripes":
        _mix(colour, _band(across * scale * 1.6, 0.22), second)
    elif kind == "checks":
        _mix(colour, (np.floor(across * scale) + np.floor(up * scale)) % 2, second)
    elif kind == "plaid":
        _mix(colour, 0.5 * _band(across * scale * 0.7, share), second)
        _mix(colour, 0.5 * _band(up * scale * 0.7, share), second)
        _mix(colour, 0.6 * _band(across * scale * 0.7 + 0.35, 0.08), third)
        _mix(colour, 0.6 * _band(up * scale * 0.7 + 0.35, 0.08), third)
    elif kind == "dots":
        row = np.floor(up * scale)
        x, y = (across * scale + 0.5 * (row % 2)) % 1 - 0.5, (up * scale) % 1 - 0.5
        _mix(colour, smoothstep(0.16, 0.1, x * x + y * y), second)
    elif kind == "blotches":
        lumps = noise(flat, 0.9 * scale)
        _mix(colour, smoothstep(0.52, 0.56, lumps), second)
        _mix(colour, smoothstep(0.6, 0.64, noise(flat + 7.0, 1.3 * scale)), third)
    elif kind == "block":
        _mix(colour, (up > 0.4 * (share - 0.4)) * 1.0, second)
    elif kind == "gradient":
        _mix(colour, smoothstep(-0.35, 0.2, up), second)
    elif kind == "melange":
        _mix(colour, 0.8 * noise(flat, (90, 260, 1)), second)
    elif kind == "knit":
        colour *= (0.8 + 0.25 * _band(across * 70, 0.5))[:, None]
    elif kind == "zigzag":
        wave = np.abs((across * scale * 1.2) % 1 - 0.5)
        _mix(colour, _band(up * scale * 0.8 + 0.7 * wave, share), second)
    elif kind == "denim":
        fade = smoothstep(0.4, 0.75, noise(flat, 9.0))
        _mix(colour, 0.55 * fade, second)
        _mix(colour, 0.3 * noise(flat, (60, 300, 1)), third)
    grain = noise(flat + 3.0, (55, 55, 1)) - 0.5
    return colour * (1 + 2 * fabric.noise * grain)[:, None]


def _band(phase: np.ndarray, share: float) -> np.ndarray:
    """1 on the given share of each period, with softened edges."""
    distance = np.abs(phase % 1 - 0.5)
    return smoothstep(0.5 * share + 0.03, 0.5 * share - 0.03, distance)


def _mix(colour: np.ndarray, weight: np.ndarray, other: np.ndarray) -> None:
    colour += np.asarray(weight, np.float32)[:, None] * (other - colour)


def paint_print(
    colour: np.ndarray, print_: Print, across: np.ndarray, up: np.ndarray, inside: np.ndarray
) -> None:
    """Lays a print over ``colour`` (N, 3) in place; across and up (N,) in metres from its home."""
    height, width = print_.rgba.shape[:2]
    u = ((across - print_.x) / print_.width + 0.5) * width
    v = (0.5 * height / width - (up - print_.y) / print_.width) * width
    at = inside & (u >= 0) & (u < width - 1) & (v >= 0) & (v < height - 1)
    rows, columns = np.nonzero(at)[0], (v[at].astype(int), u[at].astype(int))
    rgba = print_.rgba[columns]
    colour[rows] += rgba[:, 3:] * (rgba[:, :3] - colour[rows])
