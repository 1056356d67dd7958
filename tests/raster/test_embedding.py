"""Ready-made embeddings as files hold them."""

from __future__ import annotations

import datetime as dt
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from pixelkin.errors import ModelError, RasterError
from pixelkin.features import EmbeddingFeatures
from pixelkin.raster import open_scene, open_stack
from pixelkin.raster.embedding import EmbeddingScene
from pixelkin.raster.reader import RasterScene
from pixelkin.scene import Series
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels, Legend, Window

BOTTOM_UP = Affine(10.0, 0.0, 500_000.0, 0.0, 10.0, 4_599_600.0)
ALPHAEARTH = tuple(f"A{i:02d}" for i in range(64))
TESSERA = tuple(f"Tessera_Band_{i}" for i in range(128))


@pytest.fixture
def alphaearth(tmp_path, write_raster):
    def write(name="tile_20200101_2021.tif", numbers=None, bands=ALPHAEARTH, transform=BOTTOM_UP, **profile):
        if numbers is None:
            numbers = np.random.default_rng(0).integers(-127, 128, (len(bands), 40, 50)).astype("int8")
        return write_raster(tmp_path / name, numbers, descriptions=bands, transform=transform, **profile), numbers

    return write


class TestAlphaEarth:
    def test_values_are_the_publishers_and_rows_run_south(self, alphaearth):
        path, numbers = alphaearth(nodata=-128)
        scene = open_scene(path)
        assert isinstance(scene, EmbeddingScene)
        assert scene.encoding == "embedding: AlphaEarth"
        assert scene.date == dt.date(2021, 1, 1)  # the other digits are no date
        assert scene.grid.transform == (10, 0, 500_000, 0, -10, 4_600_000)
        exact = np.sign(numbers.astype(np.float64)) * (numbers / 127.5) ** 2
        np.testing.assert_array_equal(scene.read().data, exact[:, ::-1].astype(np.float32))
        np.testing.assert_array_equal(scene.read(Window(3, 5, 7, 9)).data, exact[:, ::-1].astype(np.float32)[:, 3:10, 5:14])
        assert pickle.loads(pickle.dumps(scene)).fingerprint == scene.fingerprint

    def test_minus_128_and_vectors_of_zeros_are_no_data(self, alphaearth):
        numbers = np.random.default_rng(0).integers(1, 128, (64, 40, 50)).astype("int8")
        numbers[:, 0, 0], numbers[7, 1, 1], numbers[:, 2, 2], numbers[5, 3, 3] = -128, -128, 0, 0
        path, _ = alphaearth(numbers=numbers, transform=Affine(10, 0, 500_000, 0, -10, 4_600_000))
        assert np.argwhere(~open_scene(path).read().valid).tolist() == [[0, 0], [1, 1], [2, 2]]

    def test_floats_are_taken_as_they_are(self, alphaearth):
        values = np.random.default_rng(0).normal(size=(64, 40, 50))
        values[:, 0, 0] = np.nan
        path, _ = alphaearth(numbers=values, transform=Affine(10, 0, 500_000, 0, -10, 4_600_000), nodata=np.nan)
        scene = open_scene(path)
        assert scene.encoding == "embedding: AlphaEarth"
        np.testing.assert_array_equal(scene.read().data[:, 1:], values[:, 1:].astype(np.float32))
        assert not scene.read().valid[0, 0]

    def test_as_an_image_where_it_is_asked_for(self, alphaearth):
        path, numbers = alphaearth()
        scene = open_scene(path, kind="image")
        assert isinstance(scene, RasterScene)
        np.testing.assert_array_equal(scene.read().data, numbers)

    def test_an_image_is_none(self, tmp_path, write_raster, coordinates):
        path = write_raster(tmp_path / "a.tif", coordinates(4))
        assert isinstance(open_scene(path), RasterScene)
        with pytest.raises(RasterError, match="a has 4 bands, expected the 64 of AlphaEarth"):
            open_scene(path, kind="alphaearth")
        assert open_scene(path, kind="generic").encoding == "embedding: generic"


