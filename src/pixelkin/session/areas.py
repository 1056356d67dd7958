"""How much of the map each class covers, as far as it is computed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..types import Grid, IntArray, UInt8Array
from .engine import Engine
from .pictures import TILE
from .tiles import blocks

_KEPT_GRIDS = 2
"""Whose areas of pixels are kept: one number a pixel where a grid is rotated."""


@dataclass(frozen=True, eq=False)
class AreasSoFar:
    """What the map of an image covers on the blocks that are computed."""

    revision: int
    complete: float
    """Share of blocks done, 0..1."""
    pixels_total: int
    """Pixels of these."""
    valid_pixels: int
    pixels: IntArray
    """Valid pixels of each class id, (256,), undecided ones at 0."""
    square_metres: npt.NDArray[np.float64] | None
    """Of each class id, (256,); None without a CRS."""


def areas_so_far(engine: Engine, scene_id: str, grid: Grid) -> AreasSoFar:
    """Areas of an image, from the blocks that are computed."""
    live, revision, version = engine.answering()
    pixels, metres = np.zeros(256, np.int64), np.zeros(256)
    total = valid = done = 0
    everything, cells = blocks(grid), _cells(grid)
    for row, col in everything:
        answer = None if live is None else live.peek(scene_id, row, col, version)
        if answer is None:
            continue
        if "areas" not in answer.notes:
            answer.notes["areas"] = _tally(answer.classes, answer.valid, cells, row * TILE, col * TILE)
        here, here_metres = answer.notes["areas"]
        done += 1
        total += answer.classes.size
        valid += int(here.sum())
        pixels += here
        metres += here_metres
    return AreasSoFar(revision, done / len(everything), total, valid, pixels, None if cells is None else metres)


@lru_cache(maxsize=_KEPT_GRIDS)
def _cells(grid: Grid) -> Any:
    from ..maps import cell_areas

    return cell_areas(grid)[0]


def _tally(classes: UInt8Array, valid: Any, cells: Any, top: int, left: int) -> tuple[IntArray, Any]:
    """Valid pixels of each class id in a block, and their square metres (0 without a CRS)."""
    inside = classes[valid]
    counts = np.bincount(inside, minlength=256)
    if cells is None:
        return counts, np.zeros(256)
    # Cells broadcast: one number, one a row, or one a pixel.
    part = cells if cells.shape[0] == 1 else cells[top : top + classes.shape[0]]
    part = part if part.shape[1] == 1 else part[:, left : left + classes.shape[1]]
    weights = np.broadcast_to(part, classes.shape)[valid]
    return counts, np.bincount(inside, weights=weights, minlength=256)
