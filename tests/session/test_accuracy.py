"""What the labels say of their own map: predicted from elsewhere, class by class, and never surer than they may be."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fastapi.testclient import TestClient

from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.session import AddClass, AddMark, Session
from pixelkin.session.accuracy import estimate_accuracy
from pixelkin.types import LabelledPixels
from pixelkin.web import WebSettings, create_app

Start = Callable[..., Session]


def field(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Dark at the left and bright from column 300 on; the third band says nothing."""
    data = np.where(np.arange(600) < 300, 100, 200) + rng.normal(0, 8, (3, 400, 600))
    data[2] = rng.normal(150, 8, (400, 600))
    return data.astype(np.uint8)


def at_random(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    return rng.integers(0, 400, n), rng.integers(0, 600, n)


def test_classes_that_differ_are_told_apart_and_others_are_not(rng: np.random.Generator) -> None:
    rows, cols = at_random(rng, 60)
    scene = ArrayScene(field(rng))
    good = estimate_accuracy(Segmenter(check_labels=False).fit(scene, LabelledPixels.from_arrays(rows, cols, 1 + (cols >= 300))), [scene])
    assert good.accuracy is not None
    assert good.accuracy.value > 0.95
    assert good.accuracy.low < good.accuracy.value <= good.accuracy.high <= 1
    assert good.accuracy.low < 1  # sixty labels are no proof
    coin = estimate_accuracy(
        Segmenter(check_labels=False).fit(scene, LabelledPixels.from_arrays(rows, cols, 1 + np.arange(60) % 2)), [scene]
    )
    assert coin.accuracy is not None
    assert coin.accuracy.value < 0.75
    assert coin.accuracy.low < 0.5


def test_a_class_that_is_mistaken_shows_in_its_recall_and_in_the_precision_of_the_other(rng: np.random.Generator) -> None:
    rows, cols = at_random(rng, 90)
    classes = 1 + (cols >= 300)
    classes[(cols >= 300) & (np.arange(90) % 2 == 0)] = 3  # looks like 2
    scene = ArrayScene(field(rng))
    found = estimate_accuracy(Segmenter(check_labels=False).fit(scene, LabelledPixels.from_arrays(rows, cols, classes)), [scene])
    recall = {one.class_id: one.recall.value for one in found.classes if one.recall}
    assert recall[1] > 0.9
    assert recall[2] + recall[3] < 1.5
    assert all(one.precision is None or one.precision.value < 0.9 for one in found.classes if one.class_id != 1)


def test_copies_of_a_mark_do_not_make_it_surer(rng: np.random.Generator) -> None:
    rows, cols = np.array([50, 350, 60, 340, 200, 210]), np.array([40, 60, 550, 540, 150, 450])
    scene = ArrayScene(field(rng))

    def estimate(size: int) -> Any:
        down, right = np.divmod(np.arange(size * size), size)
        more = [(start[:, None] + step).ravel() for start, step in ((rows, down), (cols, right))]
        labels = LabelledPixels.from_arrays(*more, 1 + (more[1] >= 300))
        return estimate_accuracy(Segmenter(check_labels=False).fit(scene, labels), [scene]).accuracy

    one, many = estimate(1), estimate(4)
    assert one.groups == many.groups == 6
    assert many.low == pytest.approx(one.low)


def test_labels_are_judged_by_what_maps_their_image(rng: np.random.Generator) -> None:
    rows, cols = at_random(rng, 40)
    cols = np.where(np.abs(cols - 300) < 20, 100, cols)  # smoothing moves the border, and nothing far from it
    named = ("red", "green", "blue")  # what pretrained features see, where they are installed
    rows %= 100  # a small image is soon mapped
    scene, classes = ArrayScene(field(rng)[:, :100], bands=named), 1 + (cols >= 300)
    held = np.arange(40) % 4 == 0
    found = Segmenter(check_labels=False).fit(scene, LabelledPixels.from_arrays(rows, cols, classes)).held_out([scene], held)
    rest = Segmenter(check_labels=False).fit(scene, LabelledPixels.from_arrays(rows[~held], cols[~held], classes[~held]))
    np.testing.assert_array_equal(found, rest.classify(scene)[0][rows[held], cols[held]])


def test_the_same_places_marked_on_another_date_prove_nothing(rng: np.random.Generator) -> None:
    rows, cols = at_random(rng, 60)
    where = {"transform": (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_700_000.0), "crs": "EPSG:32631"}
    dates = [ArrayScene(field(rng), name=f"2020-0{month}-01", **where) for month in (1, 2)]
    labels = LabelledPixels.from_arrays(rows, cols, 1 + np.arange(60) % 2)
    found = estimate_accuracy(Segmenter(check_labels=False).fit(dates, [labels, labels]), dates).accuracy
    assert found is not None
    assert found.low < 0.5
    assert found.groups < 60


def test_the_page_is_told_and_of_what_a_mark_changed(tmp_path: Path, start: Start, rng: np.random.Generator) -> None:
    profile = {"driver": "GTiff", "height": 400, "width": 600, "count": 3, "dtype": "uint8"}
    with rasterio.open(tmp_path / "field.tif", "w", **profile, transform=rasterio.Affine(10, 0, 0, 0, -10, 0)) as dataset:
        dataset.write(field(rng))
    session = start(tmp_path / "field.tif")
    events: list[tuple[str, Any]] = []
    session.events.subscribe(lambda kind, data: events.append((kind, data)))

    def mark(class_id: int, row: int, col: int) -> AddMark:
        return AddMark("field", class_id, "point", {"type": "Point", "coordinates": [col + 0.5, row + 0.5]})

    with TestClient(create_app(session, WebSettings()), base_url="http://localhost") as client:

        def assessed() -> dict[str, Any]:
            deadline = time.monotonic() + 60
            while not (answer := client.get("/api/accuracy").json())["checked"] or answer["revision"] != session.revision:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            return dict(answer)

        session.edit([AddClass("dark"), AddClass("bright")])
        session.edit([mark(1, 20, 30), mark(2, 30, 500)])
        few = assessed()
        assert (few["accuracy"], few["classes"]) == (None, [])
        assert few["reason"].startswith("Mark each class in two parts of the image")
        session.edit([mark(1 + (col > 300), row, col) for row in (20, 120, 220, 320) for col in (80, 180, 400, 520)])
        good = assessed()
        assert ("accuracy", {"revision": session.revision}) in events
        assert (good["accuracy"]["value"], good["reason"], good["change"]) == (1.0, None, None)
        assert [one["class_id"] for one in good["classes"]] == [1, 2]
        session.edit([mark(2, 370, 30), mark(2, 250, 240)])  # wrong
        worse = assessed()
        assert worse["change"] < 0
        assert {one["class_id"]: one["change"] < 0 for one in worse["classes"]}[2]
