"""Find all like this, on the page: what somebody pointed at, how like it every pixel is, and what becomes of it."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import shapely

from ..errors import InputError, NotFittedError, PkError
from ..types import IntArray, LabelledPixels, Legend, LegendClass, UInt8Array
from . import pictures
from .blockanswers import block_window
from .edits import AddClass, AddMark, Edit
from .errors import StaleError
from .export_jobs import file_name
from .exports import Exports
from .jobs import Job, JobFile, Jobs, Progress
from .labels import LabelState
from .marks import Mark
from .project import Project
from .tiles import BlockTile, blocks
from .transfer import geojson, outline

if TYPE_CHECKING:
    from ..segmenter import Segmenter
    from .engine import Engine

STEPS = 254
"""A similarity s is sent as the byte 1 + round(254 s); 0 stands for no data."""
_MOST_VERTICES = 100_000
"""Of a mark that is made of what was found: of more parts, the largest."""

Key = tuple[str, int, int]
"""Scene, block row, block column."""


@dataclass(eq=False)
class _Search:
    """One search, and what of it is known."""

    number: int
    finder: Segmenter
    answers: dict[Key, UInt8Array] = field(default_factory=dict)
    counts: dict[str, IntArray] = field(default_factory=dict)
    """Of each image, pixels of each byte on the blocks that were searched."""
    images: set[str] = field(default_factory=set)
    """Those of which all is searched."""


@dataclass(frozen=True)
class FoundSoFar:
    """What is known of a search on one image."""

    number: int
    cut: float
    """Similarity at which the image itself would cut."""
    done: int
    """Blocks."""
    total: int
    counts: list[int]
    """Pixels of each byte 0..255 on these blocks."""


class Finding:
    """The search of a session; a new one takes the place of the last. All methods may be called from any thread."""

    def __init__(self, project: Project, state: LabelState, engine: Engine, jobs: Jobs) -> None:
        self._project, self._state, self._engine, self._jobs = project, state, engine, jobs
        self._lock = threading.Lock()
        self._number = 0
        self._search: _Search | None = None

    def start(self, scene_id: str, kind: str, geometry: dict[str, Any], brush_px: float) -> FoundSoFar:
        """Search for what is like the pixels of a shape, by what the map is decided by; nothing is marked.

        Raises:
            LabelError: It covers no pixel with data.
        """
        scene = self._project.scene(scene_id)
        rows, cols = np.divmod(self._state.cover(Mark("", 0, scene_id, 1, kind, geometry, brush_px)), scene.grid.width)
        labels = LabelledPixels(rows, cols, np.ones(len(rows), np.uint8), Legend((LegendClass(1, "found", (0, 114, 178)),)))
        self._engine.start()
        assert self._engine.live is not None
        finder = self._engine.live.learner.segmenter.finder().fit(scene, labels)
        with self._lock:
            self._number = max(self._number + 1, time.time_ns() // 1_000_000)  # one of before a restart is not taken for this one
            search = self._search = _Search(self._number, finder)
        return self.so_far(search.number, scene_id)

    def close(self) -> None:
        """End the search."""
        with self._lock:
            self._search = None

    def so_far(self, number: int, scene_id: str) -> FoundSoFar:
        """What is known of a search on an image, all of which is searched from now on; StaleError where another one has taken its place."""
        search, scene = self._current(number), self._project.scene(scene_id)
        rule = search.finder.engine.ask(scene, search.finder.training).rule
        with self._lock:
            if scene_id not in search.images:
                search.images.add(scene_id)
                threading.Thread(target=self._fill, args=(search, scene_id), name="pixelkin-find", daemon=True).start()
            done = sum(key[0] == scene_id for key in search.answers)
            counts = search.counts.get(scene_id, np.zeros(256, np.int64)).tolist()
        return FoundSoFar(number, float(rule.scale.cut), done, len(blocks(scene.grid)), counts)

    def index(self, scene_id: str, number: int, z: int, x: int, y: int) -> tuple[UInt8Array, float]:
        """A tile of the similarity, as `MapTiles.index` gives those of the map."""
        grid = self._project.scene(scene_id).grid
        window = pictures.tile_window(grid, z, x, y)
        search = self._current(number)
        if window is None:
            return pictures.full_tile(np.zeros((1, 1), np.uint8)), 1.0
        tile = BlockTile(window.row, window.col, window.height, window.width, 1 << z)
        needed, done = tile.blocks(), 0
        for row, col in needed:
            part = self._part(search, (scene_id, row, col)) if z == 0 else search.answers.get((scene_id, row, col))
            if part is not None:
                done += 1
                tile.put(row, col, part)
        self._current(number)
        return pictures.full_tile(tile.index), done / len(needed)

    def edits(self, number: int, scene_id: str, threshold: float, class_id: int, name: str | None) -> list[Edit]:
        """What makes a mark of the pixels of at least this similarity.

        Args:
            number: Of the search.
            scene_id: The image.
            threshold: In (0, 1].
            class_id: The class that they get.
            name: Of that class where it is new; None for one that there is.

        Raises:
            NotFittedError: Not all of the image has been searched yet.
            InputError: Nothing is that similar.
        """
        search, grid = self._current(number), self._project.scene(scene_id).grid
        mask = np.zeros(grid.shape, np.bool_)
        for row, col in blocks(grid):
            part = search.answers.get((scene_id, row, col))
            if part is None:
                raise NotFittedError("the image is still being searched, expected all of it before a class is made. Try again in a moment.")
            mask[block_window(grid, row, col).slices] = part >= byte_of(threshold)
        if not mask.any():
            raise InputError(f"no pixel has a similarity of {threshold:g} or more, expected at least one. Lower the threshold.")
        shape = _largest(outline(mask))
        first: list[Edit] = [] if name is None else [AddClass(name, id=class_id)]
        return [*first, AddMark(scene_id, class_id, "polygon", geojson(shape))]

    def start_export(self, number: int, scene_id: str, threshold: float, *, name: str, replace: bool) -> Job:
        """Write what was found: <name>_<scene>.tif, ..._similarity.tif and ..._areas.csv.

        Raises:
            OutputError: There are files of that name, and they are not to be replaced.
        """
        from ..products import Outputs, map_part, write_products

        search, scene = self._current(number), self._project.scene(scene_id)
        marked = search.finder.references
        finder = search.finder.finder(threshold)
        finder.references = marked
        exports, stem = Exports(self._project.folder / "exports"), f"{file_name(name)}_{scene_id}"
        fix = "ask for them to be replaced"
        exports.require_free(stem, [stem], replace=replace, fix=fix)

        def work(progress: Progress) -> list[JobFile]:
            with exports.run(stem, [stem], replace=replace, fix=fix) as aside:
                outputs = Outputs(aside / f"{stem}.tif", layers=("similarity",), areas=aside / f"{stem}_areas.csv")

                def parts() -> Any:
                    for row, col in blocks(scene.grid):
                        window = block_window(scene.grid, row, col)
                        progress.tell(window.row / scene.grid.height, scene.name)
                        yield window, map_part(finder, scene, window, outputs.kept)

                write_products(outputs, scene, marked.legend, parts(), provenance=finder.provenance(scene))
                made = sorted(path.name for path in aside.iterdir() if not path.name.startswith("."))
            return [JobFile(file, (exports.folder / file).stat().st_size) for file in made]

        return self._jobs.start("export", work)

    def _current(self, number: int) -> _Search:
        search = self._search
        if search is None or search.number != number:
            raise StaleError(number, self._number)
        return search

    def _part(self, search: _Search, key: Key) -> UInt8Array:
        part = search.answers.get(key)
        if part is None:
            scene = self._project.scene(key[0])
            found = search.finder.predict(scene, block_window(scene.grid, key[1], key[2]))
            part = np.where(found.valid, 1 + np.rint(STEPS * found.confidence), 0).astype(np.uint8)
            with self._lock:
                if key not in search.answers:
                    search.answers[key] = part
                    seen = search.counts.get(key[0], np.zeros(256, np.int64))
                    search.counts[key[0]] = seen + np.bincount(part.ravel(), minlength=256)
        return part

    def _fill(self, search: _Search, scene_id: str) -> None:
        """Search all of an image, unless another search has begun."""
        everything = blocks(self._project.scene(scene_id).grid)
        for row, col in everything:
            if self._search is not search:
                return
            try:
                self._part(search, (scene_id, row, col))
            except PkError:
                return  # whoever looks at that block is told


def byte_of(threshold: float) -> int:
    """The least byte of a similarity that is at least this."""
    from ..decision.likeness import require_threshold  # the server starts without the engine

    require_threshold(threshold)
    return 1 + math.floor(STEPS * threshold + 0.5 + 1e-6)


def _largest(shape: shapely.Geometry) -> shapely.Geometry:
    """The largest polygons of a shape, as many as a mark may hold."""
    parts = sorted(shapely.get_parts(shape), key=lambda part: -part.area)
    total = np.cumsum([shapely.get_num_coordinates(part) for part in parts])
    kept = parts[: max(1, int((total <= _MOST_VERTICES).sum()))]
    return cast(shapely.Geometry, kept[0] if len(kept) == 1 else shapely.MultiPolygon(kept))
