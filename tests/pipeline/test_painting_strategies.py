"""Painting with generators of every warping strategy."""

import pytest
import torch

from lwg_core.networks.config import STRATEGY_NAMES
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.painting import generate

SIZE = 64


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_clips_are_painted_whatever_the_chunk_and_with_previous_frames(strategy, flow):
    config = GeneratorConfig.surface((8, 12, 16), 1, strategy=strategy)
    generator = AttLWBGenerator.from_scratch(config).eval()
    background = torch.zeros(1, 3, SIZE, SIZE)
    clips = []
    for chunk, temporal in ((6, False), (4, False), (None, True)):
        pairs = generate(generator, flow, background, chunk, temporal=temporal)
        images, mattes = map(torch.cat, zip(*pairs, strict=True))
        assert images.shape == (6, 3, SIZE, SIZE) and mattes.shape == (6, 1, SIZE, SIZE)
        assert images.abs().max() <= 1 and mattes.max() > 0.1
        clips.append(images)
    torch.testing.assert_close(clips[1], clips[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(clips[2][:1], clips[0][:1], atol=1e-5, rtol=0)
    # One frame more to look at; a generator of warped pictures alone looks at none.
    assert torch.allclose(clips[2], clips[0], atol=1e-5, rtol=0) == (strategy == "texture")
