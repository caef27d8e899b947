"""Measures by networks: scripted ones of a few lines, distances against closed forms."""

import math
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

from lwg_core.errors import InputError
from lwg_core.metrics.distances import (
    LPIPS_SCALE,
    LPIPS_SHIFT,
    cosine_similarity,
    frechet_distance,
    load_lpips,
    lpips_heads,
)
from lwg_core.metrics.networks import InputSpec, load_embedder, parse_input

UNIT = InputSpec((6, 4), "unit")
VGG = (64, 128, 256, 512, 512)


class MeanColour(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        assert pictures.shape[2] == 6 and pictures.shape[3] == 4
        return pictures.mean((2, 3))


class Distance(nn.Module):
    """A whole LPIPS has options behind its two pictures, and answers (N, 1, 1, 1)."""

    def forward(self, one: Tensor, other: Tensor, normalize: bool = False) -> Tensor:
        return (one - other).abs().mean((1, 2, 3), keepdim=True)


class Backbone(nn.Module):
    """Maps with VGG's channels: constants in the first half, the picture's red in the second."""

    def forward(self, picture: Tensor) -> list[Tensor]:
        red = picture[:, :1]
        maps = []
        for channels in (64, 128, 256, 512, 512):
            half = red.expand(-1, channels // 2, -1, -1)
            maps.append(torch.cat([torch.ones_like(half), half], 1))
        return maps


class Constant(nn.Module):
    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.answer


def scripted(path, module):
    torch.jit.save(torch.jit.script(module), path)
    return path


def test_an_embedder_gets_pictures_as_it_wants_them(tmp_path):
    file = scripted(tmp_path / "colour.pt", MeanColour())
    pictures = torch.stack([torch.full((3, 12, 20), v) for v in (-1.0, 0.0, 0.5)])
    pictures[1, 0] = 0.6
    wanted = torch.stack([torch.full((3,), v) for v in (0.0, 0.5, 0.75)])
    wanted[1, 0] = 0.8
    torch.testing.assert_close(load_embedder(file, UNIT)(pictures), wanted)
    symmetric = load_embedder(file, InputSpec((6, 4), "symmetric"))(pictures)
    torch.testing.assert_close(symmetric, wanted * 2 - 1)
    torch.testing.assert_close(
        load_embedder(file, InputSpec((6, 4), "bytes"))(pictures), wanted * 255
    )
    imagenet = load_embedder(file, InputSpec((6, 4), "imagenet"))(pictures)
    torch.testing.assert_close(imagenet[0, 2], torch.tensor(-0.406 / 0.225))


def test_many_pictures_go_through_in_parts(tmp_path):
    embed = load_embedder(scripted(tmp_path / "colour.pt", MeanColour()), UNIT)
    pictures = torch.linspace(-1, 1, 37)[:, None, None, None].expand(-1, 3, 6, 4)
    torch.testing.assert_close(embed(pictures)[:, 1], torch.linspace(0, 1, 37))


def test_an_input_is_written_as_width_and_height():
    assert parse_input("128x256:imagenet", "--o") == InputSpec((256, 128), "imagenet")
    for text in ("128", "128x:unit", "x128:unit", "1x1:unit", "-8x8:unit", "axb:unit"):
        with pytest.raises(InputError, match="WIDTHxHEIGHT"):
            parse_input(text, "--o")
    for text in ("128x128", "128x128:rgb"):
        with pytest.raises(InputError, match="imagenet, symmetric, unit, bytes"):
            parse_input(text, "--o")


def test_files_that_are_no_networks_are_told_before_anything_runs(tmp_path):
    junk, weights = tmp_path / "junk.pt", tmp_path / "weights.pth"
    junk.write_bytes(b"PK\3\4 and then nothing")
    torch.save({"a": torch.zeros(2)}, weights)
    for file in (junk, weights):
        with pytest.raises(InputError, match="is no TorchScript file"):
            load_embedder(file, UNIT)
    with pytest.raises(InputError, match="no such file"):
        load_embedder(tmp_path / "missing.pt", UNIT)
    colour = scripted(tmp_path / "colour.pt", MeanColour())
    with pytest.raises(InputError, match="does not take 2 x 3 x 9 x 9"):
        load_embedder(colour, InputSpec((9, 9), "unit"))
    with pytest.raises(InputError, match="takes 2 inputs"):
        load_embedder(scripted(tmp_path / "pair.pt", Distance()), UNIT)
    for answer in (torch.zeros(2), torch.zeros(1, 4), torch.full((2, 4), math.nan)):
        with pytest.raises(InputError, match="one vector per picture"):
            load_embedder(scripted(tmp_path / "constant.pt", Constant(answer)), UNIT)
    with pytest.raises(InputError, match="is no LPIPS network"):
        load_lpips(scripted(tmp_path / "constant.pt", Constant(torch.zeros(1, 64, 2, 2))))


@pytest.mark.skipif(find_spec("onnxruntime") is not None, reason="onnxruntime is installed")
def test_onnx_without_its_runtime_says_what_to_install(tmp_path):
    file = tmp_path / "network.onnx"
    file.write_bytes(b"anything")
    with pytest.raises(InputError, match="pip install onnxruntime"):
        load_embedder(file, UNIT)


def test_cosine_similarity_of_known_angles():
    one = torch.tensor([[2.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
    angles = torch.tensor([0.0, math.pi / 3, math.pi], dtype=torch.float64)
    other = torch.stack([angles.cos(), angles.sin()], 1)
    torch.testing.assert_close(cosine_similarity(one, other), angles.cos())


def standardised(count, size, seed):
    """Vectors of exactly zero mean and unit covariance."""
    values = torch.randn(
        count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    values = values - values.mean(0)
    values = values @ torch.linalg.inv(torch.linalg.cholesky(values.T.cov())).T
    return values


def test_frechet_distance_against_its_closed_form():
    """Of diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2."""
    one, other = standardised(40, 3, 0), standardised(25, 3, 1)
    spread, shift = torch.tensor([2.0, 0.5, 1.0]).double(), torch.tensor([1.0, -2.0, 0.5]).double()
    wanted = float(shift.square().sum() + (spread - 1).square().sum())
    assert frechet_distance(one * spread + shift, other) == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(other, one * spread + shift) == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(one, one.float()) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_fewer_vectors_than_numbers():
    """Their covariances are singular; a shift alone is still its square."""
    vectors = standardised(30, 4, 2)[:3].repeat(1, 4)
    assert frechet_distance(vectors, vectors + 1) == pytest.approx(16, abs=1e-5)


def test_lpips_of_a_whole_network(tmp_path):
    measure = load_lpips(scripted(tmp_path / "lpips.pt", Distance()))
    one = torch.zeros(20, 3, 8, 8)
    shifts = torch.linspace(0, 1, 20)
    torch.testing.assert_close(measure(one + shifts[:, None, None, None], one), shifts)


def test_lpips_of_a_backbone_takes_the_learnt_heads(tmp_path):
    measure = load_lpips(scripted(tmp_path / "backbone.pt", Backbone()))
    one, other = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5)
    assert float(measure(one, one)) == 0
    red = [(v - LPIPS_SHIFT[0]) / LPIPS_SCALE[0] for v in (0.0, 0.5)]
    wanted = 0.0
    for channels, head in zip(VGG, lpips_heads("vgg"), strict=True):
        n = channels // 2
        length = [math.sqrt(n + n * r * r) for r in red]
        bare = (1 / length[0] - 1 / length[1]) ** 2
        seen = (red[0] / length[0] - red[1] / length[1]) ** 2
        wanted += float(head[0, :n].sum() * bare + head[0, n:].sum() * seen)
    assert float(measure(one, other)) == pytest.approx(wanted, rel=1e-4)
    assert float(measure(other, one)) == pytest.approx(wanted, rel=1e-4)
