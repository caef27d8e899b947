"""The command ``view``: a pictured person from other sides."""

from __future__ import annotations

from .imitate import run_imitate
from .options import add_output, add_shared
from .sources import add_sources
from .target import add_motion, add_views


def add_view(commands) -> None:
    """Register the command with an argparse subparsers object."""
    one = commands.add_parser(
        "view", help="a pictured person from other sides: a view, a turntable, bullet time"
    )
    add = one.add_argument
    add_sources(add)
    add_views(add)
    add_motion(add, required=False)
    add_output(add)
    add_shared(add)
    one.set_defaults(run=run_imitate)
