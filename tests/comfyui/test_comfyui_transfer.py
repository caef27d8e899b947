"""Select Parts, the order of sources and the ways of transfer in a real ComfyUI."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from recovery_prompts import node

PARTS = ("head", "face", "upper", "lower", "arms", "hands", "legs", "feet", "body", "whole")
SIZE = 128


def pictured(name: str, identity: int, turns: tuple[int, ...], sources: list | None = None) -> dict:
    """Nodes of a chain of Add Source, the last one ``name``; ``sources``: what it is added to."""
    prompt, before = {}, sources
    for number, turn in enumerate(turns):
        last = number == len(turns) - 1
        one, person = name if last else f"{name}{number}", f"{name}_{number}"
        prompt[person] = node("LWG_ExamplePerson", identity=identity, turn=turn, size=256)
        given = {"image": [person, 0], "mask": [person, 1], "smpl": [person, 3]}
        prompt[one] = node("LWG_AddSource", **given, **({"sources": before} if before else {}))
        before = [one, 0]
    return prompt


def dressing(wearer: str, clothes: str, *parts: str) -> dict:
    chosen = {name: name in parts for name in PARTS}
    return node("LWG_SelectParts", wearer=[wearer, 0], clothes=[clothes, 0], **chosen)


def composed(sources: str, wearer: str, **more) -> dict:
    """The wearer of the picture ``wearer``_0, turned a little, in what ``sources`` give."""
    return {
        "view": node(
            "LWG_NovelView", person=[f"{wearer}_0", 3], yaw=20.0, pitch=0.0, frames=1, turn=360.0,
            pose="own",
        ),
        "flow": node(
            "LWG_ComposeFlow", sources=[sources, 0], target=["view", 0], size=SIZE, **more
        ),
        "see": node("PreviewImage", images=["flow", 1]),
    }  # fmt: skip


def picture(server, result) -> np.ndarray:
    (file,) = server.pictures(result, "see")
    return cv2.imread(str(file)).astype(float)


def rows(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Part of the person's height, from the crown (0) to the soles (1)."""
    shown = np.abs(image - image[0, 0]).sum(2).any(1).nonzero()[0]
    top, height = shown[0], shown[-1] - shown[0]
    return image[int(top + low * height) : int(top + high * height)]


@pytest.fixture(scope="module")
def people() -> dict:
    """A, seen from two sides; B and C from the front."""
    return pictured("a", 19, (0, 180)) | pictured("b", 3, (0,)) | pictured("c", 8, (0,))


def test_clothes_of_two_people_on_a_third(server, people):
    plain = server.run(people | composed("a", "a"))
    chain = {"one": dressing("a", "b", "upper"), "two": dressing("one", "c", "lower", "feet")}
    worn = server.run(people | chain | composed("two", "a"))
    assert plain.kind == worn.kind == "success", (plain.error, worn.error)
    before, after = picture(server, plain), picture(server, worn)
    head = np.abs(rows(before, 0, 0.08) - rows(after, 0, 0.08)[: len(rows(before, 0, 0.08))])
    trunk, legs = ((rows(before, *at), rows(after, *at)) for at in ((0.25, 0.4), (0.65, 0.8)))
    assert head.mean() < 3
    for one, other in (trunk, legs):
        count = min(len(one), len(other))
        assert np.abs(one[:count] - other[:count]).max(2).max() > 40
    single = server.run(people | {"one": dressing("a", "b", "upper")} | composed("one", "a"))
    below = rows(picture(server, single), 0.7, 0.9), rows(before, 0.7, 0.9)
    count = min(map(len, below))
    assert np.abs(below[0][:count] - below[1][:count]).mean() < 2  # her own legs


def test_ways_generator_and_order(server, people):
    chain = {"worn": dressing("a", "b", "upper", "lower")}
    more = pictured("late", 19, (90,), ["worn", 0])
    more["late"]["inputs"]["order"] = "best front first"
    rest = {
        "net": node("LWG_LoadGenerator", generator_file="built-in"),
        "black": node("EmptyImage", width=SIZE, height=SIZE, batch_size=1, color=0),
        "paint": node("LWG_Generate", generator=["net", 0], flow=["flow", 0],
                      background=["black", 0], chunk=4),
        "see": node("PreviewImage", images=["paint", 0]),
    }  # fmt: skip
    images = []
    for way in ("flows", "texture"):
        result = server.run(people | chain | more | composed("late", "a", transfer=way) | rest)
        assert result.kind == "success", result.error
        images.append(picture(server, result))
    assert 0 < np.abs(images[0] - images[1]).max()
    assert np.abs(images[0] - images[1]).mean() < 12  # the same person in the same clothes


@pytest.mark.parametrize(
    ("chain", "wanted"),
    [
        ({"bad": dressing("a", "b")}, "no body part is chosen"),
        (
            {"one": dressing("b", "c", "upper"), "bad": dressing("a", "one", "lower")},
            "show 2 people",
        ),
    ],
)
def test_bad_choices_are_one_sentence(server, people, chain, wanted):
    result = server.run(people | chain | composed("bad", "a"))
    assert (result.kind, result.node) == ("execution_error", "bad")
    assert wanted in result.error and "\n" not in result.error


def test_nine_pictures_are_too_many(server):
    many = pictured("a", 19, (0,) * 5) | pictured("b", 3, (0,) * 4)
    result = server.run(many | {"bad": dressing("a", "b", "upper")} | composed("bad", "a"))
    assert (result.kind, result.node) == ("execution_error", "bad")
    assert "5 sources of the wearer and 4 of the clothes make 9" in result.error
    result = server.run(people_with(clothes=["a_0", 0]))
    assert result.kind == "refused"


def people_with(clothes: list) -> dict:
    """An image where sources belong."""
    prompt = pictured("a", 19, (0,)) | {"bad": dressing("a", "a", "upper")}
    prompt["bad"]["inputs"]["clothes"] = clothes
    return prompt | composed("bad", "a")
