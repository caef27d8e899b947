"""The command transfer: clothes of one or several people, also on a motion from a new view."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from command_line import beside, files_of, frames_of, refused, run, wear  # noqa: E402

from lwg_core import cli  # noqa: E402
from lwg_core.body.files import load_params  # noqa: E402
from lwg_core.body.open_body import open_body  # noqa: E402
from lwg_core.commands.options import job_key  # noqa: E402
from lwg_core.commands.sources import Person  # noqa: E402
from lwg_core.pictures import read_image  # noqa: E402


@pytest.fixture(scope="module")
def painted(people, tmp_path_factory) -> dict[str, Path]:
    """The person of ``people`` in plain red, and again in plain green; their background is grey."""
    folder = tmp_path_factory.mktemp("painted")
    made = {}
    for name, colour in (("red", (0, 0, 255)), ("green", (0, 255, 0))):
        mask = cv2.imread(beside(people[0], "_mask.png"))
        picture = np.where(mask > 127, np.uint8(colour), np.uint8(128))
        made[name] = folder / f"{name}.png"
        cv2.imwrite(str(made[name]), picture)
        cv2.imwrite(beside(made[name], "_mask.png"), mask)
        for ending in (".npz", ".json"):
            data = people[0].with_suffix(ending).read_bytes()
            made[name].with_suffix(ending).write_bytes(data)
    return made


def transfer(picture: Path, out: Path, *more: str, **instead) -> list[str]:
    return run("transfer", picture, out, *more, **{"size": "128", "frame": "full"} | instead)


def bytes_of(path: Path) -> np.ndarray:
    return ((read_image(path) + 1) * 127.5).round().permute(1, 2, 0).int().numpy()


def at_joints(path: Path, picture: Path, *joints: int) -> np.ndarray:
    """Colours (len(joints), 3) where the body's joints lie."""
    params, body = load_params(beside(picture, ".npz")), open_body()
    places = params.camera.project(body.joints(params.pose, params.betas))[0, :, :2].long()
    pixels = bytes_of(path)
    return np.stack([pixels[y, x] for x, y in places[list(joints)].tolist()])


HEAD, CHEST, KNEES = 15, 9, (4, 5)


@pytest.mark.parametrize("way", ["flows", "texture"])
def test_the_named_parts_are_worn_and_no_others(painted, tmp_path, way, capsys):
    out = tmp_path / "out.png"
    worn = wear(painted["green"], "upper")
    assert cli.main(transfer(painted["red"], out, *worn, way=way)) == 0
    assert capsys.readouterr().out == f"wrote {out}\n" and files_of(tmp_path) == ["out.png"]
    (chest,), knees = at_joints(out, painted["red"], CHEST), at_joints(out, painted["red"], *KNEES)
    assert chest[1] > 170 and chest[0] < 90, chest
    assert (knees[:, 0] > 170).all() and (knees[:, 1] < 90).all(), knees
    (head,) = at_joints(out, painted["red"], HEAD)
    assert head[0] > 170 and head[1] < 90, head


def test_groups_keep_their_order_and_may_have_several_pictures(people, others):
    first, second = others[:2], others[2:]
    given = [*wear(first[0], None), *wear(first[1], "upper,arms"), *wear(second[0], "lower")]
    args = cli.parser().parse_args(transfer(people[0], Path("o.png"), *given, "--parts", "feet"))
    assert args.wear == [
        Person(
            "wear",
            tuple(first),
            tuple(Path(beside(path, "_mask.png")) for path in first),
            tuple(Path(beside(path, ".npz")) for path in first),
            (),
            "upper,arms",
        ),
        Person(
            "wear",
            (second[0],),
            (Path(beside(second[0], "_mask.png")),),
            (Path(beside(second[0], ".npz")),),
            (),
            "lower,feet",
        ),
    ]
    # Files of a picture may come after its parts.
    given = ["--wear", "a.png", "--parts", "upper", "--wear-body", "a.npz", "--wear", "b.png"]
    args = cli.parser().parse_args(transfer(people[0], Path("o.png"), *given))
    assert [(p.pictures, p.bodies) for p in args.wear] == [
        ((Path("a.png"),), (Path("a.npz"),)), ((Path("b.png"),), ())
    ]  # fmt: skip


