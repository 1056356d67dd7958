"""Which pixels a shape marks, against shapely and against rules written down by hand."""

import contextlib

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pixelkin.errors import InputError, LabelError
from pixelkin.labels import Annotation, Annotations, rasterize
from pixelkin.types import Grid

HEIGHT, WIDTH = 9, 12
PIXELS = Grid(HEIGHT, WIDTH, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None)
CENTRES = np.stack(np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5), axis=-1)  # (row, col, xy)

# Halves and quarters put vertices on edges, corners and centres of pixels; the others go anywhere, also outside.
coordinates = st.one_of(st.integers(-12, 60).map(lambda n: n / 4), st.floats(-3, 15, allow_nan=False, width=32))
paths = st.lists(st.tuples(coordinates, coordinates), min_size=2, max_size=5)
grids = st.builds(
    lambda angle, x, y, size, flip: Grid(
        HEIGHT,
        WIDTH,
        (size * np.cos(angle), -flip * size * np.sin(angle), x, size * np.sin(angle), flip * size * np.cos(angle), y),
        None,
    ),
    st.floats(0, 6.28),
    st.floats(-1e5, 1e5),
    st.floats(-1e5, 1e5),
    st.floats(0.1, 100),
    st.sampled_from([-1, 1]),
)


def mask_of(shape: shapely.Geometry, grid: Grid = PIXELS, **options: float) -> np.ndarray:
    labels = rasterize(Annotations.from_features([Annotation(shape, "water")], grid.crs), grid, **options)
    assert len(set(zip(labels.rows.tolist(), labels.cols.tolist(), strict=True))) == len(labels)
    return labels.to_mask(grid.shape) > 0


def on_grid(shape: shapely.Geometry, grid: Grid) -> shapely.Geometry:
    """A shape drawn in pixel coordinates, in the coordinates of the grid."""
    a, b, c, d, e, f = grid.transform
    return shapely.transform(shape, lambda xy: np.column_stack([a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f]))


@pytest.mark.parametrize(
    ("x", "y", "row", "col"),
    [(0, 0, 0, 0), (3, 5, 5, 3), (3, 5.999, 5, 3), (3.999, 5.5, 5, 3), (WIDTH - 0.001, HEIGHT - 0.001, HEIGHT - 1, WIDTH - 1)],
)
def test_a_point_marks_the_pixel_that_contains_it_and_edges_belong_to_the_right_and_below(x, y, row, col):
    np.testing.assert_array_equal(np.argwhere(mask_of(shapely.Point(x, y))), [[row, col]])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1), st.floats(0.01, 0.99), st.floats(0.01, 0.99), grids)
def test_a_point_anywhere_in_a_pixel_of_any_grid_marks_it(row, col, dy, dx, grid):
    mask = mask_of(on_grid(shapely.Point(col + dx, row + dy), grid), grid)
    np.testing.assert_array_equal(np.argwhere(mask), [[row, col]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1), grids)
def test_a_pixel_corner_of_any_grid_belongs_to_the_pixel_below_and_right_of_it_in_spite_of_rounding(row, col, grid):
    mask = mask_of(on_grid(shapely.Point(col, row), grid), grid)
    np.testing.assert_array_equal(np.argwhere(mask), [[row, col]])


@settings(max_examples=150, deadline=None)
@given(paths)
def test_a_line_marks_the_pixels_that_it_runs_through_and_no_others(path):
    line = shapely.LineString(path)
    cells = shapely.box(CENTRES[..., 0] - 0.5, CENTRES[..., 1] - 0.5, CENTRES[..., 0] + 0.5, CENTRES[..., 1] + 0.5)
    inner = shapely.box(CENTRES[..., 0] - 0.4999, CENTRES[..., 1] - 0.4999, CENTRES[..., 0] + 0.4999, CENTRES[..., 1] + 0.4999)
    through = shapely.length(shapely.intersection(inner, line)) > 1e-3
    near = shapely.distance(cells, line) < 1e-5
    assume(through.any())
    mask = mask_of(line)
    assert not (through & ~mask).any()
    assert not (mask & ~near).any()


def test_a_line_along_pixel_edges_marks_the_pixels_below_and_to_the_right():
    np.testing.assert_array_equal(np.argwhere(mask_of(shapely.LineString([(2.5, 4), (5.5, 4)]))), [[4, 2], [4, 3], [4, 4], [4, 5]])
    np.testing.assert_array_equal(np.argwhere(mask_of(shapely.LineString([(3, 1.5), (3, 3.5)]))), [[1, 3], [2, 3], [3, 3]])


def test_a_diagonal_through_corners_marks_the_diagonal_alone():
    np.testing.assert_array_equal(np.argwhere(mask_of(shapely.LineString([(0.5, 0.5), (4.5, 4.5)]))), [[i, i] for i in range(5)])
    np.testing.assert_array_equal(np.argwhere(mask_of(shapely.LineString([(4.5, 0.5), (0.5, 4.5)]))), [[i, 4 - i] for i in range(5)])


def test_a_line_that_crosses_the_image_from_far_away_keeps_its_part_inside():
    mask = mask_of(shapely.LineString([(-1e9, 3.5), (1e9, 3.5)]), brush_px=3)
    np.testing.assert_array_equal(np.flatnonzero(mask.all(axis=1)), [2, 3, 4])
    assert mask.sum() == 3 * WIDTH


