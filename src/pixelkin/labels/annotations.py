"""What a user drew: shapes with a class, in order, with nothing lost."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from pixelkin.errors import LabelError
from pixelkin.types import Color, Legend, LegendClass, default_color

GEOMETRY_TYPES = ("Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon")


@dataclass(frozen=True)
class Annotation:
    """One mark: a point, a scribble, a polygon (a box is one too), or several of a kind."""

    geometry: BaseGeometry
    class_name: str
    color: Color | None = None
    """Red, green, blue, 0..255; None = the legend's."""
    brush_px: float | None = None
    """Diameter in image pixels, >= 1, of a point or line; None = the brush that `rasterize` is given. Polygons have no brush."""
    fid: int | str | None = None
    """The feature's own id in the file it came from; order is the place in `Annotations.features`."""
    properties: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Everything else that the file said of the feature."""


@dataclass(frozen=True)
class Annotations:
    """Marks in the order in which they were drawn, their CRS and their classes.

    Raises:
        LabelError: A geometry is missing, empty, of an unknown kind or not finite; a brush is below 1; a class is not in the legend.
    """

    features: tuple[Annotation, ...]
    crs: str | None
    """'EPSG:n' or WKT; None = the image's own coordinates."""
    legend: Legend
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What reading the file decided on its own, a line each."""

    def __post_init__(self) -> None:
        geometries = self.geometries
        known = set(self.legend.names)
        kinds = shapely.get_type_id(geometries)
        empty = shapely.is_empty(geometries)
        finite = np.isfinite(shapely.bounds(geometries)).all(axis=1)
        allowed = {shapely.GeometryType[kind.upper()].value for kind in GEOMETRY_TYPES}
        for i, feature in enumerate(self.features):
            if kinds[i] == -1 or (empty[i] and kinds[i] in allowed):
                raise LabelError(f"{self.describe(i)} has no geometry, expected a point, line or polygon. Draw it again or delete it.")
            if kinds[i] not in allowed:
                raise LabelError(
                    f"{self.describe(i)} is a {feature.geometry.geom_type}, expected one of {', '.join(GEOMETRY_TYPES)}. "
                    "Split it into features of these kinds."
                )
            if not finite[i]:
                raise LabelError(f"{self.describe(i)} has coordinates that are not finite numbers. Draw it again or delete it.")
            if feature.class_name not in known:
                raise LabelError(f"{self.describe(i)} has a class that is not in the legend, expected one of {list(self.legend.names)}.")
            if feature.brush_px is not None and not 1 <= feature.brush_px < math.inf:
                raise LabelError(f"{self.describe(i)} has brush_px {feature.brush_px}, expected 1 or more pixels. Mend its brush_px.")

    @classmethod
    def from_features(cls, features: Iterable[Annotation], crs: str | None, legend: Legend | None = None) -> Annotations:
        """Annotations whose legend is made from the features, or is the one given with the features' new classes added."""
        features = tuple(features)
        colors: dict[str, Color] = {}
        for feature in features:
            if feature.color is not None:
                colors.setdefault(feature.class_name, feature.color)
        return cls(features, crs, make_legend((feature.class_name for feature in features), stored=legend, colors=colors))

    @property
    def geometries(self) -> Any:
        """The shapes, object array (n,)."""
        geometries = np.empty(len(self.features), object)
        geometries[:] = [feature.geometry for feature in self.features]
        return geometries

    def describe(self, index: int) -> str:
        """How messages name a feature, counted from 1: "feature 3 of 12 (id 7, 'water', at 2.5, 41.2)"."""
        feature = self.features[index]
        return describe_feature(index, len(self.features), feature.fid, feature.class_name, feature.geometry)

    def __len__(self) -> int:
        return len(self.features)


def describe_feature(
    index: int, total: int, fid: int | str | None = None, name: str | None = None, geometry: BaseGeometry | None = None
) -> str:
    """How messages name a feature: its number from 1, its id in the file, its class and a point of it, as far as these are known."""
    known = [] if fid is None else [f"id {fid}"]
    known += [] if name is None else [repr(name)]
    if geometry is not None and not geometry.is_empty and np.isfinite(shapely.bounds(geometry)).all():
        x, y = shapely.get_coordinates(geometry)[0]
        known.append(f"at {x:.10g}, {y:.10g}")
    return f"feature {index + 1} of {total}" + (f" ({', '.join(known)})" if known else "")


