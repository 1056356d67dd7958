"""Learning from labelled pixels.

- vote: every reference votes for its class with exp(-d), d being the mean squared difference of the standardised features of the two pixels
  alone. A pixel's own norm is common to all votes and drops out, so the exponent is linear in its features. Classes are balanced: the mean vote
  counts. Nothing is extrapolated, so colours never seen (another date) still go to what is least unlike them.
- logistic: multinomial logistic regression on all learned features, strongly regularised, classes balanced.
- auto: where there are pretrained features, and the image's own pixels were labelled, a Gaussian process on these (see `gaussian_process`), which is ahead of
  all others there. Otherwise the weighted geometric mean of the vote, of that regression, and, on an image whose own pixels were labelled, of a regression on the bands:
  colours mean the same all over an image, but not on another date, and what a network makes of sites it saw little of, they know better. The vote
  is ahead where few sites are labelled, regressions where many are, so weights follow from the number of spatial
  groups in which the class seen in fewest of them is labelled. On an image whose own pixels were labelled, what lies near a labelled pixel also counts.

Features are standardised by what lies around the labelled pixels, labelled or not: one label a class says nothing of spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from ..features import References
from ..silence import silenced
from ..types import AnyArray, IntArray, UInt8Array
from .gaussian_process import NEARNESS, PartsTerm, part_kernel
from .kernels import LENGTH_SCALE, SPECTRAL_LENGTH_SCALE, SpatialTerm, SpectralTerm, columns, spatial_kernel, spectral_kernel
from .scorer import Scorer

LearnerMethod = Literal["auto", "vote", "logistic"]
Known = Literal["here", "apart", "transferred", "elsewhere"]

VARIANCE = 0.03
"""Prior variance of the weight of a standardised feature: the smaller, the closer the classes' weights are to nothing."""
MOST_LABELS = 512
"""References of a class that vote, that regressions learn from, that are looked up on another image and that cover; of more, every n-th. Of all classes
together, those that kernels are centred on (landmarks)."""
EVEN = 4
"""Half-saturation: labelled spatial groups at which the regressions weigh as much as the vote, and half of what labels show is believed."""
PRETRAINED_SHARE = {"here": 1.0, "apart": 1.0, "transferred": 0.0, "elsewhere": 0.0}
"""Weight of the pretrained features beside all others: none on other dates, where the encoder is far ahead."""
UNEVEN = 0.125
"""Half-saturation, in spatial groups of the class seen in most of them and at least one: labelled groups of the class seen in fewest at which the process on pretrained
features has half of that weight. Of a class with few labels beside one with many it finds too little."""
ENOUGH = 0.9
"""Weight from which on the process needs no other beside it."""


def fit(references: References, ids: list[int], method: LearnerMethod, known: Known = "here") -> Scorer:
    """Learn from references.

    Args:
        references: Labelled pixels with their features.
        ids: Ids of the classes that have references, in the order in which probabilities are wanted.
        method: 'vote', 'logistic', or 'auto' for both and, but for images elsewhere, the bands and what is near.
        known: What is to be mapped: an image whose pixels were labelled 'here'; the same, but that nothing near is to count ('apart'); one that has 'transferred' labels, from other dates of its
            ground, where the joint regression leaves the bands out, because they would take for granted what changed; or any image 'elsewhere'.
    """
    fitter, groups = _Fitter(references, ids), references.columns
    regress = partial(_regressions, fitter, references, method, "elsewhere" if known == "apart" else known)
    if method != "auto" or not groups.parts or (groups.pretrained.start and not PRETRAINED_SHARE[known]):
        return regress()
    share = PRETRAINED_SHARE[known] * half_saturating(fitter.spread, max(1.0, fitter.widest * UNEVEN))
    if not groups.pretrained.start or share >= ENOUGH:
        return fitter.process(1.0, spatial=known == "here")
    return regress().mixed(1 - share, fitter.process(share, spatial=known == "here"))


