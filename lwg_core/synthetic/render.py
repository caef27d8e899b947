"""Pictures of synthetic people: pose, rasterise at twice the size, paint, light, average."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from ..body.model import BodyModel, vertex_normals
from ..render.camera import Camera
from ..render.raster import rasterize
from .appearance.albedo import Dye, Paint, Surface, paint
from .garments import clothing_offsets
from .identity import Identity
from .loose import cut_pieces, hidden_vertices
from .mannequin import Mannequin, make_mannequin, posed_transforms
from .motions import INDEX
from .noise import SpaceNoise
from .pieces import Piece, drape, fit_piece

SUPERSAMPLING = 2


@dataclass(frozen=True)
class Light:
    """direction: (3,) unit vector to the key light in the camera frame (y down, -z to the viewer);
    key, sky, ground: (3,) RGB strengths; exposure: overall factor."""

    direction: np.ndarray
    key: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    exposure: float


def random_light(rng: np.random.Generator) -> Light:
    """Soft daylight, lamps and flashes: mostly from above and in front."""
    direction = np.array([rng.uniform(-0.9, 0.9), -rng.uniform(0.1, 1.0), -rng.uniform(0.45, 1.1)])
    warmth = rng.normal(0, 0.04)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    ambient = rng.uniform(0.3, 0.68)
    ground = ambient * rng.uniform(0.55, 0.9) * np.array([1.02, 1.0, 0.97])
    return Light(
        direction=(direction / np.linalg.norm(direction)).astype(np.float32),
        key=(tint * (1.16 - ambient) * rng.uniform(0.85, 1.15)).astype(np.float32),
        sky=(ambient / tint).astype(np.float32),
        ground=ground.astype(np.float32),
        exposure=float(rng.uniform(0.85, 1.12)),
    )


@dataclass(frozen=True)
class Person:
    """An identity, dressed: everything about it that does not depend on the pose.

    offsets: (V,) float32, the clothes that lie on the mesh. pieces: the loose ones. faces:
    (F, 3) int64 of body and pieces together; piece_of_face: (F,) -1 on the body. attributes:
    (V + M, 9): rest position, rest normal, head, surface coordinates.
    """

    identity: Identity
    figure: Mannequin
    betas: Tensor
    offsets: Tensor
    pieces: tuple[Piece, ...]
    faces: Tensor
    piece_of_face: np.ndarray
    attributes: np.ndarray
    dye: Dye

    @property
    def body(self) -> BodyModel:
        return self.figure.body

    @property
    def looks(self) -> tuple[str, ...]:
        return tuple(piece.look for piece in self.pieces)


def dress(identity: Identity, figure: Mannequin | BodyModel) -> Person:
    """Puts an identity's clothes on a body."""
    if isinstance(figure, BodyModel):
        figure = make_mannequin(figure)
    body = figure.body
    offsets = clothing_offsets(identity, figure)
    betas = torch.from_numpy(identity.betas)
    worn = figure.template + offsets[:, None] * figure.normals
    change = (body.shapedirs @ betas).numpy()
    cut = cut_pieces(identity, figure, worn)
    pieces = tuple(fit_piece(piece, figure, change) for piece in cut)
    shown = figure.faces[~hidden_vertices(identity, figure)[figure.faces].all(1)]
    faces, owner = [shown], [np.full(len(shown), -1)]
    rows = [
        np.concatenate(
            [figure.template, figure.normals, figure.head[:, None], 0 * figure.template[:, :2]], 1
        )
    ]
    start = len(figure.template)
    for number, piece in enumerate(pieces):
        faces.append(piece.faces + start)
        owner.append(np.full(len(piece.faces), number))
        rows.append(
            np.concatenate([piece.vertices, np.zeros((len(piece.vertices), 4)), piece.cloth], 1)
        )
        start += len(piece.vertices)
    return Person(
        identity=identity,
        figure=figure,
        betas=betas,
        offsets=torch.from_numpy(offsets),
        pieces=pieces,
        faces=torch.from_numpy(np.concatenate(faces)).long(),
        piece_of_face=np.concatenate(owner),
        attributes=np.concatenate(rows).astype(np.float32),
        dye=Dye(identity.seed),
    )


