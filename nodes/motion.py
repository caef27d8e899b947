"""Motions, and whose body does them."""

from __future__ import annotations

import os

from comfy_api.latest import io

from ..lwg_core.body.files import load_params
from ..lwg_core.body.open_body import open_body
from ..lwg_core.flow.targets import CAMERA_STRATEGIES, imitate
from ..lwg_core.synthetic.motions import MOTIONS as CLIPS
from ..lwg_core.synthetic.motions import motion as built_in_motion
from .files import MOTIONS, input_files, input_path
from .sockets import CATEGORY, SmplType, SourcesType, body_model_input


class LoadMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_LoadMotion",
            display_name="Load Motion",
            category=CATEGORY,
            description="A built-in motion clip, or SMPL parameters from a file in the input "
            "folder.",
            search_aliases=["smpl motion", "mocap", "dance", "driving motion"],
            inputs=[
                io.Combo.Input(
                    "motion",
                    options=[*CLIPS, *input_files(MOTIONS)],
                    tooltip="A built-in clip, or an .npz file of SMPL parameters in the input "
                    "folder.",
                ),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=100000,
                    tooltip="Number of frames. 0 = the whole clip. A built-in clip is fitted to "
                    "this length so that it still loops; a file is cut.",
                ),
            ],
            outputs=[
                SmplType.Output(
                    "smpl_motion",
                    display_name="motion",
                    tooltip="Poses of the clip, frame by frame. They fit any person and body "
                    "model.",
                )
            ],
        )

    @classmethod
    def execute(cls, motion: str, frames: int) -> io.NodeOutput:
        if motion in CLIPS:
            return io.NodeOutput(built_in_motion(motion, frames or None))
        loaded = load_params(input_path(motion))
        return io.NodeOutput(loaded.select(slice(frames or None)))

    @classmethod
    def fingerprint_inputs(cls, motion: str, frames: int):
        """Run again when the file has changed."""
        return motion if motion in CLIPS else os.path.getmtime(input_path(motion))


class ImitateMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_ImitateMotion",
            display_name="Imitate Motion",
            category=CATEGORY,
            description="Puts the person of the first source into every pose of a motion.",
            search_aliases=["motion transfer", "retarget", "drive"],
            inputs=[
                SourcesType.Input(
                    "sources",
                    tooltip="The person, from Add Source. The first source sets body and camera.",
                ),
                SmplType.Input(
                    "motion", tooltip="The poses to imitate, from Load Motion or a recovered clip."
                ),
                io.Combo.Input(
                    "camera",
                    options=list(CAMERA_STRATEGIES),
                    tooltip="travel: the person moves through the picture as in the motion. "
                    "source: the person stays in place. copy: the motion's own camera, which it "
                    "must bring.",
                ),
                body_model_input(),
            ],
            outputs=[
                SmplType.Output(
                    "target",
                    tooltip="The person of the sources in every pose of the motion, with cameras.",
                )
            ],
        )

    @classmethod
    def execute(cls, sources, motion, camera: str, body_model=None) -> io.NodeOutput:
        first = sources[0]
        body = body_model or open_body()
        return io.NodeOutput(imitate(first.params, motion, body, camera, first.offsets))
