"""Backgrounds lie where the picture says; what was painted is pasted back where it belongs."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from lwg_core.clips import open_clip
from lwg_core.compositing import VideoBackground, finish, place_background, result_size
from lwg_core.errors import InputError
from lwg_core.flow.framing import Framing
from lwg_core.flow.source import CropWindow, crop_picture
from lwg_core.video import open_output

SIZE = 64


def squares(flow, left, top, side):
    """The framing of ``flow`` with another square, the same in all frames."""
    still = (torch.full((len(flow),), value) for value in (left, top, side))
    return Framing(*still, flow.framing.canvas, False)


def ramp(height, width):
    """A picture whose red is x and whose green is y, both -1..1 from edge to edge."""
    x = (torch.arange(width) + 0.5) / width * 2 - 1
    y = (torch.arange(height) + 0.5) / height * 2 - 1
    return torch.stack(
        [x.expand(height, width), y[:, None].expand(height, width)] + [x * 0 + y[:, None]]
    )


@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_a_background_of_the_sources_aspect_is_cut_like_it(flow, factor):
    rows, columns = flow.framing.canvas
    cut = place_background(ramp(round(rows * factor), round(columns * factor))[None], flow)[0]
    left, top, side = flow.framing.square(0)
    step = side / SIZE
    inside = slice(4, SIZE - 4)
    x = left + (torch.arange(SIZE) + 0.5) * step
    y = top + (torch.arange(SIZE) + 0.5) * step
    pixel = 2 / columns / factor + 1e-3  # windows are rounded to the background's own pixels
    x, y = x / columns * 2 - 1, y / rows * 2 - 1
    assert (cut[0, inside] - x).abs()[:, x.abs() < 0.95].max() < pixel
    assert (cut[1, :, inside] - y[:, None]).abs()[y.abs() < 0.95].max() < pixel


def test_a_background_of_another_aspect_is_refused_or_cut(flow):
    picture = ramp(100, 300)
    with pytest.raises(InputError, match="300 x 100 px; it must have the proportions of 64 x 64"):
        place_background(picture[None], flow)
    cut = place_background(picture[None], flow, "cover")[0]
    expected = crop_picture(picture, CropWindow(100, 0, 100), (SIZE, SIZE))
    torch.testing.assert_close(cut, expected, atol=0.02, rtol=0)
    with pytest.raises(InputError, match="same, cover; got 'fill'"):
        place_background(picture[None], flow, "fill")


def test_beyond_its_edges_a_background_is_mirrored(flow):
    torch.manual_seed(0)
    picture = F.avg_pool2d(torch.rand(1, 3, *flow.framing.canvas), 5, 1, 2)
    half = flow.framing.canvas[1] // 2
    beyond = replace(flow, framing=squares(flow, -half, 0, 2 * half))
    cut = place_background(picture, beyond)[0]
    left, right = cut[..., : SIZE // 2].flip(-1), cut[..., SIZE // 2 :]
    torch.testing.assert_close(left[..., 2:-2], right[..., 2:-2], atol=0.1, rtol=0)
    assert right.std() > 0.02


def test_a_window_far_larger_than_the_picture_stays_cheap(flow):
    wide = replace(flow, framing=squares(flow, -400_000, -400_000, 800_000))
    cut = place_background(torch.zeros(2, 3, *flow.framing.canvas), wide)
    assert cut.shape == (2, 3, SIZE, SIZE)


def whole(left, top, side, canvas, frames=1):
    still = (torch.full((frames,), value) for value in (left, top, side))
    return Framing(*still, canvas, True)


def disc(size):
    """Colour that says where it is, and a soft disc as matte."""
    place = (torch.arange(size) + 0.5) / size * 2 - 1
    x, y = place.expand(size, size), place[:, None].expand(size, size)
    matte = ((0.6 - (x.square() + y.square()).sqrt()) * 10 + 0.5).clamp(0, 1)
    return torch.stack([x, y, x * 0])[None], matte[None, None]


@pytest.mark.parametrize("side", [40, 64, 150])
@pytest.mark.parametrize("corner", [(70, 30), (-20, 10), (160, 80)])
def test_a_square_is_pasted_where_it_lies(side, corner):
    (left, top), canvas = corner, (160, 220)
    colour, matte = disc(64)
    behind = torch.full((1, 3, *canvas), 0.25)
    images, mattes = finish(colour, matte, behind, whole(left, top, side, canvas))
    x = ((torch.arange(220) + 0.5 - left) / side * 2 - 1).expand(160, 220)
    y = ((torch.arange(160) + 0.5 - top) / side * 2 - 1)[:, None].expand(160, 220)
    distance = (x.square() + y.square()).sqrt()
    inner, outer = distance < 0.4, distance > 0.75
    assert mattes[0, 0][inner].min() > 0.99 and (mattes[0, 0][outer].abs() < 1e-3).all()
    assert inner.any()
    assert (images[0, 0] - x).abs()[inner].max() < 0.03
    assert (images[0, 1] - y).abs()[inner].max() < 0.03
    assert (images[0][:, outer] - 0.25).abs().max() < 1e-2


def test_a_square_beside_the_picture_leaves_the_background(flow):
    colour, matte = disc(32)
    behind = torch.rand(1, 3, 50, 60)
    images, mattes = finish(colour, matte, behind, whole(100, 100, 40, (50, 60)))
    assert torch.equal(images, behind) and not mattes.any()


def test_straight_colour_composited_elsewhere_is_the_same_picture():
    colour, matte = disc(64)
    behind = torch.rand(1, 3, 90, 120) * 2 - 1
    framing = whole(20, 10, 77, (90, 120))
    over, mattes = finish(colour, matte, behind, framing)
    straight, same = finish(colour, matte, None, framing)
    assert torch.equal(mattes, same)
    again = mattes * straight + (1 - mattes) * behind
    torch.testing.assert_close(again, over, atol=0.03, rtol=0)
    # Not multiplied by the matte: where it is half, the colour is whole.
    soft = ((mattes > 0.3) & (mattes < 0.7))[0, 0]
    x = (torch.arange(120) + 0.5 - 20) / 77 * 2 - 1
    assert (straight[0, 0] - x.expand(90, 120)).abs()[soft].max() < 0.1


def test_an_endless_close_up_costs_no_more_than_the_picture():
    colour, matte = disc(32)
    framing = whole(-500_000, -500_000, 1_000_000, (40, 50))
    images, mattes = finish(colour, matte, torch.zeros(1, 3, 40, 50), framing)
    assert images.shape == (1, 3, 40, 50) and mattes.min() > 0.99


def test_frames_of_a_video_background_follow_each_other(flow, tmp_path):
    path = tmp_path / "clip.mp4"
    shades = torch.linspace(-0.8, 0.8, len(flow))
    with open_output(path, 25.0, len(flow)) as video:
        video.write(shades[:, None, None, None].expand(-1, 3, 128, 128))
    backdrop = VideoBackground(open_clip(path), flow)
    for start, stop in ((0, 2), (2, 6), (1, 3), (5, 6)):
        found = backdrop(start, stop)
        assert found.shape == (stop - start, 3, *result_size(flow))
        torch.testing.assert_close(found.mean((1, 2, 3)), shades[start:stop], atol=0.03, rtol=0)


def test_a_video_background_that_is_too_short_is_refused(flow, tmp_path):
    path = tmp_path / "short.mp4"
    with open_output(path, 25.0, 3) as video:
        video.write(torch.zeros(3, 3, 128, 128))
    with pytest.raises(InputError, match="has 3 frames, but the result has 6"):
        VideoBackground(open_clip(path), flow)


@pytest.mark.parametrize("side", [90, 64, 40, 33])
@pytest.mark.parametrize("value", [0.8, -0.8])
def test_pasting_makes_no_halo(side, value):
    """Over a background of the person's own colour nothing of the person's edge is seen."""
    colour, matte = torch.full((1, 3, SIZE, SIZE), value), torch.zeros(1, 1, SIZE, SIZE)
    matte[..., 16:48, 16:48] = 1
    place = torch.tensor([10])
    framing = Framing(place, place, torch.tensor([side]), (120, 130), True)
    background = torch.full((1, 3, 120, 130), value)
    over, _ = finish(colour, matte, background, framing)
    torch.testing.assert_close(over, background, atol=1e-4, rtol=0)
    straight, mattes = finish(colour, matte, None, framing)
    assert 0 <= mattes.min() and mattes.max() == 1
    shown = straight[(mattes > 1 / 255).expand_as(straight)]
    torch.testing.assert_close(shown, torch.full_like(shown, value), atol=1e-4, rtol=0)
