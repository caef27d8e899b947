"""H.264 files decoded again: every frame at its time, with its sound."""

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from video_files import (  # noqa: E402
    beeps,
    check_video,
    decoded,
    files_of,
    heard,
    numbered,
    tone,
    write,
)

from lwg_core.errors import InputError  # noqa: E402
from lwg_core.video import open_output  # noqa: E402

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("name", "fps", "rate"),
    [
        ("a.mp4", 29.97, NTSC),
        ("a.mov", 30000 / 1001, NTSC),
        ("a.mkv", NTSC, NTSC),
        ("a.mp4", 24000 / 1001, Fraction(24000, 1001)),
        ("a.mkv", 23.976, Fraction(24000, 1001)),
        ("a.mp4", 12.5, Fraction(25, 2)),
        ("a.mp4", 30, Fraction(30)),
        ("a.mov", 0.1, Fraction(1, 10)),
    ],
)
def test_every_frame_at_its_time_over_several_segments(tmp_path, name, fps, rate):
    write(tmp_path / "new" / name, fps, 130)
    assert files_of(tmp_path) == [f"new/{name}"]
    check_video(tmp_path / "new" / name, rate, 130)


@pytest.mark.parametrize("frames", [1, 2, 60, 61])
def test_counts_around_a_segment(tmp_path, frames):
    write(tmp_path / "a.mp4", 25, frames)
    check_video(tmp_path / "a.mp4", Fraction(25), frames)


def test_colours_stay_and_are_described(tmp_path):
    write(tmp_path / "a.mp4", 30, 2)
    pixels = decoded(tmp_path / "a.mp4")[0][1]
    lower = np.array([0.7, 0, -0.6]) * 127.5 + 127.5
    assert np.abs(pixels[40:, 8:-8] - lower).max() < 4
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "yuv420p"
        assert (int(frame.colorspace), int(frame.color_range)) == (6, 1)  # BT.601 matrix, limited


def test_odd_sides_get_their_last_row_and_column_twice(tmp_path):
    image = numbered(0, 1, 65, 97)
    image[..., -1, :] = image[..., -1] = 1.0
    with open_output(tmp_path / "a.mp4", 30, 1) as out:
        out.write(image)
    pixels = decoded(tmp_path / "a.mp4")[0][0]
    assert pixels.shape == (66, 98, 3)
    assert pixels[-2:].min() > 240 and pixels[:, -2:].min() > 240


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_waveform_ends_with_the_pictures_and_beeps_in_time(tmp_path, name, channels):
    write(tmp_path / name, NTSC, 70, audio=tone(9, 48000, channels))
    check_video(tmp_path / name, NTSC, 70)
    codec, rate, samples = heard(tmp_path / name)
    assert codec == "aac" and rate == 48000
    assert 0 <= len(samples) / rate - 70 / NTSC < 0.05
    assert beeps(samples, rate) == pytest.approx([0.25, 0.75, 1.25, 1.75, 2.25], abs=0.03)


def test_sound_shorter_than_the_pictures_ends_where_it_ends(tmp_path):
    write(tmp_path / "a.mp4", 10, 40, audio=tone(1.0))
    check_video(tmp_path / "a.mp4", Fraction(10), 40)
    _, rate, samples = heard(tmp_path / "a.mp4")
    assert len(samples) / rate == pytest.approx(1.0, abs=0.05)


def sound_file(path: Path, codec: str, rate: int, seconds: float = 4) -> Path:
    """A file with the beeps of ``tone``."""
    samples, _ = tone(seconds, rate)
    block = av.AudioFrame.from_ndarray(samples.numpy().copy(), format="fltp", layout="stereo")
    block.sample_rate, block.pts, block.time_base = rate, 0, Fraction(1, rate)
    with av.open(str(path), "w") as container:
        track = container.add_stream(codec, rate=rate)
        track.codec_context.layout = "stereo"
        for frame in (block, None):
            container.mux(track.encode(frame))
    return path


@pytest.mark.parametrize(
    ("source", "codec", "rate", "output", "expected"),
    [
        ("s.mp4", "aac", 44100, "o.mp4", "aac"),
        ("s.mp4", "aac", 44100, "o.mkv", "aac"),
        ("s.mkv", "aac", 48000, "o.mov", "aac"),
        ("s.aac", "aac", 48000, "o.mp4", "aac"),
        ("s.mp3", "libmp3lame", 44100, "o.mp4", "mp3"),
        ("s.mkv", "libopus", 48000, "o.mkv", "opus"),
        ("s.mkv", "libopus", 48000, "o.mp4", "aac"),
        ("s.wav", "pcm_s16le", 22050, "o.mp4", "aac"),
        ("s.flac", "flac", 44100, "o.mkv", "flac"),
    ],
)
def test_sound_of_files_is_copied_or_encoded(tmp_path, source, codec, rate, output, expected):
    audio = sound_file(tmp_path / source, codec, rate)
    write(tmp_path / output, 25, 50, audio=audio)
    check_video(tmp_path / output, Fraction(25), 50)
    name, rate, samples = heard(tmp_path / output)
    assert name.startswith(expected)
    assert len(samples) / rate == pytest.approx(2.0, abs=0.1)
    assert beeps(samples, rate) == pytest.approx([0.25, 0.75, 1.25, 1.75], abs=0.06)


