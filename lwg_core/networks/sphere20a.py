"""SphereFace's 20-layer network (Liu et al., 2017), for the face-identity loss.

Keys are those of the public ``sphere20a_20171020.pth``; its classifier ``fc6`` is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import InputError
from .strict import fill_strict

FACE_SIZE = (112, 96)  # height, width of the pictures it was trained on
RESIDUALS = (1, 2, 4, 1)  # pairs of convolutions per stage
SPARE = ("fc6.",)
WIDEST = 256
OFFICIAL_WIDTH, OFFICIAL_EMBEDDING = 64, 512


class Sphere20a(nn.Module):
    """(N, 3, 112, 96) RGB in [-1, 1] -> the results of the four stages and the embedding (N, E).

    Stage s: a 3x3 convolution of stride 2, then pairs of them beside a shortcut, PReLU after each;
    widths double from ``width``.
    """

    def __init__(self, width: int = OFFICIAL_WIDTH, embedding: int = OFFICIAL_EMBEDDING) -> None:
        super().__init__()
        self.width = width
        channels = 3
        for stage, pairs in enumerate(RESIDUALS, 1):
            outputs = width << (stage - 1)
            for i in range(1, 2 * pairs + 2):
                stride = 2 if i == 1 else 1
                conv = nn.Conv2d(channels, outputs, 3, stride=stride, padding=1)
                self.add_module(f"conv{stage}_{i}", conv)
                self.add_module(f"relu{stage}_{i}", nn.PReLU(outputs))
                channels = outputs
        height, width_ = (side // 2 ** len(RESIDUALS) for side in FACE_SIZE)
        self.fc5 = nn.Linear(channels * height * width_, embedding)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        results = []
        for stage, pairs in enumerate(RESIDUALS, 1):
            x = self._layer(stage, 1, x)
            for pair in range(1, pairs + 1):
                x = x + self._layer(stage, 2 * pair + 1, self._layer(stage, 2 * pair, x))
            results.append(x)
        return (*results, self.fc5(x.flatten(1)))

    def _layer(self, stage: int, i: int, x: Tensor) -> Tensor:
        conv = self.get_submodule(f"conv{stage}_{i}")
        return self.get_submodule(f"relu{stage}_{i}")(conv(x))


def build_sphere20a(state_dict: Mapping[str, Tensor], name: str) -> Sphere20a:
    """The network of a state dict, float32, in eval mode, never trained.

    name: of the file, for the errors. Width and embedding are read off the shapes.
    """
    first, last = (state_dict.get(key) for key in ("conv1_1.weight", "fc5.weight"))
    shaped = first is not None and last is not None and (first.ndim, last.ndim) == (4, 2)
    if not shaped or not 0 < len(first) <= WIDEST or not 0 < len(last) <= 8 * WIDEST:
        raise InputError(
            f"{name} is no Sphere20a: it has no layers conv1_1 and fc5; give "
            "sphere20a_20171020.pth, of SphereFace's PyTorch version"
        )
    with torch.device("meta"):
        model = Sphere20a(len(first), len(last))
    return fill_strict(model, state_dict, name, "Sphere20a", SPARE)
