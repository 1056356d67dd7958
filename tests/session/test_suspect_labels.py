"""Labels that the others speak against are found behind the map, and told of mark by mark."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pixelkin.session import AddClass, AddMark, DeleteClass, DeleteMark, Session, UpdateMark
from pixelkin.session.advice import SuspectLabels

Start = Callable[..., Session]


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """Dark at the left, bright from column 200 on."""
    rng = np.random.default_rng(3)
    data = np.where(np.arange(400) < 200, 100, 200) + rng.normal(0, 5, (2, 300, 400))
    profile = {"driver": "GTiff", "height": 300, "width": 400, "count": 2, "dtype": "uint8"}
    with rasterio.open(tmp_path / "halves.tif", "w", **profile, transform=rasterio.Affine(10, 0, 0, 0, -10, 0)) as dataset:
        dataset.write(data.astype(np.uint8))
    return tmp_path / "halves.tif"


def point(class_id: int, row: int, col: int, name: str | None = None) -> AddMark:
    return AddMark("halves", class_id, "point", {"type": "Point", "coordinates": [col + 0.5, row + 0.5]}, id=name)


def box(class_id: int, row: int, col: int, name: str) -> AddMark:
    ring = [[col, row], [col + 5, row], [col + 5, row + 5], [col, row + 5], [col, row]]
    return AddMark("halves", class_id, "box", {"type": "Polygon", "coordinates": [ring]}, id=name)


def checked(session: Session) -> SuspectLabels:
    deadline = time.monotonic() + 30
    while not (found := session.advice.suspect_labels()).is_checked or found.revision != session.revision:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_wrong_marks_are_told_until_they_are_put_right(halves: Path, start: Start) -> None:
    session = start(halves)
    events: list[tuple[str, Any]] = []
    session.events.subscribe(lambda kind, data: events.append((kind, data)))
    session.edit([AddClass("dark"), AddClass("bright")])
    right = [point(1 + (col >= 200), row, col) for row in (20, 100, 180, 260) for col in (30, 110, 230, 350)]
    session.edit(right)
    assert checked(session).marks == []
    session.edit([point(2, 50, 60, "wrong"), box(1, 140, 300, "wrong too")])
    assert session.advice.suspect_labels().marks == []  # not looked at yet
    found = checked(session)
    assert [(one.mark.id, one.mark.class_id, one.predicted) for one in found.marks] == [("wrong too", 1, 2), ("wrong", 2, 1)]
    assert found.marks[0].labels > 20
    assert (found.marks[1].row, found.marks[1].col, found.marks[1].labels) == (50, 60, 1)
    assert ("suspect-labels", {"revision": session.revision}) in events
    # What was changed is not held against anybody, even before it has been looked at again.
    session.edit([UpdateMark("wrong", {"class_id": 1}), DeleteMark("wrong too")])
    found = session.advice.suspect_labels()
    assert (found.is_checked, found.marks) == (False, [])
    assert checked(session).marks == []
    session.undo()
    assert len(checked(session).marks) == 2


def test_classes_that_look_the_same_are_told_until_one_is_deleted(halves: Path, start: Start) -> None:
    session = start(halves)
    session.edit([AddClass("dark"), AddClass("dark too"), AddClass("bright")])
    # Both in each of 24 places, an eighth of the image a side.
    session.edit([point(n, 20 * n + 50 * i, 20 * n + 50 * k) for i in range(6) for k in range(4) for n in (1, 2)])
    session.edit([point(3, 10 + 50 * i, 300) for i in range(6)])
    assert checked(session).classes == [(1, 2)]
    session.edit([DeleteClass(2)])
    assert session.advice.suspect_labels().classes == []
    assert checked(session).classes == []


def test_no_mark_is_doubted_on_raw_bands_while_an_encoder_is_on_its_way(halves: Path, start: Start) -> None:
    session = start(halves)
    told = threading.Event()
    session.events.subscribe(lambda kind, data: told.set() if kind == "suspect-labels" else None)
    session.edit([AddClass("dark"), AddClass("bright")])
    session.edit([point(1 + (col >= 200), row, col) for row in (20, 100, 180, 260) for col in (30, 110, 230, 350)])
    session.edit([point(2, 50, 60, "wrong")])
    assert len(checked(session).marks) == 1
    job = session.engine.start_training(steps=100_000)
    found = session.advice.suspect_labels()
    assert (found.is_checked, found.marks) == (False, [])
    told.clear()
    session.jobs.cancel(job.id)
    # It will not come: what the bands say is what there is.
    assert told.wait(30)
    assert len(checked(session).marks) == 1
