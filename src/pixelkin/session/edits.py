"""What a user may do to marks and classes, and how each is carried out in the store."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import LabelError
from ..types import default_color
from .errors import NoSuchItemError
from .marks import ERASER, KINDS, LabelClass, Mark, check_brush, color_from_hex, parse_geometry
from .store import Editor

MAX_NAME_LENGTH = 100


@dataclass(frozen=True)
class AddMark:
    """Draw a mark; class_id 0 erases."""

    scene: str
    class_id: int
    kind: str
    geometry: dict[str, Any]
    brush_px: float = 1.0
    id: str | None = None


@dataclass(frozen=True)
class UpdateMark:
    """Change class_id, geometry or brush_px of a mark."""

    id: str
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeleteMark:
    """Take a mark away."""

    id: str


@dataclass(frozen=True)
class ClearMarks:
    """Take all marks away, or those of one scene."""

    scene: str | None = None


@dataclass(frozen=True)
class AddClass:
    """Add a class; what is not given is the next free one."""

    name: str
    color: str | None = None
    key: str | None = None
    id: int | None = None


@dataclass(frozen=True)
class UpdateClass:
    """Change name, color ('#rrggbb'), key or position of a class."""

    id: int
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MergeClass:
    """Give the marks of a class to another, and take the first away."""

    id: int
    into: int


@dataclass(frozen=True)
class SplitClass:
    """Give some marks of a class to a new one."""

    id: int
    name: str
    """Of the new class."""
    marks: Sequence[str]
    """Ids of marks of the class; some of them, not all."""
    color: str | None = None


@dataclass(frozen=True)
class DeleteClass:
    """Take a class and its marks away."""

    id: int


Edit = AddMark | UpdateMark | DeleteMark | ClearMarks | AddClass | UpdateClass | MergeClass | SplitClass | DeleteClass


def apply_edits(editor: Editor, edits: Sequence[Edit], scenes: Sequence[str]) -> str:
    """Carry out a batch; returns a title for the history, e.g. 'Mark water (3)'.

    Raises:
        LabelError: An edit makes no sense; the message says which value.
        NoSuchItemError: It names a scene, class or mark that is not there.
    """
    titles = [_apply(editor, edit, scenes) for edit in edits]
    if not titles:
        raise LabelError("the batch of edits is empty, expected at least one. Send an edit.")
    return titles[0] if len(titles) == 1 else f"{titles[0]} and {len(titles) - 1} more"


def _apply(editor: Editor, edit: Edit, scenes: Sequence[str]) -> str:
    match edit:
        case AddMark():
            return _add_mark(editor, edit, scenes)
        case UpdateMark():
            return _update_mark(editor, edit)
        case DeleteMark():
            editor.delete_mark(editor.mark(edit.id))
            return "Delete a mark"
        case ClearMarks():
            if edit.scene is not None:
                _check_scene(edit.scene, scenes)
            for mark in editor.marks(scene=edit.scene):
                editor.delete_mark(mark)
            return "Clear all marks"
        case AddClass():
            return _add_class(editor, edit)
        case UpdateClass():
            return _update_class(editor, edit)
        case MergeClass():
            return _merge_class(editor, edit)
        case SplitClass():
            return _split_class(editor, edit)
        case DeleteClass():
            entry = editor.class_by_id(edit.id)
            for mark in editor.marks(class_id=entry.id):
                editor.delete_mark(mark)
            editor.delete_class(entry)
            return f"Delete class {entry.name}"


def _check_scene(scene: str, scenes: Sequence[str]) -> None:
    if scene not in scenes:
        raise NoSuchItemError(f"there is no scene {scene!r}, expected one of {list(scenes)[:20]}.")


def _add_mark(editor: Editor, edit: AddMark, scenes: Sequence[str]) -> str:
    _check_scene(edit.scene, scenes)
    name = "erase" if edit.class_id == ERASER else editor.class_by_id(edit.class_id).name
    if edit.kind not in KINDS:
        raise LabelError(f"kind of mark is {edit.kind!r}, expected one of {list(KINDS)}.")
    parse_geometry(edit.geometry)
    mark_id = edit.id or str(uuid.uuid4())
    if editor.find_mark(mark_id) is not None:
        raise LabelError(f"there is a mark {mark_id!r} already. Give the new mark another id.")
    editor.put_mark(
        Mark(mark_id, editor.next_order(), edit.scene, edit.class_id, edit.kind, edit.geometry, check_brush(edit.brush_px), editor.author)
    )
    return "Erase" if edit.class_id == ERASER else f"Mark {name}"


def _update_mark(editor: Editor, edit: UpdateMark) -> str:
    mark = editor.mark(edit.id)
    changes = dict(edit.changes)
    if "class_id" in changes and changes["class_id"] != ERASER:
        editor.class_by_id(changes["class_id"])
    if "geometry" in changes:
        parse_geometry(changes["geometry"])
    if "brush_px" in changes:
        changes["brush_px"] = check_brush(changes["brush_px"])
    editor.put_mark(dataclasses.replace(mark, **changes))
    return "Change a mark"


def _clean_name(name: str) -> str:
    cleaned = " ".join(name.split())
    if not cleaned or len(cleaned) > MAX_NAME_LENGTH or not cleaned.isprintable():
        raise LabelError(
            f"class name is {name[:MAX_NAME_LENGTH]!r}, expected 1 to {MAX_NAME_LENGTH} printable characters. Choose another name."
        )
    return cleaned


def _free_key(editor: Editor) -> str | None:
    taken = {entry.key for entry in editor.classes()}
    return next((key for key in "123456789" if key not in taken), None)


def _take_key(editor: Editor, key: str | None, class_id: int) -> str | None:
    """The key, taken from the class that has it, because one key picks one class."""
    if key is None:
        return None
    if len(key) != 1 or key not in "123456789":
        raise LabelError(f"key is {key!r}, expected one of '1' to '9'. Choose another key.")
    for entry in editor.classes():
        if entry.key == key and entry.id != class_id:
            editor.put_class(dataclasses.replace(entry, key=None))
    return key


def _add_class(editor: Editor, edit: AddClass) -> str:
    classes = editor.classes()
    taken = {entry.id for entry in classes}
    class_id = edit.id if edit.id is not None else next((i for i in range(1, 256) if i not in taken), 0)
    if not 1 <= class_id <= 255 or class_id in taken:
        raise LabelError(
            f"class id is {edit.id if edit.id is not None else 256}, expected a free one from 1 to 255. Merge or delete classes."
        )
    used = {entry.color for entry in classes}
    color = color_from_hex(edit.color) if edit.color is not None else next(c for c in map(default_color, range(512)) if c not in used)
    key = _take_key(editor, edit.key, class_id) if edit.key is not None else _free_key(editor)
    position = max((entry.position for entry in classes), default=-1) + 1
    name = _clean_name(edit.name)
    _check_new_name(editor, name, class_id)
    editor.put_class(LabelClass(class_id, name, color, key, position))
    return f"Add class {name}"


def _check_new_name(editor: Editor, name: str, class_id: int) -> None:
    if any(entry.name == name and entry.id != class_id for entry in editor.classes()):
        raise LabelError(f"there is a class {name!r} already. Choose another name, or merge the classes.")


def _update_class(editor: Editor, edit: UpdateClass) -> str:
    entry = editor.class_by_id(edit.id)
    changes = dict(edit.changes)
    position = changes.pop("position", None)
    if "name" in changes:
        changes["name"] = _clean_name(changes["name"])
        _check_new_name(editor, changes["name"], entry.id)
    if "color" in changes:
        changes["color"] = color_from_hex(changes["color"])
    if "key" in changes:
        changes["key"] = _take_key(editor, changes["key"], entry.id)
    entry = dataclasses.replace(entry, **changes)
    editor.put_class(entry)
    if position is not None:
        others = [other for other in editor.classes() if other.id != entry.id]
        others.insert(max(0, int(position)), entry)
        for at, other in enumerate(others):
            editor.put_class(dataclasses.replace(other, position=at))
    return f"Change class {entry.name}"


def _merge_class(editor: Editor, edit: MergeClass) -> str:
    entry, into = editor.class_by_id(edit.id), editor.class_by_id(edit.into)
    if entry.id == into.id:
        raise LabelError(f"class {entry.name!r} cannot be merged into itself. Name another class.")
    for mark in editor.marks(class_id=entry.id):
        editor.put_mark(dataclasses.replace(mark, class_id=into.id))
    editor.delete_class(entry)
    return f"Merge class {entry.name} into {into.name}"


def _split_class(editor: Editor, edit: SplitClass) -> str:
    entry = editor.class_by_id(edit.id)
    marks = [editor.mark(mark_id) for mark_id in dict.fromkeys(edit.marks)]
    foreign = next((mark for mark in marks if mark.class_id != entry.id), None)
    if foreign is not None:
        raise LabelError(f"mark {foreign.id!r} is not of class {entry.name!r}, expected marks of it. Choose others.")
    if not 0 < len(marks) < len(editor.marks(class_id=entry.id)):
        raise LabelError(
            f"{len(marks)} marks of class {entry.name!r} were chosen, expected some and not all. To rename it, change its name."
        )
    taken = {other.id for other in editor.classes()}
    _add_class(editor, AddClass(edit.name, edit.color))
    made = next(other for other in editor.classes() if other.id not in taken)
    for mark in marks:
        editor.put_mark(dataclasses.replace(mark, class_id=made.id))
    return f"Split class {made.name} from {entry.name}"
