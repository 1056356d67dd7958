"""Facts about files as scenes: bands, validity, names, errors."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import threading
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given, settings
from rasterio.enums import ColorInterp
from rasterio.windows import Window as RasterioWindow

from pixelkin.errors import InputError, MissingFileError, RasterError, ShapeError
from pixelkin.raster import _gdal, open_scene, require_bands, require_crs, require_valid
from pixelkin.raster.overview import read_overview
from pixelkin.raster.reader import RasterScene
from pixelkin.scene import ArrayScene, Series
from pixelkin.types import Window

GRAY_ALPHA = [ColorInterp.gray, ColorInterp.undefined, ColorInterp.alpha]


def open_files() -> list[Path]:
    """Files that this process holds open."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not list open files")
    return [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]


@pytest.fixture(scope="module")
def tiled(tmp_path_factory, coordinates, write_raster) -> Path:
    path = tmp_path_factory.mktemp("tiled") / "t.tif"
    return write_raster(path, coordinates(height=97, width=61), tiled=True, blockxsize=16, blockysize=16, nodata=30)


@settings(deadline=None)
@given(st.data())
def test_any_window_reads_as_rasterio_reads_it(tiled, data):
    row, col = data.draw(st.integers(0, 96)), data.draw(st.integers(0, 60))
    window = Window(row, col, data.draw(st.integers(1, 97 - row)), data.draw(st.integers(1, 61 - col)))
    pixels = open_scene(tiled).read(window)
    with rasterio.open(tiled) as dataset:
        part = RasterioWindow(window.col, window.row, window.width, window.height)
        np.testing.assert_array_equal(pixels.data, dataset.read(window=part))
        np.testing.assert_array_equal(pixels.valid, dataset.read_masks(window=part).all(axis=0))


@pytest.mark.parametrize(
    "window", [Window(-1, 0, 2, 2), Window(0, -1, 2, 2), Window(39, 0, 2, 1), Window(0, 49, 1, 2), Window(40, 50, 1, 1)]
)
def test_a_window_past_the_edge_is_refused(tmp_path, coordinates, write_raster, window):
    scene = open_scene(write_raster(tmp_path / "a.tif", coordinates()))
    with pytest.raises(RasterError, match=r"Window\(.*\) reaches past a, expected one inside 40 x 50 pixels"):
        scene.read(window)


