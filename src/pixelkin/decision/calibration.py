"""What labels say about a learner: how sure it may be, and which labels contradict the others.

Both come from one spatially blocked cross-validation. Labels that lie in one spatial group (`References.spatial_groups`) stay on one side of a split:
neighbours are nearly copies of one another, and a learner asked about copies of what it was taught knows everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from ..errors import SupersededError
from ..features import References
from ..features.references import GROUPS
from ..types import AnyArray, BoolArray, IntArray
from .fitting import Known, LearnerMethod, fit, half_saturating, spreads

FOLDS = GROUPS // 2
PRIOR = 2.5
"""Inverse temperature where labels say nothing about it. Regularisation makes the learners diffident and smoothing averages further, so it
is above 1; how far is a choice, not a measurement."""
_FEWEST = 8
"""Spatial groups with labels of each of two classes needed to call them the same."""
_SURE, _UNLIKELY = 0.85, 0.1
"""Probabilities of another class and of its own at which a label is called contradicted: of 10 % wrong labels about 8 in 10 are
named so, and of right ones less than 1 in 100 (vegas, 20 and 50 a class)."""


@dataclass(frozen=True)
class SuspectLabel:
    """Labels that say different things of what looks the same; one label, or those of two classes."""

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

    inverse_temperature: float
    """Power to raise its smoothed probabilities to."""
    suspects: tuple[SuspectLabel, ...]


def assess(
    references: References, ids: list[int], method: LearnerMethod, known: Known = "elsewhere", goes_on: Callable[[], bool] = lambda: True
) -> Assessment:
    """Cross-validate a learner on its labels; `SupersededError` once `goes_on`, which is asked before each fold, says no.

    The inverse temperature g minimises the negative log likelihood of p^g on labels held out, and is shrunk towards PRIOR the more, the fewer
    spatial groups are labelled. Where labels lie in fewer than FOLDS spatial groups, or a class in fewer than two, it is PRIOR, and no suspect is looked for.

    The learner is the one that `fit` makes of the same arguments. Suspects ask for the one for images elsewhere, which goes by features alone: a wrong
    label must not count for being near itself.
    """
    held_out, logs = _held_out(references, ids, method, known, goes_on)
    if not len(held_out):
        return Assessment(PRIOR, ())
    truth = np.array([ids.index(i) for i in references.classes[held_out].tolist()])
    weights = 1 / np.bincount(truth, minlength=len(ids))[truth]

    def loss(log_power: float) -> float:
        scaled = np.exp(log_power) * logs
        return float((weights * (np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(truth)), truth])).sum())

    best = float(minimize_scalar(loss, bounds=(np.log(0.5), np.log(8.0)), method="bounded").x)
    share = half_saturating(min(spreads(references, ids)))
    inverse_temperature = float(np.exp(share * best + (1 - share) * np.log(PRIOR)))
    # Wrong labels make a learner look less sure than it may be of others.
    return Assessment(inverse_temperature, tuple(_suspects(references, ids, held_out, truth, max(1.0, inverse_temperature) * logs)))


def _held_out(
    references: References, ids: list[int], method: LearnerMethod, known: Known, goes_on: Callable[[], bool]
) -> tuple[IntArray, AnyArray]:
    """Which references were held out once, and what they were then taken for: log probabilities (n, class)."""
    nothing = np.empty(0, np.int64), np.empty((0, len(ids)))
    _, first, group = np.unique(references.spatial_groups, return_index=True, return_inverse=True)
    # Groups in the order in which they were first labelled, dealt out to the folds: one more label leaves them where they are. scikit-learn's GroupKFold
    # deals them out by their sizes, so that any label may move all of them, and the confidence of every pixel with them.
    fold = np.argsort(np.argsort(first))[group] % FOLDS
    spread = min(spreads(references, ids))
    if len(first) < FOLDS or spread < 2:
        return nothing
    index, logs = [], []
    for k in range(FOLDS):
        if not goes_on():
            raise SupersededError("the labels were replaced while they were gone through, expected them to stand. Ask again.")
        taught, asked = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        if set(references.classes[taught].tolist()) < set(ids):
            continue
        scorer = fit(references.take(taught), ids, method, known)
        near = None if scorer.spatial is None else scorer.spatial.at(references.sites[asked])
        index.append(asked)
        logs.append(np.log(scorer.probabilities(references.features[asked].T.contiguous(), near).T.double().numpy() + 1e-9))
    if not index:
        return nothing
    return np.concatenate(index), np.concatenate(logs)


def _suspects(references: References, ids: list[int], held_out: IntArray, truth: IntArray, logs: AnyArray) -> list[SuspectLabel]:
    names = [references.legend.by_id(i).name for i in ids]
    found: list[SuspectLabel] = []
    alike: set[tuple[int, int]] = set()
    groups = references.spatial_groups[held_out]
    for a in range(len(ids)):
        for b in range(a + 1, len(ids)):
            right = [_by_group(logs[truth == k, k] > logs[truth == k, other], groups[truth == k]) for k, other in ((a, b), (b, a))]
            if min(map(len, right)) >= _FEWEST and (right[0].mean() + right[1].mean()) / 2 < 0.6:
                alike |= {(a, b), (b, a)}
                found.append(SuspectLabel("classes", (names[a], names[b]), None))
    probabilities = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
    for k in np.argsort(held_out):
        own, best = truth[k], int(probabilities[k].argmax())
        if probabilities[k, best] > _SURE and probabilities[k, own] < _UNLIKELY and (own, best) not in alike:
            found.append(SuspectLabel("label", (names[own], names[best]), int(held_out[k])))
    return found


def _by_group(right: BoolArray, groups: IntArray) -> AnyArray:
    """Share of labels that were right in each spatial group: a scribble, which is one, counts as one."""
    found, at = np.unique(groups, return_inverse=True)
    return np.bincount(at, right, len(found)) / np.bincount(at, minlength=len(found))
