"""Reading SMPL_PARAMS: one level of checked tensors per person, whatever the pack.

What producers really emit: ``{"global": {...}, "incam": {...}, "K_fullimg", "R_w2c", "t_w2c"}``
(GVHMR in MotionCapture; its loader and HY-Motion's repeat the global one as "incam" and may write
an identity as lens), or flat ``global_orient`` and ``body_pose`` (T, 63 or 69), ``transl`` or
``trans``, ``betas``; ``poses`` / ``pose`` (T, 66, 72, 156 or 165), (T, J, 3) or (T, J, 3, 3), or
with a batch before; ``pred_smpl_params`` with ``pred_cam_t`` of the HMR2 kind; ``orig_cam`` (T, 4)
of the PARE kind. A list is several persons.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ...body.rotations import axis_angle_to_matrix
from ...errors import InputError
from ..importers.assemble import guess_up
from ..importers.smpl_params import BODY_KEYS, LENS_KEYS, RATE_KEYS, ROOT_KEYS, TRANSLATION_KEYS
from .arrays import LARGEST, to_tensor

FORM = "a dictionary of SMPL parameters (global_orient and body_pose, or poses)"
POSE_KEYS = ("poses", "pose", "pred_pose", "smpl_pose", "smpl_thetas", "thetas", "full_pose")
JOINT_KEYS = ("joints3d", "smpl_j3d", "pred_joints", "joints")
COUNTS = (22, 24, 52, 55)
SHORTEST_LENS = 10.0  # px: below it a "lens" is a placeholder such as the identity
REPEATED = 1e-6


def flat(data: dict, name: str) -> dict:
    """One level of CPU tensors: the camera's version where there is one, else the world's."""
    inside, world = (data.get(k) for k in ("incam", "global"))
    if isinstance(inside, Mapping) or isinstance(world, Mapping):
        outer = (*LENS_KEYS, *RATE_KEYS, "img_width", "img_height")
        lens = {k: data[k] for k in outer if k in data}
        world = dict(world) if isinstance(world, Mapping) else dict(inside)
        if isinstance(inside, Mapping) and not _repeats(inside, world):
            for key in ROOT_KEYS:
                if key in inside:
                    world["global_orient_incam"] = inside[key]
            for key in TRANSLATION_KEYS:
                if key in inside:
                    world["transl_incam"] = inside[key]
            world |= {k: v for k, v in inside.items() if k not in (*ROOT_KEYS, *TRANSLATION_KEYS)}
            if "global_orient" not in world:
                world["global_orient"] = inside.get("global_orient")
        data = {**lens, **world}
    if isinstance(data.get("pred_smpl_params"), Mapping):
        data = {**data, **data["pred_smpl_params"]}
        del data["pred_smpl_params"]
    return {k: _plain(v, f"{name}, {k},") for k, v in data.items() if isinstance(k, str)}


def _repeats(inside: Mapping, world: Mapping) -> bool:
    """A loader without camera data hands out the world's parameters twice."""
    if inside is world:
        return True
    for key in (*ROOT_KEYS, *POSE_KEYS):
        a, b = (_plain(side.get(key), key) for side in (inside, world))
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a.shape == b.shape and bool((a - b).abs().max() < REPEATED)
    return False


def _plain(value: object, name: str) -> object:
    """Tensors and arrays of numbers -> float32 CPU tensors; anything else as it is."""
    if isinstance(value, list | tuple):
        value = to_tensor(value, name, None) if _is_numbers(value) else value
    if isinstance(value, Tensor | np.ndarray):
        if isinstance(value, np.ndarray) and value.dtype.kind not in "fiu":
            return value
        if value.ndim == 0 or 0 in value.shape:
            return value
        if (value.numel() if isinstance(value, Tensor) else value.size) > LARGEST:
            raise InputError(f"{name} claims {tuple(value.shape)} numbers; that is no clip")
        return to_tensor(value, name, None)
    return value


def _is_numbers(value: object) -> bool:
    while isinstance(value, list | tuple) and len(value):
        value = value[0]
    return isinstance(value, int | float)


