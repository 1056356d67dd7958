"""Learners on a pixel's features and on its place, all of which answer with a few matrix products.

- vote: every reference votes for its class with exp(-d / t), d being the mean squared difference of the standardised
  features of the two pixels alone. A pixel's own norm is common to all votes and drops out, so the exponent is linear
  in its features. Classes are balanced: the mean vote counts. Nothing is extrapolated, so colours never seen (another
  date) still go to what is least unlike them.
- logistic: multinomial logistic regression on all learned features, strongly regularised, classes balanced.
- auto: the weighted geometric mean of the vote, of that regression, and, on an image whose own pixels were labelled, of regressions on the bands:
  colours mean the same all over an image, but not on another date, and what the model makes of places it saw little of, they know better.
  The vote and straight lines are ahead where few places are labelled, regressions and curves where many are, so weights follow from the number p of
  places in which the class seen in fewest of them is labelled (`References.tiles`). On an image whose own pixels were labelled, what lies near a labelled pixel also counts.

What a learner says of an image without labels is then weighed by how common the classes are there, see `Learned.proportioned`.

Features are standardised by what lies around the labelled pixels, labelled or not: one mark a class says nothing of spread.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from ..silence import silenced
from ..similarity import RAW, References, band_features, own_features
from ..types import AnyArray, IntArray
from .kernels import MOST_CENTRES, REACH_OF_COLOURS, Coloured, Near, colour_kernel, columns, place_kernel
from .scratch import Scratch

LearnedMethod = Literal["auto", "vote", "logistic"]
Known = Literal["here", "migrated", "elsewhere"]

SOFTNESS = 1.0
"""t of the vote, in mean squared standard deviations of background."""
REGULARISATION = 0.03
"""Variance of the weight of a standardised feature: the smaller, the closer the classes' weights are to nothing."""
REGULARISATION_OF_BANDS = 0.1
"""The same of the features of bands, which are fewer and would be drowned beside the model's."""
MOST_VOTERS = 256
"""References of a class that vote; of more, every n-th does."""
MOST_EXAMPLES = 2000
"""References of a class that the regressions learn from; of more, every n-th."""
EVEN_PLACES = 3
"""Labelled places at which vote and regression weigh the same."""
EVEN_BANDS = 2
"""Labelled places at which the bands have half of the weight that they have with many."""
EVEN_COLOURS = 5
"""Labelled places at which the linear regression on the bands and that on kernels weigh the same."""
EVEN_PROPORTIONS = 4
"""Labelled places at which half of the proportions that are found is believed."""
BANDS_SHARE = 0.5
"""Weight of the bands where many places are labelled."""
BANDS_SHARE_MIGRATED = 0.3
"""The same where they were labelled on another date."""
LEAST_PROPORTION = 0.01
"""Of an image that a class is taken to cover."""
_COLUMNS = 8192
"""Pixels a pass: few large steps, because threads that share an interpreter stand in each other's way at every step."""
_MOST_SCORES = 1 << 20
"""Votes a pass: of many references, on fewer pixels."""
_LEAST = 1e-37
"""Share of the votes, next to nothing, whose logarithm is finite."""
_scratch = Scratch()


