"""Accuracy and CPU time of the keypoint fit on bodies whose truth is known.

    python benchmarks/recovery.py [--motions clips.npz] [--frames 100] [--quick]

Random shapes in frames of motion clips, random heading, pitch up to 11 degrees, seen by a pinhole
camera 4 m away (the fit assumes 5), the person 384 px of 512. The keypoints are the body's own plus
noise of 2 to 4 px per axis, one in ten dropped, the far side of the head unseen. So the table holds
what 2D leaves open and what noise costs; photographs add clothes and a detector's own habits.

``--motions``: arrays "<clip>|pose" (T, 24, 3) axis-angle, y up, not part of this project. Without
it the built-in procedural motions are used.

px: mean distance to the observed keypoints. MPJPE: mean joint error, root aligned, mm. PA: the same
after the best similarity transform. depth: the part of MPJPE along the viewing axis. flips: root
more than 90 degrees off. ms: CPU time per picture, one thread, each fitted alone.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lwg_core.body.model import BodyModel
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.recovery.fit import fit_keypoints
from lwg_core.recovery.keypoints import BODY_COUNT, Keypoints
from lwg_core.recovery.projection import project_keypoints
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import MOTIONS, motion

SIZE, DISTANCE, PERSON = 512, 4.0, 384
ACROBATIC = {"backflip", "cartwheel", "crawl", "getup_facedown", "getup_faceup", "roll", "sideflip"}
INTO_CAMERA = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # y up -> y down, facing the camera


@dataclass(frozen=True)
class Views:
    """N bodies (``params`` of one frame each), their joints (N, 24, 3) and observed keypoints."""

    params: list[SmplParams]
    joints: Tensor
    keypoints: list[Keypoints]


def read_motions(path: Path | None) -> dict[str, Tensor]:
    """Clip -> (T, 24, 3) poses, y up."""
    if path is not None:
        with np.load(path, allow_pickle=False) as file:
            names = [n for n in file.files if n.endswith("|pose")]
            return {n.split("|")[0]: torch.from_numpy(file[n]).float() for n in names}
    clips = {}
    for name in MOTIONS:
        pose = motion(name).pose.clone()
        pose[:, 0] = matrix_to_axis_angle(INTO_CAMERA @ axis_angle_to_matrix(pose[:, 0]))
        clips[name] = pose
    return clips


def observe(
    body: BodyModel,
    clips: dict[str, Tensor],
    count: int,
    seed: int,
    noise: tuple[float, float] = (2, 4),
    drop: float = 0.1,
    feet: bool = False,
) -> Views:
    rng = np.random.default_rng(seed)
    names = sorted(clips)
    params, joints, keypoints = [], [], []
    while len(params) < count:
        clip = clips[names[len(params) % len(names)]]
        pose = clip[rng.integers(len(clip))][None].clone()
        betas = torch.from_numpy(rng.normal(size=10).clip(-2, 2)).float()
        yaw, pitch = rng.uniform(-math.pi, math.pi), rng.uniform(-0.2, 0.2)
        turn = axis_angle_to_matrix(torch.tensor([[pitch, 0.0, 0.0], [0.0, yaw, 0.0]]))
        root = INTO_CAMERA @ turn[0] @ turn[1] @ axis_angle_to_matrix(pose[:, 0])
        pose[:, 0] = matrix_to_axis_angle(root)
        vertices = body.vertices(pose, betas)[0]
        low, high = vertices.amin(0), vertices.amax(0)
        focal = PERSON * DISTANCE / (high - low)[:2].amax()
        place = torch.tensor([0.0, 0.0, DISTANCE]) - (low + high) / 2
        camera = Camera.from_pinhole(focal[None], place[None], (SIZE, SIZE))
        truth = SmplParams(pose, betas, body.id, camera)
        points, seen = project_keypoints(body, truth)
        spread = rng.uniform(*noise)
        points = points + torch.from_numpy(rng.normal(0, spread, points.shape)).float()
        seen = seen * torch.from_numpy(rng.random(seen.shape) >= drop)
        seen[:, 1] *= seen[:, 2] * seen[:, 5]  # detectors take the neck from the shoulders
        if not feet:
            seen[:, BODY_COUNT:] = 0
        found = Keypoints(points * seen[..., None], seen.float(), (SIZE, SIZE))
        if found.usable.all():
            params.append(truth)
            joints.append(body.joints(pose, betas))
            keypoints.append(found)
    return Views(params, torch.cat(joints), keypoints)


def aligned(joints: Tensor, target: Tensor) -> Tensor:
    """Joints (N, 24, 3) after the similarity transform that brings them nearest to the target."""
    middle, goal = joints.mean(1, keepdim=True), target.mean(1, keepdim=True)
    x, y = joints - middle, target - goal
    u, s, v = torch.linalg.svd(x.transpose(1, 2) @ y)
    sign = torch.ones_like(s)
    sign[:, 2] = torch.det(u @ v).sign()
    scale = (s * sign).sum(1) / (x * x).sum((1, 2))
    return scale[:, None, None] * (x @ (u * sign[:, None]) @ v) + goal


def measure(body: BodyModel, name: str, views: Views) -> None:
    error, energy, joints, roots = [], [], [], []
    begin = time.process_time()
    for keypoints in views.keypoints:
        fit = fit_keypoints(keypoints, body)
        error.append(fit.error_px)
        energy.append(fit.energy)
        joints.append(body.joints(fit.params.pose, fit.params.betas))
        roots.append(fit.params.pose[:, 0])
    milliseconds = (time.process_time() - begin) * 1e3 / len(views.keypoints)
    found, truth = (j - j[:, :1] for j in (torch.cat(joints), views.joints))
    miss = (found - truth).norm(dim=-1).mean(1) * 1e3
    similar = (aligned(found, truth) - truth).norm(dim=-1).mean() * 1e3
    depth = (found - truth)[..., 2].abs().mean() * 1e3
    true_roots = axis_angle_to_matrix(torch.cat([p.pose[:, 0] for p in views.params]))
    off = axis_angle_to_matrix(torch.cat(roots)).transpose(1, 2) @ true_roots
    flips = (matrix_to_axis_angle(off).norm(dim=-1) > math.pi / 2).float().mean() * 100
    print(
        f"{name:22s} {len(miss):6d} {torch.cat(error).mean():6.2f} {miss.mean():7.1f} "
        f"{miss.median():7.1f} {miss.quantile(0.9):7.1f} {similar:7.1f} {depth:7.1f} "
        f"{flips:7.1f} {torch.cat(energy).mean():7.2f} {milliseconds:7.1f}",
        flush=True,
    )


def measure_clip(body: BodyModel, views: Views) -> None:
    """Time of one call for all frames."""
    points = torch.cat([k.points for k in views.keypoints])
    confidence = torch.cat([k.confidence for k in views.keypoints])
    begin = time.process_time()
    fit_keypoints(Keypoints(points, confidence, (SIZE, SIZE)), body)
    each = (time.process_time() - begin) * 1e3 / len(points)
    print(f"{len(points)} frames in one call: {each:.1f} ms per frame")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--motions", type=Path, help="npz with <clip>|pose arrays, y up")
    parser.add_argument("--frames", type=int, default=100, help="pictures per row")
    parser.add_argument("--quick", action="store_true", help="20 pictures per row")
    args = parser.parse_args()
    torch.set_num_threads(1)
    body = open_body()
    count = 20 if args.quick else args.frames
    clips = read_motions(args.motions)
    everyday = {n: p for n, p in clips.items() if n not in ACROBATIC}
    acrobatic = {n: p for n, p in clips.items() if n in ACROBATIC}
    print(
        f"{'set':22s} {'frames':>6s} {'px':>6s} {'MPJPE':>7s} {'median':>7s} {'p90':>7s} "
        f"{'PA':>7s} {'depth':>7s} {'flips%':>7s} {'energy':>7s} {'ms':>7s}"
    )
    views = observe(body, everyday, count, 0)
    measure(body, "everyday", views)
    measure(body, "everyday, feet", observe(body, everyday, count, 0, feet=True))
    measure(body, "everyday, no noise", observe(body, everyday, count, 1, (0, 0), 0))
    if acrobatic:
        measure(body, "acrobatic", observe(body, acrobatic, count, 2))
    measure_clip(body, views)


if __name__ == "__main__":
    main()
