"""The stages in a row: windows and backgrounds lie where the picture says, chunks do not matter."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from lwg_core.body.files import load_params
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.errors import InputError
from lwg_core.flow.sequence import materialise
from lwg_core.flow.source import CropWindow, crop_picture
from lwg_core.flow.targets import imitate
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.pictures import read_image, read_mask
from lwg_core.pipeline import (
    check_generator,
    clip_window,
    compose,
    generate,
    make_source,
    person_box,
    place_background,
    source_background,
    target_window,
    with_offsets,
)
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import motion
from lwg_core.weights import load_generator

SIZE = 64


def mask_of(picture):
    return read_mask(picture.with_name(picture.stem + "_mask.png"))


@pytest.fixture(scope="module")
def sources(people):
    body = open_body()
    return with_offsets(
        tuple(
            make_source(read_image(p), load_params(p.with_suffix(".npz")), body, mask_of(p))
            for p in people
        ),
        body,
    )


@pytest.fixture(scope="module")
def generator():
    return load_generator()


@pytest.fixture(scope="module")
def flow(sources):
    target = imitate(sources[0].params, motion("dance", frames=6), open_body())
    return compose(sources, target, open_body(), SIZE)


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
    window = target_window(params, open_body(), None)
    left, top, right, bottom = person_box(params, open_body(), None)
    assert window.left <= left + 0.5 and window.top <= top + 0.5
    assert window.left + window.side >= right - 0.5 and window.top + window.side >= bottom - 0.5
    for start, low, high, limit in (
        (window.left, left, right, size[1]),
        (window.top, top, bottom, size[0]),
    ):
        inside = low >= 0 and high <= limit
        if inside and window.side <= limit:
            assert 0 <= start and start + window.side <= limit
        elif inside:
            assert start <= 0 and start + window.side >= limit


@pytest.mark.parametrize("focal", [None, 900.0])
def test_the_flow_sees_what_the_window_of_the_picture_shows(sources, focal):
    target = standing((400, 600), 420, 150, focal, frames=2)
    target = replace(target, betas=sources[0].params.betas)
    flow = compose(sources, target, open_body(), SIZE)
    vertices = open_body().vertices(target.pose, target.betas)
    there = target.camera.project(vertices)[..., :2]
    corner = torch.tensor([flow.window.left, flow.window.top])
    expected = (there - corner) * SIZE / flow.window.side
    found = flow.target.camera.project(vertices)[..., :2]
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def ramp(height, width):
    """A picture whose red is x and whose green is y, both -1..1 from edge to edge."""
    x = (torch.arange(width) + 0.5) / width * 2 - 1
    y = (torch.arange(height) + 0.5) / height * 2 - 1
    return torch.stack(
        [x.expand(height, width), y[:, None].expand(height, width)] + [x * 0 + y[:, None]]
    )


@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_a_background_of_the_sources_aspect_is_cut_like_it(flow, factor):
    rows, columns = flow.canvas
    cut = place_background(ramp(round(rows * factor), round(columns * factor))[None], flow)[0]
    w, step = flow.window, flow.window.side / SIZE
    inside = slice(4, SIZE - 4)
    x = w.left + (torch.arange(SIZE) + 0.5) * step
    y = w.top + (torch.arange(SIZE) + 0.5) * step
    pixel = 2 / columns / factor + 1e-3  # windows are rounded to the background's own pixels
    x, y = x / columns * 2 - 1, y / rows * 2 - 1
    assert (cut[0, inside] - x).abs()[:, x.abs() < 0.95].max() < pixel
    assert (cut[1, :, inside] - y[:, None]).abs()[y.abs() < 0.95].max() < pixel


def test_a_background_of_another_aspect_covers_the_window_centred(flow):
    picture = ramp(100, 300)
    cut = place_background(picture[None], flow)[0]
    torch.testing.assert_close(
        cut, crop_picture(picture, CropWindow(100, 0, 100), (SIZE, SIZE)), atol=0.02, rtol=0
    )


def test_beyond_its_edges_a_background_is_mirrored(flow):
    torch.manual_seed(0)
    picture = F.avg_pool2d(torch.rand(1, 3, *flow.canvas), 5, 1, 2)
    half = flow.canvas[1] // 2
    beyond = replace(flow, window=CropWindow(-half, 0, 2 * half))
    cut = place_background(picture, beyond)[0]
    left, right = cut[..., : SIZE // 2].flip(-1), cut[..., SIZE // 2 :]
    torch.testing.assert_close(left[..., 2:-2], right[..., 2:-2], atol=0.1, rtol=0)
    assert right.std() > 0.02


def test_a_window_far_larger_than_the_picture_stays_cheap(flow):
    wide = replace(flow, window=CropWindow(-400_000, -400_000, 800_000))
    cut = place_background(torch.zeros(2, 3, *flow.canvas), wide)
    assert cut.shape == (2, 3, SIZE, SIZE)


def run(generator, flow, background, chunk):
    images, mattes = zip(*generate(generator, flow, background, chunk), strict=True)
    assert [len(i) for i in images[:-1]] == [chunk] * (len(images) - 1)
    return torch.cat(images), torch.cat(mattes)


def test_frames_do_not_depend_on_the_chunks(generator, flow):
    background = torch.rand(len(flow), 3, SIZE, SIZE) * 2 - 1
    whole = run(generator, flow, background, 6)
    for chunk in (1, 4):
        for a, b in zip(run(generator, flow, background, chunk), whole, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_materialised_flow_gives_the_same_frames(generator, flow):
    background = torch.zeros(1, 3, SIZE, SIZE)
    held = materialise(flow, chunk=4)
    if clip_window(held) != clip_window(flow):
        pytest.fail(f"windows differ: {clip_window(held)}, {clip_window(flow)}")
    for a, b in zip(
        run(generator, held, background, 4), run(generator, flow, background, 4), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_the_matte_is_one_on_the_person_and_the_background_shows_elsewhere(generator, flow):
    background = torch.full((1, 3, SIZE, SIZE), 0.25)
    images, mattes = run(generator, flow, background, 4)
    silhouette = flow.chunk(0, len(flow)).silhouette > 0
    far = F.max_pool2d(silhouette.float(), 25, 1, 12) == 0
    assert mattes[silhouette].mean() > 0.8 and mattes[far].mean() < 0.02
    empty = mattes == 0
    assert empty.any() and (images[empty.expand_as(images)] == 0.25).all()
    assert images.abs().max() <= 1


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
    images, mattes = run(generator, flow, background, 4)
    truth = crop_picture(source.image, flow.window, flow.size)
    matte = crop_picture(source.mask, flow.window, flow.size, repeat=False)
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


def test_other_generators_and_backgrounds_are_refused(generator, flow):
    with torch.device("meta"):
        official = AttLWBGenerator(GeneratorConfig())
    with pytest.raises(InputError, match="official"):
        check_generator(official)
    with pytest.raises(InputError, match="1 picture or 6"):
        next(generate(generator, flow, torch.zeros(2, 3, SIZE, SIZE)))
    with pytest.raises(InputError, match="size 65"):
        compose((), None, open_body(), 65)
