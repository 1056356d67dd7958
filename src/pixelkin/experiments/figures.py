"""Pictures of the paper's kind: input, marked pixels, ground truth, predictions."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..errors import InputError
from ..files import replacing
from ..maps import colorize, rgb, score
from ..scene import Scene
from ..segmentation import Segmentation
from ..types import AnyArray, LabelledPixels, Legend, UInt8Array
from .dataset import Dataset, Truth
from .protocol import Method, Runner, draw_marks
from .tables import MARKS, OURS_GLOBAL, OURS_LOCAL, SIMILARITIES

FIGURES = {
    "figure2": "Maps by global and local mutual information, all classes",
    "figure3": "The same with classes merged (N = 3), where the data set has merged classes",
    "figure4": "Maps by the number of marked pixels a class",
    "figure5": "Maps by the six similarity measures",
    "figure6": "Over time: one date is labelled, the others are mapped",
    "figure7": "Over space: one image is labelled, others are mapped",
}


@dataclass(frozen=True)
class Panel:
    """One picture of a row."""

    title: str
    image: AnyArray
    """(row, col, 3) uint8."""
    marks: LabelledPixels | None = None


@dataclass(frozen=True)
class Result:
    """Numbers behind a panel."""

    image: str
    method: str
    m: int
    miou: float
    accuracy: float


def draw(name: str, runner: Runner, path: Path, *, rows: int = 3) -> list[Result]:
    """Draw a figure.

    Args:
        name: 'figure2' to 'figure7'.
        runner: Data set, budget and models; seed 0 is drawn.
        path: PNG to write, in place of what is there.
        rows: Images to show.

    Returns:
        The score of each map that is shown.

    Raises:
        InputError: The figure needs another kind of data set.
    """
    dataset = runner.dataset
    n = dataset.class_counts[-1] if name == "figure3" else dataset.class_counts[0]
    sheet, results = _SHEETS[name](runner, n, rows)
    legend = dataset.classes(runner.tasks[0].labelled, n)[1]
    _save(sheet, legend, f"{FIGURES[name]} ({dataset.name})", path)
    return results


def to_csv(results: Sequence[Result]) -> str:
    """One line a map."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["image", "method", "m", "miou", "accuracy"])
    writer.writerows([r.image, r.method, r.m, f"{r.miou:.4f}", f"{r.accuracy:.4f}"] for r in results)
    return file.getvalue()


_Sheet = tuple[list[list[Panel]], list[Result]]


def _by_method(methods: Sequence[Method], m: int) -> Callable[[Runner, int, int], _Sheet]:
    def sheet(runner: Runner, n: int, rows: int) -> _Sheet:
        panels: list[list[Panel]] = []
        results: list[Result] = []
        for task in runner.tasks[:rows]:
            truth = task.scored[0]
            classes, legend = runner.dataset.classes(task.labelled, n)
            marks, _ = draw_marks(classes, legend, m, 0, task.name)
            row = _head(runner.dataset, task.labelled, truth, marks, n)
            for method in methods:
                (found,) = runner.segment(method, 0, task.labelled.scene, marks, [truth.scene])
                row.append(_answer(runner.dataset, truth, found, method.name, n, results, method.name, m))
            panels.append(row)
        return panels, results

    return sheet


def _by_marks(runner: Runner, n: int, rows: int) -> _Sheet:
    panels: list[list[Panel]] = []
    results: list[Result] = []
    for task in runner.tasks[:rows]:
        truth = task.scored[0]
        classes, legend = runner.dataset.classes(task.labelled, n)
        row = _head(runner.dataset, task.labelled, truth, draw_marks(classes, legend, MARKS[-1], 0, task.name)[0], n)
        for m in MARKS:
            marks, _ = draw_marks(classes, legend, m, 0, task.name)
            (found,) = runner.segment(OURS_LOCAL, 0, task.labelled.scene, marks, [truth.scene])
            row.append(_answer(runner.dataset, truth, found, f"M = {m}", n, results, OURS_LOCAL.name, m))
        panels.append(row)
    return panels, results


def _over_time(runner: Runner, n: int, rows: int) -> _Sheet:
    if runner.dataset.kind != "series":
        raise InputError(f"figure6 shows a series, {runner.dataset.name} holds single images. Give a folder of dated images on one grid.")
    task = runner.tasks[0]
    return _from_one(runner, task.labelled, task.scored[:rows], n)


