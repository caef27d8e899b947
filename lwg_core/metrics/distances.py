"""Measures that networks make: cosine similarity, Frechet distance, LPIPS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .networks import AT_ONCE, Loaded, load_network

# Zhang et al., "The Unreasonable Effectiveness of Deep Features" (2018): input scaling, and the
# channels of the five feature maps by which a backbone is told.
LPIPS_SHIFT, LPIPS_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
BACKBONES = {
    (64, 128, 256, 512, 512): "vgg",
    (64, 192, 384, 256, 256): "alex",
    (64, 128, 256, 384, 384, 512, 512): "squeeze",
}
TRIAL = 64  # px


def cosine_similarity(one: Tensor, other: Tensor) -> Tensor:
    """(N,) of embeddings (N, D)."""
    return F.cosine_similarity(one.double(), other.double(), dim=1)


class _AsIs(torch.nn.Identity):
    """Vectors as their own features."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """Distance of the normal distributions fitted to embeddings (N, D) and (M, D).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2), with N, M >= 2 (Heusel et al., 2017).
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    # Also of so few vectors that their covariances are singular: rounding then takes roots of tiny
    # negative numbers, whose real part is left out.
    measure = FrechetInceptionDistance(feature=_AsIs(one.shape[1])).set_dtype(torch.float64)
    measure.update(one.double(), real=False)
    measure.update(other.double(), real=True)
    return max(float(measure.compute()), 0.0)


@dataclass(frozen=True)
class Lpips:
    """LPIPS by the user's network: a whole one of two pictures, or a backbone of one.

    heads: per feature map of the backbone (1, C, 1, 1); None = the network answers distances.
    """

    network: Loaded
    heads: tuple[Tensor, ...] | None = None

    def __call__(self, result: Tensor, truth: Tensor) -> Tensor:
        """(N,) distances of pictures (N, 3, H, W) in [-1, 1]."""
        pairs = zip(result.split(AT_ONCE), truth.split(AT_ONCE), strict=True)
        return torch.cat([self._distance(*pair) for pair in pairs])

    def _distance(self, result: Tensor, truth: Tensor) -> Tensor:
        if self.heads is None:
            return self.network.run(result, truth)[0].flatten(1).mean(1)
        shift, scale = (result.new_tensor(v)[:, None, None] for v in (LPIPS_SHIFT, LPIPS_SCALE))
        maps = [self.network.run((picture - shift) / scale) for picture in (result, truth)]
        total = torch.zeros(len(result))
        for one, other, head in zip(*maps, self.heads, strict=True):
            apart = (F.normalize(one, eps=1e-10) - F.normalize(other, eps=1e-10)).square()
            total += (apart * head).sum(1).mean((1, 2))
        return total


def load_lpips(path: str | Path, device="cpu") -> Lpips:
    """LPIPS of a file, tried on a picture; a backbone takes the heads that torchmetrics holds."""
    network = load_network(path, device)
    picture = torch.linspace(-1, 1, 3 * TRIAL * TRIAL).reshape(1, 3, TRIAL, TRIAL)
    if network.inputs == 2:
        measure = Lpips(network)
        answer = network.run(picture, picture)[0]
        if len(answer.flatten()) != 1 or not torch.isfinite(answer).all():
            raise InputError(
                f"{path} must answer one distance for a pair of pictures; it answered "
                f"{tuple(answer.shape)}"
            )
        return measure
    if network.inputs != 1:
        raise InputError(f"{path} takes {network.inputs} inputs; LPIPS takes two pictures")
    channels = tuple(f.shape[1] if f.ndim == 4 else 0 for f in network.run(picture))
    if channels not in BACKBONES:
        raise InputError(
            f"{path} is no LPIPS network: it must take two pictures and answer their distance, or "
            "take one and answer the feature maps of VGG-16, AlexNet or SqueezeNet; it answers "
            f"{len(channels)} tensors with {', '.join(map(str, channels))} channels"
        )
    return Lpips(network, lpips_heads(BACKBONES[channels]))


def lpips_heads(backbone: str) -> tuple[Tensor, ...]:
    """The learnt weights (1, C, 1, 1) of a backbone's feature maps, as torchmetrics has them."""
    import torchmetrics.functional.image as home

    file = Path(home.__file__).parent / "lpips_models" / f"{backbone}.pth"
    weights = torch.load(file, map_location="cpu", weights_only=True)
    return tuple(weights[f"lin{k}.model.1.weight"] for k in range(len(weights)))
