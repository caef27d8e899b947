"""Over two thousand damaged and hostile inputs: a sentence or a result, never anything else.

Every input is made from a sound one and a seed, so a failure names the input that caused it.
"""

from __future__ import annotations

import copy
import json
import pickle
import random
import sys
import time
import zlib

import numpy as np
import pytest
import torch
from damage import (
    ARRAYS,
    HOSTILE,
    VALUES,
    damaged,
    damaged_bytes,
    damaged_members,
    npz,
)  # fmt: skip

from lwg_core.body.files import load_body_model, load_params, save_params
from lwg_core.body.model import BodyModel
from lwg_core.body.params import JOINT_PARENTS, SmplParams
from lwg_core.body.safe_pickle import as_array, read_pickle
from lwg_core.errors import InputError
from lwg_core.recovery.importers.load import load_motion_file
from lwg_core.recovery.keypoints import parse_pose_keypoints
from lwg_core.recovery.people import track_people
from lwg_core.render.camera import Camera

RUNS = {
    "keypoint values": 300,
    "keypoint text": 250,
    "params values": 250,
    "params bytes": 150,
    "amass values": 200,
    "amass bytes": 100,
    "body values": 250,
    "body bytes": 100,
    "body pickle values": 150,
    "body pickle bytes": 400,
    "tracks values": 400,
    "tracks bytes": 250,
    "json values": 150,
    "bvh text": 150,
}
LONGEST = 5.0  # seconds of the processor for one input: none may run away

# A file may cause none of these. Unpickling by Python's own reader is among them.
FORBIDDEN = frozenset(
    "os.system os.exec os.fork os.posix_spawn os.mkdir os.remove shutil.rmtree subprocess.Popen "
    "socket.connect pickle.find_class".split()
)


class Watch:
    """Python's audit events while it is on; hooks cannot be taken away again."""

    def __init__(self):
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self.note)

    def note(self, event: str, args: tuple) -> None:
        if self.on and event in FORBIDDEN:
            self.seen.append(event)


@pytest.fixture(scope="module")
def watch():
    return Watch()


def survive(watch: Watch, name: str, make, read) -> None:
    """Run ``read(make(rng))`` for every seed of ``name``."""
    refused = 0
    for seed in range(RUNS[name]):
        data = make(random.Random(f"{name} {seed}"))
        start = time.process_time()
        watch.on = True
        try:
            read(data)
        except InputError as error:
            refused += 1
            text = str(error)
            assert text and "\n" not in text and len(text) < 600, f"{name} {seed}: {text}"
        except BaseException as error:
            raise AssertionError(f"{name} {seed}: {type(error).__name__} {error}") from error
        finally:
            watch.on = False
        assert not watch.seen, f"{name} {seed}: {watch.seen}"
        assert time.process_time() - start < LONGEST, f"{name} {seed}"
    # Else the damage is too great to get past the door, or is none at all.
    assert RUNS[name] * 0.05 < refused < RUNS[name] * 0.999, f"{name}: {refused} refused"


def test_there_are_more_than_two_thousand():
    assert sum(RUNS.values()) >= 2000


# Damage


def use_params(params: SmplParams) -> None:
    """What any later stage takes for granted."""
    assert torch.isfinite(params.pose).all() and params.pose.shape[1:] == (24, 3)
    assert params.confidence.shape == params.pose.shape[:2] and len(params.valid) == len(params)
    if params.camera is not None:
        assert len(params.camera) == len(params) and torch.isfinite(params.camera.scale).all()


def use_body(body: BodyModel) -> None:
    assert torch.isfinite(body.v_template).all() and body.parents == JOINT_PARENTS
    assert body.vertices(torch.zeros(1, 24, 3), torch.zeros(10)).shape == (
        1,
        *body.v_template.shape,
    )


@pytest.fixture
def read_file(tmp_path, monkeypatch):
    """Writes bytes under a name and reads them with a reader; nothing else may appear."""
    monkeypatch.chdir(tmp_path)

    def reader(name: str, read, use):
        def run(data: bytes) -> None:
            (tmp_path / name).write_bytes(data)
            found = read(tmp_path / name)
            for one in found if isinstance(found, tuple) else (found,):
                use(one)

        return run

    yield reader
    assert len(list(tmp_path.iterdir())) == 1  # neither canary nor anything half-written


@pytest.fixture(scope="module")
def person(tmp_path_factory) -> dict[str, np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    camera = Camera(torch.full((2,), 100.0), torch.full((2, 2), 250.0), (480, 640),
                    torch.full((2,), 900.0))  # fmt: skip
    pose = torch.randn(2, 24, 3, generator=generator)
    params = SmplParams(pose, torch.zeros(10), "open", camera, fps=25.0)
    path = tmp_path_factory.mktemp("sound") / "person.npz"
    save_params(path, params)
    return dict(np.load(path))


def amass() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "poses": 0.2 * rng.standard_normal((3, 156)),
        "trans": rng.standard_normal((3, 3)),
        "betas": rng.standard_normal(16),
        "gender": np.array("neutral"),
        "mocap_framerate": np.array(120.0),
    }


