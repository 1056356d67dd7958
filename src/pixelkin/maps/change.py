"""What changed between maps of one place, and since when.

Maps of two dates differ wherever one of them errs, so that most of their difference is noise. Here the maps of all dates are read together:
the likeliest course of classes at each pixel, given what the maps say of each date and that change is rare. In the words of a hidden
Markov model, states are classes, a class stays from one date to the next with probability 1 - r, and a map's probabilities are what is
observed; the course is found by Viterbi's algorithm. Neighbours count too: a class that a share s of the eight neighbours has on that date
gains b s in logarithm, in a few rounds: first neighbours are what that date says, then what the round before made of them (iterated
conditional modes).

Source:
    Viterbi 1967, IEEE Transactions on Information Theory 13, 260-269; Besag 1986, Journal of the Royal Statistical Society B 48, 259-302.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pixelkin.crs import same_grid
from pixelkin.errors import InputError, LabelError, RasterError
from pixelkin.segmentation import Segmentation
from pixelkin.types import AnyArray, BoolArray, FloatArray, IntArray, Legend, LegendClass

from ..files import replacing, require_suffix
from ._numbers import number_or_none
from ._text import format_table, number
from .cells import SQUARE_METRES_PER_HECTARE, cell_areas
from .tables import write_table

ARROW = " → "
_NEIGHBOURS = 5.0
"""b: what all eight neighbours of one class weigh, in logarithm."""
_ROUNDS = 3
_STRIP = 256
"""Rows that are worked on together."""
_LEAST = 1e-4
"""Least probability of a class: a map is never so sure that a pixel cannot be the other class."""


@dataclass(frozen=True, eq=False)
class Change:
    """Change over dates; arrays have shape (row, col)."""

    from_to: Segmentation
    """A map whose classes are a class that stayed ('water') or a change ('water → land') between the first and the last date."""
    since: IntArray
    """Date of the last change as YYYYMMDD; 0 where there was none, -1 without data."""
    pixels: IntArray
    """Shape (class, class): rows = first date, columns = last date."""
    hectares: npt.NDArray[np.float64]
    """The same in hectares; NaN where the maps have no CRS."""
    names: tuple[str, ...]
    dates: tuple[dt.date, ...]
    method: str
    """How change is told from noise, and where areas are measured, in words."""

    def to_json(self) -> dict[str, Any]:
        """Transitions as values that JSON can hold."""
        return {"dates": [str(date) for date in self.dates], "method": self.method, "transitions": self.rows()}

    def rows(self) -> list[dict[str, Any]]:
        """A row a pair of classes that occurs."""
        return [
            {
                "from": self.names[i],
                "to": self.names[j],
                "changed": i != j,
                "pixels": int(self.pixels[i, j]),
                "hectares": number_or_none(float(self.hectares[i, j])),
            }
            for i in range(len(self.names))
            for j in range(len(self.names))
            if self.pixels[i, j]
        ]

    def to_table(self) -> str:
        """Plain text: the transition matrix with its orientation."""
        known = not np.isnan(self.hectares).all()
        values = self.hectares if known else self.pixels
        cells = [[name, *(number(float(value), 2 if known else 0) for value in row)] for name, row in zip(self.names, values, strict=True)]
        unit = "hectares" if known else "pixels"
        return "\n".join(
            [
                f"{unit}: rows = {self.dates[0]}, columns = {self.dates[-1]}",
                format_table(["from \\ to", *self.names], cells),
                self.method,
                "Counted from the maps. For areas with intervals, draw points of the from-to map (pixelkin sample) and evaluate them.",
            ]
        )


def find_change(
    maps: Sequence[tuple[dt.date, Segmentation]],
    *,
    probabilities: Sequence[FloatArray | None] | None = None,
    change_rate: float = 0.07,
    error: float = 0.1,
) -> Change:
    """Find what changed over the maps of one place.

    Args:
        maps: Dates and maps on one grid, two or more, in any order. Classes are matched by name.
        probabilities: Of each map, probabilities in its legend's order, shape (class, row, col). None = the map's class has
            probability 1 - `error` and the others share the rest.
        change_rate: r: how likely a pixel changes from one date to the next, in (0, 0.5). Smaller: less noise, and slower to believe.
        error: Share of a map's pixels that is taken to be wrong, in (0, 0.5), where there are no probabilities.

    Returns:
        The change. A pixel without data or undecided on some dates is judged by the others; without data on all, it has none.

    Raises:
        InputError: Fewer than two maps, two of one date, rates outside their range, or too many kinds of change for one map (255).
        RasterError: Maps on different grids.
    """
    if len(maps) < 2:
        raise InputError(f"{len(maps)} map(s) were given, expected two or more dates of one place.")
    for name, value in (("change_rate", change_rate), ("error", error)):
        if not 0 < value < 0.5:
            raise InputError(f"{name} is {value:g}, expected a share between 0 and 0.5.")
    order = sorted(range(len(maps)), key=lambda i: maps[i][0])
    dates = tuple(maps[i][0] for i in order)
    if len(set(dates)) < len(dates):
        twice = next(date for date in dates if dates.count(date) > 1)
        raise InputError(f"two maps are of {twice}, expected one a date. Leave one out.")
    parts = [maps[i][1] for i in order]
    shares = [None if probabilities is None else probabilities[i] for i in order]
    grid = parts[0].grid
    for date, part in zip(dates, parts, strict=True):
        if not same_grid(part.grid, grid):
            raise RasterError(f"the map of {date} lies on another grid than that of {dates[0]}. Warp it first.")
    names = tuple(dict.fromkeys(name for part in parts for name in part.legend.names))
    first, last = np.zeros(grid.shape, np.int64), np.zeros(grid.shape, np.int64)
    since = np.zeros(grid.shape, np.int64)
    seen = np.zeros(grid.shape, bool)
    days = np.array([date.year * 10_000 + date.month * 100 + date.day for date in dates])
    for top in range(0, grid.height, _STRIP):
        # Each round looks one pixel further, so that a strip with this halo gives what the whole image would.
        low, high = max(top - _ROUNDS, 0), min(top + _STRIP + _ROUNDS, grid.height)
        inner = slice(top - low, min(top + _STRIP, grid.height) - low)
        there = slice(top, min(top + _STRIP, grid.height))
        logs, known = _evidence(parts, shares, names, slice(low, high), error)
        path = _course(logs, change_rate)[:, inner]
        changed = path[1:] != path[:-1]
        first[there], last[there] = path[0], path[-1]
        since[there] = np.where(changed, days[1:, None, None], 0).max(axis=0)
        seen[there] = known[inner]
    return _summary(parts[0], first, last, since, seen, names, dates, change_rate, error, probabilities is not None)


def _evidence(
    parts: Sequence[Segmentation], shares: Sequence[FloatArray | None], names: tuple[str, ...], rows: slice, error: float
) -> tuple[FloatArray, BoolArray]:
    """Logarithms of what each date says, (date, class, row, col), and where any date says something."""
    k = len(names)
    shape = parts[0].classes[rows].shape
    logs = np.zeros((len(parts), k, *shape), np.float32)
    known = np.zeros(shape, bool)
    for date, (part, share) in enumerate(zip(parts, shares, strict=True)):
        classes = np.where(part.valid[rows], part.classes[rows], 0)
        told = classes > 0
        chances = np.full((k, *shape), error / max(k - 1, 1), np.float32)
        for index, entry in enumerate(part.legend):
            place = names.index(entry.name)
            chances[place] = np.where(classes == entry.id, 1 - error, chances[place]) if share is None else share[index, rows]
        if share is not None:
            absent = [i for i, name in enumerate(names) if name not in part.legend.names]
            chances[absent] = _LEAST
        # A date without data says nothing: all classes alike.
        logs[date] = np.where(told, np.log(np.maximum(chances, _LEAST)), 0)
        known |= told
    return logs, known


def _course(logs: FloatArray, change_rate: float) -> IntArray:
    """The likeliest class on each date, (date, row, col), neighbours taken in."""
    # First what neighbours are said to be on that date alone, so that a change on the last date is not voted down by the dates before.
    beliefs = np.exp(logs)
    beliefs /= beliefs.sum(axis=1, keepdims=True)
    path = _viterbi(logs + np.float32(_NEIGHBOURS) * _around(beliefs), change_rate)
    for _ in range(_ROUNDS - 1):
        shares = np.stack([path == index for index in range(logs.shape[1])], axis=1).astype(np.float32)
        path = _viterbi(logs + np.float32(_NEIGHBOURS) * _around(shares), change_rate)
    return path


def _around(shares: FloatArray) -> FloatArray:
    """Mean of the eight neighbours, (date, class, row, col)."""
    rows, cols = shares.shape[2:]
    padded = np.pad(shares, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    total = np.zeros_like(shares)
    # Always in this order, so that a strip gives the bits of the whole.
    for down in range(3):
        for right in range(3):
            if (down, right) != (1, 1):
                total += padded[:, :, down : down + rows, right : right + cols]
    return total / np.float32(8)


def _viterbi(logs: FloatArray, change_rate: float) -> IntArray:
    dates, k = logs.shape[:2]
    stay, go = np.log(1 - change_rate), np.log(change_rate / max(k - 1, 1))
    step = np.full((k, k), go, np.float32)
    np.fill_diagonal(step, stay)
    score = logs[0]
    came = np.zeros((dates, k, *logs.shape[2:]), np.uint8)
    for date in range(1, dates):
        best = np.empty_like(score)
        for to in range(k):
            through = score + step[:, to][:, None, None]
            came[date, to] = through.argmax(axis=0)
            best[to] = through.max(axis=0) + logs[date, to]
        score = best
    path = np.empty((dates, *logs.shape[2:]), np.int64)
    path[-1] = score.argmax(axis=0)
    for date in range(dates - 1, 0, -1):
        path[date - 1] = np.take_along_axis(came[date], path[date][None], axis=0)[0]
    return path


def _summary(
    like: Segmentation, first: IntArray, last: IntArray, since: IntArray, seen: BoolArray, names: tuple[str, ...], dates: tuple[dt.date, ...],
    change_rate: float, error: float, observed: bool,
) -> Change:  # fmt: skip
    k = len(names)
    pixels = np.bincount((first * k + last)[seen], minlength=k * k).reshape(k, k)
    cells, where = cell_areas(like.grid)
    if cells is None:
        hectares = np.full((k, k), np.nan)
    else:
        weights = np.broadcast_to(cells, like.grid.shape)[seen]
        hectares = np.bincount((first * k + last)[seen], weights=weights, minlength=k * k).reshape(k, k) / SQUARE_METRES_PER_HECTARE
    colors = {entry.name: entry.color for entry in like.legend}
    pairs = [(i, i) for i in range(k)] + [(i, j) for i in range(k) for j in range(k) if i != j and pixels[i, j]]
    if len(pairs) > 255:
        raise InputError(f"there are {len(pairs)} kinds of change, expected at most 255 for one map. Merge classes first.")
    entries, ids = [], np.zeros((k, k), np.uint8)
    for number_, (i, j) in enumerate(pairs, start=1):
        ids[i, j] = number_
        base = Legend.from_names(names).by_name(names[j]).color if names[j] not in colors else colors[names[j]]
        # What stayed is pale, what changed has the colour of what it is now.
        color = tuple((255 * 2 + value) // 3 for value in base) if i == j else base
        name = names[i] if i == j else f"{names[i]}{ARROW}{names[j]}"
        entries.append(LegendClass(number_, name, (color[0], color[1], color[2])))
    classes = np.where(seen, ids[first, last], 0).astype(np.uint8)
    rule = (
        f"change rate {change_rate:g} a date, " + ("probabilities of the maps" if observed else f"maps taken to be wrong in {error:g} of their pixels")
        + f", {len(dates)} dates (hidden Markov model with neighbours); areas {where}"
    )  # fmt: skip
    provenance = {"change": f"{dates[0]} to {dates[-1]}", "rule": rule}
    result = Segmentation(classes, np.zeros(classes.shape, np.float32), seen, Legend(tuple(entries)), like.grid, provenance)
    return Change(result, np.where(seen, since, -1), pixels, hectares, names, dates, rule)


def write_transitions(change: Change, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write the transitions, a row a pair of classes, by the file's suffix .csv or .json.

    Raises:
        OutputError: Another suffix, the file is there and overwrite is False, or the disk refuses it.
    """
    return write_table(change.rows(), change.to_json(), path, overwrite=overwrite)


