"""The regressor's body, moved onto keypoints.

The keypoint fit's energy and solver, from the network's body instead of from eight headings, with
each joint drawn towards the network's rotation: 2D points place the limbs, the network decides how
deep they reach.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.params import SmplParams
from ...body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from ...errors import InputError
from ...render.camera import Camera
from ..keypoints import Keypoints
from ..kinematics import LinearPoints, fold
from ..labels import joint_confidence
from ..priors import range_of_motion
from ..projection import stacked_regressor
from ..solver import Bodies, Evidence, Pull, in_chunks

STEPS = 15
OUTLIER = 6.0
POSE_SD = 0.26  # radians: what the network's joint rotations may be off
NOBODY = "the regressor was shown no person, or found none"
REJECTED = 8.0  # energy per seen keypoint above which the body is not to be trusted


def refine(
    params: SmplParams,
    keypoints: Keypoints,
    body: BodyModel,
    distance: float = 5.0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[SmplParams, tuple[str, ...]]:
    """Move a recovered body onto keypoints of the same T pictures; poses stay near the network's.

    params: as from ``onto_body``. distance: metres to the camera.
    Returns the parameters under a pinhole camera, and a sentence per frame that is not valid, else
    "". Frames without enough keypoints keep the network's pose, shape and camera.
    """
    if len(keypoints) != len(params) or keypoints.size != params.camera.size:
        raise InputError(
            f"keypoints must be {len(params)} frames of a {params.camera.size} image; got "
            f"{len(keypoints)} of {keypoints.size}"
        )
    good = (keypoints.usable.to(params.valid.device) & params.valid).nonzero().flatten()
    messages = ["" if valid else NOBODY for valid in params.valid.tolist()]
    if not len(good):
        return params, tuple(messages)
    table = fold(body, stacked_regressor(body))
    like = table.offset
    middle = like.new_tensor([keypoints.size[1] / 2, keypoints.size[0] / 2])
    scale, center = params.camera.scale.to(like), params.camera.center.to(like)
    start = Bodies(
        axis_angle_to_matrix(params.pose.to(like)),
        params.betas.to(like).expand(len(params), 10),
        torch.zeros_like(scale),
        (center - middle) / scale[:, None],
    )
    points = keypoints.points[:, : len(table)].to(like)
    weight = keypoints.confidence[:, : len(table)].to(like)
    pull = Pull(start.rotations, torch.full((len(params), 24), POSE_SD**-2).to(like))
    points = (points - middle) / scale[:, None, None]
    evidence = Evidence(points, weight, distance, OUTLIER, (pull,)).select(good)
    solved, energy = _solve(table, evidence, start.select(good), len(good) == 1, progress)

    energy = energy / (weight[good] > 0).sum(1)
    for frame, value in zip(good.tolist(), energy.tolist(), strict=True):
        if not value <= REJECTED:
            messages[frame] = (
                "the regressor's body does not fit the keypoints "
                f"(energy {value:.1f} per point, at most {REJECTED})"
            )
    pose, confidence = params.pose.clone(), params.confidence.clone()
    pixels, shift = scale.clone(), start.shift.clone()
    pose[good] = matrix_to_axis_angle(solved.rotations).to(pose)
    confidence[good] = joint_confidence(weight[good]).to(confidence)
    pixels[good] *= solved.log_scale.exp()
    shift[good] = solved.shift
    camera = Camera(pixels, middle + scale[:, None] * shift, keypoints.size, pixels * distance)
    valid = torch.tensor([not message for message in messages], device=pose.device)
    refined = replace(
        params,
        pose=pose,
        betas=solved.betas[0].to(pose),
        body_model=body.id,
        camera=camera.to(pose.device),
        confidence=confidence * valid[:, None],
        valid=valid,
    )
    return refined, tuple(messages)


def _solve(
    table: LinearPoints,
    evidence: Evidence,
    start: Bodies,
    alone: bool,
    progress: Callable[[int, int], None] | None,
) -> tuple[Bodies, Tensor]:
    """Bodies of one shape and their energies. Unless a frame is ``alone``, a first round in which
    each has its own shape gives the median that all take in the second."""
    motion = range_of_motion(table.offset.dtype, table.offset.device)
    rounds = (True,) if alone else (True, False)
    for number, own_shape in enumerate(rounds):

        def report(done: int, frames: int, number: int = number) -> None:
            if progress is not None:
                progress(number * frames + done, len(rounds) * frames)

        solved, energy = in_chunks(
            table, motion, evidence, start, STEPS, 0.01, own_shape, progress=report
        )
        start = replace(start, betas=solved.betas.median(0).values.expand(len(start), 10))
    return solved, energy
