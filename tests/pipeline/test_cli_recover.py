"""The command recover: pictures and videos in, bodies and overlays out."""

import json
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from command_line import beside, files_of  # noqa: E402

from lwg_core import cli  # noqa: E402
from lwg_core.body.files import load_params  # noqa: E402
from lwg_core.body.open_body import open_body  # noqa: E402
from lwg_core.clips import open_clip  # noqa: E402
from lwg_core.errors import InputError  # noqa: E402
from lwg_core.pictures import read_image  # noqa: E402
from lwg_core.recovery.importers import load_motion_file  # noqa: E402
from lwg_core.recovery.projection import project_keypoints, to_pose_keypoint  # noqa: E402
from lwg_core.recovery.regressor.network import Regressor, RegressorConfig  # noqa: E402
from lwg_core.render.camera import Camera  # noqa: E402
from lwg_core.synthetic.motions import motion  # noqa: E402
from lwg_core.video import open_output  # noqa: E402

SIZE, FRAMES = 192, 8


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """A grey video of two walkers, the taller one on the left: video, keypoints, their motion."""
    folder = tmp_path_factory.mktemp("crowd")
    body, walk = open_body(), motion("walk", FRAMES)
    frames = []
    for scale, x in ((90.0, 60.0), (70.0, 140.0)):
        scales = torch.full((FRAMES,), scale)
        center = torch.tensor([[x, SIZE / 2]]).expand(FRAMES, 2)
        camera = Camera(scales, center, (SIZE, SIZE), scales * 5)
        person = replace(walk, betas=torch.zeros(10), body_model=body.id, camera=camera)
        frames.append(to_pose_keypoint(*project_keypoints(body, person), (SIZE, SIZE)))
    both = [{**a, "people": a["people"] + b["people"]} for a, b in zip(*frames, strict=True)]
    both[3]["people"].reverse()  # detectors do not keep an order
    (folder / "keypoints.json").write_text(json.dumps(both))
    with open_output(folder / "clip.mp4", 25, FRAMES) as video:
        video.write(torch.zeros(FRAMES, 3, SIZE, SIZE))
    return folder / "clip.mp4", folder / "keypoints.json", walk


def recover(image, keypoints, output, *more: object) -> int:
    given = ["recover", "--image", image, "--keypoints", keypoints, "--output", output, *more]
    return cli.main([str(text) for text in given])


def test_a_picture(people, tmp_path, capsys):
    done = recover(
        people[0], beside(people[0], ".json"), tmp_path / "new" / "body.npz",
        "--overlay", tmp_path / "over.png",
    )  # fmt: skip
    assert done == 0
    found, true = load_params(tmp_path / "new" / "body.npz"), load_params(beside(people[0], ".npz"))
    assert found.camera.size == true.camera.size and bool(found.valid.all())
    body = open_body()
    seen, expected = (project_keypoints(body, p)[0] for p in (found, true))
    assert (seen - expected).norm(dim=-1).mean() < 2
    drawn, bare = read_image(tmp_path / "over.png"), read_image(people[0])
    assert drawn.shape == bare.shape and (drawn - bare).abs().mean() > 0.02
    assert "1 of 1 frames have a body" in capsys.readouterr().out


def test_everybody_in_a_video(crowd, tmp_path):
    video, keypoints, walk = crowd
    over = tmp_path / "over.mp4"
    assert recover(video, keypoints, tmp_path / "b.npz", "--person", "all", "--overlay", over) == 0
    assert files_of(tmp_path) == ["b_0.npz", "b_1.npz", "over.mp4"]
    tall, small = (load_params(tmp_path / f"b_{i}.npz") for i in (0, 1))
    assert len(tall) == len(small) == FRAMES and tall.fps == 25
    assert tall.camera.scale.mean() > 1.15 * small.camera.scale.mean()
    assert (tall.camera.center[:, 0] < 100).all() and (small.camera.center[:, 0] > 100).all()
    clip = open_clip(over)
    assert (clip.count, clip.size, clip.fps) == (FRAMES, (SIZE, SIZE), 25)
    frame = next(iter(clip.frames()))
    assert (frame[:, :, 40:80].std() > 0.1) and (frame[:, :, 120:160].std() > 0.1)


