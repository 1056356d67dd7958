"""What people say of sample points: one class a point out of several answers, and how sure the figures are so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..labels.layers import RawFeature
from .estimators import ratio
from .samplefile import UNLABELLED, UNSURE, is_by_classes, sample_of

SETTLED = "(settled)"
"""The interpreter whose answer stands where the others differ."""


def settle(answers: Mapping[str, str]) -> str | None:
    """The class of a point from its answers, by interpreter.

    Returns:
        The settled answer where there is one, else the answer on which all agree; None where they differ, '?' where nobody answered.
    """
    if SETTLED in answers:
        return answers[SETTLED]
    distinct = set(answers.values())
    return UNLABELLED if not distinct else distinct.pop() if len(distinct) == 1 else None


@dataclass(frozen=True)
class Agreement:
    """How often two interpreters said the same. It says how hard the points are, and is no accuracy."""

    first: str
    second: str
    points: int
    """Answered by both; 'unsure' is an answer."""
    same: int


def agreements(answers: Sequence[Mapping[str, str]]) -> list[Agreement]:
    """Agreement of each pair of interpreters.

    Args:
        answers: Of each point, by interpreter.
    """
    names = sorted({name for one in answers for name in one} - {SETTLED})
    found = []
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            both = [(one[first], one[second]) for one in answers if first in one and second in one]
            if both:
                found.append(Agreement(first, second, len(both), sum(a == b for a, b in both)))
    return found


@dataclass(frozen=True)
class SoFar:
    """How sure the figures are by the points answered so far. It does not tell the figures, so that whoever answers stays blind."""

    half_width: float
    """Half of the 95 % interval, as a share."""
    figure: str
    """'accuracy': the overall accuracy of the map that the sample was drawn for; 'areas': the least certain share of a class."""
    more: int
    """Points that are missing for the target, as far as these tell."""


def so_far(features: Sequence[RawFeature], classes: Sequence[str | None], target: float = 0.02) -> SoFar | None:
    """How sure the figures are by the points that have a class.

    Args:
        features: Points of a design.
        classes: Class of each; None, '?' and 'unsure' are no class.
        target: Half width to reach, in (0, 0.5).

    Returns:
        None where there are too few answers to tell.

    Raises:
        InputError: The target is none.
    """
    if not 0 < target < 0.5:
        raise InputError(f"target is {target:g}, expected a half width between 0 and 0.5, such as 0.02.")
    kept = np.flatnonzero([name not in (None, UNLABELLED, UNSURE) for name in classes])
    if len(kept) < 2:
        return None
    names = [str(feature.properties["stratum"]) for feature in features]
    distinct = list(dict.fromkeys(names))
    stratum = np.array([distinct.index(name) for name in names])
    # Strata with too few answers yet count as part of the largest.
    clusters = np.array([int(float(feature.properties["cluster"])) for feature in features])
    seen = np.array([len(np.unique(clusters[kept][stratum[kept] == index])) for index in range(len(distinct))])
    largest = int(np.argmax(np.bincount(stratum[kept], minlength=len(distinct))))
    if seen[largest] < 2:
        return None
    _, joined = np.unique(np.where(seen[stratum] < 2, largest, stratum), return_inverse=True)
    _, _, sample = sample_of(features, joined, kept)
    said = np.array([str(classes[i]) for i in kept.tolist()])
    if is_by_classes(features[0]):
        figure, outcomes = "accuracy", [said == np.array(names)[kept]]
    else:
        figure, outcomes = "areas", [said == name for name in np.unique(said)]
    intervals = [ratio(sample, sample.areas * outcome, sample.areas).interval() for outcome in outcomes]
    half = max((high - low) / 2 for low, high in intervals)
    # The width of an interval falls with the root of the number of points.
    return SoFar(half, figure, max(0, math.ceil(len(kept) * ((half / target) ** 2 - 1))))
