"""The classical baselines: right where the answer is plain, honest about what they cannot do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pixelkin.errors import InputError, LabelError, ModelError, NotFittedError
from pixelkin.experiments.classical import CLASSICAL, FeatureCache, classical, patch_features, smooth
from pixelkin.scene import ArrayScene
from pixelkin.types import LabelledPixels


@pytest.fixture
def halves(rng: np.random.Generator) -> tuple[ArrayScene, np.ndarray]:
    """Two flat halves of three bands with a little noise; the truth is which half."""
    truth = np.ones((24, 30), np.uint8)
    truth[:, 15:] = 2
    data = np.where(truth == 1, 40, 160) + rng.normal(0, 4, (3, 24, 30))
    return ArrayScene(data.astype(np.float32)), truth


MARKS = LabelledPixels.from_arrays([4, 20, 5, 18], [3, 10, 22, 27], [1, 1, 2, 2])


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize("smoothing", [0.0, 3.0])
def test_plain_halves_are_told_apart(halves, name, smoothing):
    scene, truth = halves
    result = classical(name, smoothing=smoothing).fit(scene, MARKS).predict(scene)
    assert (result.classes == truth).mean() > 0.9
    assert result.valid.all()
    assert 0 <= result.confidence.min() <= result.confidence.max() <= 1


@pytest.mark.parametrize("name", CLASSICAL)
def test_pixels_without_data_stay_empty(halves, name):
    scene, _ = halves
    mask = np.ones((24, 30), np.bool_)
    mask[10:14, 5:25] = False
    data = np.where(mask, scene.data, np.float32(-9999))
    holed = ArrayScene(data, mask=mask)
    result = classical(name, smoothing=3).fit(holed, MARKS).predict(holed)
    np.testing.assert_array_equal(result.classes == 0, ~mask)
    np.testing.assert_array_equal(result.confidence[~mask], 0)
    assert result.classes[5, 3] == 1


def test_patch_features_are_the_neighbours_of_a_pixel():
    row, col = np.mgrid[:9, :11].astype(np.float32)
    values = patch_features(np.stack([row, col]))
    offsets = np.mgrid[-2:3, -2:3]
    np.testing.assert_array_equal(values[4, 6].reshape(2, 5, 5), offsets + np.array([4, 6])[:, None, None])
    np.testing.assert_array_equal(values[0, 0].reshape(2, 5, 5)[0, :, 0], [2, 1, 0, 1, 2])


def test_smoothing_is_a_gaussian_where_all_is_valid_and_ignores_what_is_not(rng):
    scores = rng.random((2, 20, 20)).astype(np.float32)
    valid = np.ones((20, 20), np.bool_)
    np.testing.assert_allclose(smooth(scores, valid, 3)[1], gaussian_filter(scores[1], 3, mode="reflect"), rtol=1e-5)
    valid[:, :8] = False
    ruined = scores.copy()
    ruined[:, :, :8] = 1e6
    np.testing.assert_array_equal(smooth(scores, valid, 3), smooth(ruined, valid, 3))


def test_a_shared_cache_changes_nothing(halves):
    scene, _ = halves
    cache = FeatureCache()
    alone = classical("extratrees-multiscale").fit(scene, MARKS).predict(scene)
    classical("svm-multiscale", cache=cache).fit(scene, MARKS)
    shared = classical("extratrees-multiscale", cache=cache).fit(scene, MARKS).predict(scene)
    np.testing.assert_array_equal(alone.confidence, shared.confidence)


def test_the_random_walker_refuses_another_image(halves):
    scene, _ = halves
    walker = classical("random-walker").fit(scene, MARKS)
    with pytest.raises(InputError, match=r"cannot map next.*references travel"):
        walker.predict(ArrayScene(scene.data + 1, name="next"))


@pytest.mark.parametrize("name", ["svm-bands", "random-walker"])
def test_errors_say_what_to_do(halves, name):
    scene, _ = halves
    with pytest.raises(NotFittedError, match=r"Call fit\(scene, labels\)"):
        classical(name).predict(scene)
    with pytest.raises(LabelError, match="expected at least two classes"):
        classical(name).fit(scene, MARKS.take(np.array([0, 1])))
    with pytest.raises(InputError, match=r"'forest'.*extratrees-bands"):
        classical("forest")


def test_other_bands_are_refused(halves):
    scene, _ = halves
    fitted = classical("extratrees-bands").fit(scene, MARKS)
    with pytest.raises(ModelError, match="Choose the same bands"):
        fitted.predict(ArrayScene(scene.data[:2]))
