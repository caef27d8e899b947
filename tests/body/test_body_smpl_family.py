"""SMPL, SMPL-H and SMPL-X files as their owners have them, against ``smplx``."""

from __future__ import annotations

import math
import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse
import torch

from lwg_core.body.files import load_body_model
from lwg_core.body.model import PART_NAMES, vertex_normals
from lwg_core.body.open_body import open_body
from lwg_core.body.params import JOINT_NAMES, JOINT_PARENTS, SmplParams
from lwg_core.body.smpl_family import SMPL, SMPLH, SMPLX, Family
from lwg_core.errors import InputError
from lwg_core.recovery.fit import fit_keypoints
from lwg_core.recovery.keypoints import Keypoints
from lwg_core.recovery.projection import project_keypoints
from lwg_core.render.camera import Camera


def model_arrays(family: Family, shapes: int = 10) -> dict[str, np.ndarray]:
    """A random body of the right sizes: four skinning weights a vertex, ten vertices a joint."""
    rng = np.random.default_rng(len(family.parents))
    joints, vertices = len(family.parents), family.vertices
    weights = np.zeros((vertices, joints), np.float32)
    rows = np.arange(vertices)[:, None]
    weights[rows, rng.integers(0, joints, (vertices, 4))] = rng.random((vertices, 4)) + 0.1
    weights /= weights.sum(1, keepdims=True)
    regressor = np.zeros((joints, vertices))
    chosen = rng.integers(0, vertices, (joints, 10))
    regressor[np.arange(joints)[:, None], chosen] = rng.random((joints, 10)) + 0.1
    regressor /= regressor.sum(1, keepdims=True)
    few = 0.003 * rng.standard_normal((vertices, 3, 30)).astype(np.float32)
    poses = 9 * (joints - 1)
    parents = [2**32 - 1, *family.parents[1:]]
    return {
        "v_template": rng.uniform(-0.9, 0.9, (vertices, 3)),
        "shapedirs": np.tile(few, (1, 1, 14))[..., :shapes],
        "posedirs": np.roll(np.tile(few, (1, 1, 17))[..., :poses], 1, 0),
        "J_regressor": regressor,
        "weights": weights,
        "kintree_table": np.array([parents, range(joints)], np.uint32),
        "f": rng.integers(0, vertices, (500, 3)).astype(np.uint32),
    }


def hands_and_face(family: Family) -> dict[str, np.ndarray]:
    """What else ``smplx`` insists on."""
    extra = {f"hands_components{side}": np.eye(45) for side in "lr"}
    extra |= {f"hands_mean{side}": np.full(45, 0.2) for side in "lr"}
    if family is SMPLX:
        extra["lmk_faces_idx"] = np.zeros(51, np.int64)
        extra["lmk_bary_coords"] = np.full((51, 3), 1 / 3)
    return {} if family is SMPL else extra


class Python2Pickler(pickle._Pickler):
    """Bytes and text as Python 2 wrote them: one opcode for both, no detour over a codec."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, value: str | bytes) -> None:
        raw = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(raw).to_bytes(4, "little") + raw)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def write_python2_pickle(path, value) -> None:
    with open(path, "wb") as stream:
        Python2Pickler(stream, 2).dump(value)
    data = path.read_bytes()
    for new, old in (
        (b"cnumpy._core.", b"cnumpy.core."),
        (b"cscipy.sparse._csc", b"cscipy.sparse.csc"),
    ):
        data = data.replace(new, old)
    path.write_bytes(data)


@pytest.fixture
def chumpy(monkeypatch):
    """Classes that pickle as chumpy's do; gone again when the file is read."""

    class Ch:
        def __init__(self, x):
            self.__dict__ |= {"x": x, "_dirty_vars": {"x"}, "_itr": None, "_make_dense": False}

    class Select:
        def __init__(self, a, idxs, preferred_shape):
            self.__dict__ |= {"a": a, "idxs": idxs, "preferred_shape": preferred_shape}

    package = types.ModuleType("chumpy")
    for kind, module in ((Ch, "chumpy.ch"), (Select, "chumpy.reordering")):
        kind.__module__, kind.__qualname__ = module, kind.__name__
        holder = types.ModuleType(module)
        setattr(holder, kind.__name__, kind)
        setattr(package, kind.__name__, kind)
        monkeypatch.setitem(sys.modules, module, holder)
    monkeypatch.setitem(sys.modules, "chumpy", package)
    return package


