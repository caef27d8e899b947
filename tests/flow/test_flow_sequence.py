from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from lwg_core.errors import InputError
from lwg_core.flow.framing import Framing
from lwg_core.flow.sequence import LazyFlow, materialise

SIZE = (96, 112)


@pytest.fixture(scope="module")
def lazy(studio):
    poses = torch.stack([studio.pose(30 * i, 20 + 10 * i) for i in range(5)])
    target = replace(studio.params(poses, SIZE), fps=24.0)
    framing = Framing(*torch.tensor([3, 4, 200]).expand(5, 3).T, (300, 400), False)
    return LazyFlow.build(
        (studio.source(studio.pose(0)),),
        studio.body,
        target,
        SIZE,
        framing=framing,
    )


def _same(first, second, exact=False):
    for field in fields(first):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if torch.is_tensor(a):
            torch.testing.assert_close(a, b, atol=0 if exact else 1e-5, rtol=0)
        else:
            _same(a, b, exact)


def test_lazy_is_materialised(lazy):
    held = materialise(lazy, chunk=2)
    assert len(held) == len(lazy) == 5 and held.size == lazy.size == SIZE
    assert held.fps == lazy.fps == 24.0
    assert held.framing is lazy.framing
    for start, stop in ((0, 5), (1, 3), (4, 5)):
        _same(held.chunk(start, stop), lazy.chunk(start, stop, "cpu"))


def test_chunks_outside_the_clip(lazy):
    for start, stop in ((0, 6), (3, 3), (-1, 2)):
        with pytest.raises(InputError, match="of a flow of 5 frames"):
            lazy.chunk(start, stop)
        with pytest.raises(InputError, match="of a flow of 5 frames"):
            materialise(lazy).chunk(start, stop)


def test_whose_shape_the_target_has(studio):
    source = studio.source(studio.pose(0))
    tall = torch.zeros(10)
    tall[0] = 2.0
    source = replace(source, params=replace(source.params, betas=tall))
    bare = replace(studio.params(studio.pose(0)[None], SIZE), betas=None, body_model=None)
    flow = LazyFlow.build((source,), studio.body, bare, SIZE)
    assert torch.equal(flow.target.betas, tall)
    own = studio.params(studio.pose(0)[None], SIZE)
    assert torch.equal(
        LazyFlow.build((source,), studio.body, own, SIZE).target.betas, torch.zeros(10)
    )
    foreign = replace(own, body_model="smpl")
    with pytest.raises(InputError, match="betas of the body model 'smpl'"):
        LazyFlow.build((source,), studio.body, foreign, SIZE)


def test_offsets_travel_with_the_person(studio):
    source = studio.source(studio.pose(0))
    target = studio.params(studio.pose(60)[None], SIZE)
    offsets = torch.full((len(studio.body.v_template),), 0.03)
    slim = LazyFlow.build((source,), studio.body, target, SIZE).chunk(0, 1)
    wide = LazyFlow.build((replace(source, offsets=offsets),), studio.body, target, SIZE)
    assert wide.chunk(0, 1).silhouette.sum() > 1.2 * slim.silhouette.sum()


def test_targets_are_checked(studio):
    sources = (studio.source(studio.pose(0)),)
    target = studio.params(studio.pose(0)[None], SIZE)
    with pytest.raises(InputError, match="target body has no camera"):
        LazyFlow.build(sources, studio.body, replace(target, camera=None), SIZE)
    with pytest.raises(InputError, match="16 x 16 px is not possible"):
        LazyFlow.build(sources, studio.body, target, (16, 16))
    with pytest.raises(InputError, match="aspect differs"):
        LazyFlow.build(sources, studio.body, target, (128, 128))
    double = LazyFlow.build(sources, studio.body, target, (2 * SIZE[0], 2 * SIZE[1]))
    assert double.chunk(0, 1).size == (2 * SIZE[0], 2 * SIZE[1])
