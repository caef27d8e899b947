"""Training items: whole, repeatable, never with a target among its own sources."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from people import painted, person, source  # noqa: E402

from lwg_core.body.open_body import open_body  # noqa: E402
from lwg_core.errors import InputError  # noqa: E402
from lwg_core.render.raster import coverage  # noqa: E402
from lwg_core.synthetic.dataset import make_record, save_record  # noqa: E402
from lwg_core.training import data  # noqa: E402
from lwg_core.training.data import ItemStream, TrainingSet, make_item  # noqa: E402
from lwg_core.training.evaluate import held_out_items  # noqa: E402

SIZE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    for seed in (11, 12):
        save_record(folder / f"{seed}.npz", make_record(seed, poses=7, size=SIZE))
    return folder


def items(folder, seed, count):
    stream = iter(TrainingSet(folder, open_body(), SIZE, seed, targets=2, pool=2))
    return [next(stream) for _ in range(count)]


def test_items_are_whole_and_repeatable(folder):
    first, again, other = items(folder, 5, 3), items(folder, 5, 3), items(folder, 6, 3)
    for item in first:
        sources, targets = item.flow.shape[1], len(item.image)
        height, width = item.image.shape[2:]
        assert item.source_inputs.shape[:2] == (sources, 8) and targets == 2
        assert item.target_inputs.shape == (targets, 8, height, width)
        assert item.flow.shape == (targets, sources, height, width, 2)
        assert item.alpha.shape == item.emphasis.shape == (targets, 1, height, width)
        assert height % 8 == width % 8 == 0
        bare = (item.alpha == 0).expand_as(item.image)
        assert bare.any()
        torch.testing.assert_close(item.image[bare], item.background[bare], atol=1e-5, rtol=0)
        seen = (item.flow > -2).all(-1)
        assert seen.any() and item.flow[seen].abs().max() < 1.2
    assert all(
        torch.equal(a.target_inputs, b.target_inputs) for a, b in zip(first, again, strict=True)
    )
    assert any(a.flow.shape != b.flow.shape for a, b in zip(first, other, strict=True))


def test_targets_are_never_sources(folder):
    training = TrainingSet(folder, open_body(), SIZE, 0)
    chosen = [training._choose(7) for _ in range(300)]
    assert all(not set(sources) & set(targets) for sources, targets in chosen)
    assert {len(sources) for sources, _ in chosen} == {1, 2, 3, 4}
    assert all(len(targets) == min(4, 7 - len(sources)) for sources, targets in chosen)


def test_items_carry_solved_and_true_clothes(folder, monkeypatch):
    """Without solved offsets a skirt's silhouette at inference would be new to the network."""
    training = TrainingSet(folder, open_body(), SIZE, 0, targets=1, pool=2)
    person = training._fresh()
    assert person.solved.abs().max() > 0.005
    used = []
    make = data.make_item
    monkeypatch.setattr(data, "make_item", lambda *a, **k: used.append(a[3]) or make(*a, **k))
    training.pool = [person]
    for _ in range(12):
        training._item(person)
    solved = [torch.equal(offsets, person.solved) for offsets in used]
    assert any(solved) and not all(solved)


def test_records_of_another_body_are_refused(folder):
    body = open_body()
    other = replace(body, v_template=body.v_template * 1.01)
    with pytest.raises(InputError, match="made with another body"):
        next(iter(TrainingSet(folder, other, SIZE, 0)))


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no training records \(\*.npz\) in"):
        next(iter(TrainingSet(tmp_path, open_body(), SIZE, 0)))
    with pytest.raises(InputError, match=r"no test records \(\*.npz\) in"):
        held_out_items(tmp_path, open_body(), SIZE)


def test_held_out_targets_are_other_pictures_than_the_sources(folder):
    (item,) = held_out_items(folder, open_body(), SIZE, people=1)
    assert item.source_inputs.shape == (2, 8, SIZE, SIZE) and len(item.image) == 4
    pictures = item.source_inputs[:, None, :3] + 0 * item.image[None]
    alpha = item.source_inputs[:, None, 7:8]
    assert ((pictures - item.image * alpha).abs().mean((2, 3, 4)) > 0.005).all()


def test_processes_of_a_loader_get_seeds_of_their_own(monkeypatch):
    stream = ItemStream(lambda seed: [seed], (3, 0, 100))
    assert list(stream) == [(3, 0, 100, 0)]
    monkeypatch.setattr(data, "get_worker_info", lambda: SimpleNamespace(id=2))
    assert list(stream) == [(3, 0, 100, 2)]


def test_a_target_keeps_its_own_shape():
    """Bodies recovered from several pictures of a person differ; each fits its own camera."""
    body, target = open_body(), person(0.2)
    betas = torch.zeros(10)
    betas[0] = 2.5
    target = replace(target, betas=betas)
    image, alpha = painted(target)
    item = make_item((source(0.0),), target, body, None, image[None], alpha[None], image[None] * 0)
    points = target.camera.project(body.vertices(target.pose, betas))
    expected = coverage(points, body.faces, (SIZE, SIZE))
    assert torch.equal(item.target_inputs[:, 6:7], expected)
