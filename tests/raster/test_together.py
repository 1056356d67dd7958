"""Several sensors and embeddings as one image."""

from __future__ import annotations

import numpy as np
import pytest
from rasterio.transform import Affine

from pixelkin.errors import InputError, RasterError
from pixelkin.features import embedding_bands, vector_sources
from pixelkin.raster import open_scene, open_stack
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels, Window

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
    np.testing.assert_allclose(data[2], 10 * np.log10(0.25), rtol=1e-6)
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


def test_radar_in_linear_power_is_read_in_decibels_and_other_radar_is_left(tmp_path, write_raster, coordinates):
    optical = write_raster(tmp_path / "s2.tif", coordinates(2), descriptions=("red", "nir"))
    power = np.random.default_rng(0).gamma(4, 0.02, (2, 40, 50)).astype("float32")
    power[:, 3, 4] = 0
    linear = write_raster(tmp_path / "s1.tif", power, descriptions=("VV", "sigma0_vh"))
    decibels = write_raster(tmp_path / "s1db.tif", 10 * np.log10(power.clip(1e-3)), descriptions=("VV", "sigma0_vh"))
    stack = open_stack([optical, linear])
    data, valid = stack.read()
    assert not valid[3, 4]
    np.testing.assert_allclose(data[2:, valid], 10 * np.log10(power[:, valid]), rtol=1e-5)
    assert "s1 holds radar in linear power and is read in decibels" in stack.notes
    np.testing.assert_array_equal(open_stack([optical, decibels]).read().data[2:], open_scene(decibels).read().data)
    np.testing.assert_array_equal(open_stack([optical, linear], radar="db").read().data[2:], power)
    assert open_stack([optical, linear]).fingerprint != open_stack([optical, linear], radar="db").fingerprint
    # Not radar by its name, whatever its numbers.
    plain = write_raster(tmp_path / "ndvi.tif", power[:1], descriptions=("ndvi",))
    np.testing.assert_array_equal(open_stack([optical, plain], radar="power").read().data[2], power[0])


def test_elevation_is_told_with_slope_and_aspect(tmp_path, write_raster, coordinates):
    optical = write_raster(tmp_path / "s2.tif", coordinates(2), descriptions=("red", "nir"))
    grid = open_scene(optical).grid
    rows, cols = np.indices(grid.shape)
    # Down by 1 m a metre to the east, up by a half to the south.
    plane = (500 - grid.transform[0] * cols + 0.5 * -grid.transform[4] * rows).astype("float32")
    height = write_raster(tmp_path / "dem.tif", plane[None], descriptions=("height",))
    stack = open_stack([optical, height], terrain=1)
    assert stack.bands[2:] == ("height", "slope", "aspect_north", "aspect_east")
    data, _ = stack.read()
    inner = data[2:, 1:-1, 1:-1]
    np.testing.assert_array_equal(inner[0], plane[1:-1, 1:-1])
    np.testing.assert_allclose(inner[1], np.degrees(np.arctan(np.hypot(1, 0.5))), rtol=1e-4)
    np.testing.assert_allclose(inner[2], 0.5 / np.hypot(1, 0.5), rtol=1e-3)
    np.testing.assert_allclose(inner[3], 1 / np.hypot(1, 0.5), rtol=1e-3)
    part = stack.read(Window(5, 7, 11, 13)).data
    assert part.tobytes() == np.ascontiguousarray(data[:, 5:16, 7:20]).tobytes()
    with pytest.raises(InputError, match="terrain is 4, expected the number of a source, from 0 to 1"):
        open_stack([optical, height], terrain=4)
    with pytest.raises(RasterError, match="s2 has 2 bands, expected the one of elevation"):
        open_stack([optical, height], terrain=0)


def test_a_pixel_that_one_source_misses_is_answered_by_the_others(tmp_path, write_raster, coordinates):
    rng = np.random.default_rng(1)
    truth = np.where(np.indices((40, 50))[1] < 25, 1, 2)
    image = (60 * truth + rng.normal(0, 3, (2, 40, 50))).astype("float32")
    image[:, :, 10:20] = -9999
    optical = write_raster(tmp_path / "s2.tif", image, descriptions=("red", "nir"), nodata=-9999)
    other = (10.0 * truth + rng.normal(0, 1, (1, 40, 50))).astype("float32")
    other[:, 30:, 40:] = -9999
    radar = write_raster(tmp_path / "s1.tif", other, descriptions=("texture",), nodata=-9999)
    assert not open_stack([optical, radar]).read().valid[:, 10:20].any()
    stack = open_stack([optical, radar], missing="fill")
    data, valid = stack.read()
    assert valid.all()
    assert abs(data[0, :, 10:20].mean() - 60) < 5
    assert abs(data[2, 30:, 40:].mean() - 20) < 1
    part = Window(7, 9, 11, 13)
    assert stack.read(part).data.tobytes() == np.ascontiguousarray(data[:, *part.slices]).tobytes()
    assert "s2 is missing in places, where what follows from the other sources stands for it" in stack.notes
    labels = LabelledPixels.from_arrays([5, 20, 5, 20, 12, 12], [3, 15, 40, 35, 14, 45], [1, 1, 2, 2, 1, 2])
    found = Segmenter(None, features=["bands"]).fit(stack, labels).predict(stack).classes
    assert (found == truth)[:, 10:20].mean() > 0.95
    assert (found == truth)[30:, 40:].mean() > 0.95
    with pytest.raises(InputError, match="missing is 'guess', expected 'drop' or 'fill'"):
        open_stack([optical, radar], missing="guess")


def test_what_stands_for_missing_whole_numbers_is_not_cut_to_their_range(tmp_path, write_raster):
    rng = np.random.default_rng(2)
    slope = np.broadcast_to(np.linspace(0, 255, 50), (40, 50))
    image = np.clip(slope + rng.normal(0, 2, (1, 40, 50)), 1, 255).astype("uint8")
    image[:, :, :5] = image[:, :, 45:] = 0
    optical = write_raster(tmp_path / "a.tif", image, descriptions=("red",), nodata=0)
    other = write_raster(tmp_path / "b.tif", (slope[None] * 0.9 + 5).astype("uint8"), descriptions=("texture",))
    data, valid = open_stack([optical, other], missing="fill").read()
    assert valid.all()
    assert np.abs(data[0] - slope).max() < 12
