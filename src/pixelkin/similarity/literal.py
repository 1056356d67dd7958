"""Algorithm 2 as the paper writes it: a double loop over patches. Slow on purpose; it is what the dense engine must equal."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..model import Model
from ..model.critics import Critic
from ..scene import Pixels, Scene, read_padded
from ..types import FloatArray, IntArray, Window


def patch(model: Model, scene: Scene, row: int, col: int) -> Tensor:
    """The standardised patch around a pixel, (1, band, s, s); the image is continued by reflection."""
    r, s = model.config.radius, model.patch_size
    pixels = read_padded(scene, Window(row - r, col - r, s, s))
    return model.standardise(Pixels(pixels.data[model.band_index(scene)], pixels.valid)).unsqueeze(0)


def distance(model: Model, patch_q: Tensor, patch_p: Tensor, measure: Literal["local", "global"] = "local") -> float:
    """D(q, p) of two patches: lower = more alike.

    sum over the four pairs of one patch's features with one patch's representation, with the unmodified
    network (batch norm unfolded) on single patches.
    """
    network = model.network
    critic: Critic = network.local_critic if measure == "local" else network.global_critic
    with torch.inference_mode():
        c_q, s_q = network.encoder(patch_q)
        c_p, s_p = network.encoder(patch_p)
        together = -softplus(-critic(c_q, s_q)) - softplus(-critic(c_p, s_p))
        swapped = -softplus(critic(c_p, s_q)) - softplus(critic(c_q, s_p))
        return float((together + swapped).double().sum())


def distances(
    model: Model, scene: Scene, pixels: IntArray, labelled: IntArray, measure: Literal["local", "global"] = "local"
) -> FloatArray:
    """D of some pixels to some labelled pixels by the double loop.

    Args:
        model: Encoder and critics.
        scene: The image.
        pixels: (n, 2) rows and columns of the pixels q.
        labelled: (L, 2) rows and columns of the labelled pixels p.
        measure: 'local' or 'global'.

    Returns:
        (L, n) float32.
    """
    out = np.empty((len(labelled), len(pixels)), np.float32)
    for j, (row_q, col_q) in enumerate(pixels.tolist()):
        q = patch(model, scene, row_q, col_q)
        for i, (row_p, col_p) in enumerate(labelled.tolist()):
            out[i, j] = distance(model, q, patch(model, scene, row_p, col_p), measure)
    return out
