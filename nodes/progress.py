"""The core's progress callback as ComfyUI wants it: bar, preview and interrupt in one."""

from __future__ import annotations

from collections.abc import Callable

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from PIL import Image
from torch import Tensor

PREVIEW_SIZE = 512  # px, longer side of a preview sent to the page


def reporter() -> Callable[..., None]:
    """A callback ``(step, total, *rest)`` for the core's loops.

    It stops the run when the user pressed cancel: the bar checks too, but skips most updates. A
    tensor (1, 3, H, W) or (3, H, W) in [-1, 1] among ``rest`` is shown on the node.
    """
    bar = comfy.utils.ProgressBar(1)

    def report(step: int, total: int, *rest) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        picture = next((to_pil(item) for item in rest if isinstance(item, Tensor)), None)
        bar.update_absolute(step, total, picture and ("JPEG", picture, PREVIEW_SIZE))

    return report


def to_pil(image: Tensor) -> Image.Image:
    """(1, 3, H, W) or (3, H, W) in [-1, 1] -> PIL picture."""
    pixels = (image.detach().reshape(3, *image.shape[-2:]).float().cpu() + 1) * 127.5
    return Image.fromarray(pixels.clamp(0, 255).permute(1, 2, 0).numpy().astype(np.uint8))


def from_pil(picture: Image.Image) -> Tensor:
    """PIL picture -> IMAGE (1, H, W, 3) 0..1."""
    return torch.from_numpy(np.asarray(picture, np.float32) / 255)[None]
