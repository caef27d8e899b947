"""The command line on bad input: one sentence that names it, exit code 2, nothing half-written."""

import json
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from broken_files import (  # noqa: E402
    write_bodies,
    write_generators,
    write_keypoints,
    write_pictures,
)
from command_line import beside, check_refusal, files_of, imitate, refused  # noqa: E402

from lwg_core import cli, commands  # noqa: E402

HUGE = "9" * 26


@pytest.fixture(scope="module")
def bad(people, tmp_path_factory):
    """A folder of broken inputs; ``bad(name)`` is a path in it."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "folder").mkdir()
    (folder / "folder.mp4").mkdir()
    write_pictures(folder)
    write_bodies(folder, dict(np.load(people[0].with_suffix(".npz"))))
    write_keypoints(folder, json.loads(people[0].with_suffix(".json").read_text()))
    write_generators(folder)
    return lambda name: str(folder / name)


NO_CHECKPOINT = "is no checkpoint, or nothing of one is left; give a whole .safetensors or .pth"
DAMAGED = "cannot be read as weights: it is damaged, incomplete or holds more than tensors"
BAD_FILES = [
    # option, file, what the sentence says
    ("source", "missing.png", "missing.png cannot be read"),
    ("source", "folder", "folder cannot be read"),
    ("source", "text.png", "text.png is not a picture"),
    ("source", "empty.png", "empty.png is not a picture"),
    ("source", "cut.png", "cut.png is not a picture"),
    ("source", "promise.png", "promise.png is not a picture"),
    ("source", "tiny.png", "tiny.png is 20x20 px; at least 64"),
    ("source", "narrow.png", "narrow.png is 40x128 px; at least 64"),
    ("mask", "missing.png", "missing.png cannot be read"),
    ("mask", "text.png", "text.png is not a picture"),
    ("mask", "other_size.png", "mask .*other_size.png is 64x64 px.*128x128"),
    ("mask", "black.png", "mask .*black.png is empty"),
    ("mask", "clear.png", "mask .*clear.png is empty"),
    ("body", "missing.npz", "missing.npz: there is no such file"),
    ("body", "folder", "folder: not a whole .npz"),
    ("body", "cut.npz", "cut.npz: not a whole .npz"),
    ("body", "nan.npz", r"nan.npz: pose holds NaN or infinite values in frames \[0\]"),
    ("body", "joints.npz", r"joints.npz: pose must be \(T, 24, 3\).*\(1, 23, 3\)"),
    ("body", "flat.npz", r"flat.npz: pose must be \(T, 24, 3\).*\(1, 72\)"),
    ("body", "none.npz", r"none.npz: pose must be \(T, 24, 3\).*\(0, 24, 3\)"),
    ("body", "words.npz", "words.npz: pose must hold numbers"),
    ("body", "nothing.npz", "nothing.npz: holds nothing but no 'pose'"),
    ("body", "frames.npz", "frames.npz: .* has 2 frames; a source takes exactly one"),
    ("body", "smpl.npz", "smpl.npz: .*'smpl', but the body model in use is 'open'"),
    ("body", "no_model.npz", "no_model.npz: betas without body_model"),
    ("body", "no_betas.npz", "no_betas.npz: .*has no betas"),
    ("body", "five_betas.npz", r"five_betas.npz: betas must be \(10,\).*\(5,\)"),
    ("body", "nan_betas.npz", "nan_betas.npz: betas must be"),
    ("body", "huge_betas.npz", "huge_betas.npz: .*does not lie in its picture"),
    ("body", "huge_pose.npz", "huge_pose.npz: .*does not lie in its picture"),
    ("body", "no_camera.npz", "no_camera.npz: .*has no camera"),
    ("body", "half_camera.npz", "half_camera.npz: a camera needs .*missing: cam_scale"),
    ("body", "other_picture.npz", "other_picture.npz: .*64 x 64 px picture.*128 x 128"),
    ("body", "outside.npz", "outside.npz: .*does not lie in its picture"),
    ("body", "nan_center.npz", "nan_center.npz: camera: center holds NaN"),
    ("body", "infinite.npz", "infinite.npz: camera: scale holds NaN or infinite"),
    ("body", "mirrored.npz", "mirrored.npz: camera: scale must be above zero.*-50"),
    ("body", "behind.npz", "behind.npz: camera: focal must be above zero.*-500"),
    ("body", "no_focal.npz", "no_focal.npz: camera: focal must be above zero.*got 0"),
    ("body", "objects.npz", "objects.npz: pose is no plain array"),
    ("body", "text.png", "text.png: not a whole .npz"),
    ("keypoints", "missing_file.json", "missing_file.json"),
    ("keypoints", "nobody.json", "nobody.json: .*no person was found"),
    ("keypoints", "missing.json", "missing.json: .*every keypoint is missing"),
    ("keypoints", "unsure.json", "unsure.json: .*every keypoint is missing"),
    ("keypoints", "nan_points.json", "nan_points.json: .*every keypoint is missing"),
    ("keypoints", "few.json", "few.json: .*only 3 body keypoints"),
    ("keypoints", "point.json", "point.json: .*does not lie in its picture"),
    ("keypoints", "short.json", "short.json: .*must be a list of .*; got 10"),
    ("keypoints", "two_frames.json", "two_frames.json: .*2 frames for one picture"),
    ("keypoints", "canvas.json", "canvas.json: .*same proportions"),
    ("keypoints", "broken.json", "broken.json is not valid JSON"),
    ("keypoints", "folder", "folder: .*cannot read"),
    ("keypoints", "nan.npz", "nan.npz: .*cannot read"),
    ("motion", "missing.npz", "missing.npz: neither a built-in clip"),
    ("motion", "joints.npz", r"joints.npz: pose must be \(T, 24, 3\)"),
    ("motion", "amass.npz", r"amass.npz: poses must be \(T, 66 or .*60"),
    ("motion", "none.npz", r"none.npz: pose must be \(T, 24, 3\) axis-angle with T >= 1"),
    ("motion", "nan.npz", "nan.npz: pose holds NaN"),
    ("motion", "cut.npz", "cut.npz: .*no.* whole .npz"),
    ("motion", "endless.npz", "endless.npz.*at most 1000; got inf"),
    ("motion", "still.npz", "still.npz: fps must be above zero"),
    ("motion", "far.npz", "far.npz: .*far out of the picture or behind the viewer"),
    ("motion", "folder", "folder: (neither a built-in clip|holds no)"),
    ("motion", "text.png", "text.png: (not a whole .npz|is no motion file)"),
    ("generator", "missing.safetensors", "missing.safetensors: no such file"),
    ("generator", "folder", "folder: no such file"),
    ("generator", "cut.safetensors", f"cut.safetensors {DAMAGED}"),
    ("generator", "head.safetensors", f"head.safetensors {NO_CHECKPOINT}"),
    ("generator", "cut.pth", f"cut.pth {DAMAGED}"),
    ("generator", "code.pth", f"code.pth {DAMAGED}"),
    ("generator", "empty.png", f"empty.png {NO_CHECKPOINT}"),
    ("generator", "tiny.png", f"tiny.png {NO_CHECKPOINT}"),
    ("generator", "nan.npz", f"nan.npz {DAMAGED}"),
    ("generator", "other_network.safetensors", "looks like a Global-Flow Local-Attention"),
    ("generator", "misshapen.safetensors", "misshapen.safetensors .*1 of the wrong shape"),
    ("generator", "lacking.safetensors", "lacking.safetensors .*1 missing: tsf_img_reg"),
    ("generator", "nan.safetensors", "nan.safetensors holds NaN or infinite weights"),
    ("generator", "official.safetensors", "official.safetensors: official generator weights need"),
    ("background", "missing.png", "missing.png cannot be read"),
    ("background", "text.png", "text.png is not a picture"),
    ("background", "tiny.png", "tiny.png is 20x20 px"),
    ("output", "folder.mp4", "folder.mp4 is a folder"),
    ("output", "text.png/out.mp4", "text.png is no writable folder"),
]


@pytest.mark.parametrize(("option", "name", "words"), BAD_FILES)
def test_bad_files(people, bad, tmp_path, capsys, option, name, words):
    instead = {option: bad(name)}
    if option == "keypoints":
        instead["body"] = None
    before = files_of(Path(bad("")))
    refused(capsys, imitate(people[0], tmp_path / "out.mp4", **{"frames": "2", **instead}), words)
    assert not files_of(tmp_path) and files_of(Path(bad(""))) == before


BAD_VALUES = [
    ("size", "65", "size 65 .* multiple of 8 from 64 to 2048"),
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
    ("output", "out.txt", "out.txt"),
    ("camera", "copy", "--motion walk: .*needs a motion that brings its own camera"),
    ("fill", "generator", "--generator default: .*no background network"),
]


@pytest.mark.parametrize(("option", "value", "words"), BAD_VALUES)
def test_bad_values(people, tmp_path, capsys, monkeypatch, option, value, words):
    monkeypatch.chdir(tmp_path)
    refused(capsys, imitate(people[0], tmp_path / "out.mp4", **{option: value}), words)
    assert not files_of(tmp_path)


def test_a_background_generator_must_be_one_and_be_wanted(people, bad, tmp_path, capsys):
    for name, fill, words in (
        ("official.safetensors", "generator", "official.safetensors: .*no background network"),
        ("tiny.png", "generator", f"tiny.png {NO_CHECKPOINT}"),
        ("official.safetensors", "patch", "official.safetensors is for --fill generator only"),
    ):
        options = {"fill": fill, "background-generator": bad(name)}
        refused(capsys, imitate(people[0], tmp_path / "out.mp4", **options), words)
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
    wanted = rf"{front.name} .*--keypoints JSON \(OpenPose.*or --body NPZ"
    refused(capsys, imitate(front, out, body=None), wanted)
    refused(capsys, imitate(front, out, *["--source", str(front)] * 8), "9 --source")
    assert not files_of(tmp_path)


def test_a_bad_last_source_is_told_before_the_first_is_fitted(
    people, bad, tmp_path, capsys, monkeypatch
):
    def fitted(*arguments):
        raise AssertionError("a body was fitted")

    monkeypatch.setattr(commands.sources, "recover", fitted)
    good = {"body": None, "keypoints": beside(people[0], ".json")}
    for source, mask, keypoints, words in (
        (bad("tiny.png"), beside(people[1], "_mask.png"), beside(people[1], ".json"), "tiny.png"),
        (str(people[1]), bad("other_size.png"), beside(people[1], ".json"), "other_size.png"),
        (str(people[1]), beside(people[1], "_mask.png"), bad("nobody.json"), "nobody.json"),
    ):
        more = ["--source", source, "--mask", mask, "--keypoints", keypoints]
        refused(capsys, imitate(people[0], tmp_path / "out.mp4", *more, **good), words)
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
    refused(capsys, ["synth", "--out", file], "file cannot be written")
    for options, words in (
        (["--frames", "0"], "--frames 0"),
        (["--size", "65"], "size 65"),
        (["--motion", "moonwalk"], "moonwalk"),
        (["--frame", "full", "--canvas", "200x100"], "other proportions than the picture, 512x512"),
        (["--generator", file], f"file {NO_CHECKPOINT}"),
    ):
        refused(capsys, ["demo", "--output", out, *options], words)
    refused(capsys, ["demo", "--output", file], "no writable folder")
    assert files_of(tmp_path) == ["file"]


@contextmanager
def small_files():
    """No file may grow beyond 1 kB, as if the disk were full then: not pytest's own output either,
    so the limit ends inside the test."""
    resource = pytest.importorskip("resource")  # POSIX
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_may_not_grow_is_one_sentence(people, tmp_path, capsys):
    out, folder = tmp_path / "out.mp4", tmp_path / "people"
    with small_files():
        refused(capsys, imitate(people[0], out), "out.mp4 cannot be written: File too large")
    assert not files_of(tmp_path)
    synth = ["synth", "--out", str(folder), "--size", "64", "--pictures", "1"]
    with small_files():
        refused(capsys, synth, "person0000_00.* cannot be written: File too large")
    left = files_of(folder)
    assert "person0000_00.png" not in left and not [n for n in left if n.startswith(".")]


# Real processes, whose whole stderr is looked at


def process(arguments: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "lwg_core", *arguments],
        capture_output=True, text=True, cwd=Path(cli.__file__).parents[1],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("source", "cut.png", "cut.png is not a picture"),
        ("generator", "cut.pth", f"cut.pth {DAMAGED}"),
    ],
)
def test_a_real_process_says_one_sentence(people, bad, tmp_path, option, name, words):
    run = process(imitate(people[0], tmp_path / "out.mp4", **{option: bad(name)}))
    assert run.stderr.count("\n") == 1 and run.stderr.startswith("error: "), run.stderr
    check_refusal(run.returncode, run.stderr, words)
    assert not run.stdout and not files_of(tmp_path)


def on_a_small_disk(kilobytes: int, folder: Path, arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, stderr and left-over files of a run whose ``folder`` is a file system that small.

    It is mounted in a namespace of its own, which ends with the run.
    """
    script = (
        f"mount -t tmpfs -o size={kilobytes}k none {folder} || exit 99\n"
        f'"$@"; code=$?; ls -A {folder} >&1; exit $code'
    )
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    run = subprocess.run(
        [*command, sys.executable, "-m", "lwg_core", *arguments],
        capture_output=True, text=True, cwd=Path(cli.__file__).parents[1],
    )  # fmt: skip
    return run.returncode, run.stderr, run.stdout


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs Linux' unshare")
def test_a_full_disk_is_one_sentence_and_nothing_stays(people, tmp_path):
    run = imitate(people[0], tmp_path / "out.mp4", frames="4", size="128")
    code, errors, left = on_a_small_disk(4, tmp_path, run)
    if code == 99 or errors.startswith("unshare"):
        pytest.skip("may not mount a file system")
    check_refusal(code, errors, "out.mp4 cannot be written: No space left on device")
    assert left == ""
