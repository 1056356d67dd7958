"""The dense engine against Algorithm 2 as the paper writes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.networks import random_model

from pixelkin.features import collect, embed, stack_of
from pixelkin.scene import ArrayScene
from pixelkin.similarity import MutualInformation, literal, project, similarity_of
from pixelkin.types import LabelledPixels


def make_scene(height: int, width: int, seed: int, *, holes: bool = False) -> ArrayScene:
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) > 0.1 if holes else None
    return ArrayScene(rng.integers(0, 255, (3, height, width), dtype=np.uint8), mask)


def dense_distances(model, scene, labels, measure, *, absolute=True):
    similarity = MutualInformation(model, measure)
    prepared = similarity.prepare(collect(stack_of(model), scene, labels))
    projection = similarity.project(embed(model, scene, scene.grid.window))
    return similarity.distances(projection, prepared, absolute=absolute).numpy()


@pytest.mark.parametrize("critic", ["separable", "concatenated"])
@pytest.mark.parametrize("measure", ["local", "global"])
@settings(max_examples=12)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    patch_size=st.sampled_from([7, 9, 13]),
    holes=st.booleans(),
    seed=st.integers(0, 1000),
)
@example(shape=(1, 1), patch_size=7, holes=False, seed=0)
@example(shape=(3, 40), patch_size=13, holes=False, seed=1)
def test_dense_equals_the_double_loop(critic, measure, shape, patch_size, holes, seed):
    """Distances to 1e-4 relative and the same nearest label but for ties closer than that, labels at corners included."""
    model = random_model(patch_size=patch_size, critic=critic, seed=seed)
    scene = make_scene(*shape, seed, holes=holes)
    valid = np.argwhere(scene.read().valid)
    if not len(valid):
        return
    rng = np.random.default_rng(seed)
    corners = [p for p in ([0, 0], [0, shape[1] - 1], [shape[0] - 1, 0]) if scene.read().valid[tuple(p)]]
    labelled = np.unique(np.array([*corners, *rng.permutation(valid)[:3].tolist()]), axis=0)
    asked = rng.permutation(np.argwhere(np.ones(shape, bool)))[:6]
    labels = LabelledPixels.from_arrays(labelled[:, 0], labelled[:, 1], np.ones(len(labelled)))

    dense = dense_distances(model, scene, labels, measure)[:, asked[:, 0], asked[:, 1]]
    expected = literal.distances(model, scene, asked, labelled, measure)

    np.testing.assert_allclose(dense, expected, rtol=1e-4, atol=1e-5)
    chosen = expected[dense.argmin(0), np.arange(len(asked))]
    np.testing.assert_allclose(chosen, expected.min(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("critic", ["separable", "concatenated"])
@pytest.mark.parametrize("measure", ["local", "global"])
def test_a_labels_distances_do_not_depend_on_its_company(critic, measure):
    """Bit for bit: alone, in a scribble that shares positions, or among scattered points."""
    model = random_model(patch_size=13, critic=critic)
    scene = make_scene(48, 60, 5)
    scribble = [(20, col) for col in range(10, 40)]
    scattered = [(3, 4), (40, 50), (47, 59), (0, 0)]
    rows, cols = np.array(scribble + scattered).T
    labels = LabelledPixels.from_arrays(rows, cols, np.ones(len(rows)))
    together = dense_distances(model, scene, labels, measure, absolute=False)
    for i in (0, 1, 15, 29, 30, 33):
        alone = dense_distances(model, scene, labels.take(np.array([i])), measure, absolute=False)
        np.testing.assert_array_equal(alone[0], together[i])


def test_a_scribble_shares_positions():
    """40 neighbouring pixels at s = 13 have 40 x 81 window positions, of which a few hundred are distinct."""
    model = random_model(patch_size=13)
    scene = make_scene(30, 60, 2)
    labels = LabelledPixels.from_arrays(np.full(40, 15), np.arange(10, 50), np.ones(40))
    references = collect(stack_of(model), scene, labels)
    assert references.windows.numel() == 40 * 81
    # The scribble crosses two blocks of references; each adds at most its own overhang of 8 columns of 9 rows.
    assert len(references.c) <= (40 + 2 * 8) * 9


def test_the_absolute_score_adds_the_same_to_every_label():
    model = random_model()
    scene = make_scene(20, 20, 3)
    labels = LabelledPixels.from_arrays([2, 10], [3, 17], [1, 2])
    difference = dense_distances(model, scene, labels, "local") - dense_distances(model, scene, labels, "local", absolute=False)
    np.testing.assert_allclose(difference[0], difference[1], rtol=1e-4)
    assert (dense_distances(model, scene, labels, "local") < 0).all()


def test_extreme_scores_stay_finite():
    """The product under the logarithm cannot overflow, however sharp the critic and wide the window."""
    model = random_model(patch_size=15, sharp=6.0)
    scene = make_scene(20, 20, 4)
    labels = LabelledPixels.from_arrays([2, 10], [3, 17], [1, 2])
    distances = dense_distances(model, scene, labels, "local")
    assert np.isfinite(distances).all()
    expected = literal.distances(model, scene, np.array([[5, 5]]), np.array([[2, 3], [10, 17]]), "local")
    np.testing.assert_allclose(distances[:, 5, 5], expected[:, 0], rtol=1e-4)


def test_the_window_is_an_embedding_of_its_own_pixels():
    """Coordinate raster: the bands of a window's embedding are those of the pixels asked for, also past the edge."""
    row, col = np.mgrid[0:30, 0:25].astype(np.float32)
    scene = ArrayScene(np.stack([row, col, row * col]))
    model = random_model()
    from pixelkin.types import Window

    fields, embedding = stack_of(model).fields(scene, Window(4, 6, 10, 8)), embed(model, scene, Window(4, 6, 10, 8))
    back = fields.bands.numpy() * 60 + 120
    np.testing.assert_allclose(back[0], row[4:14, 6:14], atol=1e-4)
    np.testing.assert_allclose(back[1], col[4:14, 6:14], atol=1e-4)
    k = (model.patch_size - 4) // 2
    assert embedding.c.shape[1:] == (10 + 2 * k, 8 + 2 * k)
    assert embedding.s.shape[1:] == (10, 8)


