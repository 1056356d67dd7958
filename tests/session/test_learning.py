"""The labels of several images teach one Segmenter, edit by edit, as a fresh fit would."""

from __future__ import annotations

import numpy as np
import pytest

from pixelkin.errors import LabelError
from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels


def make_scene(seed: int, name: str) -> ArrayScene:
    # Few grey levels: many pixels are equally near to two labels, so that the order of labels decides.
    data = np.random.default_rng(seed).integers(0, 4, (2, 30, 40)).astype(np.uint8)
    return ArrayScene(data, name=name)


def labels(*pixels: tuple[int, int, int]) -> LabelledPixels:
    rows, cols, classes = zip(*pixels, strict=True)
    return LabelledPixels.from_arrays(rows, cols, classes)


def test_fit_on_several_images_equals_fit_then_add() -> None:
    one, other = make_scene(1, "one"), make_scene(2, "other")
    both = labels((3, 4, 1), (10, 11, 2))
    more = labels((5, 5, 2), (6, 6, 3))
    together = Segmenter().fit([one, other], [both, more])
    apart = Segmenter().fit(one, both).add(other, more)
    np.testing.assert_array_equal(together.predict(other).classes, apart.predict(other).classes)
    np.testing.assert_array_equal(together.predict(one).confidence, apart.predict(one).confidence)


def test_each_image_may_show_one_class_only() -> None:
    one, other = make_scene(1, "one"), make_scene(2, "other")
    segmenter = Segmenter().fit([one, other], [labels((3, 4, 1)), labels((5, 5, 2))])
    assert segmenter.predict(one).classes[3, 4] == 1
    assert set(np.unique(segmenter.predict(one).classes)) == {1, 2}


def test_fit_on_several_images_needs_two_classes_in_all() -> None:
    one, other = make_scene(1, "one"), make_scene(2, "other")
    with pytest.raises(LabelError, match="all 2 labelled pixels are of class '1'"):
        Segmenter().fit([one, other], [labels((3, 4, 1)), labels((5, 5, 1))])
    with pytest.raises(LabelError, match="1 sets of labels for 2 images"):
        Segmenter().fit([one, other], [labels((3, 4, 1), (1, 1, 2))])
