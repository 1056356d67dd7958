"""The seam for what is known of a pixel: whatever gives each pixel of an image some numbers.

A new source is a class with the members of `FeatureSource` and a name in `stack.SOURCES`. Nothing else has to know it: references keep its columns
under its name, and decisions go by what its `Group` says of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import ModelError
from ..scene import Scene
from ..types import BoolArray, Window

if TYPE_CHECKING:
    from .encoder import Embedding


@dataclass(frozen=True)
class Group:
    """Columns of the features that come from one source."""

    name: str
    """The source."""
    width: int
    """How many columns, >= 1."""
    own: int
    """How many of them, the first ones, describe the pixel alone; the others describe its surroundings."""
    kind: Literal["learned", "bands", "pretrained"] = "learned"
    """'bands' are what the sensor measured: comparable all over an image, but not between dates. 'learned' is what a network makes of it that saw such
    images; 'pretrained' what one makes that saw others: it tells things apart on one image, but not what changes between dates."""
    standardise: Literal["each", "together"] = "each"
    """Whether each column has a scale of its own, or all of the group one: an embedding's small columns are small for a reason."""
    weights: str = ""
    """Hash of the network and of how it looks at images, of kind 'pretrained' only."""
    parts: tuple[int, ...] = ()
    """Widths of parts that are compared one by one; of kind 'pretrained' only, whose columns need no standardisation."""
    spans: tuple[int, ...] = ()
    """Pixels, from side to side, that each part looks at."""
    network: str = ""
    """Its name, of kind 'pretrained' only; '' for the packaged one."""
    raw: bool = False
    """Values as in the file, of any size; others are small numbers, for which float16 will do."""

    def __post_init__(self) -> None:
        if self.kind == "pretrained" and not (sum(self.parts) == self.width and len(self.spans) == len(self.parts)):
            raise ModelError(
                f"features {self.name!r} are {self.width} columns in parts of {list(self.parts)} that look at {list(self.spans)} pixels, "
                "expected parts that add up to the columns, and a span for each. Correct the source's group."
            )


@dataclass(frozen=True)
class Columns:
    """What the columns of a feature matrix are: the groups in order, 'learned' ones first, then bands, then 'pretrained' ones."""

    groups: tuple[Group, ...]

    def __len__(self) -> int:
        return sum(group.width for group in self.groups)

    def of(self, name: str) -> slice:
        """The columns of a source."""
        start = 0
        for group in self.groups:
            if group.name == name:
                return slice(start, start + group.width)
            start += group.width
        raise KeyError(name)

    @property
    def learned(self) -> slice:
        """The columns of all networks; empty without one."""
        return slice(0, sum(group.width for group in self.groups if group.kind == "learned"))

    @property
    def bands(self) -> slice:
        """The columns of the bands; empty without them."""
        return slice(self.learned.stop, self.pretrained.start)

    @property
    def pretrained(self) -> slice:
        """The columns of networks that were trained on other images; empty without one."""
        width = sum(group.width for group in self.groups if group.kind == "pretrained")
        return slice(len(self) - width, len(self))

    @property
    def parts(self) -> tuple[int, ...]:
        """Widths of the parts of the pretrained columns."""
        return tuple(width for group in self.groups if group.kind == "pretrained" for width in group.parts)

    @property
    def spans(self) -> tuple[int, ...]:
        """Pixels, from side to side, that each of the parts looks at."""
        return tuple(span for group in self.groups if group.kind == "pretrained" for span in group.spans)

    @property
    def backbone(self) -> str:
        """Name and hash of weights of the network behind the pretrained columns, in words; '' for the packaged one and without such columns."""
        return next((f"{group.network}, weights {group.weights[:12]}" for group in self.groups if group.network), "")

    @property
    def own(self) -> BoolArray:
        """(K,) True for what describes the pixel alone: as the networks that saw such images see it, without one in its bands, without these as others see it."""
        kind = next(kind for kind in ("learned", "bands", "pretrained") if any(group.kind == kind for group in self.groups))
        return np.concatenate([(np.arange(group.width) < group.own) & (group.kind == kind) for group in self.groups])

    @property
    def raw(self) -> bool:
        """True where some values are as in the file."""
        return any(group.raw for group in self.groups)

    def to_json(self) -> list[dict[str, Any]]:
        """What `from_json` reads back."""
        return [asdict(group) for group in self.groups]

    @classmethod
    def from_json(cls, entries: list[dict[str, Any]]) -> Columns:
        """Inverse of `to_json`."""
        return cls(tuple(Group(**{**entry, **{name: tuple(entry.get(name, ())) for name in ("parts", "spans")}}) for entry in entries))


@dataclass(frozen=True, eq=False)
class Fields:
    """What is known of the pixels of a window."""

    features: Tensor
    """(K, h, w) float32, of every `step`-th row and column: h = ceil(row / step)."""
    valid: BoolArray
    """(row, col), True = the image has data there."""
    bands: Tensor | None = None
    """(band, row, col) float32: the bands, standardised or, without a model, raw; edges in them guide the smoothing. always there from a `FeatureStack`."""
    guide: Tensor | None = None
    """(n, row, col) float32: what guides the smoothing instead of the bands; None where they do."""
    embedding: Embedding | None = None
    """The encoder's maps of the window and of some pixels around it, for Algorithm 2; None from other sources."""


class FeatureSource(Protocol):
    """Something that gives each pixel of an image some numbers."""

    @property
    def name(self) -> str:
        """By which users choose it and references remember it."""
        ...

    @property
    def hash(self) -> str:
        """Of everything that decides its numbers, such as weights."""
        ...

    @property
    def halo(self) -> int:
        """Pixels around a pixel that have a say in its numbers."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    def group(self, scene: Scene) -> Group:
        """Its columns for such an image; ModelError where the image has not got the bands that it needs."""
        ...

    def fields(self, scene: Scene, window: Window, step: int = 1) -> Fields:
        """Its numbers on a window, which may reach past the image, as `read_padded` has it.

        A pixel's numbers must not depend on the window that is asked for, but for rounding.

        Args:
            scene: The image.
            window: Where.
            step: Features are wanted of every step-th row and column, from the first; validity and bands of all.
        """
        ...


def grown(window: Window, by: int) -> Window:
    """A window with so many pixels more on each side."""
    return Window(window.row - by, window.col - by, window.height + 2 * by, window.width + 2 * by)
