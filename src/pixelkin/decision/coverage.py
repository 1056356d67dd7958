"""Do the labels cover what an image shows?

Labels travel to other dates and images, and give every pixel there a class, also where nothing that was labelled looks like it. How far pixels are
from what was labelled tells, judged by what the map is made with: a learner by its features, the nearest reference by its measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.distance import cdist

from ..errors import RasterError
from ..features import References
from ..types import AnyArray, IntArray
from .fitting import MOST_LABELS, background, thinned_by_class

USUAL = 0.99
"""The share of the labelled image's own pixels that count as covered by the nearest reference."""
WARN = 0.10
"""From this share of foreign pixels on there is a warning."""
_BEYOND = 3.0
"""Mean squared distance at which a pixel is foreign to a learner, in units of that of what lies around the labelled pixels: of pixels of the labelled image about 1 in 100 are."""


@dataclass(frozen=True)
class Coverage:
    """How much of an image lies beyond what the labels were seen to cover."""

    name: str
    """The image."""
    limit: float
    """Distance to the nearest label from which a pixel is foreign: standard deviations of what lies around the labels; nats or units of L1 for the nearest reference."""
    foreign: float
    """Share of the image's pixels that are further, in [0, 1]."""
    median: float
    """Median distance to the nearest label, in the same units as `limit`."""
    pixels: int
    """Pixels looked at."""

    @property
    def warning(self) -> str | None:
        """One sentence with the numbers where `foreign` is at least `WARN`, else None."""
        if self.foreign < WARN:
            return None
        # Scores of mutual information are negative, and no distances that anybody could read; nor is the distance to labels of which none has data here.
        is_said = self.limit > 0 and np.isfinite(self.median)
        numbers = f" (median distance {self.median:.3g}, usual up to {self.limit:.3g})" if is_said else ""
        return (
            f"{100 * self.foreign:.0f} % of {self.name} is further from every label than what was labelled and lies around it{numbers}. "
            "Its map may be wrong there: label some of its pixels, or train on this image too."
        )


def coverage(nearest: npt.ArrayLike, limit: float, name: str = "the image") -> Coverage:
    """Compare distances of an image with a limit.

    Args:
        nearest: Distance of each pixel to its nearest label, any shape; NaN where there is no data.
        limit: From which a pixel is foreign.
        name: The image, for the message.

    Raises:
        RasterError: No pixel has data.
    """
    distances = np.asarray(nearest, np.float64)
    distances = distances[~np.isnan(distances)]
    if not len(distances):
        raise RasterError(f"no pixel of {name} has data, expected at least one. Check the image's no-data value.")
    return Coverage(name, limit, float((distances > limit).mean()), float(np.median(distances)), len(distances))


@dataclass(frozen=True, eq=False)
class Cover:
    """What labels cover in terms of features: those that describe the pixel alone, in standard deviations of what lies around the labels."""

    own: IntArray
    """Which features."""
    centre: AnyArray
    scale: AnyArray
    points: AnyArray
    """(n, own): the labels."""
    limit: float
    """Standard deviations from which a pixel is foreign."""

    @classmethod
    def of(cls, references: References) -> Cover:
        """What these labels cover. The limit follows from them: how far what lies around them, labelled or not, is from the nearest of them."""
        own = np.flatnonzero(references.columns.own)
        centre, scale = (values[own] for values in background(references))
        kept = torch.from_numpy(thinned_by_class(references.classes, MOST_LABELS))
        features = references.features[kept].double().numpy()[:, own]
        mean, variance = references.background[kept].double().numpy().transpose(1, 0, 2)[:, :, own]
        points = (features - centre) / scale
        around = cdist((mean - centre) / scale, points, "sqeuclidean").min(axis=1) + (variance / scale**2).sum(axis=1)
        return cls(own, centre, scale, points, float(np.sqrt(_BEYOND * around.mean() / len(own))))

    def standardised(self, features: AnyArray) -> AnyArray:
        """(n, own) of features (n, K)."""
        values: AnyArray = (features.astype(np.float64)[:, self.own] - self.centre) / self.scale
        return values

    def distances(self, features: AnyArray, points: AnyArray) -> AnyArray:
        """Distance of features (n, K) to the nearest of some points (m, own): root mean square over the features, (n,)."""
        distances: AnyArray = np.sqrt(cdist(self.standardised(features), points, "sqeuclidean").min(axis=1) / len(self.own))
        return distances

    def transferred(self, before: AnyArray, after: AnyArray) -> AnyArray:
        """Points that labels cover on another date, from their features (n, K) before and there: those that changed as the others did.

        A site of which only this one became something else would cover what it became.
        """
        change = self.standardised(after) - self.standardised(before)
        apart = np.sqrt(((change - np.median(change, axis=0)) ** 2).mean(axis=1))
        kept: AnyArray = self.standardised(after[apart <= self.limit])
        return kept