def one_kind(geometry: Any) -> Any:
    """A collection of shapes of one kind as the multi-part shape that it is; other geometries as they are."""
    if geometry is None or geometry.geom_type != "GeometryCollection":
        return geometry
    parts = shapely.get_parts(shapely.get_parts(geometry))
    kinds = {part.geom_type for part in parts}
    if len(kinds) != 1 or f"Multi{(kind := kinds.pop())}" not in GEOMETRY_TYPES:
        return geometry
    return getattr(shapely, f"Multi{kind}")(list(parts))


def class_text(value: object) -> str | None:
    """A class name from a property's value: text as it is, whole numbers without a point; None where there is none."""
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else repr(value)
    return None


def class_number(name: str) -> int | None:
    """The number that a class name is ('3', '03', '3.0', '-1'), None where it is a word."""
    return int(name.partition(".")[0]) if re.fullmatch(r"\s*[+-]?\d{1,10}(\.0*)?\s*", name) else None


def make_legend(
    names: Iterable[str], *, stored: Legend | None = None, ids: Mapping[str, int] | None = None, colors: Mapping[str, Color] | None = None
) -> Legend:
    """A legend for class names in the order in which they first appear.

    Args:
        names: Class names, repeats allowed.
        stored: A legend kept from before: its classes come first, unchanged.
        ids: Ids stated for names. Where any are, new classes come in the order of their ids.
        colors: Colours stated for names; the others get colour-blind-safe ones.

    Returns:
        Names that are whole numbers from 1 to 255 get that id where it is free ('7' before '07'), other names the lowest free
        one. `by_order` is set where no id was stored or stated and a name is not a number.

    Raises:
        LabelError: More than 255 classes, or one id for two classes.
    """
    classes = list(stored or ())
    there = {entry.name for entry in classes}
    new = [name for name in dict.fromkeys(names) if name not in there]
    if len(classes) + len(new) > 255:
        raise LabelError(
            f"the labels have {len(classes) + len(new)} classes, expected at most 255: {new[0]!r}, {new[1]!r}, ... "
            "Choose the property that names the class, or merge classes."
        )
    given = dict(ids or {})
    taken = {entry.id for entry in classes} | {given[name] for name in new if name in given}
    numbers = {name: number for name in new if name not in given and (number := class_number(name)) is not None}
    for name in sorted(numbers, key=lambda name: name != str(numbers[name])):
        if 1 <= numbers[name] <= 255 and numbers[name] not in taken:
            given[name] = numbers[name]
            taken.add(numbers[name])
    free = (i for i in range(1, 256) if i not in taken)
    for name in new:
        if name not in given:
            given[name] = next(free)
    if ids:
        new.sort(key=given.__getitem__)
    start = len(classes)
    for i, name in enumerate(new):
        classes.append(LegendClass(given[name], name, (colors or {}).get(name) or default_color(start + i)))
    return Legend(tuple(classes), by_order=not stored and not ids and len(numbers) < len(new))


def stored_legend(entries: Any) -> Legend | None:
    """The legend that we stored in a file, as `Legend.to_json` or its text; None where there is none.

    Raises:
        LabelError: It is damaged.
    """
    if entries is None:
        return None
    try:
        legend = Legend.from_json(json.loads(entries) if isinstance(entries, str) else entries)
        sound = all(len(entry.color) == 3 and all(0 <= int(channel) <= 255 for channel in entry.color) for entry in legend)
    except (TypeError, KeyError, ValueError) as error:
        raise LabelError(f"the legend stored in it cannot be read: {error!r}. Write the labels again, or delete the legend.") from error
    if not sound:
        raise LabelError(
            f"the legend stored in it has colours {[entry.color for entry in legend]}, expected red, green, blue from 0 to 255."
        )
    return legend
