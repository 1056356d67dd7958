"""Marks into label files, without losing a pixel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio.features
import shapely
import shapely.geometry

from ..errors import LabelError
from ..labels import Annotation, Annotations, read_annotations, write_annotations, write_labels
from ..labels.rasterize import shapes_in_pixels
from ..scene import Scene
from ..types import BoolArray, Grid
from .labels import LabelState
from .marks import ERASER, Mark, parse_geometry
from .project import pixels_to_crs

ExportFormat = Literal["geojson", "gpkg", "tif"]
_RASTERS = (".tif", ".tiff")


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
        return np.array_equal(state.cover(replace(mark, geometry=geojson(shape))), state.pixels_of(mark.id))
    except LabelError:
        return False


def _outline_of(pixels: Any, grid: Grid) -> shapely.Geometry:
    rows, cols = np.divmod(pixels, grid.width)
    top, left = int(rows.min()), int(cols.min())
    mask = np.zeros((int(rows.max()) - top + 1, int(cols.max()) - left + 1), bool)
    mask[rows - top, cols - left] = True
    return shapely.transform(outline(mask), lambda x, y: (x + left, y + top), interleaved=False)


def geojson(shape: shapely.Geometry) -> dict[str, Any]:
    """A shape as GeoJSON of two dimensions."""
    geometry: dict[str, Any] = shapely.geometry.mapping(shapely.force_2d(shape))
    return geometry
