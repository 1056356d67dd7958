"""Small data sets in the layouts that `reproduce` reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine


def write_raster(path: Path, data: np.ndarray, names: tuple[str, ...] = ()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=data.shape[1],
        width=data.shape[2],
        count=len(data),
        dtype=data.dtype,
        crs="EPSG:32631",
        transform=Affine(10, 0, 400_000, 0, -10, 4_700_000),
    ) as out:
        out.write(data)
        if names:
            out.descriptions = names


def fields(height: int, width: int, classes: int = 3) -> np.ndarray:
    """Upright stripes of classes 1, 2, ...; each class occurs in every row."""
    return np.repeat(np.arange(width)[None] * classes // width + 1, height, axis=0).astype(np.uint8)


def picture(truth: np.ndarray, rng: np.random.Generator, shift: int = 0) -> np.ndarray:
    """Two bands that tell the classes apart, with noise."""
    clean = np.stack([40 * truth + shift, 250 - 60 * truth])
    return np.clip(clean + rng.normal(0, 3, clean.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def images_folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two images with truth and one without."""
    folder = tmp_path / "fields"
    for name in ("north", "south", "west"):
        truth = fields(40, 48)
        write_raster(folder / f"{name}.tif", picture(truth, rng), ("red", "nir"))
        if name != "west":
            write_raster(folder / f"{name}_classes.tif", truth[None])
    return folder


@pytest.fixture
def series_folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Three dates, of which two have water marked."""
    folder = tmp_path / "lake"
    water = (fields(40, 48, 2) == 1).astype(np.uint8)
    for k, date in enumerate(("2020-01-05", "2020-04-05", "2020-08-05")):
        write_raster(folder / f"{date}.tif", picture(water + 1, rng, shift=4 * k), ("red", "nir"))
        if k != 1:
            write_raster(folder / f"{date}_water.tif", water[None])
    return folder
