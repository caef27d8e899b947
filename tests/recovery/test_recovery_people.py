"""Who is who over a clip, and which of them is meant."""

from __future__ import annotations

import copy
import math
import random

import numpy as np
import pytest
import torch

from lwg_core.body.params import SmplParams
from lwg_core.body.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from lwg_core.errors import InputError
from lwg_core.recovery.people import CHOICES, choose_people, track_people
from lwg_core.recovery.projection import project_keypoints
from lwg_core.recovery.tracking import GAP, person_size
from lwg_core.render.camera import Camera
from lwg_core.synthetic.motions import motion

HEIGHT, WIDTH = 360, 640
FRAMES = 40


def _walk(body, start: float, stop: float, scale: float = 140.0, yaw: float = 0.0, phase: int = 0):
    """(T, 24, 3) keypoints of somebody who walks across the picture, ``start`` to ``stop`` px."""
    pose = motion("walk", 40).pose
    pose = pose[(torch.arange(FRAMES) + phase) % len(pose)].clone()
    turn = axis_angle_to_matrix(torch.tensor([0.0, yaw, 0.0]))
    pose[:, 0] = matrix_to_axis_angle(turn @ axis_angle_to_matrix(pose[:, 0]))
    middle = torch.stack([torch.linspace(start, stop, FRAMES), torch.full((FRAMES,), 150.0)], 1)
    camera = Camera(torch.full((FRAMES,), scale), middle, (HEIGHT, WIDTH))
    points, seen = project_keypoints(body, SmplParams(pose, torch.zeros(10), body.id, camera))
    return torch.cat([points, seen[..., None]], -1).numpy()


def _payload(people, rng=None, noise: float = 1.5, drop: float = 0.1) -> list[dict]:
    """POSE_KEYPOINT of (T, 24, 3) people in a new random order each frame; None = not found."""
    rng = rng or np.random.default_rng(0)
    frames = []
    for frame in range(len(people[0])):
        found = [person[frame].copy() for person in people if person[frame] is not None]
        for points in found:
            points[:, :2] += rng.normal(0, noise, (24, 2))
            points[rng.random(24) < drop] = 0
            points[points[:, 2] == 0] = 0
        rng.shuffle(found)
        entries = [{"pose_keypoints_2d": points.flatten().tolist()} for points in found]
        frames.append({"canvas_width": WIDTH, "canvas_height": HEIGHT, "people": entries})
    return frames


def _without(person, frames) -> list:
    return [None if frame in frames else points for frame, points in enumerate(person)]


def _miss(track, person) -> float:
    """Largest mean distance, px, of a track's points to a person's, over the frames of both."""
    misses = []
    for frame in track.seen.nonzero().flatten().tolist():
        known = track.keypoints.confidence[frame].numpy() > 0
        off = track.keypoints.points[frame].numpy()[known] - person[frame][known, :2]
        misses.append(np.hypot(*off.T).mean())
    return max(misses)


@pytest.fixture(scope="module")
def crossing(stick_body):
    """Two who walk past each other, the nearer one a little taller."""
    return (
        _walk(stick_body, 80, 560, 150.0, math.pi / 2),
        _walk(stick_body, 540, 100, 140.0, -math.pi / 2, 13),
    )


def test_two_who_cross_stay_themselves(crossing):
    for seed in range(4):
        tracks = track_people(_payload(crossing, np.random.default_rng(seed)))
        assert [track.number for track in tracks] == [0, 1]
        assert all(track.seen.all() for track in tracks)
        for track, person in zip(tracks, crossing, strict=True):
            assert _miss(track, person) < 4


def test_the_order_of_detections_does_not_matter(crossing):
    frames = _payload(crossing)
    turned = [{**frame, "people": frame["people"][::-1]} for frame in frames]
    for first, second in zip(track_people(frames), track_people(turned), strict=True):
        torch.testing.assert_close(first.keypoints.points, second.keypoints.points)


def test_who_is_hidden_for_ten_frames_comes_out_as_the_same(crossing):
    front, back = crossing
    hidden = range(15, 15 + GAP)
    tracks = track_people(_payload([front, _without(back, hidden)]))
    assert len(tracks) == 2 and tracks[0].seen.all()
    assert tracks[1].seen.tolist() == [frame not in hidden for frame in range(FRAMES)]
    assert not tracks[1].keypoints.confidence[list(hidden)].any()
    assert _miss(tracks[1], back) < 4
    longer = track_people(_payload([front, _without(back, range(14, 14 + GAP + 1))]))
    assert len(longer) == 3  # nobody can say that it is the same person


def test_only_movement_tells_twins_apart(stick_body):
    """Two of the same size and pose who are both lost while they pass each other."""
    twins = [_walk(stick_body, 100, 540), _walk(stick_body, 540, 100)]
    lost = range(17, 23)
    tracks = track_people(_payload([_without(person, lost) for person in twins]))
    assert len(tracks) == 2
    for track in tracks:
        assert track.seen.tolist() == [frame not in lost for frame in range(FRAMES)]
        assert min(_miss(track, twin) for twin in twins) < 4


