"""Milliseconds per frame of the rasteriser, beside pytorch3d's where it is installed.

    python benchmarks/rasterizer.py [--sizes 256 512 1024] [--batches 1 8] [--device cpu]

The open body (13.7k faces) turns about its axis and fills nine tenths of the picture's height. On
the CPU the figures are CPU time on one thread (not wall time, so a busy machine does not matter),
on other devices wall time after a synchronisation; medians. Columns: the face map alone, with both
sides and with the back culled; ``rasterize`` (face map, barycentrics, depth); ``interpolate`` of 3
channels; pytorch3d's face map, and the share of pixels on which it names the same face. On the CPU
pytorch3d tests every face at every pixel (seconds to minutes), so there it runs once only.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from lwg_core.body.model import BodyModel
from lwg_core.body.open_body import open_body
from lwg_core.render.camera import Camera
from lwg_core.render.pytorch3d_backend import nearest_faces as nearest_faces_pytorch3d
from lwg_core.render.raster import interpolate, rasterize
from lwg_core.render.spans import nearest_faces


def turning_body(body: BodyModel, frames: int, size: int) -> Tensor:
    """(frames, V, 3) pixels and depths of the body, arms half down, turned a little per frame."""
    pose = torch.zeros(frames, 24, 3)
    pose[:, 0, 0] = math.pi
    pose[:, 16, 2], pose[:, 17, 2] = -0.9, 0.9
    vertices = body.vertices(pose)
    yaw = torch.arange(frames) * 0.37 + 0.2
    x, y, z = vertices.unbind(-1)
    cos, sin = yaw.cos()[:, None], yaw.sin()[:, None]
    vertices = torch.stack([cos * x + sin * z, y, cos * z - sin * x], -1)
    low, high = vertices.amin(1), vertices.amax(1)
    scale = 0.9 * size / (high - low)[:, 1]
    center = size / 2 - scale[:, None] * (low + high)[:, :2] / 2
    return Camera(scale, center, (size, size)).project(vertices)


def milliseconds(work: Callable[[], object], device: torch.device, repeat: int) -> float:
    """Median time of ``work``, after one run to warm up."""
    on_cpu = device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    wait = (lambda: None) if on_cpu else torch.get_device_module(device).synchronize
    work()
    times = []
    for _ in range(repeat):
        wait()
        start = clock()
        work()
        wait()
        times.append(clock() - start)
    return statistics.median(times) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--repeat", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    device = args.device
    body = open_body()
    faces = body.faces.to(device)
    installed = importlib.util.find_spec("pytorch3d") is not None
    columns = ["covered", "faces", "culled", "rasterize", "interpolate"]
    columns += ["pytorch3d", "equal px"] if installed else []
    print(f"{len(faces)} faces, {device}, torch {torch.__version__}, ms per frame")
    print(f"{'px':>6s}{'batch':>7s}" + "".join(f"{name:>13s}" for name in columns))
    for size in args.sizes:
        for batch in args.batches:
            vertices = turning_body(body, batch, size).to(device)
            case = vertices, faces, (size, size)
            raster = rasterize(*case)

            def timed(work: Callable[[], object], repeat: int = args.repeat, n: int = batch) -> str:
                return f"{milliseconds(work, device, repeat) / n:13.2f}"

            row = f"{size:6d}{batch:7d}{(raster.face_index >= 0).float().mean():13.3f}"
            row += timed(lambda case=case: nearest_faces(*case))
            row += timed(lambda case=case: nearest_faces(*case, -1))
            row += timed(lambda case=case: rasterize(*case))
            row += timed(lambda raster=raster, v=vertices: interpolate(raster, v, faces))
            if installed and (device.type == "cuda" or (size, batch) == (args.sizes[0], 1)):
                row += timed(lambda case=case: nearest_faces_pytorch3d(*case), min(args.repeat, 3))
                same = nearest_faces_pytorch3d(*case) == raster.face_index
                row += f"{same.double().mean():13.6f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
