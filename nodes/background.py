"""The picture behind the person."""

from __future__ import annotations

import comfy.model_management
from comfy_api.latest import io

from ..lwg_core import pipeline
from ..lwg_core.background import METHODS, check_method
from ..lwg_core.background.network import LONGEST
from ..lwg_core.body.open_body import open_body
from .generator import memory_needed
from .progress import reporter
from .sockets import CATEGORY, GeneratorType, SourcesType, body_model_input, image_from_core

PERCENT = 100


class InpaintBackground(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_InpaintBackground",
            display_name="Inpaint Background",
            category=CATEGORY,
            description="Removes the person from the first source and fills the hole. Any "
            "inpainting node can take its place: Generate accepts every picture as background.",
            search_aliases=["remove person", "background plate", "clean plate", "fill"],
            inputs=[
                SourcesType.Input("sources", tooltip="The background of the first source is used."),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    tooltip="patch: continues texture, takes seconds. push_pull: smooth and "
                    "instant. opencv: Telea's method, in between. generator: the background "
                    "network of official weights.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    control_after_generate=False,
                    advanced=True,
                    tooltip="Seed of the patch search.",
                ),
                body_model_input(),
                GeneratorType.Input(
                    "generator",
                    optional=True,
                    tooltip="For the method generator only: official weights, from Load Generator. "
                    "The built-in ones have no background network.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "background",
                    tooltip="The first source's picture without the person, at most 768 px a side.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, sources, method: str, seed: int, body_model=None, generator=None
    ) -> io.NodeOutput:
        network = None if generator is None else generator.model
        check_method(method, network)
        device = None
        if method == "generator":
            need = memory_needed(network, (LONGEST, LONGEST), 1)
            comfy.model_management.load_models_gpu([generator], memory_required=need)
            device = generator.load_device
        report = reporter()
        picture = pipeline.source_background(
            sources[0],
            body_model or open_body(),
            method,
            seed=seed,
            progress=lambda share: report(round(share * PERCENT), PERCENT),
            generator=network,
            device=device,
        )
        return io.NodeOutput(image_from_core(picture[None]))
