"""Labels of one date on another: label transfer, also called sample migration.

A site that was labelled on one date is, on most other dates, what it was, and shows how its class looks there: haze, season and sensor have
changed it as they changed all around it. So an image is mapped from its own features at the sites that were labelled on other images of the same
grid, and not from the features on those images. What did change must not teach: a site is left out where the vote of the labels as they
were given finds its class there less than half as likely as chance would. The vote, because it extrapolates nothing: haze and season must not
be taken for change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from cachetools import LRUCache

from ..features import References
from ..types import BoolArray, IntArray
from .fitting import MOST_LABELS, thinned
from .scorer import Scorer

_LEAST_CHANCE = 0.5
"""How likely a class has to be where it was labelled on another image, in units of one over the number of classes."""
_MOST_IMAGES = 64
"""Images whose features are remembered."""


def transferable(references: References, own: BoolArray, grid: int) -> IntArray:
    """Which references, by index, are of sites on an image that were labelled on other images of the same grid.

    Args:
        references: All labels, in the order in which they were given.
        own: (L,), True for those labelled on the image itself.
        grid: The image's `grid_number`; 0 is of no site.
    """
    origins = references.origins.numpy()
    known = {tuple(site) for site in origins[own, 2:].tolist()}
    # Of a site labelled on several dates the last label counts.
    last = {tuple(origins[i, 2:].tolist()): i for i in np.flatnonzero(~own & (origins[:, 1] == grid) & (grid != 0)).tolist()}
    free = np.sort(np.array([i for site, i in last.items() if site not in known], np.int64))
    classes = references.classes[free]
    return np.sort(np.concatenate([free[:0], *(thinned(free[classes == k], MOST_LABELS) for k in np.unique(classes))]))


def unchanged(there: References, ids: list[int], scorer: Scorer) -> BoolArray:
    """Which references (n,), looked up on another image, are like their class there to a learner that has not seen that image."""
    probabilities = scorer.probabilities(there.features.T.contiguous()).cpu().numpy()
    site = np.array([ids.index(i) for i in there.classes.tolist()], np.int64)
    likely: BoolArray = probabilities[site, np.arange(len(there))] >= _LEAST_CHANCE / len(ids)
    return likely


@dataclass(eq=False)
class _Image:
    """What has been looked at on one image."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    tried: set[tuple[int, ...]] = field(default_factory=set)
    """Rows and columns, also those on no-data."""
    seen: References | None = None


class LookedUp:
    """Features of sites on images on which they were not labelled; each is looked up once. Safe to share between threads."""

    def __init__(self) -> None:
        self._images: LRUCache[str, _Image] = LRUCache(_MOST_IMAGES)
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[LookedUp], tuple[()]]:
        # Another process looks them up for itself.
        return LookedUp, ()

    def of(self, references: References, fingerprint: str, collect: Callable[[References], References]) -> References:
        """These references as an image shows their sites, those on its no-data left out.

        Args:
            references: With the sites and the classes wanted.
            fingerprint: Of the image.
            collect: Looks up the sites of some references, leaving out no-data.
        """
        sites = list(map(tuple, references.origins[:, 2:].tolist()))
        with self._lock:
            image = self._images.setdefault(fingerprint, _Image())
        with image.lock:
            fresh = [i for i, site in enumerate(sites) if site not in image.tried]
            if fresh or image.seen is None:
                found = collect(references.take(fresh))
                image.seen = found if image.seen is None else image.seen.merge(found)
                image.tried |= {sites[i] for i in fresh}
            seen = image.seen
        at = {tuple(site): i for i, site in enumerate(seen.origins[:, 2:].tolist())}
        there = [i for i, site in enumerate(sites) if site in at]
        return replace(seen.take([at[sites[i]] for i in there]), classes=references.classes[there], legend=references.legend)
