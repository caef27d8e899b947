"""The command ``recover``: bodies of the people in a picture or a video, as files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from ..body.files import load_body_model, save_params
from ..body.model import BodyModel
from ..body.params import SmplParams
from ..clips import VIDEOS, Clip, open_clip
from ..errors import InputError
from ..files import check_writable, make_folder
from ..pictures import CONTAINERS, check_picture_name, contact_sheet, read_mask, write_image
from ..recovery.exporters import save_amass
from ..recovery.people import choose_people, track_people
from ..recovery.recover import RecoveredPerson, recover_people
from ..render.shading import overlay
from ..video import FrameOutput, open_output

METHODS = ("keypoints", "spin")
FORMATS = ("npz", "amass")
SHEET = 8  # frames of a clip on a contact sheet


def add_recover(commands) -> None:
    """Register the command with an argparse subparsers object."""
    one = commands.add_parser("recover", help="recover 3D bodies from a picture or a video")
    add = one.add_argument
    add("--image", type=Path, required=True, metavar="IMG|VIDEO")
    add("--keypoints", type=Path, metavar="JSON",
        help="OpenPose POSE_KEYPOINT json, one entry per frame")  # fmt: skip
    add("--mask", type=Path, metavar="IMG", help="mask of the person in the first frame: who")
    add("--person", default="largest", metavar="WHO",
        help="largest (default), all, only, a number from 0, or X,Y px on the person")  # fmt: skip
    add("--method", choices=METHODS, default="keypoints",
        help="spin: the official regressor, moved onto the keypoints if there are any")  # fmt: skip
    add("--regressor", type=Path, metavar="FILE", help="SPIN checkpoint, for --method spin")
    add("--body-model", default="open", metavar="FILE",
        help="SMPL, SMPL-H or SMPL-X file; default: the built-in open body")  # fmt: skip
    add("--fps", type=float, help="frames per second (default: the video's, else 30)")
    add("--focal", type=float, metavar="PX", help="focal length in pixels, if known")
    add("--tight-clothing", action="store_true", help="fit the outline of --mask too")
    add("--single-pictures", action="store_true", help="do not join the frames over time")
    add("--format", choices=FORMATS, default="npz", help="npz: all of it; amass: for others")
    add("--output", type=Path, required=True, metavar="BODY.npz")
    add("--overlay", type=Path, metavar="PNG|MP4", help="the bodies drawn over the picture")
    one.set_defaults(run=run_recover)


def run_recover(args: argparse.Namespace) -> None:
    if args.output.suffix.lower() != ".npz":
        raise InputError(f"--output {args.output}: bodies are saved as .npz")
    check_writable(args.output)
    clip = open_clip(args.image)
    fps = clip.fps or 30.0 if args.fps is None else args.fps
    if not 0.1 <= fps <= 1000:
        raise InputError(f"--fps {fps:g}: fps must be 0.1 to 1000")
    video = check_overlay(args.overlay, clip, fps)
    body = load_body_model(args.body_model)
    mask = None if args.mask is None else read_mask(args.mask, clip.size)
    people = find_people(args, clip, body, mask, fps)
    make_folder(args.output.parent)
    for person in people:
        path = args.output
        if len(people) > 1:
            path = path.with_name(f"{path.stem}_{person.params.track}{path.suffix}")
        (save_params(path, person.params) if args.format == "npz"
         else save_amass(path, person.params, body))  # fmt: skip
        print(person.report())
        print(f"wrote {path}")
    if args.overlay is not None:
        draw_overlay(args.overlay, video, clip, body, [person.params for person in people])
        print(f"wrote {args.overlay}")


def check_overlay(path: Path | None, clip: Clip, fps: float) -> FrameOutput | None:
    """The output of a video overlay; None for a picture or none."""
    if path is None:
        return None
    if path.suffix.lower() not in VIDEOS:
        check_picture_name(path)
        return None
    if path.suffix.lower() not in CONTAINERS or clip.fps is None:
        raise InputError(f"--overlay {path}: use .png, or .mp4 for a video")
    return open_output(path, fps, clip.count, keep=False)


def find_people(
    args: argparse.Namespace, clip: Clip, body: BodyModel, mask: Tensor | None, fps: float
) -> tuple[RecoveredPerson, ...]:
    if args.method == "keypoints":
        if args.regressor is not None:
            raise InputError("--regressor is for --method spin")
        if args.keypoints is None:
            raise InputError(
                f"--image {args.image} needs --keypoints JSON (OpenPose keypoints, as DWPose or "
                "SDPose nodes and OpenPose write them), or --method spin with a --regressor FILE"
            )
        who = person_choice(args.person, mask)
        if args.tight_clothing and clip.count > 1:
            raise InputError("--tight-clothing needs the outline in every frame; give one picture")
        with progress_bar("fit", clip.count) as report:
            return recover_people(
                args.keypoints, body, clip.size, clip.count, **who,
                mask=None if mask is None else mask[None], fps=fps, focal=args.focal,
                tight=args.tight_clothing, smooth=not args.single_pictures, progress=report,
            )  # fmt: skip
    return find_by_regressor(args, clip, body, mask, fps)


def find_by_regressor(
    args: argparse.Namespace, clip: Clip, body: BodyModel, mask: Tensor | None, fps: float
) -> tuple[RecoveredPerson, ...]:
    from ..recovery.regressor.files import WHERE_TO_GET, load_regressor
    from ..recovery.regressor.recover import recover_person

    if args.regressor is None:
        raise InputError(f"--method spin needs --regressor FILE: {WHERE_TO_GET}")
    for option in ("focal", "tight_clothing", "single_pictures"):
        if getattr(args, option):
            raise InputError(f"--{option.replace('_', '-')} is for --method keypoints")
    regressor = load_regressor(args.regressor)
    tracks = [None]
    if args.keypoints is not None:
        who = person_choice(args.person, mask)
        tracks = choose_people(track_people(args.keypoints, clip.size), mask=mask, **renamed(who))
    elif args.person != "largest":
        raise InputError("--person needs --keypoints to tell people apart")
    if mask is not None and clip.count > 1 and tracks == [None]:
        raise InputError("--mask says where the person is in the first frame only; a video needs "
                         "--keypoints")  # fmt: skip
    people = []
    for track in tracks:
        with progress_bar("network", clip.count) as report:
            params, messages = recover_person(
                regressor, clip, body, None if mask is None else mask[None],
                track and track.keypoints, report, fps=fps,
            )  # fmt: skip
        if track is not None:
            params = replace(params, track=track.number)
        people.append(RecoveredPerson(params, None, messages))
    return tuple(people)


def renamed(who: dict) -> dict:
    return {"how": who["who"], "index": who["number"], "point": who["point"]}


def person_choice(text: str, mask: Tensor | None) -> dict:
    """--person as arguments of ``recover_people``; a mask decides where it says nothing else."""
    choice = {"who": text, "number": 0, "point": None}
    if text in ("largest", "all", "only"):
        return {**choice, "who": "mask"} if text == "largest" and mask is not None else choice
    if text.isdecimal():
        return {**choice, "who": "index", "number": int(text)}
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--person {text}: use largest, all, only, a number from 0, or X,Y in pixels"
        ) from None
    return {**choice, "who": "point", "point": (x, y)}


class progress_bar:
    """``with progress_bar(name, count) as report: report(done, total)``."""

    def __init__(self, name: str, count: int) -> None:
        self.bar = tqdm(total=count, desc=name, unit="frame")

    def __enter__(self) -> Callable[[int, int], None]:
        return self.report

    def report(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def __exit__(self, *error) -> None:
        self.bar.close()


def draw_overlay(
    path: Path,
    video: FrameOutput | None,
    clip: Clip,
    body: BodyModel,
    people: Sequence[SmplParams],
) -> None:
    """Everybody over every frame as a video, over a few of them as a contact sheet."""
    if video is not None:
        with video, tqdm(total=clip.count, desc="overlay", unit="frame") as bar:
            for picture in drawn_frames(clip, body, people):
                video.write(picture[None])
                bar.update()
        return
    shown = {round(k * (clip.count - 1) / (SHEET - 1)) for k in range(SHEET)}
    pictures = list(drawn_frames(clip, body, people, shown))
    if len(pictures) == 1:
        write_image(path, pictures[0])
        return
    half = (len(pictures) + 1) // 2
    write_image(path, contact_sheet([pictures[:half], pictures[half:]]))


def drawn_frames(
    clip: Clip, body: BodyModel, people: Sequence[SmplParams], only: set[int] | None = None
) -> Iterator[Tensor]:
    for frame, image in enumerate(clip.frames()):
        if only is not None and frame not in only:
            continue
        picture = image[None]
        for params in people:
            picture = overlay(picture, body, params.select([frame]))
        yield picture[0]
