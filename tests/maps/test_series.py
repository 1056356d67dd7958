import csv
import datetime as dt
import math

import numpy as np
import pytest

from pixelkin.errors import InputError, OutputError, RasterError
from pixelkin.maps import series_table, write_series_table


def test_rows_run_by_date_then_class_with_the_area_of_each(make_map):
    table = series_table([("2021-05-01", make_map([[1, 1, 2]])), (dt.date(2020, 1, 1), make_map([[1, 2, 2]]))])
    assert [(row.date.year, row.name, row.pixels) for row in table] == [
        (2020, "class 1", 1),
        (2020, "class 2", 2),
        (2021, "class 1", 2),
        (2021, "class 2", 1),
    ]
    np.testing.assert_allclose([row.hectares for row in table], [0.01, 0.02, 0.02, 0.01])
    assert list(table.to_frame()["pixels"]) == [1, 2, 2, 1]


def test_missing_data_is_told_from_a_shrinking_class(make_map):
    table = series_table([("2020-01-01", make_map([[1, 1, 1, 2]], valid=[[True, False, False, True]]))])
    assert (table.rows[0].pixels, table.rows[0].share, table.rows[0].valid_share) == (1, 0.5, 0.5)


def test_csv_has_a_line_a_date_and_class(make_map, tmp_path):
    table = series_table([("2020-01-01", make_map([[1, 2]], crs=None))])
    with write_series_table(table, tmp_path / "series.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "date": "2020-01-01",
        "class_id": "1",
        "name": "class 1",
        "pixels": "1",
        "hectares": "",
        "share": "0.5",
        "valid_share": "1.0",
    }
    assert math.isnan(table.rows[0].hectares)


def test_maps_that_do_not_make_a_series_are_refused(make_map, tmp_path):
    one = make_map([[1, 2]])
    with pytest.raises(InputError, match="the series has no map, expected at least one date and map"):
        series_table([])
    with pytest.raises(InputError, match="the series has two maps of 2020-01-01, expected one a date"):
        series_table([("2020-01-01", one), ("2020-01-01", one)])
    with pytest.raises(RasterError, match="the map of 2020-01-02 lies on another grid than that of 2020-01-01"):
        series_table([("2020-01-01", one), ("2020-01-02", make_map([[1, 2, 2]]))])
    with pytest.raises(OutputError, match=r"series.txt ends in '.txt', expected .csv or .json for an area table"):
        write_series_table(series_table([("2020-01-01", one)]), tmp_path / "series.txt")
