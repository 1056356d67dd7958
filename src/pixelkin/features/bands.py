"""What the sensor measured: the bands of a pixel, and their means and standard deviations around it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..model import Model
from ..scene import Pixels, Scene, read_padded
from ..types import Window
from .embeddings import embedding_bands
from .source import Fields, Group, grown
from .squares import CONTEXT, FAR, NEAR, centre, mean, spread

RAW = "raw"
"""Stands for the model's hash where there is none."""


class BandFeatures:
    """Per band: its value, its means over 9 x 9 and 25 x 25 pixels, and its standard deviations there."""

    name = "bands"
    halo = CONTEXT

    def __init__(self, model: Model | None) -> None:
        """Choose the scale.

        Args:
            model: By whose statistics bands are standardised; None takes them as they are.
        """
        self._model = model

    @property
    def hash(self) -> str:
        """The model's; 'raw' without one."""
        return RAW if self._model is None else self._model.hash

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return torch.device("cpu") if self._model is None else self._model.device

    def group(self, scene: Scene) -> Group:
        """Five columns a band; ModelError where the image has not got the model's bands."""
        count = len(self._measured(scene) if self._model is None else self._model.band_index(scene))
        return band_group(count, raw=self._model is None)

    def fields(self, scene: Scene, window: Window, step: int = 1) -> Fields:
        """See `FeatureSource.fields`; the values themselves are `Fields.bands`."""
        pixels = read_padded(scene, grown(window, CONTEXT))
        inside, (height, width) = slice(CONTEXT, -CONTEXT), (window.height, window.width)
        with torch.inference_mode():
            every = band_values(self._model, scene, pixels)
            bands = every if self._model is not None else every[self._measured(scene)]
            return Fields(around(bands, height, width, step), pixels.valid[inside, inside], centre(every, height, width))

    def _measured(self, scene: Scene) -> list[int]:
        """Which bands of an image a sensor measured: all but ready-made vectors beside them."""
        vectors = embedding_bands(scene)
        measured = [i for i, band in enumerate(scene.bands) if band not in vectors]
        return measured or list(range(len(scene.bands)))


def around(bands: Tensor, height: int, width: int, step: int) -> Tensor:
    """(5 band, h, w): what is known of every `step`-th pixel in the middle of bands (band, height + 2 CONTEXT, width + 2 CONTEXT)."""
    seen = [
        centre(bands, height, width),
        *(mean(bands, side, height, width) for side in (NEAR, FAR)),
        *(spread(bands, side, height, width) for side in (NEAR, FAR)),
    ]
    return torch.cat([values[:, ::step, ::step] for values in seen])


def band_group(bands: int, *, raw: bool) -> Group:
    """The columns of so many bands."""
    return Group("bands", 5 * bands, bands, "bands", raw=raw)


def band_values(model: Model | None, scene: Scene, pixels: Pixels) -> Tensor:
    """(band, row, col) float32 from pixels of an image: standardised, or as they are without a model; 0 where there is no data."""
    if model is None:
        return torch.from_numpy(np.where(pixels.valid, pixels.data, 0).astype(np.float32))
    return model.standardise(Pixels(pixels.data[model.band_index(scene)], pixels.valid))
