"""Random poses for training, within the range of motion of human joints."""

from __future__ import annotations

import numpy as np

from .joint_limits import collides, limit_pose
from .motions import INDEX, Angles, gait, pose_from_angles

POSE_KINDS = (
    "a_pose", "stand", "walk", "run", "dance", "reach", "kick", "crouch", "squat", "turn",
    "hands_on_hips", "crossed_arms", "wave", "sit", "jump", "lean", "free",
)  # fmt: skip


def random_pose(rng: np.random.Generator, kind: str) -> np.ndarray:
    """(24, 3) axis-angle of one of ``POSE_KINDS``, facing the camera (see ``motions.turned``).

    Draws until no limb runs into the body, at most 12 times; hands, wrists, feet, neck and head
    always vary.
    """
    for _ in range(12):
        angles = _BUILDERS[kind](rng.uniform)
        pose = pose_from_angles(1, angles)[0]
        root = pose[0].copy()
        pose += np.deg2rad(rng.normal(0, 1.8, (24, 3)))
        for name, spread in (("neck", 5), ("head", 7), ("left_wrist", 11), ("right_wrist", 11)):
            pose[INDEX[name]] += np.deg2rad(rng.normal(0, spread, 3))
        for name, sign in (("left_hand", -1), ("right_hand", 1)):
            pose[INDEX[name]] = np.deg2rad((0, rng.normal(0, 3), sign * rng.uniform(-4, 58)))
        for name in ("left_ankle", "right_ankle"):
            pose[INDEX[name]] += np.deg2rad(rng.normal(0, (5, 6, 3)))
        pose[0] = root
        pose = limit_pose(pose)
        if not collides(pose):
            break
    return pose


def _sides(**left_and_right: tuple) -> Angles:
    """Joint name -> (left angles, right angles), both written as for the left side."""
    angles: Angles = {}
    for name, (left, right) in left_and_right.items():
        angles[f"left_{name}"] = left
        mirrored = (right[0], -right[1], -right[2], *right[3:])
        angles[f"right_{name}"] = mirrored
    return angles


def _trunk(u, bend: float = 0.0, twist: float = 0.0, lean: float = 0.0) -> Angles:
    return {
        "pelvis": (0.2 * bend + u(-3, 3), 0, u(-3, 3)),
        "spine1": (0.35 * bend, 0.3 * twist, 0.4 * lean),
        "spine2": (0.25 * bend, 0.35 * twist, 0.35 * lean),
        "spine3": (0.2 * bend + u(-4, 4), 0.35 * twist, 0.25 * lean),
        "neck": (-0.25 * bend + u(-4, 8), 0.2 * twist + u(-14, 14), -0.2 * lean),
        "head": (-0.25 * bend + u(-8, 8), u(-14, 14), -0.2 * lean + u(-6, 6)),
    }


def _legs(u, spread: float = 6.0, bend: float = 12.0) -> Angles:
    def one():
        knee = u(2, 4 + bend)
        hip = knee * u(0.35, 0.6)
        return (-hip, u(-2, 12), u(0, spread)), (knee, 0, 0), (hip - knee, u(-3, 3), 0)

    left, right = one(), one()
    return _sides(**{n: (left[i], right[i]) for i, n in enumerate(("hip", "knee", "ankle"))})


def _hanging_arm(u) -> dict[str, tuple]:
    return {
        "collar": (0, u(-4, 4), u(-8, 0)),
        "shoulder": (u(-14, 10), u(-12, 6), -u(55, 76), u(-20, 5)),
        "elbow": (0, -u(4, 40), 0),
    }


def _arms(left: dict[str, tuple], right: dict[str, tuple]) -> Angles:
    return _sides(**{name: (left[name], right[name]) for name in left})


def _a_pose(u) -> Angles:
    def arm():
        return {
            "collar": (0, 0, u(-7, 3)),
            "shoulder": (u(-6, 6), u(-8, 6), -u(30, 66), u(-12, 6)),
            "elbow": (0, -u(2, 22), 0),
        }

    return _trunk(u) | _legs(u, 9, 6) | _arms(arm(), arm())


def _stand(u) -> Angles:
    return (
        _trunk(u, u(-4, 10), u(-14, 14), u(-8, 8))
        | _legs(u, 8, 24)
        | _arms(_hanging_arm(u), _hanging_arm(u))
    )


