"""A project folder: everything a labelling session keeps, in files that people and other programs can read.

    project.json    images (paths relative to the folder), how they are read, settings, the model in use
    images/         images that were given as arrays
    labels.gpkg     marks, classes and their history (see `store`); QGIS opens it
    validation.sqlite  sample points and what was said of them (see `answers`); there once a sample was opened
    models/         trained encoders, safetensors
    cache/          what can be made again: delete it when you like. blocks/: what is known of the parts that were shown
    overlays/       what is laid over the images while deciding; see `overlays`
    exports/        maps, polygons and area tables written from the page

Copy the folder, with the images beside it as they are now, and the project opens on another machine.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import shapely

from ..crs import same_crs, transformer
from ..errors import InputError, MissingFileError, OutputError, PkError
from ..scene import Scene, Series, as_scenes
from ..types import Grid
from .errors import NoSuchItemError, ProjectError
from .gpkg import create_store
from .marks import Mark, parse_geometry
from .sources import Reading, Source, checked_reading, open_sources
from .store import Store

Measure = Literal["auto", "local", "global", "l1"]
FORMAT = "pixelkin-project"
FORMAT_VERSION = 1
_FILE = "project.json"


@dataclass(frozen=True)
class ProjectSettings:
    """What a user may choose for the whole project."""

    measure: Measure = "auto"
    """auto = the default method of `pixelkin.Segmenter`; a measure = the nearest reference by it, once there is the encoder it needs."""
    pixels_per_mark: int | None = None
    """A mark that covers more pixels teaches with this many, spread over it, 1..4096. None: every mark with all of its pixels, as `pixelkin segment --labels` has it."""

    def __post_init__(self) -> None:
        if self.measure not in get_args(Measure):
            raise InputError(f"measure is {self.measure!r}, expected one of {list(get_args(Measure))}.")
        if self.pixels_per_mark is not None and not 1 <= self.pixels_per_mark <= 4096:
            raise InputError(f"pixels_per_mark is {self.pixels_per_mark}, expected 1 to 4096.")


def is_project(path: str | Path) -> bool:
    """True for a folder that holds a project."""
    return (Path(path) / _FILE).is_file()


class Project:
    """An open project folder. Make one with `Project.create`, `Project.open` or `open_project`."""

    def __init__(self, folder: Path, document: Mapping[str, Any]) -> None:
        """Use `Project.open`, which checks the document."""
        self.folder = folder
        self._document = dict(document)
        self.reading = checked_reading(document.get("reading", {}), folder / _FILE)
        """How the images' files are read."""
        self.sources = open_sources(folder, document["scenes"], self.reading)
        opened = {scene_id: scene for source in self.sources for scene_id, scene in source.scenes.items()}
        self.scenes = {entry["id"]: opened[entry["id"]] for entry in document["scenes"]}
        self._transformers: dict[str, Any] = {}
        self.store = Store(folder / "labels.gpkg", self._locate)

    @classmethod
    def create(
        cls,
        folder: str | Path,
        sources: Scene | Series | Sequence[Scene | Series],
        *,
        name: str | None = None,
        reading: Reading | None = None,
    ) -> Project:
        """Make a project folder for images; those that no file gives back as they are, such as arrays, are written into it.

        Args:
            folder: Folder to make; it may exist but must hold no project.
            sources: Scenes, all with the same bands.
            name: Title of the project; the folder's name by default.
            reading: How their files were read; None where that is not known, and each is asked whether its file gives it back.

        Raises:
            ProjectError: There is no image, or their bands differ.
            OutputError: There is a project already, or the folder cannot be written.
        """
        folder = Path(folder).absolute()
        scenes = as_scenes(sources)
        if not scenes:
            raise ProjectError("a project needs at least one image. Name a raster or a folder of dates.")
        for scene in scenes:
            if scene.bands != scenes[0].bands:
                raise ProjectError(
                    f"{scene.name} has bands {list(scene.bands)}, expected {list(scenes[0].bands)} as {scenes[0].name} has. "
                    "Label images with other bands in a project of their own."
                )
        if is_project(folder):
            raise OutputError(f"{folder} holds a project already. Open it, or choose another folder.")
        try:
            for part in ("models", "cache", "exports"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            (folder / "cache" / ".gitignore").write_text("*\n")
            # A crash between the two leaves a store without a document: made again.
            for leftover in ("labels.gpkg", "labels.gpkg-wal", "labels.gpkg-shm"):
                (folder / leftover).unlink(missing_ok=True)
            create_store(folder / "labels.gpkg", scenes[0].grid.crs, "Marks drawn with pixelkin; class_id 0 erases")
        except OSError as exc:
            raise OutputError(f"{folder} cannot be written ({exc}). Choose a project folder with --project.") from exc
        entries = []
        for scene_id, scene in zip(scene_ids(scenes), scenes, strict=True):
            path, copied = _relative(scene, scene_id, folder, sure=reading is not None)
            entry = {"id": scene_id, "path": path, "bands": list(scene.bands), "size": list(scene.grid.shape)}
            entries.append({**entry, "copied": True} if copied else entry)
        document = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "name": name or folder.name.removesuffix(".pixelkin"),
            "scenes": entries,
            "reading": dict(reading or {}),
            "settings": dataclasses.asdict(ProjectSettings()),
            "model": None,
        }
        write_json(folder / _FILE, document)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path) -> Project:
        """Open a project folder.

        Raises:
            MissingFileError: It, or one of its images, is not there.
            ProjectError: Its document is damaged or of a newer version.
        """
        folder = Path(folder).absolute()
        return cls(folder, _read_json(folder / _FILE))

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    @property
    def name(self) -> str:
        """Title of the project."""
        return str(self._document["name"])

    @property
    def settings(self) -> ProjectSettings:
        """What the user chose."""
        known = {field.name for field in dataclasses.fields(ProjectSettings)}
        unknown = set(self._document["settings"]) - known
        if unknown:
            raise ProjectError(
                f"{self.folder / _FILE} has the unknown setting {sorted(unknown)[0]!r}, expected some of {sorted(known)}. Remove it."
            )
        return ProjectSettings(**self._document["settings"])

    @property
    def model_path(self) -> Path | None:
        """The encoder in use, or None before one is trained."""
        relative = self._document["model"]
        return None if relative is None else self.folder / relative

    @property
    def files(self) -> list[Path]:
        """What the project is made of, beside its images."""
        return [self.folder / _FILE, self.folder / "labels.gpkg", *(self.folder / "models").glob("*"), *(self.folder / "images").glob("*")]

    def scene(self, scene_id: str) -> Scene:
        """A scene by its id; NoSuchItemError if there is none."""
        if scene_id not in self.scenes:
            raise NoSuchItemError(f"there is no scene {scene_id!r}, expected one of {list(self.scenes)[:20]}.")
        return self.scenes[scene_id]

    def dates_of(self, scene_id: str) -> dict[str, Scene]:
        """The images of the series of a scene, by id, the earliest first; of one without a series, itself."""
        self.scene(scene_id)
        (source,) = (source for source in self.sources if scene_id in source.scenes)
        return dict(sorted(source.scenes.items(), key=lambda item: (str(item[1].date), item[1].name)))

    def reload(self) -> None:
        """Read settings and model again, which another process may have changed."""
        self._document = _read_json(self.folder / _FILE)

    def update(self, *, settings: ProjectSettings | None = None, model: Path | None = None) -> None:
        """Save other settings or another encoder (a file inside the folder)."""
        self.reload()
        if settings is not None:
            self._document["settings"] = dataclasses.asdict(settings)
        if model is not None:
            self._document["model"] = model.relative_to(self.folder).as_posix()
        write_json(self.folder / _FILE, self._document)

    def series(self) -> dict[str, int]:
        """Number of the source that each scene belongs to: the dates of a series share it."""
        return {scene_id: number for number, source in enumerate(self.sources) for scene_id in source.scenes}

    def _locate(self, mark: Mark) -> shapely.Geometry:
        """A mark in the CRS of the first scene, which is that of the layer in labels.gpkg."""
        geometry = parse_geometry(mark.geometry)
        scene = self.scenes.get(mark.scene)
        if scene is None:
            return geometry
        located = pixels_to_crs(geometry, scene.grid)
        target = next(iter(self.scenes.values())).grid.crs
        source = scene.grid.crs
        if source is None or target is None or same_crs(source, target):
            return located
        if source not in self._transformers:
            self._transformers[source] = transformer(source, target)
        way = self._transformers[source]
        return located if way is None else shapely.transform(located, way.transform, interleaved=False)


