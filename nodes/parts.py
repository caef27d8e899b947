"""Select Parts: the clothes of one person on another."""

from __future__ import annotations

from comfy_api.latest import io

from ..lwg_core.flow.parts import PART_GROUPS
from ..lwg_core.flow.transfer import wear
from .sockets import CATEGORY, SourcesType

TOOLTIPS = {
    "head": "Hair, face and neck.",
    "face": "The face without hair and ears.",
    "upper": "Top: chest, back and arms down to the wrists.",
    "lower": "Trousers or skirt: hips and legs down to the ankles.",
    "arms": "Arms from the shoulders to the wrists.",
    "hands": "Hands: gloves, or the skin of the other person.",
    "legs": "Legs below the hips, down to the ankles.",
    "feet": "Feet: shoes.",
    "body": "All but the head.",
    "whole": "All, head included. Only the shape stays the wearer's.",
}
USUAL = ("upper", "lower")
RARE = ("arms", "legs", "body", "whole")


class SelectParts(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_SelectParts",
            display_name="Select Parts",
            category=CATEGORY,
            description="Dresses one person in parts of another: the wearer keeps shape, "
            "background and every part that is not chosen. Chain several for clothes of several "
            "people.",
            search_aliases=["appearance transfer", "try on", "clothes swap", "outfit", "face swap"],
            inputs=[
                SourcesType.Input(
                    "wearer",
                    tooltip="Who wears the clothes, from Add Source or another Select Parts.",
                ),
                SourcesType.Input(
                    "clothes",
                    tooltip="Pictures of the person whose parts are worn, from a chain of Add "
                    "Source of their own.",
                ),
                *(
                    io.Boolean.Input(
                        name, default=name in USUAL, advanced=name in RARE or None, tooltip=tooltip
                    )
                    for name, tooltip in TOOLTIPS.items()
                ),
            ],
            outputs=[
                SourcesType.Output(
                    "sources",
                    tooltip="The wearer, dressed, for Imitate Motion, Novel View, Compose Flow and "
                    "Personalize.",
                ),
            ],
        )

    @classmethod
    def execute(cls, wearer, clothes, **parts: bool) -> io.NodeOutput:
        chosen = [name for name in PART_GROUPS if parts.get(name)]
        return io.NodeOutput(wear(wearer, clothes, chosen))
