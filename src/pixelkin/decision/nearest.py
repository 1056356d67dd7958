"""The paper's decision: a pixel belongs to the class of its nearest reference."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..similarity import References
from ..types import BoolArray


@dataclass(eq=False)
class Nearest:
    """What is known of one block: its projection, and the nearest reference of each class so far."""

    projection: Any
    valid: BoolArray
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: dict[int, frozenset[int]] = field(default_factory=dict)
    """Class id -> serials of the references in `best`."""
    best: dict[int, Tensor] = field(default_factory=dict)
    """Class id -> (row, col) distance of the nearest reference."""
    order: dict[int, Tensor] = field(default_factory=dict)
    """Class id -> (row, col) serial of that reference."""
    decided: tuple[Any, Any, Any] | None = None
    """The last answer, and the references it was given with."""

    @property
    def nbytes(self) -> int:
        """Memory held, with room for the planes of eight classes."""
        tensors = vars(self.projection).values() if hasattr(self.projection, "__dict__") else [self.projection]
        return int(sum(t.nbytes for t in tensors)) + self.valid.nbytes * (1 + 8 * 12)

    def update(
        self, similarity: Any, prepared: Any, references: References, serials: list[int], ids: list[int]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Evaluate the references not yet seen; a class that lost one starts again.

        Args:
            similarity: A measure.
            prepared: The references as the measure wants them.
            references: The references.
            serials: Rising number of each, never used twice.
            ids: Ids of the classes that have references, in legend order.

        Returns:
            For each id the distance of the nearest reference, and its serial: (row, col) each.
        """
        classes = references.classes.tolist()
        wanted: dict[int, set[int]] = {class_id: set() for class_id in ids}
        for serial, class_id in zip(serials, classes, strict=True):
            wanted[class_id].add(serial)
        for class_id in list(self.seen):
            if not self.seen[class_id] <= wanted.get(class_id, set()):
                del self.seen[class_id], self.best[class_id], self.order[class_id]
        new = [index for index, serial in enumerate(serials) if serial not in self.seen.get(classes[index], ())]
        # Some references at a time: their distances are (n, row, col).
        for start in range(0, len(new), 64):
            part = new[start : start + 64]
            for index, distance in zip(part, similarity.distances(self.projection, take(prepared, part)), strict=True):
                self._take_in(classes[index], serials[index], distance)
        self.seen = {class_id: frozenset(members) for class_id, members in wanted.items()}
        return [self.best[i] for i in ids], [self.order[i] for i in ids]

    def _take_in(self, class_id: int, serial: int, distance: Tensor) -> None:
        if class_id not in self.best:
            self.best[class_id] = distance.clone()
            self.order[class_id] = torch.full(distance.shape, serial, dtype=torch.int64, device=distance.device)
            return
        # Serials rise, so strictly nearer is what gives a tie to the reference given first.
        nearer = distance < self.best[class_id]
        self.best[class_id] = torch.where(nearer, distance, self.best[class_id])
        self.order[class_id].masked_fill_(nearer, serial)


def take(prepared: Any, index: list[int]) -> Any:
    """Some of the prepared references."""
    if isinstance(prepared, Tensor):
        return prepared[index]
    return replace(prepared, v=prepared.v[index], windows=prepared.windows[index], alone=prepared.alone[index])


def decide_nearest(best: list[Tensor], order: list[Tensor], ids: list[int], *, relative: bool, positions: int) -> tuple[Any, Any]:
    """Class and confidence from each class's nearest distance; a tie goes to the class of the reference given first."""
    with torch.inference_mode():
        nearest, given, winner = best[0].clone(), order[0].clone(), torch.zeros_like(best[0], dtype=torch.int64)
        second = torch.full_like(nearest, torch.inf)
        for k in range(1, len(best)):
            wins = (best[k] < nearest) | ((best[k] == nearest) & (order[k] < given))
            second = torch.minimum(second, torch.where(wins, nearest, best[k]))
            nearest = torch.where(wins, best[k], nearest)
            given = torch.where(wins, order[k], given)
            winner.masked_fill_(wins, k)
        confidence = torch.where(second > 0, 1 - nearest / second, 0) if relative else 1 - torch.exp((nearest - second) / positions)
        classes = torch.tensor(ids, dtype=torch.uint8, device=winner.device)[winner]
        return classes.cpu().numpy(), confidence.cpu().numpy()
