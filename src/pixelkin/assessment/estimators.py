"""Totals and ratios estimated from a probability sample, with their standard errors.

One formula serves every design here. A unit u of stratum h has weight w_u, the inverse of its inclusion probability; a total is
Y = sum_u w_u y_u and a ratio R = Y / X. With d_u = (y_u - R x_u) / X the linearised variable and z_c = sum of w_u d_u over the units of
cluster c (a unit alone where there are no clusters),

    V(R) = sum_h (1 - f_h) n_h / (n_h - 1) sum_c (z_c - mean_h z)^2 .

For stratified random sampling of single units this is Stehman 2014, International Journal of Remote Sensing 35, 4923-4939, equations 25
to 28, and, where strata are the map's classes, Olofsson et al. 2014, Remote Sensing of Environment 148, 42-57, equations 5 to 7 and 10.
For two-stage samples it is the with-replacement estimator of Sarndal et al. 1992, Model Assisted Survey Sampling, section 4.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..types import AnyArray, BoolArray, IntArray

Float64Array = npt.NDArray[np.float64]
EXACT = 1e-9
"""A standard error below this is rounding: the sample knows the mapped share exactly."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Units of a probability sample with what their design says of them; arrays have shape (unit,)."""

    weights: Float64Array
    """Units of the population that each stands for: 1 / inclusion probability."""
    strata: IntArray
    """Stratum of each unit, 0, 1, ..."""
    clusters: IntArray
    """Cluster of each unit; units that share one were drawn together."""
    areas: Float64Array
    """Area of each unit, square metres; 1 where pixels are all that is known."""
    sampling_fractions: Float64Array
    """Share of its units (or clusters) that was drawn from each stratum, shape (stratum,), for the finite population correction."""

    def __post_init__(self) -> None:
        for stratum in range(len(self.sampling_fractions)):
            drawn = len(np.unique(self.clusters[self.strata == stratum]))
            if drawn == 1:
                raise InputError(
                    f"stratum {stratum + 1} has 1 sampled unit or cluster, expected at least 2, as no variance can be told of one. "
                    "Label more of its points, or join it with another stratum."
                )

    def __len__(self) -> int:
        return len(self.weights)

    @cached_property
    def grouped(self) -> tuple[IntArray, IntArray]:
        """Number of each unit's cluster, 0, 1, ..., shape (unit,), and stratum of each cluster; found once, as there may be millions of units."""
        clusters, place = np.unique(self.clusters, return_inverse=True)
        stratum_of = np.zeros(len(clusters), np.int64)
        stratum_of[place] = self.strata
        return place, stratum_of

    @property
    def is_clustered(self) -> bool:
        """Whether units were drawn together."""
        return len(self.grouped[1]) < len(self)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure, with its standard error and its linearised variable."""

    value: float
    """NaN where the denominator is 0."""
    standard_error: float
    influence: Float64Array
    """d_u of each unit, shape (unit,): that of a difference of two figures is the difference of theirs."""
    seen_size: float
    """Sample size of a simple random sample that would know a share as well."""
    effective_size: float
    """The same with outcomes that may occur and were not seen."""
    centre: float
    """The value where outcomes that may occur, and were seen in no unit of a stratum, are reckoned with; else `value`."""
    unseen_variance: float
    """Variance that such outcomes may add."""
    freedom: float
    """Degrees of freedom: units, or clusters, that the denominator counts, less their strata."""

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Wilson's interval of a share with the effective sample size, which stays in [0, 1] and holds its level near the ends.

        Source:
            Wilson 1927, with the effective size of Korn and Graubard 1998, Survey Methodology 24, 193-201.
        """
        if not np.isfinite(self.value):
            return float("nan"), float("nan")
        # What was not seen may be there or not: the interval holds both.
        seen = wilson(self.value, self.seen_size, self.freedom, level)
        reckoned = wilson(self.centre, self.effective_size, self.freedom, level)
        return min(seen[0], reckoned[0], self.value), max(seen[1], reckoned[1], self.value)

    def symmetric(self, level: float = 0.95) -> float:
        """Half of the interval that the literature prints: the normal quantile times the standard error."""
        from scipy import special  # the page imports this module, and must not wait for it

        return float(special.ndtri(0.5 + level / 2)) * self.standard_error


