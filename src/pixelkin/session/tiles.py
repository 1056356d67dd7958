"""The map as the page asks for it: tiles of class ids or confidence, put together from blocks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..types import Grid, IntArray, UInt8Array
from . import pictures
from .engine import Engine
from .errors import StaleError
from .pictures import TILE
from .project import Project

if TYPE_CHECKING:
    from .blockanswers import BlockAnswer

MapLayer = Literal["classes", "confidence"]
# What a tile of an overview waits for; the page asks again when the rest is there.
_PATIENCE_S = 0.4
_MAX_BLOCKS_NOW = 16


class MapTiles:
    """The map of a session. All methods may be called from any thread."""

    def __init__(self, project: Project, engine: Engine) -> None:
        self._project, self._engine = project, engine

    def index(self, scene_id: str, revision: int, z: int, x: int, y: int, layer: MapLayer) -> tuple[UInt8Array, float]:
        """A tile of the map without colours, and how much of it is there, 0..1 (1 wherever z = 0).

        Returns:
            (TILE, TILE) class ids, or confidence 1..255; 0 where there is nothing.

        Raises:
            StaleError: The revision is superseded.
            NotFittedError: There is no map yet.
        """
        grid = self._project.scene(scene_id).grid
        window = pictures.tile_window(grid, z, x, y)
        if window is not None and layer == "classes" and self._engine.live is None and revision == self._engine.revision:
            kept, tile = self._engine.kept.blocks(), BlockTile(window.row, window.col, window.height, window.width, 1 << z)
            if kept and all((scene_id, row, col) in kept for row, col in tile.blocks()):
                for row, col in tile.blocks():
                    tile.put(row, col, kept[scene_id, row, col])
                return pictures.full_tile(tile.index), 1.0
        live, version = self._engine.answer(revision)
        if window is None:
            return pictures.full_tile(np.zeros((1, 1), np.uint8)), 1.0
        live.focus_scene(scene_id, window.row + window.height / 2, window.col + window.width / 2)
        confident = layer == "confidence"
        tile = BlockTile(window.row, window.col, window.height, window.width, 1 << z)
        needed = tile.blocks()
        deadline = time.monotonic() + _PATIENCE_S
        done = 0
        for row, col in needed:
            answer = live.peek(scene_id, row, col, version, watched=True)
            if (answer is None or (confident and answer.confidence is None)) and (
                z == 0 or (len(needed) <= _MAX_BLOCKS_NOW and time.monotonic() < deadline)
            ):
                answer = live.block(scene_id, row, col, version, confident=confident)
                if answer is None:
                    break
            part = None if answer is None else _layer_of(answer, layer)
            if part is not None:
                done += 1
                tile.put(row, col, part)
        # Asked again: labels may have changed while the tile was made.
        self._engine.answer(revision)
        if live.version != version:
            raise StaleError(revision, self._engine.revision)
        return pictures.full_tile(tile.index), done / len(needed)

    def compute_all(self) -> None:
        """Compute the whole map of every scene now, instead of in the background; does nothing where there is no map."""
        live, _, version = self._engine.answering()
        if live is None or not self._engine.map_status().ready:
            return
        for scene_id, scene in self._project.scenes.items():
            for row, col in blocks(scene.grid):
                live.block(scene_id, row, col, version)

    def at(self, scene_id: str, row: int, col: int) -> tuple[int, float | None] | None:
        """Class id and confidence of a pixel, None where it is not computed yet; no confidence while the map is being repainted."""
        live, _, version = self._engine.answering()
        answer = None if live is None else live.peek(scene_id, row // TILE, col // TILE, version)
        if live is not None and answer is not None and answer.confidence is None and not live.busy:
            answer = live.block(scene_id, row // TILE, col // TILE, version)
        if answer is None:
            return None
        confidence = None if answer.confidence is None else float(answer.confidence[row % TILE, col % TILE]) / 255
        return int(answer.classes[row % TILE, col % TILE]), confidence


def blocks(grid: Grid) -> list[tuple[int, int]]:
    """Row and column of every block of an image."""
    return [(row, col) for row in range(-(-grid.height // TILE)) for col in range(-(-grid.width // TILE))]


@dataclass
class BlockTile:
    """A tile of the map being put together from blocks: the middle pixel of each square of `factor` x `factor`."""

    row: int
    col: int
    height: int
    width: int
    factor: int

    def __post_init__(self) -> None:
        self._rows = self._middles(self.row, self.height)
        self._cols = self._middles(self.col, self.width)
        shape = len(self._rows), len(self._cols)
        self.index = np.zeros(shape, np.uint8)

    def _middles(self, start: int, length: int) -> IntArray:
        first = np.arange(start, start + length, self.factor)
        return np.asarray(np.minimum(first + self.factor // 2, start + length - 1), np.int64)

    def blocks(self) -> list[tuple[int, int]]:
        """Blocks that hold a pixel of the tile."""
        return [(row, col) for row in np.unique(self._rows // TILE).tolist() for col in np.unique(self._cols // TILE).tolist()]

    def put(self, block_row: int, block_col: int, block: UInt8Array) -> None:
        """Take the tile's pixels from a block."""
        rows, cols = np.flatnonzero(self._rows // TILE == block_row), np.flatnonzero(self._cols // TILE == block_col)
        source = np.ix_(self._rows[rows] - block_row * TILE, self._cols[cols] - block_col * TILE)
        self.index[np.ix_(rows, cols)] = block[source]


def _layer_of(answer: BlockAnswer, layer: MapLayer) -> UInt8Array | None:
    """What a tile shows of a block; None where it is not there yet."""
    if layer == "classes":
        return answer.classes
    return None if answer.confidence is None else pictures.confidence_index(answer.confidence, answer.valid)
