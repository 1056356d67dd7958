"""References, a similarity and a decision: a map."""

from __future__ import annotations

import copy
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from .errors import InputError, LabelError, ModelError, NotFittedError, RasterError
from .model import Model, require_same_model
from .scene import Scene, Series
from .segmentation import Segmentation
from .similarity import L1, RAW, MutualInformation, References, blocks_of, collect, embed, overlap
from .types import BoolArray, FloatArray, LabelledPixels, UInt8Array, Window

Measure = Literal["local", "global", "l1"]


class Segmenter:
    """Maps images from a few labelled pixels; a label never retrains anything.

    Work is done and kept block by block: a label added later is the only one evaluated, a label removed
    recomputes its class only, and either way the map is the one a fresh fit would give, bit for bit.
    """

    def __init__(
        self,
        model: Model | None = None,
        *,
        measure: Measure | None = None,
        cache_bytes: int = 1 << 30,
        workers: int | None = None,
    ) -> None:
        """Choose how pixels are compared.

        Args:
            model: Encoder and critics; None compares raw bands.
            measure: 'local' (the default with a model) or 'global' mutual information, or 'l1': the L1 distance of
                representations, or of raw bands without a model.
            cache_bytes: Memory for what is known of blocks (16 MiB each); the least recently used go first. 0 keeps nothing.
            workers: Threads; default one a core. The result does not depend on it.
        """
        measure = measure or ("l1" if model is None else "local")
        if measure not in ("local", "global", "l1"):
            raise InputError(f"measure is {measure!r}, expected 'local', 'global' or 'l1'.")
        if model is None and measure != "l1":
            raise InputError(f"measure {measure!r} needs a model, expected measure='l1' without one. Train or load a model.")
        self.model = model
        self.measure: Measure = measure
        self.workers = workers or os.cpu_count() or 1
        self._similarity: Any = L1(raw=model is None) if model is None or measure == "l1" else MutualInformation(model, measure)
        self._cache = _Cache(cache_bytes)
        self._fitted: _Fitted | None = None
        self._next_serial = 0

    @property
    def references(self) -> References:
        """What was learned of the labelled pixels; NotFittedError before labels."""
        return self._require_fitted().references

    @references.setter
    def references(self, references: References) -> None:
        """Use references saved from another date or place.

        Raises:
            ModelError: They were made with another model.
        """
        if self.model is None and references.model_hash != RAW:
            raise ModelError(
                f"the references were made with model {references.model_hash[:12]}, this Segmenter has none. Give it that model."
            )
        if self.model is not None:
            require_same_model(references.model_hash, self.model, "the references file")
        self._set(references, [None] * len(references), self._serials(len(references)))

    def replica(self, *, cache_bytes: int, workers: int | None = None) -> Segmenter:
        """A Segmenter that decides the same, with a cache and threads of its own; labels given to one stay unknown to the other.

        Args:
            cache_bytes: As for a new Segmenter.
            workers: Threads; default as many as here.
        """
        twin = copy.copy(self)
        twin._cache = _Cache(cache_bytes)
        twin.workers = workers or self.workers
        return twin

    def fit(self, scene: Scene | Sequence[Scene], labels: LabelledPixels | Sequence[LabelledPixels]) -> Segmenter:
        """Collect references from labelled pixels, instead of those there were.

        Args:
            scene: The image that was labelled, or several, such as dates of a series.
            labels: At least one pixel of each of at least two classes; where there are several images, labels for each.

        Raises:
            LabelError: Labels outside the image, on no-data, or of fewer than two classes.
            ModelError: The scene's bands are not the model's.
        """
        scenes = [scene] if isinstance(scene, Scene) else list(scene)
        parts = [labels] if isinstance(labels, LabelledPixels) else list(labels)
        if len(scenes) != len(parts):
            raise LabelError(f"{len(parts)} sets of labels for {len(scenes)} images, expected one for each. Pair them up.")
        _require_classes(parts)
        references, origins = self._collect(scenes[0], parts[0]), _origins(scenes[0], parts[0])
        for other, more in zip(scenes[1:], parts[1:], strict=True):
            references = references.merge(self._collect(other, more))
            origins += _origins(other, more)
        self._set(references, origins, self._serials(len(references)))
        return self

    def add(self, scene: Scene, labels: LabelledPixels) -> Segmenter:
        """More labelled pixels, of this scene or another. A pixel marked before takes its new class."""
        if self._fitted is None:
            return self.fit(scene, labels)
        origins = _origins(scene, labels)
        new = self._collect(scene, labels)
        again = set(origins)
        kept = [i for i, origin in enumerate(self._fitted.origins) if origin is None or origin not in again]
        old = self._fitted.references.take(kept) if len(kept) < len(self._fitted.origins) else self._fitted.references
        serials = [self._fitted.serials[i] for i in kept] + self._serials(len(new))
        self._set(old.merge(new), [self._fitted.origins[i] for i in kept] + origins, serials)
        return self

    def remove(self, scene: Scene, rows: Iterable[int], cols: Iterable[int]) -> Segmenter:
        """Forget labelled pixels of a scene.

        Raises:
            LabelError: A pixel was not labelled, or fewer than two classes would be left.
        """
        fitted = self._require_fitted()
        gone = {(scene.fingerprint, int(row), int(col)) for row, col in zip(rows, cols, strict=True)}
        missing = gone - {origin for origin in fitted.origins if origin is not None}
        if missing:
            _, row, col = min(missing)
            raise LabelError(
                f"pixel at row {row}, column {col} of {scene.name} is not labelled, expected a labelled pixel. See what is with segmenter.references."
            )
        kept = [i for i, origin in enumerate(fitted.origins) if origin not in gone]
        if len(np.unique(fitted.references.classes[kept])) < 2:
            raise LabelError(
                "removing these labels leaves fewer than two classes, expected at least two. Add labels of another class first."
            )
        self._set(fitted.references.take(kept), [fitted.origins[i] for i in kept], [fitted.serials[i] for i in kept])
        return self

    @overload
    def predict(self, scene: Scene, window: Window | None = None) -> Segmentation: ...

    @overload
    def predict(self, scene: Series, window: Window | None = None) -> list[Segmentation]: ...

    def predict(self, scene: Scene | Series, window: Window | None = None) -> Segmentation | list[Segmentation]:
        """The map of an image, of a window of it, or of every date of a series.

        Args:
            scene: Any image with the bands of the labelled one.
            window: Window inside the image; default all of it.

        Returns:
            A Segmentation, or one a date. Confidence is 1 - exp(-(D_2 - D_1) / J) for mutual information and
            1 - D_1 / D_2 for L1, D_1 and D_2 being the distances to the nearest reference of the best and of the
            second class, J the local positions (1 for global): 0 where two classes are equally near, 1 where no other comes close.

        Raises:
            NotFittedError: No labels yet.
            ModelError: The scene's bands are not the model's.
            RasterError: The window is not inside the image.
        """
        if isinstance(scene, Series):
            return [self.predict(date, window) for date in scene]
        fitted = self._require_fitted()
        window = window or scene.grid.window
        if (
            window.row < 0
            or window.col < 0
            or window.row + window.height > scene.grid.height
            or window.col + window.width > scene.grid.width
        ):
            raise RasterError(
                f"{window} reaches past {scene.name} of {scene.grid.height} x {scene.grid.width} pixels. Ask for pixels inside it."
            )
        self._bands(scene)
        fingerprint = scene.fingerprint
        classes = np.zeros((window.height, window.width), np.uint8)
        confidence = np.zeros(classes.shape, np.float32)
        valid = np.zeros(classes.shape, np.bool_)

        def one(block: Window) -> None:
            decided = self._decide(scene, block, fingerprint, fitted)
            inside, target = overlap(block, window)
            classes[target], confidence[target], valid[target] = (array[inside] for array in decided)

        self._each(one, blocks_of(scene.grid, window))
        return Segmentation(classes, confidence, valid, fitted.references.legend, scene.grid.crop(window), self._provenance(scene, fitted))

    def _decide(self, scene: Scene, block: Window, fingerprint: str, fitted: _Fitted) -> tuple[UInt8Array, FloatArray, BoolArray]:
        entry = self._entry(scene, block, fingerprint)
        with entry.lock:
            best, order = entry.update(self._similarity, fitted)
        classes, confidence = decide(
            best, order, fitted.ids, relative=isinstance(self._similarity, L1), positions=self._similarity.positions
        )
        classes[~entry.valid], confidence[~entry.valid] = 0, 0
        return classes, confidence, entry.valid

    def _entry(self, scene: Scene, block: Window, fingerprint: str) -> _Block:
        key = fingerprint, block
        entry = self._cache.get(key)
        if entry is None:
            embedding = embed(self.model, scene, block, self._bands(scene))
            entry = self._cache.put(key, _Block(self._similarity.project(embedding), embedding.valid))
        return entry

    def _collect(self, scene: Scene, labels: LabelledPixels) -> References:
        return collect(self.model, scene, labels, self._bands(scene), self._each)

    def _each(self, function: Callable[[Window], Any], blocks: Iterable[Window]) -> Iterable[Any]:
        if self.model is not None and self.model.device.type != "cpu":
            return [function(block) for block in blocks]
        # Always on a pool's thread, also for one block: there each operation keeps to one thread, and to its bits.
        return list(_pool(self.workers).map(function, blocks))

    def _bands(self, scene: Scene) -> tuple[str, ...]:
        if self.model is not None:
            self.model.band_index(scene)
            return self.model.bands
        if self._fitted is not None and len(self._fitted.references.band_names) != len(scene.bands):
            raise ModelError(
                f"{scene.name} has bands {list(scene.bands)}, the labelled image had {list(self._fitted.references.band_names)}. Choose the same bands."
            )
        return scene.bands

    def _set(self, references: References, origins: list[_Origin | None], serials: list[int]) -> None:
        self._fitted = _Fitted(references, origins, serials, self._similarity.prepare(references))

    def _serials(self, n: int) -> list[int]:
        first = self._next_serial
        self._next_serial += n
        return list(range(first, first + n))

    def _require_fitted(self) -> _Fitted:
        if self._fitted is None:
            raise NotFittedError("the Segmenter has no labels yet, expected fit() or references before this. Call fit(scene, labels).")
        return self._fitted

    def provenance(self, scene: Scene) -> dict[str, str]:
        """What it takes to make this scene's map again, as a Segmentation will carry it; NotFittedError before labels."""
        return self._provenance(scene, self._require_fitted())

    def _provenance(self, scene: Scene, fitted: _Fitted) -> dict[str, str]:
        return {
            "model": fitted.references.model_hash,
            "references": fitted.references.hash,
            "measure": self.measure,
            "scene": scene.name,
            "pixelkin": version("pixelkin"),
            "torch": version("torch"),
        }


