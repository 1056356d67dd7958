"""From marks to labelled pixels: later marks win, erasers clear, large marks teach with a spread of their pixels where that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..features.teaching import scattered, taught
from ..types import BoolArray, IntArray, LabelledPixels, Legend, LegendClass, UInt8Array
from .marks import Mark


@dataclass(frozen=True, eq=False)
class Canvas:
    """The marks of one scene, painted one over another."""

    marks: tuple[Mark, ...]
    """In the order in which they were drawn."""
    pixels: IntArray
    """Flat index (row * width + col) of each covered pixel, rising, shape (n,)."""
    winners: IntArray
    """Index into `marks` of the last mark on each pixel, shape (n,)."""
    overlapping: BoolArray
    """True where marks of different classes lie on a pixel and no eraser came between, shape (n,)."""
    classes: UInt8Array
    """Class id of each pixel, 0 where erased, shape (n,)."""

    def labels_per_mark(self) -> dict[str, int]:
        """How many pixels each mark still owns."""
        counts = np.bincount(self.winners, minlength=len(self.marks))
        return {mark.id: int(count) for mark, count in zip(self.marks, counts, strict=True)}

    def mark_at(self, pixel: int) -> Mark | None:
        """The mark that a pixel (flat index) belongs to."""
        at = int(np.searchsorted(self.pixels, pixel))
        return self.marks[self.winners[at]] if at < len(self.pixels) and self.pixels[at] == pixel else None

    def pixels_per_class(self) -> IntArray:
        """Labelled pixels of each class id, shape (256,); entry 0 is 0."""
        counts = np.bincount(self.classes, minlength=256)
        counts[0] = 0
        return counts


def paint(marks: Sequence[Mark], covers: Mapping[str, IntArray]) -> Canvas:
    """Paint marks one over another.

    Args:
        marks: Marks of one scene, in the order in which they were drawn.
        covers: Flat index of the pixels that each mark covers, each at most once, by mark id.
    """
    ids = np.array([mark.class_id for mark in marks], np.uint8)
    parts = [covers[mark.id] for mark in marks]
    pixels = np.concatenate([np.empty(0, np.int64), *parts])
    owners = np.repeat(np.arange(len(marks)), [len(part) for part in parts])
    order = np.argsort(pixels, kind="stable")  # stable: within a pixel, marks stay in the order of drawing
    pixels, owners = pixels[order], owners[order]
    if not len(pixels):
        return Canvas(tuple(marks), pixels, owners, np.empty(0, bool), np.empty(0, np.uint8))
    last = np.append(pixels[1:] != pixels[:-1], True)
    first = np.flatnonzero(np.append(True, last[:-1]))
    group = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(pixels))))
    classes = ids[owners]
    position = np.arange(len(pixels))
    erased_until = np.maximum.reduceat(np.where(classes == 0, position, -1), first)
    live = position > erased_until[group]
    clash = np.zeros(len(pixels), bool)
    clash[1:] = live[1:] & live[:-1] & (pixels[1:] == pixels[:-1]) & (classes[1:] != classes[:-1])
    return Canvas(tuple(marks), pixels[last], owners[last], np.logical_or.reduceat(clash, first), classes[last])


@dataclass(frozen=True, eq=False)
class Lesson:
    """Pixels of one image that the segmenter learns from, of consecutive marks."""

    scene: str
    labels: LabelledPixels
    """Classes have neutral names: names and colours may change without a change of answers."""

    @classmethod
    def of(cls, scene: str, rows: IntArray, cols: IntArray, classes: UInt8Array) -> Lesson:
        """A lesson from rows, columns and class ids, shape (n,) each."""
        legend = Legend(tuple(LegendClass(int(i), f"class {i}", (0, 0, 0)) for i in np.unique(classes)))
        return cls(scene, LabelledPixels(rows, cols, classes, legend))

    def __len__(self) -> int:
        return len(self.labels)

    def after(self, count: int) -> Lesson:
        """All but the first pixels."""
        rest = slice(count, None)
        return Lesson.of(self.scene, self.labels.rows[rest], self.labels.cols[rest], self.labels.classes[rest])

    def pixels(self) -> list[tuple[str, int, int, int]]:
        """Scene, row, column and class id of each pixel."""
        labels = self.labels
        columns = labels.rows.tolist(), labels.cols.tolist(), labels.classes.tolist()
        return [(self.scene, *pixel) for pixel in zip(*columns, strict=True)]


def same_lessons(one: Sequence[Lesson], other: Sequence[Lesson]) -> bool:
    """True where two lists teach the same pixels in the same order."""
    return len(one) == len(other) and all(
        a.scene == b.scene and all(np.array_equal(getattr(a.labels, part), getattr(b.labels, part)) for part in ("rows", "cols", "classes"))
        for a, b in zip(one, other, strict=True)
    )


def lessons(canvases: Mapping[str, Canvas], widths: Mapping[str, int], pixels_per_mark: int | None = None) -> list[Lesson]:
    """What the segmenter learns from, in the order in which ties between labels are decided.

    A mark that owns more pixels than `pixels_per_mark` teaches with that many of them, spread over it: the ones with the
    smallest of a fixed set of random-looking numbers, so that an edit elsewhere leaves the choice alone. So does a class on an
    image with more than `features.teaching.MOST_TAUGHT`.

    Args:
        canvases: Painted marks by scene id.
        widths: Columns of each image.
        pixels_per_mark: At least 1; None for all.
    """
    strokes: list[tuple[int, str, IntArray, int]] = []
    for scene, canvas in canvases.items():
        pixels, winners = canvas.pixels, canvas.winners
        teaches = taught(*np.divmod(pixels, widths[scene]), canvas.classes)
        if teaches is not None:
            pixels, winners = pixels[teaches], winners[teaches]
        order = np.argsort(winners, kind="stable")
        bounds = np.searchsorted(winners[order], np.arange(len(canvas.marks) + 1))
        for i, mark in enumerate(canvas.marks):
            own = pixels[order[bounds[i] : bounds[i + 1]]]
            if mark.class_id == 0 or not len(own):
                continue
            if pixels_per_mark is not None and len(own) > pixels_per_mark:
                own = np.sort(own[np.argsort(scattered(*np.divmod(own, widths[scene])), kind="stable")[:pixels_per_mark]])
            strokes.append((mark.order, scene, own, mark.class_id))
    strokes.sort(key=lambda stroke: stroke[0])
    runs: list[Lesson] = []
    start = 0
    for i in range(1, len(strokes) + 1):
        if i == len(strokes) or strokes[i][1] != strokes[start][1]:
            run = strokes[start:i]
            classes = np.concatenate([np.full(len(own), class_id, np.uint8) for _, _, own, class_id in run])
            rows, cols = np.divmod(np.concatenate([own for _, _, own, _ in run]), widths[run[0][1]])
            runs.append(Lesson.of(run[0][1], rows, cols, classes))
            start = i
    return runs
