from __future__ import annotations

from dataclasses import replace

import torch
from scipy.ndimage import distance_transform_edt

from lwg_core.flow.compose import ComposeOptions, compose, prepare_sources
from lwg_core.flow.extension import inward, nearest_inside, shell_offset
from lwg_core.flow.field import pixel_centers
from lwg_core.flow.source import Source
from lwg_core.render.raster import rasterize


def test_nearest_pixel_is_exact():
    generator = torch.Generator().manual_seed(0)
    for size, reach in (((40, 61), 7), ((33, 20), 12), ((5, 9), 30)):
        mask = torch.rand(3, *size, generator=generator) < 0.01
        mask[1] = False
        pixels, nearest = nearest_inside(mask, reach)
        assert mask.flatten()[nearest].all()
        expected = torch.zeros(mask.shape)
        for frame in (0, 2):
            if mask[frame].any():
                expected[frame] = torch.from_numpy(distance_transform_edt(~mask[frame].numpy()))
        wanted = ((expected > 0) & (expected <= reach + 1e-6)).flatten()
        assert torch.equal(wanted.nonzero().squeeze(1), pixels)
        per_frame = size[0] * size[1]
        assert torch.equal(pixels // per_frame, nearest // per_frame)
        rows = pixels // size[1] % size[0] - nearest // size[1] % size[0]
        columns = pixels % size[1] - nearest % size[1]
        length = torch.stack([rows, columns], -1).float().norm(dim=-1)
        torch.testing.assert_close(length, expected.flatten()[pixels], atol=1e-4, rtol=0)


def test_shell_offset_turns_with_the_normal():
    step = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    normal = torch.tensor([[0.0, 1.0], [0.8, 0.0]])
    turned = torch.tensor([[1.0, 0.0], [0.0, -0.4]])
    moved, kept = shell_offset(step, normal, torch.stack([normal, turned], 1))
    torch.testing.assert_close(moved[:, 0], step)
    torch.testing.assert_close(moved[:, 1], torch.tensor([[2.0, 0.0], [0.0, -1.5]]))
    torch.testing.assert_close(kept, torch.tensor([[1.0, 1.0], [1.0, 0.5]]))


def test_inward_walks_against_the_step():
    start = torch.tensor([5 * 20 + 10, 100 + 5 * 20 + 10])
    back = inward(start, torch.tensor([[0, 3], [-4, 0]]), 2.0, (10, 20))
    assert back.tolist() == [3 * 20 + 10, 100 + 5 * 20 + 12]


def test_band_of_an_unmoved_person(studio):
    size = (128, 128)
    source = studio.source(studio.pose(15))
    prepared = prepare_sources((source,), studio.body)
    target = source.params
    vertices = studio.body.vertices(target.pose, target.betas)
    chunk = compose(prepared, vertices, target.camera, size)
    hidden_too = ComposeOptions(visibility="official")
    everything = compose(prepared, vertices, target.camera, size, hidden_too).flow
    options = replace(hidden_too, extension=False)
    without = compose(prepared, vertices, target.camera, size, options)
    mesh = chunk.silhouette[0, 0] > 0
    distance = torch.from_numpy(distance_transform_edt(~mesh.numpy()))
    band = (distance > 0) & (distance <= round(128 / 14))
    assert torch.equal(everything.valid[0, 0], band | mesh)
    assert torch.equal(without.flow.valid[0, 0], mesh)
    assert chunk.flow.valid[0, 0][band].float().mean() > 0.9
    moved = everything.to_pixels(size)[0, 0] - pixel_centers(size, torch.zeros(1))
    assert moved[band].norm(dim=-1).max() < 1e-3


def test_clothes_beyond_the_mesh_follow_a_turned_limb(studio):
    """A sleeve stands off a hanging arm; when the arm is raised it is found again."""
    body = studio.body
    size = (192, 192)
    arm = torch.isin(body.parts.long(), torch.tensor([3, 5]))
    offsets = torch.where(arm, 0.03, 0.0)
    params = studio.params(studio.pose(0, 75)[None], size)
    clothed = body.vertices(params.pose, params.betas, offsets)

    def draw(vertices, camera):
        return (rasterize(camera.project(vertices), body.faces, size).face_index >= 0)[0]

    mask = draw(clothed, params.camera)[None].float()
    source = Source(mask.expand(3, -1, -1) * 1.8 - 1, params, mask)
    prepared = prepare_sources((source,), body)
    target = studio.params(studio.pose(0, 5)[None], size)
    vertices = body.vertices(target.pose, target.betas)
    chunk = compose(prepared, vertices, target.camera, size)
    worn = body.vertices(target.pose, target.betas, offsets)
    sleeve = draw(worn, target.camera) & (chunk.silhouette[0, 0] == 0)
    assert sleeve.sum() > 150
    found = chunk.flow.warp(mask[None])[0, 0, 0] > 0.5
    assert found[sleeve].float().mean() > 0.75
    # Beyond the sleeve, beside the left arm (right in the picture), there is none.
    distance = torch.from_numpy(distance_transform_edt(~draw(worn, target.camera).numpy()))
    beyond = (distance > 2.5) & (distance < 6)
    beyond[:, :140] = False
    beyond[: int(sleeve.nonzero()[:, 0].min()) - 6] = False
    beyond[int(sleeve.nonzero()[:, 0].max()) + 6 :] = False
    assert beyond.sum() > 100
    assert found[beyond].float().mean() < 0.1
