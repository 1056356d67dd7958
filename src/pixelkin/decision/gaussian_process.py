"""A Gaussian process classifier on features whose parts each have a say of their own.

Its kernel is a mean of Gaussian (RBF) kernels, one a part: two pixels are alike as far as their edges, textures, things and colours each are. One part that
differs, as the wide ones do from one object of a class to the next, then takes only its own share. What is near a labelled pixel counts a little as well.

Rasmussen and Williams, *Gaussian Processes for Machine Learning* (2006), 3.3; as a logistic regression on explicit columns of the kernel, see `kernels.columns`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor
from torch.nn.functional import pad

from ..types import AnyArray
from .kernels import SPECTRAL_LENGTH_SCALE
from .scratch import Scratch

LENGTH_SCALE_OF_PARTS = SPECTRAL_LENGTH_SCALE
"""Mean squared difference of the columns of a part at which its kernel has fallen to 1 / e."""
NEARNESS = 0.1
"""Of the spatial kernel beside the mean of the others."""
_COLUMNS = 1024
"""Pixels a pass: what is known of them stays in the cache."""
_WHOLE = 64
"""Pixels are computed by as many, or what a processor computes one by one at the end of a row would round otherwise than the rest."""
_PANEL = 16
"""Landmarks a matrix product, always as many: what comes out for one does not depend on its company."""
_SPARE = 32
"""Landmarks for which there is room beyond those of now, so that kept rows are not moved at every label."""
_POWERS = float(np.log2(np.e))
"""Powers of 2 are worked out several times as quickly as those of e."""
_scratch = Scratch()


def part_kernel(one: AnyArray, other: AnyArray, parts: Sequence[slice]) -> AnyArray:
    """(n, m) in [0, 1] of features (n, K) and (m, K), of which these columns are the parts."""
    total: AnyArray = np.zeros((len(one), len(other)))
    for part in parts:
        total += np.exp(cdist(one[:, part], other[:, part], "sqeuclidean") / (-LENGTH_SCALE_OF_PARTS * (part.stop - part.start)))
    return total / len(parts)


class KernelRows:
    """What is known of the kernel at the pixels of a block, kept from label to label: rows by keys. Not safe to share between threads."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._values = torch.empty(0, 0)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._values.nbytes

    def of(self, keys: list[bytes], n: int, room: int) -> tuple[Tensor, list[int]] | None:
        """Rows in this order.

        Args:
            keys: Of the rows.
            n: Pixels.
            room: Bytes that may be held. Where that is too little, None is returned, and nothing held any more.

        Returns:
            (row, n), and which of them are still to be filled in.
        """
        at = {key: i for i, key in enumerate(self._keys)}
        found = [i if self._keys[i : i + 1] == [key] else at.get(key, -1) for i, key in enumerate(keys)]
        if len(keys) > len(self._values) or any(where not in (i, -1) for i, where in enumerate(found)):
            capacity = len(keys) + _SPARE
            if 4 * capacity * n > room:
                self._keys, self._values = [], torch.empty(0, 0)
                return None
            values = torch.empty(capacity, n)
            for i, where in enumerate(found):
                if where >= 0:
                    values[i] = self._values[where]
            self._values = values
        self._keys = keys
        return self._values[: len(keys)], [i for i, where in enumerate(found) if where < 0]


@dataclass(frozen=True, eq=False)
class _Panel:
    """Some landmarks as pixels are compared with them, and zeros up to `_PANEL`."""

    rows: Tensor
    """(r,): which they are."""
    landmarks: list[Tensor]
    """Of each part (_PANEL, d)"""
    lengths: Tensor
    """(part, _PANEL, 1)"""


