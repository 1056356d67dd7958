"""The examples that run a map model elsewhere give the map of the whole."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray

import pixelkin as pk
from pixelkin.portable import export_onnx
from pixelkin.portable.map_model import MapModel

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A map model, and an image that it maps."""
    rng = np.random.default_rng(3)
    truth = (np.add.outer(np.arange(200) // 30, np.arange(240) // 30) % 2 + 1).astype(np.uint8)
    data = (100 * truth + rng.normal(0, 60, (3, 200, 240))).astype(np.float32)
    labels = np.where(rng.random(truth.shape) < 0.002, truth, 0)
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(pk.Segmenter(None, features=["bands"], check_labels=False).fit(data, labels), folder)
    return folder, data[:, :150] + 10


@pytest.fixture
def example(monkeypatch):
    """The names of an example; what it puts on the path is taken off again."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield lambda name: runpy.run_path(str(EXAMPLES / name))
    sys.modules.pop("map_model", None)


def test_the_openeo_function_maps_a_tile_of_several_dates(exported, example):
    folder, data = exported
    expected = MapModel(folder).predict(data, priors="equal")
    dates = np.stack([data, data[:, ::-1]])
    cube = xarray.DataArray(
        dates, dims=("t", "bands", "y", "x"), coords={"t": [1, 2], "y": np.arange(150.0), "bands": ["band_1", "band_2", "band_3"]}
    )
    found = example("openeo_udf.py")["apply_datacube"](cube[:, [2, 0, 1]], {"folder": str(folder)})
    assert found.dims == cube.dims
    assert found.sel(bands="class").shape == (2, 150, 240)
    assert (found.sel(t=1, bands="class") == expected[0]).all()
    assert np.allclose(found.sel(t=1, bands="confidence"), expected[1], atol=1e-6)
    assert (found.y == cube.y).all()


def test_the_xarray_example_maps_chunks_as_one(exported, example):
    folder, data = exported
    expected = MapModel(folder).predict(data)[0]
    functions = example("map_with_xarray.py")
    functions["map_image"].__globals__["CHUNK"] = 64
    image = xarray.DataArray(data, dims=("band", "y", "x"), coords={"x": np.arange(240.0)}).chunk()
    found = functions["map_image"](str(folder), image)
    assert found.dims == ("y", "x")
    assert (found.x == image.x).all()
    assert (found.values == expected).mean() >= 0.99
