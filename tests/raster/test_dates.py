"""Dates that file names and tags carry."""

from __future__ import annotations

import datetime as dt

import hypothesis.strategies as st
import pytest
from hypothesis import given

from pixelkin.errors import InputError
from pixelkin.raster.dates import date_from_name, date_from_tags, parse_date


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2020-02-02", "2020-02-02"),
        ("20200202", "2020-02-02"),
        ("scene_2020_02_02_v3", "2020-02-02"),
        ("S2A_MSIL2A_20200202T105221_N0213_R051_T31TDG_20200203T134536", "2020-02-02"),
        ("T31TDG_20200202T105221_B04_10m", "2020-02-02"),
        ("LC08_L2SP_197031_20200202_20200823_02_T1", "2020-02-02"),
        ("20200202105221_planet", "2020-02-02"),
        ("S1A_IW_GRDH_1SDV_20200202T060120", "2020-02-02"),
        ("LC08_L2SP_199030_20200621_20200823_02_T1_SR_B4", "2020-06-21"),
        ("MOD09GA.A2020173.h18v04.061.2020329103424", "2020-06-21"),
        ("VNP09GA.A2019001.h18v04.001.20200621", "2019-01-01"),
        ("HLS.S30.T31TDG.2020173T104031.v2.0.B04", "2020-06-21"),
        ("LC81990302020173LGN00_B4", "2020-06-21"),
        ("LT51990301987366AAA01_1987365", "1987-12-31"),  # 1987 had no day 366
        ("ndvi_2020173", "2020-06-21"),
        ("2020366", "2020-12-31"),
        ("2021366", None),
        ("2020000", None),
        ("tile_3020173", None),
        ("id_1234567", None),
        ("12020173", None),
        ("2020-13-2020-02-02", "2020-02-02"),
        ("99999999_20200202", "2020-02-02"),  # no day of a calendar
        ("20201350_2020-02-30_2021-01-01", "2021-01-01"),
        ("LC", None),
        ("2020", None),
        ("2020-0202", None),
        ("2020-02_02", None),
        ("120200202", None),
        ("202002021", None),
        ("18991231", None),
        ("", None),
    ],
)
def test_dates_in_names(name, expected):
    assert date_from_name(name) == (expected and dt.date.fromisoformat(expected))


@given(st.dates(dt.date(1900, 1, 1), dt.date(2099, 12, 31)), st.sampled_from(["%Y-%m-%d", "%Y%m%d", "a_%Y%m%dT101112_b", "x%Y_%m_%d"]))
def test_every_date_is_found_again(date, pattern):
    assert date_from_name(date.strftime(pattern)) == date


@pytest.mark.parametrize(
    "tags",
    [
        {"TIFFTAG_DATETIME": "2020:02:02 10:52:21"},
        {"ACQUISITIONDATE": "2020-02-02"},
        {"datetime": "2020-02-02T10:52:21Z"},
        {"DATE_ACQUIRED": "2020-02-02", "TIFFTAG_DATETIME": "2023:01:01 00:00:00"},  # the file was made later
        {"ACQUISITIONDATE": "unknown", "TIFFTAG_DATETIME": "2020:02:02 10:52:21"},
    ],
)
def test_dates_in_tags(tags):
    assert date_from_tags(tags) == dt.date(2020, 2, 2)


@pytest.mark.parametrize("tags", [{}, {"TIFFTAG_DATETIME": "yesterday"}, {"AREA_OR_POINT": "2020-02-02"}])
def test_no_date_in_tags(tags):
    assert date_from_tags(tags) is None


def test_dates_that_are_given():
    assert parse_date("2020-02-02") == parse_date(dt.date(2020, 2, 2)) == parse_date(dt.datetime(2020, 2, 2, 9)) == dt.date(2020, 2, 2)
    with pytest.raises(InputError, match=r"^date is '2.2.2020', expected a day as YYYY-MM-DD. Correct the date.$"):
        parse_date("2.2.2020")
