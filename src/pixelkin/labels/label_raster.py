"""Images of class ids: 0 = no label, 1..255 = classes."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile

from pixelkin.crs import same_crs
from pixelkin.errors import LabelError
from pixelkin.types import Color, Grid, LabelledPixels, Legend

from .annotations import make_legend, stored_legend
from .crs import crs_name

LEGEND_TAG = "PIXELKIN_LEGEND"
SUFFIXES = (".tif", ".tiff", ".vrt", ".img", ".png", ".bmp", ".gif", ".jp2")


def read_label_raster(path: Path, crs: str | None = None) -> tuple[LabelledPixels, Grid]:
    """Labelled pixels of a one-band raster, in row-major order, and its grid.

    No-data pixels and 0 are not labelled. The legend is the one that we stored in the file; else names come from GDAL's
    category names and colours from its colour table where it has them, and classes are named by their numbers where not.

    Args:
        path: File to read.
        crs: CRS of the raster whatever the file says; None = what it says.

    Raises:
        LabelError: Not a raster, more than one band, a value that is not a whole number from 0 to 255, or no labelled pixel.
    """
    try:
        with _quiet(), rasterio.open(path) as dataset:
            return _read(dataset, crs)
    except RasterioError as error:
        raise LabelError(f"not a raster that can be read: {error}. Expected an image of class ids; export it again.") from error


def write_label_raster(labels: LabelledPixels, grid: Grid, path: Path) -> None:
    """Write a GeoTIFF of class ids with a colour table and the legend; 0 = no label is its no-data value."""
    with (
        _quiet(),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=grid.height,
            width=grid.width,
            count=1,
            dtype="uint8",
            nodata=0,
            crs=grid.crs,
            transform=rasterio.Affine(*grid.transform),
            compress="deflate",
            tiled=True,
            blockxsize=256,
            blockysize=256,
        ) as dataset,
    ):
        dataset.write(labels.to_mask(grid.shape), 1)
        dataset.write_colormap(1, {0: (0, 0, 0, 0)} | {entry.id: (*entry.color, 255) for entry in labels.legend})
        dataset.update_tags(**{LEGEND_TAG: json.dumps(labels.legend.to_json())})


def require_grid(raster: Grid, scene: Grid) -> None:
    """Refuse a label raster that does not lie on the scene's grid, pixel on pixel.

    A raster without CRS and transform, such as a painted PNG, lies on it where it has the same size.

    Raises:
        LabelError: Size, position or CRS differ.
    """
    fix = "Warp the label raster onto the image's grid with nearest neighbour (gdalwarp -r near), or write its labels as vectors."
    if raster.shape != scene.shape:
        raise LabelError(f"it has {raster.height} x {raster.width} pixels, expected {scene.height} x {scene.width} as in the image. {fix}")
    if raster.crs is None and raster.transform == (1, 0, 0, 0, 1, 0):
        return
    if raster.crs is not None and not same_crs(raster.crs, scene.crs):
        raise LabelError(f"its CRS is {raster.crs}, expected {scene.crs or 'none'} as in the image. {fix}")
    a, b, c, d, e, f = scene.transform
    corners = np.array([(0, 0, 1), (scene.width, 0, 1), (0, scene.height, 1), (scene.width, scene.height, 1)])
    shift = corners @ (np.reshape(raster.transform, (2, 3)) - np.reshape(scene.transform, (2, 3))).T
    if np.abs(np.linalg.solve([[a, b], [d, e]], shift.T)).max() > 0.01:
        raise LabelError(f"its transform is {raster.transform}, expected {(a, b, c, d, e, f)} as in the image. {fix}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Open files here: that an image has no georeference is a fact that its grid carries, not a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _read(dataset: DatasetReader, crs: str | None) -> tuple[LabelledPixels, Grid]:
    if dataset.count != 1:
        raise LabelError(f"it has {dataset.count} bands, expected one of class ids (0 = no label). Export the classes, not their colours.")
    values = dataset.read(1)
    marked = (dataset.read_masks(1) > 0) & (values != 0)
    if values.dtype != np.uint8:
        with np.errstate(invalid="ignore"):
            odd = marked & ~((values >= 1) & (values <= 255) & (values == np.floor(values)))
        if odd.any():
            row, col = np.argwhere(odd)[0]
            raise LabelError(
                f"its value at row {row}, col {col} is {values[row, col]}, expected a class id: "
                "a whole number from 0 to 255. Renumber the classes."
            )
    if not marked.any():
        raise LabelError("it has no labelled pixel, expected class ids from 1 to 255 somewhere. Check that it is the right file.")
    ids = np.where(marked, values, 0).astype(np.uint8)
    own_crs = crs_name(dataset.crs.to_wkt()) if crs is None and dataset.crs else None
    grid = Grid(dataset.height, dataset.width, tuple(dataset.transform)[:6], crs or own_crs)
    return LabelledPixels.from_mask(ids, _legend(dataset, np.unique(ids[marked]).tolist())), grid


def _legend(dataset: DatasetReader, present: list[int]) -> Legend:
    stored = stored_legend(dataset.tags().get(LEGEND_TAG))
    colors = _colors(dataset)
    names = {} if stored else _category_names(dataset)
    known = set(stored.ids) if stored else set()
    ids = {names.get(class_id) or str(class_id): class_id for class_id in present if class_id not in known}
    return make_legend(ids, stored=stored, ids=ids, colors={name: colors[class_id] for name, class_id in ids.items() if class_id in colors})


def _colors(dataset: DatasetReader) -> dict[int, Color]:
    try:
        table = dataset.colormap(1)
    except ValueError:  # rasterio's way to say that there is none
        return {}
    # GDAL fills the entries that nobody set with black.
    return {class_id: (r, g, b) for class_id, (r, g, b, _) in table.items() if (r, g, b) != (0, 0, 0)}


def _category_names(dataset: DatasetReader) -> dict[int, str]:
    """GDAL's category names. rasterio does not read them, but the description of the file as a VRT holds them."""
    with MemoryFile(ext=".vrt") as file:
        rasterio.shutil.copy(dataset, file.name, driver="VRT")
        names = ElementTree.fromstring(file.read()).findall("VRTRasterBand/CategoryNames/Category")
    return {i: name.text for i, name in enumerate(names) if name.text}
