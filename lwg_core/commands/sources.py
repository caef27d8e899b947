"""The pictured people of the command line: pictures, masks, and where their bodies are."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from ..body.files import load_params
from ..body.model import BodyModel
from ..body.params import SmplParams
from ..errors import InputError
from ..flow.offsets import with_offsets
from ..flow.source import MAX_SOURCES, Sources
from ..pictures import read_image, read_mask
from ..pipeline import make_source, recover
from ..recovery.keypoints import Keypoints, parse_pose_keypoints
from .options import about

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Person:
    """Files of one person, one of each kind per picture, as given on the command line.

    option: what names the pictures: "source" or "wear". parts: the clothes that are asked of them.
    """

    option: str
    pictures: tuple[Path, ...] = ()
    masks: tuple[Path, ...] = ()
    bodies: tuple[Path, ...] = ()
    keypoints: tuple[Path, ...] = ()
    parts: str | None = None

    def named(self, kind: str) -> str:
        return f"--{kind}" if self.option == "source" else f"--{self.option}-{kind}"


def add_sources(add) -> None:
    add("--source", type=Path, action="append", required=True, metavar="IMG",
        help="picture of the person; repeat for up to 8 pictures")  # fmt: skip
    add("--mask", type=Path, action="append", default=[], metavar="IMG",
        help="mask of each picture, white = person; estimated when left out")  # fmt: skip
    add("--keypoints", type=Path, action="append", default=[], metavar="JSON",
        help="OpenPose POSE_KEYPOINT json of each picture")  # fmt: skip
    add("--body", type=Path, action="append", default=[], metavar="NPZ",
        help="recovered body of each picture, instead of keypoints")  # fmt: skip


def given_person(args: argparse.Namespace) -> Person:
    """The person of --source."""
    given = (args.source, args.mask, args.body, args.keypoints)
    return Person("source", *(tuple(files) for files in given))


def check_people(people: Sequence[Person]) -> None:
    """Raise an InputError unless the files given for each person belong together."""
    counts = [len(person.pictures) for person in people]
    if sum(counts) > MAX_SOURCES:
        given = f"{counts[0]} --source"
        if len(people) > 1:
            given += f" and {sum(counts[1:])} --wear"
        raise InputError(f"{given} given; 1 to {MAX_SOURCES} are possible")
    for person in people:
        _check_person(person)


def _check_person(person: Person) -> None:
    count, pictures = len(person.pictures), f"--{person.option}"
    mask, body, keypoints = (person.named(kind) for kind in ("mask", "body", "keypoints"))
    for option, given in (
        (mask, person.masks), (body, person.bodies), (keypoints, person.keypoints)
    ):  # fmt: skip
        if given and len(given) != count:
            raise InputError(
                f"{count} {pictures} but {len(given)} {option}: give one per picture, in order"
            )
    if person.bodies and person.keypoints:
        raise InputError(f"{body} and {keypoints} both say where the body is; give one of them")
    if not person.bodies and not person.keypoints:
        raise InputError(
            f"{pictures} {person.pictures[0]} needs to know where the body is: give {keypoints} "
            "JSON (OpenPose keypoints, as DWPose or SDPose nodes and OpenPose write them) or "
            f"{body} NPZ (a body recovered before)"
        )


@dataclass(frozen=True)
class Pictures:
    """What the files of a person hold. images: (3, H, W) each. masks: (1, H, W) each, or none."""

    person: Person
    images: list[Tensor]
    masks: list[Tensor]
    given: list[SmplParams | Keypoints]


def read_person(person: Person) -> Pictures:
    """Read, or refuse, every file of a person."""
    images = [read_image(path) for path in person.pictures]
    sizes = [(image.shape[1], image.shape[2]) for image in images]
    masks = []
    if person.masks:
        masks = [read_mask(*pair) for pair in zip(person.masks, sizes, strict=True)]
    if person.bodies:
        given = [load_params(path) for path in person.bodies]
    else:
        given = [read_keypoints(*pair) for pair in zip(person.keypoints, sizes, strict=True)]
    return Pictures(person, images, masks, given)


def make_people(read: Sequence[Pictures], body: BodyModel) -> list[Sources]:
    """Sources of each person, in the order given; clothes and hair lie on their meshes."""
    with tqdm(total=sum(len(one.images) for one in read), desc="sources", unit="picture") as bar:
        return [with_offsets(_sources(one, body, bar), body) for one in read]


def _sources(read: Pictures, body: BodyModel, bar: tqdm) -> Sources:
    files, sources = read.person.bodies or read.person.keypoints, []
    for i, image in enumerate(read.images):
        with about(files[i]):
            params = read.given[i]
            if isinstance(params, Keypoints):
                params = fit_body(files[i], image, params, body)
            sources.append(make_source(image, params, body, read.masks[i] if read.masks else None))
        bar.update(1)
    return tuple(sources)


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


class WearAction(argparse.Action):
    """Collects --wear, its files and --parts as a list of ``Person``, in the order given.

    const: the field that the option fills. A --wear after a --parts begins another person.
    """

    def __call__(self, parser, namespace, value, option_string=None) -> None:
        people = list(getattr(namespace, self.dest))
        if self.const == "pictures" and (not people or people[-1].parts is not None):
            people.append(Person("wear"))
        if not people:
            parser.error(f"{option_string} belongs after the --wear that it is about")
        last = people[-1]
        if self.const != "parts":
            value = (*getattr(last, self.const), value)
        elif last.parts is not None:
            value = f"{last.parts},{value}"
        people[-1] = replace(last, **{self.const: value})
        setattr(namespace, self.dest, people)


def add_wear(add, parts: str) -> None:
    """--wear and what goes with it. parts: the names that --parts may have, for its help."""
    more = {"action": WearAction, "dest": "wear", "default": []}
    add("--wear", type=Path, const="pictures", required=True, metavar="IMG", **more,
        help="picture of the person whose clothes are worn; repeat for several pictures; after "
        "--parts: of another person")  # fmt: skip
    add("--wear-mask", type=Path, const="masks", metavar="IMG", **more,
        help="mask of each --wear")  # fmt: skip
    add("--wear-keypoints", type=Path, const="keypoints", metavar="JSON", **more,
        help="keypoints of each --wear")  # fmt: skip
    add("--wear-body", type=Path, const="bodies", metavar="NPZ", **more,
        help="recovered body of each --wear")  # fmt: skip
    add("--parts", const="parts", metavar="NAMES", **more,
        help=f"what is taken from the --wear before it, with commas: {parts}")  # fmt: skip
