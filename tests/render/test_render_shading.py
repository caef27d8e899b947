"""Previews: where they draw, what they leave alone, and that light comes from above."""

import math
from dataclasses import replace

import pytest
import torch

from lwg_core.body.model import PART_NAMES
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.errors import InputError
from lwg_core.render.camera import Camera
from lwg_core.render.shading import overlay, part_colours, shade


def ball(rings=40, around=60):
    """Unit sphere (V, 3) and faces (F, 3) wound outward in the camera frame."""
    theta = torch.linspace(1e-3, math.pi - 1e-3, rings)[:, None]
    phi = torch.arange(around) * 2 * math.pi / around
    points = torch.stack(
        [theta.sin() * phi.cos(), theta.cos().expand(-1, around), theta.sin() * phi.sin()], -1
    ).view(-1, 3)
    i, j = torch.meshgrid(torch.arange(rings - 1), torch.arange(around), indexing="ij")
    a, b = i * around + j, i * around + (j + 1) % around
    c, d = b + around, a + around
    return points, torch.stack([a, b, c, a, c, d], -1).view(-1, 3)


def seen(points, scale, center):
    """Pixels of camera-frame points (N, V, 3)."""
    xy = points[..., :2] * scale + points.new_tensor(center)
    return torch.cat([xy, points[..., 2:]], -1)


