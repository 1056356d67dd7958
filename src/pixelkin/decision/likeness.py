"""One class is enough: how like its marked pixels every pixel of an image is.

The similarity of a pixel q is the share of the pairs of pixels of the image that are less alike than q and the mark nearest to it:

    s(q) = 1 - F(min_p d(q, p)),    F(x) = the share of pairs of pixels of an even sample of the image with d <= x.

It is in [0, 1] whatever d is measured in, means the same on every image, and does not depend on how common the thing is. The distances d between pairs are of two kinds, those within
one thing and those between two. Otsu's threshold parts them (*A Threshold Selection Method from Gray-Level Histograms*, IEEE SMC 9, 1979), and s at that distance is where the image
itself would cut.

d is the measure of a nearest reference (the paper's D, or L1), or of the features that a learner keeps, their root mean square difference in standard deviations of the image's sample:

    d(q, p)^2 = mean_k ((q_k - p_k) / sigma_k)^2,

for an embedding alone of its vectors with one sigma for all numbers, so that it is the chord between two of unit length; for pretrained features the mean over their parts, as in `gaussian_process`, which
then decide alone. As with class probabilities, s is asked for on every second pixel of the features and smoothed along edges; a measure's is of every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, LabelError
from ..features import Columns, FeatureStack, References
from ..features.blocks import spread_blocks
from ..scene import Scene
from ..similarity import project, take
from ..types import AnyArray, FloatArray, IntArray, LabelledPixels, Legend, LegendClass, UInt8Array, Window
from ..workers import alone
from .calibration import SuspectLabel
from .coverage import Coverage
from .fitting import thinned
from .learner import Learner, LearnerState
from .nearest import Nearest, NearestState
from .protocol import Image
from .scratch import Scratch
from .smoothing import filtered, together
from .training_set import TrainingSet

MOST_MARKS = 64
"""Marked pixels that are compared with; of more, evenly many."""
_ANCHORS = 64
"""Pixels of the sample whose distances to all others stand for those of all pairs."""
_OF_A_BLOCK = 16
"""Pixels of one small block of a sample, at most: they are neighbours, and no pair of the image at large."""
_QUANTILES = 1024
"""Steps in which the distribution of distances is kept."""
_BINS = 256
"""Of the histogram that Otsu's threshold is found in."""
_COLUMNS = 4096
"""Pixels a pass: what is known of them stays in the cache."""
_scratch = Scratch()


@dataclass(frozen=True, eq=False)
class Scale:
    """From distances to similarities, by what an image shows."""

    distances: Tensor
    """(n,) float32, rising: quantiles of the distances between pairs of its pixels."""
    shares: Tensor
    """(n,) float32: the share of pairs that are further apart than that."""
    cut: float
    """Similarity at which the image's pairs fall into alike and not alike."""

    @classmethod
    def of(cls, pairs: AnyArray, name: str) -> Scale:
        """Of the distances (n,) of pairs of pixels of an image of this name.

        Raises:
            LabelError: They are all the same, so that nothing on the image is more alike than anything else.
        """
        pairs = np.sort(np.asarray(pairs, np.float64))
        if not len(pairs) or pairs[0] == pairs[-1]:
            raise LabelError(f"{name} shows the same everywhere, expected an image on which some pixels differ. Give another image.")
        shares = np.linspace(0, 1, _QUANTILES + 1)
        distances, first = np.unique(np.quantile(pairs, shares).astype(np.float32), return_index=True)
        left = 1 - np.searchsorted(pairs, _otsu(pairs), side="right") / len(pairs)
        return cls(torch.from_numpy(distances), torch.from_numpy((1 - shares[first]).astype(np.float32)), float(left))

    def similarity(self, distances: Tensor) -> Tensor:
        """Similarities in [0, 1] of distances of any shape, linear between quantiles."""
        known, shares = self.distances.to(distances.device), self.shares.to(distances.device)
        after = torch.searchsorted(known, distances.contiguous()).clamp_(1, len(known) - 1)
        low, high = known[after - 1], known[after]
        return torch.lerp(shares[after - 1], shares[after], ((distances - low) / (high - low)).clamp_(0, 1))


