"""Training losses: the paper's (sec. 3.5, Eqs. 3-8) and our own, one weighted objective.

Images are (N, 3, H, W) in [-1, 1], masks (N, 1, H, W) with 1 = background.
"""

from .adversarial import discriminator_loss, fooling_loss
from .identity import IdentityLoss, load_identity
from .mattes import squared_attention, squared_variation, total_variation
from .objective import Judges, LossWeights, View, generator_loss, generator_terms, judging
from .perceptual import PerceptualLoss, load_perceptual, perceptual_substitute
from .pictures import pyramid_l1, structural_dissimilarity
from .rects import body_rects, head_rects

__all__ = [
    "IdentityLoss",
    "Judges",
    "LossWeights",
    "PerceptualLoss",
    "View",
    "body_rects",
    "discriminator_loss",
    "fooling_loss",
    "generator_loss",
    "generator_terms",
    "head_rects",
    "judging",
    "load_identity",
    "load_perceptual",
    "perceptual_substitute",
    "pyramid_l1",
    "squared_attention",
    "squared_variation",
    "structural_dissimilarity",
    "total_variation",
]
