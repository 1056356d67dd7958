"""Answers of the tables: kept in a file, a line each, and summarised."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..maps import Score
from ..types import IntArray, Legend


@dataclass(frozen=True)
class Cell:
    """One answer."""

    method: str
    n: int
    m: int
    seed: int
    task: str
    confusions: tuple[tuple[tuple[int, ...], ...], ...]
    """One matrix (class, class + 1) for each scored image, rows = truth, the last column = undecided."""
    seconds: float
    """Fit and prediction, without training."""
    short: int
    """Classes that had fewer than M pixels in the labelled image: all of them were marked."""


class CellFile:
    """Cells, a line each, appended as they are done; a line that was cut short is not counted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.known: dict[str, Cell] = {}
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        self._torn = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            values = entry["cell"]
            values["confusions"] = tuple(tuple(tuple(row) for row in matrix) for matrix in values["confusions"])
            self.known[entry["key"]] = Cell(**values)

    def add(self, key: str, cell: Cell) -> None:
        """Write one down, under the hash of all that decides it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(("\n" if self._torn else "") + json.dumps({"key": key, "cell": asdict(cell)}) + "\n")
        self._torn = False
        self.known[key] = cell


@dataclass(frozen=True)
class Summary:
    """A row of a table at one N and M: mean and spread over seeds."""

    method: str
    n: int
    m: int
    accuracy: float
    accuracy_spread: float
    miou: float
    """Mean over seeds of the mean IoU of the confusion summed over all scored images."""
    miou_spread: float
    """Sample standard deviation over seeds; NaN for one seed."""
    worst: float
    """Mean over seeds of the lowest mean IoU of a scored image."""
    seconds: float
    """Mean time of fit and prediction for one scored image."""
    images: int
    """Scored images, a seed."""
    seeds: int
    short: int
    """Class and image pairs with fewer than M pixels, summed over seeds."""


def summarise(cells: Sequence[Cell]) -> list[Summary]:
    """One summary for each method, N and M, in the order in which they first occur."""
    groups: dict[tuple[str, int, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.method, cell.n, cell.m), []).append(cell)
    rows = []
    for (method, n, m), members in groups.items():
        accuracies, mious, worsts = [], [], []
        for seed in sorted({cell.seed for cell in members}):
            matrices = [np.array(matrix, np.int64) for cell in members if cell.seed == seed for matrix in cell.confusions]
            if not matrices:
                continue
            pooled = _score(np.sum(matrices, axis=0))
            accuracies.append(pooled.accuracy)
            mious.append(pooled.miou)
            worsts.append(min(_score(matrix).miou for matrix in matrices))
        images = sum(len(cell.confusions) for cell in members)
        seeds = len(mious)
        if not seeds:
            continue
        rows.append(
            Summary(
                method, n, m, float(np.mean(accuracies)), _spread(accuracies), float(np.mean(mious)), _spread(mious), float(np.mean(worsts)),
                sum(cell.seconds for cell in members) / images, images // seeds, seeds, sum(cell.short for cell in members),
            )
        )  # fmt: skip
    return rows


def _score(confusion: IntArray) -> Score:
    return Score(Legend.from_names(str(i + 1) for i in range(len(confusion))), confusion, 0)


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
