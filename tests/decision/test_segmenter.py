"""What every method of a Segmenter promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from tests.networks import random_model

from pixelkin.decision import background, fit
from pixelkin.errors import InputError, RasterError
from pixelkin.features import Columns, References, scene_number
from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels, Legend, Window

METHODS = ["auto", "vote", "logistic", "nearest"]
MODEL = random_model()
LEGEND = Legend.from_names(["dark", "middle", "light"])


def world(seed: int, height: int = 270, width: int = 90) -> tuple[ArrayScene, np.ndarray]:
    """An image of patches in three brightnesses, and their classes."""
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(1, 4, (-(-height // 15), -(-width // 15))), np.ones((15, 15), int))[:height, :width]
    return ArrayScene((60 * truth + rng.normal(0, 12, (3, height, width))).clip(0, 255).astype(np.uint8)), truth


def marks(truth: np.ndarray, n: int, seed: int) -> LabelledPixels:
    rng = np.random.default_rng(seed)
    flat = np.concatenate([rng.permutation(np.flatnonzero(truth == k))[:n] for k in (1, 2, 3)])
    flat = rng.permutation(flat)
    return LabelledPixels.from_arrays(flat // truth.shape[1], flat % truth.shape[1], truth.ravel()[flat], LEGEND)


SCENE, TRUTH = world(0)


def test_auto_is_the_default_and_a_measure_asks_for_the_nearest() -> None:
    assert Segmenter(MODEL).method == "auto"
    assert Segmenter(MODEL, measure="local").method == "nearest"
    with pytest.raises(InputError, match="method 'vote' compares learned features, expected no measure"):
        Segmenter(MODEL, method="vote", measure="l1")
    with pytest.raises(InputError, match="method is 'best', expected 'auto', 'nearest', 'vote', 'logistic' or 'similar'"):
        Segmenter(MODEL, method="best")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="abstain is 2"):
        Segmenter(MODEL, abstain=2)


@pytest.mark.parametrize("method", ["auto", "vote", "logistic"])
@pytest.mark.parametrize("model", [MODEL, None], ids=["model", "raw"])
def test_few_labels_map_an_easy_image(method: str, model: object) -> None:
    result = Segmenter(model, method=method).fit(SCENE, marks(TRUTH, 4, 1)).predict(SCENE)  # type: ignore[arg-type]
    assert (result.classes == TRUTH).mean() > 0.85
    assert result.confidence.min() >= 1 / 3 - 1e-6
    assert result.confidence.max() <= 1


@pytest.mark.parametrize("method", METHODS)
def test_additions_and_removals_equal_a_fresh_fit(method: str) -> None:
    labels, more = marks(TRUTH, 3, 1), marks(TRUTH, 2, 2)
    changed = Segmenter(MODEL, method=method).fit(SCENE, labels)  # type: ignore[arg-type]
    changed.predict(SCENE)
    changed.add(SCENE, more)
    changed.predict(SCENE)
    changed.remove(SCENE, labels.rows[:2], labels.cols[:2])
    rows, cols = np.concatenate([labels.rows[2:], more.rows]), np.concatenate([labels.cols[2:], more.cols])
    fresh = Segmenter(
        MODEL, method=method
    ).fit(  # type: ignore[arg-type]
        SCENE, LabelledPixels(rows, cols, np.concatenate([labels.classes[2:], more.classes]), LEGEND)
    )
    ours, theirs = changed.predict(SCENE), fresh.predict(SCENE)
    np.testing.assert_array_equal(ours.classes, theirs.classes)
    np.testing.assert_array_equal(ours.confidence, theirs.confidence)


@pytest.mark.parametrize("method", METHODS)
def test_windows_workers_and_threads_change_no_bit(method: str) -> None:
    whole = Segmenter(MODEL, method=method, workers=2).fit(SCENE, marks(TRUTH, 3, 1)).predict(SCENE)  # type: ignore[arg-type]
    other = Segmenter(MODEL, method=method, workers=1, cache_bytes=0).fit(SCENE, marks(TRUTH, 3, 1))  # type: ignore[arg-type]
    windows = [Window(0, 0, 1, 1), Window(250, 30, 20, 60), Window(100, 0, 170, 90)]
    with ThreadPoolExecutor(3) as pool:
        parts = list(pool.map(lambda window: other.predict(SCENE, window), windows))
    for window, part in zip(windows, parts, strict=True):
        np.testing.assert_array_equal(part.classes, whole.classes[window.slices])
        np.testing.assert_array_equal(part.confidence, whole.confidence[window.slices])


@pytest.mark.parametrize("method", METHODS)
def test_saved_references_give_the_same_map_of_another_date(tmp_path: Path, method: str) -> None:
    fitted = Segmenter(MODEL, method=method).fit(SCENE, marks(TRUTH, 3, 1))  # type: ignore[arg-type]
    other, _ = world(5, 60, 70)
    loaded = Segmenter(MODEL, method=method)  # type: ignore[arg-type]
    loaded.references = References.load(fitted.references.save(tmp_path / "refs.safetensors"))
    ours, theirs = loaded.predict(other), fitted.predict(other)
    np.testing.assert_array_equal(ours.classes, theirs.classes)
    np.testing.assert_array_equal(ours.confidence, theirs.confidence)
    assert loaded.references.hash == fitted.references.hash


def test_a_map_depends_on_nothing_beyond_the_halo(rng: np.random.Generator) -> None:
    seg = Segmenter(MODEL, method="logistic", priors="equal").fit(SCENE, marks(TRUTH, 3, 1))
    scene, _ = world(7, 400, 300)
    far = scene.data.copy()
    far[:, 256 + seg.halo :, :] = rng.integers(0, 255, far[:, 256 + seg.halo :, :].shape)
    near = scene.data.copy()
    last = slice(256 + seg.halo - 2, 256 + seg.halo)  # of two rows, a learner is told of one
    near[:, last, :] = 255 - near[:, last, :]
    window = Window(0, 0, 256, 300)
    before = seg.predict(scene, window).confidence
    np.testing.assert_array_equal(seg.predict(ArrayScene(far), window).confidence, before)
    assert (seg.predict(ArrayScene(near), window).confidence != before).any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [MODEL, None], ids=["model", "raw"])
def test_one_label_a_class_and_no_data(method: str, model: object) -> None:
    mask = np.ones(SCENE.grid.shape, bool)
    mask[:20] = False
    scene = ArrayScene(SCENE.data, mask)
    labels = marks(np.where(mask, TRUTH, 0), 1, 3)
    result = Segmenter(model, method=method).fit(scene, labels).predict(scene)  # type: ignore[arg-type]
    assert (result.classes[:20] == 0).all()
    assert (result.confidence[:20] == 0).all()
    assert set(np.unique(result.classes[20:])) == {1, 2, 3}
    assert np.isfinite(result.confidence).all()


@pytest.mark.parametrize("method", ["auto", "vote", "logistic"])
def test_a_pixel_marked_often_does_not_drown_the_others(method: str) -> None:
    """One class with 1 label, another with 300: classes are balanced."""
    two = np.where(TRUTH == 3, 2, TRUTH)
    rng = np.random.default_rng(0)
    flat = np.concatenate([np.flatnonzero(two == 1)[1000:1001], rng.permutation(np.flatnonzero(two == 2))[:300]])
    labels = LabelledPixels.from_arrays(flat // two.shape[1], flat % two.shape[1], two.ravel()[flat])
    result = Segmenter(None, method=method).fit(SCENE, labels).predict(SCENE)  # type: ignore[arg-type]
    assert (result.classes == two)[two == 1].mean() > 0.8
    assert (result.classes == two)[two == 2].mean() > 0.8


def test_abstaining_leaves_the_doubtful_undecided() -> None:
    labels = marks(TRUTH, 3, 1)
    all_of_it = Segmenter(MODEL).fit(SCENE, labels).predict(SCENE)
    sure = Segmenter(MODEL, abstain=0.8).fit(SCENE, labels).predict(SCENE)
    np.testing.assert_array_equal(sure.classes, np.where(all_of_it.confidence >= 0.8, all_of_it.classes, 0))
    np.testing.assert_array_equal(sure.confidence, all_of_it.confidence)
    assert 0 < (sure.classes == 0).mean() < 1


@pytest.mark.parametrize("abstain", [0.0, 0.8])
@pytest.mark.parametrize("method", METHODS)
def test_classes_alone_are_those_of_the_whole_answer(method: str, abstain: float) -> None:
    mask = np.ones(SCENE.grid.shape, bool)
    mask[:20, :33] = False
    scene, labels, window = ArrayScene(SCENE.data, mask), marks(np.where(mask, TRUTH, 0), 3, 1), Window(7, 5, 60, 51)
    seg = Segmenter(MODEL, method=method, abstain=abstain, check_labels=False).fit(scene, labels)  # type: ignore[arg-type]
    quick = [seg.classify(scene), seg.classify(scene, window)]
    for (classes, valid), result in zip(quick, [seg.predict(scene), seg.predict(scene, window)], strict=True):
        np.testing.assert_array_equal(classes, result.classes)
        np.testing.assert_array_equal(valid, result.valid)
    with pytest.raises(RasterError, match="reaches past"):
        seg.classify(scene, Window(0, 0, 1, 10_000))


def test_labels_may_be_checked_only_when_somebody_asks() -> None:
    scene, truth = world(11, 512, 256)
    right = marks(np.where(truth == 2, 0, truth), 30, 5)
    wrong = right.classes.copy()
    wrong[7] = 4 - wrong[7]
    legend = Legend(tuple(entry for entry in LEGEND if entry.id != 2))
    labels = LabelledPixels(right.rows, right.cols, wrong, legend)
    with pytest.warns(UserWarning, match="contradict"):
        at_once = Segmenter(None).fit(scene, labels)
    later = Segmenter(None, check_labels=False).fit(scene, labels)  # a warning would be an error
    np.testing.assert_array_equal(later.predict(scene).confidence, at_once.predict(scene).confidence)
    assert later.suspect_labels == at_once.suspect_labels != ()


def test_classes_that_are_the_same_and_a_wrong_label_are_named() -> None:
    scene, truth = world(11, 512, 256)
    rng = np.random.default_rng(2)
    same = np.where(truth == 3, np.where(rng.random(truth.shape) < 0.5, 3, 2), np.where(truth == 2, 1, truth))
    with pytest.warns(UserWarning, match="classes 'middle' and 'light' cannot be told apart.*merge classes") as caught:
        seg = Segmenter(None).fit(scene, marks(same, 40, 4))
    assert len(caught) == 1
    assert [c.kind for c in seg.suspect_labels] == ["classes"]
    right = marks(np.where(truth == 2, 0, truth), 30, 5)
    wrong = right.classes.copy()
    wrong[7] = 4 - wrong[7]
    legend = Legend(tuple(entry for entry in LEGEND if entry.id != 2))
    with pytest.warns(UserWarning, match="label 7 is marked"):
        seg = Segmenter(None).fit(scene, LabelledPixels(right.rows, right.cols, wrong, legend))
    assert [c.index for c in seg.suspect_labels] == [7]
    assert Segmenter(None).fit(scene, LabelledPixels(right.rows, right.cols, right.classes, legend)).suspect_labels == ()


@pytest.mark.parametrize("method", ["auto", "nearest"])
def test_suggestions_are_new_valid_spread_and_repeatable(method: str) -> None:
    mask = np.ones(SCENE.grid.shape, bool)
    mask[:, :30] = False
    scene, labels = ArrayScene(SCENE.data, mask), marks(np.where(mask, TRUTH, 0), 3, 1)
    seg = Segmenter(MODEL, method=method).fit(scene, labels)  # type: ignore[arg-type]
    suggestions = seg.suggest(scene, 8)
    assert suggestions == Segmenter(MODEL, method=method).fit(scene, labels).suggest(scene, 8)  # type: ignore[arg-type]
    places = {(s.row, s.col) for s in suggestions}
    assert len(places) == 8
    assert not places & set(zip(labels.rows.tolist(), labels.cols.tolist(), strict=True))
    assert all(mask[place] for place in places)
    if method == "auto":  # the nearest reference of an untrained model is in doubt everywhere
        assert np.mean([s.doubt for s in suggestions]) > 1 - seg.predict(scene).confidence[mask].mean()
    with pytest.raises(InputError, match="k is 0"):
        seg.suggest(scene, 0)


def test_an_image_smaller_than_what_is_asked_for() -> None:
    scene = ArrayScene(np.array([[[0, 200, 100]]], np.uint8))
    seg = Segmenter(None).fit(scene, LabelledPixels.from_arrays([0, 0], [0, 1], [1, 2]))
    assert seg.predict(scene).classes[0, :2].tolist() == [1, 2]
    assert [(s.row, s.col) for s in seg.suggest(scene, 5)] == [(0, 2)]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_pixels_in_another_file_get_the_same_map(method: str) -> None:
    """What decides is what pixels look like, not which file they were read from; also for what is known of marked images alone."""
    fitted = Segmenter(MODEL, method=method).fit(SCENE, marks(TRUTH, 3, 1))  # type: ignore[arg-type]
    twin = ArrayScene(SCENE.data.astype(np.float32), bands=SCENE.bands, name="twin")
    assert twin.fingerprint != SCENE.fingerprint
    np.testing.assert_array_equal(fitted.predict(twin).confidence, fitted.predict(SCENE).confidence)


def test_another_date_is_no_copy() -> None:
    """Marks stay where they were made, and the bands have no say where one of the marked pixels looks different."""
    labels = marks(TRUTH, 3, 1)
    fitted = Segmenter(MODEL).fit(SCENE, labels)
    data = SCENE.data.copy()
    data[:, labels.rows[0], labels.cols[0]] += 1
    other = ArrayScene(data, bands=SCENE.bands, name="other date")
    assert fitted.predict(SCENE).confidence[labels.rows, labels.cols].min() == 1
    assert fitted.predict(other).confidence[labels.rows, labels.cols].min() < 1
    smaller = ArrayScene(SCENE.data[:, :8, :8], bands=SCENE.bands, name="part")
    assert fitted.predict(smaller).confidence.max() < 1


@pytest.mark.filterwarnings("ignore:labels contradict each other")
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(2, 40), abstain=st.sampled_from([0.0, 0.99]))
def test_every_labelled_pixel_keeps_its_label(seed: int, count: int, abstain: float) -> None:
    """Also one that its surroundings contradict, and one that is too doubtful to be shown; with saved references as with labels."""
    rng = np.random.default_rng(seed)
    rows, cols = np.divmod(rng.choice(TRUTH.size, count, replace=False), TRUTH.shape[1])
    labels = LabelledPixels.from_arrays(rows, cols, np.append([1, 2], rng.integers(1, 4, count - 2)))
    fitted = Segmenter(MODEL, abstain=abstain).fit(SCENE, labels)
    loaded = Segmenter(MODEL, abstain=abstain)
    loaded.references = fitted.references
    window = Window(int(rows[0]), 0, 1, TRUTH.shape[1])
    for segmenter in (fitted, loaded):
        result = segmenter.predict(SCENE)
        np.testing.assert_array_equal(result.classes[labels.rows, labels.cols], labels.classes)
        np.testing.assert_array_equal(result.confidence[labels.rows, labels.cols], 1)
        np.testing.assert_array_equal(segmenter.predict(SCENE, window).classes, result.classes[rows[0]][None])
        np.testing.assert_array_equal(segmenter.classify(SCENE)[0], result.classes)


@pytest.mark.parametrize("places", [1, 4])
@pytest.mark.parametrize("known", ["here", "transferred"])
def test_auto_is_the_geometric_mean_that_is_documented(known: str, places: int) -> None:
    """Of the vote, and of Gaussian process classifiers by their whole kernel matrices, with the weights of docs/methods.md."""
    side = -(-max(TRUTH.shape) // 8)
    labels = marks(TRUTH if places > 1 else np.where(np.add(*np.indices(TRUTH.shape)) < side, TRUTH, 0), 6, 3)
    classical = ["encoder", "bands"]
    references = Segmenter(MODEL, features=classical, check_labels=False).fit(SCENE, labels).references
    ids, bands = [1, 2, 3], 5 * len(SCENE.bands)
    centre, scale = background(references)
    asked = LabelledPixels(
        *(np.random.default_rng(1).integers(0, size, 50) for size in TRUTH.shape), np.resize([1, 2, 3], 50).astype(np.uint8), LEGEND
    )  # type: ignore[arg-type]
    unknown = Segmenter(MODEL, features=classical, check_labels=False).fit(SCENE, asked).references
    z, q = ((some.features.double().numpy() - centre) / scale for some in (references, unknown))
    at, there = (some.origins[:, 2:].double().numpy() for some in (references, unknown))

    def line(columns: slice, variance: float) -> tuple[np.ndarray, np.ndarray]:
        return variance * z[:, columns] @ z[:, columns].T, variance * q[:, columns] @ z[:, columns].T

    def gaussian(one: np.ndarray, other: np.ndarray, squared_width: float) -> np.ndarray:
        return 4 * np.exp(-cdist(one, other, "sqeuclidean") / squared_width)

    def process(*kernels: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        among, towards = (np.sum(parts, axis=0) for parts in zip(*kernels, strict=True))
        values, vectors = np.linalg.eigh(among + 4 * 2**-11.5 * np.eye(len(among)) * any(np.allclose(np.diag(k), 4) for k, _ in kernels))
        kept = values > 1e-10
        root = vectors[:, kept] / np.sqrt(values[kept])
        regression = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000, tol=1e-8)
        return regression.fit(among @ root, references.classes).predict_proba(towards @ root)

    learned, of_bands = line(slice(0, -bands), 0.03), line(slice(-bands, None), 0.03)
    near = tuple(gaussian(x, at, 2 * (np.ceil(max(TRUTH.shape) / 8) / 4) ** 2) for x in (at, there))
    like = tuple(gaussian(x[:, -bands:], z[:, -bands:], 0.5 * bands) for x in (z, q))
    joint = process(learned, near) if known == "transferred" else process(learned, of_bands, near)
    curved = process(like, near)  # type: ignore[arg-type]
    features = unknown.features.T.contiguous()
    vote = fit(references, ids, "vote").probabilities(features).T.double().numpy()
    assert places == min(
        len(np.unique(np.stack([labels.rows // side, labels.cols // side])[:, labels.classes == i], axis=1).T) for i in ids
    )
    regressing = places**2 / (places**2 + 4**2)
    seen = regressing / 2
    expected = vote ** ((1 - seen) * (1 - regressing)) * joint ** ((1 - seen) * regressing) * curved**seen
    expected /= expected.sum(axis=1, keepdims=True)
    learner = fit(references, ids, "auto", known)  # type: ignore[arg-type]
    assert learner.spatial is not None
    found = learner.probabilities(features, learner.spatial.at(unknown.origins[:, [0, 2, 3]].numpy())).T.numpy()
    np.testing.assert_allclose(found, expected, atol=5e-3)
    field = learner.spatial.field(np.arange(TRUTH.shape[0]), np.arange(TRUTH.shape[1]))
    np.testing.assert_allclose(learner.spatial.at(unknown.origins[:, [0, 2, 3]].numpy()), field[:, asked.rows, asked.cols], atol=1e-4)


def test_on_a_small_image_what_sees_all_of_it_has_no_say() -> None:
    """A field as wide as the image tells a pixel by its place on it: what was learned at one end then says nothing of the other."""
    image, truth = world(5, 60, 60)
    references = Segmenter(None, check_labels=False).fit(image, marks(truth, 6, 3)).references
    columns = references.columns
    term = fit(references, [1, 2, 3], "auto", "here").parts
    assert term is not None
    starts = columns.pretrained.start + np.cumsum((0, *columns.parts))
    asked = {int(start) for start, span in zip(starts, columns.spans, strict=False) if span < 60}
    assert {part.start for part in term.parts} == asked
    assert len(asked) == 3  # the pixels around, and two early blocks


def test_what_is_near_counts_on_the_marked_image_alone() -> None:
    labels = marks(TRUTH, 6, 3)
    other, truth = world(4)
    both = Segmenter(MODEL, check_labels=False).fit([SCENE, other], [labels, marks(truth, 6, 3)])
    learner = fit(both.references, [1, 2, 3], "auto")
    assert learner.spatial is not None
    for scene in (SCENE, other):
        number = int(both.references.origins[both.references.origins[:, 0] == scene_number(scene)][0, 0])
        near = learner.on({number}).spatial
        assert near is not None
        assert len(near.sites) == 18
        assert set(near.sites[:, 0].tolist()) == {number}
    far = fit(both.references, [1, 2, 3], "auto", "elsewhere")
    assert far.spatial is None
    assert far.spectral is None


@pytest.mark.parametrize("places", [1, 2, 4])
def test_auto_with_pretrained_features_is_the_process_that_is_documented(places: int) -> None:
    """By the whole kernel matrix: the mean of Gaussian kernels of the parts that see less than the image, and a tenth of one of the distance; beside the others where few places are labelled."""
    side = -(-max(TRUTH.shape) // 8)
    reach = {1: side, 2: 2 * side, 4: 10**6}[places]
    labels = marks(np.where(np.maximum(*np.indices(TRUTH.shape)) < reach, TRUTH, 0), 6, 3)
    references, unknown = (Segmenter(None, check_labels=False).fit(SCENE, some).references for some in (labels, marks(TRUTH, 15, 9)))
    ids, parts, of = [1, 2, 3], references.columns.parts, references.columns.pretrained
    z, q = (some.features[:, of].double().numpy() for some in (references, unknown))
    at, there = (some.origins[:, 2:].double().numpy() for some in (references, unknown))

    def kernel(one: np.ndarray, other: np.ndarray, here: np.ndarray, to: np.ndarray) -> np.ndarray:
        stops = np.cumsum(parts)
        alike = [
            np.exp(-2 * ((one[:, None, stop - n : stop] - other[None, :, stop - n : stop]) ** 2).mean(axis=2))
            for stop, n, span in zip(stops, parts, references.columns.spans, strict=True)
            if span < max(TRUTH.shape)
        ]
        return 4 * (np.mean(alike, axis=0) + 0.1 * np.exp(-cdist(here, to, "sqeuclidean") / (2 * (side / 4) ** 2)))

    values, vectors = np.linalg.eigh(kernel(z, z, at, at) + 4e-3 * np.eye(len(z)))
    root = vectors / np.sqrt(values)
    regression = LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000, tol=1e-8)
    expected = regression.fit(kernel(z, z, at, at) @ root, references.classes).predict_proba(kernel(q, z, there, at) @ root)
    found = fit(references, ids, "auto", "here")
    spread = min(len(np.unique(references.spatial_groups[references.classes == i])) for i in ids)
    sites = unknown.origins[:, [0, 2, 3]].numpy()
    if spread < 3:
        kept = np.arange(of.start)
        others = fit(replace(references, features=references.features[:, kept], background=references.background[:, :, kept],
                             columns=Columns(references.columns.groups[:-1])), ids, "auto", "here")  # fmt: skip
        beside = others.probabilities(unknown.features[:, kept].T.contiguous(), others.spatial.at(sites)).T.numpy()
        share = spread**2 / (spread**2 + 1)  # no class is labelled in more than eight
        expected = expected**share * beside ** (1 - share)
        expected /= expected.sum(axis=1, keepdims=True)
    near = found.spatial.at(sites)
    np.testing.assert_allclose(found.probabilities(unknown.features.T.contiguous(), near).T.numpy(), expected, atol=1e-2)
