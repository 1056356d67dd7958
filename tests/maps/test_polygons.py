import dataclasses
import warnings

import geopandas
import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from rasterio.features import rasterize

from pixelkin.errors import InputError, LabelError, OutputError
from pixelkin.maps import area_table, polygonize, write_polygons, write_polygons_of
from pixelkin.raster import write_map
from pixelkin.types import Legend

LEGEND = Legend.from_names(["water", "land", "ice"])
DEGREES = (0.25, 0.0, 8.0, 0.0, -0.25, 61.0)

small_maps = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3))


def burn(frame, shape, transform):
    if frame.empty:
        return np.zeros(shape, np.uint8)
    return rasterize(zip(frame.geometry, frame.class_id, strict=True), shape, transform=Affine(*transform), dtype="uint8")


@pytest.mark.parametrize("connectivity", [4, 8])
@given(classes=small_maps)
@settings(deadline=None)
def test_rasterizing_the_polygons_gives_the_map_back(make_map, classes, connectivity):
    result = make_map(classes, legend=LEGEND)
    frame = polygonize(result, connectivity=connectivity)
    np.testing.assert_array_equal(burn(frame, classes.shape, result.grid.transform), classes)
    assert frame.is_valid.all()


@given(classes=small_maps, geographic=st.booleans())
@settings(deadline=None)
def test_polygon_areas_sum_to_the_area_table(make_map, classes, geographic):
    result = make_map(classes, legend=LEGEND, **({"transform": DEGREES, "crs": "EPSG:4326"} if geographic else {}))
    frame = polygonize(result)
    for row in area_table(result):
        chosen = frame[frame.class_id == row.class_id]
        np.testing.assert_allclose(chosen.area_ha.sum(), row.hectares, rtol=1e-12)
        assert chosen.pixels.sum() == row.pixels


def test_projected_area_is_that_of_the_geometry(make_map):
    frame = polygonize(make_map([[1, 1, 2], [1, 2, 2]]))
    np.testing.assert_allclose(frame.area_ha, frame.area / 1e4)


def test_each_patch_carries_its_class_name_and_colour(make_map):
    frame = polygonize(make_map([[1, 0, 2]], legend=LEGEND))
    assert list(frame.class_name) == ["water", "land"]
    assert list(frame.color) == ["#0072b2", "#e69f00"]
    assert frame.crs == "EPSG:32631"
    np.testing.assert_array_equal(frame.bounds.to_numpy()[1], [500_020, 4_999_990, 500_030, 5_000_000])


def test_corners_join_patches_only_when_asked(make_map):
    diagonal = make_map([[1, 2], [2, 1]])
    assert len(polygonize(diagonal)) == 4
    assert len(polygonize(diagonal, connectivity=8)) == 2


def test_small_patches_are_left_out(make_map):
    frame = polygonize(make_map([[1, 1, 2], [1, 1, 1]]), min_pixels=2)
    assert list(frame.pixels) == [5]
    assert frame.area.sum() == 500  # the gap stays a gap


def test_no_data_lies_in_no_polygon(make_map):
    frame = polygonize(make_map([[1, 1], [1, 1]], valid=[[True, False], [True, True]]))
    assert list(frame.pixels) == [3]


def test_a_map_of_one_pixel(make_map):
    assert polygonize(make_map([[1]])).area.tolist() == [100.0]


