import dataclasses

import cv2
import numpy as np
import pytest
import torch

from lwg_core.errors import InputError
from lwg_core.render.raster import rasterize, silhouette
from lwg_core.synthetic import dataset
from lwg_core.synthetic.dataset import TEST_SEEDS, TRAIN_SEEDS, Records, load_record, make_record
from lwg_core.synthetic.identity import make_identity
from lwg_core.synthetic.loose import hidden_vertices
from lwg_core.synthetic.people import FIRST_SEED, SEEDS_PER_CALL
from lwg_core.synthetic.render import dress


@pytest.fixture(scope="module")
def figure():
    return dataset.open_mannequin()


@pytest.fixture(scope="module")
def records(figure):
    """Five people in three small pictures."""
    return [make_record(seed, poses=3, size=128, figure=figure) for seed in range(5)]


def seeds_where(count, condition):
    found = (s for s in range(TRAIN_SEEDS.start, TRAIN_SEEDS.stop) if condition(make_identity(s)))
    return [next(found) for _ in range(count)]


def overlap(figure, record):
    """Intersection over union (n,) of the mesh with its offsets and the person's alpha."""
    params = record.params
    vertices = figure.body.vertices(params.pose, params.betas, record.offsets)
    projected = params.camera.project(vertices)
    mesh = silhouette(rasterize(projected, figure.body.faces, params.camera.size))[:, 0] > 0.5
    alpha = torch.from_numpy(record.alphas) > 127
    return (mesh & alpha).sum((1, 2)) / (mesh | alpha).sum((1, 2))


def test_splits_are_frozen_and_disjoint():
    assert TRAIN_SEEDS == range(0, 100_000)
    assert TEST_SEEDS == range(1_000_000, 1_000_032)
    assert FIRST_SEED > TEST_SEEDS.stop and SEEDS_PER_CALL > 1


def test_a_seed_always_gives_the_same_pictures(figure, records):
    again = make_record(3, poses=3, size=128, figure=figure)
    for name in ("images", "foregrounds", "alphas", "background"):
        assert np.array_equal(getattr(again, name), getattr(records[3], name))
    assert torch.equal(again.offsets, records[3].offsets)
    assert torch.equal(again.params.pose, records[3].params.pose)
    assert not np.array_equal(records[2].images, records[3].images)


def test_identities_differ_and_repeat():
    people = [make_identity(seed) for seed in range(200)]
    same = make_identity(17)
    assert np.array_equal(same.betas, people[17].betas) and same.extras == people[17].extras
    assert len({tuple(p.betas) for p in people}) == 200
    loose = np.mean([p.loose for p in people])
    assert 0.3 < loose < 0.7
    assert len({p.hair.style for p in people}) == 10
    assert {p.bottom.kind for p in people} == {"trousers", "skirt"}


def test_pictures_are_the_foreground_over_the_background(records):
    for record in records:
        alpha = record.alphas[..., None] / 255
        composed = record.foregrounds + (1 - alpha) * record.background
        assert np.abs(composed - record.images).max() <= 1.0
        assert (record.foregrounds <= record.alphas[..., None] + 1.0).all()
        assert (record.alphas == 255).mean((1, 2)).min() > 0.03


def test_tight_clothes_are_what_the_offsets_say(figure):
    for seed in seeds_where(3, lambda p: not p.loose):
        record = make_record(seed, poses=4, size=128, figure=figure)
        assert not record.loose
        assert overlap(figure, record).min() > 0.93
        bare = overlap(figure, dataclasses.replace(record, offsets=0 * record.offsets))
        assert bare.mean() < overlap(figure, record).mean()


def test_a_wide_skirt_is_not_what_the_offsets_say(figure):
    def wide(person):
        return person.bottom.kind == "skirt" and person.bottom.flare > 0.2

    (seed,) = seeds_where(1, wide)
    record = make_record(seed, poses=2, size=128, figure=figure)
    assert record.loose
    assert overlap(figure, record).max() < 0.9


def test_no_leg_shows_through_a_skirt(figure):
    """Between the waist and just above the hem, no body face is left to be seen."""
    (seed,) = seeds_where(1, lambda p: p.bottom.kind == "skirt" and 0.4 < p.bottom.leg < 0.6)
    person = dress(make_identity(seed), figure)
    hidden = hidden_vertices(person.identity, figure)
    body_faces = person.faces.numpy()[person.piece_of_face < 0]
    thighs = np.abs(figure.template[:, 1] - figure.marks.leg_y(0.2)) < 0.03
    thighs &= np.abs(figure.template[:, 0]) < 0.4
    assert hidden[thighs].all()
    assert not hidden[body_faces].all(1).any()


def test_people_fill_the_frame_and_their_joints_lie_inside(figure):
    for seed in range(20, 23):
        record = make_record(seed, poses=5, size=128, figure=figure)
        params = record.params
        joints = params.camera.project(figure.body.joints(params.pose, params.betas))[..., :2]
        assert joints[:, :7].min() >= 0 and joints[:, :7].max() <= 128  # feet may be cut off
        assert joints.min() >= -3 and joints.max() <= 140
        for alpha in record.alphas:
            rows, columns = np.nonzero(alpha > 127)
            extent = max(np.ptp(rows), np.ptp(columns)) + 1
            assert 0.4 * 128 < extent <= 128


