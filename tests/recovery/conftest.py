"""Two bodies without a file: random vertices for exact algebra, and a stick figure to fit."""

from __future__ import annotations

import pytest
import torch

from lwg_core.body.model import BodyModel
from lwg_core.body.params import JOINT_NAMES, JOINT_PARENTS
from lwg_core.recovery.keypoints import KEYPOINT_NAMES

_JOINTS = {
    "pelvis": (0, -0.22, 0.02), "hip": (0.07, -0.31, 0.01), "knee": (0.1, -0.69, 0.01),
    "ankle": (0.09, -1.1, -0.04), "foot": (0.12, -1.15, 0.09), "spine1": (0, -0.11, -0.01),
    "spine2": (0, 0.03, 0), "spine3": (0, 0.08, 0.02), "neck": (0, 0.29, -0.02),
    "head": (0, 0.38, 0.03), "collar": (0.08, 0.2, -0.01), "shoulder": (0.17, 0.22, -0.02),
    "elbow": (0.43, 0.21, -0.05), "wrist": (0.68, 0.22, -0.05), "hand": (0.77, 0.21, -0.06),
}  # fmt: skip
_POINTS = {  # position, joints that carry it half and half
    "nose": ((0, 0.44, 0.14), "head head"), "neck": ((0, 0.22, -0.02), "spine3 spine3"),
    "eye": ((0.035, 0.48, 0.12), "head head"), "ear": ((0.075, 0.46, 0.03), "head head"),
    "shoulder": ((0.17, 0.22, -0.02), "collar shoulder"),
    "elbow": ((0.43, 0.21, -0.05), "shoulder elbow"), "wrist": ((0.68, 0.22, -0.05), "elbow wrist"),
    "hip": ((0.09, -0.32, 0.01), "pelvis hip"), "knee": ((0.1, -0.69, 0.01), "hip knee"),
    "ankle": ((0.09, -1.1, -0.04), "knee ankle"), "heel": ((0.09, -1.17, -0.09), "ankle ankle"),
    "big_toe": ((0.1, -1.18, 0.18), "foot foot"), "small_toe": ((0.16, -1.18, 0.14), "foot foot"),
}  # fmt: skip


def _sided(name: str, table: dict):
    side, _, rest = name.partition("_")
    if side not in ("left", "right"):
        return table[name], 1, ""
    return table[rest], 1 if side == "left" else -1, f"{side}_"


@pytest.fixture(scope="session")
def stick_body() -> BodyModel:
    """One vertex per joint and keypoint, mirror symmetric, ten linear shape directions."""
    joints, points, weights = [], [], []
    for name in JOINT_NAMES:
        (x, y, z), sign, _ = _sided(name, _JOINTS)
        joints.append((sign * x, y, z))
    for name in KEYPOINT_NAMES:
        ((x, y, z), carriers), sign, side = _sided(name, _POINTS)
        points.append((sign * x, y, z))
        row = torch.zeros(24)
        for carrier in carriers.split():
            full = carrier if carrier in JOINT_NAMES else side + carrier
            row[JOINT_NAMES.index(full)] += 0.5
        weights.append(row)
    vertices = torch.tensor(joints + points)
    generator = torch.Generator().manual_seed(1)
    stretch = torch.randn(10, 3, generator=generator) * 0.02
    stretch[0] = 0.04
    eye = torch.eye(48)
    return BodyModel(
        id="stick",
        v_template=vertices,
        shapedirs=vertices[:, :, None] * stretch.T,
        posedirs=None,
        joint_regressor=eye[:24],
        weights=torch.cat([torch.eye(24), torch.stack(weights)]),
        parents=tuple(JOINT_PARENTS),
        faces=torch.zeros(1, 3, dtype=torch.int64),
        keypoint_regressor=eye[24:42],
        foot_regressor=eye[42:],
    )


@pytest.fixture(scope="session", params=[False, True], ids=["plain", "posedirs"])
def random_body(request) -> BodyModel:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return BodyModel(
        id="random",
        v_template=0.3 * normal(60, 3),
        shapedirs=0.03 * normal(60, 3, 10),
        posedirs=0.01 * normal(60, 3, 207) if request.param else None,
        joint_regressor=normal(24, 60).softmax(1),
        weights=(2 * normal(60, 24)).softmax(1),
        parents=tuple(JOINT_PARENTS),
        faces=torch.zeros(1, 3, dtype=torch.int64),
        keypoint_regressor=(2 * normal(18, 60)).softmax(1),
        foot_regressor=(2 * normal(6, 60)).softmax(1),
    )
