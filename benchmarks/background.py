"""Background fills side by side: hole PSNR and seconds on procedural backgrounds.

    python benchmarks/background.py [--size 256] [--seeds 2] [--sheets DIR]

A person-shaped hole is cut out of backgrounds whose truth is known. PSNR (dB, peak-to-peak 2) is
taken inside the hole only. On stochastic texture (noise, bricks) the mean colour wins by PSNR and
loses to every eye, hence ``detail``: gradient energy in the hole over the one of the truth,
where 1 is as sharp as the truth.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from lwg_core.background import fill_background

METHODS = ("push_pull", "opencv", "patch")


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(size) + 0.5) / size
    return np.meshgrid(axis, axis)


def _noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 4) -> np.ndarray:
    """(size, size) value noise in about -1..1."""
    total = np.zeros((size, size))
    for octave in range(octaves):
        coarse = rng.normal(size=(min(cells << octave, size),) * 2).astype(np.float32)
        total += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) / 2**octave
    return total / 2


def _mix(mask: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return mask[..., None] * a + (1 - mask[..., None]) * b


def _bricks(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, rows: int) -> np.ndarray:
    row = np.floor(y * rows).astype(int)
    shifted = x * rows / 2 + 0.5 * (row % 2)
    column = np.floor(shifted).astype(int)
    shade = rng.uniform(-0.12, 0.12, (row.max() + 1, column.max() + 1))[row, column]
    fx, fy = shifted - column, y * rows - row
    inside = ((fx > 0.04) & (fx < 0.96) & (fy > 0.08) & (fy < 0.92)).astype(float)
    brick = np.array([0.2, -0.3, -0.5]) + shade[..., None]
    return _mix(inside, brick, np.array([0.3, 0.25, 0.2]))


def backgrounds(size: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Named (size, size, 3) pictures in -1..1."""
    rng = np.random.default_rng(seed)
    x, y = _grid(size)
    first, second = rng.uniform(-0.8, 0.8, (2, 3))
    grain = 0.05 * rng.normal(size=(size, size, 1))
    fine = _noise(rng, size, size // 8, 3)[..., None]
    angle, turn = rng.uniform(0.3, 1.2), rng.uniform(0, 6.28)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 6.28 * 14 + turn)
    horizon = rng.uniform(0.62, 0.78)
    below = (y > horizon).astype(float)
    wall = first + 0.25 * (x[..., None] - 0.5) + 0.3 * grain
    floor = np.clip(second + 0.25 * fine, -1, 1)
    # A checkered floor that runs to the horizon: texture coordinates are 1 / (distance below it).
    depth = 1 / np.maximum(y - horizon + 0.08, 0.02)
    check = ((np.floor((x - 0.5) * depth * 1.6) + np.floor(depth * 1.1)) % 2).astype(float)
    plank = np.floor(x * 9)
    tone = rng.uniform(-0.15, 0.15, 9)[plank.astype(int)] + 0.1 * np.sin(
        y * 40 + 3 * _noise(rng, size, 4) + plank * 5
    )
    seam = ((x * 9 - plank) < 0.06).astype(float)
    tiles = ((x * 8 % 1 < 0.08) | (y * 8 % 1 < 0.08)).astype(float)
    pictures = {
        "gradient": first + (second - first) * (0.6 * x + 0.4 * y)[..., None] + 0.3 * grain,
        "stripes": _mix((wave > 0).astype(float), first, second),
        "tiles": _mix(tiles, second, first + 0.15 * (y[..., None] - 0.5)) + 0.3 * grain,
        "bricks": _bricks(x, y, rng, 16) + 0.5 * grain,
        "noise": first + 0.3 * fine,
        "clouds": first + 0.5 * _noise(rng, size, 3)[..., None],
        "horizon": _mix(below, floor, wall),
        "checker floor": _mix(below, _mix(check, first, second), wall),
        "planks": _mix(1 - seam, np.array([0.2, -0.1, -0.4]) + tone[..., None], first - 0.4),
    }
    return {name: np.clip(picture, -1, 1) for name, picture in pictures.items()}