def _otsu(values: AnyArray) -> float:
    """Where two kinds of values part best: the edge of a bin with most variance between what is below and what is above."""
    counts, edges = np.histogram(values, _BINS)
    below = np.cumsum(counts)[:-1].astype(np.float64)
    sums = np.cumsum(counts * (edges[1:] + edges[:-1]) / 2)
    above = len(values) - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sums[-1] * below / len(values) - sums[:-1]) ** 2 / (below * above)
    return float(edges[1 + int(np.nanargmax(between))])


class _Distances(Protocol):
    """How far pixels of blocks are from marked ones."""

    def marks(self, references: References, image: Image) -> tuple[Any, AnyArray]:
        """The marked pixels as they are compared, and the distances (n,) of pairs of pixels of the image; not on a thread of the pool."""
        ...

    def similarity(self, kept: Any, marks: Any, scale: Scale) -> Tensor:
        """(row, col) of a block."""
        ...


class _OfFeatures:
    """By the features of a learner."""

    def __init__(self, stack: FeatureStack) -> None:
        self._stack = stack

    def marks(self, references: References, image: Image) -> tuple[_Marks, AnyArray]:
        """See `_Distances.marks`."""
        sample = image.sample()
        if sample.shape[1] < 2:
            raise LabelError(f"{image.scene.name} has data in hardly any pixel, expected an image with more. Check its no-data value.")
        space: _Space = alone(_Space.of, sample, references.columns)
        marks: _Marks = alone(space.marks, references.features.T.to(sample.device))
        return marks, alone(space.pairs, sample)

    def similarity(self, kept: LearnerState, marks: _Marks, scale: Scale) -> Tensor:
        """See `_Distances.similarity`."""
        found = scale.similarity(marks.distances(kept.features.flatten(1))).view(kept.features.shape[1:])
        smooth = filtered(torch.stack([found, 1 - found]), kept.guide)[0]
        return together(smooth, kept.guide.shape).clamp_(0, 1)


@dataclass(frozen=True, eq=False)
class _Space:
    """Which features count, and how much."""

    columns: slice
    """Those that count."""
    centre: Tensor | None
    """(k, 1) float32, taken off first: of large numbers, squares would swallow small differences. None where they are small."""
    weights: Tensor
    """(k, 1) float32 of squared differences, whose sum is d^2."""

    @classmethod
    def of(cls, sample: Tensor, columns: Columns) -> _Space:
        """The space of an image with this sample (K, n)."""
        where = _compared(columns)
        seen = sample[where].double()
        centre = seen.mean(dim=1, keepdim=True)
        if columns.parts:
            parts = columns.parts
            return cls(where, None, torch.cat([seen.new_full((width, 1), 1 / (width * len(parts))) for width in parts]).float())
        variance = seen.var(dim=1, correction=0, keepdim=True)
        for group in columns.groups:
            if group.standardise == "together":
                own = slice(columns.of(group.name).start, min(columns.of(group.name).stop, where.stop))
                variance[own] = variance[own].mean()
        # A feature that is the same all over the image tells nothing, but for rounding.
        told = variance > (1e-6 * centre) ** 2 + 1e-24
        weights = torch.where(told, 1 / torch.where(told, variance, 1), 0) / max(1, int(told.sum()))
        return cls(where, centre.float() if columns.raw else None, weights.float())

    def marks(self, features: Tensor) -> _Marks:
        """Marked pixels (K, n)."""
        chosen = thinned(np.arange(features.shape[1]), MOST_MARKS)
        vectors = features[self.columns][:, torch.from_numpy(chosen).to(features.device)].float()
        vectors = vectors if self.centre is None else vectors - self.centre
        return _Marks(self, (-2 * vectors * self.weights).T.contiguous(), (vectors**2 * self.weights).sum(dim=0)[:, None])

    def pairs(self, sample: Tensor) -> AnyArray:
        """Distances (n,) of pairs of pixels of a sample (K, n) that are no neighbours."""
        every = np.arange(sample.shape[1])
        anchors = thinned(every, _ANCHORS)
        distances = torch.stack([self.marks(sample[:, [anchor]]).distances(sample) for anchor in anchors.tolist()]).cpu().numpy()
        apart = np.abs(anchors[:, None] - every) >= _OF_A_BLOCK
        found: AnyArray = distances[apart if apart.any() else anchors[:, None] != every]
        return found


