"""When two descriptions mean one coordinate reference system, and two grids one set of pixels: programs write both in many ways."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .types import Grid


def same_crs(first: str | None, second: str | None) -> bool:
    """True where both describe the same CRS ('EPSG:n' or WKT), in whatever words and order of axes; None is like None alone."""
    if first is None or second is None or first == second:
        return first == second
    return _equal(first, second)


@lru_cache(maxsize=256)
def _equal(first: str, second: str) -> bool:
    import pyproj  # late, as most grids that are compared say the same in the same words

    def plain(words: str) -> pyproj.CRS:
        # Some programs write beside a CRS how to get from it to WGS 84 (TOWGS84), which makes it no other.
        crs = pyproj.CRS(words)
        return crs.source_crs if crs.is_bound and crs.source_crs is not None else crs

    # x comes first wherever pixelkin uses coordinates, so the order in which an authority writes them tells nothing.
    return bool(plain(first).equals(plain(second), ignore_axis_order=True))


def transformer(source: str, target: str) -> Any | None:
    """Pyproj's transformer from one CRS to another, x first; None where no transformation leads there, as from heights alone."""
    import pyproj
    from pyproj.exceptions import ProjError

    try:
        return pyproj.Transformer.from_crs(source, target, always_xy=True)
    except ProjError:
        return None


def same_grid(grid: Grid, other: Grid) -> bool:
    """True where two grids put every pixel at the same coordinates, to a hundredth of a pixel: coordinates are rounded in the last digits."""
    if grid.shape != other.shape or not same_crs(grid.crs, other.crs):
        return False
    corners = [(0.0, 0.0), (0.0, grid.width), (grid.height, 0.0), (grid.height, grid.width)]
    shift = np.subtract([grid.xy(*corner) for corner in corners], [other.xy(*corner) for corner in corners])
    a, b, _, d, e, _ = grid.transform
    return bool(np.abs(shift).max() <= 0.01 * min(np.hypot(a, d), np.hypot(b, e)))