class TestTessera:
    @pytest.fixture
    def tile(self, tmp_path, write_raster):
        """As `geotessera download --format npy` leaves it."""

        def write(scales=True, shape=(40, 50), dtype="int8", companion=True):
            rng = np.random.default_rng(0)
            numbers = rng.integers(-127, 128, (*shape, 128)).astype(dtype)
            factors = rng.uniform(0.01, 0.05, shape).astype("float32")
            folder = tmp_path / "global_0.1_degree_representation" / "2024" / "grid_0.15_52.05"
            folder.mkdir(parents=True)
            np.save(folder / "grid_0.15_52.05.npy", numbers)
            if scales:
                np.save(folder / "grid_0.15_52.05_scales.npy", factors)
            if companion:
                (tmp_path / "global_0.1_degree_tiff_all").mkdir()
                write_raster(tmp_path / "global_0.1_degree_tiff_all" / "grid_0.15_52.05.tiff", np.ones((1, 40, 50), "uint8"))
            return folder / "grid_0.15_52.05.npy", numbers, factors

        return write

    def test_an_array_with_its_scales_on_the_grid_of_its_companion(self, tile):
        path, numbers, factors = tile()
        factors[0, 0] = np.nan
        np.save(path.with_name("grid_0.15_52.05_scales.npy"), factors)
        scene = open_scene(path)
        assert (scene.encoding, scene.date, scene.bands[-1]) == ("embedding: TESSERA", dt.date(2024, 1, 1), "Tessera_Band_127")
        assert scene.grid.transform == (10, 0, 500_000, 0, -10, 4_600_000)
        assert scene.grid.crs == "EPSG:32631"
        pixels = scene.read(Window(0, 3, 30, 40))
        expected = (numbers.astype(np.float32) * factors[..., None]).transpose(2, 0, 1)[:, :30, 3:43]
        np.testing.assert_array_equal(pixels.data, expected)
        assert not scene.read().valid[0, 0]
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(scene)).read(Window(0, 3, 30, 40)).data, expected)

    def test_in_whatever_order_its_numbers_are_stored(self, tile):
        path, numbers, _ = tile()
        expected = open_scene(path).read(Window(5, 3, 30, 40)).data
        np.save(path, np.asfortranarray(numbers))
        np.testing.assert_array_equal(open_scene(path).read(Window(5, 3, 30, 40)).data, expected)

    def test_a_file_that_was_cut_short_since_is_refused(self, tile):
        path, _, _ = tile()
        scene = open_scene(path)
        scene.read()
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - 10)
        with pytest.raises(RasterError, match=r"grid_0.15_52.05.npy ends before row 39, expected 40 rows"):
            scene.read(Window(30, 0, 10, 50))

    def test_reading_it_keeps_none_of_it_in_memory(self, tile):
        """Pages of a mapped file count for the process that reads it: a tile of Sentinel-2 has 15 GB of them."""
        path, _, _ = tile()
        scene = open_scene(path)
        scene.read()
        status = Path("/proc/self/smaps")
        if not status.is_file():
            pytest.skip("memory by file is told by Linux alone")
        _, _, mapped = status.read_text().partition(str(path))
        kept = re.search(r"Rss:\s+(\d+) kB", mapped)
        assert kept is None or int(kept[1]) <= 64

    def test_without_its_scales_it_is_refused(self, tile):
        with pytest.raises(RasterError, match=r"holds int8 numbers and grid_0.15_52.05_scales.npy is not beside it"):
            open_scene(tile(scales=False)[0])

    def test_floats_need_none(self, tile):
        path, numbers, _ = tile(scales=False, dtype="float32")
        np.testing.assert_array_equal(open_scene(path).read().data, numbers.transpose(2, 0, 1))

    def test_without_its_companion_it_has_no_place_and_it_is_said(self, tile, caplog):
        scene = open_scene(tile(companion=False)[0])
        assert scene.grid.crs is None
        assert "grid_0.15_52.05.tiff, whose grid it lies on, is not in a folder global_0.1_degree_tiff_all" in caplog.text

    def test_another_array_is_refused(self, tmp_path):
        np.save(tmp_path / "a.npy", np.zeros((4, 5, 3), "int8"))
        with pytest.raises(RasterError, match=r"has shape \(4, 5, 3\), expected \(row, col, 128\)"):
            open_scene(tmp_path / "a.npy")

    def test_npz_of_tessera_eval(self, tmp_path):
        numbers = np.random.default_rng(0).integers(-127, 128, (4, 5, 128)).astype("int8")
        factors = np.full((4, 5), 0.5, "float32")
        np.savez(
            tmp_path / "tile_2023.npz",
            q=numbers,
            scales=factors,
            transform=np.array([10, 0, 5e5, 0, -10, 46e5]),
            crs=np.asarray("EPSG:32631"),
        )
        scene = open_scene(tmp_path / "tile_2023.npz")
        assert (scene.grid.crs, scene.grid.transform[2], scene.date) == ("EPSG:32631", 5e5, dt.date(2023, 1, 1))
        np.testing.assert_array_equal(scene.read().data, numbers.transpose(2, 0, 1) * np.float32(0.5))

    def geotiff(self, folder, write_raster, name, version):
        values = np.random.default_rng(0).normal(size=(128, 40, 50)).astype("float32")
        return write_raster(
            folder / name, values, descriptions=TESSERA, tags={"TESSERA_DATASET_VERSION": version, "TESSERA_YEAR": "2024"}
        ), values

    def test_geotiff(self, tmp_path, write_raster):
        path, values = self.geotiff(tmp_path, write_raster, "grid_0.15_52.05_2024.tiff", "v1")
        scene = open_scene(path)
        assert (scene.encoding, scene.date) == ("embedding: TESSERA 1.0", dt.date(2024, 1, 1))
        np.testing.assert_array_equal(scene.read().data, values)

    def test_two_versions_are_refused_and_both_named(self, tmp_path, write_raster):
        one, other = (
            open_scene(self.geotiff(tmp_path, write_raster, f"g_{year}.tif", version)[0]) for year, version in ((2023, "v1"), (2024, "v2"))
        )
        with pytest.raises(
            RasterError, match=r"embedding: TESSERA 1.0, .* embedding: TESSERA 2.0. Vectors of different products or versions"
        ):
            Series((one, other))

    def test_zarr(self, tmp_path):
        xr = pytest.importorskip("xarray")
        values = np.random.default_rng(0).normal(size=(6, 7, 128)).astype("float32")
        attributes = {"TESSERA_DATASET_VERSION": "v1", "TESSERA_YEAR": 2022}
        coords = {
            "y": 4_600_000 - 5 - 10.0 * np.arange(6),
            "x": 500_005 + 10.0 * np.arange(7),
            "band": np.array(TESSERA, dtype=np.dtypes.StringDType()),
        }
        dataset = xr.Dataset({"embedding": (("y", "x", "band"), values)}, coords=coords, attrs=attributes)
        dataset.coords["spatial_ref"] = ((), 0, {"crs_wkt": rasterio.crs.CRS.from_epsg(32631).to_wkt()})
        dataset.to_zarr(tmp_path / "grid.zarr", zarr_format=3, consolidated=False)
        scene = open_scene(tmp_path / "grid.zarr")
        assert (scene.encoding, scene.date) == ("embedding: TESSERA 1.0", dt.date(2022, 1, 1))
        np.testing.assert_array_equal(scene.read().data, values.transpose(2, 0, 1))


