"""Do the labels cover what an image shows? The questions that the command line and the page ask; how it is judged stands in `decision.coverage`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .decision import Coverage, Nearest, TrainingSet, coverage
from .decision.coverage import USUAL
from .errors import InputError
from .features import References
from .scene import Scene, Series
from .segmenter import Segmenter
from .types import FloatArray

__all__ = ["USUAL", "Coverage", "coverage", "coverage_limit", "measure_coverage", "nearest_distances", "with_limit"]

_SAMPLED_BLOCKS = 16


def coverage_limit(nearest: npt.ArrayLike) -> float:
    """The distance that `USUAL` of the labelled image's pixels do not exceed.

    Args:
        nearest: Distance of each of its pixels to the nearest reference, any shape; NaN where there is no data.

    Raises:
        InputError: No pixel has data.
    """
    distances = np.asarray(nearest, np.float64)
    distances = distances[~np.isnan(distances)]
    if not len(distances):
        raise InputError("no pixel of the labelled image has data, expected at least one. Check the image's no-data value.")
    return float(np.quantile(distances, USUAL))


def nearest_distances(segmenter: Segmenter, scene: Scene, *, blocks: int | None = _SAMPLED_BLOCKS) -> FloatArray:
    """Absolute distance of pixels to their nearest reference, by the segmenter's measure.

    Args:
        segmenter: With references.
        scene: The image; any with the bands of the labelled one.
        blocks: How many of its blocks of 256 x 256 pixels to look at, spread evenly over it; None = all.

    Returns:
        (n,) distances, block after block and row by row, NaN where there is no data. For mutual information they are
        scores per position (nats, <= 0) with all four terms of Algorithm 2; for L1, distances >= 0.

    Raises:
        NotFittedError: The segmenter has no references.
        ModelError: The bands do not match.
    """
    nearest, references = Nearest(segmenter.model, segmenter.measure), segmenter.references
    return nearest.distances(nearest.rule(TrainingSet.of(references)), scene, blocks)


def with_limit(segmenter: Segmenter, labelled: Scene, *, blocks: int | None = _SAMPLED_BLOCKS) -> References:
    """The segmenter's references with the limit that their own image shows, for the nearest reference; saved with them, it travels to other images."""
    return replace(segmenter.references, limit=coverage_limit(nearest_distances(segmenter, labelled, blocks=blocks)))


def measure_coverage(
    segmenter: Segmenter, labelled: Scene | None, others: Scene | Series | Sequence[Scene], *, blocks: int | None = _SAMPLED_BLOCKS
) -> list[Coverage]:
    """How well the labels, which were given on one image, cover others, judged by what the maps are made with.

    Args:
        segmenter: With references.
        labelled: The image that shows which distances to the nearest reference are usual; None = the limit saved with the references. A learner needs none.
        others: Images to be mapped.
        blocks: How many blocks of each image to look at for the nearest reference; see `nearest_distances`.

    Returns:
        One `Coverage` an image, in order. `Coverage.warning` is a sentence to show, or None.

    Raises:
        InputError: The nearest reference decides, there is no labelled image, and the references carry no limit.
    """
    scenes = [others] if isinstance(others, Scene) else list(others)
    if not segmenter.needs_limit:
        return [segmenter.coverage(scene) for scene in scenes]
    limit = segmenter.references.limit
    if labelled is not None:
        limit = with_limit(segmenter, labelled, blocks=blocks).limit
    if limit is None:
        raise InputError(
            "the references do not say what their image shows, expected a limit in them. Give the labelled image, or save them with with_limit()."
        )
    return [coverage(nearest_distances(segmenter, scene, blocks=blocks), limit, scene.name) for scene in scenes]
