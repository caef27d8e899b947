"""The report: a folder with report.json, report.md and contact sheets, whole or not at all."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..files import make_folder, part_of, writing
from ..pictures import contact_sheet, write_image
from .protocol import Outcome
from .summary import METRICS, Value, cell

FORMAT = 1
JSON, TABLE = "report.json", "report.md"
PEOPLE_ON_SHEET = 8
SOURCES_ON_SHEET = 4
TITLES = {"self": "Self-imitation", "cross": "Cross-imitation"}
NOTES = """\
Means over people of their means over pictures, with the 95 % bootstrap interval over people.

- **Sharpness**: gradient energy of the result over that of the truth; 1 is right, below is blur,
  above is noise. PSNR and SSIM forgive blur, this does not.
- **person**: the true matte dilated by 4 px; **head**: the visible head of the projected body, too.
- **Body-CS, Face-CS**: cosine similarity of embeddings of the cropped body or face, with the truth
  (self-imitation) or with the person's own source (cross-imitation); faces where they are seen.
- **FID, Body-FD, Face-FD**: Frechet distances between all results and as many real pictures of the
  same people. Of fewer pictures than an embedding has numbers they are too high, and only
  comparable at equal numbers.
- Cross-imitation has no truth: nothing that needs one is listed.
- **Sheets**: a row per person. Self-imitation: the sources, then result and truth in pairs.
  Cross-imitation: the sources, then the imitated picture and the result in pairs. Heads: result and
  truth, or the person's own source and result.
"""


@dataclass(frozen=True)
class Section:
    """One protocol with one number of sources."""

    kind: str
    sources: int
    values: dict[str, Value]
    outcomes: Sequence[Outcome]

    @property
    def name(self) -> str:
        return f"{self.kind}_{self.sources}"


def write_report(folder: Path, settings: dict, sections: Sequence[Section]) -> None:
    """The whole report at ``folder``: a new one, or in the place of an earlier one."""
    with report_folder(folder) as new:
        for section in sections:
            write_sheets(new, section)
        (new / TABLE).write_text(markdown(settings, sections), encoding="utf-8")
        files = sorted(path.name for path in new.iterdir())
        data = as_json(settings, sections) | {"files": [*files, JSON]}
        (new / JSON).write_text(json.dumps(data, indent=1, allow_nan=False), encoding="utf-8")


def check_report_folder(folder: Path) -> None:
    """Raise an InputError unless a report may be put there: nothing, or a whole earlier report."""
    if not folder.exists():
        parent = next(p for p in folder.absolute().parents if p.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise InputError(f"--output {folder} cannot be written: {parent} is no writable folder")
        return
    if not folder.is_dir():
        raise InputError(f"--output {folder} is a file; give the name of a folder")
    held = {path.name for path in folder.iterdir()}
    if held and held != _listed(folder / JSON):
        raise InputError(
            f"--output {folder} holds other things than one whole report; give a new folder"
        )


def _listed(file: Path) -> set[str]:
    """The files that an earlier report says it has."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return set(data["files"]) if data["format"] == FORMAT else set()
    except (OSError, ValueError, TypeError, KeyError):
        return set()


@contextmanager
def report_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside ``folder`` that takes its place when the block ends well."""
    check_report_folder(folder)
    make_folder(folder.absolute().parent)
    folder = folder.absolute()
    new, old = part_of(folder), part_of(folder).with_suffix(".old")
    with writing(folder):
        new.mkdir()
        try:
            yield new
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
            if old.exists() and not folder.exists():
                old.rename(folder)
            shutil.rmtree(old, ignore_errors=True)


def as_json(settings: dict, sections: Sequence[Section]) -> dict:
    """All figures, of every picture too; null where nothing was measured, "inf" if infinite."""
    results = []
    for section in sections:
        metrics = {
            name: {"not_measured": value.reason} if value.reason else {
                "mean": number(value.mean), "low": number(value.low), "high": number(value.high),
                "worst": number(value.worst), "count": value.count,
            }
            for name, value in section.values.items()
        }  # fmt: skip
        people = [
            {"name": outcome.name,
             "scores": {k: [number(x) for x in v.tolist()] for k, v in outcome.scores.items()}}
            for outcome in section.outcomes
        ]  # fmt: skip
        results.append(
            {"protocol": section.kind, "sources": section.sources, "metrics": metrics,
             "people": people}
        )  # fmt: skip
    return {"format": FORMAT, "settings": settings, "results": results}


def number(value: float | None) -> float | str | None:
    if value is None or math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf"


def markdown(settings: dict, sections: Sequence[Section]) -> str:
    """The tables: one per protocol, a column per number of sources."""
    text = ["# Evaluation", ""]
    text += [f"{name}: {value}  " for name, value in settings.items()]
    for kind, title in TITLES.items():
        chosen = [section for section in sections if section.kind == kind]
        if not chosen:
            continue
        shots = [f"{s.sources} source{'s' * (s.sources > 1)}" for s in chosen]
        people = len(chosen[0].outcomes)
        text += ["", f"## {title}, {people} {'person' if people == 1 else 'people'}", ""]
        text += [f"| | good | {' | '.join(shots)} |", "|---|---|" + "---|" * len(chosen)]
        for metric in METRICS[kind]:
            cells = [cell(s.values[metric.name], metric.digits) for s in chosen]
            text.append(f"| {metric.title} | {metric.better} | {' | '.join(cells)} |")
    return "\n".join([*text, "", NOTES])


def write_sheets(folder: Path, section: Section) -> None:
    """Pictures of the people that have some, a few to a sheet, and their heads close up."""
    pictured = [outcome for outcome in section.outcomes if outcome.pictures]
    for start in range(0, len(pictured), PEOPLE_ON_SHEET):
        some = pictured[start : start + PEOPLE_ON_SHEET]
        name = f"{section.name}_{start // PEOPLE_ON_SHEET + 1:02}.png"
        write_image(folder / name, contact_sheet([row(o.pictures) for o in some]))
        write_image(folder / f"heads_{name}", contact_sheet([row(o.heads) for o in some]))


def row(pictures: dict[str, Tensor]) -> list[Tensor]:
    """The sources, then result and truth, or pose and result, in pairs."""
    shown = {k: v.float() / 127.5 - 1 for k, v in pictures.items()}
    first = list(shown.pop("sources", torch.empty(0))[:SOURCES_ON_SHEET])
    pairs = zip(*shown.values(), strict=True)
    return first + [picture for pair in pairs for picture in pair]
