"""References, a similarity and a decision: a map."""

from __future__ import annotations

import copy
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from operator import itemgetter
from typing import Any, Literal, TypeVar, overload

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from .blockcache import BlockStore, MemoryCache
from .decision import (
    CANDIDATES,
    REACH,
    STRIDE,
    Assessment,
    Conflict,
    Guide,
    Known,
    Learned,
    LearnedMethod,
    Looks,
    Nearest,
    Suggestion,
    assess,
    background,
    decide_nearest,
    filtered,
    fit,
    lattice,
    migrants,
    pick,
    take,
    thin,
    together,
    unchanged,
)
from .errors import InputError, LabelError, ModelError, NotFittedError
from .model import Model, require_same_model
from .scene import Scene, Series, inside
from .segmentation import Segmentation
from .similarity import (
    CONTEXT,
    L1,
    RAW,
    MutualInformation,
    References,
    blocks_of,
    collect,
    describe,
    embed,
    grid_number,
    labelled_on,
    overlap,
    scene_number,
    survey,
)
from .similarity.dense import Projection
from .types import AnyArray, BoolArray, FloatArray, IntArray, LabelledPixels, UInt8Array, Window

Measure = Literal["local", "global", "l1"]
Priors = Literal["image", "equal"]
Method = Literal["auto", "nearest", "vote", "logistic"]
_Made = TypeVar("_Made")

_SURVEY_BYTES = 64 << 20
"""Of images, about 0.7 MB each."""

__all__ = ["Measure", "Method", "Priors", "Segmenter", "take"]


