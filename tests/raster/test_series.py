"""Folders and lists as time series."""

from __future__ import annotations

import datetime as dt
import logging
import pickle

import numpy as np
import pytest
import rasterio
import rasterio.warp
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from rasterio.windows import Window as RasterioWindow

from pixelkin.errors import InputError, MissingFileError, RasterError
from pixelkin.raster import open_scene
from pixelkin.scene import ArrayScene, Series
from pixelkin.types import Window

UTM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0)


@pytest.fixture
def folder(tmp_path, coordinates, write_raster):
    for day in ("2020-03-01", "2020-01-01", "2020-02-01"):
        write_raster(tmp_path / f"{day}.tif", coordinates(), descriptions=("red", "green", "nir"))
    return tmp_path


class TestFolder:
    def test_images_in_order_of_date(self, folder):
        series = open_scene(folder)
        assert isinstance(series, Series)
        assert series.dates == (dt.date(2020, 1, 1), dt.date(2020, 2, 1), dt.date(2020, 3, 1))
        assert series.bands == ("red", "green", "nir")

    def test_files_of_one_band_are_left_out_and_named(self, folder, coordinates, write_raster, caplog):
        # As many as there are images: a vote would be a tie.
        for name in ("2020-01-01_water", "2020-02-01_water", "classes"):
            write_raster(folder / f"{name}.tif", coordinates(1, dtype="uint8"))
        with caplog.at_level(logging.WARNING, "pixelkin"):
            assert len(open_scene(folder)) == 3
        assert "one band only: 2020-01-01_water.tif, 2020-02-01_water.tif, classes.tif" in caplog.text

    def test_nothing_is_said_where_nothing_is_left_out(self, folder, caplog):
        open_scene(folder)
        assert caplog.text == ""

    def test_a_series_of_one_band(self, tmp_path, coordinates, write_raster):
        for day in ("20200101", "20200201"):
            write_raster(tmp_path / f"ndvi_{day}.tif", coordinates(1))
        assert len(open_scene(tmp_path)) == 2

    def test_two_images_of_one_day_are_refused(self, tmp_path, coordinates, write_raster):
        for name in ("2020-01-01", "2020-01-01_water"):
            write_raster(tmp_path / f"{name}.tif", coordinates(1))
        with pytest.raises(
            RasterError, match=r"2020-01-01 and 2020-01-01_water in .* are both of 2020-01-01, expected one image a day. Give a list"
        ):
            open_scene(tmp_path)
        assert len(open_scene(sorted(tmp_path.glob("*.tif")))) == 2

    def test_other_files_hidden_files_and_subfolders_do_not_count(self, folder, coordinates, write_raster):
        (folder / "notes.txt").write_text("cloudy")
        (folder / "2020-01-01.tif.aux.xml").write_text("<PAMDataset/>")
        (folder / ".half.tif").write_bytes(b"")
        (folder / "old.tif").mkdir()
        assert len(open_scene(folder)) == 3

    def test_a_damaged_image_is_not_left_out_in_silence(self, folder):
        (folder / "2020-04-01.tif").write_bytes(b"II*\x00")
        with pytest.raises(RasterError, match=r"2020-04-01.tif cannot be opened as a raster"):
            open_scene(folder)

    def test_images_of_other_bands_are_refused(self, folder, coordinates, write_raster):
        write_raster(folder / "2020-04-01.tif", coordinates(2), descriptions=("red", "nir"))
        with pytest.raises(
            RasterError, match=r"2020-04-01 has bands \['red', 'nir'\], expected \['red', 'green', 'nir'\] as in 2020-01-01"
        ):
            open_scene(folder)
        assert open_scene(folder, bands=["nir"]).bands == ("nir",)

    def test_an_image_without_a_date(self, folder, coordinates, write_raster):
        write_raster(folder / "mosaic.tif", coordinates(), descriptions=("red", "green", "nir"))
        with pytest.raises(RasterError, match=r"^mosaic has no date, expected one in its name \(YYYY-MM-DD or YYYYMMDD\) or tags"):
            open_scene(folder)

    def test_dates_in_tags(self, tmp_path, coordinates, write_raster):
        write_raster(tmp_path / "b.tif", coordinates(), tags={"TIFFTAG_DATETIME": "2020:02:02 10:52:21"})
        write_raster(tmp_path / "a.tif", coordinates(), tags={"ACQUISITIONDATE": "2021-02-02"})
        assert [scene.name for scene in open_scene(tmp_path)] == ["b", "a"]

    def test_no_image(self, tmp_path):
        with pytest.raises(
            MissingFileError, match=r"has no image, expected files that end in .img, .jp2, .tif, .tiff, .vrt. Check the folder"
        ):
            open_scene(tmp_path)

    def test_options_reach_every_image(self, folder):
        series = open_scene(folder, bands=["green"], nodata=4)
        for scene in series:
            np.testing.assert_array_equal(scene.read().valid[0], np.arange(50) != 4)

    def test_one_date_for_all_is_refused(self, folder):
        with pytest.raises(InputError, match=r"date is 2020-01-01 for a whole series, expected it for a single image only"):
            open_scene(folder, date="2020-01-01")

    def test_pickling(self, folder):
        copy = pickle.loads(pickle.dumps(open_scene(folder)))
        assert copy.at("2020-02-01").read().valid.all()


