"""A generator and a discriminator trained side by side by the official objective."""

import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parent))
from people import SIZE, person, small_generator, source  # noqa: E402

from lwg_core.body.model import PART_NAMES  # noqa: E402
from lwg_core.body.open_body import open_body  # noqa: E402
from lwg_core.networks.discriminator import PartDiscriminators  # noqa: E402
from lwg_core.networks.sphere20a import Sphere20a  # noqa: E402
from lwg_core.networks.vgg import VGG19  # noqa: E402
from lwg_core.training.data import make_item  # noqa: E402
from lwg_core.training.losses import (  # noqa: E402
    IdentityLoss,
    Judges,
    LossWeights,
    PerceptualLoss,
    View,
    generator_terms,
    head_rects,
    judging,
)


def test_the_official_objective_trains():
    torch.manual_seed(0)
    body = open_body()
    target, params = source(0.6), person(0.6)
    background = torch.full((3, SIZE, SIZE), -0.5)
    image = target.mask * target.image + (1 - target.mask) * background
    truth = image[None], target.mask[None], background[None]
    item = make_item((source(0.0), source(2.8)), params, body, None, *truth)
    points = params.camera.project(body.vertices(params.pose, params.betas))[..., :2]
    head = (body.parts == PART_NAMES.index("head")) | (body.parts == PART_NAMES.index("face"))
    view = View(
        condition=item.target_inputs[:, 3:6],
        silhouette=item.target_inputs[:, 6:7],
        rects={"head": head_rects(points[:, head], (SIZE, SIZE))},
    )
    x0, x1, y0, y1 = view.rects["head"][0].tolist()
    inside = target.mask[0, y0:y1, x0:x1]
    assert 6 < x1 - x0 < 24 and y0 == 0 and 3 < y1 < 12  # the picture cuts the head
    assert inside.mean() > 0.3

    judges = Judges(
        PerceptualLoss(VGG19(8)), IdentityLoss(Sphere20a(4, 16)), PartDiscriminators((), width=8)
    )
    for judge in (judges.perceptual, judges.identity):
        judge.requires_grad_(False)
    generator = small_generator()
    painter = torch.optim.Adam(generator.parameters(), 2e-3)
    critic = torch.optim.Adam(judges.discriminators.parameters(), 1e-3)
    history = []
    for _ in range(12):
        bank = generator.encode(item.source_inputs)
        colour, mask = generator.decode(bank, item.target_inputs, item.flow)
        terms = generator_terms(
            colour, mask, item.image, item.alpha, item.background, item.emphasis,
            LossWeights.official(), judges, view,
        )  # fmt: skip
        painter.zero_grad()
        sum(terms.values()).backward()
        painter.step()
        composite = mask * item.background + (1 - mask) * colour
        critic.zero_grad()
        judging(composite, item.image, judges.discriminators, view).backward()
        critic.step()
        history.append({name: term.item() for name, term in terms.items()})
    first, last = history[0], history[-1]
    assert last["perceptual"] < 0.8 * first["perceptual"]
    assert last["matte"] < 0.8 * first["matte"]
    assert last["identity"] < first["identity"]
    assert first["reconstruction"] == 0  # no source decoder, no background network
