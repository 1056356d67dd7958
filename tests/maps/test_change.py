"""Change over time: what changed is found, noise of single dates is not."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
import rasterio
from benchmarks.change import NAMES, generated, score, told_by
from click.testing import CliRunner

from pixelkin.cli import cli
from pixelkin.errors import InputError, RasterError
from pixelkin.maps.change import _STRIP, find_change
from pixelkin.raster import read_map, write_map
from pixelkin.types import Legend

DATES = [dt.date(2020, month, 1) for month in range(1, 11)]


def series(make_map, shown, **options):
    return [(date, make_map(classes, legend=Legend.from_names(NAMES), **options)) for date, classes in zip(DATES, shown, strict=False)]


@pytest.mark.parametrize("seed", [0, 2])
def test_changes_of_nine_pixels_and_more_are_found_among_ten_percent_of_noise(make_map, seed):
    truth, shown = generated(seed)
    found = find_change(series(make_map, shown))
    assert score(truth, told_by(found)) >= 0.95
    # Comparing the first and the last map calls a fifth of everything changed.
    assert score(truth, shown[0] != shown[-1]) < 0.7


def test_since_when_is_the_date_of_the_last_change(make_map):
    shown = np.ones((10, 30, 40), int)
    shown[4:, 5:15, 5:15] = 2
    shown[7:, 5:10, 5:15] = 3
    found = find_change(series(make_map, shown))
    assert found.since[20, 20] == 0
    assert found.since[12, 10] == 20200501
    assert found.since[6, 10] == 20200801
    names = ("", *found.from_to.legend.names)
    assert names[found.from_to.classes[12, 10]] == "water → land"
    assert names[found.from_to.classes[6, 10]] == "water → ice"
    assert names[found.from_to.classes[20, 20]] == "water"
    assert found.pixels.tolist() == [[1100, 50, 50], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(found.hectares, found.pixels / 100)


def test_a_single_date_that_errs_is_no_change(make_map):
    shown = np.ones((10, 30, 40), int)
    shown[5, 10:14, 10:14] = 2
    found = find_change(series(make_map, shown))
    assert (found.since == 0).all()


def test_sure_probabilities_outweigh_the_rarity_of_change(make_map):
    shown = np.ones((2, 20, 20), int)
    shown[1, :, 10:] = 2
    maps = series(make_map, shown)
    sure = [np.stack([(classes == i) * 0.98 + 0.01 for i in (1, 2, 3)]).astype(np.float32) for classes in shown]
    doubtful = [np.stack([(classes == i) * 0.02 + 0.33 for i in (1, 2, 3)]).astype(np.float32) for classes in shown]
    assert (find_change(maps, probabilities=sure).since[:, 10:] == 20200201).all()
    assert (find_change(maps, probabilities=doubtful, change_rate=0.001).since == 0).all()


def test_dates_without_data_are_judged_by_the_others(make_map):
    shown = np.ones((10, 20, 20), int)
    shown[3:, :, 10:] = 2
    maps = series(make_map, shown)
    holes = []
    for number, (date, part) in enumerate(maps):
        valid = np.ones((20, 20), bool)
        valid[number * 2 : number * 2 + 2] = False
        valid[19] = False
        holes.append((date, make_map(np.where(valid, part.classes, 0), valid=valid, legend=part.legend)))
    found = find_change(holes)
    assert (found.since[19] == -1).all()
    assert (found.from_to.classes[19] == 0).all()
    assert (found.since[:19, 10:] > 0).all()
    assert (found.since[:19, :10] == 0).all()


def test_strips_give_what_the_whole_image_would(make_map, monkeypatch):
    _, shown = generated(4, shape=(120, 90))
    whole = find_change(series(make_map, shown))
    assert _STRIP > 120
    monkeypatch.setattr("pixelkin.maps.change._STRIP", 17)
    strips = find_change(series(make_map, shown))
    np.testing.assert_array_equal(strips.from_to.classes, whole.from_to.classes)
    np.testing.assert_array_equal(strips.since, whole.since)


def test_classes_of_the_dates_are_matched_by_name(make_map):
    first = make_map(np.ones((9, 9)), legend=Legend.from_names(["water", "land"]))
    second = make_map(np.full((9, 9), 2), legend=Legend.from_names(["land", "water"]))
    assert (find_change([(DATES[0], first), (DATES[1], second)]).since == 0).all()


def test_what_cannot_be_compared_is_refused(make_map):
    maps = series(make_map, np.ones((2, 5, 5), int))
    with pytest.raises(InputError, match="1 map"):
        find_change(maps[:1])
    with pytest.raises(InputError, match="two maps are of 2020-01-01"):
        find_change([maps[0], maps[0]])
    with pytest.raises(InputError, match="change_rate is"):
        find_change(maps, change_rate=0.7)
    other = make_map(np.ones((5, 5)), transform=(10.0, 0.0, 0.0, 0.0, -10.0, 0.0))
    with pytest.raises(RasterError, match="the map of 2020-02-01 lies on another grid"):
        find_change([maps[0], (DATES[1], other)])


def test_change_on_the_command_line(make_map, tmp_path):
    shown = np.ones((3, 30, 40), int)
    shown[1:, 5:15, 5:15] = 2
    for (date, part), _ in zip(series(make_map, shown), range(3), strict=False):
        write_map(part, tmp_path / f"{date}.tif")
    out = tmp_path / "change"
    out.mkdir()
    ran = CliRunner().invoke(
        cli,
        ["change", str(tmp_path), "-o", str(out / "c.tif"), "--since", str(out / "s.tif"), "--transitions", str(out / "t.csv")],
        catch_exceptions=False,
    )
    assert ran.exit_code == 0
    assert "rows = 2020-01-01, columns = 2020-03-01" in ran.stdout
    assert "water → land" in read_map(out / "c.tif").legend.names
    with rasterio.open(out / "s.tif") as dataset:
        assert dataset.read(1)[10, 10] == 20200201
    table = pd.read_csv(out / "t.csv")
    assert table.set_index(["from", "to"]).loc[("water", "land"), "hectares"] == 1
    files = [str(tmp_path / f"{date}.tif") for date in DATES[:2]]
    told = CliRunner().invoke(
        cli, ["change", *files, "-o", str(out / "d.tif"), "--dates", "2019-01-01,2019-02-01", "--json"], catch_exceptions=False
    )
    assert json.loads(told.stdout)["dates"] == ["2019-01-01", "2019-02-01"]
    # The from-to map is a map: it can be sampled, so that areas of change get intervals.
    sampled = CliRunner().invoke(cli, ["sample", str(out / "c.tif"), "--n", "40", "-o", str(out / "p.gpkg")], catch_exceptions=False)
    assert "water → land" in sampled.stdout
