"""What was really seen of a person.

A body is always whole, but half of it may be a guess: under a table, beyond the picture's edge.
A joint's confidence says how well the bone that it turns was seen. Here it becomes a statement
about vertices, so that nothing guessed is taken for a picture of the person.
"""

from __future__ import annotations

from torch import Tensor

from .model import BodyModel
from .params import SmplParams

LEAST = 0.1  # confidence of a joint below which its bone was not seen
GUESSED, SURE = 0.25, 0.75  # share of a vertex that must hang on seen joints: none of it, all of it


def seen_joints(params: SmplParams) -> Tensor:
    """(T, 24) bool: joints whose bone was seen, directly or by what hangs on it."""
    return params.confidence >= LEAST


def vertex_confidence(body: BodyModel, params: SmplParams) -> Tensor:
    """(T, V) in 0..1: confidence of the joints that carry each vertex, by skinning weight."""
    return params.confidence.to(body.weights) @ body.weights.T


def vertex_trust(body: BodyModel, params: SmplParams) -> Tensor:
    """(T, V) in 0..1: whether the body really is where the mesh says. 0 = only guessed.

    Not how confident: what is worth a body is worth its texture. It fades along the skin between a
    joint that was seen and one that was not.
    """
    share = seen_joints(params).to(body.weights) @ body.weights.T
    return ((share - GUESSED) / (SURE - GUESSED)).clamp(0, 1)