def body_arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    weights = rng.random((40, 24))
    return {
        "v_template": rng.random((40, 3)),
        "shapedirs": rng.random((40, 3, 10)),
        "posedirs": rng.random((40, 3, 207)).astype(np.float32),
        "J_regressor": np.full((24, 40), 1 / 40),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *JOINT_PARENTS[1:]], range(24)], np.uint32),
        "f": rng.integers(0, 40, (60, 3)).astype(np.uint32),
    }


def tracks() -> list[dict]:
    """What 4D-Humans, WHAM and VIBE hold of two people over three frames."""
    rng = np.random.default_rng(3)
    turn = np.diag([1.0, -1.0, -1.0])
    smpl = {
        "global_orient": turn[None],
        "body_pose": np.tile(np.eye(3), (23, 1, 1)),
        "betas": rng.random(10),
    }
    frame = {
        "time": 0, "shot": 0, "tid": [1, 2], "smpl": [smpl, smpl], "tracked_time": [0, 0],
        "camera": [np.array([0.1, 0.2, 30.0])] * 2, "size": [[480, 640]] * 2,
        "bbox": [np.arange(4.0)] * 2, "img_path": ["a.jpg"] * 2,
    }  # fmt: skip
    wham = {
        "pose": 0.1 * rng.random((3, 72)), "trans": rng.random((3, 3)) + [0, 0, 4],
        "betas": rng.random((3, 10)), "frame_ids": np.array([0, 1, 3]),
        "pose_world": rng.random((3, 72)), "verts": np.zeros((3, 5, 3), np.float32),
    }  # fmt: skip
    vibe = {
        "pose": 0.1 * rng.random((3, 72)), "betas": rng.random((3, 10)),
        "pred_cam": np.array([[0.9, 0.0, 0.1]] * 3), "orig_cam": np.array([[0.5, 0.6, 0, 0]] * 3),
        "bboxes": np.array([[300.0, 200.0, 150.0, 150.0]] * 3), "frame_ids": np.arange(3),
    }  # fmt: skip
    phalp = {f"{i}.jpg": {**copy.deepcopy(frame), "time": i} for i in range(3)}
    return [phalp, {0: wham, np.int64(4): copy.deepcopy(wham)}, {1: vibe}]


def keypoints() -> list[dict]:
    """Two frames, two people, all that OpenPose writes."""
    rng = random.Random(4)

    def person(shift: float) -> dict:
        body = [v for i in range(18) for v in (100 + shift + 9 * (i % 5), 60 + 12 * i, 0.9)]
        return {
            "pose_keypoints_2d": body,
            "foot_keypoints_2d": [v for i in range(6) for v in (100 + i, 280 + i, 0.8)],
            "face_keypoints_2d": [rng.random() for _ in range(210)],
            "hand_left_keypoints_2d": [rng.random() for _ in range(63)],
            "hand_right_keypoints_2d": None,
        }

    return [
        {"canvas_width": 512, "canvas_height": 384, "people": [person(0), person(200 + i)]}
        for i in range(2)
    ]