@pytest.mark.parametrize("raw", [True, False])
def test_l1_is_the_sum_of_absolute_differences(raw):
    model = None if raw else random_model()
    scene = make_scene(12, 15, 6)
    labels = LabelledPixels.from_arrays([0, 11], [14, 3], [1, 2])
    references = collect(stack_of(model), scene, labels)
    similarity = similarity_of(model, "l1")
    projection, _ = project(similarity, model, scene, scene.grid.window)
    distances = similarity.distances(projection, similarity.prepare(references)).numpy()
    vectors = scene.data.astype(np.float32) if raw else embed(model, scene, scene.grid.window).s.numpy()
    for i, (r, c) in enumerate([(0, 14), (11, 3)]):
        np.testing.assert_allclose(distances[i], np.abs(vectors - vectors[:, r, c][:, None, None]).sum(0), rtol=1e-4, atol=1e-4)


def test_no_data_is_the_bands_centre_after_standardisation():
    """The documented fill: what lies under a mask does not matter."""
    model = random_model()
    scene = make_scene(20, 20, 7, holes=True)
    other = ArrayScene(np.where(scene.mask, scene.data, 251).astype(np.uint8), scene.mask)
    for left, right in zip(
        embed(model, scene, scene.grid.window).__dict__.values(),
        embed(model, other, other.grid.window).__dict__.values(),
        strict=True,
    ):
        np.testing.assert_array_equal(torch.as_tensor(left), torch.as_tensor(right))
