"""Numbered PNG pictures, animated WebP and single pictures, read again by other readers."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

sys.path.append(str(Path(__file__).parent))
from video_files import files_of, mattes, number_of, numbered, rgba, write  # noqa: E402

from lwg_core.errors import InputError  # noqa: E402
from lwg_core.pictures import to_bytes  # noqa: E402
from lwg_core.video import open_output  # noqa: E402


def animation(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Frames (H, W, 4) of an animated WebP and how long each is shown, in ms."""
    with Image.open(path) as image:
        return zip(
            *((np.asarray(f.convert("RGBA")), f.info["duration"])
              for f in ImageSequence.Iterator(image)), strict=True,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["frames", "new/frames.v2/"])
def test_a_folder_gets_numbered_pictures_exact_to_the_byte(tmp_path, name):
    write(f"{tmp_path}/{name}", 30, 27, size=(65, 97))
    assert files_of(tmp_path / name) == [f"{k:06d}.png" for k in range(27)]
    for k in (0, 24, 25, 26):
        picture = cv2.imread(str(tmp_path / name / f"{k:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert (picture[..., ::-1] == to_bytes(numbered(k, k + 1, 65, 97))[0]).all()


def test_png_keeps_straight_colour_where_nothing_is_seen(tmp_path):
    write(tmp_path / "frames", 30, 3, alpha=True)
    for k in range(3):
        picture = rgba(tmp_path / "frames" / f"{k:06d}.png")
        assert (picture[..., :3] == to_bytes(numbered(k, k + 1))[0]).all()
        steps = (mattes(k, k + 1) * 255).round().byte()[0, 0].numpy()
        assert (picture[..., 3] == steps).all() and (steps == 0).any() and (steps == 255).any()


def test_pictures_of_other_numbers_are_not_touched(tmp_path):
    write(tmp_path, 30, 5)
    (tmp_path / "notes.png").write_bytes(b"mine")
    write(tmp_path, 30, 5, size=(64, 64))
    assert files_of(tmp_path) == [*(f"{k:06d}.png" for k in range(5)), "notes.png"]
    assert rgb_size(tmp_path / "000004.png") == (64, 64)
    with pytest.raises(InputError, match="already holds 00000[34].png, beyond the 3 frames"):
        open_output(tmp_path, 30, 3)
    (tmp_path / "a" / "partial").mkdir(parents=True)
    (tmp_path / "a" / "partial" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="partial, but something else lies there"):
        open_output(tmp_path / "a", 30, 3)


def rgb_size(path: Path) -> tuple[int, int]:
    return cv2.imread(str(path)).shape[:2]


@pytest.mark.parametrize("fps", [30, 29.97, 12.5, 144])
def test_webp_shows_every_frame_as_long_as_the_rate_says(tmp_path, fps):
    write(tmp_path / "a.webp", fps, 40)
    assert files_of(tmp_path) == ["a.webp"]
    frames, lengths = animation(tmp_path / "a.webp")
    assert [number_of(f[..., :3]) for f in frames] == list(range(40))
    ends = np.cumsum(lengths)
    assert np.abs(ends - 1000 * np.arange(1, 41) / fps).max() <= 0.55
    with Image.open(tmp_path / "a.webp") as image:
        assert image.info["loop"] == 0 and image.mode == "RGB"


def test_webp_alpha_is_exact_and_its_colour_straight(tmp_path):
    write(tmp_path / "a.webp", 30, 5, alpha=True, size=(65, 97))
    frames, _ = animation(tmp_path / "a.webp")
    for k, frame in enumerate(frames):
        assert frame.shape == (65, 97, 4)
        opacity = (mattes(k, k + 1, 65, 97) * 255).round().byte()[0, 0].numpy()
        assert (frame[..., 3] == opacity).all()
        lower = frame[40:, 8:-8][opacity[40:, 8:-8] > 0][:, :3]
        assert np.abs(lower - (np.array([0.7, 0, -0.6]) * 127.5 + 127.5)).max() < 12


def test_webp_frames_replace_each_other(tmp_path):
    """What becomes transparent shows nothing of the frame before."""
    matte = torch.zeros(2, 1, 64, 64)
    matte[0, :, :, :32] = matte[1, :, :, 32:] = 1
    with open_output(tmp_path / "a.webp", 10, 2, alpha=True) as out:
        out.write(torch.zeros(2, 3, 64, 64), matte)
    (_, second), _ = animation(tmp_path / "a.webp")
    assert second[:, :32, 3].max() == 0 and second[:, 32:, 3].min() == 255


@pytest.mark.parametrize("name", ["a.png", "a.webp", "new/a.PNG"])
def test_one_frame_is_a_picture(tmp_path, name):
    write(tmp_path / name, 30, 1, alpha=True)
    assert files_of(tmp_path) == [name]
    picture = rgba(tmp_path / name)
    seen = picture[..., 3] > 0
    assert (picture[seen][:, :3] == to_bytes(numbered(0, 1))[0][seen]).all()
    assert (picture[..., 3] == (mattes(0, 1) * 255).round().byte()[0, 0].numpy()).all()


def test_one_frame_as_jpeg_and_in_a_folder(tmp_path):
    write(tmp_path / "a.jpg", 30, 1)
    write(tmp_path / "frames", 30, 1)
    assert files_of(tmp_path) == ["a.jpg", "frames/000000.png"]
    assert number_of(cv2.imread(str(tmp_path / "a.jpg"))) == 0


def test_a_matte_is_needed_for_alpha(tmp_path):
    with pytest.raises(ValueError, match="needs mattes"):
        with open_output(tmp_path / "frames", 30, 1, alpha=True) as out:
            out.write(numbered(0, 1))
    assert not list(tmp_path.iterdir())
