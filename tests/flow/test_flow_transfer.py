"""Appearance transfer: who feeds what, seams, occlusion, offsets, order."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch

from lwg_core.body.model import PART_NAMES
from lwg_core.body.params import JOINT_NAMES
from lwg_core.errors import InputError
from lwg_core.flow.compose import ComposeOptions, compose, prepare_sources
from lwg_core.flow.offsets import with_offsets
from lwg_core.flow.parts import PART_GROUPS, check_parts, part_vertices
from lwg_core.flow.source import crop_source
from lwg_core.flow.transfer import (
    feeding,
    front_shown,
    rank_sources,
    wear,
    worn_offsets,
)

A, B, C = torch.tensor([[0.9, -0.7, -0.7], [-0.7, 0.8, -0.7], [-0.7, -0.7, 0.9]])
LEG = ("hip", "knee", "ankle", "foot")
ALL = ("upper", "lower", "hands", "feet", "head")


def plain(studio, colour, yaws=(0, 180), **pose):
    paint = colour.expand(len(studio.paint), 3)
    return tuple(studio.source(studio.pose(yaw, **pose), paint=paint) for yaw in yaws)


def giving(sources, parts):
    return tuple(replace(source, parts=tuple(parts)) for source in sources)


def composed(studio, sources, pose=None, way="flows"):
    prepared = prepare_sources(sources, studio.body)
    target = studio.params((studio.pose(20) if pose is None else pose)[None], (128, 128))
    vertices = studio.body.vertices(target.pose, target.betas, worn_offsets(sources, studio.body))
    options = ComposeOptions(transfer=way)
    chunk = compose(prepared, vertices, target.camera, (128, 128), options)
    owner = feeding(sources, studio.body).feeds
    corner = chunk.raster.barycentric[0].argmax(-1)
    face = studio.body.faces[chunk.raster.face_index[0].long().clamp(min=0)]
    vertex = face.gather(2, corner[..., None])[..., 0]
    # Not the seams themselves: all corners of the pixel's face have one owner.
    inner = (owner[face] == owner[vertex][:, :, None]).all(-1).all(-1)
    return chunk, owner[vertex], inner & (chunk.raster.face_index[0] >= 0)


def test_the_groups_divide_the_body(studio):
    for body in (studio.body, replace(studio.body, parts=None)):
        masks = {name: part_vertices(body, [name]) for name in PART_GROUPS}
        assert sum(masks[name].int() for name in ALL).eq(1).all()
        assert masks["whole"].all()
        assert torch.equal(masks["body"], ~masks["head"])
        assert (masks["face"] & ~masks["head"]).sum() == 0
        assert 0 < masks["legs"].sum() < masks["lower"].sum()
        assert 0 < masks["arms"].sum() < masks["upper"].sum()
        height = body.v_template[:, 1]
        waist = height[masks["upper"]].min()
        assert height[masks["lower"]].max() < waist + 0.03
        pelvis, hip = (body.joint_regressor @ body.v_template)[:2, 1]
        assert hip < waist < pelvis
        sides = (height[masks["lower"]] - height[body.mirror[masks["lower"]]]).abs()
        assert torch.equal(masks["lower"], masks["lower"][body.mirror]) and sides.max() < 1e-4


@pytest.mark.parametrize("parts", [["hat"], [], ["upper", "Lower"], "upper,cape"])
def test_unknown_parts_are_named(studio, parts):
    with pytest.raises(InputError, match="head, face, upper, lower, arms, hands, legs, feet, body"):
        check_parts(parts)
    one = plain(studio, A, [0])
    with pytest.raises(InputError, match="part"):
        wear(one, one, parts)
    with pytest.raises(InputError, match="part"):
        replace(one[0], parts=tuple(parts))


def test_who_feeds_what(studio):
    body, one = studio.body, plain(studio, A, [0])
    upper, hands, head = (part_vertices(body, [name]) for name in ("upper", "hands", "head"))

    dressed = wear(wear(one, one, ["upper", "hands"]), one + one, ["hands", "feet"])
    assert [source.person for source in dressed] == [0, 1, 2, 2]
    feeds = feeding(dressed, body).feeds
    assert torch.equal(feeds[:, 1], upper)  # the later claim has the hands
    assert feeds[hands].int().tolist() == [[0, 0, 1, 1]] * int(hands.sum())
    assert feeds[head, 0].all() and feeds.any(1).all()
    # A person's own close-up: the head is the close-up's, the rest is left to the others.
    own = (*one, *giving(one, ["head"]))
    assert torch.equal(feeding(own, body).feeds[:, 1], head)
    assert torch.equal(feeding(own, body).feeds[:, 0], ~head)
    # What nobody claims falls to the first person if all sources claim something.
    feeds = feeding(wear(giving(one, ["face"]), one, ["upper"]), body).feeds
    assert torch.equal(feeds[:, 0], ~upper)
    # Pictures that are added behind are of the wearer.
    late = feeding((*wear(one, one, ["upper"]), *one), body).feeds
    assert late[~upper].int().unique(dim=0).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("way", ["flows", "texture"])
def test_each_source_paints_its_parts_alone(studio, way):
    sources = wear(plain(studio, A), plain(studio, B, [0]), ["upper"])
    chunk, owner, inner = composed(studio, sources, way=way)
    theirs = owner[..., 2] & inner
    ours = owner[..., 0] & inner
    assert theirs.sum() > 500 and ours.sum() > 500
    expected = torch.where(theirs[..., None], B, A)
    error = (chunk.warped[0].permute(1, 2, 0) - expected).abs().amax(-1)
    assert error[theirs | ours].max() < 0.05  # of 1.6: no bleeding anywhere, filled pixels included
    valid = chunk.flow.valid[0]
    if way == "flows":
        assert not valid[2][ours].any() and not valid[:2, theirs].any()
    else:
        assert valid[2][ours].float().mean() > 0.8 and valid[0][theirs].float().mean() > 0.8
        free = tuple(replace(source, parts=None, person=0) for source in sources)
        assert torch.equal(chunk.flow.grid, composed(studio, free)[0].flow.grid)
    # A seam leaves no gap: what was shown stays shown.
    whole = composed(studio, plain(studio, A))[0]
    mesh = chunk.silhouette[0, 0] > 0
    lost = (whole.visibility - chunk.visibility)[0, 0, mesh]
    assert (lost > 0.3).float().mean() < 0.03


def test_the_back_of_a_jacket_seen_from_the_front_only_is_its_own_colour(studio):
    sources = wear(plain(studio, A), plain(studio, B, [0]), ["upper"])
    chunk, owner, inner = composed(studio, sources, studio.pose(180))
    theirs = owner[..., 2] & inner
    assert theirs.sum() > 500
    assert (chunk.warped[0, :, theirs] - B[:, None]).abs().max() < 0.02


@pytest.mark.parametrize("way", ["flows", "texture"])
@pytest.mark.parametrize("parts", [["whole"], ["head", "body"]])
def test_everything_of_another_person(studio, parts, way):
    """One set of sources feeds the whole body, and it is not all of them."""
    sources = wear(plain(studio, A), plain(studio, B), parts)
    prepared = prepare_sources(sources, studio.body)
    assert prepared.patterns.tolist() == [[0, 0, 1, 1]] and prepared.divided
    chunk, _, inner = composed(studio, sources, way=way)
    assert (chunk.warped[0, :, inner] - B[:, None]).abs().max() < 0.05
    assert (chunk.score[0, :2] == 0).all() and (chunk.score[0, 2] > 0).any()
    assert chunk.flow.valid[0, :2].any() == (way == "texture")


def test_face_and_hair_of_two_people(studio):
    sources = wear(plain(studio, A), plain(studio, B), ["face"])
    chunk, owner, inner = composed(studio, sources, studio.pose(0))
    head = (chunk.part[0] == PART_NAMES.index("head")) | (chunk.part[0] == PART_NAMES.index("face"))
    for number, colour in ((0, A), (2, B)):
        shown = owner[..., number] & inner & head
        assert shown.sum() > 10
        assert (chunk.warped[0, :, shown] - colour[:, None]).abs().max() < 0.05
    own = composed(studio, plain(studio, A), studio.pose(0))[0]
    assert torch.equal(chunk.head, own.head)  # copied as the head of one person is


def test_what_does_not_feed_still_hides(studio):
    """B's arm hangs before B's trunk: it is not worn, but its pixels are no jacket."""
    sources = wear(plain(studio, A), plain(studio, B, [75], arms=84), ["body"])
    without = wear(sources, plain(studio, C), ["arms", "hands"])
    pose = studio.pose(75, arms=0)
    whole = composed(studio, sources, pose)[0]
    chunk, owner, inner = composed(studio, without, pose)
    trunk = (chunk.part[0] == PART_NAMES.index("torso")) & owner[..., 2] & inner
    seen = chunk.flow.valid[0, 2]
    assert 0.2 < seen[trunk].float().mean() < 0.9
    assert torch.equal(seen[trunk], whole.flow.valid[0, 2][trunk])


def test_without_parts_nothing_changes(studio):
    sources = tuple(studio.source(studio.pose(yaw)) for yaw in (0, 120))
    prepared = prepare_sources(sources, studio.body)
    assert prepared.patterns.tolist() == [[1, 1]] and not prepared.divided
    plain_chunk = composed(studio, sources)[0]
    numbered = tuple(replace(source, person=3) for source in sources)
    for other in (composed(studio, numbered)[0], composed(studio, sources, way="texture")[0]):
        assert torch.equal(plain_chunk.warped, other.warped)
        assert torch.equal(plain_chunk.flow.grid, other.flow.grid)
        assert torch.equal(plain_chunk.visibility, other.visibility)
    # All parts claimed by all is the same as no parts at all, but through the gates.
    claimed = composed(studio, giving(sources, ["whole"]))[0]
    assert torch.equal(plain_chunk.warped, claimed.warped)


def test_offsets_follow_whoever_feeds(studio):
    count = len(studio.body.v_template)
    thin = tuple(replace(s, offsets=torch.full((count,), 0.01)) for s in plain(studio, A))
    thick = tuple(replace(s, offsets=torch.full((count,), 0.05)) for s in plain(studio, B))
    assert worn_offsets(thin, studio.body) is thin[0].offsets
    assert worn_offsets(wear(plain(studio, A), plain(studio, B), ["upper"]), studio.body) is None
    worn = worn_offsets(wear(thin, thick, ["upper"]), studio.body)
    assert 0.01 - 1e-6 < worn.min() and worn.max() < 0.05 + 1e-6
    upper = part_vertices(studio.body, ["upper"])
    height = studio.body.v_template[:, 1]
    chest = upper & (height > 0.0) & (studio.body.v_template[:, 0].abs() < 0.15) & (height < 0.15)
    assert (worn[chest] - 0.05).abs().max() < 0.003
    face = part_vertices(studio.body, ["face"]) & (height > 0.35)
    assert (worn[face] - 0.01).abs().max() < 0.003
    start, end = studio.body.faces.flatten(), studio.body.faces.roll(-1, 1).flatten()
    step = (worn[start] - worn[end]).abs().max()
    assert step < 0.02  # of 0.04: no cliff at the seams
    naked = worn_offsets(wear(plain(studio, A), thick, ["upper"]), studio.body)
    assert naked.min() >= 0 and (naked[part_vertices(studio.body, ["feet"])] < 1e-6).all()


def test_offsets_are_solved_for_each_person(studio):
    one, other = plain(studio, A, [0]), plain(studio, B, [0])
    wide = torch.nn.functional.max_pool2d(other[0].mask[None], 9, 1, 4)[0]
    other = (replace(other[0], mask=wide),)
    both = with_offsets(wear(one, other, ["upper"]), studio.body)
    assert torch.equal(both[0].offsets, with_offsets(one, studio.body)[0].offsets)
    assert torch.equal(both[1].offsets, with_offsets(other, studio.body)[0].offsets)
    assert both[1].offsets.mean() > both[0].offsets.mean() + 0.005
    with pytest.raises(InputError, match="9 sources"):
        with_offsets(wear(one * 7, other, ["upper"]) + one, studio.body)


def test_sources_of_different_shapes_are_told(studio, caplog):
    one, other = plain(studio, A, [0, 180])
    small = other.params.betas.clone()
    small[0] += 6 * torch.sign(_growth(studio.body)[0])
    other = replace(other, params=replace(other.params, betas=small))
    with caplog.at_level(logging.WARNING):
        with_offsets((one, replace(one)), studio.body)
        with_offsets(wear((one,), (other,), ["upper"]), studio.body)
        assert not caplog.records
        with_offsets((one, other), studio.body)
    (record,) = caplog.records
    assert "sources 1 and 2 seem to show different people" in record.getMessage()


def _growth(body):
    span = body.shapedirs[:, 1]
    return span[body.v_template[:, 1].argmax()] - span[body.v_template[:, 1].argmin()]


def test_parts_that_no_picture_shows_are_told(studio, caplog):
    legs = [number for number, name in enumerate(JOINT_NAMES) if name.split("_")[-1] in LEG]
    other = plain(studio, B)
    confidence = other[0].params.confidence.clone()
    confidence[:, legs] = 0
    half = tuple(
        replace(source, params=replace(source.params, confidence=confidence)) for source in other
    )
    with caplog.at_level(logging.WARNING):
        prepare_sources(wear(plain(studio, A), other, ["upper", "legs"]), studio.body)
        # The trousers of the half figure are not worn: the next person's are.
        sources = wear(wear(plain(studio, A), half, ["legs"]), other, ["legs"])
        prepare_sources(sources, studio.body)
        assert not caplog.records
        prepared = prepare_sources(wear(plain(studio, A), half, ["upper", "legs"]), studio.body)
    (record,) = caplog.records
    assert record.getMessage().startswith("legs is taken from sources 3, 4, but they do not")
    shins = part_vertices(studio.body, ["legs"]) & (studio.body.v_template[:, 1] < -0.5)
    assert (prepared.vertex_colors[shins] - B).abs().max() < 0.1  # at least of the same person


def test_too_many_sources_and_mixed_clothes_are_refused(studio):
    one = plain(studio, A, [0])
    with pytest.raises(InputError, match="5 sources of the wearer and 4 of the clothes make 9"):
        wear(one * 5, one * 4, ["upper"])
    with pytest.raises(InputError, match="show 2 people"):
        wear(one, wear(one, one, ["upper"]), ["lower"])
    with pytest.raises(InputError, match="wearer and of the clothes"):
        wear(one, (), ["upper"])
    foreign = replace(one[0], params=replace(one[0].params, body_model="smpl"))
    with pytest.raises(InputError, match="recover both with one body model"):
        wear(one, (foreign,), ["upper"])
    with pytest.raises(InputError, match="flows or texture"):
        ComposeOptions(transfer="uv")


def test_best_front_first(studio):
    yaws = (180, 60, 0)
    sources = plain(studio, A, yaws)
    shown = [front_shown(source, studio.body) for source in sources]
    assert shown[0] < 0.1 < shown[1] < shown[2] <= 1
    ranked = rank_sources(sources, studio.body)
    assert all(a is b for a, b in zip(ranked, sources[::-1], strict=True))
    twice = (sources[1], replace(sources[1]))
    assert rank_sources(twice, studio.body)[0] is twice[0]  # stable
    # Neither the wearer nor a claim changes.
    mixed = wear(sources, plain(studio, B, (90, 0)), ["upper"])
    ranked = rank_sources(mixed, studio.body)
    assert [source.person for source in ranked] == [0, 0, 0, 1, 1]
    assert ranked[3] is mixed[4] and ranked[0] is mixed[2]


def test_parts_and_person_survive_crops_and_devices(studio):
    one = replace(studio.source(studio.pose(0)), parts=("upper",), person=2)
    for other in (one.to("cpu"), crop_source(one, studio.body, 96)):
        assert (other.parts, other.person) == (("upper",), 2)
    dressed = wear(plain(studio, A), plain(studio, B), ["upper"])
    moved = prepare_sources(dressed, studio.body).to("cpu")
    assert moved.pieces.shape == (len(studio.body.v_template),)
