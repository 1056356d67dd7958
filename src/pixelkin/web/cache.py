"""Finished image tiles, so that twenty viewers of one view cost one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from cachetools import LRUCache


class ByteCache:
    """Bytes by key, the least recently used dropped past a size. Safe to share between threads."""

    def __init__(self, limit: int) -> None:
        """Start empty; `limit` is in bytes."""
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: LRUCache[Hashable, bytes] = LRUCache(limit, getsizeof=len)

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """What is kept under a key, made if need be."""
        with self._lock:
            kept = self._entries.get(key)
        if kept is not None:
            return kept
        made = make()
        with self._lock:
            if len(made) <= self._limit:
                self._entries[key] = made
        return made
