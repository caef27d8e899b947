"""What a longer clip, more sources and larger pictures cost: three tables.

    python benchmarks/scaling.py [--parts frames sources size] [--quick]

frames: peak memory and CPU time per frame of clips from 100 to 3 000 frames, each in a process of
its own. sources: CPU time per frame from 1 to 8 sources, of the shipped weights and of the official
width (random weights), with the ratio to one source; "once" is what is done before the first frame
(meshes, visibility, encoder). size: CPU time per frame and per megapixel from 256 to 1024 px.

A built-in person and walk; everything from bodies to pasted pictures counts. One thread, CPU time
(not wall time), medians of runs that alternate. Memory and first frames aside, a machine that is
busy with other things changes little.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from lwg_core.body.files import load_params
from lwg_core.body.open_body import open_body
from lwg_core.flow.compose import source_inputs
from lwg_core.flow.sequence import LazyFlow
from lwg_core.flow.source import Sources
from lwg_core.flow.targets import imitate
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.pictures import read_image, read_mask
from lwg_core.pipeline import compose, generate, make_source, place_background, with_offsets
from lwg_core.synthetic.motions import motion
from lwg_core.synthetic.people import write_people
from lwg_core.weights import load_generator

PARTS = ("frames", "sources", "size")
CHUNK = 4  # frames at a time, where runs take turns
PICTURE = 512  # px


def read_sources(folder: Path, count: int) -> Sources:
    """``count`` pictures of the person in ``folder``, as sources with solved offsets."""
    body = open_body()
    bodies = sorted(folder.glob("*.npz"))[:count]
    sources = tuple(
        make_source(
            read_image(path.with_suffix(".png")),
            load_params(path),
            body,
            read_mask(path.with_name(path.stem + "_mask.png")),
        )
        for path in bodies
    )
    return with_offsets(sources, body)


def walk(sources: Sources, frames: int, size: int) -> LazyFlow:
    body = open_body()
    target = imitate(sources[0].params, motion("walk", frames=frames), body)
    return compose(sources, target, body, size)


def official_width() -> AttLWBGenerator:
    """As wide and deep as the official generator, with our inputs and random weights."""
    config = GeneratorConfig(
        source_channels=8,
        target_channels=8,
        source_decoder=False,
        background=False,
        inputs="surface",
        flow_extension=True,
    )
    return AttLWBGenerator.from_scratch(config).eval()


def painted(
    generator: AttLWBGenerator, flow: LazyFlow, sources: Sources, chunk: int | None = None
) -> Iterator:
    background = place_background(sources[0].image[None], flow)
    return generate(generator, flow, background, chunk)


def alternate(runs: list[Iterator], rounds: int) -> list[float]:
    """Median CPU milliseconds per frame of each run, the first chunk not counted."""
    times = [[] for _ in runs]
    for turn in range(rounds + 1):
        for run, spent in zip(runs, times, strict=True):
            start = time.process_time()
            images, _ = next(run)
            if turn > 0:
                spent.append((time.process_time() - start) / len(images) * 1e3)
    return [statistics.median(spent) for spent in times]


def one_clip(folder: Path, frames: int, size: int) -> None:
    """Paint a clip to nowhere and print its row of the table."""
    sources = read_sources(folder, 2)
    flow = walk(sources, frames, size)
    start = time.process_time()
    done = sum(len(images) for images, _ in painted(load_generator(), flow, sources))
    spent = (time.process_time() - start) / done * 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {done:6d} | {peak:8.0f} | {spent:8.1f} |", flush=True)


def frames_table(folder: Path, quick: bool) -> None:
    lengths, size = ((20, 60), 128) if quick else ((100, 300, 1000, 3000), 256)
    print(f"\nClips at {size} px, 2 sources, shipped weights\n")
    print("| frames | peak MiB | ms/frame |\n|-------:|---------:|---------:|", flush=True)
    for frames in lengths:
        command = [sys.executable, __file__, "--people", str(folder)]
        subprocess.run([*command, "--clip", str(frames), str(size)], check=True)


def sources_table(folder: Path, quick: bool) -> None:
    counts, rounds = ((1, 8), 1) if quick else ((1, 2, 4, 8), 3)
    kinds = [("shipped", load_generator(), 128 if quick else 256)]
    if not quick:
        kinds += [("shipped", kinds[0][1], 512), ("official width", official_width(), 512)]
    print("\nMore sources\n")
    print("| weights        | size | sources | once, s | ms/frame | to one source |")
    print("|----------------|-----:|--------:|--------:|---------:|--------------:|", flush=True)
    sources = read_sources(folder, max(counts))
    for name, generator, size in kinds:
        runs, once = [], []
        for count in counts:
            start = time.process_time()
            flow = walk(sources[:count], CHUNK * (rounds + 1), size)
            with torch.no_grad():
                generator.encode(source_inputs(flow.prepared))
            once.append(time.process_time() - start)
            runs.append(painted(generator, flow, sources, CHUNK))
        spent = alternate(runs, rounds)
        for row in zip(counts, once, spent, strict=True):
            cells = f"{row[0]:7d} | {row[1]:7.2f} | {row[2]:8.1f} | {row[2] / spent[0]:12.2f}x"
            print(f"| {name:14} | {size:4d} | {cells} |")
        sys.stdout.flush()


def size_table(folder: Path, quick: bool) -> None:
    sizes, rounds = ((128, 256), 1) if quick else ((256, 384, 512, 768, 1024), 2)
    print("\nLarger pictures, 2 sources, shipped weights\n")
    print("| size | ms/frame | ms/megapixel |\n|-----:|---------:|-------------:|", flush=True)
    sources, generator = read_sources(folder, 2), load_generator()
    flows = [walk(sources, CHUNK * (rounds + 1), size) for size in sizes]
    spent = alternate([painted(generator, flow, sources, CHUNK) for flow in flows], rounds)
    for size, milliseconds in zip(sizes, spent, strict=True):
        print(f"| {size:4d} | {milliseconds:8.1f} | {milliseconds / size**2 * 1e6:12.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--quick", action="store_true", help="small and short, to try it")
    parser.add_argument("--people", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--clip", type=int, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.clip:
        one_clip(args.people, *args.clip)
        return
    with tempfile.TemporaryDirectory() as folder:
        people = args.people or Path(folder)
        if not args.people:
            write_people(1, people, size=128 if args.quick else PICTURE, pictures=8)
        for part in args.parts:
            {"frames": frames_table, "sources": sources_table, "size": size_table}[part](
                people, args.quick
            )


if __name__ == "__main__":
    main()
