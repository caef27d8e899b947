from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lwg_core.networks.attention import AttLWB
from lwg_core.networks.blocks import conv_together
from lwg_core.networks.warping import pool_flows, resize_flow, warp_features


def identity_flow(size: int) -> torch.Tensor:
    return F.affine_grid(torch.eye(2, 3)[None], [1, 1, size, size], align_corners=False)


@pytest.mark.parametrize("sources", [1, 2, 5])
def test_fused_attention_is_the_attention_with_keys_and_values_per_source(sources):
    torch.manual_seed(0)
    block = AttLWB(12, 16, torch.nn).double()
    torch.nn.init.normal_(block.fk.bias, std=3.0)  # must not matter
    x = torch.randn(3, 12, 9, 7, dtype=torch.float64)
    warped = torch.randn(3, sources, 12, 9, 7, dtype=torch.float64)

    keys = torch.stack([block.fk(w) for w in warped.unbind(1)], dim=1)
    values = torch.stack([block.fv(w) for w in warped.unbind(1)], dim=1)
    logits = torch.einsum("nchw,nschw->nshw", block.fq(x), keys) / 12**0.5
    expected = torch.einsum("nshw,nschw->nchw", logits.softmax(1), values)

    torch.testing.assert_close(block.fv(block.fuse(x, warped)), expected, atol=1e-12, rtol=1e-12)


def test_without_key_conv_the_query_meets_the_features():
    torch.manual_seed(0)
    block = AttLWB(4, 8, torch.nn, key_conv=False)
    assert not any(key.startswith("fk.") for key in block.state_dict())
    x, warped = torch.randn(1, 4, 5, 5), torch.randn(1, 2, 4, 5, 5)
    alpha = ((warped * block.fq(x)[:, None]).sum(2, keepdim=True) / 2).softmax(1)
    torch.testing.assert_close(block.fuse(x, warped), (alpha * warped).sum(1))


def test_spade_is_scaled_and_shifted_instance_norm():
    torch.manual_seed(0)
    spade = AttLWB(6, 8, torch.nn).spade
    x, condition = torch.randn(2, 6, 8, 8) * 5 + 3, torch.randn(2, 6, 8, 8)
    hidden = spade.mlp_shared(condition)
    mean, std = x.mean((2, 3), keepdim=True), (x.var((2, 3), False, keepdim=True) + 1e-5).sqrt()
    expected = (x - mean) / std * (1 + spade.mlp_gamma(hidden)) + spade.mlp_beta(hidden)
    torch.testing.assert_close(spade(x, condition), expected, atol=1e-5, rtol=1e-5)


def test_convolutions_together_and_apart():
    torch.manual_seed(0)
    convs = [
        torch.nn.Conv2d(5, 3, 5, padding=2, bias=False),
        torch.nn.Conv2d(5, 1, 5, padding=2, bias=True),
    ]
    x = torch.randn(2, 5, 11, 8)
    for together, conv in zip(conv_together(x, convs), convs, strict=True):
        torch.testing.assert_close(together, conv(x), atol=1e-5, rtol=1e-5)


def test_warp_takes_each_frame_from_each_source():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 4, 8, 8)
    flow = torch.rand(2, 5, 3, 6, 10, 2) * 2.4 - 1.2
    flow[0, 1, 2] = -2.0
    warped = warp_features(features, flow)
    assert warped.shape == (10, 3, 4, 6, 10)
    for batch, frame, source in [(0, 0, 0), (0, 4, 1), (1, 2, 2)]:
        expected = F.grid_sample(
            features[batch, source][None], flow[batch, frame, source][None], align_corners=False
        )
        torch.testing.assert_close(warped[batch * 5 + frame, source], expected[0])
    assert (warped[1, 2] == 0).all()  # sentinel: outside, hence zero
    same = warp_features(features, identity_flow(8)[None, None].expand(2, 1, 3, 8, 8, 2))
    torch.testing.assert_close(same, features, atol=1e-6, rtol=1e-6)


def test_warp_keeps_coordinates_in_float32_for_half_features():
    torch.manual_seed(0)
    features = torch.randn(1, 1, 2, 100, 100, dtype=torch.bfloat16)
    flow = (identity_flow(100) + 0.003)[None, None]
    warped = warp_features(features, flow)
    assert warped.dtype == torch.bfloat16
    assert torch.equal(warped, warp_features(features.float(), flow).bfloat16())


def test_resized_flow_keeps_corners_and_blends_sentinels():
    flow = torch.full((1, 8, 8, 2), -2.0)
    flow[:, :, :4] = 0.5
    wide = resize_flow(flow, 8, 15)  # column 7 lies half-way between columns 3 and 4
    torch.testing.assert_close(wide[:, :, 7], torch.full((1, 8, 2), -0.75))
    columns = torch.arange(8.0)[:, None].expand(1, 8, 8, 2)
    expected = torch.tensor([0, 7 / 3, 14 / 3, 7])
    torch.testing.assert_close(resize_flow(columns, 4, 4)[0, 0, :, 0], expected)


def test_pooled_flow_is_the_mean_of_what_is_valid():
    flow = identity_flow(8)
    torch.testing.assert_close(pool_flows(flow, 1)[0], identity_flow(4), atol=1e-6, rtol=0)
    flow[:, :2, :3] = -2.0  # pixel (0, 0) loses all, pixel (0, 1) the left half
    pooled = pool_flows(flow, 1)[0]
    assert (pooled[0, 0, 0] == -2.0).all()
    torch.testing.assert_close(pooled[0, 0, 1], torch.tensor([-0.125, -0.75]))
    flow[:, :4, :4] = -2.0
    flow[:, 0, 0] = 0.5  # one of sixteen: too few
    assert (pool_flows(flow, 2)[1][0, 0, 0] == -2.0).all()


def test_pooled_flow_does_not_depend_on_the_crop():
    torch.manual_seed(0)
    flow = torch.rand(1, 32, 32, 2)
    flow[torch.rand(1, 32, 32) < 0.3] = -2.0
    whole, part = pool_flows(flow, 3)[2], pool_flows(flow[:, 8:24, 16:], 3)[2]
    torch.testing.assert_close(part, whole[:, 1:3, 2:])
