import math
from dataclasses import replace

import pytest
import torch

from lwg_core.body.model import PART_NAMES
from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.errors import InputError
from lwg_core.flow.offsets import observe_outline, solve_offsets
from lwg_core.flow.source import Source
from lwg_core.render.camera import Camera
from lwg_core.render.raster import rasterize, silhouette

SIZE = (384, 384)
BETAS = torch.zeros(10)


def camera(focal: bool = True) -> Camera:
    center = torch.tensor([[SIZE[1] / 2, SIZE[0] * 0.47]])
    return Camera(torch.tensor([180.0]), center, SIZE, torch.tensor([700.0]) if focal else None)


def pose(yaw: float = 0.0, arms: float = -50.0, stride: float = 0.0) -> torch.Tensor:
    """(1, 24, 3): arms lowered by ``arms`` degrees, legs in a step, turned by ``yaw`` degrees."""
    out = torch.zeros(1, 24, 3)
    out[:, 16, 2], out[:, 17, 2] = math.radians(arms), math.radians(-arms)
    out[:, 1, 2], out[:, 2, 2] = 0.12, -0.12
    out[:, 1, 0], out[:, 2, 0] = -math.radians(stride), math.radians(stride)
    upright = axis_angle_to_matrix(torch.tensor([[math.pi, 0.0, 0.0]]))
    turned = axis_angle_to_matrix(torch.tensor([[0.0, math.radians(yaw), 0.0]]))
    out[:, 0] = matrix_to_axis_angle(upright @ turned)
    return out


def draw(at: torch.Tensor, offsets: torch.Tensor | None, view: Camera) -> torch.Tensor:
    body = open_body()
    points = view.project(body.vertices(at, BETAS, offsets))
    return silhouette(rasterize(points, body.faces, view.size))[0]


def source(at: torch.Tensor, offsets: torch.Tensor | None, view: Camera | None = None) -> Source:
    view = view or camera()
    params = SmplParams(at, BETAS, "open", view)
    return Source(torch.zeros(3, *view.size), params, draw(at, offsets, view))


def dressed() -> torch.Tensor:
    """(V,) metres: hair of 4 cm on top of the head, trousers 3 cm wide at the lower legs."""
    y = open_body().v_template[:, 1]
    height = (y - y.min()) / (y.max() - y.min())
    hair = 0.04 * ((height - 0.95) / 0.02).clamp(0, 1)
    flare = 0.03 * ((0.28 - height) / 0.12).clamp(0, 1) * ((height - 0.05) / 0.02).clamp(0, 1)
    return hair + flare


def part(*names: str) -> torch.Tensor:
    labels = [i for i, name in enumerate(PART_NAMES) if name in names]
    return torch.isin(open_body().parts, torch.tensor(labels))


def overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a > 0.5, b > 0.5
    return ((a & b).sum() / (a | b).sum()).item()


@pytest.mark.parametrize("focal", [True, False])
def test_hair_and_trousers_are_found_and_travel_to_unseen_poses(focal):
    true, view = dressed(), camera(focal)
    sources = (source(pose(0), true, view), source(pose(40), true, view))
    found = solve_offsets(open_body(), sources)
    assert found.shape == true.shape and found.dtype == torch.float32
    for held_out in (pose(90, stride=25), pose(-30, arms=20, stride=10), pose(180, arms=-20)):
        truth = draw(held_out, true, view)
        before = overlap(draw(held_out, None, view), truth)
        after = overlap(draw(held_out, found, view), truth)
        assert before < 0.94
        assert after > 0.96 and after > before + 0.03
    y = open_body().v_template[:, 1]
    assert 0.025 < found[y > y.max() - 0.03].mean() < 0.045
    legs = true > 0.029
    assert 0.02 < found[legs & part("left_leg", "right_leg")].mean() < 0.033
    bare = part("torso", "left_arm", "right_arm")
    assert found[bare].abs().quantile(0.95) < 0.002


def test_a_mask_that_fits_leaves_the_mesh_alone():
    body = open_body()
    outline = observe_outline(body, source(pose(), None))
    assert len(outline.index) > 500
    assert outline.offset.median().abs() < 1e-3
    found = solve_offsets(body, (source(pose(), None), source(pose(40), None)))
    assert found.median().abs() < 5e-4
    assert found.abs().max() < 3e-3


