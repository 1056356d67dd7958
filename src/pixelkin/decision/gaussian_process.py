"""A Gaussian process classifier on features whose parts each have a say of their own.

Its kernel is a mean of Gaussian (RBF) kernels, one a part: two pixels are alike as far as their edges, textures, things and colours each are. One part that
differs, as the wide ones do from one object of a class to the next, then takes only its own share. What is near a labelled pixel counts a little as well.

Rasmussen and Williams, *Gaussian Processes for Machine Learning* (2006), 3.3; as a logistic regression on explicit columns of the kernel, see `kernels.columns`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from ..types import AnyArray
from .scratch import Scratch

LENGTH_SCALE_OF_PARTS = 0.5
"""Mean squared difference of the columns of a part at which its kernel has fallen to 1 / e."""
NEARNESS = 0.1
"""Of the spatial kernel beside the mean of the others."""
_scratch = Scratch()


def part_kernel(one: AnyArray, other: AnyArray, parts: tuple[int, ...]) -> AnyArray:
    """(n, m) in [0, 1] of features (n, d) and (m, d), whose parts have these widths."""
    total: AnyArray = np.zeros((len(one), len(other)))
    for part in _slices(parts):
        total += np.exp(cdist(one[:, part], other[:, part], "sqeuclidean") / (-LENGTH_SCALE_OF_PARTS * (part.stop - part.start)))
    return total / len(parts)


@dataclass(frozen=True, eq=False)
class PartsTerm:
    """Log odds of what is like labelled pixels, part by part."""

    columns: slice
    """Where among a pixel's features the parts are."""
    parts: tuple[int, ...]
    """Their widths."""
    landmarks: Tensor
    """(m, d)"""
    weights: Tensor
    """(class, m)"""

    def add(self, features: Tensor, out: Tensor) -> None:
        """Add to (class, n) what the features (K, n) say."""
        n = features.shape[1]
        values = features[self.columns]
        total = _scratch.take("total", out, len(self.landmarks), n).zero_()
        kernel = _scratch.take("kernel", out, len(self.landmarks), n)
        for part in _slices(self.parts):
            landmarks, pixels = self.landmarks[:, part], values[part]
            scale = 1 / (LENGTH_SCALE_OF_PARTS * (part.stop - part.start))
            torch.addmm(-scale * (landmarks**2).sum(dim=1, keepdim=True), 2 * scale * landmarks, pixels, out=kernel)
            total.add_(kernel.sub_(scale * (pixels**2).sum(dim=0)).clamp_(max=0).exp_())
        out.addmm_(self.weights / len(self.parts), total)

    def to(self, device: torch.device) -> PartsTerm:
        """The same on another device."""
        return PartsTerm(self.columns, self.parts, self.landmarks.to(device), self.weights.to(device))


def _slices(parts: tuple[int, ...]) -> list[slice]:
    stops = np.cumsum(parts).tolist()
    return [slice(stop - width, stop) for stop, width in zip(stops, parts, strict=True)]
