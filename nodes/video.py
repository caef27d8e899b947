"""Generate to File: clips of any length, in constant memory."""

from __future__ import annotations

import os

import torch
from comfy_api.latest import io, ui

from ..lwg_core.errors import InputError
from ..lwg_core.video import open_output
from .files import FOLDER, inside_output, new_output_file
from .painting import paint, painting_inputs
from .progress import reporter
from .sockets import CATEGORY

MP4, WEBP, PNG = "mp4 (H.264)", "webp (animated)", "png sequence"
SUFFIX = {MP4: ".mp4", WEBP: ".webp", PNG: ""}


class GenerateToFile(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_GenerateToFile",
            display_name="Generate to File",
            category=CATEGORY,
            description="Paints every frame like Generate, and writes it to "
            "output/liquid_warping at once: a clip of any length in the memory of a few frames. "
            "What is finished when you cancel is kept.",
            search_aliases=["save video", "long video", "stream", "export video", "alpha video"],
            is_output_node=True,
            inputs=[
                *painting_inputs(),
                io.String.Input(
                    "filename_prefix",
                    default="video",
                    tooltip="Start of the file name; a number is appended. Folders are allowed.",
                ),
                io.Combo.Input(
                    "format",
                    options=list(SUFFIX),
                    tooltip="mp4 plays everywhere. webp and the png sequence (a folder) can be "
                    "transparent.",
                ),
                io.Boolean.Input(
                    "transparent",
                    default=False,
                    tooltip="Straight colour and alpha instead of a background; not in mp4.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="Sound of an mp4, cut to the length of the pictures: that of the "
                    "driving video, from Get Video Components. It begins with frame 0 of the clip.",
                ),
            ],
            outputs=[io.String.Output("filename", tooltip="Name of the written file or folder.")],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix):
        return filename_prefix is None or inside_output(filename_prefix)

    @classmethod
    def execute(
        cls, generator, flow, filename_prefix, format, transparent, audio=None, **options
    ) -> io.NodeOutput:
        if transparent and options.get("background") is not None:
            raise InputError(
                "transparent and background exclude each other; disconnect the background, or "
                "switch transparent off"
            )
        pieces, count = paint(generator, flow, **options)
        path, name = new_output_file(filename_prefix, SUFFIX[format])
        sound = audio and sound_from(audio, options.get("start_frame", 0) / flow.fps)
        output = open_output(path, flow.fps, count, alpha=transparent, audio=sound)
        report, done = reporter(), 0
        with output:
            for images, mattes in pieces:
                output.write(images, mattes if transparent else None)
                done += len(images)
                report(done, count, images[-1])
        return io.NodeOutput(name, ui=shown(name, format))


def sound_from(audio: dict, seconds: float) -> tuple[torch.Tensor, int] | None:
    """AUDIO from ``seconds`` on, (C, N) and its rate; None = nothing is left."""
    rate = audio["sample_rate"]
    waveform = audio["waveform"][0, :, round(seconds * rate) :]
    return (waveform, rate) if waveform.shape[-1] or not seconds else None


def shown(name: str, format: str):
    """What the node shows of the file: the clip itself, or its name."""
    if format == PNG:
        return ui.PreviewText(name)
    folder, file = os.path.split(os.path.join(FOLDER, name))
    return ui.PreviewVideo([ui.SavedResult(file, folder, io.FolderType.output)])
