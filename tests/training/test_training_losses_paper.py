"""The paper's terms: values by hand, what gets gradients, weights of the objective, files."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from lwg_core.errors import InputError
from lwg_core.networks.discriminator import PartDiscriminators, build_discriminators
from lwg_core.networks.sphere20a import Sphere20a
from lwg_core.networks.vgg import VGG19
from lwg_core.training.losses import (
    IdentityLoss,
    Judges,
    LossWeights,
    PerceptualLoss,
    View,
    body_rects,
    discriminator_loss,
    fooling_loss,
    generator_loss,
    generator_terms,
    head_rects,
    judging,
    load_identity,
    load_perceptual,
    perceptual_substitute,
    pyramid_l1,
    squared_attention,
    structural_dissimilarity,
    total_variation,
)
from lwg_core.training.losses.perceptual import feature_distance

NOTHING = LossWeights(pixels=0, pyramid=0, structure=0, matte=0, smoothness=0, colour=0)


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def answers(count: int = 2, size: int = 32) -> dict[str, torch.Tensor]:
    """What the generator says and the truth, as ``generator_loss`` takes it."""
    return {
        "colour": pictures(count, 3, size, size, seed=1),
        "mask": pictures(count, 1, size, size, seed=2) / 2 + 0.5,
        "image": pictures(count, 3, size, size, seed=3),
        "alpha": (pictures(count, 1, size, size, seed=4) > 0).float(),
        "background": pictures(count, 3, size, size, seed=5),
        "emphasis": pictures(count, 1, size, size, seed=6) + 1,
    }


@pytest.fixture(scope="module")
def vgg() -> VGG19:
    torch.manual_seed(0)
    return VGG19(4).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def sphere() -> Sphere20a:
    torch.manual_seed(1)
    return Sphere20a(4, 16).eval().requires_grad_(False)


def discriminators(parts: tuple[str, ...] = (), inputs: int = 6) -> PartDiscriminators:
    torch.manual_seed(2)
    return PartDiscriminators(parts, inputs=inputs, width=4)


def test_the_default_objective_is_what_it_was():
    """Bit for bit, gradients too: the expression that the shipped weights were trained by."""

    def before(colour, mask, image, alpha, background, emphasis):
        composite = mask * background + (1 - mask) * colour
        weight = 1 + 4 * F.max_pool2d(alpha, 9, 1, 4) + emphasis
        matte = F.binary_cross_entropy(mask.clamp(1e-4, 1 - 1e-4), 1 - alpha)
        return (
            ((composite - image).abs() * weight).mean()
            + 1.0 * pyramid_l1(composite, image, weight)
            + 0.3 * structural_dissimilarity(composite, image)
            + 0.6 * matte
            + 0.01 * total_variation(mask)
            + 0.3 * ((colour - image).abs() * alpha).mean()
        )

    results = []
    for loss in (before, generator_loss):
        given = answers()
        given["colour"].requires_grad_()
        given["mask"].requires_grad_()
        value = loss(**given)
        value.backward()
        results.append((value.detach(), given["colour"].grad, given["mask"].grad))
    assert all(torch.equal(x, y) for x, y in zip(*results, strict=True))


def test_the_squared_attention_of_a_step():
    silhouette = torch.zeros(1, 1, 4, 4)
    silhouette[..., 2:] = 1
    # The mask is the silhouette's inverse: only the step counts, 4 of the 12 horizontal pairs.
    assert float(squared_attention(1 - silhouette, silhouette)) == pytest.approx(4 / 12)
    # Half everywhere is smooth and off by a half.
    assert float(squared_attention(torch.full_like(silhouette, 0.5), silhouette)) == 0.25
    softer = 1 - 0.5 * silhouette
    assert float(squared_attention(softer, silhouette)) == pytest.approx(0.125 + 1 / 12)


def test_parts_count_alike_in_the_adversarial_loss():
    scores = {"global": torch.full((2, 1, 9, 9), 2.0), "head": torch.full((1, 1, 1, 1), -1.0)}
    assert float(fooling_loss(scores)) == (4 + 1) / 2
    assert float(discriminator_loss(scores, scores)) == (1 + 4) / 2 + (9 + 0) / 2
    best = discriminator_loss({"global": torch.ones(3)}, {"global": -torch.ones(3)})
    assert float(best) == 0


def test_generator_and_discriminators_are_trained_apart():
    judge = discriminators(("head", "bg"))
    given = answers(size=256)
    given["colour"].requires_grad_()
    painted = pictures(2, 4, 256, 256, seed=8).requires_grad_()
    view = View(
        condition=pictures(2, 3, 256, 256, seed=7),
        rects={"head": torch.tensor([[10, 200, 0, 180], [0, 0, 0, 0]])},
        backgrounds=(painted, pictures(2, 4, 256, 256, seed=9)),
    )
    weights = LossWeights(**{**vars(NOTHING), "adversarial": 2.0})
    loss = generator_loss(**given, weights=weights, judges=Judges(discriminators=judge), view=view)
    loss.backward()
    assert given["colour"].grad.abs().sum() > 0 and painted.grad.abs().sum() > 0
    assert all(p.grad is None for p in judge.parameters())
    with torch.no_grad():
        composite = given["mask"] * given["background"] + (1 - given["mask"]) * given["colour"]
        seen = torch.cat([composite, view.condition], 1)
        expected = 2 * fooling_loss(judge(seen, view.rects, painted))
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-6)

    composite.requires_grad_()
    painted.grad = None
    judging(composite, given["image"], judge, view).backward()
    assert composite.grad is None and painted.grad is None
    assert all(p.grad is not None for p in judge.parameters())


def test_discriminators_learn_and_the_generator_fools_them():
    torch.manual_seed(0)
    judge = discriminators(inputs=3)
    true, false = torch.full((2, 3, 64, 64), 0.5), pictures(2, 3, 64, 64)
    false = false.requires_grad_()
    rest = Judges(discriminators=judge)
    weights = LossWeights(**{**vars(NOTHING), "adversarial": 1.0})
    step = torch.optim.Adam(judge.parameters(), 1e-3)
    losses = []
    for _ in range(12):
        loss = judging(false, true, judge, View())
        step.zero_grad()
        loss.backward()
        step.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    one = torch.zeros(2, 1, 64, 64)

    def fooled():
        return generator_loss(false, one, true, 1 - one, true, one, weights, rest)

    before = fooled()
    (gradient,) = torch.autograd.grad(before, false)
    false.data -= 0.01 * gradient.sign()
    assert fooled() < before


def test_perceptual(vgg):
    loss = PerceptualLoss(vgg)
    a, b = pictures(2, 3, 48, 40), pictures(2, 3, 48, 40, seed=1)
    a.requires_grad_()
    b.requires_grad_()
    assert loss(a, a) == 0
    value = loss(a, b)
    value.backward()
    assert a.grad.abs().sum() > 0 and b.grad is None
    # What is deep counts most.
    shallow, deep = torch.zeros(2, 3), torch.full((2, 3), 2.0)
    assert float(feature_distance((shallow,) * 5, (shallow,) * 4 + (deep,))) == 2
    assert float(feature_distance((shallow,) * 5, (deep,) * 4 + (shallow,))) == 2 * 15 / 32


def test_the_substitute_of_the_perceptual_loss():
    given = answers()
    weights = LossWeights(**{**vars(NOTHING), "perceptual": 10.0})
    composite = given["mask"] * given["background"] + (1 - given["mask"]) * given["colour"]
    expected = 10 * perceptual_substitute(composite, given["image"])
    assert torch.equal(generator_loss(**given, weights=weights), expected)
    x = F.avg_pool2d(pictures(1, 3, 66, 66), 3, 1)
    blurred = F.avg_pool2d(x, 3, 1, 1)
    assert perceptual_substitute(x, x) == pytest.approx(0, abs=1e-6)
    assert perceptual_substitute(blurred, x) > 3 * (blurred - x).abs().mean()


def test_identity_looks_at_heads_alone(sphere):
    loss = IdentityLoss(sphere)
    a, b = pictures(2, 3, 64, 64), pictures(2, 3, 64, 64, seed=1)
    heads = torch.tensor([[8, 40, 4, 30], [5, 5, 0, 10]])
    a.requires_grad_()
    loss(a, b, heads).backward()
    seen = a.grad.abs().sum(1) > 0
    assert seen[0, 4:30, 8:40].float().mean() > 0.99 and not seen[1].any()
    seen[0, 4:30, 8:40] = False
    assert not seen.any()
    empty = loss(a, b, torch.zeros(2, 4, dtype=torch.long))
    assert float(empty) == 0
    a = a.detach()
    assert float(loss(a, b, heads)) == pytest.approx(float(loss(a[:1], b[:1], heads[:1])))


@torch.no_grad()
def test_the_official_objective(vgg, sphere):
    """Every term by its own function, times the official weight."""
    given = answers(size=64)
    judges = Judges(PerceptualLoss(vgg), IdentityLoss(sphere), discriminators(inputs=3))
    heads = torch.tensor([[8, 40, 4, 30], [0, 20, 0, 20]])
    source, truth = pictures(1, 3, 64, 64, seed=11), pictures(1, 3, 64, 64, seed=12)
    source_mask, source_alpha = torch.rand(3, 1, 64, 64), torch.ones(3, 1, 64, 64)
    view = View(
        rects={"head": heads},
        reconstructions=((source, truth), (given["background"], given["background"])),
        source_mask=source_mask,
        source_alpha=source_alpha,
    )
    composite = given["mask"] * given["background"] + (1 - given["mask"]) * given["colour"]
    masks = torch.cat([given["mask"], source_mask])
    alphas = torch.cat([given["alpha"], source_alpha])
    common = {
        "reconstruction": 10 * (source - truth).abs().mean() / 2,
        "perceptual": 10 * judges.perceptual(composite, given["image"]),
        "identity": 5 * judges.identity(composite, given["image"], heads),
        "adversarial": judges.discriminators(composite, {})["global"].square().mean(),
    }
    bce = F.binary_cross_entropy(masks.clamp(1e-4, 1 - 1e-4), 1 - alphas)
    expected = {
        LossWeights.official(): {**common, "matte": 5 * bce, "smoothness": total_variation(masks)},
        LossWeights.paper(): {**common, "attention": 2.5 * squared_attention(masks, alphas)},
    }
    for weights, terms in expected.items():
        found = generator_terms(**given, weights=weights, judges=judges, view=view)
        assert found.keys() == terms.keys()
        for name, term in terms.items():
            assert float(found[name]) == pytest.approx(float(term), rel=1e-5), name
        total = generator_loss(**given, weights=weights, judges=judges, view=view)
        assert float(total) == pytest.approx(sum(map(float, terms.values())), rel=1e-5)


def test_the_paper_compares_attention_with_silhouettes():
    given = answers()
    silhouette = torch.zeros_like(given["alpha"])
    weights = LossWeights(**{**vars(NOTHING), "attention": 2.5})
    found = generator_loss(**given, weights=weights, view=View(silhouette=silhouette))
    assert float(found) == pytest.approx(2.5 * float(squared_attention(given["mask"], silhouette)))


def test_a_term_without_its_network_is_refused():
    for name, words in (("identity", "sphere20a_20171020.pth"), ("adversarial", "discriminators")):
        weights = LossWeights(**{name: 1.0})
        with pytest.raises(InputError, match=words):
            generator_loss(**answers(), weights=weights)


def test_rectangles():
    points = torch.tensor([[[40.0, 20.0], [60.5, 51.9]], [[-50.0, -9.0], [-20.0, 5.0]]])
    assert head_rects(points, (100, 200)).tolist() == [[30, 70, 15, 51], [0, 0, 0, 5]]
    body = body_rects(points, (100, 200)).tolist()
    assert body == [[37, 62, 16, 55], [0, 0, 0, 6]]
    lost = points.clone()
    lost[0, 1, 0] = torch.nan
    assert head_rects(lost, (100, 200))[0].tolist() == [0, 0, 0, 0]


def saved(path, weights):
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_files_load_with_what_they_also_hold(tmp_path, vgg, sphere, ending):
    x, y = pictures(1, 3, 64, 64), pictures(1, 3, 64, 64, seed=1)
    more = {f"features.{i}.weight": torch.zeros(1) for i in (30, 32, 34)}
    more["classifier.6.bias"] = torch.zeros(1000)
    path = saved(tmp_path / f"vgg19{ending}", {**vgg.state_dict(), **more})
    assert torch.equal(load_perceptual(path)(x, y), PerceptualLoss(vgg)(x, y))
    weights = {f"module.{key}": value for key, value in sphere.state_dict().items()}
    path = saved(tmp_path / f"sphere{ending}", {**weights, "module.fc6.weight": torch.zeros(16, 9)})
    heads = torch.tensor([[0, 64, 0, 64]])
    loss = load_identity(path)
    assert torch.equal(loss(x, y, heads), IdentityLoss(sphere)(x, y, heads))
    assert not any(p.requires_grad for p in loss.parameters())


def without(weights, key):
    return {k: v for k, v in weights.items() if k != key}


def test_other_files_are_refused(tmp_path, vgg, sphere):
    good, face = vgg.state_dict(), sphere.state_dict()
    judge = discriminators(("body",)).state_dict()
    nan = torch.full_like(good["features.2.bias"], torch.nan)
    cases = [
        (load_perceptual, without(good, "features.7.bias"), "1 missing: features.7.bias"),
        (load_perceptual, {**good, "features.24.weight": nan}, "unexpected: features.24.weight"),
        (load_perceptual, {**good, "features.2.bias": nan}, "NaN .* features.2.bias"),
        (load_perceptual, {**good, "features.2.bias": nan[:1]}, "of the wrong shape"),
        (load_perceptual, face, "is no VGG-19"),
        (load_identity, good, "is no Sphere20a"),
        (load_identity, without(face, "relu3_9.weight"), "1 missing: relu3_9.weight"),
    ]
    for load, weights, words in cases:
        with pytest.raises(InputError, match=words):
            load(saved(tmp_path / "weights.pth", weights))
    with pytest.raises(InputError, match="2 missing: body_model.model.14.bias"):
        some = {k: v for k, v in judge.items() if not k.startswith("body_model.model.14")}
        build_discriminators(some, "judges.pth")
    assert build_discriminators(judge, "judges.pth").parts == ("body",)


def test_torchvision_is_not_needed():
    code = "import sys, lwg_core.training.losses; assert 'torchvision' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
