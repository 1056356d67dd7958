"""Work that follows the labels of a live map: done once they stand, in the background."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..errors import PkError
from .livemap import LiveMap

_log = logging.getLogger(__name__)
_PAUSE_S = 0.2


class Watcher:
    """A thread that works for each version of the labels that stands long enough."""

    def __init__(self, live: LiveMap, work: Callable[[int], None], *, name: str, settle_s: float) -> None:
        """Start at once.

        Args:
            live: Whose labels are followed.
            work: Called with a version; is to end soon once `is_over` says so, and then will be called with the next.
            name: Of the thread.
            settle_s: Seconds that labels must stand before it works.
        """
        self._live, self._work, self._name, self._settle_s = live, work, name, settle_s
        self.done = -1
        """The last version that was worked for to the end."""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pixelkin-{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join(timeout=30)

    def is_over(self, version: int) -> bool:
        """Nobody wants to know any more."""
        return self._closed.is_set() or self._live.version != version

    def goes_on(self, version: int) -> bool:
        """Whether somebody still wants to know, once nobody waits for the map."""
        self.wait_for_painters()
        return not self.is_over(version)

    def wait(self, seconds: float) -> None:
        """Rest, unless it is to end."""
        self._closed.wait(seconds)

    def wait_for_painters(self) -> None:
        """Rest as long as somebody waits for the map."""
        while self._live.busy and not self._closed.wait(_PAUSE_S):
            pass

    def _run(self) -> None:
        while not self._closed.wait(_PAUSE_S):
            version = self._live.version
            if self.done == version or self._live.settled_for() < self._settle_s:
                continue
            try:
                self._work(version)
            except PkError as exc:  # a damaged file: the map says so too
                _log.warning("%s: %s", self._name, exc)
            except Exception:  # a thread's own border
                _log.exception("%s failed", self._name)
            if not self.is_over(version):
                self.done = version
