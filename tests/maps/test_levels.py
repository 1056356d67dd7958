"""Levels: what belongs together is summed before anything is decided."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from pixelkin.cli import cli
from pixelkin.errors import InputError
from pixelkin.maps import at_level
from pixelkin.raster import read_map
from pixelkin.segmentation import Segmentation
from pixelkin.types import Grid, Legend, LegendClass, LegendGroup

FOREST = (LegendGroup("forest", (0, 100, 0)),)
LEGEND = Legend(
    (LegendClass(1, "pasture", (1, 1, 1)), LegendClass(2, "beech", (2, 2, 2), FOREST), LegendClass(7, "pine", (3, 3, 3), FOREST))
)
SHARES = np.array([[[0.4, 0.5, 0.0]], [[0.35, 0.25, 0.0]], [[0.25, 0.25, 0.0]]], np.float32)
GRID = Grid(1, 3, (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), "EPSG:32631")
VALID = np.array([[True, True, False]])


def test_probabilities_are_summed_and_not_labels_renamed():
    leaves = Segmentation(np.array([[1, 1, 0]], np.uint8), SHARES.max(axis=0), VALID, LEGEND, GRID)
    found = at_level(leaves, 1, SHARES)
    assert found.legend.names == ("pasture", "forest")
    assert found.classes.tolist() == [[2, 1, 0]]
    np.testing.assert_allclose(found.confidence, [[0.6, 0.5, 0]], rtol=1e-6)
    assert at_level(leaves, 1).classes.tolist() == [[1, 1, 0]]  # renamed: the first pixel is then wrong
    assert at_level(leaves, 1, SHARES, abstain=0.55).classes.tolist() == [[2, 0, 0]]


@pytest.fixture
def place(tmp_path):
    """Three covers of noise in stripes, two of which are alike and belong together; marks and a truth of all."""
    rng = np.random.default_rng(0)
    truth = np.repeat([1, 2, 3], 100)[None] * np.ones((200, 1), int)
    means = np.array([[0, 0], [80, 60], [80, 75]])[truth - 1]
    data = (100 + means + rng.normal(0, 12, (*truth.shape, 2))).clip(0, 255).astype(np.uint8).transpose(2, 0, 1)
    transform = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    profile = {"driver": "GTiff", "height": 200, "width": 300, "crs": "EPSG:32631", "transform": transform, "dtype": "uint8"}
    with rasterio.open(tmp_path / "image.tif", "w", count=2, **profile) as target:
        target.write(data)
    lines = ["x,y,class"]
    for name, col in (("pasture", 50), ("beech", 150), ("pine", 250)):
        lines += [f"{500_005 + 10 * (col + d)},{4_999_995 - 10 * (20 + 40 * d)},{name}" for d in range(4)]
    (tmp_path / "marks.csv").write_text("\n".join(lines))
    (tmp_path / "legend.csv").write_text("id,name,parent,colour\n1,pasture,,#aaff00\n2,forest,,#006400\n3,beech,forest,\n4,pine,forest,\n")
    names = ["", "pasture", "beech", "pine"]
    rows, cols = np.divmod(rng.choice(truth.size, 60, replace=False), 300)
    points = ["x,y,class", *(f"{500_005 + 10 * c},{4_999_995 - 10 * r},{names[truth[r, c]]}" for r, c in zip(rows, cols, strict=True))]
    (tmp_path / "truth.csv").write_text("\n".join(points))
    return tmp_path


def run(*arguments):
    result = CliRunner().invoke(cli, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_map_accuracy_and_areas_at_a_level_on_the_command_line(place):
    common = ("--labels", place / "marks.csv", "--legend", place / "legend.csv", "--raw")
    run("segment", place / "image.tif", *common, "--out", place / "leaves.tif", "--probabilities")
    run(
        "segment",
        place / "image.tif",
        *common,
        "--out",
        place / "groups.tif",
        "--level",
        1,
        "--areas",
        place / "areas.json",
        "--probabilities",
    )
    leaves, groups = read_map(place / "leaves.tif"), read_map(place / "groups.tif")
    assert groups.legend.names == ("pasture", "forest")
    assert [entry.color for entry in groups.legend] == [(170, 255, 0), (0, 100, 0)]
    assert groups.provenance["level"] == "1"
    with rasterio.open(place / "leaves_probabilities.tif") as source:
        shares = source.read() / 250
    with rasterio.open(place / "groups_probabilities.tif") as source:
        assert source.descriptions == ("pasture", "forest")
        summed = source.read() / 250
    # To the step of the file: a sum of two rounded probabilities.
    np.testing.assert_allclose(summed[1], shares[1] + shares[2], atol=0.0061)
    differ = groups.classes != at_level(leaves, 1, shares.astype(np.float32)).classes
    assert np.abs(summed[0] - summed[1])[differ].max(initial=0) < 0.02
    assert [row["name"] for row in json.loads((place / "areas.json").read_text())["classes"]] == ["pasture", "forest"]
    at_1 = json.loads(run("evaluate", place / "leaves.tif", "--truth", place / "truth.csv", "--level", 1, "--json"))
    of_groups = json.loads(
        run("evaluate", place / "groups.tif", "--truth", place / "truth.csv", "--level", 1, "--legend", place / "legend.csv", "--json")
    )
    assert at_1["accuracy"] == of_groups["accuracy"] == 1.0
    # A map of that level needs no table, and names are the same in other spelling.
    (place / "truth_of_groups.csv").write_text((place / "truth.csv").read_text().replace("beech", "forest").replace("pine", "Forest"))
    (place / "loud.csv").write_text((place / "truth.csv").read_text().replace("pasture", " Pasture "))
    assert (
        json.loads(run("evaluate", place / "groups.tif", "--truth", place / "truth_of_groups.csv", "--level", 1, "--json"))["accuracy"] == 1
    )
    loud = run("evaluate", place / "leaves.tif", "--truth", place / "loud.csv", "--level", 1, "--json")
    assert json.loads(loud)["accuracy"] == 1.0
    below = json.loads(run("evaluate", place / "leaves.tif", "--truth", place / "truth.csv", "--json"))
    assert below["accuracy"] < 1


def test_a_level_without_a_table_is_refused_before_any_work(place):
    result = CliRunner().invoke(
        cli,
        [
            "segment",
            str(place / "image.tif"),
            "--labels",
            str(place / "marks.csv"),
            "--out",
            str(place / "map.tif"),
            "--level",
            "1",
            "--raw",
        ],
    )
    assert isinstance(result.exception, InputError)
    assert "--legend FILE" in str(result.exception)
    assert not (place / "map.tif").exists()
