"""Smoothing of class probabilities that respects edges: the guided filter.

In every square window the probability of a class is taken for a linear function of the bands, fitted by ridge regression;
a pixel gets the mean of what the windows that hold it say. Where the bands are even, that is a mean over neighbours; across an edge in
the bands, probabilities may jump with them.

He, Sun, Tang, *Guided Image Filtering* (IEEE TPAMI 2013), Eq. 14 to 16 (guide of several bands), with means over valid pixels only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

RADIUS = 8
"""Pixels from the centre to the edge of a window."""
REACH = 2 * RADIUS
"""Pixels from a pixel to the furthest one that has a say in it."""
RIDGE = 0.02
"""epsilon: differences of the bands well below its square root, in standard deviations, are no edge."""
MOST_BANDS = 4
"""Bands in the guide; of more, some spread evenly. Work grows with their number."""


@dataclass(frozen=True, eq=False)
class Guide:
    """What the filter needs to know of a block, whatever the classes."""

    bands: Tensor
    """(b, row + 2 REACH, col + 2 REACH), 0 where not valid."""
    valid: Tensor
    """(row + 2 REACH, col + 2 REACH) 1 or 0."""
    counts: Tensor
    """(row + 2 RADIUS, col + 2 RADIUS): valid pixels in each window, at least 1."""
    means: Tensor
    """(b, row + 2 RADIUS, col + 2 RADIUS): of the bands in each window."""
    factors: Tensor
    """(b, b, row + 2 RADIUS, col + 2 RADIUS): L below and D on the diagonal, L D L^T being covariance + epsilon I."""

    @classmethod
    def of(cls, bands: Tensor, valid: Tensor) -> Guide:
        """Prepare a block.

        Args:
            bands: (band, row + 2 REACH, col + 2 REACH), in standard deviations.
            valid: (row + 2 REACH, col + 2 REACH) bool.
        """
        with torch.inference_mode():
            if len(bands) > MOST_BANDS:
                bands = bands[np.linspace(0, len(bands) - 1, MOST_BANDS).round().astype(int).tolist()]
            weight = valid.to(bands.dtype)
            bands = bands * weight
            counts = _window_sum(weight[None])[0].clamp_(min=1)
            means = _window_sum(bands) / counts
            b = len(bands)
            rows, cols = torch.tril_indices(b, b).tolist()
            products = _window_sum(bands[rows] * bands[cols]).div_(counts)
            factors = bands.new_zeros(b, b, *counts.shape)
            for product, row, col in zip(products, rows, cols, strict=True):
                factors[row, col] = product - means[row] * means[col]
                if row == col:
                    factors[row, col].clamp_(min=0).add_(RIDGE)
            for k in range(b):
                for j in range(k):
                    factors[k, k] -= factors[k, j] ** 2 * factors[j, j]
                # Rounding may leave nothing of a variance that other bands explain wholly.
                factors[k, k].clamp_(min=RIDGE / 2)
                for i in range(k + 1, b):
                    for j in range(k):
                        factors[i, k] -= factors[i, j] * factors[j, j] * factors[k, j]
                    factors[i, k] /= factors[k, k]
            return cls(bands, weight, counts, means, factors)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(tensor.nbytes for tensor in (self.bands, self.valid, self.counts, self.means, self.factors))


def smooth(probabilities: Tensor, guide: Guide) -> Tensor:
    """Filter class probabilities.

    Args:
        probabilities: (class, row + 2 REACH, col + 2 REACH); those of pixels that are not valid have no say.
        guide: Of the block.

    Returns:
        (class, row, col), each pixel's >= 0 and adding up to 1 where valid.
    """
    with torch.inference_mode():
        inner = slice(REACH, -REACH)
        # A window without a valid pixel knows nothing.
        weight = (_window_sum(guide.valid[None])[0] > 0).to(guide.valid.dtype)
        windows = _window_sum(weight[None])[0].clamp_(min=1)
        out = []
        b = len(guide.bands)
        for plane in probabilities:
            known = plane * guide.valid
            sums = _window_sum(torch.cat([known[None], guide.bands * known])) / guide.counts
            mean, slope = sums[0], sums[1:]
            slope -= guide.means * mean
            for i in range(b):
                for j in range(i):
                    slope[i] -= guide.factors[i, j] * slope[j]
            for i in reversed(range(b)):
                slope[i] /= guide.factors[i, i]
                for j in range(i + 1, b):
                    slope[i] -= guide.factors[j, i] * slope[j]
            level = mean - (slope * guide.means).sum(dim=0)
            lines = _window_sum(torch.cat([level[None], slope]) * weight) / windows
            out.append(lines[0] + (lines[1:] * guide.bands[:, inner, inner]).sum(dim=0))
        # A linear function may leave [0, 1].
        filtered = torch.stack(out).clamp_(min=1e-6)
        return filtered / filtered.sum(dim=0)


def _window_sum(maps: Tensor) -> Tensor:
    """Sum over windows of 2 RADIUS + 1 pixels a side, by doubling: sums of 2, 4, 8, 16, and one more pixel."""
    for axis in (1, 2):
        size = maps.shape[axis] - 2 * RADIUS
        total, width = maps, 1
        while width < 2 * RADIUS:
            length = total.shape[axis] - width
            total = total.narrow(axis, 0, length) + total.narrow(axis, width, length)
            width *= 2
        maps = total.narrow(axis, 0, size) + maps.narrow(axis, 2 * RADIUS, size)
    return maps
