"""The command view: other sides, turntables, bullet time, several angles, other poses."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from command_line import beside, files_of, frames_of, refused, run  # noqa: E402

from lwg_core import cli  # noqa: E402
from lwg_core.body.files import load_params, save_params  # noqa: E402
from lwg_core.body.open_body import open_body  # noqa: E402
from lwg_core.commands import target  # noqa: E402
from lwg_core.flow.source import Source  # noqa: E402
from lwg_core.pictures import read_image, write_image  # noqa: E402

BLUE = [0, 0, 255]


@pytest.fixture(scope="module")
def blue(tmp_path_factory):
    """A blue picture, of the size of the sources."""
    path = tmp_path_factory.mktemp("blue") / "blue.png"
    write_image(path, torch.tensor(BLUE)[:, None, None].expand(3, 128, 128) / 127.5 - 1)
    return str(path)


def view(people, out, *more, both=True, **instead) -> list[str]:
    if both:
        more = ("--source", str(people[1]), "--body", beside(people[1], ".npz"), "--mask",
                beside(people[1], "_mask.png"), *more)  # fmt: skip
    return run("view", people[0], out, *more, **instead)


def person(frames) -> np.ndarray:
    """Where frames (..., 3) before blue show the person."""
    return np.abs(frames.astype(int) - BLUE).sum(-1) > 90


def bytes_of(path) -> np.ndarray:
    return ((read_image(path) + 1) * 127.5).round().permute(1, 2, 0).byte().numpy()


def test_a_single_view_is_a_picture(people, tmp_path, blue, capsys):
    out = tmp_path / "new" / "out.png"
    assert cli.main(view(people, out, yaw="180", background=blue)) == 0
    assert files_of(tmp_path) == ["new", "new/out.png"]
    assert capsys.readouterr().out == f"wrote {out}\n"
    assert cli.main(view(people, tmp_path / "own.png", background=blue)) == 0
    turned, own = bytes_of(out), bytes_of(tmp_path / "own.png")
    assert own.shape == (64, 64, 3) and 0.05 < person(own).mean() < 0.6
    # From behind, the outline of a nearly symmetric pose is as large, the colours differ.
    sizes = [[shown.any(axis).sum() for axis in (0, 1)] for shown in (person(own), person(turned))]
    assert np.abs(np.subtract(*sizes)).max() <= 6
    assert np.abs(own.astype(int) - turned)[person(own) & person(turned)].mean() > 10


def test_a_turntable_is_a_clip(people, tmp_path, blue):
    out = tmp_path / "turn.mp4"
    assert cli.main(view(people, out, turntable="4", background=blue)) == 0
    frames, rate = frames_of(out)
    assert frames.shape == (4, 64, 64, 3) and rate == 12
    widths = person(frames).any(1).sum(1)
    assert min(widths[0], widths[2]) > 1.2 * max(widths[1], widths[3]), "sides are narrower"
    out = tmp_path / "half.mp4"
    half = view(people, out, turntable="3", turn="180", fps="25", background=blue)
    assert cli.main(half) == 0
    again, rate = frames_of(out)
    assert len(again) == 3 and rate == 25
    to_front, to_back = (np.abs(again[2].astype(int) - frames[k]).mean() for k in (0, 2))
    assert to_back < to_front / 2, "half a turn ends at the back"


def test_views_stand_side_by_side(people, tmp_path, blue):
    out = tmp_path / "views.png"
    assert cli.main(view(people, out, views="0,90,180", background=blue)) == 0
    row = bytes_of(out)
    assert row.shape == (64, 3 * 64, 3)
    heights = [person(row[:, k * 64 : k * 64 + 64]).any(1).sum() for k in range(3)]
    assert max(heights) - min(heights) <= 4, "one zoom for all"
    out = tmp_path / "clip.mp4"
    moving = view(people, out, motion="walk", frames="3", views="0,120", chunk="2", background=blue)
    assert cli.main(moving) == 0
    frames, rate = frames_of(out)
    assert frames.shape == (3, 64, 128, 3) and rate == 30
    assert (person(frames).reshape(3, 64, 2, 64).mean((1, 3)) > 0.03).all()


def test_a_motion_from_a_new_angle_and_frozen(people, tmp_path, blue):
    out = tmp_path / "frozen.mp4"
    frozen = view(people, out, motion="wave", frames="4", freeze="1", turntable="5", chunk="9",
                  background=blue)  # fmt: skip
    assert cli.main(frozen) == 0
    frames, _ = frames_of(out)
    assert len(frames) == 4 + 5
    around = np.abs(frames[2:7].astype(int) - frames[1]).mean((1, 2, 3))
    assert around[1] > 4 and around[-1] < 1.5, "once around, back where it stopped"

    side = tmp_path / "side.mp4"
    assert cli.main(view(people, side, motion="wave", frames="4", yaw="90", background=blue)) == 0
    front = tmp_path / "front.mp4"
    assert cli.main(view(people, front, motion="wave", frames="4", background=blue)) == 0
    narrow, wide = (person(frames_of(path)[0]).any(1).sum(1) for path in (side, front))
    assert narrow.max() < wide.max()
    orbit = tmp_path / "orbit.mp4"
    moving = view(people, orbit, motion="wave", frames="4", turntable="8", background=blue)
    assert cli.main(moving) == 0 and len(frames_of(orbit)[0]) == 4


def test_poses_and_the_front(people, tmp_path, blue):
    """From behind too, --front shows the front: arms out, wider than high."""
    seen = []
    for name, more in (("back.png", []), ("front.png", ["--front"])):
        arguments = run("view", people[1], tmp_path / name, *more, pose="T-pose", background=blue)
        assert cli.main(arguments) == 0
        seen.append(bytes_of(tmp_path / name))
        box = [side.any() and np.ptp(np.flatnonzero(side)) for side in
               (person(seen[-1]).any(0), person(seen[-1]).any(1))]  # fmt: skip
        assert box[0] > 0.8 * box[1]
    assert np.abs(seen[0].astype(int) - seen[1])[person(seen[0]) & person(seen[1])].mean() > 8


def test_the_full_frame_is_the_picture(people, tmp_path):
    """Around the person the source's own pixels stay, at its own resolution."""
    out = tmp_path / "full.png"
    assert cli.main(view(people, out, both=False, frame="full", fill="patch")) == 0
    made, own = bytes_of(out), bytes_of(people[0])
    assert made.shape == own.shape
    mask = (read_image(beside(people[0], "_mask.png"))[0] > 0).numpy()
    border = np.zeros_like(mask)
    border[:6] = border[:, :6] = border[:, -6:] = True
    away = border & ~mask
    assert np.abs(made.astype(int) - own)[away].mean() < 0.5
    assert np.abs(made.astype(int) - own)[mask].mean() < 25, "the person is where they were"
    out = tmp_path / "small.png"
    assert cli.main(view(people, out, both=False, frame="full", longest_side="96")) == 0
    assert bytes_of(out).shape == (96, 96, 3)
    out = tmp_path / "large.png"
    assert cli.main(view(people, out, both=False, frame="full", canvas="160x160")) == 0
    assert bytes_of(out).shape == (160, 160, 3)


