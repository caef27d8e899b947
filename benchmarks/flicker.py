"""Flicker with and without the attention's temporal inputs (the previous frame as a source).

    python benchmarks/flicker.py [--people 4] [--frames 30] [--size 256] [--sheet FILE.png]

Synthetic people that were not trained on, two sources each, in built-in clips. Flicker: mean
absolute difference, in 8-bit levels, between a frame and its predecessor carried along by the
body's surface, over what both show; resampling alone gives some. Sharpness: mean gradient of the
picture over the mesh, since blur lowers flicker, too. Time: CPU milliseconds per frame.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from lwg_core.body.files import load_params
from lwg_core.body.open_body import open_body
from lwg_core.flow.sequence import FlowSequence
from lwg_core.flow.targets import imitate
from lwg_core.flow.temporal import flicker
from lwg_core.pictures import contact_sheet, read_image, read_mask, write_image
from lwg_core.pipeline import compose, generate, make_source, with_offsets
from lwg_core.synthetic.motions import motion
from lwg_core.synthetic.people import write_people
from lwg_core.weights import load_generator

CLIPS = ("walk", "dance")


def sources_of(folder: Path, person: int, body):
    found = []
    for path in sorted(folder.glob(f"person{person:04d}_??.png")):
        mask = read_mask(path.with_name(path.stem + "_mask.png"))
        params = load_params(path.with_suffix(".npz"))
        found.append(make_source(read_image(path), params, body, mask))
    return with_offsets(tuple(found), body)


def sharpness(images: Tensor, silhouette: Tensor) -> float:
    across = images.diff(dim=3).abs()[:, :, 1:].mean(1) * 127.5
    down = images.diff(dim=2).abs()[..., 1:].mean(1) * 127.5
    inside = silhouette[:, 0, 1:, 1:]
    return float(((across + down) * inside).sum() / inside.sum())


def measure(images: Tensor, flow: FlowSequence, seconds: float) -> tuple[float, float, float]:
    part, faces = flow.chunk(0, len(flow)), flow.prepared.body.faces
    change = flicker(images, part, faces).mean()
    return float(change), sharpness(images, part.silhouette), 1000 * seconds / len(flow)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of the first person")
    args = parser.parse_args()
    body, generator = open_body(), load_generator()
    rows: dict[str, list] = {"warped sources": [], "generator": [], "with the previous frame": []}
    sheet = []
    with tempfile.TemporaryDirectory() as folder:
        write_people(args.people, Path(folder), seed=7, size=max(args.size, 128), pictures=2)
        for person in range(args.people):
            sources = sources_of(Path(folder), person, body)
            for name in CLIPS:
                target = imitate(sources[0].params, motion(name, frames=args.frames), body)
                flow = compose(sources, target, body, args.size)
                started = time.process_time()
                warped = flow.chunk(0, len(flow)).warped
                rows["warped sources"].append(measure(warped, flow, time.process_time() - started))
                for kind, temporal in (("generator", False), ("with the previous frame", True)):
                    started = time.process_time()
                    behind = torch.zeros(1, 3, *flow.size)
                    pieces = generate(generator, flow, behind, temporal=temporal)
                    images = torch.cat([image for image, _ in pieces])
                    rows[kind].append(measure(images, flow, time.process_time() - started))
                    if person == 0:
                        sheet.append(list(images[:: max(args.frames // 6, 1)]))
    print("| | flicker | sharpness | ms / frame |\n|---|---|---|---|")
    for kind, values in rows.items():
        change, sharp, milliseconds = torch.tensor(values).mean(0).tolist()
        print(f"| {kind} | {change:.2f} | {sharp:.2f} | {milliseconds:.0f} |")
    if args.sheet:
        write_image(args.sheet, contact_sheet(sheet))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
