"""What people would otherwise use: per-pixel learners on hand-made features, and the random walker.

All of them work on the same labelled pixels as the Segmenter and give the same kind of map, so that any of them
can stand in its place in a table. Their class scores can be smoothed, which is worth several points to each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from scipy.special import softmax
from skimage.feature import multiscale_basic_features
from skimage.segmentation import random_walker
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ..errors import InputError, LabelError, ModelError, NotFittedError
from ..scene import Scene
from ..segmentation import Segmentation
from ..types import BoolArray, FloatArray, LabelledPixels, Legend, UInt8Array

SMOOTHING_SIGMA = 3.0
"""Standard deviation of the smoothing of class scores, in pixels, where a table says "smoothed"."""

Features = Literal["bands", "patches", "multiscale"]


def band_features(data: FloatArray) -> FloatArray:
    """The bands themselves: (row, col, band)."""
    return np.ascontiguousarray(data.transpose(1, 2, 0))


def patch_features(data: FloatArray) -> FloatArray:
    """All values of the 5 x 5 patch around a pixel: (row, col, 25 band); the image is continued by reflection."""
    padded = np.pad(data, ((0, 0), (2, 2), (2, 2)), mode="reflect" if min(data.shape[1:]) > 2 else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(1, 2))
    return np.ascontiguousarray(windows.transpose(1, 2, 0, 3, 4).reshape(*data.shape[1:], -1))


def multiscale_features(data: FloatArray) -> FloatArray:
    """scikit-image's `multiscale_basic_features`: intensity, edges and texture at Gaussian scales of 0.5 to 16 pixels, per band."""
    extract: Any = multiscale_basic_features
    features: FloatArray = extract(data.transpose(1, 2, 0), channel_axis=-1, sigma_min=0.5, sigma_max=16)
    return features


_FEATURES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "bands": band_features,
    "patches": patch_features,
    "multiscale": multiscale_features,
}


class FeatureCache:
    """Features of the images seen last; share one between classifiers that see the same images."""

    def __init__(self, limit: int = 4) -> None:
        """Keep the features of up to `limit` images."""
        self._limit = limit
        self._entries: OrderedDict[tuple[str, str], tuple[FloatArray, BoolArray]] = OrderedDict()

    def get(self, scene: Scene, kind: str) -> tuple[FloatArray, BoolArray]:
        """(row, col, feature) and valid (row, col); pixels without data have the median of each band before filters run."""
        key = scene.fingerprint, kind
        if key not in self._entries:
            pixels = scene.read()
            data = pixels.data.astype(np.float32)
            if not pixels.valid.all() and pixels.valid.any():
                fill = np.median(data[:, pixels.valid], axis=1)
                data = np.where(pixels.valid, data, fill[:, None, None]).astype(np.float32)
            self._entries[key] = _FEATURES[kind](data), pixels.valid
            if len(self._entries) > self._limit:
                self._entries.popitem(last=False)
        self._entries.move_to_end(key)
        return self._entries[key]


@dataclass(eq=False)
class PixelClassifier:
    """A scikit-learn classifier on the features of single pixels."""

    features: Features
    learner: Literal["extratrees", "svm"]
    smoothing: float = 0.0
    """Standard deviation, in pixels, of the Gaussian that smooths class scores; 0 = none."""
    seed: int = 0
    cache: FeatureCache = field(default_factory=FeatureCache)
    _fitted: tuple[Any, StandardScaler, Legend, tuple[str, ...]] | None = field(default=None, init=False, repr=False)

    def fit(self, scene: Scene, labels: LabelledPixels) -> PixelClassifier:
        """Learn from labelled pixels of one image; LabelError where they are of fewer than two classes."""
        _require_two_classes(labels)
        values, valid = self.cache.get(scene, self.features)
        # Spread over the whole image, not over a handful of marks: with one mark a class the latter means nothing.
        scaler = StandardScaler().fit(values[valid])
        learner: Any
        if self.learner == "extratrees":
            learner = ExtraTreesClassifier(n_estimators=100, class_weight="balanced", random_state=self.seed, n_jobs=1)
        else:
            learner = SVC(C=10.0, gamma="scale", class_weight="balanced")
        learner.fit(scaler.transform(values[labels.rows, labels.cols]), labels.classes)
        self._fitted = learner, scaler, labels.legend, scene.bands
        return self

    def predict(self, scene: Scene) -> Segmentation:
        """The map of an image with the bands of the labelled one."""
        if self._fitted is None:
            raise NotFittedError("the classifier has no labels yet, expected fit() before predict(). Call fit(scene, labels).")
        learner, scaler, legend, bands = self._fitted
        if scene.bands != bands:
            raise ModelError(f"{scene.name} has bands {list(scene.bands)}, the labelled image had {list(bands)}. Choose the same bands.")
        values, valid = self.cache.get(scene, self.features)
        flat = scaler.transform(values.reshape(-1, values.shape[2]))
        if self.learner == "extratrees":
            scores = learner.predict_proba(flat)
        else:
            decision = learner.decision_function(flat)
            scores = softmax(np.stack([-decision, decision], axis=1) if decision.ndim == 1 else decision, axis=1)
        return _map_of(
            scores.T.reshape(-1, *valid.shape), learner.classes_, valid, self.smoothing, legend, scene, f"{self.learner}-{self.features}"
        )