_Origin = tuple[str, int, int]
"""Fingerprint of the scene, row and column of a labelled pixel."""


@dataclass(frozen=True, eq=False)
class _Fitted:
    """References at one moment; never changed, so that a prediction under way keeps what it started with."""

    references: References
    origins: list[_Origin | None]
    serials: list[int]
    """Rising number of each reference, never used twice by a Segmenter: who was given first, and what a block has seen."""
    prepared: Any
    ids: list[int] = field(init=False)
    """Ids of the classes that have references, in legend order."""

    def __post_init__(self) -> None:
        present = set(self.references.classes.tolist())
        object.__setattr__(self, "ids", [i for i in self.references.legend.ids if i in present])


@dataclass(eq=False)
class _Block:
    """What is known of one block: its projection, and the nearest reference of each class so far."""

    projection: Any
    valid: BoolArray
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: dict[int, frozenset[int]] = field(default_factory=dict)
    """Class id -> serials of the references in `best`."""
    best: dict[int, Tensor] = field(default_factory=dict)
    """Class id -> (row, col) distance of the nearest reference."""
    order: dict[int, Tensor] = field(default_factory=dict)
    """Class id -> (row, col) serial of that reference."""

    @property
    def nbytes(self) -> int:
        """Memory held, with room for the planes of eight classes."""
        tensors = vars(self.projection).values() if hasattr(self.projection, "__dict__") else [self.projection]
        return int(sum(t.nbytes for t in tensors)) + self.valid.nbytes * (1 + 8 * 12)

    def update(self, similarity: Any, fitted: _Fitted) -> tuple[list[Tensor], list[Tensor]]:
        """Evaluate the references not yet seen; a class that lost one starts again."""
        new: list[int] = []
        wanted: dict[int, set[int]] = {class_id: set() for class_id in fitted.ids}
        for serial, class_id in zip(fitted.serials, fitted.references.classes.tolist(), strict=True):
            wanted[class_id].add(serial)
        for class_id in list(self.seen):
            if not self.seen[class_id] <= wanted.get(class_id, set()):
                del self.seen[class_id], self.best[class_id], self.order[class_id]
        classes = fitted.references.classes.tolist()
        for index, serial in enumerate(fitted.serials):
            if serial not in self.seen.get(classes[index], ()):
                new.append(index)
        # Some references at a time: their distances are (n, row, col).
        for start in range(0, len(new), 64):
            part = new[start : start + 64]
            for index, distance in zip(part, similarity.distances(self.projection, take(fitted.prepared, part)), strict=True):
                self._take_in(classes[index], fitted.serials[index], distance)
        self.seen = {class_id: frozenset(serials) for class_id, serials in wanted.items()}
        return [self.best[i] for i in fitted.ids], [self.order[i] for i in fitted.ids]

    def _take_in(self, class_id: int, serial: int, distance: Tensor) -> None:
        if class_id not in self.best:
            self.best[class_id] = distance.clone()
            self.order[class_id] = torch.full(distance.shape, serial, dtype=torch.int64, device=distance.device)
            return
        # Serials rise, so strictly nearer is what gives a tie to the reference given first.
        nearer = distance < self.best[class_id]
        self.best[class_id] = torch.where(nearer, distance, self.best[class_id])
        self.order[class_id].masked_fill_(nearer, serial)


