"""People to measure on: records of people that the generator never saw, and what is asked of them.

The targets of a person are the same four pictures whatever the number of sources, so that one-shot
and few-shot can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..body.archive import read_npz
from ..body.model import BodyModel
from ..body.params import SmplParams
from ..errors import InputError
from ..files import make_folder
from ..flow.offsets import solve_offsets
from ..flow.source import Source, Sources
from ..synthetic.dataset import (
    FORMAT,
    SPLITS,
    Record,
    body_fingerprint,
    load_record,
    make_record,
    save_record,
)
from ..training.data import record_params, to_images

TARGETS = 4
POSES = 12  # pictures of a person made on the fly: 8 sources and 4 targets


@dataclass(frozen=True)
class HeldOut:
    """One person: sources with bodies and clothes, and T pictures to be imitated.

    sources: with mattes and the offsets solved from them, as at inference. target: true bodies and
    cameras of the pictures. images: (T, 3, H, W) in [-1, 1]; alphas: (T, 1, H, W); background:
    (3, H, W), the true one.
    """

    name: str
    sources: Sources
    target: SmplParams
    images: Tensor
    alphas: Tensor
    background: Tensor


def choose_pictures(count: int, sources: int, name: str) -> tuple[list[int], list[int]]:
    """Numbers of the source and of the target pictures among ``count``.

    First the front view, then the back view, then what is left beside the targets, which are spread
    over all but those two views.
    """
    rest = list(range(2, count))
    if not rest:
        raise InputError(f"{name} has {count} pictures; three or more are needed")
    targets = list(dict.fromkeys(rest[k * len(rest) // TARGETS] for k in range(TARGETS)))
    possible = [0, 1, *(i for i in rest if i not in targets)]
    if sources > len(possible):
        raise InputError(
            f"{name} has {count} pictures: beside the {len(targets)} to imitate, {len(possible)} "
            f"can be sources; {sources} were asked for"
        )
    return possible[:sources], targets


def held_out(
    record: Record, body: BodyModel, size: int, sources: list[int], targets: list[int],
    naked: bool = False,
) -> HeldOut:  # fmt: skip
    """A record as a person to measure on; ``naked``: without mesh offsets."""
    images, alphas = to_images(record.images, size) * 2 - 1, to_images(record.alphas, size)
    pictures = tuple(
        Source(images[i], record_params(record, [i], body, size), alphas[i]) for i in sources
    )
    offsets = None if naked else solve_offsets(body, pictures)
    return HeldOut(
        name=str(record.seed),
        sources=tuple(replace(picture, offsets=offsets) for picture in pictures),
        target=record_params(record, targets, body, size),
        images=images[targets],
        alphas=alphas[targets],
        background=to_images(record.background[None], size)[0] * 2 - 1,
    )


@dataclass(frozen=True)
class People:
    """Where records come from: files, or seeds of people made on the fly.

    files: of the records, of which made ones may be missing. seeds: empty for a folder of records.
    """

    files: tuple[Path, ...]
    seeds: tuple[int, ...] = ()
    size: int = 256

    def __len__(self) -> int:
        return len(self.seeds or self.files)

    def check(self, body: BodyModel, size: int, sources: int) -> None:
        """Raise an InputError unless every file has what ``sources`` sources and ``size`` need.

        Only the small parts of the files are read, so that none stops a long run half-way.
        """
        for file in () if self.seeds else self.files:
            data = read_npz(file, only=("format", "fingerprint", "pose", "background"))
            named = {"format", "fingerprint", "pose", "background"} <= data.keys()
            if not named or int(data["format"]) != FORMAT:
                raise InputError(f"{file} is no record of format {FORMAT}; generate it again")
            _check_body(file, str(data["fingerprint"]), body)
            choose_pictures(len(data["pose"]), sources, str(file))
            side = min(data["background"].shape[:2])
            if size > side:
                raise InputError(
                    f"{file} has pictures of {side} px; --size {size} would compare with enlarged "
                    "ones, use at most that"
                )

    def records(self, body: BodyModel) -> Iterator[Record]:
        fingerprint = body_fingerprint(body)
        for number in range(len(self)):
            file = self.files[number] if self.files else None
            if self.seeds:
                yield self._made(self.seeds[number], file, fingerprint)
                continue
            record = load_record(file)
            _check_body(file, record.fingerprint, body)
            yield record

    def _made(self, seed: int, file: Path | None, fingerprint: str) -> Record:
        if file is not None and file.exists():
            record = load_record(file)
            if record.fingerprint == fingerprint and len(record.params) == POSES:
                return record
        record = make_record(seed, POSES, self.size)
        if file is not None:
            make_folder(file.parent)
            save_record(file, record)
        return record


def _check_body(file: Path, fingerprint: str, body: BodyModel) -> None:
    if fingerprint != body_fingerprint(body):
        raise InputError(f"{file} was made with another body; generate the records again")


def find_people(
    data: str, split: str, size: int, limit: int | None = None, cache: Path | None = None
) -> People:
    """The people of ``data``: "synthetic", or a folder of records (or with a folder per split).

    cache: where synthetic people are kept, in a folder per split and size.
    """
    if data == "synthetic":
        seeds = tuple(SPLITS[split][:limit])
        folder = None if cache is None else cache / f"{split}-{size}"
        files = () if folder is None else tuple(folder / f"{seed}.npz" for seed in seeds)
        return People(files, seeds, size)
    folder = Path(data)
    if not folder.is_dir():
        raise InputError(f"--data {data} is neither 'synthetic' nor a folder of records")
    if (folder / split).is_dir():
        folder = folder / split
    files = tuple(sorted(folder.glob("*.npz")))[:limit]
    if not files:
        raise InputError(f"no records (*.npz) in {folder}; write some with lwg_core.synthetic")
    return People(files)
