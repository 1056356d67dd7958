"""Bands of several sources as one image: files of a band each, pages of a file."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pixelkin.scene import Pixels, inside
from pixelkin.types import AnyArray, BoolArray, Grid, Window

from .derived import Decibels, Terrain
from .embedding import EmbeddingScene
from .reader import RasterScene
from .summary import read_bands


@dataclass(frozen=True)
class Stack:
    """Scenes on one grid that read as one, band after band; made by `open_scene`."""

    name: str
    grid: Grid
    bands: tuple[str, ...]
    date: dt.date | None
    dtype: str
    """Common type of the layers."""
    layers: tuple[RasterScene | EmbeddingScene | Decibels | Terrain | Stack, ...]
    """On `grid`, in the order of the bands."""
    fills_missing: bool = False
    """True where a pixel is valid once any layer is; the layers fill what they miss."""
    fills: tuple[tuple[float, ...], ...] | None = None
    """For each band its median and what stands for it where its layer is missing: an offset, and a weight for each band, of which those of its own layer are 0. None where layers fill
    themselves, or nothing is filled."""
    path: str | None = None
    """The one file or folder that holds all layers, where there is one."""
    notes: tuple[str, ...] = ()
    """What was taken to be so without the files saying it, a sentence each."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Files of the bands."""
        return tuple(path for layer in self.layers for path in (layer.paths if isinstance(layer, Stack) else (layer.path,)) if path)

    @property
    def embedding_bands(self) -> tuple[str, ...]:
        """Bands that are the numbers of ready-made vectors."""
        names = iter(self.bands)
        told = [(next(names), band in getattr(layer, "embedding_bands", ())) for layer in self.layers for band in layer.bands]
        return tuple(name for name, of_vector in told if of_vector)

    @property
    def fingerprint(self) -> str:
        """Follows from the layers, in their order."""
        return hashlib.sha256(
            repr(([layer.fingerprint for layer in self.layers], self.fills_missing, *([self.fills] if self.fills else []))).encode()
        ).hexdigest()

    @property
    def encoding(self) -> str | None:
        """What the numbers mean, see `pixelkin.encoding`; of layers that differ, all of them."""
        found = [layer.encoding for layer in self.layers]
        return found[0] if len(set(found)) == 1 else ", ".join(str(encoding) for encoding in found)

    def read(self, window: Window | None = None) -> Pixels:
        """Pixels of a window inside the image (default: all of it); valid where every layer is, or any where missing bands are filled."""
        window = inside(window, self.grid, self.name)
        data: AnyArray = np.empty((len(self.bands), window.height, window.width), self.dtype)
        valid: BoolArray = np.full(data.shape[1:], not self.fills_missing)
        start = 0
        absent: list[BoolArray] = []
        for layer in self.layers:
            pixels = layer.read(window)
            data[start : start + len(layer.bands)] = pixels.data
            absent.append(~pixels.valid)
            start += len(layer.bands)
            if self.fills_missing:
                valid |= pixels.valid
            else:
                valid &= pixels.valid
        if self.fills is not None:
            self._fill(data, absent)
        return Pixels(data, valid)

    def _fill(self, data: AnyArray, absent: Sequence[BoolArray]) -> None:
        """Put what follows from other layers where one is missing; pixel by pixel, so that the window has no say."""
        assert self.fills is not None
        whose = [number for number, layer in enumerate(self.layers) for _ in layer.bands]
        for band, (number, (median, *_)) in enumerate(zip(whose, self.fills, strict=True)):
            data[band, absent[number]] = median
        known = {number: data[:, gone].astype(np.float64) for number, gone in enumerate(absent) if gone.any()}
        for band, (number, (_, offset, *weights)) in enumerate(zip(whose, self.fills, strict=True)):
            if number not in known:
                continue
            values = np.full(known[number].shape[1], offset)
            for weight, other in zip(weights, known[number], strict=True):
                if weight:
                    values += weight * other
            data[band, absent[number]] = values

    def aligned(self, grid: Grid) -> Stack:
        """The same bands warped to another grid; see `RasterScene.aligned`."""
        return replace(self, grid=grid, layers=tuple(layer.aligned(grid) for layer in self.layers))

    def read_bands(self, window: Window | None = None) -> tuple[AnyArray, BoolArray]:
        """Like `read`, but validity is told for each band: both arrays are (band, row, col)."""
        window = inside(window, self.grid, self.name)
        both = [read_bands(layer, window)[:2] for layer in self.layers]
        return np.concatenate([data for data, _ in both], dtype=self.dtype), np.concatenate([valid for _, valid in both])