class TestList:
    def test_paths_and_scenes(self, folder, coordinates):
        array = ArrayScene(
            coordinates(), name="mine", bands=("red", "green", "nir"), date=dt.date(2019, 1, 1), transform=tuple(UTM)[:6], crs="EPSG:32631"
        )
        series = open_scene([folder / "2020-03-01.tif", str(folder / "2020-01-01.tif"), array])
        assert [scene.name for scene in series] == ["mine", "2020-01-01", "2020-03-01"]

    def test_one_path_in_a_list_is_a_series(self, folder):
        assert len(open_scene([folder / "2020-03-01.tif"])) == 1

    def test_an_empty_list(self):
        with pytest.raises(InputError, match=r"the list of images is empty, expected at least one"):
            open_scene([])


class TestGrids:
    @pytest.fixture
    def shifted(self, folder, coordinates, write_raster):
        """The same ground, seen on a grid that starts 2 columns and 3 rows earlier."""
        big = np.pad(coordinates(), ((0, 0), (3, 0), (2, 0)), mode="edge")
        return write_raster(
            folder / "2020-04-01.tif", big, transform=UTM @ Affine.translation(-2, -3), descriptions=("red", "green", "nir")
        )

    @pytest.mark.usefixtures("shifted")
    def test_another_grid_is_refused_and_both_are_named(self, folder):
        with pytest.raises(RasterError, match=r"^2020-04-01 lies on another grid than 2020-01-01: .* or open the series with align=True.$"):
            open_scene(folder)

    @pytest.mark.usefixtures("shifted")
    def test_align_warps_to_the_first(self, folder, coordinates):
        series = open_scene(folder, align=True)
        scene = series.at("2020-04-01")
        assert scene.grid == series.grid
        pixels = scene.read()
        assert pixels.valid.all()
        np.testing.assert_array_equal(pixels.data, coordinates())
        copy = pickle.loads(pickle.dumps(scene))
        np.testing.assert_array_equal(copy.read(Window(5, 7, 3, 2)).data, coordinates()[:, 5:8, 7:9])
        assert copy.fingerprint != open_scene(folder / "2020-04-01.tif").fingerprint

    def test_outside_the_footprint_nothing_is_valid(self, folder, coordinates, write_raster):
        write_raster(
            folder / "2020-04-01.tif", coordinates(), transform=UTM @ Affine.translation(20, 30), descriptions=("red", "green", "nir")
        )
        pixels = open_scene(folder, align=True).at("2020-04-01").read()
        expected = np.zeros((40, 50), bool)
        expected[30:, 20:] = True
        np.testing.assert_array_equal(pixels.valid, expected)
        np.testing.assert_array_equal(pixels.data[:, expected], coordinates()[:, :10, :30].reshape(3, -1))

    @pytest.mark.parametrize("kind", ["value", "mask", "alpha", "nan", "override"])
    def test_no_data_is_not_smeared_into_data(self, tmp_path, coordinates, write_raster, kind):
        """A half-pixel shift mixes four neighbours; none of what it calls valid may hold the hole's 9999."""
        float_type = kind == "nan"
        data = np.full((3, 40, 50), 100, "float32" if float_type else "uint16")
        write_raster(tmp_path / "2020-01-01.tif", data[: 2 if kind == "alpha" else 3])
        data[:, 10:15, 10:15] = np.nan if float_type else 9999
        options: dict[str, object] = {}
        if kind == "value":
            options["nodata"] = 9999
        elif kind == "mask":
            options["mask"] = data[0] != 9999
        elif kind == "alpha":
            data[2] = np.where(data[0] == 9999, 0, 65535)
            options |= {"colorinterp": [ColorInterp.gray, ColorInterp.undefined, ColorInterp.alpha], "alpha": "YES"}
        write_raster(tmp_path / "2020-02-01.tif", data, transform=UTM @ Affine.translation(0.5, 0.5), **options)
        pixels = open_scene(tmp_path, align=True, nodata=9999 if kind == "override" else None).at("2020-02-01").read()
        assert not pixels.valid[11:15, 11:15].any()
        assert pixels.valid[20:, 20:].all()
        assert np.unique(pixels.data[:, pixels.valid]).tolist() == [100]

    def test_mixed_kinds_of_no_data_are_refused(self, tmp_path, coordinates, write_raster):
        write_raster(tmp_path / "2020-01-01.tif", coordinates())
        mask = np.ones((40, 50), bool)
        write_raster(tmp_path / "2020-02-01.tif", coordinates(), transform=UTM @ Affine.translation(1, 1), nodata=0, mask=mask)
        with pytest.raises(RasterError, match=r"^2020-02-01 cannot be warped here, because .* a no-data value and a mask. Warp it"):
            open_scene(tmp_path, align=True)

    def test_an_image_without_crs_cannot_be_warped(self, tmp_path, coordinates, write_raster):
        write_raster(tmp_path / "2020-01-01.tif", coordinates())
        write_raster(tmp_path / "2020-02-01.tif", coordinates(), crs=None)
        with pytest.raises(RasterError, match=r"^2020-02-01 cannot be warped to the series' grid, because an image has no CRS"):
            open_scene(tmp_path, align=True)

    def test_another_crs_is_warped(self, tmp_path, coordinates, write_raster):
        write_raster(tmp_path / "2020-01-01.tif", coordinates(1))
        with rasterio.open(tmp_path / "2020-01-01.tif") as dataset:
            west, south, east, north = rasterio.warp.transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
        step = (east - west) / 500
        rows = int((north - south) / step) + 1
        longitude = np.broadcast_to(west + (np.arange(500) + 0.5) * step, (1, rows, 500)).astype("float64")
        write_raster(tmp_path / "2020-02-01.tif", longitude, crs="EPSG:4326", transform=Affine(step, 0, west, 0, -step, north))
        series = open_scene(tmp_path, align=True)
        pixels = series.at("2020-02-01").read()
        centre = series.grid.xy(20, 25)
        (expected,), _ = rasterio.warp.transform("EPSG:32631", "EPSG:4326", [centre[0]], [centre[1]])
        assert pixels.valid[20, 25]
        assert pixels.data[0, 20, 25] == pytest.approx(expected, abs=step / 100)

    def test_coordinates_rounded_by_another_program_are_the_same_grid(self, folder, coordinates, write_raster):
        off = Affine(10.0 + 1e-9, 0.0, 500_000.0000001, 0.0, -10.0, 4_600_000.0)
        write_raster(folder / "2020-04-01.tif", coordinates(), transform=off, descriptions=("red", "green", "nir"))
        series = open_scene(folder)
        np.testing.assert_array_equal(series.at("2020-04-01").read().data, coordinates())

    def test_a_tenth_of_a_pixel_is_another_grid(self, folder, coordinates, write_raster):
        off = UTM @ Affine.translation(0.1, 0)
        write_raster(folder / "2020-04-01.tif", coordinates(), transform=off, descriptions=("red", "green", "nir"))
        with pytest.raises(RasterError, match=r"another grid"):
            open_scene(folder)


