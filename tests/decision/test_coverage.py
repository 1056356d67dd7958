"""What labels cover is judged by what the map is made with, and a foreign image is not mapped with confidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from tests.networks import random_model

from pixelkin.decision import WARN, Coverage, background, coverage
from pixelkin.features import References
from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels, Window

MODEL = random_model()
SIDE = 160
TRUTH = np.kron(np.random.default_rng(0).integers(1, 4, (10, 10)), np.ones((16, 16), int))


def image(name: str, *, shift: tuple[float, float] = (0, 0), foreign: float = 0, crs: str | None = None, seed: int = 0) -> ArrayScene:
    """Two bands of three brightnesses and one that says nothing; the lower part, of this share, is something that is nowhere else."""
    levels = np.stack([40.0 * TRUTH + shift[0], 40.0 * TRUTH + shift[0], np.full(TRUTH.shape, 100.0 + shift[1])])
    data = levels + np.random.default_rng(seed).normal(0, 5, (3, SIDE, SIDE))
    data[:, SIDE - round(foreign * SIDE) :] = 250
    return ArrayScene(data.astype(np.float32), name=name, crs=crs)


def labels(n: int, seed: int = 1) -> LabelledPixels:
    rng = np.random.default_rng(seed)
    flat = np.concatenate([rng.permutation(np.flatnonzero(k == TRUTH))[:n] for k in (1, 2, 3)])
    return LabelledPixels.from_arrays(flat // SIDE, flat % SIDE, TRUTH.ravel()[flat])


HERE = image("here")


@pytest.mark.parametrize("method", ["auto", "vote", "logistic"])
@pytest.mark.parametrize("model", [None, MODEL], ids=["raw", "model"])
def test_share_of_an_image_that_is_like_nothing_labelled(model: object, method: str) -> None:
    seg = Segmenter(model, method=method).fit(HERE, labels(5))  # type: ignore[arg-type]
    assert seg.coverage(HERE).foreign < WARN
    assert seg.coverage(image("alike", seed=3)).warning is None
    for share in (0.25, 0.75, 1.0):
        found = seg.coverage(image("other", foreign=share))
        assert found.foreign == pytest.approx(share, abs=0.06)
        assert found.warning is not None
        assert "of other is further from every label" in found.warning


def test_a_warning_names_no_distance_to_labels_without_data() -> None:
    found = Coverage("2020-01-13", limit=1.0, foreign=1.0, median=float("inf"), pixels=100).warning
    assert found is not None
    assert "100 % of 2020-01-13" in found
    assert "inf" not in found


def test_distances_are_of_the_features_that_the_vote_looks_at() -> None:
    seg = Segmenter(None).fit(HERE, labels(4))
    references = seg.references
    centre, scale = background(references)
    points = ((references.features.double().numpy() - centre) / scale)[:, :3]
    other = image("other", shift=(20, 0))
    asked = (other.data[:, ::8, ::8].reshape(3, -1).T - centre[:3]) / scale[:3]
    expected = np.sqrt(cdist(asked, points, "sqeuclidean").min(axis=1) / 3)
    found = seg.coverage(other)
    assert found.median == pytest.approx(np.median(expected), rel=1e-3)
    assert found.foreign == pytest.approx((expected > found.limit).mean(), abs=0.01)


def test_confidence_falls_to_a_guess_as_an_image_becomes_foreign() -> None:
    seg = Segmenter(MODEL).fit(HERE, labels(10))
    means = [seg.predict(image("other", foreign=share)).confidence[:8].mean() for share in (0, 0.4, 0.7, 1)]
    assert np.all(np.diff(means[:3]) < -0.1)
    gone = seg.predict(image("other", foreign=1)).confidence
    assert gone.max() < 0.45  # three classes
    # A share below that of a warning costs nothing, and neither do labels of its own.
    assert seg.predict(HERE).confidence.max() == 1
    foreign = image("other", foreign=1)
    assert seg.add(foreign, LabelledPixels.from_arrays([5], [5], [1])).predict(foreign).confidence[80:].max() > 0.45


def test_probabilities_follow_and_blocks_stay_one() -> None:
    seg = Segmenter(MODEL).fit(HERE, labels(6))
    half = image("half", foreign=0.5)
    probabilities, result = seg.predict_proba(half), seg.predict(half)
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(probabilities.max(axis=0), result.confidence, atol=1e-5)
    part = Segmenter(MODEL, workers=1).fit(HERE, labels(6)).predict(half, Window(20, 30, 40, 50))
    np.testing.assert_array_equal(part.confidence, result.confidence[20:60, 30:80])


def test_another_date_is_covered_by_its_own_features_at_labelled_sites() -> None:
    first = image("first", crs="EPSG:32631")
    hazy = image("hazy", shift=(0, 60), crs="EPSG:32631", seed=5)
    assert Segmenter(None).fit(first, labels(6)).coverage(hazy).foreign < WARN
    assert Segmenter(None, label_transfer=False).fit(first, labels(6)).coverage(hazy).foreign == 1


def test_a_site_that_became_something_else_covers_nothing() -> None:
    first = image("first", crs="EPSG:32631")
    flooded = image("flooded", foreign=0.4, crs="EPSG:32631", seed=5)
    assert Segmenter(None).fit(first, labels(6)).coverage(flooded).foreign == pytest.approx(0.4, abs=0.06)


def test_references_from_a_file_judge_the_same(tmp_path: Path) -> None:
    other = image("other", foreign=0.5)
    seg = Segmenter(MODEL).fit(HERE, labels(5))
    again = Segmenter(MODEL)
    again.references = References.load(seg.references.save(tmp_path / "r.safetensors"))
    assert again.coverage(other) == seg.coverage(other)
    np.testing.assert_array_equal(again.predict(other).confidence, seg.predict(other).confidence)


def test_scores_of_mutual_information_are_not_told_as_distances() -> None:
    assert "-" not in (coverage([-0.1, -0.2, -3.0], -0.5, "June").warning or "-")
    assert "median distance 2" in (coverage([1.0, 2.0, 3.0], 0.5).warning or "")
