"""News for whoever listens: browser tabs, and tests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Listener = Callable[[str, dict[str, Any]], None]
"""Called from any thread with the kind of event and its data; must not block."""


class EventHub:
    """Hands each event to every listener."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[int, Listener] = {}
        self._next = 0

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Listen from now on; returns what to call to stop."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            self._listeners[number] = listener

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.pop(number, None)

        return unsubscribe

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        """Tell everybody."""
        with self._lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener(kind, data)
