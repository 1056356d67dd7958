"""Which files a source is read from, so that no result is written over one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pixelkin.errors import PkError
from pixelkin.files import Name, companions, local_files
from pixelkin.scene import Scene, Series

from .reader import open_dataset

_STORES = ("zarr.json", ".zgroup", ".zarray", "project.json")
"""What a folder holds that is one data set: a Zarr store, or a project."""

_NO_RASTERS = (".geojson", ".json", ".csv", ".shp", ".gpkg", ".fgb", ".kml", ".parquet", ".safetensors")
"""Files that are not asked for parts: GDAL would take some, such as a long CSV, for rasters, and read all of them."""


def files_of(source: Name | Scene | Series | Iterable[Any] | None) -> list[str]:
    """Files and stores that hold a source, with everything GDAL reads along with them: masks, overviews, sources of a VRT.

    Args:
        source: An image, a series, the name of a file, or several of these; None has no file. A folder that is no store of its own, such
            as one of dates, stands for its files' images only once they are opened.

    Returns:
        Names; of what is not on this machine none that `pixelkin.files.local_files` would find.
    """
    if source is None:
        return []
    if isinstance(source, str | os.PathLike):
        return _files_of_name(os.fspath(source))
    if isinstance(source, Series):
        return [name for scene in source for name in files_of(scene)]
    if isinstance(source, Scene):
        # A mosaic has parts, a Sentinel-2 product a file a band, files and archives one path, xarray's what they were opened from.
        array = getattr(source, "array", None)
        held: list[Any] = [part for part, _ in getattr(source, "parts", ())]
        held += [*getattr(source, "paths", ()), getattr(source, "path", None), getattr(array, "encoding", {}).get("source")]
        return [name for part in held if part is not None for name in files_of(part)]
    return [name for part in source for name in files_of(part)]


def _files_of_name(name: str) -> list[str]:
    path = Path(name)
    if path.is_dir():
        return [name] if path.suffix.lower() in (".zarr", ".safe") or any((path / mark).exists() for mark in _STORES) else []
    names = {name: None, **{str(file): None for file in local_files(name)}}
    for file in local_files(name):
        names |= {str(other): None for other in companions(file) if other.exists()}
    if local_files(name) and path.suffix.lower() not in _NO_RASTERS:
        for part in _listed(name):
            # A VRT names its sources, which may be VRTs themselves.
            nested = part not in names and part.lower().endswith(".vrt")
            names[part] = None
            if nested:
                names |= dict.fromkeys(_files_of_name(part))
    return list(names)


def _listed(name: str) -> list[str]:
    """What GDAL says that a raster consists of; nothing for what is no raster."""
    try:
        with open_dataset(name) as dataset:
            return [str(file) for file in dataset.files]
    except PkError:
        return []
