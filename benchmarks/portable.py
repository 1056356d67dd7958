"""What exported map models weigh, how long they take, and how far they agree with `segment`: python -m benchmarks.portable [FOLDER OF IMAGERY].

Two real images, one thread each, the better of two runs. `benchmarks/results/portable.md` has the table.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pixelkin as pk
from pixelkin.portable import export_onnx
from pixelkin.portable.map_model import MapModel


def marks(truth: Any, count: int, names: list[str]) -> pk.LabelledPixels:
    """Some pixels a class of the left half."""
    rng, found = np.random.default_rng(2), []
    for i in range(1, len(names) + 1):
        rows, cols = np.nonzero(truth[:, : truth.shape[1] // 2] == i)
        chosen = rng.choice(len(rows), count, replace=False)
        found.append((rows[chosen], cols[chosen], np.full(count, i, np.uint8)))
    return pk.LabelledPixels(*(np.concatenate(part) for part in zip(*found, strict=True)), pk.Legend.from_names(names))


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the better of two runs, and the result."""
    seconds, found = [], None
    for _ in range(2):
        start = time.perf_counter()
        found = function()
        seconds.append(time.perf_counter() - start)
    return min(seconds), found


def line(name: str, segmenter: pk.Segmenter, scene: Any, *, here: bool) -> str:
    """A row of the table: one image, exported for it alone or for any image elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        files = export_onnx(segmenter, folder, scene if here else None)
        export = time.perf_counter() - start
        model, pixels = MapModel(folder, threads=1), scene.read()
        onnx, (classes, confidence) = timed(lambda: model.predict(pixels.data, pixels.valid))
        segment, expected = timed(lambda: segmenter.replica(cache_bytes=0, workers=1).predict(scene))
        agreement = (classes == expected.classes)[pixels.valid].mean()
        apart = np.abs(confidence - expected.confidence)[pixels.valid].max()
        size = sum(path.stat().st_size for path in files) / 1e6
    million = pixels.valid.size / 1e6
    return (
        f"| {name} | {100 * agreement:.3f} % | {apart:.4f} | {size:.2f} | {export:.1f} | {onnx / million:.1f} | {segment / million:.1f} |"
    )


def table(imagery: Path) -> list[str]:
    """The table, a line each."""
    first, other = (pk.open_scene(imagery / "boadella" / f"{date}.tif") for date in ("2020-02-02", "2021-07-16"))
    water = marks(pk.open_scene(imagery / "boadella" / "2020-02-02_water.tif").read().data[0] + 1, 20, ["land", "water"])
    model = pk.train([first], steps=200, seed=0)
    elsewhere = pk.Segmenter(model, label_transfer=False, workers=1).fit(first, water)
    transferred = pk.Segmenter(model, workers=1).fit(first, water)
    city = pk.open_scene(imagery / "vegas" / "image.tif")
    roofs = marks(pk.open_scene(imagery / "vegas" / "classes.tif").read().data[0], 40, ["building", "road", "tree"])
    raw = pk.Segmenter(None, features=["bands"], workers=1).fit(city, roofs)
    pretrained = pk.Segmenter(None, workers=1).fit(city, roofs)
    half = pk.ArrayScene(city.read().data[:, :, city.grid.width // 2 :], bands=city.bands, name="right half")
    return [
        "| image, decided by | same class | confidence apart, at most | MB | export, s | onnxruntime, s a Mpx | segment, s a Mpx |",
        "|---|---|---|---|---|---|---|",
        line("boadella, another date: encoder", elsewhere, other, here=False),
        line("boadella, that date with transferred labels (`--image`)", transferred, other, here=True),
        line("vegas, the half without labels: bands", raw, half, here=False),
        line("vegas, the labelled image (`--image`): pretrained", pretrained, city, here=True),
    ]


if __name__ == "__main__":
    data = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PIXELKIN_DATA", "../shared/data"))
    lines = table(data)
    print("\n".join(lines))
    (Path(__file__).parent / "results" / "portable.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
