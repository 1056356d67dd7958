"""Which images show what no label covers: said while a project is labelled, and of every map that is written.

The judgement is `pixelkin.coverage`'s, as for the command line.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from ..coverage import Coverage, measure_coverage, with_limit
from ..errors import PkError
from ..scene import Scene
from ..segmenter import Segmenter
from .livemap import LiveMap
from .painting import Lesson

_log = logging.getLogger(__name__)
_BLOCKS = 4
"""Blocks of an image that are compared: enough for a share, little beside the map."""
_SETTLE_S = 2.0
"""How long labels must stand before it compares: it must not run beside a repaint."""
_PAUSE_S = 0.2


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
        self._scenes = scenes
        self._live = live
        self._labelled = labelled
        self._tell = tell
        self._found: dict[str, Coverage | None] = {}
        self._judged: tuple[int, frozenset[str]] = (-1, frozenset())
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pixelkin-coverage", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the background."""
        self._closed.set()
        self._thread.join(timeout=30)

    def found(self, version: int) -> tuple[bool, dict[str, Coverage | None]]:
        """Whether all images were judged by the labels of this version, and what was found then or when they last were; None = has labels."""
        judged, done = self._judged
        return judged == version and len(done) == len(self._scenes), dict(self._found)

    def _watch(self) -> None:
        while not self._closed.wait(_PAUSE_S):
            version = self._live.version
            judged, done = self._judged
            if (judged == version and len(done) == len(self._scenes)) or self._live.settled_for() < _SETTLE_S:
                continue
            try:
                self._judge(version)
            except PkError as exc:  # a damaged file: the map says so too
                _log.warning("images were not compared with the labels: %s", exc)
                self._judged = version, frozenset(self._scenes)
            except Exception:  # a thread's own border
                _log.exception("images were not compared with the labels")
                self._judged = version, frozenset(self._scenes)

    def _judge(self, version: int) -> None:
        segmenter, labelled = self._live.learnt(version), self._labelled()
        if segmenter is None or not labelled:
            if version == self._live.version:
                self._found, self._judged = {}, (version, frozenset(self._scenes))
            return
        self._judged = version, frozenset()
        unlabelled = [scene_id for scene_id in self._live.by_focus() if scene_id not in labelled]
        self._found = {scene_id: self._found.get(scene_id) for scene_id in unlabelled} | dict.fromkeys(labelled)
        if unlabelled:
            segmenter.references = with_limit(segmenter, self._scenes[labelled[0]], blocks=_BLOCKS)
        self._judged = version, frozenset(labelled)
        for scene_id in unlabelled:
            began = time.monotonic()
            while self._live.busy and not self._closed.wait(_PAUSE_S):
                pass
            if self._closed.is_set() or self._live.version != version:
                return
            (found,) = measure_coverage(segmenter, None, self._scenes[scene_id], blocks=_BLOCKS)
            if self._live.version != version:
                return
            self._found[scene_id] = found
            self._judged = version, self._judged[1] | {scene_id}
            self._tell(version)
            # Half of the time is left to whoever paints.
            self._closed.wait(time.monotonic() - began)
        if not unlabelled:
            self._tell(version)
