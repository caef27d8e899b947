"""What is shown: the person in their own pose or a motion, from which side."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..errors import InputError
from ..flow.source import Sources
from ..flow.targets import CAMERA_STRATEGIES, imitate
from ..flow.transfer import worn_offsets
from ..flow.views import (
    MOST_FRAMES,
    POSES,
    bullet_time,
    multi_view,
    novel_view,
    turntable,
    view_rotation,
)
from ..pictures import check_rate
from ..recovery.importers import load_motion_file
from ..render.camera import Camera
from ..synthetic.motions import MOTIONS, motion
from .options import about, check_finite, check_range

STILL_RATE = 12.0  # frames per second of a turntable: 24 of them turn in two seconds
MOST_VIEWS = 16
ANGLES = ("yaw", "pitch", "roll", "turn")
NO_VIEWS = {  # what ``add_views`` would set if nothing was asked
    "yaw": 0.0, "pitch": 0.0, "roll": 0.0, "turntable": None, "turn": 360.0, "views": None,
    "freeze": None, "pose": "own", "front": False, "zoom": 1.0,
}  # fmt: skip


def add_motion(add, required: bool) -> None:
    add("--motion", required=required, metavar="NAME|FILE",
        help="built-in clip (see 'motions') or a file: ours, AMASS, 4D-Humans, WHAM, GVHMR, "
        "EasyMocap, BVH")  # fmt: skip
    add("--camera", choices=CAMERA_STRATEGIES, default="travel",
        help="where the motion takes the person (default: travel)")  # fmt: skip
    add("--no-steady-feet", action="store_true", help="let feet slide as the motion has them")


def add_views(add) -> None:
    add("--yaw", type=float, default=0.0, metavar="DEG",
        help="the person turns to their own left; 90 shows their right side")  # fmt: skip
    add("--pitch", type=float, default=0.0, metavar="DEG",
        help="the viewer rises; 90 looks down from above; with --freeze: halfway "
        "round")  # fmt: skip
    add("--roll", type=float, default=0.0, metavar="DEG", help="the picture turns clockwise")
    add("--turntable", type=int, metavar="N",
        help="N frames around the person, who goes on with the --motion meanwhile")  # fmt: skip
    add("--turn", type=float, default=360.0, metavar="DEG", help="how far --turntable turns")
    add("--views", metavar="DEG,DEG,...", help="these yaws side by side, as 0,90,180")
    add("--freeze", type=int, metavar="FRAME",
        help="bullet time: the --motion stops here, from 0, for the --turntable")  # fmt: skip
    add("--pose", choices=POSES, default="own", help="own, or an upright T-pose or A-pose")
    add("--front", action="store_true", help="angles count from the person's front")
    add("--zoom", type=float, default=1.0, help="enlargement about the person's middle")


def parse_views(text: str) -> list[float]:
    """Yaws in degrees."""
    try:
        yaws = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--views {text}: use angles in degrees, as 0,90,180") from None
    if len(yaws) > MOST_VIEWS:
        raise InputError(f"--views {text}: {len(yaws)} angles; at most {MOST_VIEWS} are possible")
    for yaw in yaws:
        check_finite("views", yaw)
    return yaws


def check_views(args: argparse.Namespace, clip: SmplParams | None) -> None:
    """Raise an InputError unless the view options are possible, and so together."""
    for name in ANGLES:
        check_finite(name, getattr(args, name))
    if not (math.isfinite(args.zoom) and 0 < args.zoom <= 100):
        raise InputError(f"--zoom {args.zoom:g} is not possible; use above 0, at most 100")
    if args.turntable is not None:
        check_range("turntable", args.turntable, 1, MOST_FRAMES)
    elif args.turn != 360:
        raise InputError("--turn is for --turntable only")
    if clip is None:
        for option in ("freeze", "frames"):
            if getattr(args, option) is not None:
                raise InputError(f"--{option} is for --motion only")
    elif args.pose != "own":
        raise InputError("--pose and --motion both say the pose; give one of them")
    if args.freeze is not None:
        if args.turntable is None:
            raise InputError("--freeze needs --turntable N, the frames of its turn")
        if not 0 <= args.freeze < len(clip):
            raise InputError(
                f"--freeze {args.freeze} is no frame of the motion; use 0 to {len(clip) - 1}"
            )
    if args.views is not None:
        parse_views(args.views)
        if args.turntable is not None:
            raise InputError("--views and --turntable both say the angles; give one of them")
        if args.roll:
            raise InputError("--roll is not possible with --views")


def count_frames(args: argparse.Namespace, clip: SmplParams | None) -> int:
    """Frames of what ``make_targets`` makes of checked options."""
    if clip is None:
        return args.turntable or 1
    return len(clip) + (args.turntable if args.freeze is not None else 0)


def frame_rate(args: argparse.Namespace, clip: SmplParams | None) -> float:
    if args.fps is not None:
        return args.fps
    return STILL_RATE if clip is None else clip.fps


def make_targets(
    args: argparse.Namespace, sources: Sources, clip: SmplParams | None, body: BodyModel
) -> tuple[SmplParams, ...]:
    """The first source's person as the options have them: one target per view, of equal length."""
    start, offsets = sources[0].params, worn_offsets(sources, body)
    if clip is not None:
        with about(f"--motion {args.motion}"):
            start = imitate(
                start, clip, body, args.camera, sources[0].offsets, not args.no_steady_feet, offsets
            )
    start = replace(start, fps=frame_rate(args, clip))
    plain = args.pose == "own" and not args.front and args.zoom == 1
    if args.views is not None:
        if not plain:
            start = novel_view(start, body, None, args.pose, args.front, args.zoom, offsets)
        yaws = [args.yaw + yaw for yaw in parse_views(args.views)]
        return multi_view(start, body, yaws, args.pitch, offsets)
    if args.freeze is not None:
        if not plain or args.yaw or args.roll:
            view = view_rotation(args.yaw, 0.0, args.roll)
            start = novel_view(start, body, view, "own", args.front, args.zoom, offsets)
        return (
            bullet_time(
                start, body, args.freeze, args.turntable, args.turn, args.pitch, offsets
            ),
        )  # fmt: skip
    yaw = args.yaw
    if args.turntable is not None:
        yaw = turntable(args.turntable, args.turn, args.yaw)
        if clip is not None:  # a turn of N frames, and on at the same speed
            step = args.turn / args.turntable
            yaw = args.yaw + step * torch.arange(len(clip))
    elif plain and not (args.yaw or args.pitch or args.roll):
        return (start,)
    view = view_rotation(yaw, args.pitch, args.roll)
    return (novel_view(start, body, view, args.pose, args.front, args.zoom, offsets),)


