"""A Gaussian process classifier on features whose parts each have a say of their own.

Its kernel is a mean of Gaussian (RBF) kernels, one a part: two pixels are alike as far as their edges, textures, things and colours each are. One part that
differs, as the wide ones do from one object of a class to the next, then takes only its own share. What is near a labelled pixel counts a little as well.

Rasmussen and Williams, *Gaussian Processes for Machine Learning* (2006), 3.3; as a logistic regression on explicit columns of the kernel, see `kernels.columns`.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def part_kernel(one: AnyArray, other: AnyArray, parts: Sequence[slice]) -> AnyArray:
    """(n, m) in [0, 1] of features (n, K) and (m, K), of which these columns are the parts."""
    total: AnyArray = np.zeros((len(one), len(other)))
    for part in parts:
        total += np.exp(cdist(one[:, part], other[:, part], "sqeuclidean") / (-LENGTH_SCALE_OF_PARTS * (part.stop - part.start)))
    return total / len(parts)


@dataclass(frozen=True, eq=False)
class PartsTerm:
    """Log odds of what is like labelled pixels, part by part."""

    parts: Sequence[slice]
    """Where among a pixel's features they are."""
    landmarks: Sequence[Tensor]
    """(m, d) of each part"""
    weights: Tensor
    """(class, m)"""

    def add(self, features: Tensor, out: Tensor) -> None:
        """Add to (class, n) what the features (K, n) say."""
        landmarks, lengths, weights = self._asked
        m, count = self.weights.shape[1], len(self.parts)
        for start in range(0, features.shape[1], _COLUMNS):
            stop = min(start + _COLUMNS, features.shape[1])
            kernel = _scratch.take("kernel", out, count, m, stop - start)
            for part, plane, among, own in zip(self.parts, kernel, landmarks, lengths, strict=True):
                chunk = features[part, start:stop]
                # exp(-s |x - l|^2), its square written out: s is in the landmarks and their lengths.
                torch.addmm(own, among, chunk, out=plane)
                squares = torch.mul(chunk, chunk, out=_scratch.take("squares", out, *chunk.shape))
                plane.sub_(squares.mean(dim=0), alpha=1 / LENGTH_SCALE_OF_PARTS)
            out[:, start:stop].addmm_(weights, kernel.exp_().view(count * m, -1))

    @cached_property
    def _asked(self) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Of each part 2 s l and -s |l|^2, and the weights beside each other for all parts."""
        scales = [1 / (LENGTH_SCALE_OF_PARTS * (part.stop - part.start)) for part in self.parts]
        return (
            [2 * scale * part for scale, part in zip(scales, self.landmarks, strict=True)],
            [-scale * (part**2).sum(dim=1, keepdim=True) for scale, part in zip(scales, self.landmarks, strict=True)],
            (self.weights / len(self.parts)).repeat(1, len(self.parts)).contiguous(),
        )

    def to(self, device: torch.device) -> PartsTerm:
        """The same on another device."""
        return PartsTerm(self.parts, [part.to(device) for part in self.landmarks], self.weights.to(device))
