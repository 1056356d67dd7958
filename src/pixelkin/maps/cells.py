"""How large each pixel of a grid is: on the ellipsoid, or in the plane of a projection."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyproj
from pyproj.exceptions import CRSError

from pixelkin.errors import RasterError
from pixelkin.types import Grid

Float64Array = npt.NDArray[np.float64]

SQUARE_METRES_PER_HECTARE = 10_000.0
_PLANE_TOLERANCE = 0.01
# Positions a side at which the distortion of a projection is looked at: corners, edges and between.
_SCALE_NODES = 9


def cell_areas(grid: Grid) -> tuple[Float64Array | None, str]:
    """Area of a grid's pixels in square metres, and how it was measured.

    On a geographic CRS, the area between a pixel's edges on the ellipsoid (edges along parallels and meridians); it depends on
    the row alone unless the grid is rotated. On a projected CRS, |a e - b d| in the plane of the projection, with its unit of
    length turned into metres.

    Returns:
        An array that broadcasts to (row, col), or None without a CRS; and words that fit behind "areas".

    Raises:
        RasterError: The CRS cannot be understood, or has no unit of length.

    Source:
        Area element of the ellipsoid a^2 (1 - e^2) cos(lat) / (1 - e^2 sin^2(lat))^2: radii of curvature of the meridian and of
        the parallel, Snyder 1987, USGS Professional Paper 1395, equations 4-18 to 4-20. Integrated by Gauss-Legendre quadrature
        with three nodes, exact to 1e-11 for pixels up to one degree.
    """
    if grid.crs is None:
        return None, "in pixels only: the image has no CRS"
    crs = _parse_crs(grid.crs)
    a, b, c, d, e, f = grid.transform
    if (a, b, c, d, e, f) == (1, 0, 0, 0, 1, 0):
        raise RasterError(
            f"the image has CRS {_crs_name(crs, grid.crs)} but no position in it (its transform is the identity), so areas cannot be "
            "measured. Set the transform, or take the CRS away to count pixels."
        )
    if crs.is_geographic:
        ellipsoid = crs.get_geod()
        assert ellipsoid is not None  # what makes a CRS geographic
        radians = crs.axis_info[0].unit_conversion_factor
        nodes, weights = np.polynomial.legendre.leggauss(3)
        rows = np.arange(grid.height)[:, None]
        # Latitude is the same along a row of a north-up grid: one column is enough.
        cols = np.arange(grid.width if d else 1)[None, :]
        mean_element = np.zeros((grid.height, cols.shape[1]))
        for down, weight_down in zip(nodes, weights, strict=True):
            for right, weight_right in zip(nodes, weights, strict=True):
                latitude = radians * (d * (cols + 0.5 + right / 2) + e * (rows + 0.5 + down / 2) + f)
                flattening = 1 - ellipsoid.es * np.sin(latitude) ** 2
                # Global grids of cell centres reach half a pixel past the poles: there is nothing there.
                element = np.maximum(np.cos(latitude), 0) * ellipsoid.a**2 * (1 - ellipsoid.es) / flattening**2
                mean_element += element * weight_down * weight_right / 4
        return mean_element * abs(a * e - b * d) * radians**2, f"on the ellipsoid of {_crs_name(crs, grid.crs)}"
    metres = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 0.0
    if not metres:
        raise RasterError(
            f"CRS {_crs_name(crs, grid.crs)} has no unit of length, so areas cannot be measured. Warp the map to a projected CRS."
        )
    low, high = _areal_scales(crs, grid)
    plane = f"in the plane of {_crs_name(crs, grid.crs)}"
    if max(abs(low - 1), abs(high - 1)) > _PLANE_TOLERANCE:
        times = f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
        plane += f", {times} times those on the ellipsoid over the map (warp to an equal-area CRS for true areas)"
    return np.full((1, 1), abs(a * e - b * d) * metres**2), plane


def _parse_crs(text: str) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(text)
    except CRSError as error:
        raise RasterError(f"CRS {text[:60]!r} cannot be understood, expected 'EPSG:n' or WKT. Set the image's CRS.") from error


def _crs_name(crs: pyproj.CRS, text: str) -> str:
    """'EPSG:n' as given, or the name inside WKT, which may be pages long."""
    return text if len(text) <= 20 else crs.name


def _areal_scales(crs: pyproj.CRS, grid: Grid) -> tuple[float, float]:
    """Least and greatest plane area over ellipsoid area on the map; 1 where the CRS is not a map projection."""
    if not crs.is_projected:
        return 1.0, 1.0
    rows, cols = np.meshgrid(np.linspace(0, grid.height, _SCALE_NODES) - 0.5, np.linspace(0, grid.width, _SCALE_NODES) - 0.5)
    a, b, c, d, e, f = grid.transform
    x, y = a * (cols + 0.5) + b * (rows + 0.5) + c, d * (cols + 0.5) + e * (rows + 0.5) + f
    projection = pyproj.Proj(crs)
    longitude, latitude = projection(x, y, inverse=True)
    there = np.isfinite(longitude) & np.isfinite(latitude)
    scale = np.asarray(projection.get_factors(longitude[there], latitude[there]).areal_scale) if there.any() else np.ones(1)
    scale = scale[np.isfinite(scale)]
    return (float(scale.min()), float(scale.max())) if len(scale) else (1.0, 1.0)
