"""Procedural backgrounds: rooms, walls, landscapes, streets, abstract shapes, studio paper."""

from __future__ import annotations

import cv2
import numpy as np

from .noise import fractal_picture, picture_noise, smoothstep


def random_colour(
    rng: np.random.Generator, value: tuple[float, float] = (0.15, 0.95), saturation: float = 0.6
) -> np.ndarray:
    """(3,) RGB in 0..1; mostly muted, at times vivid."""
    hue = rng.uniform(0, 180)
    strength = min(saturation * rng.beta(1.1, 1.6), 1.0) * 255
    hsv = np.array([[[hue, strength, rng.uniform(*value) * 255]]], np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32) / 255


def random_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) float32 RGB in 0..1."""
    kinds, chances = zip(*_KINDS, strict=True)
    kind = kinds[rng.choice(len(kinds), p=np.array(chances) / sum(chances))]
    image = np.ascontiguousarray(kind(rng, size), np.float32)
    blur = rng.choice([0.0, rng.uniform(0.5, 1.5), rng.uniform(1.5, 5.0)], p=[0.4, 0.35, 0.25])
    if blur:
        image = cv2.GaussianBlur(image, (0, 0), blur * min(size) / 256)
    light = 0.8 + 0.4 * fractal_picture(rng, size, 2, 2)
    image = image * (1 + rng.uniform(0.2, 1.0) * (light - 1))
    image += rng.normal(0, rng.uniform(0.0, 0.015), image.shape)
    return np.clip(image, 0, 1).astype(np.float32)


def _grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates (y, x), each (H, W) in units of the height."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return (y + 0.5) / height, (x + 0.5) / height


def _blend(image: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return image + mask[..., None] * (colour - image)


def _studio(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    y, x = _grid(size)
    first, second = random_colour(rng, (0.25, 0.95), 0.4), random_colour(rng, (0.2, 0.95), 0.4)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * x + np.sin(angle) * y
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    image = _blend(np.tile(first, (*size, 1)), ramp, second)
    glow = np.exp(-((y - rng.uniform(0.2, 0.6)) ** 2 + (x - 0.5) ** 2) / rng.uniform(0.1, 0.5))
    return image * (0.85 + 0.25 * glow[..., None])


def _surface(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A wall or floor covering over surface coordinates in about metres: (H, W, 3)."""
    base = random_colour(rng, (0.3, 0.95), 0.5)
    other = base * rng.uniform(0.6, 0.92) if rng.random() < 0.75 else random_colour(rng)
    shape = u.shape
    image = np.tile(base, (*shape, 1))
    kind = rng.choice(["plain", "tiles", "bricks", "planks", "stripes", "checks"])
    if kind in ("tiles", "bricks", "planks"):
        wide, high, joint = {
            "tiles": (rng.uniform(0.08, 0.3), rng.uniform(0.08, 0.3), 0.05),
            "bricks": (0.22, 0.075, 0.12),
            "planks": (rng.uniform(0.8, 1.6), rng.uniform(0.07, 0.16), 0.04),
        }[kind]
        row = np.floor(v / high)
        along = u / wide + (0.0 if kind == "tiles" else 1) * (row * 0.5 % 1 + 0.13 * (row % 3))
        column = np.floor(along)
        tone = np.modf(np.abs(np.sin(row * 12.9898 + column * 78.233) * 43758.5))[0]
        image = image * (1 + rng.uniform(0.05, 0.35) * (tone[..., None] - 0.5))
        edge_u = np.minimum(along % 1, 1 - along % 1) * wide
        edge_v = np.minimum(v / high % 1, 1 - v / high % 1) * high
        width = joint * min(wide, high)
        image = _blend(image, 1 - smoothstep(width * 0.4, width, np.minimum(edge_u, edge_v)), other)
    elif kind == "stripes":
        image = _blend(image, ((u * rng.uniform(3, 14)) % 1 < rng.uniform(0.2, 0.6)) * 1.0, other)
    elif kind == "checks":
        count = rng.uniform(3, 9)
        image = _blend(image, (np.floor(u * count) + np.floor(v * count)) % 2, other)
    dirt = fractal_picture(rng, shape, int(rng.integers(4, 16)), 4)
    return image * (1 + rng.uniform(0.05, 0.3) * (dirt - 0.5))


def _floor_coordinates(
    y: np.ndarray, x: np.ndarray, horizon: float, middle: float
) -> tuple[np.ndarray, np.ndarray]:
    """Perspective (sideways, depth) in about metres below ``horizon`` (fractions of the height)."""
    depth = 1.2 / np.maximum(y - horizon, 0.02)
    return (x - middle) * depth, depth


