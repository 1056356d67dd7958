"""Samples: who can be drawn, how many, and what the points say of it."""

import json
import math

import geopandas
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from pixelkin.assessment import Reference, design_sample, evaluate, is_sample, read_reference, write_sample
from pixelkin.assessment.allocation import allocate, sample_size
from pixelkin.assessment.estimators import Possible, Sample, ratio
from pixelkin.assessment.evaluation import compare
from pixelkin.cli import cli
from pixelkin.errors import InputError, LabelError
from pixelkin.labels.files import read_layer
from pixelkin.raster import write_map

CLASSES = np.ones((40, 50), np.uint8)
CLASSES[:, 30:] = 2
CLASSES[:4, :5] = 3


def test_sizes_of_olofsson_2014():
    # Table 5 and equation 13: a standard error of 0.01 needs 641 points.
    weights = np.array([0.020, 0.015, 0.320, 0.645])
    assert sample_size(weights, np.array([0.70, 0.60, 0.90, 0.95]), 0.01, 10_000_000) == 641


@pytest.mark.parametrize(
    ("allocation", "floor", "points"),
    [
        ("proportional", 0, [13, 10, 205, 413]),
        ("equal", 0, [161, 160, 160, 160]),
        ("proportional", 100, [100, 100, 146, 295]),
    ],
)
def test_allocations_of_olofsson_2014(allocation, floor, points):
    sizes = np.array([200_000, 150_000, 3_200_000, 6_450_000])
    found = allocate(sum(points), sizes, np.full(4, 0.8), allocation, floor)
    assert found.tolist() == points


def test_neyman_gives_more_points_to_what_is_doubtful():
    found = allocate(100, np.array([1000, 1000]), np.array([0.5, 0.9]), "neyman")
    assert found.tolist() == [63, 37]  # 0.5 to 0.3


def test_no_stratum_gets_more_points_than_it_has_pixels():
    assert allocate(60, np.array([10, 1000]), np.full(2, 0.8), "equal").tolist() == [10, 50]


@pytest.mark.parametrize("options", [{}, {"simple": True}, {"allocation": "equal"}, {"floor": 50}, {"cluster_px": 10, "per_cluster": 20}])
def test_weights_of_the_points_add_up_to_the_map(make_map, options):
    design = design_sample(make_map(CLASSES), 200, **options)
    assert (1 / design.inclusion).sum() == pytest.approx(CLASSES.size, rel=1e-9 if "cluster_px" not in options else 0.2)
    assert len(np.unique(design.rows * 50 + design.cols)) == len(design) == 200


def test_every_pixel_has_the_chance_that_its_point_carries(make_map):
    segmentation = make_map(CLASSES)
    drawn = np.zeros(CLASSES.shape)
    chance = np.zeros(CLASSES.shape)
    for seed in range(400):
        design = design_sample(segmentation, 200, allocation="equal", seed=seed)
        drawn[design.rows, design.cols] += 1
        chance[design.rows, design.cols] = design.inclusion
    for class_id in (1, 2, 3):
        here = class_id == CLASSES
        assert drawn[here].mean() / 400 == pytest.approx(chance[here].max())


def test_the_same_seed_draws_the_same_points(make_map):
    first, second, other = (design_sample(make_map(CLASSES), 50, seed=seed) for seed in (7, 7, 8))
    assert (first.rows.tolist(), first.cols.tolist()) == (second.rows.tolist(), second.cols.tolist())
    assert first.rows.tolist() != other.rows.tolist()


def test_pixels_without_data_are_never_drawn_and_undecided_ones_are_a_stratum(make_map):
    classes, valid = CLASSES.copy(), np.ones(CLASSES.shape, bool)
    classes[10:20] = 0
    valid[15:20] = False
    design = design_sample(make_map(classes, valid=valid), 300)
    assert valid[design.rows, design.cols].all()
    assert {stratum.name for stratum in design.strata} == {"water", "land", "ice", "(undecided)"}


def test_strata_of_another_layer(make_map):
    strata = np.zeros(CLASSES.shape, int)
    strata[:, :25], strata[:20, 25:] = 1, 2
    design = design_sample(make_map(CLASSES), 100, strata=strata, names={1: "west", 2: "north-east"})
    assert {s.name: s.pixels for s in design.strata} == {"west": 1000, "north-east": 500}
    assert (strata[design.rows, design.cols] > 0).all()


