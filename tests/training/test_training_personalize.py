"""Personalization: deterministic, harmless to its base, honest about what it was made from."""

import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from people import SIZE, small_generator, source  # noqa: E402

from lwg_core.body.open_body import open_body  # noqa: E402
from lwg_core.errors import InputError  # noqa: E402
from lwg_core.flow.transfer import wear  # noqa: E402
from lwg_core.training.personalize import (  # noqa: E402
    METADATA_KEY,
    describe,
    draw_item,
    load_personalized,
    personalize,
    plain,
    remove_flow,
    save_personalized,
    sources_hash,
)
from lwg_core.weights import save_generator  # noqa: E402


@pytest.fixture(scope="module")
def sources():
    return source(0.0), source(3.1), source(0.6, 0.5)


def weights(generator):
    return torch.cat([p.flatten() for p in generator.parameters()])


def test_same_seed_same_weights_base_untouched_weights_move(sources):
    base = small_generator()
    before = weights(base).clone()
    first, losses = personalize(base, sources, open_body(), steps=3, seed=4, size=SIZE)
    second, _ = personalize(base, sources, open_body(), steps=3, seed=4, size=SIZE)
    other, _ = personalize(base, sources, open_body(), steps=3, seed=5, size=SIZE)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))
    assert torch.equal(weights(base), before)
    assert (weights(first) - before).abs().max() > 1e-5 and len(losses) == 3
    assert torch.equal(first.tsf_att_reg[0].weight, base.tsf_att_reg[0].weight)


def test_runs_where_nodes_run_in_inference_mode():
    with torch.inference_mode():
        made_there = source(0.0), source(3.1)
        assert made_there[0].image.is_inference()
        generator, losses = personalize(
            small_generator(), made_there, open_body(), steps=1, size=SIZE
        )
    assert np.isfinite(losses).all() and not next(generator.parameters()).is_inference()


def test_the_target_is_never_among_its_sources(sources):
    rng = np.random.default_rng(0)
    for _ in range(6):
        assert len(draw_item(sources, open_body(), rng).source_inputs) == 2


def test_people_are_never_composed_from_each_other(sources, caplog):
    """A is pictured once, B twice, in clothes that A is to wear."""
    people = wear(sources[:1], sources[1:], ["upper"])
    colours = [
        torch.full_like(s.image, value) for s, value in zip(people, (-0.8, 0, 0), strict=True)
    ]
    people = tuple(replace(s, image=c) for s, c in zip(people, colours, strict=True))
    whole = tuple(plain(source) for source in people)
    assert [(s.person, s.parts) for s in whole] == [(0, None), (1, None), (1, None)]
    targets = set()
    for seed in range(12):
        item = draw_item(whole, open_body(), np.random.default_rng(seed))
        assert len(item.source_inputs) == 1  # of the same person: the other picture, or itself
        inside = item.source_inputs[:, 7:] > 0.99
        shown = item.source_inputs[:, :1][inside].mean()
        wanted = item.image[:, :1][item.alpha > 0.99].mean()
        assert abs(shown - wanted) < 0.02
        targets.add(round(float(wanted), 1))
    assert targets == {-0.8, 0.0}
    with caplog.at_level(logging.WARNING):
        _, losses = personalize(small_generator(), people, open_body(), steps=1, size=SIZE)
    assert np.isfinite(losses).all()
    assert [r.getMessage() for r in caplog.records if "2 people" in r.getMessage()]


def test_a_lone_source_cannot_be_copied(sources):
    """About half of what the sources show is taken away, flow and pixels alike."""
    whole = draw_item(sources, open_body(), np.random.default_rng(0))
    blanked = remove_flow(whole, np.random.default_rng(1))

    def seen(item):
        return (item.flow > -2).all(-1).float().sum(), (item.target_inputs[:, 7] > 0).float().sum()

    for after, before in zip(seen(blanked), seen(whole), strict=True):
        assert 0.1 < after / before < 0.9
    alone = draw_item(sources[:1], open_body(), np.random.default_rng(0))
    assert len(alone.source_inputs) == 1


def test_cancelling_stops_at_once(sources):
    def stop(step, total, loss, preview):
        assert preview.shape[0] == 3
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        personalize(small_generator(), sources, open_body(), steps=50, size=SIZE, progress=stop)


def test_a_stale_file_is_refused(tmp_path, sources):
    base = small_generator()
    tuned, _ = personalize(base, sources, open_body(), steps=1, size=SIZE)
    path = tmp_path / "me.safetensors"
    save_personalized(path, tuned, describe(base, sources, 1, 0))
    loaded, record = load_personalized(path, sources, base)
    torch.testing.assert_close(weights(loaded), weights(tuned))
    assert record.steps == 1
    moved = replace(sources[0], image=-sources[0].image)
    with pytest.raises(InputError, match="other sources"):
        load_personalized(path, (moved, *sources[1:]), base)
    with pytest.raises(InputError, match="another base"):
        load_personalized(path, sources, small_generator(seed=9))


def test_bad_input_is_named_before_the_first_step(sources):
    def run(sources, steps=1):
        personalize(small_generator(), sources, open_body(), steps, size=SIZE, progress=pytest.fail)

    with pytest.raises(InputError, match="steps"):
        run(sources, 0)
    with pytest.raises(InputError, match="mask of every source"):
        run((*sources[:2], replace(sources[2], mask=None)))
    other = replace(sources[1], params=replace(sources[1].params, body_model="smpl"))
    with pytest.raises(InputError, match="source 2 was recovered with the body model 'smpl'"):
        run((sources[0], other))


def test_the_hash_of_the_sources_covers_all_that_is_read(sources):
    first, *rest = sources
    known = sources_hash(sources)
    assert sources_hash(tuple(sources)) == known
    params, camera = first.params, first.params.camera
    for change in (
        {"image": first.image + 0.01},
        {"mask": first.mask * 0.9},
        {"mask": None},
        {"offsets": torch.zeros(4)},
        {"params": replace(params, pose=params.pose + 1e-3)},
        {"params": replace(params, betas=params.betas + 1e-3)},
        {"params": replace(params, camera=replace(camera, focal=torch.tensor([900.0])))},
    ):
        assert sources_hash((replace(first, **change), *rest)) != known, change
    assert sources_hash(sources[::-1]) != known
    # Who is who counts, but neither the numbers nor the parts that are worn.
    assert sources_hash(tuple(replace(s, parts=("upper",)) for s in sources)) == known
    assert sources_hash(tuple(replace(s, person=2) for s in sources)) == known
    apart = sources_hash((*sources[:2], replace(sources[2], person=1)))
    assert apart not in (known, sources_hash((sources[0], *(replace(s, person=1) for s in rest))))


def test_a_spoiled_record_is_one_sentence(tmp_path):
    for number, record in enumerate(("no json", "[]", '{"steps": 3}')):
        path = tmp_path / f"{number}.safetensors"
        save_generator(path, small_generator(), {METADATA_KEY: record})
        with pytest.raises(InputError, match="record of the personalization"):
            load_personalized(path)
    save_generator(tmp_path / "plain.safetensors", small_generator())
    with pytest.raises(InputError, match="not a personalized generator"):
        load_personalized(tmp_path / "plain.safetensors")
