"""A scene held in memory as a file that `open_scene` gives back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from ..errors import OutputError
from ..scene import Scene
from ._gdal import one_line, quiet


def write_scene(scene: Scene, path: str | Path) -> Path:
    """Write a scene's pixels, mask, band names, date and grid as a tiled GeoTIFF; a file that is there is replaced.

    Args:
        scene: Any scene; its pixels must fit into memory.
        path: File to write.

    Returns:
        The path written.

    Raises:
        OutputError: The disk refuses it, or GeoTIFF has no such data type.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    data, valid = scene.read()
    # GeoTIFF has neither; both conversions are exact.
    stored = data.astype(np.uint8 if data.dtype == np.bool_ else np.float32) if data.dtype in (np.bool_, np.float16) else data
    grid = scene.grid
    try:
        with (
            quiet(),
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                temporary,
                "w",
                driver="GTiff",
                height=grid.height,
                width=grid.width,
                count=len(stored),
                dtype=stored.dtype,
                crs=grid.crs,
                transform=rasterio.Affine(*grid.transform),
                tiled=True,
                blockxsize=256,
                blockysize=256,
                compress="deflate",
                photometric="minisblack",
                bigtiff="if_safer",
            ) as dataset,
        ):
            dataset.write(stored)
            dataset.descriptions = scene.bands
            if scene.date is not None:
                dataset.update_tags(ACQUISITIONDATE=scene.date.isoformat())
            if not valid.all():
                dataset.write_mask(valid)
        temporary.replace(path)
    except (RasterioError, OSError, TypeError) as exc:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {one_line(exc)}. Free space, or give the array another data type.") from exc
    return path
