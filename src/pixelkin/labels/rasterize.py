"""Annotations to labelled pixels of a grid, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NoReturn, get_args

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from pixelkin.errors import InputError, LabelError
from pixelkin.types import AnyArray, BoolArray, Grid, IntArray, LabelledPixels, UInt8Array

from .annotations import Annotation, Annotations
from .crs import XY, around_longitude, is_geographic, move_shapes, mover
from .pixels import footprint, pixels_of_points

Overlap = Literal["error", "last"]
Outside = Literal["error", "skip"]

# How far, in pixels, an edge may stray from its course when labels are moved into the image's CRS.
_COURSE_TOLERANCE_PX = 0.01


@dataclass(frozen=True, eq=False)
class LabelOverlap:
    """Two features of different classes that mark the same pixels."""

    first_index: int
    """Place of the earlier feature in `Annotations.features`, from 0."""
    second_index: int
    """Place of the later one."""
    first: Annotation
    second: Annotation
    rows: IntArray
    """Row of each pixel that both mark, shape (n,), in row-major order."""
    cols: IntArray
    """Column of each."""


@dataclass(frozen=True)
class _Marks:
    """Every pixel of every feature: features in order, pixels of each in row-major order and distinct."""

    feature: IntArray
    pixel: IntArray
    """row * width + col."""


def rasterize(annotations: Annotations, grid: Grid, *, brush_px: float = 1, overlap: Overlap = "error") -> LabelledPixels:
    """Pixels that the annotations mark.

    A point marks the pixel that contains it (on an edge: the one on the right or below), a line the pixels that it runs
    through, a polygon the pixels whose centre lies inside. With a brush wider than 1 a point or line also marks the pixels
    whose centre is at most brush / 2 away. The part of a feature that lies outside the image is cut off.

    Args:
        annotations: Drawn in the grid's CRS, or in another one from which they are transformed; without a CRS they are
            in the grid's own coordinates.
        grid: Where the pixels lie.
        brush_px: Diameter in pixels, >= 1, for points and lines that have no brush of their own.
        overlap: What to do where features of different classes meet: refuse, or let the last one win.

    Returns:
        Features in their order, pixels of each in row-major order; a pixel comes once, where its class was first given.

    Raises:
        LabelError: A feature marks no pixel, features of different classes meet, or the grid has no CRS but the labels do.
        InputError: brush_px is below 1, or overlap is neither word.
    """
    return label_pixels(annotations, grid, brush_px=brush_px, overlap=overlap)


def label_pixels(
    annotations: Annotations,
    grid: Grid,
    *,
    brush_px: float,
    overlap: Overlap,
    valid_at: Callable[[IntArray, IntArray], BoolArray] | None = None,
    outside: Outside = "error",
    notes: list[str] | None = None,
) -> LabelledPixels:
    """`rasterize`, for the pixels only where `valid_at(rows, cols)` is True.

    With `outside="skip"`, features that mark no such pixel are left out, and how many is added to `notes`.
    """
    for name, value, words in (("overlap", overlap, get_args(Overlap)), ("outside", outside, get_args(Outside))):
        if value not in words:
            raise InputError(f"{name} is {value!r}, expected one of {list(words)}.")
    marks = _mark(annotations, grid, brush_px, strict=outside == "error")
    beyond = np.setdiff1d(np.arange(len(annotations)), marks.feature)
    if valid_at is not None:
        keep = valid_at(*np.divmod(marks.pixel, grid.width))
        marks = _Marks(marks.feature[keep], marks.pixel[keep])
    lost = np.setdiff1d(np.arange(len(annotations)), marks.feature)
    if lost.size and outside == "error":
        raise LabelError(
            f"{annotations.describe(int(lost[0]))} marks only pixels without data, expected at least one valid pixel. "
            "Move or delete it, or leave such features out with outside='skip'."
        )
    if lost.size and notes is not None:
        empty = len(lost) - len(beyond)
        notes.append(
            f"{len(lost):,} of {len(annotations):,} features are left out: {len(beyond):,} outside the image, {empty:,} on pixels without data."
        )
    if len(lost) == len(annotations):
        raise LabelError(f"none of its {len(annotations):,} features marks a pixel with data. Check that the labels are of this image.")
    if overlap == "error":
        _refuse_overlaps(annotations, _overlaps(annotations, marks, grid.width))
    ids = np.array([annotations.legend.by_name(feature.class_name).id for feature in annotations.features], np.uint8)
    classes = ids[marks.feature]
    kept = _first_of_winners(marks.pixel, classes)
    gone = np.setdiff1d(classes, classes[kept])
    if gone.size:
        index = int(np.flatnonzero(ids == gone[0])[0])
        raise LabelError(
            f"class {annotations.features[index].class_name!r} has no pixel left: later features of other classes cover "
            f"{annotations.describe(index)}. Move it, or delete it."
        )
    rows, cols = np.divmod(marks.pixel[kept], grid.width)
    return LabelledPixels(rows, cols, classes[kept], annotations.legend)


def find_overlaps(annotations: Annotations, grid: Grid, *, brush_px: float = 1) -> list[LabelOverlap]:
    """Pairs of features of different classes that mark the same pixels, in the order of the first feature, then the second.

    Features that mark no pixel of the grid overlap with nothing.

    Raises:
        LabelError: The grid has no CRS but the labels do, or a feature cannot be transformed.
        InputError: brush_px is below 1.
    """
    return _overlaps(annotations, _mark(annotations, grid, brush_px, strict=False), grid.width)


def to_annotations(labels: LabelledPixels, grid: Grid) -> Annotations:
    """A point at the centre of every labelled pixel, in the order of the labels.

    Raises:
        LabelError: A pixel lies outside the grid, or has a class that is not in the legend.
    """
    outside = (labels.rows < 0) | (labels.rows >= grid.height) | (labels.cols < 0) | (labels.cols >= grid.width)
    if outside.any():
        i = int(np.argmax(outside))
        raise LabelError(
            f"labelled pixel (row {labels.rows[i]}, col {labels.cols[i]}) lies outside the grid of {grid.height} x {grid.width} pixels. "
            "Give the grid that the labels belong to."
        )
    entries = {int(class_id): labels.legend.by_id(int(class_id)) for class_id in np.unique(labels.classes)}
    a, b, c, d, e, f = grid.transform
    col, row = labels.cols + 0.5, labels.rows + 0.5
    points = shapely.points(a * col + b * row + c, d * col + e * row + f)
    marked = (entries[class_id] for class_id in labels.classes.tolist())
    features = tuple(Annotation(point, entry.name, entry.color) for point, entry in zip(points, marked, strict=True))
    return Annotations(features, grid.crs, labels.legend)


def _mark(annotations: Annotations, grid: Grid, brush_px: float, *, strict: bool) -> _Marks:
    """Pixels of every feature; with `strict` a feature without one is an error."""
    if not 1 <= brush_px < np.inf:
        raise InputError(f"brush_px is {brush_px}, expected 1 or more pixels.")
    shapes = shapes_in_pixels(annotations, grid)
    brushes = np.array([brush_px if feature.brush_px is None else feature.brush_px for feature in annotations.features])
    dots = np.flatnonzero((shapely.get_type_id(shapes) == shapely.GeometryType.POINT) & (brushes == 1))
    pixels, inside = pixels_of_points(shapely.get_coordinates(shapes[dots]), grid.height, grid.width)
    features, found = [dots[inside]], [pixels[inside]]
    placed = np.flatnonzero(~shapely.is_missing(shapes))
    for i in np.setdiff1d(placed, dots):
        found.append(footprint(shapes[i], float(brushes[i]), grid.height, grid.width))
        features.append(np.full(len(found[-1]), i))
    feature, pixel = np.concatenate(features), np.concatenate(found)
    missing = np.setdiff1d(np.arange(len(shapes)), feature)
    if strict and missing.size:
        _refuse(annotations, int(missing[0]), shapes[missing[0]], grid)
    order = np.argsort(feature, kind="stable")
    return _Marks(feature[order], pixel[order])


def _first_of_winners(pixel: IntArray, classes: UInt8Array) -> IntArray:
    """Which marks stay, in order: of each pixel the first that has the class that its last mark gives it."""
    if (np.diff(np.sort(pixel, kind="stable")) != 0).all():
        return np.arange(len(pixel))
    distinct, place = np.unique(pixel, return_inverse=True)
    winner = np.zeros(len(distinct), np.uint8)
    winner[place] = classes  # the last assignment to an index stays
    kept = np.flatnonzero(classes == winner[place])
    return kept[np.sort(np.unique(place[kept], return_index=True)[1])]


def shapes_in_pixels(annotations: Annotations, grid: Grid) -> AnyArray:
    """Shapes of annotations in (column, row) coordinates of the grid, see `in_pixels`.

    Raises:
        LabelError: The grid has no CRS but the labels do, or no transformation leads from one to the other.
    """
    if annotations.crs is not None and grid.crs is None:
        raise LabelError(
            f"the labels are in {annotations.crs}, but the image has no CRS, so they cannot be placed. "
            'Give the image its CRS, or save the labels without one (GeoJSON: "crs": null) in the image\'s own coordinates.'
        )
    return in_pixels(annotations.geometries, annotations.crs, grid)


def in_pixels(shapes: AnyArray, crs: str | None, grid: Grid) -> AnyArray:
    """Shapes in (column, row) coordinates of a grid, edges on the course they were drawn on.

    Args:
        shapes: Geometries, object array (n,).
        crs: Theirs; None = the grid's own coordinates.
        grid: With a CRS, where the shapes have one.

    Returns:
        Object array (n,); None where a shape has no place in the grid's CRS.

    Raises:
        LabelError: No transformation leads from one CRS to the other.
    """
    a, b, c, d, e, f = grid.transform
    determinant = a * e - b * d

    def to_pixels(xy: XY) -> XY:
        x, y = xy[:, 0] - c, xy[:, 1] - f
        return np.column_stack([(e * x - b * y) / determinant, (a * y - d * x) / determinant])

    between = mover(crs, grid.crs) if crs is not None and grid.crs is not None else None
    moved = shapes
    if between is not None:
        moved = move_shapes(shapes, between, _COURSE_TOLERANCE_PX * min(np.hypot(a, d), np.hypot(b, e)))
    if is_geographic(grid.crs):
        x, _ = grid.xy((grid.height - 1) / 2, (grid.width - 1) / 2)
        moved = around_longitude(moved, x)
    placed: AnyArray = shapely.transform(moved, to_pixels)
    return placed


def _refuse(annotations: Annotations, index: int, shape: BaseGeometry | None, grid: Grid) -> NoReturn:
    """Say why a feature, here in pixel coordinates, marks no pixel."""
    name = annotations.describe(index)
    if shape is None:
        x, y = shapely.get_coordinates(annotations.features[index].geometry)[0]
        raise LabelError(
            f"{name} has no place in the image's CRS: its coordinates ({x:g}, {y:g}) cannot be transformed from "
            f"{annotations.crs} to {grid.crs}. State the labels' own CRS with crs=..., delete it, or leave such features out with outside='skip'."
        )
    left, top, right, bottom = shapely.bounds(shape)
    if right < 0 or bottom < 0 or left > grid.width or top > grid.height or "Polygon" not in shape.geom_type:
        raise LabelError(
            f"{name} lies outside the image: it reaches over rows {top:.1f} to {bottom:.1f} and columns {left:.1f} to {right:.1f} "
            f"of {grid.height} x {grid.width} pixels. Delete it, leave such features out with outside='skip', "
            f"or state the labels' own CRS with crs=...; it is taken to be {annotations.crs or 'that of the image'}."
        )
    raise LabelError(
        f"{name} holds the centre of no pixel: it reaches over rows {top:.2f} to {bottom:.2f} and columns {left:.2f} to {right:.2f}. "
        "Draw it over the centre of a pixel at least, or mark a point."
    )


def _overlaps(annotations: Annotations, marks: _Marks, width: int) -> list[LabelOverlap]:
    names: dict[str, int] = {}
    classes = np.array([names.setdefault(feature.class_name, len(names)) for feature in annotations.features], np.int64)
    order = np.argsort(marks.pixel, kind="stable")  # within a pixel, features keep their order
    pixel, feature = marks.pixel[order], marks.feature[order]
    pairs: list[npt.NDArray[np.int64]] = []
    for reach in range(1, len(pixel)):
        same = pixel[reach:] == pixel[:-reach]
        if not same.any():
            break
        first, second = feature[:-reach][same], feature[reach:][same]
        unlike = classes[first] != classes[second]
        pairs.append(np.stack([first[unlike], second[unlike], pixel[reach:][same][unlike]]))
    if not pairs:
        return []
    found = np.concatenate(pairs, axis=1)
    found = found[:, np.lexsort(found[::-1])]
    changes = np.flatnonzero((np.diff(found[:2]) != 0).any(axis=0)) + 1
    overlaps = []
    for group in np.split(found, changes, axis=1):
        if not group.size:
            continue
        i, j = int(group[0, 0]), int(group[1, 0])
        rows, cols = np.divmod(group[2], width)
        overlaps.append(LabelOverlap(i, j, annotations.features[i], annotations.features[j], rows, cols))
    return overlaps


def _refuse_overlaps(annotations: Annotations, overlaps: list[LabelOverlap]) -> None:
    if not overlaps:
        return
    first = overlaps[0]
    more = f", and so do {len(overlaps) - 1} other pairs" if len(overlaps) > 1 else ""
    count = len(first.rows)
    raise LabelError(
        f"{annotations.describe(first.first_index)} and {annotations.describe(first.second_index)} both mark "
        f"{count} pixel{'s' if count > 1 else ''}, the first at row {first.rows[0]}, col {first.cols[0]}{more}; "
        "expected one class a pixel. "
        "Erase one of the two, or use overlap='last' to let the later one win."
    )
