"""BVH motions: names, Euler orders, rest poses and spines of other skeletons."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from motion_files import FRAMES, Y_UP, Z_UP, carries, close, known_motion, matrices, one
from scipy.spatial.transform import Rotation

from lwg_core.body.open_body import open_body
from lwg_core.body.params import JOINT_NAMES, JOINT_PARENTS, SmplParams
from lwg_core.errors import InputError
from lwg_core.recovery.importers import load_motion_file

MIXAMO = {
    "pelvis": "mixamorig:Hips", "spine1": "mixamorig:Spine", "spine2": "mixamorig:Spine1",
    "spine3": "mixamorig:Spine2", "neck": "mixamorig:Neck", "head": "mixamorig:Head",
    "collar": "mixamorig:{}Shoulder", "shoulder": "mixamorig:{}Arm",
    "elbow": "mixamorig:{}ForeArm", "wrist": "mixamorig:{}Hand", "hip": "mixamorig:{}UpLeg",
    "knee": "mixamorig:{}Leg", "ankle": "mixamorig:{}Foot", "foot": "mixamorig:{}ToeBase",
}  # fmt: skip
PLAIN_MIXAMO = {part: name.removeprefix("mixamorig:") for part, name in MIXAMO.items()}
NAMINGS = {
    "mixamo": MIXAMO,
    "cmu": {
        **PLAIN_MIXAMO,
        "spine1": "LowerBack", "spine2": "Spine", "spine3": "Spine1", "neck": "Neck",
    },
    "rokoko": {
        **PLAIN_MIXAMO,
        "spine1": "Spine1", "spine2": "Spine2", "spine3": "Spine4", "hip": "{}Thigh",
        "knee": "{}Shin", "foot": "{}Toe",
    },
    "plain": {
        "collar": "{}_collar", "shoulder": "{}_shoulder", "elbow": "{}_elbow", "wrist": "{}_wrist",
        "hip": "{}_hip", "knee": "{}_knee", "ankle": "{}_ankle", "foot": "{}_foot",
        "hand": "{}_hand",
    },
    "unreal": {
        "spine1": "spine_01", "spine2": "spine_02", "spine3": "spine_03", "neck": "neck_01",
        "collar": "clavicle_{}", "shoulder": "upperarm_{}", "elbow": "lowerarm_{}",
        "wrist": "hand_{}", "hip": "thigh_{}", "knee": "calf_{}", "ankle": "foot_{}",
        "foot": "ball_{}",
    },
    "asf": {
        "pelvis": "root", "spine1": "lowerback", "spine2": "upperback", "spine3": "thorax",
        "neck": "lowerneck", "collar": "{}clavicle", "shoulder": "{}humerus", "elbow": "{}radius",
        "wrist": "{}wrist", "hip": "{}femur", "knee": "{}tibia", "ankle": "{}foot",
        "foot": "{}toes",
    },
    "xsens": {
        "pelvis": "Hips", "spine1": "Chest", "spine2": "Chest2", "spine3": "Chest4",
        "collar": "{}Collar", "shoulder": "{}Shoulder", "elbow": "{}Elbow", "wrist": "{}Wrist",
        "hip": "{}Hip", "knee": "{}Knee", "ankle": "{}Ankle", "foot": "{}Toe",
    },
    "biped": {
        "pelvis": "Bip01 Pelvis", "spine1": "Bip01 Spine", "spine2": "Bip01 Spine1",
        "spine3": "Bip01 Spine2", "neck": "Bip01 Neck", "head": "Bip01 Head",
        "collar": "Bip01 {} Clavicle", "shoulder": "Bip01 {} UpperArm",
        "elbow": "Bip01 {} Forearm", "wrist": "Bip01 {} Hand", "hip": "Bip01 {} Thigh",
        "knee": "Bip01 {} Calf", "ankle": "Bip01 {} Foot", "foot": "Bip01 {} Toe0",
    },
    "daz": {
        "pelvis": "hip", "spine1": "abdomen", "spine2": "abdomen2", "spine3": "chest",
        "collar": "{}Collar", "shoulder": "{}Shldr", "elbow": "{}ForeArm", "wrist": "{}Hand",
        "hip": "{}Thigh", "knee": "{}Shin", "ankle": "{}Foot", "foot": "{}Toe",
    },
    "rigify": {
        "collar": "DEF-shoulder.{}", "shoulder": "DEF-upper_arm.{}", "elbow": "DEF-forearm.{}",
        "wrist": "DEF-hand.{}", "hip": "DEF-thigh.{}", "knee": "DEF-shin.{}",
        "ankle": "DEF-foot.{}", "foot": "DEF-toe.{}",
    },
    "vrm": {
        "pelvis": "J_Bip_C_Hips", "spine1": "J_Bip_C_Spine", "spine2": "J_Bip_C_Chest",
        "spine3": "J_Bip_C_UpperChest", "neck": "J_Bip_C_Neck", "head": "J_Bip_C_Head",
        "collar": "J_Bip_{}_Shoulder", "shoulder": "J_Bip_{}_UpperArm",
        "elbow": "J_Bip_{}_LowerArm", "wrist": "J_Bip_{}_Hand", "hip": "J_Bip_{}_UpperLeg",
        "knee": "J_Bip_{}_LowerLeg", "ankle": "J_Bip_{}_Foot", "foot": "J_Bip_{}_ToeBase",
    },
}  # fmt: skip
SIDES = {
    "unreal": ("l", "r"), "asf": ("l", "r"), "daz": ("l", "r"), "biped": ("L", "R"),
    "rigify": ("L", "R"), "vrm": ("L", "R"), "plain": ("left", "right"),
}  # fmt: skip
BODY = JOINT_NAMES[:22]  # without hands, which few skeletons have

# Hanging arms, spread legs, facing -x in a world where z is up, one joint between the hips and the
# chest, no collars, no toes; inches.
STRANGER = {
    "hip": ("", (0, 0, 0)), "chest": ("hip", (0, 0, 18)), "neck": ("chest", (0, 0, 6)),
    "head": ("neck", (0, 0, 4)),
    **{f"{s}Shldr": ("chest", (0, y * 7, 4)) for s, y in (("l", -1), ("r", 1))},
    **{f"{s}ForeArm": (f"{s}Shldr", (0, y * 2, -11)) for s, y in (("l", -1), ("r", 1))},
    **{f"{s}Hand": (f"{s}ForeArm", (0, y * 2, -10)) for s, y in (("l", -1), ("r", 1))},
    **{f"{s}Thigh": ("hip", (0, y * 4, -3)) for s, y in (("l", -1), ("r", 1))},
    **{f"{s}Shin": (f"{s}Thigh", (0, y * 5, -16)) for s, y in (("l", -1), ("r", 1))},
    **{f"{s}Foot": (f"{s}Shin", (0, y * 5, -16)) for s, y in (("l", -1), ("r", 1))},
}  # fmt: skip
LIMBS = {  # of SMPL, and of the stranger
    ("shoulder", "elbow"): ("Shldr", "ForeArm"), ("elbow", "wrist"): ("ForeArm", "Hand"),
    ("hip", "knee"): ("Thigh", "Shin"), ("knee", "ankle"): ("Shin", "Foot"),
}  # fmt: skip


@pytest.fixture
def known() -> dict[str, np.ndarray]:
    return known_motion()


def bvh_name(naming: str, joint: str) -> str:
    side, _, part = joint.partition("_")
    if side not in ("left", "right"):
        side, part = "", joint
    left, right = SIDES.get(naming, ("Left", "Right"))
    return NAMINGS[naming].get(part, joint).format(left if side == "left" else right)


def bvh_text(
    joints: list[str], parents: list[int], offsets: np.ndarray, turns: np.ndarray,
    trans: np.ndarray, orders: list[str], moving: bool = False, seconds: float = 1 / 24,
) -> str:  # fmt: skip
    """A BVH file of local rotations (T, J, 3, 3). moving: all joints have position channels."""
    lines, columns = ["HIERARCHY"], []

    def write(index: int, depth: int) -> None:
        pad, root = "\t" * depth, parents[index] < 0
        lines.extend([f"{pad}{'ROOT' if root else 'JOINT'} {joints[index]}", pad + "{"])
        lines.append(f"{pad}\tOFFSET {' '.join(f'{x:.9f}' for x in offsets[index])}")
        names = [f"{axis}rotation" for axis in orders[index]]
        if root or moving:
            names = ["Xposition", "Yposition", "Zposition", *names]
            columns.append(trans if root else np.broadcast_to(offsets[index], trans.shape))
        lines.append(f"{pad}\tCHANNELS {len(names)} {' '.join(names)}")
        # Capital letters: the rotations act one within the other, as BVH's do.
        angles = Rotation.from_matrix(turns[:, index]).as_euler(orders[index], degrees=True)
        columns.append(angles)
        below = [child for child, parent in enumerate(parents) if parent == index]
        for child in below:
            write(child, depth + 1)
        if not below:
            lines.extend([f"{pad}\tEnd Site", pad + "\t{", f"{pad}\t\tOFFSET 0 0.1 0", pad + "\t}"])
        lines.append(pad + "}")

    write(0, 0)
    rows = np.concatenate(columns, 1)
    lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {seconds:.6f}"]
    lines += [" ".join(f"{x:.9f}" for x in row) for row in rows]
    return "\n".join(lines) + "\n"


def odd_orders(count: int) -> list[str]:
    return (["ZXY", "YZX", "XYZ", "ZYX", "XZY", "YXZ"] * count)[:count]


def own_skeleton(known, naming: str, joints=BODY):
    """names, parents, offsets, local rotations: SMPL's own skeleton in cm, in a y-up world."""
    rest = open_body().joints_rest(torch.zeros(1, 10))[0].double().numpy() * 100
    kept = [JOINT_NAMES.index(name) for name in joints]
    parents = [kept.index(JOINT_PARENTS[i]) if JOINT_PARENTS[i] >= 0 else -1 for i in kept]
    offsets = np.stack([rest[i] - rest[max(JOINT_PARENTS[i], 0)] for i in kept])
    turns = matrices(known["pose"][:, kept])
    turns[:, 0] = Y_UP.T @ turns[:, 0]
    return [bvh_name(naming, name) for name in joints], parents, offsets, turns


