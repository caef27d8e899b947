"""Appearance transfer (paper sec. 3.6): who gives which part of the body.

The wearer is the person of the first source: shape, camera and background are theirs, and every
part that nobody claims. Other people's pictures claim parts. There a claim overrules: where several
people claim a vertex, the one added last has it, and all of that person's pictures that claim it.
A person's own pictures may claim parts too: a close-up that is to give the face alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..body.confidence import vertex_trust
from ..body.model import BodyModel, vertex_normals
from ..errors import InputError
from .parts import check_parts, part_vertices
from .source import MAX_SOURCES, Source, Sources, source_vertices
from .visibility import depth_map, facing, visible

log = logging.getLogger(__name__)

SHOWN = 0.1  # of a part's vertices: fewer are no picture of it
SEAM_ROUNDS = 8  # of averaging over neighbours: offsets change over about 6 cm of the surface


@dataclass(frozen=True)
class Feeding:
    """Which sources feed which vertices.

    patterns: (P, S) bool, the distinct sets of sources that feed a vertex, each of one source or
    more. pieces: (V,) int64, the pattern of each vertex.
    """

    patterns: Tensor
    pieces: Tensor

    @property
    def feeds(self) -> Tensor:
        """(V, S) bool."""
        return self.patterns[self.pieces]


def wear(wearer: Sources, clothes: Sources, parts: Iterable[str]) -> Sources:
    """``wearer`` with ``parts`` of the person in ``clothes``; may be repeated with other people.

    clothes: pictures of one person, who gets the next person number.
    """
    if not wearer or not clothes:
        raise InputError("appearance transfer needs pictures of the wearer and of the clothes")
    chosen = check_parts(parts)
    people = len({source.person for source in clothes})
    if people > 1:
        raise InputError(
            f"the clothes' sources show {people} people; give the pictures of one person at a time"
        )
    count = len(wearer) + len(clothes)
    if count > MAX_SOURCES:
        raise InputError(
            f"{len(wearer)} sources of the wearer and {len(clothes)} of the clothes make {count}; "
            f"at most {MAX_SOURCES} are possible in all"
        )
    ours, theirs = wearer[0].params.body_model, clothes[0].params.body_model
    if ours != theirs:
        raise InputError(
            f"the clothes' sources were recovered with the body model '{theirs}', but the "
            f"wearer's with '{ours}'; recover both with one body model"
        )
    person = max(source.person for source in wearer) + 1
    return (*wearer, *(replace(source, parts=chosen, person=person) for source in clothes))


def feeding(sources: Sources, body: BodyModel) -> Feeding:
    """Who feeds each vertex, on the body's device.

    The person who claims it last, with every picture that claims it; if nobody does, all sources
    without parts; if there are none, all pictures of the first source's person.
    """
    device = body.v_template.device
    person = torch.tensor([source.person for source in sources], device=device)
    claimed = torch.zeros(len(body.v_template), len(sources), dtype=torch.bool, device=device)
    owner = torch.full((len(claimed),), -1, device=device)
    for number, source in enumerate(sources):
        if source.parts is not None:
            claimed[:, number] = part_vertices(body, source.parts)
            owner[claimed[:, number]] = source.person
    rest = torch.tensor([source.parts is None for source in sources], device=device)
    if not rest.any():
        rest = person == person[0]
    feeds = torch.where((owner < 0)[:, None], rest, claimed & (person == owner[:, None]))
    patterns, pieces = feeds.unique(dim=0, return_inverse=True)
    return Feeding(patterns, pieces)


def warn_of_unseen_parts(sources: Sources, body: BodyModel, found: Feeding, score: Tensor) -> None:
    """Log a warning for each part that someone gives and that their pictures hardly show.

    score: (V, S) trust in each source, 0 = hidden or not fed.
    """
    claims = {(s.person, name) for s in sources for name in s.parts or ()}
    for person, name in sorted(claims):
        theirs = [number for number, source in enumerate(sources) if source.person == person]
        given = part_vertices(body, [name]) & found.feeds[:, theirs].any(1)
        shown = (score[given][:, theirs] > 0).any(1)
        if len(shown) and shown.float().mean() < SHOWN:
            log.warning(
                "%s is taken from sources %s, but they do not show it: it gets the colours of "
                "what is next to it",
                name,
                ", ".join(str(number + 1) for number in theirs),
            )


def worn_offsets(sources: Sources, body: BodyModel) -> Tensor | None:
    """(V,) metres along the rest normals, of whoever feeds each vertex; None = naked.

    A jacket keeps its outline on the wearer's shape. Over seams the offsets change smoothly.
    """
    if len({source.person for source in sources}) == 1:
        return sources[0].offsets
    if all(source.offsets is None for source in sources):
        return None
    device = sources[0].image.device
    body = body.to(device)
    found = feeding(sources, body)
    giver = found.patterns.byte().argmax(1)[found.pieces]  # a person's offsets are all the same
    worn = body.v_template.new_zeros(len(body.v_template))
    for number in giver.unique().tolist():
        if sources[number].offsets is not None:
            share = smooth_over_mesh((giver == number).to(worn), body.faces)
            worn = worn + share * sources[number].offsets
    return worn


def smooth_over_mesh(values: Tensor, faces: Tensor, rounds: int = SEAM_ROUNDS) -> Tensor:
    """(V,) averaged ``rounds`` times, half and half with the neighbours' mean."""
    start, end = faces.flatten(), faces.roll(-1, 1).flatten()
    degree = torch.zeros_like(values).index_add_(0, start, torch.ones_like(values[start]))
    degree = degree.index_add_(0, end, torch.ones_like(values[end])).clamp(min=1)
    for _ in range(rounds):
        total = torch.zeros_like(values).index_add_(0, start, values[end])
        values = (values + total.index_add_(0, end, values[start]) / degree) / 2
    return values


