"""Areas of a real series from eight marks, by one command."""

from __future__ import annotations

import csv

import numpy as np
import rasterio

from pixelkin.raster import open_scene, read_map


def test_areas_of_ten_dates_from_eight_marks_are_right_to_the_pixel(imagery, tmp_path, run):
    with rasterio.open(imagery / "boadella" / "2020-06-21_water.tif") as file:
        water, transform = file.read(1), file.transform
    rng = np.random.default_rng(0)
    lines = []
    for value, name in ((1, "water"), (0, "land")):
        for row, col in rng.choice(np.argwhere(water == value), 4, replace=False):
            x, y = transform @ (col + 0.5, row + 0.5)
            lines.append(f"{x},{y},{name}\n")
    (tmp_path / "marks.csv").write_text("x,y,class\n" + "".join(lines))
    made = ("--areas", tmp_path / "areas.csv", "--chart", tmp_path / "areas.png")
    assert (
        run(
            "segment",
            imagery / "boadella",
            "--raw",
            "-l",
            tmp_path / "marks.csv",
            "--labels-date",
            "2020-06-21",
            "-o",
            tmp_path / "maps",
            *made,
        )
        == 0
    )
    with (tmp_path / "areas.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    dates = [str(date) for date in open_scene(imagery / "boadella").dates]
    assert [row["date"] for row in rows] == [date for date in dates for _ in range(2)]
    for row in rows:
        classes = read_map(tmp_path / "maps" / f"{row['date']}.tif").classes
        assert int(row["pixels"]) == np.count_nonzero(classes == int(row["class_id"]))
        assert (float(row["hectares"]) > 0) == (int(row["pixels"]) > 0)
    assert (tmp_path / "areas.png").stat().st_size > 10_000
