import pytest
import torch

from lwg_core.background import METHODS, fill_background, patch_fill
from lwg_core.errors import InputError


def grid(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return y.float(), x.float()


def stripes(height: int = 96, width: int = 96) -> torch.Tensor:
    y, x = grid(height, width)
    wave = (torch.sin((x + 0.5 * y) * 0.6) > 0).float()
    colours = torch.tensor([[0.8, -0.2, -0.6], [-0.5, 0.1, 0.7]])
    return (wave * colours[0][:, None, None] + (1 - wave) * colours[1][:, None, None]).clone()


def person_like(height: int, width: int) -> torch.Tensor:
    y, x = grid(height, width)
    u, v = x / width, y / height
    body = ((u - 0.5) / 0.12) ** 2 + ((v - 0.5) / 0.36) ** 2 < 1
    return ~(body | ((abs(u - 0.5) < 0.28) & (abs(v - 0.4) < 0.04)))[None]


def psnr(filled: torch.Tensor, truth: torch.Tensor, hole: torch.Tensor) -> float:
    error = ((filled - truth) / 2).square().mean(0)[hole].mean()
    return float(-10 * torch.log10(error))


def cover(truth: torch.Tensor, known: torch.Tensor, colour: float = 0.95) -> torch.Tensor:
    return torch.where(known, truth, torch.tensor(colour))


def test_stripes_are_continued_where_smooth_fills_are_not():
    truth, known = stripes(), person_like(96, 96)
    image = cover(truth, known)
    scores = {
        m: psnr(fill_background(image, known, m), truth, ~known[0])
        for m in ("patch", "push_pull", "opencv")
    }
    assert scores["patch"] > 20
    assert scores["patch"] > max(scores["push_pull"], scores["opencv"]) + 6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(61, 90)])
def test_known_pixels_are_exact_and_the_person_is_gone(method, size, official):
    truth = stripes(*size)
    known = person_like(*size)
    filled = fill_background(cover(truth, known), known, method, generator=official)
    kept = known.expand_as(truth)
    assert torch.equal(filled[kept], truth[kept])
    assert filled.abs().max() <= 1
    # The filling depends on nothing that the hole hides.
    other = fill_background(cover(truth, known, -0.3), known, method, generator=official)
    assert torch.equal(filled, other)


def test_a_gradient_stays_a_gradient():
    y, x = grid(96, 96)
    truth = torch.stack([x, y, x + y]) / 96 - 0.9
    known = person_like(96, 96)
    assert psnr(patch_fill(cover(truth, known), known), truth, ~known[0]) > 35


def test_a_horizon_stays_where_it_is():
    y, _ = grid(96, 96)
    noise = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(3)) * 0.2
    truth = torch.where(y > 70, 0.6, -0.6)[None] + noise - 0.1
    known = person_like(96, 96)
    filled = patch_fill(cover(truth, known), known)
    below, above = ~known[0] & (y > 72), ~known[0] & (y < 68)
    assert filled[:, below].min() > 0.4
    assert filled[:, above].max() < -0.4


def test_no_seam_at_the_border_of_the_hole():
    generator = torch.Generator().manual_seed(5)
    truth = torch.nn.functional.interpolate(
        torch.rand(1, 3, 24, 24, generator=generator), (96, 96), mode="bicubic"
    )[0].clamp(0, 1)
    known = person_like(96, 96)
    filled = patch_fill(cover(truth, known), known)
    step = (filled[:, :, 1:] - filled[:, :, :-1]).abs().mean(0)
    border = known[0, :, 1:] != known[0, :, :-1]
    inside = known[0, :, 1:] & known[0, :, :-1]
    assert step[border].mean() < 1.5 * step[inside].mean()


def test_the_seed_decides():
    truth, known = stripes(130, 90), person_like(130, 90)
    truth = truth + 0.3 * torch.rand(truth.shape, generator=torch.Generator().manual_seed(2)) - 0.3
    image = cover(truth, known)
    first = patch_fill(image, known, seed=1)
    assert torch.equal(first, patch_fill(image, known, seed=1))
    assert not torch.equal(first, patch_fill(image, known, seed=2))


def test_large_pictures_are_carried_to_full_size(monkeypatch):
    # What happens above 640 px, at a size that a test can afford.
    monkeypatch.setattr("lwg_core.background.patch.SEARCHED", 100)
    truth, known = stripes(192, 187), person_like(192, 187)
    filled = patch_fill(cover(truth, known), known)
    assert torch.equal(filled[known.expand_as(truth)], truth[known.expand_as(truth)])
    assert psnr(filled, truth, ~known[0]) > 15


def test_progress_rises_to_one_and_may_stop():
    truth, known = stripes(), person_like(96, 96)
    seen = []
    patch_fill(cover(truth, known), known, progress=seen.append)
    assert len(seen) > 5 and seen == sorted(seen)
    assert seen[0] > 0 and seen[-1] == pytest.approx(1)

    class Stop(Exception):
        pass

    def stop(share: float) -> None:
        raise Stop

    with pytest.raises(Stop):
        patch_fill(cover(truth, known), known, progress=stop)


def test_nothing_to_fill_and_next_to_nothing_known():
    truth = stripes(40, 30)
    assert torch.equal(patch_fill(truth, torch.ones(1, 40, 30, dtype=torch.bool)), truth)
    known = torch.zeros(1, 40, 30, dtype=torch.bool)
    known[:, 2:6, 2:6] = True
    filled = patch_fill(truth, known)
    assert torch.equal(filled[:, 2:6, 2:6], truth[:, 2:6, 2:6])
    low, high = truth[:, 2:6, 2:6].amin((1, 2)), truth[:, 2:6, 2:6].amax((1, 2))
    assert (filled.amin((1, 2)) >= low - 1e-5).all() and (filled.amax((1, 2)) <= high + 1e-5).all()


def test_a_mesh_of_known_pixels_holds_no_patch():
    truth = stripes(140, 140)
    y, x = grid(140, 140)
    known = ((y + x) % 2 == 0)[None]
    filled = patch_fill(cover(truth, known), known)
    assert torch.equal(filled[known.expand_as(truth)], truth[known.expand_as(truth)])
    assert psnr(filled, truth, ~known[0]) > 12


@pytest.mark.parametrize("size", [(5, 4), (9, 30), (64, 7)])
def test_tiny_pictures(size):
    truth = stripes(*size)
    known = torch.ones(1, *size, dtype=torch.bool)
    known[:, 1:3, 1:3] = False
    filled = patch_fill(cover(truth, known), known)
    assert torch.isfinite(filled).all()
    assert torch.equal(filled[known.expand_as(truth)], truth[known.expand_as(truth)])


@pytest.mark.parametrize("method", METHODS)
def test_bad_input(method, official):
    image, known = stripes(20, 30), torch.ones(1, 20, 30)
    with pytest.raises(InputError, match="covers the whole picture"):
        fill_background(image, known * 0, method, generator=official)
    with pytest.raises(InputError, match="known part"):
        fill_background(image, known[:, :10], method, generator=official)
    with pytest.raises(InputError, match="background picture"):
        fill_background(image[None], known, method, generator=official)


def test_unknown_method():
    with pytest.raises(InputError, match="patch, push_pull, opencv"):
        fill_background(stripes(20, 30), torch.ones(1, 20, 30), "magic")
