"""The rasteriser against exact integer geometry, and its gradients."""

import math

import numpy as np
import pytest
import torch

from lwg_core.errors import InputError
from lwg_core.render.raster import coverage, interpolate, rasterize, silhouette
from lwg_core.render.spans import SUBPIXELS, nearest_faces

FAR = float("inf")


def soup(seed, count=40, size=(23, 31), frames=1, big=0.4):
    """``count`` random triangles of all sizes, some of them partly outside the image."""
    rng = torch.Generator().manual_seed(seed)
    extent = torch.tensor([size[1], size[0], 2.0])
    middle = torch.rand(frames, count, 1, 3, generator=rng) * 1.2 - 0.1
    spread = big * torch.rand(frames, count, 1, 1, generator=rng) ** 2
    corners = middle + spread * torch.randn(frames, count, 3, 3, generator=rng)
    vertices = (corners * extent).view(frames, count * 3, 3)
    return vertices, torch.arange(count * 3).view(count, 3)


def torus(around=40, tube=20, seed=0):
    """Closed mesh (V, 3), (F, 3), wound outward (counter-clockwise from outside, y up)."""
    u, v = torch.meshgrid(
        torch.arange(around) * 2 * math.pi / around,
        torch.arange(tube) * 2 * math.pi / tube,
        indexing="ij",
    )
    ring = 1 + 0.4 * v.cos()
    points = torch.stack([ring * u.cos(), ring * u.sin(), 0.4 * v.sin()], -1).view(-1, 3)
    i, j = torch.meshgrid(torch.arange(around), torch.arange(tube), indexing="ij")
    a, b = i * tube + j, (i + 1) % around * tube + j
    c, d = (i + 1) % around * tube + (j + 1) % tube, i * tube + (j + 1) % tube
    faces = torch.stack([a, b, c, a, c, d], -1).view(-1, 3)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)))
    return points @ (turn * turn.det().sign()), faces


def on_screen(points, size, scale=0.3):
    """Orthographic pixels of (..., 3) points."""
    height, width = size
    xy = points[..., :2] * scale * min(size) + points.new_tensor([width / 2, height / 2])
    return torch.cat([xy, points[..., 2:]], -1)


def covers(triangle, size):
    """(H, W) bool: exact coverage of one snapped triangle (3, 2 or 3), by integer arithmetic.

    Inside, or on an edge that is a top edge (horizontal, the triangle below it) or a left edge (the
    triangle at its right).
    """
    x, y = (
        [int(n) for n in torch.round((triangle[:, k].double() - 0.5) * SUBPIXELS)] for k in (0, 1)
    )
    area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    inside = np.full(size, area != 0)
    order = (0, 1, 2) if area > 0 else (0, 2, 1)
    column = np.arange(size[1], dtype=object)[None] * SUBPIXELS  # Python integers: never overflow
    row = np.arange(size[0], dtype=object)[:, None] * SUBPIXELS
    for k in range(3):
        i, j = order[k], order[(k + 1) % 3]
        dx, dy = x[j] - x[i], y[j] - y[i]
        side = dx * (row - y[i]) - dy * (column - x[i])
        owned = dy < 0 or (dy == 0 and dx > 0)
        inside &= ((side >= 0) if owned else (side > 0)).astype(bool)
    return inside


def depths(triangle, size):
    """(H, W) depth of the plane through a snapped triangle (3, 3), in float64."""
    corners = triangle.double().numpy().copy()
    corners[:, :2] = np.round((corners[:, :2] - 0.5) * SUBPIXELS) / SUBPIXELS
    plane = np.linalg.solve(np.c_[corners[:, :2], np.ones(3)], corners[:, 2])
    row, column = np.mgrid[: size[0], : size[1]]
    return plane[0] * column + plane[1] * row + plane[2]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("size", [(23, 31), (40, 9)])
def test_coverage_and_depth_order_match_brute_force(seed, size):
    vertices, faces = soup(seed, size=size)
    got = rasterize(vertices, faces, size)
    nearest = np.full(size, FAR)
    layers = []
    for face in faces:
        inside = covers(vertices[0][face], size)
        depth = np.where(inside, depths(vertices[0][face], size) if inside.any() else FAR, FAR)
        layers.append(depth)
        nearest = np.minimum(nearest, depth)
    index = got.face_index[0].numpy()
    np.testing.assert_array_equal(index >= 0, np.isfinite(nearest))
    assert 0.2 < np.isfinite(nearest).mean() < 1
    chosen = np.take_along_axis(np.stack(layers), np.maximum(index, 0)[None], 0)[0]
    hit = index >= 0
    np.testing.assert_allclose(chosen[hit], nearest[hit], rtol=0, atol=2e-6)