def test_people_come_and_go(stick_body):
    stays, leaves, comes = (_walk(stick_body, x, x, 140.0) for x in (120, 320, 520))
    people = [stays, _without(leaves, range(20, 40)), _without(comes, range(25))]
    tracks = track_people(_payload(people))
    spans = {tuple(track.seen.nonzero().flatten()[[0, -1]].tolist()) for track in tracks}
    assert spans == {(0, 39), (0, 19), (25, 39)}


def test_ghosts_and_doubles_are_nobody(crossing):
    rng = np.random.default_rng(5)
    frames = _payload(crossing, rng)
    for frame in frames:
        double = copy.deepcopy(frame["people"][0]["pose_keypoints_2d"])
        double = [v + 1.0 if v > 1 else 0.6 * v for v in double]  # nearby and less certain
        frame["people"].insert(0, {"pose_keypoints_2d": double})
    for number in (3, 9, 30):
        ghost = np.concatenate([rng.uniform(0, 350, (24, 2)), np.full((24, 1), 0.8)], 1)
        frames[number]["people"].append({"pose_keypoints_2d": ghost.flatten().tolist()})
    tracks = track_people(frames)
    assert len(tracks) == 2 and all(track.seen.all() for track in tracks)
    for track, person in zip(tracks, crossing, strict=True):
        assert _miss(track, person) < 4


def test_somersaults_do_not_end_a_track(stick_body):
    """Points turn by 180 degrees in a few frames while the middle stays."""
    person = _walk(stick_body, 320, 320, 130.0)
    for frame in range(10, 20):
        angle = torch.tensor((frame - 9) * 2 * math.pi / 10)
        turn = np.array([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])
        middle = person[frame, :18, :2].mean(0)
        person[frame, :, :2] = (person[frame, :, :2] - middle) @ turn.T + middle
    other = _walk(stick_body, 100, 100, 120.0)
    tracks = track_people(_payload([_without(person, (13, 14, 15)), other]))
    assert len(tracks) == 2 and tracks[0].seen.sum() >= FRAMES - 5


def test_largest_is_size_times_presence(stick_body):
    tall = _without(_walk(stick_body, 150, 150, 160.0), range(12, 40))
    small = _walk(stick_body, 480, 480, 110.0)
    tracks = track_people(_payload([tall, small]))
    assert tracks[0].seen.all() and tracks[0].presence > tracks[1].presence > 0
    assert tracks[1].height.amax() > 1.3 * tracks[0].height.amax()
    standing = 1.7 * 110
    assert abs(float(tracks[0].height.median()) / standing - 1) < 0.1


def test_a_lone_picture_has_tracks_too(crossing):
    frame = _payload(crossing)[5]
    tracks = track_people(frame)
    assert [len(track.keypoints) for track in tracks] == [1, 1]
    assert len(track_people([frame])) == 2


def test_units_and_canvas(crossing):
    frames = _payload(crossing)
    expected = track_people(frames)
    fractions = copy.deepcopy(frames)
    for frame in fractions:
        for person in frame["people"]:
            rows = np.array(person["pose_keypoints_2d"]).reshape(-1, 3) / [WIDTH, HEIGHT, 1]
            person["pose_keypoints_2d"] = rows.flatten().tolist()
    bare = [{"people": frame["people"]} for frame in frames]
    for tracks in (track_people(fractions), track_people(bare, (HEIGHT, WIDTH))):
        for track, other in zip(tracks, expected, strict=True):
            torch.testing.assert_close(
                track.keypoints.points, other.keypoints.points, rtol=0, atol=1e-3
            )
    doubled = track_people(frames, (2 * HEIGHT, 2 * WIDTH))
    torch.testing.assert_close(doubled[0].keypoints.points, 2 * expected[0].keypoints.points)


def test_size_is_known_from_half_a_body(stick_body):
    whole = _walk(stick_body, 320, 320, 140.0)[0]
    half = whole.copy()
    half[[9, 10, 12, 13, *range(18, 24)]] = 0
    bust = half.copy()
    bust[[3, 4, 6, 7, 8, 11]] = 0
    for points in (whole, half, bust):
        assert abs(person_size(points) / (1.7 * 140) - 1) < 0.25
    assert person_size(np.zeros((24, 3))) == 1


# --- choosing


@pytest.fixture(scope="module")
def tracks(stick_body):
    """Three who stand beside each other, the largest in the middle; it comes in frame 2."""
    left, right = (_walk(stick_body, x, x, s) for x, s in ((120, 120.0), (530, 110.0)))
    middle = _without(_walk(stick_body, 320, 320, 170.0), range(2))
    return track_people(_payload([left, middle, right], noise=0.5, drop=0.0))


def _place(track) -> float:
    frame = int(track.seen.int().argmax())
    return float(track.keypoints.points[frame, 1, 0])


def test_largest_all_and_index(tracks):
    assert [round(_place(t) / 100) for t in choose_people(tracks, "all")] == [3, 1, 5]
    assert choose_people(tracks) == (tracks[0],)
    assert choose_people(tracks, "index", 2) == (tracks[2],)
    assert choose_people(tracks[:1], "only") == (tracks[0],)


