"""Kernels on the labelled pixels: what is near one (the spatial kernel), and what has its colours (the spectral kernel), is likely of its class.

Both are Gaussian (RBF). A regression on kernels is a Gaussian process classifier; it is fitted by scikit-learn on explicit columns, which give the
kernel exactly for few labelled pixels (`MOST_LABELS`) and approximate it by as many of more (Nystroem).

Williams and Seeger, *Using the Nystroem Method to Speed Up Kernel Machines* (NIPS 2000).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.linalg import cholesky, solve_triangular
from scipy.spatial.distance import cdist
from torch import Tensor

from ..features.squares import OBJECT_SIZE
from ..types import AnyArray, IntArray
from .scratch import Scratch

LENGTH_SCALE = float(OBJECT_SIZE)
"""Of the spatial kernel, pixels: a quarter of a spatial group, also where that is smaller."""
SPECTRAL_LENGTH_SCALE = 0.5
"""Of kernels on features: mean squared difference of standardised features at which they have fallen to 1 / e."""
KERNEL_VARIANCE = 4.0
"""Variance of the log odds that each kernel may explain."""
NUGGET = float(np.sqrt(np.finfo(np.float32).eps))
"""Added to the diagonal, in units of the variance, or pixels beside each other would be one: half of the digits of features."""
_scratch = Scratch()


def spatial_kernel(one: IntArray, other: IntArray, lengths: AnyArray) -> AnyArray:
    """(n, m) in [0, 1] of sites (n, 3) and (m, 3): number of the image, row, column; 0 between images. Length scales (m,) are those of the image of each of the others."""
    squared = cdist(one[:, 1:].astype(np.float64), other[:, 1:].astype(np.float64), "sqeuclidean")
    near: AnyArray = np.exp(squared / (-2 * lengths**2)) * (one[:, None, 0] == other[None, :, 0])
    return near


def spectral_kernel(one: AnyArray, other: AnyArray) -> AnyArray:
    """(n, m) in [0, 1] of standardised features of the bands (n, d) and (m, d)."""
    like: AnyArray = np.exp(cdist(one, other, "sqeuclidean") / (-SPECTRAL_LENGTH_SCALE * one.shape[1]))
    return like


def columns(to_landmarks: AnyArray, between: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Columns whose products are a kernel's values.

    Args:
        to_landmarks: Kernel of examples and landmarks, (n, m).
        between: Kernel of the landmarks, (m, m).

    Returns:
        (n, m), and the matrix (m, m) that turns coefficients of these columns into coefficients of the kernel's values.
    """
    factor = cholesky(KERNEL_VARIANCE * (between + NUGGET * np.eye(len(between))), lower=True)
    values: AnyArray = KERNEL_VARIANCE * solve_triangular(factor, to_landmarks.T, lower=True).T
    return values, KERNEL_VARIANCE * solve_triangular(factor, np.eye(len(between)), lower=True).T


@dataclass(frozen=True, eq=False)
class SpatialTerm:
    """Log odds of what lies near labelled pixels of the same image."""

    sites: IntArray
    """(m, 3): number of the image, row and column of each landmark."""
    lengths: AnyArray
    """(m,): length scale of the kernel on the image of each, in pixels."""
    weights: Tensor
    """(class, m)"""

    def on(self, images: Collection[int]) -> SpatialTerm:
        """Those on an image, which may have several numbers: copies of a file do."""
        here = np.isin(self.sites[:, 0], list(images))
        return SpatialTerm(self.sites[here], self.lengths[here], self.weights[:, torch.from_numpy(here)].contiguous())

    def field(self, rows: IntArray, cols: IntArray) -> Tensor:
        """(class, h, w) on the pixels of some rows (h,) and columns (w,) of the image of all landmarks."""
        # The kernel is the product of one of rows and one of columns.
        down, across = (self._along(axis, index) for axis, index in ((1, rows), (2, cols)))
        return torch.matmul(self.weights[:, None, :] * down.T, across)

    def at(self, sites: IntArray) -> Tensor:
        """(class, n) at sites (n, 3): number of the image, row, column."""
        kernel = torch.from_numpy(spatial_kernel(sites, self.sites, self.lengths).T.astype(np.float32)).to(self.weights.device)
        return self.weights @ kernel

    def to(self, device: torch.device) -> SpatialTerm:
        """The same on another device."""
        return replace(self, weights=self.weights.to(device))

    def _along(self, axis: int, index: IntArray) -> Tensor:
        """Kernel of the rows or columns of all landmarks and some: (m, n)."""
        steps = (self.sites[:, axis, None] - index) / self.lengths[:, None]
        return torch.from_numpy(np.exp(-0.5 * steps**2).astype(np.float32)).to(self.weights.device)


@dataclass(frozen=True, eq=False)
class SpectralTerm:
    """Log odds of what has the colours of labelled pixels."""

    first: int
    """Where among a pixel's features those of the bands begin."""
    centre: Tensor
    """(d, 1): subtracted from the features of the bands,"""
    scale: Tensor
    """(d, 1): by which they are then multiplied, so that the kernel is exp(-|x - y|^2 / 2)."""
    landmarks: Tensor
    """(m, d), so scaled."""
    weights: Tensor
    """(class, m)"""

    def add(self, features: Tensor, out: Tensor) -> None:
        """Add to (class, n) what the features (K, n) say."""
        n = features.shape[1]
        values = _scratch.take("values", out, len(self.scale), n)
        torch.sub(features[self.first : self.first + len(self.scale)], self.centre, out=values).mul_(self.scale)
        kernel = _scratch.take("kernel", out, len(self.landmarks), n)
        torch.addmm(-0.5 * (self.landmarks**2).sum(dim=1, keepdim=True), self.landmarks, values, out=kernel)
        kernel.sub_(0.5 * (values**2).sum(dim=0)).clamp_(max=0).exp_()
        out.addmm_(self.weights, kernel)

    def to(self, device: torch.device) -> SpectralTerm:
        """The same on another device."""
        return SpectralTerm(self.first, *(value.to(device) for value in (self.centre, self.scale, self.landmarks, self.weights)))
