"""Which images show what no label covers: said while a project is labelled, and of every map that is written.

The judgement is `pixelkin.coverage`'s, as for the command line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from ..coverage import Coverage, measure_coverage, with_limit
from ..scene import Scene
from ..segmenter import Segmenter
from .livemap import LiveMap
from .painting import Lesson
from .watcher import Watcher

_BLOCKS = 4
"""Blocks of an image that are compared: enough for a share, little beside the map."""
_SETTLE_S = 2.0
"""How long labels must stand before it compares: it must not run beside a repaint."""


def most_labelled(lessons: Sequence[Lesson]) -> str:
    """The image with most labels, which shows what is usual."""
    counts: dict[str, int] = {}
    for lesson in lessons:
        counts[lesson.scene] = counts.get(lesson.scene, 0) + len(lesson)
    return max(counts, key=lambda scene_id: counts[scene_id])


def warnings_of(segmenter: Segmenter, labelled: Scene, scenes: Sequence[Scene]) -> list[str]:
    """A sentence for each image of which a good part is like nothing that was labelled."""
    return [found.warning for found in measure_coverage(segmenter, labelled, scenes, blocks=_BLOCKS) if found.warning]


class CoverageWatch:
    """Compares images without labels in the background, once the labels stand; the image in view first."""

    def __init__(
        self,
        scenes: Mapping[str, Scene],
        live: LiveMap,
        labelled: Callable[[], list[str]],
        tell: Callable[[int], None],
    ) -> None:
        """Start at once.

        Args:
            scenes: Images by id.
            live: Whose labels and map are judged.
            labelled: Says which images have labels, the one with most of them first.
            tell: Called from the background with the version as images get done.
        """
        self._scenes, self._live, self._labelled, self._tell = scenes, live, labelled, tell
        self._found: dict[str, Coverage | None] = {}
        self._watcher = Watcher(live, self._compare, name="coverage", settle_s=_SETTLE_S)

    def close(self) -> None:
        """End the background."""
        self._watcher.close()

    def found(self, version: int) -> tuple[bool, dict[str, Coverage | None]]:
        """Whether all images were judged by the labels of this version, and what was found then or when they last were; None = has labels."""
        return self._watcher.done == version, dict(self._found)

    def _compare(self, version: int) -> None:
        segmenter, labelled = self._live.learnt(version), self._labelled()
        if segmenter is None or not labelled:
            if not self._watcher.is_over(version):
                self._found = {}
            return
        unlabelled = [scene_id for scene_id in self._live.by_focus() if scene_id not in labelled]
        self._found = {scene_id: self._found.get(scene_id) for scene_id in unlabelled} | dict.fromkeys(labelled)
        if unlabelled and segmenter.needs_limit:
            segmenter.references = with_limit(segmenter, self._scenes[labelled[0]], blocks=_BLOCKS)
        for scene_id in unlabelled:
            began = time.monotonic()
            self._watcher.wait_for_painters()
            if self._watcher.is_over(version):
                return
            (found,) = measure_coverage(segmenter, None, self._scenes[scene_id], blocks=_BLOCKS)
            if self._watcher.is_over(version):
                return
            self._found = {**self._found, scene_id: found}
            self._tell(version)
            # Half of the time is left to whoever paints.
            self._watcher.wait(time.monotonic() - began)
