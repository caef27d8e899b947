"""Motion files that are damaged, hostile or something else: one sentence, nothing run."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from motion_files import (
    FRAMES,
    Z_UP,
    amass,
    cropped,
    dump,
    easymocap,
    gvhmr,
    known_motion,
    npz,
    phalp,
    wham,
)  # fmt: skip

from lwg_core.errors import InputError
from lwg_core.recovery.importers import load_motion_file


@pytest.fixture
def known() -> dict[str, np.ndarray]:
    return known_motion()


def broken(known) -> dict:
    """name -> (bytes or data to dump, what the sentence must say)."""
    good = amass(known, Z_UP, 156, mocap_framerate=30.0)

    def arrays(**changes):
        return {**good, **changes}

    nan = good["poses"].copy()
    nan[3, 5] = np.nan
    flat = {"pose": known["pose"].reshape(FRAMES, 72), "trans": known["trans"]}
    far = {**flat, "frame_ids": np.array([0, 1, 2, 3, 4, 5, 10**12])}
    crowd = {i: {**flat, "frame_ids": np.arange(FRAMES) + 150_000} for i in range(300)}
    uneven = phalp(known)
    uneven["out/000002.jpg"]["camera"].pop()
    reflected = phalp(known)
    reflected["out/000001.jpg"]["smpl"][0]["body_pose"] *= -1
    return {
        "narrow.npz": (arrays(poses=np.zeros((4, 60))), "poses must be"),
        "none.npz": (arrays(poses=np.zeros((0, 156))), "poses must be"),
        "text.npz": (arrays(poses=np.full((4, 156), "a")), "must hold numbers"),
        "nan.npz": (arrays(poses=nan), "rows [3]"),
        "short.npz": (arrays(trans=np.zeros((3, 3))), "trans must be"),
        "rate.npz": (arrays(mocap_framerate=0.0), "frames per second"),
        "endless.npz": (arrays(mocap_framerate=np.inf), "NaN or infinite"),
        "unknown.npz": ({"flow": np.zeros(3)}, "no layout known"),
        "own.npz": ({"pose": np.zeros((3, 23, 3))}, "(T, 24, 3)"),
        "far.pkl": ({1: far}, "claims"),
        "crowd.pkl": (crowd, "claims 300 people"),
        "order.pkl": ({1: {**flat, "frame_ids": np.zeros(FRAMES)}}, "ascend"),
        "behind.pkl": ({1: {**flat, "trans": -known["trans"]}}, "behind the camera"),
        "uneven.pkl": (uneven, "differ in length"),
        "reflected.pkl": (reflected, "rotation matrices"),
        "nobody.pkl": ({"0.jpg": {"tid": [], "smpl": [], "camera": [], "size": []}}, "no tracked"),
        "number.pkl": (7, "no layout known"),
        "cut.pkl": (pickle.dumps({1: flat})[:-200], "cut.pkl"),
        "evil.pkl": (b"cos\nsystem\n(S'touch pwned'\ntR.", "nothing of the file was run"),
        "empty.npz": (b"", "is empty"),
        "noise.pt": (b"PK\x03\x04" + bytes(100), "no whole"),
        "noise.bin": (b"\x01\x02\x03" * 50, "no motion file"),
        "scene.fbx": (b"Kaydara FBX Binary  \x00", "BVH"),
        "bad.json": (b"{", "json"),
        "deep.json": (b"[" * 100_000, "json"),
        "huge.json": (b'[{"id": 0, "poses": [[1e999]], "Rh": [[0,0,0]], "Th": [[0,0,0]]}]', "NaN"),
        "long.json": (b'[{"poses": [' + b"9" * 400 + b'], "Th": [0,0,0]}]', "long.json"),
        "rag.json": (b'[{"id": 0, "poses": [[1, 2], [1]], "Rh": [], "Th": []}]', "one length"),
        "width.json": (
            b'[{"id": 0, "poses": [[0, 0, 0]], "Rh": [[0,0,0]], "Th": [[0,0,0]]}]',
            "69",
        ),
        "points.json": (b'{"people": []}', "keypoints"),
        "list.json": (b"[1, 2]", "no layout known"),
    }


def test_bad_files_are_one_sentence_that_names_them(tmp_path, known):
    for name, (data, says) in broken(known).items():
        path = tmp_path / name
        if isinstance(data, bytes):
            path.write_bytes(data)
        elif path.suffix == ".npz":
            npz(path, **data)
        else:
            dump(path, data)
        with pytest.raises(InputError) as error:
            load_motion_file(path)
        message = str(error.value)
        assert message.startswith(name), message
        assert says in message, message
        assert "\n" not in message and len(message) < 400, message
    assert not (tmp_path / "pwned").exists()


def test_claims_are_checked_before_memory_is_taken(tmp_path, known):
    raw = b"\x93NUMPY\x01\x00v\x00" + (
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (500000000, 156), }".ljust(117) + b"\n"
    )
    with zipfile.ZipFile(tmp_path / "claim.npz", "w") as archive:
        archive.writestr("poses.npy", raw)
    for name, member in (("bomb.npz", "poses.npy"), ("bomb.pt", "archive/data.pkl")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(member, bytes(1000))
            archive.getinfo(member).file_size = 600 << 20
    data = gvhmr(known)
    data["smpl_params_incam"]["body_pose"] = torch.zeros(1).expand(1 << 40, 63)
    torch.save(data, tmp_path / "stretched.pt")
    for name, says in (
        ("claim.npz", "says shape"), ("bomb.npz", "unpacks to"), ("bomb.pt", "unpacks to"),
        ("stretched.pt", "claims"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=says):
            load_motion_file(tmp_path / name)


def mutated(raw: bytes, random: np.random.Generator) -> bytes:
    data = bytearray(raw)
    for _ in range(random.choice([1, 2, 8])):
        at, other = random.integers(0, len(data), 2)
        kind = random.integers(0, 4)
        if kind == 0:
            data[at] = random.integers(0, 256)
        elif kind == 1:
            del data[at : at + random.choice([1, 4, 50])]
        elif kind == 2:
            data[at : at + 8] = data[other : other + 8]
        else:
            data[at : at + 4] = [b"\xff\xff\xff\x7f", b"nan ", b"1e99", bytes(4)][other % 4]
    return bytes(data)


def test_mutated_files_are_read_or_refused_in_a_sentence(tmp_path, known):
    known["trans"] = known["trans"] + [0, 0, 3]
    npz(tmp_path / "a.npz", **amass(known, Z_UP, 156, mocap_framerate=30.0))
    torch.save(gvhmr(known), tmp_path / "b.pt")
    people = wham(known, range(FRAMES))
    people[3].pop("verts")
    dump(tmp_path / "c.pkl", people)
    dump(tmp_path / "d.pkl", phalp(known))
    dump(tmp_path / "e.pkl", {1: cropped(known, 500, 300, pose=known["pose"].reshape(FRAMES, 72))})
    (tmp_path / "f.json").write_text(json.dumps([easymocap(known, 3, 72, Z_UP)]))
    random, refused = np.random.default_rng(5), 0
    for path in sorted(tmp_path.iterdir()):
        raw = path.read_bytes()
        for _ in range(40):
            path.write_bytes(mutated(raw, random))
            try:
                people = load_motion_file(path)
            except InputError as error:
                refused += 1
                message = str(error)
                assert message.startswith(path.name) and "\n" not in message and len(message) < 450
            else:
                assert all(torch.isfinite(person.pose).all() for person in people)
    assert 80 < refused < 230


def test_torch_files_run_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    torch.save({"smpl_params_incam": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"evil\.pt: .*more than tensors"):
        load_motion_file(tmp_path / "evil.pt")
    assert not (tmp_path / "pwned").exists()


def test_missing_files_and_foreign_folders(tmp_path):
    with pytest.raises(InputError, match=r"gone\.npz"):
        load_motion_file(tmp_path / "gone.npz")
    with pytest.raises(InputError, match="numbered"):
        load_motion_file(tmp_path)
    (tmp_path / "000001.json").write_text("[3]")
    with pytest.raises(InputError, match=r"000001\.json"):
        load_motion_file(tmp_path)
