import csv
import json
import math

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelkin.errors import LabelError, OutputError, RasterError
from pixelkin.maps import AreaCounter, AreaTable, ClassArea, Score, area_table, cell_areas, estimate_areas, score, write_area_table
from pixelkin.types import Grid, Legend, Window

GEOD = pyproj.Geod(ellps="WGS84")


def geodesic_area(west, south, east, north, points=200):
    """Area between parallels and meridians by pyproj: parallels are cut finely, as geodesics do not follow them."""
    lon = np.linspace(west, east, points)
    lons = np.concatenate([lon, lon[::-1]])
    lats = np.concatenate([np.full(points, south), np.full(points, north)])
    return abs(GEOD.polygon_area_perimeter(lons, lats)[0])


@given(north=st.floats(-80, 84), west=st.floats(-179, 170), size=st.sampled_from([1.0, 0.1, 0.01]), aspect=st.sampled_from([1.0, 0.5]))
def test_geographic_cells_have_the_area_that_pyproj_finds(north, west, size, aspect):
    areas, _ = cell_areas(Grid(3, 2, (size, 0.0, west, 0.0, -size * aspect, north), "EPSG:4326"))
    assert areas.shape == (3, 1)
    for row in range(3):
        top = north - row * size * aspect
        expected = geodesic_area(west, top - size * aspect, west + size, top)
        np.testing.assert_allclose(areas[row, 0], expected, rtol=1e-5)


def test_the_whole_ellipsoid_is_510_million_square_kilometres():
    areas, method = cell_areas(Grid(180, 360, (1.0, 0.0, -180.0, 0.0, -1.0, 90.0), "EPSG:4326"))
    np.testing.assert_allclose(areas.sum() * 360, 510_065_621.724e6, rtol=1e-9)  # WGS 84
    assert method == "on the ellipsoid of EPSG:4326"


def test_a_rotated_geographic_grid_is_measured_pixel_by_pixel():
    angle = math.radians(30)
    a, b, d, e = 0.01 * math.cos(angle), 0.01 * math.sin(angle), 0.01 * math.sin(angle), -0.01 * math.cos(angle)
    grid = Grid(4, 5, (a, b, 10.0, d, e, 60.0), "EPSG:4326")
    areas, _ = cell_areas(grid)
    assert areas.shape == grid.shape
    for row, col in [(0, 0), (3, 4), (3, 0)]:
        corners = [
            (a * c + b * r + 10.0, d * c + e * r + 60.0) for r, c in [(row, col), (row, col + 1), (row + 1, col + 1), (row + 1, col)]
        ]
        lons, lats = zip(*corners, strict=True)
        np.testing.assert_allclose(areas[row, col], abs(GEOD.polygon_area_perimeter(lons, lats)[0]), rtol=1e-5)


def test_grads_are_not_taken_for_degrees():
    in_grads, _ = cell_areas(Grid(1, 1, (0.1, 0.0, 2.0, 0.0, -0.1, 50.0), "EPSG:4807"))
    in_degrees, _ = cell_areas(Grid(1, 1, (0.09, 0.0, 2.0, 0.0, -0.09, 45.0), "EPSG:4275"))  # the same datum in degrees
    np.testing.assert_allclose(in_grads, in_degrees, rtol=1e-9)


def test_feet_become_metres():
    areas, method = cell_areas(Grid(2, 2, (100.0, 0.0, 1_000_000.0, 0.0, -100.0, 200_000.0), "EPSG:2263"))
    np.testing.assert_allclose(areas, [[10_000 * (1200 / 3937) ** 2]])
    assert method == "in the plane of EPSG:2263"


def test_a_rotated_projected_pixel_keeps_its_area():
    areas, _ = cell_areas(Grid(2, 2, (6.0, 8.0, 500_000.0, 8.0, -6.0, 5_000_000.0), "EPSG:32631"))
    np.testing.assert_allclose(areas, [[100.0]])


