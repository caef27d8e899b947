"""Clips as they come: resumed, transparent, with sound, as pictures, before a video."""

import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from command_line import beside, files_of, frames_of, imitate, refused, run  # noqa: E402

from lwg_core import cli, commands  # noqa: E402
from lwg_core.painting import generate  # noqa: E402
from lwg_core.pictures import read_image, write_image  # noqa: E402
from lwg_core.video import open_output  # noqa: E402

FRAMES = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with a sound, a clip that fades from black to white, and a wide picture."""
    folder = tmp_path_factory.mktemp("files")
    time = np.arange(44100, dtype=np.float32) / 44100
    with av.open(str(folder / "tone.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=44100)
        stream.codec_context.layout = "mono"
        tone = (np.sin(2 * np.pi * 440 * time) * 9000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate = 44100
        for packet in (*stream.encode(frame), *stream.encode()):
            out.mux(packet)
    fade = torch.linspace(-1, 1, FRAMES)[:, None, None, None].expand(FRAMES, 3, 128, 128)
    with open_output(folder / "fade.mp4", 30, FRAMES) as out:
        out.write(fade)
    with open_output(folder / "wide.mp4", 30, FRAMES) as out:
        out.write(torch.zeros(FRAMES, 3, 64, 128))
    write_image(folder / "wide.png", torch.zeros(3, 64, 128))
    return folder


def clip(picture: Path, out: Path, *more: str, **instead) -> list[str]:
    return imitate(picture, out, *more, **{"frames": str(FRAMES), "chunk": "2"} | instead)


def stop_after(monkeypatch, frames: int) -> list[int]:
    """Ctrl-C when so many frames are painted; returns where each run began."""
    starts = []

    def interrupted(*arguments, start=0, **options):
        starts.append(start)
        for images, mattes in generate(*arguments, start=start, **options):
            start += len(images)
            yield images, mattes
            if start >= frames:
                raise KeyboardInterrupt

    monkeypatch.setattr(commands.job, "generate", interrupted)
    return starts


@pytest.mark.parametrize("name", ["out.mp4", "out", "out.webp"])
def test_an_interrupted_run_is_resumed(people, tmp_path, capsys, monkeypatch, caplog, name):
    out, whole = tmp_path / "a" / name, tmp_path / "b" / name
    assert cli.main(clip(people[0], whole)) == 0
    starts = stop_after(monkeypatch, 4)
    assert cli.main(clip(people[0], out)) == 130
    assert "interrupted" in capsys.readouterr().err
    assert f"kept 4 of {FRAMES} frames" in caplog.text and "--resume" in caplog.text
    assert not out.is_file()
    # Another job does not take up these frames; this one does, on other hardware options too.
    other = clip(people[0], out, "--resume", motion="dance")
    refused(capsys, other, f"{name} cannot be continued: the 4 frames")
    assert starts == [0]
    monkeypatch.undo()
    starts = stop_after(monkeypatch, 99)
    assert cli.main(clip(people[0], out, "--resume", chunk="1")) == 0
    assert starts == [4]
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    if name == "out.webp":
        return
    made, wanted = (pictures(path) for path in (out, whole))
    assert made.shape == wanted.shape == (FRAMES, 64, 64, 3)
    away = np.abs(made.astype(int) - wanted)
    assert away.max() <= 1 if name == "out" else away.mean() < 4  # H.264 begins anew at frame 4


def pictures(path: Path) -> np.ndarray:
    if path.is_file():
        return frames_of(path)[0]
    return np.stack([cv2.imread(str(p)) for p in sorted(path.glob("*.png"))])


def test_an_interrupt_before_the_first_frame_leaves_nothing(people, tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands.job, "generate", interrupted)
    assert cli.main(clip(people[0], tmp_path / "out.mp4")) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not files_of(tmp_path)


def test_only_what_changes_pictures_changes_the_job(people, tmp_path):
    def key(*more, picture=people[0], **instead) -> str:
        args = cli.parser().parse_args(clip(picture, tmp_path / "o.mp4", *more, **instead))
        motion = commands.target.load_motion(args.motion, args.frames)
        return commands.options.job_key(args, motion)

    same = [key(), key(chunk="1"), key("--resume"), key(device="auto"), key(output="b.mp4")]
    assert len(set(same)) == 1
    different = [
        key(motion="dance"), key(size="128"), key(seed="1"), key("--alpha"), key(fill="patch"),
        key(mask=beside(people[1], "_mask.png")), key(picture=people[1]), key("--temporal"),
        key(camera="source"), key(frames="5"), key(frame="full"), key("--no-steady-feet"),
    ]  # fmt: skip
    assert len({same[0], *different}) == 1 + len(different)
    copy = tmp_path / "moved.png"
    copy.write_bytes(people[0].read_bytes())
    assert key(picture=copy, body=beside(people[0], ".npz"),
               mask=beside(people[0], "_mask.png")) == same[0]  # fmt: skip


def test_alpha_is_straight(people, tmp_path):
    """Colour over any background: the picture times its matte, once."""
    out = tmp_path / "cut"
    assert cli.main(clip(people[0], out, "--alpha")) == 0
    assert files_of(out) == [f"{k:06d}.png" for k in range(FRAMES)]
    cut = np.stack([cv2.imread(str(p), -1) for p in sorted(out.glob("*.png"))])
    assert cut.shape == (FRAMES, 64, 64, 4)
    colour, alpha = cut[..., :3].astype(float), cut[..., 3:] / 255.0
    assert alpha[:, :2].max() < 0.05 and 0.04 < alpha.mean() < 0.5
    background = tmp_path / "green.png"
    cv2.imwrite(str(background), np.full((128, 128, 3), (0, 255, 0), np.uint8))
    over = tmp_path / "over"
    assert cli.main(clip(people[0], over, background=str(background))) == 0
    made = pictures(over).astype(float)
    composed = alpha * colour + (1 - alpha) * [0, 255, 0]
    assert np.abs(made - composed).max() <= 2
    edge = (alpha[..., 0] > 0.2) & (alpha[..., 0] < 0.8)
    assert np.abs(made - composed)[edge].mean() < 1

    moving = tmp_path / "cut.webp"
    assert cli.main(clip(people[0], moving, "--alpha", frame="full")) == 0
    data = moving.read_bytes()
    assert data[:4] == b"RIFF" and data.count(b"ANMF") == FRAMES and data[20] & 0x10
    still = tmp_path / "cut.png"
    assert cli.main(run("view", people[0], still, "--alpha", yaw="30")) == 0
    assert cv2.imread(str(still), -1).shape == (64, 64, 4)


def test_sound_and_another_rate(people, files, tmp_path):
    out = tmp_path / "out.mp4"
    assert cli.main(clip(people[0], out, audio=str(files / "tone.wav"), fps="12")) == 0
    frames, rate = frames_of(out)
    assert len(frames) == FRAMES and rate == 12
    with av.open(str(out)) as container:
        sound = sum(f.samples / f.sample_rate for f in container.decode(audio=0))
    assert abs(sound - FRAMES / 12) < 0.06


def test_a_video_behind_the_person(people, files, tmp_path):
    """Frame by frame, also where two views stand side by side."""
    out = tmp_path / "one"
    assert cli.main(clip(people[0], out, background=str(files / "fade.mp4"))) == 0
    assert np.abs(pictures(out)[:, 0, 0, 0] - np.linspace(0, 255, FRAMES)).max() < 6
    out = tmp_path / "two"
    views = run("view", people[0], out, motion="walk", frames=str(FRAMES), views="0,90",
                background=str(files / "fade.mp4"), chunk="4")  # fmt: skip
    assert cli.main(views) == 0
    row = pictures(out)
    assert row.shape == (FRAMES, 64, 128, 3)
    for x in (0, 64, 127):
        assert np.abs(row[:, 0, x, 0] - np.linspace(0, 255, FRAMES)).max() < 6
    out = tmp_path / "cover"
    wide = clip(people[0], out, background=str(files / "wide.png"), background_fit="cover")
    assert cli.main(wide) == 0
    assert np.abs(pictures(out)[:, 0, 0].astype(int) - 128).max() <= 1


def test_the_order_and_the_previous_frame(people, tmp_path):
    """--order front puts the front picture first, which decides the frame and its background."""
    back_first = ["--source", str(people[0]), "--body", beside(people[0], ".npz")]
    back_first += ["--mask", beside(people[0], "_mask.png")]
    front_first = ["--source", str(people[1]), "--body", beside(people[1], ".npz")]
    front_first += ["--mask", beside(people[1], "_mask.png")]
    made = {}
    for name, picture, more in (
        ("ranked", people[1], [*back_first, "--order", "front"]),
        ("front", people[0], front_first),
        ("back", people[1], back_first),
        ("temporal", people[0], [*front_first, "--temporal"]),
    ):
        assert cli.main(clip(picture, tmp_path / name, *more, frames="2", frame="full")) == 0
        made[name] = pictures(tmp_path / name).astype(int)
    assert np.array_equal(made["ranked"], made["front"])
    assert np.abs(made["back"] - made["front"]).max() > 20
    assert np.array_equal(made["temporal"][0], made["front"][0]), "the first has none before it"
    assert 0 < np.abs(made["temporal"][1] - made["front"][1]).max() < 200
    assert made["front"].shape[1:3] == tuple(read_image(people[0]).shape[1:])


BAD = [
    (["--alpha"], {}, "out.mp4: .mp4 has no transparency"),
    (["--alpha"], {"output": "cut", "background": "wide.png"}, "--alpha leaves the background out"),
    ([], {"audio": "wide.png"}, "wide.png has no sound track"),
    ([], {"audio": "none.wav"}, "none.wav cannot be read"),
    ([], {"audio": "tone.wav", "output": "cut"}, "cut holds no sound"),
    ([], {"background": "wide.png"}, "wide.png: background is 128 x 64 px; it must have the"),
    ([], {"background": "wide.mp4"}, "wide.mp4: background is 128 x 64 px; it must have the"),
    ([], {"background": "fade.mp4", "frames": "7"}, "fade.mp4 has 6 frames, but the result has 7"),
    ([], {"background": "tone.wav"}, "tone.wav is not a picture"),
    ([], {"background_fit": "cover"}, "--background-fit cover is for --background only"),
    ([], {"chunk": "0"}, "--chunk 0 is not possible"),
    ([], {"fps": "0"}, "--fps 0 is not possible"),
    ([], {"fps": "nan"}, "--fps nan is not possible"),
]


@pytest.mark.parametrize(("flags", "options", "words"), BAD)
def test_bad_options(people, files, tmp_path, capsys, flags, options, words):
    for name in ("audio", "background"):
        if name in options:
            options = {**options, name: str(files / options[name])}
    if "output" in options:
        options = {**options, "output": str(tmp_path / options["output"])}
    refused(capsys, clip(people[0], tmp_path / "out.mp4", *flags, **options), words)
    assert not files_of(tmp_path)


def test_a_person_outside_the_frame(people, tmp_path, capsys):
    """A motion whose own camera looks elsewhere."""
    with np.load(people[0].with_suffix(".npz")) as file:
        arrays = dict(file)
    arrays["cam_center"] = arrays["cam_center"] + np.float32(400)
    for name in ("cam_focal", "cam_principal"):
        arrays.pop(name, None)
    np.savez(tmp_path / "away.npz", **arrays)
    for frame in ("square", "full"):
        arguments = clip(people[0], tmp_path / "out.mp4", motion=str(tmp_path / "away.npz"),
                         camera="copy", frame=frame)  # fmt: skip
        refused(capsys, arguments, "away.npz: the person is outside the picture in every frame")
    assert files_of(tmp_path) == ["away.npz"]
