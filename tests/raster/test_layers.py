"""One image in several files or pages: band sets, Sentinel-2 products, multi-page TIFFs."""

from __future__ import annotations

import datetime as dt
import pickle
import shutil

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.transform import Affine

from pixelkin.errors import RasterError
from pixelkin.raster import open_scene
from pixelkin.raster.bandset import band_sets
from pixelkin.raster.overview import read_overview
from pixelkin.raster.stack import Stack
from pixelkin.scene import ArrayScene, Series
from pixelkin.types import Window

LANDSAT = "LC08_L2SP_199030_20200621_20200823_02_T1"
COARSE = Affine(20.0, 0.0, 500_000.0, 0.0, -20.0, 4_600_000.0)


class TestNames:
    @pytest.mark.parametrize(("names", "image", "bands"), [
        ([f"{LANDSAT}_SR_B{i}.TIF" for i in (4, 2, 10)], LANDSAT, ("SR_B2", "SR_B4", "SR_B10")),
        ([f"T31TDG_20200202T105221_{b}_10m.jp2" for b in ("B08", "B8A", "B02")], "T31TDG_20200202T105221", ("B02", "B08", "B8A")),
        ([f"HLS.L30.T31TDG.2020173T104023.v2.0.B0{i}.tif" for i in (5, 4)], "HLS.L30.T31TDG.2020173T104023.v2.0", ("B04", "B05")),
        (["nir.tif", "red.tif", "blue.tif"], "", ("blue", "red", "nir")),
        (["s1_20200101_vv.tif", "s1_20200101_vh.tif"], "s1_20200101", ("vv", "vh")),
        (["RT_B3.tif", "RT_B2.tif"], "", ("RT_B2", "RT_B3")),
    ])  # fmt: skip
    def test_of_one_image(self, names, image, bands):
        (found,) = band_sets(names)
        assert (found.name, found.bands) == (image, bands)
        assert set(found.paths) == set(names)

    @pytest.mark.parametrize("names", [
        ["2020-01-01.tif", "2020-02-01.tif"], ["ndvi_2020-01-01.tif", "ndvi_2020-02-01.tif"],
        ["vv_2020-01-01.tif", "vv_2020-02-01.tif"],  # dates of one band
        ["a_B2.tif", "a_B3.tif", "b_B2.tif"], ["a_B2.tif", "a_B3.tif", "scene.tif"], ["B2/a_B2.tif", "B2/a_B2.tiff"], ["subB2.tif", "subB3.tif"],
    ])  # fmt: skip
    def test_of_something_else(self, names):
        assert band_sets(names) is None

    def test_of_several_dates(self):
        found = band_sets([f"x_2020-0{month}-01_{band}.tif" for month in (1, 2) for band in ("vh", "vv")])
        assert [(image.name, image.bands) for image in found] == [("x_2020-01-01", ("vv", "vh")), ("x_2020-02-01", ("vv", "vh"))]