def test_geopackage_keeps_crs_and_classes(make_map, tmp_path):
    result = make_map([[1, 2, 2], [1, 1, 0]], legend=LEGEND)
    path = write_polygons(result, tmp_path / "map.gpkg")
    assert path == tmp_path / "map.gpkg"
    frame = geopandas.read_file(path)
    assert frame.crs == "EPSG:32631"
    np.testing.assert_array_equal(burn(frame, (2, 3), result.grid.transform), result.classes)
    assert set(frame.columns) == {"class_id", "class_name", "color", "pixels", "area_ha", "geometry"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.gpkg"]


def test_a_crs_from_which_nothing_leads_to_wgs_84(make_map, tmp_path):
    """A local one, as surveys and drones have it."""
    result = make_map([[1, 2]], legend=LEGEND)
    result = dataclasses.replace(result, grid=dataclasses.replace(result.grid, crs='LOCAL_CS["site",UNIT["metre",1]]'))
    with pytest.raises(OutputError, match=r"no transformation leads there from the map's CRS, LOCAL_CS.*. Write a .gpkg file instead"):
        write_polygons(result, tmp_path / "map.geojson")
    assert write_polygons(result, tmp_path / "map.gpkg").is_file()


def test_geojson_is_in_wgs_84(make_map, tmp_path):
    path = write_polygons(make_map([[1, 2]], legend=LEGEND), tmp_path / "map.geojson")
    frame = geopandas.read_file(path)
    assert frame.crs == "EPSG:4326"
    # The corner lies on zone 31's meridian, 5000 km of grid, thus 5000 / 0.9996 km of ellipsoid, north of the equator.
    _, north, _ = pyproj.Geod(ellps="WGS84").fwd(3, 0, 0, 5_000_000 / 0.9996)
    np.testing.assert_allclose(frame.total_bounds[[0, 3]], [3.0, north], atol=1e-6)
    assert list(frame.class_name) == ["water", "land"]
    np.testing.assert_allclose(frame.area_ha, 0.01)


def test_an_empty_map_gives_an_empty_layer_with_its_columns(make_map, tmp_path):
    path = write_polygons(make_map([[0, 0]], valid=[[False, False]]), tmp_path / "map.gpkg")
    frame = geopandas.read_file(path)
    assert len(frame) == 0
    assert "class_name" in frame.columns


def test_a_map_without_crs_goes_into_a_geopackage_only(make_map, tmp_path):
    result = make_map([[1, 2]], crs=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = write_polygons(result, tmp_path / "map.gpkg")
    assert geopandas.read_file(path).area_ha.isna().all()
    with pytest.raises(OutputError, match=r"map.geojson cannot be GeoJSON, which is always WGS 84: the map has no CRS. Write a .gpkg file"):
        write_polygons(result, tmp_path / "map.geojson")


def test_what_cannot_be_written_leaves_nothing_behind(make_map, tmp_path):
    result = make_map([[1]])
    path = write_polygons(result, tmp_path / "map.gpkg")
    before = path.read_bytes()
    with pytest.raises(OutputError, match=r"map.gpkg is there already, expected a new name."):
        write_polygons(result, path)
    with pytest.raises(OutputError, match=r"map.shp ends in '.shp', expected .gpkg, .geojson or .json for polygons. Name it map.gpkg."):
        write_polygons(result, tmp_path / "map.shp")
    with pytest.raises(OutputError, match=r"outlines has no suffix, expected .* Name it outlines.gpkg."):
        write_polygons(result, tmp_path / "outlines")
    with pytest.raises(LabelError, match=r"class id 7 is not in the legend"):
        write_polygons(make_map([[7]], legend=LEGEND), path, overwrite=True)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.gpkg"]


def test_overwriting_replaces_the_whole_file(make_map, tmp_path):
    path = write_polygons(make_map([[1, 2]]), tmp_path / "map.gpkg")
    write_polygons(make_map([[1, 1]]), path, overwrite=True)
    assert len(geopandas.read_file(path)) == 1


def test_an_unknown_connectivity_is_refused(make_map):
    with pytest.raises(InputError, match=r"connectivity is 6, expected 4 \(pixels share an edge\) or 8 \(or a corner\)."):
        polygonize(make_map([[1]]), connectivity=6)


ROTATED = (0.25, 0.05, 8.0, 0.05, -0.25, 61.0)


@pytest.mark.parametrize(
    "place", [{}, {"transform": DEGREES, "crs": "EPSG:4326"}, {"transform": ROTATED, "crs": "EPSG:4326"}, {"crs": None}],
    ids=["plane", "degrees", "rotated", "none"],
)  # fmt: skip
def test_polygons_of_a_file_are_those_of_the_map(make_map, tmp_path, rng, monkeypatch, place):
    monkeypatch.setattr("pixelkin.maps.polygons._AT_ONCE", 7)
    classes = np.kron(rng.integers(0, 4, (12, 15)), np.ones((3, 2), int))
    result = make_map(classes, legend=LEGEND, **place)
    source = write_map(result, tmp_path / "map.tif")
    told = []
    path = write_polygons_of(source, result.grid, LEGEND, tmp_path / "map.gpkg", progress=lambda: told.append(1))
    expected = geopandas.read_file(write_polygons(result, tmp_path / "whole.gpkg"))
    frame = geopandas.read_file(path)
    assert len(told) >= 1 if place.get("transform") == ROTATED else len(told) > 5
    assert (frame.crs, list(frame.columns), frame.dtypes.to_list()) == (expected.crs, list(expected.columns), expected.dtypes.to_list())

    def ordered(frame):
        return frame.assign(wkt=frame.geometry.normalize().to_wkt()).sort_values("wkt", ignore_index=True)

    one, other = ordered(frame), ordered(expected)
    for column in ("class_id", "class_name", "color", "pixels", "wkt"):
        assert one[column].to_list() == other[column].to_list()
    np.testing.assert_allclose(one.area_ha, other.area_ha, rtol=1e-9)


def test_a_map_in_a_file_without_any_class_or_place_has_no_polygon(make_map, tmp_path):
    result = make_map(np.zeros((5, 6)), legend=LEGEND, transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), crs=None)
    source = write_map(result, tmp_path / "map.tif")
    path = write_polygons_of(source, result.grid, LEGEND, tmp_path / "map.gpkg")
    assert geopandas.read_file(path).empty


def test_outlining_that_is_called_off_leaves_nothing(make_map, tmp_path):
    result = make_map([[1, 2], [2, 1]], legend=LEGEND)
    source = write_map(result, tmp_path / "map.tif")
    before = sorted(tmp_path.iterdir())

    def stop():
        raise InputError("called off")

    with pytest.raises(InputError, match="called off"):
        write_polygons_of(source, result.grid, LEGEND, tmp_path / "map.gpkg", progress=stop)
    assert sorted(tmp_path.iterdir()) == before
