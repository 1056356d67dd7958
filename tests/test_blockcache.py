"""What is kept on disk gives the same bits, or nothing."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from pixelkin.blockcache import BlockStore
from pixelkin.decision import Learner, Nearest
from pixelkin.scene import ArrayScene
from pixelkin.segmentation import Segmentation
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels

from .networks import random_model

MODEL = random_model()
ROWS, COLS, CLASSES = [5, 30, 60, 20], [8, 100, 300, 280], [1, 2, 3, 1]


@pytest.fixture
def scene() -> ArrayScene:
    rng = np.random.default_rng(1)
    bands = np.kron(rng.integers(20, 230, (3, 10, 40)), np.ones((1, 7, 8), int)) + rng.integers(0, 9, (3, 70, 320))
    return ArrayScene(bands.astype(np.uint8))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlockStore]:
    opened = BlockStore(tmp_path / "blocks")
    yield opened
    opened.close()


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Windows of the blocks that are embedded, of labels left out."""
    windows: list[Any] = []

    for decision in (Learner, Nearest):

        def spy(self: Any, scene: Any, block: Any, describe: Any = decision.describe) -> Any:
            windows.append(block)
            return describe(self, scene, block)

        monkeypatch.setattr(decision, "describe", spy)
    return windows


def mapped(scene: ArrayScene, store: BlockStore | None, how: dict[str, Any]) -> Segmentation:
    labels = LabelledPixels.from_arrays(ROWS, COLS, CLASSES)
    result = Segmenter(**how, store=store, check_labels=False).fit(scene, labels).predict(scene)
    if store is not None:
        store.flush()
    return result


def assert_same(one: Segmentation, other: Segmentation) -> None:
    np.testing.assert_array_equal(one.classes, other.classes)
    np.testing.assert_array_equal(one.confidence, other.confidence)
    np.testing.assert_array_equal(one.valid, other.valid)


@pytest.mark.parametrize(
    "how",
    [{}, {"model": MODEL}, {"measure": "l1"}, {"model": MODEL, "measure": "l1"}, {"model": MODEL, "measure": "local"}, {"model": MODEL, "measure": "global"}],
    ids=["learner-raw", "learner", "l1-raw", "l1", "local", "global"],
)  # fmt: skip
def test_the_map_has_the_same_bits_with_and_without(scene: ArrayScene, store: BlockStore, embedded: list[Any], how: dict[str, Any]) -> None:
    alone = mapped(scene, None, how)
    first = mapped(scene, store, how)
    embedded.clear()
    again = mapped(scene, store, how)
    assert embedded == []
    assert_same(first, alone)
    assert_same(again, alone)


def test_models_methods_and_images_do_not_meet(scene: ArrayScene, store: BlockStore, tmp_path: Path, embedded: list[Any]) -> None:
    other = ArrayScene(scene.data[:, ::-1].copy())
    for image in (scene, other):
        for how in ({}, {"model": MODEL}, {"model": random_model(seed=1)}, {"model": MODEL, "measure": "l1"}):
            embedded.clear()
            assert_same(mapped(image, store, how), mapped(image, None, how))
            assert len(embedded) == 4  # two blocks, with the store and without
    # Two blocks each, and for learners, whose pretrained features weigh classes by the image as a whole, its sample.
    assert len(list((tmp_path / "blocks").iterdir())) == 16 + 6


def test_what_an_unmarked_image_shows_as_a_whole_is_kept_too(scene: ArrayScene, store: BlockStore, monkeypatch: pytest.MonkeyPatch) -> None:
    other, labels = ArrayScene(scene.data[:, ::-1].copy()), LabelledPixels.from_arrays(ROWS, COLS, CLASSES)
    first = Segmenter(MODEL, store=store, check_labels=False).fit(scene, labels).predict(other)
    store.flush()
    monkeypatch.setattr("pixelkin.engine.sample", None)
    assert_same(Segmenter(MODEL, store=store, check_labels=False).fit(scene, labels).predict(other), first)


