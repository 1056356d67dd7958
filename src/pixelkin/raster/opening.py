"""`open_scene`: one door for everything that holds an image."""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pixelkin.errors import InputError
from pixelkin.scene import ArrayScene, Scene, Series, as_scenes
from pixelkin.types import AnyArray

from .bands import select_bands
from .bandset import band_sets, is_band_file
from .dates import date_from_name, parse_date
from .embedding import Kind, as_embedding, is_array_file, open_array_file
from .files import OpenOptions, open_file, open_raster, stack_of, tell_notes
from .sentinel2 import band_files, band_of
from .series import images_in, series_of, series_of_folder, single_band

_log = logging.getLogger(__name__)


def open_scene(
    source: Any,
    *,
    bands: Sequence[str | int] | None = None,
    nodata: float | Literal["none"] | None = None,
    date: dt.date | str | None = None,
    align: bool = False,
    scale: bool = True,
    missing: Literal["drop", "fill"] = "drop",
    kind: Kind = "auto",
) -> Scene | Series:
    """Open an image, or a time series of images on one grid. Pixels are read later, window by window.

    A folder is a series of the images in it (.tif, .tiff, .vrt, .jp2, .img; not its subfolders). Where it holds images of
    several bands, files of a single band, such as label rasters, are left out and named in a log message. All others must
    have the same bands, lie on the same grid and have a date: in their names (YYYY-MM-DD, YYYY_MM_DD or YYYYMMDD; the first one
    counts; year and day of the year too, as in A2020173), else in their tags (ACQUISITIONDATE and its like, DATETIME, TIFFTAG_DATETIME).

    Files of one band each whose names say which (B04, SR_B4, red, vv, ...) are stacked into one image, or where they are of
    several dates into a series; so are the bands of a Sentinel-2 product (a .SAFE folder). The pages of a TIFF are bands, and a
    palette is read as its colours. What a file does not say and was taken to be so is logged, and stands in the scene's `notes`.

    Args:
        source: Path of a raster that GDAL reads, or a name that GDAL knows (/vsizip/..., https://...); a folder; a list of these;
            a Zarr store; an xarray DataArray or Dataset; an array of shape (band, row, col); or a `Scene` or `Series`, which comes back as it is.
        bands: Names or numbers, from 1, of the bands to use, in that order; default all but an alpha band. An alpha band
            asked for here is data. Digits in text are a name where a band has it, and else a number.
        nodata: No-data value, as it is stored, to use instead of the file's own; 'none' where every number is data; mask and alpha bands still count. By
            default a fill value that stands out, such as -9999, is no data although the file does not declare it, and is named. Floats of 1e19 and
            more are never data.
        date: Acquisition date of a single image, instead of the one in its name or tags.
        align: Warp images that are off the grid to that of the first (in a folder: the earliest) with bilinear resampling; without it
            they are refused.
        scale: Apply the scale and offset that a file or a product declares, so that values are physical (reflectance 0.12, not 1200 or 2200). Without
            it numbers are as they are stored. Images that are on different scales are refused together.
        missing: 'drop': a pixel is valid where all bands are. 'fill': where one is, and a band that is missing there takes its median in
            the image; for stacks in which hardly a pixel has all bands, such as time series.
        kind: 'image', or what ready-made embeddings are of: 'alphaearth', 'tessera', or 'generic' for any raster whose bands are one vector; 'auto' knows them by
            their layout. Of the name of an embedding only a year is a date.

    Returns:
        A `Series` for a folder or a list, else a `Scene`.

    Raises:
        MissingFileError: A file or folder is not there, or the folder has no image.
        RasterError: A file cannot be read as a raster; a band is not there; images of a series differ in grid or bands,
            or one has no date.
        InputError: The source is of no known kind, or an option does not suit it.
    """
    opened = _open(source, OpenOptions(bands, nodata, None if date is None else parse_date(date), align, scale, missing, kind))
    tell_notes(as_scenes(opened))
    return opened


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
            "bands, nodata, date, scale and missing are options for opening a file, and this image is open already. Give them where it is opened."
        )
    return source


def _refuse_fill(options: OpenOptions, kind: str) -> None:
    if options.missing == "fill":
        raise InputError(f"missing is 'fill', which is for files, and this is {kind}. Fill its missing values before it is opened.")