def _room(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    y, x = _grid(size)
    middle = size[1] / size[0] / 2
    edge = rng.uniform(0.6, 0.9) + rng.uniform(-0.08, 0.08) * (x - middle)
    wall = _surface(rng, x * 2.2, y * 2.2)
    sideways, depth = _floor_coordinates(y, x, rng.uniform(0.2, 0.45), middle)
    floor = _surface(rng, sideways, depth)
    floor *= 0.75 + 0.35 * smoothstep(0.55, 1.0, y)[..., None]
    corner = rng.uniform(-0.3, 1.3) * middle * 2
    if rng.random() < 0.5:  # a second wall, darker
        slope = rng.uniform(-0.25, 0.25)
        side = smoothstep(0.0, 0.006, x - corner)
        wall = wall * (1 - 0.25 * side[..., None])
        edge = edge + np.where(x > corner, slope * (x - corner), 0.0)
    wall = _furnish(rng, wall)
    image = np.where((y > edge)[..., None], floor, wall)
    if rng.random() < 0.7:  # skirting board
        board = ((y < edge) & (y > edge - rng.uniform(0.015, 0.04))) * 1.0
        image = _blend(image, board, random_colour(rng, (0.2, 1.0), 0.2))
    shadow = 1 - 0.3 * np.exp(-np.abs(y - edge) / 0.03)
    return image * shadow[..., None]


def _furnish(rng: np.random.Generator, wall: np.ndarray) -> np.ndarray:
    """Windows, pictures, doors and cupboards on a wall."""
    height, width = wall.shape[:2]
    image = np.ascontiguousarray(wall, np.float32)
    for _ in range(rng.integers(0, 5)):
        w, h = rng.uniform(0.1, 0.35, 2) * (width, height) * (1, rng.uniform(0.8, 1.8))
        left, top = rng.uniform(-0.1, 1.0) * width, rng.uniform(-0.05, 0.5) * height
        box = [int(v) for v in (left, top, left + w, top + h)]
        frame = [float(c) for c in random_colour(rng, (0.1, 1.0), 0.4)]
        inside = random_colour(rng, (0.15, 1.0))
        cv2.rectangle(image, box[:2], box[2:], frame, -1, cv2.LINE_AA)
        margin = max(1, int(0.08 * min(w, h)))
        x0, y0 = max(box[0] + margin, 0), max(box[1] + margin, 0)
        x1, y1 = min(box[2] - margin, width), min(box[3] - margin, height)
        if x1 > x0 and y1 > y0:
            painted = fractal_picture(rng, (y1 - y0, x1 - x0), 3, 3, 3) * 0.8
            image[y0:y1, x0:x1] = 0.5 * inside + rng.uniform(0.1, 0.7) * painted
            if rng.random() < 0.5:
                cv2.line(image, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), frame, margin)
    return image


