"""An image as the engine sees it: something with a grid, named bands and a windowed read.

The engine depends on the small `Scene` protocol only; `raster` implements it for files, `ArrayScene` for arrays.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from .crs import same_grid
from .encoding import common_encoding
from .errors import InputError, RasterError, ShapeError
from .types import AnyArray, BoolArray, Grid, Window


class Pixels(NamedTuple):
    """What a read returns."""

    data: AnyArray
    """(band, row, col), the image's own dtype; values where not valid are arbitrary but finite or NaN."""
    valid: BoolArray
    """(row, col), True = usable: no band is no-data, masked out, NaN or infinite there."""


@runtime_checkable
class Scene(Protocol):
    """One image on one grid, read window by window."""

    @property
    def name(self) -> str:
        """Short name for messages and file names, e.g. '2020-02-02'."""
        ...

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        ...

    @property
    def bands(self) -> tuple[str, ...]:
        """Band names in order; 'band_1', ... where the file names none."""
        ...

    @property
    def date(self) -> dt.date | None:
        """Acquisition date where known."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes when the pixels may have changed; the same file read twice gives the same one."""
        ...

    def read(self, window: Window | None = None) -> Pixels:
        """Pixels of a window inside the image (default: all of it). Safe to call from several threads."""
        ...


_MOST_CHANNELS = 16
"""An array with no more columns than this, and more bands, is taken for one whose bands come last, unless it names them."""


@dataclass(frozen=True, eq=False)
class ArrayScene:
    """A scene held in memory."""

    data: AnyArray
    """(band, row, col), any real dtype."""
    mask: BoolArray | None = None
    """(row, col), True = usable; None = every finite pixel."""
    name: str = "array"
    bands: tuple[str, ...] = ()
    date: dt.date | None = None
    transform: tuple[float, float, float, float, float, float] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    crs: str | None = None

    def __post_init__(self) -> None:
        shape = self.data.shape
        if self.data.ndim != 3 or 0 in shape:
            fix = "Give a single band as data[None]." if self.data.ndim == 2 else "Put the bands first: data.transpose(2, 0, 1)."
            raise ShapeError("data", expected=("band", "row", "col"), got=shape, fix=fix)
        if not self.bands and shape[2] <= _MOST_CHANNELS < shape[0] and shape[2] < shape[1]:
            raise ShapeError(
                "data",
                expected=("band", "row", "col"),
                got=shape,
                fix=f"It looks like an image of {shape[2]} bands that come last. Put them first: data.transpose(2, 0, 1); or name the bands, if there are {shape[0]}.",
            )
        if self.mask is not None and self.mask.shape != self.data.shape[1:]:
            raise ShapeError("mask", expected=self.data.shape[1:], got=self.mask.shape, fix="Give one True or False a pixel.")
        if not self.bands:
            object.__setattr__(self, "bands", tuple(f"band_{i + 1}" for i in range(len(self.data))))
        if len(self.bands) != len(self.data):
            raise RasterError(f"{len(self.bands)} band names {list(self.bands)} for {len(self.data)} bands. Name each band once.")

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        return Grid(self.data.shape[1], self.data.shape[2], self.transform, self.crs)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the pixels, taken once: do not change them afterwards."""
        digest = hashlib.sha256(np.ascontiguousarray(self.data).tobytes())
        if self.mask is not None:
            digest.update(np.packbits(self.mask).tobytes())
        return digest.hexdigest()

    def read(self, window: Window | None = None) -> Pixels:
        """Pixels of a window (default: all)."""
        rows, cols = (window or self.grid.window).slices
        data = self.data[:, rows, cols]
        valid: BoolArray = np.asarray(np.isfinite(data).all(axis=0))
        if self.mask is not None:
            valid &= self.mask[rows, cols]
        return Pixels(data, valid)


@dataclass(frozen=True)
class Series:
    """Scenes of one ground, on one grid, sorted by date."""

    scenes: tuple[Scene, ...]

    def __post_init__(self) -> None:
        if not self.scenes:
            raise RasterError("the series has no image, expected at least one. Check the folder or the list of files.")
        undated = [scene.name for scene in self.scenes if scene.date is None]
        if undated:
            raise RasterError(
                f"{undated[0]} has no date, expected one in its name (YYYY-MM-DD or YYYYMMDD) or tags. Rename the file or set a date tag."
            )
        ordered = tuple(sorted(self.scenes, key=lambda scene: (scene.date or dt.date.min, scene.name)))
        object.__setattr__(self, "scenes", ordered)
        first = ordered[0]
        for scene in ordered[1:]:
            if scene.grid != first.grid and not same_grid(scene.grid, first.grid):
                raise RasterError(
                    f"{scene.name} lies on another grid than {first.name}: {scene.grid} against {first.grid}. "
                    "Warp it to the series' grid first, or open the series with align=True."
                )
            if scene.bands != first.bands:
                raise RasterError(f"{scene.name} has bands {list(scene.bands)}, expected {list(first.bands)} as in {first.name}.")
        common_encoding(ordered)

    def __iter__(self) -> Iterator[Scene]:
        return iter(self.scenes)

    def __len__(self) -> int:
        return len(self.scenes)

    @property
    def grid(self) -> Grid:
        """The grid that all dates share."""
        return self.scenes[0].grid

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands that all dates share."""
        return self.scenes[0].bands

    @property
    def dates(self) -> tuple[dt.date, ...]:
        """Dates in order."""
        return tuple(scene.date for scene in self.scenes if scene.date is not None)

    def at(self, date: dt.date | str) -> Scene:
        """The scene of a date; RasterError with the dates there are if there is none."""
        try:
            wanted = dt.date.fromisoformat(date) if isinstance(date, str) else date
        except ValueError as exc:
            raise InputError(f"date is {date!r}, expected a day as YYYY-MM-DD. Correct the date.") from exc
        for scene in self.scenes:
            if scene.date == wanted:
                return scene
        raise RasterError(f"no image of {wanted} in the series, expected one of {[str(d) for d in self.dates]}.")


