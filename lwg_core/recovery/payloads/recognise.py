"""Which kind of payload is this? Told by what it holds, since sockets of one name vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...body.model import BodyModel
from ...body.params import SmplParams
from .mhr import import_mhr
from .nlf import KEYS as NLF_KEYS
from .nlf import import_nlf
from .smpl import import_smpl_payload


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
    if isinstance(payload, Mapping) and "frames" in payload:
        return import_mhr(payload, body, size, fps=fps, progress=progress)
    nested = isinstance(payload, list | tuple) and not isinstance(
        next(iter(payload), None), Mapping
    )
    if nested or isinstance(payload, Mapping) and any(key in payload for key in NLF_KEYS):
        return import_nlf(payload, body, size, fov=fov, fps=fps, progress=progress)
    return import_smpl_payload(payload, body, size, fps=None if fps == 30.0 else fps)