def test_the_full_frame_of_a_copied_camera_is_the_motions_picture(people, tmp_path, blue):
    """It has other proportions than the source's."""
    params = load_params(people[0].with_suffix(".npz"))
    camera = params.camera.crop(-40, 0, (128, 208))
    save_params(tmp_path / "wide.npz", replace(params, camera=camera))
    copied = view(people, tmp_path / "out.png", motion=str(tmp_path / "wide.npz"), camera="copy",
                  frame="full", longest_side="104", background=blue,
                  background_fit="cover")  # fmt: skip
    assert cli.main(copied) == 0
    picture = bytes_of(tmp_path / "out.png")
    assert picture.shape == (64, 104, 3)
    columns = np.flatnonzero(person(picture).any(0))
    assert 20 < columns.min() and columns.max() < 84, "the person is in the middle"


def test_targets_keep_the_person(people):
    """Whatever is asked, the body and the picture are the source's."""
    body, params = open_body(), load_params(beside(people[0], ".npz"))
    source = Source(read_image(people[0]), params)
    for more in (["--turntable", "3"], ["--views", "0,90"], ["--pose", "A-pose", "--yaw", "30"],
                 ["--motion", "walk", "--freeze", "1", "--turntable", "2", "--roll", "5"],
                 ["--motion", "walk", "--views", "10,20", "--zoom", "0.5"]):  # fmt: skip
        args = cli.parser().parse_args(view(people, Path("o.mp4"), *more, both=False))
        clip = None if args.motion is None else target.load_motion(args.motion, 3)
        target.check_views(args, clip)
        found = target.make_targets(args, (source,), clip, body)
        joined = target.join(found)
        assert len(joined) == len(found) * target.count_frames(args, clip)
        assert joined.camera.size == params.camera.size
        assert torch.equal(joined.betas, params.betas)


