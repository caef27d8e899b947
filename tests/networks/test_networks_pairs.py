"""Listed pairs give what whole warped maps give."""

from __future__ import annotations

import pytest
import torch

from lwg_core.networks import warping
from lwg_core.networks.attention import AttLWB
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.networks.pairs import ListedFeatures, feature_table, list_pairs
from lwg_core.networks.warping import warp_features, warp_in_turn

CHANNELS = 12


def random_flow(batch=2, frames=3, sources=4, size=(10, 14)) -> torch.Tensor:
    """Some pairs inside, some across an edge, many outside, by sentinel or just beyond."""
    torch.manual_seed(3)
    flow = torch.rand(batch, frames, sources, *size, 2) * 2.6 - 1.3
    flow[torch.rand(flow.shape[:-1]) < 0.5] = -2.0
    flow[0, 0, :, :3] = -2.0  # seen by no source
    flow[-1, -1, 0] = -2.0  # a source that a frame does not see at all
    return flow


def random_features(sources=4, batch=2, size=(8, 6)) -> torch.Tensor:
    return torch.randn(batch, sources, CHANNELS, *size)


def both_ways(flow, features, block=16, key_conv=True, x=None):
    """The fused features of whole maps and of lists, under one block's weights."""
    torch.manual_seed(5)
    attention = AttLWB(CHANNELS, 8, torch.nn, key_conv=key_conv).to(features.dtype)
    height, width = flow.shape[3:5]
    if x is None:
        x = torch.randn(flow.shape[0] * flow.shape[1], CHANNELS, height, width) * 3
    x = x.to(features.dtype)
    blocks = list_pairs(flow, features.shape[-2:], block)
    seen = ListedFeatures(feature_table(features), blocks, flow.shape[2])
    return attention.fuse(x, warp_features(features, flow)), attention.fuse_listed(x, seen)


@torch.no_grad()
@pytest.mark.parametrize("sources", [1, 2, 4, 8])
@pytest.mark.parametrize("key_conv", [True, False])
def test_lists_equal_whole_maps(sources, key_conv):
    flow, features = random_flow(sources=max(sources, 2)), random_features(sources)
    whole, listed = both_ways(flow[:, :, :sources], features, key_conv=key_conv)
    torch.testing.assert_close(listed, whole, atol=1e-6, rtol=1e-6)
    assert listed.is_contiguous() and whole.abs().max() > 0.1


@torch.no_grad()
def test_pairs_half_outside_a_source_count():
    """Bilinear taps reach half a pixel beyond the edge: there -1.05 is not yet outside."""
    flow = torch.full((1, 1, 2, 1, 4, 2), -2.0)
    flow[0, 0, 0, 0] = torch.tensor([[-1.05, 0.0], [1.05, -1.05], [-1.13, 0.0], [0.0, 1.2]])
    whole, listed = both_ways(flow, random_features(2, batch=1, size=(8, 8)))
    torch.testing.assert_close(listed, whole, atol=1e-6, rtol=1e-6)
    assert (whole.abs().amax(1)[0, 0] > 0).tolist() == [True, True, False, False]
    (block,) = list_pairs(flow, (8, 8))
    assert block.pixels.tolist() == [0, 1] and block.unseen.flatten().tolist() == [1, 1]


@torch.no_grad()
def test_only_what_sees_something_is_listed():
    flow = random_flow()
    blocks = list_pairs(flow, (8, 6), block=16)
    warped = warp_features(torch.ones(2, 4, 1, 8, 6), flow)[:, :, 0] > 0
    pixels = torch.cat([block.pixels for block in blocks])
    assert pixels.sort().values.tolist() == warped.any(1).flatten().nonzero().flatten().tolist()
    assert sum(len(taps) for block in blocks for taps, _ in block.slots) == warped.sum()
    seen = torch.cat([4 - block.unseen for block in blocks]).flatten()
    assert seen.tolist() == sorted(warped.sum(1).flatten()[pixels].tolist(), reverse=True)
    assert all(len(block.pixels) <= 16 for block in blocks)


@torch.no_grad()
@pytest.mark.parametrize("sources", [1, 3])
def test_no_valid_pixel_at_all(sources):
    flow = torch.full((1, 2, sources, 6, 6, 2), -2.0)
    whole, listed = both_ways(flow, random_features(sources, batch=1))
    assert list_pairs(flow, (8, 6)) == ()
    assert torch.equal(listed, whole) and (listed == 0).all()


@torch.no_grad()
def test_large_logits_do_not_overflow():
    flow, features = random_flow(batch=1), random_features(batch=1)
    x = torch.randn(3, CHANNELS, 10, 14) * 1e4
    whole, listed = both_ways(flow, features * 10, x=x)
    assert torch.isfinite(listed).all()
    torch.testing.assert_close(listed, whole, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_interpolated_in_float32(dtype):
    flow, features = random_flow()[:, :, :1], random_features(1).to(dtype)
    whole, listed = both_ways(flow, features)  # one source: interpolation alone
    assert listed.dtype == dtype
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(listed, whole, atol=step, rtol=step)
    several = both_ways(random_flow(), random_features().to(dtype))
    assert (several[1] - several[0]).abs().mean() < 4 * step


CONFIGS = {
    "surface": GeneratorConfig.surface(widths=(8, 12, 16), res_blocks=2, spade_hidden=8),
    "official": GeneratorConfig(
        widths=(8, 12, 16), res_blocks=2, spade_hidden=8, source_decoder=False, background=False
    ),
}


@torch.no_grad()
@pytest.mark.parametrize("inputs", CONFIGS)
def test_the_generator_does_not_tell_them_apart(inputs, monkeypatch):
    config = CONFIGS[inputs]
    model = AttLWBGenerator.from_scratch(config).eval()
    for parameter in model.parameters():
        parameter.mul_(1.5)
    torch.manual_seed(1)
    sources = torch.rand(3, config.source_channels, 32, 32)
    targets = torch.rand(2, config.target_channels, 32, 48)
    flow = random_flow(1, 2, 3, (8, 12))[0]
    flow = flow.repeat_interleave(4, 2).repeat_interleave(4, 3)
    listed = model.decode(model.encode(sources), targets, flow)
    monkeypatch.setattr(warping, "lists_pairs", lambda: False)
    whole = model.decode(model.encode(sources), targets, flow)
    for one, other in zip(listed, whole, strict=True):
        torch.testing.assert_close(one, other, atol=5e-6, rtol=0)


def test_gradients_take_the_whole_maps():
    features = random_features().requires_grad_()
    flow = torch.rand(2, 3, 4, 16, 16, 2) * 2 - 1
    flow.requires_grad_()
    (warped,) = warp_in_turn([features], flow, 1, official=False)
    assert isinstance(warped, torch.Tensor) and warped.shape == (6, 4, CHANNELS, 8, 8)
    warped.sum().backward()
    assert features.grad.abs().max() > 0 and flow.grad.abs().max() > 0
    with torch.no_grad():
        (listed,) = warp_in_turn([features], flow, 1, official=False)
    assert isinstance(listed, ListedFeatures)


@torch.no_grad()
def test_a_bank_holds_its_maps_as_rows():
    model = AttLWBGenerator.from_scratch(CONFIGS["surface"])
    bank = model.encode(torch.rand(2, 8, 32, 32))
    for feature in bank.join(bank).select([0, 2]).features:
        table = feature_table(feature[None])
        assert table.data_ptr() == feature.data_ptr()  # a view: nothing is copied per frame
        assert torch.equal(table.view(2, *feature.shape[2:], -1).permute(0, 3, 1, 2), feature)
