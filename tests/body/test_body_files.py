"""Motion and body-model files: round trips, and what hostile or broken ones get."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lwg_core.body.archive import read_npz
from lwg_core.body.files import load_body_model, load_params, save_params
from lwg_core.body.open_body import open_body
from lwg_core.body.params import JOINT_PARENTS, SmplParams
from lwg_core.errors import InputError
from lwg_core.render.camera import Camera


def person(frames: int = 3, pinhole: bool = True) -> SmplParams:
    generator = torch.Generator().manual_seed(0)
    camera = Camera(
        scale=torch.linspace(100, 120, frames),
        center=torch.rand(frames, 2, generator=generator) * 500,
        size=(480, 640),
        focal=torch.full((frames,), 900.0) if pinhole else None,
        principal=torch.full((frames, 2), 300.0) if pinhole else None,
    )
    return SmplParams(
        pose=torch.randn(frames, 24, 3, generator=generator),
        betas=torch.randn(10, generator=generator),
        body_model="open",
        camera=camera,
        confidence=torch.rand(frames, 24, generator=generator),
        valid=torch.arange(frames) != 1,
        fps=29.97,
        track=2,
    )


def smpl_arrays(vertices: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    weights = rng.random((vertices, 24))
    return {
        "v_template": rng.random((vertices, 3)),
        "shapedirs": rng.random((vertices, 3, 12)),
        "posedirs": rng.random((vertices, 3, 207)),
        "J_regressor": np.full((24, vertices), 1 / vertices),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *JOINT_PARENTS[1:]], range(24)]).astype(np.uint32),
        "f": rng.integers(0, vertices, (60, 3)).astype(np.uint32),
    }


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_a_person_comes_back_whole(tmp_path):
    for pinhole in (True, False):
        params = person(pinhole=pinhole)
        save_params(tmp_path / "person.npz", params)
        back = load_params(tmp_path / "person.npz")
        for name in ("pose", "betas", "confidence", "valid"):
            assert torch.equal(getattr(back, name), getattr(params, name)), name
        assert (back.body_model, back.fps, back.track) == ("open", 29.97, 2)
        assert back.camera.size == (480, 640)
        for name in ("scale", "center", "focal", "principal"):
            mine, theirs = getattr(back.camera, name), getattr(params.camera, name)
            assert (mine is None) == (theirs is None)
            assert mine is None or torch.equal(mine, theirs)
    assert [p.name for p in tmp_path.iterdir()] == ["person.npz"]


def test_a_bare_motion_comes_back(tmp_path):
    save_params(tmp_path / "walk.npz", SmplParams(pose=torch.rand(4, 24, 3)))
    back = load_params(str(tmp_path / "walk.npz"))
    assert back.betas is None and back.camera is None and back.body_model is None
    assert back.valid.all() and (back.confidence == 1).all() and back.fps == 30.0


@pytest.mark.parametrize(
    "change, words",
    [
        ({"pose": None}, "no 'pose'"),
        ({"pose": np.zeros((3, 23, 3))}, "24"),
        ({"pose": np.full((3, 24, 3), np.nan)}, "frames"),
        ({"pose": np.full((3, 24, 3), "x")}, "numbers"),
        ({"betas": np.zeros(16)}, "betas"),
        ({"body_model": None}, "body_model"),
        ({"body_model": np.array(3)}, "body_model"),
        ({"cam_scale": None}, "cam_scale"),
        ({"cam_scale": np.zeros(3)}, "scale"),
        ({"cam_size": np.array([480, 0])}, "cam_size"),
        ({"cam_size": np.array([480.0, 640.0])}, "cam_size"),
        ({"cam_center": np.zeros((2, 2))}, "center"),
        ({"confidence": np.zeros((3, 23))}, "confidence"),
        ({"valid": np.ones(3) * 0.5}, "valid"),
        ({"fps": np.array(0.0)}, "fps"),
        ({"fps": np.array(np.inf)}, "fps"),
        ({"fps": np.zeros(2)}, "fps"),
        ({"fps": np.array("fast")}, "fps"),
        ({"track": np.array(1.5)}, "track"),
    ],
)
def test_wrong_motions_are_named(tmp_path, change, words):
    save_params(tmp_path / "p.npz", person())
    arrays = {**read_npz(tmp_path / "p.npz"), **change}
    npz(tmp_path / "bad.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(InputError, match=words) as caught:
        load_params(tmp_path / "bad.npz")
    assert str(caught.value).startswith("bad.npz: ")


def test_pickles_inside_are_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    np.savez(tmp_path / "evil.npz", pose=np.array([Evil()], dtype=object))
    with pytest.raises(InputError, match="object"):
        load_params(tmp_path / "evil.npz")
    (tmp_path / "evil.npy").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError):
        load_params(tmp_path / "evil.npy")
    assert not (tmp_path / "owned").exists()


def test_broken_files_are_named(tmp_path):
    save_params(tmp_path / "whole.npz", person(50))
    data = (tmp_path / "whole.npz").read_bytes()
    for cut in (0, 1, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.npz").write_bytes(data[:cut])
        with pytest.raises(InputError, match="cut.npz"):
            load_params(tmp_path / "cut.npz")
    flipped = bytearray(data)
    flipped[len(data) // 3] ^= 0xFF
    (tmp_path / "cut.npz").write_bytes(flipped)
    with pytest.raises(InputError, match="cut.npz"):
        load_params(tmp_path / "cut.npz")
    for missing in (tmp_path / "none.npz", tmp_path):
        with pytest.raises(InputError):
            load_params(missing)


def header(shape, descr="<f4", fortran=False) -> bytes:
    text = str({"descr": descr, "fortran_order": fortran, "shape": shape}).encode()
    text += b" " * (64 - (len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    "member",
    [
        header((10**12, 24, 3)),
        header((2**62, 2**62)),
        header((0, 2**62, 2**62)),
        header((-1, 24, 3)) + b"\0" * 288,
        header((1, 24, 3)) + b"\0" * 100,
        header((1, 24, 3)) + b"\0" * 1000,
        header((1,), "|O") + b"\0" * 8,
        header((1,), [("a", "<f4")]) + b"\0" * 4,
        b"\x93NUMPY\x01\x00\xff\xff{" + b"(" * 50,
        b"not an array",
        b"",
    ],
)
def test_lying_headers_get_no_memory(tmp_path, member):
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("pose.npy", member)
    with pytest.raises(InputError, match="lie.npz"):
        load_params(tmp_path / "lie.npz")


def test_members_that_nobody_asked_for_are_left_alone(tmp_path):
    path = npz(tmp_path / "model.npz", weights=np.ones(3), joint2num=np.array({}, dtype=object))
    assert list(read_npz(path, only=("weights", "posedirs"))) == ["weights"]
    with pytest.raises(InputError, match="joint2num"):
        read_npz(path)


def test_text_that_is_none_is_refused(tmp_path):
    """numpy fails with a SystemError when such text is looked at."""
    for order in "<>":
        (tmp_path / "text.npz").unlink(missing_ok=True)
        with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
            archive.writestr("body_model.npy", header((1,), f"{order}U2") + b"\xff" * 8)
        with pytest.raises(InputError, match="text that is none"):
            read_npz(tmp_path / "text.npz")
    good = npz(tmp_path / "good.npz", a=np.array(["open", "\u4eba\U0001f483"]).astype(">U4"))
    assert read_npz(good)["a"].tolist() == ["open", "\u4eba\U0001f483"]


def test_a_member_that_ends_early_is_named(tmp_path):
    """The directory promises more bytes than the stream holds, with a matching checksum."""
    with zipfile.ZipFile(tmp_path / "short.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pose.npy", header((2, 24, 3)) + b"\0" * 288)
    data = (tmp_path / "short.npz").read_bytes()
    true = struct.pack("<I", len(header((2, 24, 3))) + 288)
    told = struct.pack("<I", len(header((2, 24, 3))) + 576)
    assert data.count(true) >= 2
    (tmp_path / "short.npz").write_bytes(data.replace(true, told))
    with pytest.raises(InputError, match="short.npz"):
        load_params(tmp_path / "short.npz")


def test_zip_bombs_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pose.npy", header((2 << 20,)) + b"\0" * (8 << 20))
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 16
    assert read_npz(tmp_path / "bomb.npz")["pose"].nbytes == 8 << 20
    with pytest.raises(InputError, match="MB"):
        read_npz(tmp_path / "bomb.npz", limit=4 << 20)


def test_arrays_in_fortran_order_are_read(tmp_path):
    pose = np.asfortranarray(np.random.default_rng(0).random((3, 24, 3)))
    loaded = load_params(npz(tmp_path / "fortran.npz", pose=pose)).pose
    assert np.array_equal(loaded.numpy(), pose.astype(np.float32))


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    save_params(tmp_path / "p.npz", person(2))
    before = (tmp_path / "p.npz").read_bytes()

    def full(stream, **arrays):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(InputError, match="No space left"):
        save_params(tmp_path / "p.npz", person(3))
    assert (tmp_path / "p.npz").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.npz"]


def test_names_and_folders_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"\.npz"):
        save_params(tmp_path / "motion.txt", person())
    with pytest.raises(InputError, match="nowhere"):
        save_params(tmp_path / "nowhere" / "p.npz", person())


def test_open_is_the_built_in_body():
    assert load_body_model("open") is open_body()


def test_files_in_smpl_layout_load_from_both_formats(tmp_path):
    arrays = smpl_arrays()
    tensors = {name: torch.from_numpy(value.astype(np.float32)) for name, value in arrays.items()}
    tensors["kintree_table"] = torch.tensor([JOINT_PARENTS, range(24)])
    tensors["f"] = torch.from_numpy(arrays["f"].astype(np.int64))
    save_file(tensors, tmp_path / "My_Body.safetensors")
    for path in (npz(tmp_path / "My_Body.npz", **arrays), tmp_path / "My_Body.safetensors"):
        body = load_body_model(path)
        assert body.id == "my_body" and body.parents == JOINT_PARENTS
        assert body.shapedirs.shape == (40, 3, 10) and body.posedirs.shape == (40, 3, 207)
        assert body.v_template.dtype == torch.float32 and body.faces.dtype == torch.int64
        assert body.vertices(torch.rand(2, 24, 3), torch.rand(10)).isfinite().all()
        assert body.rest_normals().shape == (40, 3)  # random triangles, no mirror
    del arrays["posedirs"]
    assert load_body_model(npz(tmp_path / "b.npz", **arrays)).posedirs is None


@pytest.mark.parametrize(
    "change, words",
    [
        ({"weights": None}, "missing: weights"),
        ({"v_template": np.zeros((40, 2))}, "v_template"),
        ({"v_template": np.zeros((39, 3))}, "shapedirs"),
        ({"v_template": np.array(1.0)}, "v_template"),
        ({"v_template": np.full((40, 3), np.inf)}, "v_template"),
        ({"shapedirs": np.zeros((40, 3, 9))}, "10 shape"),
        ({"J_regressor": np.zeros((55, 40))}, "J_regressor"),
        ({"J_regressor": np.full((24, 40), "x")}, "J_regressor must hold numbers"),
        ({"weights": np.full((40, 24), 0.5)}, "sum to 1"),
        ({"posedirs": np.zeros((40, 3, 10))}, "posedirs"),
        ({"f": np.full((2, 3), 40)}, "index"),
        ({"f": np.zeros((0, 3), np.int64)}, "index"),
        ({"f": np.full((2, 3), -1)}, "index"),
        ({"kintree_table": np.stack([np.arange(24), np.arange(24)])}, "parent"),
    ],
)
def test_wrong_body_models_are_named(tmp_path, change, words):
    arrays = {k: v for k, v in {**smpl_arrays(), **change}.items() if v is not None}
    with pytest.raises(InputError, match=words) as caught:
        load_body_model(npz(tmp_path / "bad.npz", **arrays))
    assert str(caught.value).startswith("bad.npz: ")


def test_other_files_are_no_body_models(tmp_path):
    with pytest.raises(InputError, match="'open' or"):
        load_body_model("smpl")
    for name in ("none.npz", "none.pkl", "none.safetensors"):
        with pytest.raises(InputError, match="no such file"):
            load_body_model(tmp_path / name)
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(InputError, match="bad.safetensors"):
        load_body_model(tmp_path / "bad.safetensors")


def test_compressions_that_are_broken_are_named(tmp_path):
    """Python's zip reader has three unpackers, and each fails in its own way."""
    for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = tmp_path / "broken.npz"
        with zipfile.ZipFile(path, "w", kind) as archive:
            archive.writestr("pose.npy", header((40, 24, 3)) + bytes(range(256)) * 45)
        data = bytearray(path.read_bytes())
        data[50:90] = bytes(byte ^ 0x5A for byte in data[50:90])
        path.write_bytes(data)
        with pytest.raises(InputError, match="not a whole .npz file"):
            read_npz(path)
