"""What every room speaks: windows, grids, legends and labelled pixels. Plain values, no files."""

from __future__ import annotations

import colorsys
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError, LabelError, ShapeError

BoolArray = npt.NDArray[np.bool_]
UInt8Array = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
AnyArray = npt.NDArray[Any]

Color = tuple[int, int, int]

# Okabe and Ito's palette for colour-blind readers, without black; classes past the eighth get spread hues.
_PALETTE: tuple[Color, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (86, 180, 233),
    (240, 228, 66),
    (148, 103, 60),
)


def default_color(index: int) -> Color:
    """The colour of the class at this 0-based position in a legend, safe for colour-blind readers up to eight classes."""
    if index < len(_PALETTE):
        return _PALETTE[index]
    red, green, blue = colorsys.hsv_to_rgb((index * 0.618034) % 1.0, 0.65, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels; may reach past the image where a function says so."""

    row: int
    """First row."""
    col: int
    """First column."""
    height: int
    """Rows, >= 1."""
    width: int
    """Columns, >= 1."""

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise InputError(f"window is {self.height} x {self.width} pixels, expected at least 1 x 1. Give a height and a width >= 1.")

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices into an array of the whole image."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where pixels lie: size, affine transform and coordinate reference system."""

    height: int
    width: int
    transform: tuple[float, float, float, float, float, float]
    """(a, b, c, d, e, f) of x = a col + b row + c, y = d col + e row + f; (0, 0) is the outer corner of the first pixel."""
    crs: str | None
    """'EPSG:n' where the authority is known, else WKT; None where the raster has none."""

    def __post_init__(self) -> None:
        a, b, _, d, e, _ = self.transform
        if not (all(map(math.isfinite, self.transform)) and a * e != b * d):
            raise InputError(
                f"the transform is {tuple(map(float, self.transform))}, expected finite numbers that give each pixel an area. "
                "Write the image with its right transform."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.height, self.width

    @property
    def window(self) -> Window:
        """The whole image."""
        return Window(0, 0, self.height, self.width)

    def crop(self, window: Window) -> Grid:
        """The grid of a window of this image."""
        a, b, c, d, e, f = self.transform
        return Grid(
            window.height,
            window.width,
            (a, b, a * window.col + b * window.row + c, d, e, d * window.col + e * window.row + f),
            self.crs,
        )

    def xy(self, row: float, col: float) -> tuple[float, float]:
        """Coordinates of a pixel's centre, in units of the CRS."""
        a, b, c, d, e, f = self.transform
        return a * (col + 0.5) + b * (row + 0.5) + c, d * (col + 0.5) + e * (row + 0.5) + f


@dataclass(frozen=True, slots=True)
class LegendGroup:
    """What classes belong to, such as 'forest'."""

    name: str
    color: Color | None = None
    """None = that of its first class."""


@dataclass(frozen=True, slots=True)
class LegendClass:
    """One class of a legend."""

    id: int
    """1..255; 0 means no data or undecided and is never a class."""
    name: str
    color: Color
    """Red, green, blue, 0..255."""
    parents: tuple[LegendGroup, ...] = ()
    """What it belongs to, the highest level first."""

    def to_json(self) -> dict[str, object]:
        """A value that `from_json` reads back."""
        parents = [{"name": group.name, "color": None if group.color is None else list(group.color)} for group in self.parents]
        return {"id": self.id, "name": self.name, "color": list(self.color)} | ({"parents": parents} if parents else {})

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> LegendClass:
        """Inverse of `to_json`."""
        return cls(
            int(entry["id"]),
            str(entry["name"]),
            tuple(entry["color"]),
            tuple(LegendGroup(str(e["name"]), None if e["color"] is None else tuple(e["color"])) for e in entry.get("parents", ())),
        )


@dataclass(frozen=True)
class Legend:
    """Classes in the order in which the user first gave them."""

    classes: tuple[LegendClass, ...]
    by_order: bool = field(default=False, compare=False)
    """True where the ids were given here in the order of the names, so that they say nothing of another legend's ids."""

    def __post_init__(self) -> None:
        ids = [entry.id for entry in self.classes]
        names = [entry.name for entry in self.classes]
        if any(not 1 <= i <= 255 for i in ids):
            raise LabelError(f"class ids are {ids}, expected whole numbers from 1 to 255. Renumber the classes.")
        if len(set(ids)) != len(ids) or len(set(names)) != len(names):
            raise LabelError(f"legend names a class twice: {list(zip(ids, names, strict=True))}. Give each class one id and one name.")

    @classmethod
    def from_names(cls, names: Iterable[str]) -> Legend:
        """Number the names 1, 2, ... and give each a colour-blind-safe colour."""
        return cls(tuple(LegendClass(i + 1, name, default_color(i)) for i, name in enumerate(names)))

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[LegendClass]:
        return iter(self.classes)

    @property
    def ids(self) -> tuple[int, ...]:
        """Class ids in legend order."""
        return tuple(entry.id for entry in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in legend order."""
        return tuple(entry.name for entry in self.classes)

    def by_id(self, class_id: int) -> LegendClass:
        """The class with this id; LabelError if there is none."""
        for entry in self.classes:
            if entry.id == class_id:
                return entry
        raise LabelError(f"class id {class_id} is not in the legend, expected one of {list(self.ids)}.")

    def by_name(self, name: str) -> LegendClass:
        """The class with this name; LabelError if there is none."""
        for entry in self.classes:
            if entry.name == name:
                return entry
        raise LabelError(f"class {name!r} is not in the legend, expected one of {list(self.names)}.")

    def to_json(self) -> list[dict[str, object]]:
        """A list of {id, name, color}, with parents where there are any, that `from_json` reads back."""
        return [entry.to_json() for entry in self.classes]

    @classmethod
    def from_json(cls, entries: Sequence[dict[str, Any]]) -> Legend:
        """Inverse of `to_json`."""
        return cls(tuple(LegendClass.from_json(entry) for entry in entries))

    def at_level(self, level: int) -> tuple[Legend, dict[int, int]]:
        """The classes at a level, numbered anew, and the id there of each class here.

        Args:
            level: 1 = the highest; a class that has fewer levels stays as it is.

        Raises:
            LabelError: No class belongs to anything, or the level is below 1.
        """
        if level < 1 or not any(entry.parents for entry in self.classes):
            known = max((len(entry.parents) for entry in self.classes), default=0)
            said = f"level is {level}, expected 1 (the highest) or more." if known else "the classes have no levels above them."
            raise LabelError(f"{said} Give a table of classes with their parents.")
        found: dict[str, LegendClass] = {}
        place = {}
        for entry in self.classes:
            group = entry.parents[level - 1] if len(entry.parents) >= level else LegendGroup(entry.name, entry.color)
            made = LegendClass(len(found) + 1, group.name, group.color or entry.color, entry.parents[: level - 1])
            place[entry.id] = found.setdefault(group.name, made).id
        return Legend(tuple(found.values()), by_order=True), place


@dataclass(frozen=True)
class LabelledPixels:
    """Pixels that a user marked, in the order given; a pixel appears once.

    Order matters: a tie between two labels goes to the one given first.
    """

    rows: IntArray
    """Row of each pixel, shape (n,)."""
    cols: IntArray
    """Column of each pixel, shape (n,)."""
    classes: UInt8Array
    """Class id of each pixel, shape (n,), 1..255."""
    legend: Legend

    def __post_init__(self) -> None:
        for name in ("rows", "cols", "classes"):
            array = getattr(self, name)
            if array.ndim != 1 or len(array) != len(self.rows):
                raise ShapeError(name, expected=(len(self.rows),), got=array.shape, fix="Give one row, column and class a pixel.")

    @classmethod
    def from_arrays(cls, rows: npt.ArrayLike, cols: npt.ArrayLike, classes: npt.ArrayLike, legend: Legend | None = None) -> LabelledPixels:
        """Labels from three sequences of the same length; without a legend, classes are named by their numbers."""
        ids = np.asarray(classes)
        if ids.size and (ids.min() < 1 or ids.max() > 255):
            raise LabelError(f"class ids run from {ids.min()} to {ids.max()}, expected 1 to 255 (0 means no label). Renumber the classes.")
        if legend is None:
            legend = Legend(tuple(LegendClass(int(v), str(v), default_color(i)) for i, v in enumerate(np.unique(ids))))
        return cls(np.asarray(rows, np.int64), np.asarray(cols, np.int64), ids.astype(np.uint8), legend)

    @classmethod
    def from_mask(cls, mask: AnyArray, legend: Legend | None = None) -> LabelledPixels:
        """Labels from an image of class ids, shape (row, col), 0 = not labelled; in row-major order."""
        rows, cols = np.nonzero(mask)
        return cls.from_arrays(rows, cols, mask[rows, cols], legend)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: AnyArray) -> LabelledPixels:
        """The pixels that an index array or a boolean mask picks, in their order, with the same legend."""
        return LabelledPixels(self.rows[index], self.cols[index], self.classes[index], self.legend)

    def to_mask(self, shape: tuple[int, int]) -> UInt8Array:
        """An image of class ids, shape (row, col), 0 = not labelled."""
        mask = np.zeros(shape, np.uint8)
        mask[self.rows, self.cols] = self.classes
        return mask

    @property
    def hash(self) -> str:
        """SHA-256 over pixels, classes and legend: the same labels give the same hash on every machine."""
        digest = hashlib.sha256(repr(self.legend.to_json()).encode())
        for array in (self.rows, self.cols, self.classes):
            digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        return digest.hexdigest()
