"""Draw the points at which a map is to be checked, so that what is found there can be extended to the whole map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from ..errors import InputError
from ..maps.cells import cell_areas
from ..segmentation import Segmentation
from ..types import AnyArray, BoolArray, Grid, IntArray
from .allocation import Allocation, allocate, sample_size

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stratum:
    """A part of the population that is sampled on its own."""

    name: str
    pixels: int
    area: float
    """Square metres; pixels where the map has no CRS."""
    drawn: int
    """Points, or clusters of a cluster sample."""
    units: int
    """What they were drawn from: pixels, or clusters."""


@dataclass(frozen=True, eq=False)
class SampleDesign:
    """Points drawn at random, and all that an estimate has to know of how they were drawn. Point arrays have shape (point,)."""

    kind: str
    """'simple', 'stratified' or 'clusters'."""
    grid: Grid
    strata: tuple[Stratum, ...]
    rows: IntArray
    cols: IntArray
    stratum: IntArray
    """Index into `strata`."""
    cluster: IntArray
    """Points of one cluster share a number; otherwise each has its own."""
    inclusion: Float64Array
    """Inclusion probability."""
    unit_area: Float64Array
    """Square metres of the point's pixel; 1 where the map has no CRS."""
    seed: int
    assumptions: str
    """How the number of points was found, in words."""
    by_classes: bool = False
    """Whether the strata are the classes of the map."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def points(self) -> AnyArray:
        """Centres of the pixels in the map's coordinates, object array (point,)."""
        a, b, c, d, e, f = self.grid.transform
        col, row = self.cols + 0.5, self.rows + 0.5
        points: AnyArray = shapely.points(a * col + b * row + c, d * col + e * row + f)
        return points

    def to_table(self) -> str:
        """Plain text: strata with their sizes and points, and the assumptions."""
        from ..maps._text import format_table

        unit = "clusters" if self.kind == "clusters" else "points"
        lines = [[s.name, f"{s.pixels:,}", f"{s.drawn:,}", f"{s.drawn / s.units:.3g}"] for s in self.strata]
        return format_table(["stratum", "pixels", unit, "probability"], lines) + f"\n{len(self):,} points; {self.assumptions}"


def design_sample(
    segmentation: Segmentation,
    n: int | None = None,
    *,
    target_se: float | None = None,
    strata: AnyArray | None = None,
    names: Mapping[int, str] | None = None,
    simple: bool = False,
    allocation: Allocation = "proportional",
    floor: int = 0,
    expected: float | Mapping[str, float] = 0.8,
    cluster_px: int | None = None,
    per_cluster: int = 10,
    seed: int = 0,
) -> SampleDesign:
    """Draw a probability sample of a map's pixels.

    Every pixel with data has a known chance to be drawn. The same seed draws the same points.

    Args:
        segmentation: The map. Pixels that it leaves undecided are sampled too.
        n: Points.
        target_se: Instead of `n`: the standard error of the overall accuracy to reach, in (0, 0.5).
        strata: Stratum of each pixel, shape (row, col), 0 = outside of the population. None = the map's classes.
        names: Names of the strata of `strata`.
        simple: No strata: every pixel has the same chance.
        allocation: How points are shared out among strata.
        floor: Points that each stratum gets at least.
        expected: Accuracy that is expected, in (0, 1), of all strata or by name: for `target_se` and 'neyman'.
        cluster_px: Draw clusters in two stages: blocks of this many pixels a side, then points in them.
        per_cluster: Points in each block.
        seed: Of the random numbers.

    Raises:
        InputError: Arguments that contradict each other, or that the map cannot fulfil.
    """
    if (n is None) == (target_se is None):
        raise InputError(f"n is {n} and target_se is {target_se}, expected one of the two. Say how many points, or how exact.")
    if cluster_px is not None and (strata is not None or allocation != "proportional" or floor):
        raise InputError("cluster_px draws clusters of the whole map, without strata. Leave strata, allocation and floor out.")
    if simple and strata is not None:
        raise InputError("simple draws without strata, but strata were given. Leave one of the two out.")
    undivided = simple or cluster_px is not None
    layer, called = _layer(segmentation, strata, names or {}, undivided)
    numbers, sizes = np.unique(layer[layer > 0], return_counts=True)
    if not len(numbers):
        raise InputError("no pixel of the map lies in a stratum and has data, so none can be drawn. Check map and strata.")
    stratum_names = [called.get(int(number), str(number)) for number in numbers]
    accuracies = _expected(expected, stratum_names)
    if n is None:
        assert target_se is not None
        n = sample_size(sizes / sizes.sum(), accuracies, target_se, int(sizes.sum()))
        n = max(n, int(np.minimum(max(floor, 2), sizes).sum()))
        told = ", ".join(sorted({f"{value:g}" for value in accuracies.tolist()}))
        assumptions = f"for a standard error of {target_se:g} of the overall accuracy (Cochran 1977, 5.25), expecting an accuracy of {told} in the strata"
    else:
        assumptions = f"{n} asked for"
    rng = np.random.default_rng(seed)
    cells, _ = cell_areas(segmentation.grid)
    areas = np.ones((1, 1)) if cells is None else cells
    if cluster_px is not None:
        return _clusters(segmentation.grid, layer, areas, n, cluster_px, per_cluster, seed, rng, assumptions)
    drawn = allocate(n, sizes, accuracies, allocation, floor)
    flat = layer.ravel()
    chosen, of = [], []
    parts = []
    for index, (number, size, count) in enumerate(zip(numbers, sizes, drawn, strict=True)):
        members = np.flatnonzero(flat == number)
        chosen.append(np.sort(rng.choice(members, int(count), replace=False)))
        of.append(np.full(int(count), index))
        area = _area_of(members, areas, layer.shape)
        parts.append(Stratum(stratum_names[index], int(size), area, int(count), int(size)))
    pixels, stratum = np.concatenate(chosen), np.concatenate(of)
    # In random order: whoever labels them does not see one class after the other, and a part of them is a sample too.
    order = rng.permutation(len(pixels))
    pixels, stratum = pixels[order], stratum[order]
    rows, cols = np.divmod(pixels, layer.shape[1])
    inclusion = (drawn / sizes)[stratum]
    unit_area = np.broadcast_to(areas, layer.shape)[rows, cols]
    return SampleDesign(
        "simple" if simple else "stratified", segmentation.grid, tuple(parts), rows, cols, stratum, np.arange(len(rows)), inclusion,
        np.array(unit_area, np.float64), seed, f"{assumptions}; {allocation} allocation" + (f", at least {floor} a stratum" if floor else ""),
        strata is None and not simple,
    )  # fmt: skip


