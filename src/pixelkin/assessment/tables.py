"""Estimates as values of JSON and as text."""

from __future__ import annotations

import math

from ..maps._numbers import number_or_none
from .estimators import Estimate


def plain(estimate: Estimate) -> dict[str, float | None]:
    """Value, standard error and 95 % interval; 0/0 is null."""
    low, high = estimate.interval()
    return {
        "value": number_or_none(estimate.value),
        "standard_error": number_or_none(estimate.standard_error),
        "low_95": number_or_none(low),
        "high_95": number_or_none(high),
    }


def told(estimate: Estimate) -> str:
    """'0.812 (0.771 to 0.848)', '-' for 0/0."""
    if math.isnan(estimate.value):
        return "-"
    low, high = estimate.interval()
    return f"{estimate.value:.3f} ({low:.3f} to {high:.3f})"
