"""Accuracy and CPU time of body recovery on bodies whose truth is known.

    python benchmarks/recovery.py [--motions clips.npz] [--frames 100] [--quick]

Random shapes in motion clips, random heading, pitch up to 11 degrees, seen by a pinhole camera 4 m
away (the fit assumes 5), the person 384 px of 512. The keypoints are the body's own plus noise of 2
to 4 px per axis, one in ten dropped, the far side of the head unseen. So the table holds what 2D
leaves open and what noise costs; photographs add clothes and a detector's own habits.

``--motions``: arrays "<clip>|pose" (T, 24, 3) axis-angle, y up, "<clip>|trans" (T, 3) m and
"<clip>|dt" (T,) s, not part of this project. Without it the built-in procedural motions are used.

Pictures are single frames, each fitted alone. Clips are 60 frames at 30 per second, short ones
played there and back; the whole path of the person fits the picture.

px: mean distance to the observed keypoints, from which noise keeps the truth itself 3.8 px away.
MPJPE: mean joint error, root aligned, mm. PA: the same after the best similarity transform. depth:
the part of MPJPE along the viewing axis. flips: heading more than 90 degrees off, per cent of
frames. accel: mean acceleration of the root-aligned joints over the truth's (1 = as lively as the
truth). ms: CPU time per frame, one thread.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from lwg_core.body.model import BodyModel
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.recovery.fit import FitResult, fit_keypoints
from lwg_core.recovery.keypoints import BODY_COUNT, Keypoints
from lwg_core.recovery.projection import project_keypoints
from lwg_core.recovery.targets3d import PointFit, fit_points
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import MOTIONS, motion

SIZE, DISTANCE, PERSON = 512, 4.0, 384
CLIP, FPS = 60, 30.0
ACROBATIC = {"backflip", "cartwheel", "crawl", "getup_facedown", "getup_faceup", "roll", "sideflip"}
INTO_CAMERA = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # y up -> y down, facing the camera
COLUMNS = ("px", "MPJPE", "median", "p90", "PA", "depth", "flips%", "accel", "ms")


@dataclass(frozen=True)
class Motion:
    """A clip: pose (T, 24, 3) axis-angle and trans (T, 3) m, y up, at times (T,) s."""

    pose: Tensor
    trans: Tensor
    times: np.ndarray


@dataclass(frozen=True)
class View:
    """A body whose truth is known, over T frames: joints (T, 24, 3) and what a detector saw."""

    truth: SmplParams
    joints: Tensor
    keypoints: Keypoints


def read_motions(path: Path | None) -> dict[str, Motion]:
    clips = {}
    if path is not None:
        with np.load(path, allow_pickle=False) as file:
            for name in sorted(n.split("|")[0] for n in file.files if n.endswith("|pose")):
                pose, trans = (torch.from_numpy(file[f"{name}|{k}"]) for k in ("pose", "trans"))
                start = np.concatenate([[0], np.cumsum(file[f"{name}|dt"][:-1])])
                clips[name] = Motion(pose.float(), trans.float(), start)
        return clips
    for name in MOTIONS:
        clip = motion(name)
        pose = clip.pose.clone()
        pose[:, 0] = matrix_to_axis_angle(INTO_CAMERA @ axis_angle_to_matrix(pose[:, 0]))
        clips[name] = Motion(pose, torch.zeros(len(pose), 3), np.arange(len(pose)) / clip.fps)
    return clips


def there_and_back(clip: Motion, frames: int, fps: float) -> Motion:
    """The clip at ``fps``, reversed at its ends until it is ``frames`` long."""
    length = clip.times[-1]
    times = np.arange(frames) / fps
    wave = length - np.abs((times % (2 * length)) - length)
    joints = [
        Slerp(clip.times, Rotation.from_rotvec(clip.pose[:, j].numpy()))(wave).as_rotvec()
        for j in range(24)
    ]
    trans = [np.interp(wave, clip.times, clip.trans[:, axis].numpy()) for axis in range(3)]
    pose, trans = (torch.from_numpy(np.stack(values, 1)).float() for values in (joints, trans))
    return Motion(pose, trans, times)


def observe(
    body: BodyModel,
    clip: Motion,
    rng: np.random.Generator,
    noise: tuple[float, float] = (2, 4),
    drop: float = 0.1,
    feet: bool = False,
) -> View:
    betas = torch.from_numpy(rng.normal(size=10).clip(-2, 2)).float()
    yaw, pitch = rng.uniform(-math.pi, math.pi), rng.uniform(-0.2, 0.2)
    turn = axis_angle_to_matrix(torch.tensor([[pitch, 0.0, 0.0], [0.0, yaw, 0.0]]))
    view = INTO_CAMERA @ turn[0] @ turn[1]
    pose = clip.pose.clone()
    pose[:, 0] = matrix_to_axis_angle(view @ axis_angle_to_matrix(pose[:, 0]))
    trans = (clip.trans - clip.trans.mean(0)) @ view.T
    vertices = body.vertices(pose, betas) + trans[:, None]
    low, high = vertices.amin((0, 1)), vertices.amax((0, 1))
    focal = PERSON * DISTANCE / (high - low)[:2].amax()
    place = trans + torch.tensor([0.0, 0.0, DISTANCE]) - (low + high) / 2
    camera = Camera.from_pinhole(focal.expand(len(pose)), place, (SIZE, SIZE))
    truth = SmplParams(pose, betas, body.id, camera, fps=FPS)
    points, seen = project_keypoints(body, truth)
    spread = rng.uniform(*noise, size=(len(pose), 1, 1))
    points = points + torch.from_numpy(rng.normal(size=points.shape) * spread).float()
    seen = seen * torch.from_numpy(rng.random(seen.shape) >= drop)
    seen[:, 1] *= seen[:, 2] * seen[:, 5]  # detectors take the neck from the shoulders
    if not feet:
        seen[:, BODY_COUNT:] = 0
    keypoints = Keypoints(points * seen[..., None], seen.float(), (SIZE, SIZE))
    return View(truth, body.joints(pose, betas), keypoints)


def pictures(body: BodyModel, clips: dict[str, Motion], count: int, seed: int, **how) -> list[View]:
    rng = np.random.default_rng(seed)
    names, views = sorted(clips), []
    while len(views) < count:
        clip = clips[names[len(views) % len(names)]]
        frame = rng.integers(len(clip.pose))[None]
        view = observe(body, Motion(clip.pose[frame], clip.trans[frame], np.zeros(1)), rng, **how)
        if view.keypoints.usable.all():
            views.append(view)
    return views


def sequences(body: BodyModel, clips: dict[str, Motion], seed: int, **how) -> list[View]:
    rng = np.random.default_rng(seed)
    return [observe(body, there_and_back(clips[n], CLIP, FPS), rng, **how) for n in sorted(clips)]


def aligned(joints: Tensor, target: Tensor) -> Tensor:
    """Joints (N, 24, 3) after the similarity transform that brings them nearest to the target."""
    middle, goal = joints.mean(1, keepdim=True), target.mean(1, keepdim=True)
    x, y = joints - middle, target - goal
    u, s, v = torch.linalg.svd(x.transpose(1, 2) @ y)
    sign = torch.ones_like(s)
    sign[:, 2] = torch.det(u @ v).sign()
    scale = (s * sign).sum(1) / (x * x).sum((1, 2))
    return scale[:, None, None] * (x @ (u * sign[:, None]) @ v) + goal


def flipped(pose: Tensor, truth: Tensor) -> Tensor:
    """(T,) whether the root's turn about the body's own up axis is more than 90 degrees off."""
    roots = (axis_angle_to_matrix(p[:, 0]) for p in (truth, pose))
    off = next(roots).transpose(1, 2) @ next(roots)
    return off[:, 0, 0] + off[:, 2, 2] < 0  # 2 cos of the turn, shrunk by the lean


def acceleration(joints: Tensor) -> float:
    """Mean of (T, 24, 3) in m/s^2."""
    second = joints[2:] - 2 * joints[1:-1] + joints[:-2]
    return float(second.norm(dim=-1).mean()) * FPS**2


def compare(body: BodyModel, view: View, fit: FitResult | PointFit) -> dict[str, Tensor]:
    found = body.joints(fit.params.pose, fit.params.betas)
    found, truth = (j - j[:, :1] for j in (found, view.joints))
    return {
        "px": getattr(fit, "error_px", torch.full(found.shape[:1], torch.nan)),
        "MPJPE": (found - truth).norm(dim=-1).mean(1) * 1e3,
        "PA": (aligned(found, truth) - truth).norm(dim=-1).mean(1) * 1e3,
        "depth": (found - truth)[..., 2].abs().mean(1) * 1e3,
        "flips%": flipped(fit.params.pose, view.truth.pose) * 100.0,
        "accel": torch.tensor([acceleration(found), acceleration(truth)]).nan_to_num(0)[None],
    }


def measure(body: BodyModel, name: str, views: list[View], fitter=None) -> None:
    fitter = fitter or (lambda view: fit_keypoints(view.keypoints, body, fps=FPS))
    rows, spent = [], 0.0
    for view in views:
        begin = time.process_time()
        fit = fitter(view)
        spent += time.process_time() - begin
        rows.append(compare(body, view, fit))
    joined = {key: torch.cat([row[key] for row in rows]) for key in rows[0]}
    values = {key: float(value.mean()) for key, value in joined.items() if key != "accel"}
    values["median"] = float(joined["MPJPE"].median())
    values["p90"] = float(joined["MPJPE"].quantile(0.9))
    ours, true = joined["accel"].mean(0).tolist()
    values["accel"] = ours / true if true else math.nan
    frames = len(joined["MPJPE"])
    values["ms"] = spent * 1e3 / frames
    cells = " ".join(f"{values[key]:7.2f}" for key in COLUMNS)
    print(f"{name:28s} {frames:6d} {cells}", flush=True)


def noisy_joints(body: BodyModel, view: View, sd: float, generator: torch.Generator) -> PointFit:
    """Fit to the joints in 3D, each off by ``sd`` metres per axis."""
    points = view.joints + sd * torch.randn(view.joints.shape, generator=generator)
    return fit_points(points, torch.ones(points.shape[:2]), None, body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--motions", type=Path, help='npz with "<clip>|pose", trans, dt; y up')
    parser.add_argument("--frames", type=int, default=100, help="pictures per row")
    parser.add_argument("--quick", action="store_true", help="20 pictures per row, four clips")
    args = parser.parse_args()
    torch.set_num_threads(1)
    body = open_body()
    count = 20 if args.quick else args.frames
    clips = read_motions(args.motions)
    everyday = {n: p for n, p in clips.items() if n not in ACROBATIC}
    acrobatic = {n: p for n, p in clips.items() if n in ACROBATIC}
    print(f"{'set':28s} {'frames':>6s} " + " ".join(f"{c:>7s}" for c in COLUMNS))
    measure(body, "picture, everyday", pictures(body, everyday, count, 0))
    measure(body, "picture, everyday, feet", pictures(body, everyday, count, 0, feet=True))
    still = {"noise": (0, 0), "drop": 0}
    measure(body, "picture, everyday, no noise", pictures(body, everyday, count, 1, **still))
    if acrobatic:
        measure(body, "picture, acrobatic", pictures(body, acrobatic, count, 2))
    generator = torch.Generator().manual_seed(5)
    together = pictures(body, clips, count, 5)
    measure(body, "3D joints, 20 mm noise", together,
            lambda view: noisy_joints(body, view, 0.02, generator))  # fmt: skip
    if args.quick:
        everyday = dict(sorted(everyday.items())[:3])
        acrobatic = dict(sorted(acrobatic.items())[:1])
    measure(body, "clip, everyday", sequences(body, everyday, 3))
    if acrobatic:
        measure(body, "clip, acrobatic", sequences(body, acrobatic, 4))


if __name__ == "__main__":
    main()
