"""Painting: frames do not depend on how many are computed at a time."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from lwg_core.errors import InputError
from lwg_core.flow.framing import frame_person
from lwg_core.flow.sequence import materialise
from lwg_core.networks.generator import AttLWBGenerator, GeneratorConfig
from lwg_core.painting import check_generator, chunk_frames, clip_window, free_memory, generate

SIZE = 64


def run(generator, flow, background, chunk):
    images, mattes = zip(*generate(generator, flow, background, chunk), strict=True)
    assert [len(i) for i in images[:-1]] == [chunk] * (len(images) - 1)
    return torch.cat(images), torch.cat(mattes)


def test_frames_do_not_depend_on_the_chunks(generator, flow):
    background = torch.rand(len(flow), 3, SIZE, SIZE) * 2 - 1
    whole = run(generator, flow, background, 6)
    for chunk in (1, 4):
        for a, b in zip(run(generator, flow, background, chunk), whole, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_materialised_flow_gives_the_same_frames(generator, flow):
    background = torch.zeros(1, 3, SIZE, SIZE)
    held = materialise(flow, chunk=4)
    if clip_window(held) != clip_window(flow):
        pytest.fail(f"windows differ: {clip_window(held)}, {clip_window(flow)}")
    for a, b in zip(
        run(generator, held, background, 4), run(generator, flow, background, 4), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_the_matte_is_one_on_the_person_and_the_background_shows_elsewhere(generator, flow):
    background = torch.full((1, 3, SIZE, SIZE), 0.25)
    images, mattes = run(generator, flow, background, 4)
    silhouette = flow.chunk(0, len(flow)).silhouette > 0
    far = F.max_pool2d(silhouette.float(), 25, 1, 12) == 0
    assert mattes[silhouette].mean() > 0.8 and mattes[far].mean() < 0.02
    empty = mattes == 0
    assert empty.any() and (images[empty.expand_as(images)] == 0.25).all()
    assert images.abs().max() <= 1


def test_other_generators_and_backgrounds_are_refused(generator, flow):
    with torch.device("meta"):
        official = AttLWBGenerator(GeneratorConfig())
    with pytest.raises(InputError, match="official"):
        check_generator(official)
    with pytest.raises(InputError, match="1 picture or 6"):
        next(generate(generator, flow, torch.zeros(2, 3, SIZE, SIZE)))
    with pytest.raises(InputError, match="32 x 64 px, but the frames are 64 x 64; place it"):
        next(generate(generator, flow, torch.zeros(1, 3, SIZE, 32)))


def test_a_part_of_the_clip_is_that_part(generator, flow):
    background = torch.zeros(1, 3, SIZE, SIZE)
    whole = run(generator, flow, background, 6)[0]
    part = torch.cat([i for i, _ in generate(generator, flow, background, start=2, stop=5)])
    torch.testing.assert_close(part, whole[2:5], atol=1e-5, rtol=0)
    for start, stop in ((6, None), (3, 3), (0, 7), (-1, 2)):
        with pytest.raises(InputError, match="no frame is left"):
            next(generate(generator, flow, background, start=start, stop=stop))


def test_progress_counts_the_frames(generator, flow):
    seen = []
    background = torch.zeros(1, 3, SIZE, SIZE)
    report = lambda done, total, image: seen.append((done, total, image.shape))  # noqa: E731
    list(generate(generator, flow, background, 2, progress=report, start=1, stop=6))
    assert seen == [(n, 5, (3, SIZE, SIZE)) for n in (2, 4, 5)]


class Full:
    """A generator whose memory holds ``room`` frames."""

    def __init__(self, generator, room, error):
        self.generator, self.room, self.error = generator, room, error
        self.config, self.asked = generator.config, []

    def encode(self, inputs):
        if self.room < 0:
            raise self.error
        return self.generator.encode(inputs)

    def decode(self, bank, inputs, flow):
        self.asked.append(len(inputs))
        if len(inputs) > self.room:
            raise self.error
        return self.generator.decode(bank, inputs, flow)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:75] CPU: can't allocate memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
    ],
)
def test_chunks_are_halved_when_memory_runs_out(generator, flow, error):
    background = torch.zeros(1, 3, SIZE, SIZE)
    expected = run(generator, flow, background, 6)
    full = Full(generator, 2, error)
    images, mattes = zip(*generate(full, flow, background, 6), strict=True)
    assert full.asked == [6, 3, 1] + [1] * 5
    for a, b in zip((torch.cat(images), torch.cat(mattes)), expected, strict=True):
        assert (a - b).abs().max() < 1 / 255
    with pytest.raises(InputError, match="not enough memory for one frame of 64 x 64"):
        list(generate(Full(generator, 0, error), flow, background, 6))
    with pytest.raises(InputError, match="not enough memory for 2 sources of 64 x 64"):
        list(generate(Full(generator, -1, error), flow, background, 6))


def test_other_errors_are_not_taken_for_a_lack_of_memory(generator, flow):
    broken = Full(generator, 0, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        list(generate(broken, flow, torch.zeros(1, 3, SIZE, SIZE), 6))
    assert broken.asked == [6]


def test_chunks_follow_from_the_free_memory(generator, flow):
    device = torch.device("cpu")
    one = next(n for n in range(1, 100) if chunk_frames(generator, flow, device, n << 20) == 2)
    assert chunk_frames(generator, flow, device, 0) == 1
    assert chunk_frames(generator, flow, device, (one << 20) * 1000) == 64  # of 64 px
    assert chunk_frames(generator, flow, torch.device("cuda"), (one << 20) * 1000) == 16
    assert free_memory(device) > 1 << 20


def test_the_previous_frame_as_a_source_changes_the_picture_a_little(generator, flow):
    background = torch.zeros(1, 3, SIZE, SIZE)
    plain = run(generator, flow, background, 1)[0]
    temporal = torch.cat([i for i, _ in generate(generator, flow, background, temporal=True)])
    assert torch.equal(temporal[0], plain[0])  # it has no frame before it
    later = torch.cat([i for i, _ in generate(generator, flow, background, temporal=True, start=1)])
    torch.testing.assert_close(later[0], temporal[1], atol=1e-5, rtol=0)  # it has one, too
    part = torch.cat([i for i, _ in generate(generator, flow, background, temporal=True, start=5)])
    assert (part[0] - temporal[5]).abs().max() < 2e-4  # its frames go back further than one
    change = (temporal - plain).abs()
    assert 1e-3 < change.mean() < 0.03


def test_without_a_background_the_colour_is_straight(generator, flow):
    (images, mattes), *_ = generate(generator, flow, None, 6)
    over, _ = run(generator, flow, torch.full((1, 3, SIZE, SIZE), -0.5), 6)
    torch.testing.assert_close(mattes * images - (1 - mattes) * 0.5, over, atol=0.01, rtol=0)
    assert (images[(mattes < 1 / 255).expand_as(images)] == 0).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_paints_flows_that_are_held_in_memory(generator, flow):
    """With the previous frame and the full picture, too: all that must follow to the device."""
    body, target = flow.prepared.body, flow.target
    framing = frame_person(target, body, flow.offsets, "full")
    held = materialise(replace(flow, framing=framing))
    expected = torch.cat([i for i, _ in generate(generator, held, None, temporal=True)])
    on_gpu = copy.deepcopy(generator).to("cuda")
    images = torch.cat([i for i, _ in generate(on_gpu, held, None, None, "cuda", temporal=True)])
    assert (images - expected).abs().mean() < 0.01
