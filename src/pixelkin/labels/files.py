"""Label files by their suffix: read, write, convert."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pixelkin.errors import LabelError, MissingFileError, OutputError
from pixelkin.files import companions, refused, require_outputs, require_writable
from pixelkin.raster.inputs import files_of
from pixelkin.scene import Scene
from pixelkin.types import BoolArray, Grid, IntArray, LabelledPixels, Legend, Window

from . import label_raster
from .annotations import Annotations
from .classes import match_classes, rename_classes
from .crs import crs_name
from .geojson import read_geojson, write_geojson
from .layers import RawLayer, annotate
from .project_labels import is_project_labels, read_project_labels
from .rasterize import Outside, Overlap, label_pixels, to_annotations
from .tables import read_csv, write_csv

_GEOJSON = (".geojson", ".json")
_RASTERS = (".tif", ".tiff")
_WRITTEN = (*_GEOJSON, ".gpkg", ".shp", ".csv", *_RASTERS)
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
    with named(_located(path, layer)[0]):
        return annotate(read_layer(path, crs=crs, layer=layer, xy=xy), class_property, names)


def read_layer(path: str | Path, *, crs: str | None = None, layer: str | None = None, xy: tuple[str, str] | None = None) -> RawLayer:
    """Features of a label file with all their properties, as they stand there; arguments and errors of `read_annotations`."""
    path, layer = _located(path, layer)
    if path.suffix.lower() in label_raster.SUFFIXES:
        raise LabelError("it is a raster, which holds pixels and no shapes. Read it with read_labels.")
    if is_project_labels(path):
        raise LabelError("it holds the marks of a project, of which some take others away. Read it on its image with read_labels.")
    crs = None if crs is None else crs_name(crs)
    if path.suffix.lower() in _GEOJSON:
        return read_geojson(path, crs)
    if path.suffix.lower() == ".csv":
        return read_csv(path, crs, xy)
    from .vectors import read_vectors  # pyogrio takes half a second to import

    return read_vectors(path, crs, layer)


def write_annotations(annotations: Annotations, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write shapes so that `read_annotations` gives them back: .geojson, .gpkg, .shp or .csv.

    GeoPackage keeps everything. GeoJSON is in degrees on WGS 84, so shapes in another CRS are transformed. A Shapefile
    holds one kind of geometry, and like CSV it forgets classes that no feature has. CSV holds points, without their CRS.

    Args:
        annotations: What to write.
        path: File to write.
        overwrite: Replace a file that is there.

    Returns:
        The path written.

    Raises:
        OutputError: The file is there and overwrite is False, the format cannot hold the labels, or the disk refuses it.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in _RASTERS:
        raise OutputError(f"{path.name} is a raster, which holds pixels and no shapes. Rasterize the labels on a scene first.")
    with _replacing(path, overwrite=overwrite) as temporary:
        if suffix in _GEOJSON:
            write_geojson(annotations, temporary)
        elif suffix == ".csv":
            write_csv(annotations, temporary)
        else:
            from .vectors import write_vectors

            write_vectors(annotations, temporary)
    return path


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
    place: Scene | Grid,
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
        place: The image, or a grid alone: then pixels are labelled whether they have data or not.
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
    if not isinstance(place, Scene | Grid):
        raise LabelError(f"scene is a {type(place).__name__}, expected one image. Choose one date of a series: series.at('YYYY-MM-DD').")
    path, layer = _located(path, layer)
    scene = None if isinstance(place, Grid) else place
    grid = place if isinstance(place, Grid) else place.grid
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


def write_labels(labels: LabelledPixels, grid: Grid, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write labelled pixels so that `read_labels` gives every one back: a point each, or a GeoTIFF of class ids.

    Vector formats keep the order of the pixels; a GeoTIFF puts them in row-major order.

    Args:
        labels: What to write, at least one pixel.
        grid: The grid of the scene they belong to.
        path: .geojson, .gpkg, .shp, .csv, or .tif.
        overwrite: Replace a file that is there.

    Returns:
        The path written.

    Raises:
        LabelError: There is no pixel, or one lies outside the grid.
        OutputError: The file is there and overwrite is False, or the disk refuses it.
    """
    path = Path(path)
    if len(labels) == 0:
        raise LabelError(f"there is no labelled pixel to write to {path.name}, expected at least one.")
    annotations = to_annotations(labels, grid)
    if path.suffix.lower() not in _RASTERS:
        return write_annotations(annotations, path, overwrite=overwrite)
    with _replacing(path, overwrite=overwrite) as temporary:
        label_raster.write_label_raster(labels, grid, temporary)
    return path


