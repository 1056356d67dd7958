"""Generated embeddings as the packages of their publishers write and return them: the archives beside this file.

They are made in environments of their own, because no one of them has all these packages:

    pip install geotessera==0.7.5 geoai-py==0.40.1     # Python 3.11
    python tests/raster/published/generate.py geotessera-0.7.5.zip
    pip install geotessera==0.11.0 tessera-eval==1.18.0     # Python 3.12
    python tests/raster/published/generate.py geotessera-0.11.0.zip

Files that a server gives and no package writes (.npy, scales, land masks, int8 of AlphaEarth) are written here; all others, and what the packages return, are theirs.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import geopandas as gpd
import geotessera
import numpy as np
import rasterio
from rasterio.transform import Affine

LON, LAT, YEAR = 0.15, 52.05, 2024
HEIGHT, WIDTH = 9, 7
NAME = f"grid_{LON:.2f}_{LAT:.2f}"


def write_tile(folder: Path, transform: Affine) -> None:
    """What a server gives of a tile: vectors, scales with water (NaN) and holes (inf), the mask of land whose grid they are on."""
    rng = np.random.default_rng(0)
    place = folder / "global_0.1_degree_representation" / str(YEAR) / NAME
    place.mkdir(parents=True)
    scales = rng.uniform(0.01, 0.05, (HEIGHT, WIDTH)).astype(np.float32)
    scales[0, 0], scales[2, 3] = np.nan, np.inf
    np.save(place / f"{NAME}.npy", rng.integers(-127, 128, (HEIGHT, WIDTH, 128)).astype(np.int8))
    np.save(place / f"{NAME}_scales.npy", scales)
    land = folder / "global_0.1_degree_tiff_all" / f"{NAME}.tiff"
    land.parent.mkdir()
    mask = np.ones((HEIGHT, WIDTH), np.uint8)
    mask[0, 0] = 0
    with rasterio.open(
        land, "w", driver="GTiff", count=1, height=HEIGHT, width=WIDTH, dtype="uint8", crs="EPSG:32631", transform=transform
    ) as dataset:
        dataset.write(mask, 1)


def registries(folder: Path) -> None:
    """Tables of the tiles there are, in the words of both versions."""
    row = {
        "lon": [LON],
        "lat": [LAT],
        "year": [YEAR],
        "hash": ["-"],
        "scales_hash": ["-"],
        "file_size": [1],
        "grid_size": [1],
        "scales_size": [1],
    }
    frame = gpd.GeoDataFrame(row, geometry=gpd.points_from_xy(row["lon"], row["lat"]), crs="EPSG:4326")
    folder.mkdir()
    frame.to_parquet(folder / "registry.parquet")
    for name in ("manifest", "landmasks"):
        frame.drop(columns="geometry").to_parquet(folder / f"{name}.parquet")


def write_tessera(folder: Path, tables: Path) -> None:
    """A tile, and what `geotessera` makes of it and returns."""
    registries(tables)
    # Off the grid of whole pixels, as real tiles are.
    write_tile(folder / "tile", Affine(10.0, 0.0, 301_233.4, 0.0, -10.0, 5_775_417.6))
    options = {"dataset_version": "v1", "embeddings_dir": folder / "tile", "registry_dir": tables, "cache_dir": tables}
    client = geotessera.GeoTessera(**options)
    np.save(folder / "returned.npy", client.fetch_embedding(LON, LAT, YEAR)[0])
    tiles = [(YEAR, LON, LAT)]
    client.export_embedding_geotiffs(tiles, folder / "tiff")
    client.export_embedding_geotiffs(tiles, folder / "some", bands=[3, 100])
    if hasattr(client, "export_embedding_zarrs"):
        client.export_embedding_zarrs(tiles, folder / "zarr")
        return
    newer = geotessera.GeoTessera(**{**options, "dataset_version": "v1.1", "embeddings_dir": folder / "tile"})
    newer.export_embedding_geotiffs(tiles, folder / "newer")
    registry = importlib.import_module("geotessera.registry")
    registry.write_tessera_metadata(folder / "tile", "v1.1", "cambridge")
    write_streamed(folder, newer, tables)
    write_npz(folder)


def write_streamed(folder: Path, client: geotessera.GeoTessera, scratch: Path) -> None:
    """A region of the Zarr store of a zone, which has the tile for one of two years."""
    zarr = importlib.import_module("geotessera.zarr")
    projected = zarr.project_tile

    def small(*args: object, **kwargs: object) -> object:
        return dataclasses.replace(projected(*args, **kwargs), height=HEIGHT, width=WIDTH)

    zarr.project_tile = small
    store = scratch / "store.zarr"
    zarr.init_store(client.registry, store, [YEAR - 1, YEAR], "0.11.0", "1.1", stretch_sample_size=4)
    zarr.fill_store(client.registry, store, workers=1, collect_stretch_stats=False)
    reader = importlib.import_module("geotessera.store").GeoTesseraZarr(str(store))
    attributes = reader.open_zone(lon=LON).attrs
    west, north = attributes["spatial:transform"][2], attributes["spatial:transform"][5]
    warp = importlib.import_module("rasterio.warp")
    bbox = warp.transform_bounds("EPSG:32631", "EPSG:4326", west + 1, north - 109, west + 89, north - 1)
    importlib.import_module("geotessera.streaming").export_region(reader, bbox, YEAR, folder / "streamed")
    values, _, _ = reader.read_region(bbox, YEAR)
    np.save(folder / "streamed.npy", values)


def write_npz(folder: Path) -> None:
    """A tile in the cache of `tessera-eval`."""
    dataset = importlib.import_module("tessera_eval.dataset")
    place = folder / "tile" / "global_0.1_degree_representation" / str(YEAR) / NAME
    with rasterio.open(folder / "tile" / "global_0.1_degree_tiff_all" / f"{NAME}.tiff") as land:
        grid = land.transform, land.crs
    keeper = object.__new__(dataset.ZarrClient)  # made as usual, it would ask for a server
    keeper._tile_dir = folder / "npz" / f"tiles-{dataset.EMBEDDINGS_DATASET_VERSION}-{dataset.EMBEDDINGS_DATASET_VARIANT}"
    keeper._tile_cache_bytes, keeper._tile_cache_max = 0, 10**9
    path = keeper._tile_path(YEAR, LON, LAT)
    keeper._save_tile(path, np.load(place / f"{NAME}.npy"), np.load(place / f"{NAME}_scales.npy"), *grid)


def write_alphaearth(folder: Path, home: Path) -> None:
    """A COG of AlphaEarth, bottom-up, and what `geoai` cuts from it; its downloads are answered from here."""
    embeddings = importlib.import_module("geoai.embeddings")
    numbers = np.random.default_rng(1).integers(-127, 128, (64, 12, 10)).astype(np.int8)
    numbers[:, 1, 2] = -128
    source = folder / "alphaearth_2023.tif"
    source.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        source, "w", driver="GTiff", count=64, height=12, width=10, dtype="int8", crs="EPSG:32631", nodata=-128,
        transform=Affine(10.0, 0.0, 301_230.0, 0.0, 10.0, 5_775_400.0), interleave="pixel", compress="zstd",
    ) as dataset:  # fmt: skip
        dataset.write(numbers)
        dataset.descriptions = [f"A{i:02d}" for i in range(64)]
    cache = home / ".cache" / "geoai"
    cache.mkdir(parents=True)
    bounds = importlib.import_module("rasterio.warp").transform_bounds("EPSG:32631", "EPSG:4326", 301_200, 5_775_370, 301_350, 5_775_550)
    from shapely.geometry import box

    row = {"year": [2023], "path": [str(source)], "crs": ["EPSG:32631"]}
    gpd.GeoDataFrame(row, geometry=[box(*bounds)], crs="EPSG:4326").to_parquet(cache / "aef_index.parquet")
    opened = rasterio.open
    rasterio.open = lambda path, *args, **kwargs: opened(str(path).removeprefix("/vsicurl/"), *args, **kwargs)
    os.environ["HOME"] = str(home)
    for name, dequantise in (("floats", True), ("stored", False)):
        embeddings.download_google_satellite_embedding(bounds, str(folder / name), 2023, crs=None, dequantize=dequantise)


def main() -> None:
    """Write the archive that is named."""
    archive = Path(__file__).with_name(sys.argv[1])
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "files"
        write_tessera(folder, Path(made) / "tables")
        if importlib.util.find_spec("geoai"):
            write_alphaearth(folder / "alphaearth", Path(made) / "home")
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    out.write(path, path.relative_to(folder))
                    print(f"{path.stat().st_size:8d} {path.relative_to(folder)}")
    print(f"{archive.name}: {archive.stat().st_size} bytes")


if __name__ == "__main__":
    main()
