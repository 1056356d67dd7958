"""The protocol of the tables: which pixels are marked, which methods answer, how the answers are counted.

A cell is one method with N classes, M marks a class and one seed on one task. Cells are kept by the content of
everything that decides them, so that a run that was interrupted goes on where it stopped, and tables that share
cells share their cost.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..maps import score
from ..model import Model, ModelConfig
from ..scene import Scene
from ..segmentation import Segmentation
from ..segmenter import Measure, Segmenter
from ..training import PRESETS, Device, TrainingOptions
from ..types import LabelledPixels, Legend, UInt8Array
from .cells import Cell, CellFile
from .classical import FeatureCache, classical
from .dataset import Dataset, Task
from .encoders import Encoder, ModelStore


@dataclass(frozen=True)
class Budget:
    """How much work a run may be."""

    training: TrainingOptions
    seeds: int
    """Runs with other weights, patches and marks; mean and spread are over them."""
    images: int | None
    """Tasks to run, spread evenly over the data set; None = all."""

    def changed(self, seeds: int | None = None, steps: int | None = None) -> Budget:
        """The same with what is given in place of its own: runs, and training steps of each encoder."""
        training = self.training if steps is None else replace(self.training, steps=steps)
        return replace(self, seeds=self.seeds if seeds is None else seeds, training=training)


BUDGETS = {
    "smoke": Budget(replace(PRESETS["fast"], steps=40, batch_size=128, max_pixels=2_000_000), seeds=1, images=2),
    "small": Budget(PRESETS["fast"], seeds=3, images=12),
    "medium": Budget(PRESETS["paper"], seeds=3, images=24),
    "paper": Budget(PRESETS["paper"], seeds=3, images=None),
}
"""smoke: does it run; small: the default training on some images; medium: the paper's training on some; paper: on all."""


@dataclass(frozen=True)
class Method:
    """A row of a table."""

    name: str
    encoder: Encoder | None = None
    """None for raw bands and classical methods."""
    measure: Measure | None = "l1"
    """Of the nearest reference; None for the default method of a Segmenter."""
    classical: str | None = None
    smoothing: float = 0.0

    @property
    def travels(self) -> bool:
        """False where the method can only map the image that was labelled."""
        return self.classical != "random-walker"


@dataclass(frozen=True)
class Plan:
    """What a table consists of."""

    methods: tuple[Method, ...]
    class_counts: tuple[int, ...]
    marks: tuple[int, ...]
    """M, marked pixels a class."""


def draw_marks(classes: UInt8Array, legend: Legend, per_class: int, seed: int, name: str = "") -> tuple[LabelledPixels, int]:
    """Mark M random pixels of each class that occurs in an image.

    Marks are nested: the first M of a larger draw are the draw of M. Of a class with fewer pixels, all are taken.

    Args:
        classes: (row, col) class ids, 0 = not known.
        legend: The classes.
        per_class: M, >= 1.
        seed: Seed of the draw.
        name: The image; images with other names get other places.

    Returns:
        The marks, with a legend of the classes that occur, and the number of classes that had fewer than M pixels.
    """
    if per_class < 1:
        raise InputError(f"marks per class are {per_class}, expected >= 1.")
    chosen, short, present = [], 0, []
    for entry in legend:
        places = np.flatnonzero(classes == entry.id)
        if not len(places):
            continue
        rng = np.random.default_rng([seed, entry.id, zlib.crc32(name.encode())])
        chosen.append(places[rng.permutation(len(places))[:per_class]])
        short += len(places) < per_class
        present.append(entry)
    flat = np.concatenate(chosen) if chosen else np.empty(0, np.int64)
    rows, cols = np.divmod(flat, classes.shape[1])
    return LabelledPixels(rows, cols, classes[rows, cols], Legend(tuple(present))), short


_Job = tuple[int, Task, Method, int, int]
"""Seed, task, method, N, M."""


