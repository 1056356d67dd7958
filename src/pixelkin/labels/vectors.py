"""GeoPackage, Shapefile and whatever else GDAL reads as vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyogrio.errors
import pyogrio.raw
import shapely
import shapely.errors

from pixelkin.errors import LabelError, OutputError
from pixelkin.silence import silenced
from pixelkin.types import AnyArray

from .annotations import Annotations, one_kind, stored_legend
from .crs import crs_name
from .layers import BRUSH, CLASS, CLASS_ID, COLOR, RawFeature, RawLayer, file_properties

LAYER = "labels"
LEGEND_KEY = "pixelkin_legend"
_DRIVERS = {".gpkg": "GPKG", ".shp": "ESRI Shapefile"}
_REFUSED = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError, pyogrio.errors.GeometryError)


def read_vectors(path: Path, crs: str | None, layer: str | None = None) -> RawLayer:
    """Features of a layer: the one that is named, else 'labels', else the only one that has shapes.

    Raises:
        LabelError: Not a vector file, no such layer, several that it may be, or a geometry that cannot be read.
    """
    try:
        # Measures (M) are no part of a label.
        with silenced(UserWarning, "Measured .* geometry types are not supported"):
            chosen, notes = _layer(path, layer)
            info = pyogrio.read_info(path, layer=chosen)
            meta, fids, shapes, columns = pyogrio.raw.read(path, layer=chosen, force_2d=True, return_fids=True, datetime_as_string=True)
            geometries = shapely.from_wkb(shapes) if shapes is not None else np.full(len(fids), None)
    except (*_REFUSED, shapely.errors.ShapelyError, UnicodeDecodeError) as error:
        raise LabelError(
            f"not a vector file that can be read: {error}. Expected GeoJSON, GeoPackage, Shapefile, CSV or a label raster (GeoTIFF)."
        ) from error
    names = [str(name) for name in meta["fields"]]
    cells = [_cells(column, kind, subtype) for column, kind, subtype in zip(columns, meta["ogr_types"], meta["ogr_subtypes"], strict=True)]
    features = [
        RawFeature(one_kind(geometry), dict(zip(names, row, strict=True)), int(fid))
        for geometry, fid, row in zip(geometries, fids, zip(*cells, strict=True) if cells else [()] * len(fids), strict=True)
    ]
    legend = stored_legend((info.get("layer_metadata") or {}).get(LEGEND_KEY))
    own_crs = crs_name(meta["crs"]) if crs is None and meta["crs"] else None
    return RawLayer(features, crs or own_crs, legend, names, notes)


def write_vectors(annotations: Annotations, path: Path) -> None:
    """Write a GeoPackage or a Shapefile in the labels' CRS.

    Raises:
        OutputError: A Shapefile cannot hold these labels: several kinds of geometry, or long names or text.
    """
    driver = _DRIVERS[path.suffix.lower()]
    shapefile = driver == "ESRI Shapefile"
    rows = file_properties(annotations, taken=("fid", "geom"))
    names = list(dict.fromkeys([CLASS, CLASS_ID, COLOR, *(name for row in rows for name in row)]))
    kinds = {feature.geometry.geom_type for feature in annotations.features}
    if shapefile:
        _refuse_loss(annotations, rows, names, kinds)
        kinds = {min(kinds, key=len)}  # lines and polygons of several parts share their file with simple ones
    columns = [_column([row.get(name) for row in rows], name, shapefile) for name in names]
    # Labels of an image without CRS have none either, on purpose.
    with silenced(UserWarning, "'crs' was not provided"):
        try:
            pyogrio.raw.write(
                path,
                shapely.to_wkb(annotations.geometries),
                [column for column, _ in columns],
                names,
                field_mask=[mask for _, mask in columns],
                layer=path.stem if shapefile else LAYER,
                driver=driver,
                geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
                crs=annotations.crs,
                promote_to_multi=False,
                layer_metadata=None if shapefile else {LEGEND_KEY: json.dumps(annotations.legend.to_json())},
            )
        except (*_REFUSED, pyogrio.errors.FieldError) as error:
            raise OutputError(f"{path.name} cannot be written: {error}. Check free space and permissions.") from error


def _layer(path: Path, wanted: str | None) -> tuple[str, list[str]]:
    """The layer to read, and a note where others were passed over."""
    # A table without shapes, such as the styles that QGIS keeps in a GeoPackage, holds no labels.
    layers = [(str(name), kind) for name, kind in pyogrio.list_layers(path)]
    shaped = [name for name, kind in layers if kind is not None]
    listed = ", ".join(map(repr, shaped))
    if wanted is not None:
        if wanted in shaped:
            return wanted, []
        if wanted.isdigit() and int(wanted) < len(layers):
            return layers[int(wanted)][0], []
        raise LabelError(f"it has no layer {wanted!r} of shapes, expected one of {listed or 'none'}. Choose one with layer=....")
    if not layers:
        raise LabelError("it has no layer, expected one of points, lines or polygons. Check that it is the right file, and whole.")
    if not shaped:
        raise LabelError(f"its layers {', '.join(repr(name) for name, _ in layers)} hold no shapes, expected points, lines or polygons.")
    if LAYER in shaped:
        return LAYER, []
    if len(shaped) > 1:
        filled = [name for name in shaped if pyogrio.read_info(path, layer=name, force_feature_count=True)["features"]]
        if len(filled) == 1:
            return filled[0], [f"layer {filled[0]!r} is read, the only one of {len(shaped)} that has features."]
        raise LabelError(f"it has layers {listed}, expected one, or one called {LAYER!r}. Choose one with layer=....")
    return shaped[0], []


def _cells(column: AnyArray, kind: str, subtype: str) -> list[Any]:
    """Python values of a column, None where empty: a whole number or a truth value with gaps comes as floating point."""
    values = [None if isinstance(value, float) and np.isnan(value) else value for value in column.tolist()]
    convert = bool if subtype == "OFSTBoolean" else int if kind in ("OFTInteger", "OFTInteger64") else None
    return [value if value is None or convert is None else convert(value) for value in values]


def _column(values: list[Any], name: str, shapefile: bool) -> tuple[AnyArray, AnyArray]:
    """A column of one type and its mask, True = empty. Values of mixed or nested types become JSON text."""
    empty = np.array([value is None for value in values], bool)
    types = {type(value) for value in values if value is not None}
    if name == CLASS_ID:
        return np.array(values, np.int32), empty
    if types == {bool} and not shapefile:
        return np.array([bool(value) for value in values]), empty
    if types and types <= {int, bool} and all(value is None or abs(value) < 2**63 for value in values):
        return np.array([value or 0 for value in values], np.int64), empty
    if name == BRUSH or (types and types <= {int, float}):
        return np.array([np.nan if value is None else value for value in values], np.float64), empty
    texts = [value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str) for value in values]
    return np.array(texts, object), empty


def _refuse_loss(annotations: Annotations, rows: list[dict[str, Any]], names: list[str], kinds: set[str]) -> None:
    fix = "Write a GeoPackage, which has no such limit."
    if not rows:
        raise OutputError(f"there is no feature, but a Shapefile holds one kind of geometry and needs one to know it. {fix}")
    if len({kind if kind == "MultiPoint" else kind.removeprefix("Multi") for kind in kinds}) > 1:
        raise OutputError(f"the labels are {', '.join(sorted(kinds))}, but a Shapefile holds one kind of geometry. {fix}")
    for name in names:
        if len(name.encode()) > 10:
            raise OutputError(f"property {name!r} has a name of more than 10 bytes, which a Shapefile cannot hold. {fix}")
    for i, row in enumerate(rows):
        for name, value in row.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            if len(text.encode()) > 254 or (isinstance(value, str) and value != value.rstrip(" ")):
                raise OutputError(
                    f"{annotations.describe(i)} has {name} = {value!r}: a Shapefile cuts text at 254 bytes and trailing spaces. {fix}"
                )