BAD = [
    ({"yaw": "nan"}, "--yaw nan is not finite"),
    ({"pitch": "inf"}, "--pitch inf is not finite"),
    ({"turn": "nan", "turntable": "4"}, "--turn nan is not finite"),
    ({"views": "0,nan"}, "--views nan is not finite"),
    ({"views": "0;90"}, "--views 0;90: use angles in degrees"),
    ({"views": ",".join(["1"] * 17)}, "17 angles; at most 16"),
    ({"views": "0,90", "turntable": "4"}, "--views and --turntable both"),
    ({"views": "0,90", "roll": "4"}, "--roll is not possible with --views"),
    ({"turntable": "0"}, "--turntable 0 is not possible"),
    ({"turntable": "-5"}, "--turntable -5 is not possible"),
    ({"turntable": "9" * 20}, "--turntable 9"),
    ({"turn": "90"}, "--turn is for --turntable only"),
    ({"zoom": "0"}, "--zoom 0 is not possible"),
    ({"zoom": "nan"}, "--zoom nan is not possible"),
    ({"freeze": "1", "turntable": "4"}, "--freeze is for --motion only"),
    ({"frames": "4"}, "--frames is for --motion only"),
    ({"motion": "walk", "freeze": "1"}, "--freeze needs --turntable N"),
    ({"motion": "walk", "frames": "3", "freeze": "3", "turntable": "4", "output": "o.mp4"},
     "--freeze 3 is no frame of the motion; use 0 to 2"),
    ({"motion": "walk", "freeze": "-1", "turntable": "4"}, "--freeze -1 is no frame"),
    ({"motion": "walk", "pose": "T-pose"}, "--pose and --motion both"),
    ({"motion": "walk", "camera": "copy"}, "walk: camera strategy 'copy' needs a motion that"),
    ({"views": ",".join(["1"] * 16), "size": "1024"}, "16 frames of 1024 px side by side are too"),
    ({"motion": "walk", "frames": "2"}, "out.png is one picture, but there are 2 frames"),
    ({"canvas": "100x100"}, "--canvas is for --frame full only"),
    ({"longest_side": "100"}, "--longest-side is for --frame full only"),
    ({"frame": "full", "canvas": "100"}, "--canvas 100: use WIDTHxHEIGHT"),
    ({"frame": "full", "canvas": "9x9"}, "--canvas 9x9 is not possible"),
    ({"frame": "full", "canvas": "200x100"}, "--canvas 200x100 has other proportions"),
    ({"frame": "full", "canvas": "99x99", "longest_side": "99"}, "--canvas and --longest-side"),
    ({"frame": "full", "longest_side": "10"}, "--longest-side 10 is not possible"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "words"), BAD)
def test_bad_options(people, tmp_path, capsys, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    refused(capsys, view(people, tmp_path / "out.png", both=False, **options), words)
    assert not files_of(tmp_path)
