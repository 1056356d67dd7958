"""Shares of classes by ratio and regression, with the map as help."""

from __future__ import annotations

import math

import numpy as np

from .estimators import EXACT, Estimate, Sample, standard_error, variance_freedom


def with_map(
    sample: Sample, y: Estimate, x: Estimate, mapped: float, finite: bool
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Ratio and regression estimates of a share, each with its standard error, and the degrees of freedom of the latter."""
    if not mapped > 0 or not x.value:
        return (math.nan, math.nan), (math.nan, math.nan), y.freedom
    rate = y.value / x.value
    by_ratio = mapped * rate, standard_error(sample, y.influence - rate * x.influence, finite=finite)
    # The slope that makes the variance of y - slope x smallest, from the variances of the two and of their sum.
    var_x = x.standard_error**2
    var_y = y.standard_error**2
    both = standard_error(sample, y.influence + x.influence, finite=finite) ** 2
    slope = (both - var_x - var_y) / (2 * var_x) if x.standard_error > EXACT else 0.0
    value = y.value + slope * (mapped - x.value)
    residual = y.influence - slope * x.influence
    error = standard_error(sample, residual, finite=finite)
    if not sample.is_clustered:
        return by_ratio, (value, error), y.freedom
    error = max(error, _jackknife(sample, y, x, mapped))
    return by_ratio, (value, error), min(len(sample.grouped[1]) - 1.0, variance_freedom(sample, residual))


def _jackknife(sample: Sample, y: Estimate, x: Estimate, mapped: float) -> float:
    """Standard error of the regression estimate of a share from clusters, each left out in turn; the slope is found anew each time.

    A few clusters hold most of a map's errors: the slope is fitted to them, and the linearised variance is too small.

    Source:
        Sarndal et al. 1992, section 11.5.
    """
    place, stratum_of = sample.grouped
    n = len(stratum_of)
    areas = np.bincount(place, weights=sample.weights * sample.areas)
    # Influences are (y - Y) / A: of each cluster, what it has beyond its share.
    of_y, of_x = (np.bincount(place, weights=sample.weights * estimate.influence) for estimate in (y, x))
    rest = 1 - areas / areas.sum()
    without_y, without_x = y.value - of_y / rest, x.value - of_x / rest
    squares, products = (of_x**2).sum() - of_x**2, (of_x * of_y).sum() - of_x * of_y
    slopes = np.divide(products, squares, out=np.zeros(n), where=squares > EXACT**2)
    values = without_y + slopes * (mapped - without_x)
    return float(np.sqrt((n - 1) / n * ((values - values.mean()) ** 2).sum()))
