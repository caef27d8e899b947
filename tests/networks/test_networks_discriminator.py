from __future__ import annotations

import torch

from lwg_core.networks.discriminator import PartDiscriminators, PatchDiscriminator, crop


@torch.no_grad()
def test_patch_scores_and_official_keys():
    model = PatchDiscriminator(6)
    assert {key.split(".")[1] for key in model.state_dict()} == {"0", "2", "5", "8", "11", "14"}
    assert model(torch.zeros(2, 6, 256, 256)).shape == (2, 1, 14, 14)
    assert PatchDiscriminator(3, width=8, layers=2)(torch.zeros(1, 3, 64, 64)).shape[1] == 1


@torch.no_grad()
def test_a_score_sees_its_patch_only():
    torch.manual_seed(0)
    # Two layers see 34-px patches (without the normalisation, which sees all).
    model = PatchDiscriminator(3, width=4, layers=2).double()
    for i, module in enumerate(model.model):
        if isinstance(module, torch.nn.InstanceNorm2d):
            model.model[i] = torch.nn.Identity()
    x = torch.randn(1, 3, 96, 96, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, 40, 40] += 1
    rows = (model(x) != model(changed)).nonzero()[:, 2]
    # Score i covers rows 4 i - 11 ... 4 i + 22.
    expected = [i for i in range(22) if 4 * i - 11 <= 40 <= 4 * i + 22]
    assert sorted(set(rows.tolist())) == expected


def test_crops_are_resized_and_empty_ones_left_out():
    x = torch.arange(64.0).reshape(1, 1, 8, 8).repeat(3, 1, 1, 1)
    rects = torch.tensor([[2, 6, 0, 4], [3, 3, 0, 4], [0, 8, 4, 8]])  # x0, x1, y0, y1
    views = crop(x, rects, 2)
    assert views.shape == (2, 1, 4, 4)
    assert torch.equal(views[0, 0], x[0, 0, 0:4, 2:6])
    assert views[1, 0, 0, 0] == 32 and views[1, 0, -1, -1] == 63  # corners aligned
    assert crop(x[:1], rects[1:2], 2) is None


@torch.no_grad()
def test_parts_without_rectangles_are_left_out():
    model = PartDiscriminators(("body", "head"))
    x = torch.randn(2, 6, 256, 256)
    body = torch.tensor([[0, 200, 0, 200], [20, 250, 10, 250]])
    scores = model(x, {"body": body, "head": torch.zeros(2, 4, dtype=torch.long)})
    assert set(scores) == {"global", "body"}
