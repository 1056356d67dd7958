"""A Segmenter among scikit-learn, numpy, xarray and notebooks."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn.base import clone

import pixelkin as pk
from pixelkin.errors import InputError, LabelError, NotFittedError, ShapeError
from pixelkin.features import stack_of
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels, Legend, Window
from tests.networks import random_model

MODEL = random_model()
TRUTH = np.kron(np.random.default_rng(0).integers(1, 4, (6, 8)), np.ones((15, 15), int))
DATA = (60 * TRUTH + np.random.default_rng(1).normal(0, 8, (3, *TRUTH.shape))).clip(0, 255).astype(np.uint8)
METHODS = ["auto", "vote", "logistic", "nearest"]


def mask(n: int, seed: int = 2) -> np.ndarray:
    """Class ids of n pixels a class, 0 elsewhere."""
    chosen = np.zeros(TRUTH.size, int)
    for k in (1, 2, 3):
        chosen[np.random.default_rng(seed).permutation(np.flatnonzero(k == TRUTH))[:n]] = k
    return chosen.reshape(TRUTH.shape)


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_come_classes_first_and_add_up(method: str) -> None:
    seg = Segmenter(MODEL, method=method).fit(DATA, mask(4))  # type: ignore[arg-type]
    probabilities, result = seg.predict_proba(DATA), seg.predict(DATA)
    assert probabilities.shape == (3, *TRUTH.shape)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)
    labelled = mask(4) > 0
    np.testing.assert_array_equal(probabilities[:, labelled], seg.classes_[:, None] == mask(4)[labelled])
    clear = np.sort(probabilities, axis=0)[-1] > np.sort(probabilities, axis=0)[-2] + 1e-4
    np.testing.assert_array_equal(seg.classes_[probabilities.argmax(axis=0)][clear], result.classes[clear])
    if method != "nearest":
        np.testing.assert_allclose(probabilities.max(axis=0), result.confidence, atol=1e-5)
    window = Window(20, 30, 40, 50)
    np.testing.assert_array_equal(seg.predict_proba(DATA, window), probabilities[:, 20:60, 30:80])


def test_probabilities_are_nothing_where_there_is_no_data() -> None:
    holes = DATA.astype(np.float32)
    holes[:, :10] = np.nan
    assert not Segmenter(None).fit(DATA, mask(4)).predict_proba(holes)[:, :10].any()


def test_it_is_cloned_and_its_parameters_are_what_was_given() -> None:
    seg = Segmenter(MODEL, method="vote", abstain=0.3).fit(DATA, mask(3))
    assert seg.get_params()["model"] is MODEL
    assert (seg.get_params()["method"], seg.get_params()["measure"]) == ("vote", None)
    twin = clone(seg)
    assert twin.get_params() == seg.get_params()
    with pytest.raises(NotFittedError):
        twin.predict(DATA)
    assert repr(Segmenter(abstain=0.3)) == "Segmenter(abstain=0.3)"
    assert "method='vote'" in repr(seg)
    changed = seg.set_params(method="logistic")
    assert changed is seg
    np.testing.assert_array_equal(
        seg.fit(DATA, mask(3)).predict(DATA).classes,
        Segmenter(MODEL, method="logistic", abstain=0.3).fit(DATA, mask(3)).predict(DATA).classes,
    )
    with pytest.raises(InputError, match=r"no parameter 'colour'"):
        seg.set_params(colour=1)
    with pytest.raises(InputError, match="abstain"):
        seg.set_params(abstain=2)
    assert seg.abstain == 0.3


def test_score_is_the_share_of_labels_that_the_map_has() -> None:
    seg = Segmenter(None).fit(DATA, mask(4))
    held_out = mask(20, seed=7)
    found = seg.predict(DATA).classes
    assert seg.score(DATA, held_out) == pytest.approx((found == held_out)[held_out > 0].mean())
    # By name, whatever their numbers.
    named = LabelledPixels.from_arrays([3, 20], [4, 30], [2, 1], Legend.from_names(["2", "1"]))
    assert seg.score(DATA, named) == np.mean([found[3, 4] == 1, found[20, 30] == 2])


def test_features_of_every_pixel_are_those_of_the_learner() -> None:
    seg = Segmenter(MODEL)
    scene = pk.ArrayScene(DATA)
    features = seg.transform(DATA, Window(10, 20, 30, 40))
    assert features.shape == (len(seg.features.columns(scene)), 30, 40)
    np.testing.assert_allclose(features, stack_of(MODEL).fields(scene, scene.grid.window).features[:, 10:40, 20:60], rtol=1e-4, atol=1e-4)


def test_arrays_and_data_arrays_go_through_every_door() -> None:
    array = xr.DataArray(DATA, dims=("band", "y", "x"), coords={"y": np.arange(90.0, 0, -1), "x": np.arange(120.0)})
    expected = Segmenter(None).fit(pk.ArrayScene(DATA), LabelledPixels.from_mask(mask(3))).predict(pk.ArrayScene(DATA))
    for image, labels in ((DATA, mask(3)), (array, mask(3)), (array, xr.DataArray(mask(3), dims=("y", "x")))):
        seg = Segmenter(None).fit(image, labels)
        np.testing.assert_array_equal(seg.predict(image).classes, expected.classes)
        np.testing.assert_array_equal(seg.classify(image)[0], expected.classes)
        assert len(seg.suggest(image, 3)) == 3
        assert seg.coverage(image).warning is None
    both = Segmenter(None).fit([DATA, DATA[:, ::-1].copy()], [mask(2), mask(2)[::-1]])
    assert len(both.references) == 12


@pytest.mark.parametrize(
    ("image", "labels", "error", "said"),
    [
        (DATA.transpose(1, 2, 0), mask(2), ShapeError, r"3 bands that come last.*transpose\(2, 0, 1\)"),
        (DATA[0], mask(2), ShapeError, r"data\[None\]"),
        (DATA, mask(2)[:-1], ShapeError, r"mask of labels has shape \(89, 120\), expected \(90, 120\)"),
        (DATA, mask(2) * 0.5, LabelError, "class ids"),
        (DATA, mask(2) > 0, LabelError, "class ids"),
        (DATA, [mask(2), mask(2)], LabelError, "2 sets of labels for 1 images"),
        ("scene.tif", mask(2), InputError, r"open_scene"),
    ],
)
def test_what_is_no_image_or_no_label_is_refused(image: object, labels: object, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Segmenter(None).fit(image, labels)


def test_many_bands_of_few_columns_are_named_to_be_believed() -> None:
    odd = np.random.default_rng(0).random((40, 30, 8)).astype(np.float32)
    with pytest.raises(ShapeError):
        pk.ArrayScene(odd)
    assert pk.ArrayScene(odd, bands=tuple(f"b{i}" for i in range(40))).grid.shape == (30, 8)


def test_a_map_shows_itself(tmp_path: object) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    result = Segmenter(None).fit(DATA, LabelledPixels.from_mask(mask(3), Legend.from_names(["water", "<land>", "rock"]))).predict(DATA)
    axes = result.plot()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["water", "<land>", "rock"]
    drawn = axes.images[0].get_array()
    colours = np.array([(0, 0, 0), *(entry.color for entry in result.legend)])
    np.testing.assert_array_equal(np.asarray(drawn)[..., :3], colours[result.classes])
    html = result._repr_html_()
    assert "&lt;land&gt;" in html
    assert f"{(result.classes == 1).mean():.1%}" in html
    np.testing.assert_array_equal(result.to_xarray()["classes"].values, result.classes)


def test_what_is_kept_of_images_is_bounded_however_many_are_mapped() -> None:
    seg = Segmenter(None, cache_bytes=1 << 20).fit(DATA, mask(2))
    training = seg._training
    rng = np.random.default_rng(0)
    for _ in range(150):
        seg.predict(rng.integers(0, 255, (3, 12, 12)).astype(np.uint8))
    assert training is not None
    assert len(training.asked) <= 64
    assert len(training.memo) < 10


def test_a_model_gives_its_features_without_labels_for_arrays_and_data_arrays() -> None:
    """Those that a Segmenter learns from, of a part as of the whole."""
    found = MODEL.transform(DATA)
    width = MODEL.config.z_dim + MODEL.config.widths[1]
    assert found.shape == (width, *TRUTH.shape)
    np.testing.assert_allclose(found, Segmenter(MODEL, features=["encoder"]).transform(DATA)[:width], atol=1e-4)
    np.testing.assert_allclose(MODEL.transform(DATA, Window(10, 20, 30, 40)), found[:, 10:40, 20:60], atol=1e-4)
    there = xr.DataArray(DATA, dims=("band", "y", "x"), coords={"y": -np.arange(len(DATA[0])) * 10.0, "x": np.arange(DATA.shape[2]) * 10.0})
    np.testing.assert_array_equal(MODEL.transform(there), found)
    with pytest.raises(pk.PkError, match="reaches past"):
        MODEL.transform(DATA, Window(0, 0, 1000, 4))
    assert "patch_size" in repr(MODEL)
