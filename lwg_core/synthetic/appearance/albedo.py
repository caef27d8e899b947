"""Albedo of a dressed person at points of the body and of its loose pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..garments import hairline, neckline, shirt_hem, shoe_line
from ..identity import Identity
from ..mannequin import Landmarks
from ..noise import SpaceNoise, smoothstep
from ..outfits import Fabric
from .fabric import fabric_colour, paint_print
from .face import paint_face


@dataclass(frozen=True)
class Surface:
    """N visible points. points, normals: (N, 3) rest position in the template and rest normal;
    head: (N,) 0..1; cloth: (N, 2) surface coordinates of pieces, metres; piece: (N,) int, -1 on the
    body, else number of the piece."""

    points: np.ndarray
    normals: np.ndarray
    head: np.ndarray
    cloth: np.ndarray
    piece: np.ndarray


@dataclass(frozen=True)
class Paint:
    """rgb: (N, 3) in 0..1. folds: (N,) how much the cloth wrinkles. gloss: (N,) specular strength.
    cloth: (N, 2) surface coordinates everywhere, metres. skin: (N,) bool."""

    rgb: np.ndarray
    folds: np.ndarray
    gloss: np.ndarray
    cloth: np.ndarray
    skin: np.ndarray


class Dye:
    """The noises of one person, fixed by its seed. cloth: of the top; trousers, or the skirt."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 3])
        self.skin, self.hair, self.cloth = (SpaceNoise(rng) for _ in range(3))
        self.trousers = self.cloth


def paint(
    surface: Surface, looks: tuple[str, ...], identity: Identity, marks: Landmarks, dye: Dye
) -> Paint:
    """Colours every point; ``looks`` names what each loose piece is made of."""
    count = len(surface.points)
    out = Paint(
        rgb=np.zeros((count, 3), np.float32),
        folds=np.zeros(count, np.float32),
        gloss=np.zeros(count, np.float32),
        cloth=surface.cloth.copy(),
        skin=np.zeros(count, bool),
    )
    on_body = np.nonzero(surface.piece < 0)[0]
    _paint_body(out, on_body, surface, identity, marks, dye)
    for number, look in enumerate(looks):
        at = np.nonzero(surface.piece == number)[0]
        if len(at):
            if look == "shoe":
                _paint_feet(out, at, surface.points[at], identity, marks, shell=True)
            else:
                _paint_piece(out, at, look, identity, dye)
    np.clip(out.rgb, 0.015, 1, out=out.rgb)
    return out


def _paint_piece(out: Paint, at: np.ndarray, look: str, identity: Identity, dye: Dye) -> None:
    top, bottom = identity.top, identity.bottom
    if look == "hair":
        _hair_colour(out, at, np.pad(out.cloth[at], ((0, 0), (0, 1))), identity, dye, (90, 6, 1))
        return
    if look in ("scarf", "backpack", "hat"):
        plain = identity.hair.hat if look == "hat" else top.inner.colours[1]
        out.rgb[at] = plain
        if look == "scarf":
            out.rgb[at] = fabric_colour(top.inner, out.cloth[at], dye.cloth)
        out.folds[at] = 0.2 if look == "scarf" else 0.05
        return
    fabric = {"skirt": bottom.fabric, "flare": bottom.fabric}.get(look, top.fabric)
    if look == "sleeve" and top.sleeve_fabric is not None:
        fabric = top.sleeve_fabric
    _cloth_colour(out, at, fabric, dye.trousers if look in ("skirt", "flare") else dye.cloth)


def _cloth_colour(out: Paint, at: np.ndarray, fabric: Fabric, noise: SpaceNoise) -> None:
    out.rgb[at] = fabric_colour(fabric, out.cloth[at], noise)
    out.folds[at] = fabric.folds
    out.gloss[at] = fabric.gloss


def _hair_colour(out, at, where, identity, dye, frequency) -> None:
    strands = 0.62 + 0.5 * dye.hair(where, frequency) + 0.3 * dye.hair(where, 14)
    out.rgb[at] = identity.hair.colour * strands[:, None]
    out.gloss[at] = 0.12
    out.skin[at] = False


