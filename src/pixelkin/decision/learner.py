"""The learners: fitted to the features of labelled pixels in milliseconds, smoothed along edges, calibrated by cross-validation."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..features import FeatureStack, References, grid_number, grown, scene_number
from ..scene import Scene
from ..types import AnyArray, BoolArray, FloatArray, IntArray, LabelledPixels, UInt8Array, Window
from ..workers import alone
from .calibration import Assessment, SuspectLabel, assess
from .coverage import Cover, Coverage, coverage
from .fitting import Known, LearnerMethod, background, fit
from .gaussian_process import KernelRows
from .label_transfer import LookedUp, transferable, unchanged
from .protocol import Image
from .scorer import Scorer
from .smoothing import REACH, STRIDE, Guide, filtered, together
from .training_set import TrainingSet

Priors = Literal["image", "equal"]
_assessing = threading.Lock()


@dataclass(eq=False)
class LearnerState:
    """One block: features of every second pixel, REACH pixels beyond the block on each side."""

    features: Tensor
    """(K, h, w), h = ceil(row / 2) + REACH"""
    guide: Guide
    valid: BoolArray
    """(row, col)"""
    rows: KernelRows = field(default_factory=KernelRows)
    """What is known from the last labels."""
    room: int = 0
    """Bytes that all this may hold; what is more than features, guide and validity is for `rows`."""

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self._least + self.rows.nbytes

    def shrink(self) -> None:
        """Give back what is for the next labels."""
        self.rows = KernelRows()

    @property
    def _least(self) -> int:
        return self.features.nbytes + self.guide.nbytes + self.valid.nbytes

    def probabilities(self, scorer: Scorer, near: Tensor | None) -> Tensor:
        """(class, h, w) of its pixels, `near` (class, h w) being what lies near."""
        found = scorer.probabilities(self.features.flatten(1), near, self.rows, self.room - self._least)
        return found.view(-1, *self.features.shape[1:])


@dataclass(eq=False)
class Fitted:
    """A scorer and what it was fitted to."""

    references: References
    ids: list[int]
    """Ids of the classes, in the order of its probabilities."""
    known: Known
    """What it maps, see `fit`."""
    scorer: Scorer
    covers: AnyArray | None = None
    """(n, own) what transferred labels cover, as `Cover` has it; None for what all labels do."""
    assessment: Assessment | None = None
    """What the labels say of it, once somebody wants to know."""


@dataclass(frozen=True, eq=False)
class LearnerRule:
    """What labels say of one image."""

    fitted: Fitted
    scorer: Scorer
    """With the prior correction of the image, and the labels that are near on it."""
    training: TrainingSet
    doubt: float
    """How far confidence is drawn towards that of a guess, 0..1: the share of an image without labels that is like nothing that was labelled."""


class Learner:
    """'auto', 'vote' or 'logistic'; see `fitting`."""

    least_classes = 2

    def __init__(self, stack: FeatureStack, method: LearnerMethod, *, label_transfer: bool, priors: Priors) -> None:
        self.stack, self._method = stack, method
        self._transfers, self.priors = label_transfer, priors
        self._elsewhere = LookedUp()
        self.halo = stack.halo + REACH
        self.key = ("learner",)
        self.needs_limit = False
        self.options = {
            "method": method,
            **({} if label_transfer else {"label_transfer": "no"}),
            **({} if priors == "image" else {"priors": priors}),
        }

    def describe(self, scene: Scene, block: Window) -> LearnerState:
        """Features and guide of the block."""
        fields = self.stack.fields(scene, grown(block, REACH), STRIDE)
        bands = fields.bands
        assert bands is not None  # a stack has them
        usable = torch.from_numpy(fields.valid).to(bands.device)
        features = fields.features
        if not self.stack.columns(scene).raw:
            # Of a network and of standardised bands: small numbers, of which three digits tell all, but for bands gone wild.
            features = features.clamp(-6e4, 6e4).half()
        if fields.guide is not None:
            bands = fields.guide
        if self.stack.model is None and fields.valid.any():
            seen = bands[:, usable]
            level, spread = seen.mean(dim=1), seen.std(dim=1, correction=0)
            bands = (bands - level[:, None, None]) / (spread + 1e-6 * level.abs() + 1e-12)[:, None, None]
        return LearnerState(features.contiguous(), Guide.of(bands, usable), fields.valid[REACH:-REACH, REACH:-REACH])

    def fit(self, training: TrainingSet, image: Image) -> LearnerRule:
        """A learner for an image: of its own labels, of labels transferred to it, or of all as they are."""
        references = training.references
        has_labels = len(image.marked[0]) > 0
        fitted = self._transferred(training, image) if self._transfers else None
        if fitted is None:
            fitted = self._fitted(training, "here" if has_labels else "elsewhere")
        here = references.origins[torch.from_numpy(image.labelled), 0].tolist()
        scorer = fitted.scorer.on({scene_number(image.scene), *here})
        # Not where the labels are, unless features from elsewhere decide: who labels sees what they do, and asks for a small class by labelling it.
        if self.priors == "equal" or (has_labels and scorer.parts is None):
            return LearnerRule(fitted, scorer, training, 0.0)
        sample = image.sample()
        scorer = alone(scorer.proportioned, sample)
        if has_labels:
            return LearnerRule(fitted, scorer, training, 0.0)
        return LearnerRule(fitted, scorer, training, self._coverage(training, fitted, sample, image.scene.name).foreign)

    def elsewhere(self, training: TrainingSet) -> LearnerRule:
        """A learner for any image that is not of labelled ground, before its proportions are looked at."""
        fitted = self._fitted(training, "elsewhere")
        return LearnerRule(fitted, fitted.scorer, training, 0.0)

    def coverage(self, rule: LearnerRule, image: Image) -> Coverage:
        """Of an even sample of the image, by the features that describe a pixel alone."""
        return self._coverage(rule.training, rule.fitted, image.sample(), image.scene.name)

    def prepare(self, training: TrainingSet) -> None:
        """Nothing yet: what is learned depends on the image, and is learned once it is asked for."""

    def calibrate(self, rule: LearnerRule) -> None:
        """Cross-validate."""
        self._assessment(rule.fitted, rule.training)

    def classify(self, kept: LearnerState, rule: LearnerRule, block: Window) -> UInt8Array:
        """See `Decision.classify`."""
        with torch.inference_mode():
            return self._winners(self._filtered(kept, rule, block), rule, kept)

    def decide(self, kept: LearnerState, rule: LearnerRule, block: Window) -> tuple[UInt8Array, FloatArray]:
        """See `Decision.decide`."""
        with torch.inference_mode():
            planes = self._filtered(kept, rule, block)
            classes = self._winners(planes, rule, kept)
            power = self._powers(planes, rule)
            confidence = power.amax(dim=0).div_(power.sum(dim=0))
            if rule.doubt:
                confidence.mul_(1 - rule.doubt).add_(rule.doubt / len(planes))
            return classes, together(confidence, kept.guide.shape).cpu().numpy()

    def probabilities(self, kept: LearnerState, rule: LearnerRule, block: Window) -> FloatArray:
        """See `Decision.probabilities`."""
        with torch.inference_mode():
            power = self._powers(self._filtered(kept, rule, block), rule)
            power.div_(power.sum(dim=0)).mul_(1 - rule.doubt).add_(rule.doubt / len(power))
            probabilities: FloatArray = together(power, kept.guide.shape).cpu().numpy()
            return probabilities

    def recognise(self, rule: LearnerRule, references: References) -> UInt8Array:
        """See `Decision.recognise`."""
        scorer = rule.scorer
        near = None if scorer.spatial is None else scorer.spatial.at(references.sites)
        features = references.features.T.contiguous().to(self.stack.device)
        winners = scorer.probabilities(features, near).argmax(dim=0).cpu().numpy()
        classes: UInt8Array = np.array(rule.fitted.ids, np.uint8)[winners]
        return classes

    def appearance(self, kept: LearnerState, rule: LearnerRule, block: Window, rows: IntArray, cols: IntArray) -> AnyArray:
        """The features that describe the pixel alone, standardised by what the labelled pixels lie among."""
        if "appearance" not in rule.training.memo:
            references = rule.training.references
            index, (level, spread) = np.flatnonzero(references.columns.own), background(references)
            rule.training.memo.setdefault("appearance", (index, level[index], spread[index]))
        own, centre, scale = rule.training.memo["appearance"]
        at = torch.from_numpy((rows - block.row + REACH) // STRIDE), torch.from_numpy((cols - block.col + REACH) // STRIDE)
        values = kept.features[:, at[0], at[1]].T.cpu().double().numpy()[:, own]
        standardised: AnyArray = (values - centre) / scale / np.sqrt(len(own))
        return standardised

    def suspects(self, training: TrainingSet) -> tuple[SuspectLabel, ...]:
        """What cross-validation finds of the labels of all images."""
        return self._assessment(self._fitted(training, "here"), training).suspects

    def pack(self, kept: LearnerState) -> dict[str, Tensor]:
        """See `Decision.pack`."""
        guide = {f"guide.{name}": value for name, value in vars(kept.guide).items() if name != "shape"}
        return {"features": kept.features, "shape": torch.tensor(kept.guide.shape), **guide, "valid": torch.from_numpy(kept.valid)}

    def unpack(self, parts: dict[str, Tensor]) -> LearnerState:
        """See `Decision.unpack`."""
        valid, features = parts.pop("valid").numpy(), parts.pop("features")
        height, width = parts.pop("shape").tolist()
        guide = {name.removeprefix("guide."): value for name, value in parts.items()}
        return LearnerState(features, Guide(shape=(height, width), **guide), valid)

    def _transferred(self, training: TrainingSet, image: Image) -> Fitted | None:
        """A learner that knows the sites labelled on other images of the same grid by their features on this one; None where there is nothing new to learn."""
        references, ids = training.references, training.ids
        grid = grid_number(image.scene.grid)
        moving = transferable(references, image.labelled, grid)
        if not len(moving):
            return None

        def collect_there(sites: References) -> References:
            rows, cols = sites.origins[:, 2:].T.numpy()
            return image.collect(LabelledPixels(rows, cols, sites.classes, sites.legend))

        there = self._elsewhere.of(references.take(moving), image.scene.fingerprint, collect_there)
        there = there.take(np.flatnonzero(unchanged(there, ids, self._fitted(training, "elsewhere", "vote").scorer)))
        staying = np.flatnonzero(image.labelled | (references.origins[:, 1].numpy() != grid))
        known = references.take(staying).merge(there)
        # A class that nowhere looks like itself on this date is known by its features on others alone.
        if set(known.classes.tolist()) != set(ids):
            return None
        cover, at = self.cover(training), {tuple(site): i for i, site in enumerate(references.take(moving).origins[:, 2:].tolist())}
        before = references.features[moving[[at[tuple(site)] for site in there.origins[:, 2:].tolist()]]]
        covers = cover.transferred(before.numpy(), there.features.numpy())
        stayed = cover.standardised(references.features[staying].numpy())
        fitted = self._fit(known, ids, "transferred")
        fitted.covers = np.concatenate([covers, stayed])
        return fitted

    def _fitted(self, training: TrainingSet, known: Known, method: LearnerMethod | None = None) -> Fitted:
        """A learner of all references, of this method unless another is named."""
        key = known, method
        if key not in training.memo:
            training.memo.setdefault(key, self._fit(training.references, training.ids, known, method))
        fitted: Fitted = training.memo[key]
        return fitted

    def cover(self, training: TrainingSet) -> Cover:
        """What the labels cover."""
        if "cover" not in training.memo:
            training.memo.setdefault("cover", Cover.of(training.references))
        cover: Cover = training.memo["cover"]
        return cover

    def _coverage(self, training: TrainingSet, fitted: Fitted, sample: Tensor, name: str) -> Coverage:
        cover = self.cover(training)
        points = cover.points if fitted.covers is None else fitted.covers
        if not sample.shape[1] or not len(points):
            return Coverage(name, cover.limit, float(sample.shape[1] > 0), float("inf"), sample.shape[1])
        return coverage(cover.distances(sample.T.cpu().numpy(), points), cover.limit, name)

    def _fit(self, references: References, ids: list[int], known: Known, method: LearnerMethod | None = None) -> Fitted:
        scorer: Scorer = alone(fit, references, ids, method or self._method, known)
        return Fitted(references, ids, known, scorer.to(self.stack.device))

    def _assessment(self, fitted: Fitted, training: TrainingSet) -> Assessment:
        with _assessing:
            if fitted.assessment is None:
                # The learner's twin that goes by features alone serves the labelled image: it finds wrong labels, and a click waits for it.
                known: Known = "transferred" if fitted.known == "transferred" else "apart"
                fitted.assessment = alone(assess, fitted.references, fitted.ids, self._method, known, lambda: not training.called_off)
            return fitted.assessment

    def _filtered(self, kept: LearnerState, rule: LearnerRule, block: Window) -> Tensor:
        """Smoothed probabilities, as `apart` has them."""
        near = None
        if rule.scorer.spatial is not None:
            rows, cols = (
                start - REACH + STRIDE * np.arange(size)
                for start, size in zip((block.row, block.col), kept.features.shape[1:], strict=True)
            )
            near = rule.scorer.spatial.field(rows, cols).flatten(1)
        return filtered(kept.probabilities(rule.scorer, near), kept.guide)

    def _powers(self, planes: Tensor, rule: LearnerRule) -> Tensor:
        """Calibrated, but not yet adding up to 1; overwrites the planes."""
        assert rule.fitted.assessment is not None  # calibrated before
        return planes.div_(planes.sum(dim=0)).pow_(rule.fitted.assessment.inverse_temperature)

    def _winners(self, planes: Tensor, rule: LearnerRule, kept: LearnerState) -> UInt8Array:
        ids = rule.fitted.ids
        best = planes[0].clone()
        winners = torch.full_like(best, ids[0], dtype=torch.uint8)
        for class_id, plane in zip(ids[1:], planes[1:], strict=True):
            winners.masked_fill_(plane > best, class_id)
            torch.maximum(best, plane, out=best)
        return together(winners, kept.guide.shape).cpu().numpy()
