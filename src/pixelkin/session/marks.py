"""What a user draws: classes and marks, as plain values in the pixel space of an image.

Pixel space: x = column to the right, y = row down, (0, 0) the outer corner of the first pixel, so that pixel
(row r, col c) has its centre at (c + 0.5, r + 0.5). Marks are kept in it because it is exact: a mark covers the
same pixels after a restart, on another machine, and in an export.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import shapely
import shapely.geometry

from ..errors import LabelError
from ..labels.annotations import GEOMETRY_TYPES
from ..types import Color, Legend, LegendClass

KINDS = ("point", "scribble", "box", "polygon")
ERASER = 0
"""The class id of an eraser: pixels under it lose their label."""
MAX_BRUSH_PX = 1000.0
_MAX_COORDINATE = 1e8
_MAX_VERTICES = 200_000


def color_to_hex(color: Color) -> str:
    """'#rrggbb' of a colour."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def color_from_hex(text: str) -> Color:
    """Inverse of `color_to_hex`; LabelError on anything else."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise LabelError(f"colour is {text!r}, expected '#rrggbb', e.g. '#0072b2'. Give six hexadecimal digits.")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


@dataclass(frozen=True, slots=True)
class LabelClass:
    """A class of the project."""

    id: int
    """1..255."""
    name: str
    color: Color
    key: str | None
    """'1'..'9', the key that picks it, or None."""
    position: int
    """Order in the list; unique and rising, with gaps after deletions."""

    def to_json(self) -> dict[str, Any]:
        """A row that `from_json` reads back."""
        return {"id": self.id, "name": self.name, "color": color_to_hex(self.color), "key": self.key, "position": self.position}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> LabelClass:
        """Inverse of `to_json`."""
        return cls(int(row["id"]), str(row["name"]), color_from_hex(row["color"]), row["key"], int(row["position"]))


def legend_of(classes: list[LabelClass]) -> Legend:
    """The legend of a map drawn with these classes, in their order."""
    return Legend(tuple(LegendClass(entry.id, entry.name, entry.color) for entry in classes))


@dataclass(frozen=True, slots=True)
class Mark:
    """One stroke of the user."""

    id: str
    order: int
    """Rises with time and is never used twice; a later mark wins over an earlier one."""
    scene: str
    class_id: int
    """1..255, or 0 for an eraser."""
    kind: str
    """One of KINDS."""
    geometry: dict[str, Any]
    """GeoJSON geometry in pixel space."""
    brush_px: float
    """Diameter of points and lines in pixels, >= 1; 1 marks the pixels touched."""
    author: str = ""
    """Who drew it; '' where nobody said."""

    def to_json(self) -> dict[str, Any]:
        """A row that `from_json` reads back."""
        return {
            "id": self.id,
            "order": self.order,
            "scene": self.scene,
            "class_id": self.class_id,
            "kind": self.kind,
            "geometry": self.geometry,
            "brush_px": self.brush_px,
            **({"author": self.author} if self.author else {}),
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Mark:
        """Inverse of `to_json`."""
        return cls(
            str(row["id"]),
            int(row["order"]),
            str(row["scene"]),
            int(row["class_id"]),
            str(row["kind"]),
            row["geometry"],
            float(row["brush_px"]),
            str(row.get("author", "")),
        )


def check_brush(brush_px: float) -> float:
    """The brush width, or LabelError if it makes no sense."""
    if not math.isfinite(brush_px) or not 1 <= brush_px <= MAX_BRUSH_PX:
        raise LabelError(f"brush_px is {brush_px}, expected 1 to {MAX_BRUSH_PX:g} pixels. Choose another brush width.")
    return float(brush_px)


def parse_geometry(geometry: dict[str, Any]) -> shapely.Geometry:
    """A shapely geometry of a GeoJSON one.

    Raises:
        LabelError: It is not GeoJSON, empty, too large, or has coordinates that are not finite.
    """
    try:
        shape: shapely.Geometry = shapely.geometry.shape(geometry)
    except Exception as exc:  # shapely raises AttributeError, KeyError, TypeError, ValueError and its own, by what is wrong
        raise LabelError(f"geometry is not GeoJSON ({exc}), expected e.g. {{'type': 'Point', 'coordinates': [x, y]}}.") from exc
    if shape.geom_type not in GEOMETRY_TYPES:
        raise LabelError(f"geometry is a {shape.geom_type}, expected one of {', '.join(GEOMETRY_TYPES)}.")
    if shape.is_empty or not all(abs(v) <= _MAX_COORDINATE for v in shape.bounds):
        raise LabelError("geometry is empty or not finite, expected at least one point with two numbers in pixels. Draw the mark again.")
    if shapely.get_num_coordinates(shape) > _MAX_VERTICES:
        raise LabelError(f"geometry has {shapely.get_num_coordinates(shape)} vertices, expected at most {_MAX_VERTICES}. Draw it in parts.")
    return shape
