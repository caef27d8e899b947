"""The sound that goes with the pictures: copied where the container takes it, else as AAC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError

COMMON = ("aac", "mp3", "mp3float", "ac3", "alac")
COPIED = {"mp4": COMMON, "mov": COMMON, "matroska": (*COMMON, "opus", "vorbis", "flac")}
RATES = (44100, 48000)
BIT_RATE = 192_000
PRIMING = 0.1  # seconds before the start that belong to the codec, not to the sound
BLOCK = 16384  # samples of a waveform handed to the encoder at once


@dataclass(frozen=True)
class Sound:
    """path: of a file with sound, or None and a waveform (C, N) in [-1, 1], C = 1 or 2, at rate."""

    path: Path | None
    waveform: Tensor | None = None
    rate: int = 0


def open_sound(audio: str | Path | tuple[Tensor, int]) -> Sound:
    """Look at a sound file or a waveform with its rate; InputError if it cannot be used."""
    if not isinstance(audio, tuple):
        path = Path(audio)
        with ExitStack() as stack:
            source = _open(path, stack)
            next(_packets(path, source), None)
        return Sound(path)
    waveform, rate = audio
    if waveform.ndim != 2 or waveform.shape[0] not in (1, 2) or not waveform.shape[1]:
        raise InputError(
            f"audio of shape {tuple(waveform.shape)} is not possible; it must be (channels, "
            "samples) with 1 or 2 channels"
        )
    if not 1000 <= rate <= 768_000:
        raise InputError(f"audio at {rate} samples per second is not possible; 1000 to 768000 are")
    if not torch.isfinite(waveform).all():
        raise InputError("audio holds NaN or infinite values")
    return Sound(None, waveform.detach().cpu().float(), int(rate))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    import av

    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"audio {path} cannot be read: {error.strerror or error}") from error


def _open(path: Path, stack: ExitStack):
    """A file with sound, open as long as ``stack``."""
    import av

    with _reading(path):
        source = stack.enter_context(av.open(str(path)))
    if not source.streams.audio:
        raise InputError(f"audio {path} has no sound track")
    return source


def _packets(path: Path, source) -> Iterator:
    with _reading(path):
        yield from source.demux(source.streams.audio[0])


def copy_stream(container, template):
    """A sound track of ``container`` for the packets of another one."""
    if hasattr(container, "add_stream_from_template"):  # PyAV 14 and later
        return container.add_stream_from_template(template, opaque=True)
    return container.add_stream(template=template)


def add_sound(out, sound: Sound, kind: str, seconds: Fraction, stack: ExitStack) -> Iterator:
    """Add a sound track to a container of FFmpeg's format ``kind``; returns its packets to come.

    seconds: where it ends. stack: closes the file that is read.
    """
    if sound.path is None:
        frames = _blocks(sound.waveform, sound.rate)
        layout = "mono" if len(sound.waveform) == 1 else "stereo"
        packets, stream = _encoded(out, frames, sound.rate, layout)
        return _placed(packets, stream, Fraction(0), seconds, PRIMING)
    source = _open(sound.path, stack)
    track = source.streams.audio[0]
    zero = _start(source.streams.video[0] if source.streams.video else track)
    context, packets = track.codec_context, _packets(sound.path, source)
    if context.name in COPIED[kind] and (context.name != "aac" or context.extradata):
        stream = copy_stream(out, track)
    else:
        layout = "mono" if len(context.layout.channels) == 1 else "stereo"
        packets, stream = _encoded(out, _decoded(packets), context.sample_rate, layout)
    # Matroska knows no time before 0: the pictures would begin later instead.
    return _placed(packets, stream, zero, seconds, 0 if kind == "matroska" else PRIMING)


def _start(stream) -> Fraction:
    """When a track begins, in seconds."""
    return Fraction(0) if stream.start_time is None else stream.start_time * stream.time_base


def _placed(packets: Iterator, stream, zero: Fraction, seconds: Fraction, early: float) -> Iterator:
    """Packets from ``early`` seconds before second ``zero`` of the source on, for ``seconds``."""
    for packet in packets:
        if not packet.size or packet.pts is None:
            continue
        time = packet.pts * packet.time_base - zero
        if time >= seconds:
            return
        if time < -early:
            continue
        shift = round(zero / packet.time_base)
        packet.pts -= shift
        packet.dts = packet.pts
        packet.stream = stream
        yield packet


def _encoded(out, frames: Iterator, rate: int, layout: str) -> tuple[Iterator, object]:
    """Sound frames as AAC packets, and the stream for them."""
    stream = out.add_stream("aac", rate=rate if rate in RATES else RATES[-1])
    stream.codec_context.layout = layout
    stream.codec_context.bit_rate = BIT_RATE

    def packets():
        for frame in frames:
            yield from stream.encode(frame)
        yield from stream.encode()

    return packets(), stream


def _decoded(packets: Iterator) -> Iterator:
    import av

    for packet in packets:
        try:
            yield from packet.decode()
        except av.InvalidDataError:  # a damaged spot: the sound goes on behind it
            continue


def _blocks(waveform: Tensor, rate: int) -> Iterator:
    import av

    samples = waveform.numpy()
    for start in range(0, samples.shape[1], BLOCK):
        block = np.ascontiguousarray(samples[:, start : start + BLOCK])
        layout = "mono" if len(block) == 1 else "stereo"
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield frame
