"""Area of each class over time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixelkin.crs import same_grid
from pixelkin.errors import InputError, RasterError
from pixelkin.segmentation import Segmentation
from pixelkin.types import Color

from ..raster.dates import parse_date
from ._numbers import number_or_none
from .areas import AreaTable, area_table
from .tables import write_table


@dataclass(frozen=True)
class SeriesRow:
    """One class on one date."""

    date: dt.date
    class_id: int
    name: str
    color: Color
    pixels: int
    hectares: float
    """NaN where the images have no CRS."""
    share: float
    """Of the area with data on that date; NaN where there is none."""
    valid_share: float
    """Pixels with data on that date, of all pixels: where it is low, a small area may be a cloud's doing."""


@dataclass(frozen=True)
class SeriesTable:
    """Area of each class over time: a row a date and class, by date, then in legend order."""

    rows: tuple[SeriesRow, ...]
    method: str
    """Where areas are measured; see `AreaTable.method`."""

    def __iter__(self) -> Iterator[SeriesRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def lines(self) -> list[dict[str, Any]]:
        """Rows as values that CSV and JSON can hold; unknown areas are None."""
        return [
            {
                "date": row.date.isoformat(),
                "class_id": row.class_id,
                "name": row.name,
                "pixels": row.pixels,
                "hectares": number_or_none(row.hectares),
                "share": number_or_none(row.share),
                "valid_share": row.valid_share,
            }
            for row in self.rows
        ]

    def to_json(self) -> dict[str, object]:
        """Everything, as values that JSON can hold."""
        return {"method": self.method, "areas": self.lines()}

    def to_frame(self) -> Any:
        """A pandas.DataFrame, a row a date and class."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.rows])


def series_of_tables(tables: Iterable[tuple[dt.date, AreaTable]], pixels: int) -> SeriesTable:
    """The table of a series from the area tables of its dates.

    Args:
        tables: Dates and tables, in any order.
        pixels: Of the grid that they share.
    """
    dated = sorted(tables, key=lambda pair: pair[0])
    rows = [
        SeriesRow(date, row.class_id, row.name, row.color, row.pixels, row.hectares, row.share, table.valid_pixels / pixels)
        for date, table in dated
        for row in table.rows
    ]
    return SeriesTable(tuple(rows), dated[0][1].method)


def series_table(maps: Iterable[tuple[dt.date | str, Segmentation]]) -> SeriesTable:
    """Measure the classes of the maps of one place on several dates.

    Args:
        maps: Dates (or 'YYYY-MM-DD') and maps on one grid, in any order.

    Raises:
        InputError: No map, or two of one date.
        RasterError: A map on another grid than the first, whose areas would not compare.
    """
    dated = [(parse_date(date), segmentation) for date, segmentation in maps]
    if not dated:
        raise InputError("the series has no map, expected at least one date and map.")
    dated.sort(key=lambda pair: pair[0])
    for index, (date, segmentation) in enumerate(dated):
        if index and date == dated[index - 1][0]:
            raise InputError(f"the series has two maps of {date}, expected one a date. Mosaic them first, or leave one out.")
        if not same_grid(segmentation.grid, dated[0][1].grid):
            raise RasterError(f"the map of {date} lies on another grid than that of {dated[0][0]}, so areas do not compare. Warp it first.")
    return series_of_tables([(date, area_table(segmentation)) for date, segmentation in dated], dated[0][1].valid.size)


def write_series_table(table: SeriesTable, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a series table as CSV (a row a date and class) or JSON (with how areas were measured), by the file's suffix.

    Returns:
        The path written.

    Raises:
        OutputError: Another suffix, the file is there and overwrite is False, or the disk refuses it.
    """
    return write_table(table.lines(), table.to_json(), path, overwrite=overwrite)