def _over_space(runner: Runner, n: int, rows: int) -> _Sheet:
    if runner.dataset.kind == "series":
        raise InputError(f"figure7 shows several places, {runner.dataset.name} is a series of one. Give a folder of images.")
    if len(runner.tasks) < 2:
        raise InputError(f"figure7 shows several places, {runner.dataset.name} has one. Give a folder with more images.")
    return _from_one(runner, runner.tasks[0].labelled, [task.labelled for task in runner.tasks[1 : rows + 1]], n)


def _from_one(runner: Runner, labelled: Truth, others: Sequence[Truth], n: int, m: int = 10) -> _Sheet:
    """One row for the labelled image and one for each that its references map."""
    panels: list[list[Panel]] = []
    results: list[Result] = []
    classes, legend = runner.dataset.classes(labelled, n)
    marks, _ = draw_marks(classes, legend, m, 0, labelled.scene.name)
    truths = [labelled, *others]
    maps = runner.segment(OURS_LOCAL, 0, labelled.scene, marks, [truth.scene for truth in truths])
    for truth, found in zip(truths, maps, strict=True):
        row = _head(runner.dataset, truth, truth, marks if truth is labelled else None, n)
        row.append(_answer(runner.dataset, truth, found, OURS_LOCAL.name, n, results, OURS_LOCAL.name, m))
        panels.append(row)
    return panels, results


_SHEETS: dict[str, Callable[[Runner, int, int], _Sheet]] = {
    "figure2": _by_method((OURS_GLOBAL, OURS_LOCAL), 50),
    "figure3": _by_method((OURS_GLOBAL, OURS_LOCAL), 50),
    "figure4": _by_marks,
    "figure5": _by_method(SIMILARITIES, 50),
    "figure6": _over_time,
    "figure7": _over_space,
}


def _head(dataset: Dataset, labelled: Truth, truth: Truth, marks: LabelledPixels | None, n: int) -> list[Panel]:
    """Input, marked pixels, ground truth; of a series, the input is the date that is mapped, marks lie on the labelled one."""
    shown = _picture(truth.scene)
    classes, legend = dataset.classes(truth, n)
    marked = Panel(f"marks on {labelled.scene.name}" if marks else "no marks", _picture(labelled.scene), marks)
    return [Panel(truth.scene.name, shown), marked, Panel("ground truth", _colours(classes, legend))]


def _answer(dataset: Dataset, truth: Truth, found: Segmentation, title: str, n: int, results: list[Result], method: str, m: int) -> Panel:
    classes, legend = dataset.classes(truth, n)
    scored = score(found.classes, classes, legend=legend)
    results.append(Result(truth.scene.name, method, m, scored.miou, scored.accuracy))
    return Panel(f"{title}\nmean IoU {scored.miou:.2f}", _colours(found.classes, legend))


def _picture(scene: Scene) -> AnyArray:
    bands = [scene.bands.index(b) for b in ("red", "green", "blue")] if {"red", "green", "blue"} <= set(scene.bands) else None
    return rgb(scene, bands)


def _colours(classes: UInt8Array, legend: Legend) -> AnyArray:
    """Class colours; white where nothing is known."""
    image = np.asarray(colorize(classes, legend))[:, :, :3].copy()
    image[classes == 0] = 255
    return image


def _save(sheet: Sequence[Sequence[Panel]], legend: Legend, title: str, path: Path) -> None:
    rows, cols = len(sheet), max(len(row) for row in sheet)
    height, width = sheet[0][0].image.shape[:2]
    figure = Figure(figsize=(2.1 * cols, (2.1 * height / width + 0.45) * rows + 0.9), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, cols, squeeze=False)
    colors = {entry.id: (entry.color[0] / 255, entry.color[1] / 255, entry.color[2] / 255) for entry in legend}
    for line, panels in zip(axes, sheet, strict=True):
        for ax in line:
            ax.set_axis_off()
        for ax, panel in zip(line, panels, strict=False):
            ax.imshow(panel.image, interpolation="nearest")
            ax.set_title(panel.title, fontsize=7.5)
            if panel.marks is not None:
                faces = [colors[i] for i in panel.marks.classes.tolist()]
                ax.scatter(panel.marks.cols, panel.marks.rows, s=9, c=faces, edgecolors="white", linewidths=0.5)
    handles = [Patch(facecolor=colors[entry.id], edgecolor="black", linewidth=0.4, label=entry.name) for entry in legend]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)), frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    with replacing(path, overwrite=True) as temporary:
        figure.savefig(temporary, metadata={"Software": None})
