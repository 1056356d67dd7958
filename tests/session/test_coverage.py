"""The page says which dates show what no label covers, and so does whoever exports their maps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fastapi.testclient import TestClient

from pixelkin.session import AddClass, AddMark, Session, segment_project
from pixelkin.web import WebSettings, create_app

Start = Callable[..., Session]


@pytest.fixture
def dates(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two alike dates, and one of which half is something never seen."""
    folder = tmp_path / "dates"
    folder.mkdir()
    for date in ("2020-01-05", "2020-02-05", "2020-03-05"):
        data = rng.integers(90, 110, (3, 40, 50))
        data[:, :, 25:] += 60
        if date == "2020-03-05":
            data[:, 20:] = 250
        with rasterio.open(
            folder / f"{date}.tif", "w", driver="GTiff", height=40, width=50, count=3, dtype="uint8", crs="EPSG:32631",
            transform=rasterio.Affine(10, 0, 400_000, 0, -10, 4_700_000),
        ) as out:  # fmt: skip
            out.write(data.astype(np.uint8))
    return folder


def point(row: int, col: int) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [col + 0.5, row + 0.5]}


def marked(session: Session) -> None:
    session.edit([AddClass("dark"), AddClass("bright")])
    at = [(1, 3, 4), (1, 30, 9), (2, 5, 30), (2, 20, 44)]
    session.edit([AddMark("2020-01-05", class_id, "point", point(row, col)) for class_id, row, col in at])


def judged(client: TestClient, revision: int) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while not (answer := client.get("/api/coverage").json())["checked"] or answer["revision"] != revision:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return {one["scene"]: one for one in answer["scenes"]}


def test_a_foreign_date_is_named_until_it_is_labelled(dates: Path, start: Start) -> None:
    session = start(dates)
    events: list[tuple[str, Any]] = []
    session.events.subscribe(lambda kind, data: events.append((kind, data)))
    with TestClient(create_app(session, WebSettings()), base_url="http://localhost") as client:
        nothing = judged(client, session.revision)
        assert {one["warning"] for one in nothing.values()} == {None}  # no labels
        marked(session)
        found = judged(client, session.revision)
        assert ("coverage", {"revision": session.revision}) in events
        assert found["2020-01-05"] == {"scene": "2020-01-05", "foreign": None, "warning": None}
        assert found["2020-02-05"]["foreign"] < 0.1
        assert found["2020-02-05"]["warning"] is None
        assert found["2020-03-05"]["foreign"] >= 0.4
        assert "of 2020-03-05 is" in found["2020-03-05"]["warning"]
        # Nothing is certain where half of the image was never seen: not on the map, and not at a pixel.
        session.tiles.compute_all()
        certainty = {date: session.tiles.index(date, session.revision, 0, 0, 0, "confidence")[0][:40, :50] for date in found}
        assert certainty["2020-03-05"].max() < 255
        assert certainty["2020-03-05"].mean() < certainty["2020-02-05"].mean()
        pixel = client.get("/api/scenes/2020-03-05/pixel", params={"row": 30, "col": 30}).json()
        assert pixel["confidence"] < 0.9
        session.edit([AddMark("2020-03-05", 1, "point", point(30, 10))])
        assert judged(client, session.revision)["2020-03-05"] == {"scene": "2020-03-05", "foreign": None, "warning": None}


def test_an_export_says_which_maps_are_of_foreign_dates(dates: Path, start: Start, tmp_path: Path) -> None:
    session = start(dates)
    marked(session)
    with TestClient(create_app(session, WebSettings()), base_url="http://localhost") as client:
        job = client.post("/api/jobs/export", json={}).json()
        while not (job := client.get(f"/api/jobs/{job['id']}").json())["finished"]:
            time.sleep(0.05)
    assert job["state"] == "done"
    (warning,) = job["warnings"]
    assert "of 2020-03-05 is" in warning
    said: list[str] = []
    segment_project(session.project.folder, tmp_path / "maps", warn=said.extend)
    assert said == [warning]
