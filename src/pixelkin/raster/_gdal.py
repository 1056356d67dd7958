"""Open GDAL datasets without noise, and keep few of them open for each thread."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import rasterio
from rasterio.env import get_gdal_config, set_gdal_config
from rasterio.errors import NotGeoreferencedWarning

from pixelkin.silence import silenced

Dataset = Any
"""A rasterio dataset or WarpedVRT; rasterio has no type stubs."""

# A thread that walks a series of 500 dates must not run into the limit of open files, which is 1024 on many systems.
_MAX_OPEN = 16

_local = threading.local()


@contextmanager
def quiet() -> Iterator[None]:
    """Open files here: an image without georeference is a fact that `Grid` carries, not a warning."""
    with silenced(NotGeoreferencedWarning):
        yield


@contextmanager
def small_cache() -> Iterator[None]:
    """GDAL's block cache at 128 MB, while whole files pass through it once; its default is a twentieth of the machine's memory."""
    before = get_gdal_config("GDAL_CACHEMAX")
    with rasterio.Env(GDAL_CACHEMAX=128_000_000):
        try:
            yield
        finally:
            # rasterio.Env does not put this one back.
            set_gdal_config("GDAL_CACHEMAX", before)


def one_line(exc: BaseException) -> str:
    """What GDAL says, on one line; its own words are on the cause where rasterio wraps an error."""
    return " ".join(str(exc.__cause__ or exc).split())


def borrow(key: Hashable, opener: Callable[[], Dataset]) -> Dataset:
    """This thread's own handle for a key, opened at first use; the least recently used one past sixteen is closed.

    GDAL datasets must not be shared between threads. The process is part of the key, since a forked child would share the
    file position with its parent.
    """
    handles: OrderedDict[Hashable, Dataset] | None = getattr(_local, "handles", None)
    if handles is None:
        handles = _local.handles = OrderedDict()
    full_key = (os.getpid(), key)
    dataset = handles.get(full_key)
    if dataset is None:
        dataset = handles[full_key] = opener()
        if len(handles) > _MAX_OPEN:
            handles.popitem(last=False)[1].close()
    handles.move_to_end(full_key)
    return dataset