def test_constant_offset_is_observed_everywhere():
    offsets = torch.full((len(open_body().v_template),), 0.02)
    outline = observe_outline(open_body(), source(pose(), offsets))
    assert outline.offset.median() == pytest.approx(0.02, abs=1.5e-3)
    limbs = part("left_leg", "right_leg", "left_arm", "right_arm", "torso")
    found = solve_offsets(open_body(), (source(pose(), offsets),))
    assert found[limbs].median() == pytest.approx(0.02, abs=2e-3)


def test_bare_parts_do_not_inflate():
    everywhere = torch.full((len(open_body().v_template),), 0.05)
    found = solve_offsets(open_body(), (source(pose(), everywhere), source(pose(40), everywhere)))
    assert found.min() >= -0.03 and found.max() <= 0.14
    middle = torch.quantile(found[part("face")], 0.9)
    assert middle < 0.012
    assert found[part("left_hand", "right_hand")].quantile(0.9) < 0.015
    assert found[part("left_foot", "right_foot")].max() < 0.06
    assert found[part("torso")].median() > 0.04


def test_both_sides_follow_the_one_that_is_seen():
    # Trousers seen from the side, where one leg hides most of the other.
    body, true = open_body(), dressed()
    found = solve_offsets(body, (source(pose(65), true),))
    legs = part("left_leg", "right_leg")
    assert (found - found[body.mirror])[legs].abs().mean() < 0.003
    for side in ("left_leg", "right_leg"):
        assert found[part(side) & (true > 0.029)].mean() > 0.018


def test_an_arm_at_the_side_does_not_blow_up_the_waist():
    # Hanging arms touch the mask of the torso: there is no outline between them to walk to.
    found = solve_offsets(open_body(), (source(pose(arms=-75), None),))
    assert found.abs().max() < 0.006


def test_a_held_bag_hardly_moves_the_mesh():
    plain = source(pose(), None)
    mask = plain.mask.clone()
    hand = plain.params.camera.project(open_body().joints(plain.params.pose, BETAS))[0, 22, :2]
    x, y = (int(v) for v in hand)
    mask[:, y : y + 40, x - 15 : x + 15] = 1
    found = solve_offsets(open_body(), (replace(plain, mask=mask),))
    assert found.abs().max() < 0.02
    assert found.abs().quantile(0.9) < 0.002


def test_the_border_of_the_picture_is_no_outline():
    view = camera().crop(0, 0, (384, 216))  # cuts one arm and the side of the body
    everywhere = torch.full((len(open_body().v_template),), 0.03)
    outline = observe_outline(open_body(), source(pose(), everywhere, view))
    assert outline.offset.quantile(0.02) > 0.02
    found = solve_offsets(open_body(), (source(pose(), None, view),))
    assert found.abs().max() < 0.004


def test_share_scales_and_mask_size_does_not_matter():
    true = dressed()
    whole = solve_offsets(open_body(), (source(pose(), true),))
    half = solve_offsets(open_body(), (source(pose(), true),), share=0.5)
    assert torch.allclose(half, whole / 2, atol=1e-6)
    large = source(pose(), true, camera().resize((768, 768)))
    assert (solve_offsets(open_body(), (large,)) - whole).abs().quantile(0.95) < 0.002


def test_bad_input():
    plain = source(pose(), None)
    without = replace(plain, mask=None)
    with pytest.raises(InputError, match="no mask"):
        solve_offsets(open_body(), (without,))
    assert solve_offsets(open_body(), (without, plain)).abs().max() < 0.004
    with pytest.raises(InputError, match="0..1"):
        solve_offsets(open_body(), (plain,), share=1.5)
    with pytest.raises(InputError, match="0 sources"):
        solve_offsets(open_body(), ())


def test_a_mask_that_misses_the_body_gives_zero(caplog):
    plain = source(pose(), None)
    mask = torch.zeros_like(plain.mask)
    mask[:, :20, :20] = 1
    found = solve_offsets(open_body(), (replace(plain, mask=mask),))
    assert (found == 0).all()
    assert "no outline" in caplog.text


def test_a_body_outside_its_picture_gives_zero():
    plain = source(pose(), None)
    away = replace(plain.params.camera, center=torch.tensor([[-2000.0, 180.0]]))
    moved = replace(plain, params=replace(plain.params, camera=away))
    assert (solve_offsets(open_body(), (moved,)) == 0).all()
