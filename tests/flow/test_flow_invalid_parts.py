"""Parts that a picture does not show: nothing of it is taken for them, other sources fill in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
import torch

from lwg_core.body.confidence import vertex_trust
from lwg_core.body.model import PART_NAMES
from lwg_core.body.open_body import open_body
from lwg_core.body.params import JOINT_NAMES, SmplParams
from lwg_core.errors import InputError
from lwg_core.flow.compose import ComposeOptions, compose, prepare_sources
from lwg_core.flow.masks import estimate_mask
from lwg_core.flow.offsets import observe_outline, solve_offsets
from lwg_core.flow.parts import part_labels
from lwg_core.flow.source import Source
from lwg_core.pipeline import make_source
from lwg_core.recovery.keypoints import KEYPOINT_NAMES
from lwg_core.recovery.labels import joint_confidence
from lwg_core.recovery.projection import project_keypoints
from lwg_core.render.raster import rasterize
from lwg_core.synthetic.dataset import make_record

SIDE = 160
PERSON = 1_000_001  # shorts and a shirt
WOOD = torch.tensor([0.9, 0.2, -0.6])
LEGS = [i for i, name in enumerate(PART_NAMES) if name.endswith(("leg", "foot"))]
HANDS = [i for i, name in enumerate(PART_NAMES) if name.endswith("hand")]


@dataclass(frozen=True)
class Shots:
    """A synthetic person: ``whole`` and ``other`` from the front, and half of them.

    table: ``whole`` with everything below the hips behind a table. cropped: cut there. Their legs
    are guessed: bent, as somebody who sits.
    """

    whole: Source
    other: Source
    table: Source
    cropped: Source

    @property
    def naive(self) -> Source:
        """``table`` by somebody who takes the guess for the person."""
        return replace(self.table, params=replace(self.table.params, confidence=torch.ones(1, 24)))


@pytest.fixture(scope="module")
def shots() -> Shots:
    body, record = open_body(), make_record(PERSON, 3, SIDE)
    images = torch.from_numpy(record.images).permute(0, 3, 1, 2) / 127.5 - 1
    mattes = torch.from_numpy(record.alphas)[:, None] / 255
    whole, other = (Source(images[i], record.params.select([i]), mattes[i]) for i in (0, 2))
    points, seen = project_keypoints(body, whole.params)
    hips, knees = (
        points[0, [KEYPOINT_NAMES.index(f"{s}_{name}") for s in ("left", "right")], 1].mean()
        for name in ("hip", "knee")
    )
    edge = int(hips + 0.2 * (knees - hips))
    pose = whole.params.pose.clone()
    for side, sign in (("left", 1), ("right", -1)):
        pose[0, JOINT_NAMES.index(f"{side}_hip")] = torch.tensor([-0.9, 0.0, sign * 0.4])
        pose[0, JOINT_NAMES.index(f"{side}_knee")] = torch.tensor([0.9, 0.0, 0.0])
    confidence = joint_confidence(seen * (points[..., 1] < edge))
    params = replace(whole.params, pose=pose, confidence=confidence)
    image, matte = whole.image.clone(), whole.mask.clone()
    image[:, edge:], matte[:, edge:] = WOOD[:, None, None], 0
    cropped = replace(params, camera=params.camera.crop(0, 0, (edge, SIDE)))
    return Shots(
        whole,
        other,
        Source(image, params, matte),
        Source(image[:, :edge], cropped, matte[:, :edge]),
    )


def _compose(sources, target: SmplParams, size=(SIDE, SIDE), **options):
    body = open_body()
    prepared = prepare_sources(sources, body)
    vertices = body.vertices(target.pose, target.betas)
    return prepared, compose(prepared, vertices, target.camera, size, ComposeOptions(**options))


def _on(chunk, parts) -> torch.Tensor:
    """(T, H, W) bool: pixels of the mesh that show the middle of these parts."""
    mask = torch.isin(chunk.part, torch.tensor(parts)) & (chunk.silhouette[:, 0] > 0)
    shrunk = -torch.nn.functional.max_pool2d(-mask.float()[:, None], 3, 1, 1)
    return shrunk[:, 0] > 0


def test_the_half_body_says_that_it_has_no_legs(shots):
    for source in (shots.table, shots.cropped):
        trust = vertex_trust(open_body(), source.params)[0]
        labels = part_labels(open_body())
        for part in range(len(PART_NAMES)):
            share = trust[labels == part].mean()
            assert share < 0.35 if part in LEGS else share > 0.85, PART_NAMES[part]


@pytest.mark.parametrize("kind", ["table", "cropped"])
@pytest.mark.parametrize("visibility", ["visible", "official"])
def test_unseen_legs_score_nothing(shots, kind, visibility):
    source = getattr(shots, kind)
    prepared, chunk = _compose((source,), shots.whole.params, visibility=visibility)
    legs = _on(chunk, LEGS)
    assert legs.sum() > 500
    # Thighs fade out where the hips, which were seen, carry the skin.
    below = legs & (torch.arange(SIDE)[:, None] > 0.6 * SIDE)
    assert (chunk.score[:, 0][below] == 0).all() and (chunk.visibility[:, 0][below] == 0).all()
    assert not chunk.flow.valid[:, 0][below].any()
    # Neither does the band around them: nothing but legs is so far down.
    assert not chunk.flow.valid[:, 0, 3 * SIDE // 4 :].any()
    for parts in (HANDS, [PART_NAMES.index("torso")], [PART_NAMES.index("face")]):
        assert chunk.score[:, 0][_on(chunk, parts)].mean() > 0.2
    assert (prepared.trust[torch.isin(prepared.parts, torch.tensor(LEGS[2:]))] == 0).all()


def test_the_target_keeps_its_legs(shots):
    """What the driver shows is drawn; only where its texture comes from changes."""
    _, half = _compose((shots.table,), shots.whole.params)
    _, whole = _compose((shots.whole,), shots.whole.params)
    torch.testing.assert_close(half.silhouette, whole.silhouette)
    torch.testing.assert_close(half.code, whole.code)


@pytest.mark.parametrize("first", ["table", "cropped"])
def test_a_second_source_fills_the_legs(shots, first):
    half = getattr(shots, first)
    _, alone = _compose((half,), shots.whole.params)
    prepared, both = _compose((half, shots.other), shots.whole.params)
    assert len(prepared) == 2
    legs = _on(both, LEGS)
    assert alone.visibility[:, 0][legs].mean() < 0.1 < 0.7 < both.visibility[:, 0][legs].mean()
    _, other = _compose((shots.other,), shots.whole.params)
    texture = [chunk.warped[0].permute(1, 2, 0)[legs[0]] for chunk in (alone, both, other)]
    assert (
        (texture[1] - texture[2]).abs().mean() < 0.02 < 0.1 < (texture[0] - texture[2]).abs().mean()
    )
    face = _on(both, [PART_NAMES.index("face")])
    assert (both.score[:, 0][face] - alone.score[:, 0][face]).abs().mean() < 0.01


def _wooden(chunk, parts) -> float:
    """Share of the pixels of some parts that have the colour of the table."""
    pixels = chunk.warped.permute(0, 2, 3, 1)[_on(chunk, parts)]
    return float(((pixels - WOOD).abs().amax(-1) < 0.25).float().mean())


def test_without_a_mask_the_table_is_not_worn(shots):
    """Before there was a mask the guessed legs lay on the table and took its picture."""
    _, naive = _compose((replace(shots.naive, mask=None),), shots.whole.params)
    prepared, honest = _compose((replace(shots.table, mask=None),), shots.whole.params)
    assert _wooden(naive, LEGS) > 0.4 and _wooden(honest, LEGS) == 0
    # The guessed mask ends with what was seen of the body.
    rows = prepared.alpha[0, 0].amax(1).nonzero().flatten()
    assert rows.max() < 0.7 * SIDE
    _, filled = _compose((replace(shots.table, mask=None), shots.other), shots.whole.params)
    assert _wooden(filled, LEGS) == 0 and filled.visibility[:, 0][_on(filled, LEGS)].mean() > 0.7


def test_guessed_limbs_hide_nothing(shots):
    """A thigh that is guessed in front of the belly does not cover it."""
    pose = shots.table.params.pose.clone()
    for side in ("left", "right"):
        pose[0, JOINT_NAMES.index(f"{side}_hip")] = torch.tensor([-math.radians(130), 0.0, 0.0])
    honest, naive = (
        _compose((replace(s, params=replace(s.params, pose=pose)),), shots.whole.params)[1]
        for s in (shots.table, shots.naive)
    )
    torso = _on(honest, [PART_NAMES.index("torso")])
    shown = honest.score[:, 0][torso] > 0.1, naive.score[:, 0][torso] > 0.1
    assert (shown[0] & ~shown[1]).sum() > 30 and not (shown[1] & ~shown[0]).any()


def test_unseen_parts_observe_no_offsets(shots):
    body = open_body()
    legs = torch.isin(body.parts.long(), torch.tensor(LEGS))
    # A mask that ends at the table tells where the naive body's legs end, which is not cloth.
    fat = replace(shots.naive, mask=(shots.naive.mask + _below(shots)).clamp(max=1))
    naive, honest = observe_outline(body, fat), observe_outline(body, _like(fat, shots.table))
    trust = vertex_trust(body, shots.table.params)[0]
    assert (trust[naive.index] == 0).sum() > 20
    assert (trust[honest.index] > 0.5).all() and (~legs)[honest.index].sum() > 100
    torso = body.parts == PART_NAMES.index("torso")
    apart = solve_offsets(body, (shots.table,)) - solve_offsets(body, (shots.whole,))
    assert apart[torso].abs().mean() < 0.005


def _below(shots) -> torch.Tensor:
    """A blob where the table is, 0..1: what a careless mask holds besides the person."""
    edge = int((shots.table.image[:, :, 0] - WOOD[:, None]).abs().amax(0).gt(1e-6).sum())
    blob = torch.zeros(1, SIDE, SIDE)
    blob[:, edge:, SIDE // 5 : -SIDE // 5] = 1
    return blob


def _like(source: Source, other: Source) -> Source:
    return replace(source, params=replace(source.params, confidence=other.params.confidence))


def test_a_whole_body_is_drawn_as_ever(shots):
    body = open_body()
    prepared = prepare_sources((shots.whole,), body)
    assert (prepared.trust == 1).all()
    params = shots.whole.params
    projected = params.camera.project(body.vertices(params.pose, params.betas))
    raster = rasterize(projected, body.faces, (SIDE, SIDE))
    assert torch.equal(prepared.raster.face_index, raster.face_index)
    faint = replace(params, confidence=torch.full((1, 24), 0.3))
    again = prepare_sources((replace(shots.whole, params=faint),), body)
    assert torch.equal(again.vertex_colors, prepared.vertex_colors)


def test_a_source_that_shows_nobody_is_an_error_at_every_stage(shots):
    nobody = replace(shots.whole.params, confidence=torch.zeros(1, 24))
    source, body = replace(shots.whole, params=nobody), open_body()
    with pytest.raises(InputError, match="source 2 shows no part of the body"):
        prepare_sources((shots.whole, source), body)
    for stage in (
        lambda: make_source(source.image, nobody, body),
        lambda: estimate_mask(source.image, body, nobody),
        lambda: solve_offsets(body, (source,)),
    ):
        with pytest.raises(InputError, match="source 1 shows no part of the body"):
            stage()
