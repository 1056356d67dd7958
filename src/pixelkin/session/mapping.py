"""From a project to files: the same segmenter, labels and order as the live map, so the same bits.

The page's export and the command line's `pixelkin segment PROJECT` are this module.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import product
from pathlib import Path
from typing import get_args

from ..blockcache import BlockStore
from ..errors import InputError, LabelError, OutputError
from ..files import require_writable
from ..model import Model, load_model
from ..scene import Scene
from ..segmenter import Segmenter
from ..similarity.blocks import BLOCK
from ..types import Legend, Window
from .jobs import Format
from .labels import LabelState
from .learning import Learner
from .painting import Lesson
from .project import Project, ProjectSettings

_ACROSS = 8 * BLOCK
"""Columns that are mapped at a time."""
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


def write_products(
    segmenter: Segmenter,
    scene: Scene,
    legend: Legend,
    folder: Path,
    stem: str,
    formats: Sequence[Format],
    tell: Tell,
    *,
    overwrite: bool,
) -> list[Path]:
    """Map an image and write it in some formats: <stem>.tif, <stem>_confidence.tif, <stem>.gpkg, <stem>_areas.csv.

    The map is made some blocks at a time and never held whole, so that it may be of any size, be followed, and be ended.

    Raises:
        InputError: A format that is not known.
        OutputError: A file is there and overwrite is False, or the disk refuses it.
    """
    from ..maps import AreaCounter, write_area_table, write_polygons_of
    from ..raster import MapWriter
    from ..raster._gdal import small_cache

    check_formats(formats)
    folder.mkdir(parents=True, exist_ok=True)
    confidence, polygons, areas = folder / f"{stem}_confidence.tif", folder / f"{stem}.gpkg", folder / f"{stem}_areas.csv"
    wants_map = "cog" in formats or "confidence" in formats
    needs_map = wants_map or "polygons" in formats
    for path, is_wanted in ((polygons, "polygons" in formats), (areas, "areas" in formats)):
        if is_wanted:
            require_writable(path, overwrite=overwrite)
    height, width = scene.grid.shape
    # Outlining takes about as long as it takes to map a tenth more.
    share = 0.9 if "polygons" in formats else 1.0
    counter = AreaCounter(scene.grid, legend) if "areas" in formats else None
    with tempfile.TemporaryDirectory(prefix=f".{stem}.", dir=folder) as aside:
        target = (folder if wants_map else Path(aside)) / f"{stem}.tif"
        writer = MapWriter(
            target,
            scene.grid,
            legend,
            provenance=segmenter.provenance(scene),
            overwrite=overwrite,
            confidence="confidence" in formats,
        )
        with small_cache(), writer if needs_map else nullcontext():
            for row, col in product(range(0, height, BLOCK), range(0, width, _ACROSS)):
                tell(share * (row + col / width * BLOCK) / height, scene.name)
                window = Window(row, col, min(BLOCK, height - row), min(_ACROSS, width - col))
                part = dataclasses.replace(segmenter.predict(scene, window), legend=legend)
                if needs_map:
                    writer.write(part, window)
                if counter is not None:
                    counter.add(part.classes, part.valid, window)
            tell(share, f"{scene.name}: writing")
        written = [target] if wants_map else []
        if "confidence" in formats:
            written.append(confidence)
        if "polygons" in formats:
            following = partial(tell, share, f"{scene.name}: outlining")
            written.append(write_polygons_of(target, scene.grid, legend, polygons, overwrite=overwrite, progress=following))
        if counter is not None:
            written.append(write_area_table(counter.table(), areas, overwrite=overwrite))
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
        # Every block is asked for once.
        segmenter = make_segmenter(self.model, self.settings, cache_bytes=0)
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

        written += write_products(segmenter, scene, recipe.legend, folder, prefix + scene_id, formats, tell_part, overwrite=overwrite)
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
