from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from lwg_core.body.model import PART_NAMES
from lwg_core.errors import InputError
from lwg_core.flow.compose import (
    ComposeOptions,
    compose,
    network_inputs,
    prepare_sources,
    source_inputs,
)
from lwg_core.flow.field import pixel_centers

ALL = ComposeOptions(visibility="official")  # hidden surface points, too
HIDDEN, OPEN = (75, 84), (75, 0)  # yaw and arms in degrees: an arm hangs in front of the trunk


def _compose(studio, sources, poses, size=(128, 128), focal=None, options=None):
    prepared = prepare_sources(sources, studio.body)
    target = studio.params(poses, size, focal)
    vertices = studio.body.vertices(target.pose, target.betas)
    return compose(prepared, vertices, target.camera, size, options)


@pytest.mark.parametrize(
    ("size", "focal"), [((128, 128), None), ((160, 120), None), ((120, 200), 500.0)]
)
def test_same_pose_is_identity(studio, size, focal):
    pose = studio.pose(20, left_elbow=[0.0, 0.0, 0.9])
    source = studio.source(pose, size, focal=focal)
    chunk = _compose(studio, (source,), pose[None], size, focal)
    own = pixel_centers(size, torch.zeros(1))
    mesh = chunk.silhouette[0, 0] > 0
    everything = _compose(studio, (source,), pose[None], size, focal, ALL).flow
    moved = (everything.to_pixels(size)[0, 0] - own).norm(dim=-1)
    assert moved[everything.valid[0, 0]].max() < 1e-3  # band included
    valid = chunk.flow.valid[0, 0] & mesh
    assert valid.sum() > 0.97 * mesh.sum()
    warped = chunk.flow.warp(source.image[None])[0, 0]
    torch.testing.assert_close(warped[:, valid], source.image[:, valid], atol=2e-3, rtol=0)
    # I_syn too, where the eroded matte is sure.
    sure = (chunk.visibility[0, 0] > 0.999) & (_surely_person(source) > 0.999) & mesh
    assert sure.sum() > 0.3 * mesh.sum()
    torch.testing.assert_close(chunk.warped[0][:, sure], source.image[:, sure], atol=2e-3, rtol=0)


def _surely_person(source):
    return -torch.nn.functional.max_pool2d(-source.mask[None], 5, 1, 2)[0, 0]