@settings(max_examples=100, deadline=None)
@given(paths, st.sampled_from([1.2, 2.0, 3.0, 4.5, 9.0]), st.booleans())
def test_a_brush_marks_the_pixels_whose_centre_is_at_most_half_its_width_away(path, brush, dot):
    shape = shapely.Point(path[0]) if dot else shapely.LineString(path)
    distance = shapely.distance(shapely.points(CENTRES), shape)
    expected = distance <= brush / 2
    assume((distance <= brush / 2 - 1e-3).any())
    mask = mask_of(shape, brush_px=brush)
    if brush < np.sqrt(2):  # such a brush may miss the centre of the pixel that it is in
        with contextlib.suppress(LabelError):
            expected |= mask_of(shape)
    clear = np.abs(distance - brush / 2) > 1e-5
    np.testing.assert_array_equal(mask[clear], expected[clear])


@pytest.mark.parametrize("brush", [5.0, 150.0])
def test_a_long_brush_stroke_has_no_gaps(brush):
    grid = Grid(400, 500, PIXELS.transform, None)
    line = shapely.LineString([(3, 2), (490, 380), (30, 390), (400, 10)])
    labels = rasterize(Annotations.from_features([Annotation(line, "road", brush_px=brush)], None), grid)
    centres = np.stack(np.meshgrid(np.arange(500) + 0.5, np.arange(400) + 0.5), axis=-1)
    np.testing.assert_array_equal(labels.to_mask(grid.shape) > 0, shapely.distance(shapely.points(centres), line) <= brush / 2)


def test_a_feature_keeps_its_own_brush_and_a_polygon_has_none():
    features = [Annotation(shapely.Point(2.5, 2.5), "a", brush_px=3.0), Annotation(shapely.Point(7.5, 2.5), "a")]
    labels = rasterize(Annotations.from_features(features, None), PIXELS)
    assert len(labels) == 9 + 1
    assert mask_of(shapely.box(2, 2, 4, 4), brush_px=5).sum() == 4


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0.5, 9), st.floats(0.05, 1)), min_size=3, max_size=8), coordinates, coordinates, st.booleans(), grids)
def test_a_polygon_marks_the_pixels_whose_centre_lies_inside(spokes, x, y, hollow, grid):
    angles = np.cumsum([step for _, step in spokes])
    angles *= 2 * np.pi / angles[-1]
    offsets = np.array([radius for radius, _ in spokes])[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
    polygon = shapely.Polygon(np.array([x, y]) + offsets, [np.array([x, y]) + offsets / 2] if hollow else [])
    assume(polygon.is_valid)
    centres = shapely.points(CENTRES)
    clear = shapely.distance(centres, polygon.boundary) > 1e-5
    inside = shapely.contains(polygon, centres)
    assume((inside & clear).any())
    np.testing.assert_array_equal(mask_of(on_grid(polygon, grid), grid)[clear], inside[clear])


def test_parts_of_a_multipolygon_that_overlap_are_filled():
    mask = mask_of(shapely.MultiPolygon([shapely.box(1, 1, 5, 5), shapely.box(3, 3, 7, 7)]))
    assert mask.sum() == 16 + 16 - 4
    assert mask[3, 3]


def test_the_parts_of_multi_geometries_are_one_feature():
    np.testing.assert_array_equal(np.argwhere(mask_of(shapely.MultiPoint([(8.5, 1.5), (1.5, 7.5), (1.5, 1.5)]))), [[1, 1], [1, 8], [7, 1]])
    lines = shapely.MultiLineString([[(0.5, 0.5), (1.5, 0.5)], [(5.5, 8.5), (6.5, 8.5)]])
    np.testing.assert_array_equal(np.argwhere(mask_of(lines)), [[0, 0], [0, 1], [8, 5], [8, 6]])


def test_the_last_row_and_column_and_a_one_pixel_image():
    mask = mask_of(shapely.box(WIDTH - 1, HEIGHT - 1, WIDTH + 50, HEIGHT + 50))
    np.testing.assert_array_equal(np.argwhere(mask), [[HEIGHT - 1, WIDTH - 1]])
    one = Grid(1, 1, PIXELS.transform, None)
    for shape in (shapely.Point(0.5, 0.5), shapely.box(-5, -5, 5, 5), shapely.LineString([(0, 0), (0.9, 0.9)])):
        assert mask_of(shape, one).all()


def test_features_keep_their_order_and_their_pixels_are_row_major():
    features = [
        Annotation(shapely.box(4, 4, 6, 6), "b"),
        Annotation(shapely.Point(0.5, 0.5), "a"),
        Annotation(shapely.LineString([(5.5, 3.5), (5.5, 5.5)]), "b"),
    ]
    labels = rasterize(Annotations.from_features(features, None), PIXELS)
    assert list(zip(labels.rows.tolist(), labels.cols.tolist(), strict=True)) == [(4, 4), (4, 5), (5, 4), (5, 5), (0, 0), (3, 5)]
    assert labels.legend.names == ("b", "a")
    np.testing.assert_array_equal(labels.classes, [1, 1, 1, 1, 2, 1])


@pytest.mark.parametrize("brush", [0, 0.5, -1, float("nan"), float("inf")])
def test_a_brush_below_one_pixel_is_refused(brush):
    with pytest.raises(InputError, match=r"brush_px is .*, expected 1 or more pixels"):
        mask_of(shapely.Point(1, 1), brush_px=brush)
