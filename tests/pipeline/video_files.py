"""Frames that tell their own number, and files decoded again."""

from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from lwg_core.video import open_output

BITS = 12


def numbered(start: int, stop: int, height: int = 64, width: int = 96) -> torch.Tensor:
    """Frames (N, 3, H, W) in [-1, 1] with their number in black and white columns, on colour."""
    frames = torch.zeros(stop - start, 3, height, width)
    frames[:, 0, height // 2 :], frames[:, 2, height // 2 :] = 0.7, -0.6
    for row, number in enumerate(range(start, stop)):
        for bit in range(BITS):
            columns = slice(bit * width // BITS, (bit + 1) * width // BITS)
            frames[row, :, : height // 2, columns] = 1.0 if number >> bit & 1 else -1.0
    return frames


def mattes(start: int, stop: int, height: int = 64, width: int = 96) -> torch.Tensor:
    """Mattes (N, 1, H, W) of all 256 steps, another for every frame."""
    steps = torch.arange(height * width).reshape(1, 1, height, width)
    return (steps + torch.arange(start, stop).reshape(-1, 1, 1, 1)) % 256 / 255


def number_of(pixels: np.ndarray) -> int:
    """What frame (H, W, 3) this is."""
    height, width = pixels.shape[:2]
    middles = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(1 << bit for bit, x in enumerate(middles) if pixels[height // 4, x].mean() > 127)


def write(path: Path, fps: float, frames: int, step: int = 25, stop: int | None = None, **options):
    """Write frames in batches; an interrupt comes before frame ``stop``. Returns the output."""
    size = options.pop("size", (64, 96))
    with open_output(path, fps, frames, **{"job": "dance", **options}) as out:
        for start in range(out.done, frames if stop is None else stop, step):
            span = start, min(start + step, frames if stop is None else stop)
            out.write(numbered(*span, *size), mattes(*span, *size))
        if stop is not None:
            raise KeyboardInterrupt
    return out


def interrupted(path: Path, fps: float, frames: int, stop: int, **options) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(path, fps, frames, stop=stop, **options)


def decoded(path: Path) -> tuple[list[np.ndarray], list[Fraction]]:
    """Every frame (H, W, 3) of a video, and its time in seconds."""
    with av.open(str(path)) as container:
        found = [(f.to_ndarray(format="rgb24"), f.pts * f.time_base)
                 for f in container.decode(video=0)]  # fmt: skip
    return [pixels for pixels, _ in found], [time for _, time in found]


def check_video(path: Path, rate: Fraction, frames: int) -> None:
    """Every frame is there, in order, and at its time."""
    pictures, times = decoded(path)
    assert [number_of(pixels) for pixels in pictures] == list(range(frames))
    assert max(abs(time - k / rate) for k, time in enumerate(times)) < 0.0011  # Matroska's ms
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == rate


def heard(path: Path) -> tuple[str, int, np.ndarray]:
    """Codec, samples per second and samples (N,) of a file's sound, as it is played."""
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        mono = av.AudioResampler(format="fltp", layout="mono", rate=track.rate)
        frames = [piece for f in container.decode(track) for piece in mono.resample(f)]
        samples = np.concatenate([f.to_ndarray() for f in frames], axis=1)[0]
        return track.codec_context.name, track.rate, samples


def tone(seconds: float, rate: int = 44100, channels: int = 2) -> tuple[torch.Tensor, int]:
    """A beep of 10 ms every half second, first at 0.25 s, as waveform and rate."""
    time = torch.arange(round(seconds * rate)) / rate
    beep = torch.sin(2 * torch.pi * 1000 * time) * ((time + 0.25) % 0.5 < 0.01)
    return (0.8 * beep).expand(channels, -1), rate


def beeps(samples: np.ndarray, rate: int) -> np.ndarray:
    """When the beeps of ``tone`` begin, in seconds."""
    loud = np.abs(samples) > 0.3
    starts = np.flatnonzero(loud) / rate
    return starts[np.diff(starts, prepend=-1) > 0.2]


def rgba(path: Path) -> np.ndarray:
    """A picture file as (H, W, 4) RGBA bytes."""
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)


def files_of(folder: Path) -> list[str]:
    """All files under a folder, hidden ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@contextmanager
def small_files(limit: int):
    """No file may grow beyond ``limit`` bytes, as if the disk were full then."""
    resource = pytest.importorskip("resource")  # POSIX
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
