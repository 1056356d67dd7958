"""`Session`: a project being labelled. What the web page does, Python can do too.

It answers at once: images show before the engine is loaded, and the first map compares raw bands while an encoder is trained
in another process. Every change is on the disk before the call returns.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import InputError, NotFittedError, PkError, TrainingError
from ..scene import Scene, as_scenes
from ..types import BoolArray, Grid, IntArray, UInt8Array
from . import pictures
from .edits import AddMark, Edit, UpdateMark, apply_edits
from .errors import ForbiddenError, NoSuchItemError, StaleError
from .events import EventHub
from .jobs import Format, Job, JobFile, Jobs, Progress
from .labels import LabelState
from .marks import Mark, parse_geometry
from .pictures import TILE, BandStatistics, Look
from .project import Project, scene_ids
from .store import Editor, Receipt, StoreChanges

if TYPE_CHECKING:
    from ..blockcache import BlockStore
    from ..coverage import Coverage
    from .coverage import CoverageWatch
    from .livemap import BlockAnswer, LiveMap
    from .mapping import Recipe

_log = logging.getLogger(__name__)

MapLayer = Literal["classes", "confidence"]
ModelState = Literal["none", "training", "ready", "failed"]
# Torch takes seconds to load; the page must show the image before.
_ENGINE_DELAY_S = 1.5
_POLL_S = 0.5
# What a tile of an overview waits for; the page asks again when the rest is there.
_TILE_PATIENCE_S = 0.4
_MAX_BLOCKS_NOW = 16
# Areas of pixels, of the grids asked for last: one number a pixel where a grid is rotated.
_KEPT_CELLS = 2


@dataclass(frozen=True)
class MapStatus:
    """Whether there is a map."""

    ready: bool
    reason: str | None
    """What is missing, in words for the user."""


@dataclass(frozen=True)
class ModelStatus:
    """How pixels are compared."""

    state: ModelState
    hash: str | None
    measure_in_use: str
    job: str | None
    """Training job under way or last done."""
    message: str


@dataclass(frozen=True)
class EditResult:
    """What a change did."""

    receipt: Receipt
    changes: StoreChanges


@dataclass(frozen=True)
class Suggestion:
    """A pixel worth marking."""

    scene: str
    row: int
    col: int
    score: float
    """0..1, higher = more useful."""
    reason: str


@dataclass(frozen=True)
class DoubtfulMark:
    """A mark of which labels look like another class."""

    mark: Mark
    row: int
    """Of the first of these labels."""
    col: int
    looks_like: int
    """Class id."""
    labels: int
    """How many of the pixels that it teaches with."""


@dataclass(frozen=True)
class Contradictions:
    """What the labels say against each other."""

    revision: int
    is_checked: bool
    """False while the labels of this revision are still to be looked through; what was found before is given then."""
    marks: list[DoubtfulMark]
    """Those with most such labels first."""
    classes: list[tuple[int, int]]
    """Ids of classes that cannot be told apart."""


class Session:
    """A project, its images and the map as it is now. All methods may be called from any thread."""

    def __init__(self, project: Project, *, train: bool = True, cache_bytes: int = 1 << 30) -> None:
        """Start at once; the engine loads in the background.

        Args:
            project: Open project; the session closes it.
            train: Train an encoder where the project has none.
            cache_bytes: Memory for what the engine knows of blocks.
        """
        self.project = project
        self.events = EventHub()
        self.jobs = Jobs(self.events)
        self.state = LabelState(project.scenes)
        self.state.absorb(project.store.read_all())
        self._cache_bytes = cache_bytes
        self._train = train
        self._lock = threading.RLock()
        self._live: LiveMap | None = None
        self._coverage: CoverageWatch | None = None
        self._answering = (self.state.revision, -1)
        self._store: BlockStore | None = None
        self._model: Any = None
        self._model_path: Path | None = None
        self._model_job: str | None = None
        self._model_message = "The engine is starting."
        self._model_failed = False
        self._measure_in_use = "learner on raw bands"
        self._statistics: dict[str, list[BandStatistics]] = {}
        self._ramp: UInt8Array | None = None
        self.events.subscribe(self._follow_training)
        self._closed = threading.Event()
        self._hurry = threading.Event()
        self._engine_lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._start_engine_later, name="pixelkin-engine", daemon=True),
            threading.Thread(target=self._poll, name="pixelkin-poll", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End background work and close the project."""
        self._closed.set()
        self._hurry.set()
        self.jobs.close()
        for thread in self._threads:
            thread.join(timeout=30)
        if self._coverage is not None:
            self._coverage.close()
        if self._live is not None:
            self._live.close()
        if self._store is not None:
            self._store.close()
        self.project.close()

    # --- what is there -------------------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Rises with every change of labels, settings or model."""
        return self.state.revision

    def map_status(self) -> MapStatus:
        """Whether map tiles can be asked for."""
        if len({mark.class_id for mark in self.state.marks.values() if mark.class_id}) < 2:
            return MapStatus(False, "Mark at least two classes.")
        if self._live is None:
            return MapStatus(False, "The engine is starting.")
        return MapStatus(self._live.reason is None, self._live.reason)

    def model_status(self) -> ModelStatus:
        """The encoder, and its training."""
        training = self._model_job is not None and self.jobs.get(self._model_job).state in ("queued", "running")
        state: ModelState = "training" if training else "ready" if self._model is not None else "failed" if self._model_failed else "none"
        digest = None if self._model is None else self._model.hash
        return ModelStatus(state, digest, self._measure_in_use, self._model_job, self._model_message)

    def statistics(self, scene_id: str) -> list[BandStatistics]:
        """Statistics of a scene's bands, from an overview."""
        scene = self.project.scene(scene_id)
        if scene_id not in self._statistics:
            self._statistics[scene_id] = pictures.statistics(scene)
        return self._statistics[scene_id]

    def look(
        self, scene_id: str, bands: Sequence[int] | None = None, limits: Sequence[tuple[float, float]] | None = None, gamma: float = 1.0
    ) -> Look:
        """How to show a scene; None = its default."""
        scene = self.project.scene(scene_id)
        # Statistics cost a read of the overview: skipped where nothing of them is used.
        stats = self.statistics(scene_id) if limits is None else []
        return pictures.make_look(scene, stats, bands, limits, gamma)

    def image_tile(self, scene_id: str, look: Look, z: int, x: int, y: int) -> bytes:
        """A PNG tile of an image."""
        return pictures.image_tile(self.project.scene(scene_id), look, z, x, y)

    def thumbnail(self, scene_id: str, look: Look, size: int) -> bytes:
        """A PNG of a whole image."""
        return pictures.thumbnail(self.project.scene(scene_id), look, size)

    # --- changes -------------------------------------------------------------------------------------------------------

    def edit(self, edits: Sequence[Edit], *, key: str | None = None, title: str | None = None) -> EditResult:
        """Do a batch of edits as one step of undo.

        Args:
            edits: In order; all or none are done.
            key: Names the request; the same key again is answered and not done again.
            title: What the history calls the step.

        Raises:
            LabelError: An edit makes no sense, such as a mark outside the image.
            NoSuchItemError: A scene, class or mark that is not there.
        """
        with self._lock:
            self._check_covers(edits)
            there = list(self.project.scenes)
            receipt = self.project.store.edit(key or str(uuid.uuid4()), lambda editor: _apply_titled(editor, edits, there, title))
            self._focus_on(edits)
            return self._changed(receipt, "edit", key)

    def undo(self, *, key: str | None = None) -> EditResult:
        """Take back the last step; HistoryError where there is none."""
        with self._lock:
            return self._changed(self.project.store.undo(key or str(uuid.uuid4())), "undo", key)

    def redo(self, *, key: str | None = None) -> EditResult:
        """Do the last step taken back again; HistoryError where there is none."""
        with self._lock:
            return self._changed(self.project.store.redo(key or str(uuid.uuid4())), "redo", key)

    def changes_since(self, revision: int) -> StoreChanges:
        """What happened after a revision, also in other tabs and processes."""
        self.refresh()
        with self._lock:
            return self.project.store.changes_since(revision)

    def refresh(self) -> None:
        """Take in what other processes have changed."""
        with self._lock:
            if self.project.store.revision == self.state.revision:
                return
            before = self.project.settings, self.project.model_path
            self.project.reload()
            self._absorb(self.project.store.changes_since(self.state.revision))
            moved = before != (self.project.settings, self.project.model_path)
            self.events.publish("revision", {"revision": self.state.revision, "cause": "remote", "key": None})
        if moved:
            threading.Thread(target=self._switch_logged, name="pixelkin-switch", daemon=True).start()

    def change_settings(self, **changes: Any) -> None:
        """Change settings of the project; see `ProjectSettings`."""
        settings = dataclasses.replace(self.project.settings, **changes)
        self.project.update(settings=settings)
        self._switch("settings")

    def import_labels(self, path: Path, scene_id: str, *, class_property: str = "class", key: str | None = None) -> EditResult:
        """Bring the labels of a file in as one step of undo; classes are matched by name, new ones added.

        Args:
            path: GeoJSON, GeoPackage, CSV, or a label raster on the scene's grid.
            scene_id: The scene that the labels belong to.
            class_property: Property that names the class.
            key: As in `edit`.

        Raises:
            LabelError: The file cannot be read as labels of this scene; the message says why.
        """
        from .transfer import read_edits

        with self._lock:
            edits = read_edits(path, scene_id, self.project.scene(scene_id), self.state, class_property=class_property)
            return self.edit(edits, key=key, title=f"Import {len(edits)} edits")

    def export_labels(self, path: Path, scene_id: str) -> Path:
        """Write the labels of a scene as GeoJSON, GeoPackage or label raster, by the file's suffix."""
        from .transfer import export_labels

        with self._lock:
            return export_labels(path, scene_id, self.project.scene(scene_id), self.state)

    # --- the map -------------------------------------------------------------------------------------------------------

    def map_tile(self, scene_id: str, revision: int, z: int, x: int, y: int, layer: MapLayer) -> tuple[bytes, float]:
        """A PNG tile of the map, and how much of it is there, 0..1 (1 wherever z = 0).

        Raises:
            StaleError: The revision is superseded.
            NotFittedError: There is no map yet.
        """
        legend = self.state.legend
        index, complete = self.map_index(scene_id, revision, z, x, y, layer)
        if layer == "classes":
            return pictures.index_tile(index, pictures.class_colours(legend)), complete
        if self._ramp is None:
            self._ramp = pictures.confidence_ramp()
        return pictures.index_tile(index, self._ramp), complete

    def map_index(self, scene_id: str, revision: int, z: int, x: int, y: int, layer: MapLayer) -> tuple[UInt8Array, float]:
        """A tile of the map without colours, and how much of it is there, 0..1 (1 wherever z = 0).

        Returns:
            (TILE, TILE) class ids, or confidence 1..255; 0 where there is nothing.

        Raises:
            StaleError: The revision is superseded.
            NotFittedError: There is no map yet.
        """
        grid = self.project.scene(scene_id).grid
        window = pictures.tile_window(grid, z, x, y)
        live, version = self._answer(revision)
        if window is None:
            return pictures.full_tile(np.zeros((1, 1), np.uint8)), 1.0
        live.focus_scene(scene_id, window.row + window.height / 2, window.col + window.width / 2)
        confident = layer == "confidence"
        tile = _Tile(window.row, window.col, window.height, window.width, 1 << z)
        needed = tile.blocks()
        deadline = time.monotonic() + _TILE_PATIENCE_S
        done = 0
        for row, col in needed:
            answer = live.peek(scene_id, row, col, version)
            if (answer is None or (confident and answer.confidence is None)) and (
                z == 0 or (len(needed) <= _MAX_BLOCKS_NOW and time.monotonic() < deadline)
            ):
                answer = live.block(scene_id, row, col, version, confident=confident)
                if answer is None:
                    break
            part = None if answer is None else _layer_of(answer, layer)
            if part is not None:
                done += 1
                tile.put(row, col, part)
        # Asked again: labels may have changed while the tile was made.
        self._answer(revision)
        if live.version != version:
            raise StaleError(revision, self.revision)
        return pictures.full_tile(tile.index), done / len(needed)

    def compute_all(self) -> None:
        """Compute the whole map of every scene now, instead of in the background; does nothing where there is no map."""
        live, (_, version) = self._live, self._answering
        if live is None or not self.map_status().ready:
            return
        for scene_id, scene in self.project.scenes.items():
            for row, col in _blocks(scene.grid):
                live.block(scene_id, row, col, version)

    def map_at(self, scene_id: str, row: int, col: int) -> tuple[int, float | None] | None:
        """Class id and confidence of a pixel, None where it is not computed yet; no confidence while the map is being repainted."""
        live, (_, version) = self._live, self._answering
        answer = None if live is None else live.peek(scene_id, row // TILE, col // TILE, version)
        if live is not None and answer is not None and answer.confidence is None and not live.busy:
            answer = live.block(scene_id, row // TILE, col // TILE, version)
        if answer is None:
            return None
        confidence = None if answer.confidence is None else float(answer.confidence[row % TILE, col % TILE]) / 255
        return int(answer.classes[row % TILE, col % TILE]), confidence

    def areas(self, scene_id: str) -> tuple[float, int, int, IntArray, np.ndarray[Any, np.dtype[np.float64]] | None]:
        """What the map covers so far.

        Returns:
            Share of blocks done, pixels done, valid pixels, valid pixels of each class id (256,) with undecided ones at 0, square
            metres of each (256,) or None without a CRS.
        """
        grid = self.project.scene(scene_id).grid
        live, (_, version) = self._live, self._answering
        pixels = np.zeros(256, np.int64)
        metres = np.zeros(256)
        total = valid = done = 0
        blocks = _blocks(grid)
        cells = _cells(grid)
        for row, col in blocks:
            answer = None if live is None else live.peek(scene_id, row, col, version)
            if answer is None:
                continue
            if "areas" not in answer.notes:
                answer.notes["areas"] = _tally(answer.classes, answer.valid, cells, row * TILE, col * TILE)
            here, here_metres = answer.notes["areas"]
            done += 1
            total += answer.classes.size
            valid += int(here.sum())
            pixels += here
            metres += here_metres
        return done / len(blocks), total, valid, pixels, None if cells is None else metres

    def contradictions(self) -> Contradictions:
        """Marks that look like another class, and classes that cannot be told apart, on all scenes; worked out after the map.

        While an encoder is on its way nothing is held against a mark: bands alone tell less than the encoder will.
        """
        live, (revision, version) = self._live, self._answering
        if self._is_provisional:
            return Contradictions(revision, False, [], [])
        is_checked, found = (False, ()) if live is None else live.contradictions(version)
        marks: dict[tuple[str, int], DoubtfulMark] = {}
        classes: list[tuple[int, int]] = []
        known = {entry.id for entry in self.state.classes}
        for one in found:
            marked, other = one.classes
            # Of what was changed since nothing is known.
            if not {marked, other} <= known:
                continue
            if one.at is None:
                classes.append(one.classes)
                continue
            scene_id, row, col = one.at
            mark = self.state.canvases[scene_id].mark_at(row * self.project.scene(scene_id).grid.width + col)
            if mark is not None and mark.class_id == marked:
                first = marks.get((mark.id, other), DoubtfulMark(mark, row, col, other, 0))
                marks[mark.id, other] = dataclasses.replace(first, labels=first.labels + 1)
        return Contradictions(revision, is_checked, sorted(marks.values(), key=lambda one: (-one.labels, one.mark.order)), classes)

    def coverage(self) -> tuple[int, bool, dict[str, Coverage | None]]:
        """How much of each image is like nothing that was labelled; worked out in the background.

        Returns:
            The revision; whether all images were judged by its labels; what was found by the last that were, by scene id, None
            for an image that has labels of its own.
        """
        watch, (revision, version) = self._coverage, self._answering
        is_checked, found = (False, {}) if watch is None else watch.found(version)
        return revision, is_checked, found

    @property
    def _is_provisional(self) -> bool:
        """The map compares raw bands until the encoder is there that is being trained, or about to be."""
        to_come = self._train and self._model_job is None and not self._model_failed
        return self._model is None and (to_come or self.model_status().state == "training")

    def suggest(self, scene_id: str, count: int = 10) -> list[Suggestion]:
        """Where a mark would help most: pixels in doubt, each standing for many, as `Segmenter.suggest` finds them.

        Of an image too large to look at in a moment, they come from a megapixel that is known already.
        """
        width = self.project.scene(scene_id).grid.width
        pixels = self.state.canvases[scene_id].pixels

        def free(rows: IntArray, cols: IntArray) -> BoolArray:
            return ~np.isin(rows * width + cols, pixels)

        found = [] if self._live is None else self._live.suggest(scene_id, count, free)
        return [Suggestion(scene_id, one.row, one.col, one.doubt, "in doubt, and like many others") for one in found]

    # --- jobs ----------------------------------------------------------------------------------------------------------

    def start_training(self, *, preset: str = "fast", steps: int | None = None, scenes: Sequence[str] | None = None) -> Job:
        """Train an encoder in another process, and go over to it when it is done."""
        if self._model_job is not None and self.jobs.get(self._model_job).state in ("queued", "running"):
            return self.jobs.get(self._model_job)
        if steps is not None and not 1 <= steps <= 1_000_000:
            raise InputError(f"steps is {steps}, expected 1 to 1000000.")
        if preset not in ("fast", "paper"):
            raise InputError(f"preset is {preset!r}, expected 'fast' or 'paper'.")
        chosen = list(scenes if scenes else self.project.scenes)
        for scene_id in chosen:
            self.project.scene(scene_id)
        job = self.jobs.start("train", lambda progress: self._train_encoder(progress, chosen, preset, steps))
        self._model_job = job.id
        self._tell_model("An encoder is being trained; until then raw bands are compared.")
        return job

    def start_export(self, formats: Sequence[Format], *, scenes: Sequence[str] | None = None, name: str = "", replace: bool = False) -> Job:
        """Write maps of the project's scenes into its exports folder, as of now.

        Args:
            formats: What to write of each.
            scenes: Ids; default all.
            name: Start of the names of the files written.
            replace: Take the place of the files of an earlier run of that name, all of them.

        Raises:
            OutputError: There are files of that name, and they are not to be replaced.
            NotFittedError: There is no map yet.
        """
        chosen = {scene_id: self.project.scene(scene_id) for scene_id in (scenes if scenes else self.project.scenes)}
        return self._start_maps("export", chosen, formats, name, replace)

    def start_apply(
        self, paths: Sequence[str], roots: Sequence[Path], formats: Sequence[Format], *, name: str = "", replace: bool = False
    ) -> Job:
        """Map other images with the project's labels.

        Args:
            paths: Rasters or folders of dates.
            roots: Folders that they must lie in.
            formats: As in `start_export`.
            name: As in `start_export`.
            replace: As in `start_export`.

        Raises:
            ForbiddenError: A path lies elsewhere.
            OutputError: As `start_export`.
        """
        from ..raster import open_scene

        chosen: list[Scene] = []
        for path in paths:
            real = Path(path).resolve()
            _require_inside(str(real), roots)
            for scene in as_scenes(open_scene(real)):
                for source in _sources(getattr(scene, "path", "")):
                    _require_inside(source, roots)
                chosen.append(scene)
        return self._start_maps("apply", dict(zip(scene_ids(chosen), chosen, strict=True)), formats, name, replace)

    def _start_maps(
        self, kind: Literal["export", "apply"], scenes: dict[str, Scene], formats: Sequence[Format], name: str, replace: bool
    ) -> Job:
        from .exports import Exports
        from .mapping import Run, check_formats, write_maps

        check_formats(formats)
        recipe = self._recipe()
        run = Run(_safe_name(name) if name else "", replace, "ask for them to be replaced", remembers=True)
        folder = self.project.folder / "exports"
        Exports(folder).require_free(run.name, run.stems(scenes), replace=replace, fix=run.fix)

        def work(progress: Progress) -> list[JobFile]:
            written = write_maps(recipe, scenes, folder, formats, progress.tell, run=run, warn=progress.warn)
            return [JobFile(path.name, path.stat().st_size) for path in written]

        return self.jobs.start(kind, work)

    def _recipe(self) -> Recipe:
        """What the map on the page is drawn from, now."""
        from .mapping import Recipe

        with self._lock:
            status = self.map_status()
            if not status.ready and self._live is not None:
                raise NotFittedError(f"there is no map to write: {status.reason}")
            settings = self.project.settings
            return Recipe(self.project.scenes, self.state.lessons(settings.pixels_per_mark), self.state.legend, settings, self._model)

    # --- inside --------------------------------------------------------------------------------------------------------

    def _check_covers(self, edits: Sequence[Edit]) -> None:
        """Refuse marks that cover nothing before they are stored."""
        for edit in edits:
            if isinstance(edit, AddMark) and edit.scene in self.project.scenes:
                self.state.cover(Mark("", 0, edit.scene, edit.class_id, edit.kind, edit.geometry, edit.brush_px))
            elif isinstance(edit, UpdateMark) and edit.id in self.state.marks:
                self.state.cover(dataclasses.replace(self.state.marks[edit.id], **dict(edit.changes)))

    def _focus_on(self, edits: Sequence[Edit]) -> None:
        marks = [edit for edit in edits if isinstance(edit, AddMark)]
        if marks and self._live is not None:
            centre = parse_geometry(marks[-1].geometry).centroid
            self._live.focus(marks[-1].scene, centre.y, centre.x)

    def _changed(self, receipt: Receipt, cause: str, key: str | None) -> EditResult:
        changes = self.project.store.changes_since(self.state.revision)
        self._absorb(changes)
        if receipt.applied:
            self.events.publish("revision", {"revision": self.state.revision, "cause": cause, "key": key})
        if receipt.since != changes.since:
            changes = self.project.store.changes_since(receipt.since)
        self._hurry.set()
        return EditResult(receipt, changes)

    def _absorb(self, changes: StoreChanges) -> None:
        self.state.absorb(changes)
        self._teach()

    def _teach(self) -> None:
        if self._live is not None:
            self._live.learn(self.state.lessons(self.project.settings.pixels_per_mark))
            self._answering = (self.state.revision, self._live.version)

    def _answer(self, revision: int) -> tuple[LiveMap, int]:
        current, version = self._answering
        if revision != self.revision:
            raise StaleError(revision, self.revision)
        live = self._live
        status = self.map_status()
        if live is None or not status.ready:
            self._hurry.set()
            raise NotFittedError(f"there is no map yet: {status.reason}")
        if current != revision:
            raise StaleError(revision, self.revision)
        return live, version

    def _poll(self) -> None:
        while not self._closed.wait(_POLL_S):
            try:
                self.refresh()
            except PkError as exc:
                _log.warning("the project could not be read again: %s", exc)

    def _start_engine_later(self) -> None:
        self._hurry.wait(_ENGINE_DELAY_S)
        if self._closed.is_set():
            return
        try:
            self.start_engine()
            if self._train and self._model is None and not self._closed.is_set():
                self.start_training()
        except PkError as exc:
            self._model_failed = True
            self._tell_model(str(exc))
        except Exception:  # a thread's own border
            _log.exception("the engine did not start")
            self._model_failed = True
            self._tell_model("The engine did not start; the server's log says why.")

    def start_engine(self) -> None:
        """Load the engine now instead of in the background; does nothing the second time."""
        with self._engine_lock:
            if self._live is not None:
                return
            from ..blockcache import BlockStore
            from .coverage import CoverageWatch
            from .livemap import LiveMap
            from .mapping import comparison, load_encoder, make_segmenter

            settings = self.project.settings
            self._store = BlockStore(self.project.folder / "cache" / "blocks")
            self._model, self._model_path = load_encoder(self.project), self.project.model_path
            segmenter = make_segmenter(self._model, settings, cache_bytes=self._cache_bytes, store=self._store)
            self._measure_in_use = comparison(segmenter)
            live = LiveMap(self.project.scenes, segmenter, self._filled, self._checked, cache_bytes=self._cache_bytes, store=self._store)
            with self._lock:
                self._live = live
                self._teach()
            self._coverage = CoverageWatch(self.project.scenes, live, self._labelled, self._judged)
            self._tell_model("A trained encoder is in use." if self._model is not None else "Raw bands are compared.")
            self.events.publish("revision", {"revision": self.revision, "cause": "model", "key": None})

    def _filled(self, scene_id: str, version: int, done: int, total: int) -> None:
        revision, current = self._answering
        if version == current:
            self.events.publish("map", {"scene": scene_id, "revision": revision, "done": done, "total": total})

    def _labelled(self) -> tuple[str, list[str]] | None:
        """The image with most labels, and all that have some; None without labels."""
        counts = {scene_id: int(canvas.pixels_per_class().sum()) for scene_id, canvas in self.state.canvases.items()}
        some = [scene_id for scene_id, count in counts.items() if count]
        return (max(some, key=lambda scene_id: counts[scene_id]), some) if some else None

    def _judged(self, version: int) -> None:
        revision, current = self._answering
        if version == current:
            self.events.publish("coverage", {"revision": revision})

    def _follow_training(self, kind: str, data: dict[str, Any]) -> None:
        """Once no encoder is on its way any more, what the bands say of the labels counts."""
        if kind == "job" and data["kind"] == "train" and data["finished"]:
            self.events.publish("contradictions", {"revision": self.revision})

    def _checked(self, version: int) -> None:
        revision, current = self._answering
        if version == current:
            self.events.publish("contradictions", {"revision": revision})

    def _switch(self, cause: str) -> None:
        """Go over to the project's settings and model of now."""
        from .mapping import comparison, load_encoder, make_segmenter

        self.start_engine()
        assert self._live is not None
        with self._engine_lock:
            if self._model_path != self.project.model_path:
                self._model, self._model_path = load_encoder(self.project), self.project.model_path
            segmenter = make_segmenter(self._model, self.project.settings, cache_bytes=self._cache_bytes, store=self._store)
            self._live.switch(segmenter)
            self._measure_in_use = comparison(segmenter)
        with self._lock:
            if cause != "remote":
                receipt = self.project.store.touch(str(uuid.uuid4()), cause)
                self._absorb(self.project.store.changes_since(min(receipt.since, self.state.revision)))
            self._teach()
            self.events.publish("revision", {"revision": self.revision, "cause": cause, "key": None})
        self._tell_model("A trained encoder is in use." if self._model is not None else "Raw bands are compared.")

    def _switch_logged(self) -> None:
        try:
            self._switch("remote")
        except PkError as exc:
            self._tell_model(str(exc))

    def _tell_model(self, message: str) -> None:
        self._model_message = message
        self.events.publish("model", dataclasses.asdict(self.model_status()))

    def _train_encoder(self, progress: Progress, scenes: list[str], preset: str, steps: int | None) -> list[JobFile]:
        import filelock

        self._model_failed = False
        lock = filelock.FileLock(self.project.folder / "cache" / "training.lock")
        try:
            with lock.acquire(timeout=0):
                target = self.project.folder / "models" / f".training-{os.getpid()}.safetensors"
                task = {"project": str(self.project.folder), "scenes": scenes, "model": str(target), "preset": preset, "steps": steps}
                digest = run_training(task, progress)
                model = target.with_name(f"encoder-{digest[:12]}.safetensors")
                target.replace(model)
        except filelock.Timeout as exc:
            raise TrainingError(
                "another pixelkin is training an encoder for this project. Wait for it; this page goes over to it then."
            ) from exc
        except PkError as exc:
            self._model_failed = self._model is None
            self._model_message = f"No encoder was trained: {exc}"
            raise
        self.project.update(model=model)
        self._switch("model")
        return []


def _apply_titled(editor: Editor, edits: Sequence[Edit], scenes: Sequence[str], title: str | None) -> str:
    """`apply_edits`, under a title of the caller's."""
    own = apply_edits(editor, edits, scenes)
    return title or own


def run_training(task: dict[str, Any], progress: Progress) -> str:
    """Run the training worker to its end; returns the model's hash.

    Raises:
        TrainingError: The worker says that it cannot train, or died.
        CancelledJobError: The user cancelled; the worker is gone.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "pixelkin.session.train_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        progress.tell(0.0, "starting")
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        digest = None
        for line in process.stdout:
            message = json.loads(line)
            if "error" in message:
                raise TrainingError(message["error"]["message"])
            if "step" in message:
                left = message["seconds_left"]
                progress.tell(message["step"] / (message["steps"] + 1), f"step {message['step']} of {message['steps']}, {left:.0f} s left")
            digest = message.get("hash", digest)
        if digest is None:
            raise TrainingError(
                f"training ended without a model (exit code {process.wait()}): {process.stderr.read()[-300:].strip() or 'no message'}."
            )
        return str(digest)
    finally:
        process.kill()
        process.communicate()


@dataclass
class _Tile:
    """A tile of the map being put together from blocks: the middle pixel of each square of `factor` x `factor`."""

    row: int
    col: int
    height: int
    width: int
    factor: int

    def __post_init__(self) -> None:
        self._rows = self._middles(self.row, self.height)
        self._cols = self._middles(self.col, self.width)
        shape = len(self._rows), len(self._cols)
        self.index = np.zeros(shape, np.uint8)

    def _middles(self, start: int, length: int) -> IntArray:
        first = np.arange(start, start + length, self.factor)
        return np.asarray(np.minimum(first + self.factor // 2, start + length - 1), np.int64)

    def blocks(self) -> list[tuple[int, int]]:
        """Blocks that hold a pixel of the tile."""
        return [(row, col) for row in np.unique(self._rows // TILE).tolist() for col in np.unique(self._cols // TILE).tolist()]

    def put(self, block_row: int, block_col: int, block: UInt8Array) -> None:
        """Take the tile's pixels from a block."""
        rows, cols = np.flatnonzero(self._rows // TILE == block_row), np.flatnonzero(self._cols // TILE == block_col)
        source = np.ix_(self._rows[rows] - block_row * TILE, self._cols[cols] - block_col * TILE)
        self.index[np.ix_(rows, cols)] = block[source]


def _layer_of(answer: BlockAnswer, layer: MapLayer) -> UInt8Array | None:
    """What a tile shows of a block; None where it is not there yet."""
    if layer == "classes":
        return answer.classes
    return None if answer.confidence is None else pictures.confidence_index(answer.confidence, answer.valid)


def _blocks(grid: Grid) -> list[tuple[int, int]]:
    return [(row, col) for row in range(-(-grid.height // TILE)) for col in range(-(-grid.width // TILE))]


@lru_cache(maxsize=_KEPT_CELLS)
def _cells(grid: Grid) -> Any:
    from ..maps import cell_areas

    return cell_areas(grid)[0]


def _tally(classes: UInt8Array, valid: Any, cells: Any, top: int, left: int) -> tuple[IntArray, Any]:
    """Valid pixels of each class id in a block, and their square metres (0 without a CRS)."""
    inside = classes[valid]
    counts = np.bincount(inside, minlength=256)
    if cells is None:
        return counts, np.zeros(256)
    # Cells broadcast: one number, one a row, or one a pixel.
    part = cells if cells.shape[0] == 1 else cells[top : top + classes.shape[0]]
    part = part if part.shape[1] == 1 else part[:, left : left + classes.shape[1]]
    weights = np.broadcast_to(part, classes.shape)[valid]
    return counts, np.bincount(inside, weights=weights, minlength=256)


def _require_inside(path: str, roots: Sequence[Path]) -> None:
    real = Path(path).resolve()
    if not any(real.is_relative_to(root.resolve()) for root in roots):
        raise ForbiddenError(f"{path} is outside the folders that were served. Serve its folder: pixelkin serve ... {real.parent}")


def _sources(path: str) -> list[str]:
    """Files that an image is read from: its own, and what a virtual one refers to, however deep."""
    import rasterio

    found: list[str] = []
    waiting = [path] if path else []
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.append(name)
        if name.lower().endswith(".vrt"):
            with rasterio.open(name) as dataset:
                waiting += dataset.files
    return found


def _safe_name(text: str) -> str:
    """A file name made of a text."""
    cleaned = "".join(ch if ch.isalnum() or ch in "._-" else "-" for ch in text).strip("-.")[:80]
    return cleaned or "map"


def find_export(project: Project, name: str) -> Path:
    """A file of the exports folder by its name; NoSuchItemError for anything else."""
    folder = project.folder / "exports"
    path = folder / name
    if Path(name).name != name or name.startswith(".") or not path.is_file() or path.is_symlink():
        raise NoSuchItemError(f"there is no export {name[:100]!r}. List the files of the export job.")
    return path
