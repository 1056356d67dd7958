"""What a learner is told about a pixel: itself first, then its surroundings at two scales; with a model, first as the model sees it.

Surroundings are means over squares, so that a map of them costs a few additions a number, and a pixel's are the same
whatever block they are computed in.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .embedding import Embedding

CONTEXT = 12
"""Pixels from a pixel to the edge of its surroundings: squares of up to 25 pixels a side."""
_NEAR, _FAR = 9, 25


def describe(embedding: Embedding) -> Tensor:
    """Features of the pixels of an embedding, but for the outermost CONTEXT of its margin.

    With a model: S, c, the means of c over 9 x 9 and of S over 25 x 25 pixels. Then, and without a model alone: the bands, their means
    over both squares, and their standard deviations there.

    Returns:
        (K, row, col) float32; the first `own_features` of the K describe the pixel alone, the last `band_features` its bands.
    """
    with torch.inference_mode():
        height, width = embedding.valid.shape[0] - 2 * CONTEXT, embedding.valid.shape[1] - 2 * CONTEXT
        bands, c, s = embedding.bands, embedding.c, embedding.s
        seen = [
            _centre(bands, height, width),
            *(_mean(bands, side, height, width) for side in (_NEAR, _FAR)),
            *(_spread(bands, side, height, width) for side in (_NEAR, _FAR)),
        ]
        if c is None or s is None:
            return torch.cat(seen)
        learned = [_centre(s, height, width), _centre(c, height, width), _mean(c, _NEAR, height, width), _mean(s, _FAR, height, width)]
        return torch.cat([*learned, *seen])


def feature_count(bands: int, z_dim: int, width: int) -> int:
    """How many features K there are, for images of so many bands, S and c of these widths (0 without a model)."""
    return 2 * (z_dim + width) + band_features(bands)


def own_features(bands: int, z_dim: int, width: int) -> int:
    """How many of the K features, the first ones, describe the pixel alone."""
    return z_dim + width if z_dim else bands


def band_features(bands: int) -> int:
    """How many of the K features, the last ones, are of the bands alone, without a model."""
    return 5 * bands


def _centre(maps: Tensor, height: int, width: int) -> Tensor:
    top, left = (maps.shape[1] - height) // 2, (maps.shape[2] - width) // 2
    return maps[:, top : top + height, left : left + width]


def _mean(maps: Tensor, side: int, height: int, width: int) -> Tensor:
    """Mean over side x side pixels, in an order of additions that is the same everywhere."""
    maps = _centre(maps, height + side - 1, width + side - 1)
    return _sum(_sum(maps, 1, side), 2, side).div_(side**2)


def _sum(maps: Tensor, axis: int, side: int) -> Tensor:
    """Sums of `side` neighbours along an axis, from sums of 1, 2, 4, ... of them."""
    size = maps.shape[axis] - side + 1
    total, start, length = maps.new_zeros(()), 0, 1
    while True:
        if side & length:
            part = maps.narrow(axis, start, size)
            total = total + part
            start += length
        if start == side:
            return total
        reach = maps.shape[axis] - length
        maps, length = maps.narrow(axis, 0, reach) + maps.narrow(axis, length, reach), 2 * length


def _spread(maps: Tensor, side: int, height: int, width: int) -> Tensor:
    # About each band's level in the block first: squares of large numbers would swallow small differences.
    level = maps.mean(dim=(1, 2), keepdim=True)
    return (_mean((maps - level) ** 2, side, height, width) - _mean(maps - level, side, height, width) ** 2).clamp_(min=0).sqrt_()
