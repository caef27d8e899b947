"""Built-in motion clips and random training poses, all procedural.

Angles follow the SMPL rest pose (T-pose, body y up, facing +z, x = the person's left). Every joint
is given as (x, y, z) degrees and optionally a twist about the upper arm, composed as
R = Rx Ry Rz Rtwist, so an arm is first lowered (z), brought forward (y), then swung (x):

    hip flexion        x < 0        knee flexion       x > 0       toes up            x < 0
    spine forward      x > 0        turn to the left   y > 0       lean to the left   z < 0
    lower left arm     z < 0        lower right arm    z > 0       arm swings forward x < 0
    bend left elbow    y < 0        bend right elbow   y > 0       arm twist -90 turns a bent
    curl left fingers  z < 0        curl right fingers z > 0       forearm from forward to up
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ..body.params import JOINT_NAMES, SmplParams
from ..errors import InputError
from .gait import Angles, gait, keys, relaxed_hands, stroll, stroll_camera, wave

INDEX = {name: number for number, name in enumerate(JOINT_NAMES)}


def pose_from_angles(frames: int, angles: Angles) -> np.ndarray:
    """(T, 24, 3) axis-angle from joint name -> (x, y, z[, twist]) degrees, each a number or (T,).

    The root is turned into the camera frame: pelvis (0, 0, 0) stands upright and faces the camera.
    """
    rotations = np.zeros((frames, 24, 3))
    for name, values in angles.items():
        columns = [np.broadcast_to(np.asarray(v, float), (frames,)) for v in values]
        x, y, z = columns[:3]
        turned = Rotation.from_euler("zyx", np.stack([z, y, x], 1), degrees=True)
        if len(columns) == 4:
            turned = turned * Rotation.from_euler("x", columns[3][:, None], degrees=True)
        rotations[:, INDEX[name]] = turned.as_rotvec()
    return _into_camera(rotations)


def _into_camera(rotations: np.ndarray) -> np.ndarray:
    flip = Rotation.from_rotvec([np.pi, 0.0, 0.0])
    rotations[:, 0] = _continuous((flip * Rotation.from_rotvec(rotations[:, 0])).as_rotvec())
    return rotations.astype(np.float32)


def _continuous(vectors: np.ndarray) -> np.ndarray:
    """Axis-angle (T, 3) without jumps: each frame takes its representation nearest the last one."""
    vectors = vectors.copy()
    if vectors[0, 0] < 0:
        vectors[0] = _other(vectors[0])
    for t in range(1, len(vectors)):
        other = _other(vectors[t])
        if np.linalg.norm(other - vectors[t - 1]) < np.linalg.norm(vectors[t] - vectors[t - 1]):
            vectors[t] = other
    return vectors


def _other(vector: np.ndarray) -> np.ndarray:
    """The same rotation written the other way round: angle - 2 pi."""
    angle = np.linalg.norm(vector)
    return vector * (1.0 - 2.0 * np.pi / angle) if angle > 1e-6 else vector


def turned(pose: np.ndarray, yaw: float, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """The pose (24, 3) turned as a whole: yaw about the body's up axis, then pitch and roll about
    the camera's x and z axes; degrees. Positive yaw turns the person to their left."""
    root = Rotation.from_rotvec(pose[0]) * Rotation.from_euler("y", yaw, degrees=True)
    root = Rotation.from_euler("xz", [pitch, roll], degrees=True) * root
    out = pose.copy()
    out[0] = root.as_rotvec()
    return out


def _stand(phase: np.ndarray, shift: np.ndarray | float = 0.0) -> Angles:
    """A relaxed stance that breathes; ``shift`` in -1..1 moves the weight to the left leg."""
    breath = wave(phase, 1)
    lean = 4.0 * np.asarray(shift)
    angles: Angles = {
        "pelvis": (1, 0, lean),
        "spine1": (1, 0, -0.6 * lean),
        "spine2": (0.5 + 0.5 * breath, 0, -0.5 * lean),
        "spine3": (-0.5 - 1.0 * breath, 0, 0),
        "neck": (4, 0, 0.2 * lean),
        "head": (-3 + 0.6 * breath, 0, 0),
    }
    for side, out in (("left", 1.0), ("right", -1.0)):
        slack = np.maximum(-out * np.asarray(shift), 0.0)
        angles[f"{side}_hip"] = (-2 - 9 * slack, 3 * out, -lean)
        angles[f"{side}_knee"] = (4 + 17 * slack, 0, 0)
        angles[f"{side}_ankle"] = (-2 - 7 * slack, 3 * out, 0)
        angles[f"{side}_collar"] = (0, 0, (-4 - 0.8 * breath) * out)
        angles[f"{side}_shoulder"] = (2, -4 * out, (-71 + 1.2 * breath) * out, -6)
        angles[f"{side}_elbow"] = (0, -18 * out, 0)
        angles[f"{side}_wrist"] = (0, 0, -4 * out)
    return angles | relaxed_hands()


