"""The engine: asks a decision block by block, on several threads, and keeps what it describes.

The rules that keep bits: blocks are those of one grid, each computed on one thread; what labels say of an image is worked out once, before any block is
asked; an answer is kept with what it was an answer to. Whatever window, order or number of threads asks, a pixel's answer is the same.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from .blockcache import BlockStore, MemoryCache
from .decision import CANDIDATES, Coverage, Decision, Image, State, Suggestion, TrainingSet, lattice, pick
from .features import FeatureStack, References, blocks_of, collect, labelled_on, overlap
from .features.sample import sample
from .scene import Scene
from .types import AnyArray, BoolArray, FloatArray, IntArray, LabelledPixels, UInt8Array, Window
from .workers import alone, pool

_SAMPLE_BYTES = 64 << 20
"""Of samples of images, about 0.7 MB each."""
_Made = TypeVar("_Made")
_sampling = threading.Lock()
_asking = threading.Lock()


@dataclass(frozen=True, eq=False)
class Asked:
    """What every block of an image is asked."""

    fingerprint: str
    """Of the image."""
    training: TrainingSet
    marked: tuple[IntArray, IntArray, UInt8Array]
    """Rows, columns and classes of labelled pixels of the image, which keep their class."""
    rule: Any
    """Of the decision."""


@dataclass(eq=False)
class _Entry:
    """One block in memory."""

    state: State
    lock: threading.Lock = field(default_factory=threading.Lock)
    decided: tuple[Asked, UInt8Array, FloatArray] | None = None
    """The last answer, and what was asked."""

    @property
    def nbytes(self) -> int:
        return self.state.nbytes

    def shrink(self) -> None:
        """Give back what is for the next labels."""
        self.state.shrink()

    @contextmanager
    def questioned(self, cache: MemoryCache[_Entry], key: tuple[str, Window]) -> Iterator[State]:
        """What is known of the block, for one question at a time."""
        with self.lock:
            self.state.room = cache.room(key)
            yield self.state
        cache.weigh(key)


class BlockEngine:
    """Runs a decision over images."""

    def __init__(
        self, decision: Decision[Any, Any], stack: FeatureStack, *, cache_bytes: int, workers: int, store: BlockStore | None
    ) -> None:
        """Nothing is computed yet.

        Args:
            decision: Who decides.
            stack: Where the features of labelled pixels and of samples come from.
            cache_bytes: Memory for blocks.
            workers: Threads, >= 1.
            store: Where blocks are kept over restarts; None keeps none.
        """
        self.decision, self.stack, self.workers = decision, stack, workers
        self._cache: MemoryCache[_Entry] = MemoryCache(cache_bytes, _Entry.shrink)
        self._samples: MemoryCache[Tensor] = MemoryCache(_SAMPLE_BYTES)
        self._store = store

    def replica(self, *, cache_bytes: int, workers: int | None) -> BlockEngine:
        """An engine that answers the same, with a cache of its own and no store."""
        twin = copy.copy(self)
        twin._cache = MemoryCache(cache_bytes, _Entry.shrink)
        twin._store = None
        twin.workers = workers or self.workers
        return twin

    def rebuilt(self, decision: Decision[Any, Any], stack: FeatureStack) -> BlockEngine:
        """An engine with the same means for another decision, which knows nothing yet."""
        return BlockEngine(decision, stack, cache_bytes=self._cache.limit, workers=self.workers, store=self._store)

    def beside(self, decision: Decision[Any, Any]) -> BlockEngine:
        """An engine of another decision that is made of the same blocks, with this one's memory."""
        twin = copy.copy(self)
        twin.decision = decision
        return twin

    def collect(self, scene: Scene, labels: LabelledPixels, *, skip_nodata: bool = False) -> References:
        """References of labelled pixels; see `features.collect`."""
        return collect(self.stack, scene, labels, self._each, skip_nodata=skip_nodata)

    def ask(self, scene: Scene, training: TrainingSet) -> Asked:
        """What all blocks of an image are asked; not from a thread of the pool, which would wait for one of its own."""
        fingerprint = scene.fingerprint
        with _asking:
            asked: Asked | None = training.asked.get(fingerprint)
        if asked is not None:
            return asked
        image = self._image(scene, training)
        rule = self.decision.fit(training, image)
        with _asking:
            # Two threads may both come here; the first one's counts, because blocks tell answers apart by what they were asked.
            return training.asked.setdefault(fingerprint, Asked(fingerprint, training, image.marked, rule))  # type: ignore[no-any-return]

    def held_out(self, scenes: Sequence[Scene], references: References, held: BoolArray) -> UInt8Array:
        """See `Labelled.held_out`."""
        rest, found = TrainingSet.of(references.take(np.flatnonzero(~held))), np.zeros(len(references), np.uint8)
        for scene in scenes:
            asked = np.flatnonzero(held & labelled_on(references, self.stack.model, scene))
            if len(asked):
                found[asked] = alone(self.decision.recognise, self.ask(scene, rest).rule, references.take(asked))
        return found[held]

    def coverage(self, scene: Scene, training: TrainingSet) -> Coverage:
        """How much of an image is like nothing that was labelled; worked out once an image."""
        with _asking:
            found: Coverage | None = training.covered.get(scene.fingerprint)
        if found is None:
            found = self.decision.coverage(self.ask(scene, training).rule, self._image(scene, training))
            with _asking:
                training.covered[scene.fingerprint] = found
        return replace(found, name=scene.name)

    def _image(self, scene: Scene, training: TrainingSet) -> Image:
        references = training.references
        labelled = labelled_on(references, self.stack.model, scene)
        origins = references.origins.numpy()
        marked = origins[labelled, 2], origins[labelled, 3], references.classes[labelled]
        return Image(scene, labelled, marked, partial(self._sample, scene), partial(self.collect, scene, skip_nodata=True))

    def classify(self, scene: Scene, window: Window, asked: Asked) -> tuple[UInt8Array, BoolArray]:
        """Class ids (row, col), 0 = no data, and where there is data."""
        classes = np.zeros((window.height, window.width), np.uint8)
        valid = np.zeros(classes.shape, np.bool_)

        def one(block: Window) -> None:
            entry = self._entry(scene, block, asked.fingerprint)
            inside, target = overlap(block, window)
            classes[target], valid[target] = self._classified(entry, block, asked)[inside], entry.state.valid[inside]

        self._each(one, blocks_of(scene.grid, window))
        _keep_marks(classes, asked.marked, window)
        return classes, valid

    def decide(self, scene: Scene, window: Window, asked: Asked) -> tuple[UInt8Array, FloatArray, BoolArray]:
        """Class ids, 0 = no data, confidence in [0, 1], and where there is data: (row, col) each."""
        self.decision.calibrate(asked.rule)
        classes = np.zeros((window.height, window.width), np.uint8)
        confidence = np.zeros(classes.shape, np.float32)
        valid = np.zeros(classes.shape, np.bool_)

        def one(block: Window) -> None:
            decided = self._decided(scene, block, asked)
            inside, target = overlap(block, window)
            classes[target], confidence[target], valid[target] = (array[inside] for array in decided)

        self._each(one, blocks_of(scene.grid, window))
        confidence[_keep_marks(classes, asked.marked, window)] = 1
        return classes, confidence, valid

    def probabilities(self, scene: Scene, window: Window, asked: Asked) -> tuple[FloatArray, BoolArray]:
        """Probabilities (class, row, col), 0 where there is no data, and where there is data (row, col)."""
        self.decision.calibrate(asked.rule)
        ids = asked.training.ids
        probabilities = np.zeros((len(ids), window.height, window.width), np.float32)
        valid = np.zeros(probabilities.shape[1:], np.bool_)

        def one(block: Window) -> None:
            entry = self._entry(scene, block, asked.fingerprint)
            with entry.questioned(self._cache, (asked.fingerprint, block)) as state:
                found = self.decision.probabilities(state, asked.rule, block)
            inside, target = overlap(block, window)
            valid[target] = entry.state.valid[inside]
            probabilities[:, *target] = np.where(valid[target], found[:, *inside], 0)

        self._each(one, blocks_of(scene.grid, window))
        given = np.zeros(valid.shape, np.uint8)
        where = _keep_marks(given, asked.marked, window)
        probabilities[:, *where] = given[where] == np.array(ids)[:, None]
        return probabilities, valid

    def transform(self, scene: Scene, window: Window) -> FloatArray:
        """Features (K, row, col) of a window."""
        features = np.zeros((len(self.stack.columns(scene)), window.height, window.width), np.float32)

        def one(block: Window) -> None:
            inside, target = overlap(block, window)
            features[:, *target] = self.stack.fields(scene, block).features.cpu().numpy()[:, *inside]

        self._each(one, blocks_of(scene.grid, window))
        return features

    def known(self, scene: Scene) -> list[Window]:
        """The blocks of an image that are in memory."""
        return self._cache.blocks(scene.fingerprint)

    def suggest(
        self, scene: Scene, k: int, asked: Asked, where: Sequence[Window], free: Callable[[IntArray, IntArray], BoolArray] | None
    ) -> list[Suggestion]:
        """See `Segmenter.suggest`."""
        self.decision.calibrate(asked.rule)
        labelled = asked.marked[0] * scene.grid.width + asked.marked[1]
        # Evenly spread, so that the sample does not depend on chance.
        step = max(1, int(np.sqrt(sum(block.height * block.width for block in where) / CANDIDATES)))

        def look(block: Window) -> tuple[IntArray, IntArray, FloatArray, AnyArray]:
            rows, cols = lattice(block, step)
            _, confidence, valid = self._decided(scene, block, asked)
            keep = valid[rows - block.row, cols - block.col] & ~np.isin(rows * scene.grid.width + cols, labelled)
            if free is not None:
                keep &= free(rows, cols)
            rows, cols = rows[keep], cols[keep]
            doubt = 1 - confidence[rows - block.row, cols - block.col]
            entry = self._entry(scene, block, asked.fingerprint)
            return rows, cols, doubt, self.decision.appearance(entry.state, asked.rule, block, rows, cols)

        parts = self._each(look, where)
        if not sum(len(part[0]) for part in parts):
            return []
        rows, cols, doubt, appearance = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.lexsort((cols, rows))
        rows, cols, doubt, appearance = rows[order], cols[order], doubt[order], appearance[order]
        position = np.stack([rows, cols], axis=1) / max(scene.grid.shape)
        chosen = alone(pick, doubt, np.concatenate([position, appearance], axis=1), min(k, len(rows))).tolist()
        return [Suggestion(int(rows[i]), int(cols[i]), float(doubt[i])) for i in chosen]

    def _classified(self, entry: _Entry, block: Window, asked: Asked) -> UInt8Array:
        with entry.questioned(self._cache, (asked.fingerprint, block)) as state:
            if entry.decided is not None and entry.decided[0] is asked:
                return entry.decided[1]
            classes = self.decision.classify(state, asked.rule, block)
        classes[~entry.state.valid] = 0
        return classes

    def _decided(self, scene: Scene, block: Window, asked: Asked) -> tuple[UInt8Array, FloatArray, BoolArray]:
        entry = self._entry(scene, block, asked.fingerprint)
        with entry.questioned(self._cache, (asked.fingerprint, block)) as state:
            # The same question again: a window shown anew, or a suggestion after a map.
            if entry.decided is None or entry.decided[0] is not asked:
                classes, confidence = self.decision.decide(state, asked.rule, block)
                classes[~state.valid], confidence[~state.valid] = 0, 0
                entry.decided = asked, classes, confidence
            _, classes, confidence = entry.decided
        return classes, confidence, entry.state.valid

    def _entry(self, scene: Scene, block: Window, fingerprint: str) -> _Entry:
        key = fingerprint, block
        entry = self._cache.get(key)
        if entry is None:
            decision = self.decision
            make = partial(decision.describe, scene, block)
            state = self._stored((*decision.key, block), make, decision.pack, decision.unpack, scene)
            entry = self._cache.put(key, _Entry(state))
        return entry

    def _sample(self, scene: Scene) -> Tensor:
        """Features (K, n) of pixels from all over an image."""
        key = scene.fingerprint, scene.grid.window
        found = self._samples.get(key)
        if found is None:
            with _sampling:
                found = self._samples.get(key)
                if found is None:
                    found = self._stored(
                        ("sample",),
                        lambda: sample(self.stack, scene, self._each),
                        lambda seen: {"features": seen},
                        itemgetter("features"),
                        scene,
                    )
                    found = self._samples.put(key, found)
        return found

    def _stored(
        self,
        what: tuple[object, ...],
        make: Callable[[], _Made],
        pack: Callable[[_Made], dict[str, Tensor]],
        unpack: Callable[[dict[str, Tensor]], _Made],
        scene: Scene,
    ) -> _Made:
        """What the store has of an image, or else what is made of it, which the store then gets."""
        if self._store is None or self.stack.device.type != "cpu":
            return make()
        name = self._store.key(scene.fingerprint, self.stack.key(scene), *what)
        kept = self._store.get(name)
        if kept is not None:
            return unpack(kept)
        made = make()
        self._store.put(name, pack(made))
        return made

    def _each(self, function: Callable[[Window], Any], blocks: Iterable[Window]) -> list[Any]:
        if self.stack.device.type != "cpu":
            return [function(block) for block in blocks]
        # Always on a pool's thread, also for one block: there each operation keeps to one thread, and to its bits.
        return list(pool(self.workers).map(function, blocks))


def _keep_marks(classes: UInt8Array, marked: tuple[IntArray, IntArray, UInt8Array], window: Window) -> tuple[IntArray, IntArray]:
    """Give labelled pixels the class that they were given, whatever surrounds them; returns where in the window they are."""
    rows, cols, given = marked[0] - window.row, marked[1] - window.col, marked[2]
    inside = (rows >= 0) & (rows < window.height) & (cols >= 0) & (cols < window.width)
    classes[rows[inside], cols[inside]] = given[inside]
    return rows[inside], cols[inside]
