"""Sources: pictures of the person to be animated."""

from __future__ import annotations

from comfy_api.latest import io

from ..lwg_core import pipeline
from ..lwg_core.body.model import BodyModel
from ..lwg_core.body.open_body import open_body
from ..lwg_core.errors import InputError
from ..lwg_core.flow.source import Source
from ..lwg_core.flow.transfer import rank_sources
from .sockets import (
    CATEGORY,
    SmplType,
    SourcesType,
    body_model_input,
    image_to_core,
    mask_from_core,
    mask_to_core,
)

AS_ADDED, BEST_FRONT = "as added", "best front first"


class AddSource(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_AddSource",
            display_name="Add Source",
            category=CATEGORY,
            description="Adds one picture of the person. Chain several nodes to show the person "
            "from more sides; up to eight pictures.",
            search_aliases=["reference image", "source image", "character image"],
            inputs=[
                io.Image.Input(
                    "image", tooltip="Picture of the person, whole body in view. Any size."
                ),
                SmplType.Input(
                    "smpl", tooltip="The person's body in this very picture, from Recover Body."
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White on the person, hair and clothes included. Estimated if not "
                    "given.",
                ),
                SourcesType.Input(
                    "sources",
                    optional=True,
                    tooltip="Pictures added before this one, of the same person in the same "
                    "clothes.",
                ),
                body_model_input(),
                io.Combo.Input(
                    "order",
                    options=[AS_ADDED, BEST_FRONT],
                    optional=True,
                    advanced=True,
                    tooltip="The first picture sets shape, camera and background, and wins ties. "
                    "best front first: the one that shows most of the person's front.",
                ),
            ],
            outputs=[
                SourcesType.Output(
                    "all_sources",
                    display_name="sources",
                    tooltip="All pictures so far, for the nodes that animate or personalize.",
                ),
                io.Mask.Output(
                    "used_mask", display_name="mask", tooltip="The person's mask in use."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, image, smpl, mask=None, sources=(), body_model=None, order=AS_ADDED
    ) -> io.NodeOutput:
        body = body_model or open_body()
        images = image_to_core(image)
        if len(images) != 1:
            raise InputError(f"image must be one picture; got a batch of {len(images)}")
        masks = mask_to_core(mask, images)
        source = pipeline.make_source(images[0], smpl, body, None if masks is None else masks[0])
        check_polarity(source, body)
        joined = pipeline.with_offsets((*sources, source), body)
        if order == BEST_FRONT:
            joined = rank_sources(joined, body)
        return io.NodeOutput(joined, mask_from_core(source.mask[None]))


def check_polarity(source: Source, body: BodyModel) -> None:
    """The mask of Load Image is white where a cut-out picture is transparent: upside down."""
    inside = pipeline.mesh_silhouette(source, body) > 0.5
    if source.mask[inside].mean() < 0.3 and source.mask[~inside].mean() > 0.5:
        raise InputError(
            "mask is white on the background and black on the person; put an Invert Mask node "
            "before it"
        )
