"""How many points, and how many in each stratum."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..types import IntArray

Allocation = Literal["proportional", "equal", "neyman"]
Float64Array = npt.NDArray[np.float64]


def sample_size(weights: Float64Array, expected: Float64Array, target_se: float, population: int) -> int:
    """Points that a stratified random sample needs for a standard error of the overall accuracy.

    Args:
        weights: Share of each stratum in the population, shape (stratum,), sum 1.
        expected: Accuracy that is expected in each, in (0, 1).
        target_se: Standard error to reach, such as 0.01.
        population: Pixels of all strata, for the finite population correction.

    Source:
        Cochran 1977, Sampling Techniques, equation 5.25; Olofsson et al. 2014, equation 13.
    """
    if not 0 < target_se < 0.5:
        raise InputError(f"target_se is {target_se:g}, expected a standard error between 0 and 0.5, such as 0.02.")
    spread = np.sqrt(expected * (1 - expected))
    return int(np.ceil((weights @ spread) ** 2 / (target_se**2 + (weights @ spread**2) / population) - 1e-9))


def allocate(n: int, sizes: IntArray, expected: Float64Array, allocation: Allocation, floor: int = 0) -> IntArray:
    """Points of each stratum, shape (stratum,), as whole numbers whose sum is n.

    Args:
        n: Points in all.
        sizes: Pixels of each stratum.
        expected: Accuracy that is expected in each, for 'neyman'.
        allocation: 'proportional' to size, 'equal', or 'neyman': proportional to size times standard deviation.
        floor: Points that each stratum gets at least; the rest is shared out as `allocation` says.

    Raises:
        InputError: n is too small for two points a stratum or for the floor, or larger than the population.

    Source:
        Neyman's allocation: Cochran 1977, equation 5.26. A floor with the rest in proportion: Olofsson et al. 2014, section 5.1.
    """
    if allocation not in ("proportional", "equal", "neyman"):
        raise InputError(f"allocation is {allocation!r}, expected one of ['proportional', 'equal', 'neyman'].")
    least = np.minimum(np.maximum(floor, 2), sizes)
    if n < least.sum():
        raise InputError(
            f"n is {n}, expected at least {int(least.sum())}: {int(least.max())} points in each of {len(sizes)} strata. Draw more points."
        )
    if n > sizes.sum():
        raise InputError(f"n is {n}, expected at most {int(sizes.sum())}, the pixels there are. Draw fewer points.")
    shares = {
        "proportional": sizes.astype(np.float64),
        "equal": np.ones(len(sizes)),
        "neyman": sizes * np.sqrt(expected * (1 - expected)),
    }[allocation]
    points = least.astype(np.int64)
    open_strata = np.ones(len(sizes), bool)
    # Strata below their least or beyond their size are set; what is left is shared out among the others.
    while True:
        rest = n - points[~open_strata].sum()
        ideal = rest * shares / shares[open_strata].sum()
        if (low := open_strata & (ideal < least)).any():
            points[low] = least[low]
            open_strata &= ~low
        elif (high := open_strata & (ideal > sizes)).any():
            points[high] = sizes[high]
            open_strata &= ~high
        else:
            break
    points[open_strata] = np.floor(ideal[open_strata])
    missing = n - int(points.sum())
    remainders = np.where(open_strata & (points < sizes), ideal - np.floor(ideal), -1.0)
    points[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return points
