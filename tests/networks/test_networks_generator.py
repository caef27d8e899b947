from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from lwg_core.errors import InputError
from lwg_core.networks.bank import SourceBank
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig

SURFACE = GeneratorConfig.surface(widths=(8, 12, 16), res_blocks=2, spade_hidden=8)
OFFICIAL = GeneratorConfig(
    widths=(8, 12, 16),
    res_blocks=2,
    spade_hidden=8,
    background_widths=(4, 8, 8, 12),
    background_res_blocks=1,
)


def example(config=SURFACE, batch=2, sources=2, size=32):
    """source inputs (B, S, C, H, W), target inputs (B, C, H, W), flow (B, S, H, W, 2)."""
    torch.manual_seed(7)
    grid = F.affine_grid(torch.eye(2, 3)[None], [1, 1, size, size], align_corners=False)
    flow = grid + 0.2 * torch.randn(batch, sources, 1, 1, 2)
    flow[:, :, :8] = -2.0
    return (
        torch.rand(batch, sources, config.source_channels, size, size) * 2 - 1,
        torch.rand(batch, config.target_channels, size, size) * 2 - 1,
        flow,
    )


@pytest.fixture
def surface():
    model = AttLWBGenerator.from_scratch(SURFACE).eval()
    with torch.no_grad():  # strong blocks, so that every input counts
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model


def test_default_config_is_the_official_architecture():
    with torch.device("meta"):
        state_dict = AttLWBGenerator(GeneratorConfig()).state_dict()
    assert len(state_dict) == 221
    assert sum(value.numel() for value in state_dict.values()) == 36_276_992
    assert state_dict["tsf_net_dec.skippers.0.0.weight"].shape == (256, 384, 3, 3)
    assert state_dict["bg_net.main.17.main.3.weight"].shape == (256, 256, 3, 3)


@torch.no_grad()
def test_batch_form_is_encode_and_decode(surface):
    sources, targets, flow = example()
    colour, mask = surface(sources, targets, flow)
    assert colour.shape == (2, 3, 32, 32) and mask.shape == (2, 1, 32, 32)
    for i in range(2):
        bank = surface.encode(sources[i])
        assert len(bank) == 2 and len(bank.features) == 3 + SURFACE.res_blocks
        alone = surface.decode(bank, targets[i : i + 1], flow[i : i + 1])
        torch.testing.assert_close(alone[0], colour[i : i + 1], atol=1e-5, rtol=0)
        torch.testing.assert_close(alone[1], mask[i : i + 1], atol=1e-5, rtol=0)


@torch.no_grad()
def test_decoding_in_chunks_changes_nothing(surface):
    sources, targets, flow = example(batch=5)
    bank = surface.encode(sources[0])
    whole = torch.cat(surface.decode(bank, targets, flow), dim=1)
    chunks = [
        torch.cat(surface.decode(bank, targets[part], flow[part]), dim=1)
        for part in (slice(0, 2), slice(2, 5))
    ]
    torch.testing.assert_close(torch.cat(chunks), whole, atol=1e-5, rtol=0)


@torch.no_grad()
def test_order_of_sources_does_not_matter_but_sources_do(surface):
    sources, targets, flow = example(batch=1, sources=3)
    bank = surface.encode(sources[0])
    colour, mask = surface.decode(bank, targets, flow)
    order = [2, 0, 1]
    other = surface.decode(bank.select(order), targets, flow[:, order])
    torch.testing.assert_close(other[0], colour, atol=1e-5, rtol=0)
    torch.testing.assert_close(other[1], mask, atol=1e-5, rtol=0)
    fewer = surface.decode(bank.select([0, 1]), targets, flow[:, :2])
    assert (fewer[0] - colour).abs().max() > 1e-3


