"""`pixelkin similar`: what it writes, and what it refuses before any work."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio

import pixelkin as pk
from pixelkin.raster import read_map


@pytest.fixture
def one_mark(folder):
    path = folder / "one.csv"
    path.write_text("x,y,class\n500405,4599905,light\n")
    return path


def test_one_mark_gives_a_layer_a_map_and_an_area(run, image, one_mark, folder, capsys):
    out = folder / "found.tif"
    assert (
        run("similar", image, "-l", one_mark, "-o", out, "--areas", folder / "areas.csv", "--polygons", folder / "found.gpkg", "--json")
        == 0
    )
    written = json.loads(capsys.readouterr().out)["written"]
    assert {path.rsplit("/", 1)[-1] for path in written} == {"found.tif", "areas.csv", "found.gpkg"}
    expected = pk.similar(pk.open_scene(image), None, pk.read_labels(one_mark, pk.open_scene(image)))
    with rasterio.open(folder / "found_similarity.tif") as file:
        layer = file.read(1)
        assert (file.dtypes[0], file.crs.to_epsg(), file.transform.a) == ("float32", 32631, 10)
        assert file.descriptions == ("similarity to the marks",)
    assert (layer == expected.confidence).all()
    found = read_map(out)
    assert (found.classes == expected.classes).all()
    assert (found.confidence == layer).all()
    assert found.classes[:, 30:].all()
    assert not found.classes[:, :20].any()
    assert found.legend.names == ("light",)
    assert f",{found.classes.astype(bool).sum()}," in (folder / "areas.csv").read_text()


def test_a_series_is_searched_whole_and_labels_of_several_classes_are_chosen_from(run, folder, one_mark, capsys):
    out = folder / "dates"
    how = ["-l", folder / "labels.csv", "-o", out, "--labels-date", "2020-03-01"]
    assert run("similar", folder / "series", *how) == 2
    assert "the labels are of 2 classes, 'dark', 'light', expected one. Choose it with --class dark" in capsys.readouterr().err
    assert not out.exists()
    assert run("similar", folder / "series", *how, "--class", "dark", "--threshold", "0.4", "--model", folder / "model.safetensors") == 0
    assert sorted(path.name for path in out.glob("*.tif")) == [
        f"2020-0{month}{layer}.tif" for month in ("1-05", "3-01") for layer in ("", "_similarity")
    ]
    found = read_map(out / "2020-01-05.tif")
    assert found.provenance["measure"] == "local"
    assert found.classes[:, :20].any()
    assert ((found.classes != 0) == (found.confidence >= np.float32(0.4))).all()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--threshold", "2"], "--threshold is 2.0, expected a similarity above 0 and up to 1"),
        (["--class", "sea"], "--class is 'sea', expected one that is labelled: 'light'"),
        (["--measure", "local"], "--measure local needs a model"),
        (["--features", "encoder"], "features name 'encoder' and there is no model"),
        (["--features", "bands", "--measure", "l1"], "--measure l1 compares without features"),
        (["--features", "colours"], "--features is 'colours', expected some of"),
        (["--labels-date", "2020-01-05"], "--labels-date 2020-01-05 is for a series"),
        (["--memory", "little"], "little"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(run, image, one_mark, folder, capsys, more, said):
    before = sorted(folder.rglob("*"))
    assert run("similar", image, "-l", one_mark, "-o", folder / "found.tif", *more) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error
    assert sorted(folder.rglob("*")) == before


def test_an_input_is_never_an_output(run, image, one_mark, folder, capsys):
    before = image.read_bytes()
    assert run("similar", image, "-l", one_mark, "-o", image, "--overwrite") == 2
    assert "the image" in capsys.readouterr().err
    assert image.read_bytes() == before


def test_sources_beside_the_image_are_searched_with_it_and_never_written_over(run, image, one_mark, folder, capsys):
    other = folder / "series" / "2020-03-01.tif"
    how = ["similar", image, "--with", other, "-l", one_mark, "--overwrite"]
    assert run(*how, "-o", other) == 2
    assert "is the image" in capsys.readouterr().err
    assert run(*how, "-o", folder / "found.tif") == 0
    assert (read_map(folder / "found.tif").classes[:, 30:] != 0).mean() > 0.9
    assert run("segment", image, "--terrain", folder / "no.tif", "-l", folder / "labels.csv", "-o", folder / "map.tif") == 2
    assert "no.tif does not exist" in capsys.readouterr().err
