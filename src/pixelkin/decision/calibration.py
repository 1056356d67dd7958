"""What labels say about a learner: how sure it may be, and which labels contradict the others.

Both come from one spatially blocked cross-validation. Labels that lie in the same place (`References.tiles`) stay on one side of a split:
neighbours are nearly copies of one another, and a learner asked about copies of what it was taught knows everything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from ..similarity import References
from ..types import AnyArray, BoolArray, IntArray
from .learned import Known, LearnedMethod, fit

FOLDS = 4
PRIOR = 2.5
"""Sharpness where labels say nothing about it. Regularisation makes the learners diffident and smoothing averages further, so it
is above 1; how far is a choice, not a measurement."""
_PRIOR_WEIGHT = 20.0
"""Labels that the prior counts for."""
_FEWEST = 8
"""Places with labels of each of two classes needed to call them the same."""
_SURE, _UNLIKELY = 0.85, 0.1
"""Probabilities of another class and of its own at which a label is called contradicted: of 10 % wrong labels about 8 in 10 are
named so, and of right ones less than 1 in 100 (vegas, 20 and 50 a class)."""


@dataclass(frozen=True)
class Conflict:
    """Labels that say different things of what looks the same."""

    kind: str
    """'label': one labelled pixel looks like another class. 'classes': two classes cannot be told apart."""
    classes: tuple[str, str]
    """The class marked and the class it looks like, or the two that are alike."""
    index: int | None
    """Which of the references, for a single label."""

    def __str__(self) -> str:
        marked, other = self.classes
        if self.kind == "label":
            return f"label {self.index} is marked {marked!r} but looks like {other!r}"
        return f"classes {marked!r} and {other!r} cannot be told apart"


@dataclass(frozen=True, eq=False)
class Assessment:
    """What the labels say of a learner."""

    sharpness: float
    """Power to raise its smoothed probabilities to."""
    conflicts: tuple[Conflict, ...]


def assess(references: References, ids: list[int], method: LearnedMethod, known: Known = "elsewhere") -> Assessment:
    """Cross-validate a learner on its labels.

    The sharpness g minimises the negative log likelihood of p^g on labels held out, and is shrunk towards PRIOR in proportion to
    their number. Where labels lie in fewer than FOLDS places, or a class in fewer than two, it is PRIOR, and no conflict is looked for.

    The learner is the one that `fit` makes of the same arguments. Conflicts ask for the one for images elsewhere, which goes by looks alone: a wrong
    label must not count for being near itself.
    """
    held_out, logs = _held_out(references, ids, method, known)
    if not len(held_out):
        return Assessment(PRIOR, ())
    truth = np.array([ids.index(i) for i in references.classes[held_out].tolist()])
    weights = 1 / np.bincount(truth, minlength=len(ids))[truth]

    def loss(log_power: float) -> float:
        scaled = np.exp(log_power) * logs
        return float((weights * (np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(truth)), truth])).sum())

    best = float(minimize_scalar(loss, bounds=(np.log(0.5), np.log(8.0)), method="bounded").x)
    share = len(truth) / (len(truth) + _PRIOR_WEIGHT)
    sharpness = float(np.exp(share * best + (1 - share) * np.log(PRIOR)))
    # Wrong labels make a learner look less sure than it may be of others.
    return Assessment(sharpness, tuple(_conflicts(references, ids, held_out, truth, max(1.0, sharpness) * logs)))


def _held_out(references: References, ids: list[int], method: LearnedMethod, known: Known) -> tuple[IntArray, AnyArray]:
    """Which references were held out once, and what they were then taken for: log probabilities (n, class)."""
    nothing = np.empty(0, np.int64), np.empty((0, len(ids)))
    _, first, tile = np.unique(references.tiles, return_index=True, return_inverse=True)
    # Places in the order in which they were first labelled, dealt out to the folds.
    fold = np.argsort(np.argsort(first))[tile] % FOLDS
    spread = min(len(np.unique(tile[references.classes == i])) for i in ids)
    if len(first) < FOLDS or spread < 2:
        return nothing
    index, logs = [], []
    for k in range(FOLDS):
        taught, asked = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        if set(references.classes[taught].tolist()) < set(ids):
            continue
        learned = fit(references.take(taught), ids, method, known)
        near = None if learned.near is None else learned.near.at(references.sites[asked])
        index.append(asked)
        logs.append(np.log(learned.probabilities(references.features[asked].T.contiguous(), near).T.double().numpy() + 1e-9))
    if not index:
        return nothing
    return np.concatenate(index), np.concatenate(logs)


def _conflicts(references: References, ids: list[int], held_out: IntArray, truth: IntArray, logs: AnyArray) -> list[Conflict]:
    names = [references.legend.by_id(i).name for i in ids]
    found: list[Conflict] = []
    alike: set[tuple[int, int]] = set()
    tiles = references.tiles[held_out]
    for a in range(len(ids)):
        for b in range(a + 1, len(ids)):
            right = [_by_place(logs[truth == k, k] > logs[truth == k, other], tiles[truth == k]) for k, other in ((a, b), (b, a))]
            if min(map(len, right)) >= _FEWEST and (right[0].mean() + right[1].mean()) / 2 < 0.6:
                alike |= {(a, b), (b, a)}
                found.append(Conflict("classes", (names[a], names[b]), None))
    probabilities = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
    for place in np.argsort(held_out):
        own, best = truth[place], int(probabilities[place].argmax())
        if probabilities[place, best] > _SURE and probabilities[place, own] < _UNLIKELY and (own, best) not in alike:
            found.append(Conflict("label", (names[own], names[best]), int(held_out[place])))
    return found


def _by_place(right: BoolArray, tiles: IntArray) -> AnyArray:
    """Share of labels that were right in each place: a scribble, which is one place, counts as one."""
    places, at = np.unique(tiles, return_inverse=True)
    return np.bincount(at, right, len(places)) / np.bincount(at, minlength=len(places))
