"""New views, bullet time and many views of one body or clip."""

import math
from dataclasses import replace

import pytest
import torch

from lwg_core.body.open_body import open_body
from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix
from lwg_core.errors import InputError
from lwg_core.flow.targets import imitate
from lwg_core.flow.viewer_camera import viewer_rotation, viewer_zoom
from lwg_core.flow.views import bullet_time, multi_view, novel_view, turntable, view_rotation
from lwg_core.flow.window import person_box
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import motion

SIZE = (400, 320)
LENSES = pytest.mark.parametrize("focal", [None, 700.0], ids=["weak", "pinhole"])


def person(focal=700.0, frame=30, scale=180.0, at=(150.0, 205.0)):
    lens = None if focal is None else torch.tensor([focal])
    camera = Camera(torch.tensor([scale]), torch.tensor([at]), SIZE, lens)
    betas = torch.tensor([0.8, -0.5] + [0.0] * 8)
    return SmplParams(motion("wave", 90).pose[frame : frame + 1], betas, "open", camera)


def clip(source, frames=40, across=0.8, nearer=1.0):
    """A dance that travels to the right and towards the viewer."""
    place = torch.zeros(frames, 3)
    place[:, 0] = torch.linspace(-across / 2, across / 2, frames)
    place[:, 2] = torch.linspace(6.0 + nearer / 2, 6.0 - nearer / 2, frames)
    camera = Camera.from_pinhole(torch.full((frames,), 800.0), place, (480, 640))
    return imitate(source, replace(motion("dance", frames), camera=camera), open_body())


def placed(params):
    """(T, V, 3) points in metres before the eye: a scene that can be compared."""
    points = open_body().vertices(params.pose, params.betas)
    return points + params.camera.translation[:, None]


def pixels(params):
    points = open_body().vertices(params.pose, params.betas)
    return params.camera.project(points)


def middle_of(points):
    return (points.amax(1) + points.amin(1)) / 2


def test_a_tall_person_stays_tall():
    """Every bone keeps its length in every kind of view."""
    source, body = person(), open_body()
    source = replace(source, betas=torch.tensor([2.5] + [0.0] * 9))

    def bones(params):
        joints = body.joints(params.pose, params.betas)
        return (joints[:, 1:] - joints[:, body.parents[1:]]).norm(dim=-1)

    average = bones(replace(source, betas=torch.zeros(10)))
    own = bones(source)
    assert (own.sum() / average.sum() - 1).abs() > 0.05
    target = clip(source, 8)
    seen = [
        target,
        novel_view(source, body, view_rotation(turntable(4), 15.0)),
        novel_view(source, body, pose="T-pose"),
        novel_view(target, body, view_rotation(60.0)),
        bullet_time(target, body, 3, 4),
        *multi_view(target, body, (0.0, 90.0)),
    ]
    for params in seen:
        found = bones(params)
        torch.testing.assert_close(found, own.expand_as(found), atol=1e-5, rtol=0)


@LENSES
def test_no_turn_changes_nothing(focal):
    source = person(focal)
    for view in (None, view_rotation(), view_rotation(360.0)):
        seen = novel_view(source, open_body(), view)
        torch.testing.assert_close(pixels(seen), pixels(source), atol=2e-3, rtol=0)
    assert seen.camera.size == SIZE


def test_a_view_is_a_rigid_turn_of_the_scene():
    """R and t of a new camera: distances stay, and the turn is R about a fixed point."""
    source = person()
    view = view_rotation(50.0, 20.0, 10.0)
    before, after = placed(source)[0], placed(novel_view(source, open_body(), view))[0]
    move = after - before @ view[0].T
    assert (move - move.mean(0)).abs().max() < 1e-5
    fixed = torch.linalg.solve(torch.eye(3) - view[0], move.mean(0))  # of an oblique axis: a point
    height = before[:, 1].amax() - before[:, 1].amin()
    axis = before.amin(0) + (before.amax(0) - before.amin(0)) / 2
    assert ((fixed - axis) @ torch.linalg.eigh((view[0] + view[0].T) / 2)[1][:, :2]).norm() < (
        0.1 * height
    )


