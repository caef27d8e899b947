"""Pictures on disk. Inside the core a picture is (3, H, W) in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from .errors import InputError
from .files import atomic_path, make_folder

SMALLEST_SIDE = 64
LARGEST_SIDE = 8192
CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}


def read_image(path: str | Path) -> Tensor:
    """Read a picture as (3, H, W) in [-1, 1]; InputError if it cannot be one."""
    pixels = _read(path, cv2.IMREAD_COLOR)
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(
            f"image {path} is {width}x{height} px; at least {SMALLEST_SIDE} px a side are needed"
        )
    return torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1).float() / 127.5 - 1


def read_mask(path: str | Path, size: tuple[int, int] | None = None) -> Tensor:
    """Read a mask as (1, H, W) in 0..1, 1 = person; its alpha channel if that says anything.

    size: (height, width) of the picture that it belongs to; InputError if it has another one.
    """
    pixels = _read(path, cv2.IMREAD_UNCHANGED)
    height, width = pixels.shape[:2]
    if size is not None and (height, width) != tuple(size):
        raise InputError(
            f"mask {path} is {width}x{height} px; it must have the size of its picture, "
            f"{size[1]}x{size[0]} px"
        )
    limit = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1.0
    if pixels.ndim == 3 and pixels.shape[2] == 4 and (pixels[..., 3] < limit).any():
        pixels = pixels[..., 3]
    elif pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2GRAY)
    mask = torch.from_numpy(pixels.astype(np.float32) / limit)[None].clamp(0, 1)
    if not torch.isfinite(mask).all():
        raise InputError(f"mask {path} holds NaN or infinite values")
    if not (mask > 0.5).any():
        raise InputError(f"mask {path} is empty; it must be white on the person, black elsewhere")
    return mask


def _read(path: str | Path, flags: int) -> np.ndarray:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"image {path} cannot be read: {error.strerror or error}") from error
    try:
        pixels = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:  # a header that promises more pixels than OpenCV takes
        pixels = None
    if pixels is None:
        raise InputError(f"image {path} is not a picture that can be decoded (PNG, JPEG, WebP)")
    if max(pixels.shape[:2]) > LARGEST_SIDE:
        raise InputError(f"image {path} is larger than {LARGEST_SIDE} px a side")
    return pixels


def to_bytes(images: Tensor) -> np.ndarray:
    """(N, 3, H, W) in [-1, 1] -> (N, H, W, 3) uint8 RGB."""
    pixels = ((images.detach().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def check_picture_name(path: str | Path) -> str:
    """The ending that says how a picture is written; InputError if nothing can be written so."""
    suffix = Path(path).suffix or ".png"
    if not cv2.haveImageWriter(suffix):
        raise InputError(f"{path} cannot be written: '{suffix}' is no picture format; use .png")
    return suffix


def write_image(path: str | Path, image: Tensor) -> None:
    """Write (3, H, W) in [-1, 1] as PNG or JPEG, whole or not at all."""
    path, suffix = Path(path), check_picture_name(path)
    data = encode(suffix, to_bytes(image[None])[0])
    make_folder(path.parent)
    with atomic_path(path) as part:
        part.write_bytes(data)


def encode(suffix: str, pixels: np.ndarray, options: Sequence[int] = ()) -> bytes:
    """A picture file of (H, W, 3 or 4) uint8, RGB or straight RGBA; ``options`` are OpenCV's."""
    order = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    return cv2.imencode(suffix, cv2.cvtColor(pixels, order), options)[1].tobytes()


def contact_sheet(rows: list[list[Tensor]], gap: int = 4) -> Tensor:
    """Rows of pictures (3, h, w), all of one size, as one picture on white."""
    height, width = rows[0][0].shape[-2:]
    columns = max(len(row) for row in rows)
    sheet = torch.ones(3, len(rows) * (height + gap) + gap, columns * (width + gap) + gap)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            y, x = gap + i * (height + gap), gap + j * (width + gap)
            sheet[:, y : y + height, x : x + width] = picture.cpu()
    return sheet


def check_rate(fps: float) -> None:
    if not 0.1 <= fps <= 1000:
        raise InputError(f"a video of {fps:g} frames per second is not possible; 0.1 to 1000 are")
