"""MHR_POSE_DATA of ComfyUI's SAM 3D Body nodes -> SmplParams.

Its own pose and shape numbers need its own body model, so ours is fitted to the points: first to 23
keypoints, then to the surface, which also shows how limbs twist. The camera is kept as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ...body.model import BodyModel
from ...body.params import SmplParams
from ...body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from ...errors import InputError
from ..importers.assemble import spread
from ..kinematics import fold
from ..labels import joint_confidence
from ..point_targets import PointTargets
from ..projection import stacked_regressor
from ..solver import Bodies
from ..surface_fit import Surfaces, fit_surfaces, spread_vertices, surface_distance
from ..targets3d import fit_points, moved_camera
from .arrays import link
from .mhr_payload import Lens, Person, indexes, read_mhr, read_person

log = logging.getLogger(__name__)

# Keypoints of MHR's 70 in our order; it has no neck of ours. 41 and 62 are the wrists.
FROM_MHR70 = (
    0, None, 6, 8, 41, 5, 7, 62, 10, 12, 14, 9, 11, 13, 2, 1, 4, 3, 15, 16, 17, 18, 19, 20,
)  # fmt: skip
SHAPE_FRAMES = 8  # frames of a clip whose surface is asked for the shape
BLOCK = 32  # frames whose meshes are held at once: about 10 MB each with what is made of them
CLIP_ROUNDS, CLIP_SPACING = 5, 0.06  # of the surface fit once the shape is known
OUTSIDE = 0.5  # confidence of what lies outside the picture: imagined from the rest
FAR = 0.05  # metres of mean surface distance above which the body is not to be trusted
JUMP = 1.0  # times its box: how far a person moves between frames


def import_mhr(
    payload: object,
    body: BodyModel,
    size: tuple[int, int] | None = None,
    *,
    fps: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[SmplParams, ...]:
    """One SmplParams of all frames per person, with the payload's pinhole camera.

    size: (height, width) of the image to be used with it; None = the payload's own.
    fps: used where the payload does not say. progress: called with (steps done, steps in all).
    """
    frames, faces, own_size, rate = read_mhr(payload)
    fps = fps if rate is None else rate
    people = [
        [read_person(p, f"MHR_POSE_DATA: person {i} of frame {t}") for i, p in enumerate(f)]
        for t, f in enumerate(frames)
    ]
    known = [p for frame in people for p in frame if p is not None]
    if not known:
        raise InputError(
            "MHR_POSE_DATA: no person was found in any frame; Predict SAM3D Body needs the person "
            "in the picture"
        )
    if len({None if p.vertices is None else len(p.vertices) for p in known}) > 1:
        raise InputError("MHR_POSE_DATA: the persons have meshes of different topology")
    vertices = known[0].vertices
    if faces is not None and vertices is not None and not indexes(faces, len(vertices)):
        raise InputError(f"MHR_POSE_DATA: faces must index the {len(vertices)} vertices")
    lens = Lens.of(known, own_size or size)
    chains = [
        [people[t][i] if i >= 0 else None for t, i in enumerate(row)]
        for row in _follow(people, lens).tolist()
    ]
    chains = [chain for chain in chains if any(chain)]
    result = []
    for track, chain in enumerate(chains):

        def report(done: int, of: int, track: int = track) -> None:
            if progress is not None:
                progress(track * of + done, len(chains) * of)

        params = _import_track(chain, faces, lens, body, report)
        if size is not None and size != lens.size:
            params = replace(params, camera=params.camera.resize(size))
        result.append(replace(params, fps=fps, track=track))
    return tuple(result)


def _import_track(
    chain: list[Person | None],
    faces: Tensor | None,
    lens: Lens,
    body: BodyModel,
    progress: Callable[[int, int], None],
) -> SmplParams:
    device = body.v_template.device
    seen = torch.tensor([t for t, p in enumerate(chain) if p is not None])
    people = [p for p in chain if p is not None]
    camera = lens.camera(people).to(device)
    regressor = stacked_regressor(body)[: len(FROM_MHR70)]
    rows = [0 if i is None else i for i in FROM_MHR70][: len(regressor)]
    points = torch.stack([p.keypoints[rows] for p in people]).to(device)
    weight = torch.tensor([float(i is not None) for i in FROM_MHR70])[: len(regressor)]
    weight = weight.expand(len(people), -1).to(device)
    pixels = camera.project(points)[..., :2]
    fit = fit_points(
        points, weight, regressor, body, progress=lambda done, of: progress(done, 2 * of)
    )
    params, place, off = fit.params, fit.place, fit.error
    if people[0].vertices is not None:
        targets = PointTargets(fold(body, regressor), points / fit.scale, weight)
        rotations = axis_angle_to_matrix(params.pose)
        betas = params.betas.expand(len(people), 10)
        bodies = Bodies(rotations, betas, betas[:, 0] * 0, betas[:, :2] * 0)

        def surfaces(frames: list[int]) -> Surfaces:
            vertices = torch.stack([people[f].vertices for f in frames]).to(device)
            return Surfaces(vertices / fit.scale, None if faces is None else faces.to(device))

        bodies, place, off = _lay_on_surfaces(body, bodies, targets, surfaces, progress)
        params = replace(params, pose=matrix_to_axis_angle(bodies.rotations), betas=bodies.betas[0])
    height, width = lens.size
    inside = (pixels >= 0).all(-1) & (pixels < pixels.new_tensor([width, height])).all(-1)
    valid = params.valid & (off <= FAR)
    confidence = joint_confidence(torch.where(inside, weight, OUTSIDE * weight))
    params = replace(
        params,
        camera=moved_camera(camera, place, fit.scale),
        confidence=confidence * valid[:, None],
        valid=valid,
    )
    log.info(
        "a person in %d of %d frames, %.1f mm from the given body on average",
        len(people), len(chain), 1e3 * float(off.mean()),
    )  # fmt: skip
    far = seen[(~params.valid).cpu()].tolist()
    if far:
        log.warning("no body comes near the given one in frames %s", far[:10])
    return spread(params, seen.tolist(), len(chain))


def _lay_on_surfaces(
    body: BodyModel,
    bodies: Bodies,
    targets: PointTargets,
    surfaces: Callable[[list[int]], Surfaces],
    progress: Callable[[int, int], None],
) -> tuple[Bodies, Tensor, Tensor]:
    """The surface fit with one shape for all frames: bodies, their place and distance (T,) m."""
    count = len(bodies)
    shared = count > 1
    if shared:
        some = torch.linspace(0, count - 1, min(count, SHAPE_FRAMES)).round().long()
        part = surfaces(some.tolist())
        some = some.to(bodies.betas.device)
        shaped, _ = fit_surfaces(body, bodies.select(some), targets.select(some), part)
        bodies = replace(bodies, betas=shaped.betas.median(0).values.expand(count, 10))
    options = {"shape": False, "rounds": CLIP_ROUNDS, "spacing": CLIP_SPACING} if shared else {}
    measured = spread_vertices(body, CLIP_SPACING)
    parts = []
    for index in torch.arange(count).split(BLOCK):
        frames, part = index.tolist(), surfaces(index.tolist())
        index = index.to(bodies.betas.device)
        chosen, place = fit_surfaces(
            body, bodies.select(index), targets.select(index), part, **options
        )
        pose = matrix_to_axis_angle(chosen.rotations)
        laid = body.vertices(pose, chosen.betas)[:, measured] + place[:, None]
        parts.append((*chosen.tensors, place, surface_distance(laid, part)))
        progress(count + frames[-1] + 1, 2 * count)
    *fields, place, off = (torch.cat(t) for t in zip(*parts, strict=True))
    return Bodies(*fields), place, off


def _follow(people: list[list[Person | None]], lens: Lens) -> Tensor:
    """(N, T) which detection of each frame is person n, -1 = none."""
    counts = {len(frame) for frame in people if frame}
    if len(counts) == 1:  # the tracker's order, missing persons included
        order = torch.arange(counts.pop())[:, None].expand(-1, len(people))
        return torch.where(torch.tensor([bool(frame) for frame in people]), order, -1)
    places, spans, index = [], [], []
    for frame in people:
        here = [(i, p) for i, p in enumerate(frame) if p is not None]
        index.append([i for i, _ in here])
        middles = torch.zeros(0, 2)
        if here:
            found = [p for _, p in here]
            camera = lens.camera(found)
            pixels = camera.project(torch.stack([p.keypoints for p in found]))[..., :2]
            middles = (pixels.amin(1) + pixels.amax(1)) / 2
            spans.append((pixels.amax(1) - pixels.amin(1)).amax(-1))
        places.append(middles)
    rows = link(places, JUMP * float(torch.cat(spans).median()))
    chosen = torch.full_like(rows, -1)
    for n, t in (rows >= 0).nonzero().tolist():
        chosen[n, t] = index[t][int(rows[n, t])]
    return chosen
