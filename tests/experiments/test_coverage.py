"""Coverage: numbers against a plain count, and a warning exactly where an image is foreign."""

from __future__ import annotations

import numpy as np
import pytest
from tests.networks import random_model

from pixelkin.coverage import USUAL, coverage, coverage_limit, measure_coverage, nearest_distances, with_limit
from pixelkin.errors import InputError, NotFittedError, RasterError
from pixelkin.features import References
from pixelkin.scene import ArrayScene
from pixelkin.segmenter import Segmenter
from pixelkin.similarity import literal
from pixelkin.types import LabelledPixels


def test_the_limit_is_kept_by_the_usual_share(rng):
    distances = rng.random(10_000)
    limit = coverage_limit(distances)
    found = coverage(distances, limit)
    assert found.foreign == pytest.approx(1 - USUAL, abs=1e-3)
    assert found.warning is None


def test_pixels_without_data_do_not_count():
    near = np.array([[1.0, np.nan], [3.0, 5.0]])
    found = coverage(near, 2.0, "June")
    assert (found.foreign, found.median, found.pixels) == (pytest.approx(2 / 3), 3.0, 3)
    assert found.warning is not None
    assert found.warning.startswith("67 % of June is further")
    with pytest.raises(RasterError, match=r"no pixel of June has data"):
        coverage(np.full(3, np.nan), 2.0, "June")
    with pytest.raises(InputError, match=r"labelled image has data"):
        coverage_limit([])


def test_an_image_of_other_colours_is_foreign_and_the_same_image_is_not(rng):
    data = rng.normal(100, 5, (3, 40, 50)).astype(np.float32)
    data[:, :, 25:] += 60
    here = ArrayScene(data, name="here")
    elsewhere = data.copy()
    elsewhere[:, 20:] = 500
    labels = LabelledPixels.from_arrays([3, 30, 5, 20], [4, 9, 30, 44], [1, 1, 2, 2])
    seg = Segmenter(None, measure="l1").fit(here, labels)
    same, other = measure_coverage(seg, here, [here, ArrayScene(elsewhere, name="elsewhere")])
    assert same.warning is None
    assert other.foreign == pytest.approx(0.5, abs=0.01)
    assert other.warning is not None
    assert "elsewhere" in other.warning


@pytest.mark.parametrize("measure", ["local", "global"])
def test_distances_are_those_of_the_literal_algorithm(rng, measure):
    model = random_model()
    scene = ArrayScene(rng.normal(120, 60, (3, 12, 14)).astype(np.float32), bands=model.bands)
    seg = Segmenter(model, measure=measure).fit(scene, LabelledPixels.from_arrays([2, 8], [3, 11], [1, 2]))
    found = nearest_distances(seg, scene).reshape(12, 14)
    pixels = np.array([[0, 0], [5, 7], [11, 13]])
    expected = literal.distances(model, scene, pixels, np.array([[2, 3], [8, 11]]), measure).min(axis=0)
    positions = model.config.positions if measure == "local" else 1
    np.testing.assert_allclose(found[pixels[:, 0], pixels[:, 1]], expected / positions, rtol=2e-4)


def test_no_data_is_nan_and_no_labels_is_an_error(rng):
    data = rng.normal(0, 1, (2, 6, 5)).astype(np.float32)
    data[0, 1, 2] = np.nan
    scene = ArrayScene(data)
    with pytest.raises(NotFittedError):
        nearest_distances(Segmenter(None), scene)
    seg = Segmenter(None).fit(scene, LabelledPixels.from_arrays([0, 5], [0, 4], [1, 2]))
    found = nearest_distances(seg, scene).reshape(6, 5)
    np.testing.assert_array_equal(np.argwhere(np.isnan(found)), [[1, 2]])


def test_a_large_image_is_looked_at_in_some_blocks(rng):
    scene = ArrayScene(rng.normal(0, 1, (1, 600, 600)).astype(np.float32))
    seg = Segmenter(None).fit(scene, LabelledPixels.from_arrays([0, 5], [0, 4], [1, 2]))
    assert len(nearest_distances(seg, scene, blocks=2)) == 256 * 256 + 88 * 88
    assert len(nearest_distances(seg, scene, blocks=None)) == 600 * 600


def test_the_limit_travels_with_the_references(rng, tmp_path):
    here = ArrayScene(rng.normal(100, 5, (3, 40, 50)).astype(np.float32), name="here")
    seg = Segmenter(None, measure="l1").fit(here, LabelledPixels.from_arrays([3, 30], [4, 9], [1, 2]))
    with pytest.raises(InputError, match=r"do not say what their image shows.*with_limit"):
        measure_coverage(seg, None, here)
    saved = with_limit(seg, here).save(tmp_path / "references.safetensors")
    elsewhere = Segmenter(None, measure="l1")
    elsewhere.references = References.load(saved)
    assert measure_coverage(elsewhere, None, here) == measure_coverage(seg, here, here)
    # More references keep a limit that holds, fewer have none.
    references = elsewhere.references
    assert references.merge(references).limit == references.limit
    assert references.merge(seg.references).limit is None
    assert references.take([0]).limit is None
    assert references.hash == seg.references.hash
