"""Leave out warnings that say what we know already, from any thread."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Reentrant: a block may call something that silences on its own account.
_lock = threading.RLock()


@contextmanager
def silenced(category: type[Warning], message: str = "") -> Iterator[None]:
    """Run a block without the warnings of a kind whose text begins as the regular expression `message` says; keep the block short.

    The lock is there because `warnings.catch_warnings` swaps global state: two threads that leave it in the wrong order would
    switch the filter off or on for good.
    """
    with _lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message, category)
        yield