@pytest.fixture(scope="module")
def warped(tmp_path_factory, write_raster):
    folder = tmp_path_factory.mktemp("warped")
    data = np.random.default_rng(0).integers(0, 10_000, (2, 300, 700), dtype=np.uint16)
    write_raster(folder / "2020-01-01.tif", data)
    write_raster(folder / "2020-02-01.tif", data, transform=UTM @ Affine.translation(3.3, 4.7) @ Affine.rotation(7), nodata=0)
    return open_scene(folder, align=True).at("2020-02-01")


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_a_warped_pixel_does_not_depend_on_the_window(warped, data):
    whole = warped.read()
    row, col = data.draw(st.integers(0, 299)), data.draw(st.integers(0, 699))
    window = Window(row, col, data.draw(st.integers(1, 300 - row)), data.draw(st.integers(1, 700 - col)))
    pixels = warped.read(window)
    np.testing.assert_array_equal(pixels.data, whole.data[:, *window.slices])
    np.testing.assert_array_equal(pixels.valid, whole.valid[window.slices])


class TestRealImagery:
    def test_boadella_is_ten_dates(self, imagery):
        series = open_scene(imagery / "boadella")
        assert len(series) == 10
        assert series.bands == ("red", "green", "blue", "nir")
        assert series.grid.shape == (377, 380)
        assert series.dates[0] == dt.date(2020, 1, 13)
        with rasterio.open(imagery / "boadella/2020-06-21.tif") as dataset:
            expected = dataset.read(window=RasterioWindow(100, 50, 30, 20))
        np.testing.assert_array_equal(series.at("2020-06-21").read(Window(50, 100, 20, 30)).data, expected)

    def test_flanders_is_fourteen_dates_with_zero_as_no_data(self, imagery):
        series = open_scene(imagery / "flanders", nodata=0)
        assert len(series) == 14
        assert series.grid.crs == "EPSG:32631"
        for scene in series:
            pixels = scene.read()
            np.testing.assert_array_equal(pixels.valid, (pixels.data != 0).all(axis=0))

    def test_vegas_near_infrared_is_data(self, imagery):
        scene = open_scene(imagery / "vegas/image.tif")
        assert scene.bands == ("red", "green", "blue", "nir")
        assert scene.read().valid.all()
