"""The map as it is now, block by block: what the page has asked for first, the rest in the background.

An answer belongs to one version of the labels. Whoever asks with an older version gets None, so that a stale answer
can never be shown over a new one.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..blockcache import BlockStore
from ..decision import Suggestion
from ..errors import PkError
from ..features import BLOCK, scene_number, spread
from ..scene import Scene
from ..segmenter import Segmenter
from ..types import BoolArray, Grid, IntArray, UInt8Array, Window
from .learning import Learner
from .painting import Lesson, same_lessons

_CACHED_BLOCKS = 4096
"""About 0.2 MB each; the answers of a 16,000 x 16,000 image."""
_RECENT_BLOCKS = 24
"""What a screen shows."""
_BLOCK_BYTES = 16 << 20
"""What a Segmenter keeps of a block, at most."""
_TOO_FEW = "Mark at least two classes."
_SETTLE_S = 0.15
"""How long the background waits after a change, so that the page asks first."""
_KEEP_EVERY_S = 60.0
"""How often what was learnt is kept for the next start."""
_SUGGEST_FROM = 16
"""Blocks in which suggestions are looked for: a megapixel."""
_CHECK_AFTER_S = 0.5
"""How long it waits before it looks for labels that contradict others: a cross-validation, which must not run beside a repaint."""

BlockKey = tuple[str, int, int]
"""Scene, block row, block column."""
Notify = Callable[[str, int, int, int], None]
"""Called with scene, version, blocks done, blocks in all."""


@dataclass(frozen=True, eq=False)
class BlockAnswer:
    """The map of one block."""

    classes: UInt8Array
    """(row, col) class ids, 0 = no data or undecided."""
    confidence: UInt8Array | None
    """(row, col) 0..255 for 0..1; None where nobody has asked for it."""
    valid: BoolArray
    """(row, col)."""
    notes: dict[str, Any] = field(default_factory=dict)
    """What others have worked out of it; each is worked out once."""


@dataclass(frozen=True)
class Suspect:
    """A label, or two classes, that the other labels speak against; see `pixelkin.decision.SuspectLabel`."""

    classes: tuple[int, int]
    """Ids of the class marked and the class it looks like, or of two that cannot be told apart."""
    at: tuple[str, int, int] | None
    """Scene, row and column of the label; None where two whole classes are meant."""


def blocks_across(size: int) -> int:
    """Blocks along an axis of this many pixels."""
    return -(-size // BLOCK)


def block_window(grid: Grid, block_row: int, block_col: int) -> Window:
    """The pixels of a block."""
    row, col = block_row * BLOCK, block_col * BLOCK
    return Window(row, col, min(BLOCK, grid.height - row), min(BLOCK, grid.width - col))


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
            checked: Called from there with the version whose labels have been looked through for suspects.
            cache_bytes: What the segmenter may keep of blocks. Where that is not all of them, it keeps those that were asked for.
            store: Where what was learnt of labels is kept over restarts.
        """
        self._scenes = scenes
        self._notify = notify
        self._tell_checked = checked
        everything = sum(blocks_across(scene.grid.height) * blocks_across(scene.grid.width) for scene in scenes.values())
        self._keeps_all = everything * _BLOCK_BYTES <= cache_bytes
        self._store = store
        self._learner = Learner(scenes, segmenter, store)
        self._kept_at = time.monotonic()
        self._teaching = threading.Lock()
        self._cache_lock = threading.Lock()
        self._pending: list[Lesson] | None = None
        self._cache: OrderedDict[BlockKey, BlockAnswer] = OrderedDict()
        self._in_work: dict[tuple[int, BlockKey], threading.Event] = {}
        self.version = 0
        self.reason: str | None = _TOO_FEW
        """Why there is no map, None where there is one."""
        self._focus: tuple[str, int, int] = (next(iter(scenes)), 0, 0)
        self._recent: OrderedDict[BlockKey, None] = OrderedDict()
        self._waiting = 0
        self._watched = False
        """Somebody has asked for a block since the last change, and will again."""
        self._changed_at = 0.0
        self._checked: tuple[int, tuple[Suspect, ...]] = (0, ())
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._fill, name="pixelkin-fill", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the background."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._thread.join(timeout=10)
        with self._teaching:
            self._learner.keep()

    def learn(self, lessons: list[Lesson]) -> None:
        """Take other labels, in the order in which ties are decided.

        Returns at once, so that a mark is acknowledged before the engine learns it. While somebody looks, that is in the background at
        once; else when somebody asks for a block, so that of many marks in a row only the last state is learnt.
        """
        with self._cache_lock:
            current = self._learner.learnt if self._pending is None else self._pending
            if same_lessons(lessons, current) and self.reason is None:
                return
            self._pending = lessons
            enough = len({class_id for lesson in lessons for class_id in lesson.labels.legend.ids}) >= 2
            self.reason = None if enough else _TOO_FEW
            self._supersede()
        with self._wake:
            self._wake.notify_all()

    def switch(self, segmenter: Segmenter) -> None:
        """Go on with another model; labels are kept, and the blocks last looked at are ready before the change shows."""
        learner = Learner(self._scenes, segmenter, self._store)
        with self._teaching:
            self._learn_pending()
            lessons = self._learner.learnt
        if lessons:
            learner.learn(lessons)
            for scene_id, row, col in list(self._recent):
                segmenter.predict(self._scenes[scene_id], block_window(self._scenes[scene_id].grid, row, col))
        with self._teaching:
            self._learn_pending()
            lessons = self._learner.learnt
            with self._cache_lock:
                self._learner = learner
                if not same_lessons(lessons, learner.learnt):
                    self._pending = lessons
                self._supersede()
        with self._wake:
            self._wake.notify_all()

    def focus(self, scene_id: str, row: float, col: float) -> None:
        """The place from which the background works outwards."""
        self._focus = (scene_id, int(row) // BLOCK, int(col) // BLOCK)

    def focus_scene(self, scene_id: str, row: float, col: float) -> None:
        """Turn the background to a scene that is looked at, unless it works on it already."""
        if self._focus[0] != scene_id:
            self.focus(scene_id, row, col)

    def block(self, scene_id: str, block_row: int, block_col: int, version: int, *, confident: bool = True) -> BlockAnswer | None:
        """The map of a block, computed if need be; None where the version is superseded or there is no map.

        Args:
            scene_id: The scene.
            block_row: Row of the block.
            block_col: Column of the block.
            version: What was the version when the asker last looked.
            confident: With the confidence; classes alone come sooner.
        """
        key = (scene_id, block_row, block_col)
        with self._wake:
            self._waiting += 1
            self._watched = True
            self._recent[key] = None
            self._recent.move_to_end(key)
            if len(self._recent) > _RECENT_BLOCKS:
                self._recent.popitem(last=False)
        try:
            return self._compute(key, version, asked=True, confident=confident)
        finally:
            with self._wake:
                self._waiting -= 1
                self._wake.notify_all()

    def suggest(self, scene_id: str, count: int, free: Callable[[IntArray, IntArray], BoolArray]) -> list[Suggestion]:
        """What `Segmenter.suggest` finds in blocks that are embedded already, or else in a few of the image; nothing where there is no map.

        Args:
            scene_id: The scene.
            count: How many pixels.
            free: As for `Segmenter.suggest`.
        """
        scene = self._scenes[scene_id]
        with self._wake:
            self._waiting += 1
        try:
            with self._teaching:
                self._learn_pending()
                if self.reason is not None:
                    return []
                segmenter = self._learner.segmenter
            grid = scene.grid
            everything = [
                block_window(grid, row, col) for row in range(blocks_across(grid.height)) for col in range(blocks_across(grid.width))
            ]
            there = set(segmenter.embedded(scene))
            # To embed takes most of the time that a user will wait.
            chosen = spread([block for block in everything if block in there], _SUGGEST_FROM) or spread(everything, _SUGGEST_FROM // 4)
            return segmenter.suggest(scene, count, blocks=chosen, free=free)
        finally:
            with self._wake:
                self._waiting -= 1
                self._wake.notify_all()

    def learnt(self, version: int) -> Segmenter | None:
        """A Segmenter of its own with the labels of this version; None where it is superseded or there is no map."""
        with self._teaching:
            self._learn_pending()
            if version != self.version or self.reason is not None:
                return None
            return self._learner.segmenter.replica(cache_bytes=0)

    def by_focus(self) -> list[str]:
        """Ids of the images, the one in view first."""
        return sorted(self._scenes, key=lambda scene_id: scene_id != self._focus[0])

    def peek(self, scene_id: str, block_row: int, block_col: int, version: int) -> BlockAnswer | None:
        """The map of a block if it is there already."""
        with self._cache_lock:
            return self._cache.get((scene_id, block_row, block_col)) if version == self.version else None

    @property
    def busy(self) -> bool:
        """Somebody is waiting for a block."""
        return self._waiting > 0

    def done(self, scene_id: str) -> tuple[int, int]:
        """Blocks computed so far, and in all."""
        grid = self._scenes[scene_id].grid
        with self._cache_lock:
            count = sum(1 for key in self._cache if key[0] == scene_id)
        return count, blocks_across(grid.height) * blocks_across(grid.width)

    def suspects(self, version: int) -> tuple[bool, tuple[Suspect, ...]]:
        """Whether the labels of this version have been looked through, and what was found then or when they last were."""
        checked, found = self._checked
        return checked == version, found

    def _learn_pending(self) -> None:
        """Learn what `learn` was given last; the caller holds `_teaching`."""
        with self._cache_lock:
            lessons, self._pending = self._pending, None
        if lessons is None:
            return
        if self.reason is not None:
            self._learner.reset()
            return
        try:
            self._learner.learn(lessons)
        except PkError as exc:
            self._learner.reset()
            self.reason = str(exc)

    def _supersede(self) -> None:
        """From now on answers are of a new version; the caller holds `_cache_lock`."""
        self.version += 1
        self._cache.clear()
        self._changed_at = time.monotonic()

    def _compute(self, key: BlockKey, version: int, *, asked: bool, confident: bool) -> BlockAnswer | None:
        while True:
            with self._cache_lock:
                if version != self.version:
                    return None
                answer = self._cache.get(key)
                if answer is not None and not (confident and answer.confidence is None):
                    self._cache.move_to_end(key)
                    return answer
                other = self._in_work.get((version, key))
                if other is None:
                    mine = self._in_work[version, key] = threading.Event()
                    break
            other.wait()
        try:
            return self._predict(key, version, asked=asked, confident=confident)
        finally:
            with self._cache_lock:
                del self._in_work[version, key]
            mine.set()

    def _predict(self, key: BlockKey, version: int, *, asked: bool, confident: bool) -> BlockAnswer | None:
        scene = self._scenes[key[0]]
        with self._teaching:
            if version != self.version:
                return None
            self._learn_pending()
            if version != self.version or self.reason is not None:
                return None
            segmenter = self._learner.segmenter
        if not (asked or self._keeps_all):
            # The background would push what is in view out of the cache, and the next mark would embed it all again.
            segmenter = segmenter.replica(cache_bytes=0)
        try:
            window = block_window(scene.grid, key[1], key[2])
            if confident:
                result = segmenter.predict(scene, window)
                answer = BlockAnswer(result.classes, np.round(result.confidence * 255).astype(np.uint8), result.valid)
            else:
                classes, valid = segmenter.classify(scene, window)
                answer = BlockAnswer(classes, None, valid)
        except PkError:
            if version != self.version:  # labels changed under it
                return None
            raise
        with self._cache_lock:
            if version != self.version:
                return None
            self._cache[key] = answer
            if len(self._cache) > _CACHED_BLOCKS:
                self._cache.popitem(last=False)
        return answer

    def _fill(self) -> None:
        """Learn what is looked at, check the labels, and compute what nobody has asked for yet, whenever nobody is waiting."""
        told: tuple[str, int, int] | None = None
        told_at = 0.0
        while True:
            with self._wake:
                while not (self._closed or self._should_learn() or self._should_check()) and (
                    self._waiting or self.reason is not None or self.settled_for() < _SETTLE_S or self._next() is None
                ):
                    times = [_SETTLE_S] + ([_CHECK_AFTER_S] if self._checked[0] != self.version else [])
                    ahead = [left for left in (seconds - self.settled_for() for seconds in times) if left > 0]
                    self._wake.wait(timeout=min(ahead, default=5.0))
                if self._closed:
                    return
                should_learn, should_check = self._should_learn(), self._should_check()
                version = self.version
                key = None if should_learn or should_check else self._next()
            if should_learn:
                with self._teaching:
                    self._watched = False
                    self._learn_pending()
            elif should_check:
                self._check(version)
            if key is None:
                continue
            try:
                self._compute(key, version, asked=False, confident=True)
            except PkError as exc:
                # A damaged part of a file: say so once, and stop filling until labels change.
                self.reason = str(exc)
                continue
            done, total = self.done(key[0])
            state = (key[0], version, done)
            if state != told and (done == total or time.monotonic() - told_at > 0.25):
                told, told_at = state, time.monotonic()
                self._notify(key[0], version, done, total)

    def _should_learn(self) -> bool:
        return self._watched and self._pending is not None

    def _should_check(self) -> bool:
        return not self._waiting and self._checked[0] != self.version and self.settled_for() >= _CHECK_AFTER_S

    def settled_for(self) -> float:
        """Seconds since labels or model changed."""
        return time.monotonic() - self._changed_at

    def _check(self, version: int) -> None:
        """Look for labels that contradict others."""
        with self._teaching:
            self._learn_pending()
            if time.monotonic() > self._kept_at + _KEEP_EVERY_S:
                self._kept_at = time.monotonic()
                self._learner.keep()
            # What was learnt up to now, whatever is learnt meanwhile.
            segmenter = self._learner.segmenter.replica(cache_bytes=0)
            with self._cache_lock:
                if version != self.version:
                    return
                is_taught = self.reason is None
        found: list[Suspect] = []
        if is_taught:
            references = segmenter.references
            scenes = {scene_number(scene): scene_id for scene_id, scene in self._scenes.items()}
            for suspect in segmenter.suspect_labels:
                marked, other = (references.legend.by_name(name).id for name in suspect.classes)
                at = None
                if suspect.index is not None:
                    number, _, row, col = references.origins[suspect.index].tolist()
                    at = scenes[number], row, col
                found.append(Suspect((marked, other), at))
        with self._cache_lock:
            if version != self.version:
                return
            self._checked = version, tuple(found)
        self._tell_checked(version)

    def _next(self) -> BlockKey | None:
        """The block to compute next: of the scene in view, nearest to the focus; then of the other scenes."""
        scene_id, focus_row, focus_col = self._focus
        with self._cache_lock:
            if len(self._cache) >= _CACHED_BLOCKS:
                return None
            for candidate in [scene_id, *(other for other in self._scenes if other != scene_id)]:
                grid = self._scenes[candidate].grid
                rows, cols = blocks_across(grid.height), blocks_across(grid.width)
                missing = np.ones((rows, cols), bool)
                for key in self._cache:
                    if key[0] == candidate:
                        missing[key[1], key[2]] = False
                if missing.any():
                    at = np.argwhere(missing)
                    nearest = at[np.argmin(((at - (focus_row, focus_col)) ** 2).sum(axis=1))]
                    return candidate, int(nearest[0]), int(nearest[1])
        return None
