"""Learners on a pixel's features, all of which answer with one matrix product.

- vote: every reference votes for its class with exp(-d / t), d being the mean squared difference of the standardised
  features of the two pixels alone. A pixel's own norm is common to all votes and drops out, so the exponent is linear
  in its features. Classes are balanced: the mean vote counts. Nothing is extrapolated, so colours never seen (another
  date) still go to what is least unlike them.
- logistic: multinomial logistic regression on all features, strongly regularised, classes balanced.
- auto: the weighted geometric mean of both. The vote is ahead where few places are labelled, the regression where many are, so its
  weight is p^2 / (p^2 + 25), p being the number of places (64 x 64 pixels) in which the class seen in fewest of them is labelled.
  On an image that was labelled itself, a regression on the bands alone joins them with weight p^2 / (2 p^2 + 8): colours mean the same all over
  an image, but not on another date, and what the model makes of places it saw little of, they know better.

What a learner says of an image without labels is then weighed by how common the classes are there, see `Learned.proportioned`.

Features are standardised by what lies around the labelled pixels, labelled or not: one mark a class says nothing of spread.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from ..similarity import RAW, References, band_features, own_features
from ..types import AnyArray
from .scratch import Scratch

LearnedMethod = Literal["auto", "vote", "logistic"]

SOFTNESS = 1.0
"""t of the vote, in mean squared standard deviations of background."""
REGULARISATION = 0.03
"""scikit-learn's C: the smaller, the closer the classes' weights are to nothing."""
MOST_VOTERS = 256
"""References of a class that vote; of more, every n-th does."""
MOST_EXAMPLES = 2000
"""References of a class that the regression learns from; of more, every n-th."""
EVEN_PLACES = 5
"""Labelled places at which vote and regression weigh the same, and at which half of the proportions that are found is believed."""
EVEN_BANDS = 2
"""Labelled places at which the bands have half of the weight that they have with many."""
BANDS_SHARE = 0.5
"""Weight of the bands' regression where many places are labelled."""
PRIORS_POWER = 0.6
"""Power of the proportions where many places are labelled: calibrated probabilities, about p^2.5, would ask for 1 / 2.5 on p."""
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
    """Weights of a learner: a function of a pixel's features.

    Regressions are mixed by adding their weights: a geometric mean of softmaxes is the softmax of the mean of what is in them.
    """

    own: int
    """Features that describe the pixel alone, which the vote looks at."""
    votes: tuple[tuple[Tensor, Tensor], ...]
    """For each class weights (n, own) and offsets (n,) of its voters; empty without a vote."""
    weights: Tensor | None
    """(class, K) of the regression; None without one."""
    offsets: Tensor | None
    """(class,)"""
    share: float
    """Weight of the regression, 0..1; the vote has the rest."""
    trust: float
    """What is to be made of the proportions of classes that it finds, 0..1."""
    prior: Tensor | None = None
    """(class,): logarithms that are added, see `proportioned`; None for classes that are all as common."""

    def proportioned(self, sample: Tensor) -> Learned:
        """The same for an image in which classes are not equally common, as far as a sample of it shows.

        Labels are given to classes alike, whatever the classes take of the image, and learners give all classes the same chance. The mean
        probabilities over the image estimate its proportions (the first step of Saerens, Latinne and Decaestecker, *Adjusting the
        Outputs of a Classifier to New a Priori Probabilities*, Neural Computation 14, 2002), by which probabilities are multiplied, to the power 0.6 `trust`.

        Args:
            sample: Features (K, n) of pixels from all over the image.
        """
        if not sample.shape[1]:
            return self
        proportions = self.probabilities(sample).mean(dim=1).clamp(min=LEAST_PROPORTION)
        return replace(self, prior=PRIORS_POWER * self.trust * torch.log(proportions))

    def probabilities(self, features: Tensor) -> Tensor:
        """Class probabilities (class, n), not yet smoothed or calibrated, from features (K, n)."""
        with torch.inference_mode():
            classes = len(self.votes) if self.weights is None else len(self.weights)
            out = features.new_empty(classes, features.shape[1], dtype=torch.float32)
            step = max(256, min(_COLUMNS, _MOST_SCORES // len(self._weights)))
            for start in range(0, features.shape[1], step):
                self._probabilities(features[:, start : start + step], out[:, start : start + step])
            return out

    def _probabilities(self, part: Tensor, out: Tensor) -> None:
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
            out.clamp_(min=_LEAST).log_()
            if self.weights is not None:
                out.mul_(1 - self.share).add_(linear, alpha=self.share)
        else:
            torch.mul(linear, self.share, out=out)
        if self.prior is not None:
            out.add_(self.prior[:, None])
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
            prior=None if self.prior is None else self.prior.to(device),
        )


@dataclass(frozen=True, eq=False)
class Learners:
    """What was learned, for images that were labelled themselves and for others."""

    home: Learned
    elsewhere: Learned

    def to(self, device: torch.device) -> Learners:
        """The same on another device."""
        return Learners(self.home.to(device), self.elsewhere.to(device))


def fit(references: References, ids: list[int], method: LearnedMethod) -> Learners:
    """Learn from references.

    Args:
        references: Labelled pixels with their features.
        ids: Ids of the classes that have references, in the order in which probabilities are wanted.
        method: 'vote', 'logistic', or 'auto' for both and, at home, the bands.
    """
    features = references.features.double().numpy()
    centre, scale = background(references)
    bands = len(references.band_names)
    own = own_features(bands, references.s.shape[1], references.c.shape[1])
    of_bands = features.shape[1] - band_features(bands)
    standardised = (features - centre) / scale
    # scikit-learn wants classes as 0, 1, ... in ascending order; `place` says where there each of `ids` is.
    classes, place = np.searchsorted(np.sort(ids), references.classes), np.searchsorted(np.sort(ids), ids)
    votes: list[tuple[Tensor, Tensor]] = []
    if method in ("auto", "vote"):
        for k in range(len(ids)):
            voters = standardised[thinned(np.flatnonzero(classes == place[k]), MOST_VOTERS), :own]
            steepness = 1 / (SOFTNESS * own)
            weights = 2 * steepness * voters / scale[:own]
            offsets = -steepness * (voters**2).sum(axis=1) - weights @ centre[:own] - np.log(len(voters))
            votes.append((_float(weights), _float(offsets)))
    places = min(len(np.unique(references.tiles[references.classes == i])) for i in ids)
    trust = places**2 / (places**2 + EVEN_PLACES**2)
    if method == "vote":
        learned = Learned(own, tuple(votes), None, None, 0.0, trust)
        return Learners(learned, learned)
    chosen = np.sort(np.concatenate([thinned(np.flatnonzero(classes == k), MOST_EXAMPLES) for k in range(len(ids))]))

    def regress(columns: slice) -> tuple[AnyArray, AnyArray]:
        """Weights (class, K), 0 but for some of the features, and offsets (class,)."""
        coefficients, intercepts = _regress(standardised[chosen, columns], classes[chosen], len(ids))
        weights = np.zeros((len(ids), len(scale)))
        weights[:, columns] = coefficients[place] / scale[columns]
        return weights, intercepts[place] - weights @ centre

    learns = references.model_hash != RAW
    weights, offsets = regress(slice(0, of_bands) if learns else slice(None))
    share = trust if votes else 1.0
    elsewhere = Learned(own, tuple(votes), _float(weights), _float(offsets), share, trust)
    if method != "auto" or not learns:
        return Learners(elsewhere, elsewhere)
    seen = BANDS_SHARE * places**2 / (places**2 + EVEN_BANDS**2)
    band_weights, band_offsets = regress(slice(of_bands, None))
    joint = 1 - (1 - seen) * (1 - share)
    weights, offsets = (((1 - seen) * share * a + seen * b) / joint for a, b in ((weights, band_weights), (offsets, band_offsets)))
    return Learners(Learned(own, tuple(votes), _float(weights), _float(offsets), joint, trust), elsewhere)


def _regress(features: AnyArray, classes: AnyArray, count: int) -> tuple[AnyArray, AnyArray]:
    """Coefficients (class, feature) and intercepts (class,) of a regression on standardised features; classes are 0, 1, ..."""
    regression = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=100, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near the optimum is as good a map
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