@pytest.mark.parametrize("naming", NAMINGS)
def test_namings_and_euler_orders(tmp_path, known, naming):
    joints = JOINT_NAMES if naming == "plain" else BODY
    names, parents, offsets, turns = own_skeleton(known, naming, joints)
    place = known["trans"] @ Y_UP * 100
    text = bvh_text(names, parents, offsets, turns, place, odd_orders(len(names)))
    (tmp_path / "clip.bvh").write_text(text)
    read = one(tmp_path / "clip.bvh")
    close(read, known["pose"])
    carries(read.camera, known["trans"])
    assert read.fps == 24.0 and read.betas is None and read.valid.all()


def test_positions_on_all_joints_and_a_root_above_the_hips(tmp_path, known):
    names, parents, offsets, turns = own_skeleton(known, "mixamo")
    names, parents = ["Reference", *names], [-1] + [p + 1 for p in parents]
    offsets = np.concatenate([np.zeros((1, 3)), offsets])
    offsets[1] = [3.0, 90.0, 2.0]
    spin = np.tile(matrices([0, 2.0, 0]), (FRAMES, 1, 1))
    turns = np.concatenate([spin[:, None], turns], 1)
    turns[:, 1] = spin.swapaxes(-1, -2) @ turns[:, 1]
    place = known["trans"] @ Y_UP * 100 - spin[0] @ offsets[1]
    text = bvh_text(names, parents, offsets, turns, place, odd_orders(len(names)), moving=True)
    (tmp_path / "clip.bvh").write_bytes(text.replace("\n", "\r\n").encode())
    read = one(tmp_path / "clip.bvh")
    close(read, known["pose"])
    carries(read.camera, known["trans"])


