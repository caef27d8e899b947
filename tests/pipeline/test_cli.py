"""The command line: good paths, and one sentence, exit code 2 and no file for every bad input."""

import json
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lwg_core import cli
from lwg_core.body.files import load_params, save_params
from lwg_core.body.params import SmplParams
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.pictures import read_image
from lwg_core.recovery.keypoints import parse_pose_keypoints
from lwg_core.synthetic.motions import MOTIONS
from lwg_core.weights import DEFAULT_GENERATOR, save_generator

CAMERA = ("cam_scale", "cam_center", "cam_size", "cam_focal", "cam_principal")
HUGE = "9" * 26


def beside(picture: Path, ending: str) -> str:
    return str(picture.with_name(picture.stem + ending))


def imitate(picture: Path, out: Path, *more: str, **instead: str | None) -> list[str]:
    """Arguments of a quick good run; ``instead`` changes options, None drops them."""
    options = {
        "source": str(picture),
        "body": beside(picture, ".npz"),
        "mask": beside(picture, "_mask.png"),
        "motion": "walk",
        "output": str(out),
        "size": "64",
        "frames": "1",
        "fill": "push_pull",
        "device": "cpu",
    } | instead
    given = [text for k, v in options.items() if v is not None for text in (f"--{k}", v)]
    return ["imitate", *given, *more]


