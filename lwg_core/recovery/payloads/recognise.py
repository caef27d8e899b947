"""Which kind of payload is this? Told by what it holds, since sockets of one name vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

from ...body.model import BodyModel
from ...body.params import SmplParams
from ..importers.smpl_params import ROOT_KEYS
from .mhr import import_mhr
from .nlf import KEYS as NLF_KEYS
from .nlf import import_nlf
from .smpl import import_smpl_payload
from .smpl_payload import POSE_KEYS


def import_payload(
    payload: object,
    body: BodyModel,
    size: tuple[int, int] | None = None,
    fps: float = 30.0,
    fov: float = 55.0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[SmplParams, ...]:
    """The people in MHR_POSE_DATA, NLFPRED or SMPL_PARAMS, one SmplParams of all frames each.

    size: (height, width) of the pictures, None = the payload's own. fps: where it does not say.
    fov: degrees along the longer side of the pictures, which NLFPRED never says.
    """
    found = _first(payload)
    held = {} if found is None else found
    if "pred_keypoints_3d" in held or (held is payload and "frames" in held):
        return import_mhr(payload, body, size, fps=fps, progress=progress)
    # Dictionaries of poses may hold joints as well.
    posed = any(key in held for key in (*POSE_KEYS, *ROOT_KEYS))
    joints = NLF_KEYS[0] in held or (not posed and any(key in held for key in NLF_KEYS))
    if joints or (found is None and isinstance(payload, list | tuple | Tensor | np.ndarray)):
        return import_nlf(payload, body, size, fov=fov, fps=fps, progress=progress)
    return import_smpl_payload(payload, body, size, fps=fps)


def _first(payload: object, deepest: int = 8) -> Mapping | None:
    """The payload, or the first dictionary in its lists."""
    while isinstance(payload, list | tuple) and deepest:
        payload = next((e for e in payload if isinstance(e, Mapping) or _holds(e)), None)
        deepest -= 1
    return payload if isinstance(payload, Mapping) else None


def _holds(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0
