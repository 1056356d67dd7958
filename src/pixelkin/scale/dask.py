"""Tiles on a Dask cluster: the same kernel as on local threads, sent once, under names that follow from the inputs.

Only as many tiles as the workers can soon start are known to the scheduler at one time, so its memory does not grow with the image,
and results come back packed to the one process that writes. A lost worker's tiles are done again by the others; so is the sending
of the kernel, which is a task like the rest.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from .. import errors
from ..errors import InputError, MissingExtraError, PkError
from ..types import Window
from .kernel import TileKernel

try:
    import dask.config
    from distributed import Client, LocalCluster, as_completed, get_worker
    from distributed.client import FutureCancelledError
    from distributed.scheduler import KilledWorker
except ImportError as exc:
    raise MissingExtraError("distributed", extra="scale", purpose="a cluster") from exc

_PER_THREAD = 3
"""Tiles a worker's thread has waiting: enough that it never waits for the scheduler."""
_RECOUNT_S = 2.0
"""Seconds between two questions how many threads there are now."""
_QUIET = {
    "distributed.admin.tick.interval": "1s",
    "distributed.scheduler.work-stealing-interval": "1s",
    "distributed.worker.memory.monitor-interval": "500ms",
    "distributed.worker.profile.enabled": False,
}
"""For a cluster started here: what Dask does by default between tasks takes a tenth of a core, which two workers on two cores lack."""


@contextmanager
def connect(
    *, scheduler: str | None = None, workers: int | None = None, memory: int | str = "2GiB", dashboard: str | None = None
) -> Iterator[Client]:
    """A client of a cluster: of one that runs already, or of processes started here and stopped at the end.

    Args:
        scheduler: Address of a running scheduler, such as 'tcp://host:8786'.
        workers: Processes to start here, of one thread each.
        memory: Limit of each process started here; Dask pauses one at 80 % of it and restarts it at 95 %.
        dashboard: Address of the dashboard of a cluster started here, such as ':8787'; default a free port.

    Yields:
        The client; `client.dashboard_link` says where to watch.

    Raises:
        InputError: Neither or both of scheduler and workers; nobody answers at the address.
    """
    if (scheduler is None) == (workers is None):
        raise InputError(
            f"scheduler is {scheduler!r} and workers is {workers!r}, expected exactly one of them. Give --scheduler or --workers."
        )
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="20s", set_as_default=False)
        except (OSError, ValueError) as exc:
            raise InputError(f"no Dask scheduler answers at {scheduler} ({exc}). Start one with: dask scheduler") from exc
        with client:
            yield client
        return
    with (
        dask.config.set(_QUIET),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=memory,
            dashboard_address=dashboard or ":0",
            silence_logs=50,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def run_dask(kernel: TileKernel, windows: Iterable[Window], client: Client, inputs: Mapping[str, object]) -> Iterator[tuple[Window, bytes]]:
    """Results of tiles, as they are finished; the cluster's counterpart of `run_local`.

    Args:
        kernel: What to do.
        windows: Tiles to do, taken a few at a time.
        client: Whose workers to use. Workers may come, go and be lost while it runs.
        inputs: What decides the result; names of tasks follow from it.

    Raises:
        PkError: A tile failed, or killed every worker that tried it.
    """
    name = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
    # A task, not scattered data: the scheduler can have it done again when the last worker that held it is lost.
    held = client.submit(_hold, kernel, key=f"pixelkin-kernel-{name}", pure=True)
    todo = iter(windows)
    completed = as_completed(loop=client.loop)
    under_way: dict[str, Window] = {}
    threads, asked = 0, -_RECOUNT_S

    def top_up() -> None:
        nonlocal threads, asked
        if time.monotonic() - asked >= _RECOUNT_S:
            threads, asked = max(1, sum(client.nthreads().values())), time.monotonic()
        for window in islice(todo, max(0, _PER_THREAD * threads + 1 - len(under_way))):
            key = f"pixelkin-tile-{name}-{window.row}-{window.col}"
            # Rows first: neighbours in time are neighbours in the file.
            completed.add(client.submit(_one, held, window, key=key, priority=-window.row, pure=True))
            under_way[key] = window

    try:
        top_up()
        while under_way:
            future = next(completed)
            window = under_way.pop(future.key)
            data = _result(future, window)
            # Released before the next one is waited for: the cluster need not keep what is written.
            del future
            yield window, data
            top_up()
    finally:
        completed.clear()


def _hold(kernel: TileKernel) -> TileKernel:
    return kernel


@dataclass(frozen=True)
class _Refusal:
    """An error of ours as a result: exceptions of mixed parents do not survive the pickling that Dask gives them."""

    kind: str
    message: str

    def error(self) -> PkError:
        error: PkError
        try:
            error = getattr(errors, self.kind)(self.message)
        except TypeError:  # one that is made from parts, which a message no longer has
            error = InputError(self.message)
        return error


def _one(kernel: TileKernel, window: Window) -> bytes | _Refusal:
    kernel.segmenter.workers = get_worker().state.nthreads
    try:
        return kernel(window)
    except PkError as exc:
        return _Refusal(type(exc).__name__, str(exc))


def _result(future: Any, window: Window) -> bytes:
    try:
        result: bytes | _Refusal = future.result()
    except KilledWorker as exc:
        raise PkError(
            f"the tile at row {window.row}, column {window.col} was lost with every worker that tried it ({exc}). "
            "Finished tiles are kept: give workers more memory or use smaller tiles, and run the same again."
        ) from exc
    except FutureCancelledError as exc:
        raise PkError("the Dask scheduler was lost. Finished tiles are kept: start it again and run the same.") from exc
    if isinstance(result, _Refusal):
        raise result.error()
    return result
