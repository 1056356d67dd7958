"""How large each class is: hectares counted from the map, and hectares estimated from a validation sample.

Counting a map's pixels repeats the map's mistakes. With a sample of pixels whose true class is known, the second
function corrects for them and says how sure it is.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
from pyproj.exceptions import CRSError

from pixelkin.errors import LabelError, OutputError, RasterError
from pixelkin.segmentation import Segmentation
from pixelkin.types import BoolArray, Color, Grid, Legend, UInt8Array, Window

from ..files import replacing
from ._numbers import dump_json, number_or_none
from ._text import format_table, number, percent
from .accuracy import Score

Float64Array = npt.NDArray[np.float64]

SQUARE_METRES_PER_HECTARE = 10_000.0
_PLANE_TOLERANCE = 0.01
# Places a side at which the distortion of a projection is looked at: corners, edges and between.
_SCALE_NODES = 9
_NORMAL_95 = 1.959964  # two-sided 95 % quantile of the standard normal distribution


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
        return _frame(self.rows)

    def to_json(self) -> dict[str, object]:
        """Everything, as values that JSON can hold; unknown areas are null."""
        return {
            "method": self.method,
            "valid_pixels": self.valid_pixels,
            "valid_hectares": number_or_none(self.valid_hectares),
            "undecided_pixels": self.undecided_pixels,
            "undecided_hectares": number_or_none(self.undecided_hectares),
            "classes": [_plain(row) for row in self.rows],
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


@dataclass(frozen=True)
class AreaEstimate:
    """Area of one class, corrected with a validation sample."""

    class_id: int
    name: str
    mapped_hectares: float
    """As counted from the map."""
    hectares: float
    """The estimate; NaN where the image has no CRS, as are the bounds."""
    low_hectares: float
    """Lower end of the 95 % confidence interval, never below 0."""
    high_hectares: float
    """Upper end of the 95 % confidence interval, never above the area of the whole map."""
    share: float
    """The estimate as a share of the population, in [0, 1]."""
    share_standard_error: float


@dataclass(frozen=True)
class AreaEstimates:
    """Corrected area of every class, in legend order."""

    rows: tuple[AreaEstimate, ...]
    population_hectares: float
    """The area that the estimates divide up; NaN where the image has no CRS."""
    sample_pixels: int
    note: str
    """What the population is and how areas were measured."""

    def __iter__(self) -> Iterator[AreaEstimate]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_frame(self) -> Any:
        """A pandas.DataFrame, a row a class."""
        return _frame(self.rows)

    def to_json(self) -> dict[str, object]:
        """Everything, as values that JSON can hold; unknown areas are null."""
        return {
            "note": self.note,
            "population_hectares": number_or_none(self.population_hectares),
            "sample_pixels": self.sample_pixels,
            "confidence_level": 0.95,
            "classes": [_plain(row) for row in self.rows],
        }

    def to_table(self) -> str:
        """Plain text: mapped and estimated hectares with the half-width of the 95 % interval."""
        lines = [
            [
                row.name,
                number(row.mapped_hectares, 2),
                number(row.hectares, 2),
                f"{number(row.low_hectares, 2)} to {number(row.high_hectares, 2)}",
                f"{percent(row.share)} ± {percent(_NORMAL_95 * row.share_standard_error)}",
            ]
            for row in self.rows
        ]
        return format_table(["class", "mapped ha", "estimated ha", "95 % interval", "share"], lines) + f"\n{self.note}"


def cell_areas(grid: Grid) -> tuple[Float64Array | None, str]:
    """Area of a grid's pixels in square metres, and how it was measured.

    On a geographic CRS, the area between a pixel's edges on the ellipsoid (edges along parallels and meridians); it depends on
    the row alone unless the grid is rotated. On a projected CRS, |a e - b d| in the plane of the projection, with its unit of
    length turned into metres.

    Returns:
        An array that broadcasts to (row, col), or None without a CRS; and words that fit behind "areas".

    Raises:
        RasterError: The CRS cannot be understood, or has no unit of length.

    Source:
        Area element of the ellipsoid a^2 (1 - e^2) cos(lat) / (1 - e^2 sin^2(lat))^2: radii of curvature of the meridian and of
        the parallel, Snyder 1987, USGS Professional Paper 1395, equations 4-18 to 4-20. Integrated by Gauss-Legendre quadrature
        with three nodes, exact to 1e-11 for pixels up to one degree.
    """
    if grid.crs is None:
        return None, "in pixels only: the image has no CRS"
    crs = _parse_crs(grid.crs)
    a, b, c, d, e, f = grid.transform
    if (a, b, c, d, e, f) == (1, 0, 0, 0, 1, 0):
        raise RasterError(
            f"the image has CRS {_crs_name(crs, grid.crs)} but no position in it (its transform is the identity), so areas cannot be "
            "measured. Set the transform, or take the CRS away to count pixels."
        )
    if crs.is_geographic:
        ellipsoid = crs.get_geod()
        assert ellipsoid is not None  # what makes a CRS geographic
        radians = crs.axis_info[0].unit_conversion_factor
        nodes, weights = np.polynomial.legendre.leggauss(3)
        rows = np.arange(grid.height)[:, None]
        # Latitude is the same along a row of a north-up grid: one column is enough.
        cols = np.arange(grid.width if d else 1)[None, :]
        mean_element = np.zeros((grid.height, cols.shape[1]))
        for down, weight_down in zip(nodes, weights, strict=True):
            for right, weight_right in zip(nodes, weights, strict=True):
                latitude = radians * (d * (cols + 0.5 + right / 2) + e * (rows + 0.5 + down / 2) + f)
                flattening = 1 - ellipsoid.es * np.sin(latitude) ** 2
                # Global grids of cell centres reach half a pixel past the poles: there is nothing there.
                element = np.maximum(np.cos(latitude), 0) * ellipsoid.a**2 * (1 - ellipsoid.es) / flattening**2
                mean_element += element * weight_down * weight_right / 4
        return mean_element * abs(a * e - b * d) * radians**2, f"on the ellipsoid of {_crs_name(crs, grid.crs)}"
    metres = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 0.0
    if not metres:
        raise RasterError(
            f"CRS {_crs_name(crs, grid.crs)} has no unit of length, so areas cannot be measured. Warp the map to a projected CRS."
        )
    low, high = _areal_scales(crs, grid)
    plane = f"in the plane of {_crs_name(crs, grid.crs)}"
    if max(abs(low - 1), abs(high - 1)) > _PLANE_TOLERANCE:
        times = f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
        plane += f", {times} times those on the ellipsoid over the map (warp to an equal-area CRS for true areas)"
    return np.full((1, 1), abs(a * e - b * d) * metres**2), plane


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


def estimate_areas(areas: Segmentation | AreaTable, validation: Score) -> AreaEstimates:
    """Unbiased area of each class with a 95 % confidence interval, from an independent random sample.

    The validation pixels must have been drawn at random, over the whole map or within each mapped class, and must not have
    served as labels: scribbles or hand-picked pixels give numbers without meaning. Undecided pixels are one more stratum where
    the sample has any of them; otherwise they are outside the population, and the note says so.

    Args:
        areas: The map, or its area table.
        validation: Score of the same map against the sample.

    Raises:
        LabelError: A mapped class has fewer than two sample pixels, or a sampled one no area, so that no variance can be told.

    Source:
        Olofsson et al. 2014, Remote Sensing of Environment 148, 42-57, stratified estimator: with W_i the mapped share of class
        i and n_ik the sample pixels mapped as i whose true class is k, p_k = sum_i W_i n_ik / n_i, its standard error
        S(p_k) = sqrt(sum_i W_i^2 q_ik (1 - q_ik) / (n_i - 1)) with q_ik = n_ik / n_i, and the interval p_k +- 1.96 S(p_k).
    """
    table = area_table(areas) if isinstance(areas, Segmentation) else areas
    in_pixels = math.isnan(table.valid_hectares)
    # Olofsson's n_ik has mapped classes as rows; a Score has the truth there.
    counts = validation.confusion.T.astype(np.float64)  # (class + 1, class): strata, true classes
    sampled = counts.sum(axis=1)
    known = {row.name: row for row in table.rows}
    missing = [row.name for row in table.rows if row.pixels and row.name not in validation.legend.names]
    if missing:
        raise LabelError(f"mapped class {missing[0]!r} has no validation pixel, expected at least 2 drawn at random in it. Sample it too.")
    mapped = [known.get(name) for name in validation.legend.names]
    sizes = np.array([0.0 if row is None else float(row.pixels if in_pixels else row.hectares) for row in mapped])
    undecided = float(table.undecided_pixels if in_pixels else table.undecided_hectares)
    note = (
        f"areas {table.method}; stratified estimator of Olofsson et al. 2014, {int(sampled.sum()):,} validation pixels; "
        "holds where these were drawn at random, over the whole map or within each mapped class, and none of them was a label"
    )
    if undecided and not sampled[-1]:
        note += "; undecided pixels are left out, as the sample has none"
        undecided = 0.0
    strata = np.append(sizes, undecided)
    for name, size, n in zip([*validation.legend.names, "(undecided)"], strata, sampled, strict=True):
        if size and n < 2:
            raise LabelError(
                f"mapped class {name!r} has {n:.0f} validation pixel(s), expected at least 2 drawn at random in it. Sample it too."
            )
        if n and not size:
            raise LabelError(f"validation has {n:.0f} pixel(s) mapped as {name!r}, but the map has none. Score the map that is measured.")
    if not strata.sum():
        raise LabelError("the map gives no pixel to any class, so there is no area to estimate. Check the map.")

    used = strata > 0
    weights = strata[used] / strata.sum()
    shares = counts[used] / sampled[used, None]  # (stratum, true class)
    estimate = weights @ shares
    error = np.sqrt(weights**2 @ (shares * (1 - shares) / (sampled[used, None] - 1)))
    population = math.nan if in_pixels else float(strata.sum())
    rows = tuple(
        AreaEstimate(
            class_id=entry.id,
            name=entry.name,
            mapped_hectares=math.nan if in_pixels else float(sizes[i]),
            hectares=population * float(estimate[i]),
            low_hectares=population * max(0.0, float(estimate[i] - _NORMAL_95 * error[i])),
            high_hectares=population * min(1.0, float(estimate[i] + _NORMAL_95 * error[i])),
            share=float(estimate[i]),
            share_standard_error=float(error[i]),
        )
        for i, entry in enumerate(validation.legend)
    )
    return AreaEstimates(rows, population, int(sampled.sum()), note)


def write_area_table(table: AreaTable | AreaEstimates, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write areas as CSV (a row a class) or JSON (with totals and method), by the file's suffix.

    Returns:
        The path written.

    Raises:
        OutputError: Another suffix, the file is there and overwrite is False, or the disk refuses it.
    """
    return write_table([_plain(row) for row in table.rows], table.to_json(), path, overwrite=overwrite)