class TestBandSets:
    @pytest.fixture
    def landsat(self, tmp_path, write_raster, coordinates):
        data = coordinates(4)
        for i, band in enumerate(data):
            write_raster(tmp_path / f"{LANDSAT}_SR_B{i + 2}.TIF", band[None], nodata=30 + i)
        write_raster(tmp_path / f"{LANDSAT}_QA_PIXEL.TIF", data[:1])
        return tmp_path

    def test_a_folder_is_one_scene(self, landsat, coordinates, caplog):
        scene = open_scene(landsat)
        assert isinstance(scene, Stack)
        assert (scene.name, scene.date, scene.path) == (LANDSAT, dt.date(2020, 6, 21), str(landsat))
        assert scene.bands == ("SR_B2", "SR_B3", "SR_B4", "SR_B5")
        pixels = scene.read(Window(3, 4, 30, 40))
        data = coordinates(4)
        np.testing.assert_array_equal(pixels.data, data[:, 3:33, 4:44])
        expected = np.all([data[i] != 30 + i for i in range(4)], axis=0)
        np.testing.assert_array_equal(pixels.valid, expected[3:33, 4:44])
        assert f"left out, because their names name no band: {LANDSAT}_QA_PIXEL.TIF" in caplog.text
        assert scene.read_bands()[1].sum() == sum((data[i] != 30 + i).sum() for i in range(4))
        assert np.array_equal(pickle.loads(pickle.dumps(scene)).read().valid, scene.read().valid)

    def test_bands_are_chosen_by_name_and_a_list_is_taken_too(self, landsat, coordinates):
        files = sorted(landsat.glob("*SR_B*"))
        scene = open_scene(files, bands=["SR_B5", 1])
        assert scene.bands == ("SR_B5", "SR_B2")
        np.testing.assert_array_equal(scene.read().data, coordinates(4)[[3, 0]])
        assert scene.path is None
        assert scene.paths == (str(files[3]), str(files[0]))
        assert scene.fingerprint != open_scene(files).fingerprint

    def test_several_dates_are_a_series(self, tmp_path, write_raster, coordinates):
        for day in ("20200301", "20200101"):
            for band, layer in zip(("B02", "B03"), coordinates(2), strict=True):
                write_raster(tmp_path / f"T31TDG_{day}T105221_{band}_10m.tif", layer[None] + np.uint16(day == "20200301"))
        series = open_scene(tmp_path)
        assert isinstance(series, Series)
        assert series.dates == (dt.date(2020, 1, 1), dt.date(2020, 3, 1))
        assert series.bands == ("B02", "B03")
        np.testing.assert_array_equal(series.scenes[1].read().data, coordinates(2) + 1)

    def test_coarser_bands_come_to_the_finest_grid_whatever_the_window(self, tmp_path, write_raster):
        ramp = np.broadcast_to(np.arange(600, dtype="float32") * 20, (1, 600, 600))
        write_raster(tmp_path / "B02.tif", np.zeros((1, 1200, 1200), "float32"))
        write_raster(tmp_path / "B05.tif", ramp.copy(), transform=COARSE)
        scene = open_scene(tmp_path)
        assert scene.grid.shape == (1200, 1200)
        whole = scene.read()
        # Bilinear: a ramp stays a ramp, half a coarse pixel from the edges.
        np.testing.assert_allclose(whole.data[1, 600, 1:-1], np.arange(1, 1199) * 10 - 5, atol=0.01)
        np.testing.assert_array_equal(scene.read(Window(500, 300, 20, 333)).data, whole.data[:, 500:520, 300:633])
        assert any("resampled to the finest grid" in note for note in scene.notes)

    def test_missing_bands_are_filled(self, landsat):
        strict, filled = open_scene(landsat), open_scene(landsat, missing="fill")
        assert not strict.read().valid.all()
        assert filled.read().valid.all()

    def test_an_overview_is_one_of_all_bands(self, landsat):
        scene = open_scene(landsat)
        pixels = read_overview(scene, scene.grid.window, 2)
        assert pixels.data.shape == (4, 20, 25)
        assert set(pixels.data[0].ravel()) <= set(range(40))

    def test_bands_on_two_scales_are_refused(self, tmp_path, write_raster, coordinates):
        for band, scale in (("B02", 1e-4), ("B03", 1.0)):
            with rasterio.open(write_raster(tmp_path / f"{band}.tif", coordinates(1)), "r+") as dataset:
                dataset.scales = [scale]
        with pytest.raises(RasterError, match="B02 and B03 are not on one scale"):
            open_scene(tmp_path)

    def test_dates_of_one_band_are_a_series_as_ever(self, tmp_path, write_raster, coordinates):
        for month in (1, 2):
            write_raster(tmp_path / f"vv_2020-0{month}-01.tif", coordinates(1))
        assert open_scene(tmp_path).bands == ("band_1",)