def pose_person(person: Person, poses: Tensor, rng: np.random.Generator) -> Tensor:
    """Dressed vertices (T, V + M, 3) in the camera frame for poses (T, 24, 3).

    Cloth shifts by a few millimetres from pose to pose (``rng``): beyond what offsets describe.
    """
    body, figure = person.body, person.figure
    posed = body.vertices(poses, person.betas, person.offsets)
    normals = vertex_normals(posed, body.faces).numpy()
    posed = posed.numpy()
    loose = np.clip(person.offsets.numpy() - 0.004, 0, 0.012) * (1 - figure.head)
    for frame, outward in zip(posed, normals, strict=True):
        drift = SpaceNoise(rng, 16)(figure.template, 9.0) - 0.5
        frame += (1.6 * loose * drift)[:, None] * outward
    turns, moves = posed_transforms(body, poses, person.betas)
    out = [posed]
    for piece in person.pieces:
        turn = np.einsum("mj,tjab->tmab", piece.weights, turns)
        carried = np.einsum("tmab,mb->tma", turn, piece.vertices)
        carried += np.einsum("mj,tja->tma", piece.weights, moves)
        slack = np.einsum("tmab,mb->tma", turn, piece.slack)
        frames = zip(carried, slack, posed, normals, strict=True)
        out.append(np.stack([drape(piece, *frame) for frame in frames]))
    return torch.from_numpy(np.concatenate(out, 1).astype(np.float32))


