"""Bodies that another node has recovered without the camera of the connected pictures."""

from __future__ import annotations

from lwg_core.synthetic.motions import motion

PICTURE = (192, 256)  # height, width


def test_a_motion_beside_pictures_is_imported_and_drawn_alone(server):
    """A generated motion travels through a world of its own: no camera saw it in the pictures."""
    pose = motion("walk", 3).pose
    payload = {"poses": pose.flatten(1).tolist(), "trans": [[0.0, 0.0, 0.5 * t] for t in range(3)]}
    prompt = {
        "image": {
            "class_type": "EmptyImage",
            "inputs": {"width": PICTURE[1], "height": PICTURE[0], "batch_size": 3, "color": 0},
        },
        "import": {
            "class_type": "LWG_ImportBody",
            "inputs": {"recovered": {"__value__": payload}, "person": 0, "image": ["image", 0]},
        },
        "report": {"class_type": "PreviewAny", "inputs": {"source": ["import", 2]}},
        "show": {"class_type": "PreviewImage", "inputs": {"images": ["import", 1]}},
    }
    result = server.run(prompt)
    assert result.kind == "success", result.error
    report = result.outputs["report"]["text"][0]
    assert "3 of 3 frames have a body" in report and "a motion only" in report
    assert len(server.pictures(result, "show")) == 3