class TestMetadata:
    def test_grid_name_bands_and_date(self, tmp_path, coordinates, write_raster):
        scene = open_scene(write_raster(tmp_path / "s2_2020-02-02_l2a.tif", coordinates(), descriptions=("red", "", "red")))
        assert scene.name == "s2_2020-02-02_l2a"
        assert scene.bands == ("red", "band_2", "band_3")  # a name that is there twice names nothing
        assert scene.date == dt.date(2020, 2, 2)
        assert scene.grid.crs == "EPSG:32631"
        assert scene.grid.transform == (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0)

    def test_a_crs_in_other_words_has_the_code_that_it_means(self, tmp_path, coordinates, write_raster):
        transverse = "+proj=tmerc +lat_0=0 +lon_0=3 +k=0.9996 +x_0=500000 +y_0=0 +datum=WGS84 +units=m"
        assert open_scene(write_raster(tmp_path / "a.tif", coordinates(), crs=transverse)).grid.crs == "EPSG:32631"
        assert open_scene(write_raster(tmp_path / "b.tif", coordinates(), crs="+proj=longlat +datum=WGS84")).grid.crs == "EPSG:4326"
        # The ellipsoid alone is no datum.
        assert open_scene(write_raster(tmp_path / "c.tif", coordinates(), crs="+proj=utm +zone=31 +ellps=WGS84")).grid.crs != "EPSG:32631"

    def test_a_crs_without_code_is_wkt(self, tmp_path, coordinates, write_raster):
        laea = "+proj=laea +lat_0=41.5 +lon_0=2.5 +datum=WGS84 +units=m"
        scene = open_scene(write_raster(tmp_path / "a.tif", coordinates(), crs=laea))
        assert scene.grid.crs.startswith("PROJCS[")
        assert rasterio.crs.CRS.from_wkt(scene.grid.crs) == rasterio.crs.CRS.from_string(laea)

    def test_an_image_without_georeference_opens_without_a_warning(self, tmp_path, coordinates, write_raster):
        path = tmp_path / "photo.png"
        with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
            write_raster(path, coordinates(dtype="uint8"), driver="PNG", crs=None, transform=None)
        scene = open_scene(path)
        thread = threading.Thread(target=scene.read)
        thread.start()
        thread.join()
        assert scene.grid.crs is None
        assert scene.grid.transform == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        with pytest.raises(
            RasterError, match=r"^photo has no CRS, so labels cannot be placed by coordinates. Set one with: rio edit-info --crs"
        ):
            require_crs(scene)

    def test_require_crs_gives_the_crs(self, tmp_path, coordinates, write_raster):
        assert require_crs(open_scene(write_raster(tmp_path / "a.tif", coordinates()))) == "EPSG:32631"

    def test_opening_and_reading_metadata_keeps_no_file_open(self, tmp_path, coordinates, write_raster):
        path = write_raster(tmp_path / "a.tif", coordinates())
        open_scene(path)
        assert path not in open_files()

    def test_a_relative_path_is_made_absolute(self, tmp_path, coordinates, write_raster, monkeypatch):
        write_raster(tmp_path / "a.tif", coordinates())
        monkeypatch.chdir(tmp_path)
        scene = open_scene("a.tif")
        monkeypatch.chdir("/")
        assert scene.read().valid.all()

    def test_an_archive_is_read_in_place(self, tmp_path, coordinates, write_raster):
        import zipfile

        write_raster(tmp_path / "2021-03-04.tif", coordinates())
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(tmp_path / "2021-03-04.tif", "2021-03-04.tif")
        scene = open_scene(f"/vsizip/{tmp_path}/a.zip/2021-03-04.tif")
        assert scene.date == dt.date(2021, 3, 4)
        np.testing.assert_array_equal(scene.read().data, coordinates())


class TestBands:
    @pytest.fixture
    def path(self, tmp_path, coordinates, write_raster):
        return write_raster(tmp_path / "a.tif", coordinates(4), descriptions=("red", "green", "blue", "nir"))

    @pytest.mark.parametrize(("bands", "picked"), [(["nir", "red"], [3, 0]), ([4, 1], [3, 0]), ([2, "red"], [1, 0]), ("nir", [3])])
    def test_by_name_and_number_in_the_order_asked_for(self, path, coordinates, bands, picked):
        scene = open_scene(path, bands=bands)
        np.testing.assert_array_equal(scene.read().data, coordinates(4)[picked])
        assert scene.bands == tuple(("red", "green", "blue", "nir")[i] for i in picked)

    @pytest.mark.parametrize(("bands", "picked"), [(["842", "490"], [3, 0]), ([4, 1], [3, 0]), (["2"], [2]), (["3"], [1]), (["4"], [3])])
    def test_digits_in_text_are_a_name_first_and_then_a_number(self, tmp_path, coordinates, write_raster, bands, picked):
        path = write_raster(tmp_path / "d.tif", coordinates(4), descriptions=("490", "3", "2", "842"))
        np.testing.assert_array_equal(open_scene(path, bands=bands).read().data, coordinates(4)[picked])

    @pytest.mark.parametrize("band", ["swir", 0, 5, -1])
    def test_a_band_that_is_not_there(self, path, band):
        with pytest.raises(
            RasterError, match=rf"a.tif has no band {band!r}, expected names among \['red', 'green', 'blue', 'nir'\] or numbers from 1 to 4"
        ):
            open_scene(path, bands=[band])

    @pytest.mark.parametrize("bands", [[], [1, "red"]])
    def test_none_or_twice(self, path, bands):
        with pytest.raises(RasterError, match=r"expected at least one and each once"):
            open_scene(path, bands=bands)

    def test_only_selected_bands_decide_what_is_valid(self, tmp_path, coordinates, write_raster):
        data = coordinates(3) + np.uint16(1)
        data[2, 5, 5] = 0
        path = write_raster(tmp_path / "n.tif", data, nodata=0)
        assert not open_scene(path).read().valid[5, 5]
        assert open_scene(path, bands=[1, 2]).read().valid[5, 5]

    def test_another_choice_of_bands_is_another_fingerprint(self, path):
        assert len({open_scene(path, bands=bands).fingerprint for bands in (None, [1, 2], [2, 1])}) == 3

    def test_require_bands_names_both_lists(self, path):
        scene = open_scene(path)
        require_bands(scene, ["red", "green", "blue", "nir"])
        with pytest.raises(RasterError, match=r"a has bands \['red', .*\], expected \['nir', 'red'\]. Choose or reorder"):
            require_bands(scene, ["nir", "red"])

    def test_a_mixed_vrt_reads_in_the_common_type(self, tmp_path, coordinates, write_raster):
        write_raster(tmp_path / "i.tif", coordinates(1))
        write_raster(tmp_path / "f.tif", coordinates(1, dtype="float32") + np.float32(0.5))
        source = '<SimpleSource><SourceFilename relativeToVRT="1">{}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        (tmp_path / "m.vrt").write_text(
            '<VRTDataset rasterXSize="50" rasterYSize="40"><GeoTransform>0,1,0,0,0,-1</GeoTransform>'
            f'<VRTRasterBand dataType="UInt16" band="1">{source.format("i.tif")}</VRTRasterBand>'
            f'<VRTRasterBand dataType="Float32" band="2">{source.format("f.tif")}</VRTRasterBand></VRTDataset>'
        )
        data = open_scene(tmp_path / "m.vrt").read(Window(3, 4, 1, 1)).data
        assert data.dtype == np.float32
        np.testing.assert_array_equal(data.ravel(), [3, 3.5])


