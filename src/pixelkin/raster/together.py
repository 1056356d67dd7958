"""Images of several sensors, and ready-made embeddings, as one image on one grid."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from pixelkin.crs import same_place
from pixelkin.errors import InputError, RasterError
from pixelkin.scene import Scene, Series

from .embedding import EmbeddingScene
from .opening import open_scene
from .reader import RasterScene
from .stack import Stack


def open_stack(sources: Sequence[Any], *, on: int = 0, name: str | None = None) -> Stack:
    """Several sources of one place as one image: their bands side by side, each with its own scale and no-data value.

    Args:
        sources: Images, or what `open_scene` opens as one image each.
        on: Which of them, from 0, gives the grid. Others are warped to it: imagery bilinear, embeddings and palettes by the nearest pixel. The
            stack's `notes` name them.
        name: Name of the stack; default that of the source on whose grid it is.

    Returns:
        A scene that is valid where all sources are. A band whose name another source has too is called 'SOURCE:BAND'.

    Raises:
        InputError: No source, or no such number.
        RasterError: A source is a series or an array that cannot be warped, or lies in no place.
    """
    opened = [source if isinstance(source, Scene) else open_scene(os.fspath(source)) for source in sources]
    if not 0 <= on < len(opened):
        raise InputError(f"on is {on}, expected the number of a source, from 0 to {len(opened) - 1}.")
    layers: list[RasterScene | EmbeddingScene | Stack] = []
    for scene in opened:
        if not isinstance(scene, RasterScene | EmbeddingScene | Stack):
            kind = "a series" if isinstance(scene, Series) else "no file"
            raise RasterError(
                f"{getattr(scene, 'name', 'a source')} is {kind}, expected one image in a file. Choose one date, or write it to a file."
            )
        layers.append(scene)
    grid = layers[on].grid
    notes, on_grid = [], []
    for layer in layers:
        if not same_place(layer.grid, grid):
            how = "by the nearest pixel" if isinstance(layer, EmbeddingScene) else "bilinear"
            notes.append(f"{layer.name} is resampled to the grid of {layers[on].name} ({how})")
            layer = layer.aligned(grid)
        on_grid.append(layer)
    every = [band for layer in on_grid for band in layer.bands]
    names = [band if every.count(band) == 1 else f"{layer.name}:{band}" for layer in on_grid for band in layer.bands]
    if len(set(names)) < len(names):
        raise RasterError(f"two sources are called {on_grid[0].name} and have the same bands, expected each source once. Rename a file.")
    return Stack(
        name=name or layers[on].name, grid=grid, bands=tuple(names), date=layers[on].date,
        dtype=np.result_type(*(layer.dtype for layer in on_grid)).name, layers=tuple(on_grid),
        notes=(*notes, *(note for layer in on_grid for note in layer.notes)),
    )  # fmt: skip