def surface_coordinates(points: np.ndarray, marks: Landmarks) -> np.ndarray:
    """(N, 2) metres (across, along) on arms, trunk and legs, with seams where clothes have them."""
    x, y, z = points.T
    side = np.abs(x)
    arm = side > marks.shoulder[0]
    leg = (y < marks.crotch + 0.02) & ~arm
    bones = np.stack([marks.shoulder, marks.elbow, marks.wrist])
    height = np.interp(side, bones[:, 0], bones[:, 1])
    levels = (marks.ankle[1], marks.knee[1], marks.hip[1])
    leg_x = np.interp(y, levels, (marks.ankle[0], marks.knee[0], marks.hip[0]))
    leg_z = np.interp(y, levels, (marks.ankle[2], marks.knee[2], marks.hip[2]))
    across = 0.16 * np.arctan2(x, z - 0.01)
    across = np.where(leg, 0.075 * np.arctan2(x - np.sign(x) * leg_x, z - leg_z), across)
    across = np.where(arm, 0.055 * np.arctan2(z - marks.elbow[2], y - height), across)
    along = np.where(arm, 0.1 - side, y)
    return np.stack([across, along], 1).astype(np.float32)


def _paint_body(
    out: Paint, at: np.ndarray, surface: Surface, identity: Identity, marks: Landmarks, dye: Dye
) -> None:
    points, normals = surface.points[at], surface.normals[at]
    head = surface.head[at] > 0.5
    coordinates = surface_coordinates(points, marks)
    out.cloth[at] = coordinates
    blotch = dye.skin(points, 26)
    rgb = identity.skin * (0.95 + 0.1 * blotch)[:, None]
    rgb = rgb * (1 - 0.05 * np.array([0.2, 1, 1]) * dye.skin(points, 90)[:, None])
    out.rgb[at] = rgb
    out.skin[at] = True
    _paint_head(out, at[head], points[head], identity, marks, dye)
    rest = ~head
    _paint_clothes(out, at[rest], points[rest], normals[rest], identity, marks, dye)


def _paint_head(out, at, points, identity, marks, dye) -> None:
    if not len(at):
        return
    hair = identity.hair
    skin = out.rgb[at]
    paint_face(skin, points, identity, marks, dye.skin)
    out.rgb[at] = skin
    out.gloss[at] = 0.06
    if hair.style == "bald":
        return
    above = hairline(points, hair, marks) + 0.004 * (dye.hair(points, 200) - 0.5)
    if hair.style == "buzz":
        tint = 0.35 * identity.skin + 0.65 * hair.colour
        weight = smoothstep(-0.002, 0.008, above)[:, None]
        out.rgb[at] += weight * (tint * (0.8 + 0.4 * dye.hair(points, 300))[:, None] - out.rgb[at])
        return
    grown = above > 0
    if hair.style == "afro":
        _hair_colour(out, at[grown], points[grown], identity, dye, (130, 130, 130))
    else:
        _hair_colour(out, at[grown], points[grown], identity, dye, (120, 30, 30))
    if hair.style == "hat":
        up = (points[:, 1] - marks.eye[1]) / marks.unit
        hat = up > 0.04
        out.rgb[at[hat]] = hair.hat * (0.92 + 0.12 * dye.cloth(points[hat], 60))[:, None]
        band = hat & (up < 0.054)
        out.rgb[at[band]] = hair.hat * 0.6


