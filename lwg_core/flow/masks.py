"""The person's mask where none is given: GrabCut (Rother et al. 2004) seeded by the fitted mesh.

The mesh knows where the person surely is and where surely not; colour decides the band between.
What it cannot know: enclosed background of the person's colours, and things that are held.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..body.confidence import vertex_trust
from ..body.model import BodyModel
from ..body.params import SmplParams
from ..render.raster import rasterize, silhouette
from .prepare import grow
from .source import Source, check_sources, resample, source_vertices

logger = logging.getLogger(__name__)

WORKING = 400  # px, the longer side at which GrabCut runs
MARGIN = 0.4  # metres of background kept around the mesh, for its colours
# Metres from the mesh's outline: deeper than CORE is person, deeper than LIKELY probably is, beyond
# POSSIBLE nothing is. Forearms and hands are thinner than CORE: a fit is least certain there.
CORE, LIKELY, POSSIBLE = 0.035, 0.01, 0.12
ROUNDS = 3
AREA = (0.5, 2.2)  # plausible area, against the mesh's
OVERLAP = 0.4  # least plausible intersection over union with the mesh
SPECK = 0.02  # metres, side of the square below which holes are closed
EDGE, EDGE_CONTRAST = 0.006, 0.02  # radius in metres and regularisation of the guided filter


@dataclass(frozen=True)
class PersonMask:
    """mask: (1, H, W) in 0..1, 1 = person. method: "grabcut", or "silhouette" where its answer was
    not plausible. overlap: intersection over union of that answer with the mesh."""

    mask: Tensor
    method: str
    overlap: float


@dataclass(frozen=True)
class _Window:
    """A part of the picture that holds the mesh: rows and columns of the picture, (height, width)
    at which GrabCut sees it, and its pixels per pixel of the picture."""

    rows: slice
    columns: slice
    size: tuple[int, int]
    factor: float


def estimate_mask(
    image: Tensor, body: BodyModel, params: SmplParams, offsets: Tensor | None = None
) -> PersonMask:
    """The mask of the person whose body was fitted to a picture.

    image: (3, H, W) in [-1, 1]. params: one frame with betas and a camera of this picture's size.
    offsets: (V,) metres, if hair and clothes of this person are known already.

    Where GrabCut's answer is not plausible, the mask is the mesh's silhouette, dilated.
    """
    source = Source(image, params, None, offsets)
    check_sources((source,), body)
    projected = params.camera.project(source_vertices(source, body))
    unseen = vertex_trust(body, params)[..., None] == 0
    projected = projected.masked_fill(unseen, torch.nan)
    scale = params.camera.scale[0].item()
    window = _window(projected[~unseen[..., 0]][:, :2], scale, source.size)
    corner = projected.new_tensor([window.columns.start, window.rows.start])
    drawn = torch.cat([(projected[..., :2] - corner) * window.factor, projected[..., 2:]], -1)
    mesh = silhouette(rasterize(drawn, body.faces, window.size))[0, 0].cpu().numpy() > 0.5
    cut = image[:, window.rows, window.columns]
    picture = _to_bytes(resample(cut, window.size))
    metre = scale * window.factor
    seeds = seed_map(mesh, metre)
    likely = (seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)
    if likely.all() or not likely.any():
        return _fallback(source, body, projected, 0.0)  # colours of only one side
    person = _clean(_grab_cut(picture, seeds), mesh, metre)
    overlap = (person & mesh).sum() / (person | mesh).sum()
    growth = person.sum() / mesh.sum()
    if overlap < OVERLAP or not AREA[0] <= growth <= AREA[1]:
        logger.warning(
            "GrabCut took %.1f times the area of the body (overlap %.2f), which is not plausible; "
            "the mask is the body's silhouette instead",
            growth,
            overlap,
        )
        return _fallback(source, body, projected, float(overlap))
    soft = _soften(cut, torch.from_numpy(picture).to(image), person, metre)
    mask = image.new_zeros(1, *source.size)
    mask[:, window.rows, window.columns] = soft
    return PersonMask(mask, "grabcut", float(overlap))


def seed_map(mesh: np.ndarray, metre: float) -> np.ndarray:
    """(h, w) uint8 GrabCut labels from the mesh's silhouette (h, w) bool and the pixels per metre.

    Gaps of the mesh, as between legs, are probable background however narrow.
    """
    inside = cv2.distanceTransform(mesh.astype(np.uint8), cv2.DIST_L2, 5) / metre
    outside = cv2.distanceTransform((~mesh).astype(np.uint8), cv2.DIST_L2, 5) / metre
    seeds = np.full(mesh.shape, cv2.GC_BGD, np.uint8)
    seeds[outside < POSSIBLE] = cv2.GC_PR_BGD
    seeds[inside > LIKELY] = cv2.GC_PR_FGD
    seeds[inside > CORE] = cv2.GC_FGD
    return seeds


def _window(points: Tensor, scale: float, size: tuple[int, int]) -> _Window:
    margin = MARGIN * scale
    limit = points.new_tensor([size[1], size[0]])
    low = (points.amin(0) - margin).clamp(min=0).minimum(limit - 1).floor()
    high = (points.amax(0) + margin).minimum(limit).maximum(low + 1).ceil()
    (left, top), (right, bottom) = low.long().tolist(), high.long().tolist()
    width, height = right - left, bottom - top
    factor = min(1.0, WORKING / max(width, height))
    small = (max(round(height * factor), 1), max(round(width * factor), 1))
    return _Window(slice(top, bottom), slice(left, right), small, factor)


def _to_bytes(image: Tensor) -> np.ndarray:
    pixels = ((image.detach() + 1) * 127.5).round().clamp(0, 255).byte()
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())


def _grab_cut(picture: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """(h, w) bool."""
    labels = seeds.copy()
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(picture, labels, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _clean(person: np.ndarray, mesh: np.ndarray, metre: float) -> np.ndarray:
    """Only what hangs together with the mesh, without pinholes."""
    _, label = cv2.connectedComponents(person.astype(np.uint8), connectivity=4)
    attached = np.unique(label[person & mesh])
    person = np.isin(label, attached[attached > 0])
    _, label, stats, _ = cv2.connectedComponentsWithStats((~person).astype(np.uint8))
    pinholes = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] < (SPECK * metre) ** 2)
    return person | np.isin(label, pinholes)


def _soften(cut: Tensor, picture: Tensor, person: np.ndarray, metre: float) -> Tensor:
    """(1, H, W) 0..1: a guided filter (He et al. 2010) of ``person`` (h, w) at the window's full
    size, near the outline. cut: (3, H, W) the window. picture: (h, w, 3) 0..255 of it."""
    radius = max(round(EDGE * metre), 1)
    guide = picture.mean(2).cpu().numpy().astype(np.float32) / 255
    value = person.astype(np.float32)

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.blur(x, (2 * radius + 1,) * 2)

    average = mean(guide)
    variance = mean(guide * guide) - average**2
    slope = (mean(guide * value) - average * mean(value)) / (variance + EDGE_CONTRAST**2)
    offset = mean(value) - slope * average
    near = (mean(value) > 0) & (mean(value) < 1)
    fields = torch.from_numpy(np.stack([mean(slope), mean(offset), near, person]))
    fields = fields.to(cut)[None].float()
    size = cut.shape[1:]
    slope, offset, near, hard = F.interpolate(fields, size, mode="bilinear")[0].split(1)
    soft = (slope * ((cut.mean(0, keepdim=True) + 1) / 2) + offset).clamp(0, 1)
    return torch.where(near > 0.5, soft, hard.round())


def _fallback(source: Source, body: BodyModel, projected: Tensor, overlap: float) -> PersonMask:
    mesh = silhouette(rasterize(projected, body.faces, source.size))
    return PersonMask(grow(mesh)[0].to(source.image), "silhouette", overlap)
