"""Nothing acknowledged is lost, undo has no end, and other programs can read the file."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelkin.errors import LabelError, MissingFileError
from pixelkin.labels import read_labels
from pixelkin.labels.project_labels import is_project_labels
from pixelkin.session import (
    AddClass,
    AddMark,
    ClearMarks,
    DeleteClass,
    DeleteMark,
    MergeClass,
    Project,
    UpdateClass,
    UpdateMark,
    open_project,
    segment_project,
)
from pixelkin.session.edits import Edit, apply_edits
from pixelkin.session.errors import HistoryError, NoSuchItemError, ProjectError
from pixelkin.session.store import Receipt

from .conftest import write_image


def point(x: float, y: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [x, y]}


def do(project: Project, *edits: Edit, key: str | None = None) -> Receipt:
    do.count += 1  # type: ignore[attr-defined]
    return project.store.edit(key or f"key-{do.count}", lambda editor: apply_edits(editor, edits, list(project.scenes)))  # type: ignore[attr-defined]


do.count = 0  # type: ignore[attr-defined]


def contents(project: Project) -> tuple[Any, Any]:
    everything = project.store.read_all()
    return everything.classes, everything.marks


def test_marks_are_found_again_after_the_project_is_opened_anew(project: Project) -> None:
    do(project, AddClass("water"), AddClass("land", color="#00ff00", key="7"))
    do(project, AddMark("field", 1, "point", point(3.5, 8.5), 3.0, id="a"))
    before = contents(project)
    project.close()
    again = Project.open(project.folder)
    assert contents(again) == before
    assert [entry.name for entry in before[0]] == ["water", "land"]
    assert (before[1][0].id, before[1][0].geometry, before[1][0].brush_px) == ("a", point(3.5, 8.5), 3.0)
    again.close()


def test_undo_and_redo_walk_through_every_state(project: Project) -> None:
    steps: list[list[Edit]] = [
        [AddClass("water"), AddClass("land"), AddClass("rock")],
        [AddMark("field", 1, "point", point(3.5, 8.5), id="a"), AddMark("field", 2, "point", point(5.5, 8.5), id="b")],
        [UpdateMark("a", {"class_id": 3, "brush_px": 4.0})],
        [UpdateClass(2, {"name": "soil", "key": None, "position": 0})],
        [MergeClass(3, into=2)],
        [DeleteMark("b")],
        [DeleteClass(2)],
        [AddMark("field", 1, "box", {"type": "Polygon", "coordinates": [[[0, 6], [9, 6], [9, 9], [0, 9], [0, 6]]]}, id="c")],
        [ClearMarks()],
    ]
    states = [contents(project)]
    for step in steps:
        do(project, *step)
        states.append(contents(project))
    assert all(before != after for before, after in pairwise(states))
    for number, state in reversed(list(enumerate(states[:-1]))):
        project.store.undo(f"u{number}")
        assert contents(project) == state
    with pytest.raises(HistoryError, match="nothing to undo"):
        project.store.undo("u-too-far")
    project.close()
    again = Project.open(project.folder)  # undo survives a restart, in both directions
    for number, state in enumerate(states[1:]):
        again.store.redo(f"r{number}")
        assert contents(again) == state
    with pytest.raises(HistoryError, match="nothing to redo"):
        again.store.redo("r-too-far")
    again.close()


def test_a_new_edit_forgets_what_could_be_redone(project: Project) -> None:
    do(project, AddClass("water"))
    project.store.undo("u1")
    do(project, AddClass("land"))
    assert project.store.history().redo_title is None
    assert [entry.name for entry in contents(project)[0]] == ["land"]


def test_a_repeated_request_is_answered_and_not_done_again(project: Project) -> None:
    do(project, AddClass("water"))
    first = do(project, AddMark("field", 1, "point", point(3.5, 8.5)), key="same")
    again = do(project, AddMark("field", 1, "point", point(3.5, 8.5)), key="same")
    assert (first.applied, again.applied) == (True, False)
    assert (again.since, again.revision) == (first.since, first.revision)
    assert len(contents(project)[1]) == 1
    undone = project.store.undo("undo-once")
    assert project.store.undo("undo-once") == Receipt(undone.since, undone.revision, False, undone.title)
    assert len(contents(project)[0]) == 1


def test_a_batch_is_done_whole_or_not_at_all(project: Project) -> None:
    do(project, AddClass("water"))
    before, revision = contents(project), project.store.revision
    with pytest.raises(NoSuchItemError, match="there is no class 9"):
        do(project, AddMark("field", 1, "point", point(3.5, 8.5)), AddMark("field", 9, "point", point(3.5, 8.5)))
    assert contents(project) == before
    assert project.store.revision == revision


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (AddClass(" "), "class name is ' '"),
        (AddClass("water"), "there is a class 'water' already"),
        (AddClass("x", color="blue"), "colour is 'blue', expected '#rrggbb'"),
        (AddClass("x", id=1), "class id is 1, expected a free one"),
        (MergeClass(1, into=1), "cannot be merged into itself"),
        (AddMark("field", 1, "star", point(1, 9)), "kind of mark is 'star'"),
        (AddMark("field", 1, "point", point(float("nan"), 1)), "geometry is empty or not finite"),
        (AddMark("field", 1, "point", {"type": "Circle"}), "geometry is not GeoJSON"),
        (AddMark("field", 1, "point", point(1, 9), 0.5), "brush_px is 0.5"),
    ],
)
def test_an_edit_that_makes_no_sense_says_why(project: Project, edit: Edit, message: str) -> None:
    do(project, AddClass("water"))
    with pytest.raises(LabelError, match=message):
        do(project, edit)


def test_one_key_picks_one_class(project: Project) -> None:
    do(project, AddClass("water"), AddClass("land"), UpdateClass(2, {"key": "1"}))
    assert [(entry.name, entry.key) for entry in contents(project)[0]] == [("water", None), ("land", "1")]


def test_another_process_sees_what_it_missed(project: Project) -> None:
    other = Project.open(project.folder)
    do(project, AddClass("water"), AddMark("field", 1, "point", point(3.5, 8.5), id="a"))
    seen = other.store.revision
    do(other, AddMark("field", 1, "point", point(4.5, 8.5), id="b"), DeleteMark("a"))
    missed = project.store.changes_since(seen)
    assert ([mark.id for mark in missed.marks], missed.deleted) == (["b"], ["a"])
    assert contents(project) == contents(other)
    other.close()


def test_geopandas_reads_the_marks_where_they_were_drawn(project: Project) -> None:
    do(project, AddClass("open water"), AddMark("field", 1, "scribble", {"type": "LineString", "coordinates": [[0, 10], [20, 30]]}, 2.5))
    do(project, UpdateClass(1, {"name": "lake"}))
    layer = geopandas.read_file(project.folder / "labels.gpkg", layer="marks")
    assert layer.crs.to_epsg() == 32631
    np.testing.assert_allclose(layer.geometry[0].coords, [(500_000, 4_999_900), (500_200, 4_999_700)])
    assert (layer["class"][0], layer["kind"][0], layer["brush_px"][0]) == ("lake", "scribble", 2.5)
    classes = geopandas.read_file(project.folder / "labels.gpkg", layer="classes")
    assert list(classes["name"]) == ["lake"]


def test_a_damaged_store_is_refused_by_name(project: Project) -> None:
    project.close()
    for path in project.folder.glob("labels.gpkg*"):
        path.unlink()
    (project.folder / "labels.gpkg").write_bytes(b"not a database" * 100)
    with pytest.raises(ProjectError, match="is not a pixelkin label store"):
        Project.open(project.folder)


def test_every_commit_is_synchronised_to_the_disk(project: Project) -> None:
    connection: sqlite3.Connection = project.store._connection
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_a_project_moves_with_its_images(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    image = write_image(tmp_path / "here" / "field.tif")
    project = open_project([image])
    do(project, AddClass("water"), AddMark("field", 1, "point", point(3.5, 8.5)))
    project.close()
    (tmp_path / "here").rename(tmp_path / "there")
    moved = open_project([tmp_path / "there" / "field.tif"])
    assert moved.folder == tmp_path / "there" / "field.pixelkin"
    assert len(contents(moved)[1]) == 1
    assert str(tmp_path) not in (moved.folder / "project.json").read_text()
    moved.close()
    (tmp_path / "there" / "field.tif").unlink()
    with pytest.raises(MissingFileError, match=r"image '\.\./field\.tif' of project .* is not there"):
        Project.open(moved.folder)


def test_a_project_refuses_other_images(tmp_path: Path, project: Project) -> None:
    project.close()
    other = write_image(tmp_path / "other.tif")
    with pytest.raises(ProjectError, match="is a project of other images"):
        open_project([other], project=project.folder)
    write_image(tmp_path / "field.tif", shape=(40, 50))
    with pytest.raises(ProjectError, match=r"has size \[40, 50\]"):
        Project.open(project.folder)


OPS = st.lists(
    st.tuples(st.sampled_from(["mark", "erase", "delete", "undo", "redo", "class"]), st.integers(0, 400), st.integers(0, 290)), max_size=25
)


@settings(max_examples=8, deadline=None)
@given(OPS)
def test_undoing_everything_gives_the_empty_project_and_redoing_gives_it_back(
    tmp_path_factory: pytest.TempPathFactory, ops: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("ops")
    project = open_project([write_image(folder / "field.tif", shape=(300, 420))])
    do(project, AddClass("water"))
    for op, x, y in ops:
        try:
            if op in ("mark", "erase"):
                do(project, AddMark("field", int(op == "mark"), "point", point(x + 0.5, y + 0.5), 1.0 + x % 5))
            elif op == "delete" and contents(project)[1]:
                marks = contents(project)[1]
                do(project, DeleteMark(marks[x % len(marks)].id))
            elif op == "class":
                do(project, AddClass(f"class {x}"))
            elif op in ("undo", "redo"):
                do.count += 1  # type: ignore[attr-defined]
                getattr(project.store, op)(f"step-{do.count}")  # type: ignore[attr-defined]
        except (HistoryError, LabelError, NoSuchItemError):
            continue
    final, steps = contents(project), 0
    while project.store.history().undo_title is not None:
        project.store.undo(f"back-{steps}")
        steps += 1
    assert contents(project) == ([], [])
    for step in range(steps):
        project.store.redo(f"forth-{step}")
    assert contents(project) == final
    project.close()


@pytest.mark.parametrize("column", ["pixel_geometry", "color"])
def test_a_damaged_store_is_refused_by_every_reader_and_nothing_is_left_beside_it(project: Project, column: str) -> None:
    do(project, AddClass("water"), AddClass("land"))
    do(project, AddMark("field", 1, "point", point(3.5, 8.5)), AddMark("field", 2, "point", point(33.5, 8.5)))
    scene = project.scenes["field"]
    project.close()
    path = project.folder / "labels.gpkg"
    connection = sqlite3.connect(path)
    table, text = ("marks", '{"type": "Point", "coord') if column == "pixel_geometry" else ("classes", "green")
    connection.execute(f"UPDATE {table} SET {column} = ?", (text,))
    connection.commit()
    connection.close()
    before = sorted(file.name for file in project.folder.iterdir())
    with pytest.raises(ProjectError, match=r"labels.gpkg is damaged .*Restore it from a copy"):
        segment_project(project.folder, project.folder / "maps")
    with pytest.raises(LabelError, match=r"its marks cannot be read: .*restore it from a copy"):
        read_labels(path, scene)
    assert sorted(file.name for file in project.folder.iterdir()) == before


def test_a_store_whose_own_error_cannot_be_read_is_refused(project: Project) -> None:
    """SQLite quotes the damaged text in its message, whatever bytes it holds."""
    project.close()
    path = project.folder / "labels.gpkg"
    data = path.read_bytes()
    assert b"CREATE TABLE pixelkin_state" in data
    path.write_bytes(data.replace(b"CREATE TABLE pixelkin_state", b"CREATE TABL\xf4 pixelkin_state"))
    with pytest.raises(ProjectError, match=r"labels.gpkg is not a pixelkin label store"):
        Project.open(project.folder)
    assert not is_project_labels(path)
