"""Acquisition dates from file names and metadata tags."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

from pixelkin.errors import InputError

# Eight digits, alone or before a time ('20200202T105221', '20200202105221'), or three groups joined by one kind of separator.
_DAY = r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<sep>[-_]?)(?P<m>\d\d)(?P=sep)(?P<d>\d\d)(?:(?!\d)|(?=\d{6}(?!\d)))"
# Year and day of the year in seven digits (MODIS 'A2020173', HLS '2020173T104023'), since Landsat 1: other numbers are as long.
_DAY_OF_YEAR = r"(?<!\d)(?P<year>19[789]\d|20[0-4]\d)(?P<day>[0-3]\d\d)(?!\d)"
# Landsat's names before collections: sensor, path and row, then year and day of the year, as in 'LC81990302020173LGN00'.
_SCENE_ID = r"L[CEMOT]\d\d{6}(?P<scene_year>(?:19|20)\d\d)(?P<scene_day>[0-3]\d\d)[A-Z]{3}\d\d"
_DATE = re.compile(f"{_DAY}|{_DAY_OF_YEAR}|{_SCENE_ID}")

# Most telling first: TIFFTAG_DATETIME is often the day on which a file was made, so it comes last.
_TAGS = ("ACQUISITIONDATETIME", "ACQUISITIONDATE", "ACQUISITION_DATE", "DATE_ACQUIRED", "DATETIME", "TIFFTAG_DATETIME")


def date_from_name(name: str) -> dt.date | None:
    """The first date in a file name, or None.

    Knows YYYY-MM-DD, YYYY_MM_DD and YYYYMMDD, also before a time as in Sentinel-2 and Landsat product names, and year and day of
    the year, YYYYDDD, as in names of MODIS, HLS and older Landsat images. Digits that are no day of a calendar are passed over.

    >>> date_from_name("S2A_MSIL2A_20200202T105221_N0213_R051_T31TDG_20200202T134536")
    datetime.date(2020, 2, 2)
    """
    start = 0
    while match := _DATE.search(name, start):
        try:
            if match["y"]:
                return dt.date(int(match["y"]), int(match["m"]), int(match["d"]))
            return _day_of_year(int(match["year"] or match["scene_year"]), int(match["day"] or match["scene_day"]))
        except ValueError:
            # From the next character on: digits that are no date may hide one that starts among them ('2020-13-2020-02-02').
            start = match.start() + 1
    return None


def _day_of_year(year: int, day: int) -> dt.date:
    date = dt.date(year, 1, 1) + dt.timedelta(days=day - 1)
    if date.year != year:
        raise ValueError(f"{year} has no day {day}")
    return date


def date_from_tags(tags: Mapping[str, str]) -> dt.date | None:
    """The acquisition date among a raster's metadata tags, or None; names of tags are read without case."""
    known = {key.upper(): value for key, value in tags.items()}
    for key in _TAGS:
        # TIFF writes 2020:02:02 10:52:21.
        date = date_from_name(known.get(key, "").strip().replace(":", "-", 2))
        if date is not None:
            return date
    return None


def parse_date(value: dt.date | str) -> dt.date:
    """A date that the caller gave, as a date or as YYYY-MM-DD text; InputError where it is neither."""
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(value)
    except ValueError as exc:
        raise InputError(f"date is {value!r}, expected a day as YYYY-MM-DD. Correct the date.") from exc