def convert(
    source: str | Path,
    target: str | Path,
    *,
    scene: Scene | None = None,
    class_property: str = "class",
    brush_px: float = 1,
    overlap: Overlap = "error",
    crs: str | None = None,
    layer: str | None = None,
    outside: Outside = "error",
    names: Mapping[int, str] | None = None,
    xy: tuple[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Labels from one format to another.

    Without a scene shapes stay shapes, and a label raster becomes a point a pixel. With a scene the pixels that the labels
    mark in it are written, as a label raster or as points; shapes need one to become a raster.

    Args:
        source: Label file to read.
        target: Label file to write; its suffix is its format.
        scene: The image that the labels belong to.
        class_property: Property of the source that names the class.
        brush_px: As in `read_labels`; used with a scene.
        overlap: As in `read_labels`; used with a scene.
        crs: CRS of the source, whatever it says.
        layer: As in `read_labels`.
        outside: As in `read_labels`; used with a scene.
        names: As in `read_labels`.
        xy: As in `read_labels`.
        overwrite: Replace a file that is there.

    Returns:
        The path written.

    Raises:
        MissingFileError: The source is not there.
        LabelError: The source cannot be used, or shapes need a scene to become a raster.
        OutputError: The target is there and overwrite is False, cannot hold the labels, or the disk refuses it.
    """
    file, layer = _located(source, layer)
    target = Path(target)
    _require_suffix(target)
    require_outputs([target], inputs={"labels": files_of(source), "image": files_of(scene)}, overwrite=overwrite)
    if scene is not None:
        labels = read_labels(
            source, scene, class_property=class_property, brush_px=brush_px, overlap=overlap, crs=crs, layer=layer, outside=outside,
            names=names, xy=xy,
        )  # fmt: skip
        return write_labels(labels, scene.grid, target, overwrite=overwrite)
    if file.suffix.lower() in label_raster.SUFFIXES:
        with named(file):
            raster = label_raster.read_label_raster(file, None if crs is None else crs_name(crs), names)
        _warn(file, raster.notes)
        return write_labels(raster.labels, raster.grid, target, overwrite=overwrite)
    if target.suffix.lower() in _RASTERS:
        raise LabelError(f"{file.name} holds shapes, which become pixels on an image only. Give the scene that they belong to.")
    annotations = read_annotations(source, class_property=class_property, crs=crs, layer=layer, names=names, xy=xy)
    _warn(file, annotations.notes)
    return write_annotations(annotations, target, overwrite=overwrite)


def _warn(path: Path, notes: tuple[str, ...]) -> None:
    for note in notes:
        warnings.warn(f"{path.name}: {note}", UserWarning, stacklevel=3)


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


def _located(path: str | Path, layer: str | None) -> tuple[Path, str | None]:
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


@contextmanager
def _replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """A path in a temporary folder beside `path`; all files there take their places when the block ends well."""
    _require_suffix(path)
    require_writable(path, overwrite=overwrite)
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=".pixelkin-", dir=path.parent))
        yield folder / path.name
        written = {file.name for file in folder.iterdir()}
        for stale in companions(path):
            if stale.name not in written:
                stale.unlink(missing_ok=True)
        # The file that is named comes last: whoever sees it finds its companions there.
        for name in sorted(written, key=lambda name: name == path.name):
            (folder / name).replace(path.parent / name)
    except OutputError:
        raise
    except OSError as error:
        raise refused(path, error) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _require_suffix(path: Path) -> None:
    """Refuse a name of no format that labels are written in."""
    if path.suffix.lower() not in _WRITTEN:
        raise OutputError(f"{path.name} has suffix {path.suffix!r}, expected one of {', '.join(_WRITTEN)}. Choose another name.")
