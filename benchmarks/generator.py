"""CPU time per frame: our generator against a plain transcription of the official graph.

    python benchmarks/generator.py [--sizes 256 512] [--sources 1 2] [--pairs 5]

The transcription evaluates what the official network evaluates, in its order: the flow is resized
for each of the nine attention blocks, keys and values are convolved for every source, gamma, beta
and the output heads are separate convolutions. Weights are equal and random, width is the official
one, one thread, float32. Runs alternate in pairs; the table shows medians of CPU seconds (not wall
time) and the largest difference of the outputs, which must stay below 2e-5.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig

TOLERANCE = 2e-5


def plain_frame(
    weights: Mapping[str, Tensor], features: list[Tensor], target: Tensor, flow: Tensor
) -> tuple[Tensor, Tensor]:
    """One frame as the official target stream computes it.

    features: per block (S, c, h, w); target: (1, 6, H, W); flow: (S, H, W, 2).
    """

    def conv(key: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = weights[f"{key}.weight"]
        padding = weight.shape[-1] // 2
        return F.conv2d(x, weight, weights.get(f"{key}.bias"), stride, padding)

    def attlwb(key: str, x: Tensor, feature: Tensor) -> Tensor:
        size = feature.shape[-2:]
        resized = F.interpolate(
            flow.permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=True
        ).permute(0, 2, 3, 1)
        warped = F.grid_sample(feature, resized, align_corners=False)
        query = conv(f"{key}.fq", x)
        keys = torch.stack([conv(f"{key}.fk", w[None]) for w in warped], dim=1)
        values = torch.stack([conv(f"{key}.fv", w[None]) for w in warped], dim=1)
        logits = (keys * query[:, None]).sum(2, keepdim=True) / query.shape[1] ** 0.5
        fused = (logits.softmax(1) * values).sum(1)
        hidden = F.relu(conv(f"{key}.spade.mlp_shared.0", fused))
        gamma = conv(f"{key}.spade.mlp_gamma", hidden)
        beta = conv(f"{key}.spade.mlp_beta", hidden)
        return F.instance_norm(x) * (1 + gamma) + beta

    x, skips = target, []
    for i in range(3):
        x = F.relu(conv(f"tsf_net_enc.layers.{i}.0", x, stride=2))
        x = attlwb(f"enc_attlwbs.{i}", x, features[i])
        skips.append(x)
    for j in range(len(features) - 3):
        x = x + conv(f"res_blocks.{j}.main.2", F.relu(conv(f"res_blocks.{j}.main.0", x)))
        x = attlwb(f"res_attlwbs.{j}", x, features[3 + j])
    for i in range(3):
        key = f"tsf_net_dec.upconvs.{i}.0"
        x = F.relu(F.conv_transpose2d(x, weights[f"{key}.weight"], weights[f"{key}.bias"], 2, 1))
        if i < 2:
            x = torch.cat([skips[1 - i], x], dim=1)
            x = F.relu(conv(f"tsf_net_dec.skippers.{i}.0", x))
    return torch.tanh(conv("tsf_img_reg.0", x)), torch.sigmoid(conv("tsf_att_reg.0", x))


def example(size: int, sources: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random pictures and a smooth flow with a hole: sources, target, flow (1, S, H, W, 2)."""
    generator = torch.Generator().manual_seed(size + sources)
    coarse = 0.2 * torch.randn(sources, 2, 4, 4, generator=generator)
    moves = F.interpolate(coarse, size=(size, size), mode="bicubic").permute(0, 2, 3, 1)
    grid = F.affine_grid(torch.eye(2, 3)[None], [1, 1, size, size], align_corners=False)
    flow = grid + moves
    flow[:, :, : size // 4] = -2.0
    pictures = torch.rand(sources, 6, size, size, generator=generator) * 2 - 1
    target = torch.rand(1, 6, size, size, generator=generator) * 2 - 1
    return pictures, target, flow[None]


def cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(model: AttLWBGenerator, size: int, sources: int, pairs: int) -> None:
    pictures, target, flow = example(size, sources)
    weights = model.state_dict()
    bank = model.encode(pictures)

    def ours():
        return model.decode(bank, target, flow)

    def plain():
        return plain_frame(weights, list(bank.features), target, flow[0])

    difference = max((a - b).abs().max().item() for a, b in zip(ours(), plain(), strict=True))
    times = [(cpu_seconds(ours), cpu_seconds(plain)) for _ in range(pairs)]
    mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(b / a for a, b in times)
    encode = cpu_seconds(lambda: model.encode(pictures))
    print(
        f"{size:5} {sources:8} {encode:10.3f} {mine:10.3f} {theirs:10.3f} {ratio:9.2f}x "
        f"{difference:11.1e}",
        flush=True,
    )
    if difference > TOLERANCE:
        raise SystemExit(f"outputs differ by {difference:.1e}, above {TOLERANCE}")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--sources", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = AttLWBGenerator.from_scratch(GeneratorConfig(background=False)).eval()
    print("CPU seconds, 1 thread, float32, official width")
    print(" size  sources  encode all  frame, ours  frame, plain  plain/ours  largest diff")
    for size in arguments.sizes:
        for sources in arguments.sources:
            compare(model, size, sources, arguments.pairs)


if __name__ == "__main__":
    main()