def _open_array(source: AnyArray, options: OpenOptions) -> Scene:
    _refuse_fill(options, "an array")
    scene = ArrayScene(source, date=options.date)
    if options.bands is not None:
        picked = [index - 1 for index in select_bands("the array", scene.bands, options.bands)]
        scene = ArrayScene(source[picked], date=options.date, bands=tuple(scene.bands[i] for i in picked))
    if options.nodata is None or options.nodata == "none":
        return scene
    return ArrayScene(scene.data, mask=(scene.data != options.nodata).all(axis=0), date=options.date, bands=scene.bands)


def _open_xarray(source: Any, options: OpenOptions) -> Scene | Series:
    from .xarray import open_xarray

    _refuse_date(options)
    _refuse_fill(options, "an xarray object")
    return open_xarray(source, bands=options.bands, nodata=options.nodata, scale=options.scale)


def _is_zarr(source: Any) -> bool:
    if not isinstance(source, str | os.PathLike):
        return False
    path = os.fspath(source).rstrip("/")
    return path.endswith(".zarr") or any((Path(path) / marker).is_file() for marker in ("zarr.json", ".zgroup"))


def _open_zarr(source: str | os.PathLike[str], options: OpenOptions) -> Scene | Series:
    from .xarray import open_zarr, zarr_attributes

    _refuse_date(options)
    _refuse_fill(options, "a Zarr store")
    path = os.fspath(source)
    opened = open_zarr(path, bands=options.bands, nodata=options.nodata, scale=options.scale)
    return opened if isinstance(opened, Series) else as_embedding(opened, options.kind, zarr_attributes(path))


def _open_folder(source: str | os.PathLike[str], options: OpenOptions) -> Scene | Series:
    folder = Path(source)
    if files := band_files(folder):
        return _open_product(folder, files, options)
    paths = images_in(folder)
    if stacked := _open_band_sets(paths, options, folder):
        return stacked
    _refuse_date(options)
    scenes = [open_file(str(path), options) for path in paths]
    return series_of_folder(scenes, folder, align=options.align)


def _open_product(folder: Path, files: Sequence[Path], options: OpenOptions) -> Scene:
    """A Sentinel-2 product: its bands at 10 m, each from its finest file."""
    parts = [replace(open_raster(str(path), replace(options, bands=None)), bands=(band_of(path),)) for path in files]
    return stack_of(parts, folder.stem, options, date=date_from_name(folder.name), path=str(folder.absolute()))


def _open_band_sets(paths: Sequence[Path], options: OpenOptions, folder: Path | None = None) -> Scene | Series | None:
    """Files of one band each as one image, or a series of one a date; None where they are something else."""
    named = [path for path in paths if is_band_file(path)]
    sets = band_sets(named)
    if not sets or len(single_band(named)) < len(named):
        return None
    if rest := [path.name for path in paths if path not in named]:
        _log.warning("left out, because their names name no band: %s", ", ".join(rest))
    scenes = []
    for image in sets:
        parts = [
            replace(open_raster(path, replace(options, bands=None)), bands=(band,))
            for path, band in zip(image.paths, image.bands, strict=True)
        ]
        name = image.name or Path(image.paths[0]).absolute().parent.name
        path = str(folder.absolute()) if folder is not None and len(sets) == 1 else None
        scenes.append(stack_of(parts, name, options, date=date_from_name(image.name), path=path))
    if len(scenes) == 1:
        return scenes[0]
    _refuse_date(options)
    return series_of(sorted(scenes, key=lambda scene: scene.date or dt.date.min), align=options.align)


def _open_file(source: str | os.PathLike[str], options: OpenOptions) -> Scene:
    return open_file(os.fspath(source), options)


def _open_list(source: Sequence[Any], options: OpenOptions) -> Scene | Series:
    if all(isinstance(item, str | os.PathLike) and Path(item).is_file() for item in source):
        paths = [Path(item) for item in source]
        if all(map(is_band_file, paths)) and (stacked := _open_band_sets(paths, options)):
            return stacked
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
    (is_array_file, lambda source, _: open_array_file(os.fspath(source))),
    (lambda source: isinstance(source, str | os.PathLike) and Path(source).is_dir(), _open_folder),
    (lambda source: isinstance(source, str | os.PathLike), _open_file),
    (lambda source: isinstance(source, list | tuple), _open_list),
)
