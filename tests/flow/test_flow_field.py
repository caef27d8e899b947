from __future__ import annotations

import pytest
import torch

from lwg_core.errors import InputError
from lwg_core.flow.field import FlowField, normalize_pixels, pixel_centers


def _identity(size, frames=1, sources=1):
    grid = pixel_centers(size, torch.zeros(1)).expand(frames, sources, *size, 2)
    return FlowField.from_pixels(grid, size)


def test_pixels_and_back():
    pixels = torch.rand(2, 3, 5, 7, 2) * torch.tensor([90.0, 40.0])
    field = FlowField.from_pixels(pixels, (40, 90))
    assert field.valid.all()
    torch.testing.assert_close(field.to_pixels((40, 90)), pixels, atol=1e-4, rtol=0)
    # The field does not depend on the source's resolution.
    torch.testing.assert_close(field.to_pixels((80, 180)), 2 * pixels, atol=2e-4, rtol=0)


def test_offsets_and_back():
    offsets = torch.randint(-3, 4, (2, 1, 20, 30, 2)).float()
    field = FlowField.from_offsets(offsets)
    torch.testing.assert_close(
        field.to_offsets()[field.valid], offsets[field.valid], atol=1e-4, rtol=0
    )
    assert not field.valid.all()  # some offsets lead out of the picture
    assert (field.to_offsets()[~field.valid] == 0).all()


def test_offset_moves_the_picture():
    image = torch.rand(1, 3, 20, 30)
    offsets = torch.tensor([2.0, -1.0]).expand(1, 1, 20, 30, 2)
    warped = FlowField.from_offsets(offsets).warp(image)[0, 0]
    torch.testing.assert_close(warped[:, 1:, :-2], image[0, :, :-1, 2:], atol=1e-4, rtol=0)
    assert (warped[:, 0] == 0).all() and (warped[:, :, -2:] == 0).all()


def test_sentinel_enters_and_leaves():
    official = torch.rand(1, 2, 6, 6, 2) * 1.8 - 0.9
    hole = torch.rand(1, 2, 6, 6) < 0.3
    official[hole] = -2
    field = FlowField.from_grid(official)
    assert torch.equal(field.valid, ~hole)
    assert torch.equal(field.to_official(), official)


def test_identity_warp_keeps_the_picture():
    image = torch.rand(2, 3, 24, 40)
    warped = _identity((24, 40), frames=3, sources=2).warp(image)
    torch.testing.assert_close(warped, image.expand(3, 2, 3, 24, 40), atol=1e-4, rtol=0)


def test_warp_is_zero_where_invalid():
    grid = torch.zeros(1, 1, 8, 8, 2)
    valid = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    valid[..., :4] = True
    warped = FlowField.from_grid(grid, valid).warp(torch.ones(1, 2, 16, 16))
    assert (warped[..., :4] == 1).all() and (warped[..., 4:] == 0).all()


def test_per_frame_images_as_shared_ones():
    field = FlowField.from_grid(torch.rand(3, 2, 9, 11, 2) * 2 - 1)
    images = torch.rand(2, 4, 15, 13)
    torch.testing.assert_close(
        field.warp(images), field.warp(images.expand(3, 2, 4, 15, 13)), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("size", [(8, 16), (32, 64), (4, 8)])
def test_resized_identity_is_identity(size):
    resized = _identity((16, 32)).resize(size)
    expected = normalize_pixels(pixel_centers(size, torch.zeros(1)), size)
    inside = (slice(1, -1), slice(1, -1))  # bilinear growing repeats the edge
    torch.testing.assert_close(resized.grid[0, 0][inside], expected[inside], atol=1e-5, rtol=0)


def test_resize_never_blends_the_sentinel():
    valid = torch.rand(1, 1, 32, 32) < 0.6
    field = FlowField.from_grid(torch.full((1, 1, 32, 32, 2), 0.25), valid)
    small = field.resize((8, 8))
    assert small.valid.any() and not small.valid.all()
    torch.testing.assert_close(
        small.grid[small.valid], torch.full((int(small.valid.sum()), 2), 0.25)
    )


def test_shapes_are_checked():
    with pytest.raises(InputError, match="grid must be"):
        FlowField(torch.zeros(1, 4, 4, 2), torch.ones(1, 4, 4, dtype=torch.bool))
    with pytest.raises(InputError, match="valid must be bool"):
        FlowField(torch.zeros(1, 1, 4, 4, 2), torch.ones(1, 1, 4, 4))
