"""The paper's protocols (sec. 4.2), one person at a time.

Self-imitation: the sources imitate other pictures of the same person, whose truth is known.
Cross-imitation: they take the poses and cameras of the next person's pictures. There is no truth,
so results are compared with the person's own sources, and as a set with real pictures.

Every result is what a user gets: the whole picture, the person painted over the first source's own
background, filled where the person stood.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..flow.source import Sources
from ..networks.generator import AttLWBGenerator
from ..pipeline import compose, generate, source_background
from .crops import BodyViews, body_views, cut
from .distances import Lpips, cosine_similarity
from .held_out import HeldOut
from .networks import Embedder
from .pictures import gradient_energy, mean_within, person_region, picture_scores

FACE_ON_SHEET = 128  # px


@dataclass(frozen=True)
class Networks:
    """The user's networks; None = not given."""

    body: Embedder | None = None
    face: Embedder | None = None
    inception: Embedder | None = None
    lpips: Lpips | None = None


@dataclass(frozen=True)
class Setting:
    """How results are made. size: side of the network's square. fill: of the hole behind the
    person; "true" = over the true background."""

    size: int = 256
    fill: str = "patch"
    seed: int = 0
    device: torch.device | str = "cpu"


@dataclass(frozen=True)
class Outcome:
    """One person under one protocol, T pictures.

    scores: metric -> (T,), NaN where it cannot be measured. results, truths: kind ("body", "face",
    "whole") -> embeddings (N, D) of the results and of real pictures. pictures: what the sheet
    shows: "sources", "result", and "truth" or "pose" (n, 3, H, W); heads: the heads of result and
    truth, or of the first source with a face, (n, 3, h, h). Pictures are uint8, to hold many.
    """

    name: str
    scores: dict[str, Tensor]
    results: dict[str, Tensor] = field(default_factory=dict)
    truths: dict[str, Tensor] = field(default_factory=dict)
    pictures: dict[str, Tensor] = field(default_factory=dict)
    heads: dict[str, Tensor] = field(default_factory=dict)


