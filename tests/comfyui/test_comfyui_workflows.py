"""The templates in workflows/ against the nodes of a real ComfyUI: nothing is out of date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "workflows"
# Those in newer/ need nodes of a newer ComfyUI, as their notes say; the page does not offer them.
NEWER = {"newer/import_sam3d_body": {"SAM3DBody_Loader", "SAM3DBody_Predict"}}
TEMPLATES = [*sorted(path.stem for path in FOLDER.glob("*.json")), *NEWER]
PAGE_ONLY = {"MarkdownNote"}
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


@pytest.fixture(scope="module")
def info(server) -> dict:
    return server.get("/object_info")


def template(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


def inputs_of(node: dict) -> dict[str, str]:
    """Input name -> type, in the node's own order; a combo is COMBO."""
    both = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
    return {k: "COMBO" if isinstance(spec[0], list) else spec[0] for k, spec in both.items()}


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_node_and_link_fits(info, name):
    graph = template(name)
    nodes = {node["id"]: node for node in graph["nodes"]}
    unknown = {n["type"] for n in nodes.values()} - set(info) - PAGE_ONLY
    assert unknown == NEWER.get(name, set())
    for node in nodes.values():
        if node["type"] in unknown | PAGE_ONLY:
            continue
        wanted = inputs_of(info[node["type"]])
        found = {entry["name"]: entry["type"] for entry in node["inputs"]}
        # The page adds an upload button to the loaders of pictures and videos.
        assert {k: v for k, v in found.items() if k != "upload"} == wanted, node["type"]
        assert [o["type"] for o in node["outputs"]] == info[node["type"]]["output"], node["type"]
        widgets = [entry["name"] for entry in node["inputs"] if "widget" in entry]
        assert {k for k, kind in wanted.items() if kind in WIDGETS} <= set(widgets), node["type"]
        if node["type"].startswith("LWG_"):
            assert len(node.get("widgets_values") or []) == len(widgets), node["type"]
    linked = {(n["id"], i): e["link"] for n in nodes.values() for i, e in enumerate(n["inputs"])}
    for number, source, slot, target, entry, kind in graph["links"]:
        assert linked.pop((target, entry)) == number
        made = nodes[source]["outputs"][slot]
        assert number in made["links"] and made["type"] == kind
        accepted = nodes[target]["inputs"][entry]["type"].split(",")
        assert kind in accepted or accepted == ["*"], (nodes[target]["type"], kind)
    assert not any(linked.values()), "an input names a link that is not there"


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_has_a_note_and_a_picture(name):
    assert any(node["type"] == "MarkdownNote" for node in template(name)["nodes"])
    assert (FOLDER / f"{name}.jpg").read_bytes()[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize("path", sorted((FOLDER / "api").glob("*.json")), ids=lambda p: p.stem)
def test_api_prompts_are_the_templates(path):
    prompt = json.loads(path.read_text())
    graph = template(path.stem)
    nodes = {str(n["id"]): n for n in graph["nodes"] if n["type"] not in PAGE_ONLY}
    assert {k: n["class_type"] for k, n in prompt.items()} == {
        k: n["type"] for k, n in nodes.items()
    }
    links = {link[0]: [str(link[1]), link[2]] for link in graph["links"]}
    for identity, node in nodes.items():
        inputs = prompt[identity]["inputs"]
        values = iter(node.get("widgets_values") or [])
        for entry in node["inputs"]:
            value = next(values, None) if "widget" in entry else None
            if entry["link"] is not None:
                assert inputs[entry["name"]] == links[entry["link"]]
            elif "widget" in entry and node["type"].startswith("LWG_"):
                assert inputs[entry["name"]] == value, (node["type"], entry["name"])


BLUEPRINTS = sorted((FOLDER.parent / "subgraphs").glob("*.json"))


def test_blueprints_are_offered(server):
    listed = {entry["name"] for entry in server.get("/global_subgraphs").values()}
    assert BLUEPRINTS and {path.stem for path in BLUEPRINTS} <= listed


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda p: p.stem)
def test_a_blueprint_is_wired_as_its_nodes_want(info, path):
    (block,) = json.loads(path.read_text())["nodes"]
    (graph,) = json.loads(path.read_text())["definitions"]["subgraphs"]
    assert block["type"] == graph["id"] and graph["name"] == path.stem
    nodes = {node["id"]: node for node in graph["nodes"]}
    for node in nodes.values():
        found = {entry["name"]: entry["type"] for entry in node["inputs"]}
        assert found == inputs_of(info[node["type"]]), node["type"]
        assert [o["type"] for o in node["outputs"]] == info[node["type"]]["output"]
    outer = {-10: graph["inputs"], -20: graph["outputs"]}
    for side, faces in ((-10, block["inputs"]), (-20, block["outputs"])):
        assert [(f["name"], f["type"]) for f in faces] == [
            (f["name"], f["type"]) for f in outer[side]
        ]
    for link in graph["links"]:
        source, target = link["origin_id"], link["target_id"]
        made = outer[-10] if source == -10 else nodes[source]["outputs"]
        taken = outer[-20] if target == -20 else nodes[target]["inputs"]
        made, taken = made[link["origin_slot"]], taken[link["target_slot"]]
        assert made["type"] == taken["type"] == link["type"]
        assert link["id"] in made.get("links", made.get("linkIds"))
        assert link["id"] in taken.get("linkIds", [taken.get("link")])
    for identity, widget in block["properties"]["proxyWidgets"]:
        entries = {e["name"]: e for e in nodes[int(identity)]["inputs"]}
        assert "widget" in entries[widget] and entries[widget]["link"] is None
    wanted = {
        (n["id"], k): "widget" in e
        for n in nodes.values() for k, e in enumerate(n["inputs"])
        if e["name"] in info[n["type"]]["input"].get("required", {})
    }  # fmt: skip
    linked = {(link["target_id"], link["target_slot"]) for link in graph["links"]}
    assert {place for place, widget in wanted.items() if not widget} <= linked
