"""What the background does for a map, and what it leaves alone."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from pixelkin.decision import Learner as LearnerDecision
from pixelkin.decision import calibration
from pixelkin.features import References
from pixelkin.scene import ArrayScene, Pixels, Scene
from pixelkin.segmenter import Segmenter
from pixelkin.session.learning import Learner
from pixelkin.session.livemap import LiveMap, block_bytes
from pixelkin.session.painting import Lesson
from pixelkin.types import Grid, LabelledPixels, Window

_ONE_BLOCK = 1_500_000
"""Bytes that hold one block of the scene below, and not two."""


def lesson(*pixels: tuple[int, int], width: int = 768) -> list[Lesson]:
    """One of the image's pixels, counted row by row, and class ids."""
    rows, cols = np.divmod([pixel for pixel, _ in pixels], width)
    return [Lesson.of("strip", rows, cols, np.array([class_id for _, class_id in pixels], np.uint8))]


def test_the_background_leaves_what_is_in_view_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).integers(0, 50, (2, 20, 768)).astype(np.uint8)
    embedded: list[int] = []

    describe = LearnerDecision.describe

    def spy(self: LearnerDecision, scene: Scene, block: Window) -> Any:
        embedded.append(block.col)
        return describe(self, scene, block)

    monkeypatch.setattr(LearnerDecision, "describe", spy)
    finished = threading.Event()
    live = LiveMap(
        {"strip": ArrayScene(data)},
        Segmenter(cache_bytes=_ONE_BLOCK),
        lambda scene, version, done, total: finished.set() if done == total else None,
        lambda version: None,
        cache_bytes=_ONE_BLOCK,
    )
    try:
        live.learn(lesson((5, 1), (400, 2)))
        first = live.block("strip", 0, 0, live.version)
        assert finished.wait(20)
        assert sorted(embedded) == [0, 256, 512]
        finished.clear()
        live.learn(lesson((5, 1), (400, 2), (700, 2)))
        second = live.block("strip", 0, 0, live.version)
        assert first is not None
        assert second is not None
        assert embedded.count(0) == 1
        assert finished.wait(20)
        aside = live.peek("strip", 0, 2, live.version)
        assert aside is not None
    finally:
        live.close()
    # What is computed aside is what anybody else would compute.
    labels = LabelledPixels.from_arrays([0, 0, 0], [5, 400, 700], [1, 2, 2])
    fresh = Segmenter().fit(ArrayScene(data), labels).predict(ArrayScene(data))
    np.testing.assert_array_equal(aside.classes, fresh.classes[:, 512:])
    assert aside.confidence is not None
    np.testing.assert_array_equal(aside.confidence, np.round(fresh.confidence[:, 512:] * 255))


def test_classes_are_answered_before_confidence_and_are_the_same() -> None:
    data = np.random.default_rng(0).integers(0, 50, (2, 20, 768)).astype(np.uint8)
    live = LiveMap({"strip": ArrayScene(data)}, Segmenter(check_labels=False), lambda *_: None, lambda version: None, cache_bytes=1 << 30)
    try:
        live.learn(lesson((5, 1), (400, 2)))
        quick = live.block("strip", 0, 0, live.version, confident=False)
        assert quick is not None
        whole = live.block("strip", 0, 0, live.version)
        again = live.block("strip", 0, 0, live.version, confident=False)
        assert whole is not None
        assert whole.confidence is not None
        np.testing.assert_array_equal(whole.classes, quick.classes)
        assert again is whole
        assert live.block("strip", 0, 0, live.version - 1, confident=False) is None
    finally:
        live.close()


def test_what_is_looked_at_is_learnt_before_anybody_asks_and_the_rest_when_somebody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt: list[int] = []
    learn = Learner.learn

    def spy(self: Learner, lessons: list[Lesson]) -> None:
        learn(self, lessons)
        learnt.append(sum(map(len, lessons)))

    monkeypatch.setattr(Learner, "learn", spy)
    monkeypatch.setattr("pixelkin.session.background._SETTLE_S", 60)  # the background maps nothing
    data = np.random.default_rng(0).integers(0, 50, (2, 20, 768)).astype(np.uint8)
    live = LiveMap({"strip": ArrayScene(data)}, Segmenter(check_labels=False), lambda *_: None, lambda version: None, cache_bytes=1 << 30)
    try:
        live.learn(lesson((5, 1), (400, 2)))
        live.learn(lesson((5, 1), (400, 2), (401, 2)))
        assert live.block("strip", 0, 0, live.version) is not None
        assert learnt == [3]
        live.learn(lesson((5, 1), (400, 2), (401, 2), (9, 1)))
        deadline = time.monotonic() + 20
        while learnt != [3, 4] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert learnt == [3, 4]
    finally:
        live.close()