@dataclass(frozen=True, eq=False)
class Learned:
    """Weights of a learner: a function of a pixel's features, and of its place on an image that was labelled.

    Regressions are mixed by adding their weights: a geometric mean of softmaxes is the softmax of the mean of what is in them.
    """

    own: int
    """Features that describe the pixel alone, which the vote looks at."""
    votes: tuple[tuple[Tensor, Tensor], ...]
    """For each class weights (n, own) and offsets (n,) of its voters; empty without a vote."""
    voting: float
    """Weight of the vote, 0..1; the regressions have the rest."""
    weights: Tensor | None
    """(class, K) of the regressions, times their weights; None without any."""
    offsets: Tensor | None
    """(class,), likewise."""
    trust: float
    """What is to be made of the proportions of classes that it finds, 0..1."""
    coloured: Coloured | None = None
    """What the bands add beyond a linear function; None where they have no say."""
    near: Near | None = None
    """What lies near labelled pixels; None on images without."""
    prior: Tensor | None = None
    """(class,): logarithms that are added, see `proportioned`; None for classes that are all as common."""

    def proportioned(self, sample: Tensor) -> Learned:
        """The same for an image in which classes are not equally common, as far as a sample of it shows.

        Labels are given to classes alike, whatever the classes take of the image, and learners give all classes the same chance. The mean
        probabilities over the image estimate its proportions (the first step of Saerens, Latinne and Decaestecker, *Adjusting the
        Outputs of a Classifier to New a Priori Probabilities*, Neural Computation 14, 2002), by which probabilities are multiplied, to the power `trust`.

        Args:
            sample: Features (K, n) of pixels from all over the image.
        """
        if not sample.shape[1]:
            return self
        proportions = self.probabilities(sample).mean(dim=1).clamp(min=LEAST_PROPORTION)
        return replace(self, prior=self.trust * torch.log(proportions))

    def on(self, images: Collection[int]) -> Learned:
        """The same for one image, on which only what was labelled there is near; `images` are the numbers that references know it by."""
        return self if self.near is None else replace(self, near=self.near.on(images))

    def probabilities(self, features: Tensor, near: Tensor | None = None) -> Tensor:
        """Class probabilities (class, n), not yet smoothed or calibrated.

        Args:
            features: (K, n)
            near: (class, n), what the places of these pixels add, from `near`; None where they are not known.
        """
        with torch.inference_mode():
            classes = len(self.votes) if self.weights is None else len(self.weights)
            out = features.new_empty(classes, features.shape[1], dtype=torch.float32)
            rows = max(len(self._weights), 0 if self.coloured is None else len(self.coloured.centres))
            step = max(256, min(_COLUMNS, _MOST_SCORES // rows))
            for start in range(0, features.shape[1], step):
                part = slice(start, start + step)
                self._probabilities(features[:, part], None if near is None else near[:, part], out[:, part])
            return out

    def _probabilities(self, part: Tensor, near: Tensor | None, out: Tensor) -> None:
        # Class by class, logarithms but for a term that is common to all classes of a pixel: the last softmax takes it out.
        n = part.shape[1]
        values = _scratch.take("values", out, *part.shape).copy_(part)
        scores = torch.addmm(self._offsets, self._weights, values[: self.own], out=_scratch.take("scores", out, len(self._weights), n))
        votes, linear = scores[: self._voters], scores[self._voters :]
        if self.weights is not None:
            linear.addmm_(self._further, values[self.own :])
        if self.votes:
            # The largest vote of all classes, so that no exponential overflows; a class that vanishes beside it has no chance anyway.
            votes.sub_(votes.amax(dim=0)).exp_()
            for vote, total in zip(torch.split(votes, [len(w) for w, _ in self.votes]), out, strict=True):
                torch.sum(vote, dim=0, out=total)
            out.clamp_(min=_LEAST).log_().mul_(self.voting)
            if self.weights is not None:
                out.add_(linear)
        else:
            out.copy_(linear)
        if self.coloured is not None:
            self.coloured.add(values, out)
        for more in (near, None if self.prior is None else self.prior[:, None]):
            if more is not None:
                out.add_(more)
        out.sub_(out.amax(dim=0)).exp_()
        out.div_(out.sum(dim=0))

    @cached_property
    def _voters(self) -> int:
        return sum(len(w) for w, _ in self.votes)

    @cached_property
    def _weights(self) -> Tensor:
        """(voters + class, own): of all that is linear in the features of the pixel alone, for one product."""
        return torch.cat([*(w for w, _ in self.votes), *([] if self.weights is None else [self.weights[:, : self.own]])])

    @cached_property
    def _offsets(self) -> Tensor:
        return torch.cat([*(b for _, b in self.votes), *([] if self.offsets is None else [self.offsets])])[:, None]

    @cached_property
    def _further(self) -> Tensor:
        """(class, K - own): of the surroundings."""
        assert self.weights is not None
        return self.weights[:, self.own :].contiguous()

    def to(self, device: torch.device) -> Learned:
        """The same on another device."""
        return replace(
            self,
            votes=tuple((w.to(device), b.to(device)) for w, b in self.votes),
            weights=None if self.weights is None else self.weights.to(device),
            offsets=None if self.offsets is None else self.offsets.to(device),
            coloured=None if self.coloured is None else self.coloured.to(device),
            near=None if self.near is None else self.near.to(device),
            prior=None if self.prior is None else self.prior.to(device),
        )


def fit(references: References, ids: list[int], method: LearnedMethod, known: Known = "here") -> Learned:
    """Learn from references.

    Args:
        references: Labelled pixels with their features.
        ids: Ids of the classes that have references, in the order in which probabilities are wanted.
        method: 'vote', 'logistic', or 'auto' for both and, but for images elsewhere, the bands and what is near.
        known: What is to be mapped: an image whose pixels were labelled 'here'; one that has 'migrated' labels, from other dates of the
            place, where the bands have less to say, because they would take for granted what changed; or any image 'elsewhere'.
    """
    school = _School(references, ids)
    bands, learns = len(references.band_names), references.model_hash != RAW
    own = own_features(bands, references.s.shape[1], references.c.shape[1])
    trust = _share(school.places, EVEN_PROPORTIONS)
    votes = school.votes(own) if method in ("auto", "vote") else ()
    if method == "vote":
        return Learned(own, votes, 1.0, None, None, trust)
    first = references.features.shape[1] - band_features(bands)
    of_bands, of_all = slice(first, None), slice(None)
    learned = slice(0, first) if learns else of_all
    regressing = _share(school.places, EVEN_PLACES) if votes else 1.0
    if method == "logistic" or known == "elsewhere":
        lines = school.regression(learned).times(regressing)
        return Learned(own, votes, 1 - regressing, _float(lines.weights), _float(lines.offsets), trust)
    seen = (BANDS_SHARE_MIGRATED if known == "migrated" else BANDS_SHARE) * _share(school.places, EVEN_BANDS)
    curving = _share(school.places, EVEN_COLOURS)
    joint = school.regression(learned if known == "migrated" else of_all, near=True).times((1 - seen) * regressing)
    straight = school.regression(of_bands).times(seen * (1 - curving))
    curved = school.regression(None, near=True, coloured=of_bands).times(seen * curving)
    return Learned(
        own,
        votes,
        (1 - seen) * (1 - regressing),
        _float(joint.weights + straight.weights),
        _float(joint.offsets + straight.offsets + curved.offsets),
        trust,
        school.coloured(first, curved.kernel),
        Near(school.sites, _float(joint.kernel + curved.kernel)),
    )


def _share(places: int, even: float) -> float:
    """Weight that grows from 0 to 1 with the number of labelled places, one half at `even`."""
    return places**2 / (places**2 + even**2)


@dataclass(frozen=True, eq=False)
class _Regression:
    """Of one kind: log odds of the classes."""

    weights: AnyArray
    """(class, K) of raw features, 0 for those that were not looked at."""
    offsets: AnyArray
    """(class,)"""
    kernel: AnyArray
    """(class, m) of the kernel's values at the centres; m = 0 without a kernel."""

    def times(self, weight: float) -> _Regression:
        """The same with log odds so much larger."""
        return _Regression(weight * self.weights, weight * self.offsets, weight * self.kernel)


class _School:
    """Labelled pixels as learners want them."""

    def __init__(self, references: References, ids: list[int]) -> None:
        features = references.features.double().numpy()
        self._centre, self._scale = background(references)
        self._standardised = (features - self._centre) / self._scale
        self._deviations = np.full(features.shape[1], np.sqrt(REGULARISATION))
        self._deviations[-band_features(len(references.band_names)) :] = np.sqrt(REGULARISATION_OF_BANDS)
        # scikit-learn wants classes as 0, 1, ... in ascending order; `place` says where there each of `ids` is.
        self._classes, self._place = (np.searchsorted(np.sort(ids), values) for values in (references.classes, ids))
        self.places = min(len(np.unique(references.tiles[references.classes == i])) for i in ids)
        self._chosen = self._thinned(MOST_EXAMPLES)
        self._centres = self._thinned(max(1, MOST_CENTRES // len(ids)))
        self._sites = references.sites
        self.sites: IntArray = self._sites[self._centres]
        """(m, 3): number of the image, row and column of the kernels' centres."""

    def _thinned(self, most: int) -> IntArray:
        """References, at most so many of a class."""
        kept = [thinned(np.flatnonzero(self._classes == k), most) for k in range(len(self._place))]
        return np.sort(np.concatenate(kept))

    def votes(self, own: int) -> tuple[tuple[Tensor, Tensor], ...]:
        """Weights and offsets of the voters of each class."""
        votes: list[tuple[Tensor, Tensor]] = []
        steepness = 1 / (SOFTNESS * own)
        for k in self._place:
            voters = self._standardised[thinned(np.flatnonzero(self._classes == k), MOST_VOTERS), :own]
            weights = 2 * steepness * voters / self._scale[:own]
            offsets = -steepness * (voters**2).sum(axis=1) - weights @ self._centre[:own] - np.log(len(voters))
            votes.append((_float(weights), _float(offsets)))
        return tuple(votes)

    def regression(self, lines: slice | None, *, near: bool = False, coloured: slice | None = None) -> _Regression:
        """A regression on some features themselves and on kernels of the places and of some features."""
        parts = [] if lines is None else [self._deviations[lines] * self._standardised[self._chosen, lines]]
        back: AnyArray = np.zeros((0, 0))
        if near or coloured is not None:
            values, back = columns(*(self._kernel(rows, near, coloured) for rows in (self._chosen, self._centres)))
            parts.append(values)
        coefficients, offsets = _regress(np.concatenate(parts, axis=1), self._classes[self._chosen], len(self._place))
        coefficients, split = coefficients[self._place], coefficients.shape[1] - len(back)
        weights = np.zeros((len(self._place), len(self._scale)))
        if lines is not None:
            weights[:, lines] = self._deviations[lines] * coefficients[:, :split] / self._scale[lines]
        return _Regression(weights, offsets[self._place] - weights @ self._centre, coefficients[:, split:] @ back.T)

    def _kernel(self, rows: IntArray, near: bool, coloured: slice | None) -> AnyArray:
        """Of some labelled pixels and all centres."""
        total: AnyArray = np.zeros((len(rows), len(self._centres)))
        if near:
            total += place_kernel(self._sites[rows], self.sites)
        if coloured is not None:
            total += colour_kernel(self._standardised[rows, coloured], self._standardised[self._centres, coloured])
        return total

    def coloured(self, first: int, kernel: AnyArray) -> Coloured:
        """The kernel on the features of the bands, the last ones, with these weights (class, m)."""
        scale = self._scale[first:]
        steepness = np.sqrt(2 / (REACH_OF_COLOURS * len(scale)))
        centres = steepness * self._standardised[self._centres, first:]
        return Coloured(first, *(_float(v) for v in (self._centre[first:, None], steepness / scale[:, None], centres, kernel)))


def _regress(features: AnyArray, classes: AnyArray, count: int) -> tuple[AnyArray, AnyArray]:
    """Coefficients (class, feature), of unit variance, and intercepts (class,) of a regression; classes are 0, 1, ..."""
    regression = LogisticRegression(C=1.0, class_weight="balanced", max_iter=100, tol=1e-3)
    # Of problems this small, checking what is handed over would take as long as solving them.
    # Near the optimum is as good a map.
    with silenced(ConvergenceWarning), config_context(assume_finite=True, skip_parameter_validation=True):
        regression.fit(features, classes)
    coefficients, intercepts = regression.coef_, regression.intercept_
    if count == 2:  # scikit-learn gives the second class's log odds
        return np.concatenate([0 * coefficients, coefficients]), np.concatenate([0 * intercepts, intercepts])
    return coefficients, intercepts


def background(references: References) -> tuple[AnyArray, AnyArray]:
    """Mean and standard deviation of the features around the labelled pixels: (K,) each, the latter > 0."""
    mean, variance = references.background.double().numpy().transpose(1, 0, 2)
    centre = mean.mean(axis=0)
    spread = np.sqrt(variance.mean(axis=0) + mean.var(axis=0))
    # A feature that does not vary there would be infinitely telling wherever it does.
    return centre, np.maximum(spread, 1e-3 * np.abs(centre) + 1e-6)


def thinned(index: AnyArray, most: int) -> AnyArray:
    """At most so many of these, evenly spread."""
    return index if len(index) <= most else index[np.linspace(0, len(index) - 1, most).round().astype(int)]


def _float(values: AnyArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