def read_sources(folder: Path) -> list[Source]:
    """The images of a project folder, without its labels; see `open_sources`."""
    document = _read_json(folder / _FILE)
    return open_sources(folder, document["scenes"], checked_reading(document.get("reading", {}), folder / _FILE))


def pixels_to_crs(geometry: shapely.Geometry, grid: Grid) -> shapely.Geometry:
    """A geometry in pixel space, in units of the grid's CRS."""
    a, b, c, d, e, f = grid.transform
    return shapely.transform(geometry, lambda x, y: (a * x + b * y + c, d * x + e * y + f), interleaved=False)


def open_project(paths: Sequence[str | Path], *, project: str | Path | None = None, reading: Reading | None = None) -> Project:
    """The project for what a user named on the command line, made if there is none.

    Args:
        paths: One project folder, or rasters and folders of dates.
        project: Folder of the project; by default `<first path without extension>.pixelkin` beside the first path.
        reading: How to read the images: arguments of `open_scene` among bands, nodata, scale, missing and kind. The project keeps it.

    Raises:
        InputError: Nothing was named, or what was named does not fit the project that is there.
    """
    from ..raster import open_scene
    from ..raster.bandset import band_sets

    reading = checked_reading({} if reading is None else reading, "this call")
    known = paths[0] if len(paths) == 1 and is_project(paths[0]) else project if not paths else None
    if known is not None and is_project(known):
        if reading:
            raise InputError(
                f"{known} is a project, whose images are read as when it was made. Leave {_in_words(reading)} out, or name the images and "
                "another folder with project=...."
            )
        return Project.open(known)
    if not paths:
        raise InputError("no image was named, expected a raster, a folder of dates or a project folder. Name one.")
    first = Path(paths[0]).absolute()
    folder = (
        Path(project).absolute() if project is not None else first.with_name((first.stem if first.is_file() else first.name) + ".pixelkin")
    )
    # Files of one band each are one image, or a series of one.
    sources = (
        [open_scene(list(paths), **reading)] if len(paths) > 1 and band_sets(paths) else [open_scene(path, **reading) for path in paths]
    )
    if not is_project(folder):
        return Project.create(folder, sources, reading=reading)
    opened = Project.open(folder)
    if reading != opened.reading:
        opened.close()
        raise ProjectError(
            f"{folder} is a project whose images are read with {_in_words(opened.reading) or 'no options'}, expected the same. Give these, open it "
            f"alone with: pixelkin serve {folder}, or choose another folder with project=...."
        )
    wanted = {getattr(scene, "path", scene.name) for scene in as_scenes(sources)}
    there = {getattr(scene, "path", scene.name) for scene in opened.scenes.values()}
    if wanted != there:
        opened.close()
        raise ProjectError(
            f"{folder} is a project of other images ({len(there)}, against {len(wanted)} named). Open it alone with: pixelkin serve {folder}, "
            "or choose another folder with --project."
        )
    return opened


