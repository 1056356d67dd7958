"""The map answers every mark, and what is exported is what was shown, bit for bit."""

from __future__ import annotations

import csv
import io
import shutil
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.shutil
from PIL import Image

from pixelkin.errors import InputError, LabelError, NotFittedError, OutputError
from pixelkin.features import FeatureStack
from pixelkin.raster.overview import read_overview
from pixelkin.scene import ArrayScene, Scene
from pixelkin.segmenter import Segmenter
from pixelkin.session import AddClass, AddMark, DeleteMark, Project, Session, UpdateClass, areas, open_project, segment_project
from pixelkin.session.engine import Engine
from pixelkin.session.errors import ForbiddenError, StaleError
from pixelkin.session.jobs import Format, Job
from pixelkin.session.project import ProjectSettings
from pixelkin.types import Grid, LabelledPixels, Window

from .conftest import HEIGHT, WIDTH, write_image

Start = Callable[..., Session]


def point(row: int, col: int) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [col + 0.5, row + 0.5]}


def box(top: int, left: int, bottom: int, right: int) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]]}


def with_two_classes(session: Session) -> None:
    session.edit([AddClass("water"), AddClass("land")])
    session.edit([AddMark("field", 1, "point", point(20, 30)), AddMark("field", 2, "point", point(200, 350))])


