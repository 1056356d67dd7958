"""Run a map model that `pixelkin export` wrote: NumPy and onnxruntime are all it needs.

    from map_model import MapModel
    model = MapModel("out")
    classes, confidence = model.predict(bands)     # bands: (band, row, col) in the order of model.bands

The graph, `map_model.onnx`, knows pixels and classes. Here is the rest: windows with a margin, how common classes are in the image, smoothing along
edges (the fast guided filter: He, Sun, Tang 2013; He, Sun 2015), and how sure the map may be. MIT licence, as pixelkin.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

STRIDE, RADIUS, RIDGE, MOST_BANDS = 2, 4, 0.02, 4
REACH = 2 * RADIUS * STRIDE
BLOCK, SMALL, SAMPLED, STEP = 256, 32, 64, 8


class MapModel:
    """A decision that was learned elsewhere, as a function of bands."""

    def __init__(self, folder: str | Path, *, threads: int = 0) -> None:
        """Load a folder that `pixelkin export` wrote.

        Args:
            folder: With map_model.onnx and map_model.json.
            threads: Of onnxruntime; 0 for one a core.
        """
        import onnxruntime

        self.facts: dict[str, Any] = json.loads((Path(folder) / "map_model.json").read_text(encoding="utf-8"))
        self.bands: list[str] = self.facts["bands"]
        self.classes: list[dict[str, Any]] = self.facts["classes"]
        """Of each class id, name and color."""
        self.halo: int = self.facts["halo"]
        """Pixels around a pixel that its class depends on, beside how common classes are in the image."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(Path(folder) / "map_model.onnx"), options, providers=["CPUExecutionProvider"])

    def predict(
        self, data: npt.ArrayLike, valid: npt.ArrayLike | None = None, *, priors: str | Sequence[float] | None = None
    ) -> tuple[Array, Array]:
        """The map of an image.

        Args:
            data: (band, row, col), the bands of `bands` in their order, in the units of the labelled image.
            valid: (row, col), True where there is data; default where all bands are finite.
            priors: How common classes are taken to be: 'image' as a sample of it shows, 'equal' all alike, or what `proportions` gave for all of an
                image of which this is a part. Default as exported.

        Returns:
            Class ids, 0 = no data, uint8, and confidence in [0, 1], float32: (row, col) each.
        """
        image = _Image(np.asarray(data), valid, self.facts)
        made_for = self.facts["image"]
        if made_for is not None and image.shape != tuple(made_for["shape"]):
            raise ValueError(
                f"data is {image.shape}, expected all of {made_for['name']}, {tuple(made_for['shape'])}, which this map model was exported for."
            )
        prior, doubt = self._prior(image, priors)
        classes, confidence = np.zeros(image.shape, np.uint8), np.zeros(image.shape, np.float32)
        ids = np.array([entry["id"] for entry in self.classes], np.uint8)
        for top in range(0, image.shape[0], BLOCK):
            for left in range(0, image.shape[1], BLOCK):
                size = min(BLOCK, image.shape[0] - top), min(BLOCK, image.shape[1] - left)
                planes = self._smooth(image, top, left, size, prior)
                power = (planes / planes.sum(axis=0)) ** self.facts["inverse_temperature"]
                block = slice(top, top + size[0]), slice(left, left + size[1])
                classes[block] = ids[planes.argmax(axis=0)]
                confidence[block] = (power.max(axis=0) / power.sum(axis=0)) * (1 - doubt) + doubt / len(ids)
        classes[~image.valid], confidence[~image.valid] = 0, 0
        if made_for is not None:
            rows, cols, given = made_for["marked"]
            classes[rows, cols], confidence[rows, cols] = given, 1
        return classes, confidence

    def proportions(self, data: npt.ArrayLike, valid: npt.ArrayLike | None = None) -> list[float]:
        """What a sample of a whole image says of how common classes are, to be given as `priors` for parts of it, and how foreign it is, last."""
        prior, doubt = self._prior(_Image(np.asarray(data), valid, self.facts), "image")
        return [*(float(value) for value in prior.ravel()), doubt]

    def _prior(self, image: _Image, priors: str | Sequence[float] | None) -> tuple[Array, float]:
        """Factors of the classes' probabilities, (class, 1, 1), and how far confidence is drawn towards that of a guess."""
        facts = self.facts
        priors = facts["priors"] if priors is None else priors
        if isinstance(priors, str) and priors not in ("image", "equal"):
            raise ValueError(f"priors is {priors!r}, expected 'image', 'equal', or what proportions() gave.")
        if not isinstance(priors, str):
            return np.array(priors[:-1], np.float32)[:, None, None], float(priors[-1])
        nothing = np.ones((len(self.classes), 1, 1), np.float32), 0.0
        if priors == "equal" or facts["cover"] is None:
            return nothing
        found, own = [], []
        for top, left, size in _spread_blocks(image.shape):
            probabilities, features = self._run(image, top, left, size)
            thin = slice(None, None, STEP // STRIDE)
            usable = image.valid[top : top + size[0] : STEP, left : left + size[1] : STEP]
            found.append(probabilities[:, thin, thin][:, usable])
            own.append(features[:, thin, thin][:, usable])
        sample = np.concatenate(found, axis=1)
        if not sample.shape[1]:
            return nothing
        prior = sample.mean(axis=1).clip(min=1 / sample.shape[1]) ** facts["trust"]
        cover = {name: np.asarray(value, np.float64) for name, value in facts["cover"].items()}
        points = cover["points"]
        values = (np.concatenate(own, axis=1)[facts["own"]].T - cover["centre"]) / cover["scale"]
        squared = (values**2).sum(axis=1)[:, None] + (points**2).sum(axis=1) - 2 * values @ points.T
        foreign = float((squared.min(axis=1) > cover["limit"] ** 2 * points.shape[1]).mean())
        return prior.astype(np.float32)[:, None, None], foreign

    def _run(self, image: _Image, top: int, left: int, size: tuple[int, int]) -> tuple[Array, Array]:
        """Probabilities (class, h, w) and features (K, h, w) of every second row and column of a window, which may reach past the image."""
        given: dict[str, Array] = {}
        margin, step = self.facts["margin"], self.facts["multiple"]
        height, width = (-(-n // step) * step for n in size)
        for name in self.facts["inputs"]:
            if name == "near":
                given[name] = self._near(top, left, height, width)
            else:
                given[name] = image.read(name, top - margin, left - margin, height + 2 * margin, width + 2 * margin)[0]
        probabilities, features = self._session.run(None, given)
        thinned = slice(-(-size[0] // STRIDE)), slice(-(-size[1] // STRIDE))
        return probabilities[:, *thinned], features[:, *thinned]

    def _near(self, top: int, left: int, height: int, width: int) -> Array:
        """What lies near labelled pixels: (class, h, w)."""
        near = self.facts["near"]
        sites, weights = np.asarray(near["sites"], np.float64).reshape(-1, 2), np.asarray(near["weights"], np.float32)
        down, across = (
            np.exp(-0.5 * ((sites[:, axis, None] - np.arange(start, start + n, STRIDE)) / near["length_scale"]) ** 2).astype(np.float32)
            for axis, (start, n) in enumerate(((top, height), (left, width)))
        )
        found: Array = np.matmul(weights[:, None, :] * down.T, across).astype(np.float32)
        return found

    def _smooth(self, image: _Image, top: int, left: int, size: tuple[int, int], prior: Array) -> Array:
        """Probabilities (class, row, col) of a block, smoothed along edges, >= 1e-6."""
        grown = top - REACH, left - REACH, size[0] + 2 * REACH, size[1] + 2 * REACH
        probabilities, _ = self._run(image, grown[0], grown[1], grown[2:])
        probabilities = probabilities * prior
        probabilities /= probabilities.sum(axis=0)
        guide, valid = image.read("bands", *grown)
        if self.facts["standardise"] is None and valid.any():
            seen = guide[:, valid]
            level, spread = seen.mean(axis=1, dtype=np.float64), seen.std(axis=1, dtype=np.float64)
            guide = (guide - level[:, None, None].astype(np.float32)) / (spread + 1e-6 * abs(level) + 1e-12)[:, None, None].astype(
                np.float32
            )
        return guided_filter(probabilities, guide, valid)


class _Image:
    """Bands, and how the graph wants them."""

    def __init__(self, data: Array, valid: npt.ArrayLike | None, facts: dict[str, Any]) -> None:
        if data.ndim != 3 or len(data) != len(facts["bands"]):
            raise ValueError(f"data is of shape {data.shape}, expected (band, row, col) with the bands {facts['bands']}.")
        self.data, self.shape, self.facts = data, data.shape[1:], facts
        finite: Array = np.logical_and.reduce(np.isfinite(data), axis=0)
        self.valid: Array = finite if valid is None else finite & np.asarray(valid, np.bool_)
        if self.valid.shape != self.shape:
            raise ValueError(f"valid is of shape {self.valid.shape}, expected {self.shape} as the bands.")
        self._limits: tuple[Array, Array] | None = None

    def read(self, kind: str, top: int, left: int, height: int, width: int) -> tuple[Array, Array]:
        """`bands`, standardised, or `photo`, of a window that may reach past the image, which goes on as in a mirror; and where there is data."""
        rows, cols = (_mirrored(start, n, of) for start, n, of in ((top, height, self.shape[0]), (left, width, self.shape[1])))
        at = rows[:, None], cols[None, :]
        data, valid = self.data[:, *at], self.valid[at]
        values: Array
        if kind == "photo":
            low, high = (value[:, None, None] for value in self.limits())
            values = ((data - low) / (high - low)).clip(-0.2, 1.2) * 2 - 1
        elif self.facts["standardise"] is None:
            values = data
        else:
            exact = np.float32 if data.dtype.itemsize <= 2 else np.float64
            centre, scale = (np.asarray(self.facts["standardise"][name], np.float32)[:, None, None] for name in ("centre", "scale"))
            numbers: Array = data.astype(exact)
            values = ((numbers - centre) / scale).clip(-8, 8)
        return np.ascontiguousarray(np.where(valid, values, 0), np.float32), valid

    def limits(self) -> tuple[Array, Array]:
        """The 1st and 99th percentiles of the bands over an even sample of the image."""
        if self._limits is None:
            parts = []
            for top, left, size in _spread_blocks(self.shape):
                block = slice(top, top + size[0]), slice(left, left + size[1])
                parts.append(self.data[:, *block][:, self.valid[block]])
            values = np.concatenate(parts, axis=1).astype(np.float64)
            low, high = np.percentile(values, (1, 99), axis=1) if values.shape[1] else np.zeros((2, len(values)))
            self._limits = low, np.maximum(high, low + 1e-6 * np.abs(low) + 1e-12)
        return self._limits


def guided_filter(probabilities: Array, guide: Array, valid: Array) -> Array:
    """Smooth probabilities along the edges of a guide.

    Args:
        probabilities: (class, h, w), of every second row and column of a block and REACH pixels around it.
        guide: (band, row + 2 REACH, col + 2 REACH), in standard deviations.
        valid: (row + 2 REACH, col + 2 REACH), where there is data.

    Returns:
        (class, row, col), >= 1e-6.
    """
    if len(guide) > MOST_BANDS:
        guide = guide[np.linspace(0, len(guide) - 1, MOST_BANDS).round().astype(int)]
    inner = guide[:, REACH:-REACH, REACH:-REACH]
    weight = valid[::STRIDE, ::STRIDE].astype(np.float32)
    bands = guide[:, ::STRIDE, ::STRIDE] * weight
    known = _window_sum(weight)
    told, counts = (known > 0).astype(np.float32), known.clip(min=1)
    means = _window_sum(bands) / counts
    b = len(bands)
    products = _window_sum(bands[:, None] * bands[None, :]) / counts - means[:, None] * means[None, :]
    covariance = np.moveaxis(products, (0, 1), (-2, -1)) + RIDGE * np.eye(b, dtype=np.float32)
    probabilities = probabilities * weight
    level = _window_sum(probabilities) / counts
    cross = _window_sum(bands[None, :] * probabilities[:, None]) / counts - means[None, :] * level[:, None]
    slope = np.moveaxis(np.linalg.solve(covariance, np.moveaxis(cross, (0, 1), (-1, -2))), (-1, -2), (0, 1))
    level = level - (slope * means).sum(axis=1)
    windows = _window_sum(told).clip(min=1)
    lines = _window_sum(np.concatenate([level[:, None], slope], axis=1).astype(np.float32) * told) / windows
    lines = lines.repeat(STRIDE, axis=-2).repeat(STRIDE, axis=-1)[..., : inner.shape[1], : inner.shape[2]]
    out = lines[:, 0] + (lines[:, 1:] * inner).sum(axis=1)
    out[-1] = 1 - out[:-1].sum(axis=0)
    smoothed: Array = out.clip(min=1e-6)
    return smoothed


def _window_sum(maps: Array) -> Array:
    """Sums over windows of 2 RADIUS + 1 pixels a side, by doubling."""
    for axis in (-2, -1):
        size = maps.shape[axis] - 2 * RADIUS
        total, width = maps, 1
        while width < 2 * RADIUS:
            total = _part(total, axis, 0, total.shape[axis] - width) + _part(total, axis, width, total.shape[axis] - width)
            width *= 2
        maps = _part(total, axis, 0, size) + _part(maps, axis, 2 * RADIUS, size)
    return maps


def _part(maps: Array, axis: int, start: int, length: int) -> Array:
    return maps[..., start : start + length, :] if axis == -2 else maps[..., start : start + length]


def _mirrored(start: int, length: int, size: int) -> Array:
    """Indices start .. start + length - 1 folded into the image."""
    period = max(1, 2 * (size - 1))
    index = np.abs(np.arange(start, start + length)) % period
    folded: Array = np.minimum(index, period - index)
    return folded


def _spread_blocks(shape: tuple[int, int]) -> list[tuple[int, int, tuple[int, int]]]:
    """Top, left and size of small blocks, evenly spread over an image."""
    down, across = (-(-size // SMALL) for size in shape)
    rows = int(np.clip(round(np.sqrt(SAMPLED * down / across)), 1, min(down, SAMPLED)))
    cols = min(across, SAMPLED // rows)
    rows = min(down, SAMPLED // cols)
    tops, lefts = ((np.floor((np.arange(n) + 0.5) * of / n) * SMALL).astype(int).tolist() for n, of in ((rows, down), (cols, across)))
    return [(top, left, (min(SMALL, shape[0] - top), min(SMALL, shape[1] - left))) for top in tops for left in lefts]
