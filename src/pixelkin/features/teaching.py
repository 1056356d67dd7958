"""Which labelled pixels teach: all, but of a class with very many, a spread of them."""

from __future__ import annotations

import numpy as np

from ..types import BoolArray, IntArray, LabelledPixels, UInt8Array

MOST_TAUGHT = 1 << 15
"""Labelled pixels of a class on an image that become references, of a few kilobytes each; a polygon may hold millions."""


def scattered(rows: IntArray, cols: IntArray) -> IntArray:
    """A number for each pixel that seems random and is always the same (the finaliser of SplitMix64), (n,): those with the smallest are spread over any shape."""
    x = rows.astype(np.uint64)
    x <<= np.uint64(32)
    x |= cols.astype(np.uint64)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x.view(np.int64)


def taught(rows: IntArray, cols: IntArray, classes: UInt8Array) -> BoolArray | None:
    """Which of an image's labelled pixels teach, (n,): of a class with more than `MOST_TAUGHT` that many, spread over it; None where all do.

    It goes by pixels and classes alone, so that marks may come in any order, in any number, and by any door.
    """
    many = np.flatnonzero(np.bincount(classes) > MOST_TAUGHT)
    if not len(many):
        return None
    teaches = np.ones(len(classes), np.bool_)
    for class_id in many:
        own = classes == class_id
        numbers = scattered(rows[own], cols[own])
        teaches[own] = numbers <= np.partition(numbers, MOST_TAUGHT - 1)[MOST_TAUGHT - 1]
    return teaches


def teaching(labels: LabelledPixels) -> LabelledPixels:
    """The labelled pixels of an image that teach, see `taught`, in their order."""
    teaches = taught(labels.rows, labels.cols, labels.classes)
    return labels if teaches is None else labels.take(teaches)
