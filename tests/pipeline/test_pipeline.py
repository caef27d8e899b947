"""The stages in a row: every crop, camera and square on the way cancels out."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from lwg_core.body.files import load_params
from lwg_core.body.open_body import open_body
from lwg_core.errors import InputError
from lwg_core.flow.source import CropWindow, crop_picture, resample
from lwg_core.flow.targets import imitate
from lwg_core.pictures import read_image, read_mask
from lwg_core.pipeline import (
    compose,
    generate,
    make_source,
    place_background,
    scaled_canvas,
    source_background,
    with_offsets,
)
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import motion

SIZE = 64


def mask_of(picture):
    return read_mask(picture.with_name(picture.stem + "_mask.png"))


@pytest.mark.parametrize("border", [(0, 0, 0, 0), (40, 24, 0, 0), (0, 0, 16, 60)])
def test_the_source_imitating_itself_looks_like_itself(generator, people, border):
    """Every crop, camera and window on the way must cancel out, in any aspect."""
    body, picture = open_body(), people[0]
    left, right, top, bottom = border
    image = F.pad(read_image(picture)[None], border, mode="replicate")[0]
    params = load_params(picture.with_suffix(".npz"))
    camera = params.camera.crop(-left, -top, tuple(image.shape[1:]))
    source = make_source(
        image, replace(params, camera=camera), body, F.pad(mask_of(picture), border)
    )
    (source,) = with_offsets((source,), body)
    flow = compose((source,), source.params, body, SIZE)
    background = place_background(source_background(source, body, "push_pull")[None], flow)
    images, mattes = next(generate(generator, flow, background))
    window = CropWindow(*flow.framing.square(0))
    truth = crop_picture(source.image, window, flow.size)
    matte = crop_picture(source.mask, window, flow.size, repeat=False)
    region = F.max_pool2d(matte[None], 5, 1, 2)[0] > 0.5
    error = (images[0] - truth)[region.expand_as(truth)].square().mean() / 4
    assert -10 * error.log10() > 20
    a, b = mattes[0] > 0.5, matte > 0.5
    assert (a & b).sum() / (a | b).sum() > 0.85


def test_what_a_hand_holds_leaves_the_background_with_the_person(sources):
    source, body = sources[0], open_body()
    grey = torch.full_like(source.image, -0.2)
    image = source.mask * source.image + (1 - source.mask) * grey
    joints = source.params.camera.project(body.joints(source.params.pose, source.params.betas))
    x, y = joints[0, 22, :2].round().long().tolist()
    away = 1 if x > source.size[1] / 2 else -1
    ball = torch.zeros_like(source.mask, dtype=torch.bool)
    ball[:, y : y + 7, slice(x + 2, x + 9) if away > 0 else slice(x - 9, x - 2)] = True
    ball &= source.mask < 0.02
    assert ball.sum() > 15
    image = torch.where(ball, torch.tensor([1.0, -1.0, -1.0])[:, None, None], image)
    filled = source_background(replace(source, image=image), body, "push_pull")
    assert (filled - grey).abs().amax(0)[ball[0]].max() < 0.1


def moved(params, **changes):
    return replace(params, camera=replace(params.camera, **changes))


@pytest.mark.parametrize(
    "change",
    [
        {"center": torch.tensor([[1e4, 64.0]])},
        {"center": torch.tensor([[1e30, 1e30]])},
        {"scale": torch.tensor([0.5])},
        {"scale": torch.tensor([1e6])},
        {"focal": torch.tensor([1e-3])},
    ],
    ids=["outside", "infinitely far", "tiny", "huge", "through the eye"],
)
def test_a_body_that_is_not_in_its_picture_is_refused(people, change):
    params = load_params(people[0].with_suffix(".npz"))
    with pytest.raises(InputError, match="does not lie in its picture"):
        make_source(read_image(people[0]), moved(params, **change), open_body())


def test_a_motion_that_leaves_its_picture_is_refused(sources):
    scale = torch.tensor([1.0, 1000.0])
    camera = Camera(scale, torch.zeros(2, 2), (64, 64))
    clip = replace(motion("walk", frames=2), camera=camera)
    target = imitate(sources[0].params, clip, open_body())
    with pytest.raises(InputError, match="camera strategy 'source'"):
        compose(sources, target, open_body(), SIZE)


@pytest.mark.parametrize("canvas", [None, (96, 96), (400, 400)])
def test_the_full_picture_of_the_source_imitating_itself_is_the_picture(sources, generator, canvas):
    """Pasting back puts every pixel where it was, at any size."""
    body, source = open_body(), sources[0]
    flow = compose(sources, source.params, body, 128, "full", canvas)
    size = canvas or source.size
    background = source_background(source, body, "push_pull")
    images, mattes = next(generate(generator, flow, place_background(background[None], flow)))
    assert images.shape[-2:] == mattes.shape[-2:] == size
    truth = resample(source.image, size)
    matte = resample(source.mask, size)
    error = (images[0] - truth)[(matte > 0.5).expand_as(truth)].square().mean() / 4
    assert -10 * error.log10() > 20
    a, b = mattes[0] > 0.5, matte > 0.5
    assert (a & b).sum() / (a | b).sum() > 0.9
    away = F.max_pool2d(matte[None], 31, 1, 15)[0] < 0.01
    behind = place_background(background[None], flow)[0]
    assert (images[0] - behind)[away.expand_as(truth)].abs().max() < 0.02


def test_a_large_background_keeps_the_pictures_own_pixels(sources):
    source, body = sources[0], open_body()
    small = source_background(source, body, "push_pull", limit=64)
    assert small.shape == source.image.shape
    away = F.max_pool2d(source.mask[None], 61, 1, 30)[0] < 0.01
    away[:, 96:] = False  # shadows
    assert away.sum() > 500
    assert torch.equal(small[away.expand_as(small)], source.image[away.expand_as(small)])
    person = F.avg_pool2d(source.mask[None], 5, 1, 2)[0] > 0.99
    assert (small - source.image).abs().amax(0)[person[0]].mean() > 0.2


def test_a_canvas_of_other_proportions_is_refused(sources):
    with pytest.raises(InputError, match="200 x 100 px has other proportions"):
        compose(sources, sources[0].params, open_body(), SIZE, "full", (100, 200))
    with pytest.raises(InputError, match="9000 x 9000 px is not possible"):
        compose(sources, sources[0].params, open_body(), SIZE, "full", (9000, 9000))
    assert scaled_canvas((1080, 1920), 640) == (360, 640)


def test_sizes_that_the_network_cannot_have_are_refused():
    for size in (65, 56, 2056):
        with pytest.raises(InputError, match=f"size {size}"):
            compose((), None, open_body(), size)
