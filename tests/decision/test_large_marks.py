"""A mark of any size teaches within bounds, and the same through every door."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from tests.networks import random_model

import pixelkin as pk
from pixelkin.decision.fitting import MOST_LABELS, _Fitter
from pixelkin.features import collect, stack_of, teaching
from pixelkin.features.teaching import teaching as teaching_of
from pixelkin.scene import ArrayScene
from pixelkin.session.marks import Mark
from pixelkin.session.painting import lessons, paint
from pixelkin.types import LabelledPixels, Legend, Window

TWO = Legend.from_names(["water", "land"])


def halves(side: int) -> np.ndarray:
    """Water on the left, land on the right, every pixel labelled."""
    mask = np.full((side, side), 1, np.uint8)
    mask[:, side // 2 :] = 2
    return mask


def pixels(labels: LabelledPixels) -> set[tuple[int, int, int]]:
    return set(zip(labels.rows.tolist(), labels.cols.tolist(), labels.classes.tolist(), strict=True))


def test_a_label_raster_of_millions_of_pixels_teaches_with_32768_of_each_class_from_all_over() -> None:
    labels = LabelledPixels.from_mask(halves(2000), TWO)
    taught = teaching_of(labels)
    assert np.bincount(taught.classes).tolist() == [0, 32768, 32768]
    assert len({(row // 50, col // 50) for row, col, _ in pixels(taught)}) == 40 * 40
    assert pixels(taught) == pixels(teaching_of(labels.take(np.random.default_rng(1).permutation(len(labels)))))


def test_a_segmenter_describes_and_converts_no_more_than_what_is_asked(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.setattr(teaching, "MOST_TAUGHT", 3000)
    mask = halves(100)
    image = (mask + rng.normal(0, 0.1, mask.shape)).astype(np.float32)[None]
    segmenter = pk.Segmenter(check_labels=False).fit(image, mask)
    assert np.bincount(segmenter.references.classes).tolist() == [0, 3000, 3000]
    converted = _Fitter(segmenter.references, [1, 2])._standardised
    assert 2 * MOST_LABELS <= len(converted) < 3 * MOST_LABELS


def test_of_the_blocks_under_a_mark_nothing_is_held_but_its_pixels(rng: np.random.Generator) -> None:
    scene, held = ArrayScene(rng.integers(1, 200, (3, 256, 256)).astype(np.uint8)), 0

    def each(see: Callable[[Window], Any], blocks: Iterable[Window]) -> list[Any]:
        nonlocal held
        found = [see(block) for block in blocks]
        tensors = [value for seen in found for value in (*vars(seen).values(), *(seen.encoded or ())) if isinstance(value, torch.Tensor)]
        held = sum(tensor.untyped_storage().nbytes() for tensor in tensors)
        return found

    rows, cols = np.divmod(np.arange(0, 256 * 256, 67), 256)
    stack = stack_of(random_model(), ["encoder", "bands"])
    references = collect(stack, scene, LabelledPixels.from_arrays(rows, cols, 1 + rows // 128), each)
    kept = (references.features, references.background, references.bands, references.s, references.c, references.windows)
    assert held < 1.1 * sum(tensor.nbytes for tensor in kept)


def test_what_teaches_goes_by_the_pixels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "MOST_TAUGHT", 100)
    side, mask = 40, halves(40)
    by_file = pixels(teaching_of(LabelledPixels.from_mask(mask, TWO)))
    assert sorted(np.bincount([class_id for *_, class_id in by_file]).tolist()) == [0, 100, 100]
    # On the page: the same pixels in four marks, one of them an eraser under what comes later.
    flat = np.arange(side * side).reshape(side, side)
    covers = {"a": flat[:, 20:].ravel(), "b": flat[:9, :20].ravel(), "c": flat.ravel()[:300], "d": flat[:, :20].ravel()}
    drawn = [
        Mark(name, order, "s", class_id, "polygon", {}, 1.0)
        for order, (name, class_id) in enumerate({"a": 2, "b": 2, "c": 0, "d": 1}.items())
    ]
    given = lessons({"s": paint(drawn, covers)}, {"s": side})
    by_page = set().union(*(pixels(lesson.labels) for lesson in given))
    erased = {(row, col, 2) for row, col in zip(*np.divmod(flat.ravel()[:300], side), strict=True) if col >= 20}
    assert {pixel for pixel in by_page if pixel[2] == 1} == {pixel for pixel in by_file if pixel[2] == 1}
    assert not by_page & erased
    few = LabelledPixels.from_arrays(range(100), range(100), [1] * 50 + [2] * 50)
    assert teaching_of(few) is few
