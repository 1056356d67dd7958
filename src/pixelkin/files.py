"""Whole files or none: results are written under a temporary name and moved into place."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError


def require_writable(path: Path, *, overwrite: bool) -> None:
    """Refuse a target that is there, or whose folder is not.

    Raises:
        OutputError: Which of the two, and the fix.
    """
    if path.exists() and not overwrite:
        raise OutputError(
            f"{path} is there already, expected a new name. Choose another name, or replace it with overwrite=True (--overwrite)."
        )
    if not path.absolute().parent.is_dir():
        raise OutputError(f"{path} cannot be written: its folder {path.parent} is not there. Make the folder first.")


def refused(path: Path, error: OSError) -> OutputError:
    """What to say when the disk refuses a file."""
    return OutputError(f"{path} cannot be written: {error.strerror or error}. Check free space and permissions of {path.parent}.")


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well and vanishes when it does not.

    The content is on the disk before the name is: after a power cut there is the old file or the new one.

    Raises:
        OutputError: The file is there and overwrite is False, its folder is not there, or the disk refuses it.
    """
    require_writable(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OutputError:
        raise
    except OSError as error:
        raise refused(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
