"""Evaluate in a real ComfyUI."""

from __future__ import annotations

import cv2
import numpy as np


def example(**inputs) -> dict:
    given = {"identity": 5, "turn": 0.0, "size": 128}
    return {"class_type": "LWG_ExamplePerson", "inputs": given | inputs}


def evaluation(**inputs) -> dict:
    given = {"result": ["result", 0], "truth": ["truth", 0]}
    return {"class_type": "LWG_Evaluate", "inputs": given | inputs}


def preview(node: str, output: int = 0) -> dict:
    return {"class_type": "PreviewImage", "inputs": {"images": [node, output]}}


def rows(result) -> dict[str, list[str]]:
    lines = result.outputs["measure"]["text"][0].splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def test_a_blurred_result_is_measured(server):
    blur = {"image": ["truth", 0], "blur_radius": 3, "sigma": 2.0}
    prompt = {
        "truth": example(),
        "result": {"class_type": "ImageBlur", "inputs": blur},
        "measure": evaluation(mask=["truth", 1]),
        "show": preview("measure", 1),
    }
    result = server.run(prompt)
    assert result.kind == "success", result.error
    table = rows(result)
    assert float(table["PSNR dB"][1]) > float(table["PSNR dB, person"][1]) > 15
    assert 0 < float(table["Sharpness, person"][1]) < 0.7
    for name in ("SSIM", "SSIM, person"):
        told = table[name][1]
        assert told == "not measured: pip install torchmetrics" or 0.3 < float(told) < 1
    sheet = cv2.imread(str(server.pictures(result, "show")[0]))
    assert sheet.shape == (136, 3 * 132 + 4, 3)
    blurred, truth, apart = (
        sheet[4:132, 4 + 132 * k : 132 * (k + 1)].astype(int) for k in range(3)
    )
    assert np.abs(np.abs(blurred - truth) - apart).max() <= 2


def test_a_clip_against_one_truth_without_a_mask(server):
    prompt = {
        "truth": example(),
        "result": example(motion="wave", frames=3),
        "measure": evaluation(),
        "show": preview("measure", 1),
    }
    result = server.run(prompt)
    assert result.kind == "success", result.error
    table = rows(result)
    assert "3 frames" in table
    assert float(table["PSNR dB"][1]) >= float(table["PSNR dB"][2])
    assert table["PSNR dB, person"][1] == "not measured: connect a mask of the person"
    assert cv2.imread(str(server.pictures(result, "show")[0])).shape[0] == 3 * 132 + 4


def test_identical_pictures(server):
    result = server.run({"truth": example(), "measure": evaluation(result=["truth", 0])})
    assert result.kind == "success", result.error
    table = rows(result)
    assert table["PSNR dB"][1:] == ["inf", "inf"] and table["Sharpness"][1] == "1.00"


def test_pictures_that_do_not_belong_together_are_explained(server):
    for changes, words in (
        ({"truth": example(size=192)}, "truth is 192 x 192 px, but the result is 128 x 128"),
        ({"truth": example(motion="wave", frames=3)}, "truth must be 1 picture or 1"),
        ({"measure": evaluation(mask=["other", 1])}, "mask must have the size of the image"),
    ):
        prompt = {
            "result": example(), "truth": example(), "other": example(size=192),
            "measure": evaluation(), **changes,
        }  # fmt: skip
        result = server.run(prompt)
        assert (result.kind, result.node) == ("execution_error", "measure"), result
        assert words in result.error
