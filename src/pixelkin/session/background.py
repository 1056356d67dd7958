"""What is done for a live map while nobody waits for it: learn, go through the labels, compute what nobody has asked for yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from ..errors import PkError
from .blockanswers import BlockKey

_SETTLE_S = 0.15
"""How long it waits after a change, so that the page asks first."""
_CHECK_AFTER_S = 0.5
"""How long it waits before it searches for suspect labels: a cross-validation, which must not run beside a repaint."""
_TELL_EVERY_S = 0.25

Notify = Callable[[str, int, int, int], None]
"""Called with scene, version, blocks done, blocks in all."""


class Work(Protocol):
    """What there is to do."""

    reason: str | None
    """Why there is no map, None where there is one."""

    @property
    def version(self) -> int:
        """Rises when labels or model change."""
        ...

    @property
    def has_pending(self) -> bool:
        """Labels were given that are not learnt yet."""
        ...

    @property
    def checked_version(self) -> int:
        """The last version whose labels were gone through."""
        ...

    def learn_pending(self) -> None:
        """Learn them."""
        ...

    def check(self, version: int) -> None:
        """Go through the labels."""
        ...

    def missing(self) -> BlockKey | None:
        """The block to compute next."""
        ...

    def fill(self, key: BlockKey, version: int) -> tuple[int, int]:
        """Compute it; returns blocks of its image that are there, and in all."""
        ...


class Background:
    """A thread that works whenever nobody waits."""

    def __init__(self, work: Work, notify: Notify) -> None:
        """Start at once.

        Args:
            work: What there is to do.
            notify: Told as blocks get done.
        """
        self._work, self._notify = work, notify
        self._waiting = 0
        self._watched = False
        """Somebody has asked for a block since the last change, and will again."""
        self._changed_at = 0.0
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="pixelkin-fill", daemon=True)

    def start(self) -> None:
        """Begin; what there is to do must be ready by now."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._thread.join(timeout=10)

    @contextmanager
    def held_up(self, *, watched: bool = False) -> Iterator[None]:
        """Stand back as long as somebody waits for an answer.

        Args:
            watched: They watch the map, and will ask again after the next change.
        """
        with self._wake:
            self._waiting += 1
            self._watched |= watched
        try:
            yield
        finally:
            with self._wake:
                self._waiting -= 1
                self._wake.notify_all()

    @property
    def is_held_up(self) -> bool:
        """Somebody waits for an answer."""
        return self._waiting > 0

    def unsettle(self) -> None:
        """Labels or model are about to be others."""
        self._changed_at = time.monotonic()

    def wake(self) -> None:
        """There may be something to do."""
        with self._wake:
            self._wake.notify_all()

    def settled_for(self) -> float:
        """Seconds since labels or model changed."""
        return time.monotonic() - self._changed_at

    def _run(self) -> None:
        told: tuple[str, int, int] | None = None
        told_at = 0.0
        while True:
            with self._wake:
                while not (self._closed or self._should_learn() or self._should_check() or self._should_fill()):
                    times = [_SETTLE_S] + ([_CHECK_AFTER_S] if self._work.checked_version != self._work.version else [])
                    ahead = [left for left in (seconds - self.settled_for() for seconds in times) if left > 0]
                    self._wake.wait(timeout=min(ahead, default=5.0))
                if self._closed:
                    return
                should_learn, should_check = self._should_learn(), self._should_check()
                self._watched &= not should_learn
                version = self._work.version
                key = None if should_learn or should_check else self._work.missing()
            if should_learn:
                self._work.learn_pending()
            elif should_check:
                self._work.check(version)
            if key is None:
                continue
            try:
                done, total = self._work.fill(key, version)
            except PkError as exc:
                # A damaged part of a file: say so once, and stop filling until labels change.
                self._work.reason = str(exc)
                continue
            state = (key[0], version, done)
            if state != told and (done == total or time.monotonic() - told_at > _TELL_EVERY_S):
                told, told_at = state, time.monotonic()
                self._notify(key[0], version, done, total)

    def _should_learn(self) -> bool:
        return self._watched and self._work.has_pending

    def _should_check(self) -> bool:
        return not self._waiting and self._work.checked_version != self._work.version and self.settled_for() >= _CHECK_AFTER_S

    def _should_fill(self) -> bool:
        ready = not self._waiting and self._work.reason is None and self.settled_for() >= _SETTLE_S
        return ready and self._work.missing() is not None
