"""Windows around the person: cropping must not change what a flow samples."""

import pytest
import torch
import torch.nn.functional as F

from lwg_core.flow.window import (
    crop,
    crop_grid,
    move_to_source_window,
    padded_window,
    person_window,
)


def person(height, width, top, left, bottom, right):
    mask = torch.zeros(1, 1, height, width)
    mask[..., top:bottom, left:right] = 1
    return mask


@pytest.mark.parametrize("box", [(0, 0, 30, 20), (70, 50, 96, 80), (40, 30, 60, 41)])
def test_window_holds_the_person_in_multiples_of_eight(box):
    top, left, height, width = person_window(person(96, 80, *box))
    assert height % 8 == 0 and width % 8 == 0
    assert top <= box[0] and left <= box[1]
    assert top + height >= box[2] and left + width >= box[3]
    assert 0 <= top and top + height <= 96 and 0 <= left and left + width <= 80


def test_empty_mask_gives_the_whole_image():
    assert person_window(torch.zeros(2, 1, 64, 48)) == (0, 0, 64, 48)


def test_a_box_gets_its_padding_as_far_as_the_image_reaches():
    assert padded_window((20, 30, 50, 40), 3, (96, 80)) == (17, 27, 40, 16)
    assert padded_window((-9, -9, 120, 5), 4, (96, 80)) == (0, 0, 96, 16)
    top, left, height, width = padded_window((200, 300, 210, 310), 4, (96, 80))
    assert top + height <= 96 and left + width <= 80 and height == width == 8


def test_flow_into_a_cropped_source_samples_the_same_pixels():
    torch.manual_seed(0)
    source = torch.randn(1, 3, 64, 80)
    window = (16, 24, 40, 32)
    inside_x = (torch.rand(1, 20, 20) * 28 + 26) / 80 * 2 - 1
    inside_y = (torch.rand(1, 20, 20) * 36 + 18) / 64 * 2 - 1
    grid = torch.stack([inside_x, inside_y], -1)
    moved = move_to_source_window(grid, (64, 80), window)
    whole = F.grid_sample(source, grid, align_corners=False)
    cropped = F.grid_sample(crop(source, window), moved, align_corners=False)
    torch.testing.assert_close(cropped, whole, atol=1e-5, rtol=0)


def test_the_sentinel_stays():
    grid = torch.full((1, 4, 4, 2), -2.0)
    assert (move_to_source_window(grid, (64, 64), (8, 8, 32, 32)) == -2).all()


def test_cropping_the_target_is_slicing():
    grid = torch.arange(2 * 16 * 16 * 2.0).reshape(2, 16, 16, 2)
    assert torch.equal(crop_grid(grid, (8, 0, 8, 8)), grid[:, 8:16, 0:8])