class Segmenter:
    """Maps images from a few labelled pixels; a label never retrains anything.

    Work is done and kept block by block, so that an image is embedded once. The nearest reference is found by evaluating
    new labels only; a learner learns anew from all labels, in milliseconds. Either way the map after additions and
    removals is the one a fresh fit would give, bit for bit.
    """

    def __init__(
        self,
        model: Model | None = None,
        *,
        method: Method | None = None,
        measure: Measure | None = None,
        abstain: float = 0.0,
        migrate: bool = True,
        priors: Priors = "image",
        check_labels: bool = True,
        cache_bytes: int = 1 << 30,
        workers: int | None = None,
        store: BlockStore | None = None,
    ) -> None:
        """Choose how pixels are compared.

        Args:
            model: Encoder and critics; None compares raw bands.
            method: How labels decide: 'nearest' (the paper's Algorithm 2), or a learner on the model's features with smoothing: 'vote',
                'logistic', or 'auto' for both together; see `pixelkin.decision.learned`. Default 'auto', or 'nearest' where a
                measure is named.
            measure: For the nearest: 'local' (the default with a model) or 'global' mutual information, or 'l1': the L1 distance of
                representations, or of raw bands without a model.
            abstain: Pixels of less confidence, 0..1, get class 0.
            migrate: Map other dates of a labelled place from what its labelled pixels look like on those dates, unless they plainly changed
                (see `pixelkin.decision.migration`); otherwise from what they looked like when they were labelled. Images are of
                one place if they have the same grid with a CRS. Learners only.
            priors: 'image' takes classes for as common as they are found to be in an even sample of an image that was not labelled itself, the more so
                the more places are labelled (see `Learned.proportioned`); 'equal' for all alike, so that what an image shows beyond `halo` has no say: for
                many images that are to fit together at their edges. Learners only.
            check_labels: Look for labels that contradict others as they come, and warn of them; otherwise only once `conflicts` or a
                confidence is asked for, so that classes come sooner.
            cache_bytes: Memory for what is known of blocks (16 MiB each, 9 MiB with a learner); the least recently used go first.
                0 keeps nothing.
            workers: Threads; default one a core. The result does not depend on it.
            store: Where what is known of blocks is kept over restarts; without one, in memory only.
        """
        method = method or ("auto" if measure is None else "nearest")
        if method not in ("auto", "nearest", "vote", "logistic"):
            raise InputError(f"method is {method!r}, expected 'auto', 'nearest', 'vote' or 'logistic'.")
        if method != "nearest" and measure is not None:
            raise InputError(f"method {method!r} compares learned features, expected no measure beside it. Leave out measure={measure!r}.")
        if priors not in ("image", "equal"):
            raise InputError(f"priors is {priors!r}, expected 'image' or 'equal'.")
        if not 0 <= abstain <= 1:
            raise InputError(f"abstain is {abstain!r}, expected a confidence from 0 (label every pixel) to 1.")
        self.method: Method = method
        self.abstain = abstain
        self.migrate = migrate
        self.priors: Priors = priors
        self.check_labels = check_labels
        measure = measure or ("l1" if model is None else "local")
        if measure not in ("local", "global", "l1"):
            raise InputError(f"measure is {measure!r}, expected 'local', 'global' or 'l1'.")
        if model is None and measure != "l1":
            raise InputError(f"measure {measure!r} needs a model, expected measure='l1' without one. Train or load a model.")
        self.model = model
        self.measure: Measure = measure
        self.workers = workers or os.cpu_count() or 1
        self._similarity: Any = L1(raw=model is None) if model is None or measure == "l1" else MutualInformation(model, measure)
        self._cache: MemoryCache[Nearest | _Described] = MemoryCache(cache_bytes)
        self._store = store
        self._looks_elsewhere = Looks()
        self._surveys: MemoryCache[Tensor] = MemoryCache(_SURVEY_BYTES)
        self._fitted: _Fitted | None = None
        self._next_serial = 0

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Labels that contradict others, as far as the labels let it be seen; always empty for the nearest reference."""
        return self._conflicts(self._require_fitted())

    @property
    def halo(self) -> int:
        """Pixels around a block that its map depends on, beside labelled places and, with priors='image', the survey of an image without labels."""
        radius = 0 if self.model is None else self.model.config.radius
        return radius if self.method == "nearest" else radius + CONTEXT + REACH

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
        self._set(references, self._serials(len(references)))

    def replica(self, *, cache_bytes: int, workers: int | None = None) -> Segmenter:
        """A Segmenter that decides the same, with a cache and threads of its own and no store; labels given to one stay unknown to the other.

        Args:
            cache_bytes: As for a new Segmenter.
            workers: Threads; default as many as here.
        """
        twin = copy.copy(self)
        twin._cache = MemoryCache(cache_bytes)
        twin._store = None
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
        references = self._collect(scenes[0], parts[0])
        for other, more in zip(scenes[1:], parts[1:], strict=True):
            references = references.merge(self._collect(other, more))
        self._set(references, self._serials(len(references)))
        return self

    def add(self, scene: Scene, labels: LabelledPixels) -> Segmenter:
        """More labelled pixels, of this scene or another. A pixel marked before takes its new class."""
        if self._fitted is None:
            return self.fit(scene, labels)
        old, new = self._fitted.references, self._collect(scene, labels)
        again = set(map(tuple, new.origins.tolist()))
        kept = [i for i, origin in enumerate(old.origins.tolist()) if tuple(origin) not in again]
        serials = [self._fitted.serials[i] for i in kept] + self._serials(len(new))
        self._set((old.take(kept) if len(kept) < len(old) else old).merge(new), serials)
        return self

    def remove(self, scene: Scene, rows: Iterable[int], cols: Iterable[int]) -> Segmenter:
        """Forget labelled pixels of a scene.

        Raises:
            LabelError: A pixel was not labelled, or fewer than two classes would be left.
        """
        fitted = self._require_fitted()
        number, origins = scene_number(scene), list(map(tuple, fitted.references.sites.tolist()))
        gone = {(number, int(row), int(col)) for row, col in zip(rows, cols, strict=True)}
        missing = gone - set(origins)
        if missing:
            _, row, col = min(missing)
            raise LabelError(
                f"pixel at row {row}, column {col} of {scene.name} is not labelled, expected a labelled pixel. See what is with segmenter.references."
            )
        kept = [i for i, origin in enumerate(origins) if origin not in gone]
        if len(np.unique(fitted.references.classes[kept])) < 2:
            raise LabelError(
                "removing these labels leaves fewer than two classes, expected at least two. Add labels of another class first."
            )
        self._set(fitted.references.take(kept), [fitted.serials[i] for i in kept])
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
            A Segmentation, or one a date. With a learner, labelled pixels of the image keep their class, with confidence 1; elsewhere
            confidence is the calibrated probability that the class is right (see `pixelkin.decision.calibration`). With the nearest reference it is 1 - exp(-(D_2 - D_1) / J) for mutual
            information and 1 - D_1 / D_2 for L1, D_1 and D_2 being the distances to the nearest reference of the best and of the second
            class, J the local positions (1 for global): 0 where two classes are equally near, 1 where no other comes close.

        Raises:
            NotFittedError: No labels yet.
            ModelError: The scene's bands are not the model's.
            RasterError: The window is not inside the image.
        """
        if isinstance(scene, Series):
            return [self.predict(date, window) for date in scene]
        fitted = self._require_fitted()
        window = self._inside(scene, window)
        asked = self._ask(scene, fitted)
        sharpness = self._sharpness(asked)
        classes = np.zeros((window.height, window.width), np.uint8)
        confidence = np.zeros(classes.shape, np.float32)
        valid = np.zeros(classes.shape, np.bool_)

        def one(block: Window) -> None:
            decided = self._decide(scene, block, asked, sharpness)
            inside, target = overlap(block, window)
            classes[target], confidence[target], valid[target] = (array[inside] for array in decided)

        self._each(one, blocks_of(scene.grid, window))
        confidence[_keep_marks(classes, asked.marked, window)] = 1
        return Segmentation(classes, confidence, valid, fitted.references.legend, scene.grid.crop(window), self._provenance(scene, fitted))

    def classify(self, scene: Scene, window: Window | None = None) -> tuple[UInt8Array, BoolArray]:
        """The classes of `predict` alone, sooner: a learner need not find out how sure it may be.

        Args:
            scene: Any image with the bands of the labelled one.
            window: Window inside the image; default all of it.

        Returns:
            Class ids, 0 = no data or undecided, and where there is data: (row, col) each.

        Raises:
            As `predict`.
        """
        if self.method == "nearest" or self.abstain:
            result = self.predict(scene, window)
            return result.classes, result.valid
        fitted = self._require_fitted()
        window = self._inside(scene, window)
        classes = np.zeros((window.height, window.width), np.uint8)
        valid = np.zeros(classes.shape, np.bool_)
        asked = self._ask(scene, fitted)

        def one(block: Window) -> None:
            entry = self._entry(scene, block, asked.fingerprint)
            assert isinstance(entry, _Described)
            inside, target = overlap(block, window)
            classes[target], valid[target] = entry.classify(asked, block)[inside], entry.valid[inside]

        self._each(one, blocks_of(scene.grid, window))
        _keep_marks(classes, asked.marked, window)
        return classes, valid

    def _inside(self, scene: Scene, window: Window | None) -> Window:
        """The window to map; checked, and so are the bands."""
        window = inside(window, scene.grid, scene.name)
        self._bands(scene)
        return window

    def embedded(self, scene: Scene) -> list[Window]:
        """The blocks of an image that are in memory: they need not be embedded again."""
        return self._cache.blocks(scene.fingerprint)

    def suggest(
        self,
        scene: Scene,
        k: int = 10,
        *,
        blocks: Iterable[Window] | None = None,
        free: Callable[[IntArray, IntArray], BoolArray] | None = None,
    ) -> list[Suggestion]:
        """Pixels whose labels would help most: in doubt, common, and different from one another.

        Args:
            scene: The image to label further.
            k: How many pixels, >= 1.
            blocks: Where to look: some of the image's `blocks_of`, such as those of `embedded`; default all of it.
            free: Told rows and columns (n,), says which pixels may be asked for (n,); default all that are not labelled.

        Returns:
            At most k valid pixels, first those that stand for most doubt. The same labels and blocks give the same suggestions.

        Raises:
            NotFittedError: No labels yet.
        """
        if k < 1:
            raise InputError(f"k is {k}, expected at least one pixel to suggest.")
        fitted = self._require_fitted()
        self._bands(scene)
        asked = self._ask(scene, fitted)
        sharpness = self._sharpness(asked)
        marked = fitted.marked(self.model, scene)
        labelled = marked[0] * scene.grid.width + marked[1]
        where = list(blocks_of(scene.grid, scene.grid.window) if blocks is None else blocks)
        # Evenly spread, so that the sample does not depend on chance.
        step = max(1, int(np.sqrt(sum(block.height * block.width for block in where) / CANDIDATES)))
        # Of what the labelled pixels lie among, by which features are standardised.
        around = None if self.method == "nearest" else background(fitted.references)

        def look(block: Window) -> tuple[IntArray, IntArray, FloatArray, AnyArray]:
            rows, cols = lattice(block, step)
            _, confidence, valid = self._decide(scene, block, asked, sharpness)
            keep = valid[rows - block.row, cols - block.col] & ~np.isin(rows * scene.grid.width + cols, labelled)
            if free is not None:
                keep &= free(rows, cols)
            rows, cols = rows[keep], cols[keep]
            doubt = 1 - confidence[rows - block.row, cols - block.col]
            return rows, cols, doubt, self._looks(scene, block, asked, rows, cols, around)

        parts = self._each(look, where)
        if not sum(len(part[0]) for part in parts):
            return []
        rows, cols, doubt, looks = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.lexsort((cols, rows))
        rows, cols, doubt, looks = rows[order], cols[order], doubt[order], looks[order]
        place = np.stack([rows, cols], axis=1) / max(scene.grid.shape)
        vectors = np.concatenate([place, looks], axis=1)
        chosen = _pool(self.workers).submit(_alone, pick, doubt, vectors, min(k, len(rows))).result().tolist()
        return [Suggestion(int(rows[i]), int(cols[i]), float(doubt[i])) for i in chosen]

    def _looks(
        self, scene: Scene, block: Window, asked: _Asked, rows: IntArray, cols: IntArray, around: tuple[AnyArray, AnyArray] | None
    ) -> AnyArray:
        """What some pixels of a block look like, (n, d) of about unit spread; nothing where no learner keeps features."""
        if around is None:
            return np.empty((len(rows), 0))
        entry = self._entry(scene, block, asked.fingerprint)
        assert isinstance(entry, _Described)
        assert asked.taught is not None
        own, (centre, scale) = asked.taught.learned.own, around
        at = torch.from_numpy((rows - block.row + REACH) // STRIDE), torch.from_numpy((cols - block.col + REACH) // STRIDE)
        looks = entry.features[:own, at[0], at[1]].T.cpu().double().numpy()
        standardised: AnyArray = (looks - centre[:own]) / scale[:own] / np.sqrt(own)
        return standardised

    def _ask(self, scene: Scene, fitted: _Fitted) -> _Asked:
        """What all blocks of an image are asked; not from a thread of the pool, which would wait for one of its own."""
        fingerprint = scene.fingerprint
        if self.method == "nearest":
            return fitted.asked.setdefault(fingerprint, _Asked(fingerprint, fitted, _NO_MARKS, None, None))
        if fingerprint not in fitted.asked:
            marked = fitted.marked(self.model, scene)
            taught = self._migrated(scene, fitted) if self.migrate else None
            if taught is None:
                taught = self._taught(fitted, "here" if len(marked[0]) else "elsewhere")
            here = fitted.references.origins[fitted.labelled_on(self.model, scene), 0].tolist()
            learner = taught.learned.on({scene_number(scene), *here})
            if self.priors == "image" and not len(marked[0]):
                # Not where the marks are: who marks sees what they do, and asks for a small class by marking it.
                learner = _pool(self.workers).submit(_alone, learner.proportioned, self._survey(scene)).result()
            # Two threads may both come here; the first one's counts, because blocks tell answers apart by what they were asked.
            fitted.asked.setdefault(fingerprint, _Asked(fingerprint, fitted, marked, taught, learner))
        return fitted.asked[fingerprint]

    def _survey(self, scene: Scene) -> Tensor:
        """Features (K, n) of pixels from all over an image."""

        def look() -> Tensor:
            return survey(self.model, scene, self._bands(scene), self._each)

        key = scene.fingerprint, scene.grid.window
        found = self._surveys.get(key)
        if found is not None:
            return found
        with _surveying:
            found = self._surveys.get(key)
            if found is None:
                found = self._surveys.put(
                    key, self._stored(("survey",), look, lambda seen: {"features": seen}, itemgetter("features"), key[0])
                )
            return found

    def _migrated(self, scene: Scene, fitted: _Fitted) -> _Taught | None:
        """A learner that knows the places labelled on other images of the same grid by their looks on this one; None where there is nothing new to learn."""
        references, ids = fitted.references, fitted.ids
        grid = grid_number(scene.grid)
        moving = migrants(references, fitted.labelled_on(self.model, scene), grid)
        if not len(moving):
            return None

        def collect_there(places: References) -> References:
            rows, cols = places.origins[:, 2:].T.numpy()
            return self._collect(scene, LabelledPixels(rows, cols, places.classes, places.legend), skip_nodata=True)

        there = self._looks_elsewhere.of(references.take(moving), scene.fingerprint, collect_there)
        there = there.take(np.flatnonzero(unchanged(there, ids, self._taught(fitted, "elsewhere", "vote").learned)))
        staying = np.flatnonzero(fitted.labelled_on(self.model, scene) | (references.origins[:, 1].numpy() != grid))
        known = references.take(staying).merge(there)
        # A class that nowhere looks like itself on this date is known by its looks on others alone.
        return self._teach(known, ids, "migrated") if set(known.classes.tolist()) == set(ids) else None

    def _taught(self, fitted: _Fitted, known: Known, method: LearnedMethod | None = None) -> _Taught:
        """A learner of all references, of the Segmenter's method unless another is named."""
        key = known, method
        if key not in fitted.taught:
            # Two threads may both come here; the first one's counts.
            fitted.taught.setdefault(key, self._teach(fitted.references, fitted.ids, known, method))
        return fitted.taught[key]

    def _teach(self, references: References, ids: list[int], known: Known, method: LearnedMethod | None = None) -> _Taught:
        chosen = method or self.method
        assert chosen != "nearest"
        learned = _pool(self.workers).submit(_alone, fit, references, ids, chosen, known).result()
        return _Taught(references, ids, known, learned if self.model is None else learned.to(self.model.device))

    def _sharpness(self, asked: _Asked) -> float | None:
        return None if asked.taught is None else self._assessment(asked.taught).sharpness

    def _decide(self, scene: Scene, block: Window, asked: _Asked, sharpness: float | None) -> tuple[UInt8Array, FloatArray, BoolArray]:
        entry = self._entry(scene, block, asked.fingerprint)
        fitted = asked.fitted
        with entry.lock:
            # The same question again: a window shown anew, or a suggestion after a map.
            if entry.decided is not None and entry.decided[0] is asked:
                return entry.decided[1], entry.decided[2], entry.valid
            if isinstance(entry, Nearest):
                best, order = entry.update(self._similarity, fitted.prepared, fitted.references, fitted.serials, fitted.ids)
                classes, confidence = decide_nearest(
                    best, order, fitted.ids, relative=isinstance(self._similarity, L1), positions=self._similarity.positions
                )
            else:
                assert sharpness is not None
                classes, confidence = entry.decide(asked, block, sharpness)
            classes[~entry.valid], confidence[~entry.valid] = 0, 0
            if self.abstain:
                classes[confidence < self.abstain] = 0
            entry.decided = asked, classes, confidence
        return classes, confidence, entry.valid

    def _entry(self, scene: Scene, block: Window, fingerprint: str) -> Nearest | _Described:
        key = fingerprint, block
        entry = self._cache.get(key)
        if entry is None:
            kind = self.measure if self.method == "nearest" else "learner"
            entry = self._cache.put(key, self._stored((kind, block), lambda: self._embed(scene, block), _pack, _unpack, fingerprint))
        return entry

    def _stored(
        self,
        what: tuple[object, ...],
        make: Callable[[], _Made],
        pack: Callable[[_Made], dict[str, Tensor]],
        unpack: Callable[[dict[str, Tensor]], _Made],
        fingerprint: str,
    ) -> _Made:
        """What the store has of an image, or else what is made of it, which the store then gets."""
        if self._store is None or not self._is_on_cpu:
            return make()
        name = self._store.key(fingerprint, RAW if self.model is None else self.model.hash, *what)
        kept = self._store.get(name)
        if kept is not None:
            return unpack(kept)
        made = make()
        self._store.put(name, pack(made))
        return made

    @property
    def _is_on_cpu(self) -> bool:
        return self.model is None or self.model.device.type == "cpu"

    def _embed(self, scene: Scene, block: Window) -> Nearest | _Described:
        if self.method == "nearest":
            embedding = embed(self.model, scene, block, self._bands(scene))
            return Nearest(self._similarity.project(embedding), embedding.valid)
        embedding = embed(self.model, scene, block, self._bands(scene), margin=CONTEXT + REACH)
        inside = slice(CONTEXT, -CONTEXT)
        return _Described.of(
            describe(embedding),
            embedding.bands[:, inside, inside],
            embedding.valid[inside, inside],
            learned=self.model is not None,
        )

    def _collect(self, scene: Scene, labels: LabelledPixels, *, skip_nodata: bool = False) -> References:
        return collect(self.model, scene, labels, self._bands(scene), self._each, skip_nodata=skip_nodata)

    def _each(self, function: Callable[[Window], Any], blocks: Iterable[Window]) -> list[Any]:
        if not self._is_on_cpu:
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

    def _set(self, references: References, serials: list[int]) -> None:
        present = set(references.classes.tolist())
        ids = [i for i in references.legend.ids if i in present]
        if self.method == "nearest":
            fitted = _Fitted(references, serials, ids, prepared=self._similarity.prepare(references))
        else:
            fitted = _Fitted(references, serials, ids)
        before, self._fitted = self._fitted, fitted
        if not self.check_labels:
            return
        known = self._conflicts(before) if before is not None else ()
        fresh = {str(conflict): None for conflict in self._conflicts(self._fitted) if conflict not in known}
        if fresh:
            warnings.warn(
                f"labels contradict each other: {'; '.join(list(fresh)[:3])}{'; ...' if len(fresh) > 3 else ''}. "
                "Correct them, or merge classes that are the same; segmenter.conflicts has them all.",
                stacklevel=3,
            )

    def _conflicts(self, fitted: _Fitted) -> tuple[Conflict, ...]:
        return () if self.method == "nearest" else self._assessment(self._taught(fitted, "here")).conflicts

    def _assessment(self, taught: _Taught) -> Assessment:
        """What the labels say of the learner; must not be called from a thread of the pool."""
        with _assessing:
            if taught.assessment is None:
                # The learner's twin that goes by looks serves the marked image: it finds wrong labels, and a click waits for it.
                known = "migrated" if taught.known == "migrated" else "elsewhere"
                taught.assessment = _pool(self.workers).submit(_alone, assess, taught.references, taught.ids, self.method, known).result()
            return taught.assessment

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
            "method": self.method,
            **({"measure": self.measure} if self.method == "nearest" else {}),
            **({"abstain": f"{self.abstain:g}"} if self.abstain else {}),
            **({} if self.migrate or self.method == "nearest" else {"migrate": "no"}),
            **({} if self.priors == "image" or self.method == "nearest" else {"priors": self.priors}),
            "scene": scene.name,
            "pixelkin": _version("pixelkin"),
            "torch": _version("torch"),
        }


