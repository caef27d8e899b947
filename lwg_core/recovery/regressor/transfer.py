"""A recovered person on another body model.

The regressor speaks SMPL, and betas belong to one body model, so on any other only the poses are
kept. With the SMPL body at hand, shape and camera are refitted to where its joints lie. Without it
the target keeps its average shape under the camera of the crop: bodies in SMPL layout share their
origin, so the person stays in place, but limbs may end some centimetres off until keypoints say
more (``refine``).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.params import JOINT_NAMES, SmplParams
from ...errors import InputError
from ...render.camera import Camera

SKELETON_SD = 0.03  # metres between the joints of two body models
FRAMES = 3.0  # frames of one person err alike: together they speak like at most this many
# Where the two models' joints mean the same; spine and collars are set differently.
LIMBS = tuple(
    JOINT_NAMES.index(f"{side}_{name}")
    for side in ("left", "right")
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)


def onto_body(params: SmplParams, body: BodyModel, smpl: BodyModel | None = None) -> SmplParams:
    """A recovered person on another body model, in the same place of the same pictures.

    params: with a camera. smpl: the model that its betas belong to, where there is one.
    Joints of bones that end outside the picture, and all in frames that are not valid, get a
    confidence of zero.
    """
    if params.body_model == body.id:
        moved = params
    elif smpl is None:
        moved = replace(params, betas=torch.zeros_like(params.betas), body_model=body.id)
    else:
        if smpl.id != params.body_model:
            raise InputError(
                f"the parameters belong to body model {params.body_model!r}; got {smpl.id!r}"
            )
        moved = _refitted(params, body, smpl)
    seen = _in_picture(moved, body) * moved.valid[:, None]
    return replace(moved, confidence=moved.confidence * seen)


def _refitted(params: SmplParams, body: BodyModel, smpl: BodyModel) -> SmplParams:
    """Shape and camera of ``body`` from the joints of ``smpl``, poses kept.

    With fixed rotations posed joints are linear in the betas, J(b) = J(0) + D b, so the shape is
    one ridge regression over all frames, each of which may move its body as it likes.
    """
    use = params.valid if params.valid.any() else torch.ones_like(params.valid)
    pose, limbs = params.pose[use], list(LIMBS)
    average = body.joints(pose)
    steps = torch.eye(10).to(pose)
    change = torch.stack([body.joints(pose, step) - average for step in steps], -1)[:, limbs]
    missing = (smpl.joints(pose, params.betas) - average)[:, limbs]
    change = (change - change.mean(1, keepdim=True)).flatten(0, 2)
    missing = (missing - missing.mean(1, keepdim=True)).flatten()
    weight = min(1.0, FRAMES / int(use.sum())) / SKELETON_SD**2
    betas = torch.linalg.solve(
        weight * change.T @ change + torch.eye(10).to(pose), weight * change.T @ missing
    )
    wanted = params.camera.project(smpl.joints(params.pose, params.betas))[:, limbs, :2]
    own = body.joints(params.pose, betas)[:, limbs, :2]
    wanted_middle, own_middle = wanted.mean(1), own.mean(1)
    spread, ours = wanted - wanted_middle[:, None], own - own_middle[:, None]
    scale = (spread * ours).sum((1, 2)) / (ours * ours).sum((1, 2)).clamp_min(1e-6)
    scale = torch.where(scale > 0, scale, params.camera.scale)
    camera = Camera(scale, wanted_middle - scale[:, None] * own_middle, params.camera.size)
    return replace(params, betas=betas, body_model=body.id, camera=camera)


def _in_picture(params: SmplParams, body: BodyModel) -> Tensor:
    """(T, 24) 1.0 where a bone that the joint turns ends inside the picture, else 0.0."""
    x, y = params.camera.project(body.joints(params.pose, params.betas))[..., :2].unbind(-1)
    height, width = params.camera.size
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    ends = torch.zeros_like(inside)
    for joint, parent in enumerate(body.parents[1:], 1):
        ends[:, parent] |= inside[:, joint]
    leaves = [joint for joint in range(len(body.parents)) if joint not in body.parents]
    ends[:, leaves] = inside[:, leaves]
    return ends.to(params.pose.dtype)
