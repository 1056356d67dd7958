"""xarray and Zarr in and out: the same pixels, the same place, and nothing loaded before it is asked for."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr

import pixelkin as pk
from pixelkin.errors import InputError, RasterError
from pixelkin.raster import read_map
from pixelkin.raster.xarray import XarrayScene, open_xarray, open_zarr
from pixelkin.raster.xarray_maps import segment_lazily, to_xarray
from pixelkin.scale import segment
from pixelkin.scene import Series
from pixelkin.types import Window

from .conftest import make_image


@pytest.fixture(scope="module")
def array(scene_path) -> xr.DataArray:
    """The raster as rioxarray would give it."""
    with rasterio.open(scene_path) as file:
        height, width, transform, crs = file.height, file.width, file.transform, file.crs
    return xr.DataArray(
        make_image(), dims=("band", "y", "x"),
        coords={
            "x": transform.c + transform.a * (np.arange(width) + 0.5),
            "y": transform.f + transform.e * (np.arange(height) + 0.5),
            "spatial_ref": ((), 0, {"crs_wkt": crs.to_wkt()}),
        },
        attrs={"_FillValue": 0}, name="scene",
    )  # fmt: skip


def never(*_):
    raise AssertionError("pixels were loaded")


def test_an_array_is_the_file_it_was_read_from(array, scene):
    opened = pk.open_scene(array)
    assert (opened.grid, opened.bands, opened.name) == (scene.grid, scene.bands, scene.name)
    for window in (None, Window(0, 0, 1, 1), Window(90, 190, 100, 150), Window(599, 829, 1, 1)):
        for ours, theirs in zip(opened.read(window), scene.read(window), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_order_and_names_of_dimensions_do_not_matter(array, scene):
    other = array.transpose("x", "y", "band").rename({"x": "lon", "y": "lat", "band": "channel"})
    np.testing.assert_array_equal(open_xarray(other).read().data, scene.read().data)


def test_variables_of_a_dataset_are_bands(array, scene):
    dataset = xr.Dataset({name: array.isel(band=i) for i, name in enumerate(("red", "green", "nir"))})
    opened = open_xarray(dataset, bands=["nir", "red"])
    assert opened.bands == ("nir", "red")
    assert opened.grid == scene.grid
    np.testing.assert_array_equal(opened.read().data, scene.read().data[[2, 0]])


def test_dask_backed_arrays_stay_lazy(array):
    lazy = array.copy(
        data=da.from_array(make_image(), chunks=(3, 256, 256)).map_blocks(never, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    )
    opened = pk.open_scene(lazy)
    assert opened.fingerprint == pk.open_scene(lazy).fingerprint
    with pytest.raises(AssertionError, match="pixels were loaded"):
        opened.read(Window(0, 0, 1, 1))


def test_a_window_of_a_lazy_array_computes_its_chunks_only(array):
    seen = []

    def watch(block, block_info=None):
        seen.append(block_info[0]["chunk-location"])
        return block

    lazy = array.copy(
        data=da.from_array(make_image(), chunks=(3, 200, 200)).map_blocks(watch, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    )
    seen.clear()
    open_xarray(lazy).read(Window(210, 410, 50, 50))
    assert seen == [(0, 1, 2)]


def test_times_make_a_series_and_a_mask_makes_clouds_invalid(array):
    times = np.array(["2021-05-01", "2020-05-01"], "datetime64[ns]")
    cube = xr.concat([array, array + 1], dim=xr.Variable("time", times))
    mask = xr.ones_like(cube.isel(band=0), dtype=bool).copy()
    mask[0, :5] = False
    series = open_xarray(cube, valid=mask, nodata=0)
    assert isinstance(series, Series)
    assert [str(date) for date in series.dates] == ["2020-05-01", "2021-05-01"]
    assert not series.at("2021-05-01").read(Window(0, 0, 5, 5)).valid.any()
    assert series.at("2020-05-01").read(Window(0, 0, 5, 5)).valid.all()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_is_read_lazily_and_mapped_to_the_same_bits(tmp_path, array, segmenter, whole, zarr_format):
    array.to_dataset(name="image").to_zarr(tmp_path / "scene.zarr", zarr_format=zarr_format, consolidated=False)
    scene = pk.open_scene(tmp_path / "scene.zarr")
    assert isinstance(scene, XarrayScene)
    assert scene.array.chunks is not None
    out = segment(scene, segmenter, tmp_path / "map.tif", tile=256, layers=["confidence"])
    np.testing.assert_array_equal(read_map(out).classes, whole.classes)
    np.testing.assert_array_equal(read_map(out).confidence, whole.confidence)
    assert read_map(out).grid == whole.grid


def test_a_map_as_a_dataset_goes_to_zarr_and_netcdf_readers(tmp_path, whole):
    dataset = to_xarray(whole)
    np.testing.assert_array_equal(dataset.classes, whole.classes)
    assert list(dataset.classes.attrs["flag_values"]) == [1, 2, 3]
    assert pk.open_scene(dataset[["classes"]]).grid == whole.grid
    dataset.to_zarr(tmp_path / "map.zarr", consolidated=False)
    stored = xr.open_zarr(tmp_path / "map.zarr", mask_and_scale=False, consolidated=False)
    np.testing.assert_array_equal(stored.classes, whole.classes)


def test_a_lazy_map_is_computed_where_it_is_looked_at(array, segmenter, whole):
    scene = pk.open_scene(array.chunk({"y": 256, "x": 256}))
    lazy = segment_lazily(scene, segmenter, tile=256)
    assert dask.is_dask_collection(lazy.classes.data)
    assert lazy.classes.data.name == segment_lazily(scene, segmenter, tile=256).classes.data.name
    with dask.config.set(scheduler="threads"):
        np.testing.assert_array_equal(lazy.classes[300:310, 500:600].values, whole.classes[300:310, 500:600])
        np.testing.assert_array_equal(lazy.classes.values, whole.classes)
    with pytest.raises(InputError, match="tile is 100 pixels"):
        segment_lazily(scene, segmenter, tile=100)


def test_what_is_no_image_is_refused(tmp_path, array):
    with pytest.raises(RasterError, match=r"dimensions \['a', 'b'\], expected one of"):
        open_xarray(xr.DataArray(np.ones((2, 2)), dims=("a", "b")))
    crooked = array.assign_coords(x=np.r_[array.x.values[:-1], 0])
    with pytest.raises(RasterError, match="coordinate 'x' is not regular"):
        open_xarray(crooked)
    with pytest.raises(RasterError, match="expected one over rows and columns"):
        open_xarray(xr.Dataset({"a": ("t", [1, 2])}))
    with pytest.raises(RasterError, match="cannot be read as Zarr"):
        open_zarr(str(tmp_path / "none.zarr"))