def test_by_point(tracks):
    # In the first frame only the people on the left and right are there.
    assert choose_people(tracks, "point", point=(118.0, 150.0)) == (tracks[1],)
    assert choose_people(tracks, "point", point=(540.0, 100.0)) == (tracks[2],)
    for nowhere in ((320.0, 150.0), (5.0, 5.0)):
        with pytest.raises(InputError, match="hits nobody in frame 0"):
            choose_people(tracks, "point", point=nowhere)


def _mask(track, frame: int, factor: float = 1.0) -> torch.Tensor:
    """A box around the person."""
    known = track.keypoints.confidence[frame] > 0
    points = track.keypoints.points[frame, known] * factor
    left, top = (points.amin(0) - 8 * factor).long().clamp(min=0).tolist()
    right, bottom = (points.amax(0) + 8 * factor).long().tolist()
    mask = torch.zeros(round(HEIGHT * factor), round(WIDTH * factor))
    mask[top:bottom, left:right] = 1
    return mask


def test_by_mask_of_one_frame_or_of_all(tracks):
    for track in tracks[1:]:
        one = _mask(track, 0)
        for mask in (one, one[None], one[None, None], _mask(track, 0, 0.5)):
            assert choose_people(tracks, "mask", mask=mask) == (track,)
    clip = torch.zeros(FRAMES, HEIGHT, WIDTH)
    clip[7] = _mask(tracks[0], 7)
    assert choose_people(tracks, "mask", mask=clip) == (tracks[0],)


def test_masks_that_mean_nobody_or_several(tracks):
    both = torch.maximum(_mask(tracks[1], 0), _mask(tracks[2], 0))
    corner = torch.zeros(HEIGHT, WIDTH)
    corner[:20, :20] = 1
    for mask, sentence in (
        (None, "a mask is needed"),
        (torch.zeros(1, 64, 64), "mask is empty"),
        (corner, "covers nobody"),
        (both, "covers 2 people"),
        (torch.ones(HEIGHT, WIDTH), "covers 2 people"),
        (torch.ones(64, 64), "mask is 64x64 but .* 640x360"),
        (torch.ones(3, HEIGHT, WIDTH), "one of each of the 40 frames"),
    ):
        with pytest.raises(InputError, match=sentence):
            choose_people(tracks, "mask", mask=mask)


def test_choices_that_cannot_be(tracks):
    for arguments, sentence in (
        ({"how": "tallest"}, ", ".join(CHOICES)),
        ({"how": "only"}, "3 people were found where one is wanted"),
        ({"how": "index", "index": 3}, "no person 3; 3 were found"),
        ({"how": "index", "index": -1}, "no person -1"),
        ({"how": "index", "index": 1.0}, "no person 1.0"),
        ({"how": "point"}, "a point"),
        ({"how": "point", "point": (math.nan, 1.0)}, "a point"),
    ):
        with pytest.raises(InputError, match=sentence) as error:
            choose_people(tracks, **arguments)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no person was found"):
        choose_people(())


@pytest.mark.parametrize(
    ("people", "sentence"),
    [
        ([], "no person was found in any frame"),
        ([{"pose_keypoints_2d": [0.0] * 54}], "every keypoint is missing"),
        ([{"pose_keypoints_2d": [9.0, 9.0, 1.0] * 5 + [0.0] * 39}], "enough keypoints"),
    ],
)
def test_nobody_to_track(people, sentence):
    with pytest.raises(InputError, match=sentence):
        track_people({"canvas_width": 99, "canvas_height": 99, "people": people})


def test_fuzz_only_raises_input_errors(crossing):
    rng = random.Random(1)
    frames = _payload([person[:6] for person in crossing])
    odd = [None, -1, 0, 1e400, math.nan, "x", [], {}, [1.0] * 54, [0.5] * 72, {"people": None}]
    followed = 0
    for _ in range(100):
        data = copy.deepcopy(frames)
        for _ in range(rng.randint(1, 4)):
            frame = rng.choice(data)
            people = frame["people"]
            action = rng.randrange(6)
            if action == 0 and people:
                points = rng.choice(people).get("pose_keypoints_2d")
                if isinstance(points, list) and points:
                    points[rng.randrange(len(points))] = rng.choice(odd[:5])
            elif action == 1 and people:
                rng.choice(people)["pose_keypoints_2d"] = rng.choice(odd)
            elif action == 2:
                people.append(copy.deepcopy(rng.choice(people)) if people else {})
            elif action == 3:
                people.clear()
            elif action == 4 and people:
                rng.choice(people)["pose_keypoints_2d"] = [50.0, 50.0, 0.9] * 24
            else:
                frame[rng.choice(["canvas_width", "canvas_height"])] = rng.choice(odd[:5])
        try:
            tracks = track_people(data, (HEIGHT, WIDTH) if rng.random() < 0.5 else None)
        except InputError:
            continue
        followed += 1
        assert all(torch.isfinite(track.keypoints.points).all() for track in tracks)
        assert all(math.isfinite(track.presence) for track in tracks)
    assert followed > 25
