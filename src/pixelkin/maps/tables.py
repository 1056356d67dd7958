"""Tables as files and frames: a row of a dataclass each, as CSV, JSON or pandas.DataFrame."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..files import replacing, require_suffix
from ._numbers import dump_json, number_or_none

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Table(Protocol):
    """Rows that are dataclasses, and a document of all."""

    @property
    def rows(self) -> Sequence[DataclassInstance]:
        """A row a line."""

    def to_json(self) -> dict[str, object]:
        """Everything, as values that JSON can hold."""


def write_table(rows: Sequence[dict[str, Any]], document: Any, path: str | Path, *, overwrite: bool) -> Path:
    """Write a table by the file's suffix: its rows as CSV, or a document as JSON.

    Raises:
        OutputError: Another suffix, the file is there and overwrite is False, or the disk refuses it.
    """
    path = table_target(path)
    text = dump_json(document) if path.suffix.lower() == ".json" else csv_text(rows)
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    return path


def table_target(path: str | Path) -> Path:
    """The path, where its suffix is one that area tables have; else OutputError."""
    return require_suffix(Path(path), (".csv", ".json"), "an area table")


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """CSV of rows with the same keys; an unknown number is an empty cell."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def plain(row: DataclassInstance) -> dict[str, Any]:
    """A row as JSON and CSV values: None where a number is unknown, colours as #rrggbb."""
    values: dict[str, Any] = {name: number_or_none(value) if isinstance(value, float) else value for name, value in asdict(row).items()}
    if "color" in values:
        values["color"] = "#{:02x}{:02x}{:02x}".format(*values["color"])
    return values


def frame(rows: Sequence[DataclassInstance]) -> Any:
    """A pandas.DataFrame, a row a dataclass."""
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in rows])
