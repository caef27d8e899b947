"""Compose Flow: where every pixel of the target comes from, in each source."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..lwg_core import pipeline
from ..lwg_core.body.open_body import open_body
from ..lwg_core.flow.compose import TRANSFERS, ComposeOptions
from ..lwg_core.flow.sequence import materialise
from .progress import reporter
from .sockets import (
    CATEGORY,
    FlowType,
    SmplType,
    SourcesType,
    body_model_input,
    image_from_core,
    mask_from_core,
)

PREVIEW_FRAMES = 8
SQUARE, FULL = "square", "full picture"
FRAME = {SQUARE: "square", FULL: "full"}
CHUNK = 4


class ComposeFlow(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_ComposeFlow",
            display_name="Compose Flow",
            category=CATEGORY,
            description="Finds where every pixel of the target comes from in each source, on a "
            "square around the person.",
            search_aliases=["warp", "correspondence", "transformation flow", "liquid warping"],
            inputs=[
                SourcesType.Input("sources", tooltip="The person, from Add Source."),
                SmplType.Input("target", tooltip="What the person shall do, from Imitate Motion."),
                io.Int.Input(
                    "size",
                    default=256,
                    min=64,
                    max=2048,
                    step=8,
                    tooltip="Side in pixels of the square that the generator paints, a multiple of "
                    "8. The built-in weights know 256; 512 works, softer.",
                ),
                body_model_input(),
                io.Combo.Input(
                    "frame",
                    options=[SQUARE, FULL],
                    optional=True,
                    tooltip="square: one square that holds the person in all frames is the result. "
                    "full picture: the square follows the person, and the result is the whole "
                    "picture of the first source.",
                ),
                io.Int.Input(
                    "longest_side",
                    default=0,
                    min=0,
                    max=8192,
                    optional=True,
                    advanced=True,
                    tooltip="Longer side of the full picture in pixels; 0 = as it is.",
                ),
                io.Combo.Input(
                    "transfer",
                    options=list(TRANSFERS),
                    optional=True,
                    advanced=True,
                    tooltip="After Select Parts only. flows: each source is seen on its own parts "
                    "only (the paper's way). texture: parts choose the colours, while the "
                    "generator sees every source everywhere (the released code's way).",
                ),
            ],
            outputs=[
                FlowType.Output(
                    "flow", tooltip="For Generate. Computed piece by piece: a clip of any length."
                ),
                io.Image.Output(
                    "warped",
                    tooltip="The sources warped into a few frames of the target, before the "
                    "generator.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, sources, target, size, body_model=None, frame=SQUARE, longest_side=0,
        transfer=TRANSFERS[0],
    ) -> io.NodeOutput:  # fmt: skip
        canvas = None
        if frame == FULL and longest_side and target.camera is not None:
            canvas = pipeline.scaled_canvas(target.camera.size, longest_side)
        flow = pipeline.compose(
            sources, target, body_model or open_body(), size, FRAME[frame], canvas,
            ComposeOptions(transfer=transfer),
        )  # fmt: skip
        count, report, warped = min(PREVIEW_FRAMES, len(flow)), reporter(), []
        for at in torch.linspace(0, len(flow) - 1, count).round().int().tolist():
            part = flow.chunk(at, at + 1, "cpu")
            warped.append(image_from_core(part.warped * part.silhouette))
            report(len(warped), count)
        return io.NodeOutput(flow, torch.cat(warped))


class FlowToTensors(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_FlowToTensors",
            display_name="Flow to Tensors",
            category=CATEGORY,
            description="Computes a flow for all frames at once, and shows what it holds.",
            search_aliases=["materialize flow", "correspondence map", "densepose"],
            inputs=[FlowType.Input("flow", tooltip="From Compose Flow.")],
            outputs=[
                io.Image.Output(
                    "warped", tooltip="The sources warped into every frame, grey elsewhere."
                ),
                io.Image.Output(
                    "correspondence",
                    tooltip="Colour = place on the body's surface, in every frame.",
                ),
                io.Mask.Output(
                    "silhouette", tooltip="Silhouette of the target's mesh, in every frame."
                ),
                FlowType.Output(
                    "computed_flow",
                    display_name="flow",
                    tooltip="The same flow in memory: nothing is computed again, but a long clip "
                    "needs much.",
                ),
            ],
        )

    @classmethod
    def execute(cls, flow) -> io.NodeOutput:
        held = materialise(flow, CHUNK, progress=reporter())
        frames = held.frames
        correspondence = frames.code + frames.silhouette - 1  # -1 = black behind the body
        return io.NodeOutput(
            image_from_core(frames.warped),
            image_from_core(correspondence),
            mask_from_core(frames.coverage),
            held,
        )
