"""The rasters that may stand beside a map's classes: what each holds, and how its numbers are written.

A new layer is an entry of `LAYERS`: writer, tiles, options and checks follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixelkin.errors import InputError
from pixelkin.segmentation import Segmentation
from pixelkin.types import AnyArray, FloatArray, Legend

_STEPS = 250
"""Whole numbers that a probability is written as: 0 to 250, so that steps of 0.004 can be said exactly."""


@dataclass(frozen=True)
class Layer:
    """One kind of raster."""

    text: str
    """What a pixel holds; of a layer with a band a class, the band's description is the class."""
    dtype: str
    nodata: float
    encode: Callable[[Segmentation, FloatArray | None], AnyArray]
    """Values as written, (band, row, col), of a part of a map and its probabilities (class, row, col) in legend order."""
    scale: float = 1.0
    """Times a written value, what it means."""
    per_class: bool = False
    """A band a class, in legend order; else one band."""
    of_probabilities: bool = True
    """Made of probabilities, which take a second pass over the image's features."""

    def bands(self, legend: Legend) -> tuple[str, ...]:
        """Descriptions of the bands."""
        return legend.names if self.per_class else (self.text,)


def _confidence(part: Segmentation, _: FloatArray | None) -> AnyArray:
    values: AnyArray = np.where(part.valid, part.confidence, np.float32(np.nan)).astype("<f4")[None]
    return values


def _probabilities(part: Segmentation, shares: FloatArray | None) -> AnyArray:
    assert shares is not None
    values: AnyArray = np.where(part.valid, np.rint(shares * np.float32(_STEPS)), 255).astype(np.uint8)
    return values


def _entropy(part: Segmentation, shares: FloatArray | None) -> AnyArray:
    assert shares is not None
    logarithms = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    entropy = -(shares * logarithms).sum(axis=0) / np.float32(np.log(max(2, len(shares))))
    values: AnyArray = np.where(part.valid, np.clip(entropy, 0, 1), np.float32(np.nan)).astype("<f4")[None]
    return values


def _margin(part: Segmentation, shares: FloatArray | None) -> AnyArray:
    assert shares is not None
    if len(shares) < 2:
        best, second = shares.max(axis=0), np.zeros(shares.shape[1:], np.float32)
    else:
        second, best = np.partition(shares, len(shares) - 2, axis=0)[-2:]
    values: AnyArray = np.where(part.valid, best - second, np.float32(np.nan)).astype("<f4")[None]
    return values


LAYERS = {
    "confidence": Layer("confidence", "<f4", np.nan, _confidence, of_probabilities=False),
    "similarity": Layer("similarity to the marks", "<f4", np.nan, _confidence, of_probabilities=False),
    "probabilities": Layer("probability of each class", "u1", 255, _probabilities, scale=1 / _STEPS, per_class=True),
    "entropy": Layer("entropy of the probabilities, 0 = sure, 1 = all classes alike", "<f4", np.nan, _entropy),
    "margin": Layer("probability of the likeliest class less that of the next", "<f4", np.nan, _margin),
}
"""By name, which stands behind the map's: `<stem>_<name>.tif`. Values are in [0, 1]."""


def carries_confidence(names: Iterable[str]) -> bool:
    """Whether some of these layers are what a segmentation holds as its confidence."""
    return any(not LAYERS[name].of_probabilities for name in names)


def layer_path(path: Path, name: str) -> Path:
    """Where a layer of a map lies."""
    return path.with_name(f"{path.stem}_{name}{path.suffix}")


def known_layers(names: Iterable[str]) -> tuple[str, ...]:
    """The layers, each once and in the order of `LAYERS`; InputError with those there are for a name that is none."""
    wanted = set(names)
    unknown = sorted(wanted - set(LAYERS))
    if unknown:
        raise InputError(f"layer {unknown[0]!r} is not known, expected some of {list(LAYERS)}.")
    return tuple(name for name in LAYERS if name in wanted)


def pixel_bytes(names: Iterable[str], legend: Legend) -> int:
    """Bytes that a pixel of a map and of these layers takes before it is compressed."""
    return 1 + sum(np.dtype(LAYERS[name].dtype).itemsize * len(LAYERS[name].bands(legend)) for name in names)
