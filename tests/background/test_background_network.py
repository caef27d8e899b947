"""The background network of official weights as a fill."""

import pytest
import torch

from lwg_core.background import check_method, fill_background, fill_with_generator
from lwg_core.background.network import LONGEST, network_size
from lwg_core.errors import InputError
from lwg_core.weights import load_generator


def picture(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth colours, and what is known of them: all but a block in the middle."""
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    known = torch.ones(1, height, width, dtype=torch.bool)
    known[:, height // 4 : 3 * height // 4, width // 3 : 2 * width // 3] = False
    return torch.stack([x, y, x * y]) * 0.8, known


class Spy:
    """Stands in for a generator: keeps what its network is given, answers with one colour."""

    def __init__(self, generator, answer: float) -> None:
        self.config, self.parameters, self.answer = generator.config, generator.parameters, answer

    def background(self, inputs):
        self.inputs = inputs
        return torch.full_like(inputs[:, :3], self.answer)


@pytest.mark.parametrize("size", [(96, 64), (61, 90), (700, 1000), (20, 17)])
def test_the_network_sees_what_the_official_one_was_trained_on(official, size):
    image, known = picture(*size)
    spy = Spy(official, 0.25)
    filled = fill_with_generator(image, known, spy)
    assert torch.equal(filled[known.expand_as(image)], image[known.expand_as(image)])
    assert (filled[~known.expand_as(image)] - 0.25).abs().max() < 1e-6

    rgb, flag = spy.inputs[0, :3], spy.inputs[0, 3:]
    height, width = flag.shape[1:]
    assert height % 8 == 0 and width % 8 == 0 and max(height, width) <= max(LONGEST, 16)
    assert set(flag.unique().tolist()) == {0.0, 1.0}
    assert (rgb * (1 - flag) == 0).all(), "the hole must be 0"
    # Nothing of the hole may shine through: its cells are dropped whole.
    middle = flag[0, height // 3 : 2 * height // 3, 2 * width // 5 : 3 * width // 5]
    assert (middle == 0).all() and flag[0, 0].all()
    smaller, _ = picture(height, width)
    close = (rgb - smaller).abs().amax(0)[flag[0] > 0]
    assert close.max() < 4 / min(height, width)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 512), (512, 512)),
        ((1000, 700), (512, 360)),
        ((768, 300), (512, 200)),
        ((65, 70), (64, 72)),
        ((4000, 10), (512, 16)),
    ],
)
def test_sizes(size, expected):
    assert network_size(size, 8) == expected


def test_an_official_checkpoint_fills_with_its_own_network(official):
    image, known = picture(96, 72)
    filled = fill_background(image, known, "generator", generator=official)
    inputs = torch.cat([image * known, known.float()])[None]
    with torch.no_grad():
        expected = official.background(inputs)[0]
    hole = ~known.expand_as(image)
    torch.testing.assert_close(filled[hole], expected[hole], atol=1e-6, rtol=0)
    assert torch.equal(filled[~hole], image[~hole])
    assert filled.dtype == image.dtype and not filled.requires_grad
    half = fill_with_generator(image.half(), known, official)
    assert half.dtype == torch.float16 and (half - filled).abs().max() < 0.01


def test_what_is_missing_is_told_before_the_work(official):
    image, known = picture(32, 32)
    with pytest.raises(InputError, match="needs a generator"):
        fill_background(image, known, "generator")
    with pytest.raises(InputError, match="no background network.*'patch'"):
        fill_with_generator(image, known, load_generator())
    with pytest.raises(InputError, match="no background network"):
        check_method("generator", load_generator())
    check_method("generator", official)
    check_method("patch")
