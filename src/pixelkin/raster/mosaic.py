"""Several files as one image: tiles of a coverage, in one coordinate system or in several UTM zones."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import Affine, array_bounds
from rasterio.warp import transform, transform_bounds

from pixelkin.crs import same_crs
from pixelkin.encoding import common_encoding
from pixelkin.errors import InputError, RasterError
from pixelkin.scene import Pixels, Scene, Series, inside
from pixelkin.types import AnyArray, BoolArray, Grid, Window

from .files import OpenOptions, open_raster, tell_notes
from .reader import RasterScene, crs_text
from .series import images_in

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Mosaic:
    """Images on one grid that read as one; where they overlap, the first that is valid counts. Made by `open_mosaic`."""

    name: str
    grid: Grid
    bands: tuple[str, ...]
    date: dt.date | None
    dtype: str
    """Common type of the images."""
    parts: tuple[tuple[RasterScene, Window], ...]
    """Images, on the mosaic's grid, and the window outside of which each has no pixel."""
    encoding: str | None = None
    """What the numbers mean, see `pixelkin.encoding`."""

    @property
    def fingerprint(self) -> str:
        """Follows from the images, in their order, and the grid."""
        return hashlib.sha256(repr([scene.fingerprint for scene, _ in self.parts]).encode()).hexdigest()

    def read(self, window: Window | None = None) -> Pixels:
        """Pixels of a window inside the mosaic (default: all of it); only images that reach into it are read.

        Raises:
            RasterError: The window reaches past the mosaic, or a file is damaged there.
        """
        window = inside(window, self.grid, self.name)
        data: AnyArray = np.zeros((len(self.bands), window.height, window.width), self.dtype)
        valid: BoolArray = np.zeros(data.shape[1:], np.bool_)
        for scene, reach in self.parts:
            part = _overlap(window, reach)
            if part is None:
                continue
            place = Window(part.row - window.row, part.col - window.col, part.height, part.width).slices
            pixels = scene.read(part)
            new = pixels.valid & ~valid[place]
            np.copyto(data[:, *place], pixels.data, where=new, casting="same_kind")
            valid[place] |= new
        return Pixels(data, valid)


def open_mosaic(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    crs: str | None = None,
    resolution: float | None = None,
    bands: Sequence[str | int] | None = None,
    nodata: float | Literal["none"] | None = None,
    scale: bool = True,
    missing: Literal["drop", "fill"] = "drop",
) -> Scene | Series:
    """Join images of different places into one image, or into a series of one image a day.

    All are warped (bilinear) to one grid: that of the first image, continued, unless `crs` or `resolution` ask for another.
    Images that lie on that grid already keep their values.

    Args:
        source: A folder, or a list of rasters; where they overlap, earlier ones lie on top.
        crs: CRS of the mosaic, such as 'EPSG:3035'; needed where the images lie in several, such as two UTM zones.
        resolution: Side of a pixel in units of the CRS; default that of the first image.
        bands: Names or numbers of bands, as in `open_scene`.
        nodata: No-data value instead of the files' own, as in `open_scene`.
        scale: As in `open_scene`.
        missing: As in `open_scene`.

    Returns:
        A scene; a `Series` where the images are of several days.

    Raises:
        RasterError: Images lie in several coordinate systems and `crs` is not given, have none, or differ in bands; only some have a date.
        InputError: The CRS or the resolution makes no sense, or the list is empty.
    """
    if isinstance(source, str | os.PathLike):
        paths: list[Path | str] = list(images_in(Path(source))) if Path(source).is_dir() else [os.fspath(source)]
        name = Path(source).name if Path(source).is_dir() else Path(source).stem
    else:
        paths = [os.fspath(path) for path in source]
        name = "mosaic"
    scenes = [open_raster(str(path), OpenOptions(bands, nodata, scale=scale, missing=missing)) for path in paths]
    tell_notes(scenes)
    encoding = common_encoding(scenes)
    if not scenes:
        raise InputError("the list of images is empty, expected at least one. Check the pattern that made the list.")
    for scene in scenes:
        if scene.bands != scenes[0].bands:
            raise RasterError(f"{scene.name} has bands {list(scene.bands)}, expected {list(scenes[0].bands)} as in {scenes[0].name}.")
        if scene.grid.crs is None:
            raise RasterError(f"{scene.name} has no CRS, so its place is not known. Set one with: rio edit-info --crs EPSG:n FILE")
    grid = _common_grid(scenes, crs, resolution)
    days = sorted({scene.date for scene in scenes if scene.date is not None})
    if len(days) > 1 and any(scene.date is None for scene in scenes):
        undated = next(scene.name for scene in scenes if scene.date is None)
        raise RasterError(f"{undated} has no date and others have several, expected all or none. Rename the file or leave it out.")
    if len(days) < 2:
        return _mosaic(name, scenes, grid, days[0] if days else None, encoding)
    return Series(tuple(_mosaic(day.isoformat(), [scene for scene in scenes if scene.date == day], grid, day, encoding) for day in days))


