"""A known motion to write in other programs' formats, and what reading it back must give."""

from __future__ import annotations

import pickle
import zlib
from collections import defaultdict

import numpy as np
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.recovery.importers import load_motion_file
from lwg_core.render.camera import Camera

FRAMES = 7
Y_UP = np.diag([1.0, -1.0, -1.0])  # y-up world to camera frame
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # z-up world to camera frame
POINTS = torch.tensor([[0.3, -1.0, 0.2], [-0.8, 0.2, -0.1], [0.0, 0.5, 0.1]], dtype=torch.float64)


def matrices(axis_angle) -> np.ndarray:
    return axis_angle_to_matrix(torch.as_tensor(axis_angle, dtype=torch.float64)).numpy()


def vectors(matrix) -> np.ndarray:
    return matrix_to_axis_angle(torch.as_tensor(matrix, dtype=torch.float64)).numpy()


def known_motion() -> dict[str, np.ndarray]:
    """pose (T, 24, 3) in the camera frame, upright with some yaw; trans (T, 3) in front of it."""
    random = np.random.default_rng(0)
    pose = random.normal(0, 0.4, (FRAMES, 24, 3))
    pose[:, 22:] = 0
    yaw = matrices(np.stack([np.array([0, a, 0]) for a in np.linspace(-1, 2, FRAMES)]))
    sway = matrices(random.normal(0, 0.2, (FRAMES, 3)))
    pose[:, 0] = vectors(Y_UP @ yaw @ sway)
    trans = np.stack(
        [np.linspace(-1, 1.5, FRAMES), np.full(FRAMES, 0.2), np.linspace(4, 6, FRAMES)], 1
    )
    return {"pose": pose, "trans": trans, "betas": random.normal(0, 1, 10)}


def close(params: SmplParams, pose: np.ndarray, limit: float = 1e-5) -> None:
    """Each joint's rotation within ``limit`` radians."""
    got = matrices(params.pose)
    angle = vectors(np.swapaxes(got, -1, -2) @ matrices(pose))
    assert np.linalg.norm(angle, axis=-1).max() <= limit


def same_pixels(camera: Camera, focal, trans, size, middle=None) -> None:
    """The camera projects points as ``focal`` (p + trans) / z + ``middle`` does."""
    height, width = size
    middle = np.array([width / 2, height / 2]) if middle is None else middle
    moved = POINTS.numpy() + np.asarray(trans)[:, None]
    wanted = moved[..., :2] / moved[..., 2:] * np.reshape(focal, (-1, 1, 1)) + middle
    got = camera.project(POINTS.float().expand(len(camera), -1, -1))[..., :2].numpy()
    assert camera.size == size
    assert np.abs(got - wanted).max() < 0.01


def carries(camera: Camera, travel: np.ndarray) -> None:
    """The camera sees a body move by ``travel`` (T, 3), camera axes, since its first frame."""
    moved = camera.translation - camera.translation[:1]
    np.testing.assert_allclose(moved.numpy(), travel - travel[:1], atol=1e-4)


def one(path, **options) -> SmplParams:
    people = load_motion_file(path, **options)
    assert len(people) == 1
    return people[0]


def dump(path, data, compress: bool = False):
    raw = pickle.dumps(data, protocol=4)
    path.write_bytes(zlib.compress(raw) if compress else raw)
    return path


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


# Our own


def amass(known, world: np.ndarray, width: int, **more) -> dict:
    poses = np.zeros((FRAMES, width))
    poses[:, :66] = known["pose"][:, :22].reshape(FRAMES, 66)
    poses[:, :3] = vectors(world.T @ matrices(known["pose"][:, 0]))
    poses[:, 72:] = 0.5  # fingers, jaw and eyes, which SMPL has not
    return {"poses": poses, "trans": known["trans"] @ world, **more}