@torch.no_grad()
def test_a_source_twice_is_the_source_once(surface):
    sources, targets, flow = example(batch=1, sources=1)
    bank = surface.encode(sources[0])
    once = surface.decode(bank, targets, flow)
    twice = surface.decode(bank.join(bank), targets, flow.expand(-1, 2, -1, -1, -1))
    torch.testing.assert_close(twice[0], once[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(twice[1], once[1], atol=1e-5, rtol=0)


def test_gradients_reach_every_parameter():
    for config in (SURFACE, OFFICIAL):
        model = AttLWBGenerator.from_scratch(config)
        sources, targets, flow = example(config)
        if config is SURFACE:  # its skip starts with zeros, through which no gradient goes
            torch.nn.init.ones_(model.tsf_full_size.main[-1].weight)
            results = model(sources, targets, flow)
        else:
            bg = torch.rand(2, 1, 4, 32, 32)
            results = model.forward_official(bg, sources, targets[:, None], flow[:, None]).values()
        sum(result.square().sum() for result in results).backward()
        # The softmax over sources drops the key bias, so it alone has no gradient.
        without = {
            key
            for key, parameter in model.named_parameters()
            if parameter.grad is None or not parameter.grad.abs().max() > 0
        }
        assert without == {key for key in model.state_dict() if key.endswith("fk.bias")}


@torch.no_grad()
def test_sources_and_targets_may_differ_in_size(surface):
    small, _, _ = example(batch=1, size=32)
    _, targets, flow = example(batch=1, size=64)
    large = F.interpolate(small[0], scale_factor=2, mode="nearest")[None]
    colour, mask = surface.decode(surface.encode(small[0]), targets, flow)
    assert colour.shape == (1, 3, 64, 64) and mask.shape == (1, 1, 64, 64)
    other, _ = surface.decode(surface.encode(large[0]), targets, flow)
    assert 0 < (other - colour).abs().mean() < 0.1  # the same picture, seen at twice the size


@torch.no_grad()
def test_copy_gate_mixes_warped_sources_and_synthesis(surface):
    sources, targets, flow = example()
    gate = surface.tsf_copy_reg[0]
    gate.weight.zero_()
    gate.bias.fill_(50.0)
    copied, _ = surface(sources, targets, flow)
    torch.testing.assert_close(copied, targets[:, :3], atol=1e-6, rtol=0)
    gate.bias.fill_(-50.0)
    made, _ = surface(sources, targets, flow)
    gate.bias.fill_(0.0)
    half, _ = surface(sources, targets, flow)
    torch.testing.assert_close(half, (made + targets[:, :3]) / 2, atol=1e-6, rtol=0)

    plain = AttLWBGenerator(dataclasses.replace(SURFACE, copy_gate=False)).eval()
    weights = surface.state_dict()
    plain.load_state_dict({key: weights[key] for key in plain.state_dict()})
    torch.testing.assert_close(plain(sources, targets, flow)[0], made, atol=1e-6, rtol=0)


@torch.no_grad()
def test_temporal_attention_sees_the_previous_frame_and_only_it():
    model = AttLWBGenerator.from_scratch(OFFICIAL).eval()
    for parameter in model.parameters():  # masks far from one half
        parameter.mul_(1.5)
    model.tsf_att_reg[0].weight.mul_(10)
    sources, targets, flow = example(OFFICIAL, batch=3)
    sources, targets = sources[:1], targets[None]
    flow, back = flow[None], flow[None, 1:, 0]
    plain = model.forward_official(None, sources, targets, flow)
    temporal = model.forward_official(None, sources, targets, flow, back)
    assert "bg_img" not in plain
    torch.testing.assert_close(temporal["tsf_imgs"][:, 0], plain["tsf_imgs"][:, 0])

    colour, mask = temporal["tsf_imgs"][:, 1], temporal["tsf_masks"][:, 1]
    previous = torch.cat([colour * (1 - mask), targets[:, 1, :3]], dim=1)
    bank = model.encode(sources[0]).join(model.encode(previous))
    expected, _ = model.decode(bank, targets[:, 2], torch.cat([flow[:, 2], back[:, 1:]], dim=1))
    torch.testing.assert_close(temporal["tsf_imgs"][:, 2], expected, atol=1e-5, rtol=0)
    assert (temporal["tsf_imgs"] - plain["tsf_imgs"])[:, 1:].abs().max() > 1e-5


def test_autocast_trains_in_bfloat16_and_answers_in_float32(surface):
    sources, targets, flow = example()
    with torch.no_grad():
        exact = surface(sources, targets, flow)
    with torch.autocast("cpu", torch.bfloat16):
        results = surface(sources, targets, flow)
    for result, reference in zip(results, exact, strict=True):
        assert result.dtype == torch.float32
        assert (result - reference).abs().max() < 0.1
        assert (result - reference).abs().mean() < 0.01
    sum(result.sum() for result in results).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in surface.parameters())


def test_from_scratch_repeats_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    first, second = (AttLWBGenerator.from_scratch(SURFACE, seed=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    other = AttLWBGenerator.from_scratch(SURFACE, seed=4)
    assert not torch.equal(other.tsf_img_reg[0].weight, first.tsf_img_reg[0].weight)


@torch.no_grad()
def test_a_fresh_generator_starts_near_the_warped_sources():
    sources, targets, flow = example()
    colour, mask = AttLWBGenerator.from_scratch(SURFACE)(sources, targets, flow)
    distance = (colour - targets[:, :3]).abs().mean()
    assert distance < 0.4 * targets[:, :3].abs().mean()  # the gate starts at sigmoid(1) = 0.73
    assert 0.3 < mask.mean() < 0.7


@pytest.mark.parametrize(
    ("channels", "size", "message"),
    [(6, 32, r"source input has 6 channels.*surface.*expects 8"), (8, 36, r"36x36.*by 8")],
)
def test_wrong_inputs_are_named(surface, channels, size, message):
    with pytest.raises(InputError, match=message):
        surface.encode(torch.zeros(1, channels, size, size))


def test_bank_moves_and_selects():
    bank = SourceBank(tuple(torch.arange(6.0).reshape(3, 2, 1, 1) + i for i in range(2)))
    assert [f.flatten().tolist() for f in bank.select([2, 0]).features] == [
        [4, 5, 0, 1],
        [5, 6, 1, 2],
    ]
    assert all(f.dtype == torch.float16 for f in bank.to(torch.float16).features)
    assert len(bank.join(bank)) == 6