class TestValidity:
    """Each kind of no-data alone and together: a pixel is valid only where all agree."""

    # GDAL does not write a mask to a file with an alpha band.
    @pytest.mark.parametrize("kinds", [(), ("value",), ("mask",), ("alpha",), ("value", "mask"), ("value", "alpha")])
    @pytest.mark.parametrize("internal", [True, False])
    def test_truth_table(self, tmp_path, coordinates, write_raster, kinds, internal):
        data = coordinates(3, dtype="uint8") + np.uint8(1)
        data[2] = 255
        expected = np.ones(data.shape[1:], bool)
        options: dict[str, object] = {"internal_mask": internal}
        if "value" in kinds:
            data[0, 3, 4] = 200  # no-data in one band is enough
            options["nodata"] = 200
            expected[3, 4] = False
        if "alpha" in kinds:
            data[2, 10:12, 20] = 0
            options |= {"colorinterp": GRAY_ALPHA, "alpha": "YES"}
            expected[10:12, 20] = False
        if "mask" in kinds:
            options["mask"] = np.ones(expected.shape, bool)
            options["mask"][30, 40:] = False
            expected[30, 40:] = False
        scene = open_scene(write_raster(tmp_path / "a.tif", data, **options))
        pixels = scene.read()
        np.testing.assert_array_equal(pixels.valid, expected)
        assert len(pixels.data) == len(scene.bands) == (2 if "alpha" in kinds else 3)

    @pytest.mark.parametrize("nodata", [None, np.nan, -1.0])
    def test_nan_and_infinite_are_never_valid(self, tmp_path, coordinates, write_raster, nodata):
        data = coordinates(dtype="float32")
        data[0, 1, 1], data[1, 2, 2], data[2, 3, 3], data[0, 4, 4] = np.nan, np.inf, -np.inf, -1
        pixels = open_scene(write_raster(tmp_path / "a.tif", data, nodata=nodata)).read()
        expected = np.ones((40, 50), bool)
        expected[[1, 2, 3], [1, 2, 3]] = False
        expected[4, 4] = nodata != -1
        np.testing.assert_array_equal(pixels.valid, expected)
        assert not np.isinf(pixels.data).any()

    def test_the_smallest_float_as_no_data(self, tmp_path, coordinates, write_raster):
        data = coordinates(dtype="float32")
        data[:, 0, 0] = np.finfo("float32").min
        path = write_raster(tmp_path / "a.tif", data, nodata=-3.4028234663852886e38)
        assert np.argwhere(~open_scene(path).read().valid).tolist() == [[0, 0]]
        # No rounding of that number is data either.
        assert np.argwhere(~open_scene(path, nodata=-3.40282e38).read().valid).tolist() == [[0, 0]]

    @pytest.mark.parametrize("nodata", [-9999, 0.5, 300, float("nan")])
    def test_a_no_data_value_that_cannot_occur_hides_nothing(self, tmp_path, coordinates, write_raster, nodata):
        assert open_scene(write_raster(tmp_path / "a.tif", coordinates(dtype="uint8")), nodata=nodata).read().valid.all()

    def test_the_override_replaces_the_files_own(self, tmp_path, coordinates, write_raster):
        path = write_raster(tmp_path / "a.tif", coordinates(1), nodata=3)
        np.testing.assert_array_equal(open_scene(path, nodata=5).read().valid[:, 0], np.arange(40) != 5)
        assert open_scene(path).fingerprint != open_scene(path, nodata=5).fingerprint

    def test_an_alpha_band_that_is_named_or_asked_for_is_data(self, tmp_path, coordinates, write_raster):
        # GDAL marks the fourth of four uint8 bands as alpha, also where it is near infrared.
        data = coordinates(4, dtype="uint8")
        data[3] = 0
        unnamed = write_raster(tmp_path / "a.tif", data, photometric="RGB", alpha="YES")
        assert open_scene(unnamed).bands == ("band_1", "band_2", "band_3")
        assert not open_scene(unnamed).read().valid.any()
        assert open_scene(unnamed, bands=[1, 2, 3, 4]).read().valid.all()
        named = write_raster(tmp_path / "b.tif", data, photometric="RGB", alpha="YES", descriptions=("r", "g", "b", "nir"))
        assert open_scene(named).bands == ("r", "g", "b", "nir")
        assert open_scene(named).read().valid.all()

    def test_each_band_its_own_no_data_value(self, tmp_path, coordinates, write_raster):
        write_raster(tmp_path / "a.tif", coordinates(2), nodata=None)
        rasterio.shutil.copy(tmp_path / "a.tif", tmp_path / "a.vrt", driver="VRT")
        end = "</VRTRasterBand>"
        head, first, second = (tmp_path / "a.vrt").read_text().split(end)
        (tmp_path / "a.vrt").write_text(f"{head}<NoDataValue>3</NoDataValue>{end}{first}<NoDataValue>4</NoDataValue>{end}{second}")
        rows, cols = np.mgrid[:40, :50]
        np.testing.assert_array_equal(open_scene(tmp_path / "a.vrt").read().valid, (rows != 3) & (cols != 4))

    def test_each_band_its_own_mask(self, tmp_path, coordinates, write_raster):
        write_raster(tmp_path / "a.tif", coordinates(2))
        mask = np.ones((2, 40, 50), "uint8")
        mask[0, 3], mask[1, :, 4] = 0, 0
        write_raster(tmp_path / "m.tif", mask)
        source = '<SimpleSource><SourceFilename relativeToVRT="1">{}</SourceFilename><SourceBand>{}</SourceBand></SimpleSource>'
        bands = [
            f'<VRTRasterBand dataType="UInt16" band="{n}">{source.format("a.tif", n)}<MaskBand><VRTRasterBand dataType="Byte">'
            f"{source.format('m.tif', n)}</VRTRasterBand></MaskBand></VRTRasterBand>"
            for n in (1, 2)
        ]
        (tmp_path / "a.vrt").write_text(
            f'<VRTDataset rasterXSize="50" rasterYSize="40"><GeoTransform>0,1,0,0,0,-1</GeoTransform>{"".join(bands)}</VRTDataset>'
        )
        np.testing.assert_array_equal(open_scene(tmp_path / "a.vrt").read().valid, mask.all(axis=0))

    def test_require_valid_refuses_an_empty_image(self, tmp_path, coordinates, write_raster):
        data = np.zeros_like(coordinates())
        path = write_raster(tmp_path / "empty.tif", data, nodata=0)
        with pytest.raises(RasterError, match=r"^empty has no valid pixel, expected imagery. Check its no-data value \(0\) and mask.$"):
            require_valid(open_scene(path))
        data[:, -1, -1] = 1
        require_valid(open_scene(write_raster(tmp_path / "one.tif", data, nodata=0)), at_once=1)


