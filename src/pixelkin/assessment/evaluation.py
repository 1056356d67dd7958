"""How good a map is and how large its classes are, from the points of a probability sample."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import LabelError
from ..labels.classes import match_classes
from ..maps._numbers import number_or_none
from ..maps._text import format_table, number, percent
from ..maps.accuracy import Score
from ..maps.areas import AreaTable, area_table
from ..maps.cells import SQUARE_METRES_PER_HECTARE
from ..maps.tables import write_table
from ..segmentation import Segmentation
from ..types import AnyArray, Legend, LegendClass
from .estimators import EXACT, Estimate, Possible, Sample, bootstrap, difference, ratio, wilson
from .regression import with_map
from .samplefile import Reference
from .tables import plain, told

Float64Array = npt.NDArray[np.float64]
_SAME_POPULATION = 1e-3
"""How far the area of the sample's population and of the map may differ, as a share, where they are the same ground."""


@dataclass(frozen=True)
class ClassAreaEstimate:
    """Area of one class, estimated three ways, as shares of the population."""

    name: str
    mapped: float
    """Share that the map gives it."""
    stratified: Estimate
    """From the sample alone."""
    ratio: tuple[float, float]
    """With the map as help: mapped share times (true over mapped share of the sample), and its standard error; NaN where not mapped."""
    regression: tuple[float, float]
    """Sample share plus slope times (mapped share less its share of the sample), and its standard error."""
    unseen_variance: float
    """What the interval by regression adds for omissions that the sample may have missed; see `Possible`."""
    freedom: float
    """Degrees of freedom of the standard error by regression."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Accuracy and areas with standard errors and intervals. Arrays and lists over classes are in `names` order."""

    names: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    """Sample points, shape (class, class + 1): rows = truth, columns = map; the last column counts undecided pixels."""
    shares: Float64Array
    """The same as estimated shares of the area."""
    overall: Estimate
    users: tuple[Estimate, ...]
    producers: tuple[Estimate, ...]
    f1: tuple[Estimate, ...]
    iou: tuple[Estimate, ...]
    undecided: Estimate
    """Share of the area that the map leaves undecided; it counts as wrong."""
    areas: tuple[ClassAreaEstimate, ...]
    hectares: float
    """Of the population; NaN where the map has no CRS."""
    strata_are_classes: bool
    """Whether each stratum is one class of this map; otherwise areas are best estimated by regression."""
    bootstrapped: tuple[float, float] | None
    """95 % interval of the overall accuracy from resampled clusters; None for points drawn one by one."""
    notes: tuple[str, ...]

    def best_area(self, index: int) -> tuple[float, float]:
        """Share of a class and its standard error: stratified where strata are the map's classes, by regression otherwise."""
        area = self.areas[index]
        if self.strata_are_classes or math.isnan(area.regression[0]):
            return area.stratified.value, area.stratified.standard_error
        return area.regression

    def area_interval(self, index: int) -> tuple[float, float]:
        """95 % interval of a class's share, Wilson's as for the accuracies."""
        area = self.areas[index]
        share, error = self.best_area(index)
        if share == area.stratified.value and error == area.stratified.standard_error:
            return area.stratified.interval()
        variance = error**2 + area.unseen_variance
        if not 0 < share < 1 or variance < EXACT**2:
            return share, share
        return wilson(share, share * (1 - share) / variance, area.freedom)

    def to_score(self) -> Score:
        """The points counted alike, for a picture of the confusion matrix."""
        return Score(Legend.from_names(self.names), self.counts, 0, notes=self.notes)

    def to_json(self) -> dict[str, Any]:
        """Everything, as values that JSON can hold; 0/0 is null."""
        classes = []
        for i, name in enumerate(self.names):
            share, error = self.best_area(i)
            low, high = self.area_interval(i)
            classes.append(
                {
                    "name": name,
                    "users_accuracy": plain(self.users[i]),
                    "producers_accuracy": plain(self.producers[i]),
                    "f1": plain(self.f1[i]),
                    "iou": plain(self.iou[i]),
                    "area": {
                        "mapped_share": number_or_none(self.areas[i].mapped),
                        "estimator": "stratified" if self.strata_are_classes else "regression",
                        "share": number_or_none(share),
                        "share_standard_error": number_or_none(error),
                        "share_low_95": number_or_none(low),
                        "share_high_95": number_or_none(high),
                        "hectares": number_or_none(share * self.hectares),
                        "hectares_95": number_or_none(1.96 * error * self.hectares),
                        "stratified": plain(self.areas[i].stratified),
                        "ratio": [number_or_none(value) for value in self.areas[i].ratio],
                        "regression": [number_or_none(value) for value in self.areas[i].regression],
                    },
                }
            )
        return {
            "design": "probability sample",
            "points": int(self.counts.sum()),
            "overall_accuracy": plain(self.overall) | ({"bootstrap_95": list(self.bootstrapped)} if self.bootstrapped else {}),
            "undecided_share": plain(self.undecided),
            "hectares": number_or_none(self.hectares),
            "classes": classes,
            "confusion": {
                "rows": "truth",
                "columns": "map",
                "row_names": list(self.names),
                "column_names": [*self.names, "undecided"],
                "counts": self.counts.tolist(),
                "shares_of_area": self.shares.tolist(),
            },
            "notes": list(self.notes),
        }

    def to_table(self) -> str:
        """Plain text: accuracies with 95 % intervals, areas, and the confusion matrix in points and in shares of the area."""
        accuracy = [
            [name, *(told(estimates[i]) for estimates in (self.users, self.producers, self.f1, self.iou))]
            for i, name in enumerate(self.names)
        ]
        areas = []
        for i, name in enumerate(self.names):
            share, error = self.best_area(i)
            known = not math.isnan(self.hectares)
            areas.append(
                [
                    name,
                    percent(self.areas[i].mapped),
                    f"{percent(share)} ± {percent(1.96 * error)}",
                    *([f"{number(share * self.hectares, 2)} ± {number(1.96 * error * self.hectares, 2)}"] if known else []),
                ]
            )
        how = "stratified estimator" if self.strata_are_classes else "regression estimator, with the map as help"
        columns = ["class", "mapped", "estimated", *(["hectares"] if not math.isnan(self.hectares) else [])]
        points = [[name, *(f"{count:,}" for count in row)] for name, row in zip(self.names, self.counts.tolist(), strict=True)]
        shares = [[name, *(number(value, 4) for value in row)] for name, row in zip(self.names, self.shares.tolist(), strict=True)]
        header = ["truth \\ map", *self.names, "undecided"]
        return "\n".join(
            [
                f"overall accuracy {told(self.overall)}   points {self.counts.sum():,}   undecided {percent(self.undecided.value)} of the area",
                *(
                    [f"bootstrap of clusters: {number(self.bootstrapped[0])} to {number(self.bootstrapped[1])}"]
                    if self.bootstrapped
                    else []
                ),
                "figures hold for the population that the sample was drawn from; intervals are 95 %",
                *(f"note: {note}" for note in self.notes),
                "",
                format_table(["class", "user's accuracy", "producer's accuracy", "F1", "IoU"], accuracy),
                "",
                f"areas, {how}",
                format_table(columns, areas),
                "",
                "confusion matrix, points: rows = truth, columns = map",
                format_table(header, points),
                "",
                "confusion matrix, shares of the area",
                format_table(header, shares),
            ]
        )


