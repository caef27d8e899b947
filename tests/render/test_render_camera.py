"""Cameras: two ways to the same pixel must agree."""

import pytest
import torch

from lwg_core.errors import InputError
from lwg_core.render.camera import Camera

_RNG = torch.Generator().manual_seed(0)
POINTS = torch.randn(3, 50, 3, generator=_RNG, dtype=torch.float64) * 0.5


def weak():
    scale = torch.tensor([200.0, 150.0, 90.0], dtype=torch.float64)
    center = torch.tensor([[130.0, 240.0], [60.0, 200.0], [300.0, -20.0]], dtype=torch.float64)
    return Camera(scale, center, (480, 360))


def pinhole(principal=False):
    camera = weak()
    point = torch.tensor([[100.0, 300.0]] * 3, dtype=torch.float64) if principal else None
    focal = torch.tensor([500.0, 900.0, 400.0], dtype=torch.float64)
    return Camera(camera.scale, camera.center, camera.size, focal, point)


CAMERAS = [weak(), pinhole(), pinhole(principal=True)]
IDS = ["weak", "pinhole", "principal"]


@pytest.mark.parametrize("camera", CAMERAS, ids=IDS)
def test_origin_projects_to_center_and_a_metre_spans_scale(camera):
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=torch.float64).expand(3, 3, 3)
    pixels = camera.project(points)[..., :2]
    torch.testing.assert_close(pixels[:, 0], camera.center)
    torch.testing.assert_close(pixels[:, 1, 0] - pixels[:, 0, 0], camera.scale)
    torch.testing.assert_close(pixels[:, 2, 1] - pixels[:, 0, 1], camera.scale)


def test_pinhole_is_the_textbook_one():
    focal = torch.tensor([500.0, 700.0], dtype=torch.float64)
    translation = torch.tensor([[0.1, -0.2, 3.0], [0.4, 0.0, 2.5]], dtype=torch.float64)
    camera = Camera.from_pinhole(focal, translation, (300, 400))
    torch.testing.assert_close(camera.translation, translation)
    moved = POINTS[:2] + translation[:, None]
    expected = focal[:, None, None] * moved[..., :2] / moved[..., 2:] + torch.tensor([200.0, 150.0])
    got = camera.project(POINTS[:2])
    torch.testing.assert_close(got[..., :2], expected)
    torch.testing.assert_close(got[..., 2], moved[..., 2])


def test_from_pinhole_round_trip_with_principal_point():
    camera = pinhole(principal=True)
    again = Camera.from_pinhole(camera.focal, camera.translation, camera.size, camera.principal)
    torch.testing.assert_close(again.scale, camera.scale)
    torch.testing.assert_close(again.center, camera.center)
    torch.testing.assert_close(again.project(POINTS), camera.project(POINTS))


def test_long_focal_length_tends_to_weak_perspective():
    camera = weak()
    far = Camera(camera.scale, camera.center, camera.size, camera.scale * 1e6)
    torch.testing.assert_close(
        far.project(POINTS)[..., :2], camera.project(POINTS)[..., :2], rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("camera", CAMERAS, ids=IDS)
def test_crop_shifts_the_pixels(camera):
    cropped = camera.crop(-31.5, 77.0, (128, 200))
    expected = camera.project(POINTS) - torch.tensor([-31.5, 77.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(cropped.project(POINTS), expected)
    back = cropped.crop(31.5, -77.0, camera.size)
    torch.testing.assert_close(back.project(POINTS), camera.project(POINTS))


@pytest.mark.parametrize("camera", CAMERAS, ids=IDS)
def test_resize_scales_the_pixels(camera):
    resized = camera.resize((240, 180))
    factor = torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64)
    torch.testing.assert_close(resized.project(POINTS), camera.project(POINTS) * factor)
    torch.testing.assert_close(resized.resize((480, 360)).project(POINTS), camera.project(POINTS))


@pytest.mark.parametrize("camera", CAMERAS, ids=IDS)
def test_resize_to_rounded_size_keeps_the_image_corners(camera):
    # 101 -> 50 rows is not exactly half: the pixel grid's own middle must stay the middle.
    odd = Camera(camera.scale, camera.center, (101, 200), camera.focal, camera.principal)
    small = odd.resize((50, 100))
    torch.testing.assert_close(
        small.center / small.center.new_tensor([100.0, 50.0]),
        odd.center / odd.center.new_tensor([200.0, 101.0]),
    )
    if camera.focal is not None:
        error = (small.translation - odd.translation).abs().max()
        assert error < 0.02 * odd.translation.abs().max()


def test_resize_refuses_another_aspect():
    with pytest.raises(InputError, match="aspect"):
        weak().resize((240, 240))


def test_select_and_to_keep_the_frames():
    camera = pinhole(principal=True)
    part = camera.select(slice(1, 3)).to("cpu")
    torch.testing.assert_close(part.project(POINTS[1:]), camera.project(POINTS)[1:])
    assert len(part) == 2


def test_near_is_only_known_for_a_pinhole():
    assert weak().near == float("-inf")
    assert 0 < pinhole().near < 0.1


@pytest.mark.parametrize("value", [0.0, -500.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["scale", "focal"])
def test_lengths_must_be_finite_and_above_zero(name, value):
    lengths = {"scale": torch.ones(2), "focal": torch.ones(2)}
    lengths[name] = torch.tensor([1.0, value])
    with pytest.raises(InputError, match=f"camera: {name} (must be above zero|holds NaN)"):
        Camera(center=torch.zeros(2, 2), size=(4, 4), **lengths)


@pytest.mark.parametrize("depth", [0.0, -2.0, float("nan")])
def test_a_pinhole_sees_only_what_lies_before_it(depth):
    translation = torch.tensor([[0.0, 0.0, depth]])
    with pytest.raises(InputError, match="camera: translation z"):
        Camera.from_pinhole(torch.ones(1), translation, (4, 4))


@pytest.mark.parametrize(
    "arguments",
    [
        (torch.ones(2), torch.zeros(3, 2), (4, 4)),
        (torch.ones(2, 1), torch.zeros(2, 2), (4, 4)),
        (torch.tensor([0.0]), torch.zeros(1, 2), (4, 4)),
        (torch.tensor([1.0]), torch.full((1, 2), float("nan")), (4, 4)),
        (torch.ones(1), torch.zeros(1, 2), (4, 4), None, torch.full((1, 2), float("inf"))),
        (torch.ones(2), torch.zeros(2, 2), (4, 4), torch.ones(1)),
        (torch.ones(2), torch.zeros(2, 2), (4, 4), torch.ones(2), torch.zeros(1, 2)),
    ],
)
def test_wrong_cameras_are_refused(arguments):
    with pytest.raises(InputError, match="camera"):
        Camera(*arguments)
