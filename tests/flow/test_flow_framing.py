"""Squares around the person: one for all frames, or one that follows."""

import math
from dataclasses import replace

import pytest
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.errors import InputError
from lwg_core.flow.framing import follow, frame_person, smooth
from lwg_core.flow.window import person_box, person_boxes
from lwg_core.render.camera import Camera


def standing(size, x, scale, focal=None, frames=1):
    """A person of average shape, arms lowered, the pelvis at x px of the picture's width."""
    pose = torch.zeros(frames, 24, 3)
    pose[:, 0, 0] = math.pi
    pose[:, 16, 2], pose[:, 17, 2] = -1.2, 1.2
    center = torch.tensor([[float(x), size[0] * 0.5]]).repeat(frames, 1)
    camera = Camera(
        torch.full((frames,), float(scale)),
        center,
        size,
        None if focal is None else torch.full((frames,), float(focal)),
    )
    return SmplParams(pose, torch.zeros(10), "open", camera)


@pytest.mark.parametrize("focal", [None, 900.0])
@pytest.mark.parametrize(
    ("size", "x", "scale"),
    [
        ((400, 600), 300, 150),  # landscape, the window fits
        ((400, 600), 580, 150),  # at the right border
        ((600, 300), 150, 280),  # portrait, the window is wider than the picture
        ((600, 300), 290, 280),
        ((600, 500), 140, 280),
        ((300, 300), 150, 400),  # larger than the picture
    ],
)
def test_window_holds_the_person_and_as_much_of_the_picture_as_it_can(size, x, scale, focal):
    params = standing(size, x, scale, focal)
    window = frame_person(params, open_body())
    x, y, side = window.square(0)
    left, top, right, bottom = person_box(params, open_body(), None)
    assert x <= left + 0.5 and y <= top + 0.5
    assert x + side >= right - 0.5 and y + side >= bottom - 0.5
    for start, low, high, limit in ((x, left, right, size[1]), (y, top, bottom, size[0])):
        inside = low >= 0 and high <= limit
        if inside and side <= limit:
            assert 0 <= start and start + side <= limit
        elif inside:
            assert start <= 0 and start + side >= limit


def walk(frames=120, size=(240, 640), focal=None):
    """Across the picture, coming three times nearer."""
    params = standing(size, 0, 20, focal, frames)
    step = torch.linspace(0, 1, frames)
    center = torch.stack([80 + 480 * step, torch.full((frames,), 120.0)], 1)
    return replace(params, camera=replace(params.camera, center=center, scale=20 + 40 * step))


@pytest.mark.parametrize("focal", [None, 700.0])
def test_a_following_square_holds_the_person_in_every_frame(focal):
    target = walk(focal=focal)
    framing = frame_person(target, open_body(), frame="full")
    boxes = person_boxes(target, open_body(), None)
    low = torch.stack([framing.left, framing.top], 1)
    assert (low <= boxes[:, :2] + 0.5).all()
    assert (low + framing.side[:, None] >= boxes[:, 2:] - 0.5).all()
    assert framing.side[-1] > 2 * framing.side[0]  # near the viewer it is larger
    assert framing.whole and framing.canvas == (240, 640)
    one = frame_person(target, open_body())
    assert framing.side.max() < one.side[0] / 2


def test_a_following_square_moves_smoothly():
    target = walk()
    arms = torch.zeros_like(target.pose)
    arms[::2, 16:18, 2] = 0.7  # arms that shake
    shaken = replace(target, pose=target.pose + arms)
    framing = frame_person(shaken, open_body(), frame="full")
    for path in (framing.side, framing.left, framing.top):
        assert path.diff().diff().abs().max() <= 5
    centers = framing.left + framing.side / 2
    assert (centers.diff() > 0).float().mean() > 0.9


def test_a_square_does_not_follow_from_one_clip_into_the_next():
    """Views of a walk stand one after the other: it ends at the right and begins at the left."""
    clip = walk()
    camera = clip.camera.select([*range(120), *range(120)])
    both = SmplParams(clip.pose.repeat(2, 1, 1), clip.betas, "open", camera)
    alone = frame_person(clip, open_body(), frame="full")
    framing = frame_person(both, open_body(), frame="full", clips=2)
    for name in ("left", "top", "side"):
        assert torch.equal(getattr(framing, name), getattr(alone, name).repeat(2))


def test_calm_squares_hold_the_given_boxes():
    torch.manual_seed(0)
    middle = torch.rand(50, 2) * 100
    boxes = torch.cat([middle - 5 - torch.rand(50, 2), middle + 5 + torch.rand(50, 2)], 1)
    center, side = follow(boxes, 4)
    assert (center - side[:, None] / 2 <= boxes[:, :2] + 1e-4).all()
    assert (center + side[:, None] / 2 >= boxes[:, 2:] - 1e-4).all()
    assert center.diff(dim=0).abs().mean() < middle.diff(dim=0).abs().mean() / 3


def test_a_steady_walk_is_followed_without_lag():
    step = torch.arange(40.0)[:, None]
    torch.testing.assert_close(smooth(step * 3, 6), step * 3)
    torch.testing.assert_close(smooth(step[:1], 6), step[:1])


@pytest.mark.parametrize("focal", [None, 700.0])
def test_the_camera_of_the_square_sees_what_the_square_shows(focal):
    target = walk(frames=20, focal=focal)
    framing = frame_person(target, open_body(), frame="full")
    points = torch.randn(20, 50, 3) * 0.5
    there = target.camera.project(points)
    seen = framing.look(target.camera, 96).project(points)
    corner = torch.stack([framing.left, framing.top], 1)[:, None]
    expected = (there[..., :2] - corner) * (96 / framing.side)[:, None, None]
    torch.testing.assert_close(seen[..., :2], expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[..., 2], there[..., 2], atol=1e-4, rtol=1e-5)


def test_a_person_outside_the_picture_is_refused():
    target = standing((200, 200), 1000, 50, frames=3)
    with pytest.raises(InputError, match="outside the picture in every frame"):
        frame_person(target, open_body(), frame="full")
    back = target.camera.center.clone()
    back[1, 0] = 100
    frame_person(replace(target, camera=replace(target.camera, center=back)), open_body())


def test_a_person_behind_the_viewer_is_refused():
    target = standing((200, 200), 100, 400, 20.0, frames=2)
    with pytest.raises(InputError, match="camera strategy 'source'"):
        frame_person(target, open_body())


def test_other_frames_are_refused():
    with pytest.raises(InputError, match="square, full; got 'wide'"):
        frame_person(standing((200, 200), 100, 50), open_body(), frame="wide")