def write_table(rows: Sequence[dict[str, Any]], document: Any, path: str | Path, *, overwrite: bool) -> Path:
    """Write a table by the file's suffix: its rows as CSV, or a document as JSON.

    Raises:
        OutputError: Another suffix, the file is there and overwrite is False, or the disk refuses it.
    """
    path = table_target(path)
    text = dump_json(document) if path.suffix.lower() == ".json" else csv_text(rows)
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    return path


def table_target(path: str | Path) -> Path:
    """The path, where its suffix is one that area tables have; else OutputError."""
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".json"):
        raise OutputError(f"{path.name} ends in {path.suffix!r}, expected .csv or .json for an area table. Rename it.")
    return path


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """CSV of rows with the same keys; an unknown number is an empty cell."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _nan(value: float | None) -> float:
    """Inverse of `number_or_none`."""
    return math.nan if value is None else value


def _plain(row: ClassArea | AreaEstimate) -> dict[str, Any]:
    """A row as JSON and CSV values."""
    values = {name: number_or_none(value) if isinstance(value, float) else value for name, value in asdict(row).items()}
    if isinstance(row, ClassArea):
        values["color"] = "#{:02x}{:02x}{:02x}".format(*row.color)
    return values


def _frame(rows: Sequence[ClassArea] | Sequence[AreaEstimate]) -> Any:
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in rows])


def _parse_crs(text: str) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(text)
    except CRSError as error:
        raise RasterError(f"CRS {text[:60]!r} cannot be understood, expected 'EPSG:n' or WKT. Set the image's CRS.") from error


def _crs_name(crs: pyproj.CRS, text: str) -> str:
    """'EPSG:n' as given, or the name inside WKT, which may be pages long."""
    return text if len(text) <= 20 else crs.name


def _areal_scales(crs: pyproj.CRS, grid: Grid) -> tuple[float, float]:
    """Least and greatest plane area over ellipsoid area on the map; 1 where the CRS is not a map projection."""
    if not crs.is_projected:
        return 1.0, 1.0
    rows, cols = np.meshgrid(np.linspace(0, grid.height, _SCALE_NODES) - 0.5, np.linspace(0, grid.width, _SCALE_NODES) - 0.5)
    a, b, c, d, e, f = grid.transform
    x, y = a * (cols + 0.5) + b * (rows + 0.5) + c, d * (cols + 0.5) + e * (rows + 0.5) + f
    projection = pyproj.Proj(crs)
    longitude, latitude = projection(x, y, inverse=True)
    there = np.isfinite(longitude) & np.isfinite(latitude)
    scale = np.asarray(projection.get_factors(longitude[there], latitude[there]).areal_scale) if there.any() else np.ones(1)
    scale = scale[np.isfinite(scale)]
    return (float(scale.min()), float(scale.max())) if len(scale) else (1.0, 1.0)
