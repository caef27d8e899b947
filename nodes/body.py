"""Body models, and SMPL parameters from keypoints to pictures."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch
from comfy_api.latest import Types, io
from torch import Tensor

from ..lwg_core.body.files import load_body_model
from ..lwg_core.body.model import BodyModel
from ..lwg_core.body.open_body import open_body
from ..lwg_core.body.params import SmplParams
from ..lwg_core.errors import InputError
from ..lwg_core.recovery.fit import fit_keypoints
from ..lwg_core.recovery.keypoints import parse_pose_keypoints
from ..lwg_core.recovery.projection import project_keypoints, to_pose_keypoint
from ..lwg_core.render.camera import Camera
from ..lwg_core.render.shading import overlay, shade
from .files import BODY_MODELS, BUILT_IN, model_files, model_path
from .progress import reporter
from .sockets import (
    CATEGORY,
    BodyModelType,
    PoseKeypointType,
    SmplType,
    body_model_input,
    image_from_core,
    image_to_core,
    mask_from_core,
)

log = logging.getLogger(__name__)

CANVAS = 512  # px, side of the picture of a motion that has no camera
DRAWN_AT_ONCE = 8  # frames


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
            description="Fits a 3D body to the keypoints of a pose node: one picture, or every "
            "frame of a clip.",
            search_aliases=[
                "smpl fit",
                "smplify",
                "openpose to smpl",
                "dwpose",
                "sdpose",
                "motion capture",
            ],
            inputs=[
                io.Image.Input(
                    "image", tooltip="The picture or the frames that the keypoints were found in."
                ),
                PoseKeypointType.Input(
                    "keypoints",
                    tooltip="From SDPose (core) or DWPose / OpenPose (controlnet_aux), one entry "
                    "per frame.",
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
                SmplType.Output(
                    "smpl", tooltip="Pose, shape and camera of the person in every frame."
                ),
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
        fit = fit_keypoints(found, body, size, progress=reporter())
        for frame, message in enumerate(fit.messages):
            if message:
                log.warning("frame %d: %s", frame, message)
        drawn = [
            image_from_core(overlay(images[some], body, fit.params.select(some)))
            for some in slices(len(images))
        ]
        return io.NodeOutput(fit.params, torch.cat(drawn))


class PreviewBody(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_PreviewBody",
            display_name="Preview Body",
            category=CATEGORY,
            description="Draws SMPL parameters as a shaded body, and as keypoints and a mesh for "
            "other nodes.",
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


def slices(frames: int) -> list[slice]:
    return [slice(i, i + DRAWN_AT_ONCE) for i in range(0, frames, DRAWN_AT_ONCE)]


def draw(images: Tensor | None, body: BodyModel, params: SmplParams) -> tuple[Tensor, Tensor]:
    """Bodies over pictures (1 or T, 3, H, W) or over nothing: IMAGE and MASK of T frames."""
    size = params.camera.size
    if images is not None and (len(images) not in (1, len(params)) or images.shape[2:] != size):
        raise InputError(
            f"image must be 1 or {len(params)} pictures of {size[1]} x {size[0]} pixels, as the "
            f"smpl's camera; got {len(images)} of {images.shape[3]} x {images.shape[2]}"
        )
    report = reporter()
    drawn, masks = [], []
    for some in slices(len(params)):
        part = params.select(some)
        points = body.vertices(part.pose, part.betas)
        behind = images if images is None or len(images) == 1 else images[some]
        seen = part.camera.project(points), points, body.faces, size, None, behind
        image, mask = shade(*seen, part.camera.near)
        drawn.append(image_from_core(image))
        masks.append(mask_from_core(mask))
        report(min(some.stop, len(params)), len(params))
    return torch.cat(drawn), torch.cat(masks)


def seen_by_camera(params: SmplParams, body: BodyModel) -> SmplParams:
    """``params`` with a camera: its own, or one that looks at a motion from the front."""
    if params.betas is not None and params.body_model != body.id:
        raise InputError(
            f"smpl belongs to the body model '{params.body_model}', but the body model in use is "
            f"'{body.id}'; connect the one it was recovered with"
        )
    if params.camera is not None:
        return params
    joints = body.joints(params.pose, params.betas)[..., :2].flatten(0, 1)
    low, high = joints.amin(0) - 0.2, joints.amax(0) + 0.2  # metres of flesh around the joints
    scale = CANVAS / (high - low).amax()
    center = CANVAS / 2 - (low + high) / 2 * scale
    frames = len(params)
    camera = Camera(scale.expand(frames), center.expand(frames, 2), (CANVAS, CANVAS))
    return replace(params, camera=camera)