def clip(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def files_of(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


# Good paths


def test_a_picture_with_keypoints_alone(people, tmp_path, capsys):
    arguments = imitate(
        people[0], tmp_path / "new" / "out.mp4", body=None, mask=None, frames="2",
        keypoints=beside(people[0], ".json"),
    )  # fmt: skip
    assert cli.main(arguments) == 0
    assert files_of(tmp_path) == ["new", "new/out.mp4"]
    frames = clip(tmp_path / "new" / "out.mp4").astype(int)
    assert frames.shape == (2, 64, 64, 3)
    assert np.abs(frames[0] - frames[1]).max() > 40, "the person does not move"
    assert capsys.readouterr().out == f"wrote {tmp_path / 'new' / 'out.mp4'}\n"


def test_two_sources_a_background_and_personalization(people, tmp_path):
    background = tmp_path / "blue.png"
    cv2.imwrite(str(background), np.full((70, 200, 3), (255, 0, 0), np.uint8))
    more = ["--source", str(people[1]), "--body", beside(people[1], ".npz")]
    more += ["--mask", beside(people[1], "_mask.png")]
    plain = imitate(people[0], tmp_path / "a.mp4", *more, background=str(background))
    assert cli.main(plain) == 0
    tuned = imitate(
        people[0], tmp_path / "b.mp4", *more, background=str(background), personalize="1", seed="7"
    )
    assert cli.main(tuned) == 0
    a, b = (clip(tmp_path / name)[0].astype(int) for name in ("a.mp4", "b.mp4"))
    corners = a[[2, 2, -3, -3], [2, -3, 2, -3]]
    assert np.abs(corners - [0, 0, 255]).max() < 12
    assert np.abs(a - [0, 0, 255]).max(-1)[16:48, 28:36].mean() > 60, "there is no person"
    assert np.abs(a - b).max() < 100


def test_a_motion_from_a_file_is_cut_to_frames(people, tmp_path):
    pose = torch.zeros(5, 24, 3)
    pose[:, 0, 0], pose[:, 16, 2] = np.pi, torch.linspace(-1, 0, 5)
    save_params(tmp_path / "arm.npz", SmplParams(pose, fps=12))
    run = imitate(people[0], tmp_path / "o.mkv", motion=str(tmp_path / "arm.npz"), frames="3")
    assert cli.main(run) == 0
    with av.open(str(tmp_path / "o.mkv")) as container:
        assert container.streams.video[0].average_rate == 12
    assert len(clip(tmp_path / "o.mkv")) == 3


def test_motions_are_listed(capsys):
    assert cli.main(["motions"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(MOTIONS)


def test_synth_writes_what_imitate_reads(tmp_path):
    out = tmp_path / "people"
    assert cli.main(["synth", "--out", str(out), "--size", "96", "--pictures", "2"]) == 0
    stems = ["person0000_00", "person0000_01"]
    endings = [".json", ".npz", ".png", "_mask.png"]
    assert files_of(out) == sorted(stem + ending for stem in stems for ending in endings)
    for stem in stems:
        assert read_image(out / f"{stem}.png").shape == (3, 96, 96)
        params = load_params(out / f"{stem}.npz")
        assert params.camera.size == (96, 96) and params.body_model == "open"
        keypoints = parse_pose_keypoints(out / f"{stem}.json", (96, 96))
        assert keypoints.usable.all()


def test_demo(tmp_path):
    options = ["--size", "64", "--frames", "2", "--fill", "push_pull", "--device", "cpu"]
    assert cli.main(["demo", "--output", str(tmp_path / "d"), *options]) == 0
    assert len(clip(tmp_path / "d" / "wave.mp4")) == 2
    assert cv2.imread(str(tmp_path / "d" / "wave.png")).shape == (72, 4 + 4 * 68, 3)
    assert len(list((tmp_path / "d" / "person").glob("*_mask.png"))) == 2


# Bad input


@pytest.fixture(scope="module")
def bad(people, tmp_path_factory):
    """A folder of broken inputs; ``bad(name)`` is a path in it."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "folder").mkdir()
    (folder / "folder.mp4").mkdir()
    (folder / "text.png").write_text("not a picture")
    (folder / "empty.png").write_bytes(b"")
    cv2.imwrite(str(folder / "tiny.png"), np.zeros((20, 20, 3), np.uint8))
    (folder / "promise.png").write_bytes(png_header(100_000, 100_000))
    cv2.imwrite(str(folder / "other_size.png"), np.full((64, 64), 255, np.uint8))
    cv2.imwrite(str(folder / "black.png"), np.zeros((128, 128), np.uint8))

    true = dict(np.load(people[0].with_suffix(".npz")))

    def body(name: str, **changes) -> None:
        arrays = {k: v for k, v in {**true, **changes}.items() if v is not None}
        np.savez(folder / f"{name}.npz", **arrays)

    nan = true["pose"].copy()
    nan[0, 3, 1] = np.nan
    body("nan", pose=nan)
    body("joints", pose=true["pose"][:, :23])
    body("frames", **{k: np.repeat(true[k], 2, 0) for k in ("pose", "cam_scale", "cam_center",
         "confidence", "valid", "cam_focal", "cam_principal") if k in true})  # fmt: skip
    body("smpl", body_model=np.array("smpl"))
    body("nan_betas", betas=np.full(10, np.nan, np.float32))
    body("huge_betas", betas=np.full(10, 1e20, np.float32))
    body("huge_pose", pose=np.full_like(true["pose"], 1e30))
    body("no_camera", **dict.fromkeys(CAMERA))
    body("other_picture", cam_size=np.array([64, 64]))
    body("outside", cam_center=np.full((1, 2), 1e4, np.float32))
    body("behind", cam_focal=np.full(1, -500, np.float32))
    body("endless", fps=np.float64(np.inf))
    body("far", pose=np.repeat(true["pose"], 2, 0), confidence=None, valid=None,
         cam_scale=np.array([1, 1e4], np.float32), cam_center=np.zeros((2, 2), np.float32),
         cam_focal=None, cam_principal=None)  # fmt: skip
    np.savez(folder / "objects.npz", pose=np.array([{}], object))

    points = json.loads(people[0].with_suffix(".json").read_text())

    def keypoints(name: str, frames: list, **person) -> None:
        frames = json.loads(json.dumps(frames))
        frames[0]["people"][0].update(person)
        (folder / f"{name}.json").write_text(json.dumps(frames))

    keypoints("missing", points, pose_keypoints_2d=[0] * 54)
    keypoints("few", points, pose_keypoints_2d=[30, 40, 1] * 3 + [0] * 45)
    keypoints("point", points, pose_keypoints_2d=[30, 40, 1] * 18)
    keypoints("short", points, pose_keypoints_2d=[1] * 10)
    keypoints("two_frames", points * 2)
    keypoints("canvas", [{**points[0], "canvas_width": 900}])
    (folder / "nobody.json").write_text(json.dumps([{**points[0], "people": []}]))
    (folder / "broken.json").write_text('[{"people": ')

    weights = DEFAULT_GENERATOR.read_bytes()
    (folder / "cut.safetensors").write_bytes(weights[: len(weights) // 3])
    save_file({"flow_net.conv.weight": torch.zeros(3)}, folder / "other_network.safetensors")
    small = GeneratorConfig(widths=(4, 4, 4), res_blocks=1, spade_hidden=4, background=False)
    save_generator(folder / "official.safetensors", AttLWBGenerator(small))
    return lambda name: str(folder / name)


def png_header(width: int, height: int) -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", zlib.compress(bytes(99))) + part(b"IEND", b"")
    )


BAD_FILES = [
    # option, file, what the sentence says
    ("source", "missing.png", "missing.png cannot be read"),
    ("source", "folder", "folder cannot be read"),
    ("source", "text.png", "text.png is not a picture"),
    ("source", "empty.png", "empty.png is not a picture"),
    ("source", "promise.png", "promise.png is not a picture"),
    ("source", "tiny.png", "tiny.png is 20x20 px; at least 64"),
    ("mask", "text.png", "text.png is not a picture"),
    ("mask", "other_size.png", "mask is 64 x 64 px.*128 x 128"),
    ("mask", "black.png", "mask is empty"),
    ("body", "missing.npz", "missing.npz"),
    ("body", "folder", "folder: not a whole .npz"),
    ("body", "nan.npz", r"nan.npz: pose holds NaN or infinite values in frames \[0\]"),
    ("body", "joints.npz", r"joints.npz: pose must be \(T, 24, 3\).*\(1, 23, 3\)"),
    ("body", "frames.npz", "has 2 frames; a source takes exactly one"),
    ("body", "smpl.npz", "'smpl', but the body model in use is 'open'"),
    ("body", "nan_betas.npz", "nan_betas.npz: betas must be"),
    ("body", "huge_betas.npz", "does not lie in its picture"),
    ("body", "huge_pose.npz", "does not lie in its picture"),
    ("body", "no_camera.npz", "has no camera"),
    ("body", "other_picture.npz", "64 x 64 px picture.*128 x 128"),
    ("body", "outside.npz", "does not lie in its picture"),
    ("body", "behind.npz", "does not lie in its picture"),
    ("body", "objects.npz", "objects.npz: pose is no plain array"),
    ("body", "text.png", "text.png: not a whole .npz"),
    ("keypoints", "nobody.json", "nobody.json: .*no person was found"),
    ("keypoints", "missing.json", "missing.json: .*every keypoint is missing"),
    ("keypoints", "few.json", "few.json: .*only 3 body keypoints"),
    ("keypoints", "point.json", "does not lie in its picture"),
    ("keypoints", "short.json", "short.json: .*54 or 72 or 75 numbers; got 10"),
    ("keypoints", "two_frames.json", "two_frames.json: .*2 frames for one picture"),
    ("keypoints", "canvas.json", "canvas.json: .*same proportions"),
    ("keypoints", "broken.json", "broken.json is not valid JSON"),
    ("keypoints", "folder", "cannot read"),
    ("keypoints", "nan.npz", "cannot read"),
    ("motion", "joints.npz", r"joints.npz: pose must be \(T, 24, 3\)"),
    ("motion", "nan.npz", "nan.npz: pose holds NaN"),
    ("motion", "endless.npz", "inf frames per second"),
    ("motion", "far.npz", "far out of the picture or behind the viewer"),
    ("motion", "folder", "neither a built-in clip"),
    ("motion", "text.png", "text.png: not a whole .npz"),
    ("generator", "missing.safetensors", "no such file"),
    ("generator", "folder", "no such file"),
    ("generator", "cut.safetensors", "cut.safetensors cannot be read as weights"),
    ("generator", "other_network.safetensors", "looks like a Global-Flow Local-Attention"),
    ("generator", "official.safetensors", "official generator weights need"),
    ("generator", "tiny.png", "tiny.png cannot be read as weights"),
    ("background", "missing.png", "missing.png cannot be read"),
    ("background", "text.png", "text.png is not a picture"),
    ("output", "folder.mp4", "folder.mp4 is a folder"),
    ("output", "text.png/out.mp4", "text.png is no writable folder"),
]


def refused(capsys, arguments: list[str], words: str) -> None:
    """The run ends with code 2 and one sentence with these words."""
    code = cli.main(arguments)
    errors = [line for line in re.split(r"[\r\n]", capsys.readouterr().err) if "error" in line]
    assert code == 2 and len(errors) == 1, errors
    assert errors[0].startswith("error: ") and re.search(words, errors[0]), errors[0]


@pytest.mark.parametrize(("option", "name", "words"), BAD_FILES)
def test_bad_files(people, bad, tmp_path, capsys, option, name, words):
    instead = {option: bad(name)}
    if option == "keypoints":
        instead["body"] = None
    before = files_of(Path(bad("")))
    refused(capsys, imitate(people[0], tmp_path / "out.mp4", **{"frames": "2", **instead}), words)
    assert not files_of(tmp_path) and files_of(Path(bad(""))) == before


BAD_VALUES = [
    ("size", "65", "size 65 .* multiple of 8 from 64 to 1024"),
    ("size", "0", "size 0"),
    ("size", "-64", "size -64"),
    ("size", HUGE, "size 9"),
    ("frames", "0", "--frames 0 is not possible"),
    ("frames", "-3", "--frames -3"),
    ("frames", HUGE, "--frames 9"),
    ("personalize", "-1", "--personalize -1"),
    ("personalize", HUGE, "--personalize 9"),
    ("seed", "-1", "--seed -1"),
    ("seed", HUGE, "--seed 9"),
    ("device", "toaster", "--device toaster is not known"),
    ("device", "meta", "--device meta is not known"),
    ("motion", "moonwalk", "--motion moonwalk: neither a built-in clip"),
    ("output", "out.gif", "use a name that ends in .mp4"),
    ("output", "out", "use a name that ends in .mp4"),
    ("camera", "copy", "needs a motion that brings its own camera"),
]


@pytest.mark.parametrize(("option", "value", "words"), BAD_VALUES)
def test_bad_values(people, tmp_path, capsys, monkeypatch, option, value, words):
    monkeypatch.chdir(tmp_path)
    refused(capsys, imitate(people[0], tmp_path / "out.mp4", **{option: value}), words)
    assert not files_of(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_device_is_named(people, tmp_path, capsys):
    refused(capsys, imitate(people[0], tmp_path / "o.mp4", device="cuda"), "cuda is not available")


@pytest.mark.parametrize(
    ("option", "value"),
    [("size", "large"), ("frames", "1.5"), ("fill", "magic"), ("camera", "drone")],
)
def test_values_of_the_wrong_kind(people, tmp_path, capsys, option, value):
    with pytest.raises(SystemExit) as stop:
        cli.main(imitate(people[0], tmp_path / "out.mp4", **{option: value}))
    assert stop.value.code == 2 and f"argument --{option}" in capsys.readouterr().err


def test_sources_and_their_files_must_match(people, tmp_path, capsys):
    out, front = tmp_path / "out.mp4", people[0]
    more = ["--source", str(people[1])]
    refused(capsys, imitate(front, out, *more), "2 --source but 1 --mask")
    refused(capsys, imitate(front, out, *more, mask=None), "2 --source but 1 --body")
    keypoints = beside(front, ".json")
    refused(capsys, imitate(front, out, keypoints=keypoints), "--body and --keypoints both")
    wanted = r"--keypoints JSON \(OpenPose.*or --body NPZ"
    refused(capsys, imitate(front, out, body=None), wanted)
    refused(capsys, imitate(front, out, *["--source", str(front)] * 8), "9 --source")
    assert not files_of(tmp_path)


def test_synth_and_demo_check_before_they_write(tmp_path, capsys):
    (tmp_path / "file").touch()
    out, file = str(tmp_path / "new"), str(tmp_path / "file")
    for options, words in (
        (["--identities", "0"], "--identities 0"),
        (["--pictures", HUGE], "--pictures 9"),
        (["--size", "10"], "--size 10"),
        (["--size", HUGE], "--size 9"),
        (["--seed", "-1"], "--seed -1"),
    ):
        refused(capsys, ["synth", "--out", out, *options], words)
    refused(capsys, ["synth", "--out", file], "cannot write to .*file")
    for options, words in (
        (["--frames", "0"], "--frames 0"),
        (["--size", "65"], "size 65"),
        (["--motion", "moonwalk"], "moonwalk"),
        (["--generator", file], "cannot be read as weights"),
    ):
        refused(capsys, ["demo", "--output", out, *options], words)
    refused(capsys, ["demo", "--output", file], "no writable folder")
    assert files_of(tmp_path) == ["file"]


def test_an_interrupt_leaves_no_file(people, tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        yield torch.zeros(4, 3, 64, 64), torch.zeros(4, 1, 64, 64)
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "generate", interrupted)
    assert cli.main(imitate(people[0], tmp_path / "out.mp4")) == 130
    assert not files_of(tmp_path) and "interrupted" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files the POSIX way")
def test_a_full_disk_is_one_sentence_from_a_real_process(people, tmp_path):
    def limit():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    run = subprocess.run(
        [sys.executable, "-m", "lwg_core", *imitate(people[0], tmp_path / "out.mp4", frames="2")],
        capture_output=True, text=True, preexec_fn=limit, cwd=Path(cli.__file__).parents[1],
    )  # fmt: skip
    assert run.returncode == 2 and "Traceback" not in run.stderr, run.stderr
    assert re.search(r"error: cannot write .*out.mp4: File too large", run.stderr)
    assert not files_of(tmp_path)