@LENSES
def test_a_turntable_keeps_the_person_in_place(focal):
    """The axis keeps its pixel, its distance and its size; every turn is the asked one."""
    source, body = person(focal), open_body()
    yaws = turntable(12)
    seen = novel_view(source, body, view_rotation(yaws))
    assert len(seen) == 12 and (seen.camera.focal is None) == (focal is None)
    pelvis = body.joints(seen.pose, seen.betas)[:, :1]
    at = seen.camera.project(pelvis)[:, 0]
    torch.testing.assert_close(at[:, 0], at[:1, 0].expand(12), atol=0.01, rtol=0)
    torch.testing.assert_close(at[:, 1], at[:1, 1].expand(12), atol=0.01, rtol=0)
    torch.testing.assert_close(seen.camera.scale, seen.camera.scale[:1].expand(12))
    assert 0.8 * 180 < seen.camera.scale[0] <= 180.01
    roots = axis_angle_to_matrix(seen.pose[:, 0])
    asked = view_rotation(yaws) @ axis_angle_to_matrix(source.pose[:, 0])
    torch.testing.assert_close(roots, asked, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.pose[:, 1:], source.pose[:, 1:].expand(12, -1, -1))


def test_the_signs_of_the_angles():
    source, body = person(), open_body()
    joints = placed(source)[0].mean(0)  # in the middle of everything

    def nose_and_crown(view):
        moved = novel_view(source, body, view_rotation(*view))
        points = (body.keypoint_regressor @ placed(moved)[0]) - joints
        return points[0], points[0] - points[1]  # nose, nose from neck

    assert nose_and_crown((90.0,))[1][0] > 0.05  # to their left is the picture's right
    assert nose_and_crown((0.0, 30.0))[0][2] < nose_and_crown((0.0,))[0][2] - 0.2  # from above
    assert nose_and_crown((0.0, 0.0, 30.0))[0][0] > nose_and_crown((0.0,))[0][0] + 0.2


@LENSES
def test_the_person_stays_in_the_picture(focal):
    """Outstretched arms that point at the viewer, turned sideways, near the picture's edge."""
    source, body = person(focal, at=(60.0, 205.0)), open_body()
    own = person_box(source, body, None)
    seen = novel_view(source, body, view_rotation(turntable(8)), "T-pose")
    left, top, right, bottom = person_box(seen, body, None)
    assert left >= min(own[0], 0) - 0.5 and right <= SIZE[1] + 0.5
    assert top >= min(own[1], 0) - 0.5 and bottom <= SIZE[0] + 0.5
    assert seen.camera.scale.max() < source.camera.scale and (seen.camera.scale > 50).all()
    if focal is not None:  # the picture is scaled, not the distance changed
        distance = seen.camera.translation[:, 2]
        torch.testing.assert_close(distance, source.camera.translation[:, 2].expand(8), rtol=1e-3,
                                   atol=0)  # fmt: skip


@LENSES
def test_zoom_enlarges_about_the_middle(focal):
    source, body = person(focal), open_body()
    plain, large = (novel_view(source, body, zoom=zoom) for zoom in (1.0, 1.5))
    extent = [pixels(p)[0, :, :2].amax(0) - pixels(p)[0, :, :2].amin(0) for p in (plain, large)]
    torch.testing.assert_close(extent[1], 1.5 * extent[0], rtol=1e-4, atol=0)
    middles = [middle_of(pixels(p))[0, 1] for p in (plain, large)]
    assert (middles[0] - middles[1]).abs() < 3


@pytest.mark.parametrize("pose", ["T-pose", "A-pose"])
def test_rest_poses_stand_upright_on_the_same_ground(pose):
    source, body = person(), open_body()
    seen = novel_view(source, body, pose=pose)
    assert (seen.pose[0, 1:].abs().amax(1) > 0).sum() == (0 if pose == "T-pose" else 2)
    up = axis_angle_to_matrix(seen.pose[0, 0])[:, 1]
    torch.testing.assert_close(up, torch.tensor([0.0, -1.0, 0.0]), atol=1e-5, rtol=0)
    own, new = (placed(p)[0, :, 1].amax() for p in (source, seen))
    assert float(new) == pytest.approx(float(own), abs=1e-3)
    wrists = body.joints(seen.pose, seen.betas)[0, 20:22]
    spread = (wrists[0] - wrists[1]).norm()
    assert (spread > 1.1) if pose == "T-pose" else (0.7 < spread < 1.1)


def test_front_counts_from_the_persons_front():
    """A picture from the back: half a turn away from its own view is 0 from the front."""
    source, body = person(), open_body()
    back = novel_view(source, body, view_rotation(180.0))
    front = novel_view(back, body, view_rotation(0.0), front=True)
    facing = axis_angle_to_matrix(front.pose[0, 0])[:, 2]
    assert facing[2] < -0.9 and facing[0].abs() < 1e-5


