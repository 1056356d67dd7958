"""Do the references cover what an image shows?

References travel to other dates and places, and give every pixel there its nearest class, also where nothing
that was labelled looks like it. How far the nearest reference is tells: the labelled image shows which distances
are usual, and the share of pixels beyond them says how much of another image is foreign to the references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .errors import InputError, RasterError
from .features import References, blocks_of, spread
from .scene import Scene, Series
from .segmenter import Segmenter
from .similarity import project, similarity_of, take
from .types import FloatArray

USUAL = 0.99
"""The share of the labelled image's own pixels that count as covered."""
WARN = 0.10
"""From this share of foreign pixels on there is a warning: ten times what the labelled image has."""

_SAMPLED_BLOCKS = 16


@dataclass(frozen=True)
class Coverage:
    """How much of an image lies beyond what the references were seen to cover."""

    name: str
    """The image."""
    limit: float
    """Distance to the nearest reference that `USUAL` of the labelled image's pixels keep; nats, or units of the L1 distance."""
    foreign: float
    """Share of the image's pixels that are further, in [0, 1]; about 1 - `USUAL` on the labelled image itself."""
    median: float
    """Median distance to the nearest reference, in the same units as `limit`."""
    pixels: int
    """Pixels looked at."""

    @property
    def warning(self) -> str | None:
        """One sentence with the numbers where `foreign` is at least `WARN`, else None."""
        if self.foreign < WARN:
            return None
        return (
            f"{100 * self.foreign:.0f} % of {self.name} is further from every label than {100 * USUAL:.0f} % of the labelled image is "
            f"(median distance {self.median:.3g}, limit {self.limit:.3g}). Its map may be wrong there: label some of its pixels, "
            "or train on this image too."
        )


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


def coverage(nearest: npt.ArrayLike, limit: float, name: str = "the image") -> Coverage:
    """Compare distances of an image with a limit; see `coverage_limit`.

    Args:
        nearest: Distance of each pixel to its nearest reference, any shape; NaN where there is no data.
        limit: What the labelled image shows.
        name: The image, for the message.

    Raises:
        RasterError: No pixel has data.
    """
    distances = np.asarray(nearest, np.float64)
    distances = distances[~np.isnan(distances)]
    if not len(distances):
        raise RasterError(f"no pixel of {name} has data, expected at least one. Check the image's no-data value.")
    return Coverage(name, limit, float((distances > limit).mean()), float(np.median(distances)), len(distances))


def nearest_distances(segmenter: Segmenter, scene: Scene, *, blocks: int | None = _SAMPLED_BLOCKS) -> FloatArray:
    """Absolute distance of pixels to their nearest reference.

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
    references = segmenter.references
    similarity: Any = similarity_of(segmenter.model, segmenter.measure)
    prepared = similarity.prepare(references)
    out = []
    everything = list(blocks_of(scene.grid, scene.grid.window))
    for block in everything if blocks is None else spread(everything, blocks):
        projection, valid = project(similarity, segmenter.model, scene, block)
        best = None
        # Some references at a time: their distances are (n, row, col).
        for start in range(0, len(references), 64):
            distances = similarity.distances(
                projection, take(prepared, list(range(start, min(start + 64, len(references))))), absolute=True
            ).amin(dim=0)
            best = distances if best is None else torch.minimum(best, distances)
        assert best is not None  # a fitted segmenter has references
        values = (best / similarity.positions).cpu().numpy()
        out.append(np.where(valid, values, np.nan).astype(np.float32).ravel())
    return np.concatenate(out)


def with_limit(segmenter: Segmenter, labelled: Scene, *, blocks: int | None = _SAMPLED_BLOCKS) -> References:
    """The segmenter's references with the limit that their own image shows; saved with them, it travels to other places."""
    return replace(segmenter.references, limit=coverage_limit(nearest_distances(segmenter, labelled, blocks=blocks)))


def measure_coverage(
    segmenter: Segmenter, labelled: Scene | None, others: Scene | Series | Sequence[Scene], *, blocks: int | None = _SAMPLED_BLOCKS
) -> list[Coverage]:
    """How well the references, which were labelled on one image, cover others.

    Args:
        segmenter: With references.
        labelled: The image that shows which distances are usual; None = the limit saved with the references.
        others: Dates or places to be mapped.
        blocks: How many blocks of each image to look at; see `nearest_distances`.

    Returns:
        One `Coverage` an image, in order. `Coverage.warning` is a sentence to show, or None.

    Raises:
        InputError: There is no labelled image, and the references carry no limit.
    """
    limit = segmenter.references.limit
    if labelled is not None:
        limit = with_limit(segmenter, labelled, blocks=blocks).limit
    if limit is None:
        raise InputError(
            "the references do not say what their image shows, expected a limit in them. Give the labelled image, or save them with with_limit()."
        )
    scenes = [others] if isinstance(others, Scene) else list(others)
    return [coverage(nearest_distances(segmenter, scene, blocks=blocks), limit, scene.name) for scene in scenes]
