"""Maps of a session in files, as jobs: of the project's images, and of others by the same labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..scene import Scene, as_scenes
from .engine import Engine
from .errors import ForbiddenError, NoSuchItemError
from .exports import Exports
from .jobs import Format, Job, JobFile, Jobs, Progress
from .project import Project, scene_ids


class ExportJobs:
    """The exports folder of a project."""

    def __init__(self, project: Project, engine: Engine, jobs: Jobs) -> None:
        self._project, self._engine, self._jobs = project, engine, jobs

    def start_export(self, formats: Sequence[Format], *, scenes: Sequence[str] | None = None, name: str = "", replace: bool = False) -> Job:
        """Write maps of the project's scenes, as of now.

        Args:
            formats: What to write of each.
            scenes: Ids; default all.
            name: Start of the names of the files written.
            replace: Take the place of the files of an earlier run of that name, all of them.

        Raises:
            OutputError: There are files of that name, and they are not to be replaced.
            NotFittedError: There is no map yet.
        """
        chosen = {scene_id: self._project.scene(scene_id) for scene_id in (scenes if scenes else self._project.scenes)}
        return self._start("export", chosen, formats, name, replace)

    def start_apply(
        self, paths: Sequence[str], roots: Sequence[Path], formats: Sequence[Format], *, name: str = "", replace: bool = False
    ) -> Job:
        """Map other images with the project's labels.

        Args:
            paths: Rasters or folders of dates.
            roots: Folders that they must lie in.
            formats: As in `start_export`.
            name: As in `start_export`.
            replace: As in `start_export`.

        Raises:
            ForbiddenError: A path lies elsewhere.
            OutputError: As `start_export`.
        """
        from ..raster import open_scene

        chosen: list[Scene] = []
        for path in paths:
            real = Path(path).resolve()
            _require_inside(str(real), roots)
            for scene in as_scenes(open_scene(real, **self._project.reading)):
                for source in _sources(getattr(scene, "path", "")):
                    _require_inside(source, roots)
                chosen.append(scene)
        return self._start("apply", dict(zip(scene_ids(chosen), chosen, strict=True)), formats, name, replace)

    def find(self, name: str) -> Path:
        """A file by its name; NoSuchItemError for anything else."""
        folder = self._project.folder / "exports"
        path = folder / name
        if Path(name).name != name or name.startswith(".") or not path.is_file() or path.is_symlink():
            raise NoSuchItemError(f"there is no export {name[:100]!r}. List the files of the export job.")
        return path

    def _start(
        self, kind: Literal["export", "apply"], scenes: dict[str, Scene], formats: Sequence[Format], name: str, replace: bool
    ) -> Job:
        from .mapping import Run, check_formats, write_maps

        check_formats(formats)
        recipe = self._engine.recipe()
        run = Run(file_name(name) if name else "", replace, "ask for them to be replaced", remembers=True)
        folder = self._project.folder / "exports"
        Exports(folder).require_free(run.name, run.stems(scenes), replace=replace, fix=run.fix)

        def work(progress: Progress) -> list[JobFile]:
            written = write_maps(recipe, scenes, folder, formats, progress.tell, run=run, warn=progress.warn, read=self._project.files)
            return [JobFile(path.name, path.stat().st_size) for path in written]

        return self._jobs.start(kind, work)


def _require_inside(path: str, roots: Sequence[Path]) -> None:
    real = Path(path).resolve()
    if not any(real.is_relative_to(root.resolve()) for root in roots):
        raise ForbiddenError(f"{path} is outside the folders that were served. Serve its folder: pixelkin serve ... {real.parent}")


def _sources(path: str) -> list[str]:
    """Files that an image is read from: its own, and what a virtual one refers to, however deep."""
    from ..raster.reader import open_dataset

    found: list[str] = []
    waiting = [path] if path else []
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.append(name)
        if name.lower().endswith(".vrt"):
            with open_dataset(name) as dataset:
                waiting += dataset.files
    return found


def file_name(text: str) -> str:
    """A file name made of a text."""
    cleaned = "".join(ch if ch.isalnum() or ch in "._-" else "-" for ch in text).strip("-.")[:80]
    return cleaned or "map"