@pytest.mark.parametrize("features", [["bands"], ["bands", "pretrained"]])
def test_what_is_kept_of_a_block_is_not_underrated(features: list[str]) -> None:
    """Or all blocks of an image would be asked for in turn, each pushing out the one that is asked for next."""
    scene = ArrayScene(np.random.default_rng(0).integers(0, 50, (3, 256, 256)).astype(np.uint8))
    segmenter = Segmenter(features=features)
    kept = segmenter.engine.decision.describe(scene, Window(0, 0, 256, 256))
    assert kept.nbytes <= block_bytes(segmenter, scene)


@pytest.mark.parametrize("is_undone", [False, True])
def test_a_mark_calls_off_the_cross_validation_of_the_labels_before_it(monkeypatch: pytest.MonkeyPatch, is_undone: bool) -> None:
    """Of many labels it takes seconds, for which the next mark would wait. Undone before it is learnt, it leaves them to be gone through again."""
    data = np.random.default_rng(0).integers(0, 50, (2, 20, 768)).astype(np.uint8)
    before = [(90 * i + 5, 1 + i % 2) for i in range(8)]
    after = [*before, (740, 2)]
    folds: list[int] = []
    fit = calibration.fit
    live: LiveMap

    def spy(references: References, *given: Any) -> Any:
        folds.append(len(references))
        if len(folds) == 1:
            live.learn(lesson(*after))
            if is_undone:
                live.learn(lesson(*before))
        return fit(references, *given)

    monkeypatch.setattr(calibration, "fit", spy)
    segmenter, checked = Segmenter(check_labels=False, features=["bands"]), threading.Event()
    live = LiveMap({"strip": ArrayScene(data)}, segmenter, lambda *_: None, lambda version: checked.set(), cache_bytes=1 << 30)
    with closing(live):
        live.learn(lesson(*before))
        assert checked.wait(20)
        assert live.suspects(live.version)[0]
    assert len(folds) == 1 + calibration.FOLDS
    assert len(segmenter.references) == len(before if is_undone else after)


class _Endless:
    """An image of 10,000 x 10,000 pixels that knows which of them were read."""

    name, bands, date, fingerprint = "endless", ("a", "b"), None, "endless"
    grid = Grid(10_000, 10_000, (1, 0, 0, 0, 1, 0), None)

    def __init__(self) -> None:
        self.read_pixels = 0

    def read(self, window: Window | None = None) -> Pixels:
        assert window is not None
        self.read_pixels += window.height * window.width
        rows, cols = np.indices((window.height, window.width)) + np.array([window.row, window.col])[:, None, None]
        return Pixels(np.stack([rows // 50 % 7, cols // 50 % 5]).astype(np.uint8), np.ones(rows.shape, bool))


def test_suggestions_look_at_what_is_known_and_never_at_all_of_a_large_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixelkin.session.background._SETTLE_S", 60)  # the background maps nothing
    scene = _Endless()

    def start() -> LiveMap:
        return LiveMap({"strip": scene}, Segmenter(check_labels=False), lambda *_: None, lambda version: None, cache_bytes=1 << 26)

    def suggest(live: LiveMap) -> list[tuple[int, int]]:
        return [(one.row, one.col) for one in live.suggest("strip", 8, lambda rows, cols: (rows >= 50) & (cols >= 50))]

    two_labels = lesson((60 * 10_000 + 60, 1), (60 * 10_000 + 900, 2), width=10_000)
    with closing(start()) as live:
        assert suggest(live) == []  # no labels
        live.learn(two_labels)
        before = scene.read_pixels
        assert len(suggest(live)) == 8
        assert scene.read_pixels - before < 1_000_000
    with closing(start()) as live:
        live.learn(two_labels)
        for row in (0, 3):
            live.block("strip", row, 0, live.version)
        before = scene.read_pixels
        found = suggest(live)
        assert scene.read_pixels == before
        assert {(row // 256, col // 256) for row, col in found} == {(0, 0), (3, 0)}
        assert all(row >= 50 and col >= 50 for row, col in found)
