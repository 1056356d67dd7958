"""Truth that is no random sample: what it is worth, and what must be left out."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from scipy.ndimage import gaussian_filter

from pixelkin.assessment import design_sample, score_blocked, write_sample
from pixelkin.assessment.blocking import error_reach
from pixelkin.cli import cli
from pixelkin.raster import write_map
from pixelkin.segmentation import Segmentation
from pixelkin.types import Grid, LabelledPixels, Legend

SHAPE = (400, 500)
GRID = Grid(*SHAPE, (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), "EPSG:32631")
LEGEND = Legend.from_names("ab")


def world(seed: int) -> tuple[np.ndarray, Segmentation]:
    """Two covers, and a map whose errors come in patches."""
    rng = np.random.default_rng(seed)
    cover, errors = (gaussian_filter(rng.normal(size=SHAPE), width) for width in (12, 5))
    truth = 1 + (cover > 0)
    mapped = np.where(errors > np.quantile(errors, 0.8), 3 - truth, truth)
    return truth.astype(np.uint8), Segmentation(mapped.astype(np.uint8), np.ones(SHAPE, np.float32), np.ones(SHAPE, bool), LEGEND, GRID)


def patches(truth: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mask = np.zeros_like(truth)
    for row, col in zip(rng.integers(0, SHAPE[0] - 11, 40), rng.integers(0, SHAPE[1] - 11, 40), strict=True):
        mask[row : row + 11, col : col + 11] = truth[row : row + 11, col : col + 11]
    return mask


def test_intervals_of_patches_hold_the_accuracy_and_those_of_their_pixels_do_not():
    blocked = naive = 0
    for seed in range(20):
        truth, segmentation = world(seed)
        mask = patches(truth, seed)
        found = score_blocked(segmentation, LabelledPixels.from_mask(mask, LEGEND))
        low, high = found.overall.interval()
        share = (segmentation.classes == truth)[mask > 0].mean()
        half = 1.96 * np.sqrt(share * (1 - share) / np.count_nonzero(mask))
        blocked += low <= 0.8 <= high
        naive += abs(share - 0.8) <= half
    assert blocked >= 17
    assert naive <= 10


def test_errors_reach_as_far_as_they_were_made_to():
    truth, segmentation = world(0)
    wrong = segmentation.classes != truth
    rows, cols = np.divmod(np.random.default_rng(0).permutation(wrong.size)[:20_000], SHAPE[1])
    assert 6 <= error_reach(rows, cols, wrong[rows, cols]) <= 19  # a field smoothed over 5 pixels is uncorrelated from about 12 on
    shuffled = np.random.default_rng(1).permutation(wrong[rows, cols])
    assert error_reach(rows, cols, shuffled) < 6
    assert np.isnan(error_reach(rows, cols, np.zeros(len(rows), bool)))


def test_truth_near_marks_is_left_out_and_too_few_places_give_no_interval():
    truth, segmentation = world(0)
    mask = patches(truth, 0)
    labels = LabelledPixels.from_mask(mask, LEGEND)
    half = mask.copy()
    half[:, 250:] = 0
    found = score_blocked(segmentation, labels, marks=LabelledPixels.from_mask(half, LEGEND))
    whole = score_blocked(segmentation, labels)
    assert found.near >= np.count_nonzero(half)
    assert found.pixels + found.near == whole.pixels == len(labels)
    assert score_blocked(segmentation, labels, marks=labels) is None


@pytest.fixture
def place(tmp_path):
    truth, segmentation = world(0)
    write_map(segmentation, tmp_path / "map.tif")
    with rasterio.open(
        tmp_path / "truth.tif", "w", driver="GTiff", height=SHAPE[0], width=SHAPE[1], count=1, dtype="uint8", nodata=0, crs=GRID.crs,
        transform=rasterio.Affine(*GRID.transform),
    ) as target:  # fmt: skip
        target.write(patches(truth, 0), 1)
    return tmp_path, truth, segmentation


def evaluate(*arguments):
    result = CliRunner().invoke(cli, ["evaluate", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_raster_of_truth_is_warned_of_and_gets_blocked_figures(place):
    folder, _, _ = place
    found = evaluate(folder / "map.tif", "--truth", folder / "truth.tif", "--names", "1=a,2=b")
    assert any("neighbours are alike" in note for note in found["notes"])
    overall = found["blocked"]["overall_accuracy"]
    assert overall["value"] == pytest.approx(found["accuracy"])
    assert overall["high_95"] - overall["low_95"] > 0.05
    same = evaluate(folder / "map.tif", "--truth", folder / "truth.tif", "--names", "1=a,2=b", "--marks", folder / "truth.tif")
    assert same["blocked"] is None
    assert any(note.startswith(f"{found['pixels']:,} of {found['pixels']:,} pixels of the truth are marks") for note in same["notes"])


def test_sample_points_that_were_marks_are_left_out(place):
    folder, truth, segmentation = place
    design = design_sample(segmentation, 50)
    write_sample(design, folder / "points.csv")
    text = (folder / "points.csv").read_text().splitlines()
    names = ["", "a", "b"]
    rows = [line.replace("?", names[truth[r, c]], 1) for line, r, c in zip(text[1:], design.rows, design.cols, strict=True)]
    (folder / "points.csv").write_text("\n".join([text[0], *rows]))
    x, y = GRID.xy(design.rows[0], design.cols[0])
    (folder / "marks.csv").write_text(f"x,y,class\n{x},{y},a\n")
    found = evaluate(folder / "map.tif", "--truth", folder / "points.csv", "--marks", folder / "marks.csv")
    assert found["points"] == 49
    assert any("1 sample points are marks" in note for note in found["notes"])