def _in_words(reading: Reading) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in reading.items())


def scene_ids(scenes: Sequence[Scene]) -> list[str]:
    """A short id for each scene, fit for a URL and a file name, each once."""
    ids: list[str] = []
    for scene in scenes:
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", scene.name).strip("-.")[:80] or "image"
        candidate, number = base, 2
        while candidate in ids:
            candidate, number = f"{base}-{number}", number + 1
        ids.append(candidate)
    return ids


def _relative(scene: Scene, scene_id: str, folder: Path, *, sure: bool) -> tuple[str, bool]:
    """Path of a scene's file as the document keeps it, and whether that is a copy made now.

    Args:
        scene: Any.
        scene_id: Its id.
        folder: The project's.
        sure: A file, where there is one, gives the scene back.
    """
    path = getattr(scene, "path", None)
    copied = path is None or not (sure or _gives(path, scene))
    if copied:
        from ..raster.scenefile import write_scene

        (folder / "images").mkdir(exist_ok=True)
        path = str(write_scene(scene, folder / "images" / f"{scene_id}.tif"))
    assert path is not None
    if not Path(path).exists():  # /vsi..., https://...
        return str(path), copied
    try:
        return Path(os.path.relpath(path, folder)).as_posix(), copied
    except ValueError:  # another drive on Windows
        return Path(path).as_posix(), copied


def _gives(path: str, scene: Scene) -> bool:
    """Whether a file gives this scene back: it may have been opened with other bands or another no-data value, or warped."""
    from ..raster import open_scene

    try:
        again = open_scene(path)
    except PkError:
        return False
    return isinstance(again, Scene) and (again.fingerprint, again.date, again.bands) == (scene.fingerprint, scene.date, scene.bands)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise MissingFileError(f"{path.parent} holds no {path.name}, expected a project folder. Name an image to start a project.") from exc
    except (OSError, ValueError) as exc:
        raise ProjectError(f"{path} cannot be read ({exc}). Restore it from a copy.") from exc
    needed = {"format", "version", "name", "scenes", "settings", "model"}
    if not isinstance(document, dict) or document.get("format") != FORMAT or not needed.issubset(document):
        raise ProjectError(f"{path} is not the document of a pixelkin project, expected format {FORMAT!r}. Restore it from a copy.")
    if document["version"] != FORMAT_VERSION:
        raise ProjectError(f"{path} has version {document['version']}, expected {FORMAT_VERSION}. Open it with a newer pixelkin.")
    return cast(dict[str, Any], document)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace a document at once and for good: a reader or a crash finds the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written ({exc}). Free space or choose another folder.") from exc
