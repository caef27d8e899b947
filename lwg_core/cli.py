"""Command line: imitate, motions, synth, demo. Exit code 2 and one sentence for bad input."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from . import __version__
from .body.files import load_params
from .body.model import BodyModel
from .body.open_body import open_body
from .body.params import SmplParams
from .errors import InputError
from .flow.source import Source
from .flow.targets import CAMERA_STRATEGIES, imitate
from .pictures import VideoWriter, contact_sheet, read_image, read_mask, write_image
from .pipeline import (
    compose,
    generate,
    make_source,
    place_background,
    recover,
    source_background,
    with_offsets,
)
from .recovery.keypoints import parse_pose_keypoints
from .synthetic.motions import MOTIONS, motion
from .weights import load_generator

log = logging.getLogger(__name__)


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
        help="built-in clip (see 'motions') or an npz of SMPL poses")  # fmt: skip
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

    demo = commands.add_parser("demo", help="the main job on a built-in person")
    add = demo.add_argument
    add("--output", type=Path, default=Path("demo"), metavar="DIR")
    add("--motion", default="wave")
    _shared(add)
    demo.set_defaults(run=run_demo)
    return root


def _shared(add) -> None:
    add("--size", type=int, default=256, help="pixels a side of the result")
    add("--frames", type=int, metavar="N", help="frames of the clip (default: all)")
    add("--personalize", type=int, default=0, metavar="STEPS",
        help="steps of training on the sources first")  # fmt: skip
    add("--generator", default="default", metavar="FILE", help="generator weights")
    add("--background", type=Path, metavar="IMG", help="put the person before this picture")
    add("--fill", choices=("patch", "push_pull", "opencv"), default="patch",
        help="how the hole behind the person is filled")  # fmt: skip
    add("--device", default="auto", help="auto, cpu, cuda, mps")
    add("--seed", type=int, default=0)


def choose_device(name: str) -> torch.device:
    if name != "auto":
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"--device {name} is not available on this machine") from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def load_motion(name: str, frames: int | None) -> SmplParams:
    """A built-in clip by name, or a file; at most ``frames`` frames (built-in clips loop)."""
    if frames is not None and frames < 1:
        raise InputError(f"--frames {frames} is not possible; use 1 or more")
    if name in MOTIONS:
        return motion(name, frames=frames)
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"--motion {name}: neither a built-in clip ({', '.join(MOTIONS)}) nor a file"
        )
    clip = load_params(path)
    return clip if frames is None else clip.select(slice(0, frames))


def load_sources(args: argparse.Namespace, body: BodyModel) -> tuple[Source, ...]:
    """Sources of the command line: picture, body or keypoints, mask, in the order given."""
    count = len(args.source)
    for option, given in (("mask", args.mask), ("body", args.body), ("keypoints", args.keypoints)):
        if given and len(given) != count:
            raise InputError(
                f"{count} --source but {len(given)} --{option}: give one per picture, in order"
            )
    if not args.body and not args.keypoints:
        raise InputError(
            f"--source {args.source[0]} needs to know where the body is: give --keypoints JSON "
            "(OpenPose keypoints, as DWPose or SDPose nodes and OpenPose write them) or --body NPZ "
            "(a body recovered before)"
        )
    sources = []
    for i, path in enumerate(tqdm(args.source, desc="sources", unit="picture")):
        image = read_image(path)
        size = (image.shape[1], image.shape[2])
        if args.body:
            params = load_params(args.body[i])
        else:
            fit = recover(image, parse_pose_keypoints(args.keypoints[i], size), body)
            params = fit.params
            log.info("%s: body fitted, %.1f px mean error", path, float(fit.error_px[0]))
            if not bool(params.valid[0]):
                log.warning("%s: the body fit is doubtful: %s", path, fit.messages[0])
        mask = read_mask(args.mask[i]) if args.mask else None
        sources.append(make_source(image, params, body, mask))
    return with_offsets(tuple(sources), body)


def render_clip(
    args: argparse.Namespace,
    sources: tuple[Source, ...],
    clip: SmplParams,
    body: BodyModel,
    output: Path,
    camera: str,
) -> list[Tensor]:
    """Run the chain to a video; returns a few frames for a contact sheet."""
    device = choose_device(args.device)
    generator = load_generator(args.generator)
    if args.personalize:
        from .training.personalize import personalize

        bar = tqdm(total=args.personalize, desc="personalize", unit="step")
        generator, _ = personalize(
            generator.to(device), sources, body, args.personalize, seed=args.seed,
            size=args.size, progress=lambda step, total, loss, preview: bar.update(1),
        )  # fmt: skip
        bar.close()
    generator = generator.to(device).eval()
    target = imitate(sources[0].params, clip, body, camera, sources[0].offsets)
    flow = compose(sources, target, body, args.size)
    if args.background is not None:
        picture = read_image(args.background)
    else:
        with tqdm(total=100, desc="background", unit="%") as bar:
            picture = source_background(
                sources[0], body, args.fill, seed=args.seed,
                progress=lambda share: bar.update(int(share * 100) - bar.n),
            )  # fmt: skip
    background = place_background(picture[None], flow)
    keep = {round(k * (len(flow) - 1) / 5) for k in range(6)}
    kept, frame = [], 0
    with (
        VideoWriter(output, clip.fps) as video,
        tqdm(total=len(flow), desc="generate", unit="frame") as bar,
    ):
        for images, _ in generate(generator, flow, background, device=device):
            video.write(images)
            for image in images:
                if frame in keep:
                    kept.append(image)
                frame += 1
            bar.update(len(images))
    return kept


def run_imitate(args: argparse.Namespace) -> None:
    body = open_body()
    clip = load_motion(args.motion, args.frames)
    sources = load_sources(args, body)
    render_clip(args, sources, clip, body, args.output, args.camera)
    print(f"wrote {args.output}")


def run_motions(args: argparse.Namespace) -> None:
    for name in MOTIONS:
        clip = motion(name)
        print(f"{name:8s} {len(clip):4d} frames at {clip.fps:g} fps")


def run_synth(args: argparse.Namespace) -> None:
    from .synthetic.people import write_people

    if args.identities < 1 or args.pictures < 1:
        raise InputError("--identities and --pictures must be 1 or more")
    with tqdm(total=args.identities * args.pictures, unit="picture") as bar:
        write_people(
            args.identities, args.out, args.seed, args.size, args.pictures,
            progress=lambda done, total: bar.update(done - bar.n),
        )  # fmt: skip
    print(f"wrote {args.identities * args.pictures} pictures to {args.out}")


def run_demo(args: argparse.Namespace) -> None:
    """Synthetic person, body fitted from its keypoints, built-in motion."""
    from .synthetic.people import write_people

    people = args.output / "person"
    write_people(1, people, seed=args.seed, size=512, pictures=2)
    pictures = sorted(p for p in people.glob("*.png") if not p.stem.endswith("_mask"))
    options = argparse.Namespace(
        **vars(args),
        source=pictures,
        mask=[p.with_name(p.stem + "_mask.png") for p in pictures],
        keypoints=[p.with_suffix(".json") for p in pictures],
        body=[],
    )
    body = open_body()
    sources = load_sources(options, body)
    clip = load_motion(args.motion, args.frames or 60)
    video = args.output / f"{args.motion}.mp4"
    frames = render_clip(options, sources, clip, body, video, "travel")
    shown = [_square(source.image, args.size) for source in sources]
    sheet = args.output / f"{args.motion}.png"
    write_image(sheet, contact_sheet([shown + frames]))
    print(f"wrote {video} and the contact sheet {sheet}")


def _square(image: Tensor, size: int) -> Tensor:
    return torch.nn.functional.interpolate(image[None], (size, size), mode="area")[0]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 = done, 2 = bad input, 130 = interrupted."""
    args = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        args.run(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was left half-written", file=sys.stderr)
        return 130
    return 0
