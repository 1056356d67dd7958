"""Points in CSV: x, y, class, and where wanted class_id, color, brush_px and anything else. CSV carries no CRS.

Longitude and latitude, easting and northing, and a column of WKT, are read too.
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import shapely.errors

from pixelkin.errors import LabelError, OutputError

from .annotations import Annotations, one_kind
from .crs import WGS84
from .layers import RawFeature, RawLayer, file_properties

_DEGREES = (("lon", "lat"), ("long", "lat"), ("lng", "lat"), ("longitude", "latitude"), ("lon_dd", "lat_dd"))
_PLANE = (("x", "y"), ("easting", "northing"), ("point_x", "point_y"), ("x_coord", "y_coord"), ("xcoord", "ycoord"), ("coord_x", "coord_y"))
_WKT = ("wkt", "geometry", "geom", "wkt_geom")


def read_csv(path: Path, crs: str | None, xy: tuple[str, str] | None = None) -> RawLayer:
    """Points of a CSV file with a header; columns are parted by comma, semicolon or tab, whichever the header has most of.

    Args:
        path: File to read.
        crs: CRS of the coordinates; None = the image's own, and degrees on WGS 84 where the columns are longitude and latitude.
        xy: Columns of the coordinates; None = the usual names, or a column of WKT.

    Raises:
        LabelError: No header, no columns of coordinates, or a row that cannot be read; the message names the line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(f"not text in UTF-8: {error}. Save it as CSV UTF-8.") from error
    head = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise LabelError(f"line {reader.line_num} is not CSV: {error}. Correct the line.") from error
    header = [name.strip() for name in rows[0][1]] if rows else []
    if not header or any(_number(name, delimiter) is not None for name in header):
        raise LabelError(f"it has no header: the first line is {head.strip()!r}, expected column names. Add a first line x,y,class.")
    places, degrees = _columns(header, xy)
    if degrees and crs is None:
        crs = WGS84
    others = [(i, name) for i, name in enumerate(header) if i not in places]
    shapes: list[Any] = []
    properties = []
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise LabelError(f"line {line} has {len(row)} cells, expected {len(header)} as in the header. Correct the line.")
        if len(places) == 2:
            x, y = _point(row, header, places, delimiter, line)
            if degrees and crs == WGS84 and not (abs(x) <= 360 and abs(y) <= 90):
                raise LabelError(
                    f"line {line} lies at ({x:g}, {y:g}), expected degrees of longitude and latitude. State the CRS: crs='EPSG:...'."
                )
            shapes.append((x, y))
        else:
            shapes.append(_shape(row[places[0]], line))
        properties.append({name: row[i] for i, name in others if row[i] != ""})
    geometries = shapely.points(np.reshape(shapes, (-1, 2))) if len(places) == 2 else shapes
    features = [RawFeature(shape, rest) for shape, rest in zip(geometries, properties, strict=True)]
    return RawLayer(features, crs, fields=[name for _, name in others])


def write_csv(annotations: Annotations, path: Path) -> None:
    """Write points in the labels' own coordinates.

    Raises:
        OutputError: A feature is not a point.
    """
    for i, feature in enumerate(annotations.features):
        if feature.geometry.geom_type != "Point":
            raise OutputError(
                f"{annotations.describe(i)} is a {feature.geometry.geom_type}, but CSV holds points only. "
                "Write a GeoPackage or GeoJSON, or give the scene to write its pixels."
            )
    rows = file_properties(annotations, taken=("x", "y"))
    names = list(dict.fromkeys(["class", "class_id", "color", *(name for row in rows for name in row)]))
    with path.open("w", encoding="utf-8", newline="") as file:
        # Quoted text keeps its leading spaces, which the reader drops otherwise.
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        file.write(",".join(["x", "y"]) + ",")
        writer.writerow(names)
        for feature, row in zip(annotations.features, rows, strict=True):
            writer.writerow([feature.geometry.x, feature.geometry.y, *(row.get(name, "") for name in names)])


def _number(text: str, delimiter: str) -> float | None:
    """A finite number; with a comma as decimal point where commas do not part the columns."""
    try:
        value = float(text if delimiter == "," else text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _columns(header: list[str], xy: tuple[str, str] | None) -> tuple[tuple[int, ...], bool]:
    """Places of x and y, or of the one column of WKT, and whether they are longitude and latitude."""
    lower = [name.lower() for name in header]
    listed = ", ".join(map(repr, header))
    if xy is not None:
        for name in xy:
            if lower.count(name.lower()) != 1:
                raise LabelError(f"it has columns {listed}, expected one called {name!r}. Correct xy=....")
        return (lower.index(xy[0].lower()), lower.index(xy[1].lower())), False
    for pairs, degrees in ((_PLANE, False), (_DEGREES, True)):
        found = [pair for pair in pairs if pair[0] in lower and pair[1] in lower]
        if len(found) == 1 and lower.count(found[0][0]) == lower.count(found[0][1]) == 1:
            return (lower.index(found[0][0]), lower.index(found[0][1])), degrees
        if found:
            raise LabelError(f"it has columns {listed}, and several may be the coordinates. Name two with xy=('X', 'Y').")
    wkt = [i for i, name in enumerate(lower) if name in _WKT]
    if len(wkt) == 1:
        return (wkt[0],), False
    raise LabelError(f"it has columns {listed}, expected 'x' and 'y', or 'lon' and 'lat'. Name the two with xy=('X', 'Y').")


def _point(row: list[str], header: list[str], places: tuple[int, ...], delimiter: str, line: int) -> list[float]:
    numbers = []
    for i in places:
        number = _number(row[i], delimiter)
        if number is None:
            raise LabelError(f"line {line} has {header[i]} = {row[i]!r}, expected a number. Correct the line.")
        numbers.append(number)
    return numbers


def _shape(text: str, line: int) -> Any:
    try:
        return one_kind(shapely.force_2d(shapely.from_wkt(text)))
    except shapely.errors.ShapelyError as error:
        raise LabelError(f"line {line} has the geometry {text[:40]!r}, expected WKT such as POINT (2.5 41.2). Correct the line.") from error
