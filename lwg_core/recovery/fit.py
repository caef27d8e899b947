"""2D keypoints to SMPL parameters, one picture or a clip.

Minimises reprojection (robust), range-of-motion, gravity and shape terms over pose, shape and a
pinhole camera (SMPLify's problem, Bogo et al., 2016, with a second-order solver and our own
priors). Notable decisions:

- eight headings for a few steps, the best ones to the end: one start ends in a wrong minimum about
  once in seven pictures;
- a distance is always assumed where the focal length is not known: at 4 to 6 metres of truth 5 is
  nearer than infinity;
- depth is ambiguous in 2D. In the view it was made for, the result is good to a few pixels; turned
  around, it shows a plausible body, not a measured one;
- the outline is not used unless asked for: clothes are wider than the body, and a body made as wide
  as its clothes is worse than one that is not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import SmplParams
from ..body.rotations import matrix_to_axis_angle
from ..errors import InputError
from ..render.camera import Camera
from .clip import REJECTED, STRAYED, energy_per_point, fit_clip, shared_shape
from .hands import HANDS, WRISTS, hand_lines, turn_hands
from .keypoints import BODY_COUNT, KEYPOINT_NAMES, MINIMUM_POINTS, Keypoints
from .kinematics import fold
from .labels import joint_confidence
from .outline import outline_of
from .priors import range_of_motion
from .projection import stacked_regressor
from .smoothing import LONGEST_GAP, fill_gaps, runs
from .solver import CHUNK, Bodies, Evidence, Pull, join, predict
from .start import FINAL_OUTLIER, hypotheses, pixel_scale
from .swaps import ARMS, describe, mend_frames
from .view import View

log = logging.getLogger(__name__)

KEPT, SHARED_STEPS, OUTLINE_STEPS = 2, 8, 10
OUTLINE_PULL = 0.15  # radians that a frame may turn away from what its clip has settled
OUTLINE_CHUNK = 16  # hundreds of surface points weigh more than two dozen keypoints
EAR_WEIGHT = 0.25  # detectors and the regressor disagree most about ears
NECK_WEIGHT = 0.5  # detectors make it from the shoulders


@dataclass(frozen=True)
class FitResult:
    """params: T frames with camera, confidence and valid; betas shared by all frames.

    error_px: (T,) mean distance of the seen keypoints to the body's, pixels.
    energy: (T,) what was minimised, per seen keypoint.
    visible: (T, 24) bool, KEYPOINT_NAMES order.
    messages: T sentences, "" where there is nothing to say. A frame that is not valid always has
        its reason; a valid one may have been mended or filled, which is said too.

    Frames without keypoints carry the error and energy of the nearest frame with some.
    """

    params: SmplParams
    error_px: Tensor
    energy: Tensor
    visible: Tensor
    messages: tuple[str, ...]


def fit_keypoints(
    keypoints: Keypoints,
    body: BodyModel,
    size: tuple[int, int] | None = None,
    distance: float = 5.0,
    fps: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
    *,
    focal: float | None = None,
    mask: Tensor | None = None,
    smooth: bool = True,
) -> FitResult:
    """Fit the body to T frames of keypoints, on the device of the body.

    size: (height, width) of the image, None = the keypoints' own.
    distance: metres between the person and the camera, where ``focal`` is not given.
    progress: called with (frames done, frames in all).
    focal: focal length in pixels, None = not known.
    mask: (T, 1, H, W) 0..1, 1 = person, for tight clothing only: the outline counts too.
    smooth: whether frames are a clip, joined over time, or pictures of one person, each alone.
    """
    size = size or keypoints.size
    _check(keypoints, size, distance, fps, focal, mask)
    usable = keypoints.usable
    if not usable.any():
        raise InputError("keypoints: no frame has enough points to fit a body")
    table = fold(body, stacked_regressor(body))
    like = table.offset
    count, frames = len(table), len(keypoints)
    usable = usable.to(like.device)
    trust = _trust(count).to(like)
    view = View(
        table,
        range_of_motion(like.dtype, like.device),
        keypoints.points[:, :count].to(like),
        keypoints.confidence[:, :count].to(like) * trust,
        like.new_tensor([size[1] / 2, size[0] / 2]),
        distance,
        focal,
    )
    clip = smooth and frames > 1
    limit = STRAYED if clip else REJECTED
    if clip:
        found = fit_clip(view, usable, fps, progress)
        bodies, scale, label, own = found.bodies, found.scale, found.label, found.found
    else:
        bodies, scale, label = _fit_pictures(view, usable, progress)
        own = usable
    bridged = ~own  # by the clip: better than what lies straight between the neighbours
    if mask is not None:
        bodies = _fit_outline(view.relabelled(label), body, bodies, scale, mask, own)
    if progress is not None:
        progress(frames, frames)

    seen = view.relabelled(label)
    energy = energy_per_point(seen, scale, bodies)
    own = own & (energy <= limit)
    evidence = seen.evidence(scale, bodies)
    miss = (predict(table, bodies, evidence.distance) - evidence.points).norm(dim=-1)
    error_px = (miss * (seen.weight > 0)).sum(1) / (seen.weight > 0).sum(1).clamp_min(1) * scale
    pixels = scale * bodies.log_scale.exp()
    confidence = joint_confidence(seen.weight / trust)
    if keypoints.hands is not None:
        exchanged = (label & ARMS) > 0
        lines, weight = hand_lines(keypoints.hands, seen.points, seen.weight, exchanged, pixels)
        rotations = turn_hands(table, bodies, lines, weight, fps if clip else None)
        bodies = replace(bodies, rotations=rotations)
        confidence[:, WRISTS] = torch.maximum(confidence[:, WRISTS], weight)
        confidence[:, HANDS] = torch.maximum(confidence[:, HANDS], weight)
    focals = pixels * distance if focal is None else torch.full_like(pixels, focal)
    camera = Camera(pixels, view.middle + scale[:, None] * bodies.shift, size, focals)
    params = SmplParams(
        pose=matrix_to_axis_angle(bodies.rotations),
        betas=bodies.betas[0],
        body_model=body.id,
        camera=camera,
        confidence=confidence * own[:, None],
        valid=own,
        fps=fps,
    )
    if clip:
        filled = fill_gaps(params)
        params = replace(filled, pose=torch.where(bridged[:, None, None], params.pose, filled.pose))
    away = bodies.rotations[:, 0, 2, 2] > 0
    messages = _messages(keypoints, usable, energy, limit, label, away, params.valid, own)
    # Frames without a body of their own borrow the nearest one's, so that a clip stays a clip.
    if own.any():
        index = own.nonzero().flatten()
        every = torch.arange(frames, device=like.device)
        nearest = index[(every[:, None] - index).abs().argmin(1)]
        borrowed = torch.where(params.valid, every, nearest)
        lent = params.select(borrowed)
        params = replace(params, pose=lent.pose, camera=lent.camera)
        scored = torch.where(usable, every, nearest)
        energy, error_px = energy[scored], error_px[scored]
    return FitResult(params, error_px, energy, keypoints.confidence > 0, messages)


def _check(
    keypoints: Keypoints,
    size: tuple[int, int],
    distance: float,
    fps: float,
    focal: float | None,
    mask: Tensor | None,
) -> None:
    frames = len(keypoints)
    if not frames:
        raise InputError("keypoints hold no frame; a fit needs at least one")
    finite = keypoints.points.isfinite().all(-1) & keypoints.confidence.isfinite()
    if not finite.all():
        bad = (~finite.all(1)).nonzero().flatten().tolist()
        raise InputError(
            f"keypoints: NaN or infinite values in frames {bad[:10]}; "
            "a missing point has confidence 0 and is at 0, 0"
        )
    if not 0.5 <= distance <= 1000:
        raise InputError(f"distance must be 0.5 to 1000 metres; got {distance}")
    if not 0 < fps <= 1000:
        raise InputError(f"fps must be above 0 and at most 1000; got {fps}")
    if focal is not None and not max(size) / 20 <= focal <= max(size) * 200:
        raise InputError(
            f"focal must be pixels, {max(size) / 20:.0f} to {max(size) * 200} for this image; "
            f"got {focal}"
        )
    if size != keypoints.size:
        raise InputError(f"the keypoints are pixels of a {keypoints.size} image, not of {size}")
    if mask is not None and tuple(mask.shape) != (frames, 1, *size):
        raise InputError(
            f"mask must be {(frames, 1, *size)}, one per frame of the keypoints and of the image's "
            f"size; got {tuple(mask.shape)}"
        )


def _fit_pictures(
    view: View, usable: Tensor, progress: Callable[[int, int], None] | None
) -> tuple[Bodies, Tensor, Tensor]:
    """Bodies, scale (T,) and label (T,); frames that are not usable repeat the nearest one."""
    index = usable.nonzero().flatten()
    part = view.select(index)
    scale = pixel_scale(view.table, part.points, part.weight)
    evidence = part.evidence(scale)
    bodies, labels = [], []
    for some in torch.arange(len(index), device=index.device).split(CHUNK):
        held = evidence.select(some)
        found, energy = hypotheses(view.table, view.motion, held, KEPT)
        found, energy, label = mend_frames(view.table, view.motion, held, found, energy)
        first = torch.arange(len(some), device=index.device) * KEPT
        bodies.append(found.select(energy.argmin(1) + first))
        labels.append(label)
        if progress is not None:
            progress(int(some[-1]), len(view))
    bodies, label = join(bodies), torch.cat(labels)
    part = part.relabelled(label)
    if view.focal is not None:  # now that the distance is known better
        bodies, _ = view.solve(_final(part, scale, bodies), bodies, SHARED_STEPS, shape=True)
    if len(index) > 1:
        evidence = _final(part, scale, bodies)
        bodies = replace(bodies, betas=shared_shape(view, evidence, bodies))
        bodies, _ = view.solve(evidence, bodies, SHARED_STEPS)
    every = torch.arange(len(view), device=index.device)
    nearest = (every[:, None] - index).abs().argmin(1)
    return bodies.select(nearest), scale[nearest], torch.where(usable, label[nearest], 0)


def _final(view: View, scale: Tensor, bodies: Bodies) -> Evidence:
    return replace(view.evidence(scale, bodies), outlier=FINAL_OUTLIER)


def _fit_outline(
    view: View, body: BodyModel, bodies: Bodies, scale: Tensor, mask: Tensor, own: Tensor
) -> Bodies:
    """Bodies of the frames ``own`` under the outline of the person as well."""
    outline = outline_of(body, mask, view.middle, scale, view.evidence(scale, bodies).distance)
    index = (own & outline.present).nonzero().flatten()
    evidence = _final(view, scale, bodies)
    alone = len(view) == 1
    for some in index.split(OUTLINE_CHUNK):
        held = evidence.select(some)
        held = replace(held, terms=(outline.select(some),))
        if not alone:  # what the clip has settled stays
            settled = bodies.rotations[some]
            pull = Pull(settled, torch.full_like(settled[..., 0, 0], OUTLINE_PULL**-2))
            held = replace(held, terms=(*held.terms, pull))
        fitted, _ = view.solve(held, bodies.select(some), OUTLINE_STEPS, shape=alone)
        bodies = Bodies(
            *(a.index_copy(0, some, b) for a, b in zip(bodies.tensors, fitted.tensors, strict=True))
        )
    return bodies


def _messages(
    keypoints: Keypoints,
    usable: Tensor,
    energy: Tensor,
    limit: float,
    label: Tensor,
    away: Tensor,
    valid: Tensor,
    own: Tensor,
) -> tuple[str, ...]:
    """What there is to say of each frame: why it has no body, or what was done to give it one."""
    counts = (keypoints.confidence[:, :BODY_COUNT] > 0).sum(1).tolist()
    messages = []
    for frame, value in enumerate(energy.tolist()):
        if own[frame]:
            swap = int(label[frame])
            message = f"left and right {describe(swap)} were swapped: mended" if swap else ""
            if swap and away[frame]:
                message += ", and the body faces away from the camera"
            messages.append(message)
            continue
        if not usable[frame]:
            reason = (
                f"too few body keypoints were found ({counts[frame]}, {MINIMUM_POINTS} are needed)"
            )
        elif not value <= limit:
            per_point = f"energy {value:.1f} per point, at most {limit:.0f}"
            reason = f"no body explains the keypoints ({per_point})"
        else:
            reason = "the keypoints belong to no movement of the frames around"
        messages.append(reason)
    for gap in runs(~own):
        length = gap.stop - gap.start
        for frame in range(gap.start, gap.stop):
            if valid[frame]:
                messages[frame] += ": filled from the frames around"
            elif gap.start > 0 and gap.stop < len(messages) and length > LONGEST_GAP:
                messages[frame] += (
                    f"; the gap of {length} frames is too long to fill (at most {LONGEST_GAP})"
                )
    return tuple(messages)


def _trust(count: int) -> Tensor:
    """(K,) weight of each keypoint beyond its confidence."""
    trust = torch.ones(count)
    trust[[KEYPOINT_NAMES.index("right_ear"), KEYPOINT_NAMES.index("left_ear")]] = EAR_WEIGHT
    trust[KEYPOINT_NAMES.index("neck")] = NECK_WEIGHT
    return trust
