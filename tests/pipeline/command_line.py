"""What the command-line tests share: arguments of a quick run, and what lies in a folder."""

from pathlib import Path


def beside(picture: Path, ending: str) -> str:
    return str(picture.with_name(picture.stem + ending))


def imitate(picture: Path, out: Path, *more: str, **instead: str | None) -> list[str]:
    """Arguments of a quick good run; ``instead`` changes options, None drops them."""
    options = {
        "source": str(picture),
        "body": beside(picture, ".npz"),
        "mask": beside(picture, "_mask.png"),
        "motion": "walk",
        "output": str(out),
        "size": "64",
        "frames": "1",
        "fill": "push_pull",
        "device": "cpu",
    } | instead
    given = [text for k, v in options.items() if v is not None for text in (f"--{k}", v)]
    return ["imitate", *given, *more]


def files_of(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))
