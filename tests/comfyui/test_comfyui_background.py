"""Backgrounds in a real ComfyUI: of clips, and by official weights, which do nothing else yet."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig

FILE = "AttLWB-SPADE_tiny.pth"


@pytest.fixture(scope="module")
def official(server) -> dict:
    """A node that loads an official checkpoint: all of its keys, a few channels each."""
    config = GeneratorConfig(
        widths=(4, 6, 8), spade_hidden=5, background_widths=(4, 6, 6, 8), background_res_blocks=6
    )
    folder = server.base / "models" / "liquid_warping"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(AttLWBGenerator.from_scratch(config).state_dict(), folder / FILE)
    return {"class_type": "LWG_LoadGenerator", "inputs": {"generator_file": FILE}}


def inpainting(workflow, method: str, load: dict | None) -> dict:
    """The background of the shipped workflow, by ``method``."""
    prompt = workflow("motion_imitation", InpaintBackground={"method": method})
    (node,) = (i for i, n in prompt.items() if n["class_type"] == "LWG_InpaintBackground")
    if load is not None:
        prompt["official"] = load
        prompt[node]["inputs"]["generator"] = ["official", 0]
    prompt["show"] = {"class_type": "PreviewImage", "inputs": {"images": [node, 0]}}
    kept, wanted = {}, ["show"]
    while wanted:
        name = wanted.pop()
        kept[name] = prompt[name]
        wanted += [v[0] for v in prompt[name]["inputs"].values() if isinstance(v, list)]
    return kept


def shown(server, prompt: dict) -> np.ndarray:
    result = server.run(prompt)
    assert result.kind == "success", result.error
    return cv2.imread(str(server.pictures(result, "show")[0])).astype(int)


def test_official_weights_paint_the_hole(server, workflow, official):
    smooth = shown(server, inpainting(workflow, "push_pull", None))
    painted = shown(server, inpainting(workflow, "generator", official))
    changed = np.abs(painted - smooth).max(-1) > 0
    assert painted.shape == smooth.shape and 0.03 < changed.mean() < 0.7
    assert not changed[:20].any() and not changed[:, :20].any(), "known pixels must stay"
    # An idle connection changes nothing.
    again = shown(server, inpainting(workflow, "push_pull", official))
    assert (again == smooth).all()


def test_a_generator_that_cannot_paint_is_explained(server, workflow):
    for load, words in (
        (None, "needs a generator that has a background network"),
        (
            {"class_type": "LWG_LoadGenerator", "inputs": {"generator_file": "built-in"}},
            "this generator has no background network",
        ),
    ):
        prompt = inpainting(workflow, "generator", load)
        result = server.run(prompt)
        assert result.kind == "execution_error" and words in result.error
        assert prompt[result.node]["class_type"] == "LWG_InpaintBackground"


@pytest.mark.parametrize(
    ("name", "node"), [("motion_imitation", "LWG_Generate"), ("personalize", "LWG_Personalize")]
)
def test_official_weights_are_refused_where_their_inputs_are_missing(
    server, workflow, official, name, node
):
    quick = {"LoadMotion": {"frames": 2}, "ComposeFlow": {"size": 64}}
    prompt = workflow(name, **quick, InpaintBackground={"method": "push_pull"})
    prompt["official"] = official
    for target in prompt.values():
        if target["class_type"] == node:
            target["inputs"]["generator"] = ["official", 0]
    result = server.run(prompt)
    assert result.kind == "execution_error" and "official" in result.error, result
    assert prompt[result.node]["class_type"] == node


def of_clip(workflow, clip: list, masks: list | None, **more) -> dict:
    """The background of a clip in the place of the source's."""
    prompt = inpainting(workflow, "push_pull", None)
    (node,) = (i for i, n in prompt.items() if n["class_type"] == "LWG_InpaintBackground")
    prompt[node]["inputs"] |= {"clip": clip} | ({"clip_masks": masks} if masks else {})
    return prompt | more


def example(**inputs) -> dict:
    given = {"identity": 5, "turn": 0.0, "size": 192}
    return {"class_type": "LWG_ExamplePerson", "inputs": given | inputs}


def test_a_clip_uncovers_its_own_background(server, workflow):
    stroll = example(motion="stroll", frames=40)
    plate = shown(server, of_clip(workflow, ["stroll", 0], ["stroll", 1], stroll=stroll))
    assert plate.shape == (192, 192, 3)
    still = {"class_type": "ImageFromBatch",
             "inputs": {"image": ["stroll", 0], "batch_index": 0, "length": 1}}  # fmt: skip
    mask = {"class_type": "MaskToImage", "inputs": {"mask": ["stroll", 1]}}
    prompt = {"stroll": stroll, "still": still, "mask": mask}
    for name, source in (("show", "still"), ("masks", "mask")):
        prompt[name] = {"class_type": "PreviewImage", "inputs": {"images": [source, 0]}}
    result = server.run(prompt)
    first = cv2.imread(str(server.pictures(result, "show")[0])).astype(int)
    person = cv2.imread(str(server.pictures(result, "masks")[0])).max(-1) > 127
    off = np.abs(plate - first).mean(-1)
    far = cv2.dilate(person.astype(np.uint8), np.ones((61, 61))) == 0
    assert off[far].mean() < 4, "the background is another one"
    assert off[person].mean() > 20, "the person is still there"


def test_clips_without_a_background_of_their_own_are_explained(server, workflow):
    prompt = of_clip(workflow, ["one", 0], None, one=example())
    result = server.run(prompt)
    assert result.kind == "execution_error" and "clip_masks is missing" in result.error
    both = {
        "one": example(),
        "two": example(identity=6),
        "batch": {
            "class_type": "ImageBatch", "inputs": {"image1": ["one", 0], "image2": ["two", 0]}
        },
    }  # fmt: skip
    empty = {"class_type": "SolidMask", "inputs": {"value": 0.0, "width": 192, "height": 192}}
    result = server.run(of_clip(workflow, ["batch", 0], ["nobody", 0], nobody=empty, **both))
    assert result.kind == "execution_error" and "camera of this clip moves" in result.error
    full = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": 192, "height": 192}}
    result = server.run(of_clip(workflow, ["batch", 0], ["one mask", 0],
                                **{"one mask": full}, **both))  # fmt: skip
    assert result.kind == "execution_error", result
    assert "one mask per frame of the clip, 2; got 1" in result.error
