"""The picture behind somebody who moves."""

import pytest
import torch
import torch.nn.functional as F

from lwg_core.background.clip import check_still, clip_background
from lwg_core.errors import InputError

SIZE = (120, 200)


@pytest.fixture(scope="module")
def room():
    torch.manual_seed(3)
    coarse = torch.rand(1, 3, 24, 50) * 2 - 1
    return F.interpolate(coarse, (120, 250), mode="nearest")[0]


def walk(room, frames=12, pan=0.0, start=20, step=12):
    """A red box walks through a room; ``pan`` px per frame of the camera."""
    pictures, masks = [], []
    for k in range(frames):
        left = round(pan * k)
        picture = room[:, :, left : left + SIZE[1]].clone()
        mask = torch.zeros(1, *SIZE)
        mask[:, 40:100, start + step * k : start + step * k + 24] = 1
        pictures.append(torch.where(mask > 0, torch.tensor([1.0, -1, -1])[:, None, None], picture))
        masks.append(mask)
    return torch.stack(pictures), torch.stack(masks)


def test_what_each_frame_uncovers_makes_the_whole_picture(room):
    frames, masks = walk(room)
    noise = torch.randn(frames.shape, generator=torch.Generator().manual_seed(1)) * 0.02
    plate, known = clip_background((frames + noise).clamp(-1, 1), masks)
    assert known.all()
    assert (plate - room[:, :, : SIZE[1]]).abs().mean() < 0.02


def test_what_is_never_uncovered_is_said(room):
    frames, masks = walk(room, step=0)
    plate, known = clip_background(frames, masks)
    assert not known[masks[0] > 0].any() and known.float().mean() > 0.5
    inside = known.expand_as(plate)
    torch.testing.assert_close(plate[inside], room[:, :, : SIZE[1]][inside])


@pytest.mark.parametrize("pan", [2.0, -0.0])
def test_a_moving_camera_is_refused(room, pan):
    frames, masks = walk(room, pan=pan)
    if pan:
        with pytest.raises(InputError, match="camera of this clip moves"):
            clip_background(frames, masks)
    else:
        clip_background(frames, masks)


def test_a_cut_is_refused(room):
    frames, masks = walk(room)
    frames[6:] = frames[6:].flip(-1) * -1
    with pytest.raises(InputError, match="camera of this clip moves"):
        clip_background(frames, masks)


def test_a_plain_wall_tells_nothing_and_passes():
    check_still(torch.zeros(4, 3, *SIZE), torch.ones(4, 1, *SIZE, dtype=torch.bool))


def test_masks_of_another_clip_are_refused(room):
    frames, masks = walk(room)
    with pytest.raises(InputError, match="12 of 200 x 120 px, one per frame; got 3"):
        clip_background(frames, masks[:3])