def test_the_first_two_pictures_show_front_and_back(figure, records):
    for record in records:
        joints = figure.body.joints(record.params.pose, record.params.betas)
        across = joints[:, 16, 0] - joints[:, 17, 0]  # left shoulder minus right shoulder
        assert across[0] > 0.2 and across[1] < -0.2


def test_both_kinds_of_camera_occur(figure, records):
    cameras = [r.params.camera for r in records]
    assert {c.focal is None for c in cameras} == {True, False}
    for camera in cameras:
        if camera.focal is not None:
            distance = camera.focal / camera.scale
            assert distance.min() >= 3 and distance.max() <= 8


def test_records_survive_the_disk(figure, records, tmp_path):
    path = tmp_path / "4.npz"
    dataset.save_record(path, records[4])
    read = load_record(path)
    assert read.seed == 4 and read.loose == records[4].loose
    assert read.fingerprint == dataset.body_fingerprint(figure.body)
    assert np.array_equal(read.images, records[4].images)
    assert torch.equal(read.offsets, records[4].offsets)
    assert torch.equal(read.params.pose, records[4].params.pose)
    assert torch.equal(read.params.camera.scale, records[4].params.camera.scale)
    assert read.params.body_model == "open" and read.params.camera.size == (128, 128)
    assert [p.name for p in tmp_path.iterdir()] == ["4.npz"]


def test_writing_resumes_and_heeds_the_stop_file(tmp_path):
    folder = tmp_path / "train"
    assert dataset.write_records(range(2), folder, poses=2, size=64) == 2
    first = (folder / "0.npz").stat().st_mtime_ns
    assert dataset.write_records(range(3), folder, poses=2, size=64) == 1
    assert (folder / "0.npz").stat().st_mtime_ns == first
    stop = tmp_path / "STOP"
    stop.touch()
    assert dataset.write_records(range(5), folder, poses=2, size=64, stop=stop) == 0
    reader = Records(folder)
    assert [reader[i].seed for i in range(len(reader))] == [0, 1, 2]


def test_records_of_another_body_are_made_again(tmp_path, records):
    stale = dataclasses.replace(records[0], fingerprint="of another body")
    dataset.save_record(tmp_path / "0.npz", stale)
    assert dataset.write_records(range(1), tmp_path, poses=2, size=64) == 1
    assert load_record(tmp_path / "0.npz").fingerprint != "of another body"


def test_foreign_files_and_empty_folders_are_refused(tmp_path):
    np.savez(tmp_path / "7.npz", pose=np.zeros((2, 24, 3)))
    with pytest.raises(InputError, match="7.npz"):
        load_record(tmp_path / "7.npz")
    with pytest.raises(InputError, match="no training records"):
        Records(tmp_path / "nothing")


def test_faces_are_painted_with_eyes_brows_and_a_mouth(figure):
    """In a close-up, the eyes hold the darkest and the lips the reddest part of the face."""
    from lwg_core.render.camera import Camera
    from lwg_core.synthetic.render import random_light, render_person

    def plain(person):
        face = person.face.glasses is None and person.hair.beard == "none"
        return face and person.hair.style == "short" and person.hair.fringe == 0

    (seed,) = seeds_where(1, plain)
    person = dress(make_identity(seed), figure)
    pose = torch.zeros(24, 3)
    pose[0, 0] = np.pi
    marks, size, scale = figure.marks, 256, 1400.0
    eyes = figure.body.keypoint_regressor @ figure.body.vertices(pose[None], person.betas)[0]
    centre = torch.tensor([[size / 2.0, size / 2.0]]) - eyes[0, :2] * scale
    camera = Camera(torch.tensor([scale]), centre, (size, size))
    rng = np.random.default_rng(0)
    grey = np.full((size, size, 3), 0.5, np.float32)
    image, _ = render_person(person, pose, camera, random_light(rng), grey, rng)
    picture = cv2.GaussianBlur((image.permute(1, 2, 0).numpy() + 1) / 2, (0, 0), 1.0)

    def patch(x, y, half):
        column, row = (
            size / 2 + x * scale,
            size / 2 + (eyes[14, 1].item() - eyes[0, 1].item()) * scale,
        )
        row = row - y * scale
        return picture[int(row - half) : int(row + half), int(column - half) : int(column + half)]

    offset = float(eyes[15, 0] - eyes[0, 0])
    cheek = patch(offset, -0.045 * marks.unit, 6).mean()
    assert patch(offset, 0.0, 8).min() < 0.4 * cheek
    lips, skin = patch(0.0, -0.071 * marks.unit, 6), patch(offset, -0.045 * marks.unit, 6)
    redness = [(p[..., 0] / p.mean(-1)).mean() for p in (lips, skin)]
    assert redness[0] > redness[1]