def test_a_projection_that_swells_areas_is_named():
    x, y = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(10, 60)
    _, method = cell_areas(Grid(2, 2, (10.0, 0.0, x, 0.0, -10.0, y), "EPSG:3857"))
    assert "4 times those on the ellipsoid over the map" in method


def test_distortion_is_that_of_the_whole_map_not_of_its_centre():
    # From the equator, where Web Mercator is true, to 60 degrees on both sides.
    to_plane = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform
    x, y = to_plane(10, 60)
    _, method = cell_areas(Grid(100, 100, (y / 50, 0.0, x, 0.0, -y / 50, y), "EPSG:3857"))
    assert "1 to 4 times those on the ellipsoid" in method


def test_a_crs_without_a_position_in_it_has_no_areas():
    with pytest.raises(
        RasterError, match=r"CRS EPSG:32631 but no position in it .* Set the transform, or take the CRS away to count pixels"
    ):
        cell_areas(Grid(5, 5, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), "EPSG:32631"))


def test_area_table_counts_hectares_pixels_and_shares(make_map):
    table = area_table(make_map([[1, 1, 2], [2, 0, 2]], valid=[[True, True, True], [True, True, False]]))
    first, second = table
    assert (first.pixels, second.pixels) == (2, 2)
    assert first.hectares == pytest.approx(0.02)  # 10 m pixels: 0.01 ha each
    assert (table.valid_pixels, table.undecided_pixels) == (5, 1)
    assert table.undecided_hectares == pytest.approx(0.01)
    assert second.share == pytest.approx(2 / 5)  # of the area with data, undecided included
    assert "(undecided)" in table.to_table()


def test_geographic_table_weighs_each_row_by_its_latitude(make_map):
    classes = np.zeros((60, 3), np.uint8)
    classes[:30], classes[30:] = 1, 2
    table = area_table(make_map(classes, transform=(1.0, 0.0, 0.0, 0.0, -1.0, 60.0), crs="EPSG:4326"))
    np.testing.assert_allclose(table.rows[0].hectares, geodesic_area(0, 30, 3, 60, 3000) / 1e4, rtol=1e-5)
    np.testing.assert_allclose(table.rows[1].hectares, geodesic_area(0, 0, 3, 30, 3000) / 1e4, rtol=1e-5)
    assert table.rows[0].share + table.rows[1].share == pytest.approx(1)
    assert table.rows[1].share > 0.55


def test_rotated_geographic_table_sums_the_cells_of_each_class(make_map):
    grid = (0.01, 0.004, 10.0, 0.004, -0.01, 60.0)
    classes = np.array([[1, 2, 1], [2, 2, 1]])
    cells, _ = cell_areas(Grid(2, 3, grid, "EPSG:4326"))
    table = area_table(make_map(classes, transform=grid, crs="EPSG:4326"))
    np.testing.assert_allclose([row.hectares for row in table], [cells[classes == i].sum() / 1e4 for i in (1, 2)])


def test_without_crs_there_are_pixels_and_the_table_says_so(make_map):
    table = area_table(make_map([[1, 1, 2]], crs=None))
    assert [row.pixels for row in table] == [2, 1]
    assert math.isnan(table.rows[0].hectares)
    assert table.rows[0].share == pytest.approx(2 / 3)
    assert "areas in pixels only: the image has no CRS" in table.to_table()
    assert table.to_json()["classes"][0]["hectares"] is None


def test_a_map_without_data_has_no_shares(make_map):
    table = area_table(make_map([[0, 0]], valid=[[False, False]]))
    assert [row.pixels for row in table] == [0, 0]
    assert all(math.isnan(row.share) for row in table)
    assert table.undecided_pixels == 0


def test_a_stray_class_under_no_data_is_not_counted(make_map):
    table = area_table(make_map([[2, 1]], valid=[[False, True]]))
    assert [row.pixels for row in table] == [1, 0]


