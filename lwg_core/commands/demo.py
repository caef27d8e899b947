"""The command ``demo``: the main job on a built-in person."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from torch import Tensor
from torch.nn.functional import interpolate

from ..body.open_body import open_body
from ..pictures import contact_sheet, write_image
from ..synthetic.people import write_people
from .job import check_picture, load_people, open_job, render
from .options import add_shared
from .sources import Person, read_person
from .target import NO_VIEWS, add_motion

SIZE = 512  # px of the person's pictures


def add_demo(commands) -> None:
    """Register the command with an argparse subparsers object."""
    demo = commands.add_parser("demo", help="the main job on a built-in person")
    add = demo.add_argument
    add("--output", type=Path, default=Path("demo"), metavar="DIR")
    add_motion(add, required=False)
    add_shared(add)
    demo.set_defaults(run=run_demo, frames=60, **{**NO_VIEWS, "motion": "wave"})


def run_demo(args: argparse.Namespace) -> None:
    """Synthetic person, body fitted from its keypoints, built-in motion."""
    video = args.output / f"{Path(args.motion).stem}.mp4"
    sheet = video.with_suffix(".png")
    job, body = open_job(args, [], video), open_body()
    check_picture(args, job.clip, (SIZE, SIZE))
    pictures = write_people(1, args.output / "person", seed=args.seed, size=SIZE, pictures=2)
    person = Person(
        "source",
        tuple(pictures),
        masks=tuple(p.with_name(p.stem + "_mask.png") for p in pictures),
        keypoints=tuple(p.with_suffix(".json") for p in pictures),
    )
    (sources,) = load_people(args, replace(job, pictures=[read_person(person)]), body)
    frames = render(args, job, sources, body)
    print(f"wrote {video}")
    if frames:
        shown = [_fitted(source.image, frames[0]) for source in sources]
        write_image(sheet, contact_sheet([shown + frames]))
        print(f"wrote the contact sheet {sheet}")


def _fitted(image: Tensor, frame: Tensor) -> Tensor:
    return interpolate(image[None], frame.shape[-2:], mode="area")[0]