def _regressions(fitter: _Fitter, references: References, method: LearnerMethod, known: Known) -> Scorer:
    """What vote and regressions say."""
    own = int(np.flatnonzero(references.columns.own).max()) + 1
    trust = half_saturating(fitter.spread)
    votes = fitter.votes(own) if method in ("auto", "vote") else ()
    if method == "vote":
        return Scorer(own, votes, 1.0, None, None, trust)
    of_bands, of_all = references.columns.bands, slice(0, references.columns.pretrained.start or len(references.columns))
    learned = references.columns.learned if references.columns.learned.stop else of_all
    regressing = trust if votes else 1.0
    if method == "logistic" or known == "elsewhere":
        lines = fitter.regression(learned).times(regressing)
        return Scorer(own, votes, 1 - regressing, _float(lines.weights), _float(lines.offsets), trust)
    has_bands = of_bands.start < of_bands.stop
    # With many labels the bands weigh as much as all else.
    share = trust / 2 if has_bands else 0.0
    joint = fitter.regression(learned if known == "transferred" else of_all, spatial=True).times((1 - share) * regressing)
    if not has_bands:
        spatial = SpatialTerm(fitter.sites, fitter.lengths, _float(joint.kernel))
        return Scorer(own, votes, 1 - regressing, _float(joint.weights), _float(joint.offsets), trust, None, spatial)
    curved = fitter.regression(None, spatial=True, spectral=of_bands).times(share)
    return Scorer(
        own,
        votes,
        (1 - share) * (1 - regressing),
        _float(joint.weights),
        _float(joint.offsets + curved.offsets),
        trust,
        fitter.spectral_term(of_bands, curved.kernel),
        SpatialTerm(fitter.sites, fitter.lengths, _float(joint.kernel + curved.kernel)),
    )


def half_saturating(count: int, even: float | None = None) -> float:
    """Weight that grows from 0 to 1 with a count, one half at `even`, by default `EVEN`."""
    even = EVEN if even is None else even
    return count**2 / (count**2 + even**2)


def spreads(references: References, ids: list[int]) -> list[int]:
    """In how many spatial groups each class is labelled."""
    return [len(np.unique(references.spatial_groups[references.classes == i])) for i in ids]


@dataclass(frozen=True, eq=False)
class _Regression:
    """Of one kind: log odds of the classes."""

    weights: AnyArray
    """(class, K) of raw features, 0 for those that were not looked at."""
    offsets: AnyArray
    """(class,)"""
    kernel: AnyArray
    """(class, m) of the kernel's values at the landmarks; m = 0 without a kernel."""

    def times(self, weight: float) -> _Regression:
        """The same with log odds so much larger."""
        return _Regression(weight * self.weights, weight * self.offsets, weight * self.kernel)


