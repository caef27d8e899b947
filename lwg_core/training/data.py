"""Training items: one person, a few source pictures, several targets, composed as at inference.

An item runs the same composition (``flow.compose``) that the nodes run, so the network sees in
training what it will get later. What is disturbed on purpose, because users' inputs are never
perfect: mattes (eroded, grown, blurred, or missing), source poses and cameras, and the clothes that
the mesh carries (solved from two mattes as at inference, or a share of the true ones).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from ..body.model import PART_NAMES, BodyModel
from ..body.params import SmplParams
from ..errors import InputError
from ..flow.compose import (
    ComposeOptions,
    FlowChunk,
    compose,
    network_inputs,
    prepare_sources,
    source_inputs,
)
from ..flow.offsets import solve_offsets
from ..flow.source import Source
from ..flow.window import crop, crop_grid, move_to_source_window, person_window
from ..synthetic.dataset import Record, body_fingerprint, load_record

FACE = PART_NAMES.index("face")
FACE_EMPHASIS = 6.0
SOLVED_SHARE = 0.6  # of the items: mesh offsets solved from mattes, skirts and all, as at inference


@dataclass(frozen=True)
class TrainingItem:
    """One person: S sources, T targets.

    source_inputs: (S, 8, h, w). target_inputs: (T, 8, H, W). flow: (T, S, H, W, 2), -2 = invalid.
    image, background: (T, 3, H, W) in [-1, 1]. alpha, emphasis: (T, 1, H, W).
    """

    source_inputs: Tensor
    target_inputs: Tensor
    flow: Tensor
    image: Tensor
    background: Tensor
    alpha: Tensor
    emphasis: Tensor

    def to(self, device) -> TrainingItem:
        return TrainingItem(*(getattr(self, f).to(device) for f in self.__dataclass_fields__))


@dataclass(frozen=True)
class Disturbance:
    """How far inputs stray from the truth.

    no_mask: share of sources without a mask. matte: pixels (at 256 px) that a matte is grown or
    eroded by, at most. pose: degrees per joint, and shift: camera shift as a share of the image:
    the largest standard deviations.
    """

    no_mask: float = 0.1
    matte: int = 2
    pose: float = 1.5
    shift: float = 0.003


def to_images(pictures: np.ndarray, size: int) -> Tensor:
    """uint8 (N, H, W, C) or (N, H, W) -> float (N, C, size, size) in [0, 1], area-averaged."""
    if pictures.ndim == 3:
        pictures = pictures[..., None]
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="area")


def record_params(record: Record, index: list[int], body: BodyModel, size: int) -> SmplParams:
    """True parameters of pictures ``index`` at ``size`` px."""
    params = record.params.select(index)
    if params.body_model != body.id:
        raise InputError(
            f"the training records belong to body model '{params.body_model}', not '{body.id}'"
        )
    return replace(params, camera=params.camera.resize((size, size)))


def disturb_matte(alpha: Tensor, rng: np.random.Generator, reach: int) -> Tensor:
    """Grow, erode or blur a matte (1, H, W) by up to ``reach`` px at 256 px."""
    pixels = int(rng.integers(-reach, reach + 1) * alpha.shape[-1] / 256)
    kernel = 2 * abs(pixels) + 1
    if pixels > 0:
        alpha = F.max_pool2d(alpha[None], kernel, 1, pixels)[0]
    elif pixels < 0:
        alpha = -F.max_pool2d(-alpha[None], kernel, 1, -pixels)[0]
    if rng.random() < 0.3:
        alpha = F.avg_pool2d(alpha[None], 3, 1, 1)[0]
    return alpha


def disturb_params(params: SmplParams, rng: np.random.Generator, how: Disturbance) -> SmplParams:
    """Errors of a recovered body, from none to ``how``: joint angles and camera."""
    share = rng.random()
    noise = share * torch.from_numpy(rng.standard_normal((len(params), 24, 3))).float()
    camera = params.camera
    shift = share * torch.from_numpy(rng.standard_normal((len(params), 2))).float()
    camera = replace(camera, center=camera.center + shift * how.shift * camera.size[0])
    return replace(params, pose=params.pose + noise * np.deg2rad(how.pose), camera=camera)


@dataclass(frozen=True)
class PooledPerson:
    """A record in memory. solved: (V,) mesh offsets from the mattes of its front and back view."""

    record: Record
    solved: Tensor


class TrainingSet:
    """Endless items from a folder of records, a small pool of which is held in memory.

    Decoding a record costs more than using it, so each stays in the pool for about ``reuse`` items.
    The folder is listed again as the pool turns over: records may still be arriving.
    """

    def __init__(
        self,
        folder: Path,
        body: BodyModel,
        size: int,
        seed: int | tuple[int, ...],
        targets: int = 4,
        pool: int = 12,
        reuse: int = 8,
        disturbance: Disturbance | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.body = body
        self.size = size
        self.rng = np.random.default_rng(seed)
        self.targets = targets
        self.pool_size = pool
        self.reuse = reuse
        self.disturbance = disturbance or Disturbance()
        self.pool: list[PooledPerson] = []
        self.fingerprint = body_fingerprint(body)

    def __iter__(self) -> Iterator[TrainingItem]:
        while True:
            while len(self.pool) < self.pool_size:
                self.pool.append(self._fresh())
            if self.rng.random() < 1 / self.reuse:
                self.pool[int(self.rng.integers(self.pool_size))] = self._fresh()
            yield self._item(self.pool[int(self.rng.integers(self.pool_size))])

    def _fresh(self) -> PooledPerson:
        files = sorted(self.folder.glob("*.npz"))
        if not files:
            raise InputError(f"no training records (*.npz) in {self.folder}")
        path = files[int(self.rng.integers(len(files)))]
        record = load_record(path)
        if record.fingerprint != self.fingerprint:
            raise InputError(f"{path} was made with another body; generate the records again")
        images, alphas = to_images(record.images, self.size), to_images(record.alphas, self.size)
        views = (
            Source(images[i] * 2 - 1, record_params(record, [i], self.body, self.size), alphas[i])
            for i in (0, 1)
        )
        return PooledPerson(record, solve_offsets(self.body, tuple(views)))

    def _choose(self, count: int) -> tuple[list[int], list[int]]:
        """Source and target pictures; mostly the front and back views, never the targets."""
        number = int(self.rng.choice([1, 2, 3, 4], p=[0.25, 0.5, 0.15, 0.1]))
        if self.rng.random() < 0.4:
            sources = [0, 1][:number]
        else:
            sources = list(self.rng.choice(count, min(number, count - 1), replace=False))
        others = [i for i in range(count) if i not in sources]
        chosen = self.rng.choice(others, min(self.targets, len(others)), replace=False)
        return [int(i) for i in sources], [int(i) for i in chosen]

    def _item(self, person: PooledPerson) -> TrainingItem:
        rng, size, record = self.rng, self.size, person.record
        sources, targets = self._choose(len(record.params))
        offsets = record.offsets * float(rng.random()) ** 0.5
        if rng.random() < SOLVED_SHARE:
            offsets = person.solved
        images = to_images(record.images, size)
        alphas = to_images(record.alphas, size)
        gain = torch.from_numpy(rng.uniform(0.8, 1.2, (1, 3, 1, 1))).float()
        images = (images * gain).clamp(max=1)
        foregrounds = (to_images(record.foregrounds, size) * gain).clamp(max=1)
        background = (to_images(record.background[None], size) * gain).clamp(max=1)
        bodies = []
        for i in sources:
            alpha = disturb_matte(alphas[i], rng, self.disturbance.matte)
            params = record_params(record, [i], self.body, size)
            bodies.append(
                Source(
                    image=images[i] * 2 - 1,
                    params=disturb_params(params, rng, self.disturbance),
                    mask=None if rng.random() < self.disturbance.no_mask else alpha,
                    offsets=offsets,
                )
            )
        if rng.random() < 0.5:
            other = self.pool[int(rng.integers(len(self.pool)))]
            background = to_images(other.record.background[None], size)
        image = (foregrounds[targets] + (1 - alphas[targets]) * background).clamp(max=1)
        return make_item(
            tuple(bodies),
            record_params(record, targets, self.body, size),
            self.body,
            offsets,
            image * 2 - 1,
            alphas[targets],
            (background * 2 - 1).expand(len(targets), -1, -1, -1),
            margin=float(rng.uniform(0.04, 0.3)),
        )


class ItemStream(IterableDataset):
    """``make(seed=...)``'s items, seeded apart in every process of a ``DataLoader``."""

    def __init__(self, make: Callable[..., Iterable[TrainingItem]], seed: tuple[int, ...]) -> None:
        self.make = make
        self.seed = seed

    def __iter__(self) -> Iterator[TrainingItem]:
        worker = get_worker_info()
        return iter(self.make(seed=(*self.seed, 0 if worker is None else worker.id)))


