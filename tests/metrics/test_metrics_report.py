"""Protocols and reports: whose pictures, which regions, what is written and what is refused."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lwg_core.body.open_body import open_body
from lwg_core.cli import main
from lwg_core.errors import InputError
from lwg_core.metrics import crops, held_out, protocol, report, summary
from lwg_core.metrics.evaluate import evaluate
from lwg_core.metrics.held_out import choose_pictures, find_people
from lwg_core.metrics.networks import InputSpec, load_embedder
from lwg_core.metrics.pictures import person_region
from lwg_core.metrics.protocol import Networks, Outcome, Setting
from lwg_core.metrics.summary import METRICS, Value, average, cell, summarise
from lwg_core.synthetic.dataset import TEST_SEEDS, make_record, save_record
from lwg_core.weights import load_generator

SIZE = 64


class Grid(nn.Module):
    """An embedding: the colours of 2 x 2 cells."""

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(pictures, [2, 2])


@pytest.fixture(scope="module")
def records():
    return [make_record(seed, poses=6, size=SIZE) for seed in TEST_SEEDS[:3]]


@pytest.fixture(scope="module")
def folder(records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    for record in records:
        save_record(folder / f"{record.seed}.npz", record)
    return folder


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    file = tmp_path_factory.mktemp("networks") / "grid.pt"
    torch.jit.save(torch.jit.script(Grid()), file)
    grid = load_embedder(file, InputSpec((16, 8), "unit"))
    return Networks(body=grid, face=grid, inception=grid)


@pytest.fixture(scope="module")
def outcomes(records, networks):
    how = Setting(SIZE, "true")
    return evaluate(load_generator(), records, open_body(), [1, 2], how=how, networks=networks)


def test_targets_do_not_depend_on_the_number_of_sources():
    targets = {tuple(choose_pictures(12, n, "x")[1]) for n in range(1, 9)}
    assert targets == {(2, 4, 7, 9)}
    sources, _ = choose_pictures(12, 8, "x")
    assert sources == [0, 1, 3, 5, 6, 8, 10, 11]
    assert choose_pictures(3, 2, "x") == ([0, 1], [2])
    with pytest.raises(InputError, match="2 can be sources; 3 were asked for"):
        choose_pictures(6, 3, "x")
    with pytest.raises(InputError, match="three or more are needed"):
        choose_pictures(2, 1, "x")


def test_views_of_the_body_in_a_picture(records):
    body, record = open_body(), records[1]
    views = crops.body_views(record.params, body, record.offsets)
    alphas = torch.from_numpy(record.alphas)[:, None] > 127
    height, width = record.alphas.shape[1:]
    for k in range(len(record.params)):
        ys, xs = alphas[k, 0].nonzero(as_tuple=True)
        seen = torch.tensor([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        assert (views.body[k] - seen).abs().max() < 0.12 * SIZE
        head = views.head_region[k, 0].nonzero().float() + 0.5
        left, top, right, bottom = (views.head[k] + torch.tensor([-4, -4, 4, 4])).tolist()
        assert len(head) and (head[:, 1] > left).all() and (head[:, 1] < right).all()
        assert (head[:, 0] > top).all() and (head[:, 0] < bottom).all()
    assert (views.body >= 0).all() and (views.body[:, 2] <= width).all()
    assert (views.body[:, 3] <= height).all()
    large = replace(record.params, camera=record.params.camera.resize((256, 256)))
    shown = crops.body_views(large, body).shown
    assert shown[0] and not shown[1], "the first picture is from the front, the second from behind"
    assert not views.shown[0], "a face of a few pixels cannot be recognised"


def test_a_crop_repeats_the_edge_and_is_stretched():
    picture = torch.zeros(1, 3, 10, 10)
    picture[..., 5:] = 0.5
    found = crops.cut(picture, torch.tensor([[-5.0, 2.0, 15.0, 6.0]]), (4, 20))
    assert found.shape == (1, 3, 4, 20)
    assert (found[..., :10] == 0).all() and (found[..., 10:] == 0.5).all()


def test_self_imitation_is_scored_against_its_truth(records, outcomes, networks):
    for count in (1, 2):
        assert [o.name for o in outcomes["self", count]] == [str(r.seed) for r in records]
    outcome = outcomes["self", 2][0]
    _, targets = choose_pictures(6, 2, "x")
    truth = torch.from_numpy(records[0].images[targets]).permute(0, 3, 1, 2)
    assert (outcome.pictures["truth"].int() - truth.int()).abs().max() <= 1
    result = outcome.pictures["result"].float() / 127.5 - 1
    alpha = torch.from_numpy(records[0].alphas[targets])[:, None].float() / 255
    mse = ((result - (truth.float() / 127.5 - 1)) / 2).square().mean(1, keepdim=True)
    region = person_region(alpha)
    wanted = -10 * ((mse * region).sum((1, 2, 3)) / region.sum((1, 2, 3))).log10()
    torch.testing.assert_close(outcome.scores["psnr_person"], wanted, atol=0.02, rtol=0)
    assert (outcome.scores["psnr"] > outcome.scores["psnr_person"]).all()
    assert (outcome.scores["iou"] > 0.6).all()
    again = protocol.embed(result, crops_of(records[0], targets), networks)["body"]
    torch.testing.assert_close(outcome.results["body"], again, atol=5e-3, rtol=0)


def crops_of(record, targets):
    body = open_body()
    person = held_out.held_out(record, body, SIZE, [0, 1], targets)
    return crops.body_views(person.target, body, person.sources[0].offsets)


def test_cross_imitation_takes_the_next_persons_pictures(records, outcomes):
    crossed = outcomes["cross", 2]
    assert len(crossed) == 3
    for k, outcome in enumerate(crossed):
        own, other = outcomes["self", 2][k], outcomes["self", 2][(k + 1) % 3]
        assert torch.equal(outcome.pictures["pose"], other.pictures["truth"])
        assert torch.equal(outcome.pictures["sources"], own.pictures["sources"])
        assert torch.equal(outcome.truths["whole"], own.truths["whole"])
        assert set(outcome.scores) <= {"sharpness_sources", "body_cs", "face_cs"}
        assert (outcome.scores["sharpness_sources"] > 0.1).all()


def test_cross_imitation_keeps_the_persons_shape(records, monkeypatch):
    body, how, asked = open_body(), Setting(SIZE), []

    def remember(generator, person, target, background, body, how):
        asked.append((person, target))
        return person.images, person.alphas

    monkeypatch.setattr(protocol, "imitate", remember)
    one, other = (held_out.held_out(r, body, SIZE, [0, 1], [2, 3]) for r in records[:2])
    protocol.cross_imitation(None, one, other, one.background, body, how, Networks())
    ((person, target),) = asked
    assert person is one
    assert torch.equal(target.betas, one.sources[0].params.betas)
    assert not torch.equal(target.betas, other.target.betas)
    assert torch.equal(target.pose, other.target.pose)
    assert torch.equal(target.camera.center, other.target.camera.center)


def test_a_lone_person_has_nobody_to_imitate(records):
    found = evaluate(load_generator(), records[:1], open_body(), [2], how=Setting(SIZE, "true"))
    assert len(found["self", 2]) == 1 and not found["cross", 2]
    values = summarise("cross", [], Networks())
    assert values["sharpness_sources"].reason == "needs two people"
    assert values["fid"].reason == "no network, see --inception"


def test_over_the_filled_background_less_is_known(records, outcomes):
    how = Setting(SIZE, "push_pull")
    found = evaluate(load_generator(), records[:1], open_body(), [2], ["self"], how)
    filled, true = found["self", 2][0].scores, outcomes["self", 2][0].scores
    assert filled["psnr"].mean() < true["psnr"].mean()


def test_values_over_people():
    scores = [{"psnr": torch.tensor(row)} for row in ([20.0, 22.0], [24.0, torch.nan], [30.0] * 2)]
    values = summarise("self", [Outcome(str(k), s) for k, s in enumerate(scores)], Networks())
    psnr = values["psnr"]
    assert (psnr.mean, psnr.worst, psnr.count) == (25.0, 21.0, 3)
    assert 21 <= psnr.low < 25 < psnr.high <= 30
    assert values["ssim"].reason == "not seen in any picture"
    assert values["lpips"].reason == "no network, see --lpips"
    assert average(np.array([0.5, 1.2]), "1").worst == 0.5
    assert average(np.array([0.9, 1.2]), "1").worst == 1.2
    assert average(np.array([0.1, 0.3]), "lower").worst == 0.3
    assert average(np.array([0.3]), "lower").low is None


def test_the_interval_of_the_mean_is_that_of_a_normal_one():
    values = np.random.default_rng(0).normal(3, 2, 400)
    low, high = summary.interval(values)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_cells():
    assert cell(Value(23.456, 22.0, 24.0), 2) == "23.46 [22.00, 24.00]"
    assert cell(Value(0.5), 3) == "0.500"
    assert cell(Value(reason="why"), 3) == "not measured (why)"


def sections(outcomes, networks=None):
    return [
        report.Section(kind, count, summarise(kind, found, networks or Networks()), found)
        for (kind, count), found in outcomes.items()
    ]


def test_the_report_is_whole(outcomes, networks, tmp_path):
    folder = tmp_path / "deep" / "report"
    report.write_report(folder, {"size": SIZE}, sections(outcomes, networks))
    names = {
        f"{h}{k}_{n}_01.png" for h in ("", "heads_") for k in ("self", "cross") for n in (1, 2)
    }
    assert {path.name for path in folder.iterdir()} == {"report.json", "report.md"} | names
    assert not list(folder.parent.glob(".*"))
    data = json.loads((folder / "report.json").read_text())
    assert data["settings"] == {"size": SIZE} and data["format"] == 1
    two = next(r for r in data["results"] if (r["protocol"], r["sources"]) == ("self", 2))
    wanted = float(np.mean([o.scores["psnr"].mean() for o in outcomes["self", 2]]))
    assert two["metrics"]["psnr"]["mean"] == pytest.approx(wanted, rel=1e-6)
    assert two["metrics"]["fid"]["mean"] > 0 and two["metrics"]["fid"]["count"] == 12
    assert "not_measured" in two["metrics"]["lpips"]
    assert len(two["people"]) == 3 and len(two["people"][0]["scores"]["psnr"]) == 4
    text = (folder / "report.md").read_text()
    assert "## Self-imitation, 3 people" in text and "| | good | 1 source | 2 sources |" in text
    assert f"{wanted:.2f} [" in text
    for kind, rows in METRICS.items():
        for metric in rows:
            assert f"\n| {metric.title} | {metric.better} |" in text, (kind, metric)
    # Two sources, then four results, each beside its truth.
    assert cv2.imread(str(folder / "self_2_01.png")).shape == (3 * 68 + 4, 10 * 68 + 4, 3)
    assert cv2.imread(str(folder / "heads_cross_1_01.png")).shape == (3 * 132 + 4, 8 * 132 + 4, 3)


def test_identical_pictures_are_told_in_json_too():
    found = {"psnr": torch.tensor([torch.inf, torch.nan, 1.0])}
    one = report.Section("self", 1, {"psnr": Value(torch.inf)}, [Outcome("a", found)])
    data = json.dumps(report.as_json({}, [one]), allow_nan=False)
    assert json.loads(data)["results"][0]["people"][0]["scores"]["psnr"] == ["inf", None, 1.0]


def test_an_earlier_report_is_replaced_and_nothing_else(outcomes, tmp_path, monkeypatch):
    folder = tmp_path / "report"
    some = sections({("self", 1): outcomes["self", 1]})
    report.write_report(folder, {"run": 1}, some)
    before = (folder / "report.json").read_text()

    def fails(*given):
        raise InputError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(report, "write_sheets", fails)
        with pytest.raises(InputError, match="no space"):
            report.write_report(folder, {"run": 2}, some)
    assert (folder / "report.json").read_text() == before, "a failure keeps the old report"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    report.write_report(folder, {"run": 2}, sections({("self", 2): outcomes["self", 2]}))
    assert not (folder / "self_1_01.png").exists() and (folder / "self_2_01.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]

    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other things than one whole report"):
        report.write_report(folder, {}, some)
    (folder / "notes.txt").unlink()
    (folder / "self_2_01.png").unlink()
    with pytest.raises(InputError, match="holds other things than one whole report"):
        report.check_report_folder(folder)
    with pytest.raises(InputError, match="is a file"):
        report.check_report_folder(folder / "report.json")


def test_only_the_first_people_are_pictured(outcomes, records, monkeypatch):
    monkeypatch.setattr("lwg_core.metrics.evaluate.PICTURED", 1)
    monkeypatch.setattr(protocol, "source_background", None)  # the true one is asked for
    found = evaluate(
        load_generator(), records[:2], open_body(), [1], ["self"], Setting(SIZE, "true")
    )
    assert [bool(o.pictures) for o in found["self", 1]] == [True, False]


def command(output, *more):
    return ["evaluate", "--size", str(SIZE), "--output", str(output), "--device", "cpu", *more]


def test_the_command_on_synthetic_people(tmp_path, capsys):
    cache, output = tmp_path / "cache", tmp_path / "report"
    given = ["--data", "synthetic", "--limit", "2", "--sources", "2", "--cache", str(cache)]
    assert main(command(output, *given, "--generator", "shipped", "--fill", "push_pull")) == 0
    shown = capsys.readouterr().out
    assert "## Cross-imitation, 2 people" in shown and f"wrote the report to {output}" in shown
    kept = sorted(path.relative_to(cache).as_posix() for path in cache.rglob("*.npz"))
    assert kept == [f"test-{SIZE}/{seed}.npz" for seed in TEST_SEEDS[:2]]
    data = json.loads((output / "report.json").read_text())
    # The same people again, from the cache: the same figures.
    assert main(command(output, *given, "--generator", "default", "--fill", "push_pull")) == 0
    again = json.loads((output / "report.json").read_text())
    assert again["results"] == data["results"]


def test_the_command_on_a_folder_of_records(folder, tmp_path):
    output = tmp_path / "report"
    given = ["--data", str(folder), "--protocol", "self", "--sources", "1", "--fill", "true"]
    assert main(command(output, *given)) == 0
    data = json.loads((output / "report.json").read_text())
    assert [p["name"] for p in data["results"][0]["people"]] == [str(s) for s in TEST_SEEDS[:3]]
    assert len(data["results"]) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--limit", "0"], "--limit 0 is not possible"),
        (["--sources", "1", "9"], "--sources 9 is not possible"),
        (["--size", "100"], "size 100 is not possible"),
        (["--data", "nowhere"], "neither 'synthetic' nor a folder"),
        (["--generator", "nowhere.pth"], "no such file"),
        (["--face-network", "nowhere.pt"], "nowhere.pt: no such file"),
        (["--body-input", "8x8:unit"], "--body-input is for --body-network only"),
        (["--fill", "generator"], "no background network"),
    ],
)
def test_bad_options_are_sentences(tmp_path, capsys, options, words):
    assert main(command(tmp_path / "report", *options)) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_bad_data_is_told_before_the_first_person(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lwg_core.commands.evaluate.evaluate", None)  # must not be reached

    def told(words, *options, data=folder):
        assert main(command(tmp_path / "report", "--data", str(data), *options)) == 2
        assert words in capsys.readouterr().err

    empty = tmp_path / "empty"
    empty.mkdir()
    told("no records (*.npz)", data=empty)
    told("2 can be sources; 3 were asked for", "--sources", "3")
    told("--size 128 would compare with enlarged", "--size", "128")
    file = folder / f"{TEST_SEEDS[0]}.npz"
    (empty / file.name).write_bytes(file.read_bytes()[:-500])
    told("not a whole .npz file", data=empty)
    np.savez(empty / file.name, pose=np.zeros((6, 24, 3)))
    told("is no record of format 2; generate it again", data=empty)


def test_a_broken_record_in_the_cache_is_told(tmp_path):
    people = find_people("synthetic", "test", SIZE, 1, tmp_path)
    people.files[0].parent.mkdir()
    people.files[0].write_bytes(b"PK\3\4")
    with pytest.raises(InputError, match="not a whole .npz file"):
        next(people.records(open_body()))


def test_a_split_of_its_own_folder(folder, tmp_path):
    inside = tmp_path / "test"
    inside.mkdir()
    for path in folder.glob("*.npz"):
        (inside / path.name).write_bytes(path.read_bytes())
    assert len(find_people(str(tmp_path), "test", SIZE)) == 3
    assert len(find_people(str(inside), "test", SIZE, limit=2)) == 2