def phalp(known, missing=(3,), size=(360, 640)) -> dict:
    """Two people; the first is guessed in the frames ``missing``, the second is seen in 2 only."""
    rotation = matrices(known["pose"]).astype(np.float32)
    frames = {}
    for t in range(FRAMES):
        ids = [4] if t != 2 else [4, 9]
        frames[f"out/{t:06d}.jpg"] = {
            "time": t, "shot": 0, "tid": ids, "tracked_ids": ids,
            "tracked_time": [1 if t in missing and i == 4 else 0 for i in ids],
            "bbox": [np.zeros(4) for _ in ids], "size": [list(size) for _ in ids],
            "camera": [known["trans"][t].astype(np.float32) * [1, 1, 10] for _ in ids],
            "smpl": [
                {"global_orient": rotation[t, :1], "body_pose": rotation[t, 1:],
                 "betas": known["betas"].astype(np.float32)} for _ in ids
            ],
            "mask": [None for _ in ids],
        }  # fmt: skip
    return frames


def wham(known, ids) -> dict:
    people = defaultdict(dict)
    people[3] = {
        "pose": known["pose"].reshape(FRAMES, 72).astype(np.float32),
        "trans": known["trans"].astype(np.float32),
        "pose_world": known["pose"].reshape(FRAMES, 72), "trans_world": known["trans"],
        "betas": np.tile(known["betas"], (FRAMES, 1)).astype(np.float32),
        "verts": np.zeros((FRAMES, 6890, 3), np.float32), "frame_ids": np.array(ids),
    }  # fmt: skip
    return people


def gvhmr(known) -> dict:
    def params(world):
        return {
            "body_pose": torch.tensor(known["pose"][:, 1:22]).reshape(FRAMES, 63).float(),
            "betas": torch.tensor(known["betas"]).float().expand(FRAMES, 10),
            "global_orient": torch.tensor(vectors(world.T @ matrices(known["pose"][:, 0]))).float(),
            "transl": torch.tensor(known["trans"] @ world).float(),
        }

    lens = torch.tensor([[1100.0, 0, 640], [0, 1100, 360], [0, 0, 1]]).repeat(FRAMES, 1, 1)
    return {
        "smpl_params_incam": params(np.eye(3)), "smpl_params_global": params(Y_UP),
        "K_fullimg": lens, "net_outputs": {"pred_cam": torch.zeros(1, FRAMES, 3)},
    }  # fmt: skip


def cropped(known, width: int, height: int, **pose) -> dict:
    """orig_cam as VIBE converts it, from crops of 150 px."""
    crop = np.stack([np.linspace(0.8, 1.1, FRAMES), np.full(FRAMES, 0.1), np.full(FRAMES, -0.2)], 1)
    boxes = np.stack([np.linspace(100, 300, FRAMES), np.full(FRAMES, 160.0)], 1)
    boxes = np.concatenate([boxes, np.full((FRAMES, 2), 150.0)], 1)
    sx, sy = crop[:, 0] * 150 / width, crop[:, 0] * 150 / height
    tx = (boxes[:, 0] - width / 2) / (width / 2) / sx + crop[:, 1]
    ty = (boxes[:, 1] - height / 2) / (height / 2) / sy + crop[:, 2]
    return {
        "pred_cam": crop, "bboxes": boxes, "orig_cam": np.stack([sx, sy, tx, ty], 1),
        "betas": np.tile(known["betas"], (FRAMES, 1)), "frame_ids": np.arange(FRAMES), **pose,
    }  # fmt: skip


def easymocap(known, t: int, width: int, world: np.ndarray) -> dict:
    """Turned about the origin by Rh, so that Th is not SMPL's translation."""
    pelvis = open_body().joints_rest(torch.zeros(1, 10))[0, 0].double().numpy()
    turn = world.T @ matrices(known["pose"][t, 0])
    poses = known["pose"][t].reshape(72).copy()
    poses[:3] = 0
    move = known["trans"][t] @ world + pelvis - turn @ pelvis
    return {
        "id": 0, "Rh": [vectors(turn).tolist()], "Th": [move.tolist()],
        "poses": [poses[72 - width :].tolist()], "shapes": [known["betas"].tolist()],
    }  # fmt: skip
