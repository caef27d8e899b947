"""Which output a path asks for."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
from torch import Tensor

from ..errors import InputError
from ..files import check_writable
from ..pictures import CONTAINERS, check_picture_name, check_rate
from .h264 import H264Output
from .output import FrameOutput
from .sound import Sound, open_sound
from .stills import PictureOutput, SequenceOutput, WebpOutput

TRANSPARENT = (".png", ".webp", ".tif", ".tiff")


def open_output(
    path: str | os.PathLike,
    fps: float,
    frames: int,
    *,
    alpha: bool = False,
    audio: Path | tuple[Tensor, int] | None = None,
    resume: bool = False,
    job: str = "",
    keep: bool = True,
) -> FrameOutput:
    """The output that ``path`` asks for. Checks everything that can be; nothing is written yet.

    path: .mp4, .mov or .mkv (H.264; an odd side gets its last row or column twice, as that format
    takes even ones only), .webp (animated), a folder (000000.png, ...), or, of one frame, a
    picture. fps: frames per second. frames: how many there will be. alpha: with transparency,
    straight colour; not in videos. audio: a file whose sound goes with a video, from its beginning
    to the end of the pictures, or a waveform (C, N) in [-1, 1] and its samples per second.
    resume: keep the frames of an interrupted run. job: what makes the pictures, as a text: only the
    same job is continued, and a run without one leaves no more than can be looked at. keep: whether
    an interrupted run leaves its finished frames.

    Raises InputError with a sentence for whatever is not possible.
    """
    check_rate(float(fps))
    if frames < 1:
        raise InputError(f"output {path}: there are no frames to write")
    kind = form(path, frames)
    path = Path(path)
    if alpha and kind != "folder" and path.suffix.lower() not in TRANSPARENT:
        raise InputError(
            f"output {path}: {path.suffix} has no transparency; use .webp, or a folder for "
            "numbered PNG pictures"
        )
    if audio is not None and kind != "video":
        raise InputError(f"output {path} holds no sound; use .mp4, .mov or .mkv")
    sound: Sound | None = None if audio is None else open_sound(audio)
    options = (path, fps, frames, alpha, resume, job, keep)
    if kind == "folder":
        return SequenceOutput(*options)
    check_writable(path)
    if kind == "video":
        return H264Output(*options, sound=sound)
    return WebpOutput(*options) if kind == "webp" else PictureOutput(*options[:-1], keep=False)


def form(path: str | os.PathLike, frames: int) -> str:
    """How ``path`` is written: "video", "webp", "folder" or "picture"; InputError if not at all."""
    text, path = os.fspath(path), Path(path)
    suffix = path.suffix.lower()
    if suffix in CONTAINERS:
        return "video"
    if not suffix or text.endswith(("/", os.sep)) or path.is_dir():
        return "folder"
    if frames == 1 and cv2.haveImageWriter(suffix):
        check_picture_name(path)
        return "picture"
    if suffix == ".webp":
        return "webp"
    if cv2.haveImageWriter(suffix) and suffix != ".gif":
        raise InputError(
            f"output {path} is one picture, but there are {frames} frames; give a folder "
            f"({path.with_suffix('')}/) for numbered PNG pictures"
        )
    raise InputError(
        f"output {path}: use a name that ends in .mp4, .mov, .mkv or .webp, or a folder for "
        "numbered PNG pictures"
    )
