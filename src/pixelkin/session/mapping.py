"""From a project to files: the same segmenter, labels and order as the live map, so the same bits.

The page's export and the command line's `pixelkin segment PROJECT` are this module.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from ..blockcache import BlockStore
from ..errors import InputError, LabelError
from ..features import BLOCK, vector_sources
from ..files import Name, require_outputs
from ..labels import TableClass, with_levels
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

_NOTHING = Outputs()
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
    stands_on = feature_sources(segmenter, scene)
    if "embedding" in stands_on:
        return "learner on embeddings"
    return "learner on pretrained features" if "pretrained" in stands_on else "learner on raw bands"


def feature_sources(segmenter: Segmenter, scene: Scene) -> tuple[str, ...]:
    """Names of the sources that such an image's map stands on."""
    if segmenter.method == "nearest":
        return ("bands",) if segmenter.model is None else ("encoder",)
    # What a Segmenter goes over to once it learns from such an image.
    vectors = vector_sources(scene) if segmenter.model is None else []
    return tuple(vectors) or tuple(group.name for group in segmenter.features.columns(scene).groups)


def write_map_files(
    segmenter: Segmenter,
    scene: Scene,
    legend: Legend,
    folder: Path,
    stem: str,
    formats: Sequence[Format],
    tell: Tell,
    beside: Outputs = _NOTHING,
    level: int | None = None,
) -> list[Path]:
    """Map an image and write it in some formats: <stem>.tif, <stem>_confidence.tif, <stem>.gpkg, <stem>_areas.csv; and files that have names of their own.

    The map is made some blocks at a time and never held whole, so that it may be of any size, be followed, and be ended.

    Raises:
        InputError: A format that is not known.
        OutputError: A file is there, or the disk refuses it.
    """
    check_formats(formats)
    outputs = Outputs(
        folder / f"{stem}.tif" if "cog" in formats or "confidence" in formats else None,
        layers=("confidence",) if "confidence" in formats else (),
        polygons=folder / f"{stem}.gpkg" if "polygons" in formats else beside.polygons,
        areas=folder / f"{stem}_areas.csv" if "areas" in formats else beside.areas,
    )
    height, width = scene.grid.shape
    # Outlining takes about as long as it takes to map a tenth more.
    share = 0.9 if outputs.polygons else 1.0

    def parts() -> Iterator[tuple[Window, Part]]:
        for row, col in product(range(0, height, BLOCK), range(0, width, _ACROSS)):
            tell(share * (row + col / width * BLOCK) / height, scene.name)
            window = Window(row, col, min(BLOCK, height - row), min(_ACROSS, width - col))
            yield window, map_part(segmenter, scene, window, outputs.kept, legend, level)

    provenance = {**segmenter.provenance(scene), **({} if level is None else {"level": str(level)})}
    mapped = legend if level is None else legend.at_level(level)[0]
    return write_products(
        outputs, scene, mapped, parts(), provenance=provenance, tell=lambda what: tell(share, f"{scene.name}: {what}")
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
    level: int | None = None
    """Level of the classes that is mapped; None = the classes themselves."""

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
    beside: Outputs = _NOTHING,
    read: Sequence[Path] = (),
) -> list[Path]:
    """Map images and write what is asked for, all of it or nothing; each image's files are named after its id.

    Args:
        recipe: What to map with.
        scenes: Images to map, by id.
        folder: Where the files go.
        formats: Which of them.
        tell: Told how far it is.
        run: See `Run`.
        warn: Told what is doubtful.
        beside: Polygons and areas with names of their own, anywhere; of several images each has the image's id behind the name.
        read: Files of the project, which no output replaces.

    Raises:
        OutputError: A file is there and the run is not to replace it, or the disk refuses it.
    """
    check_formats(formats)
    run = run or Run()
    stems = run.stems(scenes)
    exports = Exports(folder, remembers=run.remembers)
    named = {scene_id: beside.of_image(scene_id) if len(scenes) > 1 else beside for scene_id in scenes}
    targets = [path for scene_id, scene in scenes.items() for path in named[scene_id].targets(scene.grid)]
    inputs: dict[str, Sequence[Name]] = {"image": files_of(list(scenes.values())), "project": read}
    # A folder that is still to be made holds nothing that could be replaced.
    there = [path for path in targets if folder.is_dir() or path.parent != folder]
    require_outputs(there, inputs=inputs, overwrite=run.replace)
    if folder.is_dir():
        require_outputs(exports.files(stems), inputs=inputs, overwrite=True)
    segmenter = recipe.segmenter()
    written: list[Path] = []
    with ExitStack() as stack:
        # Inside of each other: what has a name of its own is moved once all is made.
        apart = Path(stack.enter_context(TemporaryDirectory(prefix=".run-", dir=there[0].parent if there else None)))
        aside = stack.enter_context(exports.run(run.name, stems, replace=run.replace, fix=run.fix))
        for number, (stem, (scene_id, scene)) in enumerate(zip(stems, scenes.items(), strict=True)):
            polygons, areas = named[scene_id].polygons, named[scene_id].areas

            def tell_part(fraction: float, message: str, number: int = number) -> None:
                tell((number + fraction) / len(scenes), message)

            its = dataclasses.replace(named[scene_id], polygons=_moved(polygons, apart, number), areas=_moved(areas, apart, number))
            written += write_map_files(segmenter, scene, recipe.legend, aside, stem, formats, tell_part, its, recipe.level)
        if warn is not None:
            tell(1.0, "comparing with the labels")
            warn(warnings_of(segmenter, *recipe.coverable(scenes.values())))
        for number, scene_id in enumerate(scenes):
            for path in (named[scene_id].polygons, named[scene_id].areas):
                made = _moved(path, apart, number)
                if path is not None and made is not None:
                    shutil.move(made, path)
    tell(1.0, "done")
    return [*(folder / path.name for path in written if path.parent != apart), *targets]


def _moved(path: Path | None, folder: Path, number: int) -> Path | None:
    """Where a file is made that gets its name at the end."""
    return None if path is None else folder / f"{number}{path.suffix}"


def segment_project(
    path: str | Path,
    out_dir: str | Path,
    *,
    scenes: Sequence[str] | None = None,
    formats: Sequence[Format] = ("cog",),
    overwrite: bool = False,
    progress: Tell | None = None,
    warn: Warn | None = None,
    beside: Outputs = _NOTHING,
    table: Sequence[TableClass] | None = None,
    level: int | None = None,
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
        beside: See `write_maps`.
        table: What classes belong to, and their colours; see `pixelkin.labels.read_class_table`.
        level: Level of the classes that is mapped, 1 = the highest; default the classes themselves.

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
        legend = state.legend if table is None else with_levels(state.legend, table)
        if level is not None:
            legend.at_level(level)  # LabelError before any work
        lessons = state.lessons(project.settings.pixels_per_mark)
        recipe = Recipe(project.scenes, lessons, legend, project.settings, load_encoder(project), level)
        chosen = {scene_id: project.scene(scene_id) for scene_id in (scenes if scenes is not None else project.scenes)}
        return write_maps(
            recipe,
            chosen,
            Path(out_dir),
            formats,
            progress or (lambda fraction, message: None),
            run=Run(replace=overwrite),
            warn=warn,
            beside=beside,
            read=project.files,
        )
    finally:
        project.close()
