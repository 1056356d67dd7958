"""The harness: marks, cells, tables and figures, on data sets that take seconds."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from pixelkin.errors import InputError, OutputError
from pixelkin.experiments import protocol, reproduce, results, speed, tables
from pixelkin.experiments.cells import Cell, summarise
from pixelkin.experiments.command import reproduce_command
from pixelkin.experiments.dataset import Task
from pixelkin.experiments.datasets import open_data
from pixelkin.experiments.encoders import ABLATIONS, DEEP_INFOMAX, DEFAULT_WEIGHTS, NO_DATE_PAIRS, OURS, VAE
from pixelkin.experiments.protocol import BUDGETS, Method, Plan, Runner, draw_marks
from pixelkin.maps import score
from pixelkin.segmenter import Segmenter
from pixelkin.similarity import literal
from pixelkin.training import PRESETS
from pixelkin.types import Legend

from .conftest import fields

TINY = replace(BUDGETS["smoke"], training=replace(BUDGETS["smoke"].training, steps=2, batch_size=16))
THREE = Legend.from_names(["a", "b", "c"])


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(protocol.BUDGETS, "smoke", TINY)


@given(st.integers(1, 12), st.integers(0, 5))
def test_marks_are_nested_of_the_right_class_and_counted_where_too_few(per_class, seed):
    classes = np.zeros((12, 10), np.uint8)
    classes[2:9, 1:8] = 1
    classes[9, :4] = 2
    marks, short = draw_marks(classes, THREE, per_class, seed)
    np.testing.assert_array_equal(marks.classes, classes[marks.rows, marks.cols])
    assert len({*zip(marks.rows.tolist(), marks.cols.tolist(), strict=True)}) == len(marks)
    assert (marks.classes == 1).sum() == per_class
    # Of class 2 there are four pixels, of class 3 none: the rule is to take what is there.
    assert (marks.classes == 2).sum() == min(per_class, 4)
    assert short == (per_class > 4)
    assert marks.legend.names == ("a", "b")
    more, _ = draw_marks(classes, THREE, per_class + 1, seed)
    places = set(zip(marks.rows.tolist(), marks.cols.tolist(), strict=True))
    assert places < set(zip(more.rows.tolist(), more.cols.tolist(), strict=True))


def test_a_crop_that_merging_leaves_with_one_class_is_left_out_there(images_folder, tmp_path):
    data = open_data(images_folder)
    names = data.legend.names
    merged = replace(data, merged={"a": names[:2], "b": names[2:]})
    alone = replace(merged.tasks[0].labelled, load=lambda: np.minimum(fields(40, 48), 2))
    tasks = (Task(alone, (alone,)), merged.tasks[1])
    runner = Runner(replace(merged, tasks=tasks), TINY, tmp_path)
    cells = runner.run(Plan((tables.RAW_L1,), (3, 2), (1,)))
    assert [(cell.task, cell.n) for cell in cells] == [("north", 3), ("south", 3), ("south", 2)]


def test_marks_differ_between_images_and_seeds():
    classes = np.ones((50, 50), np.uint8)
    draws = {draw_marks(classes, THREE, 5, seed, name)[0].hash for seed in (0, 1) for name in ("a", "b")}
    assert len(draws) == 4


def test_the_map_of_the_paper_is_the_nearest_neighbour(images_folder, tmp_path):
    """`ours` in a table is Algorithm 2 itself, whatever the Segmenter does by default."""
    runner = Runner(open_data(images_folder), TINY, tmp_path)
    truth = runner.tasks[0].labelled
    marks, _ = draw_marks(truth.classes, runner.dataset.legend, 2, 0)
    (found,) = runner.segment(tables.OURS_LOCAL, 0, truth.scene, marks, [truth.scene])
    pixels = np.array([[0, 0], [17, 20], [39, 47], [25, 31]])
    distances = literal.distances(runner.model(OURS, 0), truth.scene, pixels, np.stack([marks.rows, marks.cols], axis=1))
    np.testing.assert_array_equal(found.classes[pixels[:, 0], pixels[:, 1]], marks.classes[distances.argmin(axis=0)])


def test_a_cell_is_the_score_of_the_map_without_its_marks(images_folder, tmp_path):
    runner = Runner(open_data(images_folder), TINY, tmp_path)
    cells = runner.run(Plan((tables.RAW_L1,), (3,), (4,)))
    assert [cell.task for cell in cells] == ["north", "south"]
    truth = runner.tasks[1].labelled
    marks, _ = draw_marks(truth.classes, runner.dataset.legend, 4, 0, "south")
    expected = truth.classes.copy()
    expected[marks.rows, marks.cols] = 0
    found = Segmenter(None, method="nearest").fit(truth.scene, marks).predict(truth.scene)
    np.testing.assert_array_equal(np.array(cells[1].confusions[0]), score(found.classes, expected, legend=runner.dataset.legend).confusion)


def test_summaries_pool_images_and_average_seeds(rng):
    def cell(seed: int, task: str, truth: np.ndarray, found: np.ndarray) -> Cell:
        matrix = score(found, truth, legend=THREE).confusion
        return Cell("x", 3, 5, seed, task, (tuple(map(tuple, matrix.tolist())),), 2.0, 1)

    truths = rng.integers(1, 4, (4, 9, 9)).astype(np.uint8)
    maps = rng.integers(1, 4, (4, 9, 9)).astype(np.uint8)
    cells = [cell(k // 2, str(k % 2), truths[k], maps[k]) for k in range(4)]
    (row,) = summarise(cells)
    each = [jaccard_score(truths[2 * s : 2 * s + 2].ravel(), maps[2 * s : 2 * s + 2].ravel(), average="macro") for s in (0, 1)]
    assert row.miou == pytest.approx(np.mean(each))
    assert row.miou_spread == pytest.approx(np.std(each, ddof=1))
    worst = [min(jaccard_score(truths[k].ravel(), maps[k].ravel(), average="macro") for k in (2 * s, 2 * s + 1)) for s in (0, 1)]
    assert row.worst == pytest.approx(np.mean(worst))
    assert (row.images, row.seeds, row.short, row.seconds) == (2, 2, 4, 2.0)
    assert math.isnan(summarise(cells[:2])[0].miou_spread)


def test_an_interrupted_run_goes_on_and_gives_the_same(images_folder, tmp_path):
    plan = Plan((tables.RAW_L1, Method("forest", classical="extratrees-bands"), tables.OURS_LOCAL), (3,), (1, 4))
    whole = Runner(open_data(images_folder), TINY, tmp_path / "whole").run(plan)

    class StopError(Exception):
        pass

    def stop(done: int, total: int, seconds_left: float, what: str) -> None:
        if done >= 7:  # Two cells may end between two reports.
            raise StopError

    with pytest.raises(StopError):
        Runner(open_data(images_folder), TINY, tmp_path / "cut", progress=stop).run(plan)
    path = tmp_path / "cut" / "cells.jsonl"
    done = len(path.read_text().splitlines())
    assert 0 < done < len(whole)
    # As a crash leaves it: the last line is cut short, and counts as not done.
    path.write_text(path.read_text()[:-20])
    told: list[tuple[int, int]] = []
    again = Runner(open_data(images_folder), TINY, tmp_path / "cut", progress=lambda d, t, s, w: told.append((d, t))).run(plan)
    assert [cell.confusions for cell in again] == [cell.confusions for cell in whole]
    assert told[0][0] >= done - 1
    # The model was trained before; what is left is cells alone.
    assert told[-1] == (len(whole), len(whole))
    lines = len(path.read_text().splitlines())
    Runner(open_data(images_folder), TINY, tmp_path / "cut").run(plan)
    assert len(path.read_text().splitlines()) == lines


def test_rows_of_the_tables():
    assert len(tables.SIMILARITIES) == 6
    assert len(tables.EXTRA) == 15
    names = [row.name for row in ABLATIONS]
    assert names == [
        "baseline", "alpha = 0", "gamma = 0", "no jitter", "no flip", "no rotation", "no shift", "no SSR", "no SSR, no DA", "random phi",
        "z_dim = 32",
    ]  # fmt: skip
    # The paper's objective, whatever the default has become.
    small = BUDGETS["small"].training
    base = replace(small, objective=PRESETS["paper"].objective, unit_spread=False)
    resolved = {row.name: row.resolve(small, ("r",), 9) for row in (*ABLATIONS, NO_DATE_PAIRS, DEEP_INFOMAX, VAE)}
    assert resolved["baseline"][0] == base == resolved["random phi"][0]
    assert resolved["alpha = 0"][0].objective == replace(base.objective, alpha=0.0)
    assert resolved["no SSR"][0].objective == replace(base.objective, swap=False)
    assert resolved["no shift"][0].views == replace(base.views, shift=False)
    views = resolved["no SSR, no DA"][0].views
    assert not any((views.flip, views.rotate, views.shift, views.jitter, views.dates))
    assert not resolved["no SSR, no DA"][0].objective.swap
    assert resolved["z_dim = 32"][1].z_dim == 32
    infomax = resolved["deep infomax"][0]
    assert (infomax.objective.gamma, infomax.objective.swap, infomax.views, infomax.unit_spread) == (0, False, views, False)
    assert DEFAULT_WEIGHTS.resolve(small, ("r",), 9)[0] == small


def test_random_phi_changes_the_local_critic_alone(images_folder, tmp_path):
    runner = Runner(open_data(images_folder), TINY, tmp_path)
    phi = next(row for row in ABLATIONS if row.random_critic)
    trained, random = runner.model(ABLATIONS[0], 0).network.state_dict(), runner.model(phi, 0).network.state_dict()
    different = {name.split(".")[0] for name in trained if not np.array_equal(trained[name].numpy(), random[name].numpy())}
    assert different == {"local_critic"}


@pytest.mark.usefixtures("tiny")
def test_a_table_is_written_with_what_repeats_it(series_folder, tmp_path):
    paths = reproduce.reproduce("table3", series_folder, budget="smoke", seeds=2, steps=1, out=tmp_path / "out")
    assert [path.name for path in paths] == ["lake-table3.csv", "lake-table3.md", "lake-table3.json"]
    with paths[0].open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows if row["m"] == "10"] == [row.name for row in (*ABLATIONS, NO_DATE_PAIRS, DEFAULT_WEIGHTS)]
    assert all(0 <= float(row["miou"]) <= 1 and row["seeds"] == "2" for row in rows)
    markdown = paths[1].read_text()
    assert "## Mean IoU, N = 2" in markdown
    assert "±" in markdown
    manifest = json.loads(paths[2].read_text())
    assert manifest["data"]["fingerprint"] == open_data(series_folder).fingerprint
    assert manifest["training"]["steps"] == 1
    assert ", 1 training steps," in markdown
    assert manifest["versions"]["torch"]
    assert str(tmp_path) not in paths[2].read_text() + markdown
    with pytest.raises(OutputError, match=r"lake-table3\.csv is there already"):
        reproduce.reproduce("table3", series_folder, budget="smoke", out=tmp_path / "out")


@pytest.mark.usefixtures("tiny")
def test_table2_has_every_method_that_can_answer(images_folder, series_folder, tmp_path):
    rows = {}
    for folder in (images_folder, series_folder):
        path = reproduce.reproduce("table2", folder, budget="smoke", out=tmp_path / "out", cache=tmp_path / "cache")[0]
        with path.open() as file:
            rows[folder.name] = {row["method"]: float(row["miou"]) for row in csv.DictReader(file) if row["m"] == "10"}
    assert list(rows["fields"]) == [method.name for method in (*tables.SIMILARITIES, *tables.EXTRA)]
    # Seeds of the random walker are places, not looks: it cannot map another date.
    assert set(rows["fields"]) - set(rows["lake"]) == {"random-walker", "random-walker, smoothed"}
    assert rows["fields"]["extratrees-bands"] > 0.9
    assert rows["fields"]["L1 on raw pixels"] > 0.9
    assert "ratio, M = 50" in path.with_suffix(".md").read_text()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("name", ["figure2", "figure4", "figure6", "figure7"])
def test_figures_are_pictures_with_their_numbers(images_folder, series_folder, tmp_path, name):
    folder = series_folder if name == "figure6" else images_folder
    paths = reproduce.reproduce(name, folder, budget="smoke", out=tmp_path / "out")
    assert paths[3].read_bytes()[:4] == b"\x89PNG"
    with paths[0].open() as file:
        assert all(0 <= float(row["miou"]) <= 1 for row in csv.DictReader(file))
    other = images_folder if name == "figure6" else series_folder
    if name in ("figure6", "figure7"):
        with pytest.raises(InputError, match=r"shows"):
            reproduce.reproduce(name, other, budget="smoke", out=tmp_path / "out")


def test_speed_is_extrapolated_to_all_images(monkeypatch, tmp_path):
    monkeypatch.setattr(speed, "CASES", (("small", 24, 2, 3, 9, "local", 855),))
    paths = reproduce.reproduce("speed", budget="smoke", out=tmp_path)
    with paths[0].open() as file:
        (row,) = csv.DictReader(file)
    assert row["labels"] == "6"
    assert float(row["total_seconds"]) == pytest.approx(855 * float(row["seconds"]), rel=0.02)


def test_bad_requests_say_what_to_do(images_folder, tmp_path):
    with pytest.raises(InputError, match=r"'table9' to reproduce.*table1"):
        reproduce.reproduce("table9", images_folder)
    with pytest.raises(InputError, match=r"budget is 'huge'"):
        reproduce.reproduce("table1", images_folder, budget="huge")
    with pytest.raises(InputError, match=r"table1 needs imagery, expected --data"):
        reproduce.reproduce("table1")
    with pytest.raises(InputError, match=r"seeds is 0"):
        reproduce.reproduce("table1", images_folder, seeds=0)
    with pytest.raises(InputError, match=r"steps is 0"):
        reproduce.reproduce("table1", images_folder, steps=0)


@pytest.mark.usefixtures("tiny")
def test_the_command_prints_what_it_wrote(images_folder, tmp_path):
    arguments = ["table1", "--data", str(images_folder), "--budget", "smoke", "--steps", "1", "--out", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(reproduce_command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads((tmp_path / "out" / "fields-table1.json").read_text())["training"]["steps"] == 1
    assert [Path(path).name for path in json.loads(result.stdout)] == ["fields-table1.csv", "fields-table1.md", "fields-table1.json"]


@pytest.mark.usefixtures("tiny")
def test_all_results_are_written_in_one_go_and_listed(images_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDERS", ("fields",))
    monkeypatch.setattr(results, "TABLES", {"table1": ""})
    monkeypatch.setattr(speed, "CASES", (("small", 24, 2, 3, 9, "local", 1),))
    arguments = [
        "--data",
        str(images_folder.parent),
        "--out",
        str(tmp_path / "out"),
        "--cache",
        str(tmp_path / "cache"),
        "--budget",
        "smoke",
    ]
    for _ in range(2):  # a second run replaces what the first one wrote
        result = CliRunner().invoke(results.main, arguments, catch_exceptions=False)
        assert result.exit_code == 0
    index = (tmp_path / "out" / "index.md").read_text()
    for name in ("fields-table1", "speed"):
        assert f"({name}.md) ([CSV]({name}.csv), [manifest]({name}.json))" in index
        assert all((tmp_path / "out" / f"{name}.{suffix}").exists() for suffix in ("md", "csv", "json"))
    assert not list((tmp_path / "out").glob("*.png"))
    result = CliRunner().invoke(results.main, ["--data", str(tmp_path / "nowhere"), *arguments[2:]])
    assert result.exit_code == 2
    assert "Error: " in result.output


def test_all_makes_everything_that_the_data_allows_and_keeps_what_is_finished(images_folder, tmp_path, monkeypatch):
    made = []
    real = reproduce.reproduce

    def watched(name, *arguments, **options):
        made.append(name)
        if name == "speed":
            return []
        return real(name, *arguments, **options)

    monkeypatch.setattr(reproduce, "reproduce", watched)
    monkeypatch.setattr(reproduce, "TABLES", {"table1": reproduce.TABLES["table1"]})
    monkeypatch.setattr(reproduce.figures, "FIGURES", {name: reproduce.figures.FIGURES[name] for name in ("figure3", "figure4", "figure6")})
    out = tmp_path / "out"
    written = reproduce.reproduce_all(images_folder, budget="smoke", out=out)
    # No merged classes, no series.
    assert made == ["table1", "figure4", "speed"]
    assert {path.name for path in written} >= {"fields-table1.csv", "fields-figure4.png"}
    made.clear()
    reproduce.reproduce_all(images_folder, budget="smoke", out=out)
    assert made == ["speed"]
    with pytest.raises(OutputError, match=r"fields-table1\.csv is there already"):
        reproduce.reproduce_all(images_folder, budget="smoke", steps=1, out=out)