@dataclass(eq=False)
class RandomWalker:
    """scikit-image's random walker from the labelled pixels, which are its seeds; it maps the labelled image only."""

    smoothing: float = 0.0
    """Standard deviation, in pixels, of the Gaussian that smooths class scores; 0 = none."""
    _seeds: tuple[str, LabelledPixels] | None = field(default=None, init=False, repr=False)

    def fit(self, scene: Scene, labels: LabelledPixels) -> RandomWalker:
        """Place the seeds; LabelError where they are of fewer than two classes."""
        _require_two_classes(labels)
        self._seeds = scene.fingerprint, labels
        return self

    def predict(self, scene: Scene) -> Segmentation:
        """The map of the labelled image; InputError for another one."""
        if self._seeds is None:
            raise NotFittedError("the random walker has no seeds yet, expected fit() before predict(). Call fit(scene, labels).")
        fingerprint, labels = self._seeds
        if scene.fingerprint != fingerprint:
            raise InputError(
                f"the random walker cannot map {scene.name}: its seeds are places on another image. Use a method whose references travel."
            )
        pixels = scene.read()
        data = np.where(pixels.valid, pixels.data, 0).astype(np.float64)
        spread = data[:, pixels.valid].std(axis=1)
        data /= np.where(spread > 0, spread, 1)[:, None, None]
        ids = np.unique(labels.classes)
        marks = np.zeros(pixels.valid.shape, np.int64)
        marks[labels.rows, labels.cols] = np.searchsorted(ids, labels.classes) + 1
        marks[~pixels.valid] = -1
        scores = random_walker(
            data.transpose(1, 2, 0), marks, beta=130, mode="cg_j", tol=1e-4, channel_axis=-1, return_full_prob=True, prob_tol=1.0
        )
        # The solver stops a little outside of [0, 1]; it warns of that unless told to expect it.
        return _map_of(np.clip(np.nan_to_num(scores), 0, 1), ids, pixels.valid, self.smoothing, labels.legend, scene, "random-walker")


CLASSICAL = (
    "extratrees-bands", "extratrees-patches", "extratrees-multiscale", "svm-bands", "svm-patches", "svm-multiscale", "random-walker",
)  # fmt: skip
"""Names that `classical` knows."""


def classical(name: str, *, smoothing: float = 0.0, seed: int = 0, cache: FeatureCache | None = None) -> PixelClassifier | RandomWalker:
    """A classical method by name.

    Args:
        name: One of `CLASSICAL`.
        smoothing: Standard deviation, in pixels, of the Gaussian that smooths class scores; 0 = none.
        seed: Seed of the forest.
        cache: Features to share with other classifiers.

    Raises:
        InputError: Unknown name.
    """
    if name not in CLASSICAL:
        raise InputError(f"classical method is {name!r}, expected one of {list(CLASSICAL)}.")
    if name == "random-walker":
        return RandomWalker(smoothing)
    learner, _, features = name.partition("-")
    return PixelClassifier(features, learner, smoothing, seed, cache or FeatureCache())  # type: ignore[arg-type]


def smooth(scores: npt.NDArray[np.floating[Any]], valid: BoolArray, sigma: float) -> FloatArray:
    """Gaussian smoothing of class scores (class, row, col) that neither reads nor writes pixels without data."""
    weight = gaussian_filter(valid.astype(np.float32), sigma, mode="reflect")
    smoothed = np.stack([gaussian_filter(np.where(valid, plane, 0).astype(np.float32), sigma, mode="reflect") for plane in scores])
    return np.asarray(np.where(valid, smoothed / np.maximum(weight, 1e-6), 0), np.float32)


def _map_of(
    scores: npt.NDArray[np.floating[Any]], ids: UInt8Array, valid: BoolArray, sigma: float, legend: Legend, scene: Scene, method: str
) -> Segmentation:
    if sigma:
        scores = smooth(scores, valid, sigma)
    classes = np.where(valid, ids[scores.argmax(axis=0)], 0).astype(np.uint8)
    second, first = np.sort(scores, axis=0)[-2:]
    confidence = np.where(valid, np.clip(first - second, 0, 1), 0).astype(np.float32)
    return Segmentation(classes, confidence, valid, legend, scene.grid, {"method": method, "smoothing": f"{sigma:g}", "scene": scene.name})


def _require_two_classes(labels: LabelledPixels) -> None:
    if len(np.unique(labels.classes)) < 2:
        raise LabelError(
            f"all {len(labels)} labelled pixels are of one class or there are none, expected at least two classes. Mark some pixels of another class."
        )
