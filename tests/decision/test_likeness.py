"""One class is enough: what a similarity is, and that it is the same however it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from tests.networks import random_model

import pixelkin as pk
from pixelkin.errors import InputError, LabelError
from pixelkin.features.blocks import spread_blocks
from pixelkin.finding import finder_of
from pixelkin.raster.embedding import EmbeddingScene
from pixelkin.scene import ArrayScene, Series
from pixelkin.segmenter import Segmenter
from pixelkin.similarity.literal import distances
from pixelkin.types import LabelledPixels, Window

MODEL = random_model()


def world(height: int = 300, width: int = 280, seed: int = 0, bands: int = 3) -> ArrayScene:
    rng = np.random.default_rng(seed)
    fields = np.kron(rng.integers(40, 200, (bands, height // 20 + 1, width // 20 + 1)), np.ones((20, 20)))[:, :height, :width]
    data = (fields + rng.normal(0, 4, fields.shape)).clip(1, 255).astype(np.float32)
    data[:, 30:50, 60:90] = np.nan
    return ArrayScene(data)


def marks(*at: tuple[int, int]) -> LabelledPixels:
    return LabelledPixels.from_arrays([row for row, _ in at], [col for _, col in at], [1] * len(at))


SCENE = world()


def test_a_similarity_is_the_share_of_pairs_of_pixels_that_are_less_alike() -> None:
    at = np.array([(block.row + block.height // 2, block.col + block.width // 2) for block in spread_blocks(SCENE.grid)])
    sample = SCENE.data[:, *at.T].T
    sample = sample[np.isfinite(sample).all(axis=1)]
    pairs = cdist(sample, sample, "cityblock")[np.triu_indices(len(sample), 1)]
    chosen = [(100, 100), (211, 17)]
    found = pk.similar(SCENE, None, marks(*chosen), measure="l1")
    pixels = SCENE.data.reshape(3, -1).T
    nearest = cdist(pixels, SCENE.data[:, *np.array(chosen).T].T, "cityblock").min(axis=1).reshape(300, 280)
    expected = (pairs > nearest[..., None]).mean(axis=2)
    assert found.confidence[found.valid] == pytest.approx(expected[found.valid], abs=2e-3)
    assert (found.confidence[~found.valid] == 0).all()
    assert not found.valid[40, 70]


@pytest.mark.parametrize("how", [{"measure": "l1"}, {"features": ["bands"]}, {}], ids=str)
def test_it_does_not_depend_on_the_unit_of_the_bands(how: dict[str, object]) -> None:
    scene = ArrayScene(np.nan_to_num(world(90, 120).data, nan=100))
    brighter = ArrayScene(scene.data * 37 + 20_000)
    one, other = (pk.similar(each, None, marks((60, 100)), **how).confidence for each in (scene, brighter))  # type: ignore[arg-type]
    # Of large numbers float32 keeps less behind the point.
    assert np.abs(one - other).max() < 0.02


@pytest.mark.parametrize(
    ("model", "how"),
    [(None, {"measure": "l1"}), (None, {}), (MODEL, {}), (MODEL, {"features": ["encoder", "bands"]})],
    ids=["bands, l1", "default", "model", "model, encoder and bands"],
)
def test_a_pixel_has_the_same_bits_whatever_window_is_asked_for(model: object, how: dict[str, object]) -> None:
    scene, mark = world(270, 40), marks((100, 20))
    whole = finder_of(model, **how).fit(scene, mark).predict(scene)  # type: ignore[arg-type]
    window = Window(250, 3, 9, 30)
    part = finder_of(model, workers=1, **how).fit(scene, mark).predict(scene, window)  # type: ignore[arg-type]
    assert part.confidence.tobytes() == np.ascontiguousarray(whole.confidence[window.slices]).tobytes()
    assert part.classes.tobytes() == np.ascontiguousarray(whole.classes[window.slices]).tobytes()
    assert whole.confidence[100, 20] == 1
    assert whole.confidence.min() >= 0
    assert whole.confidence.max() <= 1


@pytest.mark.parametrize("method", ["similar", "nearest"])
def test_labels_are_measured_on_one_thread_and_to_its_bits(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, segmenter = world(120, 140), Segmenter(MODEL, method=method, measure="local")  # type: ignore[arg-type]
    labels = marks((60, 20)) if method == "similar" else LabelledPixels.from_arrays([60, 60], [20, 120], [1, 2])
    decision = segmenter.engine.decision
    measure, seen = getattr(decision, "inner", decision).similarity, []
    for name in ("prepare", "distances"):

        def noted(*given: object, of: object = getattr(measure, name), **more: object) -> object:
            seen.append(torch.get_num_threads())
            return of(*given, **more)

        monkeypatch.setattr(measure, name, noted)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        segmenter.fit(scene, labels).predict(scene)
    finally:
        torch.set_num_threads(threads)
    assert seen
    assert set(seen) == {1}


def test_with_a_model_pixels_are_ordered_by_the_distance_of_the_paper() -> None:
    scene = world(60, 60)
    pixels = np.array([(row, col) for row in range(8, 56, 9) for col in range(8, 56, 9) if np.isfinite(scene.data[0, row, col])])
    similarity = pk.similar(scene, MODEL, marks((30, 20))).confidence[*pixels.T]
    literal = distances(MODEL, scene, pixels, np.array([[30, 20]]))[0]
    order = np.argsort(literal)
    assert (np.diff(similarity[order]) <= 1e-6).all()
    assert similarity[order[0]] > similarity[order[-1]] + 0.5


def test_the_threshold_is_the_images_own_or_the_one_that_is_asked_for() -> None:
    rng = np.random.default_rng(3)
    two = np.where(np.kron(rng.integers(0, 2, (10, 10)), np.ones((20, 20), int)) == 1, 160, 60)
    scene = ArrayScene((two + rng.normal(0, 5, (3, 200, 200))).astype(np.float32))
    row, col = np.argwhere(two == 160)[40]
    found = pk.similar(scene, None, marks((row, col)), measure="l1")
    assert ((found.classes == 1) == (two == 160)).mean() > 0.99
    strict = pk.similar(scene, None, marks((row, col)), measure="l1", threshold=0.9)
    kept = strict.classes == 1
    assert (strict.confidence == found.confidence).all()
    assert (kept == (strict.confidence >= np.float32(0.9))).all()
    assert kept.sum() < (found.classes == 1).sum()
    assert strict.provenance["threshold"] == "0.9"


def test_embeddings_are_compared_by_their_chord() -> None:
    rng = np.random.default_rng(4)
    vectors = np.kron(rng.normal(0, 1, (16, 8, 8)), np.ones((16, 16))) + rng.normal(0, 0.05, (16, 128, 128))
    scene = EmbeddingScene(ArrayScene((vectors / np.linalg.norm(vectors, axis=0)).astype(np.float32)), "generic", None, None)
    found = pk.similar(scene, None, marks((40, 40))).confidence
    cosine = (
        (scene.source.read().data * scene.source.read().data[:, 40, 40][:, None, None]).sum(axis=0)[8::16, 8::16].ravel()
    )  # middles of patches
    assert np.corrcoef(np.argsort(np.argsort(cosine)), np.argsort(np.argsort(found[8::16, 8::16].ravel())))[0, 1] > 0.99


def test_a_series_is_searched_on_every_date() -> None:
    dates = [
        ArrayScene(world(seed=seed).data, name=f"2020-0{seed + 1}-01", date=np.datetime64(f"2020-0{seed + 1}-01").item()) for seed in (0, 1)
    ]
    first, second = pk.similar(Series(tuple(dates)), None, marks((100, 100)), measure="l1")
    assert first.confidence[100, 100] == 1
    assert second.confidence[100, 100] < 1
    assert second.valid[100, 100]


def test_a_finder_looks_at_the_blocks_that_are_there_already() -> None:
    segmenter = Segmenter(None, features=["bands"])
    corner = LabelledPixels.from_arrays([5, 5], [5, 45], [1, 2])
    segmenter.fit(SCENE, corner).predict(SCENE)
    finder = segmenter.finder()
    known = finder.embedded(SCENE)
    assert len(known) == 4
    read, reads = ArrayScene.read, []
    finder.fit(SCENE, marks((100, 100)))
    try:
        ArrayScene.read = lambda self, window=None: reads.append(window) or read(self, window)  # type: ignore[method-assign,func-returns-value]
        found = finder.predict(SCENE)
    finally:
        ArrayScene.read = read  # type: ignore[method-assign]
    # An even sample, and a look whether the labelled pixel is this image's: no block.
    assert all(window is not None and window.height < 100 for window in reads)
    assert (found.confidence == pk.similar(SCENE, None, marks((100, 100)), features=["bands"]).confidence).all()
    assert set(np.unique(segmenter.predict(SCENE).classes)) == {0, 1, 2}


def test_what_cannot_be_is_refused() -> None:
    both = LabelledPixels.from_arrays([5, 6], [5, 6], [1, 2])
    with pytest.raises(LabelError, match=r"the labels are of 2 classes, '1', '2', expected one. Choose it with class_name='1'"):
        pk.similar(SCENE, None, both)
    with pytest.raises(LabelError, match="class_name is 'x', expected one that is labelled: '1', '2'"):
        pk.similar(SCENE, None, both, class_name="x")
    assert (pk.similar(SCENE, None, both, class_name="2", measure="l1").classes[6, 6]) == 2
    with pytest.raises(LabelError, match="there are no labelled pixels, expected at least one"):
        pk.similar(SCENE, None, both.take(np.array([], int)))
    with pytest.raises(LabelError, match=r"expected one\. Choose it"):
        finder_of(None).fit(SCENE, both)
    for threshold in (0.0, 1.5, float("nan")):
        with pytest.raises(InputError, match=r"threshold is .*, expected a similarity above 0"):
            pk.similar(SCENE, None, marks((5, 5)), threshold=threshold)
    with pytest.raises(InputError, match="compares without features"):
        pk.similar(SCENE, None, marks((5, 5)), measure="l1", features=["bands"])
    with pytest.raises(LabelError, match="shows the same everywhere, expected an image on which some pixels differ"):
        pk.similar(ArrayScene(np.ones((3, 60, 60), np.float32)), None, marks((5, 5)))
    finder = finder_of(None, measure="l1").fit(SCENE, marks((5, 5), (6, 6)))
    finder.remove(SCENE, [5], [5])
    with pytest.raises(LabelError, match="leaves none, expected at least one"):
        finder.remove(SCENE, [6], [6])
