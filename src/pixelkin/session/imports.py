"""Labels from files into marks: what a file holds, which of its classes is which of the project's, and the edits that bring it in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import shapely

from ..errors import LabelError
from ..labels import LoadedLabels, load_labels, match_classes
from ..labels.rasterize import shapes_in_pixels
from ..scene import Scene
from ..types import Color, Grid, Legend
from .edits import AddClass, AddMark, Edit
from .labels import LabelState
from .marks import Mark, color_to_hex
from .transfer import geojson, outline

_RASTERS = (".tif", ".tiff")
_KINDS = {"Point": "point", "LineString": "scribble", "Polygon": "polygon"}


@dataclass(frozen=True)
class ImportOptions:
    """How to read a label file; see `pixelkin.labels.read_labels`."""

    class_property: str = "class"
    layer: str | None = None
    outside: Literal["error", "skip"] = "error"
    classes: Mapping[str, str | None] = field(default_factory=dict)
    """By name of a class of the file: the class of the project that it goes to, a new name for it, or None to leave it out."""


@dataclass(frozen=True)
class ImportedClass:
    """A class of a file, and what becomes of it."""

    name: str
    color: Color
    into: str | None
    """Name of the class that its marks get; None where they are left out."""
    marks: int
    pixels: int
    """Pixels that its marks cover; later marks win where they meet."""


@dataclass(frozen=True)
class ImportPlan:
    """What an import will do; nothing is done yet."""

    classes: tuple[ImportedClass, ...]
    marks: tuple[tuple[str, str, shapely.Geometry, float], ...]
    """Class of the file, kind, shape in pixel space and brush of each mark."""
    notes: tuple[str, ...]
    """What was left out, renumbered or matched otherwise than by equal names, a line each."""
    layers: tuple[str, ...]
    """Layers of the file that hold shapes; none for a raster."""
    fields: tuple[str, ...]
    """Properties of the layer's features, which may name the class."""

    def edits(self, scene_id: str, state: LabelState) -> list[Edit]:
        """The edits that do it; LabelError where no mark is left, or the project would have too many classes."""
        into = {entry.name: entry.into for entry in self.classes}
        kept = [(into[name], kind, shape, brush) for name, kind, shape, brush in self.marks if into[name] is not None]
        if not kept:
            raise LabelError("no mark of the file is left to import, expected at least one. Leave fewer classes out.")
        ids = {entry.name: entry.id for entry in state.classes}
        edits: list[Edit] = []
        for entry in self.classes:
            if entry.into is None or entry.into in ids:
                continue
            free = next((i for i in range(1, 256) if i not in ids.values()), None)
            if free is None:
                raise LabelError("the project would have more than 255 classes, expected at most 255. Merge or delete classes first.")
            ids[entry.into] = free
            edits.append(AddClass(entry.into, color_to_hex(entry.color), None, free))
        return [*edits, *(AddMark(scene_id, ids[name or ""], kind, geojson(shape), brush) for name, kind, shape, brush in kept)]


def plan_import(path: Path, scene_id: str, scene: Scene, state: LabelState, options: ImportOptions) -> ImportPlan:
    """Read a label file and say what importing it would do.

    Raises:
        LabelError: The file cannot be read as labels of this image, or `options.classes` names a class that it has not.
    """
    loaded = load_labels(path, scene, class_property=options.class_property, layer=options.layer, outside=options.outside, overlap="last")
    legend = loaded.labels.legend
    present = np.unique(loaded.labels.classes).tolist()
    matched, notes = match_classes(legend, state.legend, present, names=("the file", "the project"), new_allowed=True)
    marks = _marks(loaded, scene_id, scene.grid, state, skip=options.outside == "skip")
    into = _into(legend, present, matched, options.classes, path.name)
    layers, fields = _contents(path, options.layer)
    counts, pixels = Counter(name for name, *_ in marks), Counter(loaded.labels.classes.tolist())
    classes = tuple(
        ImportedClass(entry.name, entry.color, into[entry.name], counts[entry.name], pixels[entry.id])
        for entry in legend
        if entry.id in present
    )
    return ImportPlan(classes, tuple(marks), (*loaded.notes, *(f"{path.name}: {note}" for note in notes)), layers, fields)


def _into(
    legend: Legend, present: list[int], matched: Mapping[int, str], chosen: Mapping[str, str | None], file: str
) -> dict[str, str | None]:
    """Class of the project for each class of the file."""
    names = {legend.by_id(i).name: matched.get(i, " ".join(legend.by_id(i).name.split())) for i in present}
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise LabelError(f"{file} has no class {unknown[0]!r}, expected one of {list(names)}. Correct the classes to import.")
    return {**names, **{name: None if into is None else " ".join(into.split()) for name, into in chosen.items()}}


def _marks(
    loaded: LoadedLabels, scene_id: str, grid: Grid, state: LabelState, *, skip: bool
) -> list[tuple[str, str, shapely.Geometry, float]]:
    """Class, kind, shape in pixel space and brush of each mark: shapes as drawn, pixels as one outline a class."""
    legend = loaded.labels.legend
    if loaded.annotations is None:
        mask = loaded.labels.to_mask(grid.shape)
        return [(entry.name, "polygon", outline(mask == entry.id), 1.0) for entry in legend if (mask == entry.id).any()]
    marks = []
    for feature, shape in zip(loaded.annotations.features, shapes_in_pixels(loaded.annotations, grid), strict=True):
        if shape is None:
            continue
        kind, brush = _KINDS[shape.geom_type.removeprefix("Multi")], feature.brush_px or 1.0
        if skip:
            try:
                state.cover(Mark("", 0, scene_id, 1, kind, geojson(shape), brush))
            except LabelError:
                continue  # counted in the notes
        marks.append((feature.class_name, kind, shape, brush))
    return marks


def _contents(path: Path, layer: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Layers with shapes, and the fields of the one that is read."""
    if path.suffix.lower() in _RASTERS:
        return (), ()
    import pyogrio

    layers = tuple(name for name, kind in pyogrio.list_layers(path) if kind is not None or path.suffix.lower() == ".csv")
    chosen = layer or ("labels" if "labels" in layers else layers[0] if layers else None)
    return layers, tuple(pyogrio.read_info(path, layer=chosen)["fields"])
