"""Body models, and SMPL parameters as pictures."""

from __future__ import annotations

import torch
from comfy_api.latest import Types, io

from ..lwg_core.body.files import load_body_model
from ..lwg_core.body.open_body import open_body
from ..lwg_core.recovery.projection import project_keypoints, to_pose_keypoint
from .drawing import draw, seen_by_camera
from .files import BODY_MODELS, BUILT_IN, changed, model_files, model_path
from .sockets import (
    CATEGORY,
    BodyModelType,
    PoseKeypointType,
    SmplType,
    body_model_input,
    image_to_core,
)


class LoadBodyModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_LoadBodyModel",
            display_name="Load Body Model",
            category=CATEGORY,
            description="Loads the body that poses and shapes refer to. The built-in open body "
            "needs no file.",
            search_aliases=["smpl", "smplx", "anny", "mesh"],
            inputs=[
                io.Combo.Input(
                    "body_file",
                    options=[BUILT_IN, *model_files(BODY_MODELS)],
                    tooltip="The built-in open body, or an SMPL, SMPL-H or SMPL-X file (.npz, "
                    ".pkl) in models/liquid_warping.",
                )
            ],
            outputs=[
                BodyModelType.Output(
                    "body_model_out",
                    display_name="body_model",
                    tooltip="Body model for the nodes that take one. Use the same one everywhere.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, body_file: str):
        return changed(body_file)

    @classmethod
    def execute(cls, body_file: str) -> io.NodeOutput:
        if body_file == BUILT_IN:
            return io.NodeOutput(load_body_model("open"))
        return io.NodeOutput(load_body_model(model_path(body_file)))


class PreviewBody(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_PreviewBody",
            display_name="Preview Body",
            category=CATEGORY,
            description="Draws SMPL parameters as a shaded body, and as keypoints and a mesh for "
            "other nodes. What was not seen is red; the strip below a clip shows its frames.",
            search_aliases=["render smpl", "draw body", "pose image", "openpose from smpl"],
            inputs=[
                SmplType.Input("smpl", tooltip="A recovered body, a target, or a bare motion."),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="Picture, or one per frame, to draw over. Must have the size of the "
                    "smpl's camera.",
                ),
                body_model_input(),
            ],
            outputs=[
                io.Image.Output(
                    "preview", display_name="image", tooltip="The shaded body, every frame."
                ),
                io.Mask.Output("mask", tooltip="Silhouette of the naked body, every frame."),
                PoseKeypointType.Output(
                    "keypoints",
                    tooltip="OpenPose keypoints of the body, for ControlNet and pose nodes.",
                ),
                io.Mesh.Output("mesh", tooltip="The body of the first frame, metres, y up."),
            ],
        )

    @classmethod
    def execute(cls, smpl, image=None, body_model=None) -> io.NodeOutput:
        body = body_model or open_body()
        params = seen_by_camera(smpl, body)
        images = None if image is None else image_to_core(image)
        drawn, masks = draw(images, body, params)
        keypoints = to_pose_keypoint(*project_keypoints(body, params), params.camera.size)
        first = params.select([0])
        vertices = body.vertices(first.pose, first.betas) * torch.tensor([1.0, -1.0, -1.0])
        mesh = Types.MESH(vertices, body.faces[None])
        return io.NodeOutput(drawn, masks, keypoints, mesh)
