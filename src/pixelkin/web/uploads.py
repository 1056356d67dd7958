"""Files that a browser sends: of a known kind, of a size that is allowed, and nothing but themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fastapi import UploadFile

from ..errors import InputError
from ..session.errors import TooLargeError
from ..session.ownfiles import require_own_data

LABELS = (".geojson", ".json", ".gpkg", ".csv", ".tif", ".tiff")


@contextmanager
def uploaded(file: UploadFile, limit: int, *, what: str = "label file", suffixes: Sequence[str] = LABELS) -> Iterator[Path]:
    """A file that was sent, for as long as it is read; InputError unless it has one of the suffixes."""
    name = Path(file.filename or "").name
    if Path(name).suffix.lower() not in suffixes:
        listed = [suffix for suffix in suffixes if suffix not in (".json", ".tiff")]
        raise InputError(f"{what} is {name[:100]!r}, expected {', '.join(listed[:-1])} or {listed[-1]}. Convert it.")
    with tempfile.TemporaryDirectory() as folder:
        # Messages name the file as the user does.
        path = Path(folder) / ("".join(ch if ch.isalnum() or ch in "._-() " else "_" for ch in name)[-100:])
        _save(file, path, limit)
        require_own_data(path)
        yield path


def _save(upload: UploadFile, path: Path, limit: int) -> None:
    taken = 0
    with path.open("wb") as file:
        while chunk := upload.file.read(1 << 20):
            taken += len(chunk)
            if taken > limit:
                raise TooLargeError(f"the file is larger than {limit} bytes. Send it in parts.")
            file.write(chunk)