class Runner:
    """Runs plans on a data set, and remembers every cell."""

    def __init__(
        self,
        dataset: Dataset,
        budget: Budget,
        cache: str | Path,
        *,
        device: Device = "cpu",
        workers: int | None = None,
        progress: Callable[[int, int, float, str], None] | None = None,
    ) -> None:
        """Set up a run.

        Args:
            dataset: What to run on.
            budget: How much of it, and how models are trained.
            cache: Folder for cells and models.
            device: Where models are trained.
            workers: Images mapped side by side; default one a core.
            progress: Called with (steps done, steps, seconds left, what is done now); steps are cells and trainings.
        """
        self.dataset, self.budget = dataset, budget
        self.tasks = _some(dataset.tasks, budget.images)
        self._cache = Path(cache)
        self._progress = progress
        self._workers = workers or os.cpu_count() or 1
        self._store = ModelStore(self._cache / "models", dataset.fingerprint, device)
        self._cells = CellFile(self._cache / "cells.jsonl")
        self._spent: dict[str, list[float]] = {"training": [], "cell": []}
        self._left: dict[str, set[str]] = {"training": set(), "cell": set()}
        self._total = 0
        self._lock = threading.RLock()
        self._features = FeatureCache(limit=3 * max(2, len(self.tasks[0].scored) + 1))

    def run(self, plan: Plan, seeds: Sequence[int] | None = None) -> list[Cell]:
        """All cells of a plan for some seeds, by default those of the budget; from memory where they are known."""
        methods = [method for method in plan.methods if method.travels or self.dataset.kind == "images"]
        jobs = [
            (seed, task, method, n, m)
            for seed in (range(self.budget.seeds) if seeds is None else seeds)
            for task in self.tasks
            for method in methods
            for n in plan.class_counts
            if self._has_two_classes(task, n)
            for m in plan.marks
        ]
        keys = [self._key(*job) for job in jobs]
        todo = [(job, key) for job, key in zip(jobs, keys, strict=True) if key not in self._cells.known]
        encoders = {self._model_key(job[2], job[0]): (job[2].encoder, job[0]) for job, _ in todo if job[2].encoder is not None}
        self._left = {"training": {key for key in encoders if not self._store.has(key)}, "cell": {key for _, key in todo}}
        self._total = len(self._left["training"]) + len(keys)
        for encoder, seed in encoders.values():
            assert encoder is not None
            self.model(encoder, seed)
        groups: dict[tuple[int, str], list[tuple[_Job, str]]] = {}
        for job, key in todo:
            groups.setdefault((job[0], job[1].name), []).append((job, key))
        self._all(list(groups.values()))
        self._tell("done")
        # Cells are shared between tables; the row that asks gives its own name.
        return [replace(self._cells.known[key], method=job[2].name) for job, key in zip(jobs, keys, strict=True)]

    def _has_two_classes(self, task: Task, n: int) -> bool:
        """False for a task that has one of N merged classes: there is nothing to decide."""
        classes, _ = self.dataset.classes(task.labelled, n)
        return len(np.unique(classes[classes > 0])) > 1

    def _all(self, groups: list[list[tuple[_Job, str]]]) -> None:
        """The cells of each group, in order; groups of single images side by side."""
        # An image of 200 x 200 is one block, which one core computes; those of a series are several, and share features.
        workers = self._workers if self.dataset.kind == "images" else 1
        stop = threading.Event()

        def one(group: list[tuple[_Job, str]]) -> None:
            features = self._features if workers == 1 else FeatureCache()
            answerer, of = None, None
            for (seed, task, method, n, m), key in group:
                if stop.is_set():
                    return
                # One answerer for all N and M: what it knows of the image serves them all.
                if of != method:
                    answerer, of = self._answerer(method, seed, features), method
                self._tell(f"{method.name}, N = {n}, M = {m}, {task.name}, seed {seed}")
                cell = self._measure(answerer, task, method, n, m, seed)
                with self._lock:
                    self._cells.add(key, cell)
                    self._spent["cell"].append(cell.seconds / workers)
                    self._left["cell"].discard(key)

        with ThreadPoolExecutor(workers, thread_name_prefix="cells") as pool:
            try:
                for future in [pool.submit(one, group) for group in groups]:
                    future.result()
            except BaseException:
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def model(self, encoder: Encoder, seed: int) -> Model:
        """The trained model of an encoder."""
        options, config = self._resolve(encoder, seed)
        key = self._store.key(encoder, options, config)
        known = self._store.has(key)
        started = time.monotonic()

        def told(done: int, steps: int) -> None:
            if done % 10 == 0 or done == steps:
                self._tell(f"training {encoder.name}, seed {seed}: {done} of {steps}")

        imagery = self.dataset.training_sample(options.max_pixels, seed)
        model = self._store.get(encoder, options, config, imagery, told)
        if not known:
            self._spent["training"].append(time.monotonic() - started)
            self._left["training"].discard(key)
        return model

    def segment(self, method: Method, seed: int, scene: Scene, labels: LabelledPixels, others: Sequence[Scene]) -> list[Segmentation]:
        """Maps of some images from the labels of one."""
        answerer = self._answerer(method, seed, self._features).fit(scene, labels)
        return [answerer.predict(other) for other in others]

    def _answerer(self, method: Method, seed: int, features: FeatureCache) -> Any:
        if method.classical is not None:
            return classical(method.classical, smoothing=method.smoothing, seed=seed, cache=features)
        model = None if method.encoder is None else self.model(method.encoder, seed)
        return Segmenter(model, measure=method.measure)

    def _measure(self, answerer: Any, task: Task, method: Method, n: int, m: int, seed: int) -> Cell:
        classes, legend = self.dataset.classes(task.labelled, n)
        marks, short = draw_marks(classes, legend, m, seed, task.name)
        started = time.monotonic()
        answerer.fit(task.labelled.scene, marks)
        results = [answerer.predict(truth.scene) for truth in task.scored]
        seconds = time.monotonic() - started
        confusions = []
        for truth, result in zip(task.scored, results, strict=True):
            expected = self.dataset.classes(truth, n)[0].copy()
            if truth is task.labelled:
                # What was marked is known; to count it would reward marking.
                expected[marks.rows, marks.cols] = 0
            if not expected.any():
                continue
            found = score(result.classes, expected, legend=legend)
            confusions.append(tuple(tuple(row) for row in found.confusion.tolist()))
        return Cell(method.name, n, m, seed, task.name, tuple(confusions), seconds, short)

    def _resolve(self, encoder: Encoder, seed: int) -> tuple[TrainingOptions, ModelConfig]:
        return encoder.resolve(replace(self.budget.training, seed=seed), self.dataset.bands, self.dataset.patch_size)

    def _model_key(self, method: Method, seed: int) -> str:
        assert method.encoder is not None
        return self._store.key(method.encoder, *self._resolve(method.encoder, seed))

    def _key(self, seed: int, task: Task, method: Method, n: int, m: int) -> str:
        identity = {
            "data": self.dataset.fingerprint,
            "task": task.name,
            "model": None if method.encoder is None else [self._model_key(method, seed), method.encoder.random_critic],
            "method": {k: v for k, v in asdict(method).items() if k not in ("name", "encoder")},
            "n": n,
            "m": m,
            "seed": seed,
            "pixelkin": version("pixelkin"),
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]

    def _tell(self, what: str) -> None:
        if self._progress is None:
            return
        # What was never done has no known time: the estimate starts too low and settles after the first training and cell.
        left = sum(len(self._left[kind]) * sum(times) / max(1, len(times)) for kind, times in self._spent.items())
        with self._lock:
            done = self._total - len(self._left["training"]) - len(self._left["cell"])
            self._progress(done, self._total, left, what)


def _some(tasks: Sequence[Task], count: int | None) -> tuple[Task, ...]:
    if count is None or len(tasks) <= count:
        return tuple(tasks)
    return tuple(tasks[i] for i in np.unique(np.linspace(0, len(tasks) - 1, count).round().astype(int)))
