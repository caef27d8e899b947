"""Command line: imitate, recover, motions, synth, demo. Exit code 2, one sentence for bad input."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
from torch import Tensor
from tqdm import tqdm

from . import __version__
from .background import METHODS, check_method
from .body.files import load_params
from .body.model import BodyModel
from .body.open_body import open_body
from .body.params import SmplParams
from .cli_recover import add_recover
from .errors import InputError
from .files import make_folder
from .flow.source import MAX_SOURCES, Source
from .flow.targets import CAMERA_STRATEGIES, imitate
from .networks.generator import AttLWBGenerator
from .pictures import (
    VideoWriter,
    check_rate,
    contact_sheet,
    read_image,
    read_mask,
    write_image,
)
from .pipeline import (
    check_generator,
    check_size,
    compose,
    generate,
    make_source,
    place_background,
    recover,
    source_background,
    with_offsets,
)
from .recovery.importers import load_motion_file
from .recovery.keypoints import Keypoints, parse_pose_keypoints
from .synthetic.motions import MOTIONS, motion
from .synthetic.people import SEEDS_PER_CALL, write_people
from .training.personalize import MOST_STEPS, personalize
from .weights import load_generator

log = logging.getLogger(__name__)

DEVICES = ("cpu", "cuda", "mps", "xpu")
MOST_FRAMES = 100_000  # almost an hour
MOST_SEED = 2**31 - 1


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="python -m lwg_core", description="Human image synthesis with Liquid Warping."
    )
    root.add_argument("--version", action="version", version=__version__)
    commands = root.add_subparsers(dest="command", required=True)

    one = commands.add_parser("imitate", help="a pictured person does a motion")
    add = one.add_argument
    add("--source", type=Path, action="append", required=True, metavar="IMG",
        help="picture of the person; repeat for up to 8 pictures")  # fmt: skip
    add("--mask", type=Path, action="append", default=[], metavar="IMG",
        help="mask of each picture, white = person; estimated when left out")  # fmt: skip
    add("--keypoints", type=Path, action="append", default=[], metavar="JSON",
        help="OpenPose POSE_KEYPOINT json of each picture")  # fmt: skip
    add("--body", type=Path, action="append", default=[], metavar="NPZ",
        help="recovered body of each picture, instead of keypoints")  # fmt: skip
    add("--motion", required=True, metavar="NAME_OR_FILE",
        help="built-in clip (see 'motions') or a file: ours, AMASS, 4D-Humans, WHAM, GVHMR, "
        "EasyMocap, BVH")  # fmt: skip
    add("--output", type=Path, required=True, metavar="OUT.mp4")
    add("--camera", choices=CAMERA_STRATEGIES, default="travel")
    _shared(add)
    one.set_defaults(run=run_imitate)

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

    add_recover(commands)

    demo = commands.add_parser("demo", help="the main job on a built-in person")
    add = demo.add_argument
    add("--output", type=Path, default=Path("demo"), metavar="DIR")
    add("--motion", default="wave")
    _shared(add)
    demo.set_defaults(run=run_demo, frames=60)
    return root


def _shared(add) -> None:
    add("--size", type=int, default=256, help="pixels a side of the result")
    add("--frames", type=int, metavar="N", help="frames of the clip (default: all)")
    add("--personalize", type=int, default=0, metavar="STEPS",
        help="steps of training on the sources first")  # fmt: skip
    add("--generator", default="default", metavar="FILE", help="generator weights")
    add("--background", type=Path, metavar="IMG", help="put the person before this picture")
    add("--fill", choices=METHODS, default="patch",
        help="how the hole behind the person is filled; 'generator': by the background network "
        "of generator weights that have one, as the official ones")  # fmt: skip
    add("--background-generator", type=Path, metavar="FILE",
        help="weights for --fill generator (default: those of --generator)")  # fmt: skip
    add("--device", default="auto", help="auto, cpu, cuda, mps")
    add("--seed", type=int, default=0)


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


def check_range(option: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(f"--{option} {value} is not possible; use {low} to {high}")


@contextmanager
def about(path: Path | str) -> Iterator[None]:
    """Errors name the file that they are about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def load_motion(name: str, frames: int | None) -> SmplParams:
    """A built-in clip by name, or a file; at most ``frames`` frames (built-in clips loop)."""
    if frames is not None:
        check_range("frames", frames, 1, MOST_FRAMES)
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


def check_given(args: argparse.Namespace) -> None:
    """Raise an InputError unless the files given for the sources belong together."""
    count = len(args.source)
    if count > MAX_SOURCES:
        raise InputError(f"{count} --source given; 1 to {MAX_SOURCES} are possible")
    for option, given in (("mask", args.mask), ("body", args.body), ("keypoints", args.keypoints)):
        if given and len(given) != count:
            raise InputError(
                f"{count} --source but {len(given)} --{option}: give one per picture, in order"
            )
    if args.body and args.keypoints:
        raise InputError("--body and --keypoints both say where the body is; give one of them")
    if not args.body and not args.keypoints:
        raise InputError(
            f"--source {args.source[0]} needs to know where the body is: give --keypoints JSON "
            "(OpenPose keypoints, as DWPose or SDPose nodes and OpenPose write them) or --body NPZ "
            "(a body recovered before)"
        )


