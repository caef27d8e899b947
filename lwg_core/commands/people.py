"""The commands ``synth`` and ``motions``: people and clips to try things on."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from ..files import make_folder
from ..synthetic.motions import MOTIONS, motion
from ..synthetic.people import SEEDS_PER_CALL, write_people
from .options import MOST_SEED, check_range


def add_people(commands) -> None:
    """Register the commands with an argparse subparsers object."""
    clips = commands.add_parser("motions", help="list the built-in clips")
    clips.set_defaults(run=run_motions)

    people = commands.add_parser("synth", help="write synthetic people to try things on")
    add = people.add_argument
    add("--identities", type=int, default=1, metavar="N")
    add("--pictures", type=int, default=4, help="pictures of each")
    add("--out", type=Path, required=True, metavar="DIR")
    add("--size", type=int, default=512)
    add("--seed", type=int, default=0)
    people.set_defaults(run=run_synth)


def run_motions(args: argparse.Namespace) -> None:
    for name in MOTIONS:
        clip = motion(name)
        print(f"{name:8s} {len(clip):4d} frames at {clip.fps:g} fps")


def run_synth(args: argparse.Namespace) -> None:
    check_range("identities", args.identities, 1, SEEDS_PER_CALL)
    check_range("pictures", args.pictures, 1, 1000)
    check_range("size", args.size, 64, 2048)
    check_range("seed", args.seed, 0, MOST_SEED)
    make_folder(args.out)
    with tqdm(total=args.identities * args.pictures, unit="picture") as bar:
        write_people(
            args.identities, args.out, args.seed, args.size, args.pictures,
            progress=lambda done, total: bar.update(done - bar.n),
        )  # fmt: skip
    print(f"wrote {args.identities * args.pictures} pictures to {args.out}")