def test_everybody_by_the_regressor(crowd, tmp_path):
    """Each person is a file of their own, under the number that tracking gave them."""
    video, keypoints, _ = crowd
    torch.manual_seed(0)
    network = Regressor(RegressorConfig(width=4, blocks=(1, 1, 1, 1), hidden=16))
    state = network.state_dict()
    state["init_pose"].copy_(torch.tensor([1.0, 0, 0, 1, 0, 0]).repeat(24))
    state["init_cam"][0, 0] = 0.9
    torch.save(state, tmp_path / "spin.pt")
    path, more = tmp_path / "b.npz", ["--method", "spin", "--regressor", tmp_path / "spin.pt"]
    assert recover(video, keypoints, path, "--person", "all", *more) == 0
    assert files_of(tmp_path) == ["b_0.npz", "b_1.npz", "spin.pt"]
    left, right = (load_params(tmp_path / f"b_{i}.npz") for i in (0, 1))
    assert (left.track, right.track) == (0, 1) and len(left) == len(right) == FRAMES
    assert (left.camera.center[:, 0] < 100).all() and (right.camera.center[:, 0] > 100).all()


def test_a_point_and_amass(crowd, tmp_path):
    video, keypoints, _ = crowd
    path = tmp_path / "b.npz"
    assert recover(video, keypoints, path, "--person", "140,100", "--format", "amass") == 0
    with np.load(path, allow_pickle=False) as file:
        assert file["poses"].shape == (FRAMES, 156) and file["mocap_framerate"] == 25
    (read,) = load_motion_file(path)
    assert len(read) == FRAMES


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--person", "9"], "no person 9"),
        (["--person", "only"], "2 people were found"),
        (["--person", "1,2"], "nobody|no person|point"),
        (["--person", "somebody"], "X,Y in pixels"),
        (["--method", "spin"], "--regressor FILE"),
        (["--regressor", "x.pt"], "--method spin"),
        (["--method", "spin", "--regressor", "x.pt", "--focal", "900"], "--focal is for"),
        (["--method", "spin", "--regressor", "x.pt", "--tight-clothing"], "--tight-clothing is"),
        (["--overlay", "over.webm"], r"\.png, or \.mp4"),
        (["--overlay", "over.txt"], r"'\.txt' is no picture format"),
        (["--fps", "0"], "--fps 0: fps must be"),
        (["--body-model", "none.npz"], "none.npz"),
        (["--fps", "nan"], "fps must be"),
        (["--focal", "-3"], "focal must be"),
        (["--tight-clothing"], "every frame"),
        (["--output", "body.json"], r"saved as \.npz"),
    ],
)
def test_bad_input(crowd, tmp_path, capsys, monkeypatch, more, words):
    import re

    monkeypatch.chdir(tmp_path)
    assert recover(crowd[0], crowd[1], "body.npz", *more) == 2
    (line,) = [t for t in capsys.readouterr().err.splitlines() if t.startswith("error:")]
    assert re.search(words, line)
    assert files_of(tmp_path) == []


def test_frames_and_files_that_do_not_belong_together(crowd, people, tmp_path, capsys):
    assert recover(people[0], crowd[1], tmp_path / "b.npz") == 2
    assert "8 frames but image holds 1" in capsys.readouterr().err
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(crowd[0].read_bytes()[:700])
    assert recover(broken, crowd[1], tmp_path / "b.npz") == 2
    assert "broken.mp4" in capsys.readouterr().err
    given = ["recover", "--image", str(people[0]), "--output", str(tmp_path / "b.npz")]
    assert cli.main(given) == 2
    assert "needs --keypoints" in capsys.readouterr().err
    assert files_of(tmp_path) == ["broken.mp4"]


def test_a_clip_is_read_frame_by_frame(tmp_path, people):
    shades = torch.linspace(-1, 1, 5)
    with open_output(tmp_path / "a.mp4", 12.5, 5) as video:
        video.write(shades[:, None, None, None].expand(5, 3, 64, 96))
    clip = open_clip(tmp_path / "a.mp4")
    assert (clip.count, clip.size, clip.fps) == (5, (64, 96), 12.5)
    read = torch.stack(list(clip.frames()))
    assert read.shape == (5, 3, 64, 96)
    torch.testing.assert_close(read.mean((1, 2, 3)), shades, atol=0.03, rtol=0)
    still = open_clip(people[0])
    assert still.fps is None and still.count == 1
    assert torch.equal(next(still.frames()), read_image(people[0]))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"text\.mp4 cannot be read"):
        open_clip(tmp_path / "text.mp4")


def test_videos_of_telephones_are_set_upright(tmp_path):
    """They are stored lying, with a matrix that turns them; detectors saw them turned."""
    frames = -torch.ones(2, 3, 64, 96)
    frames[:, 0, :20] = 1  # red above
    path = tmp_path / "a.mp4"
    with open_output(path, 10, 2) as video:
        video.write(frames)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(
        ">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30
    )
    path.write_bytes(data)
    clip = open_clip(path)
    (frame, _) = clip.frames()
    assert clip.size == (96, 64) and frame.shape == (3, 96, 64)
    assert frame[0, :, -18:].min() > 0.5 and frame[0, :, :-22].max() < -0.5
