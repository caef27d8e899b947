"""Evaluate: how far a result is from its truth."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..lwg_core.metrics.pair import check_pair, compare, pair_sheet, pair_table
from .progress import reporter
from .sockets import CATEGORY, image_from_core, image_to_core, mask_to_core


class Evaluate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_Evaluate",
            display_name="Evaluate",
            category=CATEGORY,
            description="Measures results against their truths: PSNR, SSIM and sharpness, of the "
            "whole picture and of the person.",
            search_aliases=["PSNR", "SSIM", "metrics", "compare images", "quality"],
            is_output_node=True,
            inputs=[
                io.Image.Input("result", tooltip="What was generated, a picture or a clip."),
                io.Image.Input(
                    "truth",
                    tooltip="What it should look like: one picture, or one per frame of the "
                    "result, of the same size.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White on the person in the truth: one mask, or one per frame. "
                    "Without it the person's region is not measured.",
                ),
            ],
            outputs=[
                io.String.Output("table", tooltip="Mean and worst frame of every measure."),
                io.Image.Output(
                    "sheet",
                    tooltip="Result, truth and their difference, of up to 8 frames.",
                ),
            ],
        )

    @classmethod
    def execute(cls, result, truth, mask=None) -> io.NodeOutput:
        results, truths = image_to_core(result, "result"), image_to_core(truth, "truth")
        check_pair(results, truths)
        masks = mask_to_core(mask, results)
        table = pair_table(compare(results, truths, masks, reporter()))
        sheet = image_from_core(pair_sheet(results, truths)[None])
        return io.NodeOutput(table, sheet, ui=ui.PreviewText(table))
