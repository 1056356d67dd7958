"""Smoothing of class probabilities that respects edges: the fast guided filter.

In every square window the probability of a class is taken for a linear function of the bands, fitted by ridge regression;
a pixel gets the mean of what the windows that hold it say. Where the bands are even, that is a mean over neighbours; across an edge in
the bands, probabilities may jump with them.

The functions are fitted on every second pixel and applied to every one: probabilities, the dear part, are only needed on a
quarter of the pixels, and edges stay where they are because the bands are not thinned where the functions are applied.

He, Sun, Tang, *Guided Image Filtering* (IEEE TPAMI 2013), Eq. 14 to 16 (guide of several bands), with means over valid pixels only;
He, Sun, *Fast Guided Filter*, arXiv:1505.00996 (the thinning).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

STRIDE = 2
"""Probabilities are asked for on every second row and column."""
RADIUS = 4
"""Thinned pixels from the centre to the edge of a window: 17 image pixels a side."""
REACH = 2 * RADIUS * STRIDE
"""Image pixels from a pixel to the furthest one that has a say in it."""
RIDGE = 0.02
"""epsilon: differences of the bands well below its square root, in standard deviations, are no edge."""
MOST_BANDS = 4
"""Bands in the guide; of more, some spread evenly. Work grows with their number."""


@dataclass(frozen=True, eq=False)
class Guide:
    """What the filter needs to know of a block, whatever the classes."""

    inner: Tensor
    """(b, row, col): the bands of the block itself, to which the functions are applied."""
    bands: Tensor
    """(b, h, w): of the thinned pixels, h = ceil(row / 2) + 4 RADIUS, 0 where not valid."""
    valid: Tensor
    """(h, w) 1 or 0."""
    counts: Tensor
    """(h - 2 RADIUS, w - 2 RADIUS): valid pixels in each window, at least 1."""
    means: Tensor
    """(b, h - 2 RADIUS, w - 2 RADIUS): of the bands in each window."""
    factors: Tensor
    """(b, b, h - 2 RADIUS, w - 2 RADIUS): L below and D on the diagonal, L D L^T being covariance + epsilon I."""
    told: Tensor
    """(h - 2 RADIUS, w - 2 RADIUS): 1 where the window holds a valid pixel, else 0."""
    windows: Tensor
    """(h - 4 RADIUS, w - 4 RADIUS): windows with a valid pixel that hold the pixel, at least 1."""

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
            inner = bands[:, REACH:-REACH, REACH:-REACH].contiguous()
            weight = thin(valid).to(bands.dtype)
            bands = thin(bands) * weight
            known = _window_sum(weight[None])[0]
            told = (known > 0).to(bands.dtype)
            counts = known.clamp_(min=1)
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
            return cls(inner, bands, weight, counts, means, factors, told, _window_sum(told[None])[0].clamp_(min=1))

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(tensor.nbytes for tensor in vars(self).values())


def thin(maps: Tensor) -> Tensor:
    """The pixels of (..., row, col) on which probabilities are asked for."""
    return maps[..., ::STRIDE, ::STRIDE]


def smooth(probabilities: Tensor, guide: Guide) -> Tensor:
    """Filter class probabilities.

    Args:
        probabilities: (class, h, w), of the thinned pixels of a block and its margin; those of pixels that are not valid have no say.
        guide: Of the block.

    Returns:
        (class, row, col), each pixel's >= 0 and adding up to 1 where valid.
    """
    with torch.inference_mode():
        _, height, width = guide.inner.shape
        out = probabilities.new_empty(len(probabilities), height, width)
        b = len(guide.bands)
        for plane, answer in zip(probabilities, out, strict=True):
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
            # A window without a valid pixel knows nothing.
            lines = _window_sum(torch.cat([level[None], slope]) * guide.told) / guide.windows
            lines = lines.repeat_interleave(STRIDE, 1).repeat_interleave(STRIDE, 2)[:, :height, :width]
            answer.copy_(lines[0])
            for line, band in zip(lines[1:], guide.inner, strict=True):
                answer.addcmul_(line, band)
        # A linear function may leave [0, 1].
        out.clamp_(min=1e-6)
        return out.div_(out.sum(dim=0))


def _window_sum(maps: Tensor) -> Tensor:
    """Sum over windows of 2 RADIUS + 1 pixels a side, by doubling: sums of 2, 4, 8, and one more pixel."""
    for axis in (1, 2):
        size = maps.shape[axis] - 2 * RADIUS
        total, width = maps, 1
        while width < 2 * RADIUS:
            length = total.shape[axis] - width
            total = total.narrow(axis, 0, length) + total.narrow(axis, width, length)
            width *= 2
        maps = total.narrow(axis, 0, size) + maps.narrow(axis, 2 * RADIUS, size)
    return maps
