"""Small rasters whose pixels say where they lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

UTM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0)

WriteRaster = Callable[..., Path]


@pytest.fixture(scope="session")
def coordinates() -> Callable[..., np.ndarray]:
    """An array (band, row, col): band 0 is the row, band 1 the column, further ones 1000 * band + row - column."""

    def make(bands: int = 3, height: int = 40, width: int = 50, dtype: str = "uint16") -> np.ndarray:
        rows, cols = np.mgrid[:height, :width]
        layers = [rows, cols, *(100 * band + rows - cols for band in range(2, bands))][:bands]
        return np.stack(layers).astype(dtype)

    return make


@pytest.fixture(scope="session")
def write_raster() -> WriteRaster:
    """Write an array to a file with rasterio alone, so that our own writer is never its own judge."""

    def write(
        path: Path,
        data: np.ndarray,
        *,
        crs: str | None = "EPSG:32631",
        transform: Affine = UTM,
        descriptions: tuple[str, ...] = (),
        tags: dict[str, str] | None = None,
        mask: np.ndarray | None = None,
        colorinterp: list[Any] | None = None,
        driver: str = "GTiff",
        **profile: Any,
    ) -> Path:
        count, height, width = data.shape
        if driver == "GTiff":
            profile = {"photometric": "MINISBLACK", "alpha": "NO", **profile}
        env = rasterio.Env(GDAL_TIFF_INTERNAL_MASK=profile.pop("internal_mask", True))
        with (
            env,
            rasterio.open(
                path, "w", driver=driver, count=count, height=height, width=width, dtype=data.dtype, crs=crs, transform=transform, **profile
            ) as dataset,
        ):
            if colorinterp is not None:
                dataset.colorinterp = colorinterp
            dataset.write(data)
            for index, description in enumerate(descriptions, 1):
                dataset.set_band_description(index, description)
            if mask is not None:
                dataset.write_mask(mask)
            if tags:
                dataset.update_tags(**tags)
        return path

    return write


@pytest.fixture(scope="session")
def imagery() -> Path:
    """The folder of real imagery; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("PIXELKIN_DATA", Path(__file__).parents[2] / "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real imagery at {folder}; set PIXELKIN_DATA to its folder")
    return folder