class TestBadFiles:
    def test_missing(self, tmp_path):
        with pytest.raises(MissingFileError, match=r"none.tif does not exist, expected a raster file. Check the path."):
            open_scene(tmp_path / "none.tif")

    def test_missing_in_an_archive(self, tmp_path):
        with pytest.raises(RasterError, match=r"^/vsizip/.* cannot be opened as a raster: "):
            open_scene(f"/vsizip/{tmp_path}/none.zip/a.tif")

    @pytest.mark.parametrize("content", [b"", b"no raster", b"II*\x00"])
    def test_not_a_raster(self, tmp_path, content):
        (tmp_path / "a.tif").write_bytes(content)
        with pytest.raises(
            RasterError, match=r"a.tif cannot be opened as a raster: .* Give a GeoTIFF or another file that GDAL reads.$"
        ) as caught:
            open_scene(tmp_path / "a.tif")
        assert "\n" not in str(caught.value)

    def test_cut_short_in_its_pixels(self, tmp_path, coordinates, write_raster):
        path = write_raster(tmp_path / "a.tif", coordinates(1, 600, 600), tiled=True, blockxsize=64, blockysize=64)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size * 3 // 4)
        scene = open_scene(path)
        assert scene.read(Window(0, 0, 64, 64)).data[0, 5, 5] == 5
        with pytest.raises(RasterError, match=r"a.tif cannot be read at rows 590 to 599, columns 580 to 599: .* cut short") as caught:
            scene.read(Window(590, 580, 10, 20))
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is not None

    def test_complex_numbers(self, tmp_path, write_raster):
        path = write_raster(tmp_path / "a.tif", np.ones((1, 4, 4), "complex64"))
        with pytest.raises(RasterError, match=r"a.tif holds complex numbers, expected real ones"):
            open_scene(path)

    def test_a_container_of_several_images(self, tmp_path, coordinates, write_raster):
        write_raster(tmp_path / "a.gpkg", coordinates(3, dtype="uint8"), driver="GPKG", raster_table="one")
        write_raster(tmp_path / "a.gpkg", coordinates(3, dtype="uint8"), driver="GPKG", raster_table="two", append_subdataset="YES")
        with pytest.raises(
            RasterError, match=r"a.gpkg holds several images or none, expected one. Open one of its parts: GPKG:.*one, GPKG:.*two"
        ):
            open_scene(tmp_path / "a.gpkg")

    def test_replaced_by_a_smaller_file(self, tmp_path, coordinates, write_raster):
        path = write_raster(tmp_path / "a.tif", coordinates())
        scene = open_scene(path)
        write_raster(path, coordinates(3, 10, 10))
        with pytest.raises(RasterError, match=r"a.tif is not the file it was"):
            scene.read()


