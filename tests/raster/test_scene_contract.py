"""What every Scene promises, whoever implements it: one class of tests, inherited."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import rasterio.shutil
from rasterio.transform import Affine

from pixelkin.raster import open_mosaic, open_scene
from pixelkin.scene import ArrayScene, Scene, read_padded
from pixelkin.types import Window

from .conftest import UTM

HEIGHT, WIDTH = 40, 50


class SceneContract:
    """Subclasses give `scene`: 3 bands of 40 x 50 pixels by the `coordinates` fixture; pixel (7, 9) is not valid."""

    @pytest.fixture
    def scene(self) -> Scene:
        raise NotImplementedError

    def test_it_is_a_scene(self, scene):
        assert isinstance(scene, Scene)
        assert scene.grid.shape == (HEIGHT, WIDTH)
        assert len(scene.bands) == 3

    def test_a_window_holds_the_pixels_asked_for(self, scene):
        data, valid = scene.read(Window(5, 17, 2, 3))
        np.testing.assert_array_equal(data[0], [[5, 5, 5], [6, 6, 6]])
        np.testing.assert_array_equal(data[1], [[17, 18, 19], [17, 18, 19]])
        assert valid.dtype == np.bool_
        assert valid.all()

    def test_the_last_pixel_can_be_read(self, scene):
        data, valid = scene.read(Window(HEIGHT - 1, WIDTH - 1, 1, 1))
        assert (data[0, 0, 0], data[1, 0, 0]) == (HEIGHT - 1, WIDTH - 1)
        assert valid.item()

    def test_no_window_means_the_whole_image(self, scene):
        data, valid = scene.read()
        assert data.shape == (3, HEIGHT, WIDTH)
        expected = np.ones((HEIGHT, WIDTH), bool)
        expected[7, 9] = False
        np.testing.assert_array_equal(valid, expected)
        np.testing.assert_array_equal(data[0][valid], np.mgrid[:HEIGHT, :WIDTH][0][valid])

    def test_a_reader_may_change_what_it_got(self, scene):
        scene.read(Window(0, 0, 2, 2)).valid[:] = False
        assert scene.read(Window(0, 0, 2, 2)).valid.all()

    def test_threads_get_the_same_pixels(self, scene):
        windows = [Window(row, col, 8, 10) for row in range(0, 33, 4) for col in range(0, 41, 5)]
        alone = [scene.read(window) for window in windows]
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(scene.read, windows))
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one.data, other.data)
            np.testing.assert_array_equal(one.valid, other.valid)

    def test_it_survives_pickling(self, scene):
        copy = pickle.loads(pickle.dumps(scene))
        assert copy.fingerprint == scene.fingerprint
        np.testing.assert_array_equal(copy.read().valid, scene.read().valid)

    def test_the_fingerprint_is_stable(self, scene):
        assert scene.fingerprint == scene.fingerprint

    def test_padded_reads_reflect_at_the_edge(self, scene):
        data, valid = read_padded(scene, Window(-3, 47, 4, 6))
        np.testing.assert_array_equal(data[0, :, 0], [3, 2, 1, 0])
        np.testing.assert_array_equal(data[1, 0], [47, 48, 49, 48, 47, 46])
        assert valid.all()


class TestArrayScene(SceneContract):
    @pytest.fixture
    def scene(self, coordinates):
        mask = np.ones((HEIGHT, WIDTH), bool)
        mask[7, 9] = False
        return ArrayScene(coordinates(), mask)


class _FileContract(SceneContract):
    profile: ClassVar[dict[str, object]] = {}
    dtype = "uint16"

    @pytest.fixture
    def path(self, tmp_path, coordinates, write_raster) -> Path:
        data = coordinates(dtype=self.dtype)
        data[:, 7, 9] = 251
        return write_raster(tmp_path / "scene.tif", data, nodata=251, **self.profile)

    @pytest.fixture
    def scene(self, path):
        return open_scene(path)

    def test_another_file_has_another_fingerprint(self, scene, tmp_path, coordinates, write_raster):
        other = write_raster(tmp_path / "other.tif", coordinates(dtype=self.dtype), nodata=251, **self.profile)
        assert open_scene(other).fingerprint != scene.fingerprint

    def test_the_same_file_opened_twice_has_one_fingerprint(self, scene):
        assert open_scene(scene.path).fingerprint == scene.fingerprint


class TestGeoTiff(_FileContract):
    pass


class TestTiledCompressedGeoTiff(_FileContract):
    profile: ClassVar[dict[str, object]] = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate", "interleave": "pixel"}


class TestCog(_FileContract):
    @pytest.fixture
    def scene(self, path, tmp_path):
        rasterio.shutil.copy(path, tmp_path / "cog.tif", driver="COG", blocksize=128)
        return open_scene(tmp_path / "cog.tif")


class TestVrt(_FileContract):
    @pytest.fixture
    def scene(self, path, tmp_path):
        rasterio.shutil.copy(path, tmp_path / "scene.vrt", driver="VRT")
        return open_scene(tmp_path / "scene.vrt")


class TestEnvi(_FileContract):
    @pytest.fixture
    def scene(self, path, tmp_path):
        rasterio.shutil.copy(path, tmp_path / "scene.img", driver="ENVI")
        return open_scene(tmp_path / "scene.img")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"])
class TestEveryDtype(_FileContract):
    @pytest.fixture
    def path(self, tmp_path, coordinates, write_raster, dtype):
        data = coordinates(bands=2, dtype=dtype)
        data = np.concatenate([data, data[:1]])
        data[:, 7, 9] = 120
        return write_raster(tmp_path / "scene.tif", data, nodata=120)

    def test_the_dtype_is_kept(self, scene, dtype):
        assert scene.read(Window(0, 0, 1, 1)).data.dtype == dtype

    test_another_file_has_another_fingerprint = None


class TestMosaic(SceneContract):
    """Four quarters of unequal size, which overlap by a row."""

    @pytest.fixture
    def scene(self, tmp_path, coordinates, write_raster):
        data = coordinates()
        data[:, 7, 9] = 251
        for index, (row, col, height, width) in enumerate([(0, 0, 21, 30), (0, 30, 21, 20), (20, 0, 20, 30), (20, 30, 20, 20)]):
            part = data[:, row : row + height, col : col + width]
            write_raster(tmp_path / f"part{index}.tif", part, nodata=251, transform=UTM @ Affine.translation(col, row))
        return open_mosaic(tmp_path)
