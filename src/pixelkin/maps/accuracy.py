"""How good a map is, against pixels whose class is known.

One orientation everywhere: a row of the confusion matrix is the truth, a column what the map says.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pixelkin.errors import LabelError, ShapeError
from pixelkin.labels.classes import match_classes
from pixelkin.segmentation import Segmentation
from pixelkin.types import AnyArray, IntArray, LabelledPixels, Legend, LegendClass, default_color

from ._numbers import number_or_none
from ._text import format_table, number

Float64Array = npt.NDArray[np.float64]


HOLDS_FOR = (
    "These figures count every pixel of the truth alike: they are the map's own only where the truth is the whole map or a simple "
    "random sample of it."
)
"""What kind of sample the figures of a `Score` hold for."""


def _ratio(part: AnyArray, whole: AnyArray) -> Float64Array:
    """A ratio, NaN where whole is 0: no pixel means no answer, not a bad one."""
    result = np.full(len(whole), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


@dataclass(frozen=True, eq=False)
class Score:
    """Accuracy of a map. Per-class arrays have shape (class,), in legend order; 0/0 is NaN."""

    legend: Legend
    """The classes of the rows and of the first columns of `confusion`."""
    confusion: IntArray
    """Pixel counts, shape (class, class + 1): rows = truth, columns = predicted; the last column counts pixels left undecided (0)."""
    ignored: int
    """Pixels of the truth left out: not labelled (0), of a class in `ignore`, or without data in the image."""
    without_data: int = 0
    """How many of the ignored pixels are labelled but have no data in the image."""
    notes: tuple[str, ...] = ()
    """What to know before the figures are used, a line each: how classes were matched, and what has no match."""

    def __post_init__(self) -> None:
        k = len(self.legend)
        if self.confusion.shape != (k, k + 1):
            raise ShapeError(
                "confusion",
                expected=(k, k + 1),
                got=self.confusion.shape,
                fix="Give a row a class, and a column a class and one for undecided.",
            )

    @property
    def support(self) -> IntArray:
        """Pixels of each class in the truth."""
        return np.asarray(self.confusion.sum(axis=1), np.int64)

    @property
    def predicted(self) -> IntArray:
        """Scored pixels that the map gives to each class."""
        return np.asarray(self.confusion[:, :-1].sum(axis=0), np.int64)

    @property
    def correct(self) -> IntArray:
        """Pixels of each class that the map gets right."""
        return np.asarray(np.diagonal(self.confusion), np.int64)

    @property
    def undecided(self) -> int:
        """Scored pixels that the map leaves undecided; they count as wrong."""
        return int(self.confusion[:, -1].sum())

    @property
    def accuracy(self) -> float:
        """Share of scored pixels that the map gets right, in [0, 1]."""
        return float(self.correct.sum() / self.confusion.sum())

    @property
    def iou(self) -> Float64Array:
        """Intersection over union of each class."""
        return _ratio(self.correct, self.support + self.predicted - self.correct)

    @property
    def miou(self) -> float:
        """Mean intersection over union of the classes that occur in the truth."""
        return float(self.iou[self.support > 0].mean())

    @property
    def producers_accuracy(self) -> Float64Array:
        """Share of the truth of each class that the map finds (recall)."""
        return _ratio(self.correct, self.support)

    @property
    def users_accuracy(self) -> Float64Array:
        """Share of the pixels mapped as each class that are of it (precision)."""
        return _ratio(self.correct, self.predicted)

    @property
    def f1(self) -> Float64Array:
        """Harmonic mean of producer's and user's accuracy."""
        return _ratio(2 * self.correct, self.support + self.predicted)

    def to_json(self) -> dict[str, object]:
        """Everything, as values that JSON can hold; 0/0 is null."""
        columns = {
            "iou": self.iou,
            "producers_accuracy": self.producers_accuracy,
            "users_accuracy": self.users_accuracy,
            "f1": self.f1,
        }
        classes = [
            {
                "id": entry.id,
                "name": entry.name,
                "support": int(self.support[i]),
                "predicted": int(self.predicted[i]),
                **{name: number_or_none(float(values[i])) for name, values in columns.items()},
            }
            for i, entry in enumerate(self.legend)
        ]
        return {
            "accuracy": self.accuracy,
            "miou": self.miou,
            "pixels": int(self.confusion.sum()),
            "undecided": self.undecided,
            "ignored": self.ignored,
            "without_data": self.without_data,
            "holds_for": HOLDS_FOR,
            "notes": list(self.notes),
            "classes": classes,
            "confusion": {
                "rows": "truth",
                "columns": "predicted",
                "row_names": list(self.legend.names),
                "column_names": [*self.legend.names, "undecided"],
                "counts": self.confusion.tolist(),
            },
        }

    def to_table(self) -> str:
        """Plain text: the summary, a line a class, and the confusion matrix with its orientation; 0/0 is '-'."""
        columns = (self.iou, self.producers_accuracy, self.users_accuracy, self.f1)
        per_class = [
            [name, *(number(float(values[i])) for values in columns), f"{self.support[i]:,}"] for i, name in enumerate(self.legend.names)
        ]
        counts = [[name, *(f"{count:,}" for count in row)] for name, row in zip(self.legend.names, self.confusion.tolist(), strict=True)]
        return "\n".join(
            [
                f"accuracy {number(self.accuracy)}   mean IoU {number(self.miou)}   pixels {self.confusion.sum():,}   "
                f"undecided {self.undecided:,}   ignored {self.ignored:,}"
                + (f" (without data {self.without_data:,})" if self.without_data else ""),
                HOLDS_FOR,
                *(f"note: {note}" for note in self.notes),
                "",
                format_table(["class", "IoU", "producer's", "user's", "F1", "support"], per_class),
                "",
                "confusion matrix, pixels: rows = truth, columns = predicted",
                format_table(["truth \\ predicted", *self.legend.names, "undecided"], counts),
            ]
        )


def score(
    result: Segmentation | AnyArray,
    truth: LabelledPixels | AnyArray,
    *,
    legend: Legend | None = None,
    ignore: Iterable[int] = (),
) -> Score:
    """Compare a map with pixels whose class is known.

    Where both sides carry a legend, classes are matched by name, so that the same class may have another number in each; where one
    side has numbers only instead of names, they are matched by id (see `pixelkin.labels.match_classes`). `notes` says what was done.
    Class ids of an array are those of `legend`, else of the other side's legend; with no legend at all, classes are named by
    their numbers. A pixel that the map leaves undecided (0) counts as wrong; one without data in the image is not counted.

    Args:
        result: A map, or class ids of shape (row, col), 0 = undecided.
        truth: Marked pixels, or class ids of shape (row, col), 0 = unlabelled.
        legend: Classes of the confusion matrix, in order; for arrays.
        ignore: Ids of the truth to leave out, e.g. 99 for "other".

    Raises:
        ShapeError: An array is not (row, col), or the two differ in size.
        LabelError: A class that no legend has, no class that both have, a marked pixel outside the map, or no pixel to compare.
    """
    found = compare_pixels(result, truth, legend=legend, ignore=ignore)
    # A handful of distinct pairs with their counts instead of millions of pixels: scikit-learn looks each one up.
    pairs = np.bincount(found.truth * 256 + found.mapped)
    truths, predictions = np.divmod(np.flatnonzero(pairs), 256)
    from sklearn.metrics import confusion_matrix  # takes longer to load than all that a page asks of this module

    counts = confusion_matrix(truths, predictions, sample_weight=pairs[pairs > 0], labels=[*found.legend.ids, 0])
    # The row of 0 is empty: unlabelled pixels are gone by now.
    return Score(found.legend, np.asarray(counts[:-1], np.int64), found.ignored, found.without_data, found.notes)


@dataclass(frozen=True, eq=False)
class ComparedPixels:
    """Pixels whose class is known and what a map says of them; arrays have shape (pixel,)."""

    rows: AnyArray
    cols: AnyArray
    truth: AnyArray
    """Class ids of `legend`."""
    mapped: AnyArray
    """Class ids of `legend`, 0 = undecided."""
    legend: Legend
    ignored: int
    without_data: int
    notes: tuple[str, ...]


def compare_pixels(
    result: Segmentation | AnyArray, truth: LabelledPixels | AnyArray, *, legend: Legend | None = None, ignore: Iterable[int] = ()
) -> ComparedPixels:
    """The pixels that `score` counts, in one legend; arguments and errors are its."""
    classes = result.classes if isinstance(result, Segmentation) else _class_ids("result", result)
    map_legend = result.legend if isinstance(result, Segmentation) else None
    notes: list[str] = []
    if isinstance(truth, LabelledPixels) and map_legend is not None:
        truth, notes = _matched(truth, map_legend, frozenset(int(i) for i in ignore))
    rows, cols, expected, total = _truth_pixels(truth, classes.shape, frozenset(int(i) for i in ignore))
    found = classes[rows, cols].astype(np.int64)
    labelled = len(expected)
    if isinstance(result, Segmentation):
        usable = result.valid[rows, cols]
        rows, cols, expected, found = rows[usable], cols[usable], expected[usable], found[usable]
    if not len(expected):
        raise LabelError(
            "no pixel of the truth can be compared, expected at least one labelled pixel with data. Check labels and ignored classes."
        )

    truth_legend = truth.legend if isinstance(truth, LabelledPixels) else None
    if legend is None:
        legend = _joint_legend(map_legend, truth_legend, expected, found)
    expected = _renumber("truth", expected, truth_legend, legend)
    found = _renumber("result", found, map_legend, legend)
    return ComparedPixels(rows, cols, expected, found, legend, total - len(expected), labelled - len(expected), tuple(notes))


def _matched(truth: LabelledPixels, legend: Legend, ignore: frozenset[int]) -> tuple[LabelledPixels, list[str]]:
    """Truth whose classes have the map's names, ids unchanged, and what there is to say of it."""
    counts = np.bincount(truth.classes, minlength=256)
    present = [entry.id for entry in truth.legend if counts[entry.id] and entry.id not in ignore]
    matched, notes = match_classes(truth.legend, legend, present, names=("the truth", "the map"))
    for class_id in present:
        if class_id not in matched:
            name = truth.legend.by_id(class_id).name
            notes.append(f"class {name!r} of the truth is none of the map's: its {counts[class_id]:,} pixels count as wrong.")
    if len(set(matched.values())) < len(matched):
        raise LabelError(f"several classes of the truth are taken as one of the map: {matched}. Give them one name.")
    entries = (LegendClass(entry.id, matched.get(entry.id, entry.name), entry.color) for entry in truth.legend if counts[entry.id])
    return LabelledPixels(truth.rows, truth.cols, truth.classes, Legend(tuple(entries))), notes


