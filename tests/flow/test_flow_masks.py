import math

import pytest
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.errors import InputError
from lwg_core.flow.masks import estimate_mask, seed_map
from lwg_core.render.camera import Camera
from lwg_core.render.raster import interpolate, rasterize, silhouette

SIZE = (320, 280)
BETAS = torch.zeros(10)


def camera(scale: float = 155.0) -> Camera:
    return Camera(torch.tensor([scale]), torch.tensor([[140.0, 150.0]]), SIZE)


def pose() -> torch.Tensor:
    out = torch.zeros(1, 24, 3)
    out[:, 0, 0] = math.pi
    out[:, 16, 2], out[:, 17, 2] = -0.9, 0.9
    out[:, 1, 2], out[:, 2, 2] = 0.1, -0.1
    return out


def params(view: Camera | None = None) -> SmplParams:
    return SmplParams(pose(), BETAS, "open", view or camera())


def picture(
    offsets: torch.Tensor | None = None, background: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """A reddish person (3, H, W) in front of a bluish wall, and the true mask (1, H, W)."""
    body, view = open_body(), camera()
    raster = rasterize(view.project(body.vertices(pose(), BETAS, offsets)), body.faces, SIZE)
    generator = torch.Generator().manual_seed(0)
    paint = torch.tensor([0.6, -0.2, -0.4]) + 0.3 * body.correspondence_code()
    person = interpolate(raster, paint, body.faces)[0].permute(2, 0, 1)
    mask = silhouette(raster)[0]
    if background is None:
        background = torch.tensor([-0.5, 0.0, 0.5])[:, None, None].expand(3, *SIZE)
    image = mask * person + (1 - mask) * background
    noise = 0.1 * torch.randn(image.shape, generator=generator)
    return (image + noise).clamp(-1, 1), mask


def overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a > 0.5, b > 0.5
    return ((a & b).sum() / (a | b).sum()).item()


def test_the_true_outline_is_found_where_the_mesh_is_naked():
    dressed = torch.full((len(open_body().v_template),), 0.025)
    image, true = picture(dressed)
    naked = picture()[1]
    found = estimate_mask(image, open_body(), params())
    assert found.method == "grabcut"
    assert found.mask.shape == (1, *SIZE)
    assert found.mask.min() >= 0 and found.mask.max() <= 1
    assert overlap(naked, true) < 0.78
    assert overlap(found.mask, true) > 0.97
    assert found.overlap == pytest.approx(overlap(naked, true), abs=0.02)


def test_a_fit_that_is_off_is_forgiven():
    image, true = picture()
    view = camera(150.0)
    moved = Camera(view.scale, view.center + torch.tensor([[4.0, -3.0]]), SIZE)
    found = estimate_mask(image, open_body(), params(moved))
    assert overlap(found.mask, true) > 0.95


def test_the_gap_between_the_legs_is_background():
    image, true = picture()
    found = estimate_mask(image, open_body(), params())
    y = slice(230, 290)
    columns = torch.arange(SIZE[1])
    legs = true[0, y] > 0.5
    first = torch.where(legs, columns, SIZE[1]).amin(1, keepdim=True)
    last = torch.where(legs, columns, -1).amax(1, keepdim=True)
    gap = ~legs & (columns > first) & (columns < last)
    assert gap.sum() > 500
    assert found.mask[0, y][gap].mean() < 0.1


def test_the_edge_is_soft_and_the_rest_is_not():
    image, _ = picture()
    mask = estimate_mask(image, open_body(), params()).mask
    between = (mask > 0.02) & (mask < 0.98)
    outline = ((mask[:, :, 1:] > 0.5) != (mask[:, :, :-1] > 0.5)).sum()
    assert 0.5 * outline < between.sum() < 8 * outline


def test_large_pictures_give_full_size_masks():
    image, true = picture()
    large = torch.nn.functional.interpolate(image[None], scale_factor=3, mode="bilinear")[0]
    view = camera().resize((SIZE[0] * 3, SIZE[1] * 3))
    found = estimate_mask(large, open_body(), params(view))
    grown = torch.nn.functional.interpolate(true[None], scale_factor=3)[0]
    assert found.mask.shape == grown.shape
    assert overlap(found.mask, grown) > 0.95


def test_twice_the_same():
    image, _ = picture()
    first = estimate_mask(image, open_body(), params())
    assert torch.equal(first.mask, estimate_mask(image, open_body(), params()).mask)


def test_known_offsets_widen_the_seeds():
    # Clothes in the colour of the wall: only offsets can tell.
    dressed = torch.full((len(open_body().v_template),), 0.04)
    image, true = picture(dressed)
    naked = picture()[1]
    wall = torch.tensor([-0.5, 0.0, 0.5])[:, None, None]
    image = torch.where((true > 0) & (naked == 0), wall, image)
    without = estimate_mask(image, open_body(), params())
    known = estimate_mask(image, open_body(), params(), dressed)
    assert overlap(known.mask, true) > overlap(without.mask, true) + 0.02


def test_an_implausible_answer_falls_back_to_the_grown_silhouette(caplog):
    # Something much wider than the body, in one colour: no person that this body was fitted to.
    body_mask = picture()[1]
    blob = torch.nn.functional.max_pool2d(body_mask, 31, 1, 15)
    wall = torch.where(blob > 0, 0.8, -0.5).expand(3, *SIZE)
    found = estimate_mask(wall, open_body(), params())
    assert found.method == "silhouette"
    assert "not plausible" in caplog.text
    assert (found.mask >= body_mask).all()
    assert 1.05 < found.mask.sum() / body_mask.sum() < 1.8


def test_a_person_who_fills_the_picture_or_is_hardly_in_it():
    image, _ = picture()
    close = Camera(torch.tensor([2500.0]), torch.tensor([[140.0, 600.0]]), SIZE)
    filled = estimate_mask(image, open_body(), params(close))
    assert filled.method == "silhouette" and (filled.mask == 1).all()
    away = Camera(torch.tensor([155.0]), torch.tensor([[-400.0, 150.0]]), SIZE)
    none = estimate_mask(image, open_body(), params(away))
    assert none.method == "silhouette" and (none.mask == 0).all()


def test_seeds_follow_the_distance_to_the_outline():
    image, mask = picture()
    seeds = torch.from_numpy(seed_map(mask[0].numpy() > 0.5, 155.0))
    assert set(seeds.unique().tolist()) == {0, 1, 2, 3}
    assert (mask[0][seeds == 1] == 1).all()
    assert (mask[0][seeds == 0] == 0).all()
    assert (mask[0][seeds == 3] == 1).all()


def test_bad_input():
    image, _ = picture()
    with pytest.raises(InputError, match="this very picture"):
        estimate_mask(image[:, :300], open_body(), params())
    with pytest.raises(InputError, match="no camera"):
        estimate_mask(image, open_body(), SmplParams(pose(), BETAS, "open"))
