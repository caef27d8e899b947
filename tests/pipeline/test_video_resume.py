"""Outputs cut short: what is finished stays, is said, and is continued by the same job only."""

import os
import shutil
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from video_files import (  # noqa: E402
    check_video,
    decoded,
    files_of,
    heard,
    interrupted,
    number_of,
    numbered,
    small_files,
    tone,
    write,
)

from lwg_core.errors import InputError  # noqa: E402
from lwg_core.video import open_output  # noqa: E402

NAMES = ["a.mp4", "a.mov", "a.mkv", "a.webp", "frames"]


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_of(folder)}


@pytest.mark.parametrize(
    ("name", "stop"),
    [("a.mp4", 1), ("a.mp4", 59), ("a.mp4", 60), ("a.mp4", 130), ("a.mov", 61), ("a.mkv", 77),
     ("a.webp", 1), ("a.webp", 130), ("frames", 77), ("frames", 130)],
)  # fmt: skip
def test_a_continued_run_has_every_frame_once(tmp_path, name, stop):
    interrupted(tmp_path / name, 25, 130, stop)
    out = write(tmp_path / name, 25, 130, resume=True)
    assert out.done == stop and not out.message
    if name == "frames":
        whole = [f"frames/{k:06d}.png" for k in range(130)]
        assert files_of(tmp_path) == whole
        write(tmp_path / "b" / "frames", 25, 130)
        assert contents(tmp_path / "frames") == contents(tmp_path / "b" / "frames")
        return
    assert files_of(tmp_path) == [name]
    if name == "a.webp":
        write(tmp_path / "b.webp", 25, 130)
        assert (tmp_path / name).read_bytes() == (tmp_path / "b.webp").read_bytes()
    else:
        check_video(tmp_path / name, Fraction(25), 130)


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupt_keeps_what_is_finished_and_says_so(tmp_path, name, caplog):
    interrupted(tmp_path / name, 25, 130, 77)
    path = tmp_path / name
    partial = path / "partial" if name == "frames" else path.with_stem("a.partial")
    said = f"kept 77 of 130 frames in {partial}; --resume continues"
    assert [record.getMessage() for record in caplog.records] == [said]
    assert not path.is_file()
    if name == "frames":
        kept = [f"frames/partial/{k:06d}.png" for k in range(77)]
        assert files_of(tmp_path) == [*kept, "frames/partial/job.json"]
    elif name != "a.webp":
        check_video(partial, Fraction(25), 77)


def test_several_interrupts_and_sound(tmp_path):
    for stop in (10, 75, 75, 120):
        interrupted(tmp_path / "a.mp4", 25, 130, stop, audio=tone(9), resume=True)
        pictures, _ = decoded(tmp_path / "a.partial.mp4")
        assert [number_of(p) for p in pictures] == list(range(stop))
        _, rate, samples = heard(tmp_path / "a.partial.mp4")
        assert abs(len(samples) / rate - stop / 25) < 0.06
    write(tmp_path / "a.mp4", 25, 130, audio=tone(9), resume=True)
    check_video(tmp_path / "a.mp4", Fraction(25), 130)
    assert files_of(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("name", ["new/a.mp4", "a.webp", "new/frames", "a.png"])
def test_without_a_finished_frame_nothing_stays(tmp_path, name):
    frames = 1 if name == "a.png" else 9
    interrupted(tmp_path / name, 25, frames, 0)
    assert not files_of(tmp_path)


def test_an_interrupt_between_encoding_and_writing_costs_no_order(tmp_path, monkeypatch):
    """A packet that is lost there is noticed; the frames before its segment are kept."""
    path = tmp_path / "a.mp4"

    class Lost:
        def __init__(self, container):
            self.container, self.left = container, 15

        def mux(self, packets):
            packets = [packets] if not isinstance(packets, list) else packets
            self.left -= len(packets)
            if self.left <= 0 < self.left + len(packets):
                raise KeyboardInterrupt
            self.container.mux(packets)

        def __getattr__(self, name):
            return getattr(self.container, name)

    with pytest.raises(KeyboardInterrupt), open_output(path, 25, 130, job="dance") as out:
        out.write(numbered(0, 61))
        out.container = Lost(out.container)
        out.write(numbered(61, 130))
    out = write(path, 25, 130, resume=True)
    assert out.done == 60
    check_video(path, Fraction(25), 130)


@pytest.mark.parametrize("name", ["a.mp4", "a.webp", "frames"])
def test_an_old_result_is_replaced_by_a_whole_one_only(tmp_path, name, caplog):
    write(tmp_path / name, 25, 5, size=(64, 64))
    before = contents(tmp_path)
    interrupted(tmp_path / name, 25, 9, 7)
    after = contents(tmp_path)
    assert before.items() <= after.items()
    caplog.clear()
    write(tmp_path / name, 25, 9, job="another")
    assert "7 frames of an earlier run are replaced" in caplog.text
    left = files_of(tmp_path)
    assert len(left) == (9 if name == "frames" else 1)
    assert all(before.get(n) != data for n, data in contents(tmp_path).items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"job": "waltz"}, "its sources, motion or options are others"),
        ({"fps": 30}, "it had 25 frames per second, not 30"),
        ({"frames": 40}, "it was to have 30 frames, not 40"),
        ({"alpha": True}, "one of the two has transparency"),
        ({"size": (64, 128)}, r"\[64, 96\] px high and wide, not \[64, 128\]"),
    ],
)
@pytest.mark.parametrize("name", ["a.webp", "frames"])
def test_another_job_is_refused_and_what_is_kept_stays(tmp_path, name, change, words):
    interrupted(tmp_path / name, 25, 30, 7)
    before = contents(tmp_path)
    options = {"fps": 25, "frames": 30, "resume": True, **change}
    with pytest.raises(InputError, match=f"the 7 frames kept in .* another job .*{words}") as error:
        write(tmp_path / name, **options)
    assert "without --resume" in str(error.value)
    assert contents(tmp_path) == before
    write(tmp_path / name, 25, 30, resume=True)


