"""The held-out table of the model card: self-imitation of people the generator never saw.

    python benchmarks/held_out.py --data data/test [--generator FILE] [--people 16] [--size 256]

Two sources (front and back), four targets a person, true background. Three warps stand beside the
generator, each composited inside its mesh's silhouette and inside the true matte. "plain":
Algorithm 1 on the naked mesh, sources averaged by visibility, nothing filled. "naked": the naked
mesh, with one source per body part, flow extended round the silhouette and filled texture.
"dressed": the same on the mesh with the offsets that are solved from the sources' mattes, which is
what the generator gets. The generator's colours inside the true matte show what its own matte
costs. PSNR and SSIM over the person (true matte dilated by 4 px).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from lwg_core.body.open_body import open_body
from lwg_core.flow.compose import ComposeOptions
from lwg_core.training.evaluate import held_out_items, score_generator, table, warp_baselines
from lwg_core.weights import load_generator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of test records")
    parser.add_argument("--generator", default="default")
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    args = parser.parse_args()
    body = open_body()
    plain = ComposeOptions(extension=False, winner=False, fill=False)
    rows = {}
    for kind, naked, options in (
        ("plain", True, plain),
        ("naked", True, None),
        ("dressed", False, None),
    ):
        items = held_out_items(
            args.data, body, args.size, args.people, naked=naked, options=options
        )
        rows |= {f"{kind} {name}": scores for name, scores in warp_baselines(items).items()}
    network = load_generator(args.generator)
    generator = score_generator(network, items)
    rows["generator"] = generator
    rows["generator's colours, true matte"] = score_generator(network, items, true_matte=True)
    print(table(rows))
    for name, scores in rows.items():
        if name != "generator":
            gain = np.subtract(generator.per_person, scores.per_person)
            print(
                f"generator over {name}: {gain.mean():+.2f} dB, worst person {gain.min():+.2f}, "
                f"better for {(gain > 0).mean():.0%}"
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
