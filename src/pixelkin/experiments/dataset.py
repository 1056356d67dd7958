"""What a table is made on: images with the class of each pixel, as tasks. Arrays and scenes only; `datasets` opens folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..errors import InputError
from ..scene import Scene, Series
from ..types import Legend, LegendClass, UInt8Array

PATCH_SIZES = {"series": 9, "images": 13}
"""Side of patches by kind of data set, the paper's."""


@dataclass(frozen=True, eq=False)
class Truth:
    """An image and the class of each of its pixels."""

    scene: Scene
    load: Callable[[], UInt8Array]

    @cached_property
    def classes(self) -> UInt8Array:
        """(row, col) class ids, 0 = not known or no data in the image."""
        return np.where(self.scene.read().valid, self.load(), 0).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Task:
    """Mark pixels of one image, map some."""

    labelled: Truth
    scored: tuple[Truth, ...]
    """The labelled image itself, or the other dates of a series."""

    @property
    def name(self) -> str:
        """That of the labelled image."""
        return self.labelled.scene.name


@dataclass(frozen=True, eq=False)
class Dataset:
    """What `reproduce` runs on."""

    name: str
    kind: str
    """'images' (each is labelled and mapped by itself) or 'series' (one date is labelled, the others are mapped)."""
    legend: Legend
    training: tuple[Scene | Series, ...]
    """Imagery to learn from; its labels are never read."""
    tasks: tuple[Task, ...]
    fingerprint: str
    """SHA-256 of the content of all files."""
    merged: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Fewer classes made of several, if the data set has such."""
    skipped: tuple[str, ...] = ()
    """Crops and dates left out, because fewer than two classes are known there."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that all images share."""
        return self.training[0].bands

    @property
    def patch_size(self) -> int:
        """The paper's: 9 for a Sentinel-2 series, 13 for aerial images."""
        return PATCH_SIZES[self.kind]

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Every N that can be run, the largest first."""
        return (len(self.legend), len(self.merged)) if self.merged else (len(self.legend),)

    def classes(self, truth: Truth, n: int) -> tuple[UInt8Array, Legend]:
        """Truth and legend with N classes."""
        if n == len(self.legend):
            return truth.classes, self.legend
        if n == len(self.merged):
            return merge_classes(truth.classes, self.legend, dict(self.merged))
        raise InputError(f"N is {n}, expected one of {list(self.class_counts)} for {self.name}.")

    def training_sample(self, max_pixels: int, seed: int) -> list[Scene | Series]:
        """So many images, drawn at random, that they have about `max_pixels`; all of them where there are fewer."""
        sizes = [entry.grid.height * entry.grid.width * (len(entry) if isinstance(entry, Series) else 1) for entry in self.training]
        if sum(sizes) <= max_pixels or len(self.training) == 1:
            return list(self.training)
        order = np.random.default_rng(seed).permutation(len(sizes))
        count = max(1, int(np.searchsorted(np.cumsum([sizes[i] for i in order]), max_pixels, side="right")))
        return [self.training[i] for i in sorted(order[:count])]


def merge_classes(classes: UInt8Array, legend: Legend, merged: dict[str, Sequence[str]]) -> tuple[UInt8Array, Legend]:
    """Class ids and legend after classes are put together.

    Args:
        classes: (row, col) ids of `legend`, 0 = not labelled.
        legend: The classes there are.
        merged: Names of the new classes, each with those that it is made of.

    Raises:
        InputError: A class is in none of the new ones, or in two.
    """
    parts = [part for names in merged.values() for part in names]
    if sorted(parts) != sorted(legend.names):
        raise InputError(f"merged classes use {sorted(parts)}, expected each of {sorted(legend.names)} once. Correct the merged classes.")
    new = Legend(tuple(LegendClass(i + 1, name, legend.by_name(names[0]).color) for i, (name, names) in enumerate(merged.items())))
    lookup = np.zeros(256, np.uint8)
    for entry, names in zip(new, merged.values(), strict=True):
        for part in names:
            lookup[legend.by_name(part).id] = entry.id
    return lookup[classes], new
