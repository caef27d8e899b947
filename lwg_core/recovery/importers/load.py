"""One door for motion files: what a file is, is told by what is in it."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ...body.archive import LIMIT, read_npz
from ...body.files import load_params
from ...body.model import BodyModel
from ...body.params import SmplParams
from ...body.safe_pickle import read_pickle
from ...errors import InputError
from .amass import is_amass, read_amass
from .bvh import read_bvh
from .easymocap import is_easymocap, read_easymocap, read_folder, read_json
from .smpl_params import is_gvhmr, is_smpl_dict, read_gvhmr, read_smpl_dict
from .tracked import is_cropped, is_phalp, is_wham, read_cropped, read_phalp, read_wham

_KNOWN = (
    "an .npz of this project, AMASS or MotionCapture, a .pkl of 4D-Humans, WHAM, VIBE or PARE, a "
    ".pt of GVHMR, EasyMocap json or its folder, or a .bvh"
)
# Tried in this order; the first that knows the layout reads it.
_READERS = (
    (is_gvhmr, read_gvhmr),
    (is_phalp, read_phalp),
    (is_wham, read_wham),
    (is_cropped, read_cropped),
    (is_smpl_dict, read_smpl_dict),
    (is_easymocap, read_easymocap),
    (is_amass, read_amass),
)
# All that is read of an .npz; official files hold pickled extras beside it.
_ARRAYS = frozenset(
    """
    pose poses smpl_poses pred_pose smpl_pose body_pose pose_body global_orient root_orient
    global_orient_incam hand_poses Rh betas shapes shape pred_shape pred_betas smpl_betas
    trans transl translation smpl_trans transl_incam Th smpl_scaling
    pred_cam pred_cam_t orig_cam bboxes K_fullimg cam_int intrinsics K img_width img_height
    img_size focal_length scaled_focal_length
    mocap_framerate mocap_frame_rate fps frame_rate valid frame_ids id personID
    """.split()
)
_FOREIGN = {
    b"Kaydara FBX": "an FBX file; export the motion as BVH (Blender does)",
    b"glTF": "a glTF file; export the motion as BVH (Blender does)",
    b"\x93NUMPY": "a bare .npy array; save it with its names as .npz",
}
# What torch's reader of weights raises for files that are broken or hold more than tensors.
_BROKEN_TORCH = (
    pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError,
    AttributeError, IndexError, AssertionError, OverflowError, MemoryError, ImportError,
    struct.error, zipfile.BadZipFile,
)  # fmt: skip


def load_motion_file(
    path: str | os.PathLike,
    body: BodyModel | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[SmplParams, ...]:
    """The people in a motion file, who is seen longest first; all have the frames of the clip.

    body: whom the motion is for. BVH poses are fitted to its rest pose (None: the open body), and
        betas of another body model are left out.
    size: (height, width) of the picture, for files of bodies seen by a camera that do not tell it.

    Poses are always there, turned into the camera frame. Where a person is missing, the nearest
    pose is held and ``valid`` is False. Betas are kept when their body model is known. The camera
    is the file's where it has one, in pixels of the whole picture. Of a world motion it is an
    imagined one that carries the travel; None if the body stays in place.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return read_folder(path, body)
        with open(path, "rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    if not head:
        raise InputError(f"{path.name}: is empty; give {_KNOWN}")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    try:
        if text[:9].upper() == b"HIERARCHY":
            return read_bvh(path, path.name, body)
        data = _data(path, head, text)
        if head.startswith(b"PK") and _is_own(data):
            return (_own(path, body),)
        for knows, read in _READERS:
            if knows(data):
                return read(data, path.name, body, size)
        raise InputError(f"{_contents(data)}, which is no layout known here; give {_KNOWN}")
    except InputError as error:
        message = str(error)
        named = message.startswith((f"{path.name}: ", f"{path}: "))
        raise InputError(message if named else f"{path.name}: {message}") from error


def _is_own(data: object) -> bool:
    """Whether the arrays are those of ``body.files.save_params``."""
    pose = data.get("pose") if isinstance(data, dict) else None
    return isinstance(pose, np.ndarray) and pose.ndim == 3


def _own(path: Path, body: BodyModel | None) -> SmplParams:
    params = load_params(path)
    if body is None or params.body_model == body.id:
        return params
    return replace(params, betas=None, body_model=None)


def _data(path: Path, head: bytes, text: bytes) -> object:
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise InputError(f"is {what}")
    if head.startswith(b"PK"):
        names = _members(path)
        is_torch = any(name.endswith("/data.pkl") for name in names)
        return _torch(path) if is_torch else _npz(path, names)
    if text[:1] in (b"{", b"["):
        return read_json(path)
    pickled = head[:1] == b"\x80" or head[:2] in (b"\x1f\x8b", b"x\x9c", b"x\x01", b"x\xda", b"x^")
    if pickled or path.suffix.lower() in (".pkl", ".pickle", ".p", ".joblib"):
        return read_pickle(path)
    raise InputError(f"is no motion file known here; give {_KNOWN}")


def _members(path: Path) -> list[str]:
    """Names in a zip archive that does not unpack to too much."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
        raise InputError(f"is no whole .npz or .pt file ({error})") from error
    if sum(info.file_size for info in members) > LIMIT:
        raise InputError(f"unpacks to more than {LIMIT >> 20} MB")
    return [info.filename for info in members]


def _npz(path: Path, names: list[str]) -> dict:
    """The arrays by name; those that nobody reads are None."""
    data: dict = dict.fromkeys(name.removesuffix(".npy") for name in names)
    data |= read_npz(path, only=_ARRAYS)
    with contextlib.suppress(InputError):  # older AMASS files hold it as bytes
        data |= read_npz(path, only=("gender",))
    return data


def _torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except _BROKEN_TORCH as error:
        raise InputError(
            "is broken, or holds more than tensors, which is not read; it must be a file that "
            "torch.save wrote of tensors in dictionaries and lists"
        ) from error


def _contents(data: object) -> str:
    frame = data[0] if isinstance(data, list) and data else data
    if isinstance(frame, dict) and "people" in frame:
        return "holds keypoints, not bodies (recover the bodies from them first)"
    if isinstance(data, dict):
        names = [ascii(key).strip("'")[:30] for key in list(data)[:8]]
        return f"holds {', '.join(names) or 'nothing'}" + ("..." if len(data) > 8 else "")
    return f"holds a {type(data).__name__}"