def imitate(
    generator: AttLWBGenerator, person: HeldOut, target, background: Tensor, body: BodyModel,
    how: Setting,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Whole pictures (T, 3, H, W) of the person in the poses of ``target``, and their mattes."""
    # As clips of one frame: the target's pictures have nothing to do with each other.
    flow = compose(person.sources, target, body, how.size, frame="full", clips=len(target))
    frames = generate(generator, flow, background[None], device=how.device)
    images, mattes = zip(*frames, strict=True)
    return torch.cat(images), torch.cat(mattes)


def backdrop(person: HeldOut, body: BodyModel, how: Setting) -> Tensor:
    """(3, H, W) behind the person: the first source's picture, filled, or the true one."""
    if how.fill == "true":
        return person.background
    return source_background(person.sources[0], body, how.fill, seed=how.seed)


def self_imitation(
    generator: AttLWBGenerator, person: HeldOut, background: Tensor, body: BodyModel, how: Setting,
    networks: Networks,
) -> Outcome:  # fmt: skip
    """The person's own other pictures, with all measures."""
    result, matte = imitate(generator, person, person.target, background, body, how)
    truth, offsets = person.images, person.sources[0].offsets
    views = body_views(person.target, body, offsets)
    regions = {"": None, "_person": person_region(person.alphas), "_head": views.head_region}
    scores = picture_scores(result, truth, regions)
    inside, wanted = matte > 0.5, person.alphas > 0.5
    scores["iou"] = (inside & wanted).sum((1, 2, 3)) / (inside | wanted).sum((1, 2, 3))
    if networks.lpips is not None:
        scores["lpips"] = networks.lpips(result, truth)
    results, truths = embed(result, views, networks), embed(truth, views, networks)
    if "body" in results:
        scores["body_cs"] = cosine_similarity(results["body"], truths["body"])
    if "face" in results:
        scores["face_cs"] = scatter(cosine_similarity(results["face"], truths["face"]), views.shown)
    return Outcome(
        person.name, scores, results, truths,
        packed(sources=source_pictures(person.sources), result=result, truth=truth),
        packed(result=heads(result, views), truth=heads(truth, views)),
    )  # fmt: skip


def cross_imitation(
    generator: AttLWBGenerator, person: HeldOut, other: HeldOut, background: Tensor,
    body: BodyModel, how: Setting, networks: Networks,
) -> Outcome:  # fmt: skip
    """The poses and cameras of another person's pictures, with the measures without truth."""
    first = person.sources[0]
    target = replace(
        other.target,
        betas=first.params.betas,
        camera=other.target.camera.resize(first.size),
    )
    result, matte = imitate(generator, person, target, background, body, how)
    views = body_views(target, body, first.offsets)
    seen = [body_views(s.params, body, s.offsets) for s in person.sources]
    real = body_views(person.target, body, first.offsets)
    energy = torch.stack(
        [mean_within(gradient_energy(s.image[None]), person_region(s.mask[None]))[0]
         for s in person.sources]
    )  # fmt: skip
    found = mean_within(gradient_energy(result), person_region(matte))
    scores = {"sharpness_sources": found / energy.mean()}
    results, truths = embed(result, views, networks), embed(person.images, real, networks)
    if networks.body is not None:
        own = networks.body(cut(first.image[None], seen[0].body, networks.body.wants.size))
        scores["body_cs"] = cosine_similarity(results["body"], own.expand_as(results["body"]))
    faces = [i for i, view in enumerate(seen) if view.shown[0]]
    if networks.face is not None and faces:
        own = cut(person.sources[faces[0]].image[None], seen[faces[0]].face, face_size(networks))
        like = cosine_similarity(results["face"], networks.face(own).expand_as(results["face"]))
        scores["face_cs"] = scatter(like, views.shown)
    shown = faces[0] if faces else 0
    close = heads(person.sources[shown].image[None], seen[shown])
    return Outcome(
        person.name, scores, results, truths,
        packed(sources=source_pictures(person.sources), pose=other.images, result=result),
        packed(source=close.expand(len(result), -1, -1, -1), result=heads(result, views)),
    )  # fmt: skip


def embed(pictures: Tensor, views: BodyViews, networks: Networks) -> dict[str, Tensor]:
    """Embeddings of whole pictures, of bodies, and of the faces that are shown."""
    found = {}
    if networks.inception is not None:
        found["whole"] = networks.inception(pictures)
    if networks.body is not None:
        found["body"] = networks.body(cut(pictures, views.body, networks.body.wants.size))
    if networks.face is not None:
        shown = views.shown
        size = face_size(networks)
        # Embedding nobody still tells the vector's length: take one and drop it.
        some = shown if shown.any() else torch.ones_like(shown)
        vectors = networks.face(cut(pictures[some], views.face[some], size))
        found["face"] = vectors if shown.any() else vectors[:0]
    return found


def face_size(networks: Networks) -> tuple[int, int]:
    return networks.face.wants.size


def scatter(values: Tensor, shown: Tensor) -> Tensor:
    """(T,) with ``values`` where ``shown``, NaN elsewhere."""
    out = torch.full(shown.shape, torch.nan, dtype=torch.float64)
    out[shown] = values.double()
    return out


def source_pictures(sources: Sources) -> Tensor:
    return torch.stack([source.image for source in sources])


def heads(pictures: Tensor, views: BodyViews) -> Tensor:
    return cut(pictures, views.head, (FACE_ON_SHEET, FACE_ON_SHEET))


def packed(**pictures: Tensor) -> dict[str, Tensor]:
    """Pictures in [-1, 1] as uint8."""
    return {k: ((v + 1) * 127.5).round().to(torch.uint8) for k, v in pictures.items()}