def _paint_clothes(out, at, points, normals, identity, marks, dye) -> None:
    top, bottom = identity.top, identity.bottom
    x, y, z = points.T
    side = np.abs(x)

    # legs first, then the top over them
    _paint_feet(out, at, points, identity, marks)
    end = marks.leg_y(bottom.leg)
    legs = (y < marks.waist) & (side < 0.4)
    if bottom.kind == "skirt":
        worn = legs & (y > marks.hip[1] - 0.03)
        if bottom.tights is not None:
            bare = legs & (y < marks.waist) & (y > marks.ankle[1] - 0.02)
            bare &= y > shoe_line(points, identity, marks)
            out.rgb[at[bare]] = 0.25 * out.rgb[at[bare]] + 0.75 * bottom.tights
            out.skin[at[bare]] = False
    else:
        worn = legs & (y > end)
    chosen = np.nonzero(worn)[0]
    _cloth_colour(out, at[chosen], bottom.fabric, dye.trousers)
    out.skin[at[chosen]] = False
    _trouser_details(out, at, points, normals, worn, identity, marks)

    edge = neckline(points, identity, marks)
    hem, sleeve_end = shirt_hem(identity, marks), marks.arm_x(top.sleeve)
    covered = (y > hem) & (y < edge) & (side < sleeve_end)
    opening = _opening(points, identity, marks)
    outer = covered & ~(opening & (normals[:, 2] > 0))
    if top.front == "open":
        crew = marks.neck[1] + 0.005 - 0.42 * np.clip(z - marks.neck[2], -0.05, 0.12)
        inner = (y > hem) & (y < crew - 0.008) & (side < sleeve_end) & ~outer
        chosen = np.nonzero(inner)[0]
        _cloth_colour(out, at[chosen], top.inner, dye.cloth)
        out.skin[at[chosen]] = False
    chosen = np.nonzero(outer)[0]
    _cloth_colour(out, at[chosen], top.fabric, dye.cloth)
    out.skin[at[chosen]] = False
    if top.sleeve_fabric is not None:
        sleeves = np.nonzero(outer & (side > marks.shoulder[0]))[0]
        _cloth_colour(out, at[sleeves], top.sleeve_fabric, dye.cloth)
    _top_details(out, at, points, normals, outer, edge, identity, marks)


def _opening(points: np.ndarray, identity: Identity, marks: Landmarks) -> np.ndarray:
    """(N,) bool: where an open front shows what is worn below."""
    if identity.top.front != "open":
        return np.zeros(len(points), bool)
    x, y, z = points.T
    half = 0.028 + 0.16 * identity.top.depth * smoothstep(-0.25, 0.25, y)
    half = half + 0.05 * smoothstep(0.05, -0.3, y)
    return (np.abs(x - 0.004 * np.sin(12 * y)) < half) & (z > 0)


def _top_details(out, at, points, normals, outer, edge, identity, marks) -> None:
    top = identity.top
    x, y, _ = points.T
    side = np.abs(x)
    front = normals[:, 2] > 0.15
    neck = side < 0.11
    rgb = out.rgb[at]
    if top.chest is not None:
        paint_print(rgb, top.chest, x, y - marks.chest[1], outer & front & (side < 0.16))
    if top.back is not None:
        away = outer & (normals[:, 2] < -0.15) & (side < 0.16)
        paint_print(rgb, top.back, -x, y - marks.chest[1], away)
    base = top.fabric.colours[0]
    if top.trim is not None:
        ends = (neck & (edge - y < 0.014)) | (marks.arm_x(top.sleeve) - side < 0.016)
        rgb[outer & ends] = top.trim
    elif top.fabric.kind != "plain" or top.front == "closed":
        ends = (neck & (edge - y < 0.008)) | (y - shirt_hem(identity, marks) < 0.008)
        ends |= (marks.arm_x(top.sleeve) - side < 0.01) & (marks.arm_x(top.sleeve) > 0.2)
        rgb[outer & ends] *= 0.78
    if top.collar is not None:
        lapel = neck & (edge - y < 0.04)
        rgb[outer & lapel] = top.collar
        rgb[outer & lapel & (edge - y > 0.034)] = top.collar * 0.6
    if top.front in ("zip", "buttons"):
        line = outer & front & (side < (0.004 if top.front == "zip" else 0.0028))
        rgb[line] = base * 0.45 if base.mean() > 0.25 else base * 0.5 + 0.3
        if top.front == "buttons":
            phase = (y * 11) % 1 - 0.5
            spot = ((x - 0.009) / 0.0065) ** 2 + (phase / 11 / 0.0065) ** 2 < 1
            rgb[outer & front & spot] = 0.85 if base.mean() < 0.5 else 0.12
    if top.front == "open":
        near = np.zeros(len(points), bool)
        for shift in (-0.008, 0.008):
            moved = points + np.array([1, 0, 0]) * np.sign(x)[:, None] * shift
            near |= _opening(moved, identity, marks) != _opening(points, identity, marks)
        rgb[outer & front & near] *= 0.6
    if top.pockets and top.front != "open":
        box = np.maximum(np.abs(x - 0.085) / 0.045, np.abs(y - marks.chest[1] - 0.01) / 0.05)
        rgb[outer & front & (box < 1) & (box > 0.9)] *= 0.7
    if "backpack" in identity.extras:
        strap = (np.abs(side - 0.1) < 0.018) & (y > marks.chest[1] - 0.1) & (edge - y > -0.05)
        rgb[strap & (side < 0.13)] = top.inner.colours[1] * 0.8
    out.rgb[at] = rgb


