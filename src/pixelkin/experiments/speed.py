"""How long Algorithm 2 takes: the paper's 33 s, and all test images of Potsdam.

Time depends on sizes alone, so images and weights are random.
"""

from __future__ import annotations

import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..model import Model, ModelConfig, Network, Standardisation
from ..scene import ArrayScene
from ..segmenter import Measure, Segmenter
from ..types import LabelledPixels

POTSDAM_TESTS = 855


@dataclass(frozen=True)
class Timing:
    """Median time of embedding, references and map, from a cold start; images of which there are many run side by side, one a core."""

    what: str
    size: int
    labels: int
    patch_size: int
    measure: Measure
    seconds: float
    images: int
    """Images the time is extrapolated to."""

    @property
    def total_seconds(self) -> float:
        """For all images."""
        return self.seconds * self.images


CASES = (
    ("one image of a series; the paper: 33 s on a Tesla K80", 512, 6, 10, 9, "local", 1),
    ("the same, global", 512, 6, 10, 9, "global", 1),
    ("Potsdam test images, N = 6, M = 50", 200, 6, 50, 13, "local", POTSDAM_TESTS),
    ("the same, global", 200, 6, 50, 13, "global", POTSDAM_TESTS),
)
"""(what, side, N, M, patch size, measure, images)"""


def measure_speed(repeats: int = 3) -> list[Timing]:
    """Time every case, each repetition on another image, after one that is not counted."""
    rng = np.random.default_rng(0)
    bands = ("red", "green", "blue", "nir")
    timings = []
    for what, side, n, m, patch_size, measure, images in CASES:
        statistics_of_bands = Standardisation(np.full(4, 128, np.float32), np.full(4, 64, np.float32))
        model = Model(Network(ModelConfig(bands=bands, patch_size=patch_size)), statistics_of_bands)
        cores = (os.cpu_count() or 1) if images > 1 else 1

        def one(work: tuple[ArrayScene, LabelledPixels], model: Model = model, measure: str = measure) -> None:
            Segmenter(model, measure=measure).fit(*work).predict(work[0])  # type: ignore[arg-type]

        seconds = []
        for _ in range(repeats + 1):
            batch = [_work(rng, side, n, m, bands) for _ in range(2 * cores if images > 1 else 1)]
            started = time.perf_counter()
            with ThreadPoolExecutor(cores) as pool:
                list(pool.map(one, batch))
            seconds.append((time.perf_counter() - started) / len(batch))
        timings.append(Timing(what, side, n * m, patch_size, measure, statistics.median(seconds[1:]), images))  # type: ignore[arg-type]
    return timings


def _work(rng: np.random.Generator, side: int, n: int, m: int, bands: tuple[str, ...]) -> tuple[ArrayScene, LabelledPixels]:
    scene = ArrayScene(rng.integers(0, 256, (len(bands), side, side)).astype(np.uint8), bands=bands)
    scene.fingerprint  # noqa: B018 - hashing the array is no part of the method
    places = rng.permutation(side * side)[: n * m]
    return scene, LabelledPixels.from_arrays(places // side, places % side, np.arange(n * m) % n + 1)


def to_markdown(timings: list[Timing], notes: list[str]) -> str:
    """One line a case."""
    lines = ["# speed", "", *(f"{note}\n" for note in notes)]
    lines += [
        "| what | pixels | labels | patch | measure | seconds an image | images | minutes for all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {t.what} | {t.size} x {t.size} | {t.labels} | {t.patch_size} x {t.patch_size} | {t.measure} | {t.seconds:.2f} | {t.images} "
        f"| {t.total_seconds / 60:.1f} |"
        for t in timings
    ]
    return "\n".join(lines) + "\n"


def to_csv(timings: list[Timing]) -> str:
    """One line a case."""
    lines = ["what,size,labels,patch_size,measure,seconds,images,total_seconds"]
    lines += [
        f'"{t.what}",{t.size},{t.labels},{t.patch_size},{t.measure},{t.seconds:.4f},{t.images},{t.total_seconds:.1f}' for t in timings
    ]
    return "\n".join(lines) + "\n"
