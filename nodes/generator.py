"""Load Generator and Generate."""

from __future__ import annotations

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from comfy_api.latest import io

from ..lwg_core import pipeline
from ..lwg_core.networks.generator import AttLWBGenerator
from ..lwg_core.weights import load_generator
from .files import BUILT_IN, GENERATORS, changed, model_files, model_path
from .painting import paint, painting_inputs
from .progress import reporter
from .sockets import (
    CATEGORY,
    GeneratorType,
    image_from_core,
    mask_from_core,
    to_intermediate,
)

OPERATIONS = comfy.ops.manual_cast  # casts weights to the input, wherever ComfyUI keeps them


def in_patcher(generator: AttLWBGenerator) -> comfy.model_patcher.ModelPatcher:
    """A generator whose memory ComfyUI manages."""
    return comfy.model_patcher.CoreModelPatcher(
        generator.eval(),
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


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
            inputs=painting_inputs(),
            outputs=[
                io.Image.Output("images", tooltip="The frames, for Create Video or Save Image."),
                io.Mask.Output(
                    "masks", tooltip="The person's matte in every frame, for compositing."
                ),
            ],
        )

    @classmethod
    def execute(cls, generator, flow, **options) -> io.NodeOutput:
        pieces, count = paint(generator, flow, **options)
        size, report = pipeline.result_size(flow), reporter()
        images = to_intermediate(torch.empty(count, *size, 3))
        masks = to_intermediate(torch.empty(count, *size))
        done = 0
        for image, mask in pieces:
            some = slice(done, done + len(image))
            images[some], masks[some] = image_from_core(image), mask_from_core(mask)
            done = some.stop
            report(done, count, image[-1])
        return io.NodeOutput(images, masks)