def persons(data: dict, name: str) -> list[dict]:
    """The same keys for every person of a batch: global_orient (T, 1, 3 or 3, 3) and body_pose
    (T, 21 or 23, 3 or 3, 3) in place of whatever the poses were."""
    root, below, every = (_first(data, keys) for keys in (ROOT_KEYS, BODY_KEYS, POSE_KEYS))
    if root is not None and below is not None:
        root = _joints(root, (1,), f"{name}, global_orient,")
        below = _joints(below, (21, 23, 51, 54), f"{name}, body_pose,")
    elif every is not None:
        every = _joints(every, COUNTS, f"{name}, the pose,")
        root, below = every[:, :, :1], every[:, :, 1:]
    else:
        raise InputError(
            f"{name} must be {FORM}, all of them numbers; it holds "
            f"{', '.join(k[:40] for k in list(data)[:8]) or 'nothing'}"
        )
    if root.shape[:2] != below.shape[:2] or root.ndim != below.ndim:
        raise InputError(f"{name} has {len(root[0])} root rotations but {len(below[0])} body poses")
    if below.shape[2] not in (21, 23):  # hands and face of SMPL-H and SMPL-X
        below = below[:, :, :21]
    keep = {k: v for k, v in data.items() if k not in (*POSE_KEYS, *ROOT_KEYS, *BODY_KEYS)}
    batch, total = root.shape[:2]
    people = []
    for number in range(batch):
        part = {k: _of_person(v, number, batch, total) for k, v in keep.items()}
        part |= {"global_orient": root[number], "body_pose": below[number]}
        people.append(_camera_keys(part))
    return people


def _first(data: dict, keys: tuple[str, ...]) -> Tensor | None:
    return next((data[k] for k in keys if isinstance(data.get(k), Tensor)), None)


def _of_person(value: object, number: int, batch: int, total: int) -> object:
    if isinstance(value, Tensor) and value.ndim > 2 and value.shape[:2] == (batch, total):
        return value[number]
    return value


def _camera_keys(data: dict) -> dict:
    """Without placeholders for lenses; a flat body upright before a real lens is the camera's."""
    for key in LENS_KEYS:
        lens = data.get(key)
        if isinstance(lens, Tensor) and not float(lens.flatten()[0]) >= SHORTEST_LENS:
            del data[key]
    place = _first(data, TRANSLATION_KEYS)
    seen = any(k in data for k in (*LENS_KEYS, "focal_length"))
    if "global_orient_incam" in data and "transl_incam" not in data:
        data["global_orient"] = data.pop("global_orient_incam")
    elif place is not None and seen and "transl_incam" not in data and "pred_cam_t" not in data:
        root = data["global_orient"]
        spine = (root if root.shape[-1] == root.shape[-2] else axis_angle_to_matrix(root))[:, 0]
        upright = guess_up(spine[torch.isfinite(spine).flatten(1).all(1)][:, :, 1]) == "-y"
        before = place.shape[-1:] == (3,) and bool((place[..., 2].nan_to_num(1) > 0).all())
        if upright and before:
            data |= {"global_orient_incam": root, "transl_incam": place}
    return data


def _joints(value: Tensor, counts: tuple[int, ...], name: str) -> Tensor:
    """(B, T, n, 3) axis-angle or (B, T, n, 3, 3) of anything that holds n joints a frame."""
    matrices = (
        value.ndim >= 2
        and value.shape[-2:] == (3, 3)
        and (value.ndim > 3 or 3 not in counts and value.shape[0] != 3)
    )
    width = 9 if matrices else 3
    for lead in (0, 1, 2):
        if value.ndim < lead or not value.numel():
            break
        flat = value.reshape(*value.shape[:lead], -1)
        if flat.shape[-1] % width or flat.shape[-1] // width not in counts:
            continue
        while flat.ndim < 3:
            flat = flat[None]
        joints = flat.unflatten(-1, (-1, 3, 3) if matrices else (-1, 3))
        return joints
    wanted = " or ".join(str(3 * n) for n in counts[:3])
    raise InputError(
        f"{name} must be (T, {wanted}) axis-angle or as many rotation matrices; got "
        f"{tuple(value.shape)}"
    )
