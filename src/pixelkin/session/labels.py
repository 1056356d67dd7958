"""The labels of a project in memory: which pixels each mark covers, who wins, and what the segmenter learns."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
from cachetools import LRUCache

from ..errors import LabelError
from ..labels.pixels import footprint
from ..scene import Scene
from ..types import BoolArray, IntArray, LabelledPixels, Legend, Window
from .marks import ERASER, LabelClass, Mark, legend_of, parse_geometry
from .painting import Canvas, Lesson, lessons, paint
from .store import StoreChanges

_BLOCK = 256
_CACHED_MASKS = 256


class ValidMasks:
    """Which pixels have data, remembered for the blocks last asked about. Safe to share between threads."""

    def __init__(self, scenes: Mapping[str, Scene]) -> None:
        self._scenes = scenes
        self._masks: LRUCache[tuple[str, int], BoolArray] = LRUCache(_CACHED_MASKS)
        self._lock = threading.Lock()

    def at(self, scene_id: str, pixels: IntArray) -> BoolArray:
        """True where the scene has data, for flat pixel indices of shape (n,)."""
        grid = self._scenes[scene_id].grid
        rows, cols = np.divmod(pixels, grid.width)
        across = -(-grid.width // _BLOCK)
        blocks = rows // _BLOCK * across + cols // _BLOCK
        valid = np.zeros(len(pixels), bool)
        for block in np.unique(blocks).tolist():
            here = blocks == block
            top, left = block // across * _BLOCK, block % across * _BLOCK
            valid[here] = self._mask(scene_id, block, top, left)[rows[here] - top, cols[here] - left]
        return valid

    def _mask(self, scene_id: str, block: int, top: int, left: int) -> BoolArray:
        with self._lock:
            mask = self._masks.get((scene_id, block))
        if mask is not None:
            return mask
        scene = self._scenes[scene_id]
        mask = scene.read(Window(top, left, min(_BLOCK, scene.grid.height - top), min(_BLOCK, scene.grid.width - left))).valid
        with self._lock:
            self._masks[scene_id, block] = mask
        return mask


class LabelState:
    """Marks and classes as of one revision of the store. Any thread may read; one at a time may `absorb`."""

    def __init__(self, scenes: Mapping[str, Scene]) -> None:
        self._scenes = scenes
        self._valid = ValidMasks(scenes)
        self._covers: dict[str, IntArray] = {}
        self.revision = 0
        self.classes: list[LabelClass] = []
        self.marks: dict[str, Mark] = {}
        self.canvases: dict[str, Canvas] = {scene_id: paint([], {}) for scene_id in scenes}

    @property
    def legend(self) -> Legend:
        """Classes in the user's order."""
        return legend_of(self.classes)

    @property
    def has_two_classes(self) -> bool:
        """Marks of two classes at least: enough for a map."""
        return len({mark.class_id for mark in self.marks.values() if mark.class_id}) >= 2

    def cover(self, mark: Mark) -> IntArray:
        """Flat index of the pixels that a mark covers; without no-data pixels, unless it is an eraser.

        Raises:
            LabelError: It covers no pixel of the image, or none with data.
        """
        grid = self._scenes[mark.scene].grid
        pixels = footprint(parse_geometry(mark.geometry), mark.brush_px, grid.height, grid.width)
        if not len(pixels):
            raise LabelError(
                f"the {mark.kind} holds no pixel of {mark.scene}, expected one inside {grid.height} x {grid.width} pixels. Draw it on the image."
            )
        if mark.class_id == ERASER:
            return pixels
        pixels = pixels[self._valid.at(mark.scene, pixels)]
        if not len(pixels):
            raise LabelError(f"the {mark.kind} marks only pixels without data, expected at least one valid pixel. Draw it elsewhere.")
        return pixels

    def absorb(self, changes: StoreChanges) -> None:
        """Take in what happened since `revision`."""
        # Other threads read while this goes on: new tables are made and then put in place of the old ones.
        marks, covers, canvases = dict(self.marks), dict(self._covers), dict(self.canvases)
        dirty = set()
        for mark_id in changes.deleted:
            gone = marks.pop(mark_id, None)
            covers.pop(mark_id, None)
            if gone is not None:
                dirty.add(gone.scene)
        for mark in changes.marks:
            if mark.scene not in self._scenes:
                continue
            old = marks.get(mark.id)
            if old is None or (old.geometry, old.brush_px, old.class_id == ERASER) != (
                mark.geometry,
                mark.brush_px,
                mark.class_id == ERASER,
            ):
                try:
                    covers[mark.id] = self.cover(mark)
                except LabelError:
                    # The image changed under an old mark: the mark stays, and teaches nothing.
                    covers[mark.id] = np.empty(0, np.int64)
            marks[mark.id] = mark
            dirty.add(mark.scene)
        for scene_id in dirty:
            of_scene = sorted((mark for mark in marks.values() if mark.scene == scene_id), key=lambda mark: mark.order)
            canvases[scene_id] = paint(of_scene, covers)
        self._covers, self.marks, self.canvases = covers, marks, canvases
        self.classes = changes.classes
        self.revision = changes.revision

    def pixels_of(self, mark_id: str) -> IntArray:
        """Flat index of the pixels that a mark covers, rising; none where there is no such mark."""
        return self._covers.get(mark_id, np.empty(0, np.int64))

    def covered(self, mark_id: str) -> int:
        """How many pixels a mark covers."""
        return len(self.pixels_of(mark_id))

    def lessons(self, pixels_per_mark: int | None = None) -> list[Lesson]:
        """What the segmenter learns from; see `painting.lessons`."""
        return lessons(self.canvases, {scene_id: scene.grid.width for scene_id, scene in self._scenes.items()}, pixels_per_mark)

    def labelled_scenes(self) -> list[str]:
        """Ids of the images that have labels, the one with most of them first."""
        counts = {scene_id: int(canvas.pixels_per_class().sum()) for scene_id, canvas in self.canvases.items()}
        return sorted((scene_id for scene_id, count in counts.items() if count), key=lambda scene_id: -counts[scene_id])

    def labelled_pixels(self, scene_id: str) -> LabelledPixels:
        """Every labelled pixel of a scene, row by row; the legend has the classes that occur."""
        canvas = self.canvases[scene_id]
        kept = canvas.classes != ERASER
        rows, cols = np.divmod(canvas.pixels[kept], self._scenes[scene_id].grid.width)
        present = set(canvas.classes[kept].tolist())
        return LabelledPixels(rows, cols, canvas.classes[kept], legend_of([entry for entry in self.classes if entry.id in present]))
