"""Find all like this, from one click: how long it takes after embedding, and how much of what was clicked is found.

python -m benchmarks.one_class
"""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import numpy as np

from pixelkin.finding import finder_of
from pixelkin.raster.embedding import EmbeddingScene
from pixelkin.scene import ArrayScene
from pixelkin.types import AnyArray, LabelledPixels

SIDE = 1024
DRAWS = 4


def generated(channels: int) -> ArrayScene:
    """Patches of 8 x 8 pixels."""
    rng = np.random.default_rng(0)
    patches = rng.standard_normal((channels, SIDE // 8, SIDE // 8), np.float32).repeat(8, 1).repeat(8, 2)
    return ArrayScene(patches + np.float32(0.2) * rng.standard_normal(patches.shape, np.float32))


def click(row: int, col: int) -> LabelledPixels:
    """One marked pixel."""
    return LabelledPixels.from_arrays([row], [col], [1])


def speed() -> None:
    """Seconds from a click to the layer of a megapixel that is embedded."""
    print(f"one click, {SIDE} x {SIDE} pixels, embedded, {os.cpu_count()} cores; median of 5")
    cases = [("4 bands", generated(4), ["bands"], None), ("4 bands, L1", generated(4), None, "l1")]
    cases += [(f"embedding of {n}", EmbeddingScene(generated(n), "generic", None, None), None, None) for n in (64, 128)]
    for name, scene, features, measure in cases:
        finder = finder_of(None, features=features, measure=measure)  # type: ignore[arg-type]
        finder.fit(scene, click(5, 5)).predict(scene)
        taken = []
        for at in range(100, 600, 100):
            start = time.perf_counter()
            finder.fit(scene, click(at, at)).predict(scene)
            taken.append(time.perf_counter() - start)
        print(f"  {name:16} {1000 * np.median(taken):5.0f} ms", flush=True)


def average_precision(similarity: AnyArray, truth: AnyArray) -> float:
    """Of pixels in the order of their similarity."""
    found = truth[np.argsort(-similarity, kind="stable")]
    return float((np.cumsum(found) / np.arange(1, len(found) + 1))[found].mean())


def best_f1(similarity: AnyArray, truth: AnyArray) -> float:
    """At the threshold that nobody knows."""
    found = np.cumsum(truth[np.argsort(-similarity, kind="stable")])
    return float((2 * found / (np.arange(1, len(found) + 1) + found[-1])).max())


def accuracy(folder: Path) -> None:
    """Labelled images of dubai, cut to 512 x 512; constants were chosen on every other one, from the second on; these are the rest."""
    import rasterio

    rows = []
    for path in sorted((folder / "images").glob("*.jpg"))[::2]:
        with rasterio.open(path) as image, rasterio.open(folder / "labels" / f"{path.stem}.tif") as labels:
            data, truth = image.read()[:, :512, :512], labels.read(1)[:512, :512]
        scene, known = ArrayScene(data, bands=("red", "green", "blue")), truth > 0
        finder = finder_of(None, features=["bands"])
        rng = np.random.default_rng(0)
        for class_id in np.unique(truth[known]):
            places = np.argwhere(truth == class_id)
            if not 200 <= len(places) <= 0.95 * known.sum():
                continue
            for row, col in places[rng.integers(0, len(places), DRAWS)]:
                found = finder.fit(scene, click(int(row), int(col))).predict(scene)
                right, taken = truth[known] == class_id, found.classes[known] > 0
                f1 = 2 * (right & taken).sum() / (right.sum() + taken.sum())
                fixed = [
                    2 * (right & cut).sum() / (right.sum() + cut.sum()) for cut in (found.confidence[known] >= s for s in (0.5, 0.75, 0.9))
                ]
                rows.append(
                    [average_precision(found.confidence[known], right), f1, best_f1(found.confidence[known], right), *fixed, right.mean()]
                )
    names = (
        "average precision",
        "F1 at the image's own threshold",
        "F1 at the best threshold",
        "F1 at 0.5",
        "F1 at 0.75",
        "F1 at 0.9",
        "share of the class",
    )
    print(f"one click on a labelled class, dubai, {len(rows)} clicks on even images, bands alone; means")
    for name, value in zip(names, np.mean(rows, axis=0), strict=True):
        print(f"  {name:32} {value:.3f}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    speed()
    data = Path(os.environ.get("PIXELKIN_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")) / "dubai"
    if data.is_dir():
        accuracy(data)
