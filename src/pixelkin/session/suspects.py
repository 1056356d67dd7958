"""Labels that the other labels speak against, by the ids of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import SupersededError
from ..features import scene_number
from ..scene import Scene
from ..segmenter import Segmenter


@dataclass(frozen=True)
class Suspect:
    """A label, or two classes, that the other labels speak against; see `pixelkin.decision.SuspectLabel`."""

    classes: tuple[int, int]
    """Ids of the class marked and the class that is predicted, or of two that cannot be told apart."""
    at: tuple[str, int, int] | None
    """Scene, row and column of the label; None where two whole classes are meant."""


def suspects_of(segmenter: Segmenter, scenes: Mapping[str, Scene]) -> tuple[Suspect, ...]:
    """What a Segmenter finds in its labels, on images by id; nothing where they are replaced meanwhile."""
    references = segmenter.references
    by_number = {scene_number(scene): scene_id for scene_id, scene in scenes.items()}
    found = []
    try:
        suspects = segmenter.suspect_labels
    except SupersededError:
        suspects = ()
    for suspect in suspects:
        marked, other = (references.legend.by_name(name).id for name in suspect.classes)
        at = None
        if suspect.index is not None:
            number, _, row, col = references.origins[suspect.index].tolist()
            at = by_number[number], row, col
        found.append(Suspect((marked, other), at))
    return tuple(found)
