"""Broken pictures, bodies, keypoints and weights, as files for the command line."""

import json
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.weights import DEFAULT_GENERATOR, load_generator, save_generator

CAMERA = ("cam_scale", "cam_center", "cam_size", "cam_focal", "cam_principal")


def write_pictures(folder: Path) -> None:
    (folder / "text.png").write_text("not a picture")
    (folder / "empty.png").write_bytes(b"")
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    whole = cv2.imencode(".png", noise)[1].tobytes()
    (folder / "cut.png").write_bytes(whole[:60])
    (folder / "promise.png").write_bytes(png_header(100_000, 100_000))
    cv2.imwrite(str(folder / "tiny.png"), noise[:20, :20])
    cv2.imwrite(str(folder / "narrow.png"), noise[:, :40])
    cv2.imwrite(str(folder / "other_size.png"), np.full((64, 64), 255, np.uint8))
    cv2.imwrite(str(folder / "black.png"), np.zeros((128, 128), np.uint8))
    cv2.imwrite(str(folder / "clear.png"), np.zeros((128, 128, 4), np.uint8))


def png_header(width: int, height: int) -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", zlib.compress(bytes(99))) + part(b"IEND", b"")
    )


def write_bodies(folder: Path, true: dict) -> None:
    def body(name: str, **changes) -> None:
        arrays = {k: v for k, v in {**true, **changes}.items() if v is not None}
        np.savez(folder / f"{name}.npz", **arrays)

    def one(value: float) -> np.ndarray:
        return np.full(1, value, np.float32)

    pose = true["pose"]
    nan = pose.copy()
    nan[0, 3, 1] = np.nan
    body("nan", pose=nan)
    body("joints", pose=pose[:, :23])
    body("flat", pose=pose.reshape(1, 72))
    body("none", pose=pose[:0])
    body("words", pose=np.array(["a", "b"]))
    body("frames", **{k: np.repeat(true[k], 2, 0) for k in ("pose", "cam_scale", "cam_center",
         "confidence", "valid", "cam_focal", "cam_principal") if k in true})  # fmt: skip
    body("smpl", body_model=np.array("smpl"))
    body("no_model", body_model=None)
    body("no_betas", betas=None, body_model=None)
    body("five_betas", betas=np.zeros(5, np.float32))
    body("nan_betas", betas=np.full(10, np.nan, np.float32))
    body("huge_betas", betas=np.full(10, 1e20, np.float32))
    body("huge_pose", pose=np.full_like(pose, 1e30))
    body("no_camera", **dict.fromkeys(CAMERA))
    body("half_camera", cam_scale=None)
    body("other_picture", cam_size=np.array([64, 64]))
    body("outside", cam_center=np.full((1, 2), 1e4, np.float32))
    body("nan_center", cam_center=np.full((1, 2), np.nan, np.float32))
    body("infinite", cam_scale=one(np.inf))
    body("mirrored", cam_scale=one(-50))
    body("behind", cam_focal=one(-500))
    body("no_focal", cam_focal=one(0))
    body("endless", fps=np.float64(np.inf))
    body("still", fps=np.float64(0))
    body("far", pose=np.repeat(pose, 2, 0), confidence=None, valid=None,
         cam_scale=np.array([1, 1e4], np.float32), cam_center=np.zeros((2, 2), np.float32),
         cam_focal=None, cam_principal=None)  # fmt: skip
    np.savez(folder / "objects.npz", pose=np.array([{}], object))
    np.savez(folder / "nothing.npz")
    np.savez(folder / "amass.npz", poses=np.zeros((4, 60)))
    whole = (folder / "nan.npz").read_bytes()
    (folder / "cut.npz").write_bytes(whole[: len(whole) // 2])


def write_keypoints(folder: Path, points: list) -> None:
    def keypoints(name: str, frames: list, **person) -> None:
        frames = json.loads(json.dumps(frames))
        frames[0]["people"][0].update(person)
        (folder / f"{name}.json").write_text(json.dumps(frames))

    keypoints("missing", points, pose_keypoints_2d=[0] * 54)
    keypoints("unsure", points, pose_keypoints_2d=[30, 40, 0] * 18)
    keypoints("nan_points", points, pose_keypoints_2d=[float("nan")] * 54)
    keypoints("few", points, pose_keypoints_2d=[30, 40, 1] * 3 + [0] * 45)
    keypoints("point", points, pose_keypoints_2d=[30, 40, 1] * 18)
    keypoints("short", points, pose_keypoints_2d=[1] * 10)
    keypoints("two_frames", points * 2)
    keypoints("canvas", [{**points[0], "canvas_width": 900}])
    (folder / "nobody.json").write_text(json.dumps([{**points[0], "people": []}]))
    (folder / "broken.json").write_text('[{"people": ')


def write_generators(folder: Path) -> None:
    weights = DEFAULT_GENERATOR.read_bytes()
    (folder / "cut.safetensors").write_bytes(weights[: len(weights) // 3])
    (folder / "head.safetensors").write_bytes(weights[:5])
    model = load_generator()
    torch.save(model.state_dict(), folder / "whole.pth")
    whole = (folder / "whole.pth").read_bytes()
    (folder / "cut.pth").write_bytes(whole[: len(whole) // 3])
    torch.save(model, folder / "code.pth")  # a pickled module, not tensors
    save_file({"flow_net.conv.weight": torch.zeros(3)}, folder / "other_network.safetensors")
    state = model.state_dict()
    first = "tsf_img_reg.0.weight"
    save_file({**state, first: torch.zeros(1)}, folder / "misshapen.safetensors")
    save_file({k: v for k, v in state.items() if k != first}, folder / "lacking.safetensors")
    save_file({**state, first: state[first] * torch.nan}, folder / "nan.safetensors")
    small = GeneratorConfig(widths=(4, 4, 4), res_blocks=1, spade_hidden=4, background=False)
    save_generator(folder / "official.safetensors", AttLWBGenerator(small))