class _Fitter:
    """Labelled pixels as the learners want them."""

    def __init__(self, references: References, ids: list[int]) -> None:
        self._columns = references.columns
        found = spreads(references, ids)
        self.spread, self.widest = min(found), max(found)
        """Spatial groups in which the classes seen in fewest and in most of them are labelled."""
        self._smallest = int(references.sizes.min())
        chosen, landmarks = (thinned_by_class(references.classes, most) for most in (MOST_LABELS, max(1, MOST_LABELS // len(ids))))
        # Only what is looked at is converted: there may be many times as many labels.
        kept = np.union1d(chosen, landmarks)
        self._features: AnyArray = references.features[torch.from_numpy(kept)].double().numpy()
        self._centre, self._scale = background(references)
        self._standardised = (self._features - self._centre) / self._scale
        # scikit-learn wants classes as 0, 1, ... in ascending order; `order` says where there each of `ids` is.
        self._classes, self._order = (np.searchsorted(np.sort(ids), values) for values in (references.classes[kept], ids))
        self._chosen, self._landmarks = (np.searchsorted(kept, rows) for rows in (chosen, landmarks))
        self._sites = references.sites[kept]
        self.sites: IntArray = self._sites[self._landmarks]
        """(m, 3): number of the image, row and column of the kernels' landmarks."""
        self.lengths: AnyArray = LENGTH_SCALE * references.group_scales[landmarks]
        """(m,): length scales of the spatial kernel on their images."""

    def votes(self, own: int) -> tuple[tuple[Tensor, Tensor], ...]:
        """Weights and offsets of the voters of each class, on the first `own` features; sources count alike, however wide they are."""
        votes: list[tuple[Tensor, Tensor]] = []
        looked_at = self._columns.own
        steepness = np.zeros(len(looked_at))
        voting = [self._columns.of(group.name) for group in self._columns.groups if looked_at[self._columns.of(group.name)].any()]
        for columns_of in voting:
            steepness[columns_of] = looked_at[columns_of] / (looked_at[columns_of].sum() * len(voting))
        steepness = steepness[:own]
        for k in self._order:
            voters = self._standardised[self._chosen[self._classes[self._chosen] == k], :own]
            weights = 2 * steepness * voters / self._scale[:own]
            offsets = -(voters**2) @ steepness - weights @ self._centre[:own] - np.log(len(voters))
            votes.append((_float(weights), _float(offsets)))
        return tuple(votes)

    def regression(self, lines: slice | None, *, spatial: bool = False, spectral: slice | None = None) -> _Regression:
        """A regression on some features themselves, on the spatial kernel, and on the spectral kernel of some features."""
        parts = [] if lines is None else [np.sqrt(VARIANCE) * self._standardised[self._chosen, lines]]
        back: AnyArray = np.zeros((0, 0))
        if spatial or spectral is not None:
            values, back = columns(*(self._kernel(rows, spatial, spectral) for rows in (self._chosen, self._landmarks)))
            parts.append(values)
        coefficients, offsets = _regress(np.concatenate(parts, axis=1), self._classes[self._chosen], len(self._order))
        coefficients, split = coefficients[self._order], coefficients.shape[1] - len(back)
        weights = np.zeros((len(self._order), len(self._scale)))
        if lines is not None:
            weights[:, lines] = np.sqrt(VARIANCE) * coefficients[:, :split] / self._scale[lines]
        return _Regression(weights, offsets[self._order] - weights @ self._centre, coefficients[:, split:] @ back.T)

    def _kernel(self, rows: IntArray, spatial: bool, spectral: slice | None) -> AnyArray:
        """Of some labelled pixels and all landmarks."""
        total: AnyArray = np.zeros((len(rows), len(self._landmarks)))
        if spatial:
            total += spatial_kernel(self._sites[rows], self.sites, self.lengths)
        if spectral is not None:
            total += spectral_kernel(self._standardised[rows, spectral], self._standardised[self._landmarks, spectral])
        return total

    def process(self, share: float, *, spatial: bool) -> Scorer:
        """A Gaussian process on the pretrained features, its log odds times `share`."""
        parts, values = self._parts(), self._features

        def kernel(rows: IntArray) -> AnyArray:
            total = part_kernel(values[rows], values[self._landmarks], parts)
            if spatial:
                total += NEARNESS * spatial_kernel(self._sites[rows], self.sites, self.lengths)
            return total

        features, back = columns(kernel(self._chosen), kernel(self._landmarks))
        coefficients, offsets = _regress(features, self._classes[self._chosen], len(self._order))
        weights = share * (coefficients @ back.T)[self._order]
        term = PartsTerm(parts, [_float(values[self._landmarks, part]) for part in parts], _float(weights))
        near = SpatialTerm(self.sites, self.lengths, _float(NEARNESS * weights)) if spatial else None
        return Scorer(0, (), 0.0, None, _float(share * offsets[self._order]), half_saturating(self.spread), None, near, term)

    def _parts(self) -> list[slice]:
        """Columns of the parts that look at less than the labelled images show: one that sees as far as an image reaches would know a pixel by its position on it."""
        stops = self._columns.pretrained.start + np.cumsum(self._columns.parts)
        every = [slice(int(stop) - width, int(stop)) for stop, width in zip(stops, self._columns.parts, strict=True)]
        return [part for part, span in zip(every, self._columns.spans, strict=True) if span < self._smallest] or every[:1]

    def spectral_term(self, of_bands: slice, kernel: AnyArray) -> SpectralTerm:
        """The kernel on the features of the bands, with these weights (class, m)."""
        scale = self._scale[of_bands]
        steepness = np.sqrt(2 / (SPECTRAL_LENGTH_SCALE * len(scale)))
        landmarks = steepness * self._standardised[self._landmarks, of_bands]
        return SpectralTerm(
            of_bands.start, *(_float(v) for v in (self._centre[of_bands, None], steepness / scale[:, None], landmarks, kernel))
        )


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
    for group in references.columns.groups:
        if group.standardise == "together":
            columns_of = references.columns.of(group.name)
            spread[columns_of] = np.sqrt((spread[columns_of] ** 2).mean())
    # A feature that does not vary there would be infinitely telling wherever it does.
    return centre, np.maximum(spread, 1e-3 * np.abs(centre) + 1e-6)


def thinned_by_class(classes: UInt8Array, most: int) -> IntArray:
    """References, at most so many of a class."""
    return np.sort(np.concatenate([thinned(np.flatnonzero(classes == class_id), most) for class_id in np.unique(classes)]))


def thinned(index: AnyArray, most: int) -> AnyArray:
    """At most so many of these, evenly spread."""
    return index if len(index) <= most else index[np.linspace(0, len(index) - 1, most).round().astype(int)]


def _float(values: AnyArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
