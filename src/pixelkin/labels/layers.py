"""From what a file says to annotations: which property is the class, its colour, its brush."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pixelkin.errors import LabelError
from pixelkin.types import Color, Legend

from .annotations import Annotation, Annotations, class_number, class_text, describe_feature, make_legend
from .classes import notes_on

CLASS, CLASS_ID, COLOR, BRUSH = "class", "class_id", "color", "brush_px"
"""Properties that our own files carry."""

# Tried where the file has no property 'class' and the caller named no other.
_CLASS_ALIASES = ("class", "label", "name", "category", "class_name")
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
    notes: Sequence[str] = field(default=())
    """What the reader decided on its own, a line each."""


def annotate(layer: RawLayer, class_property: str, names_of: Mapping[int, str] | None = None) -> Annotations:
    """Annotations of a file's features, with names for classes that are numbers.

    Raises:
        LabelError: The class property is not there or has no value, an id or brush cannot be used, or a geometry cannot.
    """
    names = list(dict.fromkeys([*layer.fields, *(key for feature in layer.features for key in feature.properties)]))
    if not layer.features:
        return Annotations((), layer.crs, layer.legend or Legend(()))
    key = _class_key(class_property, names)
    id_key = next((name for name in names if name.lower() == CLASS_ID and name != key), None) if key.lower() in _CLASS_ALIASES else None
    ids = _Ids()
    colors: dict[str, Color] = {}
    annotations = []
    for i, feature in enumerate(layer.features):
        properties = {name: value for name, value in feature.properties.items() if value is not None}
        name = class_text(properties.pop(key, None))
        if name is None:
            place = describe_feature(i, len(layer.features), feature.fid, None, feature.geometry)
            raise LabelError(
                f"{place} has {key} = {feature.properties.get(key)!r}, expected a class name. Fill it in, or delete the feature."
            )
        number = class_number(name)
        if names_of and number is not None and number in names_of:
            name = names_of[number]
            if 1 <= number <= 255:
                ids.state(name, number, repr(name))
        place = describe_feature(i, len(layer.features), feature.fid, name, feature.geometry)
        if id_key is not None and id_key in properties:
            ids.state(name, properties.pop(id_key), place)
        color = _take_color(properties)
        if color is not None:
            colors.setdefault(name, color)
        brush = _number(properties.pop(BRUSH), place) if BRUSH in properties else None
        annotations.append(Annotation(feature.geometry, name, color, brush, feature.fid, properties))
    stored = layer.legend if key == CLASS else None
    legend = make_legend((entry.class_name for entry in annotations), stored=stored, ids=ids.usable, colors=colors)
    return Annotations(
        tuple(annotations),
        layer.crs,
        legend,
        (*layer.notes, *ids.notes(legend), *notes_on(legend, {*ids.usable, *(stored.names if stored else ())})),
    )


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
    near = [name for name in names if name.lower() in _CLASS_ALIASES] or [name for name in names if name.lower() == CLASS_ID]
    if len(near) != 1:
        raise LabelError(f"no feature has a property 'class'; {listed}. Name the one that holds the class with class_property=....")
    return near[0]


class _Ids:
    """Ids that features state for their classes."""

    def __init__(self) -> None:
        self._stated: dict[str, int] = {}
        self._owner: dict[int, str] = {}

    @property
    def usable(self) -> dict[str, int]:
        """Those that a map can hold, 1 to 255; a class with another one is numbered anew."""
        return {name: number for name, number in self._stated.items() if 1 <= number <= 255}

    def notes(self, legend: Legend) -> list[str]:
        """A word on every class whose stated id could not stay."""
        moved = [f"{name!r} {number} = {legend.by_name(name).id}" for name, number in self._stated.items() if name not in self.usable]
        return (
            [f"class ids run from 1 to 255, so ids are changed: {', '.join(moved[:8])}{', ...' if len(moved) > 8 else ''}."]
            if moved
            else []
        )

    def state(self, name: str, value: Any, place: str) -> None:
        text = class_text(value) or ""
        if not re.fullmatch(r"-?\d{1,10}", text):
            raise LabelError(f"{place} has class_id {value!r}, expected a whole number. Correct it, or leave it empty.")
        if self._stated.setdefault(name, int(text)) != int(text):
            raise LabelError(
                f"{place} has class_id {int(text)}, but an earlier feature gives its class {self._stated[name]}. Give each class one id."
            )
        other = self._owner.setdefault(int(text), name)
        if other != name:
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
