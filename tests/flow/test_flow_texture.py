from __future__ import annotations

from dataclasses import replace

import torch

from lwg_core.body.model import PART_NAMES
from lwg_core.flow.compose import ComposeOptions, compose, prepare_sources
from lwg_core.flow.parts import GROUP_NAMES, HEAD_GROUP, group_of_part, part_labels
from lwg_core.flow.texture import spread
from lwg_core.flow.trust import preference

PALETTE = torch.tensor(
    [[0.9, 0.5, 0.3], [0.1, 0.2, 0.9], [0.8, 0, 0], [0, 0.8, 0], [-0.8, 0.4, 0], [0.2, -0.9, 0.6]]
)


def _groups(body):
    return group_of_part()[part_labels(body)]


def test_parts_without_labels_come_from_the_skinning(studio):
    own = _groups(studio.body)
    guessed = _groups(replace(studio.body, parts=None))
    assert (own == guessed).float().mean() > 0.9
    assert group_of_part()[PART_NAMES.index("left_hand")] == GROUP_NAMES.index("left_arm")


def test_colours_spread_inside_their_part(studio):
    groups = _groups(studio.body)
    truth = PALETTE[groups]
    generator = torch.Generator().manual_seed(1)
    trust = (torch.rand(len(groups), generator=generator) < 0.02).float()
    filled = spread(studio.body, groups, truth * trust[:, None], trust)
    assert (filled - truth).abs().max() < 0.05


def test_an_unseen_arm_takes_the_other_arm(studio):
    groups = _groups(studio.body)
    left, right = GROUP_NAMES.index("left_arm"), GROUP_NAMES.index("right_arm")
    truth = PALETTE[groups]
    trust = (groups != left).float()
    filled = spread(studio.body, groups, truth * trust[:, None], trust)
    assert (filled[groups == left] - PALETTE[right]).abs().max() < 0.05


def test_an_unseen_part_takes_its_neighbours(studio):
    groups = _groups(studio.body)
    legs = groups >= GROUP_NAMES.index("left_leg")
    truth = PALETTE[groups]
    trust = (~legs).float()
    filled = spread(studio.body, groups, truth * trust[:, None], trust)
    assert (filled[legs] - PALETTE[GROUP_NAMES.index("torso")]).abs().max() < 0.1


def test_known_colours_are_kept(studio):
    groups = _groups(studio.body)
    trust = torch.ones(len(groups))
    filled = spread(studio.body, groups, studio.paint, trust)
    assert (filled - studio.paint).abs().mean() < 0.02


def test_winner_of_a_part():
    groups = torch.tensor([1, 1, 1, 4, 4, HEAD_GROUP, HEAD_GROUP])
    trust = torch.tensor(
        [[0.9, 0.2], [0.8, 0.3], [0.0, 0.5], [0.1, 0.9], [0.1, 0.8], [0.5, 0.52], [0.5, 0.5]]
    )
    preferred = preference(trust, groups, groups, len(GROUP_NAMES))
    assert preferred[:3].tolist() == [[1, 0]] * 3
    assert preferred[3:5].tolist() == [[0, 1]] * 2
    assert preferred[5:].tolist() == [[1, 0]] * 2  # near ties go to the first source
    body_tie = preference(torch.tensor([[1.0, 1.06]]), groups[:1], groups[:1], 6)
    assert body_tie[0, 0] == 1 and 0 < body_tie[0, 1] < 1  # close: faded, not switched


def test_equal_views_are_not_mixed(studio):
    """Two pictures of one view in different colours: the first one alone is used."""
    pose = studio.pose(0)
    count = len(studio.paint)
    red = studio.source(pose, paint=torch.tensor([0.8, -0.6, -0.6]).expand(count, 3))
    blue = studio.source(pose, paint=torch.tensor([-0.6, -0.6, 0.8]).expand(count, 3))
    target = studio.params(studio.pose(10)[None], (128, 128))
    vertices = studio.body.vertices(target.pose, target.betas)
    prepared = prepare_sources((red, blue), studio.body)
    chunk = compose(prepared, vertices, target.camera, (128, 128))
    seen = (chunk.visibility[0, 0] > 0.99) & (chunk.silhouette[0, 0] > 0)
    assert seen.sum() > 500
    assert (chunk.warped[0, 2, seen] < -0.4).float().mean() > 0.99
    mixed = compose(prepared, vertices, target.camera, (128, 128), ComposeOptions(winner=False))
    assert (mixed.warped[0, 2, seen] > -0.1).float().mean() > 0.95


def test_fill_stays_inside_its_part(studio):
    """From the front only; the back of every part is filled with that part's colour."""
    groups = _groups(studio.body)
    source = studio.source(studio.pose(0), (256, 256), paint=PALETTE[groups])
    prepared = prepare_sources((source,), studio.body)
    target = studio.params(studio.pose(180)[None], (128, 128))
    vertices = studio.body.vertices(target.pose, target.betas)
    chunk = compose(prepared, vertices, target.camera, (128, 128))
    part = chunk.part[0]
    unseen = (part >= 0) & (chunk.visibility[0, 0] == 0)
    error = (chunk.warped[0].permute(1, 2, 0) - PALETTE[group_of_part()[part]]).abs().amax(-1)
    assert unseen.sum() > 500
    assert (error[unseen] < 0.25).float().mean() > 0.97


def test_head_mask_needs_a_visible_head(studio):
    sources = (studio.source(studio.pose(0), (192, 192)),)
    poses = torch.stack([studio.pose(0), studio.pose(20), studio.pose(180)])
    target = studio.params(poses, (192, 192))
    vertices = studio.body.vertices(target.pose, target.betas)
    chunk = compose(prepare_sources(sources, studio.body), vertices, target.camera, (192, 192))
    in_head = (chunk.part >= 0) & (chunk.part <= PART_NAMES.index("face"))
    share = (chunk.head[:, 0] * in_head).sum((1, 2)) / in_head.sum((1, 2))
    assert share[0] > 0.45 and share[1] > 0.35 and share[2] == 0
    assert chunk.head[chunk.part[:, None] > PART_NAMES.index("face")].max() == 0
