"""Floors of map quality on real imagery: a change that makes maps plainly worse does not pass.

Each floor lies about three points below what the defaults reached when it was set, on marks that were held back.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import pixelkin as pk
from pixelkin.raster import open_scene
from pixelkin.types import LabelledPixels

STEPS = 120
"""A fifth of the preset's: enough for a floor."""


def mean_iou(truth: np.ndarray, mapped: np.ndarray) -> float:
    """Mean over the classes of the truth of intersection over union."""
    ids = np.unique(truth)
    return float(np.mean([((truth == i) & (mapped == i)).sum() / ((truth == i) | (mapped == i)).sum() for i in ids]))


def draw(truth: np.ndarray, n: int, seed: int, among: np.ndarray | None = None) -> LabelledPixels:
    """n random pixels of each class, 0 being none."""
    rng = np.random.default_rng(seed)
    where = truth if among is None else np.where(among, truth, 0)
    chosen = [rng.permutation(np.argwhere(where == i))[:n] for i in np.unique(where[where > 0])]
    rows, cols = np.concatenate(chosen).T
    return LabelledPixels.from_arrays(rows, cols, truth[rows, cols])


def truth_of(path: Path) -> np.ndarray:
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(path) as source:
        return source.read(1).astype(np.int64)


def test_every_second_mark_of_the_demo_finds_the_others() -> None:
    pytest.importorskip("localtileserver", reason="the demo's scene comes with the package localtileserver")
    from pixelkin.demo import landsat

    scene = open_scene(landsat())
    labels = pk.read_labels(files("pixelkin") / "data" / "great_salt_lake.geojson", scene)
    order = np.argsort(labels.classes, kind="stable")
    kept, held = (LabelledPixels(labels.rows[i], labels.cols[i], labels.classes[i], labels.legend) for i in (order[::2], order[1::2]))
    model = pk.train(scene, patch_size=9, steps=STEPS)
    mapped = pk.Segmenter(model).fit(scene, kept).predict(scene).classes
    assert mean_iou(held.classes, mapped[held.rows, held.cols]) >= 0.93


@pytest.mark.parametrize(("n", "floor"), [(5, 0.82), (20, 0.83)])
def test_marks_on_the_left_map_the_roofs_on_the_right(imagery: Path, n: int, floor: float) -> None:
    scene = open_scene(imagery / "vegas" / "image.tif")
    truth = truth_of(imagery / "vegas" / "classes.tif")
    left = np.zeros(truth.shape, bool)
    left[:, : truth.shape[1] // 2] = True
    scores = []
    for seed in (2, 4):
        mapped = pk.Segmenter().fit(scene, draw(truth, n, seed, left)).predict(scene).classes
        right = ~left & (truth > 0)
        scores.append(mean_iou(truth[right], mapped[right]))
    assert np.mean(scores) >= floor, scores


def test_marks_on_one_date_map_the_water_on_the_others(imagery: Path) -> None:
    series = open_scene(imagery / "boadella")
    dates = {str(date.date): date for date in series if (imagery / "boadella" / f"{date.date}_water.tif").exists()}
    truth = {date: truth_of(imagery / "boadella" / f"{date}_water.tif") + 1 for date in dates}
    model = pk.train(series, patch_size=9, steps=STEPS)
    scores = {}
    for marked in ("2020-02-02", "2021-07-16"):
        segmenter = pk.Segmenter(model).fit(dates[marked], draw(truth[marked], 10, 2))
        for other in set(dates) - {marked}:
            mapped = segmenter.predict(dates[other])
            scores[marked, other] = mean_iou(truth[other][mapped.valid], mapped.classes[mapped.valid])
    assert np.mean(list(scores.values())) >= 0.93, scores
