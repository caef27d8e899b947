"""Walking: straight on the spot, or in a circle through the picture."""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator

from ..render.camera import Camera

Angles = dict[str, tuple]  # see motions

STEPS = 3  # double steps of a stroll's circle
RADIUS = 0.52  # metres: as far as these steps go
DISTANCE = 5.0  # metres from the camera to where the stroll starts


def keys(phase: np.ndarray, *points: tuple[float, float]) -> np.ndarray:
    """Periodic shape-preserving curve through (phase in 0..1, value) points."""
    at = np.array([p[0] for p in points])
    values = np.array([p[1] for p in points], float)
    wrapped = np.concatenate([at - 1, at, at + 1])
    return PchipInterpolator(wrapped, np.tile(values, 3))(phase % 1.0)


def wave(phase: np.ndarray, cycles: int = 1, shift: float = 0.0) -> np.ndarray:
    return np.sin(2 * np.pi * (cycles * phase - shift))


def relaxed_hands(curl: float = 22.0) -> Angles:
    return {"left_hand": (0, 0, -curl), "right_hand": (0, 0, curl)}


def gait(phase: np.ndarray, stride: float = 1.0, swing: float = 1.0) -> Angles:
    """Joint angles of a walk at ``phase`` (T,) in cycles; the left heel strikes at 0.

    Leg curves have the shape of clinical gait data: two knee peaks, push-off at 60 %.
    """

    def leg(p: np.ndarray) -> tuple[np.ndarray, ...]:
        hip = keys(
            p, (0, 25), (0.12, 20), (0.3, 3), (0.52, -12), (0.62, -5), (0.76, 19), (0.88, 28)
        )
        knee = keys(
            p, (0, 6), (0.13, 17), (0.38, 6), (0.5, 11), (0.62, 38), (0.73, 58), (0.87, 24),
            (0.96, 5),
        )  # fmt: skip
        ankle = keys(p, (0, 1), (0.07, -5), (0.3, 6), (0.46, 10), (0.62, -16), (0.76, 0), (0.9, 3))
        toes = keys(p, (0.05, 0), (0.4, 0), (0.57, 24), (0.68, 4), (0.8, 0))
        return stride * hip, stride * (knee - 5) + 5, stride * ankle, stride * toes

    angles: Angles = {}
    sway = 3.5 * stride * wave(phase)  # the pelvis drops over the swinging leg
    yaw = -5.0 * stride * np.cos(2 * np.pi * phase)  # and turns with the leading one
    for side, shift, out in (("left", 0.0, 1.0), ("right", 0.5, -1.0)):
        hip, knee, ankle, toes = leg(phase + shift)
        angles[f"{side}_hip"] = (-hip, -yaw, -3 * out - sway)
        angles[f"{side}_knee"] = (knee, 0, 0)
        angles[f"{side}_ankle"] = (-ankle, 4 * out, 0)
        angles[f"{side}_foot"] = (-toes, 0, 0)
        back = np.cos(2 * np.pi * (phase + shift - 0.02))  # same-side arm is back at heel strike
        lag = np.cos(2 * np.pi * (phase + shift - 0.07))
        angles[f"{side}_collar"] = (0, 3 * back * swing * out, -4 * out)
        angles[f"{side}_shoulder"] = (swing * (21 * back - 5), 0, -73 * out, -6)
        angles[f"{side}_elbow"] = (0, -out * (17 + swing * (9 - 9 * lag)), 0)
        angles[f"{side}_wrist"] = (0, -5 * out * lag, -4 * out)
    bob = np.cos(4 * np.pi * phase)
    angles["pelvis"] = (2 + 1.2 * bob, yaw, sway)
    angles["spine1"] = (1.0, -0.4 * yaw, -0.5 * sway)
    angles["spine2"] = (1 + 1.0 * bob, -0.8 * yaw, -0.4 * sway)
    angles["spine3"] = (0, -0.8 * yaw, -0.3 * sway)
    angles["neck"] = (2, 0.6 * yaw, 0.1 * sway)
    angles["head"] = (-4 - 1.5 * bob, 0.4 * yaw, 0.1 * sway)
    return angles | relaxed_hands(24)


def stroll(phase: np.ndarray) -> Angles:
    """Walking in a circle to the left, once around at ``phase`` (T,) 0..1; it starts sideways."""
    angles = gait(STEPS * phase % 1.0)
    tilt, yaw, sway = angles["pelvis"]
    lean = 3.0  # degrees into the curve
    angles["pelvis"] = (tilt, yaw + 90 + 360 * phase, sway - lean)
    look = 10.0  # and the head looks ahead along it
    angles["head"] = (angles["head"][0], angles["head"][1] + look, angles["head"][2] + lean)
    return angles


def stroll_camera(phase: np.ndarray) -> Camera:
    """Where a stroll goes, seen by a pinhole that stands still, DISTANCE metres from its start.

    The start is the nearest point of the circle and in its middle: a person who fills the picture
    there does not leave it.
    """
    turn = torch.from_numpy(2 * np.pi * np.asarray(phase)).float()
    place = torch.stack([RADIUS * turn.sin(), 0 * turn, DISTANCE + RADIUS * (1 - turn.cos())], 1)
    size = 512
    return Camera.from_pinhole(torch.full_like(turn, 2.2 * size), place, (size, size))
