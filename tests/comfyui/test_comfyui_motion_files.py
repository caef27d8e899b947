"""Bodies of other nodes and motions as files in a real ComfyUI."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from recovery_prompts import (
    SIZE,
    blank,
    explained,
    node,
    saved,
    saving,
    text_of,
    turned,
)  # fmt: skip

from lwg_core.body.files import load_params, save_params
from lwg_core.body.open_body import open_body
from lwg_core.body.params import JOINT_NAMES
from lwg_core.recovery.projection import project_keypoints
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import motion

# --- bodies of other nodes


def importing(payload, /, **inputs) -> dict:
    given = {"recovered": payload, "person": 0} | inputs
    return {
        "import": node("LWG_ImportBody", **given),
        "report": node("PreviewAny", source=["import", 2]),
    }


def joints(frames: int, *places: float) -> dict:
    """NLFPRED in plain numbers: people who walk side by side, x metres apart."""
    points = open_body().joints(motion("walk", frames).pose, torch.zeros(10))
    people = [points + torch.tensor([x, 0.0, 4.0]) for x in places]
    shown = (torch.stack(people, 1) * 1000).round()
    return {"joints3d_nonparam": [frame.tolist() for frame in shown]}


def test_everybody_is_imported(server):
    prompt = importing(joints(3, -0.6, 0.6), image=["image", 0]) | {"image": blank(3)}
    prompt["import"]["inputs"]["person"] = -1
    prompt |= {"show": node("PreviewImage", images=["import", 1])}
    result = server.run(prompt)
    assert text_of(result).count("3 of 3 frames have a body") == 2
    picture = cv2.imread(str(server.pictures(result, "show")[0])).max(-1) > 60
    assert picture[:, : SIZE // 2].sum() > 500 and picture[:, SIZE // 2 :].sum() > 500


def test_smpl_params_are_imported(server):
    pose = motion("wave", 4).pose
    payload = {
        "global_orient": pose[:, 0].tolist(), "body_pose": pose[:, 1:22].flatten(1).tolist(),
        "transl": [[0.0, 0.0, 3.0]] * 4, "betas": [0.0] * 10,
    }  # fmt: skip
    assert "4 of 4 frames have a body" in text_of(server.run(importing(payload)))


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"joints3d_nonparam": [[[[0.0, 0.0, 0.0]] * 5]]}, "24"),
        ({"joints3d_nonparam": [[]]}, "no person was found"),
        ({"joints3d_nonparam": [[[[1e9, 0.0, 0.0]] * 23 + [[0.0, 1e9, 0.0]]]]}, "NLFPRED"),
        ({"joints3d_nonparam": "rubbish"}, "NLFPRED"),
        ({"frames": 7, "faces": None}, "MHR_POSE_DATA"),
        ({"frames": [[{"pred_vertices": [[0, 0, 0]]}]]}, "pred_keypoints_3d"),
        ({"global_orient": [[0.0, 0.0]], "body_pose": "x"}, "SMPL_PARAMS"),
        ({"poses": [[0.0] * 71]}, "SMPL_PARAMS"),
        ({}, "SMPL_PARAMS"),
        ("../../etc/passwd", ""),
        (7, ""),
    ],
)
def test_rubbish_from_other_nodes_is_explained(server, payload, words):
    explained(server.run(importing(payload)), "import", words)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"person": 4}, "there is no person 4; 1 were found"),
        ({"fov": float("nan")}, "fov must be a finite number"),
        ({"fps": float("nan")}, "fps must be a finite number"),
        ({"image": ["three", 0]}, "image holds 3 pictures but 2 frames were recovered"),
    ],
)
def test_import_inputs_that_cannot_be_used_are_explained(server, inputs, words):
    prompt = importing(joints(2, 0.0), **inputs) | {"three": blank(3)}
    explained(server.run(prompt), "import", words)


@pytest.mark.parametrize("name", ["fov", "person", "recovered"])
def test_import_is_refused_before_anything_runs(server, name):
    wrong = {"fov": 0.5, "person": -2, "recovered": ["image", 0]}[name]
    prompt = importing(joints(2, 0.0), **{name: wrong}) | {"image": blank(1)}
    result = server.run(prompt)
    assert (result.kind, result.status, result.node) == ("refused", 400, "import")
    assert name in result.error


def test_import_can_be_cancelled(server):
    result = server.interrupted(importing(joints(1500, 0.0)), 2.0)
    assert (result.kind, result.node) == ("execution_interrupted", "import")


# --- motions as files


@pytest.fixture(scope="module")
def clip(server) -> str:
    """Name of a clip with a camera in the input folder."""
    center = torch.tensor([[SIZE / 2, SIZE / 2]]).expand(4, 2)
    camera = Camera(torch.full((4,), 100.0), center, (SIZE, SIZE), torch.full((4,), 500.0))
    params = replace(motion("walk", 4), betas=torch.ones(10), body_model="open", camera=camera)
    save_params(server.base / "input" / "seen.npz", params)
    return "seen.npz"


def loading(name: str, **inputs) -> dict:
    return {"load": node("LWG_LoadMotion", motion=name, frames=0, **inputs)}


def resave(server, name: str, prefix: str, **inputs):
    """What Load Motion makes of a file."""
    prompt = loading(name, **inputs) | {"save": saving(["load", 0], prefix)}
    return load_params(saved(server, server.run(prompt)))


def test_every_format_is_written_and_amass_comes_back(server, clip):
    prompt = loading(clip)
    forms = {"ours": "npz (all of it)", "amass": "AMASS npz", "points": "POSE_KEYPOINT json",
             "mesh": "obj mesh"}  # fmt: skip
    prompt |= {name: saving(["load", 0], f"formats/{name}", form) for name, form in forms.items()}
    before = server.written()
    result = server.run(prompt)
    paths = {name: saved(server, result, name) for name in forms}
    assert server.written() - before == set(paths.values())

    ours, given = load_params(paths["ours"]), load_params(server.base / "input" / clip)
    assert torch.equal(ours.pose, given.pose) and torch.equal(ours.betas, given.betas)
    assert torch.equal(ours.camera.focal, given.camera.focal)

    amass = np.load(paths["amass"])
    assert amass["poses"].shape == (4, 156) and float(amass["mocap_framerate"]) == 30
    (server.base / "input" / "back.npz").write_bytes(paths["amass"].read_bytes())
    back = resave(server, "back.npz", "formats/back")
    assert (turned(back) - turned(given)).abs().max() < 1e-4 and back.fps == 30

    frames = json.loads(paths["points"].read_text())
    assert len(frames) == 4 and frames[0]["canvas_width"] == SIZE
    seen = np.array(frames[0]["people"][0]["pose_keypoints_2d"]).reshape(-1, 3)
    points, sure = project_keypoints(open_body(), given)
    known = sure[0, :18].numpy() > 0
    assert np.abs(seen[known, :2] - points[0, :18].numpy()[known]).max() < 0.01

    lines = paths["mesh"].read_text().splitlines()
    vertices = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], float)
    assert len(vertices) == len(open_body().v_template)
    assert 1.4 < np.ptp(vertices[:, 1]) < 2.1, "metres, y up"


@pytest.mark.parametrize("prefix", ["../../escape", "/tmp/escape", "", ".."])
def test_motions_stay_in_their_folder(server, clip, prefix):
    result = server.run(loading(clip) | {"save": saving(["load", 0], prefix)})
    assert (result.kind, result.status, result.node) == ("refused", 400, "save")
    assert "inside the folder output/liquid_warping" in result.error


def test_a_name_from_another_node_stays_there_too(server, clip):
    prompt = loading(clip) | {"save": saving(["load", 0], ["name", 0])}
    prompt["name"] = node("PrimitiveString", value="../../escape")
    before = server.written()
    explained(server.run(prompt), "save", "inside the folder output/liquid_warping")
    assert server.written() == before and not (server.base / "escape_00001_.npz").exists()


def test_save_and_smooth_choices_are_checked(server, clip):
    for last, words in (
        (node("LWG_SaveMotion", smpl=["load", 0], filename_prefix="x", format="fbx"), "format"),
        (node("LWG_SmoothMotion", smpl=["load", 0], method="magic", strength=1.0), "method"),
        (node("LWG_SmoothMotion", smpl=["load", 0], method="gaussian", strength=21.0), "strength"),
    ):
        prompt = loading(clip) | {"last": last, "save": saving(["last", 0], "y")}
        if last["class_type"] == "LWG_SaveMotion":
            prompt.pop("save")
        result = server.run(prompt)
        assert (result.kind, result.node) == ("refused", "last") and words in result.error


BVH = """HIERARCHY
ROOT Hips
{{ OFFSET 0 90 0 CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Spine {{ OFFSET 0 15 0 CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT Neck {{ OFFSET 0 35 0 CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT Head {{ OFFSET 0 10 0 CHANNELS 3 Zrotation Xrotation Yrotation
        End Site {{ OFFSET 0 15 0 }} }} }}
{arms}  }}
{legs}}}
MOTION
Frames: 2
Frame Time: 0.05
{rows}
"""
LIMB = """    JOINT {0} {{ OFFSET {3} CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT {1} {{ OFFSET {4} CHANNELS 3 Zrotation Xrotation Yrotation
        JOINT {2} {{ OFFSET {4} CHANNELS 3 Zrotation Xrotation Yrotation
          End Site {{ OFFSET {5} }} }} }} }}
