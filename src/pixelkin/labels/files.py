"""Label files by their suffix, read; `writing` writes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pixelkin.errors import LabelError, MissingFileError
from pixelkin.scene import Scene
from pixelkin.types import BoolArray, Grid, IntArray, LabelledPixels, Legend, Window

from . import label_raster
from .annotations import Annotations
from .classes import match_classes, rename_classes
from .crs import crs_name
from .geojson import read_geojson
from .layers import RawLayer, annotate
from .project_labels import is_project_labels, read_project_labels
from .rasterize import Outside, Overlap, label_pixels
from .tables import read_csv

GEOJSON = (".geojson", ".json")
# Validity is read block by block, so that a few marks on a large image cost a few small reads.
_BLOCK = 256


@dataclass(frozen=True)
class LoadedLabels:
    """What a label file says of an image."""

    labels: LabelledPixels
    annotations: Annotations | None
    """The shapes, in their own CRS; None where the file holds pixels."""
    notes: tuple[str, ...]
    """What was left out, renumbered or matched otherwise than by equal names, with counts, a line each."""


def read_annotations(
    path: str | Path,
    *,
    class_property: str = "class",
    crs: str | None = None,
    layer: str | None = None,
    names: Mapping[int, str] | None = None,
    xy: tuple[str, str] | None = None,
) -> Annotations:
    """What a user drew: GeoJSON, GeoPackage, Shapefile, CSV, or any other vector format that GDAL reads.

    The class is text; a number becomes its text, and its id where it is whole and from 1 to 255. Colours are read from
    'color', 'colour' or 'fill' (#rrggbb), the brush from 'brush_px'; other properties are kept.

    Args:
        path: File to read; 'file.gpkg|layername=x', as QGIS writes it, names a layer.
        class_property: Property that names the class. Where it is 'class' and there is none, the only one of label, name,
            category and class_name (in any case) is taken, else class_id.
        crs: CRS of the coordinates, whatever the file says. None = what the file says; GeoJSON that says nothing is in degrees.
        layer: Layer of a file of several. None = 'labels', else the only one that has shapes.
        names: Class names for numbers, such as {1: 'water'}.
        xy: Columns of a CSV that hold the coordinates. None = x and y, or longitude and latitude, under their usual names.

    Returns:
        Features in the file's order; none where the file has none.

    Raises:
        MissingFileError: The file is not there.
        LabelError: The file cannot be read, or a feature cannot be used: the message names it.
    """
    with named(located(path, layer)[0]):
        return annotate(read_layer(path, crs=crs, layer=layer, xy=xy), class_property, names)


def read_layer(path: str | Path, *, crs: str | None = None, layer: str | None = None, xy: tuple[str, str] | None = None) -> RawLayer:
    """Features of a label file with all their properties, as they stand there; arguments and errors of `read_annotations`."""
    path, layer = located(path, layer)
    if path.suffix.lower() in label_raster.SUFFIXES:
        raise LabelError("it is a raster, which holds pixels and no shapes. Read it with read_labels.")
    if is_project_labels(path):
        raise LabelError("it holds the marks of a project, of which some take others away. Read it on its image with read_labels.")
    crs = None if crs is None else crs_name(crs)
    if path.suffix.lower() in GEOJSON:
        return read_geojson(path, crs)
    if path.suffix.lower() == ".csv":
        return read_csv(path, crs, xy)
    from .vectors import read_vectors  # pyogrio takes half a second to import

    return read_vectors(path, crs, layer)


def read_labels(
    path: str | Path,
    scene: Scene,
    *,
    class_property: str = "class",
    brush_px: float = 1,
    overlap: Overlap = "error",
    crs: str | None = None,
    layer: str | None = None,
    outside: Outside = "error",
    names: Mapping[int, str] | None = None,
    xy: tuple[str, str] | None = None,
) -> LabelledPixels:
    """The pixels of a scene that a label file marks: vectors, CSV, or a raster of class ids on the scene's grid.

    Pixels without data are never labelled. `rasterize` says which pixels a shape marks, `read_annotations` which files are read.
    What was left out or renumbered is told in a UserWarning; `load_labels` gives it as text.

    Args:
        path: File to read; 'file.gpkg|layername=x' names a layer.
        scene: The image that the labels belong to; of a series, one date: `series.at(date)`.
        class_property: Property that names the class.
        brush_px: Diameter in pixels, >= 1, for points and lines that have no 'brush_px' of their own.
        overlap: What to do where features of different classes meet: refuse, or let the last one win.
        crs: CRS of the labels, whatever the file says. Labels that state none are in the image's own coordinates.
        layer: Layer of a file of several.
        outside: What to do with features outside the image or on no data: refuse, or skip them.
        names: Class names for numbers, such as {0: 'land', 1: 'water'}; a 0 that is named is a class.
        xy: Columns of a CSV that hold the coordinates.

    Returns:
        Features in the file's order, pixels of each in row-major order; a pixel comes once, where its class was first given.

    Raises:
        MissingFileError: The file is not there.
        LabelError: The file cannot be read, or a feature is outside the image, holds no valid pixel, or meets one of another
            class: the message names it.
        InputError: brush_px is below 1, or overlap or outside is neither word.
    """
    loaded = load_labels(
        path, scene, class_property=class_property, brush_px=brush_px, overlap=overlap, crs=crs, layer=layer, outside=outside,
        names=names, xy=xy,
    )  # fmt: skip
    for note in loaded.notes:
        warnings.warn(note, UserWarning, stacklevel=2)
    return loaded.labels


def load_labels(
    path: str | Path,
    image: Scene | Grid,
    *,
    class_property: str = "class",
    brush_px: float = 1,
    overlap: Overlap = "error",
    crs: str | None = None,
    layer: str | None = None,
    outside: Outside = "error",
    names: Mapping[int, str] | None = None,
    xy: tuple[str, str] | None = None,
    classes: Legend | None = None,
    called: str = "the map",
) -> LoadedLabels:
    """`read_labels` with its shapes, and with what there is to say as text: for the command line and the page.

    Args:
        path: As in `read_labels`, and so are the others.
        image: The image, or a grid alone: then pixels are labelled whether they have data or not.
        class_property: Property that names the class.
        brush_px: Diameter of points and lines that carry none.
        overlap: What to do where classes meet.
        crs: CRS of the labels.
        layer: Layer of a file of several.
        outside: What to do with features outside the image or on no data.
        names: Class names for numbers.
        xy: Columns of a CSV that hold the coordinates.
        classes: Classes that the labels join, such as those of a project: the labels' classes take their names, matched as
            `match_classes` says; those without a match are new ones.
        called: What messages call whatever has `classes`.

    Raises:
        MissingFileError: The file is not there.
        LabelError: As `read_labels`.
        InputError: As `read_labels`.
    """
    if not isinstance(image, Scene | Grid):
        raise LabelError(f"scene is a {type(image).__name__}, expected one image. Choose one date of a series: series.at('YYYY-MM-DD').")
    path, layer = located(path, layer)
    scene = None if isinstance(image, Grid) else image
    grid = image if isinstance(image, Grid) else image.grid
    annotations: Annotations | None = None
    if path.suffix.lower() in label_raster.SUFFIXES:
        with named(path):
            raster = label_raster.read_label_raster(path, None if crs is None else crs_name(crs), names)
            label_raster.require_grid(raster.grid, grid)
            labels, notes = raster.labels, list(raster.notes)
    elif is_project_labels(path):
        with named(path):
            labels, notes = read_project_labels(path, grid, None if scene is None else scene.name)
    else:
        annotations = read_annotations(path, class_property=class_property, crs=crs, layer=layer, names=names, xy=xy)
        notes = list(annotations.notes)
        with named(path):
            if not annotations.features:
                raise LabelError("it has no feature, expected at least one mark. Check that it is the right file.")
            valid_at = None if scene is None else lambda rows, cols: _valid_at(scene, rows, cols)
            labels = label_pixels(annotations, grid, brush_px=brush_px, overlap=overlap, valid_at=valid_at, outside=outside, notes=notes)
    if annotations is None and scene is not None:
        with named(path):
            labels = _with_data(labels, scene, outside, notes)
    if classes is not None and len(classes):
        with named(path):
            present = np.unique(labels.classes).tolist()
            matched, said = match_classes(labels.legend, classes, present, names=("the file", called), new_allowed=True)
        notes += said
        renamed = {labels.legend.by_id(i).name: name for i, name in matched.items()}
        labels = rename_classes(labels, renamed)
        annotations = None if annotations is None else _renamed(annotations, renamed)
    return LoadedLabels(labels, annotations, tuple(f"{path.name}: {note}" for note in notes))


def _with_data(labels: LabelledPixels, scene: Scene, outside: Outside, notes: list[str]) -> LabelledPixels:
    """Pixels of a label raster that have data."""
    kept = labels.take(_valid_at(scene, labels.rows, labels.cols))
    lost = np.setdiff1d(labels.classes, kept.classes)
    if lost.size and (outside == "error" or not len(kept)):
        raise LabelError(
            f"class {labels.legend.by_id(int(lost[0])).name!r} marks only pixels without data, expected at least one valid pixel. "
            "Mark it elsewhere, or delete it."
        )
    if outside == "skip" and len(kept) < len(labels):
        notes.append(f"{len(labels) - len(kept):,} of {len(labels):,} labelled pixels are left out, on pixels without data.")
    return kept


def _renamed(annotations: Annotations, names: Mapping[str, str]) -> Annotations:
    features = tuple(replace(feature, class_name=names.get(feature.class_name, feature.class_name)) for feature in annotations.features)
    return Annotations.from_features(features, annotations.crs)


def _valid_at(scene: Scene, rows: IntArray, cols: IntArray) -> BoolArray:
    """Whether the scene has data at each of these pixels, shape (n,)."""
    valid = np.zeros(len(rows), bool)
    blocks = (rows // _BLOCK) * (scene.grid.width // _BLOCK + 1) + cols // _BLOCK
    order = np.argsort(blocks, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1) if len(order) else []:
        r, c = rows[group], cols[group]
        top, left = int(r.min()), int(c.min())
        window = Window(top, left, int(r.max()) - top + 1, int(c.max()) - left + 1)
        valid[group] = scene.read(window).valid[r - top, c - left]
    return valid


def located(path: str | Path, layer: str | None) -> tuple[Path, str | None]:
    """The file, and the layer that is named beside it or in QGIS's way: file.gpkg|layername=x."""
    file = Path(path)
    if not file.is_file() and "|" in str(path):
        text, *parts = str(path).split("|")
        file = Path(text)
        stated = dict(part.partition("=")[::2] for part in parts)
        other = next((name for name in stated if name not in ("layername", "layerid")), None)
        if other is not None:
            raise LabelError(
                f"{text} is named with {other}={stated[other]}, expected layername=NAME alone. Export the features that are meant to a file."
            )
        named = stated.get("layername") or stated.get("layerid")
        if layer is not None and layer != named:
            raise LabelError(f"{text} is named with layer {named!r} and with layer={layer!r}, expected one. Leave one of them out.")
        layer = named
    if not file.is_file():
        raise MissingFileError(f"{file} is not there, expected a label file. Check the path.")
    return file, layer


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with it."""
    try:
        yield
    except LabelError as error:
        # GEOS and GDAL break their messages into lines.
        raise LabelError(f"{path.name}: {' '.join(str(error).splitlines())}") from error