def write_since(change: Change, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write the date of the last change of each pixel as a GeoTIFF: YYYYMMDD, 0 = none, -1 = no data.

    Raises:
        OutputError: Another suffix, the file is there and overwrite is False, or the disk refuses it.
    """
    import rasterio

    from ..raster._gdal import quiet

    path = since_target(path)
    grid = change.from_to.grid
    with replacing(path, overwrite=overwrite) as temporary:
        with quiet():
            dataset = rasterio.open(
                temporary, "w", driver="GTiff", height=grid.height, width=grid.width, count=1, dtype="int32", nodata=-1, crs=grid.crs,
                transform=rasterio.Affine(*grid.transform), compress="deflate", tiled=True, blockxsize=256, blockysize=256,
            )  # fmt: skip
        with dataset:
            dataset.write(change.since.astype(np.int32), 1)
            dataset.set_band_description(1, "date of the last change, YYYYMMDD; 0 = none")
    return path


def since_target(path: str | Path) -> Path:
    """The path, where its suffix is that of a GeoTIFF; else OutputError."""
    return require_suffix(Path(path), (".tif", ".tiff"), "the dates of change")


def read_probabilities(path: Path, segmentation: Segmentation) -> FloatArray | None:
    """Probabilities that were written beside a map, (class, row, col) in its legend's order; None where there are none.

    Raises:
        LabelError: They are of other classes, or of another grid.
    """
    import rasterio

    from ..raster._gdal import quiet
    from ..raster.layers import LAYERS, layer_path

    beside = layer_path(path, "probabilities")
    if not beside.is_file():
        return None
    with quiet():
        dataset = rasterio.open(beside)
    with dataset:
        if dataset.descriptions != segmentation.legend.names or dataset.shape != segmentation.grid.shape:
            raise LabelError(
                f"{beside.name} is not of the classes and grid of {path.name}. Map again with --probabilities, or move it away."
            )
        values: AnyArray = dataset.read()
    found: FloatArray = np.where(values == 255, 0, values * np.float32(LAYERS["probabilities"].scale)).astype(np.float32)
    return found
