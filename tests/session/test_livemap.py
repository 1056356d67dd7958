"""What the background does for a map, and what it leaves alone."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.session.learning import Learner
from pixelkin.session.livemap import LiveMap
from pixelkin.session.painting import Lesson
from pixelkin.similarity import embed
from pixelkin.types import LabelledPixels, Window

_ONE_BLOCK = 1_500_000
"""Bytes that hold one block of the scene below, and not two."""


def lesson(*pixels: tuple[int, int]) -> list[Lesson]:
    return [Lesson("strip", np.array([pixel for pixel, _ in pixels], np.int64), np.array([class_id for _, class_id in pixels], np.uint8))]


def test_the_background_leaves_what_is_in_view_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).integers(0, 50, (2, 20, 768)).astype(np.uint8)
    embedded: list[int] = []

    def spy(model: Any, scene: Any, window: Window, *args: Any, **options: Any) -> Any:
        embedded.append(window.col)
        return embed(model, scene, window, *args, **options)

    monkeypatch.setattr("pixelkin.segmenter.embed", spy)
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
    monkeypatch.setattr("pixelkin.session.livemap._SETTLE_S", 60)  # the background maps nothing
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
