"""Dictionaries of SMPL parameters: GVHMR, ComfyUI MotionCapture, and the plain kind.

GVHMR's ``hmr4d_results.pt`` holds ``smpl_params_incam`` and ``smpl_params_global`` (SMPL-X:
body_pose (F, 63), betas (F, 10), global_orient (F, 3), transl (F, 3)) and ``K_fullimg`` (F, 3, 3);
the principal point is the middle of the picture. ComfyUI MotionCapture writes the global ones as
npz, with ``global_orient_incam`` and ``transl_incam`` beside them and, for a moving camera,
``K_fullimg``, ``img_width``, ``img_height``. Programs of the HMR2 kind keep rotation matrices in
``pred_smpl_params``, with ``pred_cam_t``, a focal length or ``cam_int``, and the picture's size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.params import SmplParams
from ...body.rotations import axis_angle_to_matrix
from ...errors import InputError
from ...render.camera import Camera
from .arrays import first, numbers, rotations, rows, scalar
from .assemble import (
    Size,
    guess_up,
    imagined_camera,
    keep_pelvis,
    motion,
    pinhole,
    seen_camera,
    turn_root,
    world_turn,
)

ROOT_KEYS = ("global_orient", "root_orient")
BODY_KEYS = ("body_pose", "pose_body")
TRANSLATION_KEYS = ("transl", "trans", "translation")
LENS_KEYS = ("K_fullimg", "cam_int", "intrinsics", "K")
RATE_KEYS = ("mocap_framerate", "mocap_frame_rate", "fps", "frame_rate")
_MODELS = {21: "smplx", 23: "smpl"}  # joints below the root


def is_gvhmr(data: object) -> bool:
    return isinstance(data, dict) and any(
        isinstance(data.get(key), dict) for key in ("smpl_params_incam", "smpl_params_global")
    )


def is_smpl_dict(data: object) -> bool:
    if isinstance(data, dict) and isinstance(data.get("pred_smpl_params"), dict):
        data = data["pred_smpl_params"]
    return (
        isinstance(data, dict)
        and "poses" not in data
        and all(any(key in data for key in keys) for keys in (ROOT_KEYS, BODY_KEYS))
    )


def read_gvhmr(data: dict, name: str, body: BodyModel | None, size: Size) -> tuple[SmplParams, ...]:
    inside, world = data.get("smpl_params_incam"), data.get("smpl_params_global")
    if not isinstance(inside, dict):
        return read_smpl_dict(world, name, body, size)
    lens = {"K_fullimg": data["K_fullimg"]} if "K_fullimg" in data else {}
    return (_inside(inside, inside, lens, name, body, size),)


def read_smpl_dict(
    data: dict, name: str, body: BodyModel | None, size: Size
) -> tuple[SmplParams, ...]:
    if isinstance(data.get("pred_smpl_params"), dict):
        data = {**data, **data["pred_smpl_params"]}
    if "global_orient_incam" in data and "transl_incam" in data:
        inside = {"global_orient": data["global_orient_incam"], "transl": data["transl_incam"]}
        return (_inside(data, inside, data, name, body, size),)
    if "pred_cam_t" in data:
        inside = {"global_orient": first(data, *ROOT_KEYS), "transl": data["pred_cam_t"]}
        return (_inside(data, inside, data, name, body, size),)
    root, joints, shape, model = _poses(data, first(data, *ROOT_KEYS))
    matrices = axis_angle_to_matrix(root[:, 0])
    turn = world_turn(guess_up(matrices[:, :, 1]))
    given = first(data, *TRANSLATION_KEYS)
    camera = None
    if given is not None:
        camera = imagined_camera(rows(given, "the translation", 3, len(root)) @ turn.T)
    root = turn_root(root[:, 0], turn)[:, None]
    pose = torch.cat([root, joints], 1)
    return (motion(pose, shape, model, camera, _fps(data), body),)


def _inside(
    data: dict, inside: dict, lens: dict, name: str, body: BodyModel | None, size: Size
) -> SmplParams:
    """A body in the frame of the camera that saw it."""
    root, joints, shape, model = _poses(data, inside.get("global_orient"))
    translation = rows(inside.get("transl"), "the translation", 3, len(root))
    camera = keep_pelvis(_camera(lens, translation, name, size), model, body)
    return motion(torch.cat([root, joints], 1), shape, model, camera, _fps(data), body)


def _poses(data: dict, root: object) -> tuple[Tensor, Tensor, Tensor | None, str | None]:
    if root is None:
        raise InputError("has no root rotation (global_orient) beside its body_pose")
    turns = rotations(root, "global_orient", (1,))
    joints = rotations(first(data, *BODY_KEYS), "body_pose", (21, 23))
    if len(turns) != len(joints):
        raise InputError(f"has {len(turns)} root rotations but {len(joints)} body poses")
    betas = None if data.get("betas") is None else numbers(data["betas"], "betas")
    # "pose_body" is written for SMPL-H and SMPL-X alike, and their betas differ.
    model = None if "pose_body" in data else _MODELS[joints.shape[1]]
    return turns, joints, betas, model


def _camera(lens: dict, translation: Tensor, name: str, size: Size) -> Camera:
    frames = len(translation)
    told = size
    if "img_width" in lens and "img_height" in lens:
        told = tuple(scalar(lens[key], key) for key in ("img_height", "img_width"))
    elif "img_size" in lens:
        told = tuple(rows(lens["img_size"], "img_size", 2)[0].flip(0).tolist())
    matrix = first(lens, *LENS_KEYS)
    if matrix is None:
        focal = first(lens, "scaled_focal_length", "focal_length")
        if focal is None or told is None:
            return seen_camera(translation, told, name)
        length = numbers(focal, "the focal length").flatten()
        if len(length) not in (1, frames):
            raise InputError(f"has {len(length)} focal lengths for {frames} frames")
        return pinhole(translation, length.expand(frames), told)
    given = numbers(matrix, "the camera matrix").reshape(-1, 3, 3) if _is_lens(matrix) else None
    if given is None or len(given) not in (1, frames):
        raise InputError(f"the camera matrix must be ({frames}, 3, 3)")
    given = given.expand(frames, 3, 3)
    if (given[:, 0, 0] / given[:, 1, 1] - 1).abs().max() > 0.01:
        raise InputError("the camera matrix must have square pixels: equal focal lengths")
    middle = given[:, :2, 2]
    if told is None:
        told = (2 * middle[0]).flip(0).tolist()
    return pinhole(translation, given[:, 0, 0], told, middle)


def _is_lens(matrix: object) -> bool:
    shape = getattr(matrix, "shape", ())
    return len(shape) >= 2 and tuple(shape[-2:]) == (3, 3)


def _fps(data: dict) -> float:
    given = first(data, *RATE_KEYS)
    return 30.0 if given is None else scalar(given, "the frame rate")