def test_areas_of_a_geographic_map_are_those_on_the_ellipsoid(make_map):
    design = design_sample(make_map(CLASSES, transform=(1.0, 0.0, 0.0, 0.0, -1.0, 60.0), crs="EPSG:4326"), 100, simple=True)
    north, south = design.unit_area[design.rows < 5].mean(), design.unit_area[design.rows > 35].mean()
    assert south / north > 1.5
    assert design.strata[0].area == pytest.approx(np.sum(design.unit_area / design.inclusion), rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "n is None and target_se is None, expected one of the two"),
        ({"n": 10, "target_se": 0.1}, "expected one of the two"),
        ({"n": 5}, r"n is 5, expected at least 6: 2 points in each of 3 strata"),
        ({"n": 3000}, "expected at most 2000"),
        ({"n": 10, "allocation": "best"}, "allocation is 'best'"),
        ({"target_se": 2}, "target_se is 2, expected a standard error between 0 and 0.5"),
        ({"n": 10, "expected": {"sea": 0.9}}, "expected names stratum 'sea', which is none of"),
        ({"n": 10, "expected": 1}, "expected accuracies between 0 and 1"),
        ({"n": 10, "cluster_px": 50}, r"make 1 cluster\(s\), expected 2 to 1"),
        ({"n": 10, "cluster_px": 5, "floor": 3}, "cluster_px draws clusters of the whole map, without strata"),
        ({"n": 10, "strata": np.ones((2, 2), int)}, r"strata have shape \(2, 2\), expected \(40, 50\)"),
    ],
)
def test_designs_that_cannot_be_are_refused(make_map, options, message):
    with pytest.raises(InputError, match=message):
        design_sample(make_map(CLASSES), **options)


def label(path, truth, *, blank=0):
    """Fill in the class of each point from a truth by column, as an interpreter would."""
    if path.suffix == ".csv":
        frame = pd.read_csv(path)
        columns = ((frame["x"] - 500_000) / 10).astype(int)
        frame["class"] = [truth(column) for column in columns]
        frame.loc[: blank - 1, "class"] = "unsure"
        frame.to_csv(path, index=False)
        return path
    frame = geopandas.read_file(path)
    points = frame.geometry.to_crs("EPSG:32631")
    frame["class"] = [truth(int((x - 500_000) / 10)) for x in points.x]
    frame.loc[: blank - 1, "class"] = None
    frame.to_file(path, layer="labels") if path.suffix == ".gpkg" else frame.to_file(path)
    return path


def truth(column):
    return "water" if column < 26 else "land"


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "csv"])
def test_a_sample_keeps_its_design_through_every_format_and_other_programs(make_map, tmp_path, suffix):
    segmentation = make_map(CLASSES)
    design = design_sample(segmentation, 400, floor=20)
    path = label(write_sample(design, tmp_path / f"points.{suffix}"), truth)
    layer = read_layer(path)
    assert is_sample(layer)
    found = evaluate(segmentation, read_reference(layer, segmentation.grid))
    exact = np.array([truth(column) for column in design.cols]) == np.array(["water", "land", "ice"])[CLASSES[design.rows, design.cols] - 1]
    assert found.overall.value == pytest.approx((exact / design.inclusion).sum() / CLASSES.size)
    assert found.counts.sum() == 400
    assert found.hectares == pytest.approx(CLASSES.size / 100)


def test_points_that_nobody_could_label_hand_their_weight_on_with_a_word(make_map, tmp_path):
    segmentation = make_map(CLASSES)
    path = label(write_sample(design_sample(segmentation, 100, floor=20), tmp_path / "p.gpkg"), truth, blank=10)
    reference = read_reference(read_layer(path), segmentation.grid)
    assert reference.sample.weights.sum() == pytest.approx(CLASSES.size)
    assert "10 of 100 sample points have no class and are left out" in reference.notes[0]
    unlabelled = write_sample(design_sample(segmentation, 100), tmp_path / "q.gpkg")
    with pytest.raises(LabelError, match="none of its 100 sample points has a class"):
        read_reference(read_layer(unlabelled), segmentation.grid)


