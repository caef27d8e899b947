"""The command ``weights check``: what a file is, before it is given to anything."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..recognition import SUPPORTED, recognise


def add_weights(commands) -> None:
    """Register the command with an argparse subparsers object."""
    weights = commands.add_parser("weights", help="files of weights, bodies and motions")
    actions = weights.add_subparsers(dest="action", required=True)
    check = actions.add_parser(
        "check",
        help="say what a file is",
        description=f"Say what a file is. Known are {SUPPORTED}.",
    )
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(run=run_check)


def run_check(args: argparse.Namespace) -> None:
    found = recognise(args.file)
    print(f"{args.file.name}: {found.what}\n  shape: {found.shape}\n  for: {found.purpose}")
