"""Label files by their suffix, written, also from one format to another."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pixelkin.errors import LabelError, OutputError
from pixelkin.files import companions, refused, require_outputs, require_suffix, require_writable
from pixelkin.raster.inputs import files_of
from pixelkin.scene import Scene
from pixelkin.types import Grid, LabelledPixels

from . import label_raster
from .annotations import Annotations
from .crs import crs_name
from .files import GEOJSON, located, named, read_annotations, read_labels
from .geojson import write_geojson
from .rasterize import Outside, Overlap, to_annotations
from .tables import write_csv

_RASTERS = (".tif", ".tiff")
_WRITTEN = (*GEOJSON, ".gpkg", ".shp", ".csv", *_RASTERS)


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
        if suffix in GEOJSON:
            write_geojson(annotations, temporary)
        elif suffix == ".csv":
            write_csv(annotations, temporary)
        else:
            from .vectors import write_vectors

            write_vectors(annotations, temporary)
    return path


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
    file, layer = located(source, layer)
    target = Path(target)
    require_suffix(target, _WRITTEN, "labels")
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


@contextmanager
def _replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """A path in a temporary folder beside `path`; all files there take their places when the block ends well."""
    require_suffix(path, _WRITTEN, "labels")
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
