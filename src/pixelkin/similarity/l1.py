"""L1: what the mutual information is compared with."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..features import Embedding, References


class L1:
    """Sum of absolute differences, of the shared representations or, without a model, of the raw bands."""

    name: Literal["l1"] = "l1"
    positions = 1

    def __init__(self, *, raw: bool) -> None:
        self.raw = raw

    def project(self, embedding: Embedding) -> Tensor:
        """The representations that are compared: (z_dim, row, col)."""
        return embedding.s

    def prepare(self, references: References) -> Tensor:
        """The references' vectors: (L, k)."""
        return references.bands if self.raw else references.s

    def alone(self, projection: Tensor) -> Tensor:
        """Nothing, (row, col): distances are absolute."""
        return projection.new_zeros(projection.shape[1:])

    def distances(self, projection: Tensor, prepared: Tensor, *, absolute: bool = False) -> Tensor:
        """|q - p|_1 of every pixel to every reference: (L, row, col) float32, >= 0, in units of the vectors. Always absolute."""
        with torch.inference_mode():
            out = projection.new_zeros(len(prepared), *projection.shape[1:])
            for distance, reference in zip(out, prepared.to(projection.device), strict=True):
                for channel, value in zip(projection, reference, strict=True):
                    distance += (channel - value).abs_()
            return out
