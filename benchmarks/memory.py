"""Peak memory of a long clip: must not grow with its length.

    python benchmarks/memory.py [--frames 100 1000] [--size 256]

Each length runs in a process of its own, which writes frames to nowhere and prints its peak.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import torch


def run(frames: int, size: int) -> None:
    from lwg_core.body.open_body import open_body
    from lwg_core.flow.targets import imitate
    from lwg_core.pipeline import compose, generate, place_background, with_offsets
    from lwg_core.synthetic.motions import motion
    from lwg_core.synthetic.people import example_sources
    from lwg_core.weights import load_generator

    torch.set_num_threads(1)
    body = open_body()
    sources = with_offsets(example_sources(0, 2, size), body)
    clip = motion("walk", frames=frames)
    flow = compose(sources, imitate(sources[0].params, clip, body), body, size)
    background = place_background(sources[0].image[None], flow)
    done = sum(len(images) for images, _ in generate(load_generator(), flow, background))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{done:6d} frames  {peak:8.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        run(args.one, args.size)
        return
    for frames in args.frames:
        command = [sys.executable, __file__, "--one", str(frames), "--size", str(args.size)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