def evaluate(segmentation: Segmentation, reference: Reference, *, finite: bool = True) -> Evaluation:
    """Accuracy and areas of a map from a probability sample.

    The strata need not be the map's classes: the points may have been drawn for another map. Undecided pixels are an outcome of
    their own and count as wrong; points where the map has no data are outside of what is evaluated.

    Args:
        segmentation: The map, on the grid that `reference` was read for.
        reference: Points and their true classes.
        finite: Apply the finite population correction; the literature's worked examples do not.

    Raises:
        LabelError: No point is on a pixel with data, or no class is on both sides.

    Source:
        Stehman 2014 (`estimators`); areas by ratio and regression: Cochran 1977, sections 6.11 and 7.8, combined estimators.
    """
    usable = segmentation.valid[reference.rows, reference.cols]
    if not usable.any():
        raise LabelError(
            "no sample point lies on a pixel with data, expected at least 2 a stratum. Evaluate the map that the sample was drawn for."
        )
    notes = list(reference.notes)
    if not usable.all():
        notes.append(
            f"{np.count_nonzero(~usable):,} sample points lie where the map has no data and are left out: figures hold for the rest."
        )
    kept = np.flatnonzero(usable)
    sample = _take(reference.sample, kept)
    truth_names, said = _names_of_truth([reference.classes[i] for i in kept], segmentation.legend)
    notes += said
    names = tuple(dict.fromkeys([*segmentation.legend.names, *truth_names]))
    truth = np.array([names.index(name) for name in truth_names])
    ids = segmentation.classes[reference.rows[kept], reference.cols[kept]]
    place = np.full(256, len(names))
    for entry in segmentation.legend:
        place[entry.id] = names.index(entry.name)
    mapped = place[ids]
    present = [i for i in range(len(names)) if (truth == i).any() or (mapped == i).any() or names[i] in segmentation.legend.names]
    table = area_table(segmentation)
    return _evaluate(sample, truth, mapped, names, present, table, reference, tuple(notes), finite)


