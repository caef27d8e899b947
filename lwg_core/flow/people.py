"""Do the pictures that are said to show one person show one? Told by the recovered shapes."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from ..body.model import BodyModel
from ..body.params import JOINT_NAMES
from .source import Sources

log = logging.getLogger(__name__)

# Chains of joints measured on the T-pose, and how far two recoveries of one person may differ
# (ratio): one and a half times the worst among 140 pairs of recoveries from noisy keypoints of one
# person. Keypoints alone say little about shape, so only great differences are told.
_LIMBS = {
    "length of the legs": (
        ("left_hip left_knee left_ankle", "right_hip right_knee right_ankle"), 1.04,
    ),
    "length of the arms": (
        ("left_shoulder left_elbow left_wrist", "right_shoulder right_elbow right_wrist"), 1.04,
    ),
    "length of the trunk": (("pelvis neck",), 1.04),
    "width of the shoulders": (("left_shoulder right_shoulder",), 1.12),
}  # fmt: skip
HEIGHT_RATIO = 1.1


def body_measures(body: BodyModel, betas: Tensor) -> dict[str, tuple[float, float]]:
    """Height in metres and limbs over height of betas (10,), each with the ratio it may differ."""
    rest, joints = body.rest(betas), body.joints_rest(betas[None])[0]
    height = float(rest[:, 1].max() - rest[:, 1].min())
    measures = {"height": (height, HEIGHT_RATIO)}
    for name, (chains, ratio) in _LIMBS.items():
        length = 0.0
        for chain in chains:
            along = joints[[JOINT_NAMES.index(joint) for joint in chain.split()]]
            length += float((along[1:] - along[:-1]).norm(dim=1).sum())
        measures[name] = (length / len(chains) / height, ratio)
    return measures


def warn_of_different_people(sources: Sources, body: BodyModel) -> None:
    """Log a warning where pictures of one person have bodies that cannot be one person's."""
    with torch.no_grad():
        found = [
            body_measures(body, source.params.betas.to(body.v_template).reshape(-1))
            for source in sources
        ]
    first: dict[int, int] = {}
    for number, source in enumerate(sources):
        known = first.setdefault(source.person, number)
        for name, (value, ratio) in found[number].items():
            other = found[known][name][0]
            if max(value, other) > ratio * min(value, other):
                log.warning(
                    "sources %d and %d seem to show different people: the %s differs by %.0f %%; "
                    "clothes and hair are mixed. Another person's clothes are put on with Select "
                    "Parts",
                    known + 1,
                    number + 1,
                    name,
                    100 * (max(value, other) / min(value, other) - 1),
                )
                break
