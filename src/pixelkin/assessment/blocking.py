"""Accuracy from truth that is no random sample: neighbouring pixels err together, so that a block of them is one observation.

Pixels of a polygon are counted by the thousand, and are worth a few: a map that has one of them right mostly has all of them right. Blocks
are squares a few times as wide as errors reach, and figures are ratios of totals over blocks, with the variance between blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial.distance import pdist

from ..maps._text import format_table
from ..maps.accuracy import compare_pixels
from ..segmentation import Segmentation
from ..types import AnyArray, LabelledPixels
from .estimators import Estimate, Sample, ratio
from .tables import plain, told

_EDGES = np.array([0, 1.5, 2.5, 4, 6, 9, 13, 19, 28, 40, 60, 85, 120, 170, 240, 340, 480])
"""Of the classes of distance in pixels."""
_ALIKE = 0.1
"""Errors whose correlation is below this count as independent."""
_MOST = 2000
"""Pixels whose pairs are looked at."""
_FEWEST_PAIRS = 50
_SIDE_IN_RANGES = 4
"""On generated maps with patches of truth, intervals of the accuracy hold it in 90 to 98 of 100; with 2 in 85 to 97, and pixels counted alike in 30."""
_SMALLEST_SIDE = 8
_UNKNOWN_SIDE = 64
"""Where there are no errors, and so nothing that tells how far they reach."""
FEWEST_BLOCKS = 5


@dataclass(frozen=True, eq=False)
class Blocked:
    """Figures with 95 % intervals in which a block counts as one observation; lists over classes are in `names` order.

    They hold for surroundings like those that the truth covers.
    """

    names: tuple[str, ...]
    reach: float
    """Pixels within which errors are alike; NaN where there are none."""
    side: int
    """Of a block, pixels."""
    blocks: int
    """That hold truth."""
    pixels: int
    near: int
    """Pixels of the truth left out, as they lie within `reach` of a mark."""
    overall: Estimate
    users: tuple[Estimate, ...]
    producers: tuple[Estimate, ...]
    f1: tuple[Estimate, ...]
    iou: tuple[Estimate, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything, as values that JSON can hold."""
        kinds = {"users_accuracy": self.users, "producers_accuracy": self.producers, "f1": self.f1, "iou": self.iou}
        classes = [{"name": name} | {kind: plain(found[i]) for kind, found in kinds.items()} for i, name in enumerate(self.names)]
        return {
            "reach_px": None if math.isnan(self.reach) else self.reach, "side_px": self.side, "blocks": self.blocks, "pixels": self.pixels,
            "near_marks": self.near, "overall_accuracy": plain(self.overall), "classes": classes,
        }  # fmt: skip

    def to_table(self) -> str:
        """Plain text."""
        rows = [[name, *(told(found[i]) for found in (self.users, self.producers, self.f1, self.iou))] for i, name in enumerate(self.names)]
        reach = "no errors are seen" if math.isnan(self.reach) else f"errors are alike within {self.reach:.0f} pixels"
        left_out = f", {self.near:,} pixels near marks left out" if self.near else ""
        return "\n".join(
            [
                f"spatially blocked: {self.blocks} blocks of {self.side} x {self.side} pixels ({reach}) count as one observation each{left_out}",
                f"overall accuracy {told(self.overall)}; intervals are 95 %, for surroundings like those of the truth",
                format_table(["class", "user's accuracy", "producer's accuracy", "F1", "IoU"], rows),
            ]
        )


def score_blocked(
    segmentation: Segmentation,
    truth: LabelledPixels,
    *,
    ignore: Iterable[int] = (),
    marks: LabelledPixels | None = None,
    side: int | None = None,
) -> Blocked | None:
    """Accuracy of a map from truth that is no random sample, a block counting as one observation.

    Args:
        segmentation: The map.
        truth: Pixels whose class is known.
        ignore: Ids of the truth to leave out.
        marks: What the map was made from: truth within the reach of errors of a mark is left out.
        side: Of a block, pixels; default four times the distance within which errors are alike.

    Returns:
        None where the truth lies in fewer than 5 blocks, which say nothing of how much they differ.

    Raises:
        LabelError: As `pixelkin.maps.score`.
    """
    found = compare_pixels(segmentation, truth, ignore=ignore)
    rows, cols = np.asarray(found.rows), np.asarray(found.cols)
    reach = error_reach(rows, cols, found.truth != found.mapped)
    side = side or (_UNKNOWN_SIDE if math.isnan(reach) else max(_SMALLEST_SIDE, math.ceil(_SIDE_IN_RANGES * reach)))
    kept = np.ones(len(rows), bool)
    if marks is not None:
        unmarked = np.ones(segmentation.grid.shape, bool)
        unmarked[marks.rows, marks.cols] = False
        away = distance_transform_edt(unmarked)[rows, cols]
        kept = away > (0 if math.isnan(reach) else reach)
    rows, cols, true, mapped = rows[kept], cols[kept], found.truth[kept], found.mapped[kept]
    _, block = np.unique(rows // side * (segmentation.grid.width // side + 1) + cols // side, return_inverse=True)
    blocks = int(block.max(initial=-1)) + 1
    if blocks < FEWEST_BLOCKS:
        return None
    sample = Sample(np.ones(len(rows)), np.zeros(len(rows), np.int64), block, np.ones(len(rows)), np.zeros(1))
    correct = true == mapped
    kinds: tuple[list[Estimate], ...] = ([], [], [], [])
    names = []
    for entry in found.legend:
        is_true, is_mapped = true == entry.id, mapped == entry.id
        if not (is_true.any() or is_mapped.any()):
            continue
        names.append(entry.name)
        hit = correct & is_true
        pairs = ((hit, is_mapped), (hit, is_true), (2 * hit, is_true * 1 + is_mapped), (hit, is_true | is_mapped))
        for kind, (y, x) in zip(kinds, pairs, strict=True):
            kind.append(ratio(sample, y, x))
    users, producers, f1, iou = (tuple(kind) for kind in kinds)
    overall = ratio(sample, correct, np.ones(len(rows)))
    return Blocked(tuple(names), reach, side, blocks, len(rows), int(np.count_nonzero(~kept)), overall, users, producers, f1, iou)


def error_reach(rows: AnyArray, cols: AnyArray, wrong: AnyArray) -> float:
    """Pixels within which errors are alike: the distance from which on their correlation is below 0.1.

    Args:
        rows: Of the pixels, shape (pixel,).
        cols: Of the pixels.
        wrong: True where the map errs.

    Returns:
        NaN where all are right or all are wrong.
    """
    chosen = np.random.default_rng(0).permutation(len(rows))[:_MOST]
    signs = np.asarray(wrong, np.float64)[chosen] - np.mean(wrong)
    variance = float(np.mean(wrong) * (1 - np.mean(wrong)))
    if variance == 0 or len(chosen) < 2:
        return math.nan
    distances = pdist(np.stack([rows, cols], axis=1)[chosen].astype(np.float64))
    i, j = np.triu_indices(len(chosen), 1)
    place = np.searchsorted(_EDGES, distances, side="right") - 1
    pairs = np.bincount(place, minlength=len(_EDGES))
    sums = np.bincount(place, weights=signs[i] * signs[j], minlength=len(_EDGES))
    for k in np.flatnonzero(pairs >= _FEWEST_PAIRS).tolist():
        if sums[k] / pairs[k] / variance < _ALIKE:
            return float(_EDGES[k])
    return float(_EDGES[-1])
