"""Tiles on the threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from ..types import Window
from .kernel import TileKernel


def run_local(kernel: TileKernel, windows: Iterable[Window], *, in_flight: int) -> Iterator[tuple[Window, bytes]]:
    """Results of tiles, as they are finished.

    Each tile under way has a thread that takes it from reading to its packed result, while the blocks of all of them are computed
    by the Segmenter's own few threads: while one tile is read or packed, others compute, and no more than `in_flight` are held.
    Where the caller stops listening (an error, Ctrl-C), tiles under way are given up at their next block.

    Args:
        kernel: What to do.
        windows: Tiles to do, taken one by one.
        in_flight: Tiles under way at one time.
    """
    stop = threading.Event()
    todo = iter(windows)
    under_way: dict[Future[bytes], Window] = {}
    with ThreadPoolExecutor(in_flight, thread_name_prefix="pixelkin-tile") as pool:
        try:
            while True:
                for window in islice(todo, in_flight - len(under_way)):
                    under_way[pool.submit(kernel, window, stop)] = window
                if not under_way:
                    return
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    yield under_way.pop(future), future.result()
        finally:
            stop.set()
            for future in under_way:
                future.cancel()
