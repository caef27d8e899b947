"""Novel View, Bullet Time and Imitate Motion's options in a real ComfyUI."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from recovery_prompts import explained, node, saved, saving

from lwg_core.body.files import load_params, save_params
from lwg_core.body.open_body import open_body
from lwg_core.body.params import JOINT_PARENTS, SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix
from lwg_core.flow.targets import imitate
from lwg_core.flow.views import view_rotation
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import motion

SIZE = (240, 200)  # height, width
VIEW = {"yaw": 0.0, "pitch": 0.0, "frames": 1, "turn": 360.0, "pose": "own"}
SHOT = {"frame": 2, "frames": 6, "turn": 360.0}


def seen(params: SmplParams) -> SmplParams:
    """``params`` as if they were recovered from a picture."""
    count = len(params)
    lens = torch.full((count,), 500.0)
    middle = torch.tensor([[100.0, 120.0]]).expand(count, 2)
    camera = Camera(torch.full((count,), 100.0), middle, SIZE, lens)
    return replace(params, betas=torch.full((10,), 0.5), body_model="open", camera=camera)


@pytest.fixture(scope="module")
def files(server) -> dict[str, SmplParams]:
    """Bodies in the input folder: one frame, a clip, and one that no camera saw."""
    wave = motion("wave", 5)
    people = {
        "one.npz": seen(motion("wave", 90).select([30])),
        "clip.npz": seen(wave),
        "unseen.npz": wave,
    }
    for name, params in people.items():
        save_params(server.base / "input" / name, params)
    return people


@pytest.fixture(scope="module")
def body_file(server) -> str:
    """An SMPL file: the layout of one, its numbers made up."""
    rng = np.random.default_rng(2)
    weights = rng.random((6890, 24))
    folder = server.base / "models" / "liquid_warping"
    folder.mkdir(exist_ok=True)
    np.savez(
        folder / "SMPL_NEUTRAL.npz",
        v_template=rng.random((6890, 3)),
        shapedirs=rng.random((6890, 3, 10)),
        posedirs=rng.random((6890, 3, 207)).astype(np.float32),
        J_regressor=np.full((24, 6890), 1 / 6890),
        weights=weights / weights.sum(1, keepdims=True),
        kintree_table=np.array([[2**32 - 1, *JOINT_PARENTS[1:]], range(24)], np.uint32),
        f=rng.integers(0, 6890, (13776, 3)).astype(np.uint32),
    )
    return "SMPL_NEUTRAL.npz"


def viewing(name: str, /, kind: str = "LWG_NovelView", **inputs) -> dict:
    """The file ``name`` through a node of new views, and its target as a file."""
    given = VIEW | {"person": ["load", 0]} if kind == "LWG_NovelView" else SHOT
    given = given | ({"target": ["load", 0]} if kind == "LWG_BulletTime" else {}) | inputs
    return {
        "load": node("LWG_LoadMotion", motion=name, frames=0),
        "view": node(kind, **given),
        "save": saving(["view", 0], "view"),
    }


def target_of(server, prompt: dict) -> SmplParams:
    return load_params(saved(server, server.run(prompt)))


def roots(params: SmplParams) -> torch.Tensor:
    return axis_angle_to_matrix(params.pose[:, 0])


def test_a_single_view_turns_the_root_and_nothing_else(server, files):
    target = target_of(server, viewing("one.npz", yaw=40.0, pitch=10.0, roll=5.0))
    source = files["one.npz"]
    asked = view_rotation(40.0, 10.0, 5.0) @ roots(source)
    torch.testing.assert_close(roots(target), asked, atol=1e-5, rtol=0)
    torch.testing.assert_close(target.pose[:, 1:], source.pose[:, 1:])
    torch.testing.assert_close(target.betas, source.betas)
    assert target.camera.size == SIZE


def test_a_turntable_goes_round(server, files):
    target = target_of(server, viewing("one.npz", yaw=30.0, frames=4))
    asked = view_rotation([30.0, 120.0, 210.0, 300.0]) @ roots(files["one.npz"])
    torch.testing.assert_close(roots(target), asked, atol=1e-5, rtol=0)


def test_a_clip_from_a_new_angle_and_with_a_turning_camera(server, files):
    clip = files["clip.npz"]
    target = target_of(server, viewing("clip.npz", yaw=90.0))
    torch.testing.assert_close(roots(target), view_rotation(90.0) @ roots(clip), atol=1e-5, rtol=0)
    target = target_of(server, viewing("clip.npz", frames=2, turn=90.0))
    asked = view_rotation(torch.linspace(0, 90, 5)) @ roots(clip)
    torch.testing.assert_close(roots(target), asked, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pose", ["T-pose", "A-pose"])
def test_stock_poses_stand_upright(server, files, pose):
    target = target_of(server, viewing("one.npz", pose=pose, angles_from="person's front"))
    wanted = torch.zeros(1, 24, 3)
    wanted[0, 0, 0] = math.pi
    if pose == "A-pose":
        wanted[0, 16, 2], wanted[0, 17, 2] = -math.pi / 4, math.pi / 4
    moved = axis_angle_to_matrix(target.pose) - axis_angle_to_matrix(wanted)
    assert moved.abs().max() < 1e-5


def test_a_camera_of_a_core_node(server, files):
    """Create Camera Info orbits the person: its yaw shows the side that a viewer walks to."""
    orbit = {"mode": "orbit", "mode.yaw": 35.0, "mode.pitch": 20.0, "mode.distance": 4.0}
    around = {f"target_{axis}": 0.0 for axis in "xyz"}
    camera = node("CreateCameraInfo", **orbit, **around, roll=0.0, fov=35.0, zoom=1.0,
                  camera_type="perspective")  # fmt: skip
    prompt = viewing("one.npz", pose="T-pose", camera_info=["camera", 0]) | {"camera": camera}
    target = target_of(server, prompt)
    upright = axis_angle_to_matrix(torch.tensor([[math.pi, 0.0, 0.0]]))
    asked = view_rotation(-35.0, 20.0) @ upright
    torch.testing.assert_close(roots(target), asked, atol=1e-4, rtol=0)


def test_bullet_time_stops_turns_and_goes_on(server, files):
    clip = files["clip.npz"]
    target = target_of(server, viewing("clip.npz", "LWG_BulletTime"))
    index = [0, 1, 2, *[2] * 6, 3, 4]
    torch.testing.assert_close(target.pose[:, 1:], clip.pose[index, 1:])
    turns = view_rotation([0.0] * 3 + [60.0 * k for k in range(1, 7)] + [0.0] * 2)
    torch.testing.assert_close(roots(target), turns @ roots(clip.select(index)), atol=1e-5, rtol=0)


def test_sources_are_shown_from_behind(server, workflow):
    """The whole way to pictures, as users wire it: a person's face gives way to their back."""
    prompt = workflow("motion_imitation", ComposeFlow={"size": 128})
    prompt["8"] = node("LWG_NovelView", person=["6", 0], **VIEW | {"frames": 2})
    kept = ("1", "2", "3", "4", "5", "6", "8", "9", "11", "12")
    prompt = {name: prompt[name] for name in kept}
    del prompt["12"]["inputs"]["background"]
    prompt["back"] = node("EmptyImage", width=512, height=512, batch_size=1, color=0x808080)
    prompt["12"]["inputs"]["background"] = ["back", 0]
    prompt["show"] = node("PreviewImage", images=["12", 0])
    result = server.run(prompt)
    assert result.kind == "success", result.error
    front, back = (cv2.imread(str(p)).astype(int) for p in server.pictures(result, "show"))
    assert front.shape == back.shape
    person = np.abs(front - 128).max(-1) > 30
    assert person.mean() > 0.03
    assert np.abs(front - back).max(-1)[person].mean() > 15


