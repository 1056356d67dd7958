"""The panel in a real QGIS on a virtual screen, with real mouse events on real imagery."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

JOURNEY = Path(__file__).with_name("journey.py")


@pytest.fixture(scope="module")
def journey(qgis, vegas, tmp_path_factory):
    """What happened, and the folder with the map and the screenshots."""
    if shutil.which("xvfb-run") is None:
        pytest.skip("there is no virtual screen: make qgis-install")
    import geopandas

    image, marks = vegas
    out = tmp_path_factory.mktemp("journey")
    points: dict[str, list[list[int]]] = {"building": [], "road": [], "tree": []}
    with rasterio.open(image) as source:
        for _, mark in geopandas.read_file(marks).iterrows():
            row, col = source.index(mark.geometry.x, mark.geometry.y)
            if 15 < row < source.height - 15 and 15 < col < source.width - 15 and len(points[mark["kind of surface"]]) < 6:
                points[mark["kind of surface"]].append([col, row])
    ran = qgis(
        "xvfb-run", "-a", "-s", "-screen 0 1400x900x24", "qgis.bin", "--nologo", "--noversioncheck", "--code", JOURNEY,
        JOURNEY_OUT=str(out), JOURNEY_IMAGE=str(image), JOURNEY_POINTS=json.dumps(points), QT_QPA_PLATFORM="xcb", timeout=400,
    )  # fmt: skip
    assert (out / "told.json").exists(), ran.stdout + ran.stderr
    told = json.loads((out / "told.json").read_text())
    assert "error" not in told, told["error"]
    return told, out


def test_marks_on_the_canvas_survive_a_kill_of_the_server(journey):
    told, _ = journey
    assert told["marks"] == 18
    assert told["marks after the kill"] >= 18
    assert told["suggestions"] == 5


def test_when_the_raster_is_removed_the_panel_takes_its_layers_along(journey):
    told, _ = journey
    assert set(told["layers left"]) <= {"Suggested pixels"}


def test_the_layer_has_the_bits_of_the_command_line(journey, vegas, tmp_path):
    """The same marks, exported, and mapped by `pixelkin segment`."""
    _, out = journey
    image, _ = vegas
    command = [sys.executable, "-m", "pixelkin", "segment", image, "-l", out / "marks.geojson", "-o", tmp_path / "map.tif"]
    subprocess.run(command, check=True, capture_output=True)
    with rasterio.open(tmp_path / "map.tif") as source:
        np.testing.assert_array_equal(np.load(out / "map.npy"), source.read(1))
