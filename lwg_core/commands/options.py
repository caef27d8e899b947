"""Arguments that several commands share, and the checks of their values."""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path

import torch
from torch import Tensor

from .. import __version__
from ..background import METHODS
from ..body.params import SmplParams
from ..compositing import FITS, same_aspect
from ..errors import InputError
from ..flow.framing import FRAMES
from ..pictures import LARGEST_SIDE, SMALLEST_SIDE
from ..pipeline import check_size, scaled_canvas
from ..training.personalize import MOST_STEPS
from ..weights import DEFAULT_GENERATOR

DEVICES = ("cpu", "cuda", "mps", "xpu")
ORDERS = ("added", "front")
MOST_FRAMES = 100_000  # almost an hour
MOST_CHUNK = 1024
MOST_SEED = 2**31 - 1
BLOCK = 1 << 20  # bytes of a file read at a time
# What says where or how fast the pictures are written, not what is in them.
NOT_IN_PICTURES = {"command", "run", "output", "resume", "chunk", "device", "audio", "fps"}


def add_shared(add) -> None:
    """Arguments of every command that paints people. add: ``add_argument`` of its parser."""
    add("--size", type=int, default=256, metavar="PX",
        help="side of the square that the network paints, 64 to 2048; the built-in weights are "
        "made for 256, larger shows more of what the pictures hold")  # fmt: skip
    add("--frame", choices=FRAMES, default="square",
        help="square: a square around the person; full: the whole picture of the first source "
        "(with --camera copy: of the motion), at its own resolution")  # fmt: skip
    add("--canvas", metavar="WxH", help="size of the full frame, instead of the picture's")
    add("--longest-side", type=int, metavar="PX", help="longer side of the full frame")
    add("--frames", type=int, metavar="N", help="frames of the motion (default: all)")
    add("--fps", type=float, help="frames per second (default: the motion's)")
    add("--personalize", type=int, default=0, metavar="STEPS",
        help="steps of training on the sources first")  # fmt: skip
    add("--generator", default="default", metavar="FILE", help="generator weights")
    add("--background", type=Path, metavar="IMG|VIDEO",
        help="put the person before this picture, or before this video frame by frame")  # fmt: skip
    add("--background-fit", choices=FITS, default="same",
        help="same: it has the proportions of the frame; cover: it is cut to them")  # fmt: skip
    add("--fill", choices=METHODS, default="patch",
        help="how the hole behind the person is filled; 'generator': by the background network "
        "of generator weights that have one, as the official ones")  # fmt: skip
    add("--background-generator", type=Path, metavar="FILE",
        help="weights for --fill generator (default: those of --generator)")  # fmt: skip
    add("--alpha", action="store_true",
        help="transparent background, for PNG and WebP")  # fmt: skip
    add("--audio", type=Path, metavar="FILE", help="the sound of this file, for a video")
    add("--resume", action="store_true", help="go on with what an interrupted run has kept")
    add("--chunk", type=int, metavar="N",
        help="frames computed at a time (default: by free memory)")  # fmt: skip
    add("--temporal", action="store_true", 
        help="each frame sees the one before (for weights trained with it: the built-in ones "
        "become slower, not steadier)")  # fmt: skip
    add("--order", choices=ORDERS, default="added",
        help="front: the source that shows most of the front comes first")  # fmt: skip
    add("--device", default="auto", help=f"auto, {', '.join(DEVICES)}")
    add("--seed", type=int, default=0)


def add_output(add, still: bool = True) -> None:
    """--output of a command that may make a single picture (``still``), or clips only."""
    picture = ".png or .jpg for one picture; " if still else ""
    add("--output", type=Path, required=True, metavar="OUT",
        help=f"{picture}.mp4, .mov, .mkv, .webp, or a folder for PNG files")  # fmt: skip


