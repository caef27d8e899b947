"""Personalize: a short training on the sources; save and load what came out."""

from __future__ import annotations

import comfy.model_management
import torch
from comfy_api.latest import io, ui
from PIL import Image, ImageDraw

from ..lwg_core import pipeline
from ..lwg_core.body.open_body import open_body
from ..lwg_core.errors import InputError
from ..lwg_core.networks.generator import AttLWBGenerator
from ..lwg_core.painting import bytes_needed
from ..lwg_core.training.personalize import (
    describe,
    float_copy,
    load_personalized,
    personalize,
    save_personalized,
)
from .files import changed, finite, inside_output, model_files, model_path, new_output_file
from .generator import OPERATIONS, in_patcher
from .progress import from_pil, reporter
from .sockets import CATEGORY, GeneratorType, SourcesType, body_model_input

RECORD = "lwg_personalization"
TRAINING_SHARE = 2  # memory of a training step, in units of a frame


class Personalize(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_Personalize",
            display_name="Personalize",
            category=CATEGORY,
            description="Trains a copy of the generator on the sources for a few steps. The more "
            "pictures, the more it brings.",
            search_aliases=["fine-tune", "train", "few-shot"],
            inputs=[
                GeneratorType.Input(
                    "generator", tooltip="The generator to start from; it is not changed."
                ),
                SourcesType.Input("sources", tooltip="Pictures to learn from, best four or more."),
                io.Int.Input(
                    "steps",
                    default=80,
                    min=1,
                    max=10000,
                    tooltip="Training steps; 80 are a good start. Slow on a CPU.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    control_after_generate=False,  # or every run would train anew
                    tooltip="Seed of the training.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=2e-4,
                    min=1e-6,
                    max=1e-2,
                    step=1e-6,
                    round=False,
                    advanced=True,
                    tooltip="Step size of the training. Halved for one or two sources.",
                ),
                io.Int.Input(
                    "size",
                    default=256,
                    min=64,
                    max=1024,
                    step=8,
                    advanced=True,
                    tooltip="Side of the training pictures in pixels, a multiple of 8.",
                ),
                body_model_input(),
            ],
            outputs=[
                GeneratorType.Output(
                    "personalized",
                    display_name="generator",
                    tooltip="The generator that knows this person.",
                ),
                io.Image.Output(
                    "loss_curve", tooltip="Loss of every step; it should fall, then level."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, generator, sources, steps, seed, learning_rate, size, body_model=None
    ) -> io.NodeOutput:
        finite("learning_rate", learning_rate)
        pipeline.check_generator(generator.model)
        need = bytes_needed(generator.model, (size, size), TRAINING_SHARE * (len(sources) + 1))
        comfy.model_management.load_models_gpu([generator], need)
        start = float_copy(generator.model).to(generator.load_device)
        body = body_model or open_body()
        tuned, losses = personalize(
            start, sources, body, steps, seed, learning_rate, size, reporter()
        )
        managed = AttLWBGenerator(tuned.config, OPERATIONS)
        managed.load_state_dict(tuned.cpu().state_dict())
        patcher = in_patcher(managed)
        record = describe(generator.model, sources, steps, seed, learning_rate, size)
        patcher.set_attachments(RECORD, record)
        return io.NodeOutput(patcher, loss_curve(losses))


class SavePersonalized(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_SavePersonalized",
            display_name="Save Personalized",
            category=CATEGORY,
            description="Writes a personalized generator to output/liquid_warping, where Load "
            "Personalized finds it.",
            search_aliases=["save generator", "export personalized"],
            is_output_node=True,
            inputs=[
                GeneratorType.Input("generator", tooltip="From Personalize."),
                io.String.Input(
                    "filename_prefix",
                    default="person",
                    tooltip="Start of the file name; a number is appended. Folders are allowed.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "filename", tooltip="Name of the written file for Load Personalized."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix):
        return filename_prefix is None or inside_output(filename_prefix)

    @classmethod
    def execute(cls, generator, filename_prefix: str) -> io.NodeOutput:
        record = generator.get_attachment(RECORD)
        if record is None:
            raise InputError("generator was not personalized; connect the output of Personalize")
        path, name = new_output_file(filename_prefix, ".safetensors")
        save_personalized(path, generator.model, record)
        return io.NodeOutput(name, ui=ui.PreviewText(name))


class LoadPersonalized(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_LoadPersonalized",
            display_name="Load Personalized",
            category=CATEGORY,
            description="Loads a generator that Save Personalized wrote.",
            search_aliases=["load generator", "personalized checkpoint"],
            inputs=[
                io.Combo.Input(
                    "personalized_file",
                    options=model_files((".safetensors",)),
                    tooltip="A file in output/liquid_warping or models/liquid_warping.",
                ),
                SourcesType.Input(
                    "sources",
                    optional=True,
                    tooltip="If given, the file must have been personalized on exactly these "
                    "pictures.",
                ),
                GeneratorType.Input(
                    "base",
                    optional=True,
                    tooltip="If given, the file must have been personalized from this generator.",
                ),
            ],
            outputs=[GeneratorType.Output("generator", tooltip="The personalized generator.")],
        )

    @classmethod
    def fingerprint_inputs(cls, personalized_file: str, **_):
        return changed(personalized_file)

    @classmethod
    def execute(cls, personalized_file: str, sources=None, base=None) -> io.NodeOutput:
        generator, record = load_personalized(
            model_path(personalized_file), sources, base and base.model, OPERATIONS
        )
        patcher = in_patcher(generator)
        patcher.set_attachments(RECORD, record)
        return io.NodeOutput(patcher)


def loss_curve(losses: list[float], width: int = 512, height: int = 256) -> torch.Tensor:
    """IMAGE (1, height, width, 3): every loss in grey, a running mean in blue, from 0 upwards."""
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    values = torch.tensor(losses)
    window = max(1, len(losses) // 10)
    padded = torch.cat([values[:1].expand(window - 1), values])
    mean = padded.unfold(0, window, 1).mean(1)
    top = float(values.max()) or 1.0
    x = torch.linspace(8, width - 8, len(losses))
    for curve, colour, thickness in ((values, "silver", 1), (mean, "royalblue", 3)):
        y = height - 20 - curve / top * (height - 44)
        draw.line(torch.stack([x, y], 1).flatten().tolist(), fill=colour, width=thickness)
    draw.line((8, height - 20, width - 8, height - 20), fill="black")
    draw.text((8, 4), f"loss {losses[0]:.3f} -> {float(mean[-1]):.3f}", fill="black")
    draw.text((width - 76, height - 16), f"{len(losses)} steps", fill="black")
    return from_pil(picture)
