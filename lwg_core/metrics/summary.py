"""From people's scores to a table: means with intervals over people, and what was not measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .distances import frechet_distance
from .pictures import INSTALL, has_torchmetrics
from .protocol import Networks, Outcome

ROUNDS = 2000  # of the bootstrap
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Metric:
    """name: in scores and report.json. title: in tables. better: what is good. digits: shown."""

    name: str
    title: str
    better: str
    digits: int = 3


@dataclass(frozen=True)
class Value:
    """Mean over people of their means; low, high: 95 % bootstrap interval over people, or None.

    count: people, or pictures of a distance between sets. reason: why it is not measured, "" if it
    is. worst: of the people's means.
    """

    mean: float = math.nan
    low: float | None = None
    high: float | None = None
    worst: float | None = None
    count: int = 0
    reason: str = ""


PICTURE = tuple(
    Metric(f"{name}{region}", f"{title}{where}", better, digits)
    for region, where in (("", ""), ("_person", ", person"), ("_head", ", head"))
    for name, title, better, digits in (
        ("psnr", "PSNR dB", "higher", 2), ("ssim", "SSIM", "higher", 3),
        ("sharpness", "Sharpness", "1", 2),
    )
)  # fmt: skip
NETWORK = (
    Metric("body_cs", "Body-CS", "higher"),
    Metric("face_cs", "Face-CS", "higher"),
    Metric("fid", "FID", "lower", 2),
    Metric("body_fd", "Body-FD", "lower"),
    Metric("face_fd", "Face-FD", "lower"),
)
METRICS = {
    "self": (*PICTURE, Metric("iou", "IoU of the matte", "higher"),
             Metric("lpips", "LPIPS", "lower"), *NETWORK),
    "cross": (Metric("sharpness_sources", "Sharpness against the sources", "1", 2), *NETWORK),
}  # fmt: skip
SETS = {"fid": "whole", "body_fd": "body", "face_fd": "face"}  # of which embeddings
OPTION = {
    "lpips": "--lpips", "fid": "--inception", "body_cs": "--body-network",
    "body_fd": "--body-network", "face_cs": "--face-network", "face_fd": "--face-network",
}  # fmt: skip


def summarise(
    kind: str, outcomes: Sequence[Outcome], networks: Networks, seed: int = 0
) -> dict[str, Value]:
    """Every metric of a protocol ("self" or "cross") over people."""
    return {metric.name: _value(metric, outcomes, networks, seed) for metric in METRICS[kind]}


def _value(metric: Metric, outcomes: Sequence[Outcome], networks: Networks, seed: int) -> Value:
    given = {
        "lpips": networks.lpips, "fid": networks.inception, "body_cs": networks.body,
        "body_fd": networks.body, "face_cs": networks.face, "face_fd": networks.face,
    }  # fmt: skip
    if metric.name in given and given[metric.name] is None:
        return Value(reason=f"no network, see {OPTION[metric.name]}")
    if not outcomes:
        return Value(reason="needs two people")
    if not has_torchmetrics() and (metric.name in SETS or metric.name.startswith("ssim")):
        return Value(reason=INSTALL)
    if metric.name in SETS:
        return _distance(SETS[metric.name], outcomes)
    means = np.array([person_mean(o.scores.get(metric.name)) for o in outcomes])
    means = means[~np.isnan(means)]
    if not len(means):
        return Value(reason="not seen in any picture")
    return average(means, metric.better, seed)


def person_mean(values: torch.Tensor | None) -> float:
    """Mean of a person's pictures without NaN; NaN if nothing is left."""
    return math.nan if values is None else float(values.double().nanmean())


def average(means: np.ndarray, better: str, seed: int = 0) -> Value:
    """Mean of people's means, with its interval; of one person there is none."""
    worst = {"higher": means.min(), "lower": means.max()}.get(
        better, means[np.abs(np.log(np.maximum(means, 1e-9))).argmax()]
    )
    if len(means) < 2:
        return Value(float(means.mean()), worst=float(worst), count=len(means))
    low, high = interval(means, seed)
    return Value(float(means.mean()), low, high, float(worst), len(means))


def interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    rng = np.random.default_rng(seed)
    means = rng.choice(values, (ROUNDS, len(values))).mean(1)
    return tuple(float(np.quantile(means, q, method="nearest")) for q in (0.025, 0.975))


def _distance(kind: str, outcomes: Sequence[Outcome]) -> Value:
    """Distance of the results, as a set, from the real pictures of the same people."""
    results, truths = (
        torch.cat([getattr(o, which)[kind] for o in outcomes]) for which in ("results", "truths")
    )
    if min(len(results), len(truths)) < 2:
        return Value(reason="needs two pictures")
    distance = frechet_distance(results, truths)
    if not math.isfinite(distance):
        return Value(reason="the network's answers are not finite")
    return Value(distance, count=len(results))


def cell(value: Value, digits: int) -> str:
    """'23.41 [22.90, 23.88]', or why there is none."""
    if value.reason:
        return f"{NOT_MEASURED} ({value.reason})"
    text = f"{value.mean:.{digits}f}"
    if value.low is not None:
        text += f" [{value.low:.{digits}f}, {value.high:.{digits}f}]"
    return text