def test_copied_sound_is_the_same_data(tmp_path):
    def data(path):
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(audio=0) if p.size]

    audio = sound_file(tmp_path / "s.mp4", "aac", 44100)
    write(tmp_path / "o.mp4", 25, 50, audio=audio)
    given, copied = data(audio), data(tmp_path / "o.mp4")
    assert copied == given[: len(copied)] and len(copied) > 80


def test_the_sound_of_a_video_keeps_its_place_beside_the_pictures(tmp_path):
    write(tmp_path / "dance.mp4", 25, 100, audio=tone(4))
    write(tmp_path / "o.mp4", 25, 60, audio=tmp_path / "dance.mp4")
    _, rate, samples = heard(tmp_path / "o.mp4")
    assert beeps(samples, rate) == pytest.approx([0.25, 0.75, 1.25, 1.75, 2.25], abs=0.03)


def test_bad_sound_is_a_sentence_before_the_work(tmp_path):
    write(tmp_path / "mute.mp4", 25, 2)
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty.mp3").write_bytes(b"")
    out = tmp_path / "o.mp4"
    for audio, words in (
        (tmp_path / "mute.mp4", "mute.mp4 has no sound track"),
        (tmp_path / "text.wav", "text.wav cannot be read"),
        (tmp_path / "empty.mp3", "empty.mp3 cannot be read"),
        (tmp_path / "gone.wav", "gone.wav cannot be read: No such file"),
        (tmp_path, "cannot be read"),
        ((torch.zeros(6, 100), 44100), r"shape \(6, 100\)"),
        ((torch.zeros(100), 44100), r"shape \(100,\)"),
        ((torch.zeros(2, 0), 44100), r"shape \(2, 0\)"),
        ((torch.zeros(2, 100), 0), "0 samples per second"),
        ((torch.full((1, 100), torch.nan), 44100), "NaN"),
    ):
        with pytest.raises(InputError, match=words) as error:
            open_output(out, 25, 2, audio=audio)
        assert "\n" not in str(error.value)
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "fps", "frames", "options", "words"),
    [
        ("a.mp4", float("nan"), 5, {}, "nan frames per second"),
        ("a.mp4", float("inf"), 5, {}, "inf frames per second"),
        ("a.mp4", 0, 5, {}, "0 frames per second"),
        ("a.mp4", -30, 5, {}, "-30 frames per second"),
        ("a.mp4", 30, 0, {}, "no frames"),
        ("a.mp4", 30, 5, {"alpha": True}, ".mp4 has no transparency; use .webp, or a folder"),
        ("a.jpg", 30, 1, {"alpha": True}, ".jpg has no transparency"),
        ("a.png", 30, 5, {}, r"a.png is one picture, but there are 5 frames; give a folder"),
        ("a.gif", 30, 5, {}, "ends in .mp4, .mov, .mkv or .webp, or a folder"),
        ("a.txt", 30, 1, {}, "ends in .mp4, .mov, .mkv or .webp, or a folder"),
        ("frames", 30, 5, {"audio": tone(1)}, "frames holds no sound; use .mp4"),
        ("a.webp", 30, 5, {"audio": tone(1)}, "a.webp holds no sound; use .mp4"),
        ("file/a.mp4", 30, 5, {}, "no writable folder"),
        ("file/frames", 30, 5, {}, "no writable folder"),
        ("folder.mp4", 30, 5, {}, "folder.mp4 is a folder"),
        ("file", 30, 5, {}, "file.*no writable folder"),
    ],
)
def test_the_impossible_is_a_sentence_before_the_work(tmp_path, name, fps, frames, options, words):
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(InputError, match=words) as error:
        open_output(tmp_path / name, fps, frames, **options)
    assert "\n" not in str(error.value) and files_of(tmp_path) == ["file"]


def test_an_open_output_has_written_nothing(tmp_path):
    for name in ("a.mp4", "a.webp", "frames", "new/a.mov"):
        open_output(tmp_path / name, 30, 5)
    assert not list(tmp_path.iterdir())


def test_more_or_fewer_frames_than_announced_is_the_callers_error(tmp_path):
    with pytest.raises(ValueError, match="was to have 3"), open_output(tmp_path / "a", 30, 3) as o:
        o.write(numbered(0, 4))
    with pytest.raises(ValueError, match="2 of its 3"), open_output(tmp_path / "b.mp4", 30, 3) as o:
        o.write(numbered(0, 2))
    assert not (tmp_path / "b.mp4").exists()
    with pytest.raises(ValueError, match="after some of"), open_output(tmp_path / "c", 30, 3) as o:
        o.write(numbered(0, 1))
        o.write(numbered(1, 2, 32, 32))
