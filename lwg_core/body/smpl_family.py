"""SMPL, SMPL-H and SMPL-X as one kind of body: 24 joints in SMPL's order.

The files are read by our own readers and posed by our own skinning, because the ``smplx`` package
opens pickles with the reader that runs what is in them, needs chumpy for the official ones, and is
not free for commercial use; it is the tests' oracle instead.

What is more than SMPL is frozen at rest: flat hands, closed mouth, eyes ahead. The skinning weights
of frozen joints go to the joint that carries them (four fingers to the hand, the thumb to the
wrist, jaw and eyes to the head), so with flat hands every vertex is where ``smplx`` puts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from .distill.labels import part_labels
from .model import BodyModel, vertex_normals
from .params import JOINT_NAMES, JOINT_PARENTS

REQUIRED = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")
BODY_KEYS = (*REQUIRED, "posedirs")
BETAS = 10
POSE_ENTRIES = 9 * 23
LARGEST = 100.0  # of a coordinate; a body in centimetres is larger


def _hand_parents(wrist: int, first: int) -> tuple[int, ...]:
    """Five fingers of three joints, each a chain from the wrist."""
    return sum(((wrist, first + 3 * f, first + 3 * f + 1) for f in range(5)), ())


# Index, middle, little and ring finger are twelve joints, the thumb three.
_LEFT_HAND = (22,) * 12 + (20,) * 3
_RIGHT_HAND = (23,) * 12 + (21,) * 3

# Single vertices of the two official meshes, in the order of FACE_POINTS and FOOT_POINTS.
FACE_POINTS = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")
_SMPL_POINTS = (332, 6260, 2800, 4071, 583, 3216, 3226, 3387, 6617, 6624, 6787)
_SMPLX_POINTS = (9120, 9929, 9448, 616, 6, 5770, 5780, 8846, 8463, 8474, 8635)

# COCO-18 keypoints that are joints, or the middle of two; the face comes from single vertices.
_KEYPOINT_JOINTS = {
    1: ("left_shoulder", "right_shoulder"),
    2: ("right_shoulder",),
    3: ("right_elbow",),
    4: ("right_wrist",),
    5: ("left_shoulder",),
    6: ("left_elbow",),
    7: ("left_wrist",),
    8: ("right_hip",),
    9: ("right_knee",),
    10: ("right_ankle",),
    11: ("left_hip",),
    12: ("left_knee",),
    13: ("left_ankle",),
}
_KEYPOINT_VERTICES = (0, 14, 15, 16, 17)


@dataclass(frozen=True)
class Family:
    """One member of the family.

    id: what betas are labelled with. title: its name for people. vertices: of its mesh.
    parents: its whole tree. folded: the joint among SMPL's 24 that each of its joints becomes.
    points: vertices of the five face points and six foot points.
    """

    id: str
    title: str
    vertices: int
    parents: tuple[int, ...]
    folded: tuple[int, ...]
    points: tuple[int, ...]

    @property
    def knuckles(self) -> list[list[int]]:
        """First joints of the four fingers of the left and of the right hand."""
        hands = [[j for j, to in enumerate(self.folded) if to == hand] for hand in (22, 23)]
        return [joints[::3] for joints in hands]


_BODY = tuple(range(22))
_TREE = tuple(JOINT_PARENTS[:22])
SMPL = Family("smpl", "SMPL", 6890, tuple(JOINT_PARENTS), tuple(range(24)), _SMPL_POINTS)
SMPLH = Family(
    "smplh",
    "SMPL-H",
    6890,
    _TREE + _hand_parents(20, 22) + _hand_parents(21, 37),
    _BODY + _LEFT_HAND + _RIGHT_HAND,
    _SMPL_POINTS,
)
SMPLX = Family(
    "smplx",
    "SMPL-X",
    10475,
    _TREE + (15, 15, 15) + _hand_parents(20, 25) + _hand_parents(21, 40),
    _BODY + (15, 15, 15) + _LEFT_HAND + _RIGHT_HAND,
    _SMPLX_POINTS,
)
_FAMILIES = {len(family.parents): family for family in (SMPL, SMPLH, SMPLX)}
_STRANGERS = {
    5: "FLAME, a head",
    16: "MANO, a hand",
    33: "SMAL, an animal",
    35: "SMAL, an animal",
    75: "SUPR",
}


def body_of_arrays(arrays: Mapping[str, NDArray], name: str) -> BodyModel:
    """Check the arrays of a file and wrap them.

    name: the id of a body with SMPL's joints on a mesh of its own.
    """
    missing = [key for key in REQUIRED if key not in arrays]
    if missing:
        raise InputError(f"not a body model in SMPL layout; missing: {', '.join(missing)}")
    for key in BODY_KEYS:
        if key in arrays and arrays[key].dtype.kind not in "fiu":
            raise InputError(f"{key} must hold numbers; it is of type {arrays[key].dtype}")
    family = _family_of(arrays)
    _check_shapes(arrays, family)
    numbers = {key: _floats(arrays, key) for key in BODY_KEYS if key in arrays}
    weights = numbers["weights"]
    if ((weights.sum(1) - 1).abs() > 1e-3).any() or (weights < -1e-6).any():
        raise InputError("weights must not be negative and must sum to 1 for each vertex")
    if numbers["v_template"].abs().max() > LARGEST:
        raise InputError("v_template must be in metres; its coordinates are larger than 100")
    vertices = len(weights)
    faces = torch.from_numpy(arrays["f"].astype(np.int64))
    if len(faces) == 0 or faces.min() < 0 or faces.max() >= vertices:
        raise InputError(f"f must index the {vertices} vertices")
    folding = weights.new_zeros(len(family.parents), 24)
    folding[range(len(family.parents)), family.folded] = 1
    body = BodyModel(
        id=family.id if vertices == family.vertices else name,
        v_template=numbers["v_template"],
        shapedirs=numbers["shapedirs"].contiguous(),
        posedirs=_pose_blend_shapes(numbers.get("posedirs"), family),
        joint_regressor=_joint_regressor(numbers["J_regressor"], family),
        weights=weights @ folding,
        parents=tuple(JOINT_PARENTS),
        faces=faces,
    )
    return body if vertices != family.vertices else _with_points(body, family)


def _family_of(arrays: Mapping[str, NDArray]) -> Family:
    table, template = arrays["kintree_table"], arrays["v_template"]
    if table.ndim != 2 or len(table) != 2:
        raise InputError(f"kintree_table must be (2, joints); got {table.shape}")
    joints = table.shape[1]
    vertices = template.shape[0] if template.ndim else 0
    family = _FAMILIES.get(joints)
    # Other meshes with SMPL's joints are welcome; the hands and faces of the others are not ours.
    if family is None or (family is not SMPL and vertices != family.vertices):
        stranger = f" ({_STRANGERS[joints]})" if joints in _STRANGERS else ""
        raise InputError(
            f"has {joints} joints and {vertices} vertices{stranger}; a body model is SMPL with 24 "
            "joints, SMPL-H with 52 and 6890 vertices, or SMPL-X with 55 and 10475"
        )
    for joint, parent in enumerate(family.parents[1:], 1):
        if table[0, joint] != parent:
            raise InputError(
                f"kintree_table must be the tree of {family.title}, where the parent of joint "
                f"{joint} is {parent}; got {table[0, joint]}"
            )
    return family


def _check_shapes(arrays: Mapping[str, NDArray], family: Family) -> None:
    joints = len(family.parents)
    vertices = arrays["v_template"].shape[0] if arrays["v_template"].ndim else 0
    wanted: dict[str, tuple[int | None, ...]] = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, None),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        "J_regressor": (joints, vertices),
        "weights": (vertices, joints),
        "f": (None, 3),
    }
    for key, shape in wanted.items():
        found = arrays[key].shape if key in arrays else shape
        if len(found) != len(shape) or any(
            w not in (None, n) for w, n in zip(shape, found, strict=True)
        ):
            star = "; that is STAR, another family" if found[-1:] == (93,) else ""
            text = ", ".join("any" if length is None else str(length) for length in shape)
            raise InputError(f"{key} must be ({text}) in {family.title}; got {found}{star}")
    if vertices == 0:
        raise InputError("v_template holds no vertices")
    if arrays["shapedirs"].shape[2] < BETAS:
        raise InputError(f"shapedirs must have at least {BETAS} shape directions")


def _floats(arrays: Mapping[str, NDArray], key: str) -> Tensor:
    """float32, cut to the shape and pose directions that are used: SMPL-X has 400 and 486."""
    used = {"shapedirs": BETAS, "posedirs": POSE_ENTRIES}.get(key)
    values = arrays[key] if used is None else arrays[key][..., :used]
    with np.errstate(over="ignore"):
        tensor = torch.from_numpy(values.astype(np.float32))
    if not torch.isfinite(tensor).all():
        raise InputError(f"{key} holds NaN or infinite values")
    return tensor


def _pose_blend_shapes(posedirs: Tensor | None, family: Family) -> Tensor | None:
    """(V, 3, 207): the first 21 rotations mean the same everywhere; 22 and 23 are SMPL's alone."""
    if posedirs is None or family is SMPL:
        return posedirs
    hands = posedirs.new_zeros(*posedirs.shape[:2], 18)
    return torch.cat([posedirs[..., : 9 * 21], hands], -1)


