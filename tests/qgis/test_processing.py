"""The algorithms of the toolbox, run by QGIS itself on real imagery."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio


def classes(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read(1)


def test_the_toolbox_has_every_algorithm_with_help(qgis):
    listed = qgis("qgis_process.bin", "list", "--json")
    algorithms = json.loads(listed.stdout)["providers"]["pixelkin"]["algorithms"]
    assert {"pixelkin:train", "pixelkin:segment", "pixelkin:segmentseries", "pixelkin:evaluate"} <= set(algorithms)
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
    scored = qgis(
        "qgis_process.bin", "run", "pixelkin:evaluate", "--", f"INPUT={out}", f"TRUTH={marks}", "CLASS_FIELD=kind of surface",
        f"OUTPUT={tmp_path / 'accuracy.json'}",
    )  # fmt: skip
    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert json.loads((tmp_path / "accuracy.json").read_text())["accuracy"] > 0.9  # its own marks


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
