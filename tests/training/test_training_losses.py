"""Losses: zero at the truth, weighted where asked, close to the reference implementation."""

import pytest
import torch
import torch.nn.functional as F

from lwg_core.training.losses import (
    generator_loss,
    pyramid_l1,
    structural_dissimilarity,
    total_variation,
)


def test_ssim_agrees_with_torchmetrics():
    metrics = pytest.importorskip("torchmetrics.functional.image")
    torch.manual_seed(0)
    x = F.avg_pool2d(torch.rand(2, 3, 70, 70), 7, 1) * 2 - 1
    y = (x + 0.2 * torch.randn_like(x)).clamp(-1, 1)
    reference = metrics.structural_similarity_index_measure(
        (x + 1) / 2, (y + 1) / 2, gaussian_kernel=False, kernel_size=7, data_range=1.0
    )
    assert float(1 - structural_dissimilarity(x, y)) == pytest.approx(float(reference), abs=0.003)


def test_pyramid_is_zero_at_the_truth_and_grows_with_weight():
    torch.manual_seed(0)
    x, y = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    one = torch.ones(1, 1, 32, 32)
    assert pyramid_l1(x, x, one) == 0
    assert float(pyramid_l1(x, y, 2 * one)) == pytest.approx(2 * float(pyramid_l1(x, y, one)))


def test_total_variation_of_a_step():
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 2:] = 1
    assert float(total_variation(mask)) == pytest.approx(4 / 12)


def test_generator_loss_prefers_the_truth_and_reaches_matte_and_colour():
    torch.manual_seed(0)
    alpha = torch.zeros(1, 1, 32, 32)
    alpha[..., 8:24, 10:22] = 1
    person, background = torch.rand(1, 3, 32, 32) * 2 - 1, torch.rand(1, 3, 32, 32) * 2 - 1
    image = alpha * person + (1 - alpha) * background
    emphasis = torch.zeros_like(alpha)

    def loss(colour, mask):
        return generator_loss(colour, mask, image, alpha, background, emphasis)

    best = loss(person, 1 - alpha)
    assert best < loss(person + 0.1, 1 - alpha)
    assert best < loss(person, (1 - alpha).roll(3, -1))
    colour = person.clone().requires_grad_()
    mask = torch.full_like(alpha, 0.5).requires_grad_()
    loss(colour, mask).backward()
    assert colour.grad.abs().sum() > 0 and (mask.grad != 0).float().mean() > 0.9