def _joint_regressor(regressor: Tensor, family: Family) -> Tensor:
    """(24, V): a hand joint sits amid the knuckles of its four fingers."""
    if family is SMPL:
        return regressor
    hands = [regressor[joints].mean(0) for joints in family.knuckles]
    return torch.cat([regressor[:22], torch.stack(hands)])


def _with_points(body: BodyModel, family: Family) -> BodyModel:
    """The same body with keypoint and foot regressors and part labels."""
    vertices = len(body.v_template)
    keypoints = body.v_template.new_zeros(18, vertices)
    for row, names in _KEYPOINT_JOINTS.items():
        joints = [JOINT_NAMES.index(name) for name in names]
        keypoints[row] = body.joint_regressor[joints].mean(0)
    face, feet = family.points[: len(FACE_POINTS)], family.points[len(FACE_POINTS) :]
    keypoints[_KEYPOINT_VERTICES, face] = 1
    foot_points = body.v_template.new_zeros(len(feet), vertices)
    foot_points[range(len(feet)), feet] = 1
    return replace(
        body,
        parts=_parts(body),
        keypoint_regressor=keypoints,
        foot_regressor=foot_points,
    )


def _parts(body: BodyModel) -> Tensor | None:
    """(V,) uint8 index into PART_NAMES by the heaviest joint; the face is the head's front."""
    head = body.weights.argmax(1) == JOINT_NAMES.index("head")
    if head.sum() < 3 or (body.v_template[head].amax(0) == body.v_template[head].amin(0)).any():
        return None  # no head to find a face on
    labels = part_labels(
        body.v_template.numpy(),
        body.weights.numpy(),
        head.numpy(),
        (body.joint_regressor @ body.v_template).numpy(),
        vertex_normals(body.v_template, body.faces).numpy(),
    )
    return torch.from_numpy(labels)