def test_another_outfit_is_another_job(people, others):
    keys = set()
    for picture, parts in ((others[0], "upper"), (others[0], "lower"), (others[2], "upper")):
        arguments = transfer(people[0], Path("o.png"), *wear(picture, parts))
        keys.add(job_key(cli.parser().parse_args(arguments), None))
        assert job_key(cli.parser().parse_args(arguments), None) in keys
    assert len(keys) == 3


def test_clothes_of_two_people_on_a_motion_from_a_new_view(people, others, painted, tmp_path):
    """All three tasks in one command; keypoints serve as well as bodies."""
    more = ["--wear", str(painted["green"]), "--wear-keypoints", beside(painted["green"], ".json")]
    more += ["--parts", "upper", *wear(others[0], None), *wear(others[1], "lower,feet")]
    out = tmp_path / "out.mp4"
    run_ = transfer(painted["red"], out, *more, motion="wave", frames="3", yaw="25", size="64")
    assert cli.main(run_) == 0
    frames, rate = frames_of(out)
    assert frames.shape == (3, 128, 128, 3) and rate == 30
    red = (frames[..., 0] > 150) & (frames[..., 1] < 90) & (frames[..., 2] < 90)
    green = (frames[..., 1] > 150) & (frames[..., 0] < 90)
    for colours in (red, green):
        assert (colours.sum((1, 2)) > 40).all()
    rows = [np.flatnonzero(colours.any((0, 2))).mean() for colours in (red, green)]
    assert rows[0] < rows[1], "the head is the wearer's"
    assert torch.tensor(frames).float().std(0).amax() > 30, "the arm waves"


def test_bad_input(people, others, tmp_path, capsys):
    out, front = tmp_path / "out.png", people[0]
    other = others[0]
    many = [text for _ in range(8) for text in wear(other, None)]
    body = ["--wear", str(other), "--wear-body", beside(other, ".npz")]
    for more, words in (
        (wear(other, None), f"--wear {other} needs --parts after it: .*upper"),
        (wear(other, "socks"), "--parts socks: there is no body part 'socks'; .*upper, lower"),
        (wear(other, ","), "--parts ,: no body part is chosen"),
        (wear(other, ""), "no body part is chosen"),
        ([*many, "--parts", "upper"], "1 --source and 8 --wear given; 1 to 8 are possible"),
        (["--wear", str(other), "--parts", "upper"],
         "--wear .* give --wear-keypoints JSON .*--wear-body"),
        ([*body, "--wear-keypoints", beside(other, ".json"), "--parts", "upper"],
         "--wear-body and --wear-keypoints both"),
        ([*wear(other, None), *body, "--parts", "upper"], "2 --wear but 1 --wear-mask"),
        ([*body, "--wear-mask", beside(other, "_none.png"), "--parts", "upper"], "_none.png"),
        (["--wear", str(tmp_path), "--wear-body", beside(other, ".npz"), "--parts", "face"],
         "cannot be read"),
        (wear(other, "upper") + ["--yaw", "nan"], "--yaw nan"),
    ):  # fmt: skip
        refused(capsys, transfer(front, out, *more), words)
    assert not files_of(tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--parts", "upper"], "--parts belongs after the --wear"),
        (["--wear-body", "a.npz"], "--wear-body belongs after the --wear"),
        ([], "--wear"),
        (["--wear", "a.png", "--parts", "upper", "--way", "magic"], "--way"),
    ],
)
def test_arguments_that_argparse_refuses(people, tmp_path, capsys, given, words):
    with pytest.raises(SystemExit) as stop:
        cli.main(transfer(people[0], tmp_path / "out.png", *given))
    assert stop.value.code == 2 and words in capsys.readouterr().err