def _walk(u) -> Angles:
    return gait(np.array([u(0, 1)]), u(0.6, 1.25), u(0.4, 1.5))


def _run(u) -> Angles:
    phase = np.array([u(0, 1)])
    angles = gait(phase, u(1.2, 1.7), u(1.4, 2.2))
    lean = u(4, 16)
    angles["spine1"] = (lean, *angles["spine1"][1:])
    for side, out in (("left", 1.0), ("right", -1.0)):
        angles[f"{side}_elbow"] = (0, -out * u(65, 105), 0)
    return angles


def _dancing_arm(u) -> dict[str, tuple]:
    return {
        "collar": (0, u(-8, 8), u(-5, 10)),
        "shoulder": (u(-35, 15), u(-55, 12), u(-62, 42), u(-70, 15)),
        "elbow": (0, -u(4, 118), 0),
    }


def _dance(u) -> Angles:
    legs = _legs(u, 18, 48)
    return (
        _trunk(u, u(-6, 16), u(-30, 30), u(-20, 20))
        | legs
        | _arms(_dancing_arm(u), _dancing_arm(u))
    )


def _reach(u) -> Angles:
    high = {
        "collar": (0, u(-8, 5), u(4, 16)),
        "shoulder": (u(-40, 10), u(-45, 5), u(5, 72), u(-70, 0)),
        "elbow": (0, -u(2, 40), 0),
    }
    forward = {
        "collar": (0, u(-12, 0), u(-5, 5)),
        "shoulder": (u(-15, 15), u(-95, -45), u(-30, 40), u(-30, 10)),
        "elbow": (0, -u(2, 45), 0),
    }
    arms = [high, forward, _hanging_arm(u), _dancing_arm(u)]
    first, second = arms[int(u(0, 2))], arms[int(u(0, 4))]
    if u(0, 1) < 0.5:
        first, second = second, first
    return _trunk(u, u(-8, 10), u(-18, 18), u(-14, 14)) | _legs(u, 10, 20) | _arms(first, second)


def _kick(u) -> Angles:
    lift = u(35, 95)
    knee = u(0, 65)
    kicking = {"hip": (-lift, u(-8, 14), u(0, 28)), "knee": (knee, 0, 0), "ankle": (u(0, 28), 0, 0)}
    bent = u(3, 22)
    standing = {"hip": (-0.5 * bent, u(0, 12), u(0, 6)), "knee": (bent, 0, 0)}
    standing["ankle"] = (-0.5 * bent, 0, 0)
    left, right = (kicking, standing) if u(0, 1) < 0.5 else (standing, kicking)
    return (
        _trunk(u, u(-14, 12), u(-20, 20), u(-10, 10))
        | _arms(left, right)
        | _arms(_dancing_arm(u), _dancing_arm(u))
    )


def _crouch(u) -> Angles:
    def leg():
        knee = u(50, 95)
        hip = knee * u(0.6, 0.95)
        return {
            "hip": (-hip, u(0, 16), u(4, 22)),
            "knee": (knee, 0, 0),
            "ankle": (hip - knee - u(0, 12), 0, 0),
        }

    arms = [_hanging_arm(u), _dancing_arm(u)]
    return (
        _trunk(u, u(15, 60), u(-14, 14), u(-10, 10))
        | _arms(leg(), leg())
        | _arms(arms[int(u(0, 2))], arms[int(u(0, 2))])
    )


def _squat(u) -> Angles:
    depth = u(0.35, 1.0)
    spread = u(2, 16)
    legs = {
        "hip": (-102 * depth, 10, 3 + spread * depth),
        "knee": (108 * depth, 0, 0),
        "ankle": (-28 * depth, 0, 0),
    }
    arm = {
        "collar": (0, -5, -3),
        "shoulder": (-86 * depth + u(-15, 15), u(-10, 5), -u(60, 76), u(-25, 5)),
        "elbow": (0, -u(5, 60), 0),
    }
    return _trunk(u, 45 * depth) | _arms(legs, legs) | _arms(arm, arm)


def _turn(u) -> Angles:
    twist = u(25, 62) * (1 if u(0, 1) < 0.5 else -1)
    arms = [_hanging_arm(u), _dancing_arm(u)]
    return (
        _trunk(u, u(-5, 12), twist, u(-8, 8))
        | _legs(u, 10, 26)
        | _arms(arms[int(u(0, 2))], arms[int(u(0, 2))])
    )


