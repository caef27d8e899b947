"""The picture behind the person."""

from __future__ import annotations

import comfy.model_management
import torch
from comfy_api.latest import io

from ..lwg_core import pipeline
from ..lwg_core.background import METHODS, check_method
from ..lwg_core.background.clip import sampled
from ..lwg_core.background.network import LONGEST
from ..lwg_core.body.open_body import open_body
from ..lwg_core.errors import InputError
from ..lwg_core.painting import bytes_needed
from .progress import reporter
from .sockets import (
    CATEGORY,
    GeneratorType,
    SourcesType,
    body_model_input,
    image_from_core,
    image_to_core,
    mask_to_core,
)

PERCENT = 100


class InpaintBackground(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_InpaintBackground",
            display_name="Inpaint Background",
            category=CATEGORY,
            description="Removes the person from the first source, or from a clip, and fills the "
            "hole. Any inpainting node can take its place: Generate accepts every picture as "
            "background.",
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
                io.Image.Input(
                    "clip",
                    optional=True,
                    tooltip="A clip of a still camera, such as the driving video: its background "
                    "is used instead of the source's, put together from what its frames uncover.",
                ),
                io.Mask.Input(
                    "clip_masks",
                    optional=True,
                    tooltip="White on the person in every frame of the clip, from Preview Body or "
                    "a segmentation node.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "background",
                    tooltip="The first source's picture, or the clip's, without the person, at its "
                    "own size.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, sources, method, seed, body_model=None, generator=None, clip=None, clip_masks=None
    ) -> io.NodeOutput:
        network = None if generator is None else generator.model
        check_method(method, network)
        device = None
        if method == "generator":
            need = bytes_needed(network, (LONGEST, LONGEST), 1)
            comfy.model_management.load_models_gpu([generator], memory_required=need)
            device = generator.load_device
        report = reporter()
        options = {
            "method": method, "seed": seed, "generator": network, "device": device,
            "progress": lambda share: report(round(share * PERCENT), PERCENT),
        }  # fmt: skip
        if clip is None:
            picture = pipeline.source_background(sources[0], body_model or open_body(), **options)
        else:
            picture = pipeline.background_of_clip(*clip_frames(clip, clip_masks), **options)
        return io.NodeOutput(image_from_core(picture[None]))


def clip_frames(
    clip: torch.Tensor, masks: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The frames of a clip that are looked at, with their masks, as the core has them."""
    index = sampled(len(clip))
    frames = image_to_core(clip[index], "clip")
    if masks is not None and len(masks) == len(clip):
        masks = masks[index]
    elif masks is not None and masks.any():  # one mask would leave whoever moves in the picture
        raise InputError(
            f"clip_masks must be one mask per frame of the clip, {len(clip)}; got {len(masks)}"
        )
    found = mask_to_core(masks, frames, empty_is_nobody=True)
    if found is None:
        raise InputError(
            "clip_masks is missing: connect the masks of the person in the clip, from Preview Body "
            "or a segmentation node"
        )
    return frames, found
