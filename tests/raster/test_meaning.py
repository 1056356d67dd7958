"""What the numbers of a file mean: scales and offsets, alpha, fill values, missing bands, palettes."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from pixelkin.errors import RasterError
from pixelkin.model import Model, ModelConfig, Network, Standardisation
from pixelkin.raster import open_mosaic, open_scene
from pixelkin.raster._gdal import quiet
from pixelkin.raster.overview import read_overview
from pixelkin.scene import ArrayScene, Series
from pixelkin.training import train

RGBA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


@pytest.fixture
def encoded(tmp_path, coordinates, write_raster):
    """A file of the coordinates stored with an offset, and the scale and offset declared."""

    def write(name: str, add: int = 0, scale: float = 1.0, offset: float = 0.0, **options) -> Path:
        path = write_raster(tmp_path / name, coordinates() + np.uint16(add), **options)
        if (scale, offset) != (1.0, 0.0):
            with rasterio.open(path, "r+") as dataset:
                dataset.scales, dataset.offsets = [scale] * 3, [offset] * 3
        return path

    return write


class TestScale:
    def test_values_are_physical(self, encoded, coordinates):
        scene = open_scene(encoded("a.tif", 1000, 1e-4, -0.1, nodata=1005))
        pixels = scene.read()
        assert pixels.data.dtype.name == scene.dtype == "float32"
        np.testing.assert_allclose(pixels.data, coordinates() / 1e4, atol=1e-7)
        # No-data is what is stored, not what it means.
        assert np.array_equal(pixels.valid, (coordinates() != 5).all(axis=0))
        assert scene.encoding == "scaled"

    def test_two_encodings_of_the_same_are_the_same(self, encoded):
        one, other = (open_scene(encoded(name, add, 1e-4, -add / 1e4)) for name, add in (("2021-01-01.tif", 0), ("2022-03-01.tif", 1000)))
        np.testing.assert_allclose(one.read().data, other.read().data, rtol=1e-6, atol=1e-8)
        assert len(Series((one, other))) == 2

    @pytest.mark.parametrize("dtype", ["int32", "uint32", "float64"])
    def test_wide_numbers_keep_their_digits(self, tmp_path, write_raster, dtype):
        path = write_raster(tmp_path / "a.tif", np.arange(2_000_000_000, 2_000_000_006).reshape(1, 2, 3).astype(dtype))
        with rasterio.open(path, "r+") as dataset:
            dataset.scales, dataset.offsets = [0.5], [1.0]
        np.testing.assert_array_equal(open_scene(path).read().data.ravel(), np.arange(1_000_000_001, 1_000_000_004, 0.5))

    def test_numbers_as_they_are_stored(self, encoded, coordinates):
        path = encoded("a.tif", 1000, 1e-4, -0.1)
        scene = open_scene(path, scale=False)
        np.testing.assert_array_equal(scene.read().data, coordinates() + 1000)
        assert scene.fingerprint != open_scene(path).fingerprint

    def test_a_series_on_two_scales_is_refused_with_both_names(self, tmp_path, encoded):
        encoded("2021-01-01.tif")
        encoded("2022-03-01.tif", 1000, 1e-4, -0.1)
        with pytest.raises(
            RasterError, match=r"^2021-01-01 and 2022-03-01 are not on one scale: .* stored numbers, .* physical values .*scale=False"
        ):
            open_scene(tmp_path)
        assert len(open_scene(tmp_path, scale=False)) == 2

    @pytest.mark.parametrize(("factor", "dtype", "refused"), [(1e-4, "float32", True), (1.3, "float32", False), (1e-4, "uint16", False)])
    def test_whole_numbers_beside_floats_of_another_size_are_refused(self, tmp_path, write_raster, factor, dtype, refused):
        """Neither file says so: one program multiplied reflectance by 10,000."""
        data = np.random.default_rng(0).integers(500, 4000, (2, 40, 50)).astype(np.uint16)
        other = data if dtype == "uint16" else (data * factor).astype(dtype)
        write_raster(tmp_path / "2021-01-01.tif", data)
        write_raster(tmp_path / "2021-02-01.tif", other)
        if refused:
            with pytest.raises(
                RasterError, match=r"2021-01-01 and 2021-02-01 are not on one scale: 2021-01-01 has whole numbers about 2.*floats about 0.2"
            ):
                open_scene(tmp_path)
        else:
            assert len(open_scene(tmp_path)) == 2

    def test_a_mosaic_on_two_scales_is_refused(self, tmp_path, encoded):
        encoded("a.tif")
        encoded("b.tif", 0, 1e-4)
        with pytest.raises(RasterError, match="a and b are not on one scale"):
            open_mosaic(tmp_path)
        assert open_mosaic(tmp_path, scale=False).encoding == "stored"

    @pytest.mark.parametrize(("names", "fine"), [
        (("S2A_MSIL2A_20210202T105221_N0214_R051_T31TDG", "S2A_MSIL2A_20220202T105221_N0400_R051_T31TDG"), False),
        (("S2A_MSIL2A_20210202T105221_N0500_R051_T31TDG", "S2A_MSIL2A_20220202T105221_N0509_R051_T31TDG"), True),
        (("S2A_MSIL1C_20210202T105221_N0209_R051_T31TDG", "S2B_MSIL1C_20210302T105221_N0301_R051_T31TDG"), True),
        (("2021-02-02", "S2A_MSIL2A_20220202T105221_N0400_R051_T31TDG"), True),
    ])  # fmt: skip
    def test_sentinel_2_baselines_of_product_names(self, tmp_path, encoded, names, fine):
        for name in names:
            encoded(f"{name}.tif")
        if fine:
            assert len(open_scene(tmp_path)) == 2
        else:
            with pytest.raises(RasterError, match=rf"{names[0]} .*before 04.00.*{names[1]} .*since 04.00, which hold an offset of 1000"):
                open_scene(tmp_path)
            assert len(open_scene(tmp_path, scale=False)) == 2

    def test_floats_and_arrays_go_with_all(self, tmp_path, encoded, write_raster, coordinates):
        encoded("2021-01-01.tif", 0, 1e-4)
        write_raster(tmp_path / "2021-02-01.tif", coordinates(dtype="float32"))
        assert len(open_scene(tmp_path)) == 2
        assert open_scene(coordinates()).read().data.dtype == np.uint16

    def test_a_model_meets_images_of_its_scale_only(self, encoded):
        stored, scaled = open_scene(encoded("a.tif")), open_scene(encoded("b.tif", 0, 1e-4))
        config = ModelConfig(bands=stored.bands)
        statistics = Standardisation(np.zeros(3, np.float32), np.ones(3, np.float32))
        for info, fits, clashes in (
            ({}, stored, scaled),
            ({"encoding": "stored"}, stored, scaled),
            ({"encoding": "scaled"}, scaled, stored),
        ):
            model = Model(Network(config, seed=0), statistics, info)
            assert model.band_index(fits) == model.band_index(ArrayScene(fits.read().data, bands=fits.bands)) == [0, 1, 2]
            with pytest.raises(
                RasterError, match=f"{clashes.name} is not on the scale of the model: .*, the model was made on .*scale=False"
            ):
                model.band_index(clashes)
        assert Model(Network(config, seed=0), statistics, {"encoding": None}).band_index(scaled) == [0, 1, 2]

    def test_training_keeps_the_scale_and_refuses_two(self, tmp_path, write_raster):
        rng = np.random.default_rng(0)
        for name, scale in (("a", 1e-4), ("b", 1.0)):
            write_raster(tmp_path / f"{name}.tif", rng.integers(1, 3000, (2, 40, 50), dtype=np.uint16))
            with rasterio.open(tmp_path / f"{name}.tif", "r+") as dataset:
                dataset.scales = [scale] * 2
        scenes = [open_scene(tmp_path / f"{name}.tif") for name in "ab"]
        assert train(scenes[0], steps=1, patch_size=7).info["encoding"] == "scaled"
        with pytest.raises(RasterError, match="a and b are not on one scale"):
            train(scenes, steps=1, patch_size=7)


class TestAlpha:
    def write(self, path, write_raster, coordinates, alpha, **options):
        data = np.concatenate([coordinates(3, dtype="uint8"), alpha[None].astype("uint8")])
        return write_raster(path, data, colorinterp=RGBA, **options)

    @pytest.mark.parametrize("opaque", [255, 1])
    def test_a_mask_masks_and_is_said_to(self, tmp_path, write_raster, coordinates, caplog, opaque):
        mask = np.full((40, 50), opaque)
        mask[:, :7] = 0
        mask[:, 7] = opaque // 2  # a soft edge
        scene = open_scene(self.write(tmp_path / "a.tif", write_raster, coordinates, mask))
        assert scene.bands == ("band_1", "band_2", "band_3")
        assert np.array_equal(scene.read().valid, mask > 0)
        assert "band 4 is taken as alpha" in caplog.text
        assert "bands=['band_1', 'band_2', 'band_3', 'band_4']" in caplog.text

    @pytest.mark.parametrize("low", [0, 20])
    def test_infrared_that_is_tagged_alpha_is_data(self, tmp_path, write_raster, coordinates, caplog, low):
        infrared = np.random.default_rng(0).integers(low, 250, (40, 50))
        scene = open_scene(self.write(tmp_path / "a.tif", write_raster, coordinates, infrared))
        pixels = scene.read()
        assert np.array_equal(pixels.data[3], infrared)
        assert pixels.valid.all()
        assert "band 4 is tagged alpha and does not look like a mask" in caplog.text

    def test_a_large_image_is_judged_by_its_places(self, tmp_path, write_raster, coordinates):
        infrared = np.random.default_rng(0).integers(0, 250, (700, 600))
        data = np.concatenate([np.zeros((3, 700, 600), "uint8"), infrared[None].astype("uint8")])
        assert len(open_scene(write_raster(tmp_path / "a.tif", data, colorinterp=RGBA)).bands) == 4


class TestFillValues:
    @pytest.mark.parametrize(("dtype", "fill"), [
        ("float32", -3.4028235e38), ("float32", 1e20), ("float32", 9.96921e36), ("float64", -1.7976931348623157e308),
        ("float32", -9999), ("float32", -999), ("float64", -32768), ("int16", -32768), ("int16", -9999), ("int32", -2147483648), ("uint16", 65535),
    ])  # fmt: skip
    def test_one_that_is_not_declared_is_no_data_and_named(self, tmp_path, write_raster, coordinates, caplog, dtype, fill):
        data = coordinates(dtype=dtype)
        data[:, :6, 9:] = fill
        valid = np.ones((40, 50), bool)
        valid[:6, 9:] = False
        path = write_raster(tmp_path / "a.tif", data)
        assert np.array_equal(open_scene(path).read().valid, valid)
        assert f"a: it holds {fill:g}, which looks like a fill value" in caplog.text
        assert f"nodata={fill:g}" in caplog.text
        if abs(fill) < 1e19:
            assert open_scene(path, nodata="none").read().valid.all()

    def test_in_a_large_image_and_one_with_overviews(self, tmp_path, write_raster):
        data = np.random.default_rng(0).normal(size=(1, 900, 800)).astype("float32")
        data[:, :, :100] = -9999
        path = write_raster(tmp_path / "a.tif", data, tiled=True, blockxsize=256, blockysize=256)
        assert not open_scene(path).read().valid[:, :100].any()
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
        assert not open_scene(path).read().valid[:, :100].any()

    @pytest.mark.parametrize("data", [
        np.linspace(-20_000, 20_000, 2000), np.r_[np.full(100, -9999.0), np.linspace(-9000, 0, 1900)], np.zeros(2000), np.full(2000, -9999.0),
    ])  # fmt: skip
    def test_values_among_others_are_data(self, tmp_path, write_raster, data, caplog):
        path = write_raster(tmp_path / "a.tif", data.reshape(1, 40, 50).astype("float32"))
        assert open_scene(path).read().valid.all()
        assert not caplog.records

    def test_what_the_file_declares_is_not_questioned(self, tmp_path, write_raster, coordinates, caplog):
        data = coordinates(dtype="int16")
        data[:, :6] = -9999
        assert open_scene(write_raster(tmp_path / "a.tif", data, nodata=0)).read().valid[1:6, 1:].all()
        assert not caplog.records

    def test_dates_share_it(self, tmp_path, write_raster, coordinates):
        for day, rows in ((1, 6), (2, 0)):
            data = np.zeros((3, 700, 600), "float32")
            data[:, :rows] = -9999
            data[:, 600, 200] = -9999  # where nobody looks
            write_raster(tmp_path / f"2020-01-0{day}.tif", data)
        assert [bool(scene.read().valid[600, 200]) for scene in open_scene(tmp_path)] == [False, False]


class TestMissingBands:
    def test_filled_with_the_median_of_the_band(self, tmp_path, write_raster):
        data = np.full((3, 20, 20), 7, "int16")
        data[0, :10], data[1, 10:], data[2] = -1, -1, np.arange(400).reshape(20, 20)
        data[:, 19, 19] = -1
        path = write_raster(tmp_path / "a.tif", data, nodata=-1)
        assert not open_scene(path).read().valid.any()
        scene = open_scene(path, missing="fill")
        pixels = scene.read()
        assert np.argwhere(~pixels.valid).tolist() == [[19, 19]]
        assert (pixels.data[:2, pixels.valid] == 7).all()
        assert scene.fingerprint != open_scene(path).fingerprint
        part, whole = scene.read(scene.grid.window), read_overview(scene, scene.grid.window, 1)
        assert np.array_equal(part.valid, whole.valid)

    def test_physical_values_take_a_physical_median(self, tmp_path, write_raster):
        data = np.array([[[100, 300, 0, 500]], [[1, 1, 1, 1]]], "uint16")
        path = write_raster(tmp_path / "a.tif", data, nodata=0)
        with rasterio.open(path, "r+") as dataset:
            dataset.scales, dataset.offsets = [0.01, 1.0], [-1.0, 0.0]
        np.testing.assert_allclose(open_scene(path, missing="fill").read().data[0, 0], [0, 2, 2, 4], atol=1e-6)


class TestPalette:
    def write(self, tmp_path, write_raster, table, indices, **options):
        path = write_raster(tmp_path / "a.tif", indices[None].astype("uint8"), photometric="PALETTE", **options)
        with rasterio.open(path, "r+") as dataset:
            dataset.write_colormap(1, table)
        return path

    def test_indices_become_colours(self, tmp_path, write_raster, coordinates, caplog):
        indices = coordinates(1)[0] % 4
        table = {0: (9, 8, 7, 255), 1: (200, 0, 3, 255), 2: (0, 90, 10, 255), 3: (1, 1, 250, 255)}
        scene = open_scene(self.write(tmp_path, write_raster, table, indices, nodata=2))
        pixels = scene.read()
        assert scene.bands == ("red", "green", "blue")
        assert pixels.data[:, 0, 0].tolist() == [9, 8, 7]
        assert pixels.data[:, 1, 0].tolist() == [200, 0, 3]
        assert np.array_equal(pixels.valid, indices != 2)
        assert "its palette is read as colours" in caplog.text
        blue = open_scene(scene.path, bands=["blue"])
        assert np.array_equal(blue.read().data[0], pixels.data[2])
        assert np.array_equal(read_overview(scene, scene.grid.window, 2).data.shape, (3, 20, 25))

    def test_transparent_colours_are_no_data(self, tmp_path):
        indices = np.arange(6, dtype="uint8").reshape(1, 2, 3)
        with quiet(), rasterio.open(tmp_path / "a.png", "w", driver="PNG", height=2, width=3, count=1, dtype="uint8") as dataset:
            dataset.write(indices)
            dataset.write_colormap(1, {i: (i, 0, 50 - i, 0 if i in (1, 4) else 255) for i in range(6)})
        pixels = open_scene(tmp_path / "a.png").read()
        assert pixels.data[0].tolist() == indices[0].tolist()
        assert pixels.valid.tolist() == [[True, False, True], [True, False, True]]

    def test_a_palette_of_grey_is_one_band(self, tmp_path, write_raster, coordinates):
        scene = open_scene(self.write(tmp_path, write_raster, {i: (255 - i,) * 3 + (255,) for i in range(256)}, coordinates(1)[0]))
        assert scene.bands == ("band_1",)
        assert scene.read().data[0, :, 0].tolist() == list(range(255, 215, -1))


def test_what_is_plain_is_read_without_a_word(encoded, caplog):
    with caplog.at_level(logging.INFO):
        open_scene(encoded("a.tif")).read()
    assert not caplog.records
