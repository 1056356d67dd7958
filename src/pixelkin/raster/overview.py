"""A reduced look at a window: from the file's overviews where it has them, so that a large image shows at once."""

from __future__ import annotations

import math

import numpy as np
from rasterio.errors import RasterioError

from ..errors import RasterError
from ..scene import Pixels, Scene
from ..types import BoolArray, Window
from ._gdal import borrow, one_line
from .reader import RasterScene
from .stack import Stack

_AT_ONCE = 1 << 24
"""Numbers that are read at a time."""


def read_overview(scene: Scene, window: Window, factor: int) -> Pixels:
    """Pixels of a window, one for each square of `factor` x `factor`: a picture to look at, nothing to compute with.

    Args:
        scene: The image. Files on their own grid are read through their overviews; others pixel by pixel.
        window: Window inside the image.
        factor: Pixels along a side of a square, >= 1; 1 is the image itself.

    Returns:
        Shape (band, ceil(height / factor), ceil(width / factor)); each value is one that the file holds, never a mean of ours.

    Raises:
        RasterError: The file is damaged there.
    """
    if factor == 1:
        return scene.read(window)
    if isinstance(scene, Stack):
        parts = [read_overview(part, window, factor) for part in scene.layers]
        masks = np.stack([part.valid for part in parts])
        return Pixels(
            np.concatenate([part.data for part in parts], dtype=scene.dtype),
            _joined(masks, scene.fills_missing),
        )
    if not isinstance(scene, RasterScene) or scene.warped:
        return _strided(scene, window, factor)
    shape = math.ceil(window.height / factor), math.ceil(window.width / factor)
    dataset = borrow(scene, scene._open)
    try:
        data, valid = scene._read_part(dataset, window, shape)
        return Pixels(data, _joined(valid, scene.fills is not None))
    except RasterioError as exc:
        raise RasterError(
            f"the overview of {scene.path} cannot be read: {one_line(exc)}. The file is damaged: copy or download it again."
        ) from exc


def _joined(valid: BoolArray, any_band: bool) -> BoolArray:
    joined: BoolArray = np.logical_or.reduce(valid, axis=0) if any_band else np.logical_and.reduce(valid, axis=0)
    return joined


def _strided(scene: Scene, window: Window, factor: int) -> Pixels:
    """The middle pixel of each square, read by strips so that memory stays small."""
    rows = _middles(window.row, window.height, factor)
    cols = _middles(window.col, window.width, factor) - window.col
    strip = max(1, min(1024, _AT_ONCE // (window.width * len(scene.bands))) // factor)
    parts = []
    for start in range(0, len(rows), strip):
        wanted = rows[start : start + strip]
        pixels = scene.read(Window(int(wanted[0]), window.col, int(wanted[-1] - wanted[0]) + 1, window.width))
        at = np.ix_(wanted - wanted[0], cols)
        parts.append(Pixels(pixels.data[:, at[0], at[1]], pixels.valid[at]))
    return Pixels(np.concatenate([part.data for part in parts], axis=1), np.concatenate([part.valid for part in parts]))


def _middles(start: int, length: int, factor: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Position of the middle of each step; the last one may be cut short."""
    first = np.arange(start, start + length, factor)
    return np.asarray(np.minimum(first + factor // 2, start + length - 1), np.int64)
