"""Peak memory of a long clip: must not grow with its length.

    python benchmarks/memory.py [--frames 100 1000] [--size 256]

Each length runs in a process of its own, which writes frames to nowhere and prints its peak.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from lwg_core.body.files import load_params
from lwg_core.body.open_body import open_body
from lwg_core.flow.targets import imitate
from lwg_core.pictures import read_image, read_mask
from lwg_core.pipeline import compose, generate, make_source, place_background, with_offsets
from lwg_core.synthetic.motions import motion
from lwg_core.synthetic.people import write_people
from lwg_core.weights import load_generator


def run(frames: int, size: int, people: Path) -> None:
    torch.set_num_threads(1)
    body = open_body()
    pictures = sorted(path.with_suffix(".png") for path in people.glob("*.npz"))
    sources = tuple(
        make_source(
            read_image(picture),
            load_params(picture.with_suffix(".npz")),
            body,
            read_mask(picture.with_name(picture.stem + "_mask.png")),
        )
        for picture in pictures
    )
    sources = with_offsets(sources, body)
    target = imitate(sources[0].params, motion("walk", frames=frames), body)
    flow = compose(sources, target, body, size)
    background = place_background(sources[0].image[None], flow)
    done = sum(len(images) for images, _ in generate(load_generator(), flow, background))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{done:6d} frames  {peak:8.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--people", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.people:
        run(args.frames[0], args.size, args.people)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_people(1, Path(folder), size=max(args.size, 128), pictures=2)
        for frames in args.frames:
            command = [sys.executable, __file__, "--frames", str(frames), "--size", str(args.size)]
            subprocess.run([*command, "--people", folder], check=True)


if __name__ == "__main__":
    main()
