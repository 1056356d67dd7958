"""The algorithms of the toolbox, run by QGIS itself on real imagery."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio


def classes(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read(1)


def test_the_toolbox_has_every_algorithm_with_help(qgis):
    listed = qgis("qgis_process.bin", "list", "--json")
    algorithms = json.loads(listed.stdout)["providers"]["pixelkin"]["algorithms"]
    assert {f"pixelkin:{name}" for name in ("train", "segment", "segmentseries", "similar", "sample", "evaluate", "areas")} <= set(
        algorithms
    )
    assert "handful of marked pixels" in qgis("qgis_process.bin", "help", "pixelkin:segment").stdout


def test_segment_gives_the_bits_of_the_command_line_and_evaluate_scores_them(qgis, vegas, imagery, tmp_path):
    image, marks = vegas
    out = tmp_path / "qgis.tif"
    ran = qgis(
        "qgis_process.bin", "run", "pixelkin:segment", "--", f"INPUT={image}", f"LABELS={marks}", "CLASS_FIELD=kind of surface",
        "RAW=true", f"OUTPUT={out}", f"AREAS={tmp_path / 'areas.csv'}",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    command = [sys.executable, "-m", "pixelkin", "segment", image, "--raw", "-l", marks, "--class-property", "kind of surface"]
    subprocess.run([*command, "-o", tmp_path / "command.tif"], check=True, capture_output=True)
    np.testing.assert_array_equal(classes(out), classes(tmp_path / "command.tif"))
    assert (tmp_path / "areas.csv").read_text().startswith("class")
    counted = qgis("qgis_process.bin", "run", "pixelkin:areas", "--", f"INPUT={out}", f"OUTPUT={tmp_path / 'again.csv'}")
    assert counted.returncode == 0, counted.stdout + counted.stderr
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "areas.csv").read_text()
    drawn = qgis(
        "qgis_process.bin", "run", "pixelkin:sample", "--", f"INPUT={out}", "N=40", "ALLOCATION=1", f"OUTPUT={tmp_path / 'points.gpkg'}"
    )
    assert drawn.returncode == 0, drawn.stdout + drawn.stderr
    points = geopandas.read_file(tmp_path / "points.gpkg")
    command = [sys.executable, "-m", "pixelkin", "sample", out, "--n", "40", "--allocation", "equal", "-o", tmp_path / "command.gpkg"]
    subprocess.run(command, check=True, capture_output=True)
    assert points.equals(geopandas.read_file(tmp_path / "command.gpkg"))
    assert len(points) == 40
    scored = qgis(
        "qgis_process.bin", "run", "pixelkin:evaluate", "--", f"INPUT={out}", f"TRUTH={marks}", "CLASS_FIELD=kind of surface",
        f"OUTPUT={tmp_path / 'accuracy.json'}",
    )  # fmt: skip
    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert json.loads((tmp_path / "accuracy.json").read_text())["accuracy"] > 0.9  # its own marks


def test_similar_finds_what_the_command_line_finds(qgis, vegas, tmp_path):
    image, marks = vegas
    out = tmp_path / "qgis.tif"
    ran = qgis(
        "qgis_process.bin", "run", "pixelkin:similar", "--", f"INPUT={image}", f"LABELS={marks}", "CLASS_FIELD=kind of surface", "CLASS=tree",
        f"OUTPUT={out}", "THRESHOLD=0.9",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    command = [sys.executable, "-m", "pixelkin", "similar", image, "-l", marks, "--class-property", "kind of surface", "--class", "tree"]
    subprocess.run([*command, "--threshold", "0.9", "-o", tmp_path / "command.tif"], check=True, capture_output=True)
    for name in ("{}.tif", "{}_similarity.tif"):
        np.testing.assert_array_equal(classes(tmp_path / name.format("qgis")), classes(tmp_path / name.format("command")))


def test_what_the_program_refuses_is_said_in_its_words(qgis, vegas, tmp_path):
    image, marks = vegas
    ran = qgis(
        "qgis_process.bin", "run", "pixelkin:segment", "--", f"INPUT={image}", f"LABELS={marks}", "CLASS_FIELD=nothing", "RAW=true",
        f"OUTPUT={tmp_path / 'map.tif'}",
    )  # fmt: skip
    assert ran.returncode != 0
    assert "nothing" in ran.stdout + ran.stderr
    assert not (tmp_path / "map.tif").exists()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (None, "was not found"),
        ("#!/bin/sh\necho pixelkin, version 0.0.3\n", "version 0.0.3, expected 0.1.0 or newer"),
        ("#!/bin/sh\necho No module named torch >&2; exit 1\n", "No module named torch"),
    ],
)
def test_without_a_program_that_works_it_says_what_to_do(qgis, vegas, tmp_path, script, says):
    image, marks = vegas
    if script is not None:
        (tmp_path / "pixelkin").write_text(script)
        (tmp_path / "pixelkin").chmod(0o755)
    ran = qgis(
        "qgis_process.bin", "run", "pixelkin:segment", "--", f"INPUT={image}", f"LABELS={marks}", "RAW=true",
        f"OUTPUT={tmp_path / 'map.tif'}", PATH=f"{tmp_path}:/usr/bin:/bin",
    )  # fmt: skip
    assert ran.returncode != 0
    assert says in ran.stdout + ran.stderr
