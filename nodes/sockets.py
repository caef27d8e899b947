"""Socket types, and the only place where ComfyUI's tensors become the core's and back.

ComfyUI: IMAGE (B, H, W, C) 0..1 and MASK (B, H, W), 1 = person, both maybe float16.
Core: images (N, 3, H, W) float32 in [-1, 1], masks (N, 1, H, W) in 0..1, 1 = person.
"""

from __future__ import annotations

import comfy.model_management
import torch
from comfy_api.latest import io
from einops import rearrange
from torch import Tensor

from ..lwg_core.errors import InputError

CATEGORY = "liquid warping"

BodyModelType = io.Custom("LWG_BODY_MODEL")  # lwg_core.body.model.BodyModel
SmplType = io.Custom("LWG_SMPL")  # lwg_core.body.params.SmplParams
SourcesType = io.Custom("LWG_SOURCES")  # tuple of 1-8 lwg_core.flow.source.Source
FlowType = io.Custom("LWG_FLOW")  # lwg_core.flow.sequence.FlowSequence
GeneratorType = io.Custom("LWG_GENERATOR")  # ModelPatcher around an AttLWBGenerator
RegressorType = io.Custom("LWG_REGRESSOR")  # ModelPatcher around a Regressor
MhrType = io.Custom("MHR_POSE_DATA")  # core SAM 3D Body
SmplPayloadType = io.Custom("SMPL_PARAMS")  # MotionCapture, HyMotion
NlfType = io.Custom("NLFPRED")  # WanVideoWrapper, SCAIL-Pose
PoseKeypointType = io.Custom("POSE_KEYPOINT")  # OpenPose frames, as SDPose and DWPose emit them


def body_model_input() -> io.Input:
    """The optional body model input that several stages share."""
    return BodyModelType.Input(
        "body_model",
        optional=True,
        tooltip="Body model that the SMPL parameters belong to. The built-in open body without it.",
    )


def image_to_core(image: Tensor, name: str = "image") -> Tensor:
    """IMAGE (B, H, W, C) 0..1 -> (B, 3, H, W) float32 in [-1, 1]. Grey is repeated, alpha cut."""
    if image.ndim != 4 or image.shape[0] < 1 or image.shape[-1] not in (1, 3, 4):
        raise InputError(
            f"{name} must be a batch of pictures (B, H, W, 1, 3 or 4); got {tuple(image.shape)}"
        )
    if min(image.shape[1:3]) < 32:
        height, width = image.shape[1:3]
        raise InputError(f"{name} must be at least 32 x 32 pixels; got {width} x {height}")
    rgb = rearrange(image[..., :3].float(), "b h w c -> b c h w").expand(-1, 3, -1, -1)
    if not torch.isfinite(rgb).all():
        raise InputError(f"{name} holds NaN or infinite values")
    return rgb.clamp(0, 1) * 2 - 1


def image_from_core(images: Tensor) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> IMAGE (N, H, W, 3) 0..1 where ComfyUI keeps its images."""
    out = rearrange((images.float() + 1) / 2, "n c h w -> n h w c").clamp(0, 1)
    return to_intermediate(out)


def mask_to_core(
    mask: Tensor | None, images: Tensor, empty_is_nobody: bool = False
) -> Tensor | None:
    """MASK for images (N, 3, H, W) -> (N, 1, H, W) in 0..1, or None if it says nothing.

    The Load Image node hands out 64 x 64 zeros for a picture without alpha: that means no mask.
    empty_is_nobody: frames may be without the person; otherwise an empty mask is an error.
    """
    if mask is None or (mask.shape[-2:] == (64, 64) and not mask.any()):
        return None
    if mask.ndim == 2:
        mask = mask[None]
    count, height, width = images.shape[0], *images.shape[2:]
    if tuple(mask.shape[1:]) != (height, width) or mask.shape[0] not in (1, count):
        raise InputError(
            f"mask must have the size of the image, {count} of {width} x {height}; got "
            f"{mask.shape[0]} of {mask.shape[2]} x {mask.shape[1]}"
        )
    mask = mask.float().clamp(0, 1)
    if not torch.isfinite(mask).all():
        raise InputError("mask holds NaN or infinite values")
    if not empty_is_nobody and (mask.flatten(1).amax(1) < 0.5).any():
        raise InputError(
            "mask is empty: paint the person white, or leave the mask unconnected to have one "
            "estimated"
        )
    return mask[:, None].expand(count, -1, -1, -1).to(images.device)


def one_or_all(mask: Tensor | None, masks: Tensor | None) -> Tensor | None:
    """``masks`` of mask_to_core to choose a person by: one MASK of a clip stays one.

    It is of the first frame with a person; spread over the clip it would lose whoever moves.
    """
    return masks[:1] if masks is not None and len(mask) == 1 else masks


def mask_from_core(masks: Tensor) -> Tensor:
    """(N, 1, H, W) -> MASK (N, H, W) where ComfyUI keeps its masks."""
    return to_intermediate(masks.float()[:, 0].clamp(0, 1))


def to_intermediate(tensor: Tensor) -> Tensor:
    return tensor.to(
        comfy.model_management.intermediate_device(), comfy.model_management.intermediate_dtype()
    )
