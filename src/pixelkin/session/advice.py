"""What is worth attention: marks that other labels speak against, images that no label covers, and pixels to mark next."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..types import BoolArray, IntArray
from .engine import Engine
from .labels import LabelState
from .marks import Mark
from .project import Project

if TYPE_CHECKING:
    from ..coverage import Coverage
    from .accuracy import AccuracyNow


@dataclass(frozen=True)
class SuggestedPixel:
    """A pixel worth marking."""

    scene: str
    row: int
    col: int
    score: float
    """0..1, higher = more useful."""


@dataclass(frozen=True)
class SuspectMark:
    """A mark of which labels are predicted as another class by the others."""

    mark: Mark
    row: int
    """Of the first of these labels."""
    col: int
    predicted: int
    """Class id."""
    labels: int
    """How many of the pixels that it teaches with."""


@dataclass(frozen=True)
class SuspectLabels:
    """Labels that the others speak against."""

    revision: int
    is_checked: bool
    """False while the labels of this revision are still to be gone through; what was found before is given then."""
    marks: list[SuspectMark]
    """Those with most such labels first."""
    classes: list[tuple[int, int]]
    """Ids of classes that cannot be told apart."""


class Advice:
    """What a session has found out about its labels. All methods may be called from any thread."""

    def __init__(self, project: Project, state: LabelState, engine: Engine) -> None:
        self._project, self._state, self._engine = project, state, engine

    def suspect_labels(self) -> SuspectLabels:
        """Marks that are predicted as another class, and classes that cannot be told apart, on all scenes; worked out after the map.

        While an encoder is on its way nothing is held against a mark: bands alone tell less than the encoder will.
        """
        live, revision, version = self._engine.answering()
        if self._engine.is_provisional:
            return SuspectLabels(revision, False, [], [])
        is_checked, found = (False, ()) if live is None else live.suspects(version)
        marks: dict[tuple[str, int], SuspectMark] = {}
        classes: list[tuple[int, int]] = []
        known = {entry.id for entry in self._state.classes}
        for one in found:
            marked, other = one.classes
            # Of what was changed since nothing is known.
            if not {marked, other} <= known:
                continue
            if one.at is None:
                classes.append(one.classes)
                continue
            scene_id, row, col = one.at
            mark = self._state.canvases[scene_id].mark_at(row * self._project.scene(scene_id).grid.width + col)
            if mark is not None and mark.class_id == marked:
                first = marks.get((mark.id, other), SuspectMark(mark, row, col, other, 0))
                marks[mark.id, other] = dataclasses.replace(first, labels=first.labels + 1)
        return SuspectLabels(revision, is_checked, sorted(marks.values(), key=lambda one: (-one.labels, one.mark.order)), classes)

    def coverage(self) -> tuple[int, bool, dict[str, Coverage | None]]:
        """How much of each image is like nothing that was labelled; worked out in the background.

        Returns:
            The revision; whether all images were judged by its labels; what was found by the last that were, by scene id, None
            for an image that has labels of its own.
        """
        _, revision, version = self._engine.answering()
        watch = self._engine.coverage
        is_checked, found = (False, {}) if watch is None else watch.found(version)
        return revision, is_checked, found

    def accuracy(self) -> tuple[int, AccuracyNow | None]:
        """The revision, and how good the map is as far as its own labels can say; None before the engine is loaded."""
        _, revision, version = self._engine.answering()
        watch = self._engine.accuracy
        return revision, None if watch is None else watch.found(version)

    def suggest(self, scene_id: str, count: int = 10) -> list[SuggestedPixel]:
        """Where a mark would help most: pixels in doubt, each standing for many, as `Segmenter.suggest` finds them.

        Of an image too large to go through in a moment, they come from a megapixel that is known already.
        """
        width = self._project.scene(scene_id).grid.width
        pixels = self._state.canvases[scene_id].pixels

        def free(rows: IntArray, cols: IntArray) -> BoolArray:
            return ~np.isin(rows * width + cols, pixels)

        live = self._engine.live
        found = [] if live is None else live.suggest(scene_id, count, free)
        return [SuggestedPixel(scene_id, one.row, one.col, one.doubt) for one in found]