def compose_targets(
    sources: tuple[Source, ...],
    target: SmplParams,
    body: BodyModel,
    offsets: Tensor | None,
    options: ComposeOptions | None = None,
) -> tuple[FlowChunk, Tensor]:
    """Composition of ``target`` from ``sources``: the chunk and the source inputs (S, 8, h, w).

    The target keeps its own betas: they were recovered with its camera and fit its picture.
    """
    prepared = prepare_sources(sources, body)
    vertices = body.vertices(target.pose, target.betas, offsets)
    chunk = compose(prepared, vertices, target.camera, target.camera.size, options)
    return chunk, source_inputs(prepared)


def make_item(
    sources: tuple[Source, ...],
    target: SmplParams,
    body: BodyModel,
    offsets: Tensor | None,
    image: Tensor,
    alpha: Tensor,
    background: Tensor,
    margin: float | None = None,
    options: ComposeOptions | None = None,
) -> TrainingItem:
    """Compose and, with a ``margin``, crop sources and targets to the person."""
    chunk, inputs = compose_targets(sources, target, body, offsets, options)
    target_inputs = network_inputs(chunk)
    flow = chunk.flow.to_official()
    emphasis = FACE_EMPHASIS * (chunk.part == FACE).float()[:, None]
    if margin is not None:
        size = inputs.shape[-2:]
        window = person_window(inputs[:, 6:8].amax(1, keepdim=True), margin)
        inputs = crop(inputs, window)
        flow = move_to_source_window(flow, tuple(size), window)
        window = person_window(torch.maximum(alpha, chunk.coverage), margin)
        target_inputs, image, alpha, background, emphasis = (
            crop(t, window) for t in (target_inputs, image, alpha, background, emphasis)
        )
        flow = crop_grid(flow, window)
    return TrainingItem(inputs, target_inputs, flow, image, background, alpha, emphasis)
