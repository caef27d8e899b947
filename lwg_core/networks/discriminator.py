"""Patch discriminators: the whole picture, and close-ups of body and head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from .strict import fill_strict

# Close-up parts and the fraction of the picture's side that their crops are resized to.
CROPS = {"local": 2, "body": 2, "head": 4}
WIDEST = 512


class PatchDiscriminator(nn.Module):
    """(N, inputs, H, W) -> one score per patch, (N, 1, h, w), no sigmoid (least-squares GAN).

    Convolutions 4x4: ``layers`` of stride 2, widths doubling from ``width`` to 8 * ``width``, one
    of stride 1, one to the score; InstanceNorm except in the first and the last; LeakyReLU 0.2.
    With the (official) defaults 256 px give 14x14 scores of 142-px patches.
    """

    def __init__(self, inputs: int, width: int = 64, layers: int = 4) -> None:
        super().__init__()
        widths = [min(2**i, 8) * width for i in range(layers + 1)]
        modules = [
            nn.Conv2d(inputs, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for i in range(1, layers + 1):
            stride = 2 if i < layers else 1
            modules += [
                nn.Conv2d(widths[i - 1], widths[i], 4, stride=stride, padding=1),
                nn.InstanceNorm2d(widths[i]),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        modules += [nn.Conv2d(widths[-1], 1, 4, padding=1)]
        self.model = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class PartDiscriminators(nn.Module):
    """One PatchDiscriminator for the whole picture and one per part, as the official trainers use.

    parts: any of "local", "body", "head", "bg"; "bg" judges [background, mask] pictures.
    width: channels after the first convolution of each.
    """

    def __init__(
        self, parts: tuple[str, ...], inputs: int = 6, bg_inputs: int = 4, width: int = 64
    ) -> None:
        super().__init__()
        self.parts, self.inputs, self.width = parts, inputs, width
        self.global_model = PatchDiscriminator(inputs, width)
        for part in parts:
            channels = bg_inputs if part == "bg" else inputs
            self.add_module(f"{part}_model", PatchDiscriminator(channels, width))

    def forward(
        self, x: Tensor, rects: Mapping[str, Tensor], background: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Patch scores by part; "global" is the whole picture.

        x: (N, inputs, H, W); rects: part -> (N, 4) pixels x0, x1, y0, y1; background:
        (N, bg_inputs, H, W). Empty rectangles are left out, and so is a part that has no other.
        """
        scores = {"global": self.global_model(x)}
        for part in self.parts:
            view = background if part == "bg" else crop(x, rects[part], CROPS[part])
            if view is not None:
                scores[part] = self.get_submodule(f"{part}_model")(view)
        return scores


def build_discriminators(state_dict: Mapping[str, Tensor], name: str) -> PartDiscriminators:
    """The discriminators of a state dict, float32, in eval mode, without gradients of their own.

    name: of the file, for the errors. Parts, channels and width are read off the tensors.
    """
    parts = tuple(p for p in (*CROPS, "bg") if f"{p}_model.model.0.weight" in state_dict)
    first = {p: state_dict.get(f"{p}_model.model.0.weight") for p in ("global", *parts)}
    if any(weight is None or weight.ndim != 4 for weight in first.values()):
        raise InputError(
            f"{name} holds no discriminators: expected convolutions such as "
            "global_model.model.0.weight"
        )
    channels = {part: weight.shape[1] for part, weight in first.items()}
    width = len(first["global"])
    if not 0 < width <= WIDEST or max(channels.values()) > WIDEST:
        raise InputError(f"{name} is of discriminators with {width} channels; at most {WIDEST}")
    with torch.device("meta"):
        model = PartDiscriminators(parts, channels["global"], channels.get("bg", 4), width)
    return fill_strict(model, state_dict, name, "the discriminators")


def crop(x: Tensor, rects: Tensor, fraction: int) -> Tensor | None:
    """Rectangles (N, 4) of x (N, C, H, W), resized to a fraction of H, W; None if all are empty."""
    return resized_crops(x, rects, (x.shape[-2] // fraction, x.shape[-1] // fraction))


def resized_crops(x: Tensor, rects: Tensor, size: tuple[int, int]) -> Tensor | None:
    """Rectangles x0, x1, y0, y1 (N, 4), inside the pictures x (N, C, H, W), resized to ``size``.

    Empty rectangles are left out; None if all are.
    """
    views = [
        F.interpolate(item[None, :, y0:y1, x0:x1], size, mode="bilinear", align_corners=True)
        for item, (x0, x1, y0, y1) in zip(x, rects.tolist(), strict=True)
        if x1 > x0 and y1 > y0
    ]
    return torch.cat(views) if views else None
