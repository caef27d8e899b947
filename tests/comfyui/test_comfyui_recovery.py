"""Bodies recovered from keypoints and pictures in a real ComfyUI."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from recovery_prompts import (
    HERE,
    SIZE,
    THERE,
    blank,
    detected,
    explained,
    half_mask,
    literal,
    node,
    recovering,
    saved,
    saving,
    text_of,
    together,
    turned,
    walker,
)  # fmt: skip

from lwg_core.body.files import load_params
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.recovery.regressor.network import Regressor, RegressorConfig


@pytest.fixture(scope="module")
def two() -> list[dict]:
    return together(walker(1, *HERE), walker(1, *THERE))


# --- the shipped workflows


def test_recover_video_as_shipped_but_shorter(server, workflow):
    short = {"frames": 4, "size": 160}
    prompt = workflow(
        "recover_video", ExamplePerson=short, SaveMotion={"filename_prefix": "clip/a"}
    )
    prompt["save"] = saving(["2", 0], "clip/b")
    prompt["preview"] = node("PreviewImage", images=["4", 0])
    result = server.run(prompt)
    assert text_of(result, "7").startswith("person 0: 4 of 4 frames have a body")
    params = load_params(saved(server, result))
    assert len(params) == 4 and params.camera.size == (160, 160) and params.body_model == "open"
    frames = [cv2.imread(str(path)) for path in server.pictures(result, "preview")]
    for number, frame in enumerate(frames):
        here = int((number + 0.5) * 160 / 4)
        assert frame[-1, here].min() > 240, "the strip marks the frame"
        assert frame[-1, (here + 80) % 160, 2] < 150, "and is not red: every frame is sure"
    (video,) = server.pictures(result, "6")
    assert video.stat().st_size > 1000


def test_recover_from_keypoints_as_shipped_but_smaller(server, workflow):
    prompt = workflow("recover_from_keypoints", ExamplePerson={"size": 192})
    prompt["truth"] = saving(["1", 3], "truth")
    result = server.run(prompt)
    assert "1 of 1 frames" in text_of(result, "6")
    found, truth = (
        load_params(saved(server, result, "7")),
        load_params(saved(server, result, "truth")),
    )
    body = open_body()
    pixels = [p.camera.project(body.joints(p.pose, p.betas))[..., :2] for p in (found, truth)]
    assert (pixels[0] - pixels[1]).norm(dim=-1).mean() < 4  # px of 192


def test_import_body_as_shipped_but_shorter(server, workflow):
    prompt = workflow("import_body", ExamplePerson={"frames": 3, "size": 160})
    prompt |= {"save": saving(["2", 0], "imported"), "truth": saving(["1", 3], "truth")}
    result = server.run(prompt)
    assert "3 of 3 frames" in text_of(result, "5")
    found, truth = load_params(saved(server, result)), load_params(saved(server, result, "truth"))
    body = open_body()
    joints = [body.joints(p.pose, p.betas) for p in (found, truth)]
    apart = [j - j[:, :1] for j in joints]
    assert (apart[0] - apart[1]).norm(dim=-1).mean() < 0.02  # metres
    pixels = [p.camera.project(j)[..., :2] for p, j in zip((found, truth), joints, strict=True)]
    assert (pixels[0] - pixels[1]).norm(dim=-1).mean() < 3


# --- who is meant


@pytest.mark.parametrize(
    ("inputs", "mask", "who"),
    [
        ({"person": "largest"}, None, 0),
        ({"person": "index", "index": 1}, None, 1),
        ({"person": "point", "x": 186, "y": 120}, None, 1),
        ({"person": "mask"}, True, 0),
        ({"person": "mask"}, False, 1),
    ],
)
def test_the_person_who_is_meant(server, two, inputs, mask, who):
    prompt = recovering(two, **inputs)
    if mask is not None:
        prompt |= half_mask(mask)
        prompt["recover"]["inputs"]["mask"] = ["half", 0]
    assert text_of(server.run(prompt)).startswith(f"person {who}: 1 of 1 frames")


def test_all_people_are_one_result_each(server, two):
    prompt = recovering(two, person="all")
    prompt["save"] = saving(["recover", 0], "everybody")
    result = server.run(prompt)
    assert [line[:8] for line in text_of(result).splitlines()] == ["person 0", "person 1"]
    names = result.outputs["save"]["text"]
    folder = server.base / "output" / "liquid_warping"
    places = [float(load_params(folder / name).camera.center[0, 0]) for name in names]
    assert len(places) == 2 and abs(places[0] - HERE[0]) < 25 and abs(places[1] - THERE[0]) < 25


def test_one_mask_follows_whom_it_covers_in_the_first_frame(server):
    crossing = together(walker(6, *HERE, moved=100), walker(6, *THERE, moved=-100))
    prompt = recovering(crossing, person="mask", mask=["half", 0]) | half_mask(True)
    assert text_of(server.run(prompt)).startswith("person 0: 6 of 6 frames")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"person": "index", "index": 5}, "there is no person 5; 2 were found"),
        ({"person": "only"}, "2 people were found where one is wanted"),
        ({"person": "point", "x": 250, "y": 4}, "hits nobody"),
        ({"person": "mask"}, "a mask is needed"),
        ({"person": "mask", "mask": ["corner", 0]}, "mask covers nobody"),
        ({"person": "mask", "mask": ["black", 0]}, "mask is empty"),
        ({"mask": ["small", 0]}, "mask must have the size of the image"),
        ({"tight_clothing": True}, "tight clothing needs the mask"),
        ({"fps": float("nan")}, "fps must be a finite number"),
        ({"focal": float("nan")}, "focal must be a finite number"),
        ({"image": ["more", 0]}, "keypoints hold 1 frames but image holds 2"),
        ({"image": ["wide", 0]}, "canvas"),
        ({"keypoints": {"people": "none"}}, "people"),
        ({"keypoints": literal([])}, "the list holds no frame"),
        ({"keypoints": literal([{"people": []}])}, "no person"),
    ],
)
def test_keypoints_that_cannot_be_used_are_explained(server, two, inputs, words):
    prompt = recovering(two, **inputs) | {
        "more": blank(2),
        "wide": node("EmptyImage", width=700, height=300, batch_size=1, color=0),
        "black": node("SolidMask", value=0.0, width=SIZE, height=SIZE),
        "small": node("SolidMask", value=1.0, width=40, height=50),
        "corner": node("MaskComposite", destination=["black", 0], source=["small", 0],
                       x=SIZE - 40, y=SIZE - 50, operation="add"),
    }  # fmt: skip
    explained(server.run(prompt), "recover", words)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"person": "the tall one"}, "person"),
        ({"index": -1}, "index"),
        ({"x": 20000}, "x"),
        ({"fps": 0}, "fps"),
        ({"focal": "abc"}, "focal"),
        ({"frames_are": "a flip book"}, "frames_are"),
        ({"mask": ["image", 0]}, "mask"),
    ],
)
def test_recover_is_refused_before_anything_runs(server, two, inputs, words):
    result = server.run(recovering(two, **inputs))
    assert (result.kind, result.status, result.node) == ("refused", 400, "recover")
    assert words in result.error


def test_half_a_person_is_reported(server):
    frames = together(walker(1, *HERE))
    points = np.array(frames[0]["people"][0]["pose_keypoints_2d"]).reshape(-1, 3)
    points[8:14] = 0  # hips to ankles
    frames[0]["people"][0] = {"pose_keypoints_2d": points.flatten().tolist()}
    assert "legs were not seen" in text_of(server.run(recovering(frames)))


def test_recover_can_be_cancelled_and_leaves_nothing(server):
    long = together(walker(400, *HERE))
    prompt = recovering(long) | {"save": saving(["recover", 0], "cancelled")}
    before = server.written()
    result = server.interrupted(prompt, 2.0)
    assert (result.kind, result.node) == ("execution_interrupted", "recover")
    assert server.written() == before
    assert "2 of 2" in text_of(server.run(recovering(together(walker(2, *HERE)))))


# --- the regressor


def regressing(name: str, **inputs) -> dict:
    return {
        "load": node("LWG_LoadRegressor", regressor_file=name),
        "image": blank(2),
        "recover": node(
            "LWG_RecoverBodyFromImage", image=["image", 0], regressor=["load", 0], **inputs
        ),
        "show": node("PreviewImage", images=["recover", 1]),
        "save": saving(["recover", 0], "regressed"),
    }


@pytest.fixture
def no_models(server, tmp_path):
    """The model folders are empty, whatever other tests have put there."""
    moved = []
    for folder in ("models/liquid_warping", "output/liquid_warping"):
        for path in (server.base / folder).glob("*.*"):
            moved.append((path, path.rename(tmp_path / f"{len(moved)}")))
    yield
    for path, place in moved:
        place.rename(path)


def test_without_a_regressor_file_it_says_where_to_get_one(server, no_models):
    info = server.get("/object_info/LWG_LoadRegressor")["LWG_LoadRegressor"]
    spec = info["input"]["required"]["regressor_file"]
    (only,) = spec[0] if isinstance(spec[0], list) else spec[1]["options"]
    explained(server.run(regressing(only)), "load", "put spin_ckpt.pth", "reload the page")


def standing(frames: int) -> SmplParams:
    """Arms out, facing the camera."""
    pose = torch.zeros(frames, 24, 3)
    pose[:, 0, 0] = torch.pi
    return SmplParams(pose)


@pytest.fixture(scope="module")
def regressors(server) -> None:
    """A small network that sees somebody stand with the arms out, and a file of another family."""
    folder = server.base / "models" / "liquid_warping"
    folder.mkdir(parents=True, exist_ok=True)
    network = Regressor(RegressorConfig(width=4, blocks=(1, 1, 1, 1), hidden=16))
    for layer in (network.decpose, network.decshape, network.deccam):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    upright, straight = [1.0, 0, 0, -1, 0, 0], [1.0, 0, 0, 1, 0, 0]
    network.init_pose.copy_(torch.tensor([upright + straight * 23]))
    network.init_cam.copy_(torch.tensor([[0.9, 0, 0]]))
    torch.save(network.state_dict(), folder / "spin_tiny.pth")
    other = {"smpl_head.a": torch.zeros(1), "backbone.blocks.0": torch.zeros(1)}
    torch.save(other, folder / "hmr2.pth")


def test_bodies_come_out_of_pictures(server, regressors):
    result = server.run(regressing("spin_tiny.pth"))
    params = load_params(saved(server, result))
    assert len(params) == len(server.pictures(result, "show")) == 2
    assert (turned(params) - turned(standing(2))).abs().max() < 1e-3


def test_keypoints_place_the_body_of_the_regressor(server, regressors):
    seen = together(detected(standing(2), torch.full((2,), THERE[0]), THERE[1]))
    params = load_params(
        saved(server, server.run(regressing("spin_tiny.pth", keypoints=literal(seen))))
    )
    assert params.valid.all()
    assert (params.camera.center[:, 0] - THERE[0]).abs().max() < 10
    assert (params.camera.scale / THERE[1] - 1).abs().max() < 0.2


def test_what_a_regressor_cannot_use_is_explained(server, regressors, two):
    for inputs, words in (
        ({"keypoints": literal(two)}, "keypoints must be 2 frames"),
        ({"keypoints": "x"}, "pose node"),
        ({"mask": ["small", 0]}, "mask must have the size of the image"),
    ):
        prompt = regressing("spin_tiny.pth", **inputs)
        prompt["small"] = node("SolidMask", value=1.0, width=40, height=50)
        explained(server.run(prompt), "recover", words)
    explained(server.run(regressing("hmr2.pth")), "load", "HMR2 (4D-Humans)")
    result = server.run(regressing("../spin_tiny.pth"))
    assert (result.kind, result.node) == ("refused", "load")