def test_single_triangles_cover_exactly_their_pixels():
    # Corners on a coarse lattice make edges pass exactly through pixel centres.
    rng = torch.Generator().manual_seed(1)
    size = (12, 15)
    for _ in range(60):
        triangle = torch.randint(-8, 40, (3, 3), generator=rng) / 2
        got = rasterize(triangle[None], torch.tensor([[0, 1, 2]]), size).face_index[0] >= 0
        np.testing.assert_array_equal(got.numpy(), covers(triangle, size))


def test_coverage_is_exact_for_long_slivers():
    rng = torch.Generator().manual_seed(2)
    size = (64, 80)
    covered = 0
    for _ in range(40):
        ends = (torch.rand(2, 3, generator=rng, dtype=torch.float64) - 0.5) * 15000
        ends[:, :2] += torch.tensor([40.0, 32.0])
        ends[1, :2] = torch.tensor([80.0, 64.0]) - ends[0, :2]  # through the image
        beside = ends[0] + torch.rand(3, generator=rng, dtype=torch.float64) * 3
        triangle = torch.stack([*ends, beside])
        got = rasterize(triangle[None], torch.tensor([[0, 1, 2]]), size).face_index[0] >= 0
        expected = covers(triangle, size)
        np.testing.assert_array_equal(got.numpy(), expected)
        covered += expected.sum()
    assert covered > 200


@pytest.mark.parametrize("lattice", [False, True])
def test_tessellated_quad_covers_each_pixel_once(lattice):
    # A jittered grid over [3, 19] x [2, 14]; on the lattice, edges and corners hit pixel centres.
    rng = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.linspace(2, 14, 7), torch.linspace(3, 19, 9), indexing="ij")
    grid = torch.stack([x, y, torch.ones_like(x)], -1)
    jitter = torch.rand(5, 7, 2, generator=rng) * 1.6 - 0.8
    grid[1:-1, 1:-1, :2] += jitter
    if lattice:
        grid[..., :2] = torch.round(grid[..., :2] * 2) / 2
    index = torch.arange(63).view(7, 9)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = torch.stack([a, b, c, a, c, d], -1).view(-1, 3)
    faces = torch.where(torch.rand(len(faces), 1, generator=rng) < 0.5, faces, faces.flip(1))
    count = torch.zeros(18, 23, dtype=torch.int64)
    for face in faces:
        count += rasterize(grid.view(1, -1, 3), face[None], (18, 23)).face_index[0] >= 0
    expected = torch.zeros_like(count)
    expected[2:14, 3:19] = 1
    assert torch.equal(count, expected)


def test_equal_depth_goes_to_the_lowest_face():
    vertices = torch.tensor([[0.0, 0, 5], [12, 0, 5], [0, 12, 5], [12, 12, 5]])[None]
    faces = torch.tensor([[3, 2, 1], [2, 1, 0], [0, 1, 2], [1, 3, 2]])
    got = rasterize(vertices, faces, (12, 12)).face_index[0]
    assert set(got.unique().tolist()) == {0, 1}
    assert not (rasterize(vertices, faces.flip(0), (12, 12)).face_index[0] > 1).any()


def test_nearer_wins_with_negative_depths():
    flat = torch.tensor([[0.0, 0], [20, 0], [0, 20]])
    layers = [torch.cat([flat, torch.full((3, 1), z)], 1) for z in (-1.0, -3.0, 0.0, 2.0, -2.0)]
    vertices, faces = torch.cat(layers)[None], torch.arange(15).view(5, 3)
    got = rasterize(vertices, faces, (8, 8))
    assert (got.face_index == 1).all()
    assert torch.allclose(got.depth, torch.tensor(-3.0))


def test_cull_keeps_one_winding():
    triangle = torch.tensor([[1.0, 1, 1], [9, 1, 1], [1, 9, 1]])[None]  # clockwise on the screen
    face = torch.tensor([[0, 1, 2]])
    hits = {
        (cull, flip): (rasterize(triangle, face.flip(1) if flip else face, (10, 10), cull=cull))
        .face_index.ge(0)
        .any()
        .item()
        for cull in (-1, 0, 1)
        for flip in (False, True)
    }
    assert hits == {
        (0, False): True, (0, True): True, (1, False): True,
        (1, True): False, (-1, False): False, (-1, True): True,
    }  # fmt: skip


def test_cull_minus_one_keeps_the_outside_of_a_closed_mesh():
    points, faces = torus(seed=4)
    vertices = on_screen(points, (70, 64))[None]
    both = rasterize(vertices, faces, (70, 64))
    outside = rasterize(vertices, faces, (70, 64), cull=-1)
    assert torch.equal(both.face_index >= 0, outside.face_index >= 0)
    assert (both.face_index == outside.face_index).float().mean() > 0.999
    inside = rasterize(vertices, faces, (70, 64), cull=1)
    assert (inside.depth >= outside.depth).all() and (inside.depth > outside.depth).any()