def test_what_is_damaged_or_not_ours_is_computed_and_written_anew(
    scene: ArrayScene, store: BlockStore, tmp_path: Path, embedded: list[Any]
) -> None:
    whole = mapped(scene, store, {"model": MODEL})
    _, one, other = sorted((tmp_path / "blocks").iterdir(), key=lambda path: path.stat().st_size)  # the sample is the smallest
    good = one.read_bytes(), other.read_bytes()
    flipped = bytearray(good[0])
    flipped[-1000] ^= 1
    spoilt: list[bytes] = [
        bytes(flipped),
        good[0][:-1],
        good[0][:5],
        b"",
        good[1],
        pickle.dumps({"features": 1}),
        save({"features": torch.ones(3)}),
    ]
    for data in spoilt:
        one.write_bytes(data)
        embedded.clear()
        assert_same(mapped(scene, store, {"model": MODEL}), whole)
        assert len(embedded) == 1
        assert_same(mapped(scene, store, {"model": MODEL}), whole)
        assert len(embedded) == 1
    one.unlink()
    assert_same(mapped(scene, store, {"model": MODEL}), whole)
    assert one.exists()


def tensors(number: int) -> dict[str, torch.Tensor]:
    return {"a": torch.full((1000,), number), "b": torch.arange(number, dtype=torch.float16)}


def same(found: dict[str, torch.Tensor] | None, number: int) -> bool:
    return (
        found is not None and found.keys() == {"a", "b"} and all(torch.equal(found[name], value) for name, value in tensors(number).items())
    )


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    store = BlockStore(tmp_path, limit=100_000)  # a dozen entries of 8 kB
    for number in range(11):
        store.put(store.key(number), tensors(number))
        store.flush()
        os.utime(tmp_path / f"{store.key(number)[:40]}.safetensors", (number, number))
    assert same(store.get(store.key(0)), 0)
    (tmp_path / "notes.txt").write_text("not ours, and left alone")
    (tmp_path / ".left-by-a-killed-process.tmp").write_bytes(bytes(50_000))
    os.utime(tmp_path / ".left-by-a-killed-process.tmp", (0, 0))
    for number in range(11, 15):
        store.put(store.key(number), tensors(number))
        store.flush()
    kept = [number for number in range(15) if store.get(store.key(number)) is not None]
    assert kept[0] == 0
    assert kept[-4:] == [11, 12, 13, 14]
    assert {1, 2}.isdisjoint(kept)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.safetensors")) <= 100_000
    assert (tmp_path / "notes.txt").exists()
    assert not (tmp_path / ".left-by-a-killed-process.tmp").exists()
    store.close()
    store.put(store.key(99), tensors(99))
    assert BlockStore(tmp_path).get(store.key(99)) is None


def test_a_folder_that_cannot_be_written_to_costs_time_and_nothing_else(
    scene: ArrayScene, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    store = BlockStore(tmp_path / "file")
    assert_same(mapped(scene, store, {}), mapped(scene, None, {}))
    assert_same(mapped(scene, store, {}), mapped(scene, None, {}))
    store.close()
    assert caplog.text.count("blocks are not kept") == 1


_WRITER = """
import sys, torch
from pathlib import Path
from pixelkin.blockcache import BlockStore
store = BlockStore(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 10**9):
    store.put(store.key(number), {"a": torch.full((400_000,), number)})
    store.flush()
    print(number, flush=True)
"""


def test_a_process_killed_while_it_writes_leaves_whole_files_or_none(tmp_path: Path) -> None:
    done = 0
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), str(done)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(20):
            done = int(process.stdout.readline())
        time.sleep(0.004)  # into the next
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        store = BlockStore(tmp_path)
        found = [store.get(store.key(number)) for number in range(done + 40)]
        assert all(one is not None for one in found[: done + 1])
        for number, one in enumerate(found):
            assert one is None or torch.equal(one["a"], torch.full((400_000,), number))
