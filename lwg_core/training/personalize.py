"""Personalization (paper sec. 3.5): a few steps of training on the sources themselves.

What is done differently from the paper's recipe, and why:
- The target is never among its own sources. If it is, the network learns to copy it, and poses that
  were not pictured get worse. From two sources up each is predicted from the others; a lone source
  is predicted from itself with large parts of the flow removed, so that it cannot be copied.
- The matte must not be tuned on the one background that the pictures have: its head stays frozen,
  the base generator's matte is held, and the person is put over random backgrounds.
- Pictures of different people (appearance transfer) are never composed from each other: each is
  predicted from the others of its own person, whole, whatever parts it is to give.
- With one or two sources there is little to learn and much to forget: the tuned weights are blended
  with the base weights, the less the more sources there are.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..body.model import BodyModel
from ..errors import InputError
from ..flow.source import Source, Sources, check_sources, crop_source
from ..networks.generator import AttLWBGenerator
from ..weights import build_generator, read_state_dict, save_generator, weights_hash
from .data import Disturbance, TrainingItem, disturb_params, make_item
from .losses import generator_loss

log = logging.getLogger(__name__)

METADATA_KEY = "lwg_personalized"
MOST_STEPS = 10_000
MATTE_HOLD = 2.0
BLEND = {1: 0.25, 2: 0.3}

Progress = Callable[[int, int, float, Tensor], None]


@dataclass(frozen=True)
class Personalization:
    """What a personalized file records: enough to tell when it is stale."""

    base: str
    sources: str
    steps: int
    seed: int
    learning_rate: float
    size: int


def personalize(
    generator: AttLWBGenerator,
    sources: Sources,
    body: BodyModel,
    steps: int = 80,
    seed: int = 0,
    learning_rate: float = 2e-4,
    size: int = 256,
    progress: Progress | None = None,
) -> tuple[AttLWBGenerator, list[float]]:
    """A copy of ``generator`` trained for ``steps`` on ``sources``, and the loss of every step.

    Deterministic by seed on a CPU; on a GPU up to the order in which it sums gradients.
    ``progress(step, steps, loss, preview)`` gets the current prediction (3, H, W) and may raise to
    cancel; nothing of ``generator`` is changed then or ever.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise InputError(f"personalization steps must be 1 to {MOST_STEPS}; got {steps}")
    check_sources(sources, body)
    if any(source.mask is None for source in sources):
        raise InputError("personalization needs a mask of every source")
    with torch.inference_mode(False), torch.enable_grad():
        base = float_copy(generator).requires_grad_(False).eval()
        tuned = float_copy(generator)
        tuned.heads[1].requires_grad_(False)  # the mask's
        device = next(tuned.parameters()).device
        rng = np.random.default_rng(seed)
        cropped = tuple(plain(crop_source(source, body, size)) for source in sources)
        most = most_pictures(sources)
        rate = learning_rate if most > 2 else learning_rate / 2
        optimizer = torch.optim.Adam(
            [p for p in tuned.parameters() if p.requires_grad], rate, betas=(0.9, 0.99)
        )
        losses = []
        for step in range(steps):
            item = draw_item(cropped, body, rng).to(device)
            loss, preview = _step(tuned, base, item)
            if not torch.isfinite(loss):
                raise InputError(
                    f"personalization: the loss of step {step + 1} is not finite; lower the "
                    "learning rate"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(tuned.parameters(), 5.0)
            optimizer.step()
            losses.append(loss.item())
            if progress is not None:
                progress(step + 1, steps, losses[-1], preview)
        blend(tuned, base, BLEND.get(most, 1.0))
        return tuned.requires_grad_(False).eval(), losses


def _step(
    tuned: AttLWBGenerator, base: AttLWBGenerator, item: TrainingItem
) -> tuple[Tensor, Tensor]:
    colour, mask = tuned.decode(tuned.encode(item.source_inputs), item.target_inputs, item.flow)
    with torch.no_grad():
        held = base.decode(base.encode(item.source_inputs), item.target_inputs, item.flow)[1]
    loss = generator_loss(
        colour, mask, item.image, item.alpha, item.background, item.emphasis
    ) + MATTE_HOLD * F.l1_loss(mask, held)
    preview = (mask * item.background + (1 - mask) * colour)[0].detach().clamp(-1, 1)
    return loss, preview


def float_copy(generator: AttLWBGenerator) -> AttLWBGenerator:
    """The same generator in float32 with plain layers, sharing nothing with the original."""
    with torch.device("meta"):
        copied = AttLWBGenerator(generator.config)
    weights = {key: value.float().clone() for key, value in generator.state_dict().items()}
    copied.load_state_dict(weights, assign=True)
    return copied


def plain(source: Source) -> Source:
    """The whole source without inference tensors, on the CPU, where items are composed."""
    source = source.to("cpu")
    return Source(
        source.image.clone(),
        replace(source.params, pose=source.params.pose.clone()),
        None if source.mask is None else source.mask.clone(),
        None if source.offsets is None else source.offsets.clone(),
        person=source.person,
    )


def most_pictures(sources: Sources) -> int:
    """Of the person who is pictured most often; several people are told, not refused."""
    pictures = Counter(source.person for source in sources)
    if len(pictures) > 1:
        log.warning(
            "the sources show %d people; each is learnt from their own pictures alone",
            len(pictures),
        )
    return max(pictures.values())


def blend(tuned: AttLWBGenerator, base: AttLWBGenerator, share: float) -> None:
    """Weights of ``tuned`` := base + share * (tuned - base)."""
    with torch.no_grad():
        for ours, theirs in zip(tuned.parameters(), base.parameters(), strict=True):
            ours.copy_(theirs.lerp(ours, share))


def draw_item(sources: Sources, body: BodyModel, rng: np.random.Generator) -> TrainingItem:
    """One target that cannot be copied, over a random background.

    It is composed from the other pictures of the same person; a person's only one from itself.
    """
    chosen = int(rng.integers(len(sources)))
    target = sources[chosen]
    others = (s for i, s in enumerate(sources) if i != chosen and s.person == target.person)
    rest = tuple(others) or (target,)
    alone = rest[0] is target
    how = Disturbance(pose=1.0, shift=0.002)
    rest = tuple(replace(s, params=disturb_params(s.params, rng, how)) for s in rest)
    alpha = target.mask
    background = random_background(target.size, rng)
    image = alpha * target.image + (1 - alpha) * background
    item = make_item(
        rest,
        target.params,
        body,
        target.offsets,
        image[None],
        alpha[None],
        background[None],
        margin=0.1,
    )
    return remove_flow(item, rng) if alone else item


def random_background(size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Smooth random colours (3, H, W) in [-1, 1]."""
    cells = int(rng.integers(2, 9))
    coarse = torch.from_numpy(rng.uniform(-1, 1, (1, 3, cells, cells))).float()
    return F.interpolate(coarse, size, mode="bicubic", align_corners=False)[0].clamp(-1, 1)


def remove_flow(item: TrainingItem, rng: np.random.Generator) -> TrainingItem:
    """Blank random patches of the flow and of what it brought (about half of the person)."""
    height, width = item.image.shape[-2:]
    coarse = torch.from_numpy(rng.random((1, 1, height // 24 + 1, width // 24 + 1))).float()
    removed = F.interpolate(coarse, (height, width), mode="nearest")[0, 0] > 0.5
    inputs = item.target_inputs.clone()
    mean = inputs[:, :3].mean((2, 3), keepdim=True)
    inputs[:, :3] = torch.where(removed, mean, inputs[:, :3])
    inputs[:, 7:8] = torch.where(removed, torch.zeros(()), inputs[:, 7:8])
    flow = torch.where(removed[..., None], torch.tensor(-2.0), item.flow)
    return replace(item, target_inputs=inputs, flow=flow)


def sources_hash(sources: Sources) -> str:
    """sha256 of everything personalization reads from the sources.

    Not the parts that they give: personalization takes every picture whole.
    """
    digest = hashlib.sha256()
    people = list(dict.fromkeys(source.person for source in sources))
    for source in sources:
        if len(people) > 1:  # who is who counts, whatever the number
            digest.update(f"person {people.index(source.person)}".encode())
        params, camera = source.params, source.params.camera
        parts = [(source.image * 127.5).round(), params.pose, params.betas, camera.scale]
        parts += [camera.center, camera.focal, camera.principal, source.mask, source.offsets]
        parts += [params.confidence]
        for part in parts:
            digest.update(b"none" if part is None else str(tuple(part.shape)).encode())
            if part is not None:
                digest.update(part.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_personalized(
    path: str | Path, generator: AttLWBGenerator, record: Personalization
) -> None:
    """One safetensors file: the weights and what they were made from."""
    metadata = {METADATA_KEY: json.dumps(asdict(record))}
    save_generator(path, generator, metadata, dtype=torch.float32)


def describe(
    base: AttLWBGenerator,
    sources: Sources,
    steps: int,
    seed: int,
    learning_rate: float = 2e-4,
    size: int = 256,
) -> Personalization:
    """The record of a personalization of ``base`` on ``sources``."""
    return Personalization(
        weights_hash(base.state_dict()), sources_hash(sources), steps, seed, learning_rate, size
    )


def load_personalized(
    path: str | Path,
    sources: Sources | None = None,
    base: AttLWBGenerator | None = None,
    operations=torch.nn,
) -> tuple[AttLWBGenerator, Personalization]:
    """Load a personalized generator; refuse one made from other sources or another base."""
    state_dict, metadata = read_state_dict(path)
    if METADATA_KEY not in metadata:
        raise InputError(f"{path} is not a personalized generator; load it with Load Generator")
    try:
        record = Personalization(**json.loads(metadata[METADATA_KEY]))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: its record of the personalization cannot be read") from error
    if sources is not None and sources_hash(sources) != record.sources:
        raise InputError(
            f"{path} was personalized on other sources than these; personalize again, or load it "
            "without sources"
        )
    if base is not None and weights_hash(base.state_dict()) != record.base:
        raise InputError(f"{path} was personalized from another base generator; personalize again")
    return build_generator(state_dict, metadata, str(path), operations), record
