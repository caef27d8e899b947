"""A body in a clip: what one frame leaves open, its neighbours often settle.

1. Left and right exchanges are mended where points jump, then where single frames tell.
2. Keypoints are smoothed in time, robustly, which also bridges points that are missing for a
   moment: three quarters of a detector's noise is gone before anything is fitted.
3. Several bodies per frame; Viterbi takes the sequence whose joints move least for its energy.
4. One shape for all. Frames that no body explains count as missing; missing frames start between
   their neighbours.
5. Rounds of fitting pulled towards the bodies' own average over time, so that movement in depth,
   which no single frame shows, becomes as calm as what is seen. Each limb is averaged as long as
   its movement in the picture allows (``windows``), and once more at the end.

All times are seconds, so the frame rate does not matter; only gaps are counted in frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .kinematics import forward
from .smoothing import best_path, between, local_line
from .solver import CHUNK, Bodies, Evidence, Pull, join, linearise
from .start import FINAL_OUTLIER, hypotheses, pixel_scale
from .swaps import mend_frames, mend_over_time
from .view import View
from .windows import average, average_rotations, limb_windows, point_window

POINT_SECONDS = 0.045  # sigma of the smoothing of keypoints
STRAY, LIVELY = 0.12, 30.0  # metres and m/s^2: how far a point may be from where others expect it
KEPT = 4  # bodies per frame that compete
STILL, SPEED = 0.03, 1.6  # metres and m/s, RMS over joints: steps of the path that cost one
ROUNDS, STEPS = 3, 4
PULL = 0.07  # radians that a frame may be off its average over time
BLIND = 0.03  # radians: the same in frames without a body of their own
TRUNK = (2, 5, 8, 11)  # shoulders and hips, which show how the person moves as a whole
SCALE_SECONDS = 0.5
SHAPE_FRAMES = 3.0  # frames of a clip err alike: together they speak like at most this many
REJECTED = 8.0  # energy per seen keypoint above which a body is not to be trusted
STRAYED = 16.0  # the same under a clip's movement, which no longer follows every point's noise


@dataclass(frozen=True)
class ClipFit:
    """bodies, scale (T,) and label (T,) of all frames; found: (T,) bool, had a body of its own."""

    bodies: Bodies
    scale: Tensor
    label: Tensor
    found: Tensor


def fit_clip(
    view: View, usable: Tensor, fps: float, progress: Callable[[int, int], None] | None = None
) -> ClipFit:
    """usable: (T,) bool, frames with enough points to fit a body; at least one."""
    scale = steady_scale(view, usable, fps)
    metres = view.points / scale[:, None, None]
    label = mend_over_time(metres, view.weight, usable, fps)
    calm = smooth_keypoints(view.relabelled(label), scale, fps)
    index = usable.nonzero().flatten()
    bodies, energy, found = _candidates(view, calm, scale, index, fps, progress)
    if (found > 0).any():
        told = torch.full_like(label, -1)
        told[index] = torch.where(found > 0, label[index] ^ found, -1)
        settled = mend_over_time(metres, view.weight, usable, fps, told)
        calm = smooth_keypoints(view.relabelled(settled), scale, fps)
        again = (settled[index] != label[index] ^ found).nonzero().flatten()
        if len(again):
            redone, renewed, _ = _candidates(view, calm, scale, index[again], fps, None, mend=False)
            rows = (again[:, None] * KEPT + torch.arange(KEPT, device=again.device)).flatten()
            bodies = Bodies(
                *(
                    old.index_copy(0, rows, new)
                    for old, new in zip(bodies.tensors, redone.tensors, strict=True)
                )
            )
            energy = energy.index_copy(0, again, renewed)
        label = settled
    chosen = _joined_over_time(view, bodies, energy, index, fps)
    bodies = bodies.select(chosen + torch.arange(len(index), device=index.device) * KEPT)
    return _refine(view, calm, scale, label, bodies, usable, fps)


def steady_scale(view: View, usable: Tensor, fps: float) -> Tensor:
    """(T,) pixels per metre; the high quantile within a second, as limbs only ever shorten."""
    index = usable.nonzero().flatten()
    each = pixel_scale(view.table, view.points[index], view.weight[index])
    radius = min(len(each) - 1, max(1, round(SCALE_SECONDS * fps)))
    padded = torch.nn.functional.pad(each, (radius, radius), value=torch.nan)
    calm = padded.unfold(0, 2 * radius + 1, 1).nanquantile(0.8, dim=1)
    return _spread(calm[:, None], index, len(usable))[:, 0]


def smooth_keypoints(view: View, scale: Tensor, fps: float) -> View:
    """Keypoints averaged over time; those that others do not expect where they are count less."""
    count = view.points.shape[1]
    sigma = POINT_SECONDS * fps
    points = view.points.flatten(1)
    weight = view.weight
    reach = math.hypot(STRAY, LIVELY / fps**2) * scale[:, None]
    for _ in range(3):
        expected, others = local_line(points, weight.repeat_interleave(2, 1), sigma, own=False)
        miss = (expected - points).view_as(view.points).norm(dim=-1)
        known = others[:, ::2] > 0.3 * others.max()
        trust = torch.where(known, 1 / (1 + (miss / reach).square()).square(), 1.0)
        weight = view.weight * trust
    wide = weight.repeat_interleave(2, 1)
    smooth, mass = local_line(points, wide, sigma)
    # Once more what was left over: a kick is not blunted.
    smooth = smooth + local_line(points - smooth, wide, sigma)[0]
    full = max(1.0, sigma * math.sqrt(2 * math.pi))
    mass = mass.view(len(view), count, 2)[..., 0] / full
    mass = torch.where(mass > 0.1, mass.clamp_max(1), 0.0)
    return replace(view, points=smooth.view_as(view.points), weight=mass)


def _candidates(
    view: View,
    calm: View,
    scale: Tensor,
    index: Tensor,
    fps: float,
    progress: Callable[[int, int], None] | None,
    mend: bool = True,
) -> tuple[Bodies, Tensor, Tensor]:
    """Bodies (F * KEPT), energies (F, KEPT) and labels found (F,) of the frames ``index``."""
    # Smoothed keypoints are worth more than their number against the usual pose.
    gain = max(1.0, 2 * math.sqrt(math.pi) * POINT_SECONDS * fps) ** 0.5
    evidence = replace(calm, weight=gain * calm.weight).evidence(scale)
    parts = []
    for some in index.split(CHUNK):
        held = evidence.select(some)
        bodies, energy = hypotheses(view.table, view.motion, held, KEPT)
        label = torch.zeros_like(some)
        if mend:
            most = 4 + len(some) // 8
            bodies, energy, label = mend_frames(view.table, view.motion, held, bodies, energy, most)
        parts.append((bodies, energy, label))
        if progress is not None:
            progress(int(some[-1]), len(view))
    bodies, energies, labels = zip(*parts, strict=True)
    return join(list(bodies)), torch.cat(energies), torch.cat(labels)


def _joined_over_time(
    view: View, bodies: Bodies, energy: Tensor, index: Tensor, fps: float
) -> Tensor:
    """(F,) which of its bodies each frame takes."""
    joints = forward(view.table, bodies.rotations, bodies.betas).position
    joints = (joints - joints[:, :1]).unflatten(0, energy.shape)
    apart = (joints[1:, None] - joints[:-1, :, None]).square().sum(-1).mean(-1)
    seconds = torch.diff(index).to(apart) / fps
    usual = STILL**2 + (SPEED * seconds).square()
    return best_path(energy, apart / usual[:, None, None])


def _refine(
    view: View,
    calm: View,
    scale: Tensor,
    label: Tensor,
    bodies: Bodies,
    usable: Tensor,
    fps: float,
) -> ClipFit:
    """From the chosen bodies of the usable frames to those of all frames."""
    index = usable.nonzero().flatten()
    raw = view.relabelled(label)
    part = calm.select(index).evidence(scale[index], bodies)
    bodies = replace(bodies, betas=shared_shape(view, part, bodies))
    bodies, _ = view.solve(replace(part, outlier=FINAL_OUTLIER), bodies, 6)
    energy = energy_per_point(raw.select(index), scale[index], bodies)
    explained = energy <= STRAYED
    found = usable.clone()
    if explained.any() and not explained.all():
        # What nothing explains is somebody else, or nobody: it must not bend its neighbours.
        found[index] = explained
        weight = raw.weight * found[:, None]
        calm = smooth_keypoints(replace(raw, weight=weight), scale, fps)
        bodies, index = bodies.select(explained.nonzero().flatten()), index[explained]
    betas = bodies.betas[:1].expand(len(view), 10)
    bodies = Bodies(
        _between(bodies.rotations, index, len(view)),
        betas,
        *(_spread(t.reshape(len(index), -1), index, len(view)).reshape(len(view), *t.shape[1:])
          for t in (bodies.log_scale, bodies.shift)),
    )  # fmt: skip
    own = found[:, None].to(scale).expand(-1, 24)
    precision = torch.where(found, PULL**-2, BLIND**-2)[:, None].to(scale).expand(-1, 24)
    seen = raw.weight * (calm.weight > 0) * found[:, None]
    limbs = limb_windows(raw.points, seen, fps)

    def averaged(weight: Tensor) -> Tensor:
        turns = bodies.rotations
        return average_rotations(view.table, turns, betas, weight, limbs, fps, POINT_SECONDS)

    for _ in range(ROUNDS):
        pull = Pull(averaged(own.clamp_min(0.05)), precision)
        evidence = replace(calm.evidence(scale, bodies), outlier=FINAL_OUTLIER, terms=(pull,))
        bodies, _ = view.solve(evidence, bodies, STEPS)
    placed = torch.cat([bodies.log_scale[:, None], bodies.shift], 1)
    whole = point_window(raw.points[:, TRUNK], seen[:, TRUNK], fps).expand(-1, 3)
    placed = average(placed, torch.ones_like(placed), whole, fps, POINT_SECONDS)
    bodies = Bodies(averaged(torch.ones_like(own)), betas, placed[:, 0], placed[:, 1:])
    return ClipFit(bodies, scale, label, found)


def shared_shape(view: View, evidence: Evidence, bodies: Bodies) -> Tensor:
    """(B, 10) one shape for all frames.

    Each frame's normal matrix, with pose and camera eliminated (Schur complement), is its opinion
    of the shape; the prior in it is counted once.
    """
    energy = _energy(view, evidence, bodies) / (evidence.weight > 0).sum(1).clamp_min(1)
    trusted = (energy <= REJECTED).nonzero().flatten()
    index = trusted if len(trusted) else torch.arange(len(bodies), device=energy.device)
    opinion = bodies.betas.new_zeros(10, 10)
    pull = bodies.betas.new_zeros(10)
    for part in index.split(CHUNK):
        chosen = bodies.select(part)
        held = replace(evidence.select(part), outlier=FINAL_OUTLIER)
        _, _, normal = linearise(view.table, view.motion, held, chosen, True)
        local = normal[:, :75, :75] + 1e-4 * torch.eye(75).to(normal)
        solved = torch.cholesky_solve(normal[:, :75, 75:], torch.linalg.cholesky(local))
        certain = normal[:, 75:, 75:] - normal[:, 75:, :75] @ solved
        pull += (certain @ chosen.betas[..., None]).sum((0, 2))
        opinion += (certain - torch.eye(10).to(normal)).sum(0)
    share = min(1.0, SHAPE_FRAMES / len(index))
    betas = torch.linalg.solve(torch.eye(10).to(opinion) + share * opinion, share * pull)
    return betas.expand(len(bodies), 10)


def energy_per_point(view: View, scale: Tensor, bodies: Bodies) -> Tensor:
    """(T,) energy of the bodies under the view's own keypoints, per seen keypoint."""
    evidence = replace(view.evidence(scale, bodies), outlier=FINAL_OUTLIER)
    return _energy(view, evidence, bodies) / (view.weight > 0).sum(1).clamp_min(1)


def _energy(view: View, evidence: Evidence, bodies: Bodies) -> Tensor:
    return view.solve(evidence, bodies, 0)[1]


def _neighbours(index: Tensor, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """For all frames: rows of ``index`` before and after, and how far between them, 0..1."""
    frame = torch.arange(frames, device=index.device)
    after = torch.searchsorted(index, frame).clamp_max(len(index) - 1)
    before = (torch.searchsorted(index, frame, right=True) - 1).clamp_min(0)
    length = (index[after] - index[before]).clamp_min(1)
    return before, after, ((frame - index[before]) / length).clamp(0, 1)


def _spread(values: Tensor, index: Tensor, frames: int) -> Tensor:
    """(F, C) known at frames ``index`` -> (frames, C), straight lines between, constant outside."""
    before, after, part = _neighbours(index, frames)
    return values[before].lerp(values[after], part[:, None].to(values))


def _between(rotations: Tensor, index: Tensor, frames: int) -> Tensor:
    before, after, part = _neighbours(index, frames)
    return between(rotations[before], rotations[after], part.to(rotations))
