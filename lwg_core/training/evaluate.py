"""Held-out table: self-imitation of people the generator never saw.

For every test identity, two sources (front and back) with their mattes; the mesh offsets are solved
from those mattes, as at inference. Targets are other pictures of the same person with their true
pose, over their true background. Region of ``psnr``/``ssim``: the true matte dilated by 4 px.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..body.model import BodyModel
from ..errors import InputError
from ..flow.compose import ComposeOptions
from ..metrics.held_out import choose_pictures, held_out
from ..metrics.pictures import person_region, region_scores
from ..networks.generator import AttLWBGenerator
from ..synthetic.dataset import load_record
from .data import TrainingItem, make_item

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scores:
    """Means over targets. psnr in dB and ssim over the person region; iou of mask > 0.5."""

    psnr: float
    ssim: float
    iou: float
    per_person: tuple[float, ...] = ()

    def row(self) -> str:
        return f"{self.psnr:7.2f} {self.ssim:7.3f} {self.iou:7.3f}"


def held_out_items(
    folder: Path,
    body: BodyModel,
    size: int,
    people: int = 16,
    sources: tuple[int, ...] = (0, 1),
    naked: bool = False,
    options: ComposeOptions | None = None,
) -> list[TrainingItem]:
    """One item per test identity: ``sources`` as given, four targets spread over the rest.

    naked: without mesh offsets. options: of the composition. Both are for plainer baselines.
    """
    files = sorted(Path(folder).glob("*.npz"))[:people]
    if not files:
        raise InputError(f"no test records (*.npz) in {folder}")
    items = []
    for file in files:
        record = load_record(file)
        _, targets = choose_pictures(len(record.params), 1, str(file))
        person = held_out(record, body, size, list(sources), targets, naked)
        items.append(
            make_item(
                person.sources,
                person.target,
                body,
                person.sources[0].offsets,
                person.images,
                person.alphas,
                person.background.expand(len(targets), -1, -1, -1),
                options=options,
            )
        )
    return items


def person_scores(prediction: Tensor, item: TrainingItem, person: Tensor) -> list[tuple]:
    """(psnr, ssim, iou) of each target; ``person``: (T, 1, H, W) predicted matte, 1 = person."""
    psnr, ssim = region_scores(prediction, item.image, person_region(item.alpha))
    a, b = person > 0.5, item.alpha > 0.5
    iou = (a & b).sum((1, 2, 3)) / (a | b).sum((1, 2, 3)).clamp(min=1)
    return list(zip(psnr.tolist(), ssim.tolist(), iou.tolist(), strict=True))


def mean_scores(people: list[list[tuple]]) -> Scores:
    rows = np.array([row for person in people for row in person])
    each = tuple(float(np.mean([row[0] for row in person])) for person in people)
    return Scores(*(float(v) for v in rows.mean(0)), per_person=each)


def warp_baselines(items: list[TrainingItem]) -> dict[str, Scores]:
    """The warp-only composite inside the mesh silhouette, and inside the true matte."""
    mesh, matte = [], []
    for item in items:
        warped, silhouette = item.target_inputs[:, :3], item.target_inputs[:, 6:7]
        for rows, alpha in ((mesh, silhouette), (matte, item.alpha)):
            image = alpha * warped + (1 - alpha) * item.background
            rows.append(person_scores(image, item, alpha))
    return {"warp, mesh silhouette": mean_scores(mesh), "warp, true matte": mean_scores(matte)}


@torch.no_grad()
def score_generator(
    generator: AttLWBGenerator,
    items: list[TrainingItem],
    device: torch.device | str = "cpu",
    true_matte: bool = False,
) -> Scores:
    """Scores of the generator's composite over the true background.

    true_matte: composite its colours inside the true matte, to tell colours from matte.
    """
    rows = []
    for item in items:
        moved = item.to(device)
        bank = generator.encode(moved.source_inputs)
        colour, mask = generator.decode(bank, moved.target_inputs, moved.flow)
        person = moved.alpha if true_matte else 1 - mask
        image = (person * colour + (1 - person) * moved.background).cpu()
        rows.append(person_scores(image, item, person.cpu()))
    return mean_scores(rows)


def table(scores: dict[str, Scores]) -> str:
    """Text table of named scores."""
    lines = [f"{'':31s} {'psnr':>7s} {'ssim':>7s} {'iou':>7s}"]
    return "\n".join(lines + [f"{name:31s} {s.row()}" for name, s in scores.items()])
