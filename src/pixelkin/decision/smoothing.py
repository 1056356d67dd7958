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

from ..features.squares import OBJECT_SIZE
from .scratch import Scratch

STRIDE = 2
"""Probabilities are asked for on every second row and column."""
RADIUS = OBJECT_SIZE // 2 // STRIDE
"""Thinned pixels from the centre to the edge of a window: 17 image pixels a side."""
REACH = 2 * RADIUS * STRIDE
"""Image pixels from a pixel to the furthest one that has a say in it."""
RIDGE = 0.02
"""epsilon: differences of the bands well below its square root, in standard deviations, are no edge."""
MOST_BANDS = 4
"""Bands in the guide; of more, some spread evenly. Work grows with their number."""
_AT_ONCE = 4
"""Classes filtered at a time: threads that share an interpreter lose less by few large steps than by many small ones."""
_scratch = Scratch()


@dataclass(frozen=True, eq=False)
class Guide:
    """What the filter needs to know of a block, whatever the classes."""

    shape: tuple[int, int]
    """Rows and columns of the block."""
    inner: Tensor
    """(b, STRIDE, STRIDE, ceil(row / STRIDE), ceil(col / STRIDE)): the bands of the block itself, to which the functions are applied, apart by
    their place beside the thinned pixel; see `apart`."""
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
            inner = bands[:, REACH:-REACH, REACH:-REACH]
            weight = thin(valid).to(bands.dtype)
            bands = thin(bands) * weight
            known = _window_sum(weight[None])[0]
            told = (known > 0).to(bands.dtype)
            counts = known.clamp(min=1)
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
            windows = _window_sum(told[None])[0].clamp(min=1)
            return cls((inner.shape[1], inner.shape[2]), apart(inner), bands, weight, counts, means, factors, told, windows)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, Tensor))


def thin(maps: Tensor) -> Tensor:
    """The pixels of (..., row, col) on which probabilities are asked for."""
    return maps[..., ::STRIDE, ::STRIDE]


def apart(maps: Tensor) -> Tensor:
    """(n, row, col) as (n, STRIDE, STRIDE, ceil(row / STRIDE), ceil(col / STRIDE)): planes of one shape, zero past the end.

    Pixels that use the function of one thinned pixel are then at one place of each plane.
    """
    n, height, width = maps.shape
    rows, cols = -(-height // STRIDE), -(-width // STRIDE)
    out = maps.new_zeros(n, STRIDE, STRIDE, rows, cols)
    for i in range(STRIDE):
        for j in range(STRIDE):
            plane = maps[:, i::STRIDE, j::STRIDE]
            out[:, i, j, : plane.shape[1], : plane.shape[2]] = plane
    return out


def together(maps: Tensor, shape: tuple[int, int]) -> Tensor:
    """The inverse of `apart`: (..., row, col) of this shape."""
    *_, rows, cols = maps.shape
    joined = maps.permute(*range(maps.ndim - 4), -2, -4, -1, -3)
    return joined.reshape(*maps.shape[:-4], rows * STRIDE, cols * STRIDE)[..., : shape[0], : shape[1]]


def filtered(probabilities: Tensor, guide: Guide) -> Tensor:
    """Filter class probabilities.

    Args:
        probabilities: (class, h, w), of the thinned pixels of a block and its margin; those of pixels that are not valid have no say.
        guide: Of the block.

    Returns:
        (class, row, col) as `apart` has it, each pixel's >= 1e-6 and adding up to about 1 where valid; lasts until this thread filters again.
    """
    with torch.inference_mode():
        out = _scratch.take("out", probabilities, len(probabilities), *guide.inner.shape[1:])
        for start in range(0, len(out) - 1, _AT_ONCE):
            stop = min(start + _AT_ONCE, len(out) - 1)
            _filter(probabilities[start:stop], guide, out[start:stop])
        # Probabilities add up to 1, and so do their means and linear functions.
        torch.sub(1, torch.sum(out[:-1], dim=0, out=out[-1]), out=out[-1])
        # A linear function may leave [0, 1].
        return out.clamp_(min=1e-6)


def _filter(probabilities: Tensor, guide: Guide, out: Tensor) -> None:
    b = len(guide.bands)
    known = _scratch.take("known", probabilities, len(probabilities), b + 1, *probabilities.shape[1:])
    torch.mul(probabilities, guide.valid, out=known[:, 0])
    torch.mul(guide.bands, known[:, :1], out=known[:, 1:])
    sums = _window_sum(known).div_(guide.counts)
    level, *slope = sums.unbind(1)
    sums[:, 1:].addcmul_(guide.means, sums[:, :1], value=-1)
    for i in range(b):
        for j in range(i):
            slope[i].addcmul_(guide.factors[i, j], slope[j], value=-1)
    for i in reversed(range(b)):
        slope[i].div_(guide.factors[i, i])
        for j in range(i + 1, b):
            slope[i].addcmul_(guide.factors[j, i], slope[j], value=-1)
    for k in range(b):
        level.addcmul_(slope[k], guide.means[k], value=-1)
    # A window without a valid pixel knows nothing.
    lines = _window_sum(sums.mul_(guide.told)).div_(guide.windows)[:, :, None, None]
    torch.addcmul(lines[:, 0], lines[:, 1], guide.inner[0], out=out)
    for k in range(1, b):
        out.addcmul_(lines[:, k + 1], guide.inner[k])


def _window_sum(maps: Tensor) -> Tensor:
    """Sum over windows of 2 RADIUS + 1 pixels a side, by doubling: sums of 2, 4, 8, and one more pixel. Lasts until the next one."""
    for axis in (-2, -1):
        size = maps.shape[axis] - 2 * RADIUS
        total, width, to, other = maps, 1, "one", "another"
        while width < 2 * RADIUS:
            length = total.shape[axis] - width
            total = _sum_of(total.narrow(axis, 0, length), total.narrow(axis, width, length), to)
            width, to, other = 2 * width, other, to
        maps = _sum_of(total.narrow(axis, 0, size), maps.narrow(axis, 2 * RADIUS, size), f"axis {axis}")
    return maps


def _sum_of(one: Tensor, other: Tensor, name: str) -> Tensor:
    return torch.add(one, other, out=_scratch.take(name, one, *one.shape))
