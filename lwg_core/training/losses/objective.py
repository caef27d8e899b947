"""The generator's objective: every term, weighted; none but our own unless asked for.

Terms of the paper (sec. 3.5, Eqs. 3-8), symbol, field of :class:`LossWeights`, official weight:

    L1 of sources     L_1    reconstruction      10   code: the mean of it and of the background's
    perceptual        L_p    perceptual          10   code: raw pictures, see perceptual.py
    face identity     L_f    identity             5   code: all stages of the network, not only its
                                                      embedding
    adversarial       L_adv  adversarial          1   code: averaged over the discriminators
    attention         L_a    attention          2.5   paper: squared, to rendered silhouettes
                             matte, smoothness 5, 1   code instead: cross-entropy to mattes, TV

``LossWeights.official()`` is the released code's choice, ``LossWeights.paper()`` the paper's form
of the attention term. Terms of ours, the default, need no network beside the generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from ...errors import InputError
from ...networks.discriminator import PartDiscriminators
from .adversarial import discriminator_loss, fooling_loss
from .identity import IdentityLoss
from .mattes import matte_cross_entropy, squared_attention, total_variation
from .perceptual import PerceptualLoss, perceptual_substitute
from .pictures import pyramid_l1, structural_dissimilarity


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of :func:`generator_loss`; a term of weight 0 is not computed.

    Ours: pixels (L1, the person weighted more), pyramid, structure, colour (L1 under the matte).
    Ours and the released code's: matte (cross-entropy), smoothness (TV). The others are the
    paper's, see the module's docstring.
    """

    pixels: float = 1.0
    pyramid: float = 1.0
    structure: float = 0.3
    matte: float = 0.6
    smoothness: float = 0.01
    colour: float = 0.3
    reconstruction: float = 0.0
    perceptual: float = 0.0
    identity: float = 0.0
    adversarial: float = 0.0
    attention: float = 0.0

    @classmethod
    def official(cls) -> LossWeights:
        """The released code's objective."""
        return cls(pixels=0, pyramid=0, structure=0, matte=5, smoothness=1, colour=0,
                   reconstruction=10, perceptual=10, identity=5, adversarial=1)  # fmt: skip

    @classmethod
    def paper(cls) -> LossWeights:
        """The paper's objective: its squared attention term in place of the code's two."""
        return cls(pixels=0, pyramid=0, structure=0, matte=0, smoothness=0, colour=0,
                   reconstruction=10, perceptual=10, identity=5, adversarial=1,
                   attention=2.5)  # fmt: skip


@dataclass(frozen=True)
class Judges:
    """Networks that terms look through.

    Without ``perceptual`` its substitute is used; the terms of the others cannot be asked for then.
    """

    perceptual: PerceptualLoss | None = None
    identity: IdentityLoss | None = None
    discriminators: PartDiscriminators | None = None

    def check(self, weights: LossWeights) -> None:
        """InputError if a term is asked for whose network is not there."""
        if weights.identity and self.identity is None:
            raise InputError(
                "the face-identity loss needs SphereFace's network; give sphere20a_20171020.pth, "
                "or set its weight to 0"
            )
        if weights.adversarial and self.discriminators is None:
            raise InputError(
                "the adversarial loss needs discriminators; set its weight to 0 to do without"
            )


@dataclass(frozen=True)
class View:
    """What some terms need to know beside the targets.

    condition: (N, C, H, W) the discriminators see it behind the picture (officially the
        correspondence map), for the adversarial term.
    rects: part ("head", "body", ...) -> (N, 4) pixels x0, x1, y0, y1, see ``rects``; "head" for the
        identity term, and those of the discriminators' parts.
    silhouette: (N, 1, H, W) of the rendered bodies, 1 = person, for the attention term; None: the
        true matte takes its place.
    reconstructions: pairs of pictures, answered and true: the sources from the source stream's
        decoder, the background. Nothing is added for a generator that makes neither.
    backgrounds: what the background discriminator sees, generated and true (N, 4, H, W): picture
        and mask. None: it is not asked.
    source_mask, source_alpha: (S, 1, H, W) masks that the source stream answers and the true
        mattes; they count like the targets'. Given both or neither.
    """

    condition: Tensor | None = None
    rects: Mapping[str, Tensor] = field(default_factory=dict)
    silhouette: Tensor | None = None
    reconstructions: tuple[tuple[Tensor, Tensor], ...] = ()
    backgrounds: tuple[Tensor, Tensor] | None = None
    source_mask: Tensor | None = None
    source_alpha: Tensor | None = None