def test_the_sample_of_one_map_evaluates_another(make_map, tmp_path):
    drawn_for, other = make_map(CLASSES), make_map(np.where(np.arange(50) < 26, 1, 2)[None, :].repeat(40, axis=0))
    path = label(write_sample(design_sample(drawn_for, 300, floor=20), tmp_path / "p.gpkg"), truth)
    reference = read_reference(read_layer(path), other.grid)
    first, second = evaluate(drawn_for, reference), evaluate(other, reference)
    assert second.overall.value == 1
    assert not second.strata_are_classes
    # The other map knows the truth, so that with its help the area is known exactly.
    assert second.best_area(0) == (pytest.approx(0.52), pytest.approx(0, abs=1e-9))
    low, high = second.area_interval(0)
    assert low <= 0.52 <= high
    gap, error = compare((drawn_for, first), (other, second), reference)["overall_accuracy"]
    assert gap == pytest.approx(first.overall.value - 1)
    assert error == pytest.approx(first.overall.standard_error)


def test_undecided_pixels_are_an_outcome_of_their_own(make_map, tmp_path):
    classes = CLASSES.copy()
    classes[:, 26:30] = 0
    segmentation = make_map(classes)
    path = label(write_sample(design_sample(segmentation, 400, floor=40), tmp_path / "p.gpkg"), truth)
    found = evaluate(segmentation, read_reference(read_layer(path), segmentation.grid))
    assert found.undecided.value == pytest.approx(0.08)
    assert found.counts[1, -1] > 0
    assert found.overall.value < 0.93


def test_clusters_have_wider_intervals_than_points_drawn_one_by_one(make_map, tmp_path):
    segmentation = make_map(CLASSES)
    one = label(write_sample(design_sample(segmentation, 200, simple=True), tmp_path / "one.gpkg"), truth)
    many = label(write_sample(design_sample(segmentation, 200, cluster_px=5, per_cluster=20), tmp_path / "many.gpkg"), truth)
    single, clustered = (evaluate(segmentation, read_reference(read_layer(path), segmentation.grid)) for path in (one, many))
    assert single.bootstrapped is None
    assert clustered.overall.standard_error > 1.3 * single.overall.standard_error
    low, high = clustered.bootstrapped
    assert low < clustered.overall.value < high


# The command line


def run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


def test_from_a_map_to_its_figures_on_the_command_line(make_map, tmp_path):
    made = write_map(make_map(CLASSES), tmp_path / "map.tif")
    ran = run("sample", made, "--target-se", 0.02, "--floor", 30, "-o", tmp_path / "p.gpkg")
    assert ran.exit_code == 0
    assert "for a standard error of 0.02 of the overall accuracy (Cochran 1977, 5.25), expecting an accuracy of 0.8" in ran.stdout
    label(tmp_path / "p.gpkg", truth)
    printed = run("evaluate", made, "-t", tmp_path / "p.gpkg", "--areas", tmp_path / "areas.csv", "--figure", tmp_path / "f.png")
    assert "stratified estimator" in printed.stdout
    found = json.loads(run("evaluate", made, "-t", tmp_path / "p.gpkg", "--json").stdout)
    water = found["classes"][0]
    assert water["area"]["hectares"] == pytest.approx(10.4, abs=2 * water["area"]["hectares_95"] + 0.01)
    assert found["overall_accuracy"]["low_95"] < found["overall_accuracy"]["value"] < found["overall_accuracy"]["high_95"]
    assert pd.read_csv(tmp_path / "areas.csv")["hectares"].sum() == pytest.approx(20)
    other = write_map(make_map(np.full((40, 50), 1)), tmp_path / "other.tif")
    both = run("evaluate", made, other, "-t", tmp_path / "p.gpkg")
    assert "at the same points: +0." in both.stdout


def test_strata_of_polygons_on_the_command_line(make_map, tmp_path):
    made = write_map(make_map(CLASSES), tmp_path / "map.tif")
    half = geopandas.GeoDataFrame({"class": ["west"]}, geometry=geopandas.GeoSeries.from_wkt(["POLYGON ((500000 5000000, 500250 5000000, 500250 4999600, 500000 4999600, 500000 5000000))"]), crs="EPSG:32631")  # fmt: skip
    half.to_file(tmp_path / "west.gpkg")
    ran = run("sample", made, "--n", 50, "--strata", tmp_path / "west.gpkg", "-o", tmp_path / "p.csv", "--json")
    assert json.loads(ran.stdout)["strata"] == [{"name": "west", "pixels": 1000, "area": 100_000.0, "drawn": 50, "units": 1000}]
    assert (pd.read_csv(tmp_path / "p.csv")["x"] < 500_250).all()


