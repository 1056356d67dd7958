"""Images of several places as one, across UTM zones too."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from rasterio.transform import Affine
from rasterio.warp import transform

from pixelkin.errors import InputError, RasterError
from pixelkin.raster import open_mosaic
from pixelkin.raster.reader import RasterScene
from pixelkin.scene import Series
from pixelkin.types import Window

from .conftest import UTM


def places(grid, crs="EPSG:4326"):
    """Coordinates of all pixels of a grid in another CRS."""
    rows, cols = np.mgrid[: grid.height, : grid.width]
    xs, ys = grid.xy(rows, cols)
    east, north = transform(grid.crs, crs, xs.ravel(), ys.ravel())
    return np.reshape(east, grid.shape), np.reshape(north, grid.shape)


@pytest.fixture
def zones(tmp_path, write_raster):
    """Images on both sides of 6 degrees east, in zones 31 and 32, whose bands are longitude and latitude in millionths of a degree."""
    for zone, left in ((31, 733_000.0), (32, 264_500.0)):
        corner = Affine(20.0, 0.0, left, 0.0, -20.0, 4_700_000.0)
        rows, cols = np.mgrid[:60, :100]
        xs, ys = corner @ (cols + 0.5, rows + 0.5)
        lon, lat = transform(f"EPSG:326{zone}", "EPSG:4326", xs.ravel(), ys.ravel())
        data = np.stack([np.reshape(lon, rows.shape), np.reshape(lat, rows.shape)]) * 1e6
        write_raster(tmp_path / f"zone{zone}.tif", np.rint(data).astype("int32"), crs=f"EPSG:326{zone}", transform=corner, nodata=-1)
    return tmp_path


@pytest.mark.parametrize(("crs", "resolution", "side"), [("EPSG:3035", 25.0, 25.0), ("EPSG:32631", None, 20.0), ("EPSG:3035", None, 20.0)])
def test_two_zones_become_one_image_with_every_pixel_in_its_place(zones, crs, resolution, side):
    mosaic = open_mosaic(zones, crs=crs, resolution=resolution)
    assert mosaic.grid.crs == crs
    assert mosaic.grid.transform[0] == pytest.approx(side, rel=0.01)
    data, valid = mosaic.read()
    lon, lat = places(mosaic.grid)
    # Millionths of a degree to pixels; the rim, where there is one neighbour only, is less exact.
    off = np.hypot((data[0] - lon * 1e6) / 12.3, (data[1] - lat * 1e6) / 9.1)[valid] / side
    assert np.median(off) < 0.05
    assert off.max() < 0.8
    both = np.zeros(valid.shape, bool)
    for zone in (31, 32):
        alone = open_mosaic([zones / f"zone{zone}.tif"], crs=crs, resolution=mosaic.grid.transform[0])
        part = alone.read().valid
        col, row = (round(v) for v in ~Affine(*mosaic.grid.transform) @ (alone.grid.transform[2], alone.grid.transform[5]))
        both[row : row + part.shape[0], col : col + part.shape[1]] |= part[: both.shape[0] - row, : both.shape[1] - col]
    # Where the grids do not fall together, their rims may differ by a pixel.
    assert (both != valid).mean() < (0.0001 if resolution else 0.03)


def test_a_pixel_does_not_depend_on_the_window_it_is_read_with(zones):
    mosaic = open_mosaic(zones, crs="EPSG:3035", resolution=20)
    whole = mosaic.read()
    rng = np.random.default_rng(0)
    for _ in range(30):
        row, col = int(rng.integers(mosaic.grid.height - 9)), int(rng.integers(mosaic.grid.width - 9))
        part = mosaic.read(Window(row, col, 9, 9))
        np.testing.assert_array_equal(part.data, whole.data[:, row : row + 9, col : col + 9])
        np.testing.assert_array_equal(part.valid, whole.valid[row : row + 9, col : col + 9])


def test_several_zones_need_a_choice(zones):
    with pytest.raises(RasterError, match=r"2 coordinate systems, EPSG:32631, EPSG:32632, expected one\. Choose one with crs="):
        open_mosaic(zones)
    with pytest.raises(InputError, match="crs is 'nowhere'"):
        open_mosaic(zones, crs="nowhere")
    with pytest.raises(InputError, match="resolution is -1"):
        open_mosaic(zones, crs="EPSG:3035", resolution=-1)


def test_images_of_one_grid_keep_their_values_and_the_first_lies_on_top(tmp_path, coordinates, write_raster):
    data = coordinates()
    write_raster(tmp_path / "a.tif", data[:, :30, :30], nodata=65535)
    upper = data[:, 20:, 20:] + np.uint16(5000)
    write_raster(tmp_path / "b.tif", upper, nodata=65535, transform=UTM @ Affine.translation(20, 20))
    first, last = (open_mosaic([tmp_path / name for name in names]).read() for names in (("a.tif", "b.tif"), ("b.tif", "a.tif")))
    expected = np.zeros_like(data)
    expected[:, 20:, 20:] = upper
    expected[:, :30, :30] = data[:, :30, :30]
    np.testing.assert_array_equal(first.data, expected)
    expected[:, 20:, 20:] = upper
    np.testing.assert_array_equal(last.data, expected)
    covered = np.zeros(data.shape[1:], bool)
    covered[:30, :30] = covered[20:, 20:] = True
    np.testing.assert_array_equal(first.valid, covered)


def test_only_images_that_reach_into_a_window_are_read(tmp_path, coordinates, write_raster, monkeypatch):
    for index in range(5):
        write_raster(tmp_path / f"{index}.tif", coordinates(), transform=UTM @ Affine.translation(50 * index, 0))
    mosaic = open_mosaic(tmp_path)
    read, asked = RasterScene.read, []
    monkeypatch.setattr(RasterScene, "read", lambda self, window=None: asked.append(self.name) or read(self, window))
    mosaic.read(Window(0, 60, 10, 20))
    assert asked == ["1"]
    assert mosaic.read(Window(0, 60, 10, 20)).valid.all()


def test_several_days_become_a_series(tmp_path, coordinates, write_raster):
    for day in ("2020-05-01", "2020-06-01"):
        for index in range(2):
            write_raster(tmp_path / f"{day}_{index}.tif", coordinates(), transform=UTM @ Affine.translation(50 * index, 0))
    series = open_mosaic(tmp_path)
    assert isinstance(series, Series)
    assert series.dates == (dt.date(2020, 5, 1), dt.date(2020, 6, 1))
    assert series.grid.shape == (40, 100)
    write_raster(tmp_path / "undated.tif", coordinates())
    with pytest.raises(RasterError, match="undated has no date and others have several"):
        open_mosaic(tmp_path)


def test_images_that_cannot_be_joined_are_refused(tmp_path, coordinates, write_raster):
    write_raster(tmp_path / "a.tif", coordinates())
    write_raster(tmp_path / "b.tif", coordinates(bands=2))
    with pytest.raises(RasterError, match=r"b has bands \['band_1', 'band_2'\], expected \['band_1', 'band_2', 'band_3'\] as in a"):
        open_mosaic(tmp_path)
    assert len(open_mosaic(tmp_path, bands=[1, 2]).bands) == 2
    write_raster(tmp_path / "c.tif", coordinates(), crs=None)
    with pytest.raises(RasterError, match="c has no CRS"):
        open_mosaic([tmp_path / "a.tif", tmp_path / "c.tif"])
    with pytest.raises(InputError, match="the list of images is empty"):
        open_mosaic([])
    with pytest.raises(RasterError, match="reaches past"):
        open_mosaic([tmp_path / "a.tif"]).read(Window(35, 0, 10, 10))
