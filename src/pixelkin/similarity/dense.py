"""Algorithm 2 for every pixel at once, exactly.

    D(q, p) = sum_j [ - sp(-t(c[q+d_j], S_q)) - sp(-t(c[p+d_j], S_p)) - sp(t(c[p+d_j], S_q)) - sp(t(c[q+d_j], S_p)) ]
              term 1 (q alone)             term 2 (p alone)           term 4                   term 3

Low D means that the two are hard to tell apart. Term 1 is the same for every label and is left out unless
absolute scores are asked for; term 2 is one number a label; term 3 is a map of t summed over the window by a
box; term 4 is one evaluation for each pixel and each distinct position of the labels' windows. The global
measure is the case of one position, with the critic T_theta that reads the whole window.

Two identities make it quick: critics are projections `u` of the map and `v` of the representation with a cheap
`pair` (see `model.critics`), so t is a matrix product; and
    sum_j sp(t_j) = sum_j max(t_j, 0) - log prod_j sigmoid(|t_j|)
takes one logarithm for a window, the product lying in [2^-J, 1].

Bits: rows of a matrix product are computed in panels of a fixed height and sums over a window in a fixed order,
so a label's distances do not depend on which other labels are asked about with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ..features import Embedding, References
from ..model import Model
from ..model.critics import ConcatenatedCritic, Critic, SeparableCritic

_PANEL = 16
"""Rows of a matrix product; labels are padded up to it."""
_PROJECTED = 64
"""Rows of references projected at a time; padded up to it."""
_COLUMNS = 4096
"""Pixels a pass: with _GROUP_ROWS rows, the matrix and its exponentials stay in a core's cache."""
_STRIP = 16
"""Rows of a map projected at a time."""
_GROUP_ROWS = 128
"""Distinct positions a pass."""
_GROUP_LABELS = 16
"""Labels a pass: bounds the copies where windows share positions."""

# Up to this many positions, a product of numbers in [1/2, 1] stays a normal number in float32 (2^-126).
_MAX_PRODUCT = 120


