"""How large each class really is: a map's areas corrected with a validation sample, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pixelkin.errors import LabelError
from pixelkin.segmentation import Segmentation

from ._numbers import number_or_none
from ._text import format_table, number, percent
from .accuracy import Score
from .areas import AreaTable, area_table
from .tables import frame, plain

_NORMAL_95 = 1.959964  # two-sided 95 % quantile of the standard normal distribution


@dataclass(frozen=True)
class AreaEstimate:
    """Area of one class, corrected with a validation sample."""

    class_id: int
    name: str
    mapped_hectares: float
    """As counted from the map."""
    hectares: float
    """The estimate; NaN where the image has no CRS, as are the bounds."""
    low_hectares: float
    """Lower end of the 95 % confidence interval, never below 0."""
    high_hectares: float
    """Upper end of the 95 % confidence interval, never above the area of the whole map."""
    share: float
    """The estimate as a share of the population, in [0, 1]."""
    share_standard_error: float


@dataclass(frozen=True)
class AreaEstimates:
    """Corrected area of every class, in legend order."""

    rows: tuple[AreaEstimate, ...]
    population_hectares: float
    """The area that the estimates divide up; NaN where the image has no CRS."""
    sample_pixels: int
    note: str
    """What the population is and how areas were measured."""

    def __iter__(self) -> Iterator[AreaEstimate]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def to_frame(self) -> Any:
        """A pandas.DataFrame, a row a class."""
        return frame(self.rows)

    def to_json(self) -> dict[str, object]:
        """Everything, as values that JSON can hold; unknown areas are null."""
        return {
            "note": self.note,
            "population_hectares": number_or_none(self.population_hectares),
            "sample_pixels": self.sample_pixels,
            "confidence_level": 0.95,
            "classes": [plain(row) for row in self.rows],
        }

    def to_table(self) -> str:
        """Plain text: mapped and estimated hectares with the half-width of the 95 % interval."""
        lines = [
            [
                row.name,
                number(row.mapped_hectares, 2),
                number(row.hectares, 2),
                f"{number(row.low_hectares, 2)} to {number(row.high_hectares, 2)}",
                f"{percent(row.share)} ± {percent(_NORMAL_95 * row.share_standard_error)}",
            ]
            for row in self.rows
        ]
        return format_table(["class", "mapped ha", "estimated ha", "95 % interval", "share"], lines) + f"\n{self.note}"


def estimate_areas(areas: Segmentation | AreaTable, validation: Score) -> AreaEstimates:
    """Unbiased area of each class with a 95 % confidence interval, from an independent random sample.

    The validation pixels must have been drawn at random, over the whole map or within each mapped class, and must not have
    served as labels: scribbles or hand-picked pixels give numbers without meaning. Undecided pixels are one more stratum where
    the sample has any of them; otherwise they are outside the population, and the note says so.

    Args:
        areas: The map, or its area table.
        validation: Score of the same map against the sample.

    Raises:
        LabelError: A mapped class has fewer than two sample pixels, or a sampled one no area, so that no variance can be told.

    Source:
        Olofsson et al. 2014, Remote Sensing of Environment 148, 42-57, stratified estimator: with W_i the mapped share of class
        i and n_ik the sample pixels mapped as i whose true class is k, p_k = sum_i W_i n_ik / n_i, its standard error
        S(p_k) = sqrt(sum_i W_i^2 q_ik (1 - q_ik) / (n_i - 1)) with q_ik = n_ik / n_i, and the interval p_k +- 1.96 S(p_k).
    """
    table = area_table(areas) if isinstance(areas, Segmentation) else areas
    in_pixels = math.isnan(table.valid_hectares)
    # Olofsson's n_ik has mapped classes as rows; a Score has the truth there.
    counts = validation.confusion.T.astype(np.float64)  # (class + 1, class): strata, true classes
    sampled = counts.sum(axis=1)
    known = {row.name: row for row in table.rows}
    missing = [row.name for row in table.rows if row.pixels and row.name not in validation.legend.names]
    if missing:
        raise LabelError(f"mapped class {missing[0]!r} has no validation pixel, expected at least 2 drawn at random in it. Sample it too.")
    mapped = [known.get(name) for name in validation.legend.names]
    sizes = np.array([0.0 if row is None else float(row.pixels if in_pixels else row.hectares) for row in mapped])
    undecided = float(table.undecided_pixels if in_pixels else table.undecided_hectares)
    note = (
        f"areas {table.method}; stratified estimator of Olofsson et al. 2014, {int(sampled.sum()):,} validation pixels; "
        "holds where these were drawn at random, over the whole map or within each mapped class, and none of them was a label"
    )
    if undecided and not sampled[-1]:
        note += "; undecided pixels are left out, as the sample has none"
        undecided = 0.0
    strata = np.append(sizes, undecided)
    for name, size, n in zip([*validation.legend.names, "(undecided)"], strata, sampled, strict=True):
        if size and n < 2:
            raise LabelError(
                f"mapped class {name!r} has {n:.0f} validation pixel(s), expected at least 2 drawn at random in it. Sample it too."
            )
        if n and not size:
            raise LabelError(f"validation has {n:.0f} pixel(s) mapped as {name!r}, but the map has none. Score the map that is measured.")
    if not strata.sum():
        raise LabelError("the map gives no pixel to any class, so there is no area to estimate. Check the map.")

    used = strata > 0
    weights = strata[used] / strata.sum()
    shares = counts[used] / sampled[used, None]  # (stratum, true class)
    estimate = weights @ shares
    error = np.sqrt(weights**2 @ (shares * (1 - shares) / (sampled[used, None] - 1)))
    population = math.nan if in_pixels else float(strata.sum())
    rows = tuple(
        AreaEstimate(
            class_id=entry.id,
            name=entry.name,
            mapped_hectares=math.nan if in_pixels else float(sizes[i]),
            hectares=population * float(estimate[i]),
            low_hectares=population * max(0.0, float(estimate[i] - _NORMAL_95 * error[i])),
            high_hectares=population * min(1.0, float(estimate[i] + _NORMAL_95 * error[i])),
            share=float(estimate[i]),
            share_standard_error=float(error[i]),
        )
        for i, entry in enumerate(validation.legend)
    )
    return AreaEstimates(rows, population, int(sampled.sum()), note)