def load_motion(name: str, frames: int | None) -> SmplParams:
    """A built-in clip by name, or a file; at most ``frames`` frames (built-in clips loop)."""
    if name in MOTIONS:
        return motion(name, frames=frames)
    path = Path(name)
    if not path.exists():
        raise InputError(
            f"--motion {name}: neither a built-in clip ({', '.join(MOTIONS)}) nor a file"
        )
    clip = load_motion_file(path)[0]
    with about(path):
        check_rate(clip.fps)
    return clip if frames is None else clip.select(slice(0, frames))


def join(targets: tuple[SmplParams, ...]) -> SmplParams:
    """Targets of one body and one picture, one after the other."""
    if len(targets) == 1:
        return targets[0]
    cameras = [target.camera for target in targets]
    pinhole = cameras[0].focal is not None
    camera = Camera(
        torch.cat([camera.scale for camera in cameras]),
        torch.cat([camera.center for camera in cameras]),
        cameras[0].size,
        torch.cat([camera.focal for camera in cameras]) if pinhole else None,
        torch.cat([camera.principal_point for camera in cameras]) if pinhole else None,
    )
    return replace(
        targets[0],
        pose=torch.cat([target.pose for target in targets]),
        camera=camera,
        confidence=torch.cat([target.confidence for target in targets]),
        valid=torch.cat([target.valid for target in targets]),
    )
