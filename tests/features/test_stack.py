"""Sources of features side by side: each keeps its columns, and labels decide by all of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tests.networks import random_model

from pixelkin.decision import background
from pixelkin.errors import InputError, ModelError
from pixelkin.features import Fields, Group, References, stack_of
from pixelkin.scene import ArrayScene, Scene, read_padded
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels, Window

MODEL = random_model()


class Texture:
    """A source as somebody else might write it: what tells two classes apart that the bands do not."""

    name, halo, device = "texture", 16, torch.device("cpu")

    def __init__(self, hash: str = "t1") -> None:
        self.hash = hash

    def group(self, scene: Scene) -> Group:
        return Group("texture", 2, 2, standardise="together")

    def fields(self, scene: Scene, window: Window, step: int = 1) -> Fields:
        pixels = read_padded(scene, Window(window.row, window.col, window.height, window.width + 16))
        steps = np.abs(np.diff(pixels.data[0].astype(np.float32)))
        mean = torch.from_numpy(np.lib.stride_tricks.sliding_window_view(steps, 16, axis=1).mean(axis=2))
        return Fields(torch.stack([mean, 0.01 * mean])[:, ::step, ::step], pixels.valid[:, :-16])


@pytest.fixture
def scene(rng: np.random.Generator) -> ArrayScene:
    return ArrayScene(rng.integers(90, 150, (3, 60, 300)).astype(np.uint8))


@pytest.mark.parametrize(("parts", "spans"), [((3, 4), (5, 9)), ((3, 5), (5,)), ((), ())])
def test_a_group_whose_parts_do_not_make_its_columns_is_refused(parts: tuple[int, ...], spans: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="expected parts that add up to the columns, and a span for each"):
        Group("mine", 8, 3, "pretrained", parts=parts, spans=spans)


def test_columns_are_where_their_group_says(scene: ArrayScene) -> None:
    stack = stack_of(MODEL, ["bands", Texture(), "encoder"])
    assert stack.names == ("texture", "encoder", "bands")
    columns, window = stack.columns(scene), Window(-5, 200, 40, 120)
    together = stack.fields(scene, window)
    for source in stack.sources:
        np.testing.assert_array_equal(together.features[columns.of(source.name)], source.fields(scene, window).features)
    assert len(columns) == len(together.features) == 2 + 34 + 15
    assert columns.own.tolist() == [True] * 2 + [True] * 17 + [False] * 17 + [False] * 15
    assert columns.bands == columns.of("bands")
    assert columns.learned == slice(0, 36)


def test_the_image_is_read_once_for_all_sources(scene: ArrayScene, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    read = ArrayScene.read
    monkeypatch.setattr(ArrayScene, "read", lambda self, window=None: reads.append(window) or read(self, window))
    stack = stack_of(MODEL)
    stack.fields(scene, Window(0, 64, 32, 32))
    first = len(reads)  # pretrained features look at all of the image once, to scale it
    stack.fields(scene, Window(0, 96, 32, 32))
    assert len(reads) == first + 1


def test_a_step_leaves_out_rows_and_columns(scene: ArrayScene) -> None:
    stack = stack_of(MODEL, ["bands", Texture(), "encoder"])
    every, some = (stack.fields(scene, Window(3, 5, 41, 50), step) for step in (1, 3))
    np.testing.assert_array_equal(some.features, every.features[:, ::3, ::3])
    np.testing.assert_array_equal(some.valid, every.valid)
    np.testing.assert_array_equal(some.bands, every.bands)


@pytest.mark.parametrize("window", [Window(0, 0, 60, 300), Window(50, 280, 60, 60), Window(-70, -70, 20, 20)])
def test_a_pixel_has_the_same_features_whatever_window_asks(scene: ArrayScene, window: Window) -> None:
    stack = stack_of(MODEL)
    whole = stack.fields(scene, Window(-100, -100, 260, 500)).features
    inside = whole[:, window.row + 100 :, window.col + 100 :][:, : window.height, : window.width]
    np.testing.assert_allclose(stack.fields(scene, window).features, inside, rtol=1e-3, atol=1e-3)


def test_another_source_tells_what_the_bands_do_not(rng: np.random.Generator) -> None:
    """Stripes of one pixel and noise of the same values: alike in mean and spread, unlike from neighbour to neighbour."""
    data = rng.permuted(np.tile([90, 150], (3, 80, 60)), axis=2).astype(np.uint8)
    data[:, :, 60:] = np.tile([90, 150], 30)
    scene, truth = ArrayScene(data), np.ones((80, 120), int)
    truth[:, 60:] = 2
    labels = LabelledPixels.from_arrays([10, 40, 70, 10, 40, 70], [10, 30, 50, 70, 90, 110], [1, 1, 1, 2, 2, 2])
    with_it, without = (
        (Segmenter(None, features=features, method="logistic").fit(scene, labels).predict(scene).classes == truth).mean()
        for features in (["bands", Texture()], ["bands"])
    )
    assert with_it > 0.9
    assert with_it > without + 0.1


def test_one_scale_for_a_group_keeps_small_columns_small(scene: ArrayScene) -> None:
    labels = LabelledPixels.from_arrays([5, 30], [8, 100], [1, 2])
    references = Segmenter(None, features=[Texture(), "bands"]).fit(scene, labels).references
    _, scale = background(references)
    large, small = scale[references.columns.of("texture")]
    assert large == small
    assert len(np.unique(scale[references.columns.of("bands")])) > 10


def test_references_keep_their_columns_and_meet_no_others(scene: ArrayScene, tmp_path: Path) -> None:
    labels = LabelledPixels.from_arrays([5, 30], [8, 100], [1, 2])
    seg = Segmenter(MODEL, features=["encoder", Texture()]).fit(scene, labels)
    saved = References.load(seg.references.save(tmp_path / "r.safetensors"))
    assert saved.columns == seg.references.columns
    again = Segmenter(MODEL, features=["encoder", Texture()])
    again.references = saved
    np.testing.assert_array_equal(again.predict(scene).classes, seg.predict(scene).classes)
    for features in (None, ["encoder"], ["encoder", Texture("t2")], ["bands", "encoder", Texture()]):
        with pytest.raises(ModelError):
            Segmenter(MODEL, features=features).references = saved


def test_references_of_0_1_name_no_columns_and_are_read(scene: ArrayScene, tmp_path: Path) -> None:
    for model in (MODEL, None):
        features = ["bands"] if model is None else ["encoder", "bands"]
        seg = Segmenter(model, features=features).fit(scene, LabelledPixels.from_arrays([5, 30], [8, 100], [1, 2]))
        path = seg.references.save(tmp_path / "r.safetensors", overwrite=True)
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["pixelkin"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, safe_open is not a mapping
        del header["columns"]
        save_file(tensors, path, {"pixelkin": json.dumps(header)})
        assert References.load(path).columns == seg.references.columns


@pytest.mark.parametrize("features", [["bands", "bands"], [], ["colour"]])
def test_sources_are_asked_for_by_their_names(features: list[str]) -> None:
    with pytest.raises(InputError, match="features"):
        Segmenter(MODEL, features=features)


def test_the_encoder_needs_a_model() -> None:
    with pytest.raises(InputError, match="'encoder'"):
        Segmenter(None, features=["encoder"])
