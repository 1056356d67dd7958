"""From a project to files: the same segmenter, labels and order as the live map, so the same bits.

The page's export and the command line's `pixelkin segment PROJECT` are this module.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ..blockcache import BlockStore
from ..errors import InputError, LabelError, OutputError
from ..model import Model, load_model
from ..scene import Scene
from ..segmentation import Segmentation
from ..segmenter import Segmenter
from ..similarity.blocks import BLOCK
from ..types import Legend, Window
from .labels import LabelState
from .learning import Learner
from .painting import Lesson
from .project import Project, ProjectSettings

Format = Literal["cog", "confidence", "polygons", "areas"]
Tell = Callable[[float, str], None]
"""Told how far the work is, 0..1, and what it does; may raise to end it."""


def load_encoder(project: Project) -> Model | None:
    """The project's encoder, None before one is trained."""
    return None if project.model_path is None else load_model(project.model_path)


def make_segmenter(
    model: Model | None, settings: ProjectSettings, *, cache_bytes: int = 1 << 30, store: BlockStore | None = None
) -> Segmenter:
    """A fresh Segmenter as the project's settings ask for; without an encoder, what needs one is what `auto` is."""
    measure = None if settings.measure == "auto" or (model is None and settings.measure != "l1") else settings.measure
    return Segmenter(model, measure=measure, check_labels=False, cache_bytes=cache_bytes, store=store)


def comparison(segmenter: Segmenter) -> str:
    """How a Segmenter decides: the measure of its nearest reference, or what its learner looks at."""
    if segmenter.method == "nearest":
        return segmenter.measure
    return "learner on raw bands" if segmenter.model is None else "learner on features"


def map_scene(segmenter: Segmenter, scene: Scene, legend: Legend, tell: Tell) -> Segmentation:
    """The map of a whole image, band of blocks by band of blocks so that it can be followed and ended."""
    height, width = scene.grid.shape
    parts = []
    for row in range(0, height, BLOCK):
        tell(row / height, scene.name)
        parts.append(segmenter.predict(scene, Window(row, 0, min(BLOCK, height - row), width)))
    return Segmentation(
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.valid for part in parts]),
        legend,
        scene.grid,
        parts[0].provenance,
    )


def write_products(result: Segmentation, folder: Path, stem: str, formats: Sequence[Format], *, overwrite: bool) -> list[Path]:
    """Write a map in some formats: <stem>.tif, <stem>_confidence.tif, <stem>.gpkg, <stem>_areas.csv.

    Raises:
        InputError: A format that is not known.
        OutputError: A file is there and overwrite is False, or the disk refuses it.
    """
    from ..maps import area_table, write_area_table, write_polygons
    from ..raster import write_map

    check_formats(formats)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    if "cog" in formats or "confidence" in formats:
        path = folder / f"{stem}.tif"
        write_map(result, path, overwrite=overwrite, confidence="confidence" in formats)
        written += [path] + ([folder / f"{stem}_confidence.tif"] if "confidence" in formats else [])
    if "polygons" in formats:
        written.append(write_polygons(result, folder / f"{stem}.gpkg", overwrite=overwrite))
    if "areas" in formats:
        written.append(write_area_table(area_table(result), folder / f"{stem}_areas.csv", overwrite=overwrite))
    return written


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
        if len({int(i) for lesson in self.lessons for i in lesson.classes}) < 2:
            raise LabelError("the project has marks of fewer than two classes, expected at least two. Mark some pixels of another class.")
        segmenter = make_segmenter(self.model, self.settings)
        Learner(self.scenes, segmenter).learn(self.lessons)
        return segmenter


def write_maps(
    recipe: Recipe,
    scenes: Mapping[str, Scene],
    folder: Path,
    formats: Sequence[Format],
    tell: Tell,
    *,
    prefix: str = "",
    overwrite: bool = False,
) -> list[Path]:
    """Map images and write what is asked for; each image's files are named after its id."""
    check_formats(formats)
    segmenter = recipe.segmenter()
    written: list[Path] = []
    for number, (scene_id, scene) in enumerate(scenes.items()):

        def tell_part(fraction: float, message: str, number: int = number) -> None:
            tell((number + fraction) / len(scenes), message)

        result = map_scene(segmenter, scene, recipe.legend, tell_part)
        written += write_products(result, folder, prefix + scene_id, formats, overwrite=overwrite)
    tell(1.0, "done")
    return written


def segment_project(
    path: str | Path,
    out_dir: str | Path,
    *,
    scenes: Sequence[str] | None = None,
    formats: Sequence[Format] = ("cog",),
    overwrite: bool = False,
    progress: Tell | None = None,
) -> list[Path]:
    """Draw the maps of a project folder: the bits that its page shows and exports.

    Args:
        path: Project folder.
        out_dir: Folder to write to; made if it is not there. Files are named after the scenes: `<scene>.tif`, ...
        scenes: Ids of scenes (see project.json), default all.
        formats: Some of 'cog', 'confidence' (with the COG), 'polygons', 'areas'.
        overwrite: Replace files that are there.
        progress: Told the fraction done and a message.

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
        folder = Path(out_dir)
        if not overwrite:
            there = [scene_id for scene_id in chosen if (folder / f"{scene_id}.tif").exists()]
            if there:
                raise OutputError(f"{folder / (there[0] + '.tif')} is there already. Choose another folder, or pass overwrite.")
        return write_maps(recipe, chosen, folder, formats, progress or (lambda fraction, message: None), overwrite=overwrite)
    finally:
        project.close()
