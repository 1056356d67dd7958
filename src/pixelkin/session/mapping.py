"""From a project to files: the same segmenter, labels and order as the live map, so the same bits.

The page's export and the command line's `pixelkin segment PROJECT` are this module.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import get_args

from ..blockcache import BlockStore
from ..errors import InputError, LabelError
from ..features import BLOCK
from ..files import require_outputs
from ..model import Model, load_model
from ..products import Outputs, Part, map_part, write_products
from ..raster.inputs import files_of
from ..scene import Scene
from ..segmenter import Segmenter
from ..types import Legend, Window
from .coverage import most_labelled, warnings_of
from .exports import Exports
from .jobs import Format
from .labels import LabelState
from .learning import Learner
from .painting import Lesson
from .project import Project, ProjectSettings

_ACROSS = 8 * BLOCK
"""Columns that are mapped at a time."""
Tell = Callable[[float, str], None]
"""Told how far the work is, 0..1, and what it does; may raise to end it."""
Warn = Callable[[list[str]], None]
"""Told what is doubtful about the maps, a sentence each."""


def load_encoder(project: Project) -> Model | None:
    """The project's encoder, None before one is trained."""
    return None if project.model_path is None else load_model(project.model_path)


def make_segmenter(
    model: Model | None, settings: ProjectSettings, *, cache_bytes: int = 1 << 30, store: BlockStore | None = None
) -> Segmenter:
    """A fresh Segmenter as the project's settings ask for; without an encoder, what needs one is what `auto` is."""
    measure = None if settings.measure == "auto" or (model is None and settings.measure != "l1") else settings.measure
    return Segmenter(model, measure=measure, check_labels=False, cache_bytes=cache_bytes, store=store)


def comparison(segmenter: Segmenter, scene: Scene) -> str:
    """How a Segmenter decides such an image: the measure of its nearest reference, or what its learner goes by."""
    if segmenter.method == "nearest":
        return segmenter.measure
    if segmenter.model is not None:
        return "learner on features"
    return "learner on pretrained features" if "pretrained" in feature_sources(segmenter, scene) else "learner on raw bands"


def feature_sources(segmenter: Segmenter, scene: Scene) -> tuple[str, ...]:
    """Names of the sources that such an image's map stands on."""
    if segmenter.method == "nearest":
        return ("bands",) if segmenter.model is None else ("encoder",)
    return tuple(group.name for group in segmenter.features.columns(scene).groups)


def write_map_files(
    segmenter: Segmenter,
    scene: Scene,
    legend: Legend,
    folder: Path,
    stem: str,
    formats: Sequence[Format],
    tell: Tell,
) -> list[Path]:
    """Map an image and write it in some formats: <stem>.tif, <stem>_confidence.tif, <stem>.gpkg, <stem>_areas.csv.

    The map is made some blocks at a time and never held whole, so that it may be of any size, be followed, and be ended.

    Raises:
        InputError: A format that is not known.
        OutputError: A file is there, or the disk refuses it.
    """
    check_formats(formats)
    outputs = Outputs(
        folder / f"{stem}.tif" if "cog" in formats or "confidence" in formats else None,
        layers=("confidence",) if "confidence" in formats else (),
        polygons=folder / f"{stem}.gpkg" if "polygons" in formats else None,
        areas=folder / f"{stem}_areas.csv" if "areas" in formats else None,
    )
    height, width = scene.grid.shape
    # Outlining takes about as long as it takes to map a tenth more.
    share = 0.9 if outputs.polygons else 1.0

    def parts() -> Iterator[tuple[Window, Part]]:
        for row, col in product(range(0, height, BLOCK), range(0, width, _ACROSS)):
            tell(share * (row + col / width * BLOCK) / height, scene.name)
            window = Window(row, col, min(BLOCK, height - row), min(_ACROSS, width - col))
            yield window, map_part(segmenter, scene, window, outputs.kept, legend)

    provenance = segmenter.provenance(scene)
    return write_products(
        outputs, scene, legend, parts(), provenance=provenance, tell=lambda what: tell(share, f"{scene.name}: {what}")
    ).files


