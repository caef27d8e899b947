import pytest
import torch

from lwg_core.background import background_hole
from lwg_core.errors import InputError

SIZE = 240
FEET = 210


def scene(held: bool = False, shadow: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """A person 180 px tall in front of a wall, and its mask; maybe a ball at the right hand and a
    shadow to the right of the feet, neither in the mask."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    person = (abs(x - 120) < 18) & (y >= 30) & (y < FEET)
    person |= (abs(y - 90) < 5) & (x >= 120) & (x < 160)
    noise = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 0.1
    image = noise + (y / SIZE * 0.4)[None]
    if shadow:
        image = image - 0.4 * (((x - 150) / 20.0) ** 2 + ((y - FEET) / 6.0) ** 2 < 1)
    if held:
        ball = (x - 168) ** 2 + (y - 90) ** 2 < 12**2
        image = torch.where(ball, torch.tensor([0.9, -0.6, -0.8])[:, None, None], image)
    image = torch.where(person, torch.tensor(-0.7), image)
    return image.clamp(-1, 1), person[None].float()


def test_grows_by_a_share_of_the_height():
    mask = scene()[1]
    known = background_hole(mask)
    assert known.dtype == torch.bool and known.shape == mask.shape
    assert not known[0, 120, 99:142].any()  # 2.5 % of 180 px is 4.5 px
    assert known[0, 120, :98].all() and known[0, 120, 143:].all()
    wide = background_hole(mask, grow=0.1)
    assert not wide[0, 120, 85:155].any() and wide[0, 120, :82].all()


def test_soft_edges_belong_to_the_person():
    mask = scene()[1]
    soft = mask.clone()
    soft[:, 100:140, 138:150] = 0.15
    assert not background_hole(soft)[0, 120, 138:153].any()


def test_the_floor_below_the_feet_is_taken_too():
    known = background_hole(scene()[1])
    assert not known[0, FEET + 4, 100:140].any()
    assert known[0, FEET + 12 :].all()
    assert known[0, 20].all()


def test_a_long_shadow_is_found_in_the_picture():
    image, mask = scene(shadow=True)
    at = (slice(FEET - 2, FEET + 3), slice(152, 162))
    assert background_hole(mask)[0][at].any()
    assert not background_hole(mask, image)[0][at].any()
    plain = background_hole(mask, scene()[0])
    assert (plain != background_hole(mask)).sum() < 60


def test_a_held_ball_is_found_near_a_hand_only():
    image, mask = scene(held=True)
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    ball = (x - 168) ** 2 + (y - 90) ** 2 < 12**2
    hands = torch.tensor([[160.0, 90.0], [102.0, 120.0]])
    assert not background_hole(mask, image, hands)[0][ball].any()
    assert background_hole(mask, image)[0][ball].any()
    assert background_hole(mask, image, hands[1:])[0][ball].any()


def test_furniture_that_goes_on_is_no_held_thing():
    image, mask = scene()
    image[:, 86:94, 150:] = -0.9
    image = torch.where(mask > 0, torch.tensor(-0.7), image)
    with_hand = background_hole(mask, image, torch.tensor([[160.0, 90.0]]))
    assert torch.equal(with_hand, background_hole(mask, image))


def test_empty_mask_hides_nothing():
    assert background_hole(torch.zeros(1, 30, 40)).all()


def test_bad_input():
    with pytest.raises(InputError, match="person mask"):
        background_hole(torch.zeros(30, 40))
    with pytest.raises(InputError, match="same size"):
        background_hole(torch.ones(1, 30, 40), torch.zeros(3, 30, 41))
