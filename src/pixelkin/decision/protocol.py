"""The seam for how labels decide.

A new way to decide is a class with the members of `Decision` and a line in `decision.make_decision`. The engine calls it block by block, keeps what it
describes, and never looks inside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor

from ..features import References
from ..scene import Scene
from ..types import AnyArray, BoolArray, FloatArray, IntArray, LabelledPixels, UInt8Array, Window
from .calibration import SuspectLabel
from .coverage import Coverage
from .training_set import TrainingSet


@dataclass(frozen=True, eq=False)
class Image:
    """What a decision may ask about the image that is to be mapped, beside its blocks."""

    scene: Scene
    labelled: BoolArray
    """(L,) which references were labelled on it."""
    marked: tuple[IntArray, IntArray, UInt8Array]
    """Rows, columns and classes of these."""
    sample: Callable[[], Tensor]
    """Features (K, n) of pixels from all over it."""
    collect: Callable[[LabelledPixels], References]
    """References of some of its pixels, those on no-data left out."""


class State(Protocol):
    """What a decision keeps of a block."""

    valid: BoolArray
    """(row, col), True = the image has data there."""
    room: int
    """Bytes that it may come to hold with what it keeps for the next labels; set before each question, 0 where it is not kept itself."""

    @property
    def nbytes(self) -> int:
        """Memory held."""
        ...

    def shrink(self) -> None:
        """Give back what is kept for the next labels."""
        ...


Kept = TypeVar("Kept", bound=State)
Rule = TypeVar("Rule")


class Decision(Protocol[Kept, Rule]):
    """How labels decide: what is kept of a block whatever the labels, what follows from labels, and the answer of both."""

    halo: int
    """Pixels around a block that its answer depends on, beside labelled pixels and the image's sample."""
    key: tuple[str, ...]
    """What makes kept blocks differ, beside image, block, model and features."""
    needs_limit: bool
    """True where `coverage` needs `References.limit`."""
    options: dict[str, str]
    """What it takes to decide the same again, for the provenance of maps."""
    least_classes: int
    """Classes that have to be labelled."""

    def describe(self, scene: Scene, block: Window) -> Kept:
        """What is kept of a block of the image; on a thread of the pool."""
        ...

    def prepare(self, training: TrainingSet) -> None:
        """Refuse labels that it cannot decide by, as soon as they come; ModelError or LabelError."""
        ...

    def fit(self, training: TrainingSet, image: Image) -> Rule:
        """What labels say of an image; not on a thread of the pool."""
        ...

    def calibrate(self, rule: Rule) -> None:
        """Find out how sure the rule may be, before `decide` or `probabilities`; not on a thread of the pool."""
        ...

    def classify(self, kept: Kept, rule: Rule, block: Window) -> UInt8Array:
        """Class ids (row, col), arbitrary where there is no data."""
        ...

    def decide(self, kept: Kept, rule: Rule, block: Window) -> tuple[UInt8Array, FloatArray]:
        """Class ids and confidence in [0, 1], (row, col) each, arbitrary where there is no data."""
        ...

    def probabilities(self, kept: Kept, rule: Rule, block: Window) -> FloatArray:
        """Calibrated probabilities (class, row, col) of the training set's classes, arbitrary where there is no data."""
        ...

    def recognise(self, rule: Rule, references: References) -> UInt8Array:
        """Class ids (n,) of labelled pixels of the rule's image, by their features and before anything is smoothed; InputError where it keeps no features."""
        ...

    def appearance(self, kept: Kept, rule: Rule, block: Window, rows: IntArray, cols: IntArray) -> AnyArray:
        """What some pixels (n,) look like, (n, d) of about unit spread, by which suggestions differ; d may be 0."""
        ...

    def coverage(self, rule: Rule, image: Image) -> Coverage:
        """How much of the image is like nothing that was labelled, by what it decides by; InputError where that cannot be said."""
        ...

    def suspects(self, training: TrainingSet) -> tuple[SuspectLabel, ...]:
        """Labels that contradict others, as far as it can tell; not on a thread of the pool."""
        ...

    def pack(self, kept: Kept) -> dict[str, Tensor]:
        """What `unpack` makes the same of."""
        ...

    def unpack(self, parts: dict[str, Tensor]) -> Kept:
        """Inverse of `pack`."""
        ...
