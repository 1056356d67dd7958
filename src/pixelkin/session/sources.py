"""The images of a project as its document lists them, read as they were when it was made."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MissingFileError
from ..scene import Scene, Series, as_scenes
from .errors import ProjectError

Reading = Mapping[str, Any]
"""How files are read: arguments of `open_scene` among those of `READING`; those that are not there are its defaults."""
READING = ("bands", "nodata", "scale", "missing", "kind")
COPIED: Reading = {"nodata": "none", "kind": "image"}
"""How a copy in the project folder is read: every number counts, but what its mask leaves out."""


@dataclass(frozen=True)
class Source:
    """Imagery as `open_scene` gives it, so that whoever trains on a project or maps it works on what the command line would."""

    scenes: Mapping[str, Scene]
    """By id; several are the dates of a series, on one grid."""

    @property
    def imagery(self) -> Scene | Series:
        """The image, or the series."""
        first, *more = self.scenes.values()
        return Series((first, *more)) if more else first

    def only(self, chosen: Collection[str]) -> Source | None:
        """These of its scenes; None where it has none of them."""
        kept = {scene_id: scene for scene_id, scene in self.scenes.items() if scene_id in chosen}
        return Source(kept) if kept else None


def checked_reading(reading: Any, where: Path | str) -> Reading:
    """A way to read files as a document has it.

    Raises:
        ProjectError: There is no such way.
    """
    allowed: dict[str, Any] = {"bands": list, "nodata": (int, float, str), "scale": bool, "missing": str, "kind": str}
    sound = isinstance(reading, Mapping) and all(name in allowed and isinstance(value, allowed[name]) for name, value in reading.items())
    if not sound or not all(isinstance(band, str | int) for band in reading.get("bands", ())):
        raise ProjectError(f"{where} reads its images with {reading!r}, expected some of {', '.join(READING)}. Restore it from a copy.")
    return dict(reading)


def open_sources(folder: Path, entries: Sequence[Mapping[str, Any]], reading: Reading) -> list[Source]:
    """The images of a project; dated images on one grid, named as a folder or one by one, are a series.

    Args:
        folder: The project's.
        entries: What its document says of each image: id, path, bands and size; `copied` of a copy in the folder.
        reading: How those that are no copies are read.

    Raises:
        MissingFileError: An image is not there.
        ProjectError: An image is not the one that it was.
    """
    from ..raster import open_scene
    from ..raster.series import of_one_site

    ids = [entry["id"] for entry in entries]
    scenes = [_open_entry(folder, entry, COPIED if entry.get("copied") else reading) for entry in entries]
    groups = [{ids[number]: scenes[number] for number in numbers} for numbers in of_one_site(scenes)]
    sources = []
    for group in groups:
        if len(group) > 1:
            series = open_scene(list(group.values()))
            assert isinstance(series, Series)
            # Dates of a series share grid and fill values, so that they may not be quite what they are alone.
            in_order = sorted(group.items(), key=lambda item: (item[1].date or dt.date.min, item[1].name))
            by_date = {scene_id: scene for (scene_id, _), scene in zip(in_order, series, strict=True)}
            group = {scene_id: by_date[scene_id] for scene_id in group}
        sources.append(Source(group))
    return sources


def _open_entry(folder: Path, entry: Mapping[str, Any], reading: Reading) -> Scene:
    from ..raster import open_scene

    path = _resolve(entry["path"], folder)
    try:
        scene = as_scenes(open_scene(path, **reading))[0]
    except MissingFileError as exc:
        raise MissingFileError(
            f"image {entry['path']!r} of project {folder} is not there, expected {path}. Put it back, or correct its path in project.json."
        ) from exc
    if list(scene.grid.shape) != entry["size"] or list(scene.bands) != entry["bands"]:
        raise ProjectError(
            f"{path} has size {list(scene.grid.shape)} and bands {list(scene.bands)}, expected {entry['size']} and {entry['bands']} "
            "as when the project was made. Put the old image back, or start a new project."
        )
    return scene


def _resolve(path: str, folder: Path) -> str:
    if "://" in path or path.startswith("/vsi"):
        return path
    return os.path.normpath(folder / path)
