"""What pictures are made with, and how they are made and written, frame by frame."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ..background import check_method
from ..body.model import BodyModel
from ..body.params import SmplParams
from ..clips import Clip, open_clip
from ..compositing import Backdrop, VideoBackground, place_background
from ..errors import InputError
from ..flow.compose import ComposeOptions
from ..flow.sequence import LazyFlow
from ..flow.source import Sources
from ..flow.targets import check_strategy
from ..flow.transfer import rank_sources
from ..networks.generator import AttLWBGenerator
from ..painting import check_generator, generate
from ..pictures import LARGEST_SIDE
from ..pipeline import compose, source_background
from ..training.personalize import personalize
from ..video import FrameOutput, open_output
from ..weights import load_generator
from .options import about, canvas_size, check_canvas, check_shared, choose_device, job_key
from .sources import Person, Pictures, check_people, make_people, read_person
from .target import (
    check_views,
    count_frames,
    frame_rate,
    join,
    load_motion,
    make_targets,
    parse_views,
)

SHOWN = 6  # frames for a contact sheet


@dataclass(frozen=True)
class Job:
    """Everything that was given, read and found good.

    painter: whose network fills the background. background: None = the source's own.
    """

    device: torch.device
    clip: SmplParams | None
    pictures: list[Pictures]
    generator: AttLWBGenerator
    painter: AttLWBGenerator | None
    background: Clip | None
    output: FrameOutput


def open_job(args: argparse.Namespace, people: list[Person], output: Path) -> Job:
    """Look at every option and read every file before the work begins."""
    check_shared(args)
    check_people(people)
    device = choose_device(args.device)
    clip = None if args.motion is None else load_motion(args.motion, args.frames)
    check_views(args, clip)
    if clip is not None:
        with about(f"--motion {args.motion}"):
            check_strategy(args.camera, clip)
    frames = count_frames(args, clip)
    background = None if args.background is None else open_clip(args.background)
    if background is not None and background.fps is not None and len(background) < frames:
        raise InputError(
            f"--background {args.background} has {len(background)} frames, but the result has "
            f"{frames}; give a video that is as long, or a picture"
        )
    generator = load_generator(args.generator)
    with about(args.generator):
        check_generator(generator)
    painter = load_painter(args, generator, device)
    pictures = [read_person(person) for person in people]
    if pictures:
        check_picture(args, clip, tuple(pictures[0].images[0].shape[-2:]))
    target = open_output(
        output, frame_rate(args, clip), frames, alpha=args.alpha, audio=args.audio,
        resume=args.resume, job=job_key(args, clip),
    )  # fmt: skip
    return Job(device, clip, pictures, generator.to(device), painter, background, target)


def check_picture(
    args: argparse.Namespace, clip: SmplParams | None, first: tuple[int, int]
) -> None:
    """Check the frames to come; first: (height, width) of the first source's picture."""
    copied = clip is not None and args.camera == "copy"
    picture = clip.camera.size if copied else first
    check_canvas(args, picture)
    if args.views is not None:
        width = args.size if args.frame == "square" else (canvas_size(args, picture) or picture)[1]
        count = len(parse_views(args.views))
        if count * width > LARGEST_SIDE:
            raise InputError(
                f"--views {args.views}: {count} frames of {width} px side by side are too wide; at "
                f"most {LARGEST_SIDE} px are possible"
            )


def load_painter(
    args: argparse.Namespace, generator: AttLWBGenerator, device: torch.device
) -> AttLWBGenerator | None:
    """The generator whose background network --fill generator uses; None for other fills."""
    path = args.background_generator
    if args.fill != "generator":
        if path is not None:
            raise InputError(f"--background-generator {path} is for --fill generator only")
        return None
    painter = generator if path is None else load_generator(path)
    with about(path or f"--generator {args.generator}"):
        check_method("generator", painter)
    return painter.to(device)


def load_people(args: argparse.Namespace, job: Job, body: BodyModel) -> list[Sources]:
    """The sources of each person; with --order front, those that show most of it first."""
    people = make_people(job.pictures, body)
    if args.order == "front":
        return [rank_sources(sources, body) for sources in people]
    return people


