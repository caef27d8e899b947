"""What the command-line tests share: arguments of a quick run, and what lies in a folder."""

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from lwg_core import cli

PROGRESS = re.compile(r"\d+%\|")


def beside(picture: Path, ending: str) -> str:
    return str(picture.with_name(picture.stem + ending))


def run(command: str, picture: Path, out: Path, *more: str, **instead: str | None) -> list[str]:
    """Arguments of a quick good run; ``instead`` changes options, None drops them."""
    options = {
        "source": str(picture),
        "body": beside(picture, ".npz"),
        "mask": beside(picture, "_mask.png"),
        "output": str(out),
        "size": "64",
        "fill": "push_pull",
        "device": "cpu",
    } | instead
    given = [t for k, v in options.items() if v is not None for t in (f"--{dashes(k)}", v)]
    return [command, *given, *more]


def dashes(name: str) -> str:
    return name.replace("_", "-")


def imitate(picture: Path, out: Path, *more: str, **instead: str | None) -> list[str]:
    return run("imitate", picture, out, *more, **{"motion": "walk", "frames": "1"} | instead)


def wear(picture: Path, parts: str | None) -> list[str]:
    """Arguments that take ``parts`` of the person in ``picture``."""
    given = ["--wear", str(picture), "--wear-body", beside(picture, ".npz")]
    given += ["--wear-mask", beside(picture, "_mask.png")]
    return given if parts is None else [*given, "--parts", parts]


def files_of(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def frames_of(path: Path) -> tuple[np.ndarray, Fraction]:
    """A video's frames (T, H, W, 3) uint8 and their number per second."""
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        return np.stack(frames), container.streams.video[0].average_rate


def refused(capsys, arguments: list[str], words: str) -> None:
    """The run ends with code 2 and, progress bars aside, one sentence with these words."""
    code = cli.main(arguments)
    output = capsys.readouterr()
    check_refusal(code, output.err, words)
    assert not output.out


def check_refusal(code: int, errors: str, words: str) -> None:
    lines = [t for t in re.split(r"[\r\n]+", errors) if t.strip() and not PROGRESS.search(t)]
    assert code == 2 and len(lines) == 1, (code, errors)
    assert lines[0].startswith("error: ") and re.search(words, lines[0]), lines[0]
