"""Novel views of people the generator never saw, against rendered truths, per angle.

    python benchmarks/novel_view.py --data data/test [--people 16] [--size 256] [--sheet OUT.png]

Two sources (front and back, true mattes and bodies) of each test record. The body of the front
picture is turned by ``novel_view`` in steps of 30 degrees; composition and generator run as in the
nodes, over the true background. The truth is the same dressed person rendered in the target's pose
by the target's camera, with cloth that has settled anew, as between any two pictures of training.
Beside the generator stands the warp alone, composited inside the mesh's silhouette and inside the
true matte, which is an oracle. PSNR and SSIM over the person (true matte dilated by 4 px).

The sheet shows for three people the sources, then per angle warp, result and truth.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lwg_core.body.model import BodyModel
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.flow.offsets import with_offsets
from lwg_core.flow.source import Source, Sources
from lwg_core.flow.views import novel_view, turntable, view_rotation
from lwg_core.networks.generator import AttLWBGenerator
from lwg_core.pictures import contact_sheet, write_image
from lwg_core.pipeline import compose, generate, place_background
from lwg_core.synthetic.dataset import Record, Records, open_mannequin
from lwg_core.synthetic.identity import make_identity
from lwg_core.synthetic.render import Person, dress, random_light, render_person
from lwg_core.training.data import record_params, to_images
from lwg_core.training.evaluate import person_region, region_scores
from lwg_core.weights import load_generator

STEPS = 12
ON_THE_SHEET = 3  # people


@dataclass(frozen=True)
class Views:
    """Pictures (T, 3, H, W) in [-1, 1] of T views; mattes (T, 1, H, W)."""

    warp: Tensor
    silhouette: Tensor
    result: Tensor
    truth: Tensor
    matte: Tensor
    background: Tensor

    def methods(self) -> dict[str, Tensor]:
        def over(alpha: Tensor) -> Tensor:
            return alpha * self.warp + (1 - alpha) * self.background

        return {
            "warp, mesh silhouette": over(self.silhouette),
            "warp, true matte": over(self.matte),
            "generator": self.result,
        }


def record_sources(record: Record, body: BodyModel, size: int) -> Sources:
    """Front and back picture with true mattes, and the clothes that those tell."""
    images, alphas = to_images(record.images[:2], size), to_images(record.alphas[:2], size)
    pictures = (
        Source(images[i] * 2 - 1, record_params(record, [i], body, size), alphas[i]) for i in (0, 1)
    )
    return with_offsets(tuple(pictures), body)


def render_truth(person: Person, target: SmplParams, background: Tensor) -> tuple[Tensor, Tensor]:
    """What ``target`` really looks like: (T, 3, H, W) over ``background`` (3, H, W), and mattes."""
    seed = person.identity.seed
    light = random_light(np.random.default_rng([seed, 4]))  # as in the record
    behind = ((background + 1) / 2).permute(1, 2, 0).numpy()
    pictures = []
    for number in range(len(target)):
        rng = np.random.default_rng([seed, 6])  # the same folds from every side
        view = target.select([number])
        pictures.append(render_person(person, view.pose[0], view.camera, light, behind, rng))
    images, mattes = zip(*pictures, strict=True)
    return torch.stack(images), torch.stack(mattes)


def see_around(
    generator: AttLWBGenerator, record: Record, body: BodyModel, size: int
) -> tuple[Sources, Views]:
    """One person from all sides: by warp, by generator, and in truth."""
    sources = record_sources(record, body, size)
    view = view_rotation(turntable(STEPS))
    target = novel_view(sources[0].params, body, view, offsets=sources[0].offsets)
    flow = compose(sources, target, body, size)
    picture = to_images(record.background[None], size) * 2 - 1
    background = place_background(picture, flow)
    chunk = flow.chunk(0, len(flow))
    result = torch.cat([images for images, _ in generate(generator, flow, background)])
    person = dress(make_identity(record.seed), open_mannequin())
    truth, matte = render_truth(person, flow.target, background[0])
    return sources, Views(chunk.warped, chunk.silhouette, result, truth, matte, background)


def print_table(scores: dict[str, Tensor]) -> None:
    """scores: method -> (people, angles, 2)."""
    names = list(scores)
    print("| yaw | " + " | ".join(f"{name} PSNR | SSIM" for name in names) + " |")
    print("|---|" + "---|---|" * len(names))
    means = {name: values.mean(0) for name, values in scores.items()}
    rows = [(f"{360 * k // STEPS}", {n: m[k] for n, m in means.items()}) for k in range(STEPS)]
    for angle, row in [*rows, ("**all**", {n: m.mean(0) for n, m in means.items()})]:
        cells = [f"{row[name][0]:.2f} | {row[name][1]:.3f}" for name in names]
        print(f"| {angle} | " + " | ".join(cells) + " |")
    print()
    each = {name: values[..., 0].mean(1) for name, values in scores.items()}
    for name in names[:-1]:
        gain = each[names[-1]] - each[name]
        print(
            f"{names[-1]} over {name}: {gain.mean():+.2f} dB, worst person {gain.min():+.2f}, "
            f"better for {(gain > 0).float().mean():.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of test records")
    parser.add_argument("--generator", default="default")
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="picture to write")
    args = parser.parse_args()
    body, generator = open_body(), load_generator(args.generator)
    records = Records(args.data)
    scores: dict[str, list[Tensor]] = {}
    rows: list[list[Tensor]] = []
    for number in range(min(args.people, len(records))):
        sources, views = see_around(generator, records[number], body, args.size)
        region = person_region(views.matte)
        for name, image in views.methods().items():
            found = torch.stack(region_scores(image, views.truth, region), -1)
            scores.setdefault(name, []).append(found)
        if number < ON_THE_SHEET:
            pictures = [source.image for source in sources]
            for row in (views.methods()["warp, mesh silhouette"], views.result, views.truth):
                rows.append([*pictures, *row])
    print_table({name: torch.stack(found) for name, found in scores.items()})
    if args.sheet is not None:
        write_image(args.sheet, contact_sheet(rows))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