def person_hole(size: int, seed: int = 0) -> np.ndarray:
    """(size, size) bool: a standing figure, 0.78 of the height, limbs varied by the seed."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((size, size), np.uint8)
    middle = rng.uniform(0.4, 0.6)

    def point(x: float, y: float) -> tuple[int, int]:
        return int((middle + x) * size), int(y * size)

    def limb(points: list[tuple[float, float]], width: float) -> None:
        for a, b in pairwise(points):
            cv2.line(canvas, point(*a), point(*b), 1, max(1, int(width * size)), cv2.LINE_AA)

    cv2.ellipse(canvas, point(0, 0.18), (int(0.05 * size), int(0.065 * size)), 0, 0, 360, 1, -1)
    limb([(0, 0.2), (0, 0.28)], 0.04)
    limb([(-0.055, 0.3), (-0.045, 0.52)], 0.075)
    limb([(0.055, 0.3), (0.045, 0.52)], 0.075)
    limb([(0, 0.3), (0, 0.52)], 0.1)
    for side in (-1, 1):
        swing, knee = rng.uniform(0.0, 0.12), rng.uniform(0.0, 0.05)
        hand = rng.uniform(0.3, 0.55)
        limb(
            [(side * 0.08, 0.28), (side * (0.1 + swing), 0.42), (side * (0.11 + swing), hand)], 0.04
        )
        limb([(side * 0.045, 0.52), (side * (0.05 + knee), 0.7), (side * 0.06, 0.88)], 0.06)
        limb([(side * 0.06, 0.89), (side * 0.09, 0.9)], 0.035)
    return cv2.dilate(canvas, np.ones((3, 3), np.uint8)) > 0


def hole_psnr(filled: Tensor, truth: Tensor, hole: Tensor) -> float:
    error = (((filled - truth) / 2) ** 2).mean(0)[hole].mean()
    return float(-10 * torch.log10(error.clamp_min(1e-10)))


def detail(filled: Tensor, truth: Tensor, hole: Tensor) -> float:
    """Gradient energy in the hole over the truth's."""

    def energy(image: Tensor) -> Tensor:
        right = (image[:, :-1, 1:] - image[:, :-1, :-1]).abs()
        down = (image[:, 1:, :-1] - image[:, :-1, :-1]).abs()
        return (right + down).mean(0)[hole[:-1, :-1]].mean()

    return float(energy(filled) / energy(truth).clamp_min(1e-6))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--sheets", type=Path, help="folder for PNG contact sheets")
    args = parser.parse_args()
    scores: dict[str, np.ndarray] = {}
    seconds = dict.fromkeys(METHODS, 0.0)
    rows: list[np.ndarray] = []
    for seed in range(args.seeds):
        hole = torch.from_numpy(person_hole(args.size, seed))
        for name, picture in backgrounds(args.size, seed).items():
            truth = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)
            image = torch.where(hole, torch.tensor(0.9), truth)
            tiles, values = [image], []
            for method in METHODS:
                start = time.process_time()
                filled = fill_background(image, ~hole[None], method)
                seconds[method] += time.process_time() - start
                values.append((hole_psnr(filled, truth, hole), detail(filled, truth, hole)))
                tiles.append(filled)
            scores[name] = scores.get(name, 0) + np.array(values) / args.seeds
            if seed == 0:
                rows.append(torch.cat([*tiles, truth], 2).permute(1, 2, 0).numpy())
    print(f"{args.size} px, {args.seeds} seeds, hole only")
    print(f"{'':16s}" + "".join(f"{m + ' dB':>15s}" for m in METHODS)
          + "".join(f"{m + ' detail':>18s}" for m in METHODS))  # fmt: skip
    scores["mean"] = np.mean(list(scores.values()), 0)
    for name, value in scores.items():
        print(f"{name:16s}" + "".join(f"{v:15.2f}" for v in value[:, 0])
              + "".join(f"{v:18.2f}" for v in value[:, 1]))  # fmt: skip
    count = args.seeds * (len(scores) - 1)
    print("CPU-s / image   " + "".join(f"{seconds[m] / count:15.3f}" for m in METHODS))
    if args.sheets is not None:
        args.sheets.mkdir(parents=True, exist_ok=True)
        for index in range(0, len(rows), 3):
            sheet = np.concatenate(rows[index : index + 3])[..., ::-1]
            sheet = ((sheet + 1) * 127.5).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(args.sheets / f"fill_{args.size}_{index // 3}.png"), sheet)


if __name__ == "__main__":
    main()