class TestOtherSources:
    def test_an_array(self, coordinates):
        scene = open_scene(coordinates(), bands=[2, 1], nodata=7, date="2020-05-06")
        assert scene.bands == ("band_2", "band_1")
        assert scene.date == dt.date(2020, 5, 6)
        rows, cols = np.mgrid[:40, :50]
        np.testing.assert_array_equal(scene.read().data, [cols, rows])
        np.testing.assert_array_equal(scene.read().valid, (rows != 7) & (cols != 7))

    def test_an_array_without_bands(self):
        with pytest.raises(ShapeError, match=r"expected \('band', 'row', 'col'\)"):
            open_scene(np.zeros((4, 4)))

    def test_a_scene_or_series_comes_back_as_it_is(self, coordinates):
        scene = ArrayScene(coordinates(), date=dt.date(2020, 1, 1))
        series = Series((scene,))
        assert open_scene(scene) is scene
        assert open_scene(series) is series
        with pytest.raises(InputError, match=r"options for opening a file, and this image is open already"):
            open_scene(scene, bands=[1])

    def test_something_else(self):
        with pytest.raises(InputError, match=r"cannot open a int as an image, expected a path, a folder, a list of these, or an array"):
            open_scene(7)

    def test_a_date_that_is_none(self, coordinates):
        with pytest.raises(InputError, match=r"date is '2020-13-01', expected a day as YYYY-MM-DD"):
            open_scene(coordinates(), date="2020-13-01")