def _walk(phase: np.ndarray) -> Angles:
    return gait(phase)


def _greet(phase: np.ndarray) -> Angles:
    """The right hand goes up, waves three times and comes down."""
    up = keys(phase, (0, 0), (0.06, 0), (0.26, 1), (0.76, 1), (0.96, 0))
    angles = _stand(phase, 0.55 * up - 0.1)
    hello = up**3 * wave(phase, 6, 0.1)
    late = up**3 * wave(phase, 6, 0.19)
    angles["right_collar"] = (0, 0, 4 - 13 * up)
    angles["right_shoulder"] = (2 - 4 * up, 4 + 12 * up, 71 - 66 * up + 5 * hello, -6 - 78 * up)
    angles["right_elbow"] = (0, 18 + 60 * up + 20 * hello, 0)
    angles["right_wrist"] = (0, 12 * late, 4 - 6 * up)
    angles["right_hand"] = (0, 0, 22 - 16 * up)
    angles["spine2"] = (0, -3 * up, -3 * up)
    angles["spine3"] = (-2 * up, -4 * up, -3 * up + 1.2 * hello)
    angles["neck"] = (4, 3 * up, 4 * up)
    angles["head"] = (-3 - 2 * up, 4 * up, 5 * up - 1.5 * late)
    return angles


def _turn(phase: np.ndarray) -> Angles:
    """One full turn to the left on the spot in eight small steps; the head leads."""
    angles = _stand(phase, 0.0)
    step = 4.0
    yaw = 360 * phase - 2.2 * np.sin(2 * np.pi * 2 * step * phase)
    for side, shift, out in (("left", 0.0, 1.0), ("right", 0.5, -1.0)):
        lift = np.maximum(np.sin(2 * np.pi * (step * phase + shift)), 0.0) ** 1.5
        plant = np.cos(2 * np.pi * (step * phase + shift))
        angles[f"{side}_hip"] = (-4 - 20 * lift, 2 * out - 9 * plant, 4 * out)
        angles[f"{side}_knee"] = (7 + 36 * lift, 0, 0)
        angles[f"{side}_ankle"] = (-3 + 8 * lift, 3 * out, 0)
        angles[f"{side}_shoulder"] = (2 + 7 * plant, -6 * out, -62 * out, -6)
        angles[f"{side}_elbow"] = (0, -(24 + 5 * plant) * out, 0)
    sway = np.sin(2 * np.pi * step * phase)
    angles["pelvis"] = (1, yaw, -2.5 * sway)
    angles["spine1"] = (1, 3, 1.5 * sway)
    angles["spine2"] = (1, 4, 1.0 * sway)
    angles["spine3"] = (-1, 4, 0)
    angles["neck"] = (4, 9, 0)
    angles["head"] = (-3, 11, 0)
    return angles


def _squat(phase: np.ndarray) -> Angles:
    """Down with the arms reaching forward, a short hold, and up; feet stay flat."""
    down = keys(phase, (0, 0), (0.08, 0), (0.42, 1), (0.55, 1), (0.88, 0))
    late = keys(phase, (0, 0), (0.1, 0), (0.45, 1), (0.58, 1), (0.91, 0))
    angles = _stand(phase, 0.0)
    pelvis = 1 + 25 * down
    hip, knee = 2 + 98 * down, 4 + 104 * down
    for side, out in (("left", 1.0), ("right", -1.0)):
        angles[f"{side}_hip"] = (-hip, 8 * out * down + 3 * out, (3 + 9 * down) * out)
        angles[f"{side}_knee"] = (knee, 0, 0)
        angles[f"{side}_ankle"] = (hip - knee - pelvis, 2 * out, -6 * out * down)
        angles[f"{side}_collar"] = (0, -6 * out * late, -4 * out)
        angles[f"{side}_shoulder"] = (2 - 86 * late, -3 * out, -74 * out, -6 + 4 * late)
        angles[f"{side}_elbow"] = (0, -(18 - 6 * late) * out, 0)
        angles[f"{side}_wrist"] = (0, 0, (-4 + 9 * late) * out)
    angles["pelvis"] = (pelvis, 0, 0)
    angles["spine1"] = (1 + 6 * down, 0, 0)
    angles["spine2"] = (1 + 4 * late, 0, 0)
    angles["spine3"] = (-1 + 2 * late, 0, 0)
    angles["neck"] = (4 - 16 * late, 0, 0)
    angles["head"] = (-3 - 12 * late, 0, 0)
    return angles


