"""Pictures to SMPL parameters through the regressor.

boxes -> recover_images -> onto_body -> refine (where there are keypoints)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.params import SmplParams
from ...body.rotations import matrix_to_axis_angle
from ...errors import InputError
from ..keypoints import Keypoints
from .crop import crop, keypoint_boxes, mask_boxes, network_input, picture_boxes, windows
from .network import Regressor
from .refine import NOBODY, refine
from .transfer import onto_body

BATCH = 16  # pictures in the network at once

Progress = Callable[[int, int], None]


class Pictures(Protocol):
    """T pictures (3, H, W) in [-1, 1] that are read one after the other, as ``clips.Clip``.

    size: (height, width).
    """

    size: tuple[int, int]

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Tensor]: ...


def picture_size(images: Tensor | Pictures) -> tuple[int, int]:
    """(height, width)"""
    return (images.shape[2], images.shape[3]) if isinstance(images, Tensor) else images.size


def recover_person(
    regressor: Regressor,
    images: Tensor | Pictures,
    body: BodyModel,
    masks: Tensor | None = None,
    keypoints: Keypoints | None = None,
    progress: Progress | None = None,
    *,
    smpl: BodyModel | None = None,
    fps: float = 30.0,
    device: torch.device | str | None = None,
) -> tuple[SmplParams, tuple[str, ...]]:
    """One person in T pictures (T, 3, H, W) in [-1, 1], or read one by one, on ``body``.

    masks: (T, 1, H, W) in 0..1 of the person. keypoints: of the same pictures.
    smpl: the SMPL body, so that its shape can be carried over when ``body`` is another one.
    The person is where the keypoints are, or the mask, or fills the picture.
    Returns the parameters and a sentence per frame that is not valid, else "".
    """
    count, size = len(images), picture_size(images)
    seen = torch.ones(count, dtype=torch.bool)
    if keypoints is not None:
        if len(keypoints) != count or keypoints.size != size:
            raise InputError(
                f"keypoints must be {count} frames of (height, width) {size}, as the pictures; "
                f"got {len(keypoints)} of {keypoints.size}"
            )
        boxes, seen = keypoint_boxes(keypoints)
    elif masks is not None:
        boxes, seen = mask_boxes(masks)
    else:
        boxes = picture_boxes(count, size)
    found = recover_images(regressor, images, boxes, "smpl", progress, fps=fps, device=device)
    found = replace(found, valid=found.valid & seen.to(found.valid.device))
    on_body = onto_body(found, body, smpl)
    if keypoints is None:
        return on_body, tuple("" if v else NOBODY for v in on_body.valid.tolist())
    return refine(on_body, keypoints, body, progress=progress)


def recover_images(
    regressor: Regressor,
    images: Tensor | Pictures,
    boxes: Tensor,
    body_id: str = "smpl",
    progress: Progress | None = None,
    *,
    fps: float = 30.0,
    device: torch.device | str | None = None,
) -> SmplParams:
    """One person in T pictures (T, 3, H, W) in [-1, 1], or read one by one, with cameras of the
    whole pictures.

    boxes: (T, 4) left, top, right, bottom px around the person.
    body_id: the body model that the betas belong to. One shape is kept for all pictures.
    progress: called with (pictures done, pictures in all); what it raises ends the run.
    device: where the network runs, None = where it is.
    Frames in which the network's camera makes no sense are not ``valid``.
    """
    if isinstance(images, Tensor) and (images.ndim != 4 or images.shape[1] != 3):
        raise InputError(f"images must be (T, 3, H, W); got {tuple(images.shape)}")
    if len(images) != len(boxes):
        raise InputError(f"images must have one box each; got {len(images)} and {len(boxes)} boxes")
    where = windows(boxes, picture_size(images))
    device = device or regressor.init_cam.device
    found, pictures = [], iter(images)
    for frames in torch.arange(len(images)).split(BATCH):
        crops = crop(list(islice(pictures, len(frames))), where.select(frames))
        with torch.no_grad():
            prediction = regressor(network_input(crops.to(device)))
        found.append([t.to(crops.device) for t in prediction.tensors])
        if progress is not None:
            progress(int(frames[-1]) + 1, len(images))
    cameras, rotations, betas = (torch.cat(parts) for parts in zip(*found, strict=True))
    finite = torch.cat([t.flatten(1) for t in (cameras, rotations, betas)], 1).isfinite().all(1)
    if not finite.all():
        frames = (~finite).nonzero().flatten().tolist()
        raise InputError(
            f"the regressor answered NaN or infinite values for frames {frames[:10]}; its file "
            "must be damaged"
        )
    camera, valid = where.camera(cameras)
    chosen = betas[valid] if valid.any() else betas
    return SmplParams(
        pose=matrix_to_axis_angle(rotations),
        betas=chosen.median(0).values,
        body_model=body_id,
        camera=camera,
        valid=valid,
        fps=fps,
    )
