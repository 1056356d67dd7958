"""Teach a Segmenter the labels of a session, with as little work as an edit needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch

from ..blockcache import BlockStore
from ..errors import PkError
from ..features import Columns, References, scene_number
from ..scene import Scene
from ..segmenter import Segmenter
from ..types import Legend
from .painting import Lesson


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
        self._key = BlockStore.key("references", [(segmenter.features.key(scene), scene.fingerprint) for scene in scenes.values()])
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
            origins = references.origins.numpy()
            scenes = [numbers[number] for number in origins[:, 0].tolist()]
            self.segmenter.references = references
        except (KeyError, PkError):
            return
        cuts = [0, *(i for i in range(1, len(scenes)) if scenes[i] != scenes[i - 1]), len(scenes)]
        self.learnt = [
            Lesson.of(scenes[start], origins[start:stop, 2], origins[start:stop, 3], references.classes[start:stop])
            for start, stop in pairwise(cuts)
        ]

    def reset(self) -> None:
        """Forget what was learnt; the next lessons are learnt from the start."""
        self.learnt = []

    def learn(self, lessons: list[Lesson]) -> None:
        """Learn these lessons in place of what was learnt.

        The references end up as a fresh `fit` would leave them: same pixels, same order. That is what makes the live map equal
        to the one that the command line computes from the project.
        """
        old, new = ([key for lesson in taught for key in lesson.pixels()] for taught in (self.learnt, lessons))
        wanted = set(new)
        kept = [key for key in old if key in wanted]
        self.learnt = []  # an error half-way leaves nothing half-learnt
        if kept and new[: len(kept)] == kept:
            self._add(lessons, len(kept))
            # A pixel that changed its class has been replaced by `add` already.
            still = {key[:3] for key in new}
            gone = [key for key in old if key[:3] not in still]
            for scene_id in dict.fromkeys(scene for scene, *_ in gone):
                pixels = [(row, col) for scene, row, col, _ in gone if scene == scene_id]
                self.segmenter.remove(self._scenes[scene_id], *zip(*pixels, strict=True))
        else:
            self.segmenter.fit([self._scenes[lesson.scene] for lesson in lessons], [lesson.labels for lesson in lessons])
        self.learnt = lessons

    def _add(self, lessons: list[Lesson], known: int) -> None:
        """Learn all but the first pixels of these lessons."""
        for lesson in lessons:
            fresh = lesson.after(known) if known else lesson
            known = max(0, known - len(lesson))
            if len(fresh):
                self.segmenter.add(self._scenes[fresh.scene], fresh.labels)


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