def _wall(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    y, x = _grid(size)
    angle = rng.choice([0.0, rng.uniform(-0.6, 0.6)], p=[0.7, 0.3])
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    scale = rng.uniform(1.2, 3.0)
    return _furnish(rng, _surface(rng, u * scale, v * scale))


def _sky(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    y, _ = _grid(size)
    top = np.array([0.35, 0.55, 0.85], np.float32) * rng.uniform(0.6, 1.1)
    low = np.array([0.8, 0.87, 0.95], np.float32) * rng.uniform(0.75, 1.05)
    if rng.random() < 0.25:  # evening
        top, low = random_colour(rng, (0.2, 0.6)), np.array([0.95, 0.7, 0.5], np.float32)
    image = _blend(np.tile(top, (*size, 1)), np.clip(y * 1.4, 0, 1), low)
    clouds = smoothstep(0.45, 0.75, fractal_picture(rng, size, 3, 4))[..., 0]
    return _blend(image, clouds * rng.uniform(0, 0.9), np.ones(3, np.float32))


def _leaves(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Foliage: clumps of light and dark green with fine speckle."""
    greens = np.array([[0.2, 0.32, 0.1], [0.36, 0.5, 0.2], [0.12, 0.2, 0.07]], np.float32)
    greens = np.clip(greens * rng.uniform(0.7, 1.35, (1, 3)), 0, 1)
    clumps = fractal_picture(rng, size, int(rng.integers(4, 10)), 4)
    speckle = picture_noise(rng, size, 70, 1)
    image = greens[2] + (greens[1] - greens[2]) * smoothstep(0.35, 0.65, clumps)
    return image + (speckle - 0.5) * 0.4 * greens[0]


def _landscape(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    y, x = _grid(size)
    horizon = rng.uniform(0.35, 0.7)
    image = _sky(rng, size)
    profile = fractal_picture(rng, size, int(rng.integers(2, 7)), 3)[0, :, 0]
    treeline = horizon - rng.uniform(0.02, 0.4) * profile[None]
    image = _blend(image, smoothstep(0.0, 0.02, y - treeline), _leaves(rng, size))
    for _ in range(rng.integers(0, 4)):  # trunks
        at, wide = rng.uniform(0, x.max()), rng.uniform(0.01, 0.04)
        trunk = (np.abs(x - at) < wide) & (y < horizon + 0.05) & (y > 0.05)
        image = _blend(image, trunk * 1.0, np.array([0.25, 0.18, 0.12]) * rng.uniform(0.6, 1.4))
    sideways, depth = _floor_coordinates(y, x, horizon - 0.1, x.max() / 2)
    if rng.random() < 0.6:
        tone = np.array([0.4, 0.5, 0.22], np.float32) * rng.uniform(0.6, 1.2)
    else:
        tone = random_colour(rng, (0.35, 0.8), 0.35)
    grass = tone * (0.6 + 0.8 * fractal_picture(rng, size, 20, 3))
    path = np.abs(sideways - rng.uniform(-1, 1) - rng.uniform(-0.4, 0.4) * depth) < 0.9
    if rng.random() < 0.5:
        grass = _blend(grass, path * 1.0, random_colour(rng, (0.4, 0.8), 0.25))
    return _blend(image, smoothstep(0.0, 0.01, y - horizon), grass)


def _street(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    y, x = _grid(size)
    image = np.ascontiguousarray(_sky(rng, size), np.float32)
    ground = rng.uniform(0.6, 0.82)
    left = -0.1 * width
    while left < width:
        wide = rng.uniform(0.15, 0.5) * width
        top = rng.uniform(-0.1, 0.45) * height
        wall = random_colour(rng, (0.25, 0.9), 0.4)
        corners = (int(left), int(top)), (int(left + wide), int(ground * height) + 2)
        cv2.rectangle(image, *corners, [float(c) for c in wall], -1)
        columns, rows = rng.integers(2, 6), rng.integers(2, 7)
        pane = [float(c) for c in random_colour(rng, (0.1, 0.9), 0.4)]
        for i in range(columns):
            for j in range(rows):
                x0 = left + wide * (i + 0.22) / columns
                y0 = top + (ground * height - top) * (j + 0.22) / rows
                x1, y1 = x0 + 0.5 * wide / columns, y0 + 0.55 * (ground * height - top) / rows
                cv2.rectangle(image, (int(x0), int(y0)), (int(x1), int(y1)), pane, -1)
        left += wide
    sideways, depth = _floor_coordinates(y, x, ground - 0.25, x.max() / 2)
    road = _surface(rng, sideways, depth)
    return _blend(image, (y > ground) * 1.0, road)


def _abstract(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    image = np.ascontiguousarray(_studio(rng, size), np.float32)
    for _ in range(rng.integers(3, 14)):
        colour = [float(c) for c in random_colour(rng, (0.1, 1.0), 0.9)]
        at = rng.uniform(0, 1, 2) * (width, height)
        radius = rng.uniform(0.04, 0.3) * height
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(image, [int(v) for v in at], int(radius), colour, -1, cv2.LINE_AA)
        elif kind == 1:
            corner = at + radius * rng.uniform(0.3, 2.0, 2)
            cv2.rectangle(image, [int(v) for v in at], [int(v) for v in corner], colour, -1)
        elif kind == 2:
            points = (at + rng.uniform(-radius, radius, (4, 2))).astype(np.int32)
            cv2.fillConvexPoly(image, cv2.convexHull(points), colour, cv2.LINE_AA)
        else:
            end = rng.uniform(0, 1, 2) * (width, height)
            thick = max(1, int(0.1 * radius))
            cv2.line(image, [int(v) for v in at], [int(v) for v in end], colour, thick, cv2.LINE_AA)
    return image


def _bokeh(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    source = _leaves(rng, size) if rng.random() < 0.4 else _studio(rng, size) * 0.6
    image = cv2.GaussianBlur(np.ascontiguousarray(source, np.float32), (0, 0), 0.02 * height)
    lights = np.zeros_like(image)
    for _ in range(rng.integers(8, 40)):
        at = (rng.uniform(0, 1, 2) * (width, height)).astype(int)
        colour = [float(c) for c in random_colour(rng, (0.5, 1.0), 1.0) * rng.uniform(0.2, 0.8)]
        disc = np.zeros_like(image)
        radius = int(rng.uniform(0.01, 0.06) * height)
        cv2.circle(disc, at.tolist(), radius, colour, -1, cv2.LINE_AA)
        lights = 1 - (1 - lights) * (1 - disc)
    return 1 - (1 - image) * (1 - lights)


def _clouded(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    first, second = random_colour(rng), random_colour(rng)
    mix = fractal_picture(rng, size, int(rng.integers(2, 12)), 5, 3)
    return first + (second - first) * smoothstep(0.25, 0.75, mix)


_KINDS = (
    (_room, 0.3), (_wall, 0.16), (_landscape, 0.16), (_street, 0.12), (_studio, 0.08),
    (_abstract, 0.08), (_bokeh, 0.06), (_clouded, 0.04),
)  # fmt: skip