def check_formats(formats: Sequence[str]) -> None:
    """InputError unless all of them are known and there is one."""
    unknown = [name for name in formats if name not in get_args(Format)]
    if unknown or not formats:
        raise InputError(f"formats are {list(formats)}, expected some of {list(get_args(Format))}.")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All it takes to draw a project's map, as of one moment."""

    scenes: Mapping[str, Scene]
    lessons: list[Lesson]
    legend: Legend
    settings: ProjectSettings
    model: Model | None

    def segmenter(self) -> Segmenter:
        """A fresh Segmenter that has learnt the labels.

        Raises:
            LabelError: Fewer than two classes are marked.
        """
        if len({i for lesson in self.lessons for i in lesson.labels.legend.ids}) < 2:
            raise LabelError("the project has marks of fewer than two classes, expected at least two. Mark some pixels of another class.")
        # Every block is asked for once.
        segmenter = make_segmenter(self.model, self.settings, cache_bytes=0)
        Learner(self.scenes, segmenter).learn(self.lessons)
        return segmenter

    def coverable(self, scenes: Iterable[Scene]) -> tuple[Scene, list[Scene]]:
        """The image with most labels, and those of others that have none."""
        labelled = {self.scenes[lesson.scene].fingerprint for lesson in self.lessons}
        return self.scenes[most_labelled(self.lessons)], [scene for scene in scenes if scene.fingerprint not in labelled]


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run of `write_maps` is called, and what becomes of files that are there."""

    name: str = ""
    """Before the names of its files; '' for none."""
    replace: bool = False
    """Take the place of the files of an earlier run of that name."""
    fix: str = "replace it with overwrite=True"
    """How to ask for that, for the message."""
    remembers: bool = False
    """See `Exports`."""

    def stems(self, scenes: Iterable[str]) -> list[str]:
        """What the names of the files of each image begin with."""
        return [f"{self.name}_{scene_id}" if self.name else scene_id for scene_id in scenes]


def write_maps(
    recipe: Recipe,
    scenes: Mapping[str, Scene],
    folder: Path,
    formats: Sequence[Format],
    tell: Tell,
    *,
    run: Run | None = None,
    warn: Warn | None = None,
) -> list[Path]:
    """Map images and write what is asked for, all of it or nothing; each image's files are named after its id.

    Raises:
        OutputError: A file is there and the run is not to replace it, or the disk refuses it.
    """
    check_formats(formats)
    run = run or Run()
    stems = run.stems(scenes)
    exports = Exports(folder, remembers=run.remembers)
    if folder.is_dir():
        require_outputs(exports.files(stems), inputs={"image": files_of(list(scenes.values()))}, overwrite=True)
    segmenter = recipe.segmenter()
    written: list[Path] = []
    with exports.run(run.name, stems, replace=run.replace, fix=run.fix) as aside:
        for number, (stem, scene) in enumerate(zip(stems, scenes.values(), strict=True)):

            def tell_part(fraction: float, message: str, number: int = number) -> None:
                tell((number + fraction) / len(scenes), message)

            written += write_map_files(segmenter, scene, recipe.legend, aside, stem, formats, tell_part)
        if warn is not None:
            tell(1.0, "comparing with the labels")
            warn(warnings_of(segmenter, *recipe.coverable(scenes.values())))
    tell(1.0, "done")
    return [folder / path.name for path in written]


def segment_project(
    path: str | Path,
    out_dir: str | Path,
    *,
    scenes: Sequence[str] | None = None,
    formats: Sequence[Format] = ("cog",),
    overwrite: bool = False,
    progress: Tell | None = None,
    warn: Warn | None = None,
) -> list[Path]:
    """Draw the maps of a project folder: the bits that its page shows and exports.

    Args:
        path: Project folder.
        out_dir: Folder to write to; made if it is not there. Files are named after the scenes: `<scene>.tif`, ...
        scenes: Ids of scenes (see project.json), default all.
        formats: Some of 'cog', 'confidence' (with the COG), 'polygons', 'areas'.
        overwrite: Replace files that are there.
        progress: Told the fraction done and a message.
        warn: Told which images show what no label covers; without it nothing is compared.

    Returns:
        The files written.

    Raises:
        LabelError: The project has marks of fewer than two classes.
        NoSuchItemError: A scene that the project has not.
        OutputError: A file is there and overwrite is False, or the disk refuses it.
    """
    project = Project.open(path)
    try:
        state = LabelState(project.scenes)
        state.absorb(project.store.read_all())
        recipe = Recipe(
            project.scenes, state.lessons(project.settings.pixels_per_mark), state.legend, project.settings, load_encoder(project)
        )
        chosen = {scene_id: project.scene(scene_id) for scene_id in (scenes if scenes is not None else project.scenes)}
        return write_maps(
            recipe, chosen, Path(out_dir), formats, progress or (lambda fraction, message: None), run=Run(replace=overwrite), warn=warn
        )
    finally:
        project.close()
