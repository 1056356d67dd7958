"""Labels from files into marks, and marks into files, without losing a pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio.features
import shapely
import shapely.geometry

from ..errors import LabelError
from ..labels import Annotation, Annotations, read_annotations, read_labels, write_annotations, write_labels
from ..labels.crs import mover
from ..labels.rasterize import shapes_in_pixels
from ..scene import Scene
from ..types import BoolArray, Grid, LegendClass
from .edits import AddClass, AddMark, Edit
from .labels import LabelState
from .marks import ERASER, Mark, color_to_hex, parse_geometry
from .project import pixels_to_crs

ExportFormat = Literal["geojson", "gpkg", "tif"]
_RASTERS = (".tif", ".tiff")
_KINDS = {"Point": "point", "LineString": "scribble", "Polygon": "polygon"}


def read_edits(path: Path, scene_id: str, scene: Scene, state: LabelState, *, class_property: str = "class") -> list[Edit]:
    """The edits that bring the labels of a file into the project; classes are matched by name.

    Raises:
        LabelError: The file cannot be read as labels of this image.
    """
    if path.suffix.lower() in _RASTERS:
        return _edits_of_raster(path, scene_id, scene, state)
    annotations = read_annotations(path, class_property=class_property)
    if not annotations.features:
        raise LabelError(f"{path.name} has no feature, expected at least one mark. Check that it is the right file.")
    ids, edits = _class_edits(annotations.legend.classes, {feature.class_name for feature in annotations.features}, state)
    move = _into_pixels(annotations.crs, scene.grid)
    for feature in annotations.features:
        shape = shapely.transform(feature.geometry, move)
        kind = _KINDS[shape.geom_type.removeprefix("Multi")]
        edits.append(AddMark(scene_id, ids[feature.class_name], kind, _geojson(shape), feature.brush_px or 1.0))
    return edits


def _edits_of_raster(path: Path, scene_id: str, scene: Scene, state: LabelState) -> list[Edit]:
    labels = read_labels(path, scene)
    present = set(labels.classes.tolist())
    named = [entry for entry in labels.legend if entry.id in present]
    ids, edits = _class_edits(named, {entry.name for entry in named}, state)
    mask = labels.to_mask(scene.grid.shape)
    for entry in named:
        shape = outline(mask == entry.id)
        edits.append(AddMark(scene_id, ids[entry.name], "polygon", _geojson(shape)))
    return edits


def _class_edits(legend: Any, used: set[str], state: LabelState) -> tuple[dict[str, int], list[Edit]]:
    """Project ids of the file's classes by name, and what it takes to add the new ones."""
    ids = {entry.name: entry.id for entry in state.classes}
    taken = set(ids.values())
    edits: list[Edit] = []
    entry: LegendClass
    for entry in legend:
        name = " ".join(entry.name.split())
        if entry.name in used and name not in ids:
            free = next((i for i in [entry.id, *range(1, 256)] if i not in taken), None)
            if free is None:
                raise LabelError("the project would have more than 255 classes, expected at most 255. Merge or delete classes first.")
            ids[name] = free
            taken.add(free)
            edits.append(AddClass(name, color_to_hex(entry.color), None, free))
        ids.setdefault(entry.name, ids.get(name, 0))
    return ids, edits


def outline(mask: BoolArray) -> shapely.Geometry:
    """The pixels of a mask as polygons along pixel edges, in pixel space; exactly their centres lie inside."""
    # Aside of the origin, where rasterio would silence a warning that other threads might then hear.
    aside = rasterio.Affine.translation(1, 1)
    outlines = rasterio.features.shapes(mask.astype(np.uint8), mask=mask, connectivity=4, transform=aside)
    parts = [shapely.geometry.shape(shape) for shape, value in outlines if value]
    return shapely.transform(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts), lambda xy: xy - 1)


def export_labels(path: Path, scene_id: str, scene: Scene, state: LabelState) -> Path:
    """Write the labels of a scene: shapes as drawn where nothing was erased or painted over, else outlines of the pixels left.

    Raises:
        LabelError: The scene has no labelled pixel.
    """
    labels = state.labelled_pixels(scene_id)
    if not len(labels):
        raise LabelError(f"scene {scene_id} has no labelled pixel, expected at least one. Mark some pixels first.")
    if path.suffix.lower() in _RASTERS:
        return write_labels(labels, scene.grid, path, overwrite=True)
    canvas = state.canvases[scene_id]
    owned = canvas.labels_per_mark()
    kept = [(index, mark) for index, mark in enumerate(canvas.marks) if mark.class_id != ERASER and owned[mark.id]]
    outlined = {mark.id for _, mark in kept if owned[mark.id] < state.covered(mark.id)}

    def write() -> None:
        features = []
        for index, mark in kept:
            entry = labels.legend.by_id(mark.class_id)
            if mark.id in outlined:
                shape, brush = _outline_of(canvas.pixels[canvas.winners == index], scene.grid), None
            else:
                shape = parse_geometry(mark.geometry)
                brush = None if "Polygon" in shape.geom_type else mark.brush_px
            features.append(Annotation(pixels_to_crs(shape, scene.grid), entry.name, entry.color, brush))
        write_annotations(Annotations(tuple(features), scene.grid.crs, labels.legend), path, overwrite=True)

    write()
    # A pixel on the very edge of a shape may fall out of it on the way through coordinates.
    written = read_annotations(path)
    shapes = zip(kept, shapes_in_pixels(written, scene.grid), strict=True)
    strayed = {mark.id for (_, mark), shape in shapes if mark.id not in outlined and not _covers_the_same(state, mark, shape)}
    if strayed:
        outlined |= strayed
        write()
    return path


def _covers_the_same(state: LabelState, mark: Mark, shape: shapely.Geometry) -> bool:
    try:
        return np.array_equal(state.cover(replace(mark, geometry=_geojson(shape))), state.pixels_of(mark.id))
    except LabelError:
        return False


def _outline_of(pixels: Any, grid: Grid) -> shapely.Geometry:
    rows, cols = np.divmod(pixels, grid.width)
    top, left = int(rows.min()), int(cols.min())
    mask = np.zeros((int(rows.max()) - top + 1, int(cols.max()) - left + 1), bool)
    mask[rows - top, cols - left] = True
    return shapely.transform(outline(mask), lambda x, y: (x + left, y + top), interleaved=False)


def _into_pixels(crs: str | None, grid: Grid) -> Any:
    """From a file's coordinates to pixel space."""
    if crs is not None and grid.crs is None:
        raise LabelError(f"the labels are in {crs}, but the image has no CRS, so they cannot be placed. Give the image its CRS.")
    between = mover(crs, grid.crs) if crs is not None and grid.crs is not None else None
    a, b, c, d, e, f = grid.transform
    determinant = a * e - b * d

    def move(xy: Any) -> Any:
        x, y = (xy if between is None else between(xy)).T
        x, y = x - c, y - f
        return np.column_stack([(e * x - b * y) / determinant, (a * y - d * x) / determinant])

    return move


def _geojson(shape: shapely.Geometry) -> dict[str, Any]:
    geometry: dict[str, Any] = shapely.geometry.mapping(shapely.force_2d(shape))
    return geometry
