"""Labelled pixels as decisions get them, and how they change: nothing is changed in place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cachetools import LRUCache

from ..errors import LabelError
from ..features import References, scene_number
from ..scene import Scene
from ..types import LabelledPixels
from .coverage import Coverage

_MOST_IMAGES = 64
"""Images for which what labels say of them is kept; a megabyte or so each."""


@dataclass(eq=False)
class TrainingSet:
    """Labelled pixels at one moment; never changed, so that a prediction under way keeps what it started with."""

    references: References
    serials: list[int]
    """Rising number of each reference, never used twice by a Segmenter: who was given first, and what a block has seen."""
    next_serial: int
    """Of the reference that comes next."""
    asked: LRUCache[str, Any] = field(default_factory=lambda: LRUCache(_MOST_IMAGES))
    """What the engine asks of images, by fingerprint."""
    covered: LRUCache[str, Coverage] = field(default_factory=lambda: LRUCache(16 * _MOST_IMAGES))
    """How far the labels cover images, by fingerprint."""
    memo: dict[Any, Any] = field(default_factory=dict)
    """What a decision works out of the labels alone, for all images. Two threads may both come; `setdefault` makes the first one's count."""

    called_off: bool = False
    """Others are about to take their place: nobody wants to know what takes long to find out of these."""

    def __post_init__(self) -> None:
        present = set(self.references.classes.tolist())
        self.ids = [i for i in self.references.legend.ids if i in present]
        """Ids of the classes that have references, in legend order."""

    @classmethod
    def of(cls, references: References, before: TrainingSet | None = None) -> TrainingSet:
        """These references, in place of those there were before."""
        first = 0 if before is None else before.next_serial
        return cls(references, list(range(first, first + len(references))), first + len(references))

    def with_more(self, new: References) -> TrainingSet:
        """New references after the old; a pixel labelled before takes its new class."""
        again = set(map(tuple, new.origins.tolist()))
        kept = [i for i, origin in enumerate(self.references.origins.tolist()) if tuple(origin) not in again]
        old = self.references.take(kept) if len(kept) < len(self.references) else self.references
        serials = [self.serials[i] for i in kept] + list(range(self.next_serial, self.next_serial + len(new)))
        return TrainingSet(old.merge(new), serials, self.next_serial + len(new))

    def without(self, scene: Scene, rows: Iterable[int], cols: Iterable[int], least_classes: int) -> TrainingSet:
        """Without some labelled pixels of a scene.

        Raises:
            LabelError: A pixel was not labelled, or fewer classes would be left.
        """
        number, sites = scene_number(scene), list(map(tuple, self.references.sites.tolist()))
        gone = {(number, int(row), int(col)) for row, col in zip(rows, cols, strict=True)}
        missing = gone - set(sites)
        if missing:
            _, row, col = min(missing)
            raise LabelError(
                f"pixel at row {row}, column {col} of {scene.name} is not labelled, expected a labelled pixel. See what is with segmenter.references."
            )
        kept = [i for i, site in enumerate(sites) if site not in gone]
        if len(np.unique(self.references.classes[kept])) < least_classes:
            if least_classes == 1:
                raise LabelError("removing these labels leaves none, expected at least one. Add others first.")
            raise LabelError(
                "removing these labels leaves fewer than two classes, expected at least two. Add labels of another class first."
            )
        return TrainingSet(self.references.take(kept), [self.serials[i] for i in kept], self.next_serial)


def require_classes(parts: Sequence[LabelledPixels], least: int) -> None:
    """Refuse labels of fewer than one or two classes, or a legend with a class that nothing is labelled with; LabelError."""
    present = {part.legend.by_id(int(class_id)).name for part in parts for class_id in np.unique(part.classes)}
    if len(present) == 0:
        of = " of each of two classes" if least == 2 else ""
        raise LabelError(f"there are no labelled pixels, expected at least one{of}. Mark some pixels.")
    if len(present) < least:
        count = sum(len(part) for part in parts)
        raise LabelError(
            f"all {count} labelled pixels are of class {next(iter(present))!r}, expected at least two classes. Mark some pixels of another class."
        )
    lost = [entry.name for part in parts for entry in part.legend if entry.name not in present]
    if lost:
        raise LabelError(f"class {lost[0]!r} of the legend has no labelled pixel, expected at least one. Mark one or drop the class.")