@dataclass(frozen=True, eq=False)
class Projection:
    """Critic projections of a window: its label-independent half of every distance."""

    u: Tensor
    """(d', row + 2 k, col + 2 k), k the reach of the window of positions (0 for the global measure); d' = d + 1 for a separable critic."""
    v: Tensor
    """(d', row, col)"""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Critic projections of references: their pixel-independent half of every distance."""

    u: Tensor
    """(M, d'): at the distinct positions (one per reference for the global measure)."""
    v: Tensor
    """(L, d')"""
    windows: Tensor
    """(L, J): rows of `u`; J = 1 for the global measure."""
    alone: Tensor
    """(L,): term 2."""


class MutualInformation:
    """The paper's measure, with T_phi at every position (local) or T_theta on the whole map (global)."""

    def __init__(self, model: Model, scope: Literal["local", "global"]) -> None:
        self.name: Literal["local", "global"] = scope
        self.critic: Critic = model.network.local_critic if scope == "local" else model.network.global_critic
        self.side = model.config.map_side if scope == "local" else 1
        """Side of the window of positions that a distance sums over."""
        self._map_side = model.config.map_side
        self._device = model.device

    @property
    def positions(self) -> int:
        """Terms of the sum over j."""
        return self.side**2

    def project(self, embedding: Embedding) -> Projection:
        """Projections of a block's embedding."""
        with torch.inference_mode():
            field = self._map_side if self.name == "global" else 1
            u = self._columns(_in_strips(self.critic.project_map, embedding.c, field))
            return Projection(u, self._columns(_in_strips(self.critic.project_shared, embedding.s, 1)))

    def prepare(self, references: References) -> Prepared:
        """Projections of references; each one's do not depend on the others."""
        with torch.inference_mode():
            c, s = references.c.to(self._device), references.s.to(self._device)
            windows = references.windows.to(self._device)
            v = _in_panels(lambda rows: self.critic.project_shared(rows[:, :, None, None]).flatten(1), s)
            if self.name == "local":
                u = _in_panels(lambda rows: self.critic.project_map(rows[:, :, None, None]).flatten(1), c)
            else:
                side = self._map_side
                maps = c[windows].transpose(1, 2).reshape(len(s), -1)
                u = _in_panels(lambda rows: self.critic.project_map(rows.view(len(rows), -1, side, side)).flatten(1), maps)
                windows = torch.arange(len(s), device=self._device)[:, None]
            alone = (
                torch.stack([-softplus(-self.critic.pair(u[w], one[None])).sum() for w, one in zip(windows, v, strict=True)])
                if len(v)
                else v[:, 0]
            )
            return Prepared(self._rows(u), self._rows(v), windows, alone)

    def distances(self, projection: Projection, prepared: Prepared, *, absolute: bool = False) -> Tensor:
        """D of every pixel of a window to every reference.

        Args:
            projection: Of the window.
            prepared: The references.
            absolute: Add term 1, which is the same for all references.

        Returns:
            (L, row, col) float32, nats, <= 0 where absolute; lower = more alike.
        """
        with torch.inference_mode():
            _, height, width = projection.v.shape
            u, v = projection.u.flatten(1), projection.v.flatten(1)
            out = v.new_empty(len(prepared.v), v.shape[1])
            groups = _groups(prepared.windows)
            scratch = _Scratch(v, max((len(rows) for _, rows, _ in groups), default=0))
            for labels, rows, windows in groups:
                padded = _padded(prepared.u[rows])
                for start in range(0, v.shape[1], _COLUMNS):
                    columns = slice(start, start + _COLUMNS)
                    t = self._evaluate(padded, v[:, columns], scratch.t)[: len(rows)]
                    _window_sums(t, windows, scratch, out[labels, columns])
            for start in range(0, len(prepared.v), _PANEL):
                labels = slice(start, start + _PANEL)
                asked = prepared.v[labels]
                t = self._evaluate(_padded(asked), u)[: len(asked)]
                term3 = _box_sum(_softplus_(t).view(len(asked), *projection.u.shape[1:]), self.side).flatten(1)
                out[labels] += term3
            out.neg_().add_(prepared.alone[:, None])
            out = out.view(len(prepared.v), height, width)
            return out.add_(self.alone(projection)) if absolute else out

    def alone(self, projection: Projection) -> Tensor:
        """Term 1, (row, col): what the distances of a pixel to all references have in common."""
        with torch.inference_mode():
            return self._term1(projection).view(projection.v.shape[1:])

    def _columns(self, maps: Tensor) -> Tensor:
        """Projections as `_evaluate` takes them on its right: a separable critic's get a row of ones, for its bias."""
        return torch.cat([maps, torch.ones_like(maps[:1])]) if isinstance(self.critic, SeparableCritic) else maps

    def _rows(self, vectors: Tensor) -> Tensor:
        """Projections as `_evaluate` takes them on its left: a separable critic's carry its scale and bias."""
        if not isinstance(self.critic, SeparableCritic):
            return vectors
        return torch.cat([vectors * self.critic.scale, self.critic.bias.expand(len(vectors), 1)], dim=1)

    def _evaluate(self, rows: Tensor, columns: Tensor, buffer: Tensor | None = None) -> Tensor:
        """The critic's t of every row (n, d) with every column (d, p), whichever of the two is the map's side."""
        critic = self.critic
        shape = len(rows), columns.shape[1]
        t = columns.new_empty(shape) if buffer is None else buffer[: shape[0] * shape[1]].view(shape)
        if isinstance(critic, SeparableCritic):
            return torch.mm(rows, columns, out=t)
        assert isinstance(critic, ConcatenatedCritic)
        hidden = torch.empty_like(columns)
        for row, line in zip(rows, t, strict=True):
            torch.mv(torch.add(columns, row[:, None], out=hidden).relu_().T, critic.weight, out=line)
        return t.add_(critic.bias)

    def _term1(self, projection: Projection) -> Tensor:
        height, width = projection.v.shape[1:]
        total = torch.zeros(height * width, device=projection.v.device)
        # Without the row of ones, where there is one.
        d = len(projection.v) - isinstance(self.critic, SeparableCritic)
        v = projection.v[:d].flatten(1)[None]
        for row in range(self.side):
            for col in range(self.side):
                u = projection.u[:d, row : row + height, col : col + width].flatten(1)[None]
                total -= softplus(-self.critic.pair(u, v))[0]
        return total


def _in_panels(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """A function of rows, applied to panels of one fixed height, so that a row's bits do not depend on its company."""
    if not len(rows):
        return function(_padded(rows, _PROJECTED))[:0]
    panels = [function(_padded(rows[i : i + _PROJECTED], _PROJECTED)) for i in range(0, len(rows), _PROJECTED)]
    return torch.cat(panels)[: len(rows)]


def _in_strips(function: Callable[[Tensor], Tensor], maps: Tensor, field: int) -> Tensor:
    """A convolution of `field` x `field` pixels over (k, h, w), some rows at a time: what lies between its layers stays in the cache."""
    height = maps.shape[1] - field + 1
    strips = [function(maps[None, :, row : min(row + _STRIP, height) + field - 1])[0] for row in range(0, height, _STRIP)]
    return torch.cat(strips, dim=1, out=maps.new_empty(strips[0].shape[0], height, strips[0].shape[2]))


def _padded(rows: Tensor, panel: int = _PANEL) -> Tensor:
    """Rows, with zeros up to a whole number of panels."""
    missing = -len(rows) % panel or (panel if not len(rows) else 0)
    return torch.cat([rows, rows.new_zeros(missing, rows.shape[1])]) if missing else rows


class _Scratch:
    """Memory for one pass, taken once: fresh pages for every panel would cost more than the arithmetic."""

    def __init__(self, like: Tensor, rows: int) -> None:
        self.t = like.new_empty((rows + _PANEL) * _COLUMNS)
        self.factors = like.new_empty(rows * _COLUMNS)
        self._stacks: dict[str, Tensor] = {}
        self._steps: dict[tuple[str, int, tuple[int, ...], bool], list[tuple[Tensor, list[tuple[Tensor, Tensor]]]]] = {}

    def stack(self, name: str, values: Tensor, windows: Tensor) -> Tensor:
        """Rows of each window side by side: (L, J, p). A copy where windows share rows, else a view."""
        count, positions = windows.shape
        if count * positions == len(values):
            return values.view(count, positions, -1)
        size = windows.numel() * values.shape[1]
        if name not in self._stacks or len(self._stacks[name]) < size:
            self._stacks[name] = values.new_empty(size)
            self._steps.clear()
        out = self._stacks[name][:size].view(windows.numel(), values.shape[1])
        return torch.index_select(values, 0, windows.flatten(), out=out).view(count, positions, -1)

    def fold(self, name: str, values: Tensor, windows: Tensor, operation: Callable[..., Tensor]) -> list[Tensor]:
        """Combine the rows of each window pairwise, in place, in an order that depends on J alone: (L, p) for each _MAX_PRODUCT rows.

        The slices are the same for every pass of a shape, and there are thousands of passes: they are kept.
        """
        stack = self.stack(name, values, windows)
        key = name, len(values), tuple(stack.shape), stack.data_ptr() == values.data_ptr()
        if key not in self._steps:
            self._steps[key] = [_pairs(stack[:, start : start + _MAX_PRODUCT]) for start in range(0, stack.shape[1], _MAX_PRODUCT)]
        for _, pairs in self._steps[key]:
            for into, other in pairs:
                operation(into, other, out=into)
        return [result for result, _ in self._steps[key]]


def _pairs(stack: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Where the combination of (L, J, p) along J ends up, and the pairs of slices to combine, in order."""
    pairs = []
    count = stack.shape[1]
    while count > 1:
        half = count // 2
        pairs.append((stack[:, :half], stack[:, count - half : count]))
        count -= half
    return stack[:, 0], pairs


def _groups(windows: Tensor) -> list[tuple[slice, Tensor, Tensor]]:
    """Runs of labels whose windows together use few distinct positions: (labels, rows of u, their windows in those rows).

    Labels of a scribble are neighbours and share most positions, so one group holds many of them. Where none is
    shared, the rows come in the windows' own order.
    """
    groups = []
    start = 0
    while start < len(windows):
        stop, rows = start + 1, set(windows[start].tolist())
        while stop < len(windows) and stop - start < _GROUP_LABELS:
            union = rows | set(windows[stop].tolist())
            if len(union) > _GROUP_ROWS:
                break
            stop, rows = stop + 1, union
        asked = windows[start:stop]
        if len(rows) == asked.numel():
            distinct, local = asked.flatten(), torch.arange(asked.numel(), device=asked.device).view(asked.shape)
        else:
            distinct = torch.tensor(sorted(rows), device=asked.device)
            local = torch.searchsorted(distinct, asked)
        groups.append((slice(start, stop), distinct, local))
        start = stop
    return groups


def _softplus_(t: Tensor) -> Tensor:
    """log(1 + e^t) in place; the plain formula, vectorised, is several times quicker than the library's."""
    small = t.abs().neg_().exp_().add_(1).log_()
    return t.clamp_(min=0).add_(small)


def _window_sums(t: Tensor, windows: Tensor, scratch: _Scratch, out: Tensor) -> None:
    """sum_j sp(t[windows[:, j]]) into out (L, p) from t (M, p), which is overwritten."""
    factors = scratch.factors[: t.numel()].view(t.shape)
    torch.abs(t, out=factors).sigmoid_()
    t.clamp_(min=0)
    products = scratch.fold("products", factors, windows, torch.mul)
    sums = scratch.fold("sums", t, windows, torch.add)
    torch.sub(sums[0], products[0].log(), out=out)
    for product, part in zip(products[1:], sums[1:], strict=True):
        out.add_(part).sub_(product.log())


def _box_sum(maps: Tensor, side: int) -> Tensor:
    """Sum over side x side windows: (n, h - side + 1, w - side + 1) from (n, h, w), in a fixed order."""
    height, width = maps.shape[1] - side + 1, maps.shape[2] - side + 1
    rows = maps[:, :height].clone()
    for k in range(1, side):
        rows += maps[:, k : k + height]
    sums = rows[:, :, :width].clone()
    for k in range(1, side):
        sums += rows[:, :, k : k + width]
    return sums
