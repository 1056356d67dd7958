"""`open_scene`: one door for everything that holds an image."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixelkin.errors import InputError
from pixelkin.scene import ArrayScene, Scene, Series
from pixelkin.types import AnyArray

from .dates import parse_date
from .reader import open_raster, select_bands
from .series import images_in, series_of, series_of_folder


@dataclass(frozen=True)
class OpenOptions:
    """How to open a source; the keyword arguments of `open_scene`."""

    bands: Sequence[str | int] | None = None
    nodata: float | None = None
    date: dt.date | None = None
    align: bool = False


def open_scene(
    source: Any,
    *,
    bands: Sequence[str | int] | None = None,
    nodata: float | None = None,
    date: dt.date | str | None = None,
    align: bool = False,
) -> Scene | Series:
    """Open an image, or a time series of images on one grid. Pixels are read later, window by window.

    A folder is a series of the images in it (.tif, .tiff, .vrt, .jp2, .img; not its subfolders). Where it holds images of
    several bands, files of a single band, such as label rasters, are left out and named in a log message. All others must
    have the same bands, lie on the same grid and have a date: in their names (YYYY-MM-DD, YYYY_MM_DD or YYYYMMDD; the first one
    counts), else in their tags (ACQUISITIONDATE and its like, DATETIME, TIFFTAG_DATETIME).

    Args:
        source: Path of a raster that GDAL reads, or a name that GDAL knows (/vsizip/..., https://...); a folder; a list of these;
            a Zarr store; an xarray DataArray or Dataset; an array of shape (band, row, col); or a `Scene` or `Series`, which comes back as it is.
        bands: Names or numbers, from 1, of the bands to use, in that order; default all but an alpha band. An alpha band
            asked for here is data. Digits in text are a name where a band has it, and else a number.
        nodata: No-data value to use instead of the file's own; mask and alpha bands still count.
        date: Acquisition date of a single image, instead of the one in its name or tags.
        align: Warp images that are off the grid to that of the first (in a folder: the earliest) with bilinear resampling; without it
            they are refused.

    Returns:
        A `Series` for a folder or a list, else a `Scene`.

    Raises:
        MissingFileError: A file or folder is not there, or the folder has no image.
        RasterError: A file cannot be read as a raster; a band is not there; images of a series differ in grid or bands,
            or one has no date.
        InputError: The source is of no known kind, or an option does not suit it.
    """
    return _open(source, OpenOptions(bands, nodata, None if date is None else parse_date(date), align))


def _open(source: Any, options: OpenOptions) -> Scene | Series:
    for matches, opener in _OPENERS:
        if matches(source):
            return opener(source, options)
    raise InputError(
        f"cannot open a {type(source).__name__} as an image, expected a path, a folder, a list of these, or an array (band, row, col)."
    )


def _open_ready(source: Scene | Series, options: OpenOptions) -> Scene | Series:
    if options != OpenOptions(align=options.align):
        raise InputError(
            "bands, nodata and date are options for opening a file, and this image is open already. Give them where it is opened."
        )
    return source


def _open_array(source: AnyArray, options: OpenOptions) -> Scene:
    scene = ArrayScene(source, date=options.date)
    if options.bands is not None:
        picked = [index - 1 for index in select_bands("the array", scene.bands, options.bands)]
        scene = ArrayScene(source[picked], date=options.date, bands=tuple(scene.bands[i] for i in picked))
    if options.nodata is None:
        return scene
    return ArrayScene(scene.data, mask=(scene.data != options.nodata).all(axis=0), date=options.date, bands=scene.bands)


def _open_xarray(source: Any, options: OpenOptions) -> Scene | Series:
    from .xarray import open_xarray

    _refuse_date(options)
    return open_xarray(source, bands=options.bands, nodata=options.nodata)


def _is_zarr(source: Any) -> bool:
    if not isinstance(source, str | os.PathLike):
        return False
    path = os.fspath(source).rstrip("/")
    return path.endswith(".zarr") or any((Path(path) / marker).is_file() for marker in ("zarr.json", ".zgroup"))


def _open_zarr(source: str | os.PathLike[str], options: OpenOptions) -> Scene | Series:
    from .xarray import open_zarr

    _refuse_date(options)
    return open_zarr(os.fspath(source), bands=options.bands, nodata=options.nodata)


def _open_folder(source: str | os.PathLike[str], options: OpenOptions) -> Series:
    _refuse_date(options)
    folder = Path(source)
    scenes = [open_raster(str(path), bands=options.bands, nodata=options.nodata) for path in images_in(folder)]
    return series_of_folder(scenes, folder, align=options.align)


def _open_file(source: str | os.PathLike[str], options: OpenOptions) -> Scene:
    return open_raster(os.fspath(source), bands=options.bands, nodata=options.nodata, date=options.date)


def _open_list(source: Sequence[Any], options: OpenOptions) -> Series:
    _refuse_date(options)
    opened = [_open(item, options) for item in source]
    scenes = [scene for part in opened for scene in (part if isinstance(part, Series) else [part])]
    return series_of(scenes, align=options.align)


def _refuse_date(options: OpenOptions) -> None:
    if options.date is not None:
        raise InputError(
            f"date is {options.date} for a whole series, expected it for a single image only. Put dates in the names or tags of the files."
        )


_OPENERS: tuple[tuple[Callable[[Any], bool], Callable[[Any, OpenOptions], Scene | Series]], ...] = (
    # First match wins: a test that names a narrower kind (a Zarr folder, a DataArray) goes above the wider one.
    (lambda source: isinstance(source, Scene | Series), _open_ready),
    (lambda source: isinstance(source, np.ndarray), _open_array),
    (lambda source: type(source).__module__.split(".")[0] == "xarray", _open_xarray),
    (_is_zarr, _open_zarr),
    (lambda source: isinstance(source, str | os.PathLike) and Path(source).is_dir(), _open_folder),
    (lambda source: isinstance(source, str | os.PathLike), _open_file),
    (lambda source: isinstance(source, list | tuple), _open_list),
)