def _clusters(
    grid: Grid, layer: AnyArray, areas: AnyArray, n: int, side: int, each: int, seed: int, rng: np.random.Generator, assumptions: str
) -> SampleDesign:
    if side < 1 or each < 1:
        raise InputError(f"cluster_px is {side} and per_cluster is {each}, expected 1 or more of each.")
    across = math.ceil(grid.width / side)
    rows, cols = np.nonzero(layer)
    block = rows // side * across + cols // side
    names, first, held = np.unique(np.sort(block), return_index=True, return_counts=True)
    count = math.ceil(n / each)
    if not 2 <= count <= len(names):
        raise InputError(
            f"{n} points, {each} a cluster, make {count} cluster(s), expected 2 to {len(names)}, the blocks there are. Change n, cluster_px or per_cluster."
        )
    order = np.argsort(block, kind="stable")
    taken, of, chance = [], [], []
    for number, index in enumerate(rng.choice(len(names), count, replace=False)):
        members = order[first[index] : first[index] + held[index]]
        points = rng.choice(members, min(each, len(members)), replace=False)
        taken.append(points)
        of.append(np.full(len(points), number))
        chance.append(np.full(len(points), count / len(names) * len(points) / len(members)))
    pixels = np.concatenate(taken)
    stratum = Stratum("all", len(rows), _area_of(rows * grid.width + cols, areas, grid.shape), count, len(names))
    return SampleDesign(
        "clusters", grid, (stratum,), rows[pixels], cols[pixels], np.zeros(len(pixels), np.int64), np.concatenate(of), np.concatenate(chance),
        np.array(np.broadcast_to(areas, grid.shape)[rows[pixels], cols[pixels]], np.float64), seed,
        f"{assumptions}; {count} blocks of {side} x {side} pixels, up to {each} points in each",
    )  # fmt: skip


def _layer(
    segmentation: Segmentation, strata: AnyArray | None, names: Mapping[int, str], undivided: bool
) -> tuple[AnyArray, dict[int, str]]:
    """Stratum of each pixel, 0 = none, and names."""
    valid: BoolArray = segmentation.valid
    if undivided:
        return valid.astype(np.int64), {1: "all"}
    if strata is not None:
        if strata.shape != segmentation.grid.shape:
            raise InputError(
                f"strata have shape {strata.shape}, expected {segmentation.grid.shape} as the map. Warp them onto the map's grid."
            )
        return np.where(valid, strata, 0), dict(names)
    undecided = 256
    layer = np.where(valid, np.where(segmentation.classes == 0, undecided, segmentation.classes.astype(np.int64)), 0)
    return layer, {entry.id: entry.name for entry in segmentation.legend} | {undecided: "(undecided)"}


def _expected(expected: float | Mapping[str, float], names: list[str]) -> Float64Array:
    if isinstance(expected, Mapping):
        unknown = next((name for name in expected if name not in names), None)
        if unknown is not None:
            raise InputError(f"expected names stratum {unknown!r}, which is none of {names}. Correct the name.")
    values = np.array([expected.get(name, 0.8) if isinstance(expected, Mapping) else expected for name in names], np.float64)
    if not ((values > 0) & (values < 1)).all():
        raise InputError(f"expected is {values.tolist()}, expected accuracies between 0 and 1, such as 0.8.")
    return values


def _area_of(pixels: IntArray, areas: AnyArray, shape: tuple[int, ...]) -> float:
    if areas.size == 1:
        return float(areas.ravel()[0]) * len(pixels)
    return float(np.broadcast_to(areas, shape)[np.divmod(pixels, shape[1])].sum())


def describe(design: SampleDesign) -> dict[str, Any]:
    """A design as values that JSON can hold."""
    return {
        "kind": design.kind,
        "points": len(design),
        "seed": design.seed,
        "assumptions": design.assumptions,
        "strata": [vars(stratum) for stratum in design.strata],
    }
