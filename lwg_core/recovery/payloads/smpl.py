"""SMPL_PARAMS payloads of other packs -> SmplParams.

Poses are taken as they are. Betas stay only on the body model they belong to; otherwise the shape
is solved from joints, where the payload has them, or left neutral.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.params import SmplParams
from ...errors import InputError
from ...render.camera import Camera
from ..importers.assemble import keep_pelvis, spread, weak
from ..importers.smpl_params import RATE_KEYS, TRANSLATION_KEYS, read_smpl_dict
from ..kinematics import forward
from ..point_targets import joint_table
from .arrays import frame_rate, need_mapping, to_tensor
from .smpl_payload import COUNTS, FORM, JOINT_KEYS, flat, persons

log = logging.getLogger(__name__)

SHAPE_SD = 0.03  # metres: how well somebody's joints say our shape


def import_smpl_payload(
    payload: object,
    body: BodyModel,
    size: tuple[int, int] | None = None,
    *,
    fps: float = 30.0,
) -> tuple[SmplParams, ...]:
    """One SmplParams per person.

    size: (height, width) of the picture where the payload does not say it.
    fps: frames per second, used where the payload does not say.
    """
    if isinstance(payload, list | tuple):
        people = list(payload)
    else:
        people = [payload]
    if all(p is None or (isinstance(p, Mapping) and not p) for p in people):
        raise InputError(
            f"SMPL_PARAMS is empty, so the node before it found nobody or failed; it must be {FORM}"
        )
    if len(people) > 1000:
        raise InputError(f"SMPL_PARAMS claims {len(people):,} persons")
    result = []
    for number, person in enumerate(people):
        name = "SMPL_PARAMS" if len(people) == 1 else f"SMPL_PARAMS of person {number}"
        data = flat(dict(need_mapping(person, name, FORM)), name)
        for part in persons(data, name):
            if all(part.get(key) is None for key in RATE_KEYS):
                part["fps"] = frame_rate(fps, "fps")
            params = _import(part, name, body, size)
            result.append(replace(params, track=len(result)))
    return tuple(result)


def _import(data: dict, name: str, body: BodyModel, size: tuple[int, int] | None) -> SmplParams:
    total = len(data["global_orient"])
    whole = torch.isfinite(data["global_orient"]).flatten(1).all(1)
    whole &= torch.isfinite(data["body_pose"]).flatten(1).all(1)
    for key in (*TRANSLATION_KEYS, "pred_cam_t", "transl_incam"):
        place = data.get(key)
        if isinstance(place, Tensor) and place.ndim and len(place) == total:
            whole &= torch.isfinite(place).flatten(1).all(1)
    seen = whole.nonzero().flatten()
    if not len(seen):
        raise InputError(f"{name}: every frame holds NaN or infinite values")
    if len(seen) < total:
        log.warning("%s: %d of %d frames hold NaN: marked invalid", name, total - len(seen), total)
        data = {k: _pick(v, seen, total) for k, v in data.items()}
    try:
        params = read_smpl_dict(data, name, None, size)[0]
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    model = "smpl" if data["body_pose"].shape[1] == 23 else "smplx"
    if "orig_cam" in data:
        params = replace(params, camera=_orig_camera(data["orig_cam"], len(seen), size, name))
    params = params.to(body.v_template.device)
    if params.body_model != body.id:
        params = _with_shape(params, data, name, body)
        params = replace(params, camera=keep_pelvis(params.camera, model, body, params.betas))
    return spread(params, seen.tolist(), total)


def _with_shape(params: SmplParams, data: dict, name: str, body: BodyModel) -> SmplParams:
    """Betas of this body: solved from the payload's joints, else zero."""
    betas = params.pose.new_zeros(10)
    joints = next((data[k] for k in JOINT_KEYS if isinstance(data.get(k), Tensor)), None)
    if joints is not None and joints.ndim == 3 and joints.shape[1] in COUNTS and _is_body(joints):
        betas = shape_from_joints(body, joints.to(params.pose))
    elif "betas" in data:
        log.warning(
            "%s: its betas belong to another body model than %r; the shape is neutral",
            name, body.id,
        )  # fmt: skip
    return replace(params, betas=betas, body_model=body.id)


def _is_body(joints: Tensor) -> bool:
    """Finite, in metres and of a person's size."""
    reach = (joints - joints[:, :1]).norm(dim=-1).amax(1)
    return bool(((reach > 0.3) & (reach < 2)).all())


def shape_from_joints(body: BodyModel, joints: Tensor) -> Tensor:
    """Betas (10,) under which the body's bones are as long as those of joints (T, 22+, 3), metres.

    Rest joints are linear in the betas, and so, nearly, are the lengths of bones: ridge regression.
    """
    table = joint_table(body)
    like = table.joints
    rotations = torch.eye(3).to(like).expand(11, 24, 3, 3)
    basis = torch.cat([like.new_zeros(1, 10), torch.eye(10).to(like)])
    rest = forward(table, rotations, basis).position[:, :22]
    parents = list(body.parents[1:22])
    bones = (rest[:, 1:] - rest[:, parents]).norm(dim=-1)
    found = (joints[:, 1:22] - joints[:, parents]).norm(dim=-1).to(like).median(0).values
    trust = min(len(joints), 10) ** 0.5 / SHAPE_SD
    slope = trust * (bones[1:] - bones[:1]).T
    normal = slope.T @ slope + torch.eye(10).to(like)
    betas = torch.linalg.solve(normal, slope.T @ (trust * (found - bones[0])))
    return betas.clamp(-3, 3)


def _orig_camera(
    given: object, frames: int, size: tuple[int, int] | None, name: str
) -> Camera | None:
    """Weak perspective (sx, sy, tx, ty) of the whole picture, in units of half its sides."""
    if size is None:
        log.warning("%s: orig_cam needs the picture's size; the body has no camera", name)
        return None
    given = to_tensor(given, f"{name}, orig_cam,", ((frames, 4),))
    half = given.new_tensor([size[1] / 2, size[0] / 2])
    scale = given[:, :2] * half
    return weak(scale.mean(1), half + scale * given[:, 2:], size)


def _pick(value: object, index: Tensor, total: int) -> object:
    if isinstance(value, Tensor) and value.ndim and len(value) == total:
        return value[index]
    return value