def test_a_class_missing_from_the_legend_is_refused(make_map):
    with pytest.raises(LabelError, match=r"class id 7 is not in the legend, expected one of \[1, 2\]."):
        area_table(make_map([[7]], legend=Legend.from_names("ab")))


def test_a_crs_that_means_nothing_is_refused(make_map):
    with pytest.raises(RasterError, match=r"CRS 'EPSG:0' cannot be understood, expected 'EPSG:n' or WKT. Set the image's CRS."):
        area_table(make_map([[1]], crs="EPSG:0"))


def test_csv_and_json_hold_the_table(make_map, tmp_path):
    table = area_table(make_map([[1, 1, 2]], crs=None))
    with write_area_table(table, tmp_path / "areas.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["class 1", "class 2"]
    assert rows[0]["pixels"] == "2"
    assert rows[0]["hectares"] == ""  # unknown, not "nan"
    assert rows[0]["color"] == "#0072b2"
    assert json.loads(write_area_table(table, tmp_path / "areas.json").read_text())["method"].startswith("in pixels only")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["areas.csv", "areas.json"]
    assert list(table.to_frame()["pixels"]) == [2, 1]


def test_a_table_is_never_written_over_unless_told(make_map, tmp_path):
    table = area_table(make_map([[1]]))
    path = tmp_path / "areas.csv"
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"areas.csv is there already, expected a new name. Choose another name"):
        write_area_table(table, path)
    assert path.read_text() == "mine"
    write_area_table(table, path, overwrite=True)
    assert "class 1" in path.read_text()


