"""Whole files or none: results are written under a temporary name and moved into place."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pixelkin.errors import OutputError


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well and vanishes when it does not.

    Raises:
        OutputError: The file is there and overwrite is False, its folder is not there, or the disk refuses it.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already, expected a new name. Allow it to be overwritten, or choose another name.")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: its folder {path.parent} is not there. Make the folder first.")
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Check free space and permissions of {path.parent}."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def number_or_none(value: float) -> float | None:
    """The number, or None where it is not one: JSON and CSV have no NaN."""
    return None if math.isnan(value) else value


def dump_json(value: Any) -> str:
    """Indented JSON text; a NaN that got this far is our bug, so it raises ValueError."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"
