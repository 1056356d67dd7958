"""Which class of one legend is which of another, and what is worth a word about class names and ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np

from pixelkin.errors import LabelError
from pixelkin.types import LabelledPixels, Legend, LegendClass

from .annotations import class_number


def match_classes(
    source: Legend, target: Legend, present: Iterable[int], *, names: tuple[str, str], new_allowed: bool = False
) -> tuple[dict[int, str], list[str]]:
    """Names in `target` for the classes of `source`.

    Classes are matched by name; names that differ only in case, spaces or leading zeros are the same class. Where nothing matches
    and one side has no names, only numbers, they are matched by id.

    Args:
        source: Legend whose classes are looked up.
        target: Legend that they are looked up in.
        present: Ids of `source` that occur.
        names: What messages call the two, such as ("the truth", "the map").
        new_allowed: Classes of `source` may all be new to `target`.

    Returns:
        Name in `target` by id of `source`, for the classes that have one, and notes on every match that is not by equal names.

    Raises:
        LabelError: No class matches, or a 0 that may be a class or no label at all.
    """
    used = [source.by_id(class_id) for class_id in dict.fromkeys(present)]
    matched = {entry.id: entry.name for entry in used if entry.name in target.names}
    notes = []
    for entry in used:
        alike = [other for other in target.names if plain_name(other) == plain_name(entry.name) and other not in matched.values()]
        if entry.id not in matched and len(alike) == 1:
            matched[entry.id] = alike[0]
            notes.append(
                f"class {entry.name!r} of {names[0]} is taken as {alike[0]!r} of {names[1]}; the names differ in case, spaces or zeros."
            )
    if not matched and (found := _by_number(used, source, target)):
        matched = found
        pairs = ", ".join(f"{_number(source.by_id(i))} = {name!r}" for i, name in found.items())
        notes.append(f"one side has no class names, so {names[0]} and {names[1]} are matched by id: {pairs}.")
        zero = next((entry for entry in used if class_number(entry.name) == 0 and entry.id not in found), None)
        if zero is not None:
            raise LabelError(
                f"{names[0]} has class {zero.name!r}, which has no name, and {names[1]} has no class 0, but {_listed(target)}. "
                f"Say which class it is with names={{0: 'NAME'}}, or leave it out with ignore=0."
            )
    if used and len(target) and not matched and not new_allowed:
        raise LabelError(
            f"{names[0]} has classes {_listed(source)}, {names[1]} has {_listed(target)}: none is the same. "
            "Rename the classes, or give names for numbers with names={1: 'NAME'}."
        )
    return matched, notes


def rename_classes(labels: LabelledPixels, names: Mapping[str, str]) -> LabelledPixels:
    """Labels whose classes have new names; classes that get one name become one."""
    kept: dict[str, LegendClass] = {}
    id_of = np.zeros(256, np.uint8)
    for entry in labels.legend:
        name = names.get(entry.name, entry.name)
        id_of[entry.id] = kept.setdefault(name, replace(entry, name=name)).id
    return LabelledPixels(labels.rows, labels.cols, id_of[labels.classes], Legend(tuple(kept.values()), labels.legend.by_order))


def notes_on(legend: Legend, stated: Collection[str] = ()) -> list[str]:
    """What to point out of a legend: numbers that could not stay ids, but where an id is stated, and names that are nearly the same."""
    notes = []
    kept = [entry for entry in legend if entry.name not in stated]
    moved = [(entry.name, entry.id) for entry in kept if (number := class_number(entry.name)) is not None and number != entry.id]
    if moved:
        pairs = ", ".join(f"{name} has id {class_id}" for name, class_id in moved[:8]) + (", ..." if len(moved) > 8 else "")
        notes.append(f"class ids run from 1 to 255 and differ, so {pairs}; the class names keep the numbers.")
    groups: dict[str, list[str]] = {}
    for name in legend.names:
        groups.setdefault(plain_name(name), []).append(name)
    for group in groups.values():
        if len(group) > 1:
            notes.append(
                f"classes {' and '.join(map(repr, group))} differ in case, spaces or zeros only; rename them where they are one class."
            )
    return notes


def _by_number(used: list[LegendClass], source: Legend, target: Legend) -> dict[int, str]:
    unnamed = all(class_number(entry.name) is not None for entry in used)
    if unnamed == all(class_number(name) is not None for name in target.names) or (target if unnamed else source).by_order:
        return {}
    known = {_number(entry): entry.name for entry in target}
    return {entry.id: known[_number(entry)] for entry in used if _number(entry) in known}


def _number(entry: LegendClass) -> int:
    number = class_number(entry.name)
    return entry.id if number is None else number


def plain_name(name: str) -> str:
    """What names are compared by: case, spaces and zeros before a number do not count."""
    number = class_number(name)
    return " ".join(name.split()).casefold() if number is None else str(number)


def _listed(legend: Legend) -> str:
    shown = ", ".join(f"{entry.id} = {entry.name!r}" for entry in list(legend)[:8])
    return shown + (", ..." if len(legend) > 8 else "")
