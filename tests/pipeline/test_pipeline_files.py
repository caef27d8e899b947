"""Files appear whole or not at all, whoever writes them."""

import errno
import os

import pytest
import torch

from lwg_core.body.files import save_params
from lwg_core.body.params import SmplParams
from lwg_core.errors import InputError
from lwg_core.files import atomic_path, make_folder
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.pictures import write_image
from lwg_core.video import open_output
from lwg_core.weights import save_generator


def files(folder) -> dict:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with atomic_path(path) as part:
        assert part.parent == tmp_path
        part.write_bytes(b"half")
        assert path.read_bytes() == b"old"
        part.write_bytes(b"new")
    assert files(tmp_path) == {"a.bin": b"new"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, InputError])
def test_an_error_or_interrupt_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error, match="^of the block$"), atomic_path(path) as part:
        part.write_bytes(b"half")
        raise error("of the block")
    assert files(tmp_path) == {"a.bin": b"old"}


def test_what_the_system_refuses_is_one_sentence_about_the_file(tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(InputError, match=r"a\.bin cannot be written: No space left on device"):
        with atomic_path(path) as part:
            part.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"b\.bin cannot be written: Not a directory"):
        with atomic_path(path / "b.bin") as part:
            part.write_bytes(b"half")
    with pytest.raises(InputError, match=r"a\.bin cannot be written: File exists"):
        make_folder(path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder cannot be written"):
        with atomic_path(tmp_path / "folder") as part:
            part.write_bytes(b"whole")
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "folder"]


def generator():
    return AttLWBGenerator(GeneratorConfig.surface(widths=(4, 4), res_blocks=0, spade_hidden=4))


def video(path):
    with open_output(path, 30, 9) as writer:
        writer.write(torch.rand(9, 3, 64, 64) * 2 - 1)


WRITERS = {
    "picture.png": lambda path: write_image(path, torch.rand(3, 64, 64) * 2 - 1),
    "clip.mp4": video,
    "motion.npz": lambda path: save_params(path, SmplParams(torch.rand(50, 24, 3))),
    "weights.safetensors": lambda path: save_generator(path, generator()),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_leaves_nothing_half_written(tmp_path, name):
    resource = pytest.importorskip("resource")  # POSIX
    path = tmp_path / name
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # as a disk that is full after 1 kB
    try:
        with pytest.raises(InputError, match=f"{name} cannot be written: File too large"):
            WRITERS[name](path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == {name: b"old"}
    WRITERS[name](path)
    assert sorted(os.listdir(tmp_path)) == [name] and path.stat().st_size > 1000
