"""The blocks in which everything is computed.

Floating-point sums depend on the shape of the arrays they run over. So that a pixel gets the same bits
whatever window, tile size or number of workers asks for it, computation always happens in the blocks of one
fixed grid, anchored at the image's first pixel and cut at its edges, each with its own halo, on one thread.
Tiles and windows only choose which blocks to compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..types import Grid, Window
from .squares import OBJECT_SIZE

BLOCK = 256
"""Side of a block in pixels: its feature maps fit the cache, and its halo costs a tenth."""


REFERENCE_BLOCK = 2 * OBJECT_SIZE
"""Side of the block from which a labelled pixel is described: a click costs a few milliseconds, a scribble shares positions."""
_BLOCKS = 64
"""Small blocks that are looked at, at most: enough to know a class's share of an image to a few points."""


def block_at(grid: Grid, row: int, col: int, side: int = BLOCK) -> Window:
    """The block that holds a pixel of the image."""
    top, left = row // side * side, col // side * side
    return Window(top, left, min(side, grid.height - top), min(side, grid.width - left))


def blocks_of(grid: Grid, window: Window) -> Iterator[Window]:
    """The blocks that a window of the image touches, row by row."""
    for row in range(window.row // BLOCK * BLOCK, window.row + window.height, BLOCK):
        for col in range(window.col // BLOCK * BLOCK, window.col + window.width, BLOCK):
            yield block_at(grid, row, col)


def spread(blocks: Sequence[Window], most: int) -> Sequence[Window]:
    """At most so many of these blocks, evenly spread over their order."""
    return blocks if len(blocks) <= most else [blocks[i] for i in np.linspace(0, len(blocks) - 1, most).round().astype(int)]


def overlap(block: Window, window: Window) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a block and a window meet: slices into the block's array, and into the window's."""
    top, left = max(block.row, window.row), max(block.col, window.col)
    bottom = min(block.row + block.height, window.row + window.height)
    right = min(block.col + block.width, window.col + window.width)
    return (
        (slice(top - block.row, bottom - block.row), slice(left - block.col, right - block.col)),
        (slice(top - window.row, bottom - window.row), slice(left - window.col, right - window.col)),
    )


def spread_blocks(grid: Grid) -> list[Window]:
    """Small blocks of an image, evenly spread over it, about as far apart across as down."""
    down, across = (-(-size // REFERENCE_BLOCK) for size in grid.shape)
    rows = int(np.clip(round(np.sqrt(_BLOCKS * down / across)), 1, min(down, _BLOCKS)))
    cols = min(across, _BLOCKS // rows)
    rows = min(down, _BLOCKS // cols)
    tops, lefts = (
        (np.floor((np.arange(n) + 0.5) * of / n) * REFERENCE_BLOCK).astype(int).tolist() for n, of in ((rows, down), (cols, across))
    )
    return [block_at(grid, top, left, REFERENCE_BLOCK) for top in tops for left in lefts]