def _hidden_truth(points, triangles):
    """For points (P, 3) px, px, m: the largest depth by which a triangle (F, 3, 3) is in front."""
    a, b, c = triangles.unbind(1)
    x, y, z = points.unbind(-1)

    def edge(p, q):
        return (q[:, 0] - p[:, 0]) * (y[:, None] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (
            x[:, None] - p[:, 0]
        )

    weights = torch.stack([edge(b, c), edge(c, a), edge(a, b)], -1)
    area = weights.sum(-1)
    inside = ((weights >= 0).all(-1) | (weights <= 0).all(-1)) & (area != 0)
    depth = (weights * torch.stack([a[:, 2], b[:, 2], c[:, 2]], -1)).sum(-1) / area
    return torch.where(inside, z[:, None] - depth, -1.0).amax(1)


def test_visibility_behind_an_arm(studio):
    """The near arm of a person seen from the side hides the trunk: rays against every triangle."""
    source_pose = studio.pose(*HIDDEN)
    source = studio.source(source_pose, (128, 128))
    chunk = _compose(studio, (source,), studio.pose(*OPEN)[None])
    faces = studio.body.faces
    camera = source.params.camera
    posed = studio.body.vertices(source_pose[None], torch.zeros(10))
    projected = camera.project(posed)[0]
    raster = chunk.raster
    torso = (chunk.part[0] == PART_NAMES.index("torso")).nonzero()[::2]
    row, column = torso.unbind(1)
    corners = faces[raster.face_index[0, row, column].long()]
    weights = raster.barycentric[0, row, column]
    points = (weights[..., None] * projected[corners]).sum(1)
    in_front = _hidden_truth(points, projected[faces])
    seen = chunk.flow.valid[0, 0, row, column]
    behind_arm = in_front > 0.04
    assert 30 < behind_arm.sum() < 0.6 * len(points)
    assert seen[behind_arm].float().mean() < 0.08  # all but some on the very outline of the arm
    a, b, c = posed[0, corners].unbind(1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    frontal = (in_front < 0.005) & (normal[:, 2] < -0.3)
    assert frontal.sum() > 60
    assert seen[frontal].float().mean() > 0.98


def test_official_mode_keeps_hidden_faces(studio):
    source = studio.source(studio.pose(*HIDDEN))
    pose = studio.pose(*OPEN)[None]
    official = _compose(studio, (source,), pose, options=ALL)
    visible = _compose(studio, (source,), pose)
    mesh = official.silhouette[0, 0] > 0
    assert official.flow.valid[0, 0][mesh].all()
    assert not visible.flow.valid[0, 0][mesh].all()
    both = visible.flow.valid
    assert torch.equal(official.flow.grid[both], visible.flow.grid[both])


def test_a_back_view_shows_nothing_of_the_front(studio):
    source = studio.source(studio.pose(0))
    chunk = _compose(studio, (source,), studio.pose(180)[None])
    mesh = chunk.silhouette[0, 0] > 0
    assert chunk.flow.valid[0, 0][mesh].float().mean() < 0.05
    assert chunk.visibility[0, 0][mesh].mean() < 0.05
    # ... but is filled with colours of the person, not left empty.
    truth, _ = studio.render(studio.params(studio.pose(180)[None], (128, 128)))
    assert (chunk.warped - truth)[0][:, mesh].abs().mean() < 0.25
    unfilled = _compose(
        studio, (source,), studio.pose(180)[None], options=ComposeOptions(fill=False)
    )
    hidden = mesh & (unfilled.visibility[0, 0] == 0)
    assert (unfilled.warped[0][:, hidden] == 0).all()


def test_warped_is_the_truth_where_it_is_seen(studio):
    size = (224, 224)
    sources = (studio.source(studio.pose(0), size), studio.source(studio.pose(180, 45), size))
    poses = torch.stack([studio.pose(30, 20), studio.pose(150, 70)])
    chunk = _compose(studio, sources, poses, size)
    truth, matte = studio.render(studio.params(poses, size))
    inside = (matte > 0.99) & (chunk.visibility > 0.9)
    share = inside.sum() / (matte > 0.99).sum()
    error = (chunk.warped - truth).abs().mean(1, keepdim=True)[inside]
    assert share > 0.6
    assert error.mean() < 0.03 and error.quantile(0.95) < 0.1


def test_frames_do_not_depend_on_each_other(studio):
    sources = (studio.source(studio.pose(0)), studio.source(studio.pose(180)))
    prepared = prepare_sources(sources, studio.body)
    target = studio.params(torch.stack([studio.pose(40 * i, 30) for i in range(4)]), (96, 128))
    vertices = studio.body.vertices(target.pose, target.betas)
    whole = compose(prepared, vertices, target.camera, (96, 128))
    for part in (slice(0, 1), slice(1, 4)):
        piece = compose(prepared, vertices[part], target.camera.select(part), (96, 128))
        _assert_same(piece, whole.select(part))
    _assert_same(type(whole).cat([whole.select(slice(0, 3)), whole.select(slice(3, 4))]), whole)


def _assert_same(first, second):
    for field in fields(first):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if torch.is_tensor(a):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
        else:
            _assert_same(a, b)


def test_shapes_and_ranges(studio):
    sources = tuple(studio.source(studio.pose(yaw), (96, 144)) for yaw in (0, 120, 240))
    poses = torch.stack([studio.pose(0), studio.pose(70)])
    chunk = _compose(studio, sources, poses, (112, 80))
    assert chunk.flow.grid.shape == (2, 3, 112, 80, 2) and chunk.size == (112, 80)
    assert chunk.score.shape == (2, 3, 112, 80) and chunk.score.min() >= 0
    assert chunk.head.shape == (2, 1, 112, 80)
    inputs = network_inputs(chunk)
    assert inputs.shape == (2, 8, 112, 80) and inputs.abs().max() <= 1.2
    assert set(chunk.silhouette.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(chunk.part >= 0, chunk.silhouette[:, 0] > 0)
    off_mesh = (chunk.silhouette == 0).expand_as(chunk.code)
    assert (chunk.code[off_mesh] == 0).all()
    assert source_inputs(prepare_sources(sources, studio.body)).shape == (3, 8, 96, 144)
    # Where a flow is valid its score is above 0 on the mesh, and below a score there is a flow.
    mesh = chunk.silhouette.expand_as(chunk.score) > 0
    assert torch.equal(chunk.flow.valid[mesh], chunk.score[mesh] > 0)
    assert chunk.flow.valid[chunk.score > 0].all()


def test_sources_of_different_sizes(studio):
    poses = studio.pose(10)[None]
    small = studio.source(studio.pose(0), (96, 128))
    large = studio.source(studio.pose(180), (256, 192))
    prepared = prepare_sources((small, large), studio.body)
    assert prepared.size == (192, 192)
    target = studio.params(poses, (128, 128))
    vertices = studio.body.vertices(target.pose, target.betas)
    chunk = compose(prepared, vertices, target.camera, (128, 128))
    truth, matte = studio.render(target)
    inside = (matte > 0.99) & (chunk.visibility > 0.9)
    assert inside.sum() > 0.5 * (matte > 0.99).sum()
    assert (chunk.warped - truth).abs().mean(1, keepdim=True)[inside].mean() < 0.05


def test_resolution_of_the_source_does_not_move_the_flow(studio):
    pose = studio.pose(25)[None]
    low = _compose(studio, (studio.source(studio.pose(0), (128, 128)),), pose)
    high = _compose(studio, (studio.source(studio.pose(0), (256, 256)),), pose)
    mesh = low.silhouette[:, 0, None] > 0
    both = low.flow.valid & high.flow.valid & mesh
    torch.testing.assert_close(low.flow.grid[both], high.flow.grid[both], atol=1e-4, rtol=0)
    agree = (low.flow.valid == high.flow.valid)[mesh]
    assert agree.float().mean() > 0.97


def test_without_a_mask_the_silhouette_is_grown(studio):
    source = studio.source(studio.pose(0))
    prepared = prepare_sources((replace(source, mask=None),), studio.body)
    rendered = prepared.silhouette > 0
    assert (prepared.alpha[rendered] == 1).all()
    grown = (prepared.alpha > 0).sum() / rendered.sum()
    assert 1.15 < grown < 1.8
    heights = [(m.amax(-1) > 0).sum() for m in (prepared.alpha[0, 0], prepared.silhouette[0, 0])]
    assert 3 <= heights[0] - heights[1] <= 6  # 2 % of about 100 px on either side


def test_person_outside_the_target(studio):
    source = studio.source(studio.pose())
    prepared = prepare_sources((source,), studio.body)
    target = studio.params(torch.stack([studio.pose(), studio.pose()]), (128, 128))
    centers = torch.tensor([[-900.0, 64.0], [64.0, 64.0]])
    camera = replace(target.camera, center=centers)
    vertices = studio.body.vertices(target.pose, target.betas)
    chunk = compose(prepared, vertices, camera, (128, 128), ALL)
    assert chunk.silhouette[0].sum() == 0 and chunk.silhouette[1].sum() > 0
    assert not chunk.flow.valid[0].any() and (chunk.warped[0] == 0).all()
    alone = compose(prepared, vertices[:1], camera.select([0]), (128, 128))
    assert not alone.flow.valid.any() and (alone.warped == 0).all() and (alone.head == 0).all()


def test_errors(studio):
    source = studio.source(studio.pose())
    with pytest.raises(InputError, match='visibility must be "visible" or "official"'):
        ComposeOptions(visibility="all")
    prepared = prepare_sources((source,), studio.body)
    target = studio.params(studio.pose()[None], (128, 128))
    vertices = studio.body.vertices(target.pose, target.betas)
    with pytest.raises(InputError, match="2 target meshes but 1 cameras"):
        compose(prepared, vertices.expand(2, -1, -1), target.camera, (128, 128))
    with pytest.raises(InputError, match="aspect differs"):
        compose(prepared, vertices, target.camera, (128, 64))
