"""What is known of blocks, kept in memory, and on disk over restarts.

All of it can be computed again, so both may lose anything at any time; what they give back is what was put in, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import queue
import secrets
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .types import Window

_log = logging.getLogger(__name__)
_FORMAT = 5
"""To be raised when features, guides, projections or references become other numbers: what was kept before is then not found."""
_SUFFIX = ".safetensors"
_WAITING = 16
"""Entries that may wait to be written; of more, the next are not kept."""
_STALE_S = 600.0
"""Age from which nobody is still writing an unfinished file."""


class Sized(Protocol):
    """Something that knows how much memory it holds."""

    @property
    def nbytes(self) -> int:
        """Bytes."""


Entry = TypeVar("Entry", bound=Sized)
_Key = tuple[str, Window]


class MemoryCache(Generic[Entry]):
    """Blocks by scene and window, the least recently used dropped when memory runs out. Safe to share between threads."""

    def __init__(self, limit: int, shrink: Callable[[Entry], None] | None = None) -> None:
        """Start empty.

        Args:
            limit: Bytes.
            shrink: Makes an entry give back what it came to hold after it was put; asked for before any entry is dropped.
        """
        self.limit = limit
        self._shrink = shrink
        # By hand: cachetools weighs an entry once, and drops others where one that grew might give back.
        self._entries: OrderedDict[_Key, Entry] = OrderedDict()
        self._sizes: dict[_Key, int] = {}
        self._held = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[MemoryCache[Entry]], tuple[int, Callable[[Entry], None] | None]]:
        # Another process fills its own.
        return MemoryCache, (self.limit, self._shrink)

    def get(self, key: _Key) -> Entry | None:
        """What is kept of a block, or None."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def blocks(self, fingerprint: str) -> list[Window]:
        """Blocks of an image that are kept."""
        with self._lock:
            return [block for of_image, block in self._entries if of_image == fingerprint]

    def put(self, key: _Key, entry: Entry) -> Entry:
        """Keep an entry, unless it is larger than all memory; returns the one already there, if two threads made it at once."""
        with self._lock:
            if key not in self._entries and entry.nbytes <= self.limit:
                self._make_room(entry.nbytes)
                self._entries[key] = entry
                self._weigh(key)
            return self._entries.get(key, entry)

    def room(self, key: _Key) -> int:
        """Bytes that an entry may hold beside the others; 0 where it is not kept."""
        with self._lock:
            return self.limit - self._held + self._sizes[key] if key in self._sizes else 0

    def weigh(self, key: _Key) -> None:
        """Look how much an entry holds now; what is too much it gives back."""
        with self._lock:
            if key in self._entries:
                self._weigh(key)
                if self._held > self.limit:
                    self._shrink_one(key)

    def _make_room(self, size: int) -> None:
        for key in list(self._entries):
            if self._held + size <= self.limit:
                return
            self._shrink_one(key)
        while self._held + size > self.limit:
            key, _ = self._entries.popitem(last=False)
            self._held -= self._sizes.pop(key)

    def _shrink_one(self, key: _Key) -> None:
        if self._shrink is not None:
            self._shrink(self._entries[key])
            self._weigh(key)

    def _weigh(self, key: _Key) -> None:
        size = self._entries[key].nbytes
        self._held += size - self._sizes.get(key, 0)
        self._sizes[key] = size


class BlockStore:
    """Tensors by key in files of a folder, which several processes may share and anybody may delete.

    Files are written by a thread of its own, each under a temporary name that is then replaced, and carry a checksum: what is damaged,
    cut short or not ours is not there. Past the size, those used least recently go.
    """

    def __init__(self, folder: Path, limit: int = 4 << 30) -> None:
        """Nothing is read or made yet.

        Args:
            folder: Made when something is kept.
            limit: Bytes on disk.
        """
        self._folder = folder
        self._limit = limit
        self._size = 0
        self._waiting: queue.Queue[tuple[str, dict[str, Tensor]] | None] = queue.Queue(_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = self._broken = False

    @staticmethod
    def key(*parts: object) -> str:
        """A key of what decides an entry, to which is added what decides its bits: PyTorch and the processor."""
        decides = (_FORMAT, torch.__version__, torch.backends.cpu.get_cpu_capability(), *parts)
        return hashlib.sha256(repr(decides).encode()).hexdigest()

    def get(self, key: str) -> dict[str, Tensor] | None:
        """What was put under a key; None where it is not there, or not whole."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        tensors = _parse(data, key)
        if tensors is not None:
            with suppress(OSError):
                os.utime(path)
        return tensors

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Keep tensors, which must not change from now on; returns at once."""
        with self._lock:
            if self._closed or self._broken:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_all, name="pixelkin-blocks", daemon=True)
                self._thread.start()
        with suppress(queue.Full):
            self._waiting.put_nowait((key, dict(tensors)))

    def flush(self) -> None:
        """Wait until all that was put is on the disk."""
        self._waiting.join()

    def close(self) -> None:
        """Write what waits, and end."""
        with self._lock:
            thread, self._closed = self._thread, True
        if thread is not None:
            self._waiting.put(None)
            thread.join(timeout=30)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key[:40]}{_SUFFIX}"

    def _write_all(self) -> None:
        self._shrink()
        while (item := self._waiting.get()) is not None:
            try:
                if not self._broken:
                    self._write(*item)
            except OSError as exc:
                # What cannot be kept is computed again: slower, not wrong.
                _log.warning("%s cannot be written to, blocks are not kept: %s", self._folder, exc)
                self._broken = True
            finally:
                self._waiting.task_done()
        self._waiting.task_done()

    def _write(self, key: str, tensors: dict[str, Tensor]) -> None:
        path = self._path(key)
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        data = save(tensors, {"key": key, "checksum": _checksum(tensors)})
        self._folder.mkdir(parents=True, exist_ok=True)
        # Without waiting for the disk, as `files.replacing` does: what a power cut leaves half written, its checksum tells.
        temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        self._size += len(data)
        if self._size > self._limit:
            self._shrink()

    def _shrink(self) -> None:
        """Count what is there; where it is too much, take away what was used least recently, and a tenth to spare."""
        found: list[tuple[float, int, Path]] = []
        for path in self._folder.glob("*"):
            with suppress(OSError):  # gone meanwhile
                status = path.stat()
                if path.suffix == _SUFFIX:
                    found.append((status.st_mtime, status.st_size, path))
                elif path.suffix == ".tmp" and status.st_mtime < time.time() - _STALE_S:
                    path.unlink()
        self._size = sum(size for _, size, _ in found)
        if self._size <= self._limit:
            return
        for _, size, path in sorted(found):
            with suppress(OSError):
                path.unlink()
                self._size -= size
            if self._size <= 0.9 * self._limit:
                return


def _parse(data: bytes, key: str) -> dict[str, Tensor] | None:
    """The tensors of a file, or None unless it is whole and of this key."""
    try:
        # Copied to where PyTorch would put them: sums may depend on how numbers lie in memory.
        tensors = {name: tensor.clone() for name, tensor in load(data).items()}
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    except (SafetensorError, KeyError, ValueError):
        return None
    return tensors if header == {"key": key, "checksum": _checksum(tensors)} else None


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """Of names, shapes, types and numbers."""
    total = 0
    for name, tensor in sorted(tensors.items()):
        total = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), total)
        total = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"
