"""A built-in person, so that every workflow runs as shipped."""

from __future__ import annotations

import numpy as np
import torch
from comfy_api.latest import io

from ..lwg_core.body.open_body import open_body
from ..lwg_core.body.params import SmplParams
from ..lwg_core.recovery.projection import project_keypoints, to_pose_keypoint
from ..lwg_core.render.camera import Camera
from ..lwg_core.synthetic.backgrounds import random_background
from ..lwg_core.synthetic.dataset import open_mannequin
from ..lwg_core.synthetic.identity import make_identity
from ..lwg_core.synthetic.motions import turned
from ..lwg_core.synthetic.people import FIRST_SEED
from ..lwg_core.synthetic.poses import random_pose
from ..lwg_core.synthetic.render import dress, pose_person, random_light, render_vertices
from .files import finite
from .sockets import CATEGORY, PoseKeypointType, SmplType, image_from_core, mask_from_core

DISTANCE = 5.0  # metres from the camera
FILL = 0.86  # of the picture's height


class ExamplePerson(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LWG_ExamplePerson",
            display_name="Example Person",
            category=CATEGORY,
            description="A rendered person who does not exist, to try the other nodes on.",
            search_aliases=["synthetic person", "demo", "test image"],
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
            ],
            outputs=[
                io.Image.Output("image", tooltip="The picture."),
                io.Mask.Output("mask", tooltip="The exact mask of the person."),
                PoseKeypointType.Output("keypoints", tooltip="What a pose node would find."),
                SmplType.Output("smpl", tooltip="The true body, to compare a recovered one with."),
            ],
        )

    @classmethod
    def execute(cls, identity: int, turn: float, size: int = 512) -> io.NodeOutput:
        finite("turn", turn)
        body = open_body()
        person = dress(make_identity(FIRST_SEED + identity), open_mannequin())
        rng = np.random.default_rng([identity, 5])
        light, behind = random_light(rng), random_background(rng, (size, size))
        pose = torch.from_numpy(turned(random_pose(rng, "a_pose"), turn)).float()
        vertices = pose_person(person, pose[None], rng)[0]
        camera = whole_body_camera(vertices, size)
        image, mask = render_vertices(
            person, vertices, pose, camera, light, behind, rng, shadow=True
        )
        params = SmplParams(pose[None], person.betas, body.id, camera)
        keypoints = to_pose_keypoint(*project_keypoints(body, params), camera.size)
        return io.NodeOutput(
            image_from_core(image[None]), mask_from_core(mask[None]), keypoints, params
        )


def whole_body_camera(vertices: torch.Tensor, size: int) -> Camera:
    """A pinhole DISTANCE away that puts vertices (V, 3) upright into the middle of the picture."""
    low, high = vertices[:, 1].amin(), vertices[:, 1].amax()
    scale = (FILL * size / (high - low))[None]
    middle = size / 2 - scale * (low + high) / 2
    center = torch.stack([torch.full_like(middle, size / 2), middle], 1)
    return Camera(scale, center, (size, size), scale * DISTANCE)
