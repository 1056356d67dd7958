"""Where pixels lie on the earth, for people: degrees, metres, the name of a CRS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crs import transformer
from ..types import Grid

_MESH = 9


@dataclass(frozen=True)
class Location:
    """What a page shows of a grid's CRS."""

    crs_name: str | None
    units: str | None
    """Of the first axis, e.g. 'metre' or 'degree'."""
    metres_per_pixel: tuple[float, float] | None
    """At the image's centre, along a row and along a column, on the ellipsoid."""
    mesh: tuple[list[float], list[float], list[list[float]], list[list[float]]] | None
    """y and x in pixel space, longitudes and latitudes there (9 x 9); between them interpolation is good enough for a cursor."""


@lru_cache(maxsize=512)
def location_of(grid: Grid) -> Location:
    """What a page shows of a grid; everything None without a CRS."""
    if grid.crs is None:
        return Location(None, None, None, None)
    import pyproj

    crs = pyproj.CRS.from_user_input(grid.crs)
    units = crs.axis_info[0].unit_name if crs.axis_info else None
    ys, xs = np.linspace(0, grid.height, _MESH), np.linspace(0, grid.width, _MESH)
    lon, lat = lonlat(grid, np.repeat(xs, _MESH).reshape(_MESH, _MESH).T, np.repeat(ys, _MESH).reshape(_MESH, _MESH))
    mesh = (ys.tolist(), xs.tolist(), lon.tolist(), lat.tolist()) if np.isfinite([lon, lat]).all() else None
    x, y = grid.width / 2, grid.height / 2
    lons, lats = lonlat(grid, np.array([x, x + 1, x]), np.array([y, y, y + 1]))
    metres = None
    if np.isfinite([lons, lats]).all():
        geod = crs.get_geod() or pyproj.Geod(ellps="WGS84")
        right = geod.inv(lons[0], lats[0], lons[1], lats[1])[2]
        down = geod.inv(lons[0], lats[0], lons[2], lats[2])[2]
        metres = (float(right), float(down))
    return Location(crs.name, units, metres, mesh)


def lonlat(grid: Grid, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[Any, Any]:
    """Longitude and latitude on WGS 84 of points in pixel space; infinite where the CRS has none there."""
    a, b, c, d, e, f = grid.transform
    to_degrees = _to_degrees(grid.crs or "")
    if to_degrees is None:
        return np.full(x.shape, np.inf), np.full(y.shape, np.inf)
    return tuple(to_degrees.transform(a * x + b * y + c, d * x + e * y + f))


def lonlat_of_pixel(grid: Grid, row: int, col: int) -> tuple[float, float] | None:
    """Longitude and latitude of a pixel's centre, None where there is none."""
    if grid.crs is None:
        return None
    lon, lat = lonlat(grid, np.array([col + 0.5]), np.array([row + 0.5]))
    pair = float(lon[0]), float(lat[0])
    return pair if all(map(math.isfinite, pair)) else None


@lru_cache(maxsize=64)
def _to_degrees(crs: str) -> Any:
    return transformer(crs, "EPSG:4326")
