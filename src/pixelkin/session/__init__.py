"""Labelling sessions: a project folder that loses nothing, and a map that answers every mark.

`Project` is the folder, `Session` the work on it, `segment_project` its maps in files. `pixelkin.web` puts a page on top.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .edits import AddClass, AddMark, ClearMarks, DeleteClass, DeleteMark, MergeClass, SplitClass, UpdateClass, UpdateMark
    from .mapping import segment_project
    from .project import Project, ProjectSettings, is_project, open_project
    from .session import Session

_HOME = {
    "AddClass": "edits",
    "AddMark": "edits",
    "ClearMarks": "edits",
    "DeleteClass": "edits",
    "DeleteMark": "edits",
    "MergeClass": "edits",
    "SplitClass": "edits",
    "UpdateClass": "edits",
    "UpdateMark": "edits",
    "segment_project": "mapping",
    "Project": "project",
    "ProjectSettings": "project",
    "is_project": "project",
    "open_project": "project",
    "Session": "session",
}

__all__ = [
    "AddClass",
    "AddMark",
    "ClearMarks",
    "DeleteClass",
    "DeleteMark",
    "MergeClass",
    "Project",
    "ProjectSettings",
    "Session",
    "SplitClass",
    "UpdateClass",
    "UpdateMark",
    "is_project",
    "open_project",
    "segment_project",
]


def __getattr__(name: str) -> Any:
    # The engine takes seconds to import, and a page must show its image before.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
