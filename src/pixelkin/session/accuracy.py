"""How good the map is, as far as its own labels can say: each predicted from labels that lie elsewhere.

A cross-validation by space, of whatever maps the image: its features, its decision, what other dates lend it. Labels of one spatial group are nearly copies of
one another, on whatever date of a series they were made (what one date knows of a site, others are mapped by), so they stay on one side of a split, and a group counts as one
observation, however many pixels were marked in it. It says how good the map is in surroundings
such as were labelled, and not what share of the image is right: for that, draw a random sample and use `pixelkin evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.model_selection import GroupKFold

from ..features import References
from ..features.references import scene_number
from ..scene import Scene
from ..segmenter import Segmenter
from ..types import BoolArray, IntArray
from .livemap import LiveMap
from .watcher import Watcher

_SETTLE_S = 1.0
"""How long labels must stand first: it must not run beside a repaint."""
_FOLDS = 10
"""Splits, where there are as many spatial groups."""
_FEWEST_GROUPS = 4
_Z = 1.959964
"""Of a normal distribution, for 95 %."""


@dataclass(frozen=True)
class Share:
    """A share of spatial groups, with its 95 % interval."""

    value: float
    """0..1."""
    low: float
    high: float
    groups: int
    """Spatial groups that it is of."""


@dataclass(frozen=True)
class ClassAccuracy:
    """How well one class is told from the others."""

    class_id: int
    recall: Share | None
    """Of its labels, those that are predicted as it; None where it lies in too few spatial groups."""
    precision: Share | None
    """Of labels that are predicted as it, its own; None where there are none."""


@dataclass(frozen=True)
class AccuracyEstimate:
    """What the labels say of the map."""

    accuracy: Share | None
    """Of all labels, those that are predicted right; None where they lie in too few spatial groups."""
    classes: tuple[ClassAccuracy, ...]
    """In the order of ids."""
    reason: str | None
    """What is missing for an estimate, in words for the user."""


@dataclass(frozen=True)
class AccuracyNow:
    """The estimate for the labels of now, and the one before."""

    is_checked: bool
    """False while these labels are still to be assessed; `estimate` is of earlier ones then."""
    estimate: AccuracyEstimate | None
    """None before the first."""
    before: AccuracyEstimate | None
    """For the labels before: the difference is what the last marks changed."""


class AccuracyWatch:
    """Estimates accuracy in the background, once the labels stand."""

    def __init__(self, scenes: Mapping[str, Scene], live: LiveMap, tell: Callable[[int], None]) -> None:
        """Start at once.

        Args:
            scenes: Images by id.
            live: Whose labels are assessed.
            tell: Called from the background with the version that was.
        """
        self._scenes, self._live, self._tell = scenes, live, tell
        self._now: AccuracyEstimate | None = None
        self._before: AccuracyEstimate | None = None
        self._watcher = Watcher(live, self._assess, name="accuracy", settle_s=_SETTLE_S)

    def close(self) -> None:
        """End the background."""
        self._watcher.close()

    def found(self, version: int) -> AccuracyNow:
        """What is known of a version."""
        return AccuracyNow(self._watcher.done == version, self._now, self._before)

    def _assess(self, version: int) -> None:
        segmenter = self._live.learnt(version)
        found = AccuracyEstimate(None, (), "Mark at least two classes.")
        if segmenter is not None:
            labelled = set(segmenter.references.origins[:, 0].tolist())
            scenes = [scene for scene in self._scenes.values() if scene_number(scene) in labelled]
            found = estimate_accuracy(segmenter, scenes, lambda: self._watcher.goes_on(version))
        if not self._watcher.is_over(version):
            self._before, self._now = self._now, found
            self._tell(version)


def estimate_accuracy(segmenter: Segmenter, scenes: Sequence[Scene], goes_on: Callable[[], bool] = lambda: True) -> AccuracyEstimate:
    """Predict each label from those of other spatial groups.

    Args:
        segmenter: With references.
        scenes: The images that were labelled.
        goes_on: Asked before each fold; what is found without the rest is of no use.

    Returns:
        Shares with Wilson's 95 % intervals, which take spatial groups for observations.
    """
    if segmenter.method == "nearest":
        return AccuracyEstimate(None, (), "An accuracy is estimated for the default method alone.")
    references = segmenter.references
    ids = sorted(set(references.classes.tolist()))
    groups = _sites(references)
    fewest = min(len(np.unique(groups[references.classes == class_id])) for class_id in ids)
    if len(np.unique(groups)) < _FEWEST_GROUPS or fewest < 2:
        return AccuracyEstimate(None, (), "Mark each class in two parts of the image at least, away from one another.")
    predicted = _held_out(segmenter, scenes, groups, goes_on)
    asked = predicted > 0
    right = predicted == references.classes
    classes = []
    for class_id in ids:
        own, taken = asked & (references.classes == class_id), asked & (predicted == class_id)
        classes.append(ClassAccuracy(class_id, _share(right[own], groups[own]), _share(right[taken], groups[taken])))
    return AccuracyEstimate(_share(right[asked], groups[asked]), tuple(classes), None)


def _sites(references: References) -> IntArray:
    """(L,): number of the spatial group of each label; the dates of a series share theirs."""
    ground = references.origins[:, 1].numpy()
    image = np.where(ground > 0, ground, references.origins[:, 0].numpy())
    numbered = replace(references, origins=torch.from_numpy(np.column_stack([image, references.origins[:, 1:].numpy()])))
    return numbered.spatial_groups


def _held_out(segmenter: Segmenter, scenes: Sequence[Scene], groups: IntArray, goes_on: Callable[[], bool]) -> IntArray:
    """(n,): id of the class that each label is predicted as by those of other groups; 0 where these lack a class."""
    classes = segmenter.references.classes
    predicted = np.zeros(len(classes), np.int64)
    folds = GroupKFold(min(_FOLDS, len(np.unique(groups))))
    for taught, asked in folds.split(groups[:, None], groups=groups):
        if not goes_on():
            break
        if set(classes[taught].tolist()) == set(classes.tolist()):
            held = np.zeros(len(classes), np.bool_)
            held[asked] = True
            predicted[held] = segmenter.held_out(scenes, held)
    return predicted


def _share(right: BoolArray, groups: IntArray) -> Share | None:
    """Mean share of right labels over groups, with Wilson's interval; None without labels."""
    if not len(right):
        return None
    _, at = np.unique(groups, return_inverse=True)
    shares = np.bincount(at, right) / np.bincount(at)
    n, p = len(shares), float(shares.mean())
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * float(np.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2)))
    return Share(p, max(0.0, centre - half), min(1.0, centre + half), n)