def test_where_a_table_cannot_go_is_said(make_map, tmp_path):
    table = area_table(make_map([[1]]))
    with pytest.raises(OutputError, match=r"areas.xls ends in '.xls', expected .csv or .json for an area table. Name it areas.csv."):
        write_area_table(table, tmp_path / "areas.xls")
    with pytest.raises(OutputError, match=r"its folder .*nowhere is not there. Make the folder first."):
        write_area_table(table, tmp_path / "nowhere" / "areas.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match=r"folder.csv is a folder, expected the name of a file"):
        write_area_table(table, tmp_path / "folder.csv", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


# --- Estimates from a validation sample -------------------------------------------------------------------------------------


def deforestation_example():
    """Worked example of Olofsson et al. 2014, table 8: areas in pixels of 30 m, sample counts by map class (rows there)."""
    legend = Legend.from_names(["deforestation", "forest gain", "stable forest", "stable non-forest"])
    pixels = [200_000, 150_000, 3_200_000, 6_450_000]
    map_by_reference = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
    rows = tuple(ClassArea(c.id, c.name, c.color, n, n * 0.09, n / 10_000_000) for c, n in zip(legend, pixels, strict=True))
    table = AreaTable(rows, 10_000_000, 900_000.0, 0, 0.0, "in the plane of EPSG:32618")
    return table, Score(legend, np.hstack([map_by_reference.T, np.zeros((4, 1), np.int64)]), 0)


def test_the_worked_example_of_the_paper_comes_out():
    estimates = estimate_areas(*deforestation_example())
    first = estimates.rows[0]
    # Published: 235,086 +- 68,418 pixels of deforestation.
    np.testing.assert_allclose(first.hectares, 235_086 * 0.09, atol=0.09)
    np.testing.assert_allclose((first.high_hectares - first.low_hectares) / 2, 68_418 * 0.09, rtol=1e-4)
    assert first.mapped_hectares == 18_000
    assert sum(row.share for row in estimates) == pytest.approx(1)
    assert estimates.sample_pixels == 640


def test_intervals_cover_the_truth_95_times_in_100(make_map):
    rng = np.random.default_rng(7)
    truth = np.where(rng.random((200, 200)) < 0.3, 1, 2).astype(np.uint8)
    wrong = rng.random(truth.shape) < np.where(truth == 1, 0.3, 0.1)
    result = make_map(np.where(wrong, 3 - truth, truth))
    table = area_table(result)
    true_hectares = (truth == 1).sum() * 0.01
    strata = [np.flatnonzero(result.classes.ravel() == i) for i in (1, 2)]
    hits, estimates = 0, []
    for _ in range(400):
        sample = np.zeros(truth.size, np.uint8)
        for stratum in strata:
            chosen = rng.choice(stratum, 75, replace=False)
            sample[chosen] = truth.ravel()[chosen]
        row = estimate_areas(table, score(result, sample.reshape(truth.shape))).rows[0]
        hits += row.low_hectares <= true_hectares <= row.high_hectares
        estimates.append(row.hectares)
    assert 0.92 <= hits / 400 <= 0.98
    # The map itself is off by more than a tenth; the mean estimate is not.
    assert abs(table.rows[0].hectares - true_hectares) > 0.05 * true_hectares
    np.testing.assert_allclose(np.mean(estimates), true_hectares, rtol=0.02)


def test_undecided_pixels_are_a_stratum_where_they_were_sampled(make_map):
    result = make_map([[1, 1, 2, 2, 0, 0]])
    estimates = estimate_areas(result, score(result, np.array([[1, 1, 2, 2, 1, 2]])))
    assert [row.share for row in estimates] == pytest.approx([0.5, 0.5])
    assert estimates.population_hectares == pytest.approx(0.06)


def test_undecided_pixels_without_a_sample_are_left_out_and_said(make_map):
    result = make_map([[1, 1, 2, 2, 0, 0]])
    estimates = estimate_areas(result, score(result, np.array([[1, 1, 2, 2, 0, 0]])))
    assert estimates.population_hectares == pytest.approx(0.04)
    assert "undecided pixels are left out" in estimates.to_table()


def test_without_crs_shares_are_estimated_and_hectares_are_not(make_map, tmp_path):
    result = make_map([[1, 1, 2, 2]], crs=None)
    estimates = estimate_areas(result, score(result, np.array([[1, 2, 2, 2]])))
    assert estimates.rows[0].share == pytest.approx(0.25)
    assert math.isnan(estimates.rows[0].hectares)
    assert json.loads(write_area_table(estimates, tmp_path / "e.json").read_text())["classes"][0]["hectares"] is None


def test_a_class_sampled_once_has_no_variance(make_map):
    result = make_map([[1, 1, 2, 2]])
    with pytest.raises(LabelError, match=r"mapped class 'class 2' has 1 validation pixel\(s\), expected at least 2 drawn at random in it."):
        estimate_areas(result, score(result, np.array([[1, 1, 2, 0]])))


def test_a_sample_of_another_map_is_refused(make_map):
    validation = score(make_map([[1, 1, 2, 2]]), np.array([[1, 1, 2, 2]]))
    with pytest.raises(
        LabelError, match=r"validation has 2 pixel\(s\) mapped as 'class 2', but the map has none. Score the map that is measured."
    ):
        estimate_areas(make_map([[1, 1, 1, 1]]), validation)
    other = make_map([[1, 1]], legend=Legend.from_names(["ice", "rock"]))
    with pytest.raises(
        LabelError, match=r"mapped class 'ice' has no validation pixel, expected at least 2 drawn at random in it. Sample it too."
    ):
        estimate_areas(other, validation)


def test_parts_in_any_order_add_up_to_the_table_of_the_whole(make_map, rng):
    legend = Legend.from_names("abc")
    valid = rng.random((30, 40)) < 0.8
    result = make_map(rng.integers(0, 4, (30, 40)), legend=legend, valid=valid, transform=(1.0, 0.0, 0.0, 0.0, -1.0, 60.0), crs="EPSG:4326")
    counter = AreaCounter(result.grid, legend)
    for window in (Window(20, 0, 10, 40), Window(0, 25, 20, 15), Window(0, 0, 20, 25)):
        counter.add(result.classes[window.slices], valid[window.slices], window)
    assert counter.table() == area_table(result)
