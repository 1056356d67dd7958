"""Embeddings as the packages of their publishers write them, against what these packages return of the same files; `published/generate.py` makes them."""

from __future__ import annotations

import datetime as dt
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pixelkin.errors import RasterError
from pixelkin.raster import open_scene
from pixelkin.scene import Series

PUBLISHED = Path(__file__).with_name("published")
TILE = "global_0.1_degree_representation/2024/grid_0.15_52.05/grid_0.15_52.05"


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """Files of `geotessera` 0.7.5 and `geoai` 0.40.1."""
    return unpacked("0.7.5", tmp_path_factory)


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """Files of `geotessera` 0.11.0 and `tessera-eval` 1.18.0."""
    return unpacked("0.11.0", tmp_path_factory)


def unpacked(version, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    with zipfile.ZipFile(PUBLISHED / f"geotessera-{version}.zip") as archive:
        archive.extractall(folder)
    return folder


def returned_by_geotessera(folder, name="returned.npy"):
    """(band, row, col), and where all is finite: the older version gives infinite numbers where a tile has a hole."""
    values = np.load(folder / name).transpose(2, 0, 1)
    return values, np.isfinite(values).all(axis=0)


def require_same(scene, values, valid):
    pixels = scene.read()
    np.testing.assert_array_equal(pixels.valid, valid)
    np.testing.assert_array_equal(pixels.data[:, valid], values[:, valid])
    assert pixels.data.dtype == np.float32


OLDER = {"array": f"tile/{TILE}.npy", "GeoTIFF": f"tiff/{TILE}_2024.tiff", "Zarr": f"zarr/{TILE}_2024.zarr"}
NEWER = {
    "array": f"tile/{TILE}.npy",
    "GeoTIFF of 1.0": f"tiff/{TILE}_2024.tiff",
    "GeoTIFF of 1.1": f"newer/{TILE}_2024.tiff",
    "npz of tessera-eval": "npz/tiles-v1.1-dclimate/2024/0.15_52.05.npz",
}


class TestTessera:
    @pytest.mark.parametrize(
        ("packages", "name"), [("older", name) for name in OLDER.values()] + [("newer", name) for name in NEWER.values()]
    )
    def test_each_file_holds_what_geotessera_returns_where_it_lies(self, packages, name, request):
        folder = request.getfixturevalue(packages)
        values, valid = returned_by_geotessera(folder)
        assert (~valid).sum() == 2  # water and a hole
        scene = open_scene(folder / name)
        require_same(scene, values, valid)
        assert scene.grid.transform == (10, 0, 301_233.4, 0, -10, 5_775_417.6)
        assert (scene.grid.crs, scene.date) == ("EPSG:32631", dt.date(2024, 1, 1))

    @pytest.mark.parametrize("packages", ["older", "newer"])
    def test_some_of_its_bands(self, packages, request):
        folder = request.getfixturevalue(packages)
        values, valid = returned_by_geotessera(folder)
        scene = open_scene(folder / "some" / f"{TILE}_2024.tiff")
        assert scene.bands == ("Tessera_Band_3", "Tessera_Band_100")
        require_same(scene, values[[3, 100]], valid)

    def test_versions_and_variants_are_told_apart(self, older, newer):
        told = {name: open_scene(older / path).encoding for name, path in OLDER.items()}
        # It writes v1 for what the newer one calls 1.0, and beside an array nothing.
        assert told == {"array": "embedding: TESSERA", "GeoTIFF": "embedding: TESSERA 1.0", "Zarr": "embedding: TESSERA 1.0"}
        told = {name: open_scene(newer / path).encoding for name, path in NEWER.items()}
        assert told == {
            "array": "embedding: TESSERA 1.1 cambridge",
            "GeoTIFF of 1.0": "embedding: TESSERA 1.0",
            "GeoTIFF of 1.1": "embedding: TESSERA 1.1 cambridge",
            "npz of tessera-eval": "embedding: TESSERA 1.1 dclimate",
        }
        one, other = open_scene(newer / NEWER["GeoTIFF of 1.1"]), open_scene(newer / NEWER["npz of tessera-eval"])
        with pytest.raises(RasterError, match=r"TESSERA 1.1 dclimate, .* TESSERA 1.1 cambridge. Vectors of different"):
            Series((one, other))

    def test_a_region_that_was_streamed(self, newer):
        scene = open_scene(newer / "streamed" / "tessera_2024_utm31.tif")
        values, valid = returned_by_geotessera(newer, "streamed.npy")
        assert 0 < valid.sum() < valid.size
        require_same(scene, values, valid)
        assert (scene.encoding, scene.date) == ("embedding: TESSERA 1.1", dt.date(2024, 1, 1))

    def test_the_store_of_a_zone_is_refused_with_the_command_that_writes_a_region(self):
        xr = pytest.importorskip("xarray")
        zone = xr.Dataset(
            {
                "embeddings": (("time", "band", "y", "x"), np.zeros((1, 128, 4, 4), "int8")),
                "scales": (("time", "y", "x"), np.ones((1, 4, 4))),
            }
        )
        with pytest.raises(RasterError, match="geotessera download --source zarr"):
            open_scene(zone)


class TestAlphaEarth:
    def test_what_geoai_cuts_from_a_file_that_is_stored_bottom_up(self, older):
        whole, floats, stored = (
            open_scene(older / "alphaearth" / name) for name in ("alphaearth_2023.tif", "floats/aef_2023.tif", "stored/aef_2023.tif")
        )
        assert {scene.encoding for scene in (whole, floats, stored)} == {"embedding: AlphaEarth"}
        assert whole.grid == floats.grid == stored.grid
        require_same(whole, floats.read().data, floats.read().valid)
        require_same(stored, floats.read().data, floats.read().valid)
        assert (~whole.read().valid).sum() == 1