class TestSegmenting:
    @pytest.fixture
    def labelled(self, alphaearth):
        """Two kinds of vectors, left and right, and four labels."""
        rng = np.random.default_rng(0)
        kinds = rng.normal(size=(2, 64))
        vectors = kinds[(np.arange(300) >= 150).astype(int)][None] + rng.normal(0, 0.5, (280, 300, 64))
        vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
        numbers = np.round(np.sign(vectors) * np.sqrt(np.abs(vectors)) * 127.5).clip(-127, 127).astype("int8").transpose(2, 0, 1)
        scene = open_scene(alphaearth(numbers=numbers, nodata=-128)[0])
        labels = LabelledPixels(
            np.array([9, 200, 20, 270]), np.array([9, 80, 290, 170]), np.array([1, 1, 2, 2], np.uint8), Legend.from_names(["a", "b"])
        )
        return scene, labels

    def test_without_an_encoder_a_scene_of_vectors_is_mapped_from_them(self, labelled):
        scene, labels = labelled
        segmenter = Segmenter().fit(scene, labels)
        assert segmenter.features.names == ("embedding",)
        result = segmenter.predict(scene)
        assert (result.classes[:, :140] == 1).mean() > 0.99
        assert (result.classes[:, 160:] == 2).mean() > 0.99
        part = Segmenter().fit(scene, labels).predict(scene, Window(200, 90, 70, 120))
        assert np.array_equal(part.classes, result.classes[200:270, 90:210])
        assert np.array_equal(part.confidence, result.confidence[200:270, 90:210])
        assert result.provenance["features"] == "embedding"

    def test_references_bring_their_features(self, labelled, tmp_path):
        scene, labels = labelled
        first = Segmenter().fit(scene, labels)
        first.references.save(tmp_path / "r.safetensors")
        other = Segmenter()
        other.references = type(first.references).load(tmp_path / "r.safetensors")
        assert np.array_equal(other.predict(scene).classes, first.predict(scene).classes)

    def test_imagery_beside_them_guides_the_smoothing(self, labelled, tmp_path, write_raster, coordinates):
        scene, labels = labelled
        imagery = write_raster(tmp_path / "s2.tif", coordinates(4, 280, 300), transform=Affine(*scene.grid.transform))
        block = Window(64, 32, 40, 50)
        for order in ([scene, imagery], [imagery, scene]):
            stack = open_stack(order)
            segmenter = Segmenter().fit(stack, labels)
            assert segmenter.features.names == ("embedding", "bands")
            guide = segmenter.features.fields(stack, block).guide
            np.testing.assert_array_equal(guide.numpy(), open_scene(imagery).read(block).data)
        # Of vectors alone, their first principal components.
        assert Segmenter().fit(scene, labels).features.fields(scene, block).guide.shape == (3, 40, 50)

    def test_one_scale_for_all_numbers(self, labelled, coordinates):
        scene, _ = labelled
        group = EmbeddingFeatures().group(scene)
        assert (group.width, group.own, group.standardise) == (128, 64, "together")
        with pytest.raises(ModelError, match="array holds no ready-made embedding"):
            EmbeddingFeatures().group(open_scene(coordinates()))