def render(
    args: argparse.Namespace,
    job: Job,
    sources: Sources,
    body: BodyModel,
    options: ComposeOptions | None = None,
) -> list[Tensor]:
    """Run the chain from sources to a written file; returns a few frames for a contact sheet."""
    targets = make_targets(args, sources, job.clip, body)
    picture, count = targets[0].camera.size, len(targets)
    check_canvas(args, picture)  # again: --order may have put another picture first
    canvas = canvas_size(args, picture)
    with about(f"--motion {args.motion}") if args.motion else nullcontext():
        flow = compose(
            sources, join(targets), body, args.size, args.frame, canvas, options, count
        )  # fmt: skip
    views = split(flow, count)
    backdrops = given_backdrops(args, job, views)
    generator = job.generator
    if args.personalize:
        with tqdm(total=args.personalize, desc="personalize", unit="step") as bar:
            generator, _ = personalize(
                generator, sources, body, args.personalize, seed=args.seed, size=args.size,
                progress=lambda step, total, loss, preview: bar.update(1),
            )  # fmt: skip
    if backdrops is None:
        picture = fill_behind(args, job, sources, body)
        backdrops = [place_background(picture[None], view, "cover") for view in views]
    return write_frames(args, job, generator, views, backdrops)


def split(flow: LazyFlow, parts: int) -> list[LazyFlow]:
    """A flow of targets one after the other as one flow each, of the same prepared sources."""
    length = len(flow) // parts
    spans = [slice(k * length, (k + 1) * length) for k in range(parts)]
    return [
        replace(flow, target=flow.target.select(span), framing=flow.framing.select(span))
        for span in spans
    ]


def given_backdrops(
    args: argparse.Namespace, job: Job, views: list[LazyFlow]
) -> list[Backdrop] | None:
    """What lies behind each view, as far as it is given; None = it must be filled."""
    if args.alpha:
        return [None] * len(views)
    if job.background is None:
        return None
    clip, fit = job.background, args.background_fit
    with about(f"--background {args.background}"):
        if clip.fps is not None:
            return [VideoBackground(clip, view, fit) for view in views]
        picture = next(clip.frames())[None]
        return [place_background(picture, view, fit) for view in views]


def fill_behind(
    args: argparse.Namespace, job: Job, sources: Sources, body: BodyModel
) -> Tensor:  # fmt: skip
    """(3, H, W): the first source's picture without its person."""
    with tqdm(total=100, desc="background", unit="%") as bar:
        return source_background(
            sources[0], body, args.fill, seed=args.seed,
            progress=lambda share: bar.update(int(share * 100) - bar.n),
            generator=job.painter, device=job.device,
        )  # fmt: skip


def write_frames(
    args: argparse.Namespace,
    job: Job,
    generator: AttLWBGenerator,
    views: list[LazyFlow],
    backdrops: list[Backdrop],
) -> list[Tensor]:
    """Paint and write every frame that is not kept already; returns SHOWN of them."""
    total, kept = len(views[0]), []
    wanted = {round(k * (total - 1) / (SHOWN - 1)) for k in range(SHOWN)}
    frame = job.output.done
    with (
        job.output as output,
        tqdm(total=total, initial=frame, desc="generate", unit="frame") as bar,
    ):
        for images, mattes in paint(args, job, generator, views, backdrops, frame):
            output.write(images, mattes if args.alpha else None)
            kept += [image.clone() for k, image in enumerate(images, frame) if k in wanted]
            frame += len(images)
            bar.update(len(images))
    return kept


def paint(
    args: argparse.Namespace,
    job: Job,
    generator: AttLWBGenerator,
    views: list[LazyFlow],
    backdrops: list[Backdrop],
    start: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and mattes of the frames from ``start`` on."""
    if start == len(views[0]):  # the last run was cut short when only the file was to be finished
        return iter(())
    pieces = [
        generate(
            generator, view, backdrop, args.chunk, job.device, start=start,
            temporal=args.temporal,
        )
        for view, backdrop in zip(views, backdrops, strict=True)
    ]  # fmt: skip
    return pieces[0] if len(pieces) == 1 else side_by_side(pieces)


def side_by_side(
    views: list[Iterator[tuple[Tensor, Tensor]]],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Frames of several generators in one row, (1, C, H, W * views): one at a time, since each
    generator takes as many at a time as it has memory for."""

    def single(pieces):
        for images, mattes in pieces:
            yield from zip(images[:, None], mattes[:, None], strict=True)

    for frames in zip(*map(single, views), strict=True):
        yield tuple(torch.cat(row, -1) for row in zip(*frames, strict=True))
