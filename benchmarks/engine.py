"""How quick the engine is: `python -m benchmarks.engine`.

Everything is measured in one run on one machine; ratios compare what ran side by side.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from pixelkin.model import Model, ModelConfig, Network, Standardisation
from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.similarity import literal
from pixelkin.training import train
from pixelkin.types import LabelledPixels

from .report import Row, median_seconds, write

SIZE, LABELS = 512, 60
MEMORY = """
import json, resource, sys
import numpy as np, rasterio
from pathlib import Path
from pixelkin.raster import open_scene
from pixelkin.scale import segment
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels
sys.path.insert(0, "")
from benchmarks.engine import untrained
folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
with rasterio.open(folder / "large.tif", "w", driver="GTiff", width=4096, height=4096, count=4, dtype="uint8", tiled=True, crs="EPSG:32631", photometric="minisblack", alpha="unspecified",
                   transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)) as file:
    for row in range(0, 4096, 512):
        file.write(rng.integers(0, 255, (4, 512, 4096), dtype=np.uint8), window=((row, row + 512), (0, 4096)))
scene = open_scene(folder / "large.tif")
labels = LabelledPixels.from_arrays(rng.integers(0, 4096, 60), rng.integers(0, 4096, 60), np.arange(60) % 4 + 1)
segment(scene, Segmenter(untrained(), measure="local", method="nearest").fit(scene, labels), folder / "map.tif", memory="1GiB")
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
"""


def untrained(patch_size: int = 9) -> Model:
    """A model of the default shape; speed does not depend on what it has learned."""
    config = ModelConfig(bands=tuple(f"band_{i + 1}" for i in range(4)), patch_size=patch_size)
    return Model(Network(config), Standardisation(np.full(4, 128, np.float32), np.full(4, 70, np.float32)))


def problem() -> tuple[ArrayScene, LabelledPixels]:
    """512 x 512 pixels of 4 bands, 60 scattered labels of 4 classes."""
    rng = np.random.default_rng(0)
    scene = ArrayScene(rng.integers(0, 255, (4, SIZE, SIZE), dtype=np.uint8))
    return scene, LabelledPixels.from_arrays(rng.integers(0, SIZE, LABELS), rng.integers(0, SIZE, LABELS), np.arange(LABELS) % 4 + 1)


def segmentation_seconds(model: Model, scene: ArrayScene, labels: LabelledPixels) -> float:
    """From pixels and labels to the map, embedding included."""
    return median_seconds(lambda: Segmenter(model, measure="local", method="nearest").fit(scene, labels).predict(scene))


def literal_seconds(model: Model, scene: ArrayScene, labels: LabelledPixels, pixels: int = 3) -> float:
    """The double loop over patches for the whole image, extrapolated from some pixels and all labels."""
    labelled = np.stack([labels.rows, labels.cols], axis=1)
    asked = np.random.default_rng(1).integers(0, SIZE, (pixels, 2))
    started = time.perf_counter()
    literal.distances(model, scene, asked, labelled, "local")
    return (time.perf_counter() - started) / pixels * SIZE * SIZE


def one_more_label_seconds(model: Model, scene: ArrayScene, labels: LabelledPixels) -> float:
    """One label more, embedding cached: until the new map of the whole image is there."""
    segmenter = Segmenter(model, measure="local", method="nearest").fit(scene, labels)
    segmenter.predict(scene)
    times = []
    for k in range(7):
        extra = LabelledPixels.from_arrays([40 * k + 7], [60 * k + 5], [k % 4 + 1], labels.legend)
        started = time.perf_counter()
        segmenter.add(scene, extra).predict(scene)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def multiply_adds(config: ModelConfig) -> int:
    """Of the encoder, a pixel."""
    first, second, third = config.widths
    return 9 * (len(config.bands) * first + first * second + second * third) + (config.patch_size - 6) ** 2 * third * config.z_dim


def embedding_efficiency(model: Model) -> float:
    """Multiply-adds per second of the embedding over those of a float32 matrix product, both on all cores, in turns."""
    cores = os.cpu_count() or 1
    blocks = [torch.randn(4, 256 + 2 * model.config.radius, 256 + 2 * model.config.radius) for _ in range(4)]
    left, right = torch.randn(2048, 2048), torch.randn(2048, 2048)
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        ratios = []
        for _ in range(9):
            started = time.perf_counter()
            list(pool.map(model.embed, blocks))
            embedding = 4 * 256 * 256 * multiply_adds(model.config) / (time.perf_counter() - started)
            started = time.perf_counter()
            torch.mm(left, right)
            ratios.append(embedding * (time.perf_counter() - started) / 2048**3)
    return statistics.median(ratios[1:])


def peak_memory_gib() -> float:
    """Of a process that makes a 4096 x 4096 x 4 raster and maps it."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", MEMORY, folder], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])) / 2**30


def training_seconds() -> float:
    """The default preset on 500 x 500 pixels of 4 bands."""
    rng = np.random.default_rng(0)
    scene = ArrayScene(rng.integers(0, 255, (4, 500, 500), dtype=np.uint8))
    started = time.perf_counter()
    train(scene)
    return time.perf_counter() - started


def import_seconds() -> float:
    """`import pixelkin` in a fresh process, less an empty one."""

    def start(code: str) -> float:
        return median_seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True), 9)

    return start("import pixelkin") - start("pass")


def demo_seconds() -> float:
    """`pixelkin demo`, as a user starts it."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "pixelkin", "demo", "--out", str(Path(folder) / "demo")], check=True, capture_output=True)
        return time.perf_counter() - started


def run() -> list[Row]:
    """All rows."""
    model = untrained()
    scene, labels = problem()
    dense = segmentation_seconds(model, scene, labels)
    return [
        Row("512 x 512 x 4, s = 9, 60 labels, local, exact, embedding included", dense, "s", 1.0, note="the paper: 33 s on a Tesla K80"),
        Row(
            "the same, literal algorithm over dense",
            literal_seconds(model, scene, labels) / dense,
            "x",
            1000,
            at_least=True,
            note="extrapolated from 3 pixels",
        ),
        Row("one more label on that image, embedding cached", 1000 * one_more_label_seconds(model, scene, labels), "ms", 50),
        Row("embedding over matrix product, multiply-adds per second", embedding_efficiency(model), "", 0.6, at_least=True),
        Row("peak memory, 4096 x 4096 x 4 in tiles", peak_memory_gib(), "GiB", 1.5),
        Row("`fast` training on 500 x 500 x 4, s = 13", training_seconds(), "s", 90),
        Row("`pixelkin demo`", demo_seconds(), "s", 180),
        Row("`import pixelkin`", import_seconds(), "s", 0.3),
    ]


if __name__ == "__main__":
    print(write("engine", run()))
