"""Validation: points of `pixelkin sample`, answered one after the other without seeing the map.

Answers are no marks: they teach nothing, and a point whose pixel is marked is no evidence and is refused.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..assessment import Agreement, SoFar, agreements, is_sample, settle, so_far
from ..assessment.interpretation import SETTLED
from ..assessment.samplefile import UNLABELLED, UNSURE, pixels_of, sample_target
from ..errors import InputError, LabelError
from ..labels import Annotation, Annotations, write_annotations
from ..labels.annotations import class_text
from ..labels.files import named, read_layer
from ..labels.layers import BRUSH, CLASS, CLASS_ID, COLOR, RawFeature
from ..types import Color, IntArray, Legend, LegendClass, default_color
from .answers import Answer, AnswerStore, StoredSample
from .errors import NoSuchItemError
from .labels import LabelState
from .marks import ERASER
from .project import Project

FROM_FILE = "file"
"""The interpreter of answers that a sample file already had."""
_Located = tuple[list[str], IntArray, IntArray]
_OURS = (CLASS, CLASS_ID, COLOR, BRUSH, "note", "answers")


@dataclass(frozen=True)
class Choice:
    """A class that a point can be given."""

    name: str
    color: Color
    key: str | None


@dataclass(frozen=True)
class PointToAnswer:
    """A sample point as its interpreter sees it: without stratum or map."""

    point: int
    """Index in the file."""
    scene: str
    """An image of its site; the dates of its series are shown together."""
    row: int
    col: int
    answer: str | None
    """By this interpreter."""
    note: str
    is_marked: bool
    """Its pixel is marked, so that it cannot be answered."""
    said: Mapping[str, str]
    """What the others said: only where differences are settled."""


@dataclass(frozen=True)
class Progress:
    """How far a sample is."""

    points: int
    answered: int
    """By this interpreter, 'unsure' included."""
    unsure: int
    marked: int
    """Points that cannot be answered, as their pixels are marked."""
    differences: int
    """Points on which interpreters differ and that nobody has settled."""
    interpreters: Mapping[str, int]
    """Answers of each."""
    agreements: Sequence[Agreement]
    so_far: SoFar | None


class Validation:
    """The samples of a project and what was said of their points. Methods may be called from any thread."""

    def __init__(self, project: Project, state: LabelState) -> None:
        self._project = project
        self._state = state
        self._store = AnswerStore(project.folder / "validation.sqlite")
        self._known: dict[str, _Located] = {}
        self._lock = threading.Lock()

    def samples(self) -> list[StoredSample]:
        """What was brought in, the earliest first."""
        return list(self._store.samples().values())

    def sample(self, sample_id: str) -> StoredSample:
        """A sample by its id; NoSuchItemError if there is none."""
        known = self._store.samples()
        if sample_id not in known:
            raise NoSuchItemError(f"there is no sample {sample_id!r}, expected one of {list(known)}. Open its file.")
        return known[sample_id]

    def close(self) -> None:
        """Close the file of answers."""
        self._store.close()

    def add(self, path: Path) -> StoredSample:
        """Bring in the points of `pixelkin sample`; a file whose points are there already opens those.

        Classes that the file already has become answers of the interpreter 'file'.

        Raises:
            LabelError: The file holds no points of a design, or some lie in no image of the project.
        """
        with named(path):
            layer = read_layer(path)
        if not is_sample(layer):
            raise LabelError(f"{path.name} holds no points of `pixelkin sample`, expected such. Draw some with: pixelkin sample MAP.")
        located = self._locate(layer.features, layer.crs)
        scenes = located[0]
        lost = scenes.count("")
        if lost:
            raise LabelError(
                f"{lost:,} of {len(scenes):,} points of {path.name} lie in no image of this project, expected none. "
                "Open the images that the map was made of."
            )
        sample = StoredSample(_identity(layer.features, located), path.name, layer.crs, layer.features)
        given = [class_text(feature.properties.get(CLASS)) for feature in layer.features]
        answers = [Answer(i, FROM_FILE, name) for i, name in enumerate(given) if name is not None and name != UNLABELLED]
        self._store.add(sample, answers)
        return sample

    def choices(self, sample_id: str) -> list[Choice]:
        """Classes to choose from: the project's, or, where it has none, the strata of a sample that is stratified by map class."""
        if self._state.classes:
            return [Choice(entry.name, entry.color, entry.key) for entry in self._state.classes]
        names = sorted({str(feature.properties["stratum"]) for feature in self.sample(sample_id).features} - {"all", "(undecided)"})
        return [Choice(name, default_color(i), str(i + 1) if i < 9 else None) for i, name in enumerate(names)]

    def points(self, sample_id: str, interpreter: str) -> list[PointToAnswer]:
        """The points of a sample in their random order; for `SETTLED` those on which interpreters differ, with what they said."""
        sample = self.sample(sample_id)
        scenes, rows, cols = self._located(sample)
        answers, notes = self._answers(sample)
        marked = self._marked(sample)
        asked = [i for i, said in enumerate(answers) if interpreter != SETTLED or len(set(said.values())) > 1]
        return [
            PointToAnswer(
                i, scenes[i], int(rows[i]), int(cols[i]), answers[i].get(interpreter), notes.get((i, interpreter), ""), marked[i],
                {name: text for name, text in answers[i].items() if name != SETTLED} if interpreter == SETTLED else {},
            )
            for i in asked
        ]  # fmt: skip

    def answer(self, sample_id: str, answer: Answer, key: str) -> None:
        """Keep an answer; on the disk when this returns. A class of '?' takes an earlier one back.

        Raises:
            LabelError: The point's pixel is marked, or the class is none of `choices`.
            NoSuchItemError: There is no such sample or point.
        """
        sample = self.sample(sample_id)
        if not 0 <= answer.point < len(sample.features):
            raise NoSuchItemError(f"there is no point {answer.point}, expected 0 to {len(sample.features) - 1}.")
        names = [choice.name for choice in self.choices(sample_id)]
        if answer.class_name not in (*names, UNSURE, UNLABELLED):
            raise LabelError(f"the class is {answer.class_name!r}, expected one of {names} or 'unsure'. Add the class first.")
        if self._marked(sample)[answer.point]:
            raise LabelError(
                f"point {answer.point + 1} was marked, and a mark is no independent evidence, so it is not asked. Go on with the next."
            )
        self._store.append(sample_id, answer, key)

    def progress(self, sample_id: str, interpreter: str, target: float = 0.02) -> Progress:
        """How far an interpreter is, how well all agree, and how sure the figures are by this one's answers."""
        sample = self.sample(sample_id)
        answers, _ = self._answers(sample)
        marked = self._marked(sample)
        own = [None if is_marked else said.get(interpreter) for said, is_marked in zip(answers, marked, strict=True)]
        counts = Counter(name for said in answers for name in said if name != SETTLED)
        return Progress(
            points=len(answers),
            answered=sum(name is not None for name in own),
            unsure=own.count(UNSURE),
            marked=sum(marked),
            differences=sum(settle(said) is None for said in answers),
            interpreters=dict(sorted(counts.items())),
            agreements=agreements(answers),
            so_far=so_far(sample.features, own, target),
        )

    def is_answered(self, sample_id: str, scene_id: str) -> bool:
        """Whether a sample lies on the site of an image and has answers."""
        sample = self.sample(sample_id)
        scenes, _, _ = self._located(sample)
        return set(scenes) <= set(self._project.dates_of(scene_id)) and any(self._answers(sample)[0])

    def export(self, sample_id: str, path: Path) -> Path:
        """Write the points with their classes, .gpkg, .geojson or .csv, for `pixelkin evaluate`.

        Where interpreters differ and nobody has settled it, and where the pixel is marked, a point has no class ('?').
        """
        sample_target(path)
        sample = self.sample(sample_id)
        answers, notes = self._answers(sample)
        marked = self._marked(sample)
        classes = [UNLABELLED if is_marked else settle(said) or UNLABELLED for said, is_marked in zip(answers, marked, strict=True)]
        colors = {choice.name: choice.color for choice in self.choices(sample_id)}
        features = []
        for i, (feature, name) in enumerate(zip(sample.features, classes, strict=True)):
            kept = {key: value for key, value in feature.properties.items() if key not in _OURS and value is not None}
            said = "; ".join(f"{who}: {text}" for who, text in sorted(answers[i].items()))
            noted = "; ".join(f"{who}: {text}" for (at, who), text in sorted(notes.items()) if at == i and text)
            features.append(Annotation(feature.geometry, name, properties=kept | {"answers": said, "note": noted}))
        legend = Legend(tuple(LegendClass(i + 1, name, colors.get(name, (128, 128, 128))) for i, name in enumerate(dict.fromkeys(classes))))
        return write_annotations(Annotations(tuple(features), sample.crs, legend), path, overwrite=True)

    def _answers(self, sample: StoredSample) -> tuple[list[dict[str, str]], dict[tuple[int, str], str]]:
        """Answers of each point by interpreter, and notes by point and interpreter."""
        found: list[dict[str, str]] = [{} for _ in sample.features]
        notes = {}
        for answer in self._store.answers(sample.id):
            found[answer.point][answer.interpreter] = answer.class_name
            notes[answer.point, answer.interpreter] = answer.note
        return found, notes

    def _located(self, sample: StoredSample) -> _Located:
        """Image, row and column of each point; '' for those in no image."""
        with self._lock:
            if sample.id not in self._known:
                self._known[sample.id] = self._locate(sample.features, sample.crs)
            return self._known[sample.id]

    def _locate(self, features: Sequence[RawFeature], crs: str | None) -> _Located:
        scenes = [""] * len(features)
        rows, cols = np.full(len(scenes), -1), np.full(len(scenes), -1)
        for source in self._project.sources:
            first, scene = next(iter(source.scenes.items()))
            here, there = pixels_of(features, crs, scene.grid)
            for i in np.flatnonzero((here >= 0) & (rows < 0)).tolist():
                scenes[i], rows[i], cols[i] = first, here[i], there[i]
        return scenes, rows, cols

    def _marked(self, sample: StoredSample) -> list[bool]:
        """Whether each point's pixel is marked on any date of its site."""
        scenes, rows, cols = self._located(sample)
        marked = np.zeros(len(scenes), bool)
        for source in self._project.sources:
            here = np.flatnonzero([scene in source.scenes for scene in scenes])
            if not len(here):
                continue
            flat = rows[here] * next(iter(source.scenes.values())).grid.width + cols[here]
            for scene_id in source.scenes:
                canvas = self._state.canvases[scene_id]
                marked[here] |= np.isin(flat, canvas.pixels[canvas.classes != ERASER])
        return [bool(one) for one in marked]


def _identity(features: Sequence[RawFeature], located: _Located) -> str:
    """The same for the same pixels of a design, whatever their classes and the format that they came in."""
    scenes, rows, cols = located
    told = [str(features[0].properties["design"]), scenes, rows.tolist(), cols.tolist()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def interpreter_name(text: str) -> str:
    """A name as it is kept; InputError where it is none."""
    name = " ".join(text.split())
    if not name or len(name) > 60:
        raise InputError(f"interpreter is {text!r}, expected a name of 1 to 60 characters. Give one.")
    return name
