"""Acquisition dates from file names and metadata tags."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

from pixelkin.errors import InputError

# Eight digits, alone or before a time ('20200202T105221', '20200202105221'), or three groups joined by one kind of separator.
_DATE = re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<sep>[-_]?)(?P<m>\d\d)(?P=sep)(?P<d>\d\d)(?:(?!\d)|(?=\d{6}(?!\d)))")

# Most telling first: TIFFTAG_DATETIME is often the day on which a file was made, so it comes last.
_TAGS = ("ACQUISITIONDATETIME", "ACQUISITIONDATE", "ACQUISITION_DATE", "DATE_ACQUIRED", "DATETIME", "TIFFTAG_DATETIME")


def date_from_name(name: str) -> dt.date | None:
    """The first date in a file name, or None.

    Knows YYYY-MM-DD, YYYY_MM_DD and YYYYMMDD, also before a time as in Sentinel-2 and Landsat product names. Digits that are
    no day of a calendar are passed over.

    >>> date_from_name("S2A_MSIL2A_20200202T105221_N0213_R051_T31TDG_20200202T134536")
    datetime.date(2020, 2, 2)
    """
    for match in _DATE.finditer(name):
        try:
            return dt.date(int(match["y"]), int(match["m"]), int(match["d"]))
        except ValueError:
            continue
    return None


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