_Marks = tuple[IntArray, IntArray, UInt8Array]
"""Rows, columns and classes of labelled pixels."""
_NO_MARKS = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8)


@dataclass(eq=False)
class _Fitted:
    """References at one moment; never changed, so that a prediction under way keeps what it started with."""

    references: References
    serials: list[int]
    """Rising number of each reference, never used twice by a Segmenter: who was given first, and what a block has seen."""
    ids: list[int]
    """Ids of the classes that have references, in legend order."""
    prepared: Any = None
    """What the similarity made of the references; None for learners."""
    taught: dict[tuple[Known, LearnedMethod | None], _Taught] = field(default_factory=dict)
    """Learners of these references, as they were needed; see `Segmenter._taught`."""
    asked: dict[str, _Asked] = field(default_factory=dict)
    """What images are asked, by fingerprint."""
    marks: dict[str, BoolArray] = field(default_factory=dict)
    """Which references were labelled on an image, by its fingerprint."""

    def labelled_on(self, model: Model | None, scene: Scene) -> BoolArray:
        """Which references (L,) were labelled on an image."""
        fingerprint = scene.fingerprint
        if fingerprint not in self.marks:
            self.marks[fingerprint] = labelled_on(self.references, model, scene)
        return self.marks[fingerprint]

    def marked(self, model: Model | None, scene: Scene) -> _Marks:
        """Rows, columns and classes of the labelled pixels of an image."""
        own = self.labelled_on(model, scene)
        origins = self.references.origins.numpy()
        return origins[own, 2], origins[own, 3], self.references.classes[own]


