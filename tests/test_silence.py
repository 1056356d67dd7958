"""Warnings that are left out, and those that are not."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from pixelkin.silence import silenced


def test_a_silenced_block_may_hold_another() -> None:
    # In a thread of its own, so that a lock that cannot be taken twice fails and does not hang.
    def both() -> None:
        with silenced(UserWarning), silenced(FutureWarning):
            warnings.warn("known", UserWarning, stacklevel=1)
            warnings.warn("known too", FutureWarning, stacklevel=1)

    pool = ThreadPoolExecutor(1)
    try:
        pool.submit(both).result(timeout=10)
    finally:
        pool.shutdown(wait=False)


def test_other_warnings_come_through() -> None:
    with silenced(UserWarning, "known"), pytest.raises(UserWarning, match="new"):
        warnings.warn("new", UserWarning, stacklevel=1)
