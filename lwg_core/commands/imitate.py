"""The command ``imitate``: a pictured person does a motion."""

from __future__ import annotations

import argparse

from ..body.open_body import open_body
from .job import load_people, open_job, render
from .options import add_output, add_shared
from .sources import add_sources, given_person
from .target import NO_VIEWS, add_motion


def add_imitate(commands) -> None:
    """Register the command with an argparse subparsers object."""
    one = commands.add_parser("imitate", help="a pictured person does a motion")
    add = one.add_argument
    add_sources(add)
    add_motion(add, required=True)
    add_output(add, still=False)
    add_shared(add)
    one.set_defaults(run=run_imitate, **NO_VIEWS)


def run_imitate(args: argparse.Namespace) -> None:
    job, body = open_job(args, [given_person(args)], args.output), open_body()
    (sources,) = load_people(args, job, body)
    render(args, job, sources, body)
    print(f"wrote {args.output}")
