"""CPU time of flow composition per target frame, and how many visible points each rule misses.

    python benchmarks/flow.py [--sizes 256 512] [--sources 2] [--frames 4] [--repeats 5]

Medians of CPU seconds (not wall time), one thread, open body, procedural texture. "faces" is the
released rule: a face is visible when it owns a pixel of the source; "depth" is ours. Their truth is
a depth map 16 times finer than the source.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from lwg_core.body.model import BodyModel, vertex_normals
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.flow.compose import BAND, compose, prepare_sources
from lwg_core.flow.source import Source, source_vertices
from lwg_core.flow.surface import extend, see_surface
from lwg_core.flow.synthesis import synthesize
from lwg_core.flow.visibility import MIN_FACING, cells, facing
from lwg_core.render.camera import Camera
from lwg_core.render.raster import interpolate, rasterize


def pose(yaw: float, arms: float) -> Tensor:
    """(24, 3): facing the camera, turned by ``yaw`` and arms lowered by ``arms`` degrees."""
    result = torch.zeros(24, 3)
    result[16, 2], result[17, 2] = -math.radians(arms), math.radians(arms)
    upright = axis_angle_to_matrix(torch.tensor([math.pi, 0.0, 0.0]))
    turn = axis_angle_to_matrix(torch.tensor([0.0, math.radians(yaw), 0.0]))
    result[0] = matrix_to_axis_angle(upright @ turn)
    return result


def person(poses: Tensor, size: int, body: BodyModel) -> SmplParams:
    """The average person in T poses, 85 % of a square picture high."""
    frames = len(poses)
    scale = torch.full((frames,), 0.85 * size / 1.75)
    center = torch.tensor([[0.5, 0.55]]).repeat(frames, 1) * size
    return SmplParams(poses, torch.zeros(10), body.id, Camera(scale, center, (size, size)))


def source(params: SmplParams, body: BodyModel) -> Source:
    """A picture of the person, textured by its correspondence code."""
    vertices = body.vertices(params.pose, params.betas)
    raster = rasterize(params.camera.project(vertices), body.faces, params.camera.size)
    texture = torch.sin(8 * body.correspondence_code())
    image = interpolate(raster, texture, body.faces)[0].permute(2, 0, 1)
    return Source(image, params, (raster.face_index >= 0).float())


def cpu_ms(work: Callable[[], object], repeats: int) -> float:
    """Median CPU milliseconds of ``work``."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * statistics.median(times)


def steps(size: int, sources: int, frames: int, repeats: int, body: BodyModel) -> dict[str, float]:
    """CPU milliseconds of each step, per target frame; ``prepare`` once per set of sources."""
    views = [person(pose(360 * i / sources, 60)[None], size, body) for i in range(sources)]
    pictures = tuple(source(view, body) for view in views)
    prepared = prepare_sources(pictures, body)
    target = person(torch.stack([pose(25 * i, 70 - 20 * i) for i in range(frames)]), size, body)
    camera, extent, faces = target.camera, (size, size), body.faces
    vertices = body.vertices(target.pose, target.betas)
    raster = rasterize(camera.project(vertices), faces, extent)
    mask = raster.face_index >= 0
    normals = vertex_normals(vertices, faces)
    reach = round(size / BAND)

    def see():
        return see_surface(prepared, raster, facing(vertices, normals, camera))

    surface = see()

    def band():
        return extend(surface, prepared, mask, normals, camera.scale, reach)

    pixels = band()
    work = {
        "vertices (LBS)": lambda: body.vertices(target.pose, target.betas),
        "rasterise": lambda: rasterize(camera.project(vertices), faces, extent),
        "normals": lambda: vertex_normals(vertices, faces),
        "flow and visibility": see,
        "extension band": band,
        "I_syn": lambda: synthesize(prepared, pixels, (frames, size, size)),
        "compose (all but LBS)": lambda: compose(prepared, vertices, camera, extent),
    }
    table = {name: cpu_ms(step, repeats) / frames for name, step in work.items()}
    table["prepare (once)"] = cpu_ms(lambda: prepare_sources(pictures, body), repeats)
    return table


def missed(size: int, body: BodyModel) -> tuple[float, float]:
    """Shares of the visible target pixels that the two rules call hidden, in percent."""
    picture = source(person(pose(0, 60)[None], size, body), body)
    prepared = prepare_sources((picture,), body)
    target = person(pose(15, 45)[None], size, body)
    vertices = body.vertices(target.pose, target.betas)
    raster = rasterize(target.camera.project(vertices), body.faces, (size, size))
    cosine = facing(vertices, vertex_normals(vertices, body.faces), target.camera)
    surface = see_surface(prepared, raster, cosine)
    projected = picture.params.camera.project(source_vertices(picture, body))
    fine = rasterize(
        projected * torch.tensor([16.0, 16.0, 1.0]), body.faces, (16 * size, 16 * size)
    ).depth
    point = (surface.weights * projected[0, surface.corners, 2]).sum(1)
    nearest = fine.flatten()[cells(surface.grid, (16 * size, 16 * size))[:, 0]]
    truth = (point <= nearest + 0.005) & (surface.cosine[:, 0] > MIN_FACING)
    owners = prepared.raster.face_index.unique().long()
    won = torch.isin(raster.face_index.flatten()[surface.index].long(), owners)
    ours = surface.seen[:, 0] > 0
    return tuple(100 * float((truth & ~rule).sum() / truth.sum()) for rule in (won, ours))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--sources", type=int, default=2)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    body = open_body()
    tables = [steps(size, args.sources, args.frames, args.repeats, body) for size in args.sizes]
    print(f"CPU ms per frame, {args.sources} sources, {args.frames} frames at once")
    print(f"{'step':24s}" + "".join(f"{size:>8d} px" for size in args.sizes))
    for name in tables[0]:
        print(f"{name:24s}" + "".join(f"{table[name]:11.1f}" for table in tables))
    print("\nvisible points called hidden, %")
    print(f"{'size':>8s} {'faces':>8s} {'depth':>8s}")
    for size in (128, 256):
        faces, depth = missed(size, body)
        print(f"{size:8d} {faces:8.2f} {depth:8.2f}")


if __name__ == "__main__":
    main()
