from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lwg_core.body.params import SmplParams
from lwg_core.errors import InputError
from lwg_core.flow.source import (
    CropWindow,
    Source,
    check_sources,
    crop_picture,
    crop_source,
    crop_window,
    source_vertices,
)


def test_bad_inputs_are_named(studio):
    good = studio.source(studio.pose())
    params = good.params
    two = studio.params(torch.stack([studio.pose(), studio.pose(10)]), (128, 128))
    motion = SmplParams(params.pose, camera=params.camera)
    cases = [
        (lambda: Source(torch.zeros(1, 128, 128), params), "must be .3, H, W."),
        (lambda: Source(torch.zeros(3, 50, 128), params), "128 x 50 px; it must be at least 64"),
        (lambda: replace(good, mask=torch.ones(1, 64, 128)), "size of its picture, 128 x 128"),
        (lambda: replace(good, mask=torch.zeros(1, 128, 128)), "mask is empty"),
        (lambda: replace(good, params=two), "2 frames; a source takes exactly one"),
        (lambda: replace(good, params=replace(params, camera=None)), "no camera"),
        (lambda: Source(torch.zeros(3, 256, 128), params), "recovered on a 128 x 128 px picture"),
        (lambda: replace(good, params=motion), "no betas"),
    ]
    for make, message in cases:
        with pytest.raises(InputError, match=message):
            make()


def test_sources_must_fit_the_body(studio):
    good = studio.source(studio.pose())
    with pytest.raises(InputError, match="0 sources"):
        check_sources((), studio.body)
    with pytest.raises(InputError, match="9 sources"):
        check_sources((good,) * 9, studio.body)
    smpl = replace(good, params=replace(good.params, body_model="smpl"))
    with pytest.raises(InputError, match="source 2 was recovered with the body model 'smpl'"):
        check_sources((good, smpl), studio.body)
    with pytest.raises(InputError, match="offsets for 7 vertices"):
        check_sources((replace(good, offsets=torch.zeros(7)),), studio.body)
    unseen = replace(good, params=replace(good.params, confidence=torch.zeros(1, 24)))
    with pytest.raises(InputError, match="source 2 shows no part of the body"):
        check_sources((good, unseen), studio.body)


@pytest.mark.parametrize("focal", [None, 400.0])
def test_crop_moves_picture_and_mesh_alike(studio, focal):
    source = studio.source(studio.pose(), (150, 200), focal=focal)
    window = crop_window(source, studio.body)
    cropped = crop_source(source, studio.body, 96)
    assert cropped.size == (96, 96) and cropped.mask.shape == (1, 96, 96)
    vertices = source_vertices(source, studio.body)
    before = source.params.camera.project(vertices)[0, :, :2]
    after = cropped.params.camera.project(vertices)[0, :, :2]
    expected = (before - torch.tensor([window.left, window.top])) * 96 / window.side
    torch.testing.assert_close(after, expected, atol=1e-2, rtol=0)
    extent = (after.amax(0) - after.amin(0)).max() / 96
    assert 0.85 < extent < 0.9
    middle = (after.amax(0) + after.amin(0)) / 2
    assert (middle - 48).abs().max() < 1.5
    # The cropped picture is the picture of the cropped camera.
    truth, matte = studio.render(cropped.params)
    error = (cropped.image - truth[0]).abs().mean(0)[matte[0, 0] > 0.99]
    assert error.mean() < 0.04  # resampled against rendered: edges of the texture
    assert (cropped.mask - matte[0]).abs().mean() < 0.01


def test_mask_widens_the_window(studio):
    source = studio.source(studio.pose(arms=80.0), (150, 200))
    mask = source.mask.clone()
    mask[:, :, 20:30] = 1  # something that belongs to the person, left of the mesh
    wide = crop_window(replace(source, mask=mask), studio.body)
    assert wide.left < 20 and wide.side > crop_window(source, studio.body).side


def test_beyond_the_picture():
    picture = torch.rand(2, 10, 12)
    window = CropWindow(-3, -2, 16)
    repeated = crop_picture(picture, window, (16, 16))
    assert torch.equal(repeated[:, 2:12, 3:15], picture)
    assert torch.equal(repeated[:, 0, 3:15], picture[:, 0])
    assert torch.equal(repeated[:, 2:12, -1], picture[:, :, -1])
    empty = crop_picture(picture, window, (16, 16), repeat=False)
    assert torch.equal(empty[:, 2:12, 3:15], picture)
    assert (empty[:, :2] == 0).all() and (empty[:, :, :3] == 0).all()


def test_body_outside_its_picture(studio):
    source = studio.source(studio.pose())
    camera = replace(source.params.camera, center=torch.tensor([[-900.0, -900.0]]))
    away = replace(source, mask=None, params=replace(source.params, camera=camera))
    with pytest.raises(InputError, match="outside its picture"):
        crop_window(away, studio.body)
