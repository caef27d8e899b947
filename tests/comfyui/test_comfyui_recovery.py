"""Recovered, imported, loaded, saved and smoothed bodies in a real ComfyUI."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lwg_core.body.files import load_params, save_params
from lwg_core.body.open_body import open_body
from lwg_core.body.params import JOINT_NAMES, SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix
from lwg_core.recovery.projection import project_keypoints, to_pose_keypoint
from lwg_core.recovery.regressor.network import Regressor, RegressorConfig
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


def turned(params) -> torch.Tensor:
    return axis_angle_to_matrix(params.pose[:, :22])


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