BVH = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
%s}
MOTION
Frames: 3
Frame Time: 0.0333
%s"""


def bvh() -> str:
    def chain(names: str, offsets: list, depth: int = 1) -> str:
        name, _, rest = names.partition(" ")
        inner = chain(rest, offsets[1:], depth + 1) if rest else "End Site\n{\nOFFSET 0 5 0\n}\n"
        x, y, z = offsets[0]
        channels = "CHANNELS 3 Zrotation Xrotation Yrotation"
        return f"JOINT {name}\n{{\nOFFSET {x} {y} {z}\n{channels}\n{inner}}}\n"

    up, down = [(0, 15, 0)] * 3, [(0, -40, 0)] * 2
    parts = chain("Spine Chest Neck Head", [(0, 10, 0), *up])
    for side, x in (("Left", 10), ("Right", -10)):
        parts += chain(f"{side}UpLeg {side}Leg {side}Foot", [(x, 0, 0), *down])
        parts += chain(f"{side}Arm {side}ForeArm {side}Hand", [(x, 40, 0), (3 * x, 0, 0)] * 2)
    count = 6 + 3 * parts.count("JOINT")
    rows = "\n".join(" ".join(str((i * j) % 7 / 2) for j in range(count)) for i in range(3))
    return BVH % (parts, rows)


# The runs


def read_keypoints(data: object) -> None:
    """Both readers of keypoints, each on its own: the first to refuse must not spare the other."""
    refusals = []
    for read in (parse_pose_keypoints, track_people):
        for size in (None, (384, 512)):
            try:
                read(data, size)
            except InputError as error:
                refusals.append(error)
    if refusals:
        raise refusals[0]


def test_keypoint_values(watch):
    sound = keypoints()
    read_keypoints(sound)
    survive(watch, "keypoint values", lambda rng: damaged(rng, sound, VALUES), read_keypoints)


def test_keypoint_text(watch):
    sound = json.dumps(keypoints()).encode()
    hostile = (b"[" * 3000, b'{"people":' * 900, b"9" * 5000, b"NaN", b"1e400", b'"\\ud800"')

    def read(data: bytes) -> None:
        read_keypoints("[" + data.decode("utf-8", "replace")[1:])

    read(sound)
    survive(watch, "keypoint text", lambda rng: damaged_bytes(rng, sound, hostile), read)


def test_params(watch, read_file, person):
    read = read_file("person.npz", load_params, use_params)
    read(npz(person))
    survive(watch, "params values", lambda rng: npz(damaged(rng, person, VALUES + ARRAYS)), read)
    both = read_file("person.npz", load_motion_file, use_params)
    for reader in (read, both):
        survive(watch, "params bytes", lambda rng: damaged_members(rng, person), reader)


def test_amass(watch, read_file):
    sound = amass()
    read = read_file("amass.npz", load_motion_file, use_params)
    read(npz(sound))
    survive(watch, "amass values", lambda rng: npz(damaged(rng, sound, VALUES + ARRAYS)), read)
    survive(watch, "amass bytes", lambda rng: damaged_members(rng, sound), read)


def test_body_npz(watch, read_file):
    sound = body_arrays()
    read = read_file("body.npz", load_body_model, use_body)
    read(npz(sound))
    survive(watch, "body values", lambda rng: npz(damaged(rng, sound, VALUES + ARRAYS)), read)
    del sound["posedirs"]
    survive(watch, "body bytes", lambda rng: damaged_members(rng, sound), read)


def pickled(rng: random.Random, value: object) -> bytes:
    data = pickle.dumps(value, rng.randrange(6))
    return zlib.compress(data) if rng.random() < 0.1 else data


def test_body_pickle(watch, read_file):
    sound = body_arrays()
    read = read_file("body.pkl", load_body_model, use_body)
    read(pickle.dumps(sound))
    survive(
        watch,
        "body pickle values",
        lambda rng: pickled(rng, damaged(rng, sound, VALUES + ARRAYS)),
        read,
    )
    small = {"a": [1, "x", None, (2.5, {"b": b"bytes"})], "f": np.arange(6.0), "s": {1, 2}}

    def read_small(data: bytes) -> None:
        def use(value: object) -> None:
            try:
                as_array(value)
            except InputError:
                pass

        read_file("body.pkl", lambda path: [read_pickle(path)], use)(data)

    survive(
        watch,
        "body pickle bytes",
        lambda rng: damaged_bytes(rng, pickle.dumps(small, rng.randrange(6)), HOSTILE),
        read_small,
    )


def test_tracks(watch, read_file):
    sound = tracks()
    read = read_file("tracks.pkl", load_motion_file, use_params)
    for one in sound:
        try:
            read(pickle.dumps(one))
        except InputError as error:  # WHAM's and VIBE's cameras need the picture's size
            assert "size" in str(error)

    def sized(path):
        return load_motion_file(path, size=(480, 640))

    read = read_file("tracks.pkl", sized, use_params)
    survive(
        watch,
        "tracks values",
        lambda rng: pickled(rng, damaged(rng, rng.choice(sound), VALUES + ARRAYS)),
        read,
    )
    survive(
        watch,
        "tracks bytes",
        lambda rng: damaged_bytes(rng, pickle.dumps(rng.choice(sound), rng.randrange(6)), HOSTILE),
        read,
    )


def test_easymocap(watch, read_file):
    turned = [np.pi / 2, 0.0, 0.0]
    person = {
        "id": 0,
        "Rh": [turned],
        "Th": [[0.1, 0, 1]],
        "poses": [[0.1] * 72],
        "shapes": [[0.5] * 10],
    }
    sound = [person, {**person, "id": 1}]
    read = read_file("000001.json", load_motion_file, use_params)
    read(json.dumps(sound).encode())

    def make(rng: random.Random) -> bytes:
        return json.dumps(damaged(rng, sound, VALUES)).encode()

    survive(watch, "json values", make, read)


def test_bvh(watch, read_file):
    sound = bvh().encode()
    hostile = (
        b"JOINT x {" * 2000,
        b"}",
        b"{",
        b"nan ",
        b"1e999 ",
        b"Frames: 999999999999\n",
        b"\0",
    )
    read = read_file("walk.bvh", load_motion_file, use_params)
    read(sound)
    survive(watch, "bvh text", lambda rng: damaged_bytes(rng, sound, hostile), read)
