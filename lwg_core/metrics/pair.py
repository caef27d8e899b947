"""Result and truth side by side: a table of measures and a sheet, without any body or network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..pictures import contact_sheet
from .pictures import INSTALL, has_torchmetrics, person_region, picture_scores
from .summary import NOT_MEASURED, PICTURE, average

ON_SHEET = 8  # frames
SMALLEST = 11  # px: the window of SSIM
NO_MASK = "connect a mask of the person"
UNSEEN = "the truth is flat there"


def check_pair(result: Tensor, truth: Tensor, mask: Tensor | None = None) -> None:
    """Raise an InputError unless the pictures, and the mask, belong to each other."""
    for name, given in (("truth", truth), ("mask", mask)):
        if given is None:
            continue
        if tuple(given.shape[2:]) != tuple(result.shape[2:]):
            (height, width), (h, w) = result.shape[2:], given.shape[2:]
            raise InputError(
                f"{name} is {w} x {h} px, but the result is {width} x {height}; they must show the "
                "same frame at the same size"
            )
        if len(given) not in (1, len(result)):
            raise InputError(
                f"{name} must be 1 picture or {len(result)}, one per frame of the result; got "
                f"{len(given)}"
            )
    if min(result.shape[2:]) < SMALLEST:
        raise InputError(f"pictures must be at least {SMALLEST} px a side to be compared")


def compare(
    result: Tensor, truth: Tensor, mask: Tensor | None = None, progress=None
) -> dict[str, Tensor]:
    """Metric -> (T,) of results (T, 3, H, W) against truths (1 or T), frame by frame.

    mask: (1 or T, 1, H, W), 1 = person; with it the measures of the person's region are there too.
    """
    check_pair(result, truth, mask)
    frames = []
    for k in range(len(result)):
        regions = {"": None}
        if mask is not None:
            regions["_person"] = person_region(mask[min(k, len(mask) - 1)][None])
        pair = result[k][None], truth[min(k, len(truth) - 1)][None]
        frames.append(picture_scores(*pair, regions))
        if progress is not None:
            progress(k + 1, len(result))
    return {name: torch.cat([frame[name] for frame in frames]) for name in frames[0]}


def pair_table(scores: dict[str, Tensor]) -> str:
    """Markdown: mean and worst frame of every measure, or why there is none."""
    frames = len(next(iter(scores.values())))
    lines = [f"| {frames} frame{'s' * (frames > 1)} | good | mean | worst |", "|---|---|---|---|"]
    for metric in PICTURE:
        if metric.name.endswith("_head"):  # needs a body
            continue
        values = scores.get(metric.name)
        found = np.empty(0) if values is None else values.double().numpy()
        found = found[~np.isnan(found)]
        if len(found):
            value = average(found, metric.better)
            cells = f"{value.mean:.{metric.digits}f} | {value.worst:.{metric.digits}f}"
        else:
            cells = f"{NOT_MEASURED}: {_why(metric.name, scores)} |"
        lines.append(f"| {metric.title} | {metric.better} | {cells} |")
    return "\n".join(lines)


def _why(name: str, scores: dict[str, Tensor]) -> str:
    if name.endswith("_person") and "psnr_person" not in scores:
        return NO_MASK
    if name.startswith("ssim") and not has_torchmetrics():
        return INSTALL
    return UNSEEN


def pair_sheet(result: Tensor, truth: Tensor) -> Tensor:
    """(3, h, w): per row result, truth and their difference, of up to 8 frames of the clip."""
    count = min(len(result), ON_SHEET)
    rows = []
    for k in torch.linspace(0, len(result) - 1, count).round().long().tolist():
        one, other = result[k], truth[min(k, len(truth) - 1)]
        rows.append([one, other, (one - other).abs() - 1])
    return contact_sheet(rows)
