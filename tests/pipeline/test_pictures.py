"""Reading and writing pictures and clips."""

import numpy as np
import pytest
import torch

from lwg_core.errors import InputError
from lwg_core.pictures import (
    contact_sheet,
    read_image,
    read_mask,
    to_bytes,
    write_image,
)


def picture(height=64, width=80):
    torch.manual_seed(0)
    return torch.rand(3, height, width) * 2 - 1


def test_png_round_trip_is_exact_to_one_step(tmp_path):
    image = picture()
    write_image(tmp_path / "a.png", image)
    assert (read_image(tmp_path / "a.png") - image).abs().max() <= 1 / 255 + 1e-6


def test_unreadable_tiny_and_missing_pictures_are_named(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    write_image(tmp_path / "tiny.png", picture(20, 20))
    for name, words in (
        ("text.png", "not a picture"),
        ("empty.png", "not a picture"),
        ("tiny.png", "20x20"),
        ("missing.png", "cannot be read"),
    ):
        with pytest.raises(InputError, match=words) as error:
            read_image(tmp_path / name)
        assert name in str(error.value)


def test_mask_reads_grey_and_alpha(tmp_path):
    import cv2

    grey = np.zeros((64, 64), np.uint8)
    grey[:32] = 255
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    rgba = np.dstack([np.full((64, 64, 3), 90, np.uint8), grey])
    cv2.imwrite(str(tmp_path / "rgba.png"), rgba)
    for name in ("grey.png", "rgba.png"):
        mask = read_mask(tmp_path / name)
        assert mask.shape == (1, 64, 64) and mask[0, 0, 0] == 1 and mask[0, 63, 0] == 0


def test_a_mask_that_says_nothing_or_something_else_is_named(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((64, 80), np.uint8))
    cv2.imwrite(str(tmp_path / "white.png"), np.full((64, 80), 255, np.uint8))
    nan = np.full((64, 80), np.nan, np.float32)
    cv2.imwrite(str(tmp_path / "nan.tiff"), nan)
    with pytest.raises(InputError, match="mask .*black.png is empty"):
        read_mask(tmp_path / "black.png", (64, 80))
    with pytest.raises(InputError, match="mask .*white.png is 80x64 px; .* picture, 64x80 px"):
        read_mask(tmp_path / "white.png", (80, 64))
    with pytest.raises(InputError, match="mask .*nan.tiff holds NaN"):
        read_mask(tmp_path / "nan.tiff")
    assert read_mask(tmp_path / "white.png", (64, 80)).min() == 1


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(path, data):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_image(tmp_path / "sheet.png", picture())
    assert not list(tmp_path.iterdir())


def test_contact_sheet_places_pictures_in_rows():
    red = torch.stack([torch.ones(8, 8), -torch.ones(8, 8), -torch.ones(8, 8)])
    sheet = to_bytes(contact_sheet([[red], [red, red]], gap=2)[None])[0]
    assert sheet.shape == (22, 22, 3)
    assert (sheet[2:10, 2:10] == [255, 0, 0]).all() and (sheet[2:10, 12:20] == 255).all()
