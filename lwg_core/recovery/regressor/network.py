"""HMR's regressor as SPIN trains it (Kanazawa et al., 2018, sec. 3.2; Kolotouros et al., 2019).

A ResNet-50 turns a 224 x 224 crop into 2048 features; three rounds of iterative error feedback then
correct pose, shape and camera, starting from the mean that the weights hold.

Notable decisions
- Keys, layer order and numerics are the official ones, so official files load strict. Widths are
  read off the shapes, so that tests need no 100 MB.
- Rotations are 6D, stored as three rows of two: entry 2 c + k is component c of column k.
- There is no ReLU between the two hidden layers: that is how the weights were trained. The official
  dropouts hold no weights and do nothing outside of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from ...body.params import JOINT_NAMES
from ...body.rotations import matrix_to_axis_angle, rot6d_to_matrix

JOINTS = len(JOINT_NAMES)
EXPANSION = 4  # of a bottleneck: its outputs over its width
ITERATIONS = 3


@dataclass(frozen=True)
class RegressorConfig:
    """width: channels after the first convolution; blocks: bottlenecks per stage (of widths 1, 2,
    4, 8 times ``width``); hidden: units of the two hidden layers. The defaults are the official
    ones."""

    width: int = 64
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    hidden: int = 1024

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Tensor]) -> RegressorConfig:
        """Read off the shapes; a KeyError or IndexError means that it is another network."""
        blocks = []
        for stage in range(1, 5):
            count = 0
            while f"layer{stage}.{count}.conv1.weight" in state_dict:
                count += 1
            blocks.append(count)
        width, hidden = state_dict["conv1.weight"].shape[0], state_dict["decpose.weight"].shape[1]
        return cls(width, tuple(blocks), hidden)


@dataclass(frozen=True)
class Prediction:
    """What the network says about N crops.

    camera: (N, 3) s, tx, ty: crop coordinates in [-1, 1] are s * (xy in metres + t).
    rotations: (N, 24, 3, 3) of the joints; the first takes the body into the camera frame.
    betas: (N, 10) of SMPL.
    """

    camera: Tensor
    rotations: Tensor
    betas: Tensor

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.camera, self.rotations, self.betas

    def official(self) -> Tensor:
        """(N, 85) as the official code hands it on: camera, axis-angle, betas."""
        pose = matrix_to_axis_angle(self.rotations).flatten(1)
        return torch.cat([self.camera, pose, self.betas], 1)


def official_rotations(six: Tensor) -> Tensor:
    """(..., 6) as the official layers give them, three rows of two -> (..., 3, 3)."""
    return rot6d_to_matrix(rearrange(six, "... (c k) -> ... (k c)", c=3, k=2))


class Bottleneck(nn.Module):
    """conv 1x1 - 3x3 - 1x1 beside a shortcut; the 3x3 carries the stride."""

    def __init__(self, inputs: int, width: int, stride: int, operations) -> None:
        super().__init__()
        outputs = width * EXPANSION
        self.conv1 = operations.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = operations.BatchNorm2d(width)
        self.conv2 = operations.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = operations.BatchNorm2d(width)
        self.conv3 = operations.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = operations.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                operations.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                operations.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class Regressor(nn.Module):
    """See the module's docstring. ``operations``: where the layers come from (``torch.nn``, or a
    ``comfy.ops`` namespace)."""

    def __init__(self, config: RegressorConfig | None = None, operations=torch.nn) -> None:
        super().__init__()
        self.config = config = config or RegressorConfig()
        width, hidden = config.width, config.hidden
        self.conv1 = operations.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = operations.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = width
        for stage, count in enumerate(config.blocks):
            inner = width << stage
            blocks = []
            for index in range(count):
                stride = 2 if stage and not index else 1
                blocks.append(Bottleneck(channels, inner, stride, operations))
                channels = inner * EXPANSION
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc1 = operations.Linear(channels + 6 * JOINTS + 10 + 3, hidden)
        self.fc2 = operations.Linear(hidden, hidden)
        self.decpose = operations.Linear(hidden, 6 * JOINTS)
        self.decshape = operations.Linear(hidden, 10)
        self.deccam = operations.Linear(hidden, 3)
        self.register_buffer("init_pose", torch.zeros(1, 6 * JOINTS))
        self.register_buffer("init_shape", torch.zeros(1, 10))
        self.register_buffer("init_cam", torch.zeros(1, 3))

    def features(self, images: Tensor) -> Tensor:
        """Crops (N, 3, 224, 224) as ``crop.network_input`` makes them -> (N, 2048)."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3))

    def regress(self, features: Tensor, iterations: int = ITERATIONS) -> Prediction:
        """Features (N, 2048) -> body and camera, by iterative error feedback."""
        count = len(features)
        pose, shape, camera = (
            start.to(features).expand(count, -1)
            for start in (self.init_pose, self.init_shape, self.init_cam)
        )
        for _ in range(iterations):
            state = self.fc2(self.fc1(torch.cat([features, pose, shape, camera], 1)))
            pose = pose + self.decpose(state)
            shape = shape + self.decshape(state)
            camera = camera + self.deccam(state)
        return Prediction(camera, official_rotations(pose.unflatten(1, (JOINTS, 6))), shape)

    def forward(self, images: Tensor, iterations: int = ITERATIONS) -> Prediction:
        """Crops (N, 3, 224, 224) as ``crop.network_input`` makes them -> N bodies."""
        return self.regress(self.features(images), iterations)
