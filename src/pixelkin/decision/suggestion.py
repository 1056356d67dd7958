"""Where to label next: pixels that are in doubt, each standing for many others.

K-means on the features of a sample of pixels, weighted by doubt, puts centres where much is in doubt; the pixels next to the centres are
in doubt, common, and different from one another (Zhdanov, *Diverse mini-batch active learning*, arXiv 1901.05954).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans

from ..types import AnyArray, FloatArray, IntArray, Window

CANDIDATES = 2048
"""Pixels that are looked at."""


class Suggestion(NamedTuple):
    """A pixel worth labelling."""

    row: int
    col: int
    doubt: float
    """1 - confidence of the map there."""


def lattice(window: Window, step: int) -> tuple[IntArray, IntArray]:
    """Rows and columns (n,) of every step-th pixel of the image that lies in a window."""
    rows, cols = (
        np.arange(start + (step // 2 - start) % step, start + size, step)
        for start, size in ((window.row, window.height), (window.col, window.width))
    )
    return np.repeat(rows, len(cols)), np.tile(cols, len(rows))


def pick(doubt: FloatArray, vectors: AnyArray, k: int) -> IntArray:
    """Which k candidates to ask about, first those that stand for most doubt.

    Args:
        doubt: (n,) in [0, 1].
        vectors: (n, d), alike where pixels are.
        k: How many, at most n.
    """
    weights = doubt.astype(np.float64) ** 2 + 1e-6
    means = KMeans(k, n_init=1, max_iter=20, random_state=0).fit(vectors, sample_weight=weights)
    masses = np.bincount(means.labels_, weights, k)
    chosen: list[int] = []
    for cluster in np.argsort(-masses, kind="stable"):
        members = np.setdiff1d(np.flatnonzero(means.labels_ == cluster), chosen)
        if len(members):
            members = members[doubt[members] >= doubt[members].mean()]
            # The most doubtful is often like no other; this one is in doubt and stands for most others.
            away = ((vectors[members] - means.cluster_centers_[cluster]) ** 2).sum(axis=1)
            chosen.append(int(members[np.argmin(away)]))
    # Fewer different pixels than k leave clusters empty.
    rest = np.setdiff1d(np.argsort(-doubt, kind="stable"), chosen, assume_unique=True)
    return np.asarray(chosen + rest[: k - len(chosen)].tolist(), np.int64)
