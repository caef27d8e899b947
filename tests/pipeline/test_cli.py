"""The command line on good paths."""

import sys
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import torch

sys.path.append(str(Path(__file__).parent))
from command_line import beside, files_of, imitate  # noqa: E402

from lwg_core import cli  # noqa: E402
from lwg_core.body.files import load_params, save_params  # noqa: E402
from lwg_core.body.params import SmplParams  # noqa: E402
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig  # noqa: E402
from lwg_core.pictures import read_image  # noqa: E402
from lwg_core.recovery.keypoints import parse_pose_keypoints  # noqa: E402
from lwg_core.synthetic.motions import MOTIONS  # noqa: E402
from lwg_core.weights import save_generator  # noqa: E402


def clip(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


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
    behind = {"background": str(background), "background_fit": "cover"}
    plain = imitate(people[0], tmp_path / "a.mp4", *more, **behind)
    assert cli.main(plain) == 0
    tuned = imitate(people[0], tmp_path / "b.mp4", *more, **behind, personalize="1", seed="7")
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


def test_the_background_of_official_weights(people, tmp_path):
    """Their background network paints behind a person whom the built-in generator paints."""
    torch.manual_seed(0)
    network = GeneratorConfig(widths=(4, 4, 4), res_blocks=1, spade_hidden=4,
                              background_widths=(4, 4, 4, 4), background_res_blocks=1)  # fmt: skip
    torch.save(AttLWBGenerator(network).state_dict(), tmp_path / "official.pth")
    run = {"fill": "generator", "background-generator": str(tmp_path / "official.pth")}
    assert cli.main(imitate(people[0], tmp_path / "a.mp4", **run)) == 0
    assert cli.main(imitate(people[0], tmp_path / "b.mp4")) == 0
    painted, smooth = (clip(tmp_path / name)[0].astype(int) for name in ("a.mp4", "b.mp4"))
    assert np.abs(painted - smooth).max() > 20, "the same hole was filled alike"
    assert np.median(np.abs(painted - smooth)) < 4, "more than the hole was painted"

    ours = GeneratorConfig.surface(widths=(4, 4, 4), res_blocks=1, spade_hidden=4)
    ours = AttLWBGenerator(replace(ours, background=True))
    save_generator(tmp_path / "ours.safetensors", ours)
    run = {"fill": "generator", "generator": str(tmp_path / "ours.safetensors")}
    assert cli.main(imitate(people[0], tmp_path / "c.mp4", **run)) == 0
