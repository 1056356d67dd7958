"""The map as it is now, block by block: what the page has asked for first, the rest in the background.

An answer belongs to one version of the labels. Whoever asks with an older version gets None, so that a stale answer
can never be shown over a new one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from cachetools import LRUCache

from ..blockcache import BlockStore
from ..decision import Suggestion
from ..errors import PkError, SupersededError
from ..features import BLOCK, spread
from ..scene import Scene
from ..segmenter import Segmenter
from ..types import BoolArray, Grid, IntArray, Window
from .background import Background, Notify
from .blockanswers import BlockAnswer, BlockAnswers, BlockKey, block_window, blocks_across
from .learning import Learner
from .painting import Lesson, same_lessons
from .suspects import Suspect, suspects_of

_RECENT_BLOCKS = 24
"""What a screen shows."""
_BLOCK_BYTES = 16 << 20
"""What a Segmenter keeps of a block of few features, at most."""
_TOO_FEW = "Mark at least two classes."
_KEEP_EVERY_S = 60.0
"""How often what was learnt is kept for the next start."""
_SUGGEST_FROM = 16
"""Blocks from which suggestions are taken: a megapixel."""


class LiveMap:
    """Answers of a Segmenter that learns while it is asked. All methods may be called from any thread."""

    def __init__(
        self,
        scenes: Mapping[str, Scene],
        segmenter: Segmenter,
        notify: Notify,
        checked: Callable[[int], None],
        *,
        cache_bytes: int,
        store: BlockStore | None = None,
    ) -> None:
        """Start without labels.

        Args:
            scenes: Images by id.
            segmenter: Fresh; the live map is its only user.
            notify: Told from the background thread as blocks get done.
            checked: Called from there with the version whose labels have been gone through for suspects.
            cache_bytes: What the segmenter may keep of blocks. Where that is not all of them, it keeps those that were asked for.
            store: Where what was learnt of labels is kept over restarts.
        """
        self._scenes = scenes
        self._tell_checked = checked
        sizes = (blocks_across(one.grid.height) * blocks_across(one.grid.width) * block_bytes(segmenter, one) for one in scenes.values())
        self._keeps_all = sum(sizes) <= cache_bytes
        self._store = store
        self.learner = Learner(scenes, segmenter, store)
        self._kept_at = time.monotonic()
        self._teaching = threading.Lock()
        self._pending: list[Lesson] | None = None
        self._answers = BlockAnswers({scene_id: scene.grid for scene_id, scene in scenes.items()})
        self.reason: str | None = _TOO_FEW
        """Why there is no map, None where there is one."""
        self._focus: BlockKey = (next(iter(scenes)), 0, 0)
        self._recent: LRUCache[BlockKey, None] = LRUCache(_RECENT_BLOCKS)
        self._checked: tuple[int, tuple[Suspect, ...]] = (0, ())
        self._background = Background(self, notify)
        self._background.start()

    def close(self) -> None:
        """Stop the background."""
        self._background.close()
        with self._teaching:
            self.learner.keep()

    @property
    def version(self) -> int:
        """Rises when labels or model change."""
        return self._answers.version

    def learn(self, lessons: list[Lesson]) -> None:
        """Take other labels, in the order in which ties are decided.

        Returns at once, so that a mark is acknowledged before the engine learns it. While somebody watches, that is in the background
        at once; else when somebody asks for a block, so that of many marks in a row only the last state is learnt.
        """
        with self._answers.lock:
            current = self.learner.learnt if self._pending is None else self._pending
            if same_lessons(lessons, current) and self.reason is None:
                return
            self._pending = lessons
            self.reason = None if len({class_id for lesson in lessons for class_id in lesson.labels.legend.ids}) >= 2 else _TOO_FEW
            self._background.unsettle()
            self._answers.supersede()
            self.learner.segmenter.call_off()
        self._background.wake()

    def switch(self, segmenter: Segmenter) -> float | None:
        """Go on with another model; labels are kept, and the blocks last asked for are ready before the change shows.

        Returns the share of their pixels whose class is another one now, 0..1; None where none was shown.
        """
        learner = Learner(self._scenes, segmenter, self._store)
        with self._teaching:
            self._learn()
            lessons = self.learner.learnt
        shown = changed = 0
        if lessons:
            learner.learn(lessons)
            for scene_id, row, col in list(self._recent):
                before = self.peek(scene_id, row, col, self.version)
                now = segmenter.predict(self._scenes[scene_id], block_window(self._scenes[scene_id].grid, row, col))
                if before is not None:
                    shown += int(now.valid.sum())
                    changed += int((before.classes != now.classes)[now.valid].sum())
        with self._teaching:
            self._learn()
            lessons = self.learner.learnt
            with self._answers.lock:
                self.learner = learner
                if not same_lessons(lessons, learner.learnt):
                    self._pending = lessons
                self._background.unsettle()
                self._answers.supersede()
        self._background.wake()
        return changed / shown if shown else None

    def focus(self, scene_id: str, row: float, col: float) -> None:
        """The pixel from which the background works outwards."""
        self._focus = (scene_id, int(row) // BLOCK, int(col) // BLOCK)

    def focus_scene(self, scene_id: str, row: float, col: float) -> None:
        """Turn the background to a scene that is in view, unless it works on it already."""
        if self._focus[0] != scene_id:
            self.focus(scene_id, row, col)

    def block(self, scene_id: str, block_row: int, block_col: int, version: int, *, confident: bool = True) -> BlockAnswer | None:
        """The map of a block, computed if need be; None where the version is superseded or there is no map.

        Args:
            scene_id: The scene.
            block_row: Row of the block.
            block_col: Column of the block.
            version: What was the version when the asker last asked.
            confident: With the confidence; classes alone come sooner.
        """
        key = (scene_id, block_row, block_col)
        with self._background.held_up(watched=True):
            with self._answers.lock:
                self._recent[key] = None
            return self._compute(key, version, asked=True, confident=confident)

    def peek(self, scene_id: str, block_row: int, block_col: int, version: int, *, watched: bool = False) -> BlockAnswer | None:
        """The map of a block if it is there already; `watched` where somebody looks at it."""
        with self._answers.lock:
            if watched:
                self._recent[scene_id, block_row, block_col] = None
            return self._answers.peek((scene_id, block_row, block_col), version)

    def suggest(self, scene_id: str, count: int, free: Callable[[IntArray, IntArray], BoolArray]) -> list[Suggestion]:
        """What `Segmenter.suggest` finds in blocks that are embedded already, or else in a few of the image; nothing where there is no map.

        Args:
            scene_id: The scene.
            count: How many pixels.
            free: As for `Segmenter.suggest`.
        """
        scene = self._scenes[scene_id]
        with self._background.held_up():
            with self._teaching:
                self._learn()
                if self.reason is not None:
                    return []
                segmenter = self.learner.segmenter
            return _suggested(segmenter, scene, count, free)

    def learnt(self, version: int) -> Segmenter | None:
        """A Segmenter of its own with the labels of this version; None where it is superseded or there is no map."""
        with self._teaching:
            self._learn()
            if version != self.version or self.reason is not None:
                return None
            return self.learner.segmenter.replica(cache_bytes=0)

    def suspects(self, version: int) -> tuple[bool, tuple[Suspect, ...]]:
        """Whether the labels of this version have been gone through, and what was found then or when they last were."""
        checked, found = self._checked
        return checked == version, found

    def by_focus(self) -> list[str]:
        """Ids of the images, the one in view first."""
        return sorted(self._scenes, key=lambda scene_id: scene_id != self._focus[0])

    @property
    def busy(self) -> bool:
        """Somebody is waiting for a block."""
        return self._background.is_held_up

    def settled_for(self) -> float:
        """Seconds since labels or model changed."""
        return self._background.settled_for()

    @property
    def has_pending(self) -> bool:
        """Labels were given that are not learnt yet."""
        return self._pending is not None

    @property
    def checked_version(self) -> int:
        """The last version whose labels were gone through."""
        return self._checked[0]

    def learn_pending(self) -> None:
        """Learn the labels that were given last."""
        with self._teaching:
            self._learn()

    def check(self, version: int) -> None:
        """Look for labels that the others speak against."""
        if time.monotonic() > self._kept_at + _KEEP_EVERY_S:
            self._kept_at = time.monotonic()
            with self._teaching:
                self._learn()
                self.learner.keep()
        segmenter = self.learnt(version)
        found = () if segmenter is None else suspects_of(segmenter, self._scenes)
        with self._answers.lock:
            if version != self.version:
                return
            self._checked = version, found
        self._tell_checked(version)

    def missing(self) -> BlockKey | None:
        """The block to compute next."""
        return self._answers.missing(self._focus)

    def fill(self, key: BlockKey, version: int) -> tuple[int, int]:
        """Compute a block that nobody waits for; returns blocks of its image that are there, and in all."""
        self._compute(key, version, asked=False, confident=True)
        return self._answers.done(key[0])

    def _learn(self) -> None:
        """Learn what `learn` was given last; the caller holds `_teaching`."""
        with self._answers.lock:
            lessons, self._pending = self._pending, None
        if lessons is None:
            return
        if self.reason is not None:
            self.learner.reset()
            return
        try:
            self.learner.learn(lessons)
            self.learner.segmenter.call_off(False)  # the same may have come back before others were learnt
        except PkError as exc:
            self.learner.reset()
            self.reason = str(exc)

    def _compute(self, key: BlockKey, version: int, *, asked: bool, confident: bool) -> BlockAnswer | None:
        return self._answers.get(key, version, lambda: self._predict(key, version, asked=asked, confident=confident), confident=confident)

    def _predict(self, key: BlockKey, version: int, *, asked: bool, confident: bool) -> BlockAnswer | None:
        scene = self._scenes[key[0]]
        with self._teaching:
            if version != self.version:
                return None
            self._learn()
            if version != self.version or self.reason is not None:
                return None
            segmenter = self.learner.segmenter
        if not (asked or self._keeps_all):
            # The background would push what is in view out of the cache, and the next mark would embed it all again.
            segmenter = segmenter.replica(cache_bytes=0)
        try:
            return _mapped(segmenter, scene, block_window(scene.grid, key[1], key[2]), confident=confident)
        except PkError:
            if version != self.version:  # labels changed under it
                return None
            raise


def _blocks_to_ask(grid: Grid, embedded: Sequence[Window]) -> Sequence[Window]:
    """Where suggestions are looked for: some of the embedded blocks, or else a few of all, since to embed takes most of the time that a user will wait."""
    everything = [block_window(grid, row, col) for row in range(blocks_across(grid.height)) for col in range(blocks_across(grid.width))]
    there = set(embedded)
    return spread([block for block in everything if block in there], _SUGGEST_FROM) or spread(everything, _SUGGEST_FROM // 4)


def block_bytes(segmenter: Segmenter, scene: Scene) -> int:
    """What a Segmenter keeps of a block of an image, at most."""
    columns = segmenter.features.columns(scene)
    # Of every second pixel of a block and of what lies around it, and what smoothing knows of it.
    return max(_BLOCK_BYTES, len(columns) * (BLOCK // 2 + 32) ** 2 * (4 if columns.raw else 2))


def _suggested(segmenter: Segmenter, scene: Scene, count: int, free: Callable[[IntArray, IntArray], BoolArray]) -> list[Suggestion]:
    try:
        return segmenter.suggest(scene, count, blocks=_blocks_to_ask(scene.grid, segmenter.embedded(scene)), free=free)
    except SupersededError:  # the next labels call for others
        return []


def _mapped(segmenter: Segmenter, scene: Scene, window: Window, *, confident: bool) -> BlockAnswer:
    if confident:
        result = segmenter.predict(scene, window)
        return BlockAnswer(result.classes, np.round(result.confidence * 255).astype(np.uint8), result.valid)
    classes, valid = segmenter.classify(scene, window)
    return BlockAnswer(classes, None, valid)
