"""The files beside a map: the same whatever the tiles, and of a series one command for all of them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import geopandas
import numpy as np
import pytest
import rasterio

import pixelkin as pk
from pixelkin.errors import InputError, OutputError
from pixelkin.maps import area_table, overview, write_area_table, write_polygons
from pixelkin.raster import read_map
from pixelkin.scale import segment
from pixelkin.scene import Series


@pytest.mark.parametrize("method", ["auto", "nearest"])
def test_probabilities_are_the_segmenters_whatever_the_tiles(tmp_path, scene, model, labels, method):
    segmenter = pk.Segmenter(model, method=method).fit(scene, labels)
    out = segment(scene, segmenter, tmp_path / "map.tif", tile=256, layers=["probabilities", "entropy", "margin"])
    shares = segmenter.predict_proba(scene)
    valid = scene.read().valid
    with rasterio.open(tmp_path / "map_probabilities.tif") as file:
        assert file.descriptions == tuple(labels.legend.names)
        assert file.scales == (0.004,) * len(labels.legend)
        assert file.nodata == 255
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        written = file.read()
    np.testing.assert_array_equal(written, np.where(valid, np.rint(shares * np.float32(250)), 255).astype(np.uint8))
    with rasterio.open(tmp_path / "map_entropy.tif") as file:
        entropy = file.read(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = -np.where(shares > 0, shares * np.log(shares), 0).sum(axis=0) / np.log(len(shares))
    np.testing.assert_allclose(entropy[valid], expected[valid], atol=1e-5)
    with rasterio.open(tmp_path / "map_margin.tif") as file:
        margin = file.read(1)
    ordered = np.sort(shares, axis=0)
    np.testing.assert_allclose(margin[valid], (ordered[-1] - ordered[-2])[valid], atol=1e-6)
    assert np.isnan(margin[~valid]).all()
    whole = segment(scene, segmenter, tmp_path / "whole.tif", tile=1024, workers=2, layers=["probabilities", "entropy", "margin"])
    for name in ("", "_probabilities", "_entropy", "_margin"):
        a, b = (path.with_name(f"{path.stem}{name}.tif") for path in (out, whole))
        with rasterio.open(a) as one, rasterio.open(b) as two:
            assert one.read().tobytes() == two.read().tobytes()


def test_a_layer_that_is_none_is_refused(tmp_path, scene, segmenter):
    with pytest.raises(InputError, match="layer 'certainty' is not known"):
        segment(scene, segmenter, tmp_path / "map.tif", layers=["certainty"])
    assert not list(tmp_path.iterdir())


def test_files_beside_a_map_are_those_of_the_whole_map(tmp_path, scene, segmenter, labels, whole):
    """Also the picture's confidence, which is drawn though no confidence is written."""
    made = {"polygons": tmp_path / "a.geojson", "areas": tmp_path / "a.json", "picture": tmp_path / "a.png"}
    segment(scene, segmenter, tmp_path / "map.tif", tile=256, labels={scene.fingerprint: labels}, **made)
    assert not (tmp_path / "map_confidence.tif").exists()
    overview(scene, labels, whole, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    write_area_table(area_table(whole), tmp_path / "b.json")
    assert (tmp_path / "a.json").read_text() == (tmp_path / "b.json").read_text()
    write_polygons(whole, tmp_path / "b.geojson")
    a, b = (geopandas.read_file(tmp_path / f"{name}.geojson") for name in "ab")
    assert a.groupby("class_name")["pixels"].sum().to_dict() == b.groupby("class_name")["pixels"].sum().to_dict()
    assert a.union_all().symmetric_difference(b.union_all()).area < 1e-12


@pytest.fixture
def series(scene) -> Series:
    return Series(tuple(replace(scene, name=f"2020-0{m}-01", date=np.datetime64(f"2020-0{m}-01").astype(object)) for m in (1, 2, 3)))


def test_a_series_gives_one_table_of_all_dates(tmp_path, series, segmenter):
    made = {"areas": tmp_path / "areas.csv", "polygons": tmp_path / "p.gpkg", "picture": tmp_path / "p.png", "chart": tmp_path / "c.png"}
    out = segment(series, segmenter, tmp_path / "maps", layers=["confidence"], **made)
    expected = {(path.stem, row.name): row.pixels for path in out.glob("2020-0?-01.tif") for row in area_table(read_map(path)).rows}
    with (tmp_path / "areas.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * len(segmenter.references.legend)
    assert {(row["date"], row["name"]): int(row["pixels"]) for row in rows} == expected
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["areas.csv", "c.png", "maps", *(f"p_2020-0{m}-01.{kind}" for m in (1, 2, 3) for kind in ("gpkg", "png"))]


def test_a_series_that_was_stopped_ends_with_the_same_table(tmp_path, series, segmenter):
    def stop(told):
        if told.name == "2020-03-01":
            raise KeyboardInterrupt

    undecided = pk.Segmenter(segmenter.model, abstain=0.9)
    undecided.references = segmenter.references
    with pytest.raises(KeyboardInterrupt):
        segment(series, undecided, tmp_path / "maps", areas=tmp_path / "areas.json", progress=stop)
    segment(series, undecided, tmp_path / "maps", areas=tmp_path / "areas.json")
    segment(series, undecided, tmp_path / "again", areas=tmp_path / "again.json")
    assert json.loads((tmp_path / "areas.json").read_text()) == json.loads((tmp_path / "again.json").read_text())
    assert all(row["valid_share"] > 0.5 for row in json.loads((tmp_path / "areas.json").read_text())["areas"])


def test_files_of_a_series_that_are_there_are_kept(tmp_path, series, segmenter):
    for name in ("areas.csv", "p_2020-02-01.gpkg"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(OutputError, match="is there already"):
            segment(series, segmenter, tmp_path / "maps", areas=tmp_path / "areas.csv", polygons=tmp_path / "p.gpkg")
        assert not (tmp_path / "maps").exists()
        (tmp_path / name).unlink()


def test_one_date_has_no_chart(tmp_path, scene, segmenter):
    with pytest.raises(InputError, match="a chart shows a series over time"):
        segment(scene, segmenter, tmp_path / "map.tif", chart=tmp_path / "c.png")