def write_areas(evaluation: Evaluation, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write the estimated area of each class with its 95 % interval, by the file's suffix .csv or .json.

    Raises:
        OutputError: Another suffix, the file is there and overwrite is False, or the disk refuses it.
    """
    rows = [
        {"name": entry["name"], **{key: value for key, value in entry["area"].items() if not isinstance(value, dict | list)}}
        for entry in evaluation.to_json()["classes"]
    ]
    document = {"classes": rows, "hectares": number_or_none(evaluation.hectares), "notes": list(evaluation.notes)}
    return write_table(rows, document, path, overwrite=overwrite)


def compare(
    first: tuple[Segmentation, Evaluation], second: tuple[Segmentation, Evaluation], reference: Reference, *, finite: bool = True
) -> dict[str, tuple[float, float]]:
    """Overall accuracy of the first map less that of the second at the same points, and its standard error.

    The points are the same, so their errors are related; the standard error of the difference takes that in.

    Raises:
        LabelError: The maps have data at different sample points.
    """
    here, there = (part[0].valid[reference.rows, reference.cols] for part in (first, second))
    if not np.array_equal(here, there):
        raise LabelError(
            "the maps have data at different sample points, expected the same, as a paired difference needs both. Mask both alike."
        )
    sample = _take(reference.sample, np.flatnonzero(here))
    return {"overall_accuracy": difference(sample, first[1].overall, second[1].overall, finite=finite)}


def _evaluate(
    sample: Sample, truth: AnyArray, mapped: AnyArray, names: tuple[str, ...], present: list[int], table: AreaTable, reference: Reference,
    notes: tuple[str, ...], finite: bool,
) -> Evaluation:  # fmt: skip
    area = sample.areas
    k = len(names)
    counts = np.zeros((k, k + 1), np.int64)
    np.add.at(counts, (truth, mapped), 1)
    shares = np.zeros((k, k + 1))
    np.add.at(shares, (truth, mapped), sample.weights * area)
    shares /= shares.sum()

    number = len(sample.sampling_fractions)

    def estimate(y: AnyArray, x: AnyArray, possible: Possible | None = None) -> Estimate:
        return ratio(sample, area * y, area * x, finite=finite, possible=possible)

    def unseen(of: AnyArray, y: float, elsewhere: AnyArray) -> Possible:
        """An outcome that may occur in the strata where some unit is `elsewhere`."""
        return Possible(y, 1.0, of, np.bincount(sample.strata, weights=elsewhere, minlength=number) > 0)

    everywhere = np.ones(len(sample))
    correct = truth == mapped
    users, producers, f1, iou, areas = [], [], [], [], []
    rows = {row.name: row for row in table.rows}
    in_pixels = math.isnan(table.valid_hectares)
    whole = float(table.valid_pixels if in_pixels else table.valid_hectares)
    population = reference.area / (1 if in_pixels else SQUARE_METRES_PER_HECTARE)
    # What the map says of itself helps only where it is the population, the whole of it and nothing else.
    helps = whole > 0 and abs(population / whole - 1) < _SAME_POPULATION
    for i in range(k):
        is_truth, is_mapped = truth == i, mapped == i
        hit = correct & is_truth
        users.append(estimate(hit, is_mapped))
        # Pixels of a class that the map gives to another may be few in a large stratum, and then the sample shows none.
        omitted = unseen(is_truth & ~is_mapped, 0.0, ~is_mapped)
        producers.append(estimate(hit, is_truth, omitted))
        f1.append(estimate(2 * hit, is_truth * 1 + is_mapped, omitted))
        iou.append(estimate(hit, is_truth | is_mapped, omitted))
        row = rows.get(names[i])
        share = math.nan if not helps else 0.0 if row is None else float(row.pixels if in_pixels else row.hectares) / whole
        stratified = estimate(is_truth, everywhere, unseen(is_truth, 1.0, everywhere))
        by_ratio, by_regression, freedom = with_map(sample, stratified, estimate(is_mapped, everywhere), share, finite)
        left_out = is_truth & ~is_mapped
        omission = estimate(left_out, everywhere, unseen(left_out, 1.0, ~is_mapped))
        areas.append(ClassAreaEstimate(names[i], share, stratified, by_ratio, by_regression, omission.unseen_variance, freedom))
    overall = estimate(correct, everywhere)
    of_stratum = [set(mapped[sample.strata == stratum].tolist()) for stratum in np.unique(sample.strata)]
    seen = [next(iter(found)) for found in of_stratum if len(found) == 1]
    strata_are_classes = len(seen) == len(of_stratum) and len(set(seen)) == len(seen) and len(seen) > 1
    boot = bootstrap(sample, area * correct, area) if reference.clustered else None
    total = math.nan if in_pixels else population
    # Rows and columns of classes that occur nowhere are left out.
    cells = np.ix_(np.array(present), np.array([*present, k]))
    return Evaluation(
        names=tuple(names[i] for i in present),
        counts=counts[cells],
        shares=shares[cells],
        overall=overall,
        users=tuple(users[i] for i in present),
        producers=tuple(producers[i] for i in present),
        f1=tuple(f1[i] for i in present),
        iou=tuple(iou[i] for i in present),
        undecided=estimate(mapped == k, everywhere),
        areas=tuple(areas[i] for i in present),
        hectares=total,
        strata_are_classes=strata_are_classes,
        bootstrapped=boot,
        notes=notes,
    )


def _names_of_truth(names: list[str], legend: Legend) -> tuple[list[str], list[str]]:
    distinct = list(dict.fromkeys(names))
    own = Legend(tuple(LegendClass(i + 1, name, (0, 0, 0)) for i, name in enumerate(distinct)), by_order=True)
    matched, notes = match_classes(own, legend, own.ids, names=("the sample", "the map"))
    renamed = {own.by_id(i).name: name for i, name in matched.items()}
    return [renamed.get(name, name) for name in names], notes


def _take(sample: Sample, index: AnyArray) -> Sample:
    return replace(
        sample, weights=sample.weights[index], strata=sample.strata[index], clusters=sample.clusters[index], areas=sample.areas[index]
    )
