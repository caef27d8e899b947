"""Prompts about bodies, and people whose keypoints they hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix
from lwg_core.recovery.projection import project_keypoints, to_pose_keypoint
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import motion

SIZE = 256  # px, side of the pictures
HERE, THERE = (70.0, 100.0), (186.0, 80.0)  # (x px, px per metre): 0 is the larger person


def node(kind: str, **inputs) -> dict:
    return {"class_type": kind, "inputs": inputs}


def walker(frames: int, x: float, scale: float, moved: float = 0.0) -> list[dict]:
    """POSE_KEYPOINT of a person who walks from x to x + moved px."""
    return detected(motion("walk", frames), torch.linspace(x, x + moved, frames), scale)


def detected(params: SmplParams, x: torch.Tensor, scale: float) -> list[dict]:
    """POSE_KEYPOINT of somebody at x (T,) px."""
    center = torch.stack([x, torch.full_like(x, SIZE / 2)], 1)
    seen = replace(params, camera=Camera(torch.full_like(x, scale), center, (SIZE, SIZE)))
    return to_pose_keypoint(*project_keypoints(open_body(), seen), (SIZE, SIZE))


def together(*people: list[dict]) -> list[dict]:
    """Everybody in the same frames. Only the arrays that count: prompts are sent as text."""
    kept = ("pose_keypoints_2d", "foot_keypoints_2d")
    frames = []
    for found in zip(*people, strict=True):
        persons = [{key: frame["people"][0][key] for key in kept} for frame in found]
        frames.append({"canvas_width": SIZE, "canvas_height": SIZE, "people": persons})
    return frames


def literal(value) -> object:
    """A list that is meant as it is and not as a link."""
    return {"__value__": value}


def blank(count: int, side: int = SIZE) -> dict:
    return node("EmptyImage", width=side, height=side, batch_size=count, color=0)


def recovering(keypoints: list[dict], /, **inputs) -> dict:
    """Keypoints on black pictures, as many as frames."""
    given = {"image": ["image", 0], "keypoints": literal(keypoints), "person": "largest"} | inputs
    return {
        "image": blank(len(keypoints)),
        "recover": node("LWG_RecoverBodyFromKeypoints", **given),
        "report": node("PreviewAny", source=["recover", 2]),
    }


def half_mask(left: bool) -> dict:
    """Nodes of a mask that is white on one half."""
    return {
        "black": node("SolidMask", value=0.0, width=SIZE, height=SIZE),
        "white": node("SolidMask", value=1.0, width=SIZE // 2, height=SIZE),
        "half": node("MaskComposite", destination=["black", 0], source=["white", 0],
                     x=0 if left else SIZE // 2, y=0, operation="add"),
    }  # fmt: skip


def saving(source: list, prefix: str, form: str = "npz (all of it)") -> dict:
    return node("LWG_SaveMotion", smpl=source, filename_prefix=prefix, format=form)


def saved(server, result, name: str = "save") -> Path:
    """The file that a Save Motion node says it has written."""
    assert result.kind == "success", result.error
    return server.base / "output" / "liquid_warping" / result.outputs[name]["text"][0]


def text_of(result, name: str = "report") -> str:
    assert result.kind == "success", result.error
    return result.outputs[name]["text"][0]


def explained(result, name: str, *words: str) -> None:
    """The run stopped at ``name`` with a sentence for the user, not with a bug."""
    assert (result.kind, result.node) == ("execution_error", name), result
    assert result.exception == "InputError" and "\n" not in result.error, result
    for word in words:
        assert word in result.error


def turned(params) -> torch.Tensor:
    return axis_angle_to_matrix(params.pose[:, :22])
