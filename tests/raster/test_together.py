"""Several sensors and embeddings as one image."""

from __future__ import annotations

import numpy as np
import pytest
from rasterio.transform import Affine

from pixelkin.errors import InputError, RasterError
from pixelkin.features import embedding_bands, vector_sources
from pixelkin.raster import open_scene, open_stack
from pixelkin.types import Window

COARSE = Affine(20.0, 0.0, 500_000.0, 0.0, -20.0, 4_600_000.0)


@pytest.fixture
def sources(tmp_path, write_raster, coordinates):
    optical = write_raster(tmp_path / "s2.tif", coordinates(2), descriptions=("red", "nir"), nodata=30)
    radar = write_raster(tmp_path / "s1.tif", np.full((1, 20, 25), 0.25, "float32"), descriptions=("vv",), transform=COARSE)
    numbers = np.random.default_rng(0).integers(1, 128, (64, 20, 25)).astype("int8")
    vectors = write_raster(
        tmp_path / "e_2021.tif", numbers, descriptions=tuple(f"A{i:02d}" for i in range(64)), transform=COARSE, nodata=-128
    )
    return optical, radar, vectors


def test_bands_side_by_side_on_the_grid_of_one(sources, coordinates):
    stack = open_stack(sources)
    assert stack.bands == ("red", "nir", "vv", *(f"A{i:02d}" for i in range(64)))
    assert stack.grid == open_scene(sources[0]).grid
    data, valid = stack.read(Window(4, 6, 30, 40))
    np.testing.assert_array_equal(data[:2], coordinates(2)[:, 4:34, 6:46])
    np.testing.assert_array_equal(data[2], 0.25)
    vectors = open_scene(sources[2]).read().data
    np.testing.assert_array_equal(data[3:], vectors.repeat(2, 1).repeat(2, 2)[:, 4:34, 6:46])
    np.testing.assert_array_equal(valid, (coordinates(2) != 30).all(axis=0)[4:34, 6:46])
    assert stack.notes[:2] == (
        "s1 is resampled to the grid of s2 (bilinear)",
        "e_2021 is resampled to the grid of s2 (by the nearest pixel)",
    )
    assert embedding_bands(stack) == stack.bands[3:]
    assert vector_sources(stack) == ["embedding", "bands"]
    assert open_stack(sources, on=1).grid.shape == (20, 25)


def test_what_cannot_be_put_together(sources):
    with pytest.raises(InputError, match="on is 3, expected the number of a source, from 0 to 2"):
        open_stack(sources, on=3)
    with pytest.raises(RasterError, match="array is no file"):
        open_stack([sources[0], open_scene(np.zeros((1, 40, 50)))])
