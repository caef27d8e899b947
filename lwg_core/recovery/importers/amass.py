"""AMASS files and their kin: ``poses`` (T, 66 or more) axis-angle and ``trans`` (T, 3).

SMPL-H has 156 numbers a frame, SMPL-X 165, SMPL 72; all begin with the same 22 joints, and fingers
are left out. The world of AMASS is z-up; files of other programs in its layout may be y-up. AIST++
has the same under ``smpl_poses`` and ``smpl_trans``, in units of ``smpl_scaling``.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.params import SmplParams
from ...body.rotations import axis_angle_to_matrix
from ...errors import InputError
from .arrays import first, numbers, rotations, rows, scalar
from .assemble import Size, guess_up, imagined_camera, motion, turn_root, world_turn
from .smpl_params import RATE_KEYS

logger = logging.getLogger(__name__)

_POSE_KEYS = ("poses", "smpl_poses", "pose")
_OFFICIAL = ("dmpls", "marker_data", "markers", "surface_model_type")  # AMASS itself is z-up
_MODELS = {24: "smpl", 52: "smplh", 55: "smplx"}
_WIDTHS = (22, 23, 24, 52, 55)


def is_amass(data: object) -> bool:
    return isinstance(data, dict) and first(data, *_POSE_KEYS) is not None and "Rh" not in data


def read_amass(data: dict, name: str, body: BodyModel | None, size: Size) -> tuple[SmplParams, ...]:
    pose = rotations(first(data, *_POSE_KEYS), "poses", _WIDTHS)
    frames, joints = pose.shape[:2]
    body_pose = torch.zeros(frames, 24, 3, dtype=torch.float64)
    kept = 24 if joints == 24 else 22  # SMPL-H and SMPL-X have fingers from there on
    body_pose[:, :kept] = pose[:, :kept]
    if "hand_poses" in data:
        hands = rotations(data["hand_poses"], "hand_poses", (2,))
        if len(hands) != frames:
            raise InputError(f"has {frames} poses but {len(hands)} hand_poses")
        body_pose[:, 22:] = hands
    spines = axis_angle_to_matrix(body_pose[:, 0])[:, :, 1]
    up = "+z" if any(key in data for key in _OFFICIAL) else guess_up(spines)
    logger.info("%s: reading poses of a world whose up is %s", name, up)
    turn = world_turn(up)
    body_pose[:, 0] = turn_root(body_pose[:, 0], turn)
    rate = first(data, *RATE_KEYS)
    usual = 60.0 if "smpl_poses" in data else 30.0
    fps = usual if rate is None else scalar(rate, "the frame rate")
    betas, model = _shape(data, joints)
    params = motion(body_pose, betas, model, _camera(data, frames, turn), fps, body)
    return (_with_validity(params, data),)


def _camera(data: dict, frames: int, turn: Tensor):
    given = first(data, "trans", "smpl_trans")
    if given is None:
        return None
    unit = scalar(data["smpl_scaling"], "smpl_scaling") if "smpl_scaling" in data else 1.0
    if not unit > 0:
        raise InputError(f"smpl_scaling must be above zero; it is {unit}")
    return imagined_camera(rows(given, "trans", 3, frames) / unit @ turn.T)


def _shape(data: dict, joints: int) -> tuple[Tensor | None, str | None]:
    """Betas of the neutral body: those of the male and female ones mean other shapes.

    All zero is how writers say that they know none.
    """
    gender = data.get("gender")
    if isinstance(gender, np.ndarray) and gender.size == 1:
        gender = gender.item()
    neutral = isinstance(gender, str) and gender == "neutral"
    if not neutral or data.get("betas") is None or joints not in _MODELS:
        return None, None
    betas = numbers(data["betas"], "betas")
    return (betas, _MODELS[joints]) if betas.any() else (None, None)


def _with_validity(params: SmplParams, data: dict) -> SmplParams:
    valid = data.get("valid")
    if not isinstance(valid, np.ndarray) or valid.dtype != bool or valid.shape != (len(params),):
        return params
    valid = torch.from_numpy(valid)
    return replace(params, valid=valid, confidence=params.confidence * valid[:, None])