def test_several_maps_need_sample_points(make_map, tmp_path):
    made = write_map(make_map(CLASSES), tmp_path / "map.tif")
    (tmp_path / "t.csv").write_text("x,y,class\n500005,4999995,ice\n")
    with pytest.raises(InputError, match="2 maps were given, expected one"):
        run("evaluate", made, made, "-t", tmp_path / "t.csv")


def test_intervals_stay_within_0_and_1(make_map, tmp_path):
    segmentation = make_map(np.where(np.arange(50) < 26, 1, 2)[None, :].repeat(40, axis=0))
    path = label(write_sample(design_sample(segmentation, 60), tmp_path / "p.gpkg"), truth)
    found = evaluate(segmentation, read_reference(read_layer(path), segmentation.grid))
    low, high = found.overall.interval()
    assert high == 1
    assert 0.9 < low < 1
    assert not math.isnan(low)


def test_what_is_rare_in_a_large_stratum_is_not_taken_to_be_nowhere(make_map, tmp_path):
    # A hundredth of the land is ice that the map does not know of: most samples see none of it.
    truth_of = np.where(np.arange(50) < 26, 1, 2)[None, :].repeat(400, axis=0)
    classes = truth_of.copy()
    ice = np.zeros(classes.shape, bool)
    ice[:200, 49] = True
    classes[:100, 49] = 3
    segmentation = make_map(classes)
    names = np.array(["", "water", "land", "ice"])
    true = np.where(ice, 3, truth_of)
    held = 0
    for seed in range(40):
        design = design_sample(segmentation, 60, allocation="equal", seed=seed)
        found = evaluate(segmentation, Reference.from_design(design, names[true[design.rows, design.cols]].tolist()))
        low, high = found.producers[2].interval()
        held += low <= 0.5 <= high
    assert held >= 36


def test_reckoning_with_what_was_not_seen_takes_nothing_out_of_an_interval():
    # Of 40 units of a class in their own stratum all are found; of 100 elsewhere one is missed, and of 60 in a third stratum none.
    strata = np.repeat([0, 1, 2], [40, 100, 60])
    sample = Sample(np.repeat([100.0, 300.0, 300.0], [40, 100, 60]), strata, np.arange(200), np.ones(200), np.zeros(3))
    hit, missed = strata == 0, np.arange(200) == 50
    possible = Possible(0.0, 1.0, missed, np.array([False, True, True]))
    seen, reckoned = ratio(sample, hit, hit | missed).interval(), ratio(sample, hit, hit | missed, possible=possible).interval()
    assert reckoned[0] < seen[0]
    assert reckoned[1] == seen[1]


def test_a_report_needs_no_other_file_and_says_all(make_map, tmp_path):
    made = write_map(make_map(CLASSES, names=("water", "land <b>", "ice")), tmp_path / "map.tif")
    run("sample", made, "--n", 100, "--floor", 20, "-o", tmp_path / "p.gpkg")
    label(tmp_path / "p.gpkg", lambda column: "water" if column < 26 else "land <b>")
    (tmp_path / "marks.csv").write_text("x,y,class\n500105,4999995,water\n500205,4999895,water\n")
    ran = run("report", made, "-t", tmp_path / "p.gpkg", "--labels", tmp_path / "marks.csv", "--title", "Lake & land")
    assert ran.stdout.strip() == str(tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text("utf-8")
    assert "Lake &amp; land" in page
    assert "land &lt;b&gt;" in page
    assert "<b>" not in page.replace("<body>", "")
    assert "http" not in page
    assert "data:image/png;base64," in page
    assert "95 % interval" in page
    assert "stratified by map class; seed 0; 100 points" in page
    assert "Olofsson" in page
    assert "<td>2</td>" in page  # marks of water
    plain = run("report", made, "-o", tmp_path / "plain.html").stdout
    assert plain.strip().endswith("plain.html")
    assert "repeats its mistakes" in (tmp_path / "plain.html").read_text("utf-8")