@dataclass(frozen=True, eq=False)
class HeldScene:
    """An image of which one window was read already; other pixels are read when asked for."""

    scene: Scene
    window: Window
    pixels: Pixels

    @property
    def name(self) -> str:
        """The image's name."""
        return self.scene.name

    @property
    def grid(self) -> Grid:
        """The whole image's grid: blocks keep their places."""
        return self.scene.grid

    @property
    def bands(self) -> tuple[str, ...]:
        """The image's bands."""
        return self.scene.bands

    @property
    def date(self) -> dt.date | None:
        """The image's date."""
        return self.scene.date

    @property
    def fingerprint(self) -> str:
        """The image's."""
        return self.scene.fingerprint

    def read(self, window: Window | None = None) -> Pixels:
        """Pixels of a window, without touching the file where they are at hand."""
        window = window or self.grid.window
        row, col = window.row - self.window.row, window.col - self.window.col
        if min(row, col) < 0 or row + window.height > self.window.height or col + window.width > self.window.width:
            return self.scene.read(window)
        inside = slice(row, row + window.height), slice(col, col + window.width)
        return Pixels(self.pixels.data[:, *inside], self.pixels.valid[inside])


def _reflected(start: int, length: int, size: int) -> npt.NDArray[np.int64]:
    """Indices start .. start + length - 1 folded into 0 .. size - 1 by reflection about the edge pixels."""
    index = np.arange(start, start + length)
    if size == 1:
        return np.zeros(length, np.int64)
    period = 2 * (size - 1)
    index = np.abs(index) % period
    return np.where(index >= size, period - index, index)


def inside(window: Window | None, grid: Grid, name: str) -> Window:
    """The window, or all of the grid for None; RasterError where it reaches past the grid of the image of this name."""
    window = window or grid.window
    if min(window.row, window.col) < 0 or window.row + window.height > grid.height or window.col + window.width > grid.width:
        raise RasterError(f"{window} reaches past {name}, expected one inside {grid.height} x {grid.width} pixels. Clip the window.")
    return window


def read_padded(scene: Scene, window: Window) -> Pixels:
    """Pixels of a window that may reach past the image, which is continued by reflection about its edge pixels.

    Works for any reach, also where the window is larger than the image (`numpy.pad(mode="reflect")`).
    """
    rows = _reflected(window.row, window.height, scene.grid.height)
    cols = _reflected(window.col, window.width, scene.grid.width)
    top, left = int(rows.min()), int(cols.min())
    inner = scene.read(Window(top, left, int(rows.max()) - top + 1, int(cols.max()) - left + 1))
    data = np.ascontiguousarray(inner.data[:, rows[:, None] - top, cols[None, :] - left])
    return Pixels(data, inner.valid[rows[:, None] - top, cols[None, :] - left])


def as_scenes(sources: Scene | Series | Sequence[Scene | Series]) -> list[Scene]:
    """Scenes of a scene, a series, or a list of either, in order."""
    if isinstance(sources, Series):
        return list(sources)
    if isinstance(sources, Scene):
        return [sources]
    return [scene for source in sources for scene in as_scenes(source)]
