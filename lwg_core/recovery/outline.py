"""The outline of the person as a further term, for people in tight clothing.

Two one-sided distances between the body's surface and the mask: surface points outside it are drawn
to its nearest edge, and every contour point draws the surface point that projects nearest to it,
along the contour's normal only. It narrows limbs and moves them sideways by what keypoints leave
open; depth stays as it is. A mask that is 7 px wider than the body makes the fit worse than none,
so nothing turns this on by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ..body.model import BodyModel
from .kinematics import LinearPoints, fold, positions_with_jacobian
from .solver import Bodies, image_jacobian

SURFACE_POINTS, CONTOUR_POINTS = 700, 160
FIELD_PIXELS = 256  # longer side of the distance field
OUTLINE_SD = 0.02  # metres
OUTLIER = 0.15  # metres: a distance of this counts half
WEIGHT = 20.0  # points' worth of each of the two distances


@dataclass(frozen=True)
class Outline:
    """Term of the solver: B masks.

    table: surface points. field: (B, 3, h, w) distance from the mask in metres, 0 inside, and its
    unit gradient. to_field: (B, 2) normalised field coordinates per metre.
    contour, normal: (B, C, 2) metres and unit. distance: as in ``Evidence``.
    present: (B,) bool, whether there is a person in the mask.
    """

    table: LinearPoints
    field: Tensor
    to_field: Tensor
    contour: Tensor
    normal: Tensor
    distance: float | Tensor
    present: Tensor

    def select(self, index: Tensor) -> Outline:
        distance = self.distance[index] if isinstance(self.distance, Tensor) else self.distance
        return replace(
            self,
            field=self.field[index],
            to_field=self.to_field[index],
            contour=self.contour[index],
            normal=self.normal[index],
            distance=distance,
            present=self.present[index],
        )

    def add(self, bodies: Bodies, gradient: Tensor, normal: Tensor) -> Tensor:
        shape = gradient.shape[1] == 85
        points, by_rotation, by_shape = positions_with_jacobian(
            self.table, bodies.rotations, bodies.betas, shape
        )
        by_point = by_rotation if by_shape is None else torch.cat([by_rotation, by_shape], -1)
        one = torch.ones_like(points[..., :1])
        image, jacobian = image_jacobian(bodies, points, by_point, self.distance, one)

        grid = (image * self.to_field[:, None])[:, :, None]
        found = torch.nn.functional.grid_sample(
            self.field, grid, padding_mode="border", align_corners=False
        )[..., 0].transpose(1, 2)
        outside = _weigh(found[..., 0], WEIGHT / found.shape[1])
        slope = (jacobian * found[..., 1:, None]).sum(2)

        nearest = torch.cdist(self.contour, image.detach()).argmin(-1)
        at = image.gather(1, nearest[..., None].expand(-1, -1, 2))
        across = ((at - self.contour) * self.normal).sum(-1)
        inside = _weigh(across, WEIGHT / across.shape[1])
        chosen = nearest[..., None, None].expand(-1, -1, *jacobian.shape[2:])
        turned = (jacobian.gather(1, chosen) * self.normal[..., None]).sum(2)

        energy = torch.zeros_like(gradient[:, 0])
        for (root, error, each), rows in ((outside, slope), (inside, turned)):
            rows = rows * root[..., None]
            normal += rows.transpose(1, 2) @ rows
            gradient += (rows.transpose(1, 2) @ (root * error)[..., None]).squeeze(-1)
            energy = energy + each.sum(1)
        return energy


def _weigh(error: Tensor, weight: float) -> tuple[Tensor, Tensor, Tensor]:
    """Geman-McClure: root weight, error (metres) and energy of each residual."""
    robust = OUTLIER**2 / (OUTLIER**2 + error.square())
    energy = weight * robust * (error / OUTLINE_SD).square()
    return weight**0.5 * robust / OUTLINE_SD, error, energy


def outline_of(
    body: BodyModel, mask: Tensor, middle: Tensor, scale: Tensor, distance: float | Tensor
) -> Outline:
    """mask: (T, 1, H, W) 0..1. middle: (2,) px. scale: (T,) px per metre."""
    count = body.v_template.shape[0]
    index = torch.arange(0, count, max(1, count // SURFACE_POINTS), device=body.v_template.device)
    pick = torch.nn.functional.one_hot(index, count)
    table = fold(body, pick, scale.dtype)
    height, width = mask.shape[2:]
    fields, contours, normals, present = [], [], [], []
    for frame, pixels_per_metre in zip(mask[:, 0].cpu().numpy() > 0.5, scale.tolist(), strict=True):
        field, factor = _distance_field(frame)
        field[0] /= factor * pixels_per_metre
        contour, normal = _contour(frame)
        fields.append(torch.from_numpy(field))
        contours.append(torch.from_numpy(contour))
        normals.append(torch.from_numpy(normal))
        present.append(bool(frame.any()))
    to_field = 2 * scale[:, None] / scale.new_tensor([width, height])
    contour = (torch.stack(contours).to(scale) - middle) / scale[:, None, None]
    return Outline(
        table,
        torch.stack(fields).to(scale),
        to_field,
        contour,
        torch.stack(normals).to(scale),
        distance,
        torch.tensor(present, device=scale.device),
    )


def _distance_field(mask: np.ndarray) -> tuple[np.ndarray, float]:
    """(3, h, w) distance in field pixels and its gradient; field pixels per image pixel."""
    factor = min(1.0, FIELD_PIXELS / max(mask.shape))
    size = max(1, round(mask.shape[1] * factor)), max(1, round(mask.shape[0] * factor))
    small = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    outside = cv2.distanceTransform((~small).astype(np.uint8), cv2.DIST_L2, 5)
    smooth = cv2.GaussianBlur(outside, (0, 0), 1.0)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3)
    length = np.maximum(np.hypot(across, down), 1e-6)
    return np.stack([outside, across / length, down / length]), factor


def _contour(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, 2) px, evenly along the largest outline, and the unit normals there."""
    lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    line = max(lines, key=len, default=np.zeros((1, 1, 2)))[:, 0].astype(np.float32) + 0.5
    step = np.linspace(0, len(line), CONTOUR_POINTS, endpoint=False)
    points = line[step.astype(int)]
    along = line[(step.astype(int) + 3) % len(line)] - line[(step.astype(int) - 3) % len(line)]
    length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    return points, np.stack([-along[:, 1], along[:, 0]], 1) / length