def render_mesh(
    person: Person,
    vertices: Tensor,
    camera: Camera,
    light: Light,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Premultiplied colour (H, W, 3) and alpha (H, W), float32 in 0..1, of vertices (V + M, 3)
    seen by a camera of one frame."""
    height, width = camera.size
    big = camera.resize((height * SUPERSAMPLING, width * SUPERSAMPLING))
    raster = rasterize(big.project(vertices[None]), person.faces, big.size)
    index = raster.face_index[0].numpy()
    rows, columns = np.nonzero(index >= 0)
    face = index[rows, columns]
    weights = raster.barycentric[0].numpy()[rows, columns]
    corners = person.faces.numpy()[face]
    normals = vertex_normals(vertices, person.faces).numpy()
    table = np.concatenate([person.attributes, normals], 1)
    mixed = sum(weights[:, k, None] * table[corners[:, k]] for k in range(3))
    surface = Surface(
        points=mixed[:, :3],
        normals=mixed[:, 3:6],
        head=mixed[:, 6],
        cloth=mixed[:, 7:9],
        piece=person.piece_of_face[face],
    )
    painted = paint(surface, person.looks, person.identity, person.figure.marks, person.dye)
    normal = mixed[:, 9:]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    inside = (normal[:, 2] > 0.05) & (surface.piece >= 0)  # the far side of an open piece
    normal[normal[:, 2] > 0] *= -1
    normal = _fold(normal, painted, rng)
    depth = raster.depth[0].numpy()
    hollow = _occlusion(depth, big.scale.item())[rows, columns]
    rgb = _shade(painted, normal, light, hollow * np.where(inside, 0.5, 1.0))
    colour = np.zeros((*big.size, 3), np.float32)
    colour[rows, columns] = rgb
    alpha = (index >= 0).astype(np.float32)
    shrink = {"dsize": (width, height), "interpolation": cv2.INTER_AREA}
    return cv2.resize(colour, **shrink), cv2.resize(alpha, **shrink)


def _fold(normal: np.ndarray, painted: Paint, rng: np.random.Generator) -> np.ndarray:
    """Normals of wrinkled cloth: noise on the surface coordinates, partly new in each picture."""
    where = np.nonzero(painted.folds > 0)[0]
    if not len(where):
        return normal
    flat = np.pad(painted.cloth[where], ((0, 0), (0, 1)))
    first, second = SpaceNoise(rng, 16), SpaceNoise(rng, 16)
    bend = np.stack([first(flat, (22, 13, 1)), first(flat + 5.3, (17, 24, 1))], 1)
    fine = np.stack([second(flat, (55, 34, 1)), second(flat + 5.3, (40, 60, 1))], 1)
    bend = (bend - 0.5) + 0.4 * (fine - 0.5)
    out = normal.copy()
    out[where, :2] += 2.3 * painted.folds[where, None] * bend
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def _occlusion(depth: np.ndarray, scale: float) -> np.ndarray:
    """(H, W) 0..1 brightness: points that lie behind their neighbourhood are darker.

    depth in metres with inf outside; scale in pixels per metre.
    """
    inside = np.isfinite(depth).astype(np.float32)
    filled = np.where(inside > 0, depth, 0).astype(np.float32)
    shade = np.ones_like(filled)
    for radius, strength in ((0.02, 1.6), (0.07, 1.1)):
        size = max(3, int(2 * radius * scale) | 1)
        weight = cv2.blur(inside, (size, size))
        near = cv2.blur(filled, (size, size)) / np.maximum(weight, 1e-6)
        behind = np.clip((filled - near) / (1.5 * radius), 0, 1) * weight
        shade *= 1 - 0.45 * np.clip(strength * behind, 0, 1)
    return shade


def _shade(painted: Paint, normal: np.ndarray, light: Light, hollow: np.ndarray) -> np.ndarray:
    facing = normal @ light.direction
    wrap = np.where(painted.skin, 0.25, 0.08)  # light bleeds around skin
    key = np.clip((facing + wrap) / (1 + wrap), 0, 1)[:, None] * light.key
    upward = (0.5 - 0.5 * normal[:, 1])[:, None]
    ambient = light.ground + upward * (light.sky - light.ground)
    half = light.direction + np.array([0, 0, -1], np.float32)
    half /= np.linalg.norm(half)
    shine = np.clip(normal @ half, 0, 1) ** 22 * painted.gloss
    rgb = painted.rgb * (key * (0.4 + 0.6 * hollow[:, None]) + ambient * hollow[:, None])
    return np.clip(light.exposure * (rgb + shine[:, None] * light.key), 0, 1)


def contact_shadow(alpha: np.ndarray, camera: Camera, light: Light, feet: np.ndarray) -> np.ndarray:
    """(H, W) 0..1 darkness of the floor around the feet, (2, 2) pixels of both soles."""
    height, width = alpha.shape
    scale = camera.scale[0].item()
    shadow = np.zeros((height, width), np.float32)
    lean = np.array([-light.direction[0], 0.0]) * 0.12 * scale
    low = feet[:, 1].max()
    for foot in feet:
        lifted = np.clip((low - foot[1]) / (0.25 * scale), 0, 1)
        at = np.array([foot[0], low]) + lean
        axes = int(0.19 * scale), max(1, int(0.05 * scale))
        disc = np.zeros_like(shadow)
        centre = (int(at[0]), int(at[1]))
        cv2.ellipse(disc, centre, axes, 0, 0, 360, 0.55 * (1 - 0.7 * lifted), -1, cv2.LINE_AA)
        shadow = np.maximum(shadow, disc)
    return cv2.GaussianBlur(shadow, (0, 0), max(0.8, 0.03 * scale))


def render_vertices(
    person: Person,
    vertices: Tensor,
    pose: Tensor,
    camera: Camera,
    light: Light,
    background: np.ndarray,
    rng: np.random.Generator,
    shadow: bool = False,
) -> tuple[Tensor, Tensor]:
    """As ``render_person``, of vertices (V + M, 3) that are already posed."""
    colour, alpha = render_mesh(person, vertices, camera, light, rng)
    behind = background
    if shadow:
        joints = camera.project(person.body.joints(pose[None], person.betas))[0]
        feet = joints[[INDEX["left_foot"], INDEX["right_foot"]], :2].numpy()
        feet = feet + (0, 0.03 * camera.scale[0].item())
        behind = behind * (1 - contact_shadow(alpha, camera, light, feet)[..., None])
    image = colour + (1 - alpha[..., None]) * behind
    picture = torch.from_numpy(image).permute(2, 0, 1) * 2 - 1
    return picture.float().clamp(-1, 1), torch.from_numpy(alpha)[None]


def render_person(
    person: Person,
    pose: Tensor,
    camera: Camera,
    light: Light,
    background: np.ndarray,
    rng: np.random.Generator,
    shadow: bool = False,
) -> tuple[Tensor, Tensor]:
    """One picture: image (3, H, W) in [-1, 1] and alpha (1, H, W) in 0..1.

    pose: (24, 3). camera: of one frame; its size is the picture's. background: (H, W, 3) 0..1.
    rng: decides how the cloth folds.
    """
    vertices = pose_person(person, pose[None], rng)[0]
    return render_vertices(person, vertices, pose, camera, light, background, rng, shadow)
