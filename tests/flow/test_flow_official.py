"""What the official inputs are made of, on a handful of triangles; parity has its own folder."""

from __future__ import annotations

import torch

from lwg_core.flow.official import (
    OfficialTables,
    background_input,
    dilate,
    draw,
    erode,
    face_code,
    project,
    transform,
    visible_triangles,
)
from lwg_core.flow.official_texture import merge_textures, morph_image

SIZE = (32, 32)
FACES = torch.tensor([[0, 1, 2], [2, 1, 3]])


def _square(left: float, depth: float = 1.0) -> torch.Tensor:
    """(1, 4, 3): a square half the picture's height, wound to face the viewer."""
    corners = [[0, -0.5], [0, 0.5], [0.5, -0.5], [0.5, 0.5]]
    return torch.tensor([[[x + left, y, depth] for x, y in corners]])


def _tables() -> OfficialTables:
    code = torch.tensor([[0.1, 0.2, 0.0], [0.3, 0.4, 0.0], [0.0, 0.0, 1.0]])
    unused = torch.zeros(2, 3, 2)
    return OfficialTables(
        FACES, FACES, code, unused, torch.zeros(2, 3, 3), torch.tensor([[0, 0], [1, 1]])
    )


def test_projection():
    moved = project(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[0.5, 0.1, -0.2]]))
    torch.testing.assert_close(moved, torch.tensor([[[0.55, 0.9, 3.0]]]))


def test_flow_points_to_the_source():
    raster = draw(_square(-0.25), FACES, SIZE)
    source = _square(0.25)[:, FACES][..., :2]
    field = transform(raster, source)
    covered = raster.face_index >= 0
    assert covered.sum() == 8 * 16
    assert torch.equal(field.valid[:, 0], covered)
    official = field.to_official()
    assert (official[:, 0][~covered] == -2).all()
    own = transform(raster, _square(-0.25)[:, FACES][..., :2])
    shift = official[:, 0][covered] - own.grid[:, 0][covered]
    torch.testing.assert_close(shift, torch.tensor([0.5, 0.0]).expand_as(shift))


def test_face_code_and_background():
    raster = draw(_square(-0.25), FACES, SIZE)
    code = face_code(raster, _tables())
    assert code.shape == (1, 3, *SIZE)
    assert torch.equal(code[:, 2] == 1, raster.face_index < 0)
    assert set(code[0, 0].unique().tolist()) <= {
        0.0,
        float(torch.tensor(0.1)),
        float(torch.tensor(0.3)),
    }


def test_erosion_and_dilation_at_the_border():
    mask = torch.zeros(1, 1, 9, 9)
    mask[..., :4, :] = 1
    assert erode(mask, 3)[0, 0].sum(1).tolist() == [9, 9, 9, 0, 0, 0, 0, 0, 0]
    assert dilate(mask, 3)[0, 0].sum(1).tolist() == [9] * 5 + [0] * 4
    assert erode(mask * 0.99, 3).sum() == 0  # only exact ones survive
    image = torch.full((1, 3, 9, 9), 0.5)
    known = background_input(image, mask, 3)
    assert torch.equal(known[:, 3:], erode(mask, 3))
    assert torch.equal(known[:, :3], image * known[:, 3:])


def test_faces_without_a_pixel_are_invisible():
    raster = draw(_square(-0.25), FACES[:1], SIZE)
    triangles = _square(0.0)[:, FACES][..., :2]
    shown = visible_triangles(raster, triangles, torch.tensor([[0, 0], [1, 1]]))
    assert torch.equal(shown[0, 0], triangles[0, 0]) and (shown[0, 1] == -2).all()
    spread = visible_triangles(raster, triangles, torch.tensor([[0, 1], [1, 0]]))
    assert torch.equal(spread, triangles)


def test_morphed_image_keeps_the_foreground_and_grows_it():
    confident = torch.zeros(1, 40, 40)
    confident[:, 12:28, 12:28] = 1
    outpad = dilate(confident[None], 9)[0]
    image = torch.full((3, 40, 40), 0.7)
    grown = morph_image(image, confident, outpad)
    assert torch.allclose(grown[:, outpad[0] > 0], torch.tensor(0.7))
    assert (grown[:, outpad[0] == 0] == 0).all()


def test_texture_of_the_first_source_unless_only_others_see_it():
    images = torch.stack([torch.full((3, 8, 8), 0.2), torch.full((3, 8, 8), 0.8)])
    grid = torch.zeros(2, 40, 40, 2)
    shown = grid.clone()
    shown[0, :, 20:] = -2  # the first source does not show the right half
    shown[1, 30:] = -2
    texture = merge_textures(images, grid, shown)
    assert torch.allclose(texture[0, :, :, :20], torch.tensor(0.2))
    assert torch.allclose(texture[0, :, :28, 28:], torch.tensor(0.8), atol=1e-4)
    assert torch.allclose(texture[0, :, 38:, 28:], torch.tensor(0.2))
