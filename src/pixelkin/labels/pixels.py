"""Which pixels a shape marks, in pixel coordinates: x = column, y = row, pixel (r, c) covers [c, c + 1) x [r, r + 1).

One rule for each kind of shape:

- A point marks the pixel that contains it; a point on an edge belongs to the pixel on the right or below.
- A line marks the pixels that it runs through, and those of its vertices.
- With a brush wider than 1 a point or a line also marks the pixels whose centre is at most half the brush away.
- A polygon marks the pixels whose centre lies inside (even-odd rule for each part, so holes stay empty).
"""

from __future__ import annotations

from itertools import pairwise

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


def footprint(shape: BaseGeometry, brush_px: float, height: int, width: int) -> IntArray:
    """Pixels of an image of `height` x `width` that a shape marks: row * width + col, sorted and distinct; may be empty."""
    parts = shapely.get_parts(shape)
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        found = [_polygon(part, height, width) for part in parts]
    else:
        found = [_thin(shapely.get_coordinates(part), height, width) for part in parts]
        if brush_px > 1:
            found += [_brushed(part, brush_px / 2, height, width) for part in parts]
    return np.unique(np.concatenate(found))


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
    found = [_inside(path, height, width)]
    shifted = path + EDGE_TOLERANCE_PX
    for start, end in pairwise(shifted):
        step = end - start
        cuts = [np.array([0.0, 1.0])]
        for axis, size in ((0, width), (1, height)):
            low, high = sorted((start[axis], end[axis]))
            # Edges outside the image are left out: a stretch out there is never cut, and is dropped whole below.
            edges = np.arange(max(np.ceil(low), 0.0), min(np.floor(high), float(size)) + 1.0)
            if step[axis] != 0:
                cuts.append((edges - start[axis]) / step[axis])
        t = np.unique(np.concatenate(cuts).clip(0.0, 1.0))
        middle = start + ((t[:-1] + t[1:]) / 2)[:, None] * step
        # Where a line crosses a corner, the shift leaves a stretch of nearly no length in a pixel that it only touches.
        real = np.diff(t) * np.hypot(*step) > 10 * EDGE_TOLERANCE_PX
        found.append(_inside(middle[real] - EDGE_TOLERANCE_PX, height, width))
    return np.concatenate(found)


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
        for start, end in pairwise(line):
            pieces = max(1, int(np.ceil(np.hypot(*(end - start)) / _PIECE_PX)))
            stops = start + np.linspace(0, 1, pieces + 1)[:, None] * (end - start)
            found += [_near(a, b, radius, height, width) for a, b in pairwise(stops)]
    return np.concatenate(found)


def _near(start: XY, end: XY, radius: float, height: int, width: int) -> IntArray:
    """Pixels whose centre is at most `radius` away from a straight piece."""
    reach = radius + EDGE_TOLERANCE_PX
    low = np.floor(np.minimum(start, end) - reach).astype(np.int64)
    high = np.floor(np.maximum(start, end) + reach).astype(np.int64)
    cols = np.arange(max(low[0], 0), min(high[0] + 1, width))
    rows = np.arange(max(low[1], 0), min(high[1] + 1, height))
    dx, dy = end - start
    x, y = cols[None, :] + 0.5 - start[0], rows[:, None] + 0.5 - start[1]
    length2 = dx * dx + dy * dy
    along = np.clip((x * dx + y * dy) / length2, 0, 1) if length2 > 0 else np.zeros((len(rows), len(cols)))
    near = np.hypot(x - along * dx, y - along * dy) <= reach
    r, c = np.nonzero(near)
    return np.asarray(rows[r] * width + cols[c], np.int64)


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
