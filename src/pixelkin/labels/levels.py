"""Levels of classes from a table: EUNIS, CORINE, UKHab, or one's own."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pixelkin.errors import LabelError, MissingFileError
from pixelkin.types import Color, Legend, LegendGroup

from .classes import plain_name

_CODES = ("id", "code", "value", "class_id", "grid_code", "clc_code", "eunis_code", "eunis code", "habitat code")
_NAMES = ("name", "label", "class", "eunis name", "eunis_name", "habitat name", "description")
_PARENTS = ("parent", "parent_id", "parent_code", "parent code")
_COLORS = ("colour", "color", "rgb", "hex", "fill")
_LEVEL = re.compile(r"(?:level|label)[ _]?(\d+)(?:[ _](?:label|name))?")
_LEVEL_CODE = re.compile(r"(?:level|label)[ _]?(\d+)[ _]code")


@dataclass(frozen=True)
class TableClass:
    """A row of a table of classes."""

    codes: tuple[str, ...]
    name: str
    color: Color | None
    parents: tuple[LegendGroup, ...]
    """What it belongs to, the highest first."""


def read_class_table(path: str | Path) -> tuple[TableClass, ...]:
    """Classes and what each belongs to, from a CSV file with a header; columns are parted by comma, semicolon or tab.

    Three forms are known: `id, name, parent` and maybe `colour`, where a parent is another row's id or name; a column a level, such as
    `LABEL1, LABEL2, LABEL3` of CORINE or `Level 2 Label, Level 3 Label` of UKHab, where the last that is filled is the class; and `code, name`,
    where a class belongs to the one whose code its own begins with, such as `A1.1` to `A1` in EUNIS. Colours are `#rrggbb` or `230-000-077`.

    Raises:
        MissingFileError: The file is not there.
        LabelError: It has no such columns, a parent is no row, or a class is above itself.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError as exc:
        raise MissingFileError(f"{path} is not there, expected a table of classes. Correct the path.") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise LabelError(f"{path} cannot be read as text in UTF-8: {exc}. Save it as CSV UTF-8.") from exc
    head = text.lstrip("\r\n").partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), skipinitialspace=True)
    columns = {name: name.strip().lower() for name in reader.fieldnames or () if name}
    rows = [{columns[key]: (value or "").strip() for key, value in row.items() if key in columns} for row in reader]
    rows = [row for row in rows if any(row.values())]
    levels = sorted((int(found[1]), name) for name in columns.values() if (found := _LEVEL.fullmatch(name)))
    if len(levels) > 1:
        return tuple(_of_columns(row, [name for _, name in levels], path) for row in rows)
    if not any(name in columns.values() for name in _NAMES):
        raise LabelError(
            f"{path.name} has columns {list(columns.values())}, expected id, name, parent and maybe colour, or a column a level. Rename them."
        )
    return _of_parents(rows, path)


def with_levels(legend: Legend, table: Iterable[TableClass], source: str = "the table") -> Legend:
    """A legend whose classes know what they belong to, and have the table's colours; they are found by name or code.

    Raises:
        LabelError: A class is in no row.
    """
    known: dict[str, TableClass] = {}
    for row in table:
        for text in (row.name, *row.codes):
            known.setdefault(plain_name(text), row)
    lost = [entry.name for entry in legend if plain_name(entry.name) not in known]
    if lost:
        raise LabelError(
            f"class {lost[0]!r} is in no row of {source}, expected a name or code such as {[row.name for row in known.values()][:4]}. "
            "Add it, or rename the class."
        )
    entries = []
    for entry in legend:
        row = known[plain_name(entry.name)]
        entries.append(replace(entry, color=row.color or entry.color, parents=row.parents))
    return Legend(tuple(entries), legend.by_order)


def _first(row: dict[str, str], names: tuple[str, ...]) -> str:
    return next((row[name] for name in names if row.get(name)), "")


def _codes(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in _CODES if row.get(name))


def _of_columns(row: dict[str, str], levels: list[str], path: Path) -> TableClass:
    filled = [row[name] for name in levels if row.get(name)]
    if not filled:
        raise LabelError(f"{path.name} has a row without a class: {list(row.values())}. Fill in one of {levels}.")
    codes = [(int(found[1]), text) for name, text in row.items() if text and (found := _LEVEL_CODE.fullmatch(name))]
    deepest = tuple(text for _, text in sorted(codes)[-1:])
    # A level that repeats the one above it is no level of its own.
    chain = list(dict.fromkeys(filled))
    return TableClass(
        (*_codes(row), *deepest), chain[-1], _color(_first(row, _COLORS), path), tuple(LegendGroup(name) for name in chain[:-1])
    )


def _of_parents(rows: list[dict[str, str]], path: Path) -> tuple[TableClass, ...]:
    names = [_first(row, _NAMES) or (_codes(row) or ("",))[0] for row in rows]
    colors = [_color(_first(row, _COLORS), path) for row in rows]
    place: dict[str, int] = {}
    for texts in ([_codes(row) for row in rows], [(name,) for name in names]):
        for i, known in enumerate(texts):
            for text in known:
                place.setdefault(plain_name(text), i)
    above: list[int | None] = []
    for i, row in enumerate(rows):
        parent = _first(row, _PARENTS)
        if parent and plain_name(parent) not in place:
            raise LabelError(f"{path.name}: {names[i]!r} has parent {parent!r}, which is no row's id or name. Add a row for it.")
        if parent:
            above.append(place[plain_name(parent)])
        elif any(name in row for name in _PARENTS):
            above.append(None)
        else:
            begun = [code.rstrip(".")[:end] for code in _codes(row) for end in range(len(code.rstrip(".")) - 1, 0, -1)]
            above.append(next((place[plain_name(text)] for text in begun if plain_name(text) in place), None))
    found = []
    for i, row in enumerate(rows):
        chain: list[int] = []
        at = above[i]
        while at is not None:
            if at == i or at in chain:
                raise LabelError(
                    f"{path.name}: {names[i]!r} is above itself, expected a highest class without a parent. Correct the parents."
                )
            chain.insert(0, at)
            at = above[at]
        found.append(TableClass(_codes(row), names[i], colors[i], tuple(LegendGroup(names[k], colors[k]) for k in chain)))
    return tuple(found)


def _color(text: str, path: Path) -> Color | None:
    if not text:
        return None
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    parts = re.split(r"[-, ;]+", text)
    if len(parts) >= 3 and all(part.isdigit() and int(part) < 256 for part in parts[:3]):
        return int(parts[0]), int(parts[1]), int(parts[2])
    raise LabelError(f"{path.name} has colour {text!r}, expected #rrggbb or 230-000-077. Correct it.")