def check_shared(args: argparse.Namespace) -> None:
    """Raise an InputError unless the values of ``add_shared`` are possible, and so together."""
    check_size(args.size)
    check_range("personalize", args.personalize, 0, MOST_STEPS)
    check_range("seed", args.seed, 0, MOST_SEED)
    if args.frames is not None:
        check_range("frames", args.frames, 1, MOST_FRAMES)
    if args.chunk is not None:
        check_range("chunk", args.chunk, 1, MOST_CHUNK)
    if args.fps is not None and not 0.1 <= args.fps <= 1000:
        raise InputError(f"--fps {args.fps:g} is not possible; use 0.1 to 1000")
    for option in ("canvas", "longest_side"):
        if getattr(args, option) is not None and args.frame != "full":
            raise InputError(f"--{option.replace('_', '-')} is for --frame full only")
    if args.canvas is not None:
        if args.longest_side is not None:
            raise InputError("--canvas and --longest-side both say the size; give one of them")
        parse_canvas(args.canvas)
    if args.longest_side is not None:
        check_range("longest-side", args.longest_side, SMALLEST_SIDE, LARGEST_SIDE)
    if args.background_fit != "same" and args.background is None:
        raise InputError(f"--background-fit {args.background_fit} is for --background only")
    if args.alpha and args.background is not None:
        raise InputError("--alpha leaves the background out; give it or --background")


def check_range(option: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"--{option} {value} is not possible; use {low} to {high}")


def check_finite(option: str, value: float) -> None:
    if not math.isfinite(value):
        raise InputError(f"--{option} {value} is not finite; give it in degrees")


def parse_canvas(text: str) -> tuple[int, int]:
    """'WxH' as (height, width)."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        raise InputError(f"--canvas {text}: use WIDTHxHEIGHT in pixels, as 1280x720")
    width, height = map(int, sides)
    if not SMALLEST_SIDE <= min(width, height) <= max(width, height) <= LARGEST_SIDE:
        raise InputError(
            f"--canvas {text} is not possible; sides of {SMALLEST_SIDE} to {LARGEST_SIDE} px are"
        )
    return height, width


def check_canvas(args: argparse.Namespace, picture: tuple[int, int]) -> None:
    """Raise an InputError unless the full frame is like the picture (h, w) that it shows."""
    size = canvas_size(args, picture)
    if size is None:
        return
    (height, width), (rows, columns) = size, picture
    if min(size) < SMALLEST_SIDE:
        raise InputError(
            f"--longest-side {args.longest_side} makes a frame of {width}x{height} px; at least "
            f"{SMALLEST_SIDE} px a side are needed"
        )
    if not same_aspect(size, picture):
        raise InputError(
            f"--canvas {args.canvas} has other proportions than the picture, {columns}x{rows} px"
        )


def canvas_size(args: argparse.Namespace, picture: tuple[int, int]) -> tuple[int, int] | None:
    """(height, width) of the full frame, from that of the picture that it shows; None = that."""
    if args.canvas is not None:
        return parse_canvas(args.canvas)
    return None if args.longest_side is None else scaled_canvas(picture, args.longest_side)


def choose_device(name: str) -> torch.device:
    """The device of a name; "auto" is the fastest there is."""
    if name == "auto":
        cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
        name = "cuda" if cuda else "mps" if mps else "cpu"
    if name.partition(":")[0] not in DEVICES:
        raise InputError(f"--device {name} is not known; use auto, {', '.join(DEVICES)}")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name} is not available on this machine") from error


@contextmanager
def about(path: Path | str) -> Iterator[None]:
    """Errors name the file that they are about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def job_key(args: argparse.Namespace, clip: SmplParams | None) -> str:
    """sha256 of all that the pictures depend on: bytes of files, the motion, options.

    Two runs with one key make the same frames, so that one may go on where the other stopped.
    """
    digest = hashlib.sha256(__version__.encode())

    def add(value: object) -> None:
        if isinstance(value, Path):
            with open(value, "rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
            digest.update(b"%d " % value.stat().st_size)
        elif isinstance(value, Tensor):
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        elif is_dataclass(value):
            add([getattr(value, field.name) for field in fields(value)])
        elif isinstance(value, (list, tuple)):
            digest.update(b"%d " % len(value))
            for one in value:
                add(one)
        else:
            digest.update(repr(value).encode() + b" ")

    for name, value in sorted(vars(args).items()):
        if name == "motion" and clip is not None:
            camera = clip.camera
            value = [clip.pose, clip.valid, clip.fps, clip.betas]
            if camera is not None:
                value += [camera.scale, camera.center, camera.size, camera.focal, camera.principal]
        elif name == "generator":
            value = DEFAULT_GENERATOR if value == "default" else Path(value)
        if name not in NOT_IN_PICTURES:
            digest.update(name.encode())
            add(value)
    return digest.hexdigest()
