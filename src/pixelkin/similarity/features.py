"""What a learner is told about a pixel: itself first, then its surroundings at two scales.

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

    With a model: S, c, the means of c over 9 x 9 and of S over 25 x 25 pixels. Without one: the bands, their means
    over both squares, and their standard deviations there, for want of a learned measure of texture.

    Returns:
        (K, row, col) float32; `own_features` says how many of the K describe the pixel alone.
    """
    with torch.inference_mode():
        height, width = embedding.valid.shape[0] - 2 * CONTEXT, embedding.valid.shape[1] - 2 * CONTEXT
        if embedding.c is None or embedding.s is None:
            bands = embedding.bands
            return torch.cat(
                [
                    _centre(bands, height, width),
                    *(_mean(bands, side, height, width) for side in (_NEAR, _FAR)),
                    *(_spread(bands, side, height, width) for side in (_NEAR, _FAR)),
                ]
            )
        c, s = embedding.c, embedding.s
        return torch.cat(
            [_centre(s, height, width), _centre(c, height, width), _mean(c, _NEAR, height, width), _mean(s, _FAR, height, width)]
        )


def feature_count(bands: int, z_dim: int, width: int) -> int:
    """How many features K there are, for images of so many bands, S and c of these widths (0 without a model)."""
    return 2 * (z_dim + width) if z_dim else 5 * bands


def own_features(count: int, *, learned: bool) -> int:
    """How many of K features, the first ones, describe the pixel alone."""
    return count // 2 if learned else count // 5


def _centre(maps: Tensor, height: int, width: int) -> Tensor:
    top, left = (maps.shape[1] - height) // 2, (maps.shape[2] - width) // 2
    return maps[:, top : top + height, left : left + width]


def _mean(maps: Tensor, side: int, height: int, width: int) -> Tensor:
    """Mean over side x side pixels, in an order of additions that is the same everywhere."""
    maps = _centre(maps, height + side - 1, width + side - 1)
    rows = maps[:, :height].clone()
    for k in range(1, side):
        rows += maps[:, k : k + height]
    sums = rows[:, :, :width].clone()
    for k in range(1, side):
        sums += rows[:, :, k : k + width]
    return sums.div_(side**2)


def _spread(maps: Tensor, side: int, height: int, width: int) -> Tensor:
    # About each band's level in the block first: squares of large numbers would swallow small differences.
    level = maps.mean(dim=(1, 2), keepdim=True)
    return (_mean((maps - level) ** 2, side, height, width) - _mean(maps - level, side, height, width) ** 2).clamp_(min=0).sqrt_()