def stranger(turns: np.ndarray, place: np.ndarray):
    """Text of the stranger's motion, and world directions of its limbs by name, y up."""
    order = sorted(STRANGER, key=lambda name: name[0] in "lr")
    parents = [order.index(STRANGER[n][0]) if STRANGER[n][0] else -1 for n in order]
    offsets = np.array([STRANGER[n][1] for n in order], float)
    text = bvh_text(order, parents, offsets, turns, place, odd_orders(len(order)), seconds=0.033333)
    world = np.zeros_like(turns)
    for index, parent in enumerate(parents):
        world[:, index] = turns[:, index] if parent < 0 else world[:, parent] @ turns[:, index]
    directions = {}
    for side in ("left", "right"):
        for (part, _), (start, end) in LIMBS.items():
            bone = world[:, order.index(side[0] + start)] @ offsets[order.index(side[0] + end)]
            directions[f"{side}_{part}"] = bone @ (Y_UP.T @ Z_UP).T / np.linalg.norm(bone[0])
    return text, directions


def limbs(params: SmplParams) -> dict[str, np.ndarray]:
    """Directions (T, 3) of SMPL's limbs in a y-up world."""
    joints = open_body().joints(params.pose, torch.zeros(10)).double().numpy() @ Y_UP.T
    found = {}
    for side in ("left", "right"):
        for part, child in LIMBS:
            start, end = (JOINT_NAMES.index(f"{side}_{name}") for name in (part, child))
            bone = joints[:, end] - joints[:, start]
            found[f"{side}_{part}"] = bone / np.linalg.norm(bone, axis=-1, keepdims=True)
    return found


