"""Labels in one CRS, image in another."""

import geopandas
import numpy as np
import pyproj
import pytest
import shapely

from pixelkin.errors import LabelError
from pixelkin.labels import Annotation, Annotations, rasterize
from pixelkin.types import Grid

UTM = Grid(300, 400, (10.0, 0.0, 480000.0, 0.0, -10.0, 4690000.0), "EPSG:32631")
DEGREES = Grid(300, 400, (1e-4, 0.0, 2.77, 0.0, -1e-4, 42.36), "EPSG:4326")
ROTATED = Grid(300, 400, (8.0, 3.0, 480000.0, 3.0, -8.0, 4690000.0), "EPSG:32631")


def on_grid(shape: shapely.Geometry, grid: Grid) -> shapely.Geometry:
    a, b, c, d, e, f = grid.transform
    return shapely.transform(shape, lambda xy: np.column_stack([a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f]))


@pytest.mark.parametrize("grid", [UTM, DEGREES, ROTATED], ids=["utm", "degrees", "rotated"])
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32631", "EPSG:2154", "EPSG:3857", "OGC:CRS84"])
def test_points_that_geopandas_moved_to_another_crs_mark_the_same_pixels(grid, crs):
    rng = np.random.default_rng(1)
    rows, cols = rng.integers(0, grid.height, 200), rng.integers(0, grid.width, 200)
    distinct = np.unique(rows * grid.width + cols, return_index=True)[1]
    rows, cols = rows[np.sort(distinct)], cols[np.sort(distinct)]
    points = geopandas.GeoSeries([shapely.Point(grid.xy(r, c)) for r, c in zip(rows, cols, strict=True)], crs=grid.crs).to_crs(crs)
    labels = rasterize(Annotations.from_features([Annotation(point, "water") for point in points], crs), grid)
    np.testing.assert_array_equal(labels.rows, rows)
    np.testing.assert_array_equal(labels.cols, cols)


def test_edges_stay_on_the_course_they_were_drawn_on():
    # A 4 km edge in degrees, along a parallel, is 0.3 m off its chord in UTM; on a 0.1 m grid that is 3 rows.
    grid = Grid(60, 40_000, (0.1, 0.0, 498000.0, 0.0, -0.1, 4649998.5), "EPSG:32631")
    to_degrees = pyproj.Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True)
    west, south = to_degrees.transform(498000, 4649995)
    east, _ = to_degrees.transform(502000, 4649995)
    line = shapely.LineString([(west, south), (east, south)])
    labels = rasterize(Annotations.from_features([Annotation(line, "parallel")], "EPSG:4326"), grid)
    fine = np.linspace(west, east, 400_001)
    x, y = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32631", always_xy=True).transform(fine, np.full_like(fine, south))
    cols, rows = np.floor((x - 498000) / 0.1).astype(int), np.floor((4649998.5 - y) / 0.1).astype(int)
    inside = (cols >= 0) & (cols < grid.width)
    expected = np.zeros(grid.shape, bool)
    expected[rows[inside], cols[inside]] = True
    chord_row = (4649998.5 - np.interp(500000, [x[0], x[-1]], [y[0], y[-1]])) / 0.1
    assert abs(chord_row - np.flatnonzero(expected[:, 20_000])[0]) > 2
    # The course is kept to 0.01 pixel: pixels may differ only where it changes row.
    different = expected != (labels.to_mask(grid.shape) > 0)
    assert different.sum() < 0.01 * expected.sum()


def test_a_polygon_of_another_crs_covers_what_its_moved_outline_covers():
    polygon = on_grid(
        shapely.Polygon([(20.3, 15.1), (380.2, 40.7), (300.9, 280.4), (60.6, 250.2)], [[(150, 100), (200, 120), (180, 180)]]), UTM
    )
    moved = geopandas.GeoSeries([polygon], crs=UTM.crs).segmentize(20).to_crs("EPSG:4326")[0]
    mask = rasterize(Annotations.from_features([Annotation(moved, "water")], "EPSG:4326"), UTM).to_mask(UTM.shape)
    x, y = np.meshgrid(UTM.transform[2] + 10 * (np.arange(400) + 0.5), UTM.transform[5] - 10 * (np.arange(300) + 0.5))
    clear = shapely.distance(shapely.points(x, y), polygon.boundary) > 0.1
    np.testing.assert_array_equal(mask[clear] > 0, shapely.contains_xy(polygon, x, y)[clear])


def test_labels_without_crs_are_in_the_image_own_coordinates():
    labels = rasterize(Annotations.from_features([Annotation(shapely.Point(UTM.xy(7, 9)), "water")], None), UTM)
    assert (labels.rows[0], labels.cols[0]) == (7, 9)


def test_labels_with_crs_on_an_image_without_one_are_refused():
    annotations = Annotations.from_features([Annotation(shapely.Point(3, 3), "water")], "EPSG:4326")
    with pytest.raises(
        LabelError, match=r"labels are in EPSG:4326, but the image has no CRS.* Give the image its CRS, or save the labels without one"
    ):
        rasterize(annotations, Grid(10, 10, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None))


def test_a_feature_that_the_image_crs_has_no_place_for_is_named():
    annotations = Annotations.from_features(
        [Annotation(shapely.Point(2.8, 42.35), "a"), Annotation(shapely.Point(4e5, 4.6e6), "b")], "EPSG:4326"
    )
    with pytest.raises(
        LabelError,
        match=r"feature 2 of 2 \('b', at 400000, 4600000\) has no place in the image's CRS: its coordinates \(400000, 4.6e\+06\)",
    ):
        rasterize(annotations, UTM)
    line = Annotations.from_features([Annotation(shapely.LineString([(4e5, 4.6e6), (4e5, 4.7e6)]), "b")], "EPSG:4326")
    with pytest.raises(LabelError, match=r"feature 1 of 1 \('b', at 400000, 4600000\) has no place in the image's CRS"):
        rasterize(line, UTM)


def test_crs_that_do_not_meet_are_refused():
    annotations = Annotations.from_features([Annotation(shapely.Point(0, 0), "mare")], "IAU_2015:30100")
    with pytest.raises(LabelError, match=r"no transformation leads from IAU_2015:30100 to EPSG:32631"):
        rasterize(annotations, UTM)