@pytest.mark.parametrize("max_items", [1, 37, 1000])
def test_chunks_do_not_change_the_result(max_items):
    vertices, faces = soup(5, size=(33, 29), frames=3)
    whole = nearest_faces(vertices, faces, (33, 29))
    assert torch.equal(whole, nearest_faces(vertices, faces, (33, 29), max_items=max_items))


def test_batch_equals_singles():
    vertices, faces = soup(6, size=(33, 29), frames=4)
    batch = rasterize(vertices, faces, (33, 29))
    values = interpolate(batch, vertices.sin(), faces)
    for n in range(4):
        single = rasterize(vertices[n : n + 1], faces, (33, 29))
        assert torch.equal(batch.face_index[n], single.face_index[0])
        assert torch.equal(batch.barycentric[n], single.barycentric[0])
        assert torch.equal(batch.depth[n], single.depth[0])
        assert torch.equal(values[n], interpolate(single, vertices[n].sin(), faces)[0])


def test_unusable_corners_drop_their_faces_only():
    size = (20, 24)
    vertices, faces = soup(7, count=20, size=size)
    broken = vertices.clone()
    nan = float("nan")
    broken[0, 0] = nan
    broken[0, 4, 2] = nan
    broken[0, 8, 0] = FAR
    broken[0, 9, 2] = -FAR
    broken[0, 12, 1] = 9000.0
    broken[0, 17, 0] = -1e30
    left_out = {0, 1, 2, 3, 4, 5}
    kept = torch.tensor([k not in left_out for k in range(20)])
    got = rasterize(broken, faces, size)
    expected = rasterize(vertices, faces[kept], size)
    renumbered = torch.arange(20)[kept][expected.face_index.clamp(min=0).long()]
    assert torch.equal(got.face_index.long(), torch.where(expected.face_index >= 0, renumbered, -1))
    assert torch.isfinite(got.barycentric).all()


def test_near_drops_faces_with_a_corner_behind():
    vertices = torch.tensor([[0.0, 0, 1], [9, 0, 1], [0, 9, 0.25], [9, 9, 3]])[None]
    faces = torch.tensor([[0, 1, 2], [0, 1, 3]])
    for near, drawn in ((-FAR, {-1, 0, 1}), (0.25, {-1, 1}), (1.0, {-1})):
        got = rasterize(vertices, faces, (9, 9), near=near)
        assert set(got.face_index.unique().tolist()) == drawn


@pytest.mark.parametrize(
    "corners",
    [
        [[1.0, 1, 1], [5, 5, 1], [9, 9, 1]],
        [[3.0, 3, 1]] * 3,
        [[1.0, 1, 1], [1, 1, 1], [9, 9, 1]],
        [[50.0, 3, 1], [60, 3, 1], [50, 9, 1]],
        [[-9.0, 3, 1], [-1, 3, 1], [-9, 9, 1]],
    ],
)
def test_degenerate_and_off_screen_faces_draw_nothing(corners):
    got = rasterize(torch.tensor(corners)[None], torch.tensor([[0, 1, 2]]), (11, 12))
    assert (got.face_index == -1).all() and (got.barycentric == 0).all()
    assert (got.depth == FAR).all() and (silhouette(got) == 0).all()


def test_partial_coverage_is_the_mean_of_four_samples():
    vertices, faces = soup(3, size=(24, 32), frames=2)
    share = coverage(vertices, faces, (24, 32))
    samples = torch.zeros(2, 1, 24, 32)
    for x, y in ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)):
        moved = vertices - torch.tensor([x, y, 0.0])
        samples += silhouette(rasterize(moved, faces, (24, 32))) / 4
    torch.testing.assert_close(share, samples, atol=0, rtol=0)
    assert set(share.unique().tolist()) == {0.0, 0.25, 0.5, 0.75, 1.0}


def test_no_faces_and_no_visible_faces():
    got = rasterize(torch.rand(2, 4, 3), torch.zeros(0, 3, dtype=torch.int64), (5, 6))
    assert got.face_index.shape == (2, 5, 6) and (got.face_index == -1).all()


def test_a_face_larger_than_the_image_fills_it():
    vertices = torch.tensor([[-4000.0, -4000, 1], [8000, -4000, 2], [-4000, 8000, 3]])[None]
    got = rasterize(vertices, torch.tensor([[0, 1, 2]]), (37, 53))
    assert (got.face_index == 0).all()
    y, x = torch.meshgrid(torch.arange(37) + 0.5, torch.arange(53) + 0.5, indexing="ij")
    assert torch.allclose(got.depth[0], 1 + (x + 4000) / 12000 + 2 * (y + 4000) / 12000, atol=1e-5)


