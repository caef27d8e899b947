"""What personalization brings on poses that were not pictured.

    python benchmarks/personalization.py --data data/test [--people 8] [--sources 1 2 8] \
        [--steps 80]

For every held-out person: the generator before and after ``--steps`` of personalization on the
first N pictures (front, back, then others), scored on four of the remaining ones over the true
background. Prints per number of sources the mean change in dB with its 95 % bootstrap interval over
people, the worst person, SSIM, mask IoU and how far the weights moved.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lwg_core.body.open_body import open_body
from lwg_core.flow.offsets import solve_offsets
from lwg_core.flow.source import Source
from lwg_core.synthetic.dataset import load_record
from lwg_core.training.data import make_item, record_params, to_images
from lwg_core.training.evaluate import score_generator
from lwg_core.training.personalize import personalize
from lwg_core.weights import load_generator


def interval(values: np.ndarray, rounds: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (rounds, len(values))).mean(1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def person(file: Path, body, size: int, count: int):
    """(sources, item of unseen poses) of one record."""
    record = load_record(file)
    unseen = list(range(len(record.params)))[-4:]
    if count > unseen[0]:
        raise SystemExit(f"{file} has {len(record.params)} pictures: too few for {count} sources")
    images, alphas = to_images(record.images, size), to_images(record.alphas, size)
    background = to_images(record.background[None], size) * 2 - 1
    sources = tuple(
        Source(images[i] * 2 - 1, record_params(record, [i], body, size), alphas[i])
        for i in range(count)
    )
    offsets = solve_offsets(body, sources)
    sources = tuple(replace(source, offsets=offsets) for source in sources)
    item = make_item(
        sources,
        record_params(record, unseen, body, size),
        body,
        offsets,
        images[unseen] * 2 - 1,
        alphas[unseen],
        background.expand(len(unseen), -1, -1, -1),
    )
    return sources, item


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of test records")
    parser.add_argument("--generator", default="default")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--sources", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    body = open_body()
    base = load_generator(args.generator).to(args.device)
    files = sorted(args.data.glob("*.npz"))[: args.people]
    print("sources  before   after  change [95 % interval]   worst   ssim            iou")
    for count in args.sources:
        before, after, seconds, moved = [], [], [], []
        for file in files:
            sources, item = person(file, body, args.size, count)
            before.append(score_generator(base, [item], args.device))
            start = time.process_time()
            tuned, _ = personalize(
                base, sources, body, args.steps, learning_rate=args.rate, size=args.size
            )
            seconds.append(time.process_time() - start)
            after.append(score_generator(tuned, [item], args.device))
            pairs = zip(tuned.parameters(), base.parameters(), strict=True)
            moved.append(max(float((a - b).abs().max()) for a, b in pairs))
        change = np.array([b.psnr - a.psnr for a, b in zip(before, after, strict=True)])
        low, high = interval(change)

        def mean(scores, name):
            return np.mean([getattr(score, name) for score in scores])

        print(
            f"{count:7d} {mean(before, 'psnr'):7.2f} {mean(after, 'psnr'):7.2f} "
            f"{change.mean():+7.3f} [{low:+.3f}, {high:+.3f}]  {change.min():+7.3f}  "
            f"{mean(before, 'ssim'):.3f}->{mean(after, 'ssim'):.3f}  "
            f"{mean(before, 'iou'):.3f}->{mean(after, 'iou'):.3f}  "
            f"{np.mean(seconds):.0f} CPU-s, largest weight change {max(moved):.4f}",
            flush=True,
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
