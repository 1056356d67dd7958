"""Marks on one date map the others as those look, where they did not change."""

from __future__ import annotations

import datetime as dt
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.networks import random_model

import pixelkin as pk
from pixelkin.decision import Assessment, Known, LearnerMethod, Scorer, assess, fit, learner
from pixelkin.decision.label_transfer import transferable
from pixelkin.features import References, grid_number
from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels, Legend, Window

MODEL = random_model()
LEGEND = Legend.from_names(["dark", "middle", "light"])
SHAPE = 150, 100
TRUTH = np.kron(np.random.default_rng(0).integers(1, 4, (10, 7)), np.ones((15, 15), int))[:150, :100]
METHODS = ["auto", "vote", "logistic"]


def date(
    day: int,
    levels: tuple[int, int, int],
    *,
    truth: np.ndarray = TRUTH,
    crs: str | None = "EPSG:32631",
    left: float = 500000.0,
    mask: np.ndarray | None = None,
) -> ArrayScene:
    """An image in which the three classes have these brightnesses."""
    noise = np.random.default_rng(day).normal(0, 8, (3, *truth.shape))
    data = (np.array([0, *levels])[truth] + noise).clip(0, 255).astype(np.uint8)
    transform = (10.0, 0.0, left, 0.0, -10.0, 4700000.0)
    return ArrayScene(data, mask, f"day {day}", ("red", "green", "blue"), dt.date(2020, 1, day), transform, crs)


