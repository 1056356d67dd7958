"""Coordinate reference systems: names, and moving shapes from one to another.

x is always the first coordinate (easting or longitude) and y the second, whatever order the authority writes them in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from pixelkin.crs import same_crs, transformer
from pixelkin.errors import LabelError
from pixelkin.types import AnyArray

XY = npt.NDArray[np.float64]
Move = Callable[[XY], XY]
"""Coordinates (n, 2) to coordinates (n, 2)."""
WGS84 = "EPSG:4326"


def crs_name(crs: Any) -> str:
    """'EPSG:n' where the authority is known, else WKT.

    Raises:
        LabelError: Nobody knows such a CRS.
    """
    try:
        parsed = pyproj.CRS.from_user_input(crs)
    except CRSError as error:
        raise LabelError(f"crs {crs!r} is not known, expected a name such as 'EPSG:32631', or WKT. Correct it.") from error
    authority = parsed.to_authority()
    return ":".join(authority) if authority else str(parsed.to_wkt())


def is_geographic(crs: str | None) -> bool:
    """True where coordinates are longitude and latitude."""
    return crs is not None and bool(pyproj.CRS(crs).is_geographic)


def around_longitude(shapes: AnyArray, centre: float) -> AnyArray:
    """Shapes, or parts of multi-part shapes, moved by whole turns of 360 degrees to within half a turn of a longitude.

    Images across the antimeridian run past 180 degrees; labels of them are often in -180 to 180.

    Args:
        shapes: Geometries in degrees, object array (n,), None allowed.
        centre: Longitude of the image's centre.
    """
    bounds = shapely.bounds(shapes)
    turns = np.round((centre - (bounds[:, 0] + bounds[:, 2]) / 2) / 360)
    wide = bounds[:, 2] - bounds[:, 0] > 180
    result = shapes.copy()
    for i in np.flatnonzero((np.nan_to_num(turns) != 0) | wide):
        result[i] = _turned(shapes[i], centre)
    return result


def _turned(shape: BaseGeometry, centre: float) -> BaseGeometry:
    if shape.geom_type.startswith("Multi"):
        return type(shape)([_turned(part, centre) for part in shape.geoms])
    left, _, right, _ = shape.bounds
    turn = 360 * round((centre - (left + right) / 2) / 360)
    return shapely.transform(shape, lambda x, y: (x + turn, y), interleaved=False) if turn else shape


def mover(source: str, target: str) -> Move | None:
    """A function from coordinates in one CRS to the other; None where they are the same.

    Coordinates that have no place in the target come out infinite.

    Raises:
        LabelError: No transformation leads from one to the other.
    """
    if same_crs(source, target):
        return None
    way = transformer(source, target)
    if way is None:
        raise LabelError(f"no transformation leads from {source} to {target}. Save the labels in the image's CRS.")

    def move(xy: XY) -> XY:
        return np.column_stack(way.transform(xy[:, 0], xy[:, 1]))

    return move


def move_shapes(shapes: AnyArray, move: Move, tolerance: float) -> AnyArray:
    """Shapes in the target's coordinates, edges straight in the source still on their course.

    A straight edge in one CRS is a curve in another, so vertices are added until the moved edge is within `tolerance`
    (units of the target) of its curve. Vertices of short edges are left alone.

    Args:
        shapes: Geometries, object array (n,).
        move: From source to target.
        tolerance: How far an edge may stray.

    Returns:
        Object array (n,); None where a shape has no place in the target.
    """
    moved = np.full(len(shapes), None, object)
    xy, owner = shapely.get_coordinates(shapes, return_index=True)
    placed = np.ones(len(shapes), bool)
    target = move(xy)
    placed[owner[~np.isfinite(target).all(axis=1)]] = False
    dots = placed & (shapely.get_type_id(shapes) == shapely.GeometryType.POINT)
    moved[dots] = shapely.points(target[dots[owner]])
    for i in np.flatnonzero(placed & ~dots):
        moved[i] = _move_finite(shapes[i], move, tolerance)
    return moved


def _move_finite(geometry: BaseGeometry, move: Move, tolerance: float) -> BaseGeometry:
    if geometry.geom_type in ("Point", "MultiPoint"):
        return shapely.transform(geometry, move)
    if geometry.geom_type == "LineString":
        return shapely.LineString(_move_path(shapely.get_coordinates(geometry), move, tolerance))
    if geometry.geom_type == "Polygon":
        rings = [_move_path(shapely.get_coordinates(ring), move, tolerance) for ring in (geometry.exterior, *geometry.interiors)]
        return shapely.Polygon(rings[0], rings[1:])
    return type(geometry)([_move_finite(part, move, tolerance) for part in geometry.geoms])


def _move_path(path: XY, move: Move, tolerance: float) -> XY:
    moved = move(path)
    # Each round halves the edges that stray; 16 rounds make 65,536 pieces of one edge, beyond any real curve.
    for _ in range(16):
        start, end, moved_start, moved_end = path[:-1], path[1:], moved[:-1], moved[1:]
        # Quarters as well as the middle: an S-shaped curve may cross its chord half-way.
        distance = np.zeros(len(start))
        for t in (0.25, 0.5, 0.75):
            gap = move(start + t * (end - start)) - (moved_start + t * (moved_end - moved_start))
            distance = np.maximum(distance, np.abs(gap).max(axis=1))
        strays = (distance > tolerance) & np.isfinite(distance)
        if not strays.any():
            break
        where = np.flatnonzero(strays)
        path = np.insert(path, where + 1, (start[where] + end[where]) / 2, axis=0)
        moved = move(path)
    return moved
