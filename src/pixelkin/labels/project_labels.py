"""Labels of a project of the labelling page, `labels.gpkg`: later marks win, and erasers take away."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
from shapely.errors import ShapelyError
from shapely.geometry import shape

from pixelkin.errors import LabelError
from pixelkin.types import Grid, LabelledPixels, Legend, LegendClass

from .pixels import footprint


def is_project_labels(path: Path) -> bool:
    """True where a file holds the marks of a project."""
    if path.suffix.lower() != ".gpkg":
        return False
    try:
        with closing(_connect(path)) as connection:
            return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pixelkin_state'").fetchone() is not None
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return False


def read_project_labels(path: Path, grid: Grid, scene: str | None) -> tuple[LabelledPixels, list[str]]:
    """The pixels that the marks of a project label, row by row as on the page, and notes.

    Args:
        path: The project's `labels.gpkg`.
        grid: Of the image that the marks were drawn on.
        scene: Name of the image; the marks of other images of the project are left out. None = its only image.

    Raises:
        LabelError: Marks of several images, none of which has this name, no labelled pixel, or a damaged file.
    """
    try:
        with closing(_connect(path)) as connection:
            found = connection.execute("SELECT scene, class_id, brush_px, pixel_geometry FROM marks ORDER BY fid").fetchall()
            listed = connection.execute("SELECT id, name, color FROM classes ORDER BY position").fetchall()
        rows = [(str(where), int(class_id), float(brush), shape(json.loads(geometry))) for where, class_id, brush, geometry in found]
        classes = [LegendClass(int(i), str(name), _color(color)) for i, name, color in listed]
    except (sqlite3.DatabaseError, ShapelyError, ValueError, TypeError, LookupError, AttributeError) as exc:
        raise LabelError(f"its marks cannot be read: {exc!r}. The file is damaged: restore it from a copy.") from exc
    scenes = sorted({row[0] for row in rows})
    if scene not in scenes:
        if len(scenes) != 1:
            raise LabelError(
                f"it has marks on {', '.join(map(repr, scenes)) or 'no image'}, expected marks on {scene!r}. Give the image that they belong to."
            )
        scene = scenes[0]
    mask = np.zeros(grid.height * grid.width, np.uint8)
    for _, class_id, brush, geometry in (row for row in rows if row[0] == scene):
        mask[footprint(geometry, brush, grid.height, grid.width)] = class_id
    if not mask.any():
        raise LabelError(f"its marks on {scene!r} label no pixel of this image. Check that it is the right project.")
    present = set(np.unique(mask).tolist())
    legend = Legend(tuple(entry for entry in classes if entry.id in present))
    others = len(rows) - sum(row[0] == scene for row in rows)
    notes = [f"{others:,} marks on other images of the project are left out."] if others else []
    return LabelledPixels.from_mask(mask.reshape(grid.shape), legend), notes


def _connect(path: Path) -> sqlite3.Connection:
    # Read-only, and never waiting: the page may have the project open. Where it has not, SQLite need put no files of its own beside it.
    open_elsewhere = path.with_name(f"{path.name}-wal").exists()
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{'' if open_elsewhere else '&immutable=1'}", uri=True)


def _color(text: str) -> tuple[int, int, int]:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