def marks(n: int, seed: int, truth: np.ndarray = TRUTH) -> LabelledPixels:
    rng = np.random.default_rng(seed)
    flat = rng.permutation(np.concatenate([rng.permutation(np.flatnonzero(truth == k))[:n] for k in (1, 2, 3)]))
    return LabelledPixels.from_arrays(flat // truth.shape[1], flat % truth.shape[1], truth.ravel()[flat], LEGEND)


@pytest.fixture(autouse=True)
def bands_have_the_same_say_on_all_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that other dates can be compared with marked ones; `test_segmenter` holds how much they have."""

    def as_transferred(references: References, ids: list[int], method: LearnerMethod, known: Known = "here") -> Scorer:
        return fit(references, ids, method, "transferred" if known == "here" else known)

    def assessed_as_transferred(references: References, ids: list[int], method: LearnerMethod, known: Known, *more: Any) -> Assessment:
        return assess(references, ids, method, "transferred", *more)

    monkeypatch.setattr(learner, "fit", as_transferred)
    monkeypatch.setattr(learner, "assess", assessed_as_transferred)


alike = partial(Segmenter, priors="equal")
"""Classes are as common on all images: those that were marked themselves and those that were not are then mapped in one way."""
FIRST = date(1, (60, 120, 180))
OTHER = date(2, (100, 150, 200))


def apart_from(labels: LabelledPixels, values: np.ndarray) -> np.ndarray:
    """Values but for the labelled pixels, which are only known on the image on which they were labelled."""
    values = values.copy()
    values[labels.rows, labels.cols] = 0
    return values


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [MODEL, None], ids=["model", "raw"])
def test_another_date_is_mapped_as_if_its_own_pixels_had_been_marked(method: str, model: object) -> None:
    labels = marks(6, 1)
    moved = alike(model, method=method).fit(FIRST, labels).predict(OTHER)  # type: ignore[arg-type]
    direct = alike(model, method=method).fit(OTHER, labels).predict(OTHER)  # type: ignore[arg-type]
    np.testing.assert_array_equal(apart_from(labels, moved.confidence), apart_from(labels, direct.confidence))
    np.testing.assert_array_equal(apart_from(labels, moved.classes), apart_from(labels, direct.classes))
    stayed = alike(model, method=method, label_transfer=False).fit(FIRST, labels).predict(OTHER)  # type: ignore[arg-type]
    if model is None:  # an untrained model sees little
        assert (moved.classes == TRUTH).mean() > (stayed.classes == TRUTH).mean() + 0.1
    assert moved.provenance != stayed.provenance


def test_a_place_that_changed_does_not_teach() -> None:
    """Of two fields that were dark one is light now: its mark is left out, and the map says light."""
    labels = marks(6, 1)
    dark = np.flatnonzero(labels.classes == 1)
    row, col = int(labels.rows[dark[0]]) // 15 * 15, int(labels.cols[dark[0]]) // 15 * 15
    now = TRUTH.copy()
    now[row : row + 15, col : col + 15] = 3
    other = date(2, (62, 122, 182), truth=now)
    moved = alike(None).fit(FIRST, labels).predict(other)
    assert (moved.classes == now)[row : row + 15, col : col + 15].mean() > 0.9
    same = now[labels.rows, labels.cols] == labels.classes
    assert 0 < same.sum() < len(labels)
    direct = alike(None).fit(other, labels.take(same)).predict(other)
    np.testing.assert_array_equal(apart_from(labels, moved.confidence), apart_from(labels, direct.confidence))


@pytest.mark.parametrize(
    "other",
    [
        date(2, (100, 150, 200), crs=None),
        date(2, (100, 150, 200), left=500010.0),
        date(2, (100, 150, 200), crs="EPSG:32632"),
    ],
    ids=["no coordinates", "a pixel further east", "another CRS"],
)
def test_images_of_other_places_are_mapped_from_the_looks_of_the_marked_one(other: ArrayScene) -> None:
    labels = marks(6, 1)
    for first in (FIRST, date(1, (60, 120, 180), crs=None)):
        moved, stayed = (alike(MODEL, label_transfer=transfer).fit(first, labels).predict(other) for transfer in (True, False))
        np.testing.assert_array_equal(moved.confidence, stayed.confidence)


def test_marks_on_no_data_are_left_out_and_without_one_of_a_class_the_first_looks_count() -> None:
    labels = marks(6, 1)
    mask = np.ones(SHAPE, bool)
    mask[labels.rows[:4], labels.cols[:4]] = False
    other = date(2, (100, 150, 200), mask=mask)
    moved = alike(MODEL).fit(FIRST, labels).predict(other)
    direct = alike(MODEL).fit(other, labels.take(np.arange(4, len(labels)))).predict(other)
    np.testing.assert_array_equal(apart_from(labels, moved.confidence), apart_from(labels, direct.confidence))
    mask[:33, :33] = False  # also where a whole block around a mark is empty
    other = date(2, (100, 150, 200), mask=mask)
    left = mask[labels.rows, labels.cols]
    assert left.sum() < len(labels) - 4
    moved, direct = alike(MODEL).fit(FIRST, labels).predict(other), alike(MODEL).fit(other, labels.take(left)).predict(other)
    np.testing.assert_array_equal(apart_from(labels, moved.confidence), apart_from(labels, direct.confidence))
    gone = labels.classes == 2
    mask = np.ones(SHAPE, bool)
    mask[labels.rows[gone], labels.cols[gone]] = False
    other = date(2, (100, 150, 200), mask=mask)
    moved, stayed = (alike(MODEL, label_transfer=transfer).fit(FIRST, labels).predict(other) for transfer in (True, False))
    np.testing.assert_array_equal(moved.confidence, stayed.confidence)


@pytest.mark.parametrize("method", METHODS)
def test_windows_workers_edits_and_saved_references_change_no_bit(tmp_path: Path, method: str) -> None:
    labels, more = marks(4, 1), marks(3, 2)
    changed = Segmenter(MODEL, method=method, workers=2).fit(FIRST, labels)  # type: ignore[arg-type]
    changed.predict(OTHER)
    changed.add(FIRST, more)
    changed.predict(OTHER)
    changed.remove(FIRST, labels.rows[:2], labels.cols[:2])
    whole = changed.predict(OTHER)
    fresh = Segmenter(MODEL, method=method, workers=1, cache_bytes=0)  # type: ignore[arg-type]
    fresh.references = References.load(changed.references.save(tmp_path / "refs.safetensors"))
    for window in (Window(0, 0, 1, 1), Window(100, 30, 50, 60)):
        part = fresh.predict(OTHER, window)
        np.testing.assert_array_equal(part.confidence, whole.confidence[window.slices])
        np.testing.assert_array_equal(fresh.classify(OTHER, window)[0], whole.classes[window.slices])


def test_marks_on_two_dates_map_a_third() -> None:
    """All of them as they look there; of a place that was marked twice, as it was marked last."""
    one, two = marks(3, 1), marks(3, 2)
    again = LabelledPixels(one.rows[:1], one.cols[:1], np.array([one.classes[0] % 3 + 1], np.uint8), LEGEND)
    seg = alike(MODEL, check_labels=False).fit([date(3, (40, 80, 120)), FIRST], [one, two]).add(FIRST, again)
    index = transferable(seg.references, np.zeros(len(seg.references), bool), grid_number(FIRST.grid))
    places = list(map(tuple, seg.references.origins[index, 2:].tolist()))
    assert len(places) == len(set(places)) == len(seg.references) - 1
    assert seg.references.classes[index][places.index((int(one.rows[0]), int(one.cols[0])))] == again.classes[0]


def test_marks_of_the_image_itself_go_before_those_of_other_dates() -> None:
    one, two = marks(5, 1), marks(5, 2)
    seg = alike(MODEL).fit([FIRST, OTHER], [one, two])
    result = seg.predict(OTHER)
    np.testing.assert_array_equal(result.classes[two.rows, two.cols], two.classes)
    # In the order in which they count there: its own, then the others.
    both = LabelledPixels(np.append(two.rows, one.rows), np.append(two.cols, one.cols), np.append(two.classes, one.classes), LEGEND)
    direct = alike(MODEL).fit(OTHER, both).predict(OTHER)
    np.testing.assert_array_equal(apart_from(both, result.confidence), apart_from(both, direct.confidence))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), days=st.integers(1, 3), count=st.integers(2, 60))
def test_migrants_are_places_that_the_image_does_not_know(seed: int, days: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = [date(day + 1, (60, 120, 180)) for day in range(days)]
    parts = []
    for _ in scenes:
        rows, cols = np.divmod(rng.choice(60, count, replace=False), 8)  # few places, so that dates share some
        parts.append(
            LabelledPixels(
                rows, cols, np.append([1, 2], rng.integers(1, 3, count))[:count].astype(np.uint8), Legend.from_names(["dark", "middle"])
            )
        )
    references = alike(None, check_labels=False).fit(scenes, parts).references
    number = references.origins[:, 0].numpy()
    own = number == number[0]
    index = transferable(references, own, grid_number(FIRST.grid))
    assert not own[index].any()
    known = set(map(tuple, references.origins[own, 2:].tolist()))
    places = list(map(tuple, references.origins[index, 2:].tolist()))
    assert not known & set(places)
    assert len(set(places)) == len(places)
    assert set(places) == set(map(tuple, references.origins[~own, 2:].tolist())) - known
    assert not len(transferable(references, own, 0))


def test_a_series_from_marks_on_one_date() -> None:
    series = pk.Series((FIRST, OTHER, date(3, (120, 60, 180))))
    maps = alike(MODEL).fit(FIRST, marks(8, 1)).predict(series)
    assert [(result.classes == TRUTH).mean() > 0.85 for result in maps[:2]] == [True, True]