def wilson(share: float, size: float, freedom: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share that a sample of this size gives, with Student's quantile."""
    from scipy import special

    z2 = float(special.stdtrit(max(min(size - 1, freedom), 1.0), 0.5 + level / 2)) ** 2
    p = min(max(share, 0.0), 1.0)
    centre = (p + z2 / (2 * size)) / (1 + z2 / size)
    half = np.sqrt(z2) / (1 + z2 / size) * np.sqrt(p * (1 - p) / size + z2 / (4 * size * size))
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


@dataclass(frozen=True, eq=False)
class Possible:
    """An outcome that may occur in strata where the sample shows none.

    A class that is rare in a large stratum is often missed there, and each unit of such a stratum weighs much: the sample then says that
    there is none, without any doubt. Intervals take such a stratum to have half a unit of it among one unit more (Jeffreys).
    """

    y: float
    x: float
    seen: BoolArray
    """Whether each unit shows it, shape (unit,)."""
    strata: BoolArray
    """Where it may occur, shape (stratum,)."""


def ratio(sample: Sample, y: AnyArray, x: AnyArray, *, finite: bool = True, possible: Possible | None = None) -> Estimate:
    """The ratio of two totals.

    Args:
        sample: The units.
        y: Numerator of each unit, shape (unit,).
        x: Denominator.
        finite: Take off the share of the population that was seen (finite population correction).
        possible: An outcome that intervals, not the figure itself, reckon with where none was seen.
    """
    y, x = np.asarray(y, np.float64), np.asarray(x, np.float64)
    total = float(sample.weights @ x)
    relevant = float(np.count_nonzero(np.bincount(sample.grouped[0][x != 0])))
    freedom = relevant - float(np.count_nonzero(np.bincount(sample.strata[x != 0])))
    if total == 0:
        nan = float("nan")
        return Estimate(nan, nan, np.full(len(sample), np.nan), 0.0, 0.0, nan, nan, freedom)
    value = float(sample.weights @ y) / total
    influence = (y - value * x) / total
    freedom = min(freedom, variance_freedom(sample, influence))
    error = standard_error(sample, influence, finite=finite)
    centre, unseen = value, 0.0
    if possible is not None:
        number = len(sample.sampling_fractions)
        units = np.bincount(sample.strata, minlength=number)
        population = np.bincount(sample.strata, weights=sample.weights * sample.areas, minlength=number)
        blind = possible.strata & (np.bincount(sample.strata, weights=possible.seen, minlength=number) == 0)
        share = np.where(blind, 0.5 / (units + 1), 0.0)
        more = float((population * share).sum())
        centre = (float(sample.weights @ y) + possible.y * more) / (total + possible.x * more)
        step = (possible.y - centre * possible.x) / (total + possible.x * more)
        unseen = float((population**2 * share * (1 - share) / np.maximum(units, 1)).sum()) * step**2
    seen_size = _effective_size(value, error**2, relevant)
    size = _effective_size(centre, error**2 + unseen, relevant)
    return Estimate(value, error, influence, seen_size, size, centre, unseen, freedom)


def standard_error(sample: Sample, influence: AnyArray, *, finite: bool = True) -> float:
    """Standard error of a figure from its linearised variable."""
    # Where a unit is a cluster of its own, sums over clusters are the units themselves.
    place, stratum_of = sample.grouped
    sums = np.bincount(place, weights=sample.weights * influence)
    number = len(sample.sampling_fractions)
    drawn = np.bincount(stratum_of, minlength=number)
    means = np.bincount(stratum_of, weights=sums, minlength=number) / np.maximum(drawn, 1)
    squares = np.bincount(stratum_of, weights=(sums - means[stratum_of]) ** 2, minlength=number)
    factor = np.where(drawn > 1, drawn / np.maximum(drawn - 1, 1), 0)
    unseen = 1 - sample.sampling_fractions if finite else np.ones(number)
    return float(np.sqrt((unseen * factor * squares).sum()))


def variance_freedom(sample: Sample, influence: AnyArray) -> float:
    """Degrees of freedom that the variance between clusters has; infinite for units drawn one by one, whose shares Wilson's interval knows.

    Where a few clusters hold most of what differs, their variance is known as if from few: 2 n / (k - 1) with k the kurtosis of the n sums.

    Source:
        Satterthwaite 1946, Biometrics Bulletin 2, 110-114, with the variance of a variance of Cramer 1946, section 27.4.
    """
    place, stratum_of = sample.grouped
    number = len(stratum_of)
    if not sample.is_clustered:
        return float("inf")
    sums = np.bincount(place, weights=sample.weights * influence)
    fourth, second = float((sums**4).sum()), float((sums**2).sum())
    kurtosis = number * fourth / second**2 if second > 0 else 1.0
    return 2 * number / (kurtosis - 1) if kurtosis > 1 else float("inf")


def difference(sample: Sample, first: Estimate, second: Estimate, *, finite: bool = True) -> tuple[float, float]:
    """First minus second figure of the same units, and its standard error, which their covariance enters."""
    return first.value - second.value, standard_error(sample, first.influence - second.influence, finite=finite)


def bootstrap(sample: Sample, y: AnyArray, x: AnyArray, *, draws: int = 1000, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of a ratio from resampled clusters: n_h - 1 of the n_h of each stratum, with replacement, reweighted.

    Source:
        Rao and Wu 1988, Journal of the American Statistical Association 83, 231-241.
    """
    rng = np.random.default_rng(seed)
    place, stratum_of = sample.grouped
    tops = np.bincount(place, weights=sample.weights * np.asarray(y, np.float64))
    bottoms = np.bincount(place, weights=sample.weights * np.asarray(x, np.float64))
    top, bottom = np.zeros(draws), np.zeros(draws)
    for stratum in np.unique(stratum_of):
        members = np.flatnonzero(stratum_of == stratum)
        n = len(members)
        times = rng.multinomial(n - 1, np.full(n, 1 / n), size=draws) * (n / (n - 1))
        top += times @ tops[members]
        bottom += times @ bottoms[members]
    found = np.divide(top, bottom, out=np.full(draws, np.nan), where=bottom > 0)
    low, high = np.nanquantile(found, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def _effective_size(share: float, variance: float, relevant: float) -> float:
    if not 0 < share < 1 or variance == 0:
        return relevant
    return max(share * (1 - share) / variance, 1.0)