def look_at(position, target=(0.0, 0.0, 0.0), **more):
    names = dict(zip("xyz", position, strict=True)), dict(zip("xyz", target, strict=True))
    return {"position": names[0], "target": names[1], "zoom": 1.0, "cameraType": "perspective",
            **more}  # fmt: skip


def test_cameras_of_the_3d_viewer():
    """An orbit of core ComfyUI: yaw around the target from the front, pitch above it."""
    front = viewer_rotation(look_at((1.0, 2.0, 8.0), (1.0, 2.0, 3.0)))
    torch.testing.assert_close(front, torch.eye(3)[None], atol=1e-6, rtol=0)
    for yaw, pitch in ((40.0, 0.0), (0.0, 25.0), (-130.0, -35.0), (75.0, 60.0)):
        y, p = math.radians(yaw), math.radians(pitch)
        position = (math.cos(p) * math.sin(y), math.sin(p), math.cos(p) * math.cos(y))
        found = viewer_rotation(look_at(tuple(4 * v for v in position)))
        torch.testing.assert_close(found, view_rotation(-yaw, pitch), atol=1e-6, rtol=0)
        # The same camera as a quaternion: turned about y, then tilted, then rolled.
        for roll in (0.0, 30.0):
            halves = [math.radians(angle) / 2 for angle in (yaw, -pitch, roll)]
            turn = product((math.cos(halves[0]), 0, math.sin(halves[0]), 0),
                           (math.cos(halves[1]), math.sin(halves[1]), 0, 0))  # fmt: skip
            turn = product(turn, (math.cos(halves[2]), 0, 0, math.sin(halves[2])))
            named = dict(zip("wxyz", turn, strict=True))
            found = viewer_rotation(look_at((9.0, 9.0, 9.0), quaternion=named))
            torch.testing.assert_close(found, view_rotation(-yaw, pitch, roll), atol=1e-6, rtol=0)
    above = viewer_rotation(look_at((0.0, 5.0, 0.0)))
    torch.testing.assert_close(above, view_rotation(0.0, 90.0), atol=1e-6, rtol=0)
    assert viewer_zoom(look_at((0.0, 0, 1), zoom=2)) == 2.0


def product(a, b):
    """Quaternions w, x, y, z."""
    w, x, y, z = a
    p, q, r, s = b
    return (w * p - x * q - y * r - z * s, w * q + x * p + y * s - z * r,
            w * r - x * s + y * p + z * q, w * s + x * r - y * q + z * p)  # fmt: skip


@LENSES
def test_bullet_time_stops_turns_and_goes_on(focal):
    body = open_body()
    target = clip(person(focal))
    shot = bullet_time(target, body, 12, 8, 360.0)
    assert len(shot) == 48 and shot.camera.focal is not None
    zoom = float(shot.camera.scale[0] / target.camera.scale[0])
    assert 0.5 < zoom <= 1
    roots = [axis_angle_to_matrix(p.pose[:13, 0]) for p in (shot, target)]
    torch.testing.assert_close(roots[0], roots[1], atol=1e-5, rtol=0)
    for a, b in ((slice(0, 13), slice(0, 13)), (slice(20, 48), slice(12, 40))):
        one, other = pixels(shot.select(a)), pixels(target.select(b))
        stays = other[0, 0, :2] - one[0, 0, :2] / zoom
        off = one[..., :2] / zoom + stays - other[..., :2]
        assert off.abs().max() < 0.05
    assert torch.equal(shot.pose[13:21, 1:], target.pose[12:13, 1:].expand(8, -1, -1))
    half = axis_angle_to_matrix(shot.pose[16, 0]) @ axis_angle_to_matrix(target.pose[12, 0]).T
    torch.testing.assert_close(half, view_rotation(180.0)[0], atol=1e-4, rtol=0)


def test_bullet_time_goes_on_from_the_side_it_reached():
    body, target = open_body(), clip(person(), nearer=0.0)
    shot = bullet_time(target, body, 10, 5, 90.0, pitch=20.0)
    before, after = placed(target)[11:], placed(shot)[16:]
    view = view_rotation(90.0)[0]
    move = after - before @ view.T
    assert (move - move.mean((0, 1))).abs().max() < 1e-3  # one and the same turn for all of them
    # Who travelled across the picture now travels away from the viewer or towards them.
    way = middle_of(after)[-1] - middle_of(after)[0]
    assert way[2].abs() > 0.3 and way[0].abs() < 0.25


