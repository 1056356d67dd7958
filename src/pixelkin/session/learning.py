"""Teach a Segmenter the labels of a session, with as little work as an edit needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from ..blockcache import BlockStore
from ..errors import PkError
from ..features import Columns, References, scene_number
from ..scene import Scene
from ..segmenter import Segmenter
from ..types import IntArray, LabelledPixels, Legend, LegendClass
from .painting import Lesson

_Record = tuple[str, int, int]
"""Scene, flat pixel, class id."""


class Learner:
    """Keeps a Segmenter's references equal to a list of lessons, order included."""

    def __init__(self, scenes: Mapping[str, Scene], segmenter: Segmenter, store: BlockStore | None = None) -> None:
        """Start with what was learnt when `keep` was called last, if that is there.

        Args:
            scenes: Images by id.
            segmenter: Fresh.
            store: Where references are kept over restarts.
        """
        self._scenes = scenes
        self.segmenter = segmenter
        self.learnt: list[Lesson] = []
        self._store = store
        self._key = BlockStore.key("references", segmenter.features.hash, [scene.fingerprint for scene in scenes.values()])
        kept = None if store is None else store.get(self._key)
        if kept is not None:
            self._recall(kept)

    def keep(self) -> None:
        """Keep what is learnt for the next start."""
        if self._store is not None and self.learnt:
            self._store.put(self._key, _pack(self.segmenter.references))

    def _recall(self, kept: dict[str, torch.Tensor]) -> None:
        numbers = {scene_number(scene): scene_id for scene_id, scene in self._scenes.items()}
        try:
            references = _unpack(kept)
            records = [
                (numbers[number], row * self._scenes[numbers[number]].grid.width + col, class_id)
                for (number, _, row, col), class_id in zip(references.origins.tolist(), references.classes.tolist(), strict=True)
            ]
            self.segmenter.references = references
        except (KeyError, PkError):
            return
        self.learnt = [_lesson(records[start:stop]) for start, stop in _runs(records)]

    def reset(self) -> None:
        """Forget what was learnt; the next lessons are learnt from the start."""
        self.learnt = []

    def learn(self, lessons: list[Lesson]) -> None:
        """Learn these lessons in place of what was learnt.

        The references end up as a fresh `fit` would leave them: same pixels, same order. That is what makes the live map equal
        to the one that the command line computes from the project.
        """
        old, new = _records(self.learnt), _records(lessons)
        wanted = set(new)
        kept = [record for record in old if record in wanted]
        self.learnt = []  # an error half-way leaves nothing half-learnt
        if kept and new[: len(kept)] == kept:
            self._add(new[len(kept) :])
            # A pixel that changed its class has been replaced by `add` already.
            still = {(scene, pixel) for scene, pixel, _ in new}
            gone = [record for record in old if record[:2] not in still]
            for scene_id in dict.fromkeys(scene for scene, _, _ in gone):
                rows, cols = self._rows_cols(scene_id, [pixel for scene, pixel, _ in gone if scene == scene_id])
                self.segmenter.remove(self._scenes[scene_id], rows.tolist(), cols.tolist())
        else:
            runs = [(self._scenes[new[start][0]], self._labels(new[start:stop])) for start, stop in _runs(new)]
            self.segmenter.fit([scene for scene, _ in runs], [labels for _, labels in runs])
        self.learnt = lessons

    def _add(self, records: list[_Record]) -> None:
        for start, stop in _runs(records):
            self.segmenter.add(self._scenes[records[start][0]], self._labels(records[start:stop]))

    def _rows_cols(self, scene_id: str, pixels: list[int]) -> tuple[IntArray, IntArray]:
        return np.divmod(np.asarray(pixels, np.int64), self._scenes[scene_id].grid.width)

    def _labels(self, records: list[_Record]) -> LabelledPixels:
        rows, cols = self._rows_cols(records[0][0], [pixel for _, pixel, _ in records])
        classes = np.array([class_id for _, _, class_id in records], np.uint8)
        # Names and colours may change without a change of answers, so the engine gets neutral ones; the session knows the real ones.
        legend = Legend(tuple(LegendClass(int(i), f"class {i}", (0, 0, 0)) for i in np.unique(classes)))
        return LabelledPixels(rows, cols, classes, legend)


def _records(lessons: list[Lesson]) -> list[_Record]:
    return [
        (lesson.scene, pixel, class_id)
        for lesson in lessons
        for pixel, class_id in zip(lesson.pixels.tolist(), lesson.classes.tolist(), strict=True)
    ]


def _runs(records: list[_Record]) -> list[tuple[int, int]]:
    """Start and stop of stretches of records on one scene."""
    cuts = [0, *(i for i in range(1, len(records)) if records[i][0] != records[i - 1][0]), len(records)]
    return [(start, stop) for start, stop in pairwise(cuts) if stop > start]


def _lesson(records: list[_Record]) -> Lesson:
    pixels, classes = (np.array([record[i] for record in records]) for i in (1, 2))
    return Lesson(records[0][0], pixels.astype(np.int64), classes.astype(np.uint8))


_TENSORS = ("bands", "s", "c", "windows", "features", "background", "origins", "sizes")


def _pack(references: References) -> dict[str, torch.Tensor]:
    header = [references.legend.to_json(), references.model_hash, references.band_names, references.columns.to_json()]
    return {
        "header": torch.tensor(list(json.dumps(header).encode()), dtype=torch.uint8),
        "classes": torch.from_numpy(references.classes),
        **{name: getattr(references, name) for name in _TENSORS},
    }


def _unpack(parts: dict[str, Any]) -> References:
    legend, model_hash, band_names, columns = json.loads(parts["header"].numpy().tobytes())
    return References(
        parts["classes"].numpy(), Legend.from_json(legend), model_hash=model_hash, band_names=tuple(band_names), columns=Columns.from_json(columns),
        **{name: parts[name] for name in _TENSORS},
    )  # fmt: skip