def rank_sources(sources: Sources, body: BodyModel) -> Sources:
    """Best front first; of equal sources the earlier one stays ahead.

    Pictures change places only with pictures of the same person that give the same parts, so that
    neither the wearer nor a claim changes.
    """
    shown = [front_shown(source, body) for source in sources]
    kinds = [(source.person, source.parts) for source in sources]
    ranked = list(sources)
    for kind in set(kinds):
        places = [i for i, other in enumerate(kinds) if other == kind]
        best = sorted(places, key=lambda i: -shown[i])  # stable
        for place, i in zip(places, best, strict=True):
            ranked[place] = sources[i]
    return tuple(ranked)


def front_shown(source: Source, body: BodyModel) -> float:
    """0..1, how much of the body's front a source shows: the area seen, by its cosine."""
    body, camera = body.to(source.image.device), source.params.camera
    vertices = source_vertices(source, body)
    cosine = facing(vertices, vertex_normals(vertices, body.faces), camera)
    trust = vertex_trust(body, source.params)
    projected = camera.project(vertices)
    depth = depth_map(
        projected.masked_fill((trust == 0)[..., None], torch.nan), body.faces, source.size
    )
    height, width = source.size
    grid = projected[..., :2] / projected.new_tensor([width, height]) * 2 - 1
    seen = visible(depth, grid[0, :, None], projected[0, :, 2:], cosine[0, :, None])[:, 0]
    first, second, third = (body.v_template[body.faces[:, corner]] for corner in range(3))
    area = torch.linalg.cross(second - first, third - first).norm(dim=-1)
    weight = torch.zeros_like(seen)
    for corner in range(3):
        weight = weight.index_add(0, body.faces[:, corner], area)
    weight = weight * body.rest_normals()[:, 2].clamp(min=0)
    return float((weight * seen * trust[0] * cosine[0].clamp(min=0)).sum() / weight.sum())