def _dance(phase: np.ndarray) -> Angles:
    """Eight beats: steps from side to side, knees on every beat, arms that follow the hips."""
    side_step = wave(phase, 2)  # one bar to the left, one to the right, twice
    follow = wave(phase, 2, 0.06)
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * 8 * phase)
    reach = 0.5 - 0.5 * np.cos(2 * np.pi * phase)  # the arms rise in the middle of the clip
    angles: Angles = {
        "pelvis": (3 + 2 * beat, 13 * wave(phase, 1, 0.1), 7 * side_step),
        "spine1": (3, -4 * follow, -5 * side_step),
        "spine2": (1 + 2 * beat, -6 * follow, -4 * follow),
        "spine3": (-2, -7 * follow, -3 * follow),
        "neck": (3, 5 * follow, 3 * follow),
        "head": (-4 + 4 * beat, 6 * follow, 4 * wave(phase, 2, 0.12)),
    }
    for side, out in (("left", 1.0), ("right", -1.0)):
        free = np.maximum(-out * side_step, 0.0)  # this leg is unloaded
        knee = 12 + 13 * beat + 26 * free
        hip = 8 + 7 * beat + 15 * free
        angles[f"{side}_hip"] = (-hip, 6 * out + 8 * out * free, 7 * out - 6 * side_step)
        angles[f"{side}_knee"] = (knee, 0, 0)
        angles[f"{side}_ankle"] = (hip - knee - 3 + 12 * free, 3 * out, 0)
        angles[f"{side}_foot"] = (-14 * free, 0, 0)
        raised = 58 * reach * (0.6 + 0.4 * out * follow)
        angles[f"{side}_collar"] = (0, 0, (-3 + 8 * reach) * out)
        angles[f"{side}_shoulder"] = (
            -10 - 14 * out * follow - 8 * reach,
            -(10 + 8 * out * follow) * out,
            (-60 + raised + 6 * beat) * out,
            -12 - 46 * reach,
        )
        angles[f"{side}_elbow"] = (0, -(58 + 17 * out * follow - 10 * beat) * out, 0)
        angles[f"{side}_wrist"] = (0, -9 * follow, (-6 + 12 * wave(phase, 4, 0.1)) * out)
    return angles | relaxed_hands(30)


_CLIPS: dict[str, tuple[Callable[[np.ndarray], Angles], float]] = {
    "walk": (_walk, 1.1),
    "wave": (_greet, 3.0),
    "turn": (_turn, 4.0),
    "squat": (_squat, 3.2),
    "dance": (_dance, 4.0),
    "stroll": (stroll, 3.3),
}
_CAMERAS = {"stroll": stroll_camera}
MOTIONS = tuple(_CLIPS)


def motion(name: str, frames: int | None = None, fps: float = 30.0) -> SmplParams:
    """A built-in clip: poses without betas; a camera only if it travels ("stroll").

    The frame after the last one would be the first, so every clip loops; with ``frames`` it holds
    as many whole repeats as come nearest to the natural pace (at least one).
    """
    if name not in _CLIPS:
        raise InputError(f"motion must be one of {', '.join(MOTIONS)}; got {name!r}")
    if frames is not None and frames < 1:
        raise InputError(f"frames must be 1 or more; got {frames}")
    if not fps > 0:
        raise InputError(f"fps must be above zero; got {fps}")
    clip, seconds = _CLIPS[name]
    natural = seconds * fps
    count = max(1, round(natural)) if frames is None else frames
    repeats = max(1, round(count / natural))
    phase = np.arange(count) * repeats / count % 1.0
    camera = _CAMERAS[name](phase) if name in _CAMERAS else None
    return SmplParams(
        torch.from_numpy(pose_from_angles(count, clip(phase))), fps=fps, camera=camera
    )