def take(prepared: Any, index: list[int]) -> Any:
    """Some of the prepared references."""
    if isinstance(prepared, Tensor):
        return prepared[index]
    return replace(prepared, v=prepared.v[index], windows=prepared.windows[index], alone=prepared.alone[index])


def decide(best: list[Tensor], order: list[Tensor], ids: list[int], *, relative: bool, positions: int) -> tuple[Any, Any]:
    """Class and confidence from each class's nearest distance; a tie goes to the class of the reference given first."""
    with torch.inference_mode():
        nearest, given, winner = best[0].clone(), order[0].clone(), torch.zeros_like(best[0], dtype=torch.int64)
        second = torch.full_like(nearest, torch.inf)
        for k in range(1, len(best)):
            wins = (best[k] < nearest) | ((best[k] == nearest) & (order[k] < given))
            second = torch.minimum(second, torch.where(wins, nearest, best[k]))
            nearest = torch.where(wins, best[k], nearest)
            given = torch.where(wins, order[k], given)
            winner.masked_fill_(wins, k)
        confidence = torch.where(second > 0, 1 - nearest / second, 0) if relative else 1 - torch.exp((nearest - second) / positions)
        classes = torch.tensor(ids, dtype=torch.uint8, device=winner.device)[winner]
        return classes.cpu().numpy(), confidence.cpu().numpy()


