"""A Gaussian process classifier on features whose parts each have a say of their own.

Its kernel is a mean of Gaussian (RBF) kernels, one a part: two pixels are alike as far as their edges, textures, things and colours each are. One part that
differs, as the wide ones do from one object of a class to the next, then takes only its own share. What is near a labelled pixel counts a little as well.

Rasmussen and Williams, *Gaussian Processes for Machine Learning* (2006), 3.3; as a logistic regression on explicit columns of the kernel, see `kernels.columns`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from ..types import AnyArray
from .kernels import SPECTRAL_LENGTH_SCALE
from .scratch import Scratch

LENGTH_SCALE_OF_PARTS = SPECTRAL_LENGTH_SCALE
"""Mean squared difference of the columns of a part at which its kernel has fallen to 1 / e."""
NEARNESS = 0.1
"""Of the spatial kernel beside the mean of the others."""
_COLUMNS = 1024
"""Pixels a pass: what is known of them stays in the cache."""
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
        landmarks, lengths, weights = self._asked
        values = features[self.columns]
        m, count = len(self.landmarks), len(self.parts)
        for start in range(0, values.shape[1], _COLUMNS):
            chunk = values[:, start : start + _COLUMNS]
            kernel = _scratch.take("kernel", out, count, m, chunk.shape[1])
            squares = torch.mul(chunk, chunk, out=_scratch.take("squares", out, *chunk.shape))
            for part, plane, among, own in zip(_slices(self.parts), kernel, landmarks, lengths, strict=True):
                # exp(-s |x - l|^2), its square written out: s is in the landmarks and their lengths.
                torch.addmm(own, among, chunk[part], out=plane)
                plane.sub_(squares[part].mean(dim=0), alpha=1 / LENGTH_SCALE_OF_PARTS)
            out[:, start : start + _COLUMNS].addmm_(weights, kernel.exp_().view(count * m, -1))

    @cached_property
    def _asked(self) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Of each part 2 s l and -s |l|^2, and the weights beside each other for all parts."""
        scales = [1 / (LENGTH_SCALE_OF_PARTS * width) for width in self.parts]
        parts = [self.landmarks[:, part] for part in _slices(self.parts)]
        return (
            [2 * scale * part for scale, part in zip(scales, parts, strict=True)],
            [-scale * (part**2).sum(dim=1, keepdim=True) for scale, part in zip(scales, parts, strict=True)],
            (self.weights / len(self.parts)).repeat(1, len(self.parts)).contiguous(),
        )

    def to(self, device: torch.device) -> PartsTerm:
        """The same on another device."""
        return PartsTerm(self.columns, self.parts, self.landmarks.to(device), self.weights.to(device))


def _slices(parts: tuple[int, ...]) -> list[slice]:
    stops = np.cumsum(parts).tolist()
    return [slice(stop - width, stop) for stop, width in zip(stops, parts, strict=True)]
