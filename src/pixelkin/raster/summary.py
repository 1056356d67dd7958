"""What is in the bands of an image: valid shares and the spread of values, read strip by strip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pixelkin.scene import Scene
from pixelkin.types import AnyArray, BoolArray, Window

_ROWS = 256
_KEPT = 1_000_000


@dataclass(frozen=True)
class BandSummary:
    """One band of an image."""

    valid: float
    """Share of pixels in which this band is data, 0..1."""
    low: float
    """Lowest, middle and highest value; NaN where there is none. The middle is that of a million pixels where there are more."""
    median: float
    high: float


def summarise(scene: Scene) -> tuple[tuple[BandSummary, ...], float]:
    """Each band of a scene, and the share of pixels that are valid as `Scene.read` says."""
    height, width = scene.grid.shape
    step = max(1, height * width // _KEPT)
    counts, both = np.zeros(len(scene.bands), np.int64), 0
    low, high = np.full(len(scene.bands), np.inf), np.full(len(scene.bands), -np.inf)
    kept: list[list[AnyArray]] = [[] for _ in scene.bands]
    for row in range(0, height, _ROWS):
        window = Window(row, 0, min(_ROWS, height - row), width)
        data, valid, joined = read_bands(scene, window)
        both += int(np.count_nonzero(joined))
        for i, (band, there) in enumerate(zip(data, valid, strict=True)):
            values = band[there]
            if values.size:
                counts[i] += values.size
                low[i], high[i] = min(low[i], values.min()), max(high[i], values.max())
                kept[i].append(values[::step])
    medians = [float(np.median(np.concatenate(parts))) if parts else np.nan for parts in kept]
    bands = tuple(
        BandSummary(float(count / (height * width)), float(a) if count else np.nan, median, float(b) if count else np.nan)
        for count, a, median, b in zip(counts, low, medians, high, strict=True)
    )
    return bands, both / (height * width)


def read_bands(scene: Scene, window: Window) -> tuple[AnyArray, BoolArray, BoolArray]:
    """Pixels, where each band is data (both (band, row, col)), and where the image is valid (row, col)."""
    each: Any = getattr(scene, "read_bands", None)
    if each is None:
        pixels = scene.read(window)
        return pixels.data, np.broadcast_to(pixels.valid, pixels.data.shape), pixels.valid
    data, valid = each(window)
    filled = getattr(scene, "fills", None) is not None or getattr(scene, "fills_missing", False)
    joined: BoolArray = np.logical_or.reduce(valid, axis=0) if filled else np.logical_and.reduce(valid, axis=0)
    return data, valid, joined
