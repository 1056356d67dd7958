"""Which tiles, how large, and how many at a time: pure data, decided before a pixel is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import InputError
from ..features import BLOCK
from ..types import Grid, Window

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}

_LARGEST_TILE = 4
"""Blocks along a tile's side: larger ones read the halo less often, but a killed run loses more of them."""

_PROCESS_BYTES = 600 * 2**20
"""A process with torch and GDAL loaded, GDAL's block cache and what the allocator keeps, rounded up from measurements."""


@dataclass(frozen=True, slots=True)
class TilePlan:
    """The tiles of an image, row by row. A tile's side is a whole number of blocks, so tiles never change what is computed."""

    grid: Grid
    tile: int
    """Side of a tile in pixels, a multiple of `BLOCK`; tiles at the last row and column are cut at the image's edge."""

    def __post_init__(self) -> None:
        if self.tile < BLOCK or self.tile % BLOCK:
            raise InputError(f"tile is {self.tile} pixels, expected a multiple of {BLOCK}. Use {max(1, round(self.tile / BLOCK)) * BLOCK}.")

    @property
    def across(self) -> int:
        """Tiles in a row."""
        return -(-self.grid.width // self.tile)

    def __len__(self) -> int:
        return -(-self.grid.height // self.tile) * self.across

    def window(self, index: int) -> Window:
        """The pixels of a tile."""
        row, col = index // self.across * self.tile, index % self.across * self.tile
        return Window(row, col, min(self.tile, self.grid.height - row), min(self.tile, self.grid.width - col))

    def windows(self) -> Iterator[Window]:
        """All tiles, row by row; made one by one, since a continent has millions."""
        return (self.window(index) for index in range(len(self)))


def with_halo(window: Window, halo: int, grid: Grid) -> Window:
    """A window with so many pixels more on each side, cut at the image's edge."""
    top, left = max(0, window.row - halo), max(0, window.col - halo)
    bottom = min(grid.height, window.row + window.height + halo)
    right = min(grid.width, window.col + window.width + halo)
    return Window(top, left, bottom - top, right - left)


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """A tile size and a number of tiles under way that keep a run within its memory."""

    tile: int
    in_flight: int
    """Tiles that are being read, computed or written at one time, >= 3 so that the three overlap."""
    expected_bytes: int
    """Of the whole process."""


def plan_memory(
    budget: int | str,
    *,
    pixel_bytes: int,
    block_bytes: int,
    workers: int,
    tile: int | None = None,
) -> MemoryPlan:
    """The largest tile that fits a budget.

    Args:
        budget: Bytes for the whole process, or text such as '2GiB'.
        pixel_bytes: Bytes a pixel of a tile takes from reading to writing.
        block_bytes: Bytes that one worker takes while it computes a block.
        workers: Threads that compute.
        tile: Side in pixels, where the caller has chosen it.

    Raises:
        InputError: Not even the smallest tile (or the chosen one) fits; the message names the memory it takes.
    """
    budget = parse_bytes(budget)
    fixed = _PROCESS_BYTES + workers * block_bytes
    least = 3
    for blocks in [tile // BLOCK] if tile is not None else range(_LARGEST_TILE, 0, -1):
        tile_bytes = (blocks * BLOCK) ** 2 * pixel_bytes
        if fixed + least * tile_bytes <= budget:
            in_flight = min(2 * workers + 2, (budget - fixed) // tile_bytes)
            return MemoryPlan(blocks * BLOCK, in_flight, fixed + in_flight * tile_bytes)
    needed = -(-(fixed + least * tile_bytes) // 2**20)
    raise InputError(
        f"memory is {budget // 2**20} MiB, expected at least {needed} MiB for tiles of {blocks * BLOCK} pixels and {workers} workers. "
        f"Allow more with memory='{needed}MiB'{', or use fewer workers' if workers > 1 else ''}."
    )


def parse_bytes(text: int | str) -> int:
    """A number of bytes from text such as '2GiB', '500MB' or '1073741824'.

    >>> parse_bytes("1.5KiB")
    1536
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?B?)\s*", str(text).upper())
    unit = found[2] if found else None
    if found is None or unit not in _UNITS or float(found[1]) <= 0:
        raise InputError(f"memory is {text!r}, expected a size such as '2GiB' or '500MB'. Correct it.")
    return int(float(found[1]) * _UNITS[unit])
