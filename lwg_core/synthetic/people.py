"""Synthetic people as files: pictures, masks, OpenPose keypoints and the true body."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..body.files import save_params
from ..body.model import BodyModel
from ..body.params import SmplParams
from ..errors import InputError
from ..files import atomic_path
from ..pictures import write_image
from .backgrounds import random_background
from .dataset import open_mannequin
from .identity import make_identity
from .mannequin import posed_transforms
from .motions import INDEX
from .render import dress, pose_person, random_light, render_vertices
from .views import frame_people, random_poses

FIRST_SEED = 2_000_000  # neither trained on nor tested on
SEEDS_PER_CALL = 1000

# Where nose, eyes and ears look, in the frame of the head, and how far away from the camera (the z
# of that direction) they are still seen.
FACE_POINTS = {
    0: ((0.0, 0.0, 1.0), 0.1),
    14: ((-0.5, 0.0, 0.87), 0.12),
    15: ((0.5, 0.0, 0.87), 0.12),
    16: ((-1.0, 0.0, -0.1), 0.35),
    17: ((1.0, 0.0, -0.1), 0.35),
}


def write_people(
    identities: int,
    out_dir: Path,
    seed: int = 0,
    size: int = 512,
    pictures: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Writes ``pictures`` of each of ``identities`` people and returns the pictures' paths.

    For each picture ``person0000_00``: .png, _mask.png (white = person), .json (POSE_KEYPOINT:
    OpenPose COCO-18 in pixels) and .npz (the true body, see ``body.files``). The first picture of
    a person is an A-pose from the front, the second one from the back. ``progress`` is called with
    (pictures written, all pictures).
    """
    if identities < 1 or pictures < 1 or size < 64:
        raise InputError(
            "synthetic people need at least 1 identity, 1 picture and 64 pixels; "
            f"got {identities}, {pictures} and {size}"
        )
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    figure = open_mannequin()
    written: list[Path] = []
    for number in range(identities):
        name = FIRST_SEED + seed * SEEDS_PER_CALL + number
        person = dress(make_identity(name), figure)
        rng = np.random.default_rng([name, 5])
        light = random_light(rng)
        background = random_background(rng, (size, size))
        poses = random_poses(rng, max(pictures, 2))[:pictures]
        vertices = pose_person(person, poses, rng)
        camera = frame_people(vertices, rng, size, cut_feet=False)
        for shot in range(pictures):
            view = camera.select([shot])
            pose = poses[shot : shot + 1]
            image, alpha = render_vertices(
                person, vertices[shot], pose[0], view, light, background, rng, shadow=True
            )
            path = out_dir / f"person{number:04d}_{shot:02d}.png"
            params = SmplParams(pose, person.betas, person.body.id, view)
            frame = pose_keypoints(person.body, params)
            with atomic_path(path.with_suffix(".json")) as part:
                part.write_text(json.dumps([frame]), encoding="utf-8")
            save_params(path.with_suffix(".npz"), params)
            mask = alpha.expand(3, -1, -1) * 2 - 1
            write_image(path.with_name(path.stem + "_mask.png"), mask)
            write_image(path, image)
            written.append(path)
            if progress is not None:
                progress(len(written), identities * pictures)
    return written


def pose_keypoints(body: BodyModel, params: SmplParams) -> dict:
    """One frame of POSE_KEYPOINT: COCO-18 in pixels of the camera's image.

    Points of the face have confidence 0 where the head turns them away; all others have 1.
    """
    vertices = body.vertices(params.pose[:1], params.betas)
    points = params.camera.project(body.keypoint_regressor @ vertices)[0, :, :2]
    seen = _seen(body, params)
    rows = torch.cat([points * seen[:, None], seen[:, None]], 1)
    height, width = params.camera.size
    return {
        "canvas_width": width,
        "canvas_height": height,
        "people": [
            {
                "pose_keypoints_2d": [round(float(v), 3) for v in rows.flatten()],
                "face_keypoints_2d": [0.0] * 210,
                "hand_left_keypoints_2d": [0.0] * 63,
                "hand_right_keypoints_2d": [0.0] * 63,
            }
        ],
    }


def _seen(body: BodyModel, params: SmplParams) -> Tensor:
    """(18,) confidence 1.0 or 0.0."""
    turns, _ = posed_transforms(body, params.pose[:1], params.betas)
    head = turns[0, INDEX["head"]]
    seen = torch.ones(18)
    for number, (direction, limit) in FACE_POINTS.items():
        if (head @ np.array(direction))[2] > limit:  # z points away from the viewer
            seen[number] = 0.0
    return seen