def shown(session: Session, scene: str = "field", layer: Any = "classes") -> np.ndarray[Any, Any]:
    """The whole map, put together from its tiles at z = 0."""
    height, width = session.project.scene(scene).grid.shape
    picture = np.zeros((-(-height // 256) * 256, -(-width // 256) * 256), np.uint8)
    for y in range(0, height, 256):
        for x in range(0, width, 256):
            index, complete = session.tiles.index(scene, session.revision, 0, x // 256, y // 256, layer)
            assert complete == 1.0
            picture[y : y + 256, x : x + 256] = index
    assert not picture[height:].any()
    assert not picture[:, width:].any()
    return picture[:height, :width]


def shown_in(folder: Path) -> list[str]:
    """Files that a user sees there."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def finished(session: Session, job: Job) -> Job:
    for _ in range(3600):
        if session.jobs.get(job.id).finished:
            return session.jobs.get(job.id)
        time.sleep(0.05)
    raise AssertionError(f"{job.kind} did not end")


def test_what_is_shown_exported_and_segmented_is_the_same_bit_for_bit(project: Project, start: Start, tmp_path: Path) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    # A history that leaves labels in another order than they were drawn: erased, overpainted, undone, redone, deleted.
    session.edit([AddClass("rock"), AddMark("field", 3, "box", box(100, 100, 140, 160), id="rock")])
    session.edit([AddMark("field", 1, "scribble", {"type": "LineString", "coordinates": [[90, 110], [180, 130]]}, 5.0)])
    session.undo()
    session.edit([AddMark("field", 0, "point", point(20, 30), 3.0, id="eraser")])
    session.edit([AddMark("field", 2, "point", point(30, 40))])
    session.undo()
    session.undo()
    session.redo()
    session.edit([AddMark("field", 1, "point", point(60, 300)), UpdateClass(2, {"name": "soil", "color": "#123456"})])
    session.edit([DeleteMark("eraser")])
    on_page = shown(session)

    job = finished(session, session.exports.start_export(["cog", "confidence", "polygons", "areas"]))
    assert (job.state, [file.name for file in job.files]) == (
        "done",
        ["field.tif", "field_confidence.tif", "field.gpkg", "field_areas.csv"],
    )
    written = segment_project(project.folder, tmp_path / "out", formats=("cog", "confidence"))
    for path in (project.folder / "exports" / "field.tif", written[0]):
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(dataset.read(1), on_page)
            assert dataset.crs.to_epsg() == 32631
    with rasterio.open(project.folder / "exports" / "field_confidence.tif") as one, rasterio.open(written[1]) as other:
        np.testing.assert_array_equal(one.read(1), other.read(1))
    assert set(np.unique(on_page)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(on_page[:4], 0)  # no data stays no data
    assert "soil" in set(geopandas.read_file(project.folder / "exports" / "field.gpkg")["class_name"])


def test_the_map_is_that_of_a_segmenter_fitted_on_the_marked_pixels(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    session.edit([AddMark("field", 1, "point", point(250, 10), 3.0)])
    rows, cols = [20, 200, *np.repeat([249, 250, 251], 3)], [30, 350, *np.tile([9, 10, 11], 3)]
    labels = LabelledPixels.from_arrays(rows, cols, [1, 2] + [1] * 9)
    oracle = Segmenter().fit(session.project.scene("field"), labels).predict(session.project.scene("field"))
    np.testing.assert_array_equal(shown(session), oracle.classes)


def test_an_overview_tile_shows_the_middle_pixel_of_each_square(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    full = shown(session)
    index, complete = session.tiles.index("field", session.revision, 1, 0, 0, "classes")
    np.testing.assert_array_equal(index[: HEIGHT // 2, : WIDTH // 2], full[1::2, 1::2])
    assert complete == 1.0


def test_a_tile_of_a_superseded_revision_is_never_drawn(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    old = session.revision
    session.edit([AddMark("field", 1, "point", point(50, 50))])
    with pytest.raises(StaleError, match=f"revision {old} was asked for, expected {old + 1}"):
        session.tiles.index("field", old, 0, 0, 0, "classes")


def test_tiles_under_a_storm_of_marks_are_of_their_revision_or_refused(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    truth: dict[int, bytes] = {}
    seen: list[tuple[int, bytes]] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            revision = session.revision
            try:
                seen.append((revision, session.tiles.index("field", revision, 0, 1, 0, "classes")[0].tobytes()))
            except StaleError:
                continue

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for thread in lookers:
        thread.start()
    for number in range(12):
        session.edit([AddMark("field", 1 + number % 2, "point", point(10 + 20 * number, 410 - 12 * number))])
        truth[session.revision] = session.tiles.index("field", session.revision, 0, 1, 0, "classes")[0].tobytes()
    done.set()
    for thread in lookers:
        thread.join()
    checked = [(revision, tile) for revision, tile in seen if revision in truth]
    assert checked
    assert all(tile == truth[revision] for revision, tile in checked)


def test_there_is_no_map_before_two_classes_are_marked(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder)
    session.edit([AddClass("water"), AddMark("field", 1, "point", point(20, 30))])
    with pytest.raises(NotFittedError, match="Mark at least two classes"):
        session.tiles.index("field", session.revision, 0, 0, 0, "classes")
    with_more = session.edit([AddClass("land"), AddMark("field", 2, "point", point(200, 350))])
    assert session.engine.map_status().ready
    session.undo()
    assert not session.engine.map_status().ready
    assert with_more.receipt.applied


def test_a_mark_must_lie_on_data(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder, engine=False)
    session.edit([AddClass("water")])
    with pytest.raises(LabelError, match="the point holds no pixel of field"):
        session.edit([AddMark("field", 1, "point", point(HEIGHT, 0))])
    with pytest.raises(LabelError, match="marks only pixels without data"):
        session.edit([AddMark("field", 1, "point", point(2, 7))])
    session.edit([AddMark("field", 1, "box", box(0, 0, 6, 5), id="b")])  # rows 4 and 5 have data
    assert session.state.covered("b") == 10


def test_later_marks_win_and_overlaps_are_told(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder, engine=False)
    with_two_classes(session)
    session.edit([AddMark("field", 1, "box", box(10, 10, 14, 14), id="one"), AddMark("field", 2, "box", box(12, 12, 16, 16), id="two")])
    canvas = session.state.canvases["field"]
    labels = session.state.labelled_pixels("field").to_mask((HEIGHT, WIDTH))
    np.testing.assert_array_equal(labels[12:16, 12:16], 2)
    assert np.count_nonzero(labels[10:14, 10:14] == 1) == 12
    np.testing.assert_array_equal(np.stack(np.divmod(canvas.pixels[canvas.overlapping], WIDTH)), [[12, 12, 13, 13], [12, 13, 12, 13]])
    session.edit([AddMark("field", 0, "box", box(11, 11, 14, 14))])
    assert not session.state.canvases["field"].overlapping.any()
    assert session.state.labelled_pixels("field").to_mask((HEIGHT, WIDTH))[11:14, 11:14].sum() == 0


def test_labels_travel_through_every_file_format_without_losing_a_pixel(project: Project, start: Start, tmp_path: Path) -> None:
    project.close()
    session = start(project.folder, engine=False)
    with_two_classes(session)
    session.edit(
        [
            AddMark("field", 1, "box", box(40, 40, 60, 70)),
            AddMark("field", 2, "scribble", {"type": "LineString", "coordinates": [[45, 50], [100, 90]]}, 4.0),
            AddMark("field", 0, "point", point(50, 55), 6.0),
        ]
    )
    before = session.state.labelled_pixels("field")
    for suffix in ("geojson", "gpkg", "tif"):
        path = session.export_labels(tmp_path / f"labels.{suffix}", "field")
        other = Session(Project.create(tmp_path / suffix, session.project.scene("field")), train=False)
        other.import_labels(path, "field")
        np.testing.assert_array_equal(
            other.state.labelled_pixels("field").to_mask((HEIGHT, WIDTH)), before.to_mask((HEIGHT, WIDTH)), suffix
        )
        assert [entry.name for entry in other.state.legend] == ["water", "land"]
        assert [entry.color for entry in other.state.legend] == [entry.color for entry in session.state.legend]
        other.undo()
        assert not other.state.marks
        other.close()


def test_two_sessions_on_one_project_agree(project: Project, start: Start) -> None:
    project.close()
    one, other = start(project.folder), start(project.folder)
    with_two_classes(one)
    other.edit([AddMark("field", 1, "point", point(100, 100))])
    one.refresh()
    assert one.revision == other.revision
    np.testing.assert_array_equal(shown(one), shown(other))
    one.undo()
    other.refresh()
    assert len(other.state.marks) == 2


def test_labels_of_several_dates_teach_one_map(tmp_path: Path, start: Start) -> None:
    (tmp_path / "dates").mkdir()
    for number, date in enumerate(["2020-01-05", "2020-03-01", "2021-07-09"]):
        write_image(tmp_path / "dates" / f"{date}.tif", seed=number)
    session = start(tmp_path / "dates")
    assert list(session.project.series().values()) == [0, 0, 0]
    session.edit([AddClass("water"), AddClass("land")])
    # One class on each date: neither image alone could be mapped.
    session.edit([AddMark("2020-01-05", 1, "point", point(20, 30)), AddMark("2021-07-09", 2, "point", point(200, 350))])
    session.edit([AddMark("2020-01-05", 2, "point", point(120, 30)), AddMark("2020-03-01", 1, "point", point(20, 35))])
    session.undo()
    on_page = shown(session, "2020-03-01")
    written = segment_project(session.project.folder, tmp_path / "out")
    assert [path.name for path in written] == ["2020-01-05.tif", "2020-03-01.tif", "2021-07-09.tif"]
    with rasterio.open(written[1]) as dataset:
        np.testing.assert_array_equal(dataset.read(1), on_page)


def test_a_trained_encoder_takes_over_and_labels_are_kept(project: Project, start: Start, tmp_path: Path) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    raw, before = shown(session), session.revision
    job = finished(session, session.engine.start_training(steps=1))
    assert job.state == "done", job.error
    assert (session.engine.model_status().state, session.engine.model_status().measure_in_use) == ("ready", "learner on features")
    assert session.engine.model_status().features == ("encoder", "bands")
    assert session.revision > before
    assert len(session.state.marks) == 2
    trained = shown(session)
    assert (trained != raw).any()
    assert session.engine.model_status().changed == pytest.approx((trained != raw)[raw > 0].mean())
    with rasterio.open(segment_project(project.folder, tmp_path / "out")[0]) as dataset:
        np.testing.assert_array_equal(dataset.read(1), trained)
    session.change_settings(measure="l1")
    assert session.engine.model_status().measure_in_use == "l1"


def test_the_map_is_there_again_before_the_engine_is_and_only_if_it_is_the_same(
    project: Project, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project.folder
    project.close()
    session = start(folder)
    with_two_classes(session)
    session.tiles.compute_all()
    before = [session.tiles.index("field", session.revision, z, 0, 0, "classes")[0] for z in (0, 1)]
    deadline = time.monotonic() + 30
    while not (folder / "cache" / "map.npz").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    session.close()
    monkeypatch.setattr(Engine, "start", lambda engine: None)  # it never comes

    def reopened() -> Session:
        return Session(open_project([folder]), train=False)

    again = reopened()
    assert again.engine.map_status().ready
    for z in (0, 1):
        shown, complete = again.tiles.index("field", again.revision, z, 0, 0, "classes")
        assert complete == 1
        np.testing.assert_array_equal(shown, before[z])
    again.edit([AddMark("field", 1, "point", point(100, 100))])
    assert not again.engine.map_status().ready
    with pytest.raises(NotFittedError, match="The engine is starting"):
        again.tiles.index("field", again.revision, 0, 0, 0, "classes")
    again.close()
    changed = reopened()
    assert not changed.engine.kept.blocks(), "of other labels"
    changed.undo()
    changed.close()
    same = reopened()
    assert same.engine.kept.blocks()
    same.project.update(settings=ProjectSettings(pixels_per_mark=5, measure="l1"))
    same.close()
    other = reopened()
    assert not other.engine.kept.blocks(), "of other settings"
    other.close()


def test_training_that_cannot_be_says_why_and_can_be_cancelled(tmp_path: Path, start: Start) -> None:
    session = start(write_image(tmp_path / "tiny.tif", shape=(8, 9)), engine=False)
    job = finished(session, session.engine.start_training(steps=2))
    assert job.state == "failed"
    assert job.error is not None
    assert "too little valid imagery" in job.error["message"]
    other = start(write_image(tmp_path / "field.tif"), engine=False)
    job = other.engine.start_training(steps=100_000)
    other.jobs.cancel(job.id)
    assert finished(other, job).state == "cancelled"
    assert other.project.model_path is None


def test_other_images_are_mapped_only_from_the_folders_served(project: Project, start: Start, tmp_path: Path) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    (tmp_path / "near").mkdir()
    (tmp_path / "far").mkdir()
    near, far = write_image(tmp_path / "near" / "next.tif", seed=5), write_image(tmp_path / "far" / "secret.tif")
    with pytest.raises(ForbiddenError, match="outside the folders that were served"):
        session.exports.start_apply([str(far)], [tmp_path / "near"], ["cog"])
    with pytest.raises(ForbiddenError, match="outside the folders that were served"):
        session.exports.start_apply([str(tmp_path / "near" / ".." / "far" / "secret.tif")], [tmp_path / "near"], ["cog"])
    rasterio.shutil.copy(str(far), tmp_path / "near" / "window.vrt", driver="VRT")
    with pytest.raises(ForbiddenError, match=r"secret\.tif is outside the folders that were served"):
        session.exports.start_apply([str(tmp_path / "near" / "window.vrt")], [tmp_path / "near"], ["cog"])
    job = finished(session, session.exports.start_apply([str(near)], [tmp_path / "near"], ["cog"], name="new"))
    assert [file.name for file in job.files] == ["new_next.tif"]


def test_suggestions_are_in_doubt_apart_and_never_labelled(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder)
    assert session.engine.model_status().measure_in_use == "learner on raw bands"
    assert session.advice.suggest("field", 3) == []  # there is no map
    with_two_classes(session)
    session.tiles.compute_all()
    found = session.advice.suggest("field", 5)
    assert len(found) == 5
    scene = session.project.scene("field")
    fresh = Segmenter().fit(scene, LabelledPixels.from_arrays([20, 200], [30, 350], [1, 2]))
    assert [(one.row, one.col) for one in found] == [(one.row, one.col) for one in fresh.suggest(scene, 5)]
    places = np.array([(one.row, one.col) for one in found])
    distances = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))[np.triu_indices(5, 1)]
    assert distances.min() >= 10
    scores = [one.score for one in found]
    confidence = [session.tiles.at("field", one.row, one.col) for one in found]
    np.testing.assert_allclose(scores, [1 - (answer[1] or 0) for answer in confidence if answer], atol=1 / 255)
    everywhere = [
        1 - (answer[1] or 0)
        for row in range(4, HEIGHT, 20)
        for col in range(0, WIDTH, 20)
        if (answer := session.tiles.at("field", row, col))
    ]
    assert np.mean(scores) > np.mean(everywhere)
    valid = session.project.scene("field").read().valid
    assert valid[places[:, 0], places[:, 1]].all()
    # Once marked, a pixel is not asked for again.
    box = {"type": "Polygon", "coordinates": [[[0, 0], [WIDTH, 0], [WIDTH, HEIGHT - 8], [0, HEIGHT - 8], [0, 0]]]}
    session.edit([AddMark("field", 1, "box", box), AddMark("field", 2, "point", point(200, 350))])
    session.tiles.compute_all()
    left = session.advice.suggest("field", 300)
    assert left
    assert all(one.row >= HEIGHT - 8 for one in left)


def test_areas_are_those_of_the_map(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    session.tiles.compute_all()
    found = session.areas("field")
    counts = np.bincount(shown(session).ravel(), minlength=256)
    assert (found.complete, found.pixels_total, found.valid_pixels) == (1.0, HEIGHT * WIDTH, (HEIGHT - 4) * WIDTH)
    counts[0] = 0  # no data is counted nowhere
    np.testing.assert_array_equal(found.pixels, counts)
    np.testing.assert_allclose(found.square_metres, counts * 100.0)


def test_the_background_finishes_the_map_alone(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder)
    done = threading.Event()
    session.events.subscribe(lambda kind, data: done.set() if kind == "map" and data["done"] == data["total"] else None)
    with_two_classes(session)
    assert done.wait(20)
    assert session.areas("field").complete == 1.0


def test_image_tiles_are_the_images_own_pixels(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder, engine=False)
    look = session.pictures.display("field", bands=(1, 2, 2), limits=((0, 255), (256, 511), (0, 255)))
    tile = np.asarray(Image.open(io.BytesIO(session.pictures.tile("field", look, 0, 1, 0))))
    rows, cols = np.indices((256, 256))
    inside = cols < WIDTH - 256
    np.testing.assert_array_equal(tile[..., 3], np.where(inside & (rows >= 4), 255, 0))
    shows = inside & (rows >= 4) & (rows < 255)
    np.testing.assert_array_equal(tile[shows][:, 0], rows[shows] + 1)
    np.testing.assert_array_equal(tile[shows][:, 1], cols[shows] + 1)
    with pytest.raises(InputError, match="tile level z is 2, expected 0 to 1"):
        session.pictures.tile("field", look, 2, 0, 0)


@pytest.mark.parametrize("factor", [1, 2, 4, 8, 512])
@pytest.mark.parametrize("window", [Window(0, 0, HEIGHT, WIDTH), Window(256, 256, 44, 164), Window(299, 419, 1, 1)])
def test_an_overview_holds_one_real_pixel_for_each_square(project: Project, factor: int, window: Window) -> None:
    scene = project.scene("field")
    in_memory = ArrayScene(*scene.read())
    for source in (scene, in_memory):
        pixels = read_overview(source, window, factor)
        assert pixels.valid.shape == (-(-window.height // factor), -(-window.width // factor))
        rows, cols = np.indices(pixels.valid.shape)
        real_rows, real_cols = pixels.data[0].astype(int) - 1, pixels.data[1].astype(int) - 1
        ok = pixels.valid
        # Each value says where it comes from: inside its own square, or at most a pixel beside it where squares are cut at the edge.
        assert (np.abs(real_rows - window.row - rows * factor - (factor - 1) / 2)[ok] <= factor / 2 + 1).all()
        assert (np.abs(real_cols - window.col - cols * factor - (factor - 1) / 2)[ok] <= factor / 2 + 1).all() or factor == 512
        assert ok.any() or window.row == 0


def test_a_large_mark_teaches_with_a_spread_of_its_pixels(project: Project, start: Start) -> None:
    project.close()
    session = start(project.folder, engine=False)
    session.edit([AddClass("water"), AddMark("field", 1, "box", box(10, 10, 110, 210))])
    (lesson,) = session.state.lessons(32)
    rows, cols = lesson.labels.rows, lesson.labels.cols
    assert len(set(lesson.pixels())) == 32
    assert ((rows >= 10) & (rows < 110) & (cols >= 10) & (cols < 210)).all()
    assert np.histogram2d(rows, cols, bins=2, range=[[10, 110], [10, 210]])[0].min() >= 3
    session.edit([AddMark("field", 0, "box", box(100, 200, 110, 210))])  # a corner: the choice elsewhere stays
    (again,) = session.state.lessons(32)
    assert len(set(lesson.pixels()) & set(again.pixels())) >= 31
    (everything,) = session.state.lessons()
    assert len(everything) == 100 * 200 - 100


def test_a_project_opened_again_answers_without_embedding_what_was_seen(
    project: Project, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    session.edit([AddClass("rock"), AddMark("field", 3, "box", box(100, 100, 140, 160))])

    def confidence(session: Session) -> list[np.ndarray[Any, Any]]:
        return [session.tiles.index("field", session.revision, 0, x, y, "confidence")[0] for x in (0, 1) for y in (0, 1)]

    before = shown(session), confidence(session)
    session.close()
    embedded: list[Window] = []

    fields = FeatureStack.fields

    def spy(self: FeatureStack, scene: Scene, window: Window, step: int = 1) -> Any:
        embedded.append(window)
        return fields(self, scene, window, step)

    monkeypatch.setattr(FeatureStack, "fields", spy)
    session = start(project.folder)
    np.testing.assert_array_equal(shown(session), before[0])
    np.testing.assert_array_equal(confidence(session), before[1])
    assert embedded == []
    # A mark more costs its own surroundings, and the map is that of all marks.
    session.edit([AddMark("field", 1, "point", point(280, 400))])
    after = shown(session)
    assert [(window.row, window.col) for window in embedded] == [(256, 384)]
    shutil.rmtree(session.project.folder / "cache" / "blocks")
    again = start(project.folder)
    np.testing.assert_array_equal(shown(again), after)
    assert len(embedded) > 4


def test_an_export_in_parts_is_the_whole_map(project: Project, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelkin.session.mapping._ACROSS", 256)
    asked: list[Window] = []
    predict = Segmenter.predict

    def spy(self: Segmenter, scene: Any, window: Any = None) -> Any:
        asked.append(window)
        return predict(self, scene, window)

    project.close()
    session = start(project.folder)
    with_two_classes(session)
    on_page = shown(session)
    monkeypatch.setattr(Segmenter, "predict", spy)
    # Outlines alone need a map beside them that nobody sees.
    job = finished(session, session.exports.start_export(["polygons", "areas"]))
    assert [file.name for file in job.files] == ["field.gpkg", "field_areas.csv"]
    assert sorted((window.height, window.width) for window in asked) == [(44, 164), (44, 256), (256, 164), (256, 256)]
    folder = project.folder / "exports"
    assert shown_in(folder) == ["field.gpkg", "field_areas.csv"]
    frame = geopandas.read_file(folder / "field.gpkg")
    transform = rasterio.Affine(*session.project.scene("field").grid.transform)
    burnt = rasterio.features.rasterize(zip(frame.geometry, frame.class_id, strict=True), on_page.shape, transform=transform, dtype="uint8")
    np.testing.assert_array_equal(burnt, on_page)
    with (folder / "field_areas.csv").open(newline="") as file:
        rows = {row["name"]: int(row["pixels"]) for row in csv.DictReader(file)}
    assert rows == {"water": int((on_page == 1).sum()), "land": int((on_page == 2).sum())}
    assert frame.groupby("class_name").pixels.sum().to_dict() == rows


def test_an_export_that_is_called_off_leaves_nothing(project: Project, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    predict = Segmenter.predict
    jobs: list[Job] = []

    def slow(self: Segmenter, scene: Any, window: Any = None) -> Any:
        while not jobs:
            time.sleep(0.01)
        session.jobs.cancel(jobs[0].id)
        return predict(self, scene, window)

    monkeypatch.setattr(Segmenter, "predict", slow)
    jobs.append(session.exports.start_export(["cog", "confidence", "polygons", "areas"]))
    assert finished(session, jobs[0]).state == "cancelled"
    assert list((project.folder / "exports").iterdir()) == []


def test_files_of_one_export_name_are_of_one_run(tmp_path: Path, start: Start) -> None:
    for number, date in enumerate(["2020-01-05", "2020-03-01"]):
        write_image(tmp_path / f"{date}.tif", seed=number)
    session = Session(open_project([tmp_path / "2020-01-05.tif", tmp_path / "2020-03-01.tif"], project=tmp_path / "p"), train=False)
    try:
        session.engine.start()
        session.edit([AddClass("water"), AddClass("land")])
        session.edit([AddMark("2020-01-05", 1, "point", point(20, 30)), AddMark("2020-01-05", 2, "point", point(200, 350))])
        folder = session.project.folder / "exports"
        (folder / "notes.txt").write_text("mine")
        assert finished(session, session.exports.start_export(["cog", "confidence", "polygons", "areas"], name="north")).state == "done"
        assert finished(session, session.exports.start_export(["areas"], name="south")).state == "done"
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        # Refused before any work, whatever images and formats are asked for.
        for scenes, formats in ((None, ["cog"]), (["2020-03-01"], ["areas"])):
            with pytest.raises(OutputError, match=r"north_2020-01-05\.gpkg and 9 more of an earlier run.* ask for them to be replaced"):
                session.exports.start_export(formats, scenes=scenes, name="north")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        job = finished(session, session.exports.start_export(["areas"], scenes=["2020-03-01"], name="north", replace=True))
        assert [file.name for file in job.files] == ["north_2020-03-01_areas.csv"]
        kept = ["north_2020-03-01_areas.csv", "notes.txt", "south_2020-01-05_areas.csv", "south_2020-03-01_areas.csv"]
        assert shown_in(folder) == kept
        # The list of files is a help, not a need: without it, maps of the same images are still seen.
        (folder / ".runs.json").write_text("{")
        with pytest.raises(OutputError, match=r"north_2020-03-01_areas\.csv of an earlier run"):
            session.exports.start_export(["cog"], name="north")
    finally:
        session.close()


def test_an_export_that_fails_leaves_the_one_it_was_to_replace(project: Project, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    formats: list[Format] = ["cog", "polygons", "areas"]
    assert finished(session, session.exports.start_export(formats)).state == "done"
    folder = project.folder / "exports"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    session.edit([AddMark("field", 1, "point", point(250, 400))])

    def full(*_: Any, **__: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pixelkin.maps.areas.write_area_table", full)
    job = finished(session, session.exports.start_export(formats, replace=True))
    assert (job.state, (job.error or {})["type"]) == ("failed", "OutputError")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_images_of_one_name_are_all_mapped(project: Project, start: Start, tmp_path: Path) -> None:
    project.close()
    session = start(project.folder)
    with_two_classes(session)
    for folder in ("east", "west"):
        (tmp_path / folder).mkdir()
    paths = [str(write_image(tmp_path / folder / "next.tif", seed=seed)) for seed, folder in enumerate(("east", "west"))]
    job = finished(session, session.exports.start_apply(paths, [tmp_path], ["cog"]))
    assert [file.name for file in job.files] == ["next.tif", "next-2.tif"]


def test_areas_of_many_grids_leave_nothing_behind() -> None:
    """A session of a day may open a thousand projects: what is known of their pixels' areas must not add up."""
    classes, valid = np.ones((4, 4), np.uint8), np.ones((4, 4), bool)
    for number in range(1000):
        grid = Grid(2000, 4, (1e-4, 0, 3.0 + number, 0, -1e-4, 50.0), "EPSG:4326")
        tracemalloc.start() if number == 10 else None
        areas._tally(classes, valid, areas._cells(grid), 0, 0)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 1_000_000
