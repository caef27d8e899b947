"""The nodes in a real ComfyUI: good, broken and interrupted prompts."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from lwg_core.body.files import save_params
from lwg_core.synthetic.motions import motion

NODES = {
    "LWG_ExamplePerson", "LWG_LoadBodyModel", "LWG_RecoverBodyFromKeypoints", "LWG_PreviewBody",
    "LWG_LoadMotion", "LWG_AddSource", "LWG_ImitateMotion", "LWG_ComposeFlow", "LWG_FlowToTensors",
    "LWG_InpaintBackground", "LWG_LoadGenerator", "LWG_Generate", "LWG_Personalize",
    "LWG_SavePersonalized", "LWG_LoadPersonalized", "LWG_LoadRegressor", "LWG_RecoverBodyFromImage",
    "LWG_ImportBody", "LWG_SaveMotion", "LWG_SmoothMotion", "LWG_NovelView", "LWG_BulletTime",
    "LWG_SelectParts", "LWG_GenerateToFile", "LWG_Evaluate",
}  # fmt: skip
TEMPLATES = Path(__file__).resolve().parents[2] / "workflows"
QUICK = {"LoadMotion": {"frames": 3}, "ComposeFlow": {"size": 128}}


def ids_of(prompt: dict, kind: str) -> list[str]:
    return [i for i, node in prompt.items() if node["class_type"] in (kind, f"LWG_{kind}")]


def preview(node: str, output: int = 0) -> dict:
    return {"class_type": "PreviewImage", "inputs": {"images": [node, output]}}


def needed(prompt: dict, *ends: str) -> dict:
    """The nodes that ``ends`` depend on, and they themselves."""
    kept, wanted = {}, list(ends)
    while wanted:
        name = wanted.pop()
        kept[name] = prompt[name]
        links = [v for v in prompt[name]["inputs"].values() if isinstance(v, list)]
        wanted += [link[0] for link in links if link[0] not in kept]
    return kept


@pytest.fixture(scope="module")
def info(server) -> dict:
    return {k: v for k, v in server.get("/object_info").items() if k.startswith("LWG_")}


def test_every_node_is_there_and_explained(server, info):
    assert set(info) == NODES
    for name, node in info.items():
        assert node["category"] == "liquid warping", name
        assert node["description"] and node["display_name"], name
        inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        for key, spec in inputs.items():
            assert spec[1].get("tooltip"), f"{name}.{key} has no tooltip"
        assert len(node["output_tooltips"]) == len(node["output"])
        assert all(node["output_tooltips"]), f"{name}: an output has no tooltip"
        page = f"http://127.0.0.1:{server.port}/extensions/liquid-warping/docs/{name}.md"
        assert urllib.request.urlopen(page).read().startswith(b"# " + node["display_name"].encode())


def test_workflows_are_offered_as_templates(server):
    listed = server.get("/workflow_templates")["liquid-warping"]
    assert sorted(listed) == sorted(path.stem for path in TEMPLATES.glob("*.json"))
    for name in listed:
        page = f"http://127.0.0.1:{server.port}/api/workflow_templates/liquid-warping/{name}.jpg"
        assert urllib.request.urlopen(page).read(3) == b"\xff\xd8\xff", f"{name} has no picture"


def test_motion_imitation_as_shipped_but_shorter(server, workflow):
    prompt = workflow("motion_imitation", **QUICK)
    prompt["show"] = preview(ids_of(prompt, "Generate")[0])
    result = server.run(prompt)
    assert result.kind == "success", result.error
    frames = read(server, result, "show")
    assert frames.shape == (3, 128, 128, 3)
    assert all(frame.std() > 10 for frame in frames)
    assert np.abs(frames[0] - frames[1]).max() > 40, "the person does not move"


@pytest.mark.parametrize(
    ("node", "inputs", "words"),
    [
        ("LoadMotion", {"motion": "no such clip"}, "motion"),
        ("LoadMotion", {"motion": "../../../../etc/passwd"}, "motion"),
        ("LoadMotion", {"motion": "../output/clip.npz"}, "motion"),
        ("LoadMotion", {"frames": -1}, "frames"),
        ("LoadGenerator", {"generator_file": "../../../etc/passwd"}, "generator_file"),
        ("InpaintBackground", {"method": "magic"}, "method"),
        ("ImitateMotion", {"camera": "drone"}, "camera"),
        ("ComposeFlow", {"size": 100000}, "size"),
        ("Generate", {"chunk": -1}, "chunk"),
    ],
)
def test_refused_before_anything_runs(server, workflow, node, inputs, words):
    prompt = workflow("motion_imitation", **{node: inputs})
    prompt = needed(prompt, *ids_of(prompt, "SaveVideo"))
    result = server.run(prompt)
    assert (result.kind, result.status) == ("refused", 400)
    assert result.node in ids_of(prompt, node)
    assert words in result.error


def source_only(workflow, mask=None, image=None, **changes) -> dict:
    """The first source of the shipped workflow, with its mask or picture replaced."""
    prompt = workflow("motion_imitation", **changes)
    source = ids_of(prompt, "AddSource")[0]
    for name, extra in (("mask", mask), ("image", image)):
        if extra is not None:
            prompt[name] = extra
            prompt[source]["inputs"][name] = [name, 0]
    prompt["end"] = {"class_type": "MaskToImage", "inputs": {"mask": [source, 1]}}
    prompt["show"] = preview("end")
    return needed(prompt, "show")


def solid_mask(value: float, side: int) -> dict:
    inputs = {"value": value, "width": side, "height": side}
    return {"class_type": "SolidMask", "inputs": inputs}


def blank(width: int, height: int, count: int = 1) -> dict:
    inputs = {"width": width, "height": height, "batch_size": count, "color": 0}
    return {"class_type": "EmptyImage", "inputs": inputs}


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"mask": solid_mask(1.0, 100)}, "mask must have the size of the image"),
        ({"mask": solid_mask(0.0, 512)}, "mask is empty"),
        ({"image": blank(512, 256)}, "512 x 512"),
        ({"image": blank(512, 512, 3)}, "image must be one picture"),
        ({"image": blank(16, 16)}, "image must be at least"),
    ],
)
def test_bad_source_is_explained(server, workflow, replaced, words):
    prompt = source_only(workflow, **replaced)
    result = server.run(prompt)
    assert result.kind == "execution_error"
    assert result.node in ids_of(prompt, "AddSource")
    assert words in result.error


def test_zero_mask_of_load_image_means_no_mask(server, workflow):
    prompt = source_only(workflow, mask=solid_mask(0.0, 64))
    result = server.run(prompt)
    assert result.kind == "success", result.error
    estimated = cv2.imread(str(server.pictures(result, "show")[0]))
    assert estimated.shape == (512, 512, 3)
    assert 0.03 < (estimated > 127).mean() < 0.6


def test_mask_upside_down_is_explained(server, workflow):
    prompt = source_only(workflow)
    source = ids_of(prompt, "AddSource")[0]
    inverted = {"mask": prompt[source]["inputs"]["mask"]}
    prompt["invert"] = {"class_type": "InvertMask", "inputs": inverted}
    prompt[source]["inputs"]["mask"] = ["invert", 0]
    result = server.run(prompt)
    assert (result.kind, result.node) == ("execution_error", source)
    assert "Invert Mask" in result.error


def test_keypoints_that_do_not_fit_are_explained(server, workflow):
    prompt = source_only(workflow)
    body = ids_of(prompt, "RecoverBodyFromKeypoints")[0]
    prompt["image"] = blank(300, 700)
    prompt[body]["inputs"]["image"] = ["image", 0]
    result = server.run(prompt)
    assert (result.kind, result.node) == ("execution_error", body)
    assert "canvas" in result.error

    prompt[body]["inputs"]["image"] = prompt[ids_of(prompt, "AddSource")[0]]["inputs"]["image"]
    prompt[body]["inputs"]["keypoints"] = "/etc/passwd"
    result = server.run(prompt)
    assert (result.kind, result.node) == ("execution_error", body)
    assert "pose node" in result.error and "root" not in result.error


def read(server, result, node: str) -> np.ndarray:
    """(N, H, W, 3) int, the pictures of a preview node."""
    return np.stack([cv2.imread(str(p)) for p in server.pictures(result, node)]).astype(int)


def test_a_computed_flow_gives_the_same_frames(server, workflow):
    # Two frames, so that no node of another test is cached, whose previews would not come again.
    prompt = workflow("motion_imitation", **{**QUICK, "LoadMotion": {"frames": 2}})
    flow, generate = ids_of(prompt, "ComposeFlow")[0], ids_of(prompt, "Generate")[0]
    prompt["all"] = {"class_type": "LWG_FlowToTensors", "inputs": {"flow": [flow, 0]}}
    second = {**prompt[generate]["inputs"], "flow": ["all", 3], "chunk": 2}
    prompt["again"] = {"class_type": "LWG_Generate", "inputs": second}
    prompt["mask"] = {"class_type": "MaskToImage", "inputs": {"mask": ["all", 2]}}
    shown = {
        "lazy": (generate, 0),
        "computed": ("again", 0),
        "code": ("all", 1),
        "sil": ("mask", 0),
    }
    prompt.update({name: preview(*source) for name, source in shown.items()})
    result = server.run(needed(prompt, *shown))
    assert result.kind == "success", result.error
    assert np.abs(read(server, result, "lazy") - read(server, result, "computed")).max() <= 1
    silhouette = read(server, result, "sil")
    assert silhouette.shape == (2, 128, 128, 3)
    assert read(server, result, "code")[silhouette == 0].max() == 0


def test_a_clip_of_keypoints_becomes_a_motion(server, workflow):
    """A bare motion is drawn, its keypoints are recovered, and the result drives the person."""
    prompt = workflow("motion_imitation", **QUICK)
    body = {"body_model": ["body", 0]}
    prompt["body"] = {"class_type": "LWG_LoadBodyModel", "inputs": {"body_file": "built-in"}}
    motion = ids_of(prompt, "LoadMotion")[0]
    drawn = {"smpl": [motion, 0], **body}
    prompt["draw"] = {"class_type": "LWG_PreviewBody", "inputs": drawn}
    clip = {"image": ["draw", 0], "keypoints": ["draw", 2], "person": "largest", **body}
    prompt["clip"] = {"class_type": "LWG_RecoverBodyFromKeypoints", "inputs": clip}
    prompt[ids_of(prompt, "ImitateMotion")[0]]["inputs"] |= {"motion": ["clip", 0], **body}
    for kind in ("AddSource", "ComposeFlow", "InpaintBackground"):
        for node in ids_of(prompt, kind):
            prompt[node]["inputs"] |= body
    prompt["mask"] = {"class_type": "MaskToImage", "inputs": {"mask": ["draw", 1]}}
    shown = {"over": ("clip", 1), "sil": ("mask", 0), "end": (ids_of(prompt, "Generate")[0], 0)}
    prompt.update({name: preview(*source) for name, source in shown.items()})
    result = server.run(needed(prompt, *shown))
    assert result.kind == "success", result.error
    assert read(server, result, "over").shape == (3, 512, 512, 3)
    covered = (read(server, result, "sil") > 127).mean()
    assert 0.05 < covered < 0.5
    frames = read(server, result, "end")
    assert np.abs(frames[0] - frames[1]).max() > 40, "the person does not move"


def test_motion_file_in_the_input_folder(server, workflow):
    clip = motion("walk", 5)
    (server.base / "input" / "clips").mkdir(exist_ok=True)
    save_params(server.base / "input" / "clips" / "mine.npz", clip)
    (server.base / "input" / "broken.npz").write_bytes(b"not an archive")
    prompt = {
        "load": {"class_type": "LWG_LoadMotion",
                 "inputs": {"motion": "clips/mine.npz", "frames": 4}},
        "draw": {"class_type": "LWG_PreviewBody", "inputs": {"smpl": ["load", 0]}},
        "show": preview("draw"),
    }  # fmt: skip
    result = server.run(prompt)
    assert result.kind == "success", result.error
    assert len(server.pictures(result, "show")) == 4
    prompt["load"]["inputs"]["motion"] = "broken.npz"
    result = server.run(prompt)
    assert (result.kind, result.node) == ("execution_error", "load")
    assert "broken.npz" in result.error


def personalization(workflow, **inputs) -> dict:
    quick = {"steps": 2, "size": 64}
    return workflow("personalize", Personalize={**quick, **inputs}, **QUICK)


def test_not_a_number_is_refused(server, workflow):
    prompt = personalization(workflow, learning_rate=float("nan"))
    result = server.run(prompt)
    assert (result.kind, result.node) == ("execution_error", ids_of(prompt, "Personalize")[0])
    assert "learning_rate must be a finite number" in result.error


def test_personalized_generator_survives_the_disk(server, workflow):
    prompt = personalization(workflow)
    result = server.run(prompt)
    assert result.kind == "success", result.error
    save = ids_of(prompt, "SavePersonalized")[0]
    name = result.outputs[save]["text"][0]
    assert (server.base / "output" / "liquid_warping" / name).is_file()

    prompt["show"] = preview(ids_of(prompt, "Generate")[0])
    before = server.run(needed(prompt, "show"))
    train = ids_of(prompt, "Personalize")[0]
    load = {"personalized_file": name, "sources": prompt[train]["inputs"]["sources"]}
    prompt[train] = {"class_type": "LWG_LoadPersonalized", "inputs": load}
    after = server.run(needed(prompt, "show"))
    assert after.kind == "success", after.error
    assert np.abs(read(server, before, "show") - read(server, after, "show")).max() <= 1


@pytest.mark.parametrize("prefix", ["../../escape", "/tmp/escape", "", ".."])
def test_save_stays_in_its_folder(server, workflow, prefix):
    prompt = workflow("personalize", SavePersonalized={"filename_prefix": prefix})
    result = server.run(needed(prompt, *ids_of(prompt, "SavePersonalized")))
    assert (result.kind, result.status) == ("refused", 400)
    assert result.node in ids_of(prompt, "SavePersonalized")
    assert "inside the folder output/liquid_warping" in result.error


def test_saving_a_plain_generator_is_explained(server, workflow):
    prompt = {
        "1": {"class_type": "LWG_LoadGenerator", "inputs": {"generator_file": "built-in"}},
        "2": {"class_type": "LWG_SavePersonalized",
              "inputs": {"generator": ["1", 0], "filename_prefix": "x"}},
    }  # fmt: skip
    result = server.run(prompt)
    assert (result.kind, result.node) == ("execution_error", "2")
    assert "was not personalized" in result.error


def test_generate_can_be_cancelled(server, workflow):
    long = {**QUICK, "LoadMotion": {"frames": 1500}}
    prompt = workflow("motion_imitation", **long)
    generate = ids_of(prompt, "Generate")[0]
    prompt["warped"] = preview(ids_of(prompt, "ComposeFlow")[0], 1)
    prompt["plate"] = preview(ids_of(prompt, "InpaintBackground")[0])
    # All but the generator is cached after this.
    assert server.run(needed(prompt, "warped", "plate")).kind == "success"
    result = server.interrupted(prompt, 2.0)
    assert (result.kind, result.node) == ("execution_interrupted", generate)
    assert result.seconds < 10
    assert server.run(workflow("motion_imitation", **QUICK)).kind == "success"


def test_personalize_can_be_cancelled_and_leaves_nothing(server, workflow):
    saved = server.base / "output" / "liquid_warping"
    before = sorted(saved.rglob("*")) if saved.exists() else []
    assert server.run(personalization(workflow)).kind == "success"
    kept = sorted(saved.rglob("*"))
    assert len(kept) == len(before) + 1
    prompt = personalization(workflow, steps=5000)
    result = server.interrupted(prompt, 2.0)
    assert (result.kind, result.node) == ("execution_interrupted", ids_of(prompt, "Personalize")[0])
    assert result.seconds < 10
    assert sorted(saved.rglob("*")) == kept


def test_the_log_has_no_traceback_of_an_import(server):
    log = server.log_text()
    assert "IMPORT FAILED" not in log
    assert "An error occurred while retrieving information" not in log
