"""The map in blocks: what of it is there, for one version of the labels at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cachetools import LRUCache

from ..features.blocks import BLOCK
from ..types import BoolArray, Grid, UInt8Array, Window

_KEPT = 4096
"""Blocks, about 0.2 MB each; the answers of a 16,000 x 16,000 image."""

BlockKey = tuple[str, int, int]
"""Scene, block row, block column."""


@dataclass(frozen=True, eq=False)
class BlockAnswer:
    """The map of one block."""

    classes: UInt8Array
    """(row, col) class ids, 0 = no data or undecided."""
    confidence: UInt8Array | None
    """(row, col) 0..255 for 0..1; None where nobody has asked for it."""
    valid: BoolArray
    """(row, col)."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What others have worked out of it; each is worked out once."""


def blocks_across(size: int) -> int:
    """Blocks along an axis of this many pixels."""
    return -(-size // BLOCK)


def block_window(grid: Grid, block_row: int, block_col: int) -> Window:
    """The pixels of a block."""
    row, col = block_row * BLOCK, block_col * BLOCK
    return Window(row, col, min(BLOCK, grid.height - row), min(BLOCK, grid.width - col))


class BlockAnswers:
    """Answers of the newest version; whoever asks with an older one gets None. Safe to share between threads."""

    def __init__(self, grids: Mapping[str, Grid]) -> None:
        """Nothing is there yet.

        Args:
            grids: Of the images, by id.
        """
        self._grids = grids
        self._kept: LRUCache[BlockKey, BlockAnswer] = LRUCache(_KEPT)
        self._in_work: dict[tuple[int, BlockKey], threading.Event] = {}
        self.lock = threading.RLock()
        """Held while the version must not change."""
        self.version = 0

    def supersede(self) -> None:
        """From now on answers are of a new version."""
        with self.lock:
            self.version += 1
            self._kept.clear()

    def peek(self, key: BlockKey, version: int) -> BlockAnswer | None:
        """An answer, if it is there."""
        with self.lock:
            return self._kept.get(key) if version == self.version else None

    def get(self, key: BlockKey, version: int, make: Callable[[], BlockAnswer | None], *, confident: bool) -> BlockAnswer | None:
        """An answer, made if need be, by one thread alone; None where the version is superseded or nothing could be made.

        Args:
            key: The block.
            version: Of the labels that are asked about.
            make: Makes it.
            confident: One without confidence will not do.
        """
        while True:
            with self.lock:
                if version != self.version:
                    return None
                answer = self._kept.get(key)
                if answer is not None and not (confident and answer.confidence is None):
                    return answer
                other = self._in_work.get((version, key))
                if other is None:
                    mine = self._in_work[version, key] = threading.Event()
                    break
            other.wait()
        try:
            made = make()
            with self.lock:
                if made is None or version != self.version:
                    return None
                self._kept[key] = made
            return made
        finally:
            with self.lock:
                del self._in_work[version, key]
            mine.set()

    def done(self, scene_id: str) -> tuple[int, int]:
        """Blocks of an image that are there, and in all."""
        grid = self._grids[scene_id]
        with self.lock:
            count = sum(1 for key in self._kept if key[0] == scene_id)
        return count, blocks_across(grid.height) * blocks_across(grid.width)

    def missing(self, focus: BlockKey) -> BlockKey | None:
        """The block to make next: of the focus' image, nearest to it; then of the other images. None where all are there, or no room is."""
        scene_id, focus_row, focus_col = focus
        with self.lock:
            if len(self._kept) >= _KEPT:
                return None
            for candidate in [scene_id, *(other for other in self._grids if other != scene_id)]:
                grid = self._grids[candidate]
                left = np.ones((blocks_across(grid.height), blocks_across(grid.width)), bool)
                for key in self._kept:
                    if key[0] == candidate:
                        left[key[1], key[2]] = False
                if left.any():
                    at = np.argwhere(left)
                    nearest = at[np.argmin(((at - (focus_row, focus_col)) ** 2).sum(axis=1))]
                    return candidate, int(nearest[0]), int(nearest[1])
        return None
