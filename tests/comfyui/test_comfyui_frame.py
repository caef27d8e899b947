"""Full pictures, parts of clips, straight colour, and files of any length, on the real server."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

QUICK = {"LoadMotion": {"frames": 4}, "ComposeFlow": {"size": 128}}


def ids_of(prompt: dict, kind: str) -> list[str]:
    return [i for i, node in prompt.items() if node["class_type"] in (kind, f"LWG_{kind}")]


def short(workflow, **changes) -> tuple[dict, str]:
    """The shipped workflow, shortened and without its video; and the id of Generate."""
    prompt = workflow("motion_imitation", **{**QUICK, **changes})
    for kind in ("SaveVideo", "CreateVideo", "PreviewImage"):
        for node in ids_of(prompt, kind):
            del prompt[node]
    return prompt, ids_of(prompt, "Generate")[0]


def preview(prompt: dict, name: str, node: str, output: int = 0) -> None:
    prompt[name] = {"class_type": "PreviewImage", "inputs": {"images": [node, output]}}


def read(server, result, node: str) -> np.ndarray:
    return np.stack([cv2.imread(str(p)) for p in server.pictures(result, node)]).astype(int)


def to_file(prompt: dict, generate: str, **inputs) -> None:
    """Generate becomes Generate to File."""
    prompt[generate]["class_type"] = "LWG_GenerateToFile"
    given = {"filename_prefix": "clip", "format": "mp4 (H.264)", "transparent": False}
    prompt[generate]["inputs"] |= {**given, **inputs}


def frames_of(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_the_full_picture_keeps_the_background_and_follows_the_person(server, workflow):
    prompt, generate = short(
        workflow, ComposeFlow={"size": 128, "frame": "full picture", "longest_side": 300}
    )
    preview(prompt, "show", generate)
    preview(prompt, "plate", ids_of(prompt, "InpaintBackground")[0])
    result = server.run(prompt)
    assert result.kind == "success", result.error
    frames = read(server, result, "show")
    assert frames.shape == (4, 300, 300, 3)
    plate = cv2.resize(
        read(server, result, "plate")[0].astype(np.uint8), (300, 300), interpolation=cv2.INTER_AREA
    )
    corner = np.abs(frames[:, :40, :40] - plate[:40, :40].astype(int))
    assert corner.mean() < 3
    assert np.abs(frames[0, 60:] - plate[60:]).max() > 40, "there is no person"


def test_a_part_of_the_clip_is_painted_alone(server, workflow):
    prompt, generate = short(workflow)
    preview(prompt, "all", generate)
    part = {**prompt[generate]["inputs"], "start_frame": 1, "frames": 2}
    prompt["part"] = {"class_type": "LWG_Generate", "inputs": part}
    preview(prompt, "some", "part")
    result = server.run(prompt)
    assert result.kind == "success", result.error
    whole, some = read(server, result, "all"), read(server, result, "some")
    assert len(some) == 2 and np.abs(whole[1:3] - some).max() <= 1
    prompt["part"]["inputs"]["start_frame"] = 4
    result = server.run(prompt)
    assert (result.kind, result.node) == ("execution_error", "part")
    assert "no frame is left" in result.error


def test_without_a_background_the_person_stands_alone(server, workflow):
    prompt, generate = short(workflow)
    del prompt[generate]["inputs"]["background"]
    prompt["alpha"] = {"class_type": "MaskToImage", "inputs": {"mask": [generate, 1]}}
    preview(prompt, "colour", generate)
    preview(prompt, "matte", "alpha")
    result = server.run(prompt)
    assert result.kind == "success", result.error
    colour, matte = read(server, result, "colour"), read(server, result, "matte")[..., :1]
    assert (np.abs(colour - 127.5).max(-1, keepdims=True)[matte == 0] <= 1).all()
    assert np.abs(colour - 127.5).max(-1, keepdims=True)[matte > 250].mean() > 20


def test_a_background_of_other_proportions_is_explained_or_cut(server, workflow):
    prompt, generate = short(workflow)
    inputs = {"width": 300, "height": 150, "batch_size": 1, "color": 0xFF0000}
    prompt["red"] = {"class_type": "EmptyImage", "inputs": inputs}
    prompt[generate]["inputs"]["background"] = ["red", 0]
    preview(prompt, "show", generate)
    result = server.run(prompt)
    assert (result.kind, result.node) == ("execution_error", generate)
    assert "background is 300 x 150 px; it must have the proportions of 128 x 128" in result.error
    prompt[generate]["inputs"]["background_fit"] = "crop to cover"
    result = server.run(prompt)
    assert result.kind == "success", result.error
    assert read(server, result, "show")[:, 2, 2, 2].min() > 250


def test_a_clip_goes_to_a_file_with_its_sound(server, workflow):
    prompt, generate = short(workflow, LoadMotion={"frames": 9})
    inputs = {"duration": 3.0, "sample_rate": 22050, "channels": 2}
    prompt["sound"] = {"class_type": "EmptyAudio", "inputs": inputs}
    to_file(prompt, generate, audio=["sound", 0])
    result = server.run(prompt)
    assert result.kind == "success", result.error
    (clip,) = server.pictures(result, generate)
    assert clip.parent == server.base / "output" / "liquid_warping"
    frames = frames_of(clip)
    assert len(frames) == 9 and frames[0].shape == (128, 128, 3)
    with av.open(str(clip)) as container:
        assert container.streams.video[0].average_rate == 30
        (sound,) = container.streams.audio
        assert float(sound.duration * sound.time_base) < 0.5
    again = server.run({**prompt, generate: {**prompt[generate], "inputs": {
        **prompt[generate]["inputs"], "frames": 2}}})  # fmt: skip
    (second,) = server.pictures(again, generate)
    assert second != clip and len(frames_of(second)) == 2


def test_the_sound_of_a_part_begins_with_the_part(server, workflow):
    prompt, generate = short(workflow, LoadMotion={"frames": 9})
    inputs = {"duration": 0.2, "sample_rate": 22050, "channels": 2}
    prompt["sound"] = {"class_type": "EmptyAudio", "inputs": inputs}
    to_file(prompt, generate, audio=["sound", 0], start_frame=3)
    lengths = []
    for start in (3, 7):  # 0.1 s of sound are left; none
        prompt[generate]["inputs"]["start_frame"] = start
        result = server.run(prompt)
        assert result.kind == "success", result.error
        with av.open(str(server.pictures(result, generate)[0])) as container:
            lengths.append([float(s.duration * s.time_base) for s in container.streams.audio])
    assert lengths[0][0] < 0.17 and not lengths[1]


def test_transparent_pictures_go_to_a_folder(server, workflow):
    prompt, generate = short(workflow)
    del prompt[generate]["inputs"]["background"]
    to_file(prompt, generate, format="png sequence", transparent=True, filename_prefix="cut/out")
    result = server.run(prompt)
    assert result.kind == "success", result.error
    folder = server.base / "output" / "liquid_warping" / result.outputs[generate]["text"][0]
    pictures = sorted(folder.glob("*.png"))
    assert [p.name for p in pictures] == [f"{n:06d}.png" for n in range(4)]
    picture = cv2.imread(str(pictures[0]), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (128, 128, 4)
    assert 0.02 < (picture[..., 3] > 250).mean() < 0.6 and (picture[..., 3] == 0).mean() > 0.2


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"transparent": True}, "transparent and background exclude each other"),
        ({"start_frame": 99}, "no frame is left"),
    ],
)
def test_bad_files_are_explained_and_leave_nothing(server, workflow, inputs, words):
    prompt, generate = short(workflow)
    to_file(prompt, generate, **inputs)
    before = server.written()
    result = server.run(prompt)
    assert (result.kind, result.node) == ("execution_error", generate)
    assert words in result.error
    assert server.written() == before


def test_an_mp4_cannot_be_transparent(server, workflow):
    prompt, generate = short(workflow)
    del prompt[generate]["inputs"]["background"]
    to_file(prompt, generate, transparent=True)
    result = server.run(prompt)
    assert (result.kind, result.node) == ("execution_error", generate)
    assert "transparen" in result.error and ".webp" in result.error


def test_what_is_finished_when_cancelled_is_kept(server, workflow):
    prompt, generate = short(workflow, LoadMotion={"frames": 3000})
    preview(prompt, "warped", ids_of(prompt, "ComposeFlow")[0], 1)
    preview(prompt, "plate", ids_of(prompt, "InpaintBackground")[0])
    to_file(prompt, generate, filename_prefix="cancelled")
    rest = {k: v for k, v in prompt.items() if k != generate}
    assert server.run(rest).kind == "success"  # cached after this
    folder = server.base / "output" / "liquid_warping"
    parts = folder / ".cancelled_00001_.mp4.parts"
    result = server.interrupted(prompt, 2.0, parts.exists)
    assert (result.kind, result.node) == ("execution_interrupted", generate)
    kept = sorted(folder.glob("*cancelled*"))
    assert [p.name for p in kept] == ["cancelled_00001_.partial.mp4"]
    assert 4 <= len(frames_of(kept[0])) < 3000
    assert "kept" in server.log_text()
