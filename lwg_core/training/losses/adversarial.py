"""Least-squares GAN (L_adv of paper sec. 3.5; Mao et al., 2017) with the targets 1, -1 and 0.

The discriminators are to score true pictures 1 and generated ones -1; the generator is to be scored
0. Scores come as ``PartDiscriminators`` gives them: by part, a patch map each. Maps are averaged
and then the parts, so that a part counts the same however many patches it has.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

TRUE, GENERATED, FOOLED = 1.0, -1.0, 0.0


def distance_to(scores: Mapping[str, Tensor], target: float) -> Tensor:
    """Mean squared distance of patch scores to a target, over each part and then over the parts."""
    return torch.stack([(part - target).square().mean() for part in scores.values()]).mean()


def fooling_loss(generated: Mapping[str, Tensor]) -> Tensor:
    """The generator's term: scores of its pictures."""
    return distance_to(generated, FOOLED)


def discriminator_loss(true: Mapping[str, Tensor], generated: Mapping[str, Tensor]) -> Tensor:
    """The discriminators' objective: scores of true pictures and of detached generated ones."""
    return distance_to(true, TRUE) + distance_to(generated, GENERATED)
