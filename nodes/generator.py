"""Load Generator and Generate."""

from __future__ import annotations

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from comfy_api.latest import io

from ..lwg_core import pipeline
from ..lwg_core.errors import InputError
from ..lwg_core.networks.generator import AttLWBGenerator
from ..lwg_core.weights import load_generator
from .files import BUILT_IN, GENERATORS, changed, model_files, model_path
from .progress import reporter
from .sockets import (
    CATEGORY,
    FlowType,
    GeneratorType,
    image_from_core,
    image_to_core,
    mask_from_core,
    to_intermediate,
)

OPERATIONS = comfy.ops.manual_cast  # casts weights to the input, wherever ComfyUI keeps them
BYTES_PER_CHANNEL = 48  # of the first stage, per pixel and picture: twice the measured peak


def in_patcher(generator: AttLWBGenerator) -> comfy.model_patcher.ModelPatcher:
    """A generator whose memory ComfyUI manages."""
    return comfy.model_patcher.CoreModelPatcher(
        generator.eval(),
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def memory_needed(generator: AttLWBGenerator, size: tuple[int, int], pictures: int) -> int:
    """Bytes that ComfyUI must keep free to run ``pictures`` pictures of (height, width) pixels."""
    return BYTES_PER_CHANNEL * generator.config.widths[0] * size[0] * size[1] * pictures


class LoadGenerator(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_LoadGenerator",
            display_name="Load Generator",
            category=CATEGORY,
            description="Loads the network that turns warped pictures into the final ones.",
            search_aliases=[
                "liquid warping gan",
                "attlwb",
                "checkpoint",
                "impersonator",
                "ipercore",
            ],
            inputs=[
                io.Combo.Input(
                    "generator_file",
                    options=[BUILT_IN, *model_files(GENERATORS)],
                    tooltip="The built-in weights, or a file in models/liquid_warping.",
                )
            ],
            outputs=[GeneratorType.Output("generator", tooltip="For Generate and Personalize.")],
        )

    @classmethod
    def fingerprint_inputs(cls, generator_file: str):
        return changed(generator_file)

    @classmethod
    def execute(cls, generator_file: str) -> io.NodeOutput:
        path = "default" if generator_file == BUILT_IN else model_path(generator_file)
        return io.NodeOutput(in_patcher(load_generator(path, OPERATIONS)))


class Generate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_Generate",
            display_name="Generate",
            category=CATEGORY,
            description="Paints every frame of the person over the background.",
            search_aliases=[
                "liquid warping",
                "motion imitation",
                "animate person",
                "human synthesis",
            ],
            inputs=[
                GeneratorType.Input("generator", tooltip="From Load Generator or Personalize."),
                FlowType.Input("flow", tooltip="From Compose Flow."),
                io.Image.Input(
                    "background",
                    optional=True,
                    tooltip="One picture, or one per frame. A picture with the proportions of the "
                    "first source is cut to the same window; any other covers it. Grey if not "
                    "given.",
                ),
                io.Int.Input(
                    "chunk",
                    default=4,
                    min=1,
                    max=64,
                    advanced=True,
                    tooltip="Frames computed at a time: more needs more memory, and may be faster "
                    "on a GPU.",
                ),
            ],
            outputs=[
                io.Image.Output("images", tooltip="The frames, for Create Video or Save Image."),
                io.Mask.Output(
                    "masks", tooltip="The person's matte in every frame, for compositing."
                ),
            ],
        )

    @classmethod
    def execute(cls, generator, flow, chunk: int, background=None) -> io.NodeOutput:
        behind = torch.zeros(1, 3, *flow.size)
        if background is not None:
            behind = pipeline.place_background(image_to_core(background, "background"), flow)
        if len(behind) not in (1, len(flow)):
            raise InputError(
                f"background must be 1 picture or {len(flow)}, one per frame; got {len(behind)}"
            )
        need = memory_needed(generator.model, flow.size, chunk + len(flow.prepared))
        comfy.model_management.load_models_gpu([generator], memory_required=need)
        report, done = reporter(), 0
        images = to_intermediate(torch.empty(len(flow), *flow.size, 3))
        masks = to_intermediate(torch.empty(len(flow), *flow.size))
        pieces = pipeline.generate(generator.model, flow, behind, chunk, generator.load_device)
        for image, mask in pieces:
            some = slice(done, done + len(image))
            images[some], masks[some] = image_from_core(image), mask_from_core(mask)
            done = some.stop
            report(done, len(flow), image[-1])
        return io.NodeOutput(images, masks)