def generator_loss(
    colour: Tensor,
    mask: Tensor,
    image: Tensor,
    alpha: Tensor,
    background: Tensor,
    emphasis: Tensor,
    weights: LossWeights | None = None,
    judges: Judges | None = None,
    view: View | None = None,
) -> Tensor:
    """Loss of one batch of targets: the sum of :func:`generator_terms`."""
    terms = generator_terms(colour, mask, image, alpha, background, emphasis, weights, judges, view)
    return sum(terms.values(), start=colour.new_zeros(()))


def generator_terms(
    colour: Tensor,
    mask: Tensor,
    image: Tensor,
    alpha: Tensor,
    background: Tensor,
    emphasis: Tensor,
    weights: LossWeights | None = None,
    judges: Judges | None = None,
    view: View | None = None,
) -> dict[str, Tensor]:
    """The terms of one batch of targets, weighted, by the name of their weight.

    colour, mask: what the generator answers. image: the true composite. alpha: (N, 1, H, W) true
    matte, 1 = person. background: the true background. emphasis: (N, 1, H, W) >= 0, extra weight
    of pixels that matter more (faces).
    """
    weights, judges, view = weights or LossWeights(), judges or Judges(), view or View()
    judges.check(weights)
    composite = mask * background + (1 - mask) * colour
    silhouette = alpha if view.silhouette is None else view.silhouette
    masks, alphas, outlines = mask, alpha, silhouette
    if view.source_mask is not None:
        masks = torch.cat([mask, view.source_mask])
        alphas, outlines = (torch.cat([own, view.source_alpha]) for own in (alpha, silhouette))
    near = 1 + 4 * F.max_pool2d(alpha, 9, 1, 4) + emphasis
    terms = {
        "pixels": lambda: ((composite - image).abs() * near).mean(),
        "pyramid": lambda: pyramid_l1(composite, image, near),
        "structure": lambda: structural_dissimilarity(composite, image),
        "matte": lambda: matte_cross_entropy(masks, alphas),
        "smoothness": lambda: total_variation(masks),
        "colour": lambda: ((colour - image).abs() * alpha).mean(),
        "reconstruction": lambda: reconstruction_loss(view, image),
        "perceptual": lambda: (judges.perceptual or perceptual_substitute)(composite, image),
        "identity": lambda: judges.identity(composite, image, view.rects["head"]),
        "adversarial": lambda: fooling(composite, judges.discriminators, view),
        "attention": lambda: squared_attention(masks, outlines),
    }
    chosen = {name: getattr(weights, name) for name in terms}
    return {name: weight * terms[name]() for name, weight in chosen.items() if weight}


def reconstruction_loss(view: View, image: Tensor) -> Tensor:
    """L_1: mean over what the other streams answer, officially the sources and the background."""
    found = [F.l1_loss(answer, truth) for answer, truth in view.reconstructions]
    return torch.stack(found).mean() if found else image.new_zeros(())


def fooling(composite: Tensor, discriminators: PartDiscriminators, view: View) -> Tensor:
    """L_adv of the generator; the discriminators get no gradient from it."""
    fixed = {name: value.detach() for name, value in discriminators.named_parameters()}
    inputs = (seen(composite, view), view.rects, view.backgrounds and view.backgrounds[0])
    return fooling_loss(functional_call(discriminators, fixed, inputs))


def judging(
    composite: Tensor, image: Tensor, discriminators: PartDiscriminators, view: View
) -> Tensor:
    """What the discriminators are trained by: true pictures beside generated ones, detached."""
    generated, true = view.backgrounds or (None, None)
    detached = None if generated is None else generated.detach()
    return discriminator_loss(
        discriminators(seen(image, view), view.rects, true),
        discriminators(seen(composite.detach(), view), view.rects, detached),
    )


def seen(images: Tensor, view: View) -> Tensor:
    """What a discriminator is shown: (N, 3 + C, H, W)."""
    return images if view.condition is None else torch.cat([images, view.condition], 1)