def _mosaic(name: str, scenes: list[RasterScene], grid: Grid, date: dt.date | None, encoding: str | None) -> Mosaic:
    parts = []
    for scene in scenes:
        west, south, east, north = _bounds(scene.grid, CRS.from_user_input(grid.crs))
        a, _, left, _, e, top = grid.transform
        # A pixel more on each side, as bilinear resampling reaches so far.
        first_row, last_row = math.floor((north - top) / e) - 1, math.ceil((south - top) / e) + 1
        first_col, last_col = math.floor((west - left) / a) - 1, math.ceil((east - left) / a) + 1
        reach = _overlap(Window(first_row, first_col, last_row - first_row, last_col - first_col), grid.window)
        assert reach is not None, "the grid covers all images"
        parts.append((scene.aligned(grid), reach))
    return Mosaic(name, grid, scenes[0].bands, date, np.result_type(*(scene.dtype for scene in scenes)).name, tuple(parts), encoding)


def _common_grid(scenes: list[RasterScene], crs: str | None, resolution: float | None) -> Grid:
    first = scenes[0].grid
    if crs is None:
        require_one_crs("the images", (scene.grid.crs for scene in scenes))
    try:
        target = CRS.from_user_input(crs or first.crs)
    except CRSError as exc:
        raise InputError(f"crs is {crs!r}, expected one such as 'EPSG:3035' ({exc}).") from exc
    if resolution is not None and not resolution > 0:
        raise InputError(f"resolution is {resolution}, expected a number > 0 in units of the CRS.")
    a, b, left, d, e, top = first.transform
    if same_crs(crs_text(target), first.crs) and resolution is None and b == d == 0 and a > 0 > e:
        width, height = a, -e
    else:
        left = top = 0.0
        width = height = resolution or _size_of_pixel(first, target)
    boxes = np.array([_bounds(scene.grid, target) for scene in scenes])
    (west, south), (east, north) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    # Whole pixels from a fixed point, so that images on the first one's grid are not resampled and mosaics of one area fit each other.
    near = 1e-6
    first_col, last_col = math.floor((west - left) / width + near), math.ceil((east - left) / width - near)
    first_row, last_row = math.floor((top - north) / height + near), math.ceil((top - south) / height - near)
    transform = (width, 0.0, left + first_col * width, 0.0, -height, top - first_row * height)
    return Grid(last_row - first_row, last_col - first_col, transform, crs_text(target))


def require_one_crs(owner: str, systems: Iterable[str | None]) -> None:
    """RasterError where images lie in several coordinate systems; one that is written in two ways is one."""
    different: list[str] = []
    for system in systems:
        if not any(same_crs(system, known) for known in different):
            different.append(str(system))
    if len(different) > 1:
        raise RasterError(
            f"{owner} lie in {len(different)} coordinate systems, {', '.join(sorted(different))}, expected one. Choose one with crs=...."
        )


def _size_of_pixel(grid: Grid, target: CRS) -> float:
    """Side of a square of the area that the middle pixel has in another CRS, to three digits: 10 m stay 10 m."""
    row, col = grid.height / 2, grid.width / 2
    xs, ys = zip(grid.xy(row, col), grid.xy(row, col + 1), grid.xy(row + 1, col), strict=True)
    (x, x_right, x_down), (y, y_right, y_down) = transform(CRS.from_user_input(grid.crs), target, xs, ys)
    return float(f"{math.sqrt(abs((x_right - x) * (y_down - y) - (x_down - x) * (y_right - y))):.3g}")


def _bounds(grid: Grid, target: CRS) -> Bounds:
    box: Bounds = array_bounds(grid.height, grid.width, Affine(*grid.transform))
    source = CRS.from_user_input(grid.crs)
    if same_crs(grid.crs, crs_text(target)):
        return box
    try:
        west, south, east, north = transform_bounds(source, target, *box, densify_pts=21)
    except RasterioError as exc:
        raise RasterError(f"an image in {grid.crs} cannot be brought to {target.to_string()} ({exc}). Choose another CRS.") from exc
    return west, south, east, north


def _overlap(window: Window, other: Window) -> Window | None:
    top, left = max(window.row, other.row), max(window.col, other.col)
    bottom = min(window.row + window.height, other.row + other.height)
    right = min(window.col + window.width, other.col + other.width)
    return Window(top, left, bottom - top, right - left) if bottom > top and right > left else None
