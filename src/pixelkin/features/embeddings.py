"""Ready-made embeddings: the vector of a pixel, and the mean of the vectors around it."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache
from torch import Tensor

from ..errors import ModelError
from ..scene import Pixels, Scene, read_padded
from ..types import AnyArray, Window
from .blocks import spread, spread_blocks
from .source import Fields, Group, grown
from .squares import NEAR, centre, mean

_GUIDES = 3
"""Principal components that guide the smoothing where there is no imagery."""
_LOOKED_AT = 16
"""Small blocks from which they are found."""
_AT_ONCE = 8
"""Numbers of a vector whose means are taken at one time."""
_KEPT = 64
_lock = threading.Lock()
_components: LRUCache[str, Tensor] = LRUCache(_KEPT)


def embedding_bands(scene: Scene) -> tuple[str, ...]:
    """The bands of an image that are the numbers of ready-made vectors; none of imagery."""
    looked_at: Any = scene
    while not hasattr(looked_at, "embedding_bands"):
        # A tile or a part that is at hand stands for the image it is of.
        looked_at = getattr(looked_at, "scene", None)
        if looked_at is None:
            return ()
    bands: tuple[str, ...] = looked_at.embedding_bands
    return bands


class EmbeddingFeatures:
    """The vector itself and its mean over 9 x 9 pixels, on one scale for all numbers: their geometry is that of angles, and a small one is small for a reason."""

    name = "embedding"
    halo = NEAR // 2
    hash = hashlib.sha256(b"embedding, 9 x 9").hexdigest()

    @property
    def device(self) -> torch.device:
        """The CPU: there is nothing to compute."""
        return torch.device("cpu")

    def group(self, scene: Scene) -> Group:
        """Two columns a number; ModelError where the image holds no embedding."""
        count = len(embedding_bands(scene))
        if not count:
            raise ModelError(
                f"{scene.name} holds no ready-made embedding, expected one. Open it with kind='generic' if its bands are one vector."
            )
        return Group(self.name, 2 * count, count, standardise="together")

    def fields(self, scene: Scene, window: Window, step: int = 1) -> Fields:
        """See `FeatureSource.fields`; the guide is of the image's first principal components."""
        height, width, inside = window.height, window.width, slice(self.halo, -self.halo)
        pixels = read_padded(scene, grown(window, self.halo))
        with torch.inference_mode():
            vectors = _vectors(scene, pixels)
            own = centre(vectors, height, width)
            count, components = len(own), _principal(scene)
            guide = (components @ own.reshape(count, -1)).reshape(-1, height, width)
            features = own.new_empty(2 * count, -(-height // step), -(-width // step))
            features[:count] = own[:, ::step, ::step]
            # Some numbers at a time: what lies between is then small beside the vectors, and stays in the processor's cache.
            for start in range(0, count, _AT_ONCE):
                part = mean(vectors[start : start + _AT_ONCE], NEAR, height, width)
                features[count + start : count + start + len(part)] = part[:, ::step, ::step]
            return Fields(features, pixels.valid[inside, inside], guide=guide)


def _vectors(scene: Scene, pixels: Pixels) -> Tensor:
    wanted = embedding_bands(scene)
    data = pixels.data
    if len(wanted) < len(data):
        data = data[[scene.bands.index(band) for band in wanted]]
    if not pixels.valid.all():
        data = np.where(pixels.valid, data, 0)
    return torch.from_numpy(data.astype(np.float32, copy=False))


def _principal(scene: Scene) -> Tensor:
    """(_GUIDES, K): directions in which the vectors of an image differ most, from some of its blocks: the same wherever it is asked from."""
    key = scene.fingerprint
    with _lock:
        if key in _components:
            return _components[key]
        rows: list[AnyArray] = []
        for block in spread(spread_blocks(scene.grid), _LOOKED_AT):
            pixels = scene.read(block)
            rows.append(_vectors(scene, pixels).numpy()[:, pixels.valid][:, ::4].T)
        vectors = np.concatenate(rows).astype(np.float64)
        count = len(embedding_bands(scene))
        if len(vectors) < 2:
            found = np.eye(min(_GUIDES, count), count)
        else:
            _, directions = np.linalg.eigh(np.cov(vectors.T).reshape(count, count))
            found = directions.T[::-1][:_GUIDES]
        kept = _components[key] = torch.from_numpy(np.ascontiguousarray(found, np.float32))
        return kept
