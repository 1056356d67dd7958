"""Which pixels a shape marks, in pixel coordinates: x = column, y = row, pixel (r, c) covers [c, c + 1) x [r, r + 1).

One rule for each kind of shape:

- A point marks the pixel that contains it; a point on an edge belongs to the pixel on the right or below.
- A line marks the pixels that it runs through, and those of its vertices.
- With a brush wider than 1 a point or a line also marks the pixels whose centre is at most half the brush away.
- A polygon marks the pixels whose centre lies inside (even-odd rule for each part, so holes stay empty).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import rasterio.features
import shapely
from shapely.geometry.base import BaseGeometry

from pixelkin.types import IntArray

XY = npt.NDArray[np.float64]

# A coordinate within a millionth of a pixel of an edge is on it: what is left of an edge after a change of CRS and back.
EDGE_TOLERANCE_PX = 1e-6
# Longer pieces of a brush stroke are split, so that the square of pixels tried around each stays small.
_PIECE_PX = 64.0
_TRIED_AT_A_TIME = 2_000_000


def footprint(shape: BaseGeometry, brush_px: float, height: int, width: int) -> IntArray:
    """Pixels of an image of `height` x `width` that a shape marks: row * width + col, sorted and distinct; may be empty."""
    parts = shapely.get_parts(shape)
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        found = [_polygon(part, height, width) for part in parts]
    else:
        found = []
        # A wider brush covers the centre of every pixel that the line touches.
        if brush_px < np.sqrt(2):
            found += [_thin(shapely.get_coordinates(part), height, width) for part in parts]
        if brush_px > 1:
            found += [_brushed(part, brush_px / 2, height, width) for part in parts]
    return found[0] if len(found) == 1 else np.unique(np.concatenate(found))


def pixels_of_points(xy: XY, height: int, width: int) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Pixel of each point, row * width + col, shape (n,), and whether it lies in the image, shape (n,)."""
    cols, rows = np.floor(xy + EDGE_TOLERANCE_PX).T
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    flat = np.zeros(len(xy), np.int64)
    flat[inside] = (rows[inside] * width + cols[inside]).astype(np.int64)
    return flat, inside


def _inside(xy: XY, height: int, width: int) -> IntArray:
    flat, inside = pixels_of_points(xy, height, width)
    return flat[inside]


def _thin(path: XY, height: int, width: int) -> IntArray:
    """Pixels that a path runs through: those of its vertices, and of the middle of each stretch between pixel edges."""
    shifted = path + EDGE_TOLERANCE_PX
    start, step = shifted[:-1], np.diff(shifted, axis=0)
    edge_of, t_of = [np.arange(len(start)).repeat(2)], [np.tile([0.0, 1.0], len(start))]
    for axis, size in ((0, width), (1, height)):
        low, high = np.sort([shifted[:-1, axis], shifted[1:, axis]], axis=0)
        # Pixel edges outside the image are left out: a stretch out there is never cut, and is dropped whole below.
        first, last = np.maximum(np.ceil(low), 0), np.minimum(np.floor(high), size)
        edge, nth = _ragged(np.where(step[:, axis] != 0, np.maximum(last - first + 1, 0), 0).astype(np.int64))
        edge_of.append(edge)
        t_of.append(np.clip((first[edge] + nth - start[edge, axis]) / step[edge, axis], 0, 1))
    edge, t = np.concatenate(edge_of), np.concatenate(t_of)
    order = np.lexsort((t, edge))
    edge, t = edge[order], t[order]
    # Where a line crosses a corner, the shift leaves a stretch of nearly no length in a pixel that it only touches.
    real = (np.diff(edge) == 0) & (np.diff(t) * np.hypot(*step[edge[:-1]].T) > 10 * EDGE_TOLERANCE_PX)
    edge, middle = edge[:-1][real], ((t[:-1] + t[1:]) / 2)[real, None]
    return np.unique(_inside(np.concatenate([path, path[edge] + middle * step[edge]]), height, width))


def _brushed(shape: BaseGeometry, radius: float, height: int, width: int) -> IntArray:
    """Pixels whose centre is at most `radius` away from a point or line."""
    if shape.length == 0:  # a point, or a line that never leaves its first vertex
        lines = [np.repeat(shapely.get_coordinates(shape)[:1], 2, axis=0)]
    else:
        # Ends far outside the image would cost time and mark nothing.
        margin = radius + 2
        clipped = shapely.clip_by_rect(shape, -margin, -margin, width + margin, height + margin)
        lines = [shapely.get_coordinates(part) for part in shapely.get_parts(clipped)]
    found = [np.zeros(0, np.int64)]
    for line in lines:
        edge, nth = _ragged(np.maximum(1, np.ceil(np.hypot(*np.diff(line, axis=0).T) / _PIECE_PX)).astype(np.int64))
        pieces = np.bincount(edge)[edge]
        step = np.diff(line, axis=0)[edge] / pieces[:, None]
        start = line[:-1][edge] + nth[:, None] * step
        found += _near(start, step, radius, height, width)
    return np.unique(np.concatenate(found))


def _near(start: XY, step: XY, radius: float, height: int, width: int) -> list[IntArray]:
    """Pixels whose centre is at most `radius` away from straight pieces, each from `start` to `start + step`."""
    reach = radius + EDGE_TOLERANCE_PX
    end = start + step
    size = np.array([width, height])
    low = np.clip(np.floor(np.minimum(start, end) - reach), 0, size).astype(np.int64)
    high = np.clip(np.floor(np.maximum(start, end) + reach) + 1, low, size).astype(np.int64)
    wide, counts = high[:, 0] - low[:, 0], (high - low).prod(axis=1)
    found = []
    # Chunks of pieces, so that the pixels tried at a time stay few.
    for chunk in np.split(np.arange(len(start)), np.flatnonzero(np.diff(np.cumsum(counts) // _TRIED_AT_A_TIME)) + 1):
        piece, nth = _ragged(counts[chunk])
        piece = chunk[piece]
        row, col = low[piece, 1] + nth // wide[piece], low[piece, 0] + nth % wide[piece]
        (x, y), (dx, dy) = np.stack([col + 0.5, row + 0.5]) - start[piece].T, step[piece].T
        length2 = dx * dx + dy * dy
        along = np.clip((x * dx + y * dy) / np.where(length2 > 0, length2, 1), 0, 1)
        near = np.hypot(x - along * dx, y - along * dy) <= reach
        found.append(row[near] * width + col[near])
    return found


def _ragged(counts: IntArray) -> tuple[IntArray, IntArray]:
    """Which group, and which place in it, for every member of groups of these sizes."""
    group = np.repeat(np.arange(len(counts)), counts)
    return group, np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)


def _polygon(polygon: BaseGeometry, height: int, width: int) -> IntArray:
    """Pixels whose centre lies inside a polygon."""
    left, top, right, bottom = shapely.bounds(polygon)
    first_col, last_col = max(int(np.floor(max(left, -1))), 0), min(int(np.floor(min(right, width))), width - 1)
    first_row, last_row = max(int(np.floor(max(top, -1))), 0), min(int(np.floor(min(bottom, height))), height - 1)
    if first_col > last_col or first_row > last_row:
        return np.zeros(0, np.int64)
    mask = rasterio.features.rasterize(
        [polygon],
        out_shape=(last_row - first_row + 1, last_col - first_col + 1),
        transform=rasterio.Affine.translation(first_col, first_row),
        dtype="uint8",
    )
    rows, cols = np.nonzero(mask)
    return np.asarray((rows + first_row) * width + cols + first_col, np.int64)