def test_barycentrics_reproduce_the_pixel_centres():
    size = (90, 70)
    points, faces = torus(seed=8)
    vertices = on_screen(points, size)[None]
    raster = rasterize(vertices, faces, size)
    hit = raster.face_index >= 0
    assert raster.face_index.dtype == torch.int32
    assert torch.allclose(raster.barycentric.sum(-1)[hit], torch.ones(()), atol=3e-7)
    assert (raster.barycentric >= 0).all() and (raster.barycentric[~hit] == 0).all()
    # Interpolating the corners' own positions gives back the pixel centre, up to the snapping.
    back = interpolate(raster, vertices, faces, background=-5.0)
    y, x = torch.meshgrid(torch.arange(90) + 0.5, torch.arange(70) + 0.5, indexing="ij")
    assert (back[0, ..., 0] - x)[hit[0]].abs().max() < 2 / SUBPIXELS
    assert (back[0, ..., 1] - y)[hit[0]].abs().max() < 2 / SUBPIXELS
    assert torch.allclose(back[..., 2][hit], raster.depth[hit], atol=1e-6)
    assert (back[~hit] == -5).all() and (raster.depth[~hit] == FAR).all()
    assert torch.equal(silhouette(raster)[:, 0] > 0, hit)


def test_float32_barycentrics_are_accurate_far_from_the_corner():
    size = (40, 4096)
    vertices, faces = soup(9, count=300, size=size, big=0.02)
    single = rasterize(vertices, faces, size)
    double = rasterize(vertices.double(), faces, size)
    assert torch.equal(single.face_index, double.face_index)
    corners = vertices[0].double()[faces][..., :2]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    fat = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs() > 1
    checked = (single.face_index >= 0) & fat[single.face_index.clamp(min=0).long()]
    error = (single.barycentric - double.barycentric).abs().amax(-1)[checked]
    assert checked.sum() > 1000 and error.max() < 1e-3 and error.median() < 1e-6


def test_gradients():
    size = (7, 9)
    vertices = torch.tensor(
        [[0.7, 0.9, 1.0], [8.3, 1.1, 2.0], [4.1, 6.3, 1.5], [8.6, 6.8, 0.5], [0.2, 6.1, 3.0]],
        dtype=torch.float64,
    )
    vertices = torch.stack([vertices, vertices.flip(0) * 0.9])
    faces = torch.tensor([[0, 1, 2], [1, 3, 2], [0, 2, 4]])
    colours = torch.randn(2, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert (rasterize(vertices, faces, size).face_index >= 0).sum() > 50

    def outputs(vertices, colours):
        raster = rasterize(vertices, faces, size)
        depth = raster.depth[raster.face_index >= 0]
        return raster.barycentric, depth, interpolate(raster, colours, faces)

    vertices.requires_grad_(), colours.requires_grad_()
    assert torch.autograd.gradcheck(outputs, (vertices, colours))

    def shared(colours):
        return interpolate(rasterize(vertices.detach(), faces, size), colours, faces)

    assert torch.autograd.gradcheck(shared, (colours[0].detach().requires_grad_(),))


def test_area_that_only_snapping_makes_stays_finite():
    # All corners on one line through pixel centres; snapping moves the last to the right of it.
    step = 3 + 77 / 2**20  # 0.3 units above a multiple of 1/4096 px, and twice that 0.6
    corners = [[0.5, 0.5, 1.0], [8.5, 4.5, 2.0], [0.5 + 2 * step, 0.5 + step, 3.0]]
    vertices = torch.tensor([corners], requires_grad=True)
    raster = rasterize(vertices, torch.tensor([[0, 1, 2]]), (10, 10))
    hit = raster.face_index[0] >= 0
    assert hit.nonzero().tolist() == [
        [1, 2],
        [2, 4],
        [3, 6],
    ]  # the top corner ends the right edge too
    torch.testing.assert_close(raster.barycentric[0][hit], torch.full((3, 3), 1 / 3))
    (raster.barycentric[..., 0].sum() + raster.depth[0][hit].sum()).backward()
    assert torch.isfinite(vertices.grad).all()


def test_threads_come_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        rasterize(*soup(0), (23, 31))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vertices": torch.zeros(3, 3)}, "vertices must be"),
        ({"faces": torch.zeros(1, 3, dtype=torch.int32)}, "faces must be"),
        ({"size": (0, 5)}, "image size"),
        ({"size": (5, 9000)}, "image size"),
        ({"cull": 2}, "cull must be"),
        ({"backend": "opengl"}, "backend must be"),
    ],
)
def test_wrong_input_is_named(change, words):
    good = {
        "vertices": torch.zeros(1, 3, 3),
        "faces": torch.tensor([[0, 1, 2]]),
        "size": (5, 5),
    }
    with pytest.raises(InputError, match=words):
        rasterize(**{**good, **change})
