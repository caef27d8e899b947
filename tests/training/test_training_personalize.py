"""Personalization: deterministic, harmless to its base, honest about what it was made from."""

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
from lwg_core.training.personalize import (  # noqa: E402
    describe,
    draw_item,
    load_personalized,
    personalize,
    remove_flow,
    save_personalized,
)


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


def test_runs_where_nodes_run_in_inference_mode(sources):
    with torch.inference_mode():
        generator, losses = personalize(
            small_generator(), sources[:2], open_body(), steps=1, size=SIZE
        )
    assert np.isfinite(losses).all() and not next(generator.parameters()).is_inference()


def test_the_target_is_never_among_its_sources(sources):
    rng = np.random.default_rng(0)
    for _ in range(6):
        assert len(draw_item(sources, open_body(), rng).source_inputs) == 2


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


def test_bad_steps_and_missing_mask_are_named(sources):
    with pytest.raises(InputError, match="steps"):
        personalize(small_generator(), sources, open_body(), steps=0, size=SIZE)
    bare = tuple(replace(s, mask=None) for s in sources)
    with pytest.raises(InputError, match="mask"):
        personalize(small_generator(), bare, open_body(), steps=1, size=SIZE)
