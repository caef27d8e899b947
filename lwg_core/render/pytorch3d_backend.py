"""pytorch3d's rasteriser behind the same call, for those who have it installed.

Only its choice of the nearest face is used; barycentrics and depth are recomputed by ``raster``.
Its screen is NDC with +x left and +y up, the shorter side spanning [-1, 1]; its faces are numbered
through the whole batch. Two differences from ``spans`` remain: a pixel centre exactly on an edge
belongs to no face, and faces below 1e-8 of NDC area (a few thousandths of a pixel) are left out.
Its CPU code tests every face at every pixel: seconds per frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from .spans import GUARD_BAND


@torch.no_grad()
def nearest_faces(
    vertices: Tensor,
    faces: Tensor,
    size: tuple[int, int],
    cull: int = 0,
    near: float = float("-inf"),
) -> Tensor:
    """The nearest face of every pixel: (N, H, W) int32; arguments as in ``raster.rasterize``."""
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise InputError(
            'backend "pytorch3d" needs the package pytorch3d, which does not import here '
            f'({error}); use backend "auto"'
        ) from error
    frames, count = len(vertices), len(faces)
    height, width = size
    points = vertices.detach().float()
    corners = points.index_select(1, faces.flatten()).view(frames, count, 3, 3)
    drawn = _usable(corners, size, cull, near)
    if not drawn.any():
        return torch.full((frames, height, width), -1, dtype=torch.int32, device=points.device)

    unit = 2.0 / min(size)
    x = (width / 2 - corners[..., 0]) * unit
    y = (height / 2 - corners[..., 1]) * unit
    # Its barycentrics sum to a little less than one, so that depth errs in proportion to depth:
    # keep depths small, but positive, as it drops the rest.
    depth = corners[..., 2]
    nearest, farthest = depth[drawn].min(), depth[drawn].max()
    z = depth - nearest + 0.01 * (farthest - nearest) + 1e-3
    # Faces that must not be drawn become points: it skips what has no area.
    ndc = torch.where(drawn[..., None, None], torch.stack([x, y, z], -1), 0.0)
    own = torch.arange(3 * count, device=points.device).view(1, count, 3).expand(frames, -1, -1)
    index, *_ = rasterize_meshes(
        Meshes(ndc.view(frames, 3 * count, 3), own), (height, width), 0.0, faces_per_pixel=1
    )
    index = index[..., 0]
    return torch.where(index < 0, -1, index % count).int()


def _usable(corners: Tensor, size: tuple[int, int], cull: int, near: float) -> Tensor:
    """(N, F) bool: finite, beyond ``near``, near the image and of the wanted winding."""
    middle = corners.new_tensor([size[1] / 2, size[0] / 2])
    inside = (corners[..., :2] - middle).abs() <= GUARD_BAND
    usable = torch.isfinite(corners).all(-1) & inside.all(-1) & (corners[..., 2] > near)
    usable = usable.all(-1)
    if cull:
        (x0, x1, x2), (y0, y1, y2) = (corners[..., k].unbind(-1) for k in (0, 1))
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        usable &= area * cull > 0
    return usable