def _hand_on_hip(u) -> dict[str, tuple]:
    return {
        "collar": (0, u(0, 8), u(-6, 3)),
        "shoulder": (u(5, 22), u(4, 14), -u(46, 58), u(28, 52)),
        "elbow": (0, -u(82, 104), 0),
        "wrist": (0, u(5, 25), u(-30, 5)),
    }


def _hands_on_hips(u) -> Angles:
    other = _hand_on_hip(u) if u(0, 1) < 0.6 else _hanging_arm(u) | {"wrist": (0, 0, 0)}
    return (
        _trunk(u, u(-5, 6), u(-12, 12), u(-8, 8)) | _legs(u, 12, 16) | _arms(_hand_on_hip(u), other)
    )


def _crossed_arms(u) -> Angles:
    def arm(front):
        return {
            "collar": (0, u(-8, 0), u(-6, 0)),
            "shoulder": (u(-38, -26) - front, u(-8, 4), -u(62, 72), u(48, 66)),
            "elbow": (0, -u(92, 108), 0),
        }

    return _trunk(u, u(-3, 10)) | _legs(u, 8, 14) | _arms(arm(10), arm(0))


def _wave(u) -> Angles:
    arm = {
        "collar": (0, 0, u(4, 14)),
        "shoulder": (u(-8, 8), u(-25, 0), u(-20, 25), -u(60, 95)),
        "elbow": (0, -u(55, 115), 0),
    }
    left, right = (arm, _hanging_arm(u)) if u(0, 1) < 0.5 else (_hanging_arm(u), arm)
    return _trunk(u, u(-4, 6), u(-12, 12), u(-8, 8)) | _legs(u, 9, 18) | _arms(left, right)


def _sit(u) -> Angles:
    def leg():
        hip = u(75, 98)
        return {
            "hip": (-hip, u(0, 10), u(2, 14)),
            "knee": (u(70, 100), 0, 0),
            "ankle": (u(-8, 12), 0, 0),
        }

    arms = [_hanging_arm(u), _dancing_arm(u)]
    return _trunk(u, u(-8, 20)) | _arms(leg(), leg()) | _arms(arms[0], arms[int(u(0, 2))])


def _jump(u) -> Angles:
    def leg():
        knee = u(15, 95)
        return {
            "hip": (-knee * u(0.2, 0.8), u(-5, 15), u(0, 28)),
            "knee": (knee, 0, 0),
            "ankle": (u(10, 32), 0, 0),
        }

    return (
        _trunk(u, u(-12, 12), u(-15, 15), u(-8, 8))
        | _arms(leg(), leg())
        | _arms(_dancing_arm(u), _dancing_arm(u))
    )


def _lean(u) -> Angles:
    side = u(14, 38) * (1 if u(0, 1) < 0.5 else -1)
    return (
        _trunk(u, u(-4, 30), u(-10, 10), side)
        | _legs(u, 16, 34)
        | _arms(_dancing_arm(u), _hanging_arm(u))
    )


def _free(u) -> Angles:
    def arm():
        return {
            "collar": (0, u(-10, 8), u(-8, 12)),
            "shoulder": (u(-35, 25), u(-80, 18), u(-74, 60), u(-70, 25)),
            "elbow": (0, -u(0, 125), 0),
        }

    def leg():
        knee = u(0, 90)
        return {
            "hip": (-u(-20, 75), u(-8, 16), u(-3, 30)),
            "knee": (knee, 0, 0),
            "ankle": (u(-18, 25), u(-5, 5), 0),
        }

    return _trunk(u, u(-12, 38), u(-28, 28), u(-20, 20)) | _arms(leg(), leg()) | _arms(arm(), arm())


_BUILDERS = {
    "a_pose": _a_pose, "stand": _stand, "walk": _walk, "run": _run, "dance": _dance,
    "reach": _reach, "kick": _kick, "crouch": _crouch, "squat": _squat, "turn": _turn,
    "hands_on_hips": _hands_on_hips, "crossed_arms": _crossed_arms, "wave": _wave, "sit": _sit,
    "jump": _jump, "lean": _lean, "free": _free,
}  # fmt: skip
