"""Which face does each pixel see, and where on it: the rasteriser behind every flow and preview.

The face map is found without gradients by a backend (``spans``, or pytorch3d when asked for). What
depends on the vertices is then recomputed for the covered pixels alone, so barycentrics, depth and
everything interpolated with them are differentiable and the same whichever backend ran.

Pixels: (0, 0) is the corner of the image, pixel centres lie at half-integers, x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .spans import MAX_SIZE, nearest_faces


@dataclass(frozen=True)
class Raster:
    """What N images of (H, W) pixels see of a mesh.

    face_index: (N, H, W) int32, -1 = background.
    barycentric: (N, H, W, 3) weights of the face's corners, >= 0, sum 1; 0 on the background.
        Screen-space: linear in the pixel position.
    depth: (N, H, W) depth interpolated with them; inf on the background.
    """

    face_index: Tensor
    barycentric: Tensor
    depth: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.face_index.shape[1], self.face_index.shape[2]


def rasterize(
    vertices: Tensor,
    faces: Tensor,
    size: tuple[int, int],
    cull: int = 0,
    backend: str = "auto",
    near: float = float("-inf"),
) -> Raster:
    """Draw meshes that share their faces; the nearest face owns a pixel, of equals the lowest id.

    vertices: (N, V, 3) pixel x, pixel y, depth (what ``Camera.project`` returns); smaller = nearer.
    faces: (F, 3) int64. size: (height, width) of the images, any aspect.
    cull: 0 draws both sides of a face; -1 only faces whose corners run counter-clockwise as seen on
        the screen (the outside of an outward-wound mesh), +1 only clockwise ones.
    backend: "auto" = "spans" (ours, exact, any device), or "pytorch3d" where it is installed.
    near: faces with a corner at or below this depth are dropped (``Camera.near``). Faces with a
        corner that is not finite or more than about 8190 px from the middle of the image, and faces
        without area, are dropped too.

    Gradients flow from barycentric and depth to the vertices, not through coverage.
    """
    _check(vertices, faces, size, cull)
    if backend in ("auto", "spans"):
        face_index = nearest_faces(vertices, faces, size, cull, near)
    elif backend == "pytorch3d":
        from .pytorch3d_backend import nearest_faces as nearest_faces_pytorch3d

        face_index = nearest_faces_pytorch3d(vertices, faces, size, cull, near)
    else:
        raise InputError(f'backend must be "auto", "spans" or "pytorch3d"; got {backend!r}')
    return _locate(face_index, vertices, faces)


def interpolate(
    raster: Raster, attributes: Tensor, faces: Tensor, background: float = 0.0
) -> Tensor:
    """Per-vertex attributes (V, C) or (N, V, C) at every pixel: (N, H, W, C).

    ``background`` fills the pixels without a face. Differentiable in attributes and barycentrics.
    """
    frames, height, width = raster.face_index.shape
    hit, face, frame = _covered(raster.face_index)
    first = frame * attributes.shape[1] if attributes.ndim == 3 else 0
    values = attributes.reshape(-1, attributes.shape[-1])
    weights = raster.barycentric.reshape(-1, 3).index_select(0, hit)
    mixed = sum(
        weights[:, k, None] * values.index_select(0, corner.index_select(0, face) + first)
        for k, corner in enumerate(faces.unbind(1))
    )
    out = mixed.new_full((frames * height * width, values.shape[1]), background)
    return out.index_copy_(0, hit, mixed).view(frames, height, width, -1)


def coverage(
    vertices: Tensor, faces: Tensor, size: tuple[int, int], near: float = float("-inf")
) -> Tensor:
    """(N, 1, H, W) in 0..1: the share of each pixel that the meshes cover, from 2 x 2 samples.

    Arguments as in ``rasterize``. Where a matte ends inside a pixel a yes or no per pixel costs
    half a decibel. Pictures too large to be drawn at twice their size get the yes or no.
    """
    samples = 2 if 2 * max(size) <= MAX_SIZE else 1
    finer = vertices * vertices.new_tensor([samples, samples, 1.0])
    height, width = size[0] * samples, size[1] * samples
    drawn = (nearest_faces(finer, faces, (height, width), 0, near) >= 0).to(torch.uint8)
    cells = drawn.unflatten(2, (-1, samples)).unflatten(1, (-1, samples))
    # Bytes are added ten times faster than avg_pool2d averages on a CPU.
    hits = sum(cells[:, :, i, :, j] for i in range(samples) for j in range(samples))
    return hits[:, None].to(vertices.dtype) / samples**2


def silhouette(raster: Raster) -> Tensor:
    """(N, 1, H, W) float: 1 where a face is, 0 on the background."""
    return (raster.face_index >= 0)[:, None].to(raster.barycentric.dtype)


def _check(vertices: Tensor, faces: Tensor, size: tuple[int, int], cull: int) -> None:
    if vertices.ndim != 3 or vertices.shape[-1] != 3 or not vertices.is_floating_point():
        raise InputError(f"vertices must be (N, V, 3) floats; got {tuple(vertices.shape)}")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype != torch.int64:
        raise InputError(f"faces must be (F, 3) int64; got {tuple(faces.shape)} {faces.dtype}")
    if min(size) < 1 or max(size) > MAX_SIZE:
        raise InputError(f"image size must be 1 to {MAX_SIZE} pixels a side; got {tuple(size)}")
    if cull not in (-1, 0, 1):
        raise InputError(f"cull must be -1, 0 or 1; got {cull}")


def _covered(face_index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Flat index, face and frame (M,) int64 of the M covered pixels of (N, H, W)."""
    flat = face_index.reshape(-1)
    hit = (flat >= 0).nonzero().squeeze(1)
    per_frame = face_index.shape[1] * face_index.shape[2]
    frame = torch.div(hit, per_frame, rounding_mode="floor")
    return hit, flat.index_select(0, hit).long(), frame


def _locate(face_index: Tensor, vertices: Tensor, faces: Tensor) -> Raster:
    """Barycentrics and depth at the pixel centres of a face map, differentiable in the vertices.

    Areas are taken of corners relative to the pixel, so float32 holds them. A face may own a pixel
    centre that lies outside it by the 1/8192 px to which corners snap: the weights are clamped to
    the face.
    """
    frames, height, width = face_index.shape
    hit, face, frame = _covered(face_index)
    row = torch.div(hit, width, rounding_mode="floor")
    column = (hit - row * width + 0.5).to(vertices.dtype)
    row = (row - frame * height + 0.5).to(vertices.dtype)
    points, first = vertices.reshape(-1, 3), frame * vertices.shape[1]
    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = (
        points.index_select(0, corner.index_select(0, face) + first).unbind(1)
        for corner in faces.unbind(1)
    )
    x0, x1, x2 = x0 - column, x1 - column, x2 - column
    y0, y1, y2 = y0 - row, y1 - row, y2 - row

    areas = x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0
    total = sum(areas)
    flat = total == 0  # the face has an area only after snapping
    total = torch.where(flat, 1.0, total)
    weights = [torch.where(flat, 1 / 3, a / total).clamp(min=0) for a in areas]
    weights = torch.stack(weights) / sum(weights)
    depth = weights[0] * z0 + weights[1] * z1 + weights[2] * z2

    pixels = frames * height * width
    barycentric = weights.new_zeros(pixels, 3).index_copy_(0, hit, weights.t())
    depth = depth.new_full((pixels,), float("inf")).index_copy_(0, hit, depth)
    return Raster(
        face_index,
        barycentric.view(frames, height, width, 3),
        depth.view(frames, height, width),
    )