def load_sources(args: argparse.Namespace, body: BodyModel) -> tuple[Source, ...]:
    """Sources of the command line: picture, body or keypoints, mask, in the order given.

    All files are read, and refused, before the first body is fitted.
    """
    images = [read_image(path) for path in args.source]
    sizes = [(image.shape[1], image.shape[2]) for image in images]
    masks = [read_mask(*pair) for pair in zip(args.mask, sizes, strict=True)] if args.mask else []
    files = args.body or args.keypoints
    if args.body:
        given = [load_params(path) for path in files]
    else:
        given = [read_keypoints(*pair) for pair in zip(files, sizes, strict=True)]
    sources = []
    with tqdm(total=len(images), desc="sources", unit="picture") as bar:
        for i, image in enumerate(images):
            with about(files[i]):
                params = given[i] if args.body else fit_body(files[i], image, given[i], body)
                sources.append(make_source(image, params, body, masks[i] if masks else None))
            bar.update(1)
    return with_offsets(tuple(sources), body)


def read_keypoints(path: Path, size: tuple[int, int]) -> Keypoints:
    """The keypoints of a file, of one picture of (height, width) pixels."""
    with about(path):
        keypoints = parse_pose_keypoints(path, size)
        if len(keypoints) != 1:
            raise InputError(f"POSE_KEYPOINT: {len(keypoints)} frames for one picture; give one")
    return keypoints


def fit_body(path: Path, image: Tensor, keypoints: Keypoints, body: BodyModel) -> SmplParams:
    """The body whose keypoints in ``image`` (3, H, W) the file ``path`` held."""
    fit = recover(image, keypoints, body)
    log.info("%s: body fitted, %.1f px mean error", path, float(fit.error_px[0]))
    if not bool(fit.params.valid[0]):
        raise InputError(f"no body could be fitted: {fit.messages[0]}")
    return fit.params


@dataclass(frozen=True)
class Job:
    """What a clip is made with, beside its sources. painter: whose network fills the background."""

    device: torch.device
    clip: SmplParams
    video: VideoWriter
    generator: AttLWBGenerator
    painter: AttLWBGenerator | None
    background: Tensor | None


def open_job(args: argparse.Namespace, output: Path) -> Job:
    """Look at every option before the work begins."""
    check_size(args.size)
    check_range("personalize", args.personalize, 0, MOST_STEPS)
    check_range("seed", args.seed, 0, MOST_SEED)
    device = choose_device(args.device)
    clip = load_motion(args.motion, args.frames)
    video = VideoWriter(output, clip.fps)
    background = None if args.background is None else read_image(args.background)
    generator = load_generator(args.generator)
    with about(args.generator):
        check_generator(generator)
    painter = load_painter(args, generator, device)
    return Job(device, clip, video, generator.to(device), painter, background)


def load_painter(
    args: argparse.Namespace, generator: AttLWBGenerator, device: torch.device
) -> AttLWBGenerator | None:
    """The generator whose background network --fill generator uses; None for other fills."""
    path = args.background_generator
    if args.fill != "generator":
        if path is not None:
            raise InputError(f"--background-generator {path} is for --fill generator only")
        return None
    painter = generator if path is None else load_generator(path)
    with about(path or f"--generator {args.generator}"):
        check_method("generator", painter)
    return painter.to(device)


def render_clip(
    args: argparse.Namespace, job: Job, sources: tuple[Source, ...], body: BodyModel, camera: str
) -> list[Tensor]:
    """Run the chain to a video; returns a few frames for a contact sheet."""
    with about(f"--motion {args.motion}"):
        target = imitate(sources[0].params, job.clip, body, camera, sources[0].offsets)
        flow = compose(sources, target, body, args.size)
    generator, picture = job.generator, job.background
    if args.personalize:
        with tqdm(total=args.personalize, desc="personalize", unit="step") as bar:
            generator, _ = personalize(
                generator, sources, body, args.personalize, seed=args.seed, size=args.size,
                progress=lambda step, total, loss, preview: bar.update(1),
            )  # fmt: skip
    if picture is None:
        with tqdm(total=100, desc="background", unit="%") as bar:
            picture = source_background(
                sources[0], body, args.fill, seed=args.seed,
                progress=lambda share: bar.update(int(share * 100) - bar.n),
                generator=job.painter,
            )  # fmt: skip
    background = place_background(picture[None], flow)
    keep = {round(k * (len(flow) - 1) / 5) for k in range(6)}
    kept, frame = [], 0
    with job.video as video, tqdm(total=len(flow), desc="generate", unit="frame") as bar:
        for images, _ in generate(generator, flow, background, device=job.device):
            video.write(images)
            for image in images:
                if frame in keep:
                    kept.append(image)
                frame += 1
            bar.update(len(images))
    return kept


def run_imitate(args: argparse.Namespace) -> None:
    check_given(args)
    job, body = open_job(args, args.output), open_body()
    render_clip(args, job, load_sources(args, body), body, args.camera)
    print(f"wrote {args.output}")


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


def run_demo(args: argparse.Namespace) -> None:
    """Synthetic person, body fitted from its keypoints, built-in motion."""
    video = args.output / f"{Path(args.motion).stem}.mp4"
    sheet = video.with_suffix(".png")
    job, body = open_job(args, video), open_body()
    pictures = write_people(1, args.output / "person", seed=args.seed, size=512, pictures=2)
    options = argparse.Namespace(
        **vars(args),
        source=pictures,
        mask=[p.with_name(p.stem + "_mask.png") for p in pictures],
        keypoints=[p.with_suffix(".json") for p in pictures],
        body=[],
    )
    sources = load_sources(options, body)
    frames = render_clip(options, job, sources, body, "travel")
    shown = [_square(source.image, args.size) for source in sources]
    write_image(sheet, contact_sheet([shown + frames]))
    print(f"wrote {video} and the contact sheet {sheet}")


def _square(image: Tensor, size: int) -> Tensor:
    return torch.nn.functional.interpolate(image[None], (size, size), mode="area")[0]


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
    except KeyboardInterrupt:
        print("interrupted; nothing was left half-written", file=sys.stderr)
        return 130
    return 0