def test_steady_feet_can_be_turned_off(server, workflow):
    prompt = workflow("motion_imitation")
    saves = {}
    for number, steady in enumerate((None, True, False)):
        asked = {} if steady is None else {"steady_feet": steady}
        inputs = {"sources": ["3", 0], "motion": ["clip", 0], "camera": "travel", **asked}
        saves |= {
            f"target{number}": node("LWG_ImitateMotion", **inputs),
            f"save{number}": saving([f"target{number}", 0], f"steady{number}"),
        }
    saves["clip"] = node("LWG_LoadMotion", motion="dance", frames=60)
    saves["source"] = saving(["2", 0], "source")
    result = server.run({name: prompt[name] for name in ("1", "2", "3")} | saves)
    targets = [load_params(saved(server, result, f"save{n}")) for n in range(3)]
    torch.testing.assert_close(targets[0].camera.center, targets[1].camera.center)
    source = load_params(saved(server, result, "source"))
    plain = imitate(source, motion("dance", 60), open_body(), steady_feet=False)
    torch.testing.assert_close(targets[2].camera.center[:, 0], plain.camera.center[:, 0])
    assert (targets[1].camera.center - targets[2].camera.center)[:, 0].abs().max() > 1


@pytest.mark.parametrize("turn", [0.0, 135.0])
def test_a_strolling_example_drives_another_person_through_the_picture(server, turn):
    """The whole circle is in the driving video, and travel takes the other person along it."""
    prompt = {
        "walker": node("LWG_ExamplePerson", identity=3, turn=turn, size=128, motion="stroll",
                       frames=8),
        "mask": node("MaskToImage", mask=["walker", 1]),
        "show": node("PreviewImage", images=["mask", 0]),
        "person": node("LWG_ExamplePerson", identity=4, turn=0.0, size=256, motion="none",
                       frames=2),
        "source": node("LWG_AddSource", image=["person", 0], smpl=["person", 3],
                       mask=["person", 1]),
        "target": node("LWG_ImitateMotion", sources=["source", 0], motion=["walker", 3],
                       camera="travel"),
        "save": saving(["target", 0], "stroll"),
    }  # fmt: skip
    result = server.run(prompt)
    target = load_params(saved(server, result))
    across = target.camera.center[:, 0]
    assert across.max() - across.min() > 0.15 * 256
    assert target.camera.scale.max() / target.camera.scale.min() > 1.1
    for path in server.pictures(result, "show"):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127
        edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert mask.mean() > 0.03 and not edge.any()


