"""Body models, and SMPL parameters from keypoints to pictures."""

from __future__ import annotations

from comfy_api.latest import Types, io

from ..lwg_core import pipeline
from ..lwg_core.body.files import load_body_model
from ..lwg_core.errors import InputError
from ..lwg_core.recovery.keypoints import project_keypoints, to_pose_keypoint
from .files import BODY_MODELS, BUILT_IN, model_files, model_path
from .sockets import (
    CATEGORY,
    BodyModelType,
    PoseKeypointType,
    SmplType,
    body_model_input,
    image_from_core,
    image_to_core,
    mask_from_core,
    mask_to_core,
)


class LoadBodyModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_LoadBodyModel",
            display_name="Load Body Model",
            category=CATEGORY,
            description="Loads the body that poses and shapes refer to. The built-in open body needs no file.",
            search_aliases=["smpl", "smplx", "anny", "mesh"],
            inputs=[
                io.Combo.Input(
                    "body_file",
                    options=[BUILT_IN, *model_files(BODY_MODELS)],
                    tooltip="The built-in open body, or an SMPL, SMPL-H or SMPL-X file (.npz, .pkl) "
                    "in models/liquid_warping.",
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
    def execute(cls, body_file: str) -> io.NodeOutput:
        if body_file == BUILT_IN:
            return io.NodeOutput(load_body_model("open"))
        return io.NodeOutput(load_body_model(model_path(body_file)))


class RecoverBodyFromKeypoints(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_RecoverBodyFromKeypoints",
            display_name="Recover Body from Keypoints",
            category=CATEGORY,
            description="Fits a 3D body to the keypoints of a pose node: one picture, or every frame of "
            "a clip.",
            search_aliases=["smpl fit", "smplify", "openpose to smpl", "dwpose", "sdpose", "motion capture"],
            inputs=[
                io.Image.Input(
                    "image", tooltip="The picture or the frames that the keypoints were found in."
                ),
                PoseKeypointType.Input(
                    "keypoints",
                    tooltip="From SDPose (core) or DWPose / OpenPose (controlnet_aux), one entry per frame.",
                ),
                io.Int.Input(
                    "person",
                    default=-1,
                    min=-1,
                    max=99,
                    advanced=True,
                    tooltip="Number of the person in the keypoints. -1 = the largest one.",
                ),
                body_model_input(),
            ],
            outputs=[
                SmplType.Output("smpl", tooltip="Pose, shape and camera of the person in every frame."),
                io.Image.Output("overlay", tooltip="The fitted body over the picture: look at it."),
            ],
        )

    @classmethod
    def execute(cls, image, keypoints, person: int, body_model=None) -> io.NodeOutput:
        if not isinstance(keypoints, (list, dict)):  # text would be taken for a file name
            raise InputError("keypoints must come from a pose node's POSE_KEYPOINT output")
        body = body_model or open_body()
        images = image_to_core(image)
        size = tuple(images.shape[2:])
        found = parse_pose_keypoints(keypoints, size, None if person < 0 else person)
        if len(found) != len(images):
            raise InputError(
                f"keypoints hold {len(found)} frames but image holds {len(images)}; they must match"
            )
        fit = pipeline.recover(images[0], found, body)
        for frame, message in enumerate(fit.messages):
            if message:
                log.warning("frame %d: %s", frame, message)
        return io.NodeOutput(fit.params, image_from_core(render_over(images, body, fit.params)))


class PreviewBody(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_PreviewBody",
            display_name="Preview Body",
            category=CATEGORY,
            description="Draws SMPL parameters as a shaded body, and as keypoints and a mesh for other nodes.",
            search_aliases=["render smpl", "draw body", "pose image", "openpose from smpl"],
            inputs=[
                SmplType.Input("smpl", tooltip="A recovered body, a target, or a bare motion."),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="Picture, or one per frame, to draw over. Must have the size of the smpl's camera.",
                ),
                body_model_input(),
            ],
            outputs=[
                io.Image.Output("preview", display_name="image", tooltip="The shaded body, every frame."),
                io.Mask.Output("mask", tooltip="Silhouette of the naked body, every frame."),
                PoseKeypointType.Output(
                    "keypoints", tooltip="OpenPose keypoints of the body, for ControlNet and pose nodes."
                ),
                io.Mesh.Output("mesh", tooltip="The body of the first frame, metres, y up."),
            ],
        )

    @classmethod
    def execute(cls, smpl, image=None, body_model=None) -> io.NodeOutput:
        body = body_model or open_body()
        params = seen_by_camera(smpl, body)
        images = torch.zeros(1, 3, *params.camera.size) if image is None else image_to_core(image)
        drawn, masks = draw(images, body, params)
        keypoints = to_pose_keypoint(*project_keypoints(body, params), params.camera.size)
        first = params.select([0])
        vertices = body.vertices(first.pose, first.betas) * torch.tensor([1.0, -1.0, -1.0])
        mesh = Types.MESH(vertices, body.faces[None])
        return io.NodeOutput(image_from_core(drawn), mask_from_core(masks), keypoints, mesh)
