"""The training loop: learns, saves, and a resumed run ends where an uninterrupted one does."""

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from people import painted, person, small_generator, source  # noqa: E402

from lwg_core.body.open_body import open_body  # noqa: E402
from lwg_core.errors import InputError  # noqa: E402
from lwg_core.networks.generator import AttLWBGenerator  # noqa: E402
from lwg_core.training.data import make_item  # noqa: E402
from lwg_core.training.evaluate import score_generator, warp_baselines  # noqa: E402
from lwg_core.training.train import with_full_size_skip  # noqa: E402
from lwg_core.training.trainer import Schedule, Trainer  # noqa: E402


@pytest.fixture(scope="module")
def item():
    body = open_body()
    target = person(0.3, 0.4)
    image, alpha = painted(target)
    return make_item(
        (source(0.0), source(3.1)),
        target,
        body,
        None,
        image[None],
        alpha[None],
        torch.zeros(1, 3, *image.shape[1:]),
    )


def run(output, steps, item, generator=None):
    schedule = Schedule(steps=6, minutes=1e9, rate=1e-3, warmup=1)
    trainer = Trainer(generator or small_generator(), schedule, output, half=False)
    trainer.resume()
    trainer.run(itertools.islice(itertools.repeat(item), steps), every=3, report=lambda t: None)
    return trainer


def test_resumed_run_equals_an_uninterrupted_one(tmp_path, item):
    torch.manual_seed(0)
    whole = run(tmp_path / "whole", 6, item)
    with pytest.raises(StopIteration):  # the items run out in the middle, as a crash would
        run(tmp_path / "cut", 3, item)
    first = Trainer(
        small_generator(), Schedule(6, 1e9, 1e-3, warmup=1), tmp_path / "cut", half=False
    )
    for step in range(3):
        first._train_step(item, step / 6)
    first.save()
    rest = run(tmp_path / "cut", 3, item, generator=small_generator(seed=1))
    assert rest.step == whole.step == 6 and rest.samples == whole.samples == 6
    for a, b in zip(whole.average.parameters(), rest.average.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_training_lowers_the_loss(tmp_path, item):
    trainer = Trainer(
        small_generator(), Schedule(40, 1e9, 2e-3, warmup=1), tmp_path / "run", half=False
    )
    before = float(trainer.loss(item))
    trainer.run(itertools.repeat(item), every=1000, report=lambda t: None)
    assert float(trainer.loss(item)) < 0.7 * before


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, item):
    broken = replace(item, image=item.image * float("nan"))
    trainer = Trainer(small_generator(), Schedule(5, 1e9), tmp_path / "run", half=False)
    trainer.save()
    with pytest.raises(InputError, match=r"step 1 .*checkpoint\.pt.* of step 0"):
        trainer.run(itertools.repeat(broken), every=1000, report=lambda t: None)
    assert all(p.isfinite().all() for p in trainer.generator.parameters())


def test_older_weights_get_a_skip_that_changes_nothing(item):
    plain = AttLWBGenerator.from_scratch(replace(small_generator().config, full_size_skip=False))
    grown = with_full_size_skip(plain, seed=0)
    assert grown.config.full_size_skip and with_full_size_skip(grown, seed=0) is grown
    with torch.no_grad():
        pairs = zip(*(run_once(model, item) for model in (plain, grown)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def run_once(model, item):
    return model.decode(model.encode(item.source_inputs), item.target_inputs, item.flow)


def test_scores_of_the_truth_are_perfect_and_baselines_are_ordered(item):
    class Oracle:
        def encode(self, inputs):
            return None

        def decode(self, bank, inputs, flow):
            return item.image, 1 - item.alpha

    scores = score_generator(Oracle(), [item])
    assert scores.iou == 1 and scores.ssim == pytest.approx(1, abs=1e-4)
    baselines = warp_baselines([item])
    assert baselines["warp, true matte"].iou == 1
    assert 10 < baselines["warp, mesh silhouette"].psnr < 60
