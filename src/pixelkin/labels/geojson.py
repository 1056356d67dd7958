"""GeoJSON, read and written without a round trip through columns, so that nothing about a feature changes.

Coordinates are degrees of longitude and latitude on WGS 84 (RFC 7946), unless the file has the member "crs" of the
2008 format: a name states another CRS, and null states that there is none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import shapely
import shapely.errors
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from pixelkin.errors import LabelError, OutputError

from .annotations import GEOMETRY_TYPES, Annotations, describe_feature, one_kind, stored_legend
from .crs import WGS84, crs_name, move_shapes, mover
from .layers import RawFeature, RawLayer, file_properties

LEGEND_MEMBER = "pixelkin_legend"

# About a centimetre on the ground.
_COURSE_TOLERANCE_DEGREES = 1e-7


def read_geojson(path: Path, crs: str | None) -> RawLayer:
    """Features of a GeoJSON file.

    Args:
        path: File to read.
        crs: CRS of the coordinates whatever the file says; None = what it says.

    Raises:
        LabelError: Not GeoJSON, or coordinates that cannot be degrees though the file states no CRS.
    """
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise LabelError(f"not GeoJSON: {error}. Expected a FeatureCollection; export the labels again.") from error
    kind = content.get("type") if isinstance(content, dict) else type(content).__name__
    if kind == "FeatureCollection" and isinstance(content.get("features"), list):
        entries = content["features"]
    elif kind == "Feature":
        entries = [content]
    else:
        raise LabelError(f"not GeoJSON of features: its type is {kind!r}, expected 'FeatureCollection'. Export the labels again.")
    features = [_feature(entry, describe_feature(i, len(entries), _fid(entry))) for i, entry in enumerate(entries)]
    return RawLayer(features, _crs(content, crs, features), stored_legend(content.get(LEGEND_MEMBER)))


def write_geojson(annotations: Annotations, path: Path) -> None:
    """Write in degrees on WGS 84, one feature a line; coordinates of labels without a CRS are kept, marked by "crs": null.

    Raises:
        OutputError: The labels' CRS does not lead to WGS 84.
    """
    shapes = annotations.geometries
    if annotations.crs is not None:
        try:
            move = mover(annotations.crs, WGS84)
        except LabelError as error:
            raise OutputError(f"GeoJSON is in degrees on WGS 84, and {error} Write a GeoPackage, which keeps the CRS.") from error
        shapes = shapes if move is None else move_shapes(shapes, move, _COURSE_TOLERANCE_DEGREES)
    lines = []
    for i, (feature, geometry, properties) in enumerate(zip(annotations.features, shapes, file_properties(annotations), strict=True)):
        if geometry is None:
            raise OutputError(
                f"{annotations.describe(i)} has no place in degrees on WGS 84, as GeoJSON needs. Write a GeoPackage, which keeps the CRS."
            )
        entry = {"type": "Feature", "properties": properties, "geometry": mapping(_right_handed(geometry))}
        if feature.fid is not None:
            entry["id"] = feature.fid
        lines.append(json.dumps(entry, ensure_ascii=False, default=str))
    head = {"type": "FeatureCollection", LEGEND_MEMBER: annotations.legend.to_json()} | ({"crs": None} if annotations.crs is None else {})
    body = ",\n".join(lines)
    path.write_text(f'{json.dumps(head, ensure_ascii=False)[:-1]}, "features": [\n{body}\n]}}\n', "utf-8")


def _feature(entry: Any, place: str) -> RawFeature:
    if not isinstance(entry, dict) or not isinstance(entry.get("properties") or {}, dict):
        raise LabelError(f"{place} is not a GeoJSON feature, expected an object with geometry and properties. Export the labels again.")
    geometry = entry.get("geometry")
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if geometry is not None and kind not in (*GEOMETRY_TYPES, "GeometryCollection"):
        raise LabelError(f"{place} is a {kind}, expected one of {', '.join(GEOMETRY_TYPES)}. Split it into features of these kinds.")
    try:
        parsed = None if geometry is None else one_kind(shapely.force_2d(shape(geometry)))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, shapely.errors.ShapelyError) as error:
        raise LabelError(f"{place} has coordinates that make no {kind}: {error}. Draw it again or delete it.") from error
    return RawFeature(parsed, entry.get("properties") or {}, _fid(entry))


def _fid(entry: Any) -> int | str | None:
    fid = entry.get("id") if isinstance(entry, dict) else None
    return fid if isinstance(fid, int | str) else None


def _crs(content: dict[str, Any], stated: str | None, features: list[RawFeature]) -> str | None:
    if stated is not None:
        return stated
    if "crs" in content:
        member = content["crs"]
        if member is None:
            return None
        try:
            return crs_name(member["properties"]["name"])
        except (TypeError, KeyError) as error:
            raise LabelError(f"its crs is {member!r}, expected a named CRS or null. State it with crs='EPSG:...'.") from error
    for i, feature in enumerate(features):
        if feature.geometry is not None and not feature.geometry.is_empty:
            left, bottom, right, top = feature.geometry.bounds
            if max(abs(left), abs(right)) > 360 or max(abs(bottom), abs(top)) > 90:
                raise LabelError(
                    f"{describe_feature(i, len(features), feature.fid)} lies at ({left:g}, {bottom:g}), expected degrees of longitude and latitude, "
                    "as the file states no CRS (RFC 7946). "
                    "State it with crs='EPSG:...', or with \"crs\": null in the file for an image without one."
                )
    return WGS84


def _right_handed(geometry: BaseGeometry) -> BaseGeometry:
    """Outer rings anticlockwise, as RFC 7946 asks."""
    if geometry.geom_type == "Polygon":
        return orient(geometry)
    if geometry.geom_type == "MultiPolygon":
        return shapely.MultiPolygon([orient(part) for part in geometry.geoms])
    return geometry
