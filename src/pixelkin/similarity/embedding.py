"""The embedding of a block: all that the encoder has to say about its pixels. Computed once, asked often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..model import Model
from ..scene import Pixels, Scene, read_padded
from ..types import BoolArray, Window


@dataclass(frozen=True, eq=False)
class Embedding:
    """What is known of the pixels of one window and of m more on each side."""

    bands: Tensor
    """(band, row + 2 m, col + 2 m) float32: standardised bands, or raw ones where there is no model."""
    valid: BoolArray
    """(row + 2 m, col + 2 m), True = the image has data there."""
    c: Tensor | None
    """(F, row + 2 m + 2 k, col + 2 m + 2 k): feature map, k = (s - 4) // 2 pixels further on each side; None without a model."""
    s: Tensor | None
    """(z_dim, row + 2 m, col + 2 m): shared representation; None without a model."""


def embed(model: Model | None, scene: Scene, window: Window, bands: tuple[str, ...], *, margin: int = 0) -> Embedding:
    """Embed one window of a scene, which is continued by reflection past its edges.

    Args:
        model: The encoder; None embeds a pixel as its raw bands.
        scene: Image to read.
        window: Window inside the image.
        bands: Bands to use where there is no model; they must be the scene's.
        margin: Pixels m around the window that are embedded too.
    """
    if model is None:
        pixels = read_padded(scene, _grown(window, margin)) if margin else scene.read(window)
        data = np.where(pixels.valid, pixels.data, 0).astype(np.float32)
        return Embedding(torch.from_numpy(data), pixels.valid, None, None)
    r = model.config.radius
    pixels = read_padded(scene, _grown(window, r + margin))
    index = model.band_index(scene)
    x = model.standardise(Pixels(pixels.data[index], pixels.valid))
    c, s = model.embed(x, margin=margin)
    return Embedding(x[:, r:-r, r:-r].contiguous(), pixels.valid[r:-r, r:-r], c, s)


def _grown(window: Window, by: int) -> Window:
    return Window(window.row - by, window.col - by, window.height + 2 * by, window.width + 2 * by)
