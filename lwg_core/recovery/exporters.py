"""Bodies for other programs: AMASS motion files, POSE_KEYPOINT json, meshes."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from ..errors import InputError
from ..files import atomic_path
from .importers.assemble import ASSUMED_DISTANCE, world_turn
from .projection import project_keypoints, to_pose_keypoint

logger = logging.getLogger(__name__)

AMASS_WIDTH = 156  # SMPL-H: 22 joints of the body, 15 of each hand
AMASS_BETAS = 16
_CHUNK = 256


def save_amass(path: str | os.PathLike, params: SmplParams, body: BodyModel) -> None:
    """Write a motion in the layout of AMASS (SMPL-H, z-up world, metres), whole or not at all.

    poses (T, 156) axis-angle with resting fingers, trans (T, 3) from the camera or still without
    one, the feet on the ground z = 0 at their lowest, dmpls zero; betas (16,) if they are SMPL-H's,
    otherwise zero, the average body, because betas mean nothing to another model. Beside it stand
    hand_poses (T, 2, 3), SMPL's two hand joints, and valid (T,), which other programs ignore.

    body: the model that the motion is of; it says where the ground is.
    """
    if Path(path).suffix.lower() != ".npz":
        raise InputError(f"{path}: an AMASS motion is an .npz; give a name that ends in .npz")
    pose, frames = params.pose.detach().cpu().double(), len(params)
    turn = world_turn("+z").T
    root = matrix_to_axis_angle(turn @ axis_angle_to_matrix(pose[:, 0]))
    travel = _travel(params) @ turn.T
    travel[:, 2] -= (travel[:, 2] - _below(params, body)).amin()  # the ground is z = 0
    poses = torch.zeros(frames, AMASS_WIDTH, dtype=torch.float64)
    poses[:, :3] = root
    poses[:, 3:66] = pose[:, 1:22].flatten(1)
    betas = np.zeros(AMASS_BETAS)
    if params.betas is not None and params.body_model == "smplh":
        betas[:10] = params.betas.detach().cpu().numpy()
    arrays = {
        "poses": poses.numpy(),
        "trans": travel.numpy(),
        "betas": betas,
        "gender": np.array("neutral"),
        "mocap_framerate": np.float64(params.fps),
        "dmpls": np.zeros((frames, 8)),
        "hand_poses": pose[:, 22:].numpy(),
        "valid": params.valid.detach().cpu().numpy(),
    }
    with atomic_path(path) as part, open(part, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def _travel(params: SmplParams) -> Tensor:
    """(T, 3) metres in camera axes, from the first frame's place: where the body's origin goes.

    A weak-perspective camera is read as one of ASSUMED_DISTANCE in its first frame.
    """
    camera = params.camera
    if camera is None:
        return torch.zeros(len(params), 3, dtype=torch.float64)
    scale, center = camera.scale.detach().cpu().double(), camera.center.detach().cpu().double()
    if camera.focal is None:
        depth = ASSUMED_DISTANCE * scale[:1] / scale
        middle = center.new_tensor([camera.size[1] / 2, camera.size[0] / 2])
    else:
        depth = camera.focal.detach().cpu().double() / scale
        middle = camera.principal_point.detach().cpu().double()
    place = torch.cat([(center - middle) / scale[:, None], depth[:, None]], 1)
    return place - place[:1]


def _below(params: SmplParams, body: BodyModel) -> Tensor:
    """(T,) metres from the body's origin in a z-up world down to its lowest vertex.

    The root turns about the pelvis, which stays at its resting place in whatever frame.
    """
    betas = params.betas if params.body_model == body.id else None
    betas = params.pose.new_zeros(10) if betas is None else betas
    pelvis = body.joints_rest(betas[None])[0, 0]
    lowest = [
        body.vertices(params.pose[i : i + _CHUNK], betas)[..., 1].amax(1)
        for i in range(0, len(params), _CHUNK)
    ]
    return (torch.cat(lowest) - pelvis[1] - pelvis[2]).detach().cpu().double()


def save_pose_keypoints(path: str | os.PathLike, params: SmplParams, body: BodyModel) -> None:
    """Write what a detector would see as POSE_KEYPOINT json, one entry for each frame.

    Needs a camera and a body with keypoints; frames that are not valid hold nobody.
    """
    if Path(path).suffix.lower() != ".json":
        raise InputError(f"{path}: keypoints are saved as .json; give a name that ends in .json")
    points, seen = project_keypoints(body, params)
    text = json.dumps(to_pose_keypoint(points, seen, params.camera.size))
    with atomic_path(path) as part:
        part.write_text(text, "ascii")


def save_mesh(
    path: str | os.PathLike,
    params: SmplParams,
    body: BodyModel,
    frame: int = 0,
    offsets: Tensor | None = None,
) -> None:
    """Write the body of one frame as Wavefront .obj, metres, y up, faces counter-clockwise.

    offsets: (V,) metres along the rest normals, or None.
    """
    if Path(path).suffix.lower() != ".obj":
        raise InputError(f"{path}: a mesh is saved as .obj; give a name that ends in .obj")
    if not -len(params) <= frame < len(params):
        raise InputError(f"frame {frame} does not exist; the clip has {len(params)} frames")
    if params.body_model not in (None, body.id):
        raise InputError(
            f"the parameters belong to body model {params.body_model!r}, not {body.id!r}"
        )
    betas = params.pose.new_zeros(10) if params.betas is None else params.betas
    vertices = body.vertices(params.pose[frame][None], betas, offsets)[0]
    upright = vertices * vertices.new_tensor([1.0, -1.0, -1.0])  # camera frame to y up
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in upright.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (body.faces + 1).tolist()]
    text = "\n".join(lines) + "\n"
    with atomic_path(path) as part:
        part.write_text(text, "ascii")