def test_another_encoder_and_a_damaged_record_are_refused(tmp_path, monkeypatch):
    interrupted(tmp_path / "a.mp4", 25, 30, 7)
    with monkeypatch.context() as patch:
        patch.setattr("av.__version__", "99.0")
        with pytest.raises(InputError, match=r"begun with PyAV .*, here is PyAV 99\.0"):
            open_output(tmp_path / "a.mp4", 25, 30, job="dance", resume=True)
    (tmp_path / ".a.mp4.parts" / "job.json").write_text("[")
    with pytest.raises(InputError, match="job.json is damaged; start over without --resume"):
        open_output(tmp_path / "a.mp4", 25, 30, job="dance", resume=True)
    write(tmp_path / "a.mp4", 25, 30)
    assert files_of(tmp_path) == ["a.mp4"]


def test_nothing_to_continue_starts_over_and_says_so(tmp_path, caplog):
    out = write(tmp_path / "a.mp4", 25, 3, resume=True)
    assert out.done == 0 and "nothing to continue" in caplog.text
    check_video(tmp_path / "a.mp4", Fraction(25), 3)


def test_a_nameless_job_leaves_what_can_be_looked_at(tmp_path, caplog):
    interrupted(tmp_path / "a.mp4", 25, 30, 7, job="")
    assert files_of(tmp_path) == ["a.partial.mp4"] and "resume" not in caplog.text
    write(tmp_path / "a.mp4", 25, 30, job="")
    interrupted(tmp_path / "b.mp4", 25, 30, 7, keep=False)
    assert files_of(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("name", ["a.mp4", "a.webp", "frames", "a.png"])
def test_a_disk_that_is_full_at_once_is_one_sentence_and_leaves_nothing(tmp_path, name):
    with small_files(500), pytest.raises(InputError, match="cannot be written: File too large"):
        with open_output(tmp_path / name, 25, 1 if name == "a.png" else 70, job="dance") as out:
            for _ in range(0, out.frames, 10):
                out.write(torch.rand(min(10, out.frames), 3, 64, 96) * 2 - 1)
    assert not files_of(tmp_path)


def test_a_disk_that_fills_up_keeps_what_fits_and_goes_on_later(tmp_path, caplog):
    torch.manual_seed(0)
    noise = torch.rand(130, 3, 64, 96) * 2 - 1
    path = tmp_path / "a.mp4"
    with small_files(400_000), pytest.raises(InputError, match="a.mp4 cannot be written: File too"):
        with open_output(path, 25, 130, job="dance") as out:  # its segments fit, the whole does not
            out.write(noise)
    assert f"kept 130 of 130 frames in {tmp_path / '.a.mp4.parts'}" in caplog.text
    with open_output(path, 25, 130, job="dance", resume=True) as out:
        assert out.done == 130
    assert len(decoded(path)[0]) == 130 and files_of(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("name", ["a.mp4", "a.webp", "frames"])
def test_a_vanished_folder_is_one_sentence(tmp_path, name):
    with pytest.raises(InputError, match="cannot be written: No such file"):
        with open_output(tmp_path / "gone" / name, 25, 130, job="dance") as out:
            out.write(numbered(0, 5))
            shutil.rmtree(tmp_path / "gone")
            out.write(numbered(5, 130))
    assert not files_of(tmp_path)


def test_a_killed_process_loses_no_finished_segment(tmp_path):
    run_in_process(
        f"""
        with open_output({str(tmp_path / "a.mp4")!r}, 25, 200, job="dance") as out:
            out.write(numbered(0, 178))
            os._exit(9)
        """,
        code=9,
    )
    assert any(name.endswith(".part") for name in files_of(tmp_path))
    out = write(tmp_path / "a.mp4", 25, 200, resume=True)
    assert out.done == 120 and files_of(tmp_path) == ["a.mp4"]
    check_video(tmp_path / "a.mp4", Fraction(25), 200)


@pytest.mark.parametrize(("name", "batches"), [("a.mp4", 100), ("a.webp", 25), ("frames", 25)])
def test_memory_does_not_grow_with_the_frames(tmp_path, name, batches):
    pytest.importorskip("resource")  # POSIX
    grown = run_in_process(
        f"""
        import resource
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        torch.set_num_threads(1)
        frames = numbered(0, 20, 256, 256)
        with open_output({str(tmp_path / name)!r}, 25, {20 * batches}, job="dance") as out:
            for k in range({batches}):
                out.write(frames)
                if k == 4:
                    early = peak()
        print(peak() - early)
        """
    )
    kilobytes = int(grown) // (1024 if sys.platform == "darwin" else 1)
    assert kilobytes < 60_000  # the frames are 98 MB or more


def run_in_process(script: str, code: int = 0) -> str:
    """What a Python process prints that ends with exit code ``code``."""
    here = Path(__file__).parent
    folders = [str(here), str(here.parents[1]), *sys.path]
    head = "import os, torch\nfrom video_files import numbered, open_output\n"
    run = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(script)], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
    )  # fmt: skip
    assert run.returncode == code, run.stderr
    return run.stdout
