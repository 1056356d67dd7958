"""A time series from a folder or a list of images."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pixelkin.crs import same_grid
from pixelkin.errors import InputError, MissingFileError, RasterError
from pixelkin.scene import Scene, Series
from pixelkin.types import Window

from .bands import as_stored
from .bandset import is_band_file
from .fills import USUAL
from .reader import RasterScene, open_dataset
from .stack import Stack

_log = logging.getLogger(__name__)

_OTHER_SCALE = 50
"""Two dates of one place differ by less, whatever season and sensor."""
IMAGE_SUFFIXES = (".img", ".jp2", ".tif", ".tiff", ".vrt")
"""Files of a folder with these endings are taken for images; a list may name files of any kind that GDAL reads."""


def images_in(folder: Path) -> list[Path]:
    """The images of a folder (not of its subfolders) that make up its series, sorted by name.

    Where images of several bands are present, those of a single band (label rasters, cloud masks, maps) are left out, and a
    log message names them. Everything else with an ending of `IMAGE_SUFFIXES` must belong to the series.

    Raises:
        MissingFileError: The folder has no image.
        RasterError: A file with an image's ending cannot be read.
    """
    files = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not files:
        raise MissingFileError(
            f"{folder} has no image, expected files that end in {', '.join(IMAGE_SUFFIXES)}. Check the folder or give a list of files."
        )
    single = single_band(files)
    # Sentinel-2 puts a picture beside the bands that it is made of.
    pictures = [path for path in files if "_TCI" in path.stem]
    if any(is_band_file(path) for path in single) and len(single) + len(pictures) == len(files):
        return single
    if len(single) in (0, len(files)):
        return files
    _log.warning("left out of the series in %s, because they have one band only: %s", folder, ", ".join(path.name for path in single))
    return [path for path in files if path not in single]


def single_band(files: Sequence[Path]) -> list[Path]:
    """Those of some rasters that have one band and one page."""
    found = []
    for path in files:
        with open_dataset(str(path)) as dataset:
            if dataset.count == 1 and not dataset.subdatasets:
                found.append(path)
    return found


def of_one_site(scenes: Sequence[Scene]) -> list[list[int]]:
    """Which images named one by one are dates of one series: those that have a date and lie on one grid. Every index once, in order."""
    groups: list[list[int]] = []
    for number, scene in enumerate(scenes):
        alike = (group for group in groups if scenes[group[0]].date is not None and same_grid(scenes[group[0]].grid, scene.grid))
        group = next(alike, None) if scene.date is not None else None
        if group is None:
            groups.append([number])
        else:
            group.append(number)
    return groups


def series_of_folder(scenes: Sequence[Scene], folder: Path, *, align: bool) -> Series:
    """A series of what a folder holds; two images of one day are refused, since one may be a label raster or a copy."""
    days: dict[dt.date, str] = {}
    for scene in scenes:
        if scene.date is not None and scene.date in days:
            raise RasterError(
                f"{days[scene.date]} and {scene.name} in {folder} are both of {scene.date}, expected one image a day. "
                "Give a list of the files you mean."
            )
        if scene.date is not None:
            days[scene.date] = scene.name
    return series_of(sorted(scenes, key=lambda scene: scene.date or dt.date.min), align=align)


def series_of(scenes: Sequence[Scene], *, align: bool) -> Series:
    """A series on the first scene's grid; where `align` is set, scenes off it are warped to it."""
    if not scenes:
        raise InputError("the list of images is empty, expected at least one. Check the pattern that made the list.")
    first = scenes[0].grid
    on_grid: list[Scene] = []
    for scene in scenes:
        if scene.grid == first or not isinstance(scene, RasterScene | Stack):
            on_grid.append(scene)
        elif same_grid(scene.grid, first):
            on_grid.append(replace(scene, grid=first))
        else:
            on_grid.append(scene.aligned(first) if align else scene)
    series = Series(tuple(_share_fills(on_grid)))
    _require_one_scale(series)
    return series


def _require_one_scale(series: Series) -> None:
    """Refuse whole numbers beside floats of quite another size, as of reflectance that one program multiplied by 10,000: neither file says so."""
    kinds: dict[bool, Scene] = {}
    for scene in series:
        if isinstance(scene, RasterScene) and scene.scaling is None and scene.palette is None:
            kinds.setdefault(np.dtype(scene.dtype).kind == "f", scene)
    if len(kinds) < 2:
        return
    sizes = {is_float: _usual_size(scene) for is_float, scene in kinds.items()}
    if min(sizes.values()) > 0 and max(sizes.values()) > _OTHER_SCALE * min(sizes.values()):
        raise RasterError(
            f"{kinds[False].name} and {kinds[True].name} are not on one scale: {kinds[False].name} has whole numbers about {sizes[False]:.4g}, "
            f"{kinds[True].name} floats about {sizes[True]:.4g}. Declare the scale of those that were multiplied "
            "(gdal_edit.py -scale 0.0001 FILE), or write all of them alike."
        )


def _usual_size(scene: Scene) -> float:
    """Median of the magnitudes in the middle of an image; 0 where there is no data."""
    height, width = min(256, scene.grid.height), min(256, scene.grid.width)
    pixels = scene.read(Window((scene.grid.height - height) // 2, (scene.grid.width - width) // 2, height, width))
    seen = np.abs(pixels.data[:, pixels.valid].astype(np.float64))
    return float(np.median(seen)) if seen.size else 0.0


def _share_fills(scenes: Sequence[Scene]) -> list[Scene]:
    """Scenes whose bands lack a no-data value take the fill value of the others: it may lie where none was looked for."""
    found = {value for scene in scenes if isinstance(scene, RasterScene) for value in scene.nodata if value in USUAL}
    if len(found) != 1:
        return list(scenes)
    (fill,) = found
    return [
        replace(scene, nodata=tuple(as_stored(fill, scene.dtype) if value is None else value for value in scene.nodata))
        if isinstance(scene, RasterScene) and scene.scaling is None and scene.palette is None
        else scene
        for scene in scenes
    ]