def test_a_ball_is_round_and_lit_from_above():
    points, faces = ball()
    image, mask = shade(seen(points[None], 30, (50, 40)), points[None], faces, (80, 96))
    assert image.shape == (1, 3, 80, 96) and mask.shape == (1, 1, 80, 96)
    assert image.abs().max() <= 1 and mask.min() == 0 and mask.max() == 1
    assert mask.sum().item() == pytest.approx(math.pi * 30**2, rel=0.01)
    assert ((mask > 0) & (mask < 1)).sum() > 50  # antialiased
    rows, columns = torch.meshgrid(torch.arange(80) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    assert ((mask[0, 0] * columns).sum() / mask.sum() - 50).abs() < 0.05
    assert ((mask[0, 0] * rows).sum() / mask.sum() - 40).abs() < 0.05
    grey = image[0].mean(0)
    assert grey[28, 38] > grey[40, 50] > grey[60, 66]  # upper left, middle, lower right


def test_outside_the_mask_the_background_stays():
    points, faces = ball()
    background = torch.rand(1, 3, 50, 60, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pixels = torch.cat([seen(points[None], 15, center) for center in ((20, 20), (45, 30))])
    image, mask = shade(pixels, points.expand(2, -1, -1), faces, (50, 60), background=background)
    outside = (mask == 0).expand_as(image)
    assert torch.equal(image[outside], background.expand_as(image)[outside])
    inside = (mask == 1).expand_as(image)
    plain, _ = shade(pixels, points.expand(2, -1, -1), faces, (50, 60))
    assert torch.equal(image[inside], plain[inside])


def test_colours_tint_and_frames_keep_their_own():
    points, faces = ball()
    pixels = seen(points[None], 20, (25, 25)).expand(2, -1, -1)
    red, blue = torch.tensor([1.0, -1, -1]), torch.tensor([-1.0, -1, 1])
    colours = torch.stack([red, blue])[:, None].expand(2, len(points), 3)
    image, mask = shade(pixels, points.expand(2, -1, -1), faces, (50, 50), colours)
    inside = mask[0, 0] == 1
    assert (image[0, 1:, inside] == -1).all() and image[0, 0, inside].max() > 0.5
    assert (image[1, :2, inside] == -1).all()
    single, _ = shade(pixels[:1], points[None], faces, (50, 50), red)
    torch.testing.assert_close(single[0], image[0])


def test_cut_by_the_border_and_out_of_sight():
    points, faces = ball()
    whole = shade(seen(points[None], 30, (50, 40)), points[None], faces, (80, 96))[1]
    part = shade(seen(points[None], 30, (10, 4)), points[None], faces, (44, 56))[1]
    assert torch.equal(part, whole[..., 36:, 40:])
    for center in ((-60, 20), (20, 200)):
        image, mask = shade(seen(points[None], 30, center), points[None], faces, (44, 56))
        assert (mask == 0).all() and (image == image[..., :1, :1]).all()
    lost = torch.full_like(points[None], float("nan"))
    assert (shade(lost, points[None], faces, (44, 56))[1] == 0).all()


def test_what_lies_behind_is_darker():
    corners = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    wall = torch.cat([corners, torch.ones(4, 1)], 1)
    stick = torch.cat(
        [corners * torch.tensor([0.2, 1]) + torch.tensor([0.4, 0]), torch.zeros(4, 1)], 1
    )
    square = torch.tensor([[0, 2, 1], [0, 3, 2]])
    points = torch.cat([wall, stick])[None]
    both, _ = shade(seen(points, 80, (0, 0)), points, torch.cat([square, square + 4]), (80, 80))
    alone, _ = shade(seen(points, 80, (0, 0)), points, square, (80, 80))
    assert (alone[..., 40, 30] - both[..., 40, 30] > 0.05).all()  # beside the stick
    torch.testing.assert_close(both[..., 40, 5], alone[..., 40, 5])  # far from it
    torch.testing.assert_close(both[..., 40, 40], alone[..., 40, 40])  # on it


def person(frames=2, size=(96, 72), focal=None):
    pose = torch.zeros(frames, 24, 3)
    pose[:, 0, 0] = math.pi
    camera = Camera(
        torch.full((frames,), 45.0),
        torch.tensor([[size[1] / 2, size[0] * 0.3]]).expand(frames, 2),
        size,
        None if focal is None else torch.full((frames,), focal),
    )
    return SmplParams(pose, torch.zeros(10), "open", camera)


@pytest.mark.parametrize("focal", [None, 150.0])
def test_overlay_blends_body_and_picture(focal):
    body, params = open_body(), person(focal=focal)
    image = torch.rand(1, 3, 96, 72, generator=torch.Generator().manual_seed(1)) * 2 - 1
    points = body.vertices(params.pose, params.betas)
    pixels = params.camera.project(points)
    solid, mask = shade(pixels, points, body.faces, (96, 72), background=image)
    assert 0.1 < mask.mean() < 0.5
    torch.testing.assert_close(overlay(image, body, params, opacity=1.0), solid)
    assert torch.equal(overlay(image, body, params, opacity=0.0), image.expand(2, -1, -1, -1))
    half = overlay(image, body, params, opacity=0.5)
    torch.testing.assert_close(half, (image + solid) / 2)


def test_overlay_draws_offsets_and_leaves_untrusted_frames_bare():
    body = open_body()
    params = replace(person(), valid=torch.tensor([True, False]))
    image = torch.zeros(2, 3, 96, 72)
    drawn = overlay(image, body, params, colours=part_colours(body.parts))
    assert torch.equal(drawn[1], image[1]) and (drawn[0] != 0).any()
    fat = overlay(image, body, params, torch.full((len(body.v_template),), 0.05))
    assert (fat[0] != 0).any(0).sum() > 1.1 * (drawn[0] != 0).any(0).sum()


def test_part_colours_tell_the_sides_apart():
    colours = part_colours(torch.arange(len(PART_NAMES), dtype=torch.uint8))
    gap = (colours[:, None] - colours[None]).norm(dim=-1) + 9 * torch.eye(len(PART_NAMES))
    assert gap.min() > 0.25 and colours.abs().max() <= 1


@pytest.mark.parametrize(
    ("change", "image", "words"),
    [
        ({"camera": None}, (1, 96, 72), "without a camera"),
        ({"body_model": "smpl"}, (1, 96, 72), 'body model "smpl"'),
        ({}, (1, 96, 96), "do not fit"),
        ({}, (3, 96, 72), "do not fit"),
    ],
)
def test_overlay_refuses(change, image, words):
    params = replace(person(), **change)
    with pytest.raises(InputError, match=words):
        overlay(torch.zeros(image[0], 3, *image[1:]), open_body(), params)