class TestHandles:
    def test_a_thread_keeps_few_files_open(self, tmp_path, coordinates, write_raster):
        scenes = [open_scene(write_raster(tmp_path / f"{i}.tif", coordinates())) for i in range(40)]

        for scene in scenes + scenes[::-1]:
            assert scene.read(Window(3, 4, 1, 1)).data[0, 0, 0] == 3
        assert sum(path.parent == tmp_path for path in open_files()) == _gdal._MAX_OPEN

    def test_the_file_read_last_stays_open(self, tmp_path, coordinates, write_raster):
        scenes = [open_scene(write_raster(tmp_path / f"{i}.tif", coordinates())) for i in range(_gdal._MAX_OPEN + 1)]
        for scene in [*scenes[:-1], scenes[0], scenes[-1]]:
            scene.read(Window(0, 0, 1, 1))
        assert (tmp_path / "0.tif") in open_files()
        assert (tmp_path / "1.tif") not in open_files()

    def test_a_thread_that_ends_closes_its_files(self, tmp_path, coordinates, write_raster):
        path = write_raster(tmp_path / "a.tif", coordinates())
        scene = open_scene(path)
        thread = threading.Thread(target=scene.read)
        thread.start()
        thread.join()
        assert path not in open_files()

    def test_a_forked_child_opens_its_own(self, tmp_path, coordinates, write_raster):
        keys = []
        scene = open_scene(write_raster(tmp_path / "a.tif", coordinates()))
        scene.read()
        keys = [key for key in _gdal._local.handles if key[1] == scene]
        assert keys == [(os.getpid(), scene)]

    def test_a_scene_that_was_read_can_be_pickled(self, tmp_path, coordinates, write_raster):
        scene = open_scene(write_raster(tmp_path / "a.tif", coordinates()))
        scene.read()
        assert isinstance(pickle.loads(pickle.dumps(scene)), RasterScene)


def test_fingerprint_follows_the_files_behind_a_vrt(tmp_path, coordinates, write_raster):
    path = write_raster(tmp_path / "a.tif", coordinates())
    rasterio.shutil.copy(path, tmp_path / "a.vrt", driver="VRT")
    before = open_scene(tmp_path / "a.vrt").fingerprint
    os.utime(path, ns=(1, 1))
    assert open_scene(tmp_path / "a.vrt").fingerprint != before


def test_fingerprint_follows_the_mask_file(tmp_path, coordinates, write_raster):
    mask = np.ones((40, 50), bool)
    path = write_raster(tmp_path / "a.tif", coordinates(), mask=mask, internal_mask=False)
    before = open_scene(path).fingerprint
    os.utime(tmp_path / "a.tif.msk", ns=(1, 1))
    assert open_scene(path).fingerprint != before


def test_an_overview_of_bands_of_different_types_is_one_picture(tmp_path):
    path = tmp_path / "mixed.vrt"
    bands = ""
    for number, (kind, value) in enumerate((("Byte", 7), ("Float32", 2.5)), 1):
        dtype = {"Byte": "uint8", "Float32": "float32"}[kind]
        source = tmp_path / f"{number}.tif"
        with rasterio.open(
            source, "w", driver="GTiff", height=8, width=8, count=1, dtype=dtype, transform=rasterio.Affine(1, 0, 0, 0, -1, 8)
        ) as dataset:
            dataset.write(np.full((1, 8, 8), value, dtype))
        bands += f'<VRTRasterBand dataType="{kind}" band="{number}"><SimpleSource><SourceFilename>{source}</SourceFilename></SimpleSource></VRTRasterBand>'
    path.write_text(f'<VRTDataset rasterXSize="8" rasterYSize="8"><GeoTransform>0,1,0,8,0,-1</GeoTransform>{bands}</VRTDataset>')
    pixels = read_overview(open_scene(path), Window(0, 0, 8, 8), 4)
    np.testing.assert_array_equal(pixels.data, np.stack([np.full((2, 2), 7.0), np.full((2, 2), 2.5)]))
    assert pixels.valid.all()
