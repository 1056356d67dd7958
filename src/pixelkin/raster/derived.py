"""What is made of a source's numbers before they stand beside others: radar in decibels, slope and aspect of elevation."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
from dataclasses import dataclass, replace

import numpy as np

from pixelkin.scene import Pixels, inside, read_padded
from pixelkin.types import AnyArray, BoolArray, Grid, Window

from .reader import RasterScene

_POLARISED = re.compile(r"(?<![a-z])(vv|vh|hh|hv)(?![a-z])")
_SAMPLED = 512
_METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True)
class _Derived:
    """A source of which other numbers are read."""

    source: RasterScene

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.name

    @property
    def grid(self) -> Grid:
        """The source's."""
        return self.source.grid

    @property
    def bands(self) -> tuple[str, ...]:
        """The source's."""
        return self.source.bands

    @property
    def date(self) -> dt.date | None:
        """The source's."""
        return self.source.date

    @property
    def path(self) -> str | None:
        """The source's file."""
        return self.source.path

    @property
    def dtype(self) -> str:
        """Of what `read` returns."""
        return "float32"

    @property
    def encoding(self) -> str | None:
        """None: numbers of no scale that a file declares."""
        return None

    @property
    def fingerprint(self) -> str:
        """Follows from the source and what is made of it."""
        return hashlib.sha256(f"{type(self).__name__} {self.source.fingerprint}".encode()).hexdigest()


@dataclass(frozen=True)
class Decibels(_Derived):
    """10 log10 of backscatter in linear power, whose speckle multiplies; power that is not above 0 is no data."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done, and the source's notes."""
        return (f"{self.name} holds radar in linear power and is read in decibels", *self.source.notes)

    def read(self, window: Window | None = None) -> Pixels:
        """Decibels of a window (default: all)."""
        data, valid = self.source.read(window)
        known: BoolArray = valid & (data > 0).all(axis=0)
        values = np.where(known, data, 1).astype(np.float32)
        return Pixels(np.float32(10) * np.log10(values), known)

    def aligned(self, grid: Grid) -> Decibels:
        """The same on another grid, resampled as power."""
        return replace(self, source=self.source.aligned(grid))


@dataclass(frozen=True)
class Terrain(_Derived):
    """Elevation, its slope in degrees, and the aspect as the north and east parts of a unit vector downhill, 0 where it is level; by Horn's 3 x 3 differences.

    Horn, *Hill Shading and the Reflectance Map*, Proceedings of the IEEE 69 (1981), as `gdaldem` has them. Without a CRS elevation is taken to be in the units of the grid.
    """

    @property
    def bands(self) -> tuple[str, ...]:
        """Elevation and what follows from it."""
        return (self.source.bands[0], "slope", "aspect_north", "aspect_east")

    @property
    def notes(self) -> tuple[str, ...]:
        """The source's."""
        return self.source.notes

    def read(self, window: Window | None = None) -> Pixels:
        """A window (default: all), (4, row, col)."""
        window = inside(window, self.grid, self.name)
        around = Window(window.row - 1, window.col - 1, window.height + 2, window.width + 2)
        data, valid = read_padded(self.source, around)
        z = data[0].astype(np.float64)
        centre = z[1:-1, 1:-1]

        def at(down: int, right: int) -> AnyArray:
            """The neighbours, or the pixel itself where they are no data."""
            part = slice(1 + down, z.shape[0] - 1 + down), slice(1 + right, z.shape[1] - 1 + right)
            neighbours: AnyArray = np.where(valid[part], z[part], centre)
            return neighbours

        wide, high = self._metres(window)
        east = (at(-1, 1) + 2 * at(0, 1) + at(1, 1) - at(-1, -1) - 2 * at(0, -1) - at(1, -1)) / (8 * wide)
        south = (at(1, -1) + 2 * at(1, 0) + at(1, 1) - at(-1, -1) - 2 * at(-1, 0) - at(-1, 1)) / (8 * high)
        steep = np.hypot(east, south)
        safe = np.where(steep > 0, steep, 1)
        known = valid[1:-1, 1:-1]
        found = np.stack([centre, np.degrees(np.arctan(steep)), south / safe, -east / safe])
        return Pixels(np.where(known, found, 0).astype(np.float32), known)

    def aligned(self, grid: Grid) -> Terrain:
        """The same of the elevation on another grid."""
        return replace(self, source=self.source.aligned(grid))

    def _metres(self, window: Window) -> tuple[AnyArray | float, float]:
        """Width of the pixels of each row, and height of all, in metres where the grid says what its units are."""
        a, _, _, _, e, _ = self.grid.transform
        if self.grid.crs is None:
            return a, -e
        from rasterio.crs import CRS

        crs = CRS.from_user_input(self.grid.crs)
        if not crs.is_geographic:
            factor = crs.linear_units_factor[1]
            return a * factor, -e * factor
        rows = np.arange(window.row, window.row + window.height)
        latitudes = [math.radians(self.grid.xy(int(row), 0)[1]) for row in rows]
        return a * _METRES_PER_DEGREE * np.cos(latitudes)[:, None], -e * _METRES_PER_DEGREE


def is_radar(scene: RasterScene) -> bool:
    """Whether all bands of a source are called after polarisations."""
    return all(_POLARISED.search(band.lower()) for band in scene.bands)


def is_power(scene: RasterScene) -> bool:
    """Whether radar holds linear power: floats, none of them negative, as decibels mostly are."""
    if np.dtype(scene.dtype).kind != "f":
        return False
    height, width = scene.grid.shape
    rows, cols = min(height, _SAMPLED), min(width, _SAMPLED)
    data, valid = scene.read(Window((height - rows) // 2, (width - cols) // 2, rows, cols))
    seen = data[:, valid]
    return bool(seen.size) and bool((seen >= 0).all()) and bool(np.median(seen) < 2)
