"""Scale and offset of STAC items, as the catalogs that there are write them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pystac
import pytest
from tests.scale.test_stac import make_item, pytestmark  # noqa: F401

from pixelkin.errors import RasterError
from pixelkin.raster.stac import open_stac
from pixelkin.raster.stac_scale import item_scalings

EARTH_SEARCH = {"raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]}


def item(collection="sentinel-2-l2a", properties=None, **assets):
    made = pystac.Item("i", None, None, dt.datetime(2022, 2, 2, tzinfo=dt.UTC), properties or {}, collection=collection)
    for name, fields in assets.items():
        made.add_asset(name, pystac.Asset(f"{name}.tif", extra_fields=fields))
    return made


@pytest.mark.parametrize(("properties", "fields", "expected"), [
    ({"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "04.00"}, EARTH_SEARCH, (1e-4, 0.0)),
    ({"earthsearch:boa_offset_applied": False, "s2:processing_baseline": "04.00"}, EARTH_SEARCH, (1e-4, -0.1)),
    ({}, EARTH_SEARCH, (1e-4, -0.1)),
    ({"s2:processing_baseline": "04.00"}, {}, (1e-4, -0.1)),  # Planetary Computer
    ({"s2:processing_baseline": "05.09"}, {}, (1e-4, -0.1)),
    ({"s2:processing_baseline": "03.01"}, {}, (1e-4, 0.0)),
    ({"processing:version": "05.11"}, {"raster:scale": 0.0001, "raster:offset": -0.1}, (1e-4, -0.1)),  # STAC 1.1
    ({"s2:processing_baseline": "05.11"}, {"bands": [{"name": "B04", "raster:scale": 0.0001}]}, (1e-4, -0.1)),
    ({}, {}, (1.0, 0.0)),
])  # fmt: skip
def test_sentinel_2(properties, fields, expected):
    assert item_scalings(item(properties=properties, red=fields), ["red"]) == (expected,)
    assert item_scalings(item(properties=properties, B04=fields), ["B04"]) == (expected,)


def test_what_is_no_reflectance_and_other_sensors_go_by_what_they_declare():
    properties = {"s2:processing_baseline": "04.00"}
    found = item_scalings(item(properties=properties, scl={}, aot={"raster:bands": [{"scale": 0.001, "offset": 0}]}), ["scl", "aot"])
    assert found == ((1.0, 0.0), (0.001, 0.0))
    landsat = item("landsat-c2-l2", {}, red={"raster:bands": [{"scale": 2.75e-05, "offset": -0.2}]}, qa={})
    assert item_scalings(landsat, ["red", "qa"]) == ((2.75e-05, -0.2), (1.0, 0.0))


def test_a_series_of_two_baselines_does_not_jump(tmp_path):
    items = [make_item(tmp_path, "old", "2021-03-01"), make_item(tmp_path, "new", "2022-04-01")]
    for made, baseline in zip(items, ("03.01", "04.00"), strict=True):
        made.properties["s2:processing_baseline"] = baseline
    old, new = open_stac(items, bands=["red", "nir"])
    assert old.encoding == new.encoding == "scaled"
    a, b = old.read(), new.read()
    np.testing.assert_allclose(a.data[:, a.valid] - b.data[:, a.valid], 0.1, atol=1e-6)
    assert a.data[0, a.valid].min() == pytest.approx(0.01)
    stored = open_stac(items, bands=["red", "nir"], scale=False)
    np.testing.assert_array_equal(stored.scenes[0].read().data, stored.scenes[1].read().data)


def test_a_day_of_two_encodings_is_refused_with_its_items(tmp_path):
    items = [make_item(tmp_path, "west", "2022-03-01"), make_item(tmp_path, "east", "2022-03-01", left=500_640)]
    for made, baseline in zip(items, ("03.01", "04.00"), strict=True):
        made.properties["s2:processing_baseline"] = baseline
    with pytest.raises(RasterError, match=r"the items of 2022-03-01 .*west: 0.0001 and 0, east: 0.0001 and -0.1.*scale=False"):
        open_stac(items, bands=["red"])
