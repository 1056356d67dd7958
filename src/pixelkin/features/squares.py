"""Means and standard deviations over squares around each pixel.

They cost a few additions a number, and a pixel's are the same whatever block they are computed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

OBJECT_SIZE = 16
"""Pixels across what is labelled as one thing, about: the one length from which those of the decision follow."""
NEAR, FAR = OBJECT_SIZE // 2 + 1, 3 * OBJECT_SIZE // 2 + 1
"""Sides of the two squares: 9 and 25."""
CONTEXT = FAR // 2
"""Pixels from a pixel to the edge of its surroundings."""


def centre(maps: Tensor, height: int, width: int) -> Tensor:
    """The middle of (n, row, col), of this height and width."""
    top, left = (maps.shape[1] - height) // 2, (maps.shape[2] - width) // 2
    return maps[:, top : top + height, left : left + width]


def mean(maps: Tensor, side: int, height: int, width: int) -> Tensor:
    """Mean over side x side pixels around those in the middle, in an order of additions that is the same everywhere."""
    maps = centre(maps, height + side - 1, width + side - 1)
    return _sum(_sum(maps, 1, side), 2, side).div_(side**2)


def spread(maps: Tensor, side: int, height: int, width: int) -> Tensor:
    """Standard deviation over side x side pixels around those in the middle."""
    # About each band's level in the block first: squares of large numbers would swallow small differences.
    level = maps.mean(dim=(1, 2), keepdim=True)
    return (mean((maps - level) ** 2, side, height, width) - mean(maps - level, side, height, width) ** 2).clamp_(min=0).sqrt_()


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
