"""The paper's decision: a pixel that is not labelled belongs to the class of its nearest reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..features import References, blocks_of, spread
from ..model import Model
from ..scene import Scene
from ..similarity import L1, Measure, Projection, project, similarity_of, take
from ..types import AnyArray, BoolArray, FloatArray, IntArray, UInt8Array, Window
from ..workers import alone
from .calibration import SuspectLabel
from .coverage import Coverage, coverage
from .protocol import Image
from .training_set import TrainingSet

_AT_ONCE = 64
"""References at a time: their distances are (n, row, col)."""
_SAMPLED_BLOCKS = 16
"""Blocks that coverage is judged by."""


@dataclass(eq=False)
class NearestState:
    """What is known of one block: its projection, and the nearest reference of each class so far."""

    projection: Any
    valid: BoolArray
    seen: dict[int, frozenset[int]] = field(default_factory=dict)
    """Class id -> serials of the references in `best`."""
    best: dict[int, Tensor] = field(default_factory=dict)
    """Class id -> (row, col) distance of the nearest reference."""
    order: dict[int, Tensor] = field(default_factory=dict)
    """Class id -> (row, col) serial of that reference."""
    alone: Tensor | None = None
    """(row, col) the part of a distance that is the same for all references, once somebody has asked for it."""
    room: int = 0
    """Not looked at: room for what it comes to keep is reserved."""

    @property
    def nbytes(self) -> int:
        """Memory held, with room for the planes of eight classes."""
        tensors = vars(self.projection).values() if hasattr(self.projection, "__dict__") else [self.projection]
        return int(sum(t.nbytes for t in tensors)) + self.valid.nbytes * (1 + 8 * 12)

    def shrink(self) -> None:
        """Nothing: its room was reserved."""

    def update(self, similarity: Any, rule: NearestRule) -> tuple[list[Tensor], list[Tensor]]:
        """Evaluate the references not yet seen; a class that lost one starts again.

        Returns:
            For each class the distance of the nearest reference, and its serial: (row, col) each.
        """
        serials, ids = rule.training.serials, rule.training.ids
        classes = rule.training.references.classes.tolist()
        wanted: dict[int, set[int]] = {class_id: set() for class_id in ids}
        for serial, class_id in zip(serials, classes, strict=True):
            wanted[class_id].add(serial)
        for class_id in list(self.seen):
            if not self.seen[class_id] <= wanted.get(class_id, set()):
                del self.seen[class_id], self.best[class_id], self.order[class_id]
        new = [index for index, serial in enumerate(serials) if serial not in self.seen.get(classes[index], ())]
        for start in range(0, len(new), _AT_ONCE):
            part = new[start : start + _AT_ONCE]
            for index, distance in zip(part, similarity.distances(self.projection, take(rule.prepared, part)), strict=True):
                self._take_in(classes[index], serials[index], distance)
        self.seen = {class_id: frozenset(members) for class_id, members in wanted.items()}
        return [self.best[i] for i in ids], [self.order[i] for i in ids]

    def _take_in(self, class_id: int, serial: int, distance: Tensor) -> None:
        if class_id not in self.best:
            self.best[class_id] = distance.clone()
            self.order[class_id] = torch.full(distance.shape, serial, dtype=torch.int64, device=distance.device)
            return
        # Serials rise: strictly nearer gives a tie to the reference given first, and a new serial is the largest so far. Arithmetic, because
        # choosing by a mask takes ten times as long.
        best, order = self.best[class_id], self.order[class_id]
        torch.maximum(order, (distance < best).to(order.dtype).mul_(serial), out=order)
        torch.minimum(best, distance, out=best)


@dataclass(frozen=True, eq=False)
class NearestRule:
    """The labels, as the measure wants them: the same for all images."""

    training: TrainingSet
    prepared: Any


class Nearest:
    """Algorithm 2, by mutual information or L1; no smoothing."""

    least_classes = 2

    def __init__(self, model: Model | None, measure: Measure | None) -> None:
        self.model = model
        self.similarity = similarity_of(model, measure)
        self.measure: Measure = self.similarity.name
        self.halo = 0 if model is None else model.config.radius
        self.key = (self.measure,)
        self.needs_limit = True
        self.options = {"method": "nearest", "measure": self.measure}

    def describe(self, scene: Scene, block: Window) -> NearestState:
        """The block as the measure wants it."""
        return NearestState(*project(self.similarity, self.model, scene, block))

    def prepare(self, training: TrainingSet) -> None:
        """Project the references."""
        if "rule" not in training.memo:
            training.memo.setdefault("rule", NearestRule(training, alone(self.similarity.prepare, training.references)))

    def fit(self, training: TrainingSet, image: Image) -> NearestRule:
        """The references as the measure wants them."""
        return self.rule(training)

    def rule(self, training: TrainingSet) -> NearestRule:
        """The same, for whatever image."""
        self.prepare(training)
        rule: NearestRule = training.memo["rule"]
        return rule

    def calibrate(self, rule: NearestRule) -> None:
        """Nothing: distances say themselves how sure they are."""

    def classify(self, kept: NearestState, rule: NearestRule, block: Window) -> UInt8Array:
        """See `Decision.classify`."""
        return self.decide(kept, rule, block)[0]

    def decide(self, kept: NearestState, rule: NearestRule, block: Window) -> tuple[UInt8Array, FloatArray]:
        """Class and confidence from each class's nearest distance; a tie goes to the class of the reference given first."""
        best, order = kept.update(self.similarity, rule)
        with torch.inference_mode():
            nearest, given, winner = best[0].clone(), order[0].clone(), torch.zeros_like(best[0], dtype=torch.int64)
            second = torch.full_like(nearest, torch.inf)
            for k in range(1, len(best)):
                wins = (best[k] < nearest) | ((best[k] == nearest) & (order[k] < given))
                second = torch.minimum(second, torch.maximum(nearest, best[k]))
                nearest = torch.minimum(nearest, best[k])
                won = wins.to(torch.int64)
                given += won * (order[k] - given)
                winner = torch.maximum(winner, won.mul_(k))
            confidence = (
                torch.where(second > 0, 1 - nearest / second, 0)
                if isinstance(self.similarity, L1)
                else 1 - torch.exp((nearest - second) / self.similarity.positions)
            )
            classes = torch.tensor(rule.training.ids, dtype=torch.uint8, device=winner.device)[winner]
            return classes.cpu().numpy(), confidence.cpu().numpy()

    def probabilities(self, kept: NearestState, rule: NearestRule, block: Window) -> FloatArray:
        """Softmax of -D / J of each class's nearest reference: two classes as near as each other are as likely. Not calibrated: the paper has no probabilities.

        For L1 the distances are taken relative to their mean over the classes, since their unit is the image's.
        """
        best, _ = kept.update(self.similarity, rule)
        with torch.inference_mode():
            distances = torch.stack(best)
            unit = distances.mean(dim=0).clamp(min=1e-30) if isinstance(self.similarity, L1) else self.similarity.positions
            probabilities: FloatArray = torch.softmax(-distances / unit, dim=0).cpu().numpy()
            return probabilities

    def recognise(self, rule: NearestRule, references: References) -> UInt8Array:
        """Not for the nearest reference: no features are kept; InputError."""
        raise InputError("the nearest reference keeps no features of labelled pixels, expected a learner. Use method='auto'.")

    def appearance(self, kept: NearestState, rule: NearestRule, block: Window, rows: IntArray, cols: IntArray) -> AnyArray:
        """Nothing: no features are kept."""
        return np.empty((len(rows), 0))

    def coverage(self, rule: NearestRule, image: Image) -> Coverage:
        """By the distance to the nearest reference, of some blocks that are spread over the image."""
        limit = rule.training.references.limit
        if limit is None:
            raise InputError(
                "the references do not say what their image shows, expected a limit in them. Give the labelled image, or save them with with_limit()."
            )
        return coverage(self.distances(rule, image.scene, _SAMPLED_BLOCKS), limit, image.scene.name)

    def distances(self, rule: NearestRule, scene: Scene, blocks: int | None) -> FloatArray:
        """Absolute distance of pixels to their nearest reference; see `pixelkin.coverage.nearest_distances`."""
        out = []
        everything = list(blocks_of(scene.grid, scene.grid.window))
        for block in everything if blocks is None else spread(everything, blocks):
            projection, valid = project(self.similarity, self.model, scene, block)
            best = None
            for start in range(0, len(rule.training.references), _AT_ONCE):
                part = list(range(start, min(start + _AT_ONCE, len(rule.training.references))))
                distances = self.similarity.distances(projection, take(rule.prepared, part), absolute=True).amin(dim=0)
                best = distances if best is None else torch.minimum(best, distances)
            assert best is not None  # there are labels
            values = (best / self.similarity.positions).cpu().numpy()
            out.append(np.where(valid, values, np.nan).astype(np.float32).ravel())
        return np.concatenate(out)

    def suspects(self, training: TrainingSet) -> tuple[SuspectLabel, ...]:
        """None: the nearest reference of a labelled pixel is itself."""
        return ()

    def pack(self, kept: NearestState) -> dict[str, Tensor]:
        """See `Decision.pack`."""
        parts = {"projection": kept.projection} if isinstance(kept.projection, Tensor) else vars(kept.projection)
        return {**parts, "valid": torch.from_numpy(kept.valid)}

    def unpack(self, parts: dict[str, Tensor]) -> NearestState:
        """See `Decision.unpack`."""
        valid = parts.pop("valid").numpy()
        return NearestState(parts["projection"] if "projection" in parts else Projection(**parts), valid)
