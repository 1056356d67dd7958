"""What the classes look like: the values of their marks, band by band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..scene import Scene
from ..types import AnyArray, FloatArray, Window
from .labels import LabelState

_MOST = 2000
"""Marked pixels of a class that are looked at; of more, every n-th."""
_SIDE = 256
"""Of the blocks that are read."""


@dataclass(frozen=True)
class Spectrum:
    """Of one class on one image."""

    class_id: int
    pixels: int
    """Marked pixels that it is of."""
    mean: list[float]
    """A number a band."""
    p10: list[float]
    p90: list[float]


def spectra(scene_id: str, scene: Scene, state: LabelState) -> list[Spectrum]:
    """Values at the marked pixels of each class that is marked on an image, in the order of classes."""
    canvas, width = state.canvases[scene_id], scene.grid.width
    found = []
    for entry in state.classes:
        own = canvas.pixels[canvas.classes == entry.id]
        own = own[:: max(1, -(-len(own) // _MOST))]
        values = _values(scene, *np.divmod(own, width))
        if len(values):
            p10, p90 = np.percentile(values, [10, 90], axis=0)
            found.append(Spectrum(entry.id, len(values), values.mean(axis=0).tolist(), p10.tolist(), p90.tolist()))
    return found


def _values(scene: Scene, rows: AnyArray, cols: AnyArray) -> FloatArray:
    """(n, band) at some pixels, those without data left out."""
    out = [np.empty((0, len(scene.bands)))]
    blocks = rows // _SIDE * (scene.grid.width // _SIDE + 1) + cols // _SIDE
    for block in np.unique(blocks):
        r, c = rows[blocks == block], cols[blocks == block]
        window = Window(int(r.min()), int(c.min()), int(np.ptp(r)) + 1, int(np.ptp(c)) + 1)
        pixels = scene.read(window)
        at = r - window.row, c - window.col
        out.append(pixels.data[:, *at].T[pixels.valid[at]])
    values: FloatArray = np.concatenate(out).astype(np.float64)
    return values
