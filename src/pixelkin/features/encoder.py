"""What the paper's encoder says of a pixel: its shared representation S and its feature vector c."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..model import Model
from ..scene import Scene, read_padded
from ..types import BoolArray, Window
from .bands import band_values
from .source import Fields, Group, grown
from .squares import CONTEXT, FAR, NEAR, centre, mean


@dataclass(frozen=True, eq=False)
class Embedding:
    """What the encoder knows of the pixels of one window and of m more on each side. Computed once, asked often."""

    s: Tensor
    """(z_dim, row + 2 m, col + 2 m): shared representation."""
    c: Tensor
    """(F, row + 2 m + 2 k, col + 2 m + 2 k): feature map, k = (s - 4) // 2 pixels further on each side."""
    valid: BoolArray
    """(row + 2 m, col + 2 m), True = the image has data there."""


def embed(model: Model, scene: Scene, window: Window, *, margin: int = 0) -> Embedding:
    """Embed one window of a scene, which is continued by reflection past its edges.

    Args:
        model: The encoder.
        scene: Image to read; ModelError where it has not got the model's bands.
        window: Window of the image; may reach past it.
        margin: Pixels m around the window that are embedded too.
    """
    r = model.config.radius
    pixels = read_padded(scene, grown(window, r + margin))
    c, s = model.embed(band_values(model, scene, pixels), margin=margin)
    return Embedding(s, c, pixels.valid[r:-r, r:-r])


class EncoderFeatures:
    """S and c of the pixel, the mean of c over 9 x 9 and that of S over 25 x 25 pixels."""

    name = "encoder"

    def __init__(self, model: Model) -> None:
        self._model = model
        self.halo = model.config.radius + CONTEXT

    @property
    def hash(self) -> str:
        """The model's."""
        return self._model.hash

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._model.device

    def group(self, scene: Scene) -> Group:
        """Twice the widths of S and of c; ModelError where the image has not got the model's bands."""
        self._model.band_index(scene)
        return encoder_group(self._model.config.z_dim, self._model.config.widths[1])

    def fields(self, scene: Scene, window: Window, step: int = 1) -> Fields:
        """See `FeatureSource.fields`; the embedding reaches CONTEXT pixels past the window."""
        height, width, inside = window.height, window.width, slice(CONTEXT, -CONTEXT)
        embedding = embed(self._model, scene, window, margin=CONTEXT)
        with torch.inference_mode():
            return Fields(around(embedding.c, embedding.s, height, width, step), embedding.valid[inside, inside], embedding=embedding)


def around(c: Tensor, s: Tensor, height: int, width: int, step: int) -> Tensor:
    """(2 (F + z_dim), h, w): what is known of every `step`-th pixel of a window, from maps that reach CONTEXT pixels past it."""
    seen = [centre(s, height, width), centre(c, height, width), mean(c, NEAR, height, width), mean(s, FAR, height, width)]
    return torch.cat([values[:, ::step, ::step] for values in seen])


def encoder_group(z_dim: int, width: int) -> Group:
    """The columns of an encoder whose S and c have these widths."""
    return Group("encoder", 2 * (z_dim + width), z_dim + width)
