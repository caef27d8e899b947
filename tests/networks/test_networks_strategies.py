"""The seven warping strategies: what each computes, and that all do what a generator must."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lwg_core.errors import InputError
from lwg_core.networks import warping
from lwg_core.networks.bank import SourceBank
from lwg_core.networks.config import STRATEGY_NAMES
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.networks.strategies import (
    STRATEGIES,
    AddLWB,
    MeanLWB,
    SoftGateLWB,
    side_by_side,
    sum_of_sources,
)
from lwg_core.networks.warping import warp_in_turn
from lwg_core.weights import load_generator, read_state_dict, save_generator, weights_hash

WARPING = tuple(name for name in STRATEGY_NAMES if STRATEGIES[name].block is not None)
KINDS = ("surface", "official")
# Tensors and numbers of the official generators at their full width.
OFFICIAL_SIZES = {
    "concat": (74, 17_713_472),
    "texture": (74, 17_701_376),
    "add": (113, 27_971_520),
    "mean": (113, 27_971_520),
    "softgate-add": (149, 36_601_664),
    "softgate-mean": (149, 36_601_664),
    "attention": (221, 36_276_992),
}


def small_config(strategy: str, kind: str = "surface") -> GeneratorConfig:
    if kind == "surface":
        return GeneratorConfig.surface((8, 12, 16), 2, 8, strategy=strategy)
    hidden = {"spade_hidden": 8} if strategy == "attention" else {}
    return GeneratorConfig(
        strategy=strategy,
        widths=(8, 12, 16),
        res_blocks=2,
        background_widths=(4, 8, 8, 12),
        background_res_blocks=1,
        **hidden,
    )


def strong(config: GeneratorConfig) -> AttLWBGenerator:
    """From scratch, but loud enough that every input counts."""
    model = AttLWBGenerator.from_scratch(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model


def example(config: GeneratorConfig, sources: int = 2, frames: int = 2, size: int = 32):
    """source inputs (S, C, H, W), target inputs (T, C', H, W), flow (T, S, H, W, 2)."""
    torch.manual_seed(7)
    grid = F.affine_grid(torch.eye(2, 3)[None], [1, 1, size, size], align_corners=False)
    flow = grid + 0.2 * torch.randn(frames, sources, 1, 1, 2)
    flow[:, :, : size // 4] = -2.0
    return (
        torch.rand(sources, config.source_channels, size, size) * 2 - 1,
        torch.rand(frames, config.target_channels, size, size) * 2 - 1,
        flow,
    )


def run(model: AttLWBGenerator, sources, targets, flow) -> torch.Tensor:
    return torch.cat(model.decode(model.encode(sources), targets, flow), dim=1)


def test_every_name_has_its_strategy():
    assert tuple(STRATEGIES) == STRATEGY_NAMES
    with pytest.raises(InputError, match="strategy must be one of concat.*attention; got 'max'"):
        GeneratorConfig(strategy="max")


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_the_default_shape_is_the_official_one(strategy):
    with torch.device("meta"):
        state_dict = AttLWBGenerator(GeneratorConfig(strategy=strategy)).state_dict()
    numbers = sum(value.numel() for value in state_dict.values())
    assert (len(state_dict), numbers) == OFFICIAL_SIZES[strategy]


@torch.no_grad()
@pytest.mark.parametrize("sources", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_any_number_of_sources_chunked_and_batched(strategy, kind, sources):
    config = small_config(strategy, kind)
    model = strong(config)
    inputs, targets, flow = example(config, sources, frames=3)
    bank = model.encode(inputs)
    assert len(bank) == sources and isinstance(bank, SourceBank)
    colour, mask = model.decode(bank, targets, flow)
    assert colour.shape == (3, 3, 32, 32) and mask.shape == (3, 1, 32, 32)
    assert colour.abs().max() <= 1 and 0 <= mask.min() and mask.max() <= 1
    assert colour.std() > 1e-2 and mask.std() > 1e-4
    whole = torch.cat([colour, mask], dim=1)
    part = torch.cat(model.decode(bank, targets[1:2], flow[1:2]), dim=1)
    torch.testing.assert_close(part, whole[1:2], atol=1e-5, rtol=0)
    batch = torch.stack([inputs] * 3)  # the form of training: sources of its own for each target
    torch.testing.assert_close(
        torch.cat(model(batch, targets, flow), dim=1), whole, atol=1e-5, rtol=0
    )


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", WARPING)
def test_listed_pairs_and_whole_maps_are_one(strategy, kind, monkeypatch):
    config = small_config(strategy, kind)
    model = strong(config)
    inputs, targets, flow = example(config, sources=3)
    flow[:, 1] = -2.0  # a source that shows nothing
    listed = run(model, inputs, targets, flow)
    monkeypatch.setattr(warping, "lists_pairs", lambda: False)
    torch.testing.assert_close(run(model, inputs, targets, flow), listed, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_what_the_result_depends_on(strategy):
    config = small_config(strategy)
    model = strong(config)
    inputs, targets, flow = example(config)
    before = run(model, inputs, targets, flow)

    def moved(inputs, targets, flow) -> bool:
        return bool((run(model, inputs, targets, flow) - before).abs().max() > 1e-4)

    warped_colours = targets.clone()
    warped_colours[:, :3] *= -1
    condition = targets.clone()
    condition[:, 3:] *= -1
    assert moved(inputs * -1, targets, flow) == (strategy != "texture")
    assert moved(inputs, targets, flow.flip(3)) == (strategy in WARPING)
    assert moved(inputs, warped_colours, flow) == (strategy != "concat")
    assert moved(inputs, condition, flow)
    swapped = run(model, inputs.flip(0), targets, flow.flip(1))
    same = torch.allclose(swapped, before, atol=1e-5, rtol=0)
    assert same == (strategy != "concat")  # the only one for which the order of sources counts


@pytest.mark.parametrize("sources", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_gradients_reach_every_parameter(strategy, kind, sources):
    config = small_config(strategy, kind)
    model = AttLWBGenerator.from_scratch(config)
    if config.full_size_skip:  # starts with zeros, through which no gradient goes
        torch.nn.init.ones_(model.tsf_full_size.main[-1].weight)
    inputs, targets, flow = example(config, sources)
    flow.requires_grad_()
    if kind == "surface":
        results = model.decode(model.encode(inputs), targets, flow)
    else:
        bg = torch.rand(1, 1, 4, 32, 32)
        results = model.forward_official(bg, inputs[None], targets[None], flow[None]).values()
    sum(result.square().sum() for result in results).backward()
    without = {
        key
        for key, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0
    }
    idle = ("fk.bias",) if sources > 1 else ("fk.bias", "fk.weight", "fq.bias", "fq.weight")
    assert without == {key for key in model.state_dict() if key.endswith(idle)}
    assert (flow.grad is not None) == (strategy in WARPING)


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_training_fits_a_picture(strategy):
    config = small_config(strategy)
    model = AttLWBGenerator.from_scratch(config)
    inputs, targets, flow = example(config)
    truth = F.interpolate(torch.rand(2, 4, 4, 4), (32, 32), mode="bilinear")
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        loss = F.l1_loss(run(model, inputs, targets, flow), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_autocast_trains_in_bfloat16_and_answers_in_float32(strategy):
    config = small_config(strategy)
    model = strong(config)
    example_inputs = example(config)
    with torch.no_grad():
        exact = run(model, *example_inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rough = run(model, *example_inputs)
    assert rough.dtype == torch.float32 and 0 < (rough - exact).abs().mean() < 0.02
    rough.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters()
               if parameter.grad is not None)  # fmt: skip


def warped_features(sources: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    features = torch.randn(1, sources, 6, 8, 8)
    flow = torch.rand(1, 2, sources, 16, 16, 2) * 2.6 - 1.3
    with torch.enable_grad():
        (whole,) = warp_in_turn([features], flow, 1, official=False)
    with torch.no_grad():
        (listed,) = warp_in_turn([features], flow, 1, official=False)
    return torch.randn(2, 6, 8, 8), whole, listed


@torch.no_grad()
@pytest.mark.parametrize("sources", [1, 2, 4])
def test_the_blocks_are_their_formulas(sources):
    x, whole, listed = warped_features(sources)
    gated = SoftGateLWB(6, torch.nn, mean=False)
    gated_mean = SoftGateLWB(6, torch.nn, mean=True)
    gated_mean.load_state_dict(gated.state_dict())
    first, _, last = gated.gate_conv
    gate = 1 / (1 + torch.exp(-last(F.relu(first(x)))))
    total = sum(whole[:, s] for s in range(sources))
    expected = {
        AddLWB(): x + total,
        MeanLWB(): torch.cat([x[:, None], whole], dim=1).mean(1),
        gated: x + gate * total,
        gated_mean: x + gate * whole.mean(1),
    }
    before = x.clone()
    for block, value in expected.items():
        for seen in (whole, listed):
            torch.testing.assert_close(block(x, seen), value, atol=2e-6, rtol=1e-5)
    assert torch.equal(x, before)


@torch.no_grad()
def test_sums_in_half_precision_have_the_type_of_the_target():
    x, whole, listed = warped_features()
    for dtype in (torch.float16, torch.bfloat16):
        assert sum_of_sources(x.to(dtype), listed).dtype == dtype
        total = sum_of_sources(x.to(dtype), listed).float()
        torch.testing.assert_close(
            total, sum_of_sources(x, whole), atol=8 * torch.finfo(dtype).eps, rtol=0.02
        )


@pytest.mark.parametrize(
    ("sources", "slots"),
    [(1, [0, 0, 0, 0]), (2, [0, 1, 0, 1]), (3, [0, 1, 2, 0]), (4, [0, 1, 2, 3]), (6, [0, 1, 2, 3])],
)
def test_four_sources_lie_side_by_side(sources, slots):
    pictures = torch.rand(2, sources, 6, 8, 8)
    targets = torch.rand(2 * 3, 7, 8, 8)  # two sets of sources with three frames each
    fed = side_by_side(pictures, targets)
    assert fed.shape == (6, 4 * 6 + 4, 8, 8)
    for frame in range(6):
        expected = [pictures[frame // 3, slot] for slot in slots]
        assert torch.equal(fed[frame], torch.cat([*expected, targets[frame, 3:]]))


@torch.no_grad()
@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_sources_and_targets_may_differ_in_size(strategy):
    config = small_config(strategy)
    inputs, _, _ = example(config, size=32)
    _, targets, flow = example(config, size=48)
    result = run(strong(config), inputs, targets, flow)
    assert result.shape == (2, 4, 48, 48) and torch.isfinite(result).all()


@torch.no_grad()
@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_previous_frames_belong_to_attention(strategy):
    config = small_config(strategy, "official")
    model = strong(config)
    inputs, targets, flow = example(config, frames=3)
    arguments = None, inputs[None], targets[None], flow[None]
    plain = model.forward_official(*arguments)
    temporal = model.forward_official(*arguments, flow[None, 1:, 0])
    assert ("src_imgs" in plain) == (strategy in WARPING)
    same = torch.equal(temporal["tsf_imgs"], plain["tsf_imgs"])
    assert same == (strategy != "attention")


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_heads_are_the_layers_that_make_colour_mask_and_gate(strategy):
    config = small_config(strategy)
    colour, mask, *gate = AttLWBGenerator.from_scratch(config).heads
    assert colour.out_channels == 3 and mask.out_channels == 1
    assert len(gate) == config.copy_gate == (strategy != "concat")


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_round_trip_of_saving_and_loading(strategy, kind, tmp_path):
    config = small_config(strategy, kind)
    model = strong(config)
    path = tmp_path / "generator.safetensors"
    save_generator(path, model, dtype=torch.float32)
    loaded = load_generator(path)
    assert loaded.config == config
    assert weights_hash(loaded.state_dict()) == weights_hash(model.state_dict())
    inputs = example(config, sources=2)
    assert torch.equal(run(loaded, *inputs), run(model, *inputs))


OFFICIAL_NAMES = {
    "InputConcat": "concat",
    "TextureWarping": "texture",
    "AddLWB": "add",
    "AvgLWB": "mean",
    "SoftGateAddLWB": "softgate-add",
    "SoftGateAvgLWB": "softgate-mean",
    "AttLWB-SPADE": "attention",
}


@pytest.mark.parametrize("variant", OFFICIAL_NAMES)
def test_official_files_are_recognised(variant, tmp_path):
    config = small_config(OFFICIAL_NAMES[variant], "official")
    model = AttLWBGenerator.from_scratch(config)
    wrapped = {"module." + key: value for key, value in model.state_dict().items()}
    path = tmp_path / f"{variant}_id_G_2020-05-18.pth"
    torch.save({"state_dict": wrapped}, path)
    assert load_generator(path).config == config

    del wrapped["module.bg_net.main.0.weight"]  # most of a network is none
    torch.save(wrapped, path)
    with pytest.raises(InputError, match=f"strategy '{config.strategy}' .*unexpected: bg_net"):
        load_generator(path)


@pytest.mark.parametrize("strategy", ["add", "mean", "softgate-add", "softgate-mean"])
def test_sums_and_means_without_a_name_are_not_guessed(strategy, tmp_path):
    state_dict = AttLWBGenerator(small_config(strategy, "official")).state_dict()
    (tmp_path / "AddLWB").mkdir()  # a folder's name says nothing
    path = tmp_path / "AddLWB" / "net_G.pth"
    torch.save(state_dict, path)
    message = (
        r"net_G.pth fits the strategies (softgate-)?add and (softgate-)?mean alike; put AddLWB"
    )
    with pytest.raises(InputError, match=message):
        load_generator(path)


def test_metadata_cannot_overrule_the_tensors(tmp_path):
    model = AttLWBGenerator(small_config("add"))
    path = tmp_path / "generator.safetensors"
    save_generator(path, model)
    state_dict, metadata = read_state_dict(path)
    entry = metadata["lwg_generator"]
    for other, message in (
        ('"attention"', "says 'attention'; its tensors are of add or mean"),
        ('"max"', "must be one of .* got 'max'"),
        ('["add"]', "'strategy' .* is not a text"),
    ):
        changed = entry.replace('"strategy": "add"', f'"strategy": {other}')
        with pytest.raises(InputError, match=message):
            GeneratorConfig.from_state_dict(state_dict, {"lwg_generator": changed}, "it")
    mean = entry.replace('"strategy": "add"', '"strategy": "mean"')
    config = GeneratorConfig.from_state_dict(state_dict, {"lwg_generator": mean}, "it")
    assert config.strategy == "mean"
