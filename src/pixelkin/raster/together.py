"""Images of several sensors, and ready-made embeddings, as one image on one grid."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from pixelkin.crs import same_grid
from pixelkin.errors import InputError, RasterError
from pixelkin.features.blocks import spread_blocks
from pixelkin.scene import Scene, Series

from .derived import Decibels, Terrain, is_power, is_radar
from .embedding import EmbeddingScene
from .opening import open_scene
from .reader import RasterScene
from .stack import Stack

_EVERY = 4
"""Pixels of a block from one that is looked at to the next."""
_RIDGE = 1e-3


def open_stack(
    sources: Sequence[Any],
    *,
    on: int = 0,
    name: str | None = None,
    missing: Literal["drop", "fill"] = "drop",
    radar: Literal["auto", "power", "db"] = "auto",
    terrain: int | None = None,
) -> Stack:
    """Several sources of one place as one image: their bands side by side, each with its own scale and no-data value.

    Args:
        sources: Images, or what `open_scene` opens as one image each.
        on: Which of them, from 0, gives the grid. Others are warped to it: imagery bilinear, embeddings and palettes by the nearest pixel. The
            stack's `notes` name them.
        name: Name of the stack; default that of the source on whose grid it is.
        missing: A pixel that some sources miss is no data ('drop'), or valid ('fill'): what they miss is put there as it follows from the other
            sources by a linear regression, or by medians where no pixel has all.
        radar: Sources whose bands are called after polarisations (vv, vh, hh, hv) are read in decibels where they hold linear power, which 'auto' knows by floats that are never
            negative; 'power' says that they do, 'db' that they do not. The notes say which.
        terrain: Which source, from 0, is elevation that is to be told with slope and aspect, see `pixelkin.raster.derived.Terrain`.

    Returns:
        A scene that is valid where all sources are, or some. A band whose name another source has too is called 'SOURCE:BAND'.

    Raises:
        InputError: No source, no such number, or an option that is not known.
        RasterError: A source is a series or an array that cannot be warped, or lies in no place.
    """
    opened = [source if isinstance(source, Scene) else open_scene(os.fspath(source)) for source in sources]
    if not 0 <= on < len(opened):
        raise InputError(f"on is {on}, expected the number of a source, from 0 to {len(opened) - 1}.")
    if terrain is not None and not 0 <= terrain < len(opened):
        raise InputError(f"terrain is {terrain}, expected the number of a source, from 0 to {len(opened) - 1}.")
    if missing not in ("drop", "fill") or radar not in ("auto", "power", "db"):
        said = (
            f"missing is {missing!r}, expected 'drop' or 'fill'."
            if missing not in ("drop", "fill")
            else f"radar is {radar!r}, expected 'auto', 'power' or 'db'."
        )
        raise InputError(said)
    layers: list[RasterScene | EmbeddingScene | Decibels | Terrain | Stack] = []
    for number, scene in enumerate(opened):
        if not isinstance(scene, RasterScene | EmbeddingScene | Stack):
            kind = "a series" if isinstance(scene, Series) else "no file"
            raise RasterError(
                f"{getattr(scene, 'name', 'a source')} is {kind}, expected one image in a file. Choose one date, or write it to a file."
            )
        if isinstance(scene, RasterScene) and number == terrain:
            if len(scene.bands) != 1:
                raise RasterError(f"{scene.name} has {len(scene.bands)} bands, expected the one of elevation. Choose it with bands=...")
            layers.append(Terrain(scene))
        elif isinstance(scene, RasterScene) and is_radar(scene) and (radar == "power" or (radar == "auto" and is_power(scene))):
            layers.append(Decibels(scene))
        else:
            layers.append(scene)
    grid = layers[on].grid
    notes, on_grid = [], []
    for layer in layers:
        if not same_grid(layer.grid, grid):
            how = "by the nearest pixel" if isinstance(layer, EmbeddingScene) else "bilinear"
            notes.append(f"{layer.name} is resampled to the grid of {layers[on].name} ({how})")
            layer = layer.aligned(grid)
        on_grid.append(layer)
    every = [band for layer in on_grid for band in layer.bands]
    names = [band if every.count(band) == 1 else f"{layer.name}:{band}" for layer in on_grid for band in layer.bands]
    if len(set(names)) < len(names):
        raise RasterError(f"two sources are called {on_grid[0].name} and have the same bands, expected each source once. Rename a file.")
    fills = None
    if missing == "fill":
        fills, whole = _fills(on_grid)
        lacking = [layer.name for layer, there in zip(on_grid, whole, strict=True) if not there]
        notes += [f"{one} is missing in places, where what follows from the other sources stands for it" for one in lacking]
    return Stack(
        fills_missing=missing == "fill", fills=fills, name=name or layers[on].name, grid=grid, bands=tuple(names), date=layers[on].date,
        # What stands for what is missing is a number of any size.
        dtype=np.result_type(*(layer.dtype for layer in on_grid), *([] if fills is None else ["float32"])).name, layers=tuple(on_grid),
        notes=(*notes, *(note for layer in on_grid for note in layer.notes)),
    )  # fmt: skip


def _fills(layers: Sequence[Scene]) -> tuple[tuple[tuple[float, ...], ...], list[bool]]:
    """`Stack.fills`, from blocks that are spread over the images, and which layers have data all over these.

    The weights are those of a ridge regression of a layer's bands on those of all others, at pixels that have all.
    """
    read = [[layer.read(block) for block in spread_blocks(layers[0].grid)] for layer in layers]
    there = [np.concatenate([part.valid.ravel() for part in parts]) for parts in read]
    values = [np.concatenate([part.data.reshape(len(part.data), -1) for part in parts], axis=1).astype(np.float64) for parts in read]
    every = np.logical_and.reduce(there)
    joined = np.concatenate([part[:, every][:, ::_EVERY] for part in values])
    whose = np.concatenate([np.full(len(part), number) for number, part in enumerate(values)])
    fills = []
    for number, (part, valid) in enumerate(zip(values, there, strict=True)):
        medians = np.median(part[:, valid], axis=1) if valid.any() else np.zeros(len(part))
        weights, offsets = np.zeros((len(part), len(whose))), medians
        others = whose != number
        if joined.shape[1] > 2 * len(whose):
            x, y = joined[others], joined[~others]
            level, spread = x.mean(axis=1, keepdims=True), x.std(axis=1, keepdims=True) + 1e-12
            z = (x - level) / spread
            found = np.linalg.solve(z @ z.T + _RIDGE * z.shape[1] * np.eye(len(z)), z @ (y - y.mean(axis=1, keepdims=True)).T).T / spread.T
            weights[:, others] = found
            offsets = y.mean(axis=1) - (found @ level)[:, 0]
        fills += [(float(m), float(c), *map(float, w)) for m, c, w in zip(medians, offsets, weights, strict=True)]
    return tuple(fills), [bool(valid.all()) for valid in there]
