"""2D keypoints to SMPL parameters, one picture or a clip.

Minimises reprojection (robust), range-of-motion, gravity and shape terms over pose, shape and a
pinhole camera at an assumed distance (SMPLify's problem, Bogo et al., 2016, with a second-order
solver and our own priors). Notable decisions:

- eight headings for a few steps, the best two to the end: one start ends in a wrong minimum about
  once in seven pictures;
- a distance is always assumed: at 4 to 6 metres of truth 5 is nearer than infinity;
- depth is ambiguous in 2D. In the view it was made for, the result is good to a few pixels; turned
  around, it shows a plausible body, not a measured one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..body.rotations import matrix_to_axis_angle
from ..errors import InputError
from ..render.camera import Camera
from .keypoints import KEYPOINT_NAMES, Keypoints
from .kinematics import LinearPoints, fold
from .labels import joint_confidence, side_swaps
from .priors import RangeOfMotion, range_of_motion
from .projection import stacked_regressor
from .solver import Bodies, Evidence, linearise, minimise, predict
from .start import HEADINGS, pixel_scale, starting_bodies

log = logging.getLogger(__name__)

CHUNK = 64  # frames solved at once: about 100 MB
FIRST_STEPS, KEPT, LAST_STEPS = 8, 2, 15
OUTLIER = 6.0  # at the end; the first steps still listen to far points
SHAPE_FRAMES = 3.0  # frames of a clip err alike: together they speak like at most this many
EAR_WEIGHT = 0.25  # detectors and the regressor disagree most about ears
NECK_WEIGHT = 0.5  # detectors make it from the shoulders
DOUBTFUL = 2.5  # energy per seen keypoint above which other labellings are tried
SWAP_GAIN = 0.6  # another labelling must bring the energy below this part
REJECTED = 8.0  # energy per seen keypoint above which the body is not to be trusted


@dataclass(frozen=True)
class FitResult:
    """params: T frames with camera, confidence and valid; betas shared by all frames.

    error_px: (T,) mean distance of the seen keypoints to the body's, pixels.
    energy: (T,) what was minimised, per seen keypoint.
    visible: (T, 24) bool, KEYPOINT_NAMES order.
    messages: T sentences, "" where the body is valid.
    """

    params: SmplParams
    error_px: Tensor
    energy: Tensor
    visible: Tensor
    messages: tuple[str, ...]


def fit_keypoints(
    keypoints: Keypoints,
    body: BodyModel,
    size: tuple[int, int] | None = None,
    distance: float = 5.0,
    fps: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
) -> FitResult:
    """Fit the body to T frames of keypoints, on the device of the body.

    size: (height, width) of the image, None = the keypoints' own.
    distance: metres between the person and the camera.
    progress: called with (frames done, frames in all).
    """
    if not 0.5 <= distance <= 1000:
        raise InputError(f"distance must be 0.5 to 1000 metres; got {distance}")
    size = size or keypoints.size
    if size != keypoints.size:
        raise InputError(f"the keypoints are pixels of a {keypoints.size} image, not of {size}")
    good = keypoints.usable.nonzero().flatten().cpu()
    if not len(good):
        raise InputError("keypoints: no frame has enough points to fit a body")
    table = fold(body, stacked_regressor(body))
    like = table.offset
    motion = range_of_motion(like.dtype, like.device)
    points = keypoints.points[good, : len(table)].to(like)
    weight = keypoints.confidence[good, : len(table)].to(like)
    middle = like.new_tensor([size[1] / 2, size[0] / 2])
    scale = pixel_scale(table, points, weight)
    trust = _trust(len(table)).to(like)
    evidence = Evidence((points - middle) / scale[:, None, None], weight * trust, distance)
    chunks = []
    for first in range(0, len(good), CHUNK):
        index = torch.arange(first, min(first + CHUNK, len(good)), device=like.device)
        chunks.append(_fit_frames(table, motion, evidence.select(index)))
        if progress is not None:
            progress(first + len(index), len(good))
    bodies, energy, evidence = (_concatenate(part) for part in zip(*chunks, strict=True))
    if len(good) > 1:
        bodies, energy = _share_shape(table, motion, evidence, bodies, energy)

    seen = evidence.weight > 0
    count = seen.sum(1)
    miss = (predict(table, bodies, distance) - evidence.points).norm(dim=-1) * seen
    error_px = miss.sum(1) / count * scale
    energy = energy / count
    messages = _complaints(keypoints, good, energy)
    # Frames without a body borrow the nearest one's, so that a clip stays a clip.
    nearest = (torch.arange(len(keypoints))[:, None] - good).abs().argmin(1)
    confidence = like.new_zeros(len(keypoints), 24)
    confidence[good] = joint_confidence(evidence.weight / trust)
    pixels = scale * bodies.log_scale.exp()
    camera = Camera(pixels, middle + scale[:, None] * bodies.shift, size, pixels * distance)
    params = SmplParams(
        pose=matrix_to_axis_angle(bodies.rotations)[nearest],
        betas=bodies.betas[0],
        body_model=body.id,
        camera=camera.select(nearest),
        confidence=confidence,
        valid=torch.tensor([not m for m in messages], device=like.device),
        fps=fps,
    )
    return FitResult(params, error_px[nearest], energy[nearest], keypoints.confidence > 0, messages)


def _fit_frames(
    table: LinearPoints, motion: RangeOfMotion, evidence: Evidence
) -> tuple[Bodies, Tensor, Evidence]:
    """Best bodies of B frames, their energies (B,), and the evidence relabelled where it helped."""
    bodies, energy = _multi_start(table, motion, evidence)
    count = (evidence.weight > 0).sum(1)
    doubtful = (energy > DOUBTFUL * count).nonzero().flatten()
    if not len(doubtful):
        return bodies, energy, evidence
    # Detectors swap left and right: of the legs, of the arms, or of both but not of the face.
    swaps = side_swaps(len(table)).to(evidence.points.device)
    tried = evidence.select(doubtful)
    tried = replace(
        tried,
        points=tried.points[:, swaps].flatten(0, 1),
        weight=tried.weight[:, swaps].flatten(0, 1),
    )
    others, other_energy = _multi_start(table, motion, tried)
    best = other_energy.view(-1, len(swaps)).argmin(1)
    best = best + torch.arange(len(doubtful), device=best.device) * len(swaps)
    better = other_energy[best] < SWAP_GAIN * energy[doubtful]
    best, doubtful = best[better], doubtful[better]
    log.debug("left and right were swapped in %d of %d frames", len(doubtful), len(energy))
    origin = torch.arange(len(energy), device=best.device)
    origin[doubtful] = len(energy) + best
    joined = [
        _concatenate(pair) for pair in ((bodies, others), (energy, other_energy), (evidence, tried))
    ]
    return joined[0].select(origin), joined[1][origin], joined[2].select(origin)


def _multi_start(
    table: LinearPoints, motion: RangeOfMotion, evidence: Evidence
) -> tuple[Bodies, Tensor]:
    count = len(evidence.points)
    item = torch.arange(count, device=evidence.points.device)
    bodies = starting_bodies(table, motion, evidence)
    repeated = evidence.select(item.repeat_interleave(HEADINGS))
    bodies, energy = minimise(table, motion, repeated, bodies, FIRST_STEPS, 0.1, shape=False)
    kept = energy.view(count, HEADINGS).topk(KEPT, 1, largest=False).indices
    kept = (kept + item[:, None] * HEADINGS).flatten()
    repeated = replace(evidence.select(item.repeat_interleave(KEPT)), outlier=OUTLIER)
    bodies, energy = minimise(table, motion, repeated, bodies.select(kept), LAST_STEPS, 0.01)
    best = energy.view(count, KEPT).argmin(1) + item * KEPT
    return bodies.select(best), energy[best]


def _share_shape(
    table: LinearPoints,
    motion: RangeOfMotion,
    evidence: Evidence,
    bodies: Bodies,
    energy: Tensor,
) -> tuple[Bodies, Tensor]:
    """One shape for all frames, then poses and cameras again under it.

    Each frame's normal matrix, with pose and camera eliminated (Schur complement), is its opinion
    of the shape; the prior in it is counted once.
    """
    trusted = energy <= REJECTED * (evidence.weight > 0).sum(1)
    index = trusted.nonzero().flatten() if trusted.any() else torch.arange(len(energy))
    opinion = bodies.betas.new_zeros(10, 10)
    pull = bodies.betas.new_zeros(10)
    for part in index.split(CHUNK):
        chosen = bodies.select(part)
        held = replace(evidence.select(part), outlier=OUTLIER)
        _, _, normal = linearise(table, motion, held, chosen, True)
        local = normal[:, :75, :75] + 1e-4 * torch.eye(75).to(normal)
        solved = torch.cholesky_solve(normal[:, :75, 75:], torch.linalg.cholesky(local))
        certain = normal[:, 75:, 75:] - normal[:, 75:, :75] @ solved
        pull += (certain @ chosen.betas[..., None]).sum((0, 2))
        opinion += (certain - torch.eye(10).to(normal)).sum(0)
    share = min(1.0, SHAPE_FRAMES / len(index))
    betas = torch.linalg.solve(torch.eye(10).to(opinion) + share * opinion, share * pull)
    bodies = replace(bodies, betas=betas.expand(len(bodies), 10))
    parts = [
        minimise(
            table,
            motion,
            replace(evidence.select(p), outlier=OUTLIER),
            bodies.select(p),
            FIRST_STEPS,
            0.01,
            shape=False,
        )
        for p in torch.arange(len(energy), device=energy.device).split(CHUNK)
    ]
    return tuple(_concatenate(part) for part in zip(*parts, strict=True))


def _concatenate(parts):
    """Tensors, Bodies or Evidence, joined along the first axis."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(parts)
    if isinstance(first, Evidence):
        points, weight = (
            torch.cat(t) for t in zip(*((p.points, p.weight) for p in parts), strict=True)
        )
        return replace(first, points=points, weight=weight)
    return Bodies(*(torch.cat(field) for field in zip(*(p.tensors for p in parts), strict=True)))


def _complaints(keypoints: Keypoints, good: Tensor, energy: Tensor) -> tuple[str, ...]:
    messages = ["too few body keypoints were found"] * len(keypoints)
    for frame, value in zip(good.tolist(), energy.tolist(), strict=True):
        messages[frame] = ""
        if not value <= REJECTED:
            messages[frame] = (
                f"no body explains the keypoints (energy {value:.1f} per point, at most {REJECTED})"
            )
    return tuple(messages)


def _trust(count: int) -> Tensor:
    """(K,) weight of each keypoint beyond its confidence."""
    trust = torch.ones(count)
    trust[[KEYPOINT_NAMES.index("right_ear"), KEYPOINT_NAMES.index("left_ear")]] = EAR_WEIGHT
    trust[KEYPOINT_NAMES.index("neck")] = NECK_WEIGHT
    return trust