@dataclass(eq=False)
class _Taught:
    """A learner and what it was taught."""

    references: References
    ids: list[int]
    """Ids of the classes, in the order of its probabilities."""
    known: Known
    """What it maps, see `fit`."""
    learned: Learned
    assessment: Assessment | None = None
    """What the labels say of it, once somebody wants to know."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """What every block of an image is asked."""

    fingerprint: str
    """Of the image."""
    fitted: _Fitted
    marked: _Marks
    """Labelled pixels of the image, which keep their class; none for the nearest."""
    taught: _Taught | None
    """Who answers; None for the nearest."""
    learner: Learned | None
    """What it says of this image."""


@dataclass(eq=False)
class _Described:
    """One block for a learner: features of every second pixel, REACH pixels beyond the block on each side."""

    features: Tensor
    """(K, h, w), h = ceil(row / 2) + REACH"""
    guide: Guide
    valid: BoolArray
    """(row, col)"""
    lock: threading.Lock = field(default_factory=threading.Lock)
    decided: tuple[Any, UInt8Array, FloatArray] | None = None
    """The last answer, and the references it was given with."""

    @classmethod
    def of(cls, features: Tensor, bands: Tensor, valid: BoolArray, *, learned: bool) -> _Described:
        usable = torch.from_numpy(valid).to(bands.device)
        features = thin(features)
        if learned:
            # Of a network and of standardised bands: small numbers, of which three digits tell all, but for bands gone wild.
            features = features.clamp(-6e4, 6e4).half()
        elif valid.any():
            known = bands[:, usable]
            level, spread = known.mean(dim=1), known.std(dim=1, correction=0)
            bands = (bands - level[:, None, None]) / (spread + 1e-6 * level.abs() + 1e-12)[:, None, None]
        return cls(features.contiguous(), Guide.of(bands, usable), valid[REACH:-REACH, REACH:-REACH])

    @property
    def nbytes(self) -> int:
        return self.features.nbytes + self.guide.nbytes + self.valid.nbytes

    def classify(self, asked: _Asked, block: Window) -> UInt8Array:
        """Class ids (row, col), 0 = no data: those of `decide`."""
        with self.lock:
            if self.decided is not None and self.decided[0] is asked:
                return self.decided[1]
            with torch.inference_mode():
                classes = self._winners(self._filtered(asked, block), asked.fitted.ids)
            classes[~self.valid] = 0
            return classes

    def decide(self, asked: _Asked, block: Window, sharpness: float) -> tuple[UInt8Array, FloatArray]:
        """Class ids and confidence (row, col)."""
        with torch.inference_mode():
            planes = self._filtered(asked, block)
            classes = self._winners(planes, asked.fitted.ids)
            power = planes.div_(planes.sum(dim=0)).pow_(sharpness)
            confidence = power.amax(dim=0).div_(power.sum(dim=0))
            return classes, together(confidence, self.guide.shape).cpu().numpy()

    def _filtered(self, asked: _Asked, block: Window) -> Tensor:
        assert asked.learner is not None
        near = None
        if asked.learner.near is not None:
            rows, cols = (
                start - REACH + STRIDE * np.arange(size)
                for start, size in zip((block.row, block.col), self.features.shape[1:], strict=True)
            )
            near = asked.learner.near.field(rows, cols).flatten(1)
        probabilities = asked.learner.probabilities(self.features.flatten(1), near)
        return filtered(probabilities.view(-1, *self.features.shape[1:]), self.guide)

    def _winners(self, planes: Tensor, ids: list[int]) -> UInt8Array:
        best = planes[0].clone()
        winners = torch.full_like(best, ids[0], dtype=torch.uint8)
        for class_id, plane in zip(ids[1:], planes[1:], strict=True):
            winners.masked_fill_(plane > best, class_id)
            torch.maximum(best, plane, out=best)
        return together(winners, self.guide.shape).cpu().numpy()


def _pack(entry: Nearest | _Described) -> dict[str, Tensor]:
    """What `_unpack` makes the same entry of."""
    parts: dict[str, Any]
    if isinstance(entry, _Described):
        guide = {f"guide.{name}": value for name, value in vars(entry.guide).items() if name != "shape"}
        parts = {"features": entry.features, "shape": torch.tensor(entry.guide.shape), **guide}
    else:
        parts = {"projection": entry.projection} if isinstance(entry.projection, Tensor) else vars(entry.projection)
    return {**parts, "valid": torch.from_numpy(entry.valid)}


def _unpack(parts: dict[str, Tensor]) -> Nearest | _Described:
    valid = parts.pop("valid").numpy()
    if "features" in parts:
        height, width = parts.pop("shape").tolist()
        features = parts.pop("features")
        guide = {name.removeprefix("guide."): value for name, value in parts.items()}
        return _Described(features, Guide(shape=(height, width), **guide), valid)
    return Nearest(parts["projection"] if "projection" in parts else Projection(**parts), valid)


def _alone(function: Callable[..., Any], *given: Any) -> Any:
    """A function's result on one thread, as everything: for the bits, and because problems this small only wait for more."""
    with _libraries().limit(limits=1):
        return function(*given)


@cache
def _libraries() -> ThreadpoolController:
    # Finding the libraries takes longer than most of what is done with them.
    return ThreadpoolController()


@cache
def _version(package: str) -> str:
    return version(package)


_assessing = threading.Lock()
_surveying = threading.Lock()


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Threads that each keep to one core; shared by all Segmenters, so that many of them do not fight."""
    return ThreadPoolExecutor(workers, thread_name_prefix="pixelkin", initializer=torch.set_num_threads, initargs=(1,))


def _keep_marks(classes: UInt8Array, marked: _Marks, window: Window) -> tuple[IntArray, IntArray]:
    """Give labelled pixels the class that they were given, whatever surrounds them; returns where in the window they are."""
    rows, cols, given = marked[0] - window.row, marked[1] - window.col, marked[2]
    inside = (rows >= 0) & (rows < window.height) & (cols >= 0) & (cols < window.width)
    classes[rows[inside], cols[inside]] = given[inside]
    return rows[inside], cols[inside]


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