class _Cache:
    """Blocks by scene and place, the least recently used dropped when memory runs out. Safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[tuple[str, Window], _Block] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[_Cache], tuple[int]]:
        # Another process fills its own.
        return _Cache, (self._limit,)

    def get(self, key: tuple[str, Window]) -> _Block | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: tuple[str, Window], entry: _Block) -> _Block:
        """Keep an entry; returns the one already there, if two threads made it at once."""
        with self._lock:
            if key in self._entries:
                return self._entries[key]
            self._entries[key] = entry
            self._bytes += entry.nbytes
            while self._bytes > self._limit and self._entries:
                _, oldest = self._entries.popitem(last=False)
                self._bytes -= oldest.nbytes
            return entry


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Threads that each keep to one core; shared by all Segmenters, so that many of them do not fight."""
    return ThreadPoolExecutor(workers, thread_name_prefix="pixelkin", initializer=torch.set_num_threads, initargs=(1,))


def _origins(scene: Scene, labels: LabelledPixels) -> list[_Origin | None]:
    fingerprint = scene.fingerprint
    return [(fingerprint, row, col) for row, col in zip(labels.rows.tolist(), labels.cols.tolist(), strict=True)]


def _require_classes(parts: Sequence[LabelledPixels]) -> None:
    present = {part.legend.by_id(int(class_id)).name for part in parts for class_id in np.unique(part.classes)}
    if len(present) == 0:
        raise LabelError("there are no labelled pixels, expected at least one of each of two classes. Mark some pixels.")
    if len(present) < 2:
        count = sum(len(part) for part in parts)
        raise LabelError(
            f"all {count} labelled pixels are of class {next(iter(present))!r}, expected at least two classes. Mark some pixels of another class."
        )
    lost = [entry.name for part in parts for entry in part.legend if entry.name not in present]
    if lost:
        raise LabelError(f"class {lost[0]!r} of the legend has no labelled pixel, expected at least one. Mark one or drop the class.")