def with_undecided(segmentation: Segmentation) -> tuple[Segmentation, tuple[str, ...]]:
    """A map whose undecided pixels are valid, and what there is to say of it.

    Without a confidence file, pixels that the map leaves undecided look like those without data. Where the map was made with a
    threshold of confidence, all are taken as undecided.
    """
    if not segmentation.provenance.get("abstain") or segmentation.valid[segmentation.classes == 0].any():
        return segmentation, ()
    note = (
        "the map was made with --abstain and without --confidence, so its pixels of class 0 may be undecided or without data: "
        "all are taken as undecided."
    )
    return replace(segmentation, valid=np.ones_like(segmentation.valid)), (note,)


def _class_ids(name: str, array: AnyArray) -> AnyArray:
    array = np.asarray(array)
    if array.ndim != 2:
        raise ShapeError(name, expected=("row", "col"), got=array.shape, fix="Give one class id a pixel.")
    if array.dtype.kind not in "iub":
        raise LabelError(f"{name} holds {array.dtype} values, expected whole numbers: class ids. Convert it with astype('uint8').")
    return array


def _truth_pixels(
    truth: LabelledPixels | AnyArray, shape: tuple[int, ...], ignore: frozenset[int]
) -> tuple[AnyArray, AnyArray, AnyArray, int]:
    """Rows, columns and ids of the labelled pixels, and how many pixels the truth had before any were left out."""
    if isinstance(truth, LabelledPixels):
        rows, cols, ids = truth.rows, truth.cols, truth.classes.astype(np.int64)
        outside = (rows < 0) | (cols < 0) | (rows >= shape[0]) | (cols >= shape[1])
        if outside.any():
            row, col = int(rows[outside][0]), int(cols[outside][0])
            raise LabelError(
                f"labelled pixel (row {row}, col {col}) lies outside the map of {shape[0]} x {shape[1]} pixels. Use labels of this image."
            )
        kept = ~np.isin(ids, list(ignore))
        return rows[kept], cols[kept], ids[kept], len(ids)
    array = _class_ids("truth", truth)
    if array.shape != shape:
        raise ShapeError("truth", expected=shape, got=array.shape, fix="Give the truth on the map's grid.")
    rows, cols = np.nonzero((array != 0) & ~np.isin(array, list(ignore)))
    return rows, cols, array[rows, cols].astype(np.int64), array.size


