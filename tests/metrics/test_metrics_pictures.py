"""Measures of pictures: known differences give known figures."""

import math

import pytest
import torch
import torch.nn.functional as F

from lwg_core.errors import InputError
from lwg_core.metrics import pair, pictures, summary
from lwg_core.metrics.pictures import person_region, picture_scores, region_scores, sharpness


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.6


@pytest.fixture
def truth():
    return noise(2, 3, 48, 40)


def half(height=48, width=40, frames=2):
    region = torch.zeros(frames, 1, height, width)
    region[..., : width // 2] = 1
    return region


def test_identical_pictures_are_perfect(truth):
    scores = picture_scores(truth, truth, {"": None, "_person": half()})
    assert torch.isinf(scores["psnr"]).all() and torch.isinf(scores["psnr_person"]).all()
    for name in ("ssim", "ssim_person", "sharpness", "sharpness_person"):
        torch.testing.assert_close(scores[name], torch.ones(2))


def test_a_shift_of_brightness_has_the_psnr_of_its_square(truth):
    # 0.2 of a range of 2 is a tenth: 20 dB.
    scores = picture_scores(truth + 0.2, truth, {"": None})
    torch.testing.assert_close(scores["psnr"], torch.full((2,), 20.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(scores["sharpness"], torch.ones(2))


def test_noise_of_known_deviation_has_a_known_psnr():
    truth = torch.zeros(1, 3, 256, 256)
    result = 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    wanted = -20 * math.log10(0.1 / 2)
    assert float(picture_scores(result, truth, {"": None})["psnr"]) == pytest.approx(
        wanted, abs=0.1
    )


def test_a_region_counts_alone(truth):
    region = half()
    spoiled = torch.where(region.bool(), truth + 0.2, -truth)
    psnr, ssim = region_scores(spoiled, truth, region)
    torch.testing.assert_close(psnr, torch.full((2,), 20.0), atol=1e-4, rtol=0)
    _, outside = region_scores(spoiled, truth, 1 - region)
    assert (ssim > 0.9).all() and (outside < 0.2).all()


def test_a_soft_region_weighs(truth):
    result = truth + torch.where(half().bool(), 0.2, 0.4)
    region = half() * 0.75 + 0.25 * (1 - half())
    psnr, _ = region_scores(result, truth, region)
    wanted = -10 * math.log10(0.75 * 0.01 + 0.25 * 0.04)
    torch.testing.assert_close(psnr, torch.full((2,), wanted), atol=1e-4, rtol=0)


def test_the_person_region_is_the_matte_and_four_pixels():
    alpha = torch.zeros(1, 1, 30, 30)
    alpha[..., 15, 12] = 0.7
    region = person_region(alpha)
    assert region.max() == pytest.approx(0.7)
    assert region.nonzero().amin(0)[2:].tolist() == [11, 8]
    assert region.nonzero().amax(0)[2:].tolist() == [19, 16]


def test_an_empty_region_or_a_flat_truth_measures_nothing(truth):
    scores = picture_scores(truth, truth, {"": None, "_head": torch.zeros(2, 1, 48, 40)})
    assert all(torch.isnan(scores[f"{n}_head"]).all() for n in ("psnr", "ssim", "sharpness"))
    flat = torch.zeros_like(truth)
    assert torch.isnan(sharpness(truth, flat, half())).all()


def test_sharpness_is_the_energy_of_the_gradients(truth):
    everywhere = torch.ones(2, 1, 48, 40)
    torch.testing.assert_close(sharpness(truth / 2, truth, everywhere), torch.full((2,), 0.25))
    # A box of n pixels leaves a row of noise 1 / n of its variance and makes neighbours share n - 1
    # of n: the difference of two neighbours, (a_n - a_0) / n, keeps 1 / n^2.
    row = torch.randn(1, 1, 1, 20000, generator=torch.Generator().manual_seed(2))
    row = row.expand(-1, 3, -1, -1)
    soft = F.avg_pool2d(row, (1, 5), 1, (0, 2))
    inner = torch.zeros(1, 1, 1, 20000)
    inner[..., 5:-5] = 1
    assert float(sharpness(soft, row, inner)) == pytest.approx(1 / 25, rel=0.02)


def test_blur_gains_psnr_but_not_sharpness():
    """What sharpness is for: of an unsure result the soft version has the better PSNR."""
    truth, other = noise(1, 3, 64, 64, seed=3), noise(1, 3, 64, 64, seed=4)
    soft = F.avg_pool2d(other, 9, 1, 4, count_include_pad=False)
    crisp, blurred = (picture_scores(p, truth, {"": None}) for p in (other, soft))
    assert blurred["psnr"] > crisp["psnr"] + 2
    assert blurred["sharpness"] < 0.1 < 0.9 < crisp["sharpness"] < 1.1


def test_a_pair_as_a_table(truth):
    scores = pair.compare(truth + torch.tensor([0.2, 0.02])[:, None, None, None], truth, half())
    table = pair.pair_table(scores)
    assert "| 2 frames |" in table
    assert "| PSNR dB | higher | 30.00 | 20.00 |" in table
    assert "| PSNR dB, person | higher | 30.00 | 20.00 |" in table
    assert "| Sharpness, person | 1 | 1.00 | 1.00 |" in table and "head" not in table
    bare = pair.pair_table(pair.compare(truth, truth))
    assert "| PSNR dB | higher | inf | inf |" in bare
    assert f"| SSIM, person | higher | not measured: {pair.NO_MASK} | |" in bare
    flat = torch.zeros(1, 3, 48, 40)
    assert f"not measured: {pair.UNSEEN}" in pair.pair_table(pair.compare(truth, flat))


def test_one_truth_and_one_mask_serve_all_frames(truth):
    one, mask = truth[:1], half(frames=1)
    scores = pair.compare(truth, one, mask)
    both = pair.compare(truth, one.expand(2, -1, -1, -1), half())
    assert all(torch.equal(scores[name], both[name]) for name in scores)
    sheet = pair.pair_sheet(truth, one)
    assert sheet.shape == (3, 2 * (48 + 4) + 4, 3 * (40 + 4) + 4)
    assert (sheet[:, 4:52, 92:132] == -1).all(), "frame 0 does not differ from the truth"
    assert (sheet[:, 56:104, 92:132] > -1).any()


@pytest.mark.parametrize(
    ("truth_shape", "mask_shape", "words"),
    [
        ((2, 3, 48, 41), None, "truth is 41 x 48 px, but the result is 40 x 48"),
        ((3, 3, 48, 40), None, "truth must be 1 picture or 2, one per frame of the result; got 3"),
        ((2, 3, 48, 40), (2, 1, 24, 40), "mask is 40 x 24 px"),
    ],
)
def test_pictures_that_do_not_belong_together(truth, truth_shape, mask_shape, words):
    mask = None if mask_shape is None else torch.ones(mask_shape)
    with pytest.raises(InputError, match=words):
        pair.compare(truth, torch.zeros(truth_shape), mask)


def test_without_torchmetrics_the_rest_is_measured(truth, monkeypatch):
    for module in (pictures, pair, summary):
        monkeypatch.setattr(module, "has_torchmetrics", lambda: False)
    with pytest.raises(InputError, match="pip install torchmetrics"):
        pictures.check_torchmetrics()
    table = pair.pair_table(pair.compare(truth + 0.2, truth))
    assert "| PSNR dB | higher | 20.00 | 20.00 |" in table
    assert "| SSIM | higher | not measured: pip install torchmetrics | |" in table