@pytest.mark.parametrize(
    ("kind", "inputs", "words"),
    [
        ("LWG_NovelView", {"yaw": math.nan}, "yaw must be a finite number"),
        ("LWG_NovelView", {"turn": math.nan}, "turn must be a finite number"),
        ("LWG_BulletTime", {"turn": math.nan}, "turn must be a finite number"),
        ("LWG_BulletTime", {"pitch": math.nan}, "pitch must be a finite number"),
        ("LWG_BulletTime", {"frame": 5}, "frame must be 0 to 4"),
    ],
)
def test_what_the_server_lets_pass_is_explained(server, files, kind, inputs, words):
    """NaN passes the server's own minimum and maximum, and it does not know the clip."""
    before = server.written()
    explained(server.run(viewing("clip.npz", kind, **inputs)), "view", words)
    assert server.written() == before


@pytest.mark.parametrize("kind", ["LWG_NovelView", "LWG_BulletTime"])
def test_bodies_that_cannot_be_turned_are_explained(server, files, body_file, kind):
    words = "needs a body with shape and camera"
    explained(server.run(viewing("unseen.npz", kind)), "view", words)
    prompt = viewing("clip.npz", kind, body_model=["other", 0])
    prompt["other"] = node("LWG_LoadBodyModel", body_file=body_file)
    explained(server.run(prompt), "view", "belongs to the body model 'open'", "use the same one")


@pytest.mark.parametrize(
    ("kind", "inputs", "words"),
    [
        ("LWG_NovelView", {"yaw": 1e9}, "yaw"),
        ("LWG_NovelView", {"pitch": 91.0}, "pitch"),
        ("LWG_NovelView", {"frames": 0}, "frames"),
        ("LWG_NovelView", {"pose": "X-pose"}, "pose"),
        ("LWG_NovelView", {"angles_from": "behind"}, "angles_from"),
        ("LWG_NovelView", {"camera_info": ["load", 0]}, "camera_info"),
        ("LWG_NovelView", {"person": ["picture", 0]}, "person"),
        ("LWG_BulletTime", {"frame": -1}, "frame"),
        ("LWG_BulletTime", {"frames": 0}, "frames"),
        ("LWG_BulletTime", {"turn": -1e9}, "turn"),
    ],
)
def test_refused_before_anything_runs(server, files, kind, inputs, words):
    prompt = viewing("clip.npz", kind, **inputs)
    prompt["picture"] = node("EmptyImage", width=64, height=64, batch_size=1, color=0)
    result = server.run(prompt)
    assert (result.kind, result.status, result.node) == ("refused", 400, "view")
    assert words in result.error
