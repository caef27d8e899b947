"""Appearance transfer against rendered truths: person A in person B's clothes.

    python benchmarks/transfer.py --data data/test [--people 16] [--size 256] [--sheet OUT.png]

Front and back pictures of A and of B (true mattes and bodies, in the light of A unless
``--own-light``) make four sources; four other poses of A are the targets, from the most frontal to
the most turned away. The truth is A's body, skin and head in B's garments, rendered in A's light,
over A's background. Garments change as a whole outfit (parts upper, lower and feet) or one at a
time. "flows": each source feeds its own parts alone; "texture": only the warped picture keeps to
the parts. The warp alone is composited inside the mesh's silhouette and inside the true matte,
which is an oracle; "own clothes" is the generator without any transfer. PSNR and SSIM over the
person (true matte dilated by 4 px), the head (head of the target's mesh dilated by 4 px) and the
rest apart.

The sheet shows per pair both people, then for the most frontal and the rearmost target warp,
generator by flows, generator by texture and truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lwg_core.body.model import PART_NAMES, BodyModel
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix
from lwg_core.flow.compose import (
    ComposeOptions,
    FlowChunk,
    compose,
    network_inputs,
    prepare_sources,
    source_inputs,
)
from lwg_core.flow.offsets import with_offsets
from lwg_core.flow.source import Source, Sources
from lwg_core.flow.transfer import wear, worn_offsets
from lwg_core.networks.generator import AttLWBGenerator
from lwg_core.pictures import contact_sheet, write_image
from lwg_core.synthetic.dataset import Record, Records, open_mannequin
from lwg_core.synthetic.identity import make_identity
from lwg_core.synthetic.render import (
    Light,
    Person,
    dress,
    pose_person,
    random_light,
    render_mesh,
)
from lwg_core.synthetic.swap import dress_in
from lwg_core.training.data import record_params, to_images
from lwg_core.training.evaluate import person_region, region_scores
from lwg_core.weights import load_generator

GARMENTS = {"outfit": ("upper", "lower", "feet"), "upper": ("upper",), "lower": ("lower",)}
WAYS = ("flows", "texture")
TARGETS = 4
HEAD = [PART_NAMES.index(name) for name in ("head", "face")]


@dataclass(frozen=True)
class Pair:
    """Who wears (A) whose clothes (B), front and back of both, and the targets of A."""

    wearer: Record
    clothes: Record
    sources: tuple[Sources, Sources]
    targets: SmplParams
    background: Tensor
    body: BodyModel


def pairs(folder: Path, people: int, size: int, body: BodyModel, own_light: bool) -> Iterator[Pair]:
    """Every person in the clothes of the next but two."""
    records = Records(folder)
    people = min(people, len(records))
    for number in range(people):
        wearer, clothes = records[number], records[(number + 3) % people]
        turned = axis_angle_to_matrix(wearer.params.pose[:, 0])[:, 2, 2]  # -1 = faces the viewer
        order = [i for i in turned.argsort().tolist() if i > 1]
        chosen = [order[k * (len(order) - 1) // (TARGETS - 1)] for k in range(TARGETS)]
        light = light_of(clothes if own_light else wearer)
        yield Pair(
            wearer,
            clothes,
            (
                front_and_back(wearer, size, body, light_of(wearer)),
                front_and_back(clothes, size, body, light),
            ),
            record_params(wearer, chosen, body, size),
            backdrop(wearer, size),
            body,
        )


def front_and_back(record: Record, size: int, body: BodyModel, light: Light) -> Sources:
    person = dress(make_identity(record.seed), open_mannequin())
    views = record_params(record, [0, 1], body, size)
    images, mattes = render(person, views, light, backdrop(record, size), [record.seed])
    return tuple(Source(images[i], views.select([i]), mattes[i]) for i in range(len(views)))


def backdrop(record: Record, size: int) -> Tensor:
    """(1, 3, H, W) in [-1, 1]."""
    return to_images(record.background[None], size) * 2 - 1


def light_of(record: Record) -> Light:
    return random_light(np.random.default_rng([record.seed, 4]))


def render(
    person: Person, views: SmplParams, light: Light, background: Tensor, seeds: list[int]
) -> tuple[Tensor, Tensor]:
    """Pictures (T, 3, H, W) in [-1, 1] over background (1, 3, H, W), mattes (T, 1, H, W)."""
    rng = np.random.default_rng([*seeds, 6])
    vertices = pose_person(person, views.pose, rng)
    drawn = [
        render_mesh(person, vertices[i], views.camera.select([i]), light, rng)
        for i in range(len(views))
    ]
    colour = torch.from_numpy(np.stack([c for c, _ in drawn])).permute(0, 3, 1, 2).float()
    alpha = torch.from_numpy(np.stack([a for _, a in drawn]))[:, None].float()
    return colour * 2 - alpha + (1 - alpha) * background, alpha


def render_truth(pair: Pair, parts: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Pictures (T, 3, H, W) in [-1, 1] and mattes (T, 1, H, W) of A in B's ``parts``."""
    garments = {part: part in parts for part in ("upper", "lower", "feet")}
    seeds = pair.wearer.seed, pair.clothes.seed
    person = dress_in(*(make_identity(seed) for seed in seeds), open_mannequin(), **garments)
    return render(person, pair.targets, light_of(pair.wearer), pair.background, list(seeds))


