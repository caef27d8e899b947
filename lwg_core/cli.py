"""Command line: imitate, view, transfer, recover, synth, motions, evaluate, weights, demo.

Exit code 0 = done, 2 = bad input, told in one sentence, 130 = interrupted.
"""

from __future__ import annotations

import argparse
import logging
import sys

import cv2

from . import __version__
from .commands.demo import add_demo
from .commands.evaluate import add_evaluate
from .commands.imitate import add_imitate
from .commands.people import add_people
from .commands.recover import add_recover
from .commands.transfer import add_transfer
from .commands.view import add_view
from .commands.weights import add_weights
from .errors import InputError

COMMANDS = (
    add_imitate,
    add_view,
    add_transfer,
    add_recover,
    add_people,
    add_evaluate,
    add_weights,
    add_demo,
)


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="python -m lwg_core", description="Human image synthesis with Liquid Warping."
    )
    root.add_argument("--version", action="version", version=__version__)
    commands = root.add_subparsers(dest="command", required=True)
    for add in COMMANDS:
        add(commands)
    return root


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 = done, 2 = bad input, 130 = interrupted."""
    args = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # What OpenCV says about broken pictures comes in our own words.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        args.run(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # what was kept of a clip has been said where it was kept
        print("interrupted", file=sys.stderr)
        return 130
    return 0
