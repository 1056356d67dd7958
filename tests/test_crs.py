"""Grids and CRSs that mean the same in other words."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pyproj
import pytest

from pixelkin.crs import same_crs, same_grid
from pixelkin.errors import RasterError
from pixelkin.scene import ArrayScene, Series
from pixelkin.types import Grid

UTM = pyproj.CRS(32631)
LAEA = pyproj.CRS("+proj=laea +lat_0=41.5 +lon_0=2.5 +datum=WGS84 +units=m")
GRID = Grid(40, 50, (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0), "EPSG:32631")


@pytest.mark.parametrize("words", [UTM.to_wkt("WKT1_GDAL"), UTM.to_wkt("WKT1_ESRI"), UTM.to_wkt("WKT2_2019"), UTM.to_json(), "epsg:32631"])
def test_one_crs_in_many_words(words):
    assert same_crs("EPSG:32631", words)
    assert same_crs(words, "EPSG:32631")
    assert not same_crs("EPSG:32630", words)
    assert same_grid(GRID, replace(GRID, crs=words))


def test_a_crs_with_its_way_to_wgs_84_is_the_same():
    """As ERDAS, ERMapper and old versions of GDAL write it."""
    words = UTM.to_wkt("WKT1_GDAL").replace(',AUTHORITY["EPSG","32631"]]', "]")
    words = words.replace('"EPSG","7030"]],', '"EPSG","7030"]],TOWGS84[0,0,0,0,0,0,0],').replace("WGS 84 / UTM zone 31N", "NUTM31")
    assert pyproj.CRS(words).is_bound
    assert same_crs("EPSG:32631", words)
    assert same_crs(words, "EPSG:32631")
    assert not same_crs("EPSG:32630", words)


def test_a_crs_of_no_authority_and_the_order_of_axes():
    assert same_crs(LAEA.to_wkt("WKT1_GDAL"), LAEA.to_wkt("WKT2_2019"))
    assert same_crs("EPSG:4326", "OGC:CRS84")
    assert not same_crs("EPSG:4326", "EPSG:4258")


def test_no_crs_is_like_no_crs_alone():
    assert same_crs(None, None)
    assert not same_crs(None, "EPSG:32631")
    assert not same_grid(GRID, replace(GRID, crs=None))


@pytest.mark.parametrize(("shift", "same"), [(0.0, True), (0.05, True), (0.2, False), (10.0, False)])
def test_the_same_place_is_a_hundredth_of_a_pixel(shift, same):
    assert same_grid(GRID, replace(GRID, transform=(10.0, 0.0, 500_000.0 + shift, 0.0, -10.0, 4_600_000.0))) is same


def test_a_series_takes_dates_whose_crs_is_in_other_words():
    def image(day: int, crs: str) -> ArrayScene:
        return ArrayScene(np.ones((1, 40, 50)), name=str(day), date=dt.date(2020, 1, day), transform=GRID.transform, crs=crs)

    assert len(Series((image(1, "EPSG:32631"), image(2, UTM.to_wkt("WKT2_2019"))))) == 2
    with pytest.raises(RasterError, match="another grid"):
        Series((image(1, "EPSG:32631"), image(2, "EPSG:32630")))
