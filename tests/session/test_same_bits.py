"""The page and the command line are one program: the same images and marks give the same encoder and the same maps, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pixelkin.cli import main
from pixelkin.model import load_model
from pixelkin.scene import Series
from pixelkin.session import AddClass, AddMark, Session, open_project

from .conftest import write_image

DATES = ("2020-01-13", "2020-02-02", "2021-06-26")
STEPS = 2


def box(top: int, left: int, bottom: int, right: int) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]]}


def done(session: Session, job_id: str) -> None:
    deadline = time.monotonic() + 300
    while not session.jobs.get(job_id).finished:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert session.jobs.get(job_id).state == "done", session.jobs.get(job_id).error


def test_the_page_and_the_command_line_train_and_map_a_series_alike(
    imagery: Path, tmp_path: Path, start: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "dates"
    folder.mkdir()
    for date in DATES:
        (folder / f"{date}.tif").symlink_to(imagery.resolve() / "boadella" / f"{date}.tif")
    session = start(folder)
    # Drawn on the second date, classes in turn, in every shape, small and large.
    session.edit([AddClass("water"), AddClass("land"), AddClass("bare shore")])
    shapes = [
        (1, "point", {"type": "Point", "coordinates": [230.5, 190.5]}, 1.0),
        (2, "box", box(20, 20, 24, 65), 1.0),
        (1, "scribble", {"type": "LineString", "coordinates": [[200.5, 210.5], [206.5, 211.5]]}, 2.0),
        (3, "point", {"type": "Point", "coordinates": [150.5, 150.5]}, 3.0),
        (2, "polygon", {"type": "Polygon", "coordinates": [[[300, 60], [305, 60], [302, 65], [300, 60]]]}, 1.0),
        (3, "point", {"type": "Point", "coordinates": [90.5, 300.5]}, 1.0),
    ]
    for class_id, kind, geometry, brush in shapes:
        session.edit([AddMark(DATES[1], class_id, kind, geometry, brush)])
    labels = session.export_labels(tmp_path / "labels.geojson", DATES[1])
    done(session, session.engine.start_training(steps=STEPS).id)
    done(session, session.exports.start_export(["cog", "confidence"]).id)
    command = [sys.executable, "-m", "pixelkin", "segment", str(folder), "--labels", str(labels), "--labels-date", DATES[1]]
    command += ["--out", str(tmp_path / "maps"), "--confidence", "--steps", str(STEPS)]
    ran = subprocess.run(command, check=False, env=dict(os.environ), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr

    trained_by_the_command = load_model(tmp_path / "maps.model.safetensors")
    assert session.engine.model_status().hash == trained_by_the_command.hash
    for date in DATES:
        for name in (f"{date}.tif", f"{date}_confidence.tif"):
            with rasterio.open(folder.with_suffix(".pixelkin") / "exports" / name) as one, rasterio.open(tmp_path / "maps" / name) as other:
                np.testing.assert_array_equal(one.read(), other.read(), name)


def test_the_page_and_the_command_line_map_ready_made_embeddings_alike_without_an_encoder(tmp_path: Path, rng: np.random.Generator) -> None:
    kinds = np.kron(rng.integers(0, 3, (4, 4)), np.ones((24, 24), int))
    numbers = np.clip(rng.integers(-90, 90, (3, 64))[kinds] + rng.normal(0, 12, (*kinds.shape, 64)), -127, 127)
    image = tmp_path / "alpha_2023.tif"
    profile = {"driver": "GTiff", "height": 96, "width": 96, "count": 64, "dtype": "int8", "nodata": -128, "crs": "EPSG:32631"}
    with rasterio.open(image, "w", **profile, transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)) as dataset:
        dataset.write(numbers.astype(np.int8).transpose(2, 0, 1))
        dataset.descriptions = [f"A{band:02d}" for band in range(64)]
    session = Session(open_project([image]), train=True)
    try:
        session.edit([AddClass("water"), AddClass("land"), AddClass("town")])
        for kind in range(3):
            for row, col in rng.permutation(np.argwhere(kinds == kind))[:3].tolist():
                point = {"type": "Point", "coordinates": [col + 0.5, row + 0.5]}
                session.edit([AddMark("alpha_2023", kind + 1, "point", point, 1.0)])
        deadline = time.monotonic() + 60
        while session.engine.is_provisional:
            assert time.monotonic() < deadline, session.engine.model_status()
            time.sleep(0.05)
        status = session.engine.model_status()
        assert (status.state, status.measure_in_use, status.features) == ("none", "learner on embeddings", ("embedding",))
        assert status.message == "Ready-made embeddings need no encoder."
        labels = session.export_labels(tmp_path / "labels.geojson", "alpha_2023")
        done(session, session.exports.start_export(["cog", "confidence"]).id)
    finally:
        session.close()
    main(["segment", str(image), "--labels", str(labels), "--out", str(tmp_path / "map.tif"), "--confidence"])
    assert not list(tmp_path.glob("*.safetensors"))
    for page, command in (("alpha_2023.tif", "map.tif"), ("alpha_2023_confidence.tif", "map_confidence.tif")):
        with rasterio.open(image.with_suffix(".pixelkin") / "exports" / page) as one, rasterio.open(tmp_path / command) as other:
            np.testing.assert_array_equal(one.read(), other.read(), page)


def test_dates_of_one_site_are_a_series_however_they_are_named(tmp_path: Path) -> None:
    files = [write_image(tmp_path / f"{date}.tif", seed=number) for number, date in enumerate(DATES)]
    alone = write_image(tmp_path / "alone.tif")
    for paths in ([files[2], alone, files[0], files[1]],):
        project = open_project(paths, project=tmp_path / f"p{len(paths)}")
        try:
            assert list(project.scenes) == ["2021-06-26", "alone", "2020-01-13", "2020-02-02"]
            series, single = (source.imagery for source in project.sources)
            assert isinstance(series, Series)
            assert [str(date) for date in series.dates] == sorted(DATES)
            assert single is project.scenes["alone"]
            assert project.series() == {"2021-06-26": 0, "2020-01-13": 0, "2020-02-02": 0, "alone": 1}
        finally:
            project.close()


def test_a_date_whose_coordinates_are_rounded_belongs_to_the_series(tmp_path: Path) -> None:
    folder = tmp_path / "dates"
    folder.mkdir()
    for number, date in enumerate(DATES):
        write_image(folder / f"{date}.tif", seed=number)
    with rasterio.open(folder / f"{DATES[1]}.tif", "r+") as dataset:
        dataset.transform = rasterio.Affine(10, 0, 500_000.0004, 0, -10, 5_000_000)
    project = open_project([folder])
    try:
        assert set(project.series().values()) == {0}
        assert len({scene.grid for scene in project.scenes.values()}) == 1
    finally:
        project.close()
