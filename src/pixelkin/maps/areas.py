"""How large each class is on a map: pixels and hectares, counted.

Counting a map's pixels repeats the map's mistakes; `estimates` corrects for them with a validation sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixelkin.errors import LabelError
from pixelkin.segmentation import Segmentation
from pixelkin.types import BoolArray, Color, Grid, Legend, UInt8Array, Window

from ._numbers import number_or_none
from ._text import format_table, number, percent
from .cells import SQUARE_METRES_PER_HECTARE, cell_areas
from .tables import Table, frame, plain, write_table


@dataclass(frozen=True)
class ClassArea:
    """How much of the map one class covers."""

    class_id: int
    name: str
    color: Color
    pixels: int
    hectares: float
    """NaN where the image has no CRS."""
    share: float
    """Of the area with data, in [0, 1]; NaN where no pixel has data."""


@dataclass(frozen=True)
class AreaTable:
    """Area of every class of a map, in legend order. Pixels without data or left undecided belong to no class."""

    rows: tuple[ClassArea, ...]
    valid_pixels: int
    """Pixels with data."""
    valid_hectares: float
    """Area with data; NaN where the image has no CRS."""
    undecided_pixels: int
    """Pixels with data that the map gives to no class."""
    undecided_hectares: float
    method: str
    """Where areas are measured: on the ellipsoid, in the plane of a projection, or in pixels only."""

    def __iter__(self) -> Iterator[ClassArea]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def by_name(self, name: str) -> ClassArea:
        """The row of a class; LabelError if there is none."""
        for row in self.rows:
            if row.name == name:
                return row
        raise LabelError(f"class {name!r} is not in the area table, expected one of {[row.name for row in self.rows]}.")

    def to_frame(self) -> Any:
        """A pandas.DataFrame, a row a class."""
        return frame(self.rows)

    def to_json(self) -> dict[str, object]:
        """Everything, as values that JSON can hold; unknown areas are null."""
        return {
            "method": self.method,
            "valid_pixels": self.valid_pixels,
            "valid_hectares": number_or_none(self.valid_hectares),
            "undecided_pixels": self.undecided_pixels,
            "undecided_hectares": number_or_none(self.undecided_hectares),
            "classes": [plain(row) for row in self.rows],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> AreaTable:
        """Inverse of `to_json`."""
        rows = []
        for row in values["classes"]:
            color = tuple(bytes.fromhex(row["color"][1:]))
            rows.append(ClassArea(**{**row, "color": color, "hectares": _nan(row["hectares"]), "share": _nan(row["share"])}))
        return cls(
            tuple(rows),
            values["valid_pixels"],
            _nan(values["valid_hectares"]),
            values["undecided_pixels"],
            _nan(values["undecided_hectares"]),
            values["method"],
        )

    def to_table(self) -> str:
        """Plain text, with how the areas were measured; '-' where an area is unknown."""
        lines = [[row.name, f"{row.pixels:,}", number(row.hectares, 2), percent(row.share)] for row in self.rows]
        if self.undecided_pixels:
            undecided = self.undecided_pixels / self.valid_pixels
            if not math.isnan(self.undecided_hectares):
                undecided = self.undecided_hectares / self.valid_hectares
            lines.append(["(undecided)", f"{self.undecided_pixels:,}", number(self.undecided_hectares, 2), percent(undecided)])
        return format_table(["class", "pixels", "hectares", "share"], lines) + f"\nareas {self.method}; shares of the area with data"


def area_table(segmentation: Segmentation) -> AreaTable:
    """Count the area of each class of a map.

    Pixels without data are not counted anywhere; undecided ones (0) belong to no class, but to the area with data that shares
    are taken of.

    Raises:
        LabelError: The map has a class id that its legend has not.
        RasterError: The CRS has no unit that an area could be told in.
    """
    counter = AreaCounter(segmentation.grid, segmentation.legend)
    counter.add(segmentation.classes, segmentation.valid, segmentation.grid.window)
    return counter.table()


class AreaCounter:
    """Counts the areas of a map that comes in parts, and ends with the table of the whole."""

    def __init__(self, grid: Grid, legend: Legend) -> None:
        """Start with nothing counted.

        Args:
            grid: Of the whole map.
            legend: Its classes.

        Raises:
            RasterError: The CRS has no unit that an area could be told in.
        """
        self._legend = legend
        self._cells, self._method = cell_areas(grid)
        # Pixels of each id in each row; where cells differ along a row, their square metres are needed too.
        self._rows = {class_id: np.zeros(grid.height, np.int64) for class_id in (0, *legend.ids)}
        self._metres = dict.fromkeys(self._rows, 0.0)

    def add(self, classes: UInt8Array, valid: BoolArray, window: Window) -> None:
        """Count a part of the map.

        Args:
            classes: Class ids (row, col).
            valid: (row, col), True = data.
            window: Where in the map it lies; parts must not overlap.

        Raises:
            LabelError: A class id that the legend has not.
        """
        height = len(classes)
        # One pass for all classes and rows; pixels without data are counted apart, past every id.
        numbered = np.where(valid, classes, np.int64(256)) + 257 * np.arange(height)[:, None]
        counts = np.bincount(numbered.ravel(), minlength=257 * height).reshape(height, 257)[:, :256]
        for class_id in np.flatnonzero(counts.any(axis=0)).tolist():
            if class_id:
                self._legend.by_id(class_id)
            self._rows[class_id][window.slices[0]] += counts[:, class_id]
            if self._cells is not None and self._cells.shape[1] > 1:
                self._metres[class_id] += float(self._cells[window.slices][valid & (classes == class_id)].sum())

    def table(self) -> AreaTable:
        """The areas of what was counted."""
        pixels = {class_id: int(rows.sum()) for class_id, rows in self._rows.items()}
        hectares = {class_id: self._hectares(class_id) for class_id in self._rows}
        valid_pixels = sum(pixels.values())
        valid_hectares = math.fsum(hectares.values())
        rows = []
        for entry in self._legend:
            part, whole = (pixels[entry.id], valid_pixels) if self._cells is None else (hectares[entry.id], valid_hectares)
            share = part / whole if whole else math.nan
            rows.append(ClassArea(entry.id, entry.name, entry.color, pixels[entry.id], hectares[entry.id], share))
        return AreaTable(tuple(rows), valid_pixels, valid_hectares, pixels[0], hectares[0], self._method)

    def _hectares(self, class_id: int) -> float:
        if self._cells is None:
            return math.nan
        rows = self._rows[class_id]
        metres = self._metres[class_id] if self._cells.shape[1] > 1 else rows @ np.broadcast_to(self._cells[:, 0], len(rows))
        return float(metres) / SQUARE_METRES_PER_HECTARE


def write_area_table(table: Table, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write areas as CSV (a row a class) or JSON (with totals and method), by the file's suffix.

    Returns:
        The path written.

    Raises:
        OutputError: Another suffix, the file is there and overwrite is False, or the disk refuses it.
    """
    return write_table([plain(row) for row in table.rows], table.to_json(), path, overwrite=overwrite)


def _nan(value: float | None) -> float:
    """Inverse of `number_or_none`."""
    return math.nan if value is None else value