def oracle(family: Family, path, pose: torch.Tensor, betas: torch.Tensor):
    """Vertices and joints from ``smplx`` with flat hands."""
    smplx = pytest.importorskip(
        "smplx", reason="smplx is not installed: SMPL-family files are NOT checked against it"
    )
    count = len(pose)
    parts = {"global_orient": pose[:, 0], "body_pose": pose[:, 1:22].flatten(1)}
    if family is SMPL:
        with np.load(path) as archive:
            held = {key: archive[key] for key in archive if key != "joint2num"}
        model = smplx.SMPL("", data_struct=smplx.utils.Struct(**held), batch_size=count)
        parts["body_pose"] = pose[:, 1:].flatten(1)
    else:
        kind = smplx.SMPLH if family is SMPLH else smplx.SMPLX
        model = kind(str(path), ext="npz", batch_size=count, use_pca=False, flat_hand_mean=True)
    with torch.no_grad():
        found = model(betas=betas, **parts)
    return found.vertices, found.joints


def random_poses(count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    pose = 0.5 * torch.randn(count, 24, 3, generator=generator)
    return pose, torch.randn(count, 10, generator=generator)


@pytest.mark.parametrize(
    "family, shapes",
    [(SMPL, 10), (SMPL, 300), (SMPLH, 16), (SMPLX, 20), (SMPLX, 400)],
    ids=lambda value: getattr(value, "id", value),
)
def test_official_files_pose_like_smplx(tmp_path, family, shapes):
    arrays = model_arrays(family, shapes)
    arrays["J_regressor"] = arrays["J_regressor"].astype(np.float32)
    path = tmp_path / "MODEL.npz"
    np.savez(
        path, **arrays, **hands_and_face(family), joint2num=np.array({"a": 1}, dtype=object)
    )  # the official SMPL-X holds pickled dictionaries too
    pose, betas = random_poses()
    if family is not SMPL:
        pose[:, 22:] = 0
    body = load_body_model(path)
    assert body.id == family.id and body.parents == JOINT_PARENTS
    assert body.shapedirs.shape[2] == 10 and body.posedirs.shape[2] == 207
    torch.testing.assert_close(body.weights.sum(1), torch.ones(family.vertices))
    vertices, joints = oracle(family, path, pose, betas)
    assert (body.vertices(pose, betas) - vertices).abs().max() < 1e-5
    ours = body.joints(pose, betas)
    assert (ours[:, :22] - joints[:, :22]).abs().max() < 1e-5
    if family is not SMPL:
        for hand, knuckles in zip((22, 23), family.knuckles, strict=True):
            assert (ours[:, hand] - joints[:, knuckles].mean(1)).abs().max() < 1e-5


@pytest.mark.parametrize("family", [SMPL, SMPLH, SMPLX], ids=lambda f: f.id)
def test_pickles_of_python_2_with_chumpy_hold_the_same_body(tmp_path, family, chumpy):
    arrays = model_arrays(family)
    np.savez(tmp_path / "model.npz", **arrays)
    held = dict(arrays)
    held["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    held["weights"] = chumpy.Ch(arrays["weights"])
    held["v_template"] = chumpy.Ch(np.asfortranarray(arrays["v_template"]))
    whole = np.concatenate([arrays["shapedirs"], arrays["shapedirs"] + 1], -1)
    picked = np.arange(whole.size).reshape(whole.shape)[..., :10]
    held["shapedirs"] = chumpy.Select(chumpy.Ch(whole), picked.ravel(), picked.shape)
    held |= {"bs_style": "lbs", "bs_type": "lrotmin", "vert_sym_idxs": np.arange(9), "J": [0.0]}
    write_python2_pickle(tmp_path / "model.pkl", held)
    for module in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        del sys.modules[module]
    theirs, ours = (load_body_model(tmp_path / f"model.{kind}") for kind in ("npz", "pkl"))
    assert ours.id == family.id
    for name in ("v_template", "shapedirs", "posedirs", "joint_regressor", "weights", "faces"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
    assert "chumpy" not in sys.modules


def test_single_vertices_are_those_of_the_official_meshes():
    ids = pytest.importorskip(
        "smplx.vertex_ids", reason="smplx is not installed: its vertex numbers are NOT compared"
    ).vertex_ids
    names = "nose reye leye rear lear LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel".split()
    for family, key in ((SMPL, "smplh"), (SMPLH, "smplh"), (SMPLX, "smplx")):
        assert family.points == tuple(ids[key][name] for name in names)


def test_smplx_is_not_imported(tmp_path):
    """Neither for the open body nor for the family's files."""
    arrays = model_arrays(SMPL)
    np.savez(tmp_path / "model.npz", **arrays)
    loaded = sys.modules.pop("smplx", None)
    try:
        load_body_model(tmp_path / "model.npz")
        assert "smplx" not in sys.modules
    finally:
        if loaded is not None:
            sys.modules["smplx"] = loaded


def test_hands_turn_their_four_fingers(tmp_path):
    arrays = model_arrays(SMPLH)
    arrays["weights"] = np.eye(52)[np.arange(6890) % 52]
    del arrays["posedirs"]
    np.savez(tmp_path / "model.npz", **arrays)
    body = load_body_model(tmp_path / "model.npz")
    pose = torch.zeros(1, 24, 3)
    pose[0, 22, 2] = 1.0
    moved = (body.vertices(pose) - body.v_template).norm(dim=-1)[0] > 1e-4
    joint = torch.arange(6890) % 52
    assert not moved[(joint < 22) | (joint >= 34)].any()
    assert moved[(joint >= 22) & (joint < 34)].float().mean() > 0.99


def relabelled(order: np.ndarray, keep: np.ndarray) -> dict[str, np.ndarray]:
    """The open body with vertices ``order`` and those of its faces that ``keep`` all corners."""
    body = open_body()
    place = np.full(len(body.v_template), -1)
    place[order] = np.arange(len(order))
    faces = place[body.faces.numpy()]
    regressor = body.joint_regressor.numpy()[:, order]
    return {
        "v_template": body.v_template.numpy()[order],
        "shapedirs": body.shapedirs.numpy()[order],
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": body.weights.numpy()[order],
        "kintree_table": np.array([JOINT_PARENTS, range(24)]),
        "f": faces[(faces >= 0).all(1)],
    }


def open_as_smpl() -> dict[str, np.ndarray]:
    """The open body on SMPL's vertex count, with its face and foot points at SMPL's numbers."""
    body = open_body()
    rows = [0, 14, 15, 16, 17]
    targets = torch.cat([body.keypoint_regressor[rows], body.foot_regressor]) @ body.v_template
    picked = torch.cdist(targets, body.v_template).argmin(1).numpy()
    assert len(set(picked)) == len(picked)
    others = np.setdiff1d(np.arange(len(body.v_template)), picked)
    order = np.full(SMPL.vertices, -1)
    order[list(SMPL.points)] = picked
    order[order < 0] = others[: SMPL.vertices - len(picked)]
    return relabelled(order, order)


@pytest.fixture(scope="module")
def smpl_like(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "SMPL_NEUTRAL.npz"
    np.savez(path, **open_as_smpl())
    return load_body_model(path)


def test_keypoints_and_feet_lie_where_detectors_see_them(smpl_like):
    """Within a few centimetres of the open body's, which were learnt from a detector's."""
    body = open_body()
    assert smpl_like.id == "smpl"
    for name in ("keypoint_regressor", "foot_regressor"):
        ours, theirs = getattr(smpl_like, name), getattr(body, name)
        torch.testing.assert_close(ours.sum(1), torch.ones(len(ours)), atol=1e-5, rtol=0)
        apart = (ours @ smpl_like.v_template - theirs @ body.v_template).norm(dim=1)
        assert apart.max() < 0.06 and apart.mean() < 0.025
    shoulders = smpl_like.joints_rest(torch.zeros(1, 10))[0, [16, 17]].mean(0)
    neck = smpl_like.keypoint_regressor[1] @ smpl_like.v_template
    assert (neck - shoulders).norm() < 1e-5


def test_parts_follow_the_joints_and_the_face_looks_forward(smpl_like):
    parts = [PART_NAMES[part] for part in smpl_like.parts.tolist()]
    assert set(parts) == set(PART_NAMES)
    strongest = [JOINT_NAMES[joint] for joint in smpl_like.weights.argmax(1).tolist()]
    limbs = {"left_hand": "left_hand", "right_wrist": "right_hand", "left_knee": "left_leg",
             "right_foot": "right_foot", "left_elbow": "left_arm", "spine2": "torso"}  # fmt: skip
    for joint, part in limbs.items():
        assert {p for p, s in zip(parts, strongest, strict=True) if s == joint} == {part}
    face = torch.tensor([part == "face" for part in parts])
    normals = vertex_normals(smpl_like.v_template, smpl_like.faces)
    assert 100 < face.sum() < 2500 and normals[face, 2].mean() > 0.5
    assert face[[332, 2800, 6260]].all() and not face[[583, 4071]].any()


def test_the_fit_works_on_it(smpl_like):
    """Keypoints of the open body, whose regressors differ, fitted with the SMPL-like one."""
    body = open_body()
    pose = torch.zeros(4, 24, 3)
    pose[:, 0, 0] = math.pi
    bent = {
        "left_shoulder": [0.0, -0.2, -1.0],
        "right_shoulder": [0.0, 0.2, 1.0],
        "left_elbow": [0.0, -0.6, 0.0],
        "left_hip": [-0.5, 0.0, 0.0],
        "left_knee": [0.7, 0.0, 0.0],
    }
    for joint, angles in bent.items():
        pose[:, JOINT_NAMES.index(joint)] = torch.tensor(angles)
    pose[1:, JOINT_NAMES.index("right_elbow"), 1] = torch.tensor([0.3, 0.7, 1.1])
    scale = torch.full((4,), 200.0)
    camera = Camera(scale, torch.full((4, 2), 256.0), (512, 512), scale * 5)
    for true_body in (body, smpl_like):
        truth = SmplParams(pose, torch.zeros(10), true_body.id, camera)
        points, seen = project_keypoints(true_body, truth)
        fit = fit_keypoints(
            Keypoints(points * seen[..., None], seen, (512, 512)), smpl_like, (512, 512)
        )
        assert fit.params.body_model == "smpl" and fit.params.valid.all()
        assert fit.error_px.max() < (4.0 if true_body is body else 1.5)
        ours = smpl_like.joints(fit.params.pose, fit.params.betas)
        theirs = true_body.joints(pose)
        miss = (ours - ours[:, :1] - theirs + theirs[:, :1]).norm(dim=-1)
        assert miss.mean() < 0.08


def changed(**changes):
    return lambda arrays: arrays.update(changes)


def tree(joint: int, parent: int):
    def change(arrays):
        arrays["kintree_table"][0, joint] = parent

    return change


@pytest.mark.parametrize(
    "family, change, words",
    [
        (SMPLH, tree(25, 24), "tree of SMPL-H, where the parent of joint 25 is 20; got 24"),
        (SMPLX, tree(5, 9), "tree of SMPL-X, where the parent of joint 5 is 2; got 9"),
        (SMPL, tree(3, 3), "tree of SMPL, .* joint 3 is 0; got 3"),
        (SMPLH, changed(v_template=np.zeros((6889, 3))), "52 joints and 6889 vertices"),
        (SMPLX, changed(v_template=np.zeros((6890, 3))), "55 joints and 6890 vertices"),
        (SMPL, changed(kintree_table=np.zeros((2, 16))), "16 joints .*MANO, a hand"),
        (SMPL, changed(kintree_table=np.zeros((2, 5))), "5 joints .*FLAME, a head"),
        (SMPL, changed(kintree_table=np.zeros((2, 33))), "33 joints .*SMAL, an animal"),
        (SMPL, changed(kintree_table=np.zeros(24)), r"kintree_table must be \(2, joints\)"),
        (SMPL, changed(posedirs=np.zeros((6890, 3, 93), np.float32)), "STAR, another family"),
        (SMPLX, changed(weights=np.zeros((10475, 55))), "sum to 1"),
        (SMPLH, changed(weights=np.full((6890, 52), np.nan)), "weights holds NaN"),
        (SMPL, changed(v_template=np.zeros((6890, 3), bool)), "v_template must hold numbers"),
        (SMPL, changed(f=np.array([["a", "b", "c"]])), "f must hold numbers"),
        (SMPL, changed(J_regressor=np.full((24, 6890), 1e300)), "J_regressor holds NaN or inf"),
        (SMPL, changed(v_template=np.full((6890, 3), 170.0)), "metres"),
        (SMPL, changed(shapedirs=np.zeros((6890, 3, 4))), "at least 10 shape"),
    ],
)  # fmt: skip
def test_other_families_and_broken_bodies_are_named(tmp_path, family, change, words):
    arrays = model_arrays(family)
    del arrays["posedirs"]
    change(arrays)
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=words) as caught:
        load_body_model(tmp_path / "bad.npz")
    assert str(caught.value).startswith("bad.npz: ") and "\n" not in str(caught.value)
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(arrays))
    with pytest.raises(InputError, match=words):
        load_body_model(tmp_path / "bad.pkl")


def test_pickles_that_are_no_body_models(tmp_path):
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    for value, words in (
        ({}, "missing: v_template"),
        ([1, 2], "dictionary of arrays"),
        ({**model_arrays(SMPL), "weights": "light"}, "weights .* numbers"),
        ({**model_arrays(SMPL), "f": [[0, 1], [2]]}, "f is no array"),
    ):
        path.write_bytes(pickle.dumps(value))
        with pytest.raises(InputError, match=words) as caught:
            load_body_model(path)
        assert str(caught.value).startswith("SMPL_NEUTRAL.pkl: ")
    whole = pickle.dumps(model_arrays(SMPL))
    for cut in (0, 1, 1000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match="SMPL_NEUTRAL.pkl"):
            load_body_model(path)