def _compared(columns: Columns) -> slice:
    """Pretrained features alone where there are any; of embeddings alone the vectors, which know their surroundings; else all."""
    if columns.parts:
        return columns.pretrained
    if len(columns.groups) == 1 and columns.groups[0].standardise == "together":
        return slice(0, columns.groups[0].own)
    return slice(0, len(columns))


@dataclass(frozen=True, eq=False)
class _Marks:
    """Marked pixels in a space."""

    space: _Space
    products: Tensor
    """(m, k) float32: -2 w p."""
    lengths: Tensor
    """(m, 1) float32: w p^2, summed."""

    def distances(self, features: Tensor) -> Tensor:
        """Distance (n,) of pixels with features (K, n) to the nearest."""
        with torch.inference_mode():
            space, weights = self.space, self.space.weights.T.contiguous()
            out = torch.empty(features.shape[1], device=features.device)
            for start in range(0, len(out), _COLUMNS):
                part = features[space.columns, start : start + _COLUMNS]
                values = _scratch.take("values", out, *part.shape).copy_(part)
                if space.centre is not None:
                    values.sub_(space.centre)
                squares = torch.addmm(
                    self.lengths, self.products, values, out=_scratch.take("squares", out, len(self.lengths), part.shape[1])
                )
                own = torch.mm(weights, values.square_(), out=_scratch.take("own", out, 1, part.shape[1]))
                torch.add(squares.amin(dim=0), own[0], out=out[start : start + _COLUMNS])
            return out.clamp_(min=0).sqrt_()


class _OfMeasure:
    """By the measure of a nearest reference."""

    def __init__(self, nearest: Nearest) -> None:
        self._nearest = nearest

    def marks(self, references: References, image: Image) -> tuple[Any, AnyArray]:
        """See `_Distances.marks`."""
        measure = self._nearest.similarity
        kept = references.take(thinned(np.arange(len(references)), MOST_MARKS))
        found = image.collect(_middles(image.scene))
        if len(found) < 2:
            raise LabelError(f"{image.scene.name} has data in hardly any pixel, expected an image with more. Check its no-data value.")
        return alone(measure.prepare, kept), alone(self._pairs, image.scene, found)

    def _pairs(self, scene: Scene, found: References) -> AnyArray:
        """Distances (n,) of all pairs of some pixels of an image."""
        measure = self._nearest.similarity
        prepared = measure.prepare(found)
        pairs: list[AnyArray] = []
        for i, (row, col) in enumerate(found.origins[:, 2:].tolist()):
            projection, _ = project(measure, self._nearest.model, scene, Window(row, col, 1, 1))
            others = take(prepared, list(range(i)))
            pairs.append(measure.distances(projection, others, absolute=True).flatten().cpu().numpy() if i else np.empty(0))
        return np.concatenate(pairs)

    def similarity(self, kept: NearestState, marks: Any, scale: Scale) -> Tensor:
        """See `_Distances.similarity`."""
        measure = self._nearest.similarity
        if kept.alone is None:
            kept.alone = measure.alone(kept.projection)
        return scale.similarity(measure.distances(kept.projection, marks).amin(dim=0).add_(kept.alone))


