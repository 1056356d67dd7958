"""Sample points answered beside the marks: nothing lost, nothing told, nothing mixed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pixelkin.assessment import design_sample, settle, write_sample
from pixelkin.assessment.interpretation import SETTLED
from pixelkin.cli import cli
from pixelkin.errors import LabelError
from pixelkin.raster import write_map
from pixelkin.segmentation import Segmentation
from pixelkin.session import AddClass, AddMark, ClearMarks, Session
from pixelkin.session.answers import Answer
from pixelkin.types import Legend

from .conftest import HEIGHT, WIDTH


@pytest.fixture
def session(start, image) -> Session:
    return start(image, engine=False)


@pytest.fixture
def segmentation(session) -> Segmentation:
    """Water left of column 200, land right of it."""
    (scene,) = session.project.scenes.values()
    classes = np.where(np.arange(WIDTH) < 200, 1, 2) * np.ones((HEIGHT, 1), int)
    return Segmentation(
        classes.astype(np.uint8),
        np.ones(classes.shape, np.float32),
        np.ones(classes.shape, bool),
        Legend.from_names(["water", "land"]),
        scene.grid,
    )


@pytest.fixture
def sample(session, segmentation, tmp_path):
    write_sample(design_sample(segmentation, 60), tmp_path / "points.gpkg")
    return session.validation.add(tmp_path / "points.gpkg")


def truth(point) -> str:
    return "water" if point.col < 190 else "land"


def answer_all(session, sample, interpreter, tell=truth) -> None:
    for point in session.validation.points(sample.id, interpreter):
        session.validation.answer(sample.id, Answer(point.point, interpreter, tell(point)), f"{interpreter}-{point.point}")


def test_answers_become_a_file_that_evaluate_takes(session, segmentation, sample, tmp_path):
    answer_all(session, sample, "anna")
    write_map(segmentation, tmp_path / "map.tif")
    for suffix in ("gpkg", "geojson", "csv"):
        path = session.validation.export(sample.id, tmp_path / f"answered.{suffix}")
        result = CliRunner().invoke(cli, ["evaluate", str(tmp_path / "map.tif"), "--truth", str(path), "--json"])
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        points = session.validation.points(sample.id, "anna")
        wrong = sum(190 <= point.col < 200 for point in points)
        assert wrong > 0
        assert np.trace(found["confusion"]["counts"]) == 60 - wrong


def test_answers_outlive_the_session_and_a_sample_opened_again_is_the_same(session, sample, tmp_path, start):
    answer_all(session, sample, "anna")
    session.close()
    again = start(tmp_path / "field.tif", engine=False)
    assert again.validation.add(again.validation.export(sample.id, tmp_path / "out.geojson")).id == sample.id
    assert [point.answer for point in again.validation.points(sample.id, "anna")] == [
        truth(point) for point in again.validation.points(sample.id, "anna")
    ]
    assert again.validation.progress(sample.id, "anna").interpreters == {"anna": 60}


def test_the_last_answer_counts_and_one_can_be_taken_back(session, sample):
    for i, name in enumerate(["water", "land", "?", "unsure"]):
        session.validation.answer(sample.id, Answer(3, "anna", name), f"key{i}")
        said = session.validation.points(sample.id, "anna")[3].answer
        assert said == (None if name == "?" else name)
    session.validation.answer(sample.id, Answer(3, "anna", "water"), "key3")  # a key that was used: not done again
    assert session.validation.points(sample.id, "anna")[3].answer == "unsure"


def test_a_point_that_was_a_mark_is_refused_and_is_no_evidence(session, sample, tmp_path):
    answer_all(session, sample, "anna")
    point = session.validation.points(sample.id, "anna")[7]
    session.edit(
        [
            AddClass("water"),
            AddClass("land"),
            AddMark("field", 1, "point", {"type": "Point", "coordinates": [point.col + 0.5, point.row + 0.5]}),
        ]
    )
    assert [one.point for one in session.validation.points(sample.id, "anna") if one.is_marked] == [7]
    with pytest.raises(LabelError, match="point 8 was marked"):
        session.validation.answer(sample.id, Answer(7, "anna", "land"), "again")
    assert session.validation.progress(sample.id, "anna").marked == 1
    import geopandas

    assert list(geopandas.read_file(session.validation.export(sample.id, tmp_path / "a.gpkg"))["class"]).count("?") == 1
    session.edit([ClearMarks(None)])
    assert session.validation.progress(sample.id, "anna").answered == 60


def test_answers_are_no_marks(session, sample):
    answer_all(session, sample, "anna")
    assert session.state.marks == {}
    assert session.revision == 0


def test_two_interpreters_agree_on_what_they_agree_on(session, sample, tmp_path):
    answer_all(session, sample, "anna")
    answer_all(session, sample, "ben", lambda point: "land" if point.point < 6 else truth(point))
    differ = [point.point for point in session.validation.points(sample.id, "anna") if point.point < 6 and truth(point) != "land"]
    assert differ
    progress = session.validation.progress(sample.id, "ben")
    (agreement,) = progress.agreements
    assert (agreement.points, agreement.same, progress.differences) == (60, 60 - len(differ), len(differ))
    open_points = session.validation.points(sample.id, SETTLED)
    assert [point.point for point in open_points] == differ
    assert open_points[0].said == {"anna": "water", "ben": "land"}
    session.validation.answer(sample.id, Answer(differ[0], SETTLED, "water"), "settled")
    assert session.validation.progress(sample.id, "ben").differences == len(differ) - 1
    import geopandas

    table = geopandas.read_file(session.validation.export(sample.id, tmp_path / "a.gpkg"))
    assert table["class"][differ[0]] == "water"
    assert list(table["class"]).count("?") == len(differ) - 1
    assert table["answers"][differ[0]] == "(settled): water; anna: water; ben: land"


@pytest.mark.parametrize(
    ("answers", "stands"),
    [
        ({}, "?"),
        ({"a": "x"}, "x"),
        ({"a": "x", "b": "x"}, "x"),
        ({"a": "x", "b": "unsure"}, None),
        ({"a": "x", "b": "y", SETTLED: "z"}, "z"),
    ],
)
def test_what_stands_of_several_answers(answers, stands):
    assert settle(answers) == stands


def test_the_width_so_far_is_that_of_the_evaluation(session, segmentation, sample, tmp_path):
    answer_all(session, sample, "anna")
    write_map(segmentation, tmp_path / "map.tif")
    path = session.validation.export(sample.id, tmp_path / "answered.gpkg")
    found = json.loads(CliRunner().invoke(cli, ["evaluate", str(tmp_path / "map.tif"), "--truth", str(path), "--json"]).stdout)
    overall = found["overall_accuracy"]
    half = (overall["high_95"] - overall["low_95"]) / 2
    so_far = session.validation.progress(sample.id, "anna", target=half / 2).so_far
    assert so_far.figure == "accuracy"
    assert so_far.half_width == pytest.approx(half, rel=1e-9)
    assert so_far.more == pytest.approx(180, abs=1)  # half the width needs four times the points


def test_a_sample_without_map_classes_tells_how_sure_areas_are(session, segmentation, tmp_path):
    write_sample(design_sample(segmentation, 60, simple=True), tmp_path / "simple.gpkg")
    session.edit([AddClass("water"), AddClass("land")])
    sample = session.validation.add(tmp_path / "simple.gpkg")
    answer_all(session, sample, "anna")
    assert session.validation.progress(sample.id, "anna").so_far.figure == "areas"


def test_points_elsewhere_and_other_files_are_refused(session, segmentation, tmp_path):
    import dataclasses

    away = dataclasses.replace(segmentation.grid, transform=(10.0, 0.0, 900_000.0, 0.0, -10.0, 5_000_000.0))
    write_sample(design_sample(dataclasses.replace(segmentation, grid=away), 20), tmp_path / "away.gpkg")
    with pytest.raises(LabelError, match=r"20 of 20 points of away\.gpkg lie in no image"):
        session.validation.add(tmp_path / "away.gpkg")
    Path(tmp_path / "plain.csv").write_text("x,y,class\n500005,4999995,water\n")
    with pytest.raises(LabelError, match="holds no points of `pixelkin sample`"):
        session.validation.add(tmp_path / "plain.csv")
    assert not (session.project.folder / "validation.sqlite").exists()