def _joint_legend(map_legend: Legend | None, truth_legend: Legend | None, expected: AnyArray, found: AnyArray) -> Legend:
    """The map's classes, then those that only the truth has, under new numbers where theirs are taken."""
    if map_legend is None or truth_legend is None:
        known = map_legend or truth_legend
        if known is not None:
            return known
        ids = [int(i) for i in np.union1d(expected, found) if i != 0]
        return Legend(tuple(LegendClass(i, str(i), default_color(n)) for n, i in enumerate(ids)))
    classes = list(map_legend)
    free = (i for i in range(1, 256) if i not in map_legend.ids)
    classes += [LegendClass(next(free), entry.name, entry.color) for entry in truth_legend if entry.name not in map_legend.names]
    return Legend(tuple(classes))


def _renumber(name: str, ids: AnyArray, source: Legend | None, target: Legend) -> AnyArray:
    """Class ids of one legend as those of another, matched by class name; without a source they are the target's already."""
    present = [int(i) for i in np.unique(ids) if i != 0]
    if source is None:
        unknown = sorted(set(present) - set(target.ids))
        if unknown:
            raise LabelError(
                f"{name} has class id {unknown[0]}, expected one of {list(target.ids)}. Add it to the legend or to the ignored classes."
            )
        return ids
    renumbered = ids.copy()
    for class_id in present:
        renumbered[ids == class_id] = target.by_name(source.by_id(class_id).name).id
    return renumbered
