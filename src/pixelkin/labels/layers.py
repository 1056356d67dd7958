"""From what a file says to annotations: which property is the class, its colour, its brush."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pixelkin.errors import LabelError
from pixelkin.types import Color, Legend

from .annotations import Annotation, Annotations, class_text, make_legend

CLASS, CLASS_ID, COLOR, BRUSH = "class", "class_id", "color", "brush_px"
"""Properties that our own files carry."""

# Tried where the file has no property 'class' and the caller named no other.
_CLASS_ALIASES = ("class", "label", "name", "category", "class_name", "class_id")
_COLOR_NAMES = ("color", "colour", "fill")


@dataclass(frozen=True)
class RawFeature:
    """A feature as a file holds it."""

    geometry: Any
    """A shapely geometry, or None."""
    properties: dict[str, Any]
    fid: int | str | None = None


@dataclass(frozen=True)
class RawLayer:
    """What a reader hands on."""

    features: Sequence[RawFeature]
    crs: str | None
    legend: Legend | None = None
    """The legend that we stored beside the features, where there is one."""
    fields: Sequence[str] = field(default=())
    """Names of properties, where the format declares them apart from the features."""


def annotate(layer: RawLayer, class_property: str) -> Annotations:
    """Annotations of a file's features.

    Raises:
        LabelError: The class property is not there or has no value, an id or brush cannot be used, or a geometry cannot.
    """
    names = list(dict.fromkeys([*layer.fields, *(key for feature in layer.features for key in feature.properties)]))
    if not layer.features:
        return Annotations((), layer.crs, layer.legend or Legend(()))
    key = _class_key(class_property, names)
    ours = key == CLASS
    total = len(layer.features)
    ids: dict[str, int] = {}
    colors: dict[str, Color] = {}
    annotations = []
    for i, feature in enumerate(layer.features):
        properties = {name: value for name, value in feature.properties.items() if value is not None}
        name = class_text(properties.pop(key, None))
        if name is None:
            raise LabelError(
                f"feature {i + 1} of {total} has {key} = {feature.properties.get(key)!r}, expected a class name. "
                "Fill it in, or delete the feature."
            )
        place = f"feature {i + 1} of {total} ({name!r})"
        if ours and CLASS_ID in properties:
            _state_id(ids, name, properties.pop(CLASS_ID), place)
        color = _take_color(properties)
        if color is not None:
            colors.setdefault(name, color)
        brush = _number(properties.pop(BRUSH), place) if BRUSH in properties else None
        annotations.append(Annotation(feature.geometry, name, color, brush, feature.fid, properties))
    legend = make_legend((entry.class_name for entry in annotations), stored=layer.legend if ours else None, ids=ids, colors=colors)
    return Annotations(tuple(annotations), layer.crs, legend)


def file_properties(annotations: Annotations, taken: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Properties of each feature as our files carry them: class, class_id, color, brush_px where there is one, then the rest.

    A property of the user's that has one of these names, or one of `taken`, is kept under that name with '_' added.
    """
    ours = {CLASS, CLASS_ID, COLOR, BRUSH}
    used = ours | set(taken)
    renamed: dict[str, str] = {}
    for name in dict.fromkeys(key for feature in annotations.features for key in feature.properties):
        fresh = name
        # Columns of GeoPackage and Shapefile are the same whatever their case.
        while fresh.lower() in used:
            fresh += "_"
        used.add(fresh.lower())
        renamed[name] = fresh
    entries = {entry.name: entry for entry in annotations.legend}
    rows = []
    for feature in annotations.features:
        entry = entries[feature.class_name]
        row: dict[str, Any] = {CLASS: entry.name, CLASS_ID: entry.id, COLOR: "#{:02x}{:02x}{:02x}".format(*(feature.color or entry.color))}
        if feature.brush_px is not None:
            row[BRUSH] = float(feature.brush_px)
        rows.append(row | {renamed[name]: value for name, value in feature.properties.items()})
    return rows


def _class_key(wanted: str, names: Sequence[str]) -> str:
    if wanted in names:
        return wanted
    listed = f"it has {', '.join(map(repr, names))}" if names else "it has none"
    if wanted != CLASS:
        raise LabelError(f"no feature has a property {wanted!r}; {listed}. Name the one that holds the class.")
    near = [name for name in names if name.lower() in _CLASS_ALIASES]
    if len(near) != 1:
        raise LabelError(f"no feature has a property 'class'; {listed}. Name the one that holds the class with class_property=....")
    return near[0]


def _state_id(ids: dict[str, int], name: str, value: Any, place: str) -> None:
    text = class_text(value) or ""
    if not re.fullmatch(r"\d{1,3}", text) or not 1 <= int(text) <= 255:
        raise LabelError(f"{place} has class_id {value!r}, expected a whole number from 1 to 255. Correct it, or leave it empty.")
    if ids.setdefault(name, int(text)) != int(text):
        raise LabelError(f"{place} has class_id {int(text)}, but an earlier feature gives its class {ids[name]}. Give each class one id.")
    other = next((known for known, class_id in ids.items() if class_id == int(text) and known != name), None)
    if other is not None:
        raise LabelError(f"{place} has class_id {int(text)}, which is class {other!r} already. Give each class its own id.")


def _take_color(properties: dict[str, Any]) -> Color | None:
    for name in list(properties):
        value = properties[name]
        if name.lower() in _COLOR_NAMES and isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
            del properties[name]
            return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)
    return None


def _number(value: Any, place: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise LabelError(f"{place} has brush_px {value!r}, expected a number of pixels. Correct it, or leave it empty.") from error
