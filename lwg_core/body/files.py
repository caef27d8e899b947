"""Files of motions and of body models.

A motion or person is one .npz with the fields of ``SmplParams``: pose, betas, body_model,
cam_scale, cam_center, cam_size, cam_focal, cam_principal, confidence, valid, fps, track; only
``pose`` is required. Motions of other programs are read by ``recovery.importers``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import InputError
from ..files import atomic_path
from ..render.camera import Camera
from .archive import read_npz
from .model import BodyModel
from .open_body import open_body
from .params import SmplParams
from .safe_pickle import as_array, read_pickle
from .smpl_family import BODY_KEYS, body_of_arrays


def save_params(path: str | os.PathLike, params: SmplParams) -> None:
    """Write ``params`` to an .npz file, whole or not at all."""
    if Path(path).suffix.lower() != ".npz":
        raise InputError(f"{path}: a motion is saved as .npz; give a name that ends in .npz")
    arrays: dict[str, Tensor | NDArray | None] = {
        "pose": params.pose,
        "betas": params.betas,
        "confidence": params.confidence,
        "valid": params.valid,
        "fps": np.float64(params.fps),
        "track": np.int64(params.track),
    }
    if params.body_model is not None:
        arrays["body_model"] = np.array(params.body_model)
    if params.camera is not None:
        arrays |= {
            "cam_scale": params.camera.scale,
            "cam_center": params.camera.center,
            "cam_size": np.array(params.camera.size, np.int64),
            "cam_focal": params.camera.focal,
            "cam_principal": params.camera.principal,
        }
    plain = {
        name: value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        for name, value in arrays.items()
        if value is not None
    }
    with atomic_path(path) as part, open(part, "wb") as stream:
        np.savez_compressed(stream, **plain)


def load_params(path: str | os.PathLike) -> SmplParams:
    """Read a motion or person from an .npz file; an InputError says what is wrong with it."""
    arrays = read_npz(path)
    name = Path(path).name
    if "pose" not in arrays:
        raise InputError(
            f"{name}: holds {', '.join(sorted(arrays)) or 'nothing'} but no 'pose' (T, 24, 3); a "
            "motion of another program is no person in a picture"
        )
    try:
        return SmplParams(
            pose=_floats(arrays, "pose"),
            betas=_floats(arrays, "betas"),
            body_model=_scalar(arrays, "body_model", "U", None),
            camera=_camera(arrays),
            confidence=_floats(arrays, "confidence"),
            valid=_valid(arrays),
            fps=float(_scalar(arrays, "fps", "fiu", 30.0)),
            track=int(_scalar(arrays, "track", "iu", 0)),
        )
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _floats(arrays: dict[str, NDArray], name: str) -> Tensor | None:
    if name not in arrays:
        return None
    if arrays[name].dtype.kind not in "fiu":
        raise InputError(f"{name} must hold numbers; it is of type {arrays[name].dtype}")
    with np.errstate(over="ignore"):  # infinite values are refused by those who take them
        return torch.from_numpy(arrays[name].astype(np.float32))


def _scalar(arrays: dict[str, NDArray], name: str, kinds: str, default):
    if name not in arrays:
        return default
    if arrays[name].size != 1 or arrays[name].dtype.kind not in kinds:
        raise InputError(f"{name} must be one value; it is {arrays[name].dtype} "
                         f"of shape {arrays[name].shape}")  # fmt: skip
    return arrays[name].item()


def _valid(arrays: dict[str, NDArray]) -> Tensor | None:
    if "valid" not in arrays:
        return None
    if arrays["valid"].dtype.kind not in "biu":
        raise InputError(f"valid must be (T,) booleans; it is of type {arrays['valid'].dtype}")
    return torch.from_numpy(arrays["valid"].astype(bool))


def _camera(arrays: dict[str, NDArray]) -> Camera | None:
    needed = ("cam_scale", "cam_center", "cam_size")
    missing = [name for name in needed if name not in arrays]
    if len(missing) == len(needed):
        return None
    if missing:
        raise InputError(f"a camera needs {', '.join(needed)}; missing: {', '.join(missing)}")
    size = arrays["cam_size"]
    if size.shape != (2,) or size.dtype.kind not in "iu" or not (0 < size).all():
        raise InputError("cam_size must be (height, width) in whole pixels, both above zero")
    return Camera(
        scale=_floats(arrays, "cam_scale"),
        center=_floats(arrays, "cam_center"),
        size=(int(size[0]), int(size[1])),
        focal=_floats(arrays, "cam_focal"),
        principal=_floats(arrays, "cam_principal"),
    )


def load_body_model(path: str | os.PathLike) -> BodyModel:
    """``"open"`` for the built-in body, or a file in SMPL, SMPL-H or SMPL-X layout.

    Official files are read as they come, .pkl or .npz; .safetensors holds the same keys.
    """
    if str(path) == "open":
        return open_body()
    path = Path(path)
    readers = {".npz": _read_npz, ".pkl": _read_pickle, ".safetensors": _read_safetensors}
    if path.suffix.lower() not in readers:
        raise InputError(
            f"{path.name}: a body model is 'open' or a .pkl, .npz or .safetensors file"
        )
    arrays = readers[path.suffix.lower()](path)
    try:
        return body_of_arrays(arrays, path.stem.lower())
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error


def _read_npz(path: Path) -> dict[str, NDArray]:
    return read_npz(path, only=BODY_KEYS)


def _read_pickle(path: Path) -> dict[str, NDArray]:
    held = read_pickle(path)
    if not isinstance(held, dict):
        raise InputError(f"{path.name}: not a body model, which is a dictionary of arrays")
    arrays = {}
    for key in BODY_KEYS:
        if key in held:
            try:
                arrays[key] = as_array(held[key])
            except InputError as error:
                raise InputError(f"{path.name}: {key} {error}") from error
    return arrays


def _read_safetensors(path: Path) -> dict[str, NDArray]:
    try:
        tensors = load_file(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path.name}: not a whole .safetensors file ({error})") from error
    # NumPy has no bfloat16.
    return {n: (t.float() if t.is_floating_point() else t).numpy() for n, t in tensors.items()}