"""


def bvh() -> str:
    """A T-pose of 16 joints, then the left arm hanging down."""
    arms, legs = "", ""
    for side, x in (("Left", 1), ("Right", -1)):
        names = (f"{side}Arm", f"{side}ForeArm", f"{side}Hand")
        arms += LIMB.format(*names, f"{x * 16} 30 0", f"{x * 26} 0 0", f"{x * 12} 0 0")
        names = (f"{side}UpLeg", f"{side}Leg", f"{side}Foot")
        legs += LIMB.format(*names, f"{x * 9} -5 0", "0 -42 0", "0 -5 12")
    rows = np.zeros((2, 3 + 3 * 16))
    rows[:, 1] = 90
    rows[1, 3 + 3 * 4] = -90  # Zrotation of LeftArm, the fifth joint
    return BVH.format(arms=arms, legs=legs, rows="\n".join(" ".join(map(str, r)) for r in rows))


def test_a_bvh_written_by_hand_is_loaded(server):
    (server.base / "input" / "hand.bvh").write_text(bvh())
    params = resave(server, "hand.bvh", "bvh")
    assert len(params) == 2 and abs(params.fps - 20) < 1e-3
    joints = open_body().joints(params.pose, torch.zeros(10))
    shoulder, wrist = (JOINT_NAMES.index(f"left_{name}") for name in ("shoulder", "wrist"))
    arm = torch.nn.functional.normalize(joints[:, wrist] - joints[:, shoulder], dim=-1)
    assert arm[0, 0].abs() > 0.95, "sideways"
    assert arm[1, 1] > 0.95, "down, as y is in the camera's frame"


class Hostile:
    def __reduce__(self):
        return (open, (self.path, "w"))


def test_files_that_are_no_motion_are_explained(server, clip, tmp_path):
    folder = server.base / "input"
    evil = Hostile()
    evil.path = str(tmp_path / "executed")
    (folder / "evil.pkl").write_bytes(pickle.dumps({"0": {"pose": evil}}))
    (folder / "cut.bvh").write_text(bvh()[:200])
    (folder / "other.json").write_text('{"a": 1}')
    np.savez(folder / "wrong.npz", poses=np.zeros((3, 71)))
    for name in ("evil.pkl", "cut.bvh", "other.json", "wrong.npz"):
        prompt = loading(name) | {"save": saving(["load", 0], "never")}
        explained(server.run(prompt), "load", name)
    assert not (tmp_path / "executed").exists()
    prompt = loading(clip, person=3) | {"save": saving(["load", 0], "never")}
    explained(server.run(prompt), "load", "there is no person 3")


def test_smooth_motion(server):
    clean = motion("walk", 30)
    noise = 0.05 * torch.randn(clean.pose.shape, generator=torch.Generator().manual_seed(0))
    save_params(server.base / "input" / "noisy.npz", replace(clean, pose=clean.pose + noise))
    methods = {
        "none": ("gaussian", 0.0),
        "some": ("gaussian", 1.0),
        "official": ("butterworth", 1.0),
    }
    prompt = loading("noisy.npz")
    for name, (method, strength) in methods.items():
        smooth = {"smpl": ["load", 0], "method": method, "strength": strength}
        prompt |= {
            name: node("LWG_SmoothMotion", **smooth),
            f"save {name}": saving([name, 0], name),
        }
    result = server.run(prompt)
    jitter = {}
    for name in methods:
        turns = turned(load_params(saved(server, result, f"save {name}")))
        jitter[name] = float(turns.diff(n=2, dim=0).abs().mean())
    assert abs(jitter["none"] - float(turned(load_params(server.base / "input" / "noisy.npz")).diff(
        n=2, dim=0).abs().mean())) < 1e-4  # fmt: skip
    assert jitter["some"] < 0.5 * jitter["none"] and jitter["official"] < 0.5 * jitter["none"]
    prompt["some"]["inputs"]["strength"] = float("nan")
    explained(server.run(prompt), "some", "strength must be a finite number")
