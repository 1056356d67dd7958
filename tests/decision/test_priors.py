"""Classes are taken for as common as an image shows them to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.networks import random_model

from pixelkin.decision import fit
from pixelkin.errors import InputError
from pixelkin.features import stack_of
from pixelkin.features.sample import sample
from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels, Legend, Window

MODEL = random_model()
LEGEND = Legend.from_names(["land", "pond"])


def ponds(seed: int) -> tuple[ArrayScene, np.ndarray]:
    """Two noisy classes that are hard to tell apart, the second on a tenth of the image."""
    rng = np.random.default_rng(seed)
    truth = np.where(np.kron(rng.random((16, 16)) < 0.1, np.ones((24, 24), bool)), 2, 1)
    return ArrayScene((100 + 20 * truth + rng.normal(0, 100, (3, *truth.shape))).clip(0, 255).astype(np.uint8)), truth


def marks(truth: np.ndarray, n: int, seed: int) -> LabelledPixels:
    rng = np.random.default_rng(seed)
    flat = np.concatenate([rng.permutation(np.flatnonzero(truth == k))[:n] for k in (1, 2)])
    return LabelledPixels.from_arrays(*np.divmod(flat, truth.shape[1]), truth.ravel()[flat], LEGEND)


SCENE, TRUTH = ponds(0)


@pytest.mark.parametrize("method", ["auto", "vote", "logistic"])
def test_probabilities_are_multiplied_by_what_they_are_on_average(method: str) -> None:
    """p_k w_k / sum p w, w being the mean of p_k over the image to the power p^2 / (p^2 + 16), p the places labelled, each an eighth of 384 pixels a side."""
    labels = marks(TRUTH, 12, 1)
    references = Segmenter(MODEL).fit(SCENE, labels).references
    learner = fit(references, [1, 2], method)  # type: ignore[arg-type]
    seen = sample(stack_of(MODEL), SCENE)
    places = min(len(np.unique(np.stack([labels.rows // 48, labels.cols // 48])[:, labels.classes == i], axis=1).T) for i in (1, 2))
    weight = places**2 / (places**2 + 16)
    before = learner.probabilities(seen).double().numpy()
    expected = before * before.mean(axis=1, keepdims=True) ** weight
    np.testing.assert_allclose(learner.proportioned(seen).probabilities(seen).numpy(), expected / expected.sum(axis=0), atol=1e-5)
    assert learner.proportioned(seen[:, :0]) is learner


@pytest.mark.parametrize("method", ["auto", "vote", "logistic"])
def test_a_class_that_is_rare_is_found_less_where_it_is_not(method: str) -> None:
    labels, (other, truth) = marks(TRUTH, 12, 1), ponds(1)
    image, equal = (Segmenter(None, method=method, priors=priors).fit(SCENE, labels) for priors in ("image", "equal"))  # type: ignore[arg-type]
    if method != "auto":
        # Where the marks are, they say what is wanted; the process on pretrained features, which is sure of little, asks the image there too.
        np.testing.assert_array_equal(image.predict(SCENE).confidence, equal.predict(SCENE).confidence)
    image, equal = image.predict(other), equal.predict(other)
    wrong = [((result.classes == 2) & (truth == 1)).sum() for result in (image, equal)]
    assert wrong[0] < 0.95 * wrong[1]
    assert "priors" in equal.provenance
    assert "priors" not in image.provenance


def test_an_unknown_prior_is_refused() -> None:
    with pytest.raises(InputError, match="priors is 'flat', expected 'image' or 'equal'"):
        Segmenter(None, priors="flat")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 1), (5, 700), (90, 31), (400, 300), (3000, 2000)])
def test_a_survey_is_spread_evenly_over_the_image(shape: tuple[int, int]) -> None:
    """On an image whose pixels say where they are."""
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    mask = (rows < shape[0] // 2) | (shape[0] < 10)
    found = sample(stack_of(None), ArrayScene(np.stack([rows, cols]), mask))[:2].T.numpy()
    assert 1 <= len(found) <= 1024
    assert len(np.unique(found, axis=0)) == len(found)
    assert mask[tuple(found.T.astype(int))].all()
    known = np.argwhere(mask)[:: max(1, int(mask.sum()) // 500)]
    furthest = np.sqrt(((known[:, None] - found[None]) ** 2).sum(axis=2)).min(axis=1).max()
    assert furthest <= 2 * np.sqrt(shape[0] * shape[1] / 64) + 32


def test_a_survey_sees_what_the_map_is_made_of() -> None:
    """Its features are those of the labelled pixels at the same places."""
    seen = sample(stack_of(MODEL), SCENE)
    rows, cols = (index.ravel() for index in np.mgrid[: SCENE.grid.height : 8, : SCENE.grid.width : 8])
    there = (
        Segmenter(MODEL).fit(SCENE, LabelledPixels(rows, cols, np.resize([1, 2], len(rows)).astype(np.uint8), LEGEND)).references.features
    )
    distance = torch.cdist(seen.T.contiguous(), there, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)
    assert distance.max() < 1e-3


def test_an_image_without_data_is_no_reason_to_fail() -> None:
    nothing = ArrayScene(SCENE.data, np.zeros(TRUTH.shape, bool))
    assert sample(stack_of(MODEL), nothing).shape[1] == 0
    result = Segmenter(MODEL).fit(SCENE, marks(TRUTH, 3, 1)).predict(nothing, Window(0, 0, 9, 9))
    assert not result.classes.any()
