"""What goes wrong, on built-in people: the pictures of docs/failures.md.

    python benchmarks/failures.py [--out docs/failures] [--only NAME ...]

One strip for each case: the source pictures, the warp inside the mesh's silhouette, the result, the
truth. Bodies and masks are the true ones except where a wrong one is the case; the background is
known. So nothing in these pictures is the fault of a detector.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lwg_core.body.model import BodyModel
from lwg_core.body.open_body import open_body
from lwg_core.body.params import JOINT_NAMES, SmplParams
from lwg_core.files import atomic_path
from lwg_core.flow.offsets import with_offsets
from lwg_core.flow.source import Source
from lwg_core.networks.generator import AttLWBGenerator
from lwg_core.pictures import contact_sheet, to_bytes
from lwg_core.pipeline import compose, generate, place_background
from lwg_core.render.camera import Camera
from lwg_core.synthetic.backgrounds import random_background
from lwg_core.synthetic.dataset import open_mannequin
from lwg_core.synthetic.identity import make_identity
from lwg_core.synthetic.motions import turned
from lwg_core.synthetic.people import FIRST_SEED
from lwg_core.synthetic.poses import random_pose
from lwg_core.synthetic.render import Light, Person, dress, pose_person, random_light, render_person
from lwg_core.weights import load_generator

SIDE = 384  # px of the pictures
TILE = 208  # px of a tile of the strip
HEIGHT = 0.86  # of the picture, of a person
DISTANCE = 5.0  # metres
BALL = 0.13  # metres, radius
QUALITY = 82


@dataclass(frozen=True)
class Shot:
    """kind: of ``random_pose``. yaw, pitch: degrees, as in ``turned``. height: of the picture."""

    kind: str = "a_pose"
    yaw: float = 0.0
    pitch: float = 0.0
    height: float = HEIGHT


FRONT, BACK = Shot(), Shot(yaw=180.0)


@dataclass(frozen=True)
class Case:
    """person: number of the built-in person. spoil: what is done to the recovered bodies.
    ball: the right hand holds one."""

    person: int
    target: Shot
    sources: tuple[Shot, ...] = (FRONT, BACK)
    spoil: Callable[[SmplParams], SmplParams] | None = None
    ball: bool = False
    seed: int = 0


def misfit(params: SmplParams) -> SmplParams:
    """A body whose arms are 30 degrees too high and which is two per cent of the picture off."""
    pose = params.pose.clone()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        pose[:, JOINT_NAMES.index(f"{side}_shoulder"), 2] += sign * math.radians(30)
    camera = replace(params.camera, center=params.camera.center + 0.02 * SIDE)
    return replace(params, pose=pose, camera=camera)


CASES = {
    "wide_skirt": Case(27, Shot("walk", 70.0)),
    "loose_hair": Case(71, Shot("dance", -75.0)),
    "unseen_back": Case(82, Shot("stand", 150.0), (FRONT,)),
    "profile_only": Case(28, FRONT, (Shot("stand", 90.0),)),
    "crossed_arms": Case(85, FRONT, (Shot("crossed_arms"),)),
    "extreme_pose": Case(66, Shot("kick", 30.0, -60.0)),
    "wrong_body": Case(103, Shot("wave", 10.0), spoil=misfit),
    "tiny_person": Case(
        103, Shot("dance", 20.0), (Shot(height=0.13), Shot(yaw=180.0, height=0.13))
    ),
    "held_object": Case(111, Shot("reach", 40.0), ball=True),
}


@dataclass(frozen=True)
class Studio:
    """One person, one light, one wall."""

    person: Person
    light: Light
    wall: np.ndarray
    ball: bool

    @classmethod
    def open(cls, case: Case) -> Studio:
        person = dress(make_identity(FIRST_SEED + case.person), open_mannequin())
        rng = np.random.default_rng([case.person, 7])
        light = random_light(rng)
        return cls(person, light, random_background(rng, (SIDE, SIDE)), case.ball)

    def params(self, shot: Shot, seed: int) -> SmplParams:
        pose = turned(random_pose(np.random.default_rng(seed), shot.kind), shot.yaw, shot.pitch)
        pose = torch.from_numpy(pose).float()[None]
        points = pose_person(self.person, pose, np.random.default_rng(seed))[0, :, :2]
        low, high = points.amin(0), points.amax(0)
        scale = shot.height * SIDE / (high - low).amax()[None]
        center = SIDE / 2 - scale * (low + high)[None] / 2
        camera = Camera(scale, center, (SIDE, SIDE), scale * DISTANCE)
        return SmplParams(pose, self.person.betas, self.person.body.id, camera)

    def picture(self, params: SmplParams, wall: np.ndarray) -> tuple[Tensor, Tensor]:
        """Image (3, H, W) in [-1, 1] and matte (1, H, W)."""
        rng = np.random.default_rng([self.person.identity.seed, 8])
        image, matte = render_person(
            self.person, params.pose[0], params.camera, self.light, wall, rng
        )
        if not self.ball:
            return image, matte
        hand = self.person.body.joints(params.pose, params.betas)[
            :, JOINT_NAMES.index("right_hand")
        ]
        x, y = params.camera.project(hand[:, None])[0, 0, :2].tolist()
        return draw_ball(image, matte, x, y, BALL * float(params.camera.scale[0]))


def draw_ball(image: Tensor, matte: Tensor, x: float, y: float, r: float) -> tuple[Tensor, Tensor]:
    """An orange ball of ``r`` px over a picture and its matte."""
    rows, columns = (torch.arange(n) + 0.5 for n in image.shape[1:])
    across, down = (columns - x)[None] / r, (rows - y)[:, None] / r
    inside = ((1 - torch.hypot(across, down)) * r + 0.5).clamp(0, 1)[None]
    shade = (0.75 - 0.35 * across - 0.45 * down).clamp(0.25, 1.1)
    colour = (shade * torch.tensor([0.95, 0.5, 0.1])[:, None, None]).clamp(0, 1) * 2 - 1
    return image + inside * (colour - image), torch.maximum(matte, inside)


def strip(case: Case, generator: AttLWBGenerator, body: BodyModel) -> Tensor:
    """(3, h, w): sources, warp, result, truth."""
    studio = Studio.open(case)
    bodies = [studio.params(shot, case.seed + n) for n, shot in enumerate(case.sources)]
    shown = [studio.picture(params, studio.wall) for params in bodies]
    if case.spoil:
        bodies = [case.spoil(params) for params in bodies]
    pairs = zip(shown, bodies, strict=True)
    sources = with_offsets(tuple(Source(i, params, m) for (i, m), params in pairs), body)
    target = studio.params(case.target, case.seed + 10)
    flow = compose(sources, target, body, 256)
    wall = torch.from_numpy(studio.wall).permute(2, 0, 1).float()[None] * 2 - 1
    behind = place_background(wall, flow)
    chunk = flow.chunk(0, 1)
    warp = chunk.silhouette * chunk.warped + (1 - chunk.silhouette) * behind
    result = torch.cat([images for images, _ in generate(generator, flow, behind)])
    truth, _ = studio.picture(flow.target, ((behind[0] + 1) / 2).permute(1, 2, 0).numpy())
    tiles = [image for image, _ in shown] + [warp[0], result[0], truth]
    tiles = [F.interpolate(t[None], (TILE, TILE), mode="area")[0] for t in tiles]
    return contact_sheet([tiles])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/failures"))
    parser.add_argument("--only", nargs="+", choices=tuple(CASES), default=list(CASES))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    body, generator = open_body(), load_generator()
    for name in args.only:
        pixels = to_bytes(strip(CASES[name], generator, body)[None])[0]
        quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        data = cv2.imencode(".jpg", pixels[..., ::-1], quality)[1].tobytes()
        with atomic_path(args.out / f"{name}.jpg") as part:
            part.write_bytes(data)
        print(f"{name:14s} {len(data) / 1024:5.0f} KB")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