def _trouser_details(out, at, points, normals, worn, identity, marks) -> None:
    bottom = identity.bottom
    x, y, _ = points.T
    rgb = out.rgb[at]
    if bottom.side is not None:
        rgb[worn & (np.abs(normals[:, 2]) < 0.24) & (np.sign(x) * normals[:, 0] > 0)] = bottom.side
    if bottom.belt is not None:
        belt = worn & (y > marks.waist - 0.035)
        rgb[belt] = bottom.belt
        buckle = belt & (np.abs(x) < 0.018) & (normals[:, 2] > 0)
        rgb[buckle] = (0.75, 0.68, 0.45)
    if bottom.pockets and bottom.kind != "skirt":
        slant = np.abs(np.abs(x) - 0.1 - 0.35 * (y - marks.waist + 0.1)) < 0.0035
        pocket = (y < marks.waist - 0.04) & (y > marks.waist - 0.13) & (normals[:, 2] > 0)
        rgb[worn & slant & pocket] *= 0.6
    if bottom.kind != "skirt":
        hem = worn & (y < marks.leg_y(bottom.leg) + 0.012)
        rgb[hem] *= 0.75
        fly = worn & (np.abs(x) < 0.003) & (normals[:, 2] > 0) & (y > marks.crotch)
        rgb[fly] *= 0.7
    out.rgb[at] = rgb


def _paint_feet(out, at, points, identity, marks, shell=False) -> None:
    shoes = identity.shoes
    if shoes.kind == "bare":
        return
    y, z = points[:, 1], points[:, 2]
    edge = shoe_line(points, identity, marks)
    shoe = (y < edge) & (np.abs(points[:, 0]) < 0.4)
    if shell:
        shoe[:] = True
    if shoes.sock is not None:
        sock = (y < marks.ankle[1] + 0.075) & ~shoe & (np.abs(points[:, 0]) < 0.4)
        out.rgb[at[sock]] = shoes.sock
        out.skin[at[sock]] = False
    rgb = np.tile(shoes.upper, (len(at), 1))
    ahead = z - marks.ankle[2]
    if shoes.kind == "trainers":
        middle = np.abs(np.abs(points[:, 0]) - marks.ankle[0] - 0.18 * ahead) < 0.02
        laces = middle & (ahead > 0.04)
        rgb[laces & (ahead < 0.11) & ((ahead * 80) % 1 < 0.45)] = 0.92
        rgb[(ahead > 0.16)] *= 0.85
    rgb[edge - y < 0.008] *= 0.7
    sole = y < marks.floor + (0.004 if shoes.kind == "trainers" else 0.0)
    rgb[sole] = shoes.sole
    out.rgb[at[shoe]] = rgb[shoe]
    out.gloss[at[shoe]] = 0.05 if shoes.kind == "trainers" else 0.15
    out.skin[at[shoe]] = False