class TestSentinel2:
    OFFSETS = "".join(f'<BOA_ADD_OFFSET band_id="{i}">-1000</BOA_ADD_OFFSET>' for i in range(13))

    def product(self, folder, write_raster, *, day, baseline, add, offsets):
        name = f"S2A_MSIL2A_{day}T105221_N{baseline}_R051_T31TDG_{day}T134536.SAFE"
        images = folder / name / "GRANULE" / "L2A_T31TDG" / "IMG_DATA"
        for side, bands in ((10, ("B02", "B08", "AOT")), (20, ("B02", "B8A", "SCL"))):
            (images / f"R{side}m").mkdir(parents=True)
            for band in bands:
                data = np.full((1, 400 // side, 400 // side), 1200 + add, "uint16")
                data[0, 0, 0] = 0
                path = images / f"R{side}m" / f"T31TDG_{day}T105221_{band}_{side}m.jp2"
                transform = Affine(float(side), 0.0, 500_000.0, 0.0, -float(side), 4_600_000.0)
                write_raster(path, data, driver="JP2OpenJPEG", transform=transform, REVERSIBLE="YES", QUALITY="100")
        (folder / name / "MTD_MSIL2A.xml").write_text(
            f"<Level-2A><QUANTIFICATION_VALUES_LIST><BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>"
            f"<AOT_QUANTIFICATION_VALUE>1000.0</AOT_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>{offsets}</Level-2A>"
        )
        return folder / name

    def test_a_product_is_a_scene_in_reflectance_of_any_baseline(self, tmp_path, write_raster):
        old = open_scene(self.product(tmp_path, write_raster, day="20210202", baseline="0214", add=0, offsets=""))
        new = open_scene(self.product(tmp_path, write_raster, day="20220202", baseline="0400", add=1000, offsets=self.OFFSETS))
        for scene, year in ((old, 2021), (new, 2022)):
            assert scene.bands == ("B02", "B08", "B8A")
            assert scene.date == dt.date(year, 2, 2)
            assert scene.grid.shape == (40, 40)
            np.testing.assert_allclose(scene.read().data[:, 20, 20], 0.12, atol=1e-6)
        assert len(Series((old, new))) == 2
        files = [str(path) for path in sorted((tmp_path / new.path).rglob("*B0*10m.jp2"))]
        np.testing.assert_allclose(open_scene(files[0]).read().data[0, 20, 20], 0.12, atol=1e-6)
        assert open_scene(files[0], scale=False).read().data[0, 20, 20] == 2200

    def test_metadata_that_cannot_be_read(self, tmp_path, write_raster):
        product = self.product(tmp_path, write_raster, day="20220202", baseline="0400", add=1000, offsets="")
        (product / "MTD_MSIL2A.xml").write_text("<cut")
        with pytest.raises(RasterError, match=r"MTD_MSIL2A.xml cannot be read"):
            open_scene(product)


class TestPages:
    @pytest.fixture
    def pages(self, tmp_path, write_raster):
        def write(*layers):
            for i, layer in enumerate(layers):
                page = write_raster(tmp_path / "page.tif", layer)
                rasterio.shutil.copy(
                    str(page), str(tmp_path / "a_2020-02-02.tif"), driver="GTiff", **({"APPEND_SUBDATASET": "YES"} if i else {})
                )
            page.unlink()
            return tmp_path / "a_2020-02-02.tif"

        return write

    def test_are_bands(self, pages, coordinates, caplog):
        data = coordinates(4)
        path = pages(data[:1], data[1:2], data[2:3], data[3:])
        scene = open_scene(path, bands=[4, "page_2"])
        assert scene.bands == ("page_4", "page_2")
        assert scene.date == dt.date(2020, 2, 2)
        assert scene.path == str(path)
        np.testing.assert_array_equal(scene.read().data, data[[3, 1]])
        assert "its 4 pages are read as bands" in caplog.text
        assert open_scene(f"GTIFF_DIR:3:{path}").bands == ("band_1",)
        shutil.move(path, path.with_name("b.tif"))
        assert open_scene(path.with_name("b.tif")).bands == ("page_1", "page_2", "page_3", "page_4")

    def test_of_several_bands(self, pages, coordinates):
        data = coordinates(4)
        scene = open_scene(pages(data[:2], data[2:]))
        assert scene.bands == ("page_1_band_1", "page_1_band_2", "page_2_band_1", "page_2_band_2")
        np.testing.assert_array_equal(open_scene(scene.path, bands=[2, 3]).read().data, data[1:3])

    def test_of_several_sizes_the_first_is_read_and_it_is_said(self, pages, coordinates, caplog):
        scene = open_scene(pages(coordinates(2), coordinates(2, height=20, width=25)))
        np.testing.assert_array_equal(scene.read().data, coordinates(2))
        assert "2 pages of several sizes, of which the first is read. Name another: GTIFF_DIR:2:" in caplog.text


def test_a_scene_in_memory_is_no_band_set(coordinates):
    assert isinstance(open_scene(ArrayScene(coordinates())), ArrayScene)