def transfer(pair: Pair, parts: tuple[str, ...], way: str) -> tuple[FlowChunk, Tensor]:
    """Composition of the targets, and the source inputs (S, 8, h, w)."""
    sources, clothes = pair.sources
    if parts:
        sources = wear(sources, clothes, parts)
    sources = with_offsets(sources, pair.body)
    prepared = prepare_sources(sources, pair.body)
    target = pair.targets
    vertices = pair.body.vertices(target.pose, target.betas, worn_offsets(sources, pair.body))
    options = ComposeOptions(transfer=way)
    chunk = compose(prepared, vertices, target.camera, target.camera.size, options)
    return chunk, source_inputs(prepared)


@torch.no_grad()
def paint(
    generator: AttLWBGenerator, chunk: FlowChunk, inputs: Tensor, background: Tensor
) -> Tensor:
    """The generator's picture over the background, the head copied as the pipeline does."""
    colour, mask = generator.decode(
        generator.encode(inputs), network_inputs(chunk), chunk.flow.to_official()
    )
    colour = chunk.head * chunk.warped + (1 - chunk.head) * colour
    return mask * background + (1 - mask) * colour


def methods(
    generator: AttLWBGenerator, pair: Pair, parts: tuple[str, ...], alpha: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Pictures (T, 3, H, W) by method, and the head of the target's mesh (T, 1, H, W)."""
    background, found = pair.background, {}
    for way in WAYS:
        chunk, inputs = transfer(pair, parts, way)
        found[f"generator, {way}"] = paint(generator, chunk, inputs, background)
        if way == WAYS[0]:  # the warp is the same in both
            warp = {"mesh silhouette": chunk.silhouette, "true matte": alpha}
            for name, matte in warp.items():
                found[f"warp, {name}"] = matte * chunk.warped + (1 - matte) * background
            head = sum(chunk.part == part for part in HEAD)[:, None].to(alpha)
    chunk, inputs = transfer(pair, (), WAYS[0])
    found["own clothes"] = paint(generator, chunk, inputs, background)
    return found, head


def regions(head: Tensor, alpha: Tensor) -> dict[str, Tensor]:
    person = person_region(alpha)
    head = torch.minimum(F.max_pool2d(head, 9, 1, 4), person)
    return {"person": person, "head": head, "body": person * (1 - head)}


def markdown(rows: dict[tuple[str, str], dict[str, list[tuple[float, float]]]]) -> str:
    names = list(next(iter(rows.values())))
    lines = ["| garments | method | " + " | ".join(f"{n} PSNR | SSIM" for n in names) + " |"]
    lines += ["|---|---|" + "--:|" * (2 * len(names))]
    for (garments, method), found in rows.items():
        means = [np.mean(found[name], 0) for name in names]
        cells = " | ".join(f"{psnr:.2f} | {ssim:.3f}" for psnr, ssim in means)
        lines.append(f"| {garments} | {method} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of test records")
    parser.add_argument("--generator", default="default")
    parser.add_argument("--people", type=int, default=16, help="4 or more: they exchange clothes")
    parser.add_argument("--own-light", action="store_true", help="B's pictures keep their light")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of the first pairs here")
    parser.add_argument("--rows", type=int, default=6, help="pairs on the sheet")
    parser.add_argument("--garments", choices=(*GARMENTS,), default="outfit", help="on the sheet")
    args = parser.parse_args()
    if args.people < 4:
        parser.error("--people must be at least 4: everybody wears the clothes of the third next")
    generator, body = load_generator(args.generator), open_body()
    rows: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    sheet: list[list[Tensor]] = []
    found_pairs = pairs(args.data, args.people, args.size, body, args.own_light)
    for number, pair in enumerate(found_pairs):
        for garments, parts in GARMENTS.items():
            truth, alpha = render_truth(pair, parts)
            found, head = methods(generator, pair, parts, alpha)
            for method, picture in found.items():
                cell = rows.setdefault((garments, method), {})
                for region, weight in regions(head, alpha).items():
                    scores = torch.stack(region_scores(picture, truth, weight), 1)
                    cell.setdefault(region, []).extend(map(tuple, scores.tolist()))
            if garments == args.garments and number < args.rows:
                shown = ["warp, mesh silhouette", *(f"generator, {way}" for way in WAYS)]
                row = [sources[0].image for sources in pair.sources]
                for frame in (0, -1):
                    row += [*(found[name][frame] for name in shown), truth[frame]]
                sheet.append(row)
    print(markdown(rows))
    if args.sheet is not None:
        write_image(args.sheet, contact_sheet(sheet))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
