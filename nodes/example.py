"""A built-in person, still or moving, so that every workflow runs as shipped."""

from __future__ import annotations

import math

import numpy as np
import torch
from comfy_api.latest import io

from ..lwg_core.body.open_body import open_body
from ..lwg_core.body.params import SmplParams
from ..lwg_core.flow.views import view_rotation
from ..lwg_core.recovery.projection import project_keypoints, to_pose_keypoint
from ..lwg_core.render.camera import Camera
from ..lwg_core.synthetic.backgrounds import random_background
from ..lwg_core.synthetic.dataset import open_mannequin
from ..lwg_core.synthetic.identity import make_identity
from ..lwg_core.synthetic.motions import MOTIONS as CLIPS
from ..lwg_core.synthetic.motions import motion as built_in_motion
from ..lwg_core.synthetic.motions import turned
from ..lwg_core.synthetic.people import FIRST_SEED
from ..lwg_core.synthetic.poses import random_pose
from ..lwg_core.synthetic.render import dress, pose_person, random_light, render_vertices
from .files import finite
from .progress import reporter
from .sockets import (
    CATEGORY,
    NlfType,
    PoseKeypointType,
    SmplType,
    image_from_core,
    mask_from_core,
)

DISTANCE = 5.0  # metres from the camera
FILL = 0.86  # of the picture's height
STILL = "none"
MOST_FRAMES = 600
NLF_FOV = 55.0  # degrees


class ExamplePerson(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_ExamplePerson",
            display_name="Example Person",
            category=CATEGORY,
            description="A rendered person who does not exist, to try the other nodes on: a "
            "picture, or a clip with a motion.",
            search_aliases=["synthetic person", "demo", "test image", "test video"],
            inputs=[
                io.Int.Input(
                    "identity", default=19, min=0, max=0xFFFFFFFF, tooltip="Number of the person."
                ),
                io.Float.Input(
                    "turn",
                    default=0.0,
                    min=-180.0,
                    max=180.0,
                    step=5.0,
                    tooltip="Degrees the person is turned to their left. 180 shows the back.",
                ),
                io.Int.Input(
                    "size",
                    default=512,
                    min=128,
                    max=1024,
                    step=8,
                    advanced=True,
                    tooltip="Side of the square picture in pixels.",
                ),
                io.Combo.Input(
                    "motion",
                    options=[STILL, *CLIPS],
                    optional=True,
                    advanced=True,
                    tooltip="What the person does in a clip. none = one picture.",
                ),
                io.Int.Input(
                    "frames",
                    default=24,
                    min=2,
                    max=MOST_FRAMES,
                    optional=True,
                    advanced=True,
                    tooltip="Frames of the clip, 30 per second. Half a second of computing each.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The picture."),
                io.Mask.Output("mask", tooltip="The exact mask of the person."),
                PoseKeypointType.Output("keypoints", tooltip="What a pose node would find."),
                SmplType.Output("smpl", tooltip="The true body, to compare a recovered one with."),
                NlfType.Output(
                    "joints3d",
                    tooltip="What a 3D pose node (NLF) would find: 24 joints in millimetres, for "
                    "Import Body.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, identity: int, turn: float, size: int = 512, motion: str = STILL, frames: int = 24
    ) -> io.NodeOutput:
        finite("turn", turn)
        body = open_body()
        person = dress(make_identity(FIRST_SEED + identity), open_mannequin())
        rng = np.random.default_rng([identity, 5])
        light, behind = random_light(rng), random_background(rng, (size, size))
        if motion == STILL:
            clip = SmplParams(torch.from_numpy(random_pose(rng, "a_pose"))[None])
        else:
            clip = built_in_motion(motion, frames)
        poses = [turned(pose, turn) for pose in clip.pose.numpy()]
        poses = torch.from_numpy(np.stack(poses)).float()
        vertices = pose_person(person, poses, rng)
        camera = whole_body_camera(vertices, way(clip, turn), size)
        report = reporter()
        pictures, masks = [], []
        for frame, pose in enumerate(poses):
            image, mask = render_vertices(
                person, vertices[frame], pose, camera.select([frame]), light, behind, rng,
                shadow=True,
            )  # fmt: skip
            pictures.append(image)
            masks.append(mask)
            report(frame + 1, len(poses), image if len(poses) > 1 else None)
        params = SmplParams(poses, person.betas, body.id, camera)
        return io.NodeOutput(
            image_from_core(torch.stack(pictures)),
            mask_from_core(torch.stack(masks)),
            to_pose_keypoint(*project_keypoints(body, params), camera.size),
            params,
            nlf_prediction(params),
        )


def nlf_prediction(params: SmplParams) -> dict:
    """NLFPRED of one person: per frame (1, 24, 3) joints in millimetres, camera frame.

    NLF takes the picture to be NLF_FOV wide, and so sees the person at another distance.
    """
    camera, joints = params.camera, open_body().joints(params.pose, params.betas)
    middle = max(camera.size) / 2
    depth = middle / math.tan(math.radians(NLF_FOV / 2)) / camera.scale
    place = torch.cat([(camera.center - middle) / camera.scale[:, None], depth[:, None]], 1)
    return {"joints3d_nonparam": [[joint[None] for joint in (joints + place[:, None]) * 1000]]}


def way(clip: SmplParams, turn: float) -> torch.Tensor:
    """(T, 3) metres that the person of a clip, turned by ``turn`` degrees, moves; none is nearer
    to the viewer than 0."""
    if clip.camera is None:
        return torch.zeros(len(clip), 3)
    place = clip.camera.translation
    moved = (place - place.mean(0)) @ view_rotation(turn)[0].T
    return moved - moved.new_tensor([0.0, 0.0, 1.0]) * moved[:, 2].min()


def whole_body_camera(vertices: torch.Tensor, moved: torch.Tensor, size: int) -> Camera:
    """A pinhole DISTANCE away whose picture holds vertices (T, V, 3), ``moved`` by (T, 3) metres,
    upright in all frames."""
    places = vertices + moved[:, None]
    low, high = places[..., 1].amin(), places[..., 1].amax()
    width = 2 * places[..., 0].abs().amax()
    scale = (FILL * size / torch.maximum(high - low, width)).expand(len(vertices)).clone()
    middle = size / 2 - scale * (low + high) / 2
    center = torch.stack([torch.full_like(middle, size / 2), middle], 1)
    still = Camera(scale, center, (size, size), scale * DISTANCE)
    return Camera.from_pinhole(still.focal, still.translation + moved, still.size)
