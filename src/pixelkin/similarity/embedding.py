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
    """What is known of the pixels of one window."""

    bands: Tensor
    """(band, row, col) float32: standardised bands, or raw ones where there is no model."""
    valid: BoolArray
    """(row, col), True = the image has data there."""
    c: Tensor | None
    """(F, row + 2 k, col + 2 k): feature map, k = (s - 4) // 2 pixels further on each side; None without a model."""
    s: Tensor | None
    """(z_dim, row, col): shared representation; None without a model."""


def embed(model: Model | None, scene: Scene, window: Window, bands: tuple[str, ...]) -> Embedding:
    """Embed one window of a scene, which is continued by reflection past its edges.

    Args:
        model: The encoder; None embeds a pixel as its raw bands.
        scene: Image to read.
        window: Window inside the image.
        bands: Bands to use where there is no model; they must be the scene's.
    """
    if model is None:
        pixels = scene.read(window)
        data = np.where(pixels.valid, pixels.data, 0).astype(np.float32)
        return Embedding(torch.from_numpy(data), pixels.valid, None, None)
    r = model.config.radius
    pixels = read_padded(scene, Window(window.row - r, window.col - r, window.height + 2 * r, window.width + 2 * r))
    index = model.band_index(scene)
    x = model.standardise(Pixels(pixels.data[index], pixels.valid))
    c, s = model.embed(x)
    return Embedding(x[:, r:-r, r:-r].contiguous(), pixels.valid[r:-r, r:-r], c, s)
