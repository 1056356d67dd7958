from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import uniform_filter

from pixelkin.decision.smoothing import RADIUS, REACH, RIDGE, STRIDE, Guide, filtered, thin, together


def smooth(probabilities: torch.Tensor, guide: Guide) -> torch.Tensor:
    """Filtered probabilities of all pixels, adding up to 1."""
    out = filtered(probabilities, guide)
    return together(out / out.sum(dim=0), guide.shape)


def reference(probabilities: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """The fast guided filter as the papers write it, in float64, with scipy's means and numpy's solver."""

    def mean(a: np.ndarray) -> np.ndarray:
        return uniform_filter(a, (2 * RADIUS + 1, 2 * RADIUS + 1) + (0,) * (a.ndim - 2))

    full = guide.transpose(1, 2, 0)[REACH:-REACH, REACH:-REACH]
    image, scores = guide.transpose(1, 2, 0)[::STRIDE, ::STRIDE], probabilities.transpose(1, 2, 0)[::STRIDE, ::STRIDE]
    b = image.shape[2]
    covariance = mean(image[..., :, None] * image[..., None, :]) - mean(image)[..., :, None] * mean(image)[..., None, :]
    shared = mean(image[..., :, None] * scores[..., None, :]) - mean(image)[..., :, None] * mean(scores)[..., None, :]
    slope = np.linalg.solve(covariance + RIDGE * np.eye(b), shared)
    level = mean(scores) - (slope * mean(image)[..., None]).sum(axis=-2)
    # Pixel (row, col) of the block takes the function of the thinned pixel at or before it.
    rows, cols = (REACH + np.arange(full.shape[0])) // STRIDE, (REACH + np.arange(full.shape[1])) // STRIDE
    slope, level = mean(slope)[rows][:, cols], mean(level)[rows][:, cols]
    out = ((slope * full[..., None]).sum(axis=-2) + level).clip(1e-6)
    return (out / out.sum(axis=-1, keepdims=True)).transpose(2, 0, 1)


def softmax_of(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum(axis=0)


def test_equals_the_guided_filter_of_the_paper(rng: np.random.Generator) -> None:
    bands, probabilities = rng.normal(size=(3, 50, 57)), softmax_of(rng.normal(size=(4, 50, 57)))
    guide = Guide.of(torch.from_numpy(bands), torch.ones(50, 57, dtype=torch.bool))
    np.testing.assert_allclose(smooth(thin(torch.from_numpy(probabilities)), guide), reference(probabilities, bands), atol=1e-9)


def test_noise_goes_and_an_edge_stays(rng: np.random.Generator) -> None:
    side = 60 + 2 * REACH
    right = np.arange(side)[None, :] >= side // 2
    truth = np.broadcast_to(right, (side, side))
    chance = np.where(truth, 0.65, 0.35) + rng.uniform(-0.5, 0.5, truth.shape)
    bands = np.where(truth, 1.0, -1.0)[None] + 0.01 * rng.normal(size=(1, side, side))
    guide = Guide.of(torch.from_numpy(bands), torch.ones(side, side, dtype=torch.bool))
    smoothed = smooth(thin(torch.from_numpy(np.stack([1 - chance, chance]))), guide)
    inner = slice(REACH, -REACH)
    assert (chance[inner, inner] > 0.5).astype(int).ravel().tolist() != truth[inner, inner].astype(int).ravel().tolist()
    np.testing.assert_array_equal(smoothed.argmax(0).numpy(), truth[inner, inner])


def test_pixels_without_data_have_no_say(rng: np.random.Generator) -> None:
    valid = np.ones((48, 48), bool)
    valid[20:26, 10:40] = False
    bands, probabilities = rng.normal(size=(2, 48, 48)), softmax_of(rng.normal(size=(2, 48, 48)))
    answers = []
    for fill in (0.0, 1.0):
        filled = np.where(valid, probabilities, fill)
        guide = Guide.of(torch.from_numpy(np.where(valid, bands, 7 * fill)), torch.from_numpy(valid))
        answers.append(smooth(thin(torch.from_numpy(filled)), guide).numpy())
    inner = valid[REACH:-REACH, REACH:-REACH]
    np.testing.assert_array_equal(answers[0][:, inner], answers[1][:, inner])


def test_all_no_data_gives_finite_numbers() -> None:
    guide = Guide.of(torch.zeros(1, 40, 40), torch.zeros(40, 40, dtype=torch.bool))
    assert torch.isfinite(smooth(thin(torch.full((2, 40, 40), 0.5)), guide)).all()
