"""Maps at a level of their classes: probabilities of what belongs together are summed, then the likeliest is taken.

A pixel that is 0.4 pasture, 0.35 broad-leaved and 0.25 coniferous forest is forest at the level above, though its own class is pasture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..segmentation import Segmentation
from ..types import FloatArray, Legend


def sum_to_level(legend: Legend, level: int, probabilities: FloatArray) -> FloatArray:
    """Probabilities of the classes at a level.

    Args:
        legend: Of the classes that `probabilities` are of, in its order.
        level: 1 = the highest.
        probabilities: Shape (class, row, col).

    Returns:
        Shape (class at the level, row, col), in the order of `legend.at_level(level)`.

    Raises:
        LabelError: The legend has no levels, or the level is below 1.
    """
    above, place = legend.at_level(level)
    summed = np.zeros((len(above), *probabilities.shape[1:]), np.float32)
    for class_id, share in zip(legend.ids, probabilities, strict=True):
        summed[above.ids.index(place[class_id])] += share
    return summed


def at_level(segmentation: Segmentation, level: int, probabilities: FloatArray | None = None, *, abstain: float = 0.0) -> Segmentation:
    """A map at a level of its classes.

    Args:
        segmentation: The map; its legend has levels (`pixelkin.labels.with_levels`).
        level: 1 = the highest. A class that has fewer levels stays as it is.
        probabilities: Of each class, shape (class, row, col), as `Segmenter.predict_proba` or `read_probabilities` gives them. None = each pixel gets
            the class above its own, which is right less often.
        abstain: Pixels of less confidence, 0..1, get class 0.

    Returns:
        The map; confidence is the summed probability.

    Raises:
        LabelError: The legend has no levels, or the level is below 1.
    """
    legend, place = segmentation.legend.at_level(level)
    provenance = {**segmentation.provenance, "level": str(level)}
    if probabilities is None:
        lookup = np.zeros(256, np.uint8)
        for class_id, above in place.items():
            lookup[class_id] = above
        return replace(segmentation, classes=lookup[segmentation.classes], legend=legend, provenance=provenance)
    summed = sum_to_level(segmentation.legend, level, probabilities)
    confidence = np.where(segmentation.valid, np.minimum(summed.max(axis=0), 1), np.float32(0)).astype(np.float32)
    classes = np.where(segmentation.valid & (confidence >= abstain), np.array(legend.ids, np.uint8)[summed.argmax(axis=0)], 0)
    return replace(segmentation, classes=classes.astype(np.uint8), confidence=confidence, legend=legend, provenance=provenance)


def names_at_level(legend: Legend, level: int) -> Mapping[str, str]:
    """Name at a level of each class."""
    above, place = legend.at_level(level)
    return {entry.name: above.by_id(place[entry.id]).name for entry in legend}
