"""The threads that all work is done on, each keeping to one core: to its bits, and out of the others' way."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from threadpoolctl import ThreadpoolController


@cache
def pool(workers: int) -> ThreadPoolExecutor:
    """Threads that each keep to one core; shared by all Segmenters, so that many of them do not fight."""
    return ThreadPoolExecutor(workers, thread_name_prefix="pixelkin", initializer=torch.set_num_threads, initargs=(1,))


def alone(function: Callable[..., Any], *given: Any) -> Any:
    """A function's result on one thread of a pool; must not be called from one of them, which would wait for itself.

    For the bits, and because problems this small only wait for more.
    """
    return pool(os.cpu_count() or 1).submit(_on_one_thread, function, *given).result()


def _on_one_thread(function: Callable[..., Any], *given: Any) -> Any:
    with _libraries().limit(limits=1):
        return function(*given)


@cache
def _libraries() -> ThreadpoolController:
    # Finding the libraries takes longer than most of what is done with them.
    return ThreadpoolController()
