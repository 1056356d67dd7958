"""`pixelkin evaluate` and `pixelkin labels`: what is counted, what is left out, and what they say of it."""

import json

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from pixelkin.cli import cli, main
from pixelkin.raster import write_map
from pixelkin.segmentation import Segmentation
from pixelkin.types import Grid, Legend

TRANSFORM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_700_000.0)
GRID = Grid(20, 20, TRANSFORM, "EPSG:32631")
TRUTH = np.ones((20, 20), np.uint8)
TRUTH[:, 10:] = 2


def write_truth(path, values, **profile):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=20,
        width=20,
        count=1,
        dtype=values.dtype,
        crs=GRID.crs,
        transform=rasterio.Affine(*TRANSFORM),
        **profile,
    ) as dataset:
        dataset.write(values, 1)
    return str(path)


def write(path, classes, *, names=("dark", "bright"), valid=None, **options):
    valid = np.ones(classes.shape, bool) if valid is None else valid
    legend = Legend.from_names(names)
    return str(
        write_map(Segmentation(classes, valid.astype(np.float32), valid, legend, GRID, options.pop("provenance", {})), path, **options)
    )


def evaluate(*arguments):
    ran = CliRunner().invoke(cli, ["evaluate", *arguments, "--json"], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def undecided_map(path, **options):
    classes = TRUTH.copy()
    classes[:2] = 0
    return write(path, classes, provenance={"abstain": "0.8"}, **options)


@pytest.mark.parametrize("confidence", [True, False])
def test_undecided_pixels_count_as_wrong_with_and_without_a_confidence_file(tmp_path, confidence):
    found = evaluate(undecided_map(tmp_path / "map.tif", confidence=confidence), "-t", write_truth(tmp_path / "t.tif", TRUTH, nodata=0))
    assert (found["accuracy"], found["undecided"], found["pixels"]) == (0.9, 40, 400)
    assert any("--abstain" in note for note in found["notes"]) != confidence


def test_truth_points_on_undecided_pixels_are_counted_not_refused(tmp_path):
    x, y = np.array([GRID.xy(row, 3) for row in range(20)]).T
    (tmp_path / "t.csv").write_text("x,y,class\n" + "".join(f"{a},{b},dark\n" for a, b in zip(x, y, strict=True)))
    found = evaluate(undecided_map(tmp_path / "map.tif", confidence=True), "-t", str(tmp_path / "t.csv"))
    assert (found["accuracy"], found["undecided"]) == (0.9, 2)


def test_pixels_without_data_are_left_out_and_counted(tmp_path):
    classes, valid = TRUTH.copy(), np.ones((20, 20), bool)
    classes[:2], valid[:2] = 0, False
    found = evaluate(write(tmp_path / "map.tif", classes, valid=valid), "-t", write_truth(tmp_path / "t.tif", TRUTH, nodata=0))
    assert (found["accuracy"], found["undecided"], found["without_data"]) == (1.0, 0, 40)


@pytest.mark.parametrize("nodata", [255, None])
def test_class_0_of_a_binary_mask_counts(tmp_path, nodata):
    truth = TRUTH - 1
    classes = np.where(truth == 0, 2, 1).astype(np.uint8)  # class "0" has id 2
    classes[:, :5] = 1
    found = evaluate(write(tmp_path / "map.tif", classes, names=("1", "0")), "-t", write_truth(tmp_path / "t.tif", truth, nodata=nodata))
    assert found["accuracy"] == 0.75
    assert any("value 0 is taken as a class, 200 pixels" in note for note in found["notes"])


def test_numbers_are_named_or_left_out_as_asked(tmp_path):
    made = write(tmp_path / "map.tif", TRUTH)
    truth = write_truth(tmp_path / "t.tif", TRUTH - 1)
    assert evaluate(made, "-t", truth, "--names", "0=dark,1=bright")["accuracy"] == 1
    assert evaluate(made, "-t", truth, "--ignore", "0")["ignored"] == 200
    assert evaluate(made, "-t", truth, "--names", "0=dark,1=bright", "--ignore", "dark")["pixels"] == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ignore", "7"], "--ignore 7 is no class of the truth, expected one of '1', '0'"),
        ([], "Say which class it is with --names 0=NAME, or leave it out with --ignore 0"),
        (["--names", "zero=dark"], "--names is 'zero=dark', expected numbers with names, such as 0=land,1=water"),
        (["--areas", "a.xlsx"], "a.xlsx ends in '.xlsx', expected .csv or .json"),
        (["--figure", "no/a.png"], "folder no is not there"),
        (["--xy", "a"], "--xy is 'a', expected the names of two columns"),
    ],
)
def test_what_cannot_work_is_said_in_options(tmp_path, capsys, arguments, message):
    made = write(tmp_path / "map.tif", TRUTH)
    with pytest.raises(SystemExit) as left:
        main(["evaluate", made, "-t", write_truth(tmp_path / "t.tif", TRUTH - 1), *arguments])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_labels_are_checked_with_options_and_notes(tmp_path, capsys):
    made = write(tmp_path / "map.tif", TRUTH)
    (tmp_path / "l.csv").write_text("east,north,class\n500005,4699995,a\n0,0,b\n")
    command = ["labels", "check", str(tmp_path / "l.csv"), "--scene", made, "--xy", "east,north"]
    with pytest.raises(SystemExit):
        main(command)
    said = capsys.readouterr().err
    assert "feature 2 of 2 ('b', at 0, 0) lies outside the image" in said
    assert "with --outside skip, or state the labels' own CRS with --labels-crs" in said
    main([*command, "--outside", "skip"])
    printed = capsys.readouterr()
    assert printed.err == "pixelkin: l.csv: 1 of 2 features are left out: 1 outside the image, 0 on pixels without data.\n"
    assert "a         1 pixels" in printed.out