@pytest.mark.parametrize("across", [0.8, 3.0], ids=["inside", "out of the picture"])
def test_many_views_show_the_same_moment_at_the_same_size(across):
    body, target = open_body(), clip(person(), across=across)
    views = multi_view(target, body, (0.0, 90.0, 180.0, 270.0), 10.0)
    assert len(views) == 4 and all(len(view) == len(target) for view in views)
    for view in views:
        assert torch.equal(view.pose[:, 1:], target.pose[:, 1:])
        scales = [float(v.camera.focal[0]) for v in (view, views[0])]
        assert scales[0] == pytest.approx(scales[1])
        box, own = (person_box(v, body, None) for v in (view, target.select([0])))
        assert box[0] >= min(0, own[0]) - 0.5 and box[2] <= max(SIZE[1], own[2]) + 0.5
    # The opposite side: who goes right goes left, who comes closer goes away.
    ways = [v.camera.translation[-1] - v.camera.translation[0] for v in (views[0], views[2])]
    assert ways[0][0] * ways[1][0] < 0 and ways[0][2] < -0.3 and ways[1][2] > 0.3


def test_a_camera_may_turn_while_the_clip_plays():
    target = clip(person())
    seen = novel_view(target, open_body(), view_rotation(turntable(40, 90.0)))
    assert len(seen) == 40
    turned = axis_angle_to_matrix(seen.pose[-1, 0]) @ axis_angle_to_matrix(target.pose[-1, 0]).T
    torch.testing.assert_close(turned, view_rotation(90.0)[0], atol=1e-4, rtol=0)


def test_turntables():
    assert turntable(4).tolist() == [0.0, 90.0, 180.0, 270.0]
    assert turntable(5, 60.0, -30.0).tolist() == [-30.0, -15.0, 0.0, 15.0, 30.0]
    assert turntable(1, 90.0, 5.0).tolist() == [5.0]
    assert turntable(2, -720.0).tolist() == [0.0, -360.0]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda p, b: view_rotation(math.nan), "yaw must be finite angles"),
        (lambda p, b: view_rotation(0.0, [1.0, math.inf]), "pitch must be finite angles"),
        (lambda p, b: view_rotation([1.0, 2.0], [1.0, 2.0, 3.0]), "as many or one"),
        (lambda p, b: turntable(0), "frames must be 1 to"),
        (lambda p, b: turntable(3, math.nan), "turn and start must be finite"),
        (lambda p, b: novel_view(p, b, pose="X-pose"), "pose 'X-pose' does not exist"),
        (lambda p, b: novel_view(p, b, zoom=0.0), "zoom must be above 0"),
        (lambda p, b: novel_view(p, b, torch.full((1, 3, 3), math.nan)), "finite rotations"),
        (lambda p, b: novel_view(replace(p, camera=None), b), "needs a body with shape and camera"),
        (lambda p, b: novel_view(replace(p, betas=None), b), "needs a body with shape and camera"),
        (lambda p, b: novel_view(replace(p, body_model="smpl"), b), "body model 'smpl'"),
        (lambda p, b: bullet_time(p, b, 1, 5), "frame must be 0 to 0"),
        (lambda p, b: bullet_time(p, b, 0, 0), "frames must be 1 to"),
        (lambda p, b: bullet_time(p, b, 0, 5, math.inf), "turn and pitch must be finite"),
        (lambda p, b: multi_view(p, b, ()), "at least one angle"),
        (lambda p, b: novel_view(clip(p), b, view_rotation([1.0, 2.0])), "takes 1 view or as many"),
        (lambda p, b: viewer_rotation("front"), "LOAD3D_CAMERA"),
        (lambda p, b: viewer_rotation(look_at((0.0, 0, 0))), "same point"),
        (lambda p, b: viewer_rotation(look_at((math.nan, 0, 0))), "position holds values"),
        (lambda p, b: viewer_rotation({"position": {"x": 1}}), "position must hold the numbers"),
        (lambda p, b: viewer_zoom({"zoom": 0}), "zoom must be a number above zero"),
        (lambda p, b: viewer_zoom({"zoom": "near"}), "zoom must be a number above zero"),
    ],
)
def test_errors_name_the_input(call, words):
    with pytest.raises(InputError, match=words):
        call(person(), open_body())


def test_a_clip_that_would_pass_the_viewer_is_refused():
    """Travel across the picture, seen from the side, comes all the way to the eye."""
    target = clip(person(), across=16.0, nearer=0.0)
    with pytest.raises(InputError, match="behind the viewer in frames"):
        novel_view(target, open_body(), view_rotation(90.0))
