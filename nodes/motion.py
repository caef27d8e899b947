"""Motions: loaded, saved, smoothed, and done by the person of the sources."""

from __future__ import annotations

import os

from comfy_api.latest import io, ui

from ..lwg_core.body.files import save_params
from ..lwg_core.body.open_body import open_body
from ..lwg_core.errors import InputError
from ..lwg_core.flow.targets import CAMERA_STRATEGIES, imitate
from ..lwg_core.flow.transfer import worn_offsets
from ..lwg_core.recovery.exporters import save_amass, save_mesh, save_pose_keypoints
from ..lwg_core.recovery.importers import load_motion_file
from ..lwg_core.recovery.smoothing import METHODS, smooth_params
from ..lwg_core.synthetic.motions import MOTIONS as CLIPS
from ..lwg_core.synthetic.motions import motion as built_in_motion
from .drawing import seen_by_camera
from .files import MOTIONS, finite, input_files, input_path, inside_output, new_output_file
from .sockets import CATEGORY, SmplType, SourcesType, body_model_input

LARGEST_SIDE = 16384  # px
OURS, AMASS, KEYPOINTS, MESH = "npz (all of it)", "AMASS npz", "POSE_KEYPOINT json", "obj mesh"


class LoadMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_LoadMotion",
            display_name="Load Motion",
            category=CATEGORY,
            description="A built-in motion clip, or a motion file of another program from the "
            "input folder.",
            search_aliases=["smpl motion", "mocap", "bvh", "amass", "wham", "gvhmr", "dance"],
            inputs=[
                io.Combo.Input(
                    "motion",
                    options=[*CLIPS, *input_files(MOTIONS)],
                    tooltip="A built-in clip, or a file in the input folder: ours, AMASS or "
                    "MotionCapture (.npz), 4D-Humans or WHAM (.pkl), GVHMR (.pt), EasyMocap "
                    "(.json), .bvh.",
                ),
                io.Int.Input(
                    "frames",
                    default=0,
                    min=0,
                    max=100000,
                    tooltip="Number of frames. 0 = the whole clip. A built-in clip is fitted to "
                    "this length so that it still loops; a file is cut.",
                ),
                io.Int.Input(
                    "person",
                    default=0,
                    min=0,
                    max=99,
                    optional=True,
                    advanced=True,
                    tooltip="Which person of a file; 0 is seen longest.",
                ),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=LARGEST_SIDE,
                    optional=True,
                    advanced=True,
                    tooltip="Pixels of the video that a file was recovered from, if the file does "
                    "not say; 0 = not known.",
                ),
                io.Int.Input(
                    "height", default=0, min=0, max=LARGEST_SIDE, optional=True, advanced=True,
                    tooltip="As width.",
                ),
                body_model_input(),
            ],
            outputs=[
                SmplType.Output(
                    "smpl_motion",
                    display_name="motion",
                    tooltip="Poses of the clip, frame by frame. They fit any person and body "
                    "model.",
                )
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, motion: str, frames: int, person=0, width=0, height=0, body_model=None
    ) -> io.NodeOutput:
        if motion in CLIPS:
            return io.NodeOutput(built_in_motion(motion, frames or None))
        size = (height, width) if height and width else None
        people = load_motion_file(input_path(motion), body_model or open_body(), size)
        if person >= len(people):
            raise InputError(
                f"{motion} holds {len(people)} people, numbered from 0; there is no person {person}"
            )
        return io.NodeOutput(people[person].select(slice(frames or None)))

    @classmethod
    def fingerprint_inputs(cls, motion: str, **_):
        """Run again when the file has changed."""
        return motion if motion in CLIPS else os.path.getmtime(input_path(motion))


class SaveMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_SaveMotion",
            display_name="Save Motion",
            category=CATEGORY,
            description="Writes SMPL parameters to output/liquid_warping, for Load Motion, Blender "
            "add-ons and other programs.",
            search_aliases=["export smpl", "save amass", "export mocap", "save mesh"],
            is_output_node=True,
            inputs=[
                SmplType.Input("smpl", tooltip="A recovered body, a target or a motion."),
                io.String.Input(
                    "filename_prefix",
                    default="motion",
                    tooltip="Start of the file name; a number is appended. Folders are allowed.",
                ),
                io.Combo.Input(
                    "format",
                    options=[OURS, AMASS, KEYPOINTS, MESH],
                    tooltip="npz: everything, camera and confidence too. AMASS: what most SMPL "
                    "programs read. POSE_KEYPOINT: OpenPose json. obj: the first frame.",
                ),
                body_model_input(),
            ],
            outputs=[io.String.Output("filename", tooltip="Name of the written file.")],
        )

    @classmethod
    def validate_inputs(cls, filename_prefix):
        return filename_prefix is None or inside_output(filename_prefix)

    @classmethod
    def execute(cls, smpl, filename_prefix: str, format: str, body_model=None) -> io.NodeOutput:
        body = body_model or open_body()
        suffix = {OURS: ".npz", AMASS: "amass.npz", KEYPOINTS: ".json", MESH: ".obj"}[format]
        path, name = new_output_file(filename_prefix, suffix)
        if format == OURS:
            save_params(path, smpl)
        elif format == AMASS:
            save_amass(path, smpl, body)
        elif format == KEYPOINTS:
            save_pose_keypoints(path, seen_by_camera(smpl, body), body)
        else:
            save_mesh(path, smpl, body)
        return io.NodeOutput(name, ui=ui.PreviewText(name))


class SmoothMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_SmoothMotion",
            display_name="Smooth Motion",
            category=CATEGORY,
            description="Takes the jitter out of a recovered clip. Frames without a body stay "
            "apart.",
            search_aliases=["stabilize", "denoise motion", "butterworth", "jitter"],
            inputs=[
                SmplType.Input("smpl", tooltip="A recovered clip or a motion."),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    tooltip="gaussian: in seconds, the same at any frame rate. butterworth: the "
                    "official filter, by frames.",
                ),
                io.Float.Input(
                    "strength", default=1.0, min=0.0, max=20.0, step=0.1,
                    tooltip="0 changes nothing, 1 is the usual amount, more takes away fast "
                    "movement too.",
                ),
                io.Boolean.Input(
                    "camera", default=True, optional=True, advanced=True,
                    tooltip="Smooth the place and size in the picture as well.",
                ),
            ],
            outputs=[SmplType.Output("smoothed", display_name="smpl", tooltip="The same clip.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, smpl, method: str, strength: float, camera: bool = True) -> io.NodeOutput:
        return io.NodeOutput(smooth_params(smpl, method, finite("strength", strength), camera))


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
                    "source: the person stays in place. smooth, reference-position: as the "
                    "official system has them. copy: the motion's own camera. All but source use "
                    "the camera that the motion brings.",
                ),
                io.Boolean.Input(
                    "steady_feet", default=True, optional=True, advanced=True,
                    tooltip="For travel and source: feet that stand do not slide, and the walk "
                    "stays on the ground of the source picture.",
                ),
                body_model_input(),
            ],
            outputs=[
                SmplType.Output(
                    "target",
                    tooltip="The person of the sources in every pose of the motion, with cameras.",
                )
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, sources, motion, camera: str, steady_feet: bool = True, body_model=None
    ) -> io.NodeOutput:
        first = sources[0]
        body = body_model or open_body()
        worn = worn_offsets(sources, body)
        target = imitate(first.params, motion, body, camera, first.offsets, steady_feet, worn)
        return io.NodeOutput(target)
