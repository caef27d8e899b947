"""The command ``transfer``: a pictured person wears the clothes of others."""

from __future__ import annotations

import argparse

from ..body.open_body import open_body
from ..errors import InputError
from ..flow.compose import TRANSFERS, ComposeOptions
from ..flow.parts import PART_GROUPS, check_parts
from ..flow.transfer import wear
from .job import load_people, open_job, render
from .options import about, add_output, add_shared
from .sources import Person, add_sources, add_wear, given_person
from .target import add_motion, add_views


def add_transfer(commands) -> None:
    """Register the command with an argparse subparsers object."""
    one = commands.add_parser(
        "transfer",
        help="a pictured person wears the clothes of others, in their own picture, a motion or a "
        "new view",
    )
    add = one.add_argument
    add_sources(add)
    add_wear(add, ", ".join(PART_GROUPS))
    add("--way", choices=TRANSFERS, default=TRANSFERS[0],
        help="flows: each picture feeds its parts to the network (the paper); texture: all "
        "pictures become one texture first (the official code)")  # fmt: skip
    add_motion(add, required=False)
    add_views(add)
    add_output(add)
    add_shared(add)
    one.set_defaults(run=run_transfer)


def run_transfer(args: argparse.Namespace) -> None:
    parts = [wanted_parts(person) for person in args.wear]
    options = ComposeOptions(transfer=args.way)
    job, body = open_job(args, [given_person(args), *args.wear], args.output), open_body()
    sources, *others = load_people(args, job, body)
    for clothes, names in zip(others, parts, strict=True):
        sources = wear(sources, clothes, names)
    render(args, job, sources, body, options)
    print(f"wrote {args.output}")


def wanted_parts(person: Person) -> tuple[str, ...]:
    """The parts that are worn of this person."""
    if not person.pictures:
        raise InputError("--parts belongs after the --wear that it is about")
    if person.parts is None:
        raise InputError(
            f"--wear {person.pictures[-1]} needs --parts after it: one or more of "
            f"{', '.join(PART_GROUPS)}"
        )
    with about(f"--parts {person.parts}"):
        return check_parts(person.parts)