def _middles(scene: Scene) -> LabelledPixels:
    """A pixel in the middle of each of the small blocks that are spread over an image."""
    at = np.array([(block.row + block.height // 2, block.col + block.width // 2) for block in spread_blocks(scene.grid)])
    return LabelledPixels(at[:, 0], at[:, 1], np.ones(len(at), np.uint8), Legend((LegendClass(1, "sample", (0, 0, 0)),)))


def require_threshold(threshold: float) -> None:
    """Refuse what is no similarity to cut at; InputError."""
    if not 0 < threshold <= 1:
        raise InputError(f"threshold is {threshold!r}, expected a similarity above 0 and up to 1.")


@dataclass(frozen=True, eq=False)
class SimilarRule:
    """What the marks say of one image."""

    marks: Any
    scale: Scale
    class_id: int
    threshold: float


class Similar:
    """Similarity to the marks of one class, by what another decision keeps of blocks; the class where it reaches a threshold."""

    least_classes = 1

    def __init__(self, inner: Learner | Nearest, threshold: float | None) -> None:
        """Choose.

        Args:
            inner: Whose blocks are looked at.
            threshold: From which similarity on a pixel is of the class; None where each image's own cut is.

        Raises:
            InputError: The threshold is no similarity.
        """
        if threshold is not None:
            require_threshold(threshold)
        self.inner = inner
        self._threshold = threshold
        self._distances: _Distances = _OfMeasure(inner) if isinstance(inner, Nearest) else _OfFeatures(inner.stack)
        self.halo = inner.halo
        self.key: tuple[str, ...] = inner.key
        self.needs_limit = False
        self.options = {
            "method": "similar",
            **({"measure": inner.measure} if isinstance(inner, Nearest) else {}),
            "threshold": "of the image" if threshold is None else f"{threshold:g}",
        }

    def describe(self, scene: Scene, block: Window) -> Any:
        """As the other decision."""
        return self.inner.describe(scene, block)

    def prepare(self, training: TrainingSet) -> None:
        """Refuse labels of several classes; LabelError."""
        if len(training.ids) > 1:
            names = [training.references.legend.by_id(i).name for i in training.ids]
            raise LabelError(
                f"the labels are of {len(names)} classes, {', '.join(map(repr, names))}, expected one. Choose it with class_name={names[0]!r}."
            )

    def fit(self, training: TrainingSet, image: Image) -> SimilarRule:
        """Marks and scale for an image."""
        marks, pairs = self._distances.marks(training.references, image)
        scale = Scale.of(pairs, image.scene.name)
        return SimilarRule(marks, scale, training.ids[0], scale.cut if self._threshold is None else self._threshold)

    def calibrate(self, rule: SimilarRule) -> None:
        """Nothing: the scale is the image's."""

    def classify(self, kept: Any, rule: SimilarRule, block: Window) -> UInt8Array:
        """See `Decision.classify`."""
        return self.decide(kept, rule, block)[0]

    def decide(self, kept: Any, rule: SimilarRule, block: Window) -> tuple[UInt8Array, FloatArray]:
        """The class, 0 below the threshold, and the similarity."""
        with torch.inference_mode():
            similarity: FloatArray = self._distances.similarity(kept, rule.marks, rule.scale).cpu().numpy()
        return np.where(similarity >= np.float32(rule.threshold), np.uint8(rule.class_id), np.uint8(0)), similarity

    def probabilities(self, kept: Any, rule: SimilarRule, block: Window) -> FloatArray:
        """The similarity as that of the one class; of others nothing is known."""
        return self.decide(kept, rule, block)[1][None]

    def recognise(self, rule: SimilarRule, references: References) -> UInt8Array:
        """Nothing: one class is told from no other; InputError."""
        raise InputError("a similarity to one class tells no classes apart, expected a method that does. Leave method='similar' out.")

    def appearance(self, kept: Any, rule: SimilarRule, block: Window, rows: IntArray, cols: IntArray) -> AnyArray:
        """Nothing."""
        return np.empty((len(rows), 0))

    def coverage(self, rule: SimilarRule, image: Image) -> Coverage:
        """Nothing that the similarity does not say itself; InputError."""
        raise InputError(
            "a similarity says itself what is like nothing that was marked, expected a method that tells classes apart. Look where it is low."
        )

    def suspects(self, training: TrainingSet) -> tuple[SuspectLabel, ...]:
        """None: marks of one class contradict nothing."""
        return ()

    def pack(self, kept: Any) -> dict[str, Tensor]:
        """As the other decision."""
        return self.inner.pack(kept)

    def unpack(self, parts: dict[str, Tensor]) -> Any:
        """As the other decision."""
        return self.inner.unpack(parts)
