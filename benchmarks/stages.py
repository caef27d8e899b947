"""Seconds per stage, from picture files to a video file (after the paper's Fig. 16).

    python benchmarks/stages.py [--device cpu] [--sizes 256 512 1024 1920] [--quick]

A built-in person in two pictures of 1024 px, keypoints given, masks estimated, background painted
in; a built-in dance. Every stage that a user waits for is in the table: reading and decoding,
fitting bodies, personalizing, painting each frame, encoding. One thread of torch, CPU seconds of
the whole process (threads of the codec too) and wall seconds. "once": before the first frame, at
that size; what a frame costs is measured from the second one on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from lwg_core.body.model import BodyModel
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.clips import open_clip
from lwg_core.flow.masks import estimate_mask
from lwg_core.flow.offsets import with_offsets
from lwg_core.flow.source import Source, Sources
from lwg_core.flow.targets import imitate
from lwg_core.networks.generator import AttLWBGenerator
from lwg_core.pictures import read_image
from lwg_core.pipeline import compose, generate, place_background, recover, source_background
from lwg_core.recovery.fit import fit_keypoints
from lwg_core.recovery.keypoints import Keypoints, parse_pose_keypoints
from lwg_core.recovery.projection import project_keypoints
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import motion
from lwg_core.synthetic.people import write_people
from lwg_core.training.personalize import personalize
from lwg_core.video import open_output
from lwg_core.weights import load_generator

PICTURE = 1024  # px
STEPS = 80  # of personalization, the default
CLIP = 60  # frames of a driving video
FRAMES = {256: 12, 512: 6}  # others 3: they cost the more


@dataclass
class Clock:
    """Rows of (stage, CPU seconds, wall seconds)."""

    device: torch.device
    rows: list[tuple[str, float, float]] = field(default_factory=list)

    def now(self) -> tuple[float, float]:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.process_time(), time.perf_counter()

    @contextmanager
    def stage(self, name: str, shares: float = 1) -> Iterator[None]:
        """Adds a row; its seconds are divided by ``shares``."""
        before = self.now()
        yield
        self.add(name, before, self.now(), shares)

    def add(self, name: str, before: tuple, after: tuple, shares: float = 1) -> None:
        cpu, wall = ((b - a) / shares for a, b in zip(before, after, strict=True))
        self.rows.append((name, cpu, wall))
        print(f"| {name} | {cpu:.3f} | {wall:.3f} |", flush=True)


def preprocess(clock: Clock, folder: Path, body: BodyModel) -> tuple[Sources, Tensor]:
    """From files to sources and their background."""
    names = sorted(path for path in folder.glob("*.json"))
    count = len(names)
    with clock.stage(f"read {count} pictures and their keypoints"):
        images = [read_image(name.with_suffix(".png")) for name in names]
        points = [parse_pose_keypoints(name, (PICTURE, PICTURE)) for name in names]
    with clock.stage(f"preprocess: bodies of {count} pictures"):
        pairs = zip(images, points, strict=True)
        params = [recover(image, keypoints, body).params for image, keypoints in pairs]
    with clock.stage(f"preprocess: masks of {count} pictures"):
        masks = [estimate_mask(i, body, p).mask for i, p in zip(images, params, strict=True)]
    pictures = zip(images, params, masks, strict=True)
    with clock.stage("preprocess: clothes and hair onto the mesh"):
        sources = with_offsets(tuple(Source(*picture) for picture in pictures), body)
    with clock.stage("preprocess: background"):
        background = source_background(sources[0], body)
    return sources, background


def inference(
    clock: Clock,
    generator: AttLWBGenerator,
    sources: Sources,
    background: Tensor,
    body: BodyModel,
    size: int,
    output: Path,
) -> None:
    """A video of ``size`` x ``size`` px."""
    frames = FRAMES.get(size, 3)
    target = imitate(sources[0].params, motion("dance", 120), body, offsets=sources[0].offsets)
    target = target.select(slice(0, frames))
    start = clock.now()
    flow = compose(sources, target, body, size)
    behind = place_background(background[None], flow)
    painted = []
    for images, _ in generate(generator, flow, behind, chunk=1, device=clock.device):
        painted.append(images)
        if len(painted) == 1:
            first = clock.now()
    last = clock.now()
    each = [(b - a) / (frames - 1) for a, b in zip(first, last, strict=True)]
    once = tuple(at - cost for at, cost in zip(first, each, strict=True))
    clock.add(f"inference {size} px: once", start, once)
    clock.add(f"inference {size} px: a frame", first, last, frames - 1)
    with clock.stage(f"inference {size} px: encoding a frame (H.264)", frames):
        with open_output(output, 30.0, frames) as video:
            for images in painted:
                video.write(images)


def driving_video(clock: Clock, body: BodyModel, folder: Path, frames: int) -> None:
    """Decoding a driving video and fitting the body in each of its frames."""
    size = (720, 720)
    with open_output(folder / "drive.mp4", 30.0, frames) as video:
        for number in range(frames):
            video.write(torch.full((1, 3, *size), number / frames))
    with clock.stage("driving video, 720 px: decoding a frame", frames):
        for _ in open_clip(folder / "drive.mp4"):
            pass
    dance = replace(motion("dance", frames), betas=torch.zeros(10), body_model=body.id)
    camera = imitate(standing(dance, size), dance, body).camera
    points, seen = project_keypoints(body, replace(dance, camera=camera))
    with clock.stage("driving video: body of a frame", frames):
        fit_keypoints(Keypoints(points, seen, size), body, size)


def standing(params: SmplParams, size: tuple[int, int]) -> SmplParams:
    """The first frame as a person who fills a picture."""
    scale = torch.tensor([0.45 * size[0]])
    middle = torch.tensor([[size[1] / 2, 0.55 * size[0]]])
    return replace(params.select([0]), camera=Camera(scale, middle, size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 1920])
    parser.add_argument("--quick", action="store_true", help="256 px, 4 steps, a short video")
    args = parser.parse_args()
    body, clock = open_body(), Clock(args.device)
    steps, sizes, clip = (4, [256], 8) if args.quick else (STEPS, args.sizes, CLIP)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_people(1, folder, seed=1, size=PICTURE, pictures=2)
        print("| stage | CPU s | wall s |\n|---|---|---|", flush=True)
        with clock.stage("load the generator"):
            generator = load_generator().to(args.device)
        sources, background = preprocess(clock, folder, body)
        with clock.stage(f"personalize: {steps} steps at 256 px"):
            generator, _ = personalize(generator, sources, body, steps)
        for size in sizes:
            video = folder / f"{size}.mp4"
            inference(clock, generator, sources, background, body, size, video)
        driving_video(clock, body, folder, clip)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
