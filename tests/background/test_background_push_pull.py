import pytest
import torch

from lwg_core.background import push_pull


def ramp(height: int, width: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x / width, y / height, (x + y) / (height + width)])[None].float() * 2 - 1


@pytest.mark.parametrize("size", [(64, 64), (37, 51), (1, 9), (5, 3), (1, 1)])
def test_known_pixels_are_untouched_and_the_rest_is_finite(size):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    known = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(1)) > 0.6
    known[:, :, 0, 0] = True
    filled = push_pull(image, known)
    assert filled.shape == image.shape
    assert torch.isfinite(filled).all()
    assert torch.equal(filled[known.expand_as(image)], image[known.expand_as(image)])


def test_hidden_colours_never_leak():
    image = ramp(63, 50)
    known = torch.ones(1, 1, 63, 50)
    known[:, :, 20:45, 10:33] = 0
    other = torch.where(known > 0, image, torch.tensor(77.0))
    assert torch.equal(push_pull(image, known), push_pull(other, known))


def test_fill_stays_within_the_known_range_and_follows_a_gradient():
    image = ramp(96, 80)
    known = torch.ones(1, 1, 96, 80)
    known[:, :, 30:70, 25:55] = 0
    filled = push_pull(image, known)
    assert filled.min() >= image.min() - 1e-5 and filled.max() <= image.max() + 1e-5
    assert (filled - image).abs().max() < 0.25
    mean = (image * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True)
    hole = known.expand_as(image) == 0
    assert (filled - image)[hole].square().mean() < 0.15 * (mean - image)[hole].square().mean()


def test_a_constant_picture_is_completed_exactly():
    known = torch.zeros(1, 1, 41, 33)
    known[:, :, 3, 30] = 1
    filled = push_pull(torch.full((1, 3, 41, 33), 0.25), known)
    assert (filled - 0.25).abs().max() < 1e-6


def test_partial_weights_mix():
    image = torch.ones(1, 1, 16, 16)
    image[:, :, 8:] = -1
    known = torch.ones(1, 1, 16, 16)
    known[:, :, 8:] = 0.5
    filled = push_pull(image, known)
    assert (filled[:, :, :8] == 1).all()
    assert ((filled[:, :, 8:] >= -1) & (filled[:, :, 8:] < 0.5)).all()


def test_nothing_known_gives_zeros():
    assert (push_pull(torch.ones(1, 3, 20, 13), torch.zeros(1, 1, 20, 13)) == 0).all()


def test_gradients_reach_known_pixels_only():
    image = ramp(16, 16).double().requires_grad_()
    known = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    known[:, :, 4:12, 4:12] = 0
    push_pull(image, known)[:, :, 4:12, 4:12].sum().backward()
    assert (image.grad[:, :, 4:12, 4:12] == 0).all()
    assert (image.grad[:, :, 3, 4:12] > 0).all()
