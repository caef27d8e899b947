"""Video segments, and sound, as one file: packets are copied, nothing is encoded again."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from .sound import Sound, add_sound
from .work import Piece

QUALITY = 18  # constant rate factor of x264; 17 to 18 is where the eye sees no loss
# Without B frames, decoding order is the order of time, so segments join at exact times. The
# matrix is the one that PyAV converts with; told, it is the one that players convert back with.
OPTIONS = {
    "crf": str(QUALITY),
    "bf": "0",
    "x264-params": "colorprim=bt709:transfer=bt709:colormatrix=smpte170m",
}


def add_pictures(container, rate: Fraction, height: int, width: int):
    """A stream of H.264 pictures.

    A joined file describes its stream by an encoder of the same settings as that of its segments,
    which describes it alike: PyAV's ways of copying a video stream differ by version, and some
    lose the frame rate.
    """
    stream = container.add_stream("libx264", rate=rate)
    stream.height, stream.width = height, width
    stream.pix_fmt = "yuv420p"
    stream.options = dict(OPTIONS)
    return stream


def whole_frames(path: Path, rate: Fraction) -> int:
    """Frames in a segment that begins with frame 0 and lacks none; 0 if it is not such a one."""
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            times = [p.pts * stream.time_base * rate for p in container.demux(stream) if p.size]
    except (av.FFmpegError, IndexError):  # no frame came that far
        return 0
    return len(times) if times == list(range(len(times))) else 0


def join(pieces: list[Piece], path: Path, kind: str, rate: Fraction, sound: Sound | None) -> None:
    """Write the segments one after the other into a file of FFmpeg's format ``kind``.

    Frame k is shown at k / rate seconds. The sound ends with the pictures, to a
    packet of it (0.03 s, or 0.1 s of FLAC).
    """
    import av

    seconds = pieces[-1].stop / rate
    with ExitStack() as stack:
        first = stack.enter_context(av.open(str(pieces[0].path)))
        out = stack.enter_context(av.open(str(path), "w", format=kind))
        example = first.streams.video[0].codec_context
        stream = add_pictures(out, rate, example.height, example.width)
        tracks = [picture_packets(pieces, stream, rate)]
        if sound is not None:
            tracks.append(add_sound(out, sound, kind, seconds, stack))
        for packet in heapq.merge(*tracks, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)


def picture_packets(pieces: list[Piece], stream, rate: Fraction) -> Iterator:
    """The packets of all segments, each segment at the time of its first frame."""
    import av
    from av.bitstream import BitStreamFilterContext

    for piece in pieces:
        with av.open(str(piece.path)) as container:
            source = container.streams.video[0]
            shift = round(piece.start / rate / source.time_base)
            # As the encoder hands them out: its description in ``stream`` is of that form too.
            plain = BitStreamFilterContext("h264_mp4toannexb", source)
            for stored in container.demux(source):
                if not stored.size:
                    continue
                for packet in plain.filter(stored):
                    packet.time_base = source.time_base
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = stream
                    yield packet
