"""Training records: one synthetic person, a dozen pictures, the true body behind each.

    python -m lwg_core.synthetic.dataset --split train --start 0 --count 1000 --out data/train
    python -m lwg_core.synthetic.dataset --split test --count 32 --out data/test

writes ``<seed>.npz``, skips the files that are there, and can be interrupted at any time. The
splits are ranges of seeds and never change. Pictures carry no cast shadow: a generator composes
alpha F + (1 - alpha) B and could only explain a shadow by spoiling alpha.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..body.archive import read_npz
from ..body.model import BodyModel
from ..body.open_body import open_body
from ..body.params import SmplParams
from ..errors import InputError
from ..files import atomic_path
from ..render.camera import Camera
from .backgrounds import random_background
from .identity import make_identity
from .mannequin import Mannequin, make_mannequin
from .render import dress, pose_person, random_light, render_mesh
from .views import frame_people, random_poses

logger = logging.getLogger(__name__)

TRAIN_SEEDS = range(0, 100_000)
TEST_SEEDS = range(1_000_000, 1_000_032)
SPLITS = {"train": TRAIN_SEEDS, "test": TEST_SEEDS}
FORMAT = 2  # 1 had no fingerprint


@dataclass(frozen=True)
class Record:
    """One person in n pictures.

    seed: of the identity. images: (n, H, W, 3) uint8 = foregrounds + (1 - alpha) background.
    foregrounds: (n, H, W, 3) uint8, colour times alpha. alphas: (n, H, W) uint8.
    background: (H, W, 3) uint8. params: poses, betas and cameras of the n pictures.
    offsets: (V,) float32 metres along the rest normals: the true clothes and hair on the mesh.
    loose: whether pieces of clothing or hair leave the mesh (skirt, long hair, coat, ...).
    fingerprint: ``body_fingerprint`` of the body; offsets mean nothing on another mesh.
    """

    seed: int
    images: np.ndarray
    foregrounds: np.ndarray
    alphas: np.ndarray
    background: np.ndarray
    params: SmplParams
    offsets: Tensor
    loose: bool
    fingerprint: str


def body_fingerprint(body: BodyModel) -> str:
    """Short hash of a body's template, shape basis and faces."""
    digest = hashlib.sha256()
    for tensor in (body.v_template, body.shapedirs, body.faces):
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def compose_over(foregrounds: np.ndarray, alphas: np.ndarray, background: np.ndarray) -> np.ndarray:
    """uint8 pictures of premultiplied foregrounds (n, H, W, 3) over a background (H, W, 3)."""
    rest = (255 - alphas[..., None].astype(np.uint16)) * background
    return np.minimum(foregrounds + (rest + 127) // 255, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def open_mannequin() -> Mannequin:
    """The built-in body, measured for clothes."""
    return make_mannequin(open_body())


def make_record(
    seed: int, poses: int = 12, size: int = 256, figure: Mannequin | None = None
) -> Record:
    """The pictures of person number ``seed``: the same on every call."""
    figure = figure or open_mannequin()
    person = dress(make_identity(seed), figure)
    rng = np.random.default_rng([seed, 4])
    light = random_light(rng)
    background = _to_bytes(random_background(rng, (size, size)))
    pose = random_poses(rng, poses)
    vertices = pose_person(person, pose, rng)
    camera = frame_people(vertices, rng, size)
    seen = [render_mesh(person, vertices[i], camera.select([i]), light, rng) for i in range(poses)]
    foregrounds = np.stack([_to_bytes(colour) for colour, _ in seen])
    alphas = np.stack([_to_bytes(alpha) for _, alpha in seen])
    params = SmplParams(pose, person.betas, person.body.id, camera)
    return Record(
        seed=seed,
        images=compose_over(foregrounds, alphas, background),
        foregrounds=foregrounds,
        alphas=alphas,
        background=background,
        params=params,
        offsets=person.offsets.half().float(),
        loose=person.identity.loose,
        fingerprint=body_fingerprint(person.body),
    )


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return (image * 255 + 0.5).clip(0, 255).astype(np.uint8)


def save_record(path: Path, record: Record) -> None:
    """Writes a record as compressed npz; the file appears only when it is whole."""
    params = record.params
    arrays = {
        "format": np.int64(FORMAT),
        "seed": np.int64(record.seed),
        "foregrounds": record.foregrounds,
        "alphas": record.alphas,
        "background": record.background,
        "pose": params.pose.numpy(),
        "betas": params.betas.numpy(),
        "body_model": np.array(params.body_model),
        "offsets": record.offsets.half().numpy(),
        "scale": params.camera.scale.numpy(),
        "center": params.camera.center.numpy(),
        "focal": np.zeros(0, np.float32)
        if params.camera.focal is None
        else params.camera.focal.numpy(),
        "loose": np.bool_(record.loose),
        "fingerprint": np.array(record.fingerprint),
    }
    with atomic_path(path) as part, open(part, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_record(path: Path) -> Record:
    """Reads a record written by ``save_record``."""
    data = read_npz(path)
    if int(data.get("format", 0)) != FORMAT:
        raise InputError(f"{path} is not a training record of format {FORMAT}: generate it again")
    tensors = {
        name: torch.from_numpy(data[name])
        for name in ("pose", "betas", "offsets", "scale", "center", "focal")
    }
    camera = Camera(
        tensors["scale"],
        tensors["center"],
        data["alphas"].shape[1:],
        tensors["focal"] if len(tensors["focal"]) else None,
    )
    return Record(
        seed=int(data["seed"]),
        images=compose_over(data["foregrounds"], data["alphas"], data["background"]),
        foregrounds=data["foregrounds"],
        alphas=data["alphas"],
        background=data["background"],
        params=SmplParams(tensors["pose"], tensors["betas"], str(data["body_model"]), camera),
        offsets=tensors["offsets"].float(),
        loose=bool(data["loose"]),
        fingerprint=str(data["fingerprint"]),
    )


def _is_current(path: Path, fingerprint: str) -> bool:
    """Whether a record is there and was made of the body with this fingerprint."""
    if not path.exists():
        return False
    with np.load(path, allow_pickle=False) as file:
        names = file.files
        return (
            "fingerprint" in names
            and int(file["format"]) == FORMAT
            and str(file["fingerprint"]) == fingerprint
        )


class Records:
    """The records of a folder, in the order of their seeds."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(Path(folder).glob("*.npz"), key=lambda path: int(path.stem))
        if not self.files:
            raise InputError(f"no training records (<seed>.npz) in {folder}")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Record:
        return load_record(self.files[index])


def write_records(
    seeds: range,
    folder: Path,
    poses: int = 12,
    size: int = 256,
    stop: Path | None = None,
    body: BodyModel | None = None,
) -> int:
    """Writes the records of ``seeds`` that are missing or of another body; ends early when the
    file ``stop`` appears. Returns how many were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figure = open_mannequin() if body is None else make_mannequin(body)
    fingerprint = body_fingerprint(figure.body)
    written = 0
    for seed in seeds:
        if stop is not None and stop.exists():
            logger.info("stopped before seed %d by %s", seed, stop)
            break
        path = folder / f"{seed}.npz"
        if _is_current(path, fingerprint):
            continue
        save_record(path, make_record(seed, poses, size, figure))
        written += 1
        if written % 50 == 0:
            logger.info("%d records written, last seed %d", written, seed)
    return written


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="write training records of synthetic people")
    parser.add_argument("--split", choices=tuple(SPLITS), required=True)
    parser.add_argument("--start", type=int, default=0, help="first person of the split")
    parser.add_argument("--count", type=int, help="number of people (default: to the end)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--poses", type=int, default=12, help="pictures of each person")
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--stop", type=Path, metavar="FILE", help="end when this file exists")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    seeds = SPLITS[options.split][options.start :]
    if options.count is not None:
        seeds = seeds[: options.count]
    written = write_records(seeds, options.out, options.poses, options.size, options.stop)
    logger.info("done: %d records written to %s", written, options.out)


if __name__ == "__main__":
    main()