@dataclass(frozen=True, eq=False)
class PartsTerm:
    """Log odds of what is like labelled pixels, part by part."""

    parts: Sequence[slice]
    """Where among a pixel's features they are."""
    landmarks: Sequence[Tensor]
    """(m, d) of each part"""
    weights: Tensor
    """(class, m)"""

    def of(self, features: Tensor, kept: KernelRows | None = None, room: int = 0) -> Tensor:
        """What pixels are told by what they are like.

        Args:
            features: (K, n)
            kept: What is known of these pixels already, and then will be of all landmarks.
            room: Bytes that this may hold.

        Returns:
            (class, n)
        """
        n, parts = features.shape[1], len(self.parts)
        whole = -(-n // _WHOLE) * _WHOLE
        out = self.weights.new_empty(len(self.weights), whole)
        held = None if kept is None or out.device.type != "cpu" else kept.of(self._keys, whole, room)
        rows, missing = held or (None, list(range(parts + self.weights.shape[1])))
        panels = self._panels(tuple(row - parts for row in missing if row >= parts))
        for start in range(0, whole, _COLUMNS):
            part = slice(start, min(start + _COLUMNS, whole))
            known = _scratch.take("known", out, parts + self.weights.shape[1], part.stop - start) if rows is None else rows[:, part]
            if missing:
                values = self._whole(features[:, part], part.stop - start)
                if missing[0] < parts:
                    squares = torch.mul(values, values, out=_scratch.take("squares", out, *values.shape))
                    torch.mm(self._norms, squares, out=known[:parts])
                self._fill(known[parts:], values, known[:parts, None], panels)
            # Where they are kept they lie otherwise in memory, on which the bits of a product may depend.
            kernel = _scratch.take("kernel", out, *known[parts:].shape).copy_(known[parts:])
            torch.mm(self._shares, kernel, out=out[:, part])
        return out[:, :n]

    def _whole(self, features: Tensor, columns: int) -> Tensor:
        """The features that count (k, columns) in float32, zero where there are no more pixels."""
        values = features[self._span]
        if values.shape[1] == columns and values.dtype == torch.float32:
            return values
        copy = _scratch.take("values", self.weights, len(values), columns)
        copy[:, values.shape[1] :] = 0
        copy[:, : values.shape[1]] = values
        return copy

    def _fill(self, kernel: Tensor, values: Tensor, norms: Tensor, panels: list[_Panel]) -> None:
        """Compute rows of the kernel (landmark, pixel), summed over the parts."""
        for panel in panels:
            exponents = _scratch.take("exponents", kernel, len(self.parts), len(panel.lengths[0]), kernel.shape[1])
            for part, among, plane in zip(self._within, panel.landmarks, exponents, strict=True):
                torch.mm(among, values[part], out=plane)
            likeness = exponents.add_(panel.lengths).add_(norms)[:, : len(panel.rows)].exp2_()
            kernel.index_copy_(0, panel.rows, torch.sum(likeness, dim=0, out=_scratch.take("likeness", kernel, *likeness.shape[1:])))

    def _panels(self, chosen: tuple[int, ...]) -> list[_Panel]:
        """These landmarks, a panel at a time."""
        if chosen not in self._made:
            device = self.weights.device
            size = _PANEL if device.type == "cpu" else max(1, len(chosen))
            rows = torch.split(torch.tensor(chosen, dtype=torch.int64, device=device), size) if chosen else ()
            self._made[chosen] = [
                _Panel(
                    some,
                    [pad(among[some], (0, 0, 0, size - len(some))) for among in self._asked[0]],
                    pad(self._asked[1][:, some], (0, 0, 0, size - len(some))),
                )
                for some in rows
            ]
        return self._made[chosen]

    @cached_property
    def _made(self) -> dict[tuple[int, ...], list[_Panel]]:
        """Panels that were asked for: the same for most blocks."""
        return {}

    @cached_property
    def _asked(self) -> tuple[list[Tensor], Tensor]:
        """Of each part 2 s l (m, d), and of all -s |l|^2 (part, m, 1): exp(-s |x - l|^2), its square written out, by powers of 2."""
        scales = [_POWERS / (LENGTH_SCALE_OF_PARTS * (part.stop - part.start)) for part in self.parts]
        return (
            [2 * scale * part for scale, part in zip(scales, self.landmarks, strict=True)],
            torch.stack([-scale * (part**2).sum(dim=1, keepdim=True) for scale, part in zip(scales, self.landmarks, strict=True)]),
        )

    @cached_property
    def _span(self) -> slice:
        """Where among a pixel's features all parts are."""
        return slice(self.parts[0].start, self.parts[-1].stop)

    @cached_property
    def _within(self) -> list[slice]:
        """Where in the span each is."""
        return [slice(part.start - self._span.start, part.stop - self._span.start) for part in self.parts]

    @cached_property
    def _norms(self) -> Tensor:
        """(part, k): what makes -s |x|^2 of squares of the features in the span."""
        norms = self.weights.new_zeros(len(self.parts), self._span.stop - self._span.start)
        for row, part in zip(norms, self._within, strict=True):
            row[part] = -_POWERS / (LENGTH_SCALE_OF_PARTS * (part.stop - part.start))
        return norms

    @cached_property
    def _shares(self) -> Tensor:
        """(class, m): weights of the sum over the parts."""
        return self.weights / len(self.parts)

    @cached_property
    def _keys(self) -> list[bytes]:
        """By which rows are known, of norms and then of the kernel: equal for equal parts and landmarks."""
        parts, values = repr(self.parts).encode(), torch.cat(list(self.landmarks), dim=1).contiguous().numpy()
        rows = [str(i).encode() for i in range(len(self.parts))] + [row.tobytes() for row in values]
        return [hashlib.blake2b(row + parts, digest_size=16).digest() for row in rows]

    def to(self, device: torch.device) -> PartsTerm:
        """The same on another device."""
        return PartsTerm(self.parts, [part.to(device) for part in self.landmarks], self.weights.to(device))
