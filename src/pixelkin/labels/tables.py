"""Points in CSV: x, y, class, and where wanted class_id, color, brush_px and anything else. CSV carries no CRS."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import shapely

from pixelkin.errors import LabelError, OutputError

from .annotations import Annotations
from .layers import RawFeature, RawLayer, file_properties


def read_csv(path: Path, crs: str | None) -> RawLayer:
    """Points of a CSV file with a header; columns are parted by comma, semicolon or tab, whichever the header has most of.

    Raises:
        LabelError: No header, no column x or y, or a row that cannot be read; the message names the line.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(f"not text in UTF-8: {error}. Save it as CSV UTF-8.") from error
    head = text.lstrip("\r\n").partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), skipinitialspace=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise LabelError(f"line {reader.line_num} is not CSV: {error}. Correct the line.") from error
    header = [name.strip() for name in rows[0][1]] if rows else []
    if not header or any(_is_number(name) for name in header):
        raise LabelError(f"it has no header: the first line is {head.strip()!r}, expected column names. Add a first line x,y,class.")
    x, y = _column("x", header), _column("y", header)
    others = [(i, name) for i, name in enumerate(header) if i not in (x, y)]
    points, properties = [], []
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise LabelError(f"line {line} has {len(row)} cells, expected {len(header)} as in the header. Correct the line.")
        for column in (x, y):
            if not _is_number(row[column]):
                raise LabelError(f"line {line} has {header[column]} = {row[column]!r}, expected a number. Correct the line.")
        points.append((float(row[x]), float(row[y])))
        properties.append({name: row[i] for i, name in others if row[i] != ""})
    features = [RawFeature(point, rest) for point, rest in zip(shapely.points(np.reshape(points, (-1, 2))), properties, strict=True)]
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


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _column(name: str, header: list[str]) -> int:
    found = [i for i, title in enumerate(header) if title.lower() == name]
    if len(found) != 1:
        raise LabelError(f"it has columns {', '.join(map(repr, header))}, expected one called {name!r}. Rename the column.")
    return found[0]