def test_another_rest_pose_keeps_every_limb_where_it_points(tmp_path):
    random = np.random.default_rng(3)
    turns = matrices(random.normal(0, 0.5, (FRAMES, len(STRANGER), 3)))
    turns[0] = np.eye(3)
    place = np.stack([np.linspace(0, -30, FRAMES), np.zeros(FRAMES), np.full(FRAMES, 35.0)], 1)
    text, wanted = stranger(turns, place)
    (tmp_path / "odd.bvh").write_text(text)
    read = one(tmp_path / "odd.bvh")
    got = limbs(read)
    for name, direction in wanted.items():
        np.testing.assert_allclose(got[name], direction, atol=1e-5, err_msg=name)
    # It rests upright, facing -x of a z-up world: the viewer's left, and walks that way.
    root = matrices(read.pose[0, 0])
    np.testing.assert_allclose(root[:, 2], [-1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(root[:, 1], [0, -1, 0], atol=1e-6)
    theirs = sum(np.linalg.norm(STRANGER[name][1]) for name in ("lShin", "lFoot"))
    rest = open_body().joints_rest(torch.zeros(1, 10))[0].double().numpy()
    hip, knee, ankle = (rest[JOINT_NAMES.index(f"left_{n}")] for n in ("hip", "knee", "ankle"))
    ours = np.linalg.norm(hip - knee) + np.linalg.norm(knee - ankle)
    walk = np.zeros((FRAMES, 3))
    walk[:, 0] = np.linspace(0, -30 * ours / theirs, FRAMES)
    carries(read.camera, walk)
    assert read.fps == 30.0


def test_a_y_up_rest_pose_in_a_z_up_world(tmp_path, known):
    """AMASS motions that were turned into BVH: the root stands the skeleton up."""
    names, parents, offsets, turns = own_skeleton(known, "plain")
    turns[:, 0] = Z_UP.T @ Y_UP @ turns[:, 0]
    text = bvh_text(names, parents, offsets, turns, known["trans"] @ Z_UP * 100, ["ZXY"] * 22)
    (tmp_path / "clip.bvh").write_text(text)
    read = one(tmp_path / "clip.bvh")
    close(read, known["pose"])
    carries(read.camera, known["trans"])


def test_a_spine_of_any_names_and_one_of_one_joint(tmp_path, known):
    names, parents, offsets, turns = own_skeleton(known, "mixamo")
    text = bvh_text(names, parents, offsets, turns, known["trans"], ["ZXY"] * 22)
    for name in ("Spine", "Spine1"):
        text = text.replace(f"mixamorig:{name}\n", f"mixamorig:{name}_unheard_of\n")
    (tmp_path / "clip.bvh").write_text(text)
    close(one(tmp_path / "clip.bvh"), known["pose"])

    keep = [i for i, name in enumerate(BODY) if name not in ("spine1", "spine2")]
    turns = np.tile(np.eye(3), (FRAMES, 22, 1, 1))
    turns[:, BODY.index("spine3")] = matrices([0.9, 0, 0.3])
    parent = [-1] + [keep.index(parents[i]) if parents[i] in keep else 0 for i in keep[1:]]
    kept, orders = [names[i] for i in keep], ["XYZ"] * len(keep)
    text = bvh_text(kept, parent, offsets[keep], turns[:, keep], known["trans"], orders)
    (tmp_path / "stiff.bvh").write_text(text)
    pose = one(tmp_path / "stiff.bvh").pose[0].numpy()
    for part in ("spine1", "spine2", "spine3"):
        np.testing.assert_allclose(pose[JOINT_NAMES.index(part)], [0.3, 0, 0.1], atol=1e-5)


def test_who_stands_still_has_no_camera(tmp_path, known):
    names, parents, offsets, turns = own_skeleton(known, "mixamo")
    text = bvh_text(names, parents, offsets, turns, np.ones((FRAMES, 3)), ["ZXY"] * 22)
    (tmp_path / "clip.bvh").write_text(text)
    assert one(tmp_path / "clip.bvh").camera is None


def test_bad_files_are_one_sentence_that_names_them(tmp_path, known):
    names, parents, offsets, turns = own_skeleton(known, "mixamo")
    good = bvh_text(names, parents, offsets, turns, known["trans"], ["ZXY"] * 22)
    lines = good.splitlines()
    bad = {
        "cut": ("\n".join(lines[:-1]), "holds"),
        "cut in a row": (good[:-40], "holds"),
        "head only": (good.partition("MOTION")[0], "no MOTION"),
        "brace": (good.replace("}", "", 1), "brace"),
        "channel": (good.replace("Zrotation", "Wrotation", 1), "CHANNELS"),
        "offset": (good.replace("OFFSET 0.0", "OFFSET x", 1), "OFFSET"),
        "nan": (good.replace(lines[-2].split()[3], "nan", 1), "NaN"),
        "word": ("\n".join([*lines[:-1], lines[-1].replace(" ", " x", 1)]), "no number"),
        "time": (good.replace("Frame Time: 0.041667", "Frame Time: 0"), "above zero"),
        "frames": (good.replace("Frames: 7", "Frames: 99999999999"), "99999999999 frames"),
        "names": (good.replace("LeftForeArm", "LeftFin"), "left elbow, right elbow among"),
        "other": (good.replace("JOINT", "LIMB", 1), "out of place"),
        "flat": (good.replace(f"OFFSET {offsets[1][0]:.9f}", "OFFSET 0", 1)
                 .replace(f"OFFSET {offsets[2][0]:.9f}", "OFFSET 0", 1), "no width"),
        "deep": ("HIERARCHY\nROOT a\n{\n" + "JOINT b\n{\n" * 5000 + "MOTION\n", "more than"),
    }  # fmt: skip
    for case, (text, says) in bad.items():
        (tmp_path / "bad.bvh").write_text(text)
        with pytest.raises(InputError) as error:
            load_motion_file(tmp_path / "bad.bvh")
        message = str(error.value)
        assert message.startswith("bad.bvh: ") and says in message, (case, message)
        assert "\n" not in message and len(message) < 400, (case, message)
