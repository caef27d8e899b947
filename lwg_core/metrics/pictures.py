"""Measures of a picture against its truth: PSNR, SSIM and sharpness, whole or within a region.

PSNR and SSIM forgive blur: where the result is not sure, a soft picture scores best. So sharpness
stands beside them: the gradient energy of the result over that of the truth, 1 = as sharp, below =
blurred, above = noisy.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError

INSTALL = "pip install torchmetrics"
REACH = 4  # px by which a region is dilated


def has_torchmetrics() -> bool:
    return find_spec("torchmetrics") is not None


def check_torchmetrics() -> None:
    """Raise an InputError that says what to install, if it is missing."""
    if not has_torchmetrics():
        raise InputError(f"SSIM and Frechet distances need torchmetrics; install it: {INSTALL}")


def person_region(alpha: Tensor) -> Tensor:
    """A true matte (T, 1, H, W) dilated by 4 px."""
    return F.max_pool2d(alpha, 2 * REACH + 1, 1, REACH)


def mean_within(values: Tensor, region: Tensor) -> Tensor:
    """(T,) means of values (T, C, H, W) within a region (T, 1, H, W); NaN where it is empty."""
    return (values.mean(1, keepdim=True) * region).sum((1, 2, 3)) / region.sum((1, 2, 3))


def psnr(result: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """(T,) dB of pictures (T, 3, H, W) in [-1, 1]; infinite for identical ones."""
    return -10 * mean_within(((result - truth) / 2).square(), region).log10()


def ssim_map(result: Tensor, truth: Tensor) -> Tensor:
    """(T, 3, H, W) SSIM of every pixel of pictures in [-1, 1] (Wang et al., 2004)."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    pictures = ((picture + 1) / 2 for picture in (result, truth))
    return structural_similarity_index_measure(*pictures, data_range=1.0, return_full_image=True)[1]


def gradient_energy(pictures: Tensor) -> Tensor:
    """(T, 1, H, W) mean square of the forward differences, for pictures (T, 3, H, W) in [-1, 1]."""
    right = F.pad(pictures[..., 1:] - pictures[..., :-1], (0, 1))
    down = F.pad(pictures[..., 1:, :] - pictures[..., :-1, :], (0, 0, 0, 1))
    return (right.square() + down.square()).mean(1, keepdim=True) / 4


def sharpness(result: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """(T,) gradient energy of the result over that of the truth; NaN where the truth is flat."""
    wanted = mean_within(gradient_energy(truth), region)
    found = mean_within(gradient_energy(result), region)
    return torch.where(wanted > 0, found / wanted, torch.nan)


def region_scores(result: Tensor, truth: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """PSNR in dB and SSIM, (T,) each, of pictures (T, 3, H, W) in [-1, 1].

    region: (T, 1, H, W) in 0..1, the weight of each pixel; not empty in any frame.
    """
    return psnr(result, truth, region), mean_within(ssim_map(result, truth), region)


def picture_scores(
    result: Tensor, truth: Tensor, regions: dict[str, Tensor | None]
) -> dict[str, Tensor]:
    """psnr, ssim and sharpness within every region: "psnr" + the region's name -> (T,).

    result, truth: (T, 3, H, W) in [-1, 1]. regions: name -> (T, 1, H, W) in 0..1, None = all. What
    is NaN cannot be measured: an empty region, or a truth without any gradient. Without
    torchmetrics there is no ssim.
    """
    scores = {}
    everywhere = torch.ones_like(result[:, :1])
    similar = ssim_map(result, truth) if has_torchmetrics() else None
    for name, region in regions.items():
        region = everywhere if region is None else region
        scores[f"psnr{name}"] = psnr(result, truth, region)
        if similar is not None:
            scores[f"ssim{name}"] = mean_within(similar, region)
        scores[f"sharpness{name}"] = sharpness(result, truth, region)
    return scores
