"""Images of class ids. One rule says what 0 is: see `read_label_raster`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile

from pixelkin.crs import same_crs
from pixelkin.errors import LabelError
from pixelkin.raster._gdal import quiet
from pixelkin.types import AnyArray, BoolArray, Color, Grid, LabelledPixels, Legend

from .annotations import class_text, make_legend, stored_legend
from .classes import notes_on
from .crs import crs_name

LEGEND_TAG = "PIXELKIN_LEGEND"
SUFFIXES = (".tif", ".tiff", ".vrt", ".img", ".png", ".bmp", ".gif", ".jp2")

# What programs write where there is nothing, and often fail to declare: of a raster that declares no no-data value.
_FILLS = (
    -9999,
    -99999,
    -1,
    -128,
    -32768,
    65535,
    -2147483648,
    2147483647,
    4294967295,
    1e20,
    9.969209968386869e36,
    -3.4028234663852886e38,
    3.4028234663852886e38,
)
_NOTHING = {"none", "no data", "nodata", "no label", "unlabelled", "unlabeled", "unclassified", "undefined", "unknown", "ignore"}
_MOST_VALUES = 255


@dataclass(frozen=True)
class LabelRaster:
    """What a raster of class ids says."""

    labels: LabelledPixels
    """In row-major order."""
    grid: Grid
    notes: tuple[str, ...]
    """What was left out or changed, with counts, a line each."""


def read_label_raster(path: Path, crs: str | None = None, names: Mapping[int, str] | None = None, *, zero: bool = True) -> LabelRaster:
    """Labelled pixels of a one-band raster.

    No-data pixels are not labelled. The value 0 is a class where the file declares another no-data value or a mask, where it names 0
    otherwise than as nothing, where `names` does, and in a binary mask: 0 and one other value, and no no-data value. Otherwise 0
    means not labelled, and a note says how many pixels that are. The legend is the one that we stored in the file; else names come
    from `names`, then from GDAL's category names, and colours from its colour table; classes are named by their numbers where not.
    A value that no id can be (ids run from 1 to 255) gets a free id and keeps its number as name.

    Args:
        path: File to read.
        crs: CRS of the raster whatever the file says; None = what it says.
        names: Class names by value.
        zero: False: 0 is never a class, whatever the rule says; for data sets that are known.

    Raises:
        LabelError: Not a raster, more than one band, a value that is not a whole number, more than 255 values, or no labelled pixel.
    """
    try:
        with quiet():
            dataset = rasterio.open(path)
        with dataset:
            return _read(dataset, crs, dict(names or {}), zero)
    except RasterioError as error:
        raise LabelError(f"not a raster that can be read: {error}. Expected an image of class ids; export it again.") from error


def write_label_raster(labels: LabelledPixels, grid: Grid, path: Path) -> None:
    """Write a GeoTIFF of class ids with a colour table and the legend; 0 = no label is its no-data value."""
    with quiet():
        dataset = rasterio.open(
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
        )
    with dataset:
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


def _read(dataset: DatasetReader, crs: str | None, names: dict[int, str], zero: bool) -> LabelRaster:
    if dataset.count != 1 and not (dataset.count == 2 and dataset.colorinterp[1] == ColorInterp.alpha):
        raise LabelError(f"it has {dataset.count} bands, expected one of class ids (0 = no label). Export the classes, not their colours.")
    values = dataset.read(1)
    if values.dtype.kind == "c":
        raise LabelError("it holds complex numbers, expected class ids (0 = no label). Give a raster of class ids, not of measurements.")
    stored = stored_legend(dataset.tags().get(LEGEND_TAG))
    notes: list[str] = []
    marked, declared = _with_data(dataset, values, names, notes)
    _refuse_fractions(values, marked)
    codes, counts = np.unique(values[marked], return_counts=True)
    if len(codes) > _MOST_VALUES + 1:
        raise LabelError(
            f"it has {len(codes)} different values, expected at most {_MOST_VALUES} classes. Give a raster of class ids, not of measurements."
        )
    categories = {} if stored else _category_names(dataset)
    if len(codes) and (codes == 0).any():
        zeros = int(counts[codes == 0][0])
        others = codes[codes != 0]
        if zero and _zero_is_class(stored, declared, categories, names, len(others)):
            notes.append(f"value 0 is taken as a class, {zeros:,} pixels.")
        else:
            marked &= values != 0
            codes = others
            if dataset.nodata != 0 and stored is None:
                notes.append(f"value 0 is taken as not labelled, {zeros:,} pixels; where it is a class, name it: names={{0: 'NAME'}}.")
    if not len(codes):
        raise LabelError("it has no labelled pixel, expected class ids somewhere. Check that it is the right file.")
    # Values that a map cannot hold as ids get free ones; names keep the numbers.
    given = {int(code): names.get(int(code)) or categories.get(int(code)) or str(class_text(code.item())) for code in codes}
    legend = _legend(dataset, stored, given)
    id_of = np.array(
        [legend.by_id(code).id if stored and code in stored.ids else legend.by_name(name).id for code, name in given.items()], np.uint8
    )
    ids = np.zeros(values.shape, np.uint8)
    ids[marked] = id_of[np.searchsorted(codes, values[marked])]
    own_crs = crs_name(dataset.crs.to_wkt()) if crs is None and dataset.crs else None
    grid = Grid(dataset.height, dataset.width, tuple(dataset.transform)[:6], crs or own_crs)
    return LabelRaster(LabelledPixels.from_mask(ids, legend), grid, (*notes, *([] if stored else notes_on(legend))))


def _with_data(dataset: DatasetReader, values: AnyArray, names: dict[int, str], notes: list[str]) -> tuple[BoolArray, bool]:
    """Pixels that hold a value, shape (row, col), and whether the file says itself which do."""
    marked: BoolArray = dataset.read_masks(1) > 0
    declared = dataset.nodata is not None or MaskFlags.all_valid not in dataset.mask_flag_enums[0]
    if values.dtype.kind == "f":
        odd = marked & ~np.isfinite(values)
        if odd.any():
            notes.append(f"{np.count_nonzero(odd):,} pixels that are no finite number (NaN) are taken as not labelled.")
            marked &= ~odd
            declared = True
    if not declared:
        for fill in (fill for fill in _FILLS if fill not in names):
            here = marked & (values == np.asarray(fill).astype(values.dtype)) if _holds(values.dtype, fill) else np.zeros((1, 1), bool)
            if here.any():
                notes.append(
                    f"{np.count_nonzero(here):,} pixels of value {fill:g} are taken as not labelled, though the file declares no no-data value."
                )
                marked &= ~here
                declared = True
    return marked, declared


def _holds(dtype: Any, value: float) -> bool:
    """True where a type can hold a fill value, as its own kind of number."""
    if dtype.kind == "f":
        return abs(value) <= float(np.finfo(dtype).max)
    if dtype.kind not in "iu" or not float(value).is_integer():
        return False
    return int(value) in range(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max) + 1)


def _refuse_fractions(values: AnyArray, marked: BoolArray) -> None:
    if values.dtype.kind != "f":
        return
    odd = marked & (values != np.floor(values))
    if odd.any():
        row, col = np.argwhere(odd)[0]
        raise LabelError(
            f"its value at row {row}, col {col} is {values[row, col]}, expected a class id: a whole number. "
            "Give a raster of class ids, not of measurements."
        )


def _zero_is_class(stored: Legend | None, declared: bool, categories: dict[int, str], names: dict[int, str], others: int) -> bool:
    if 0 in names:
        return True
    if stored is not None or categories.get(0, "").strip().lower() in _NOTHING:
        return False
    return declared or 0 in categories or others == 1


def _legend(dataset: DatasetReader, stored: Legend | None, given: dict[int, str]) -> Legend:
    colors = _colors(dataset)
    new = {name: code for code, name in given.items() if stored is None or code not in stored.ids}
    ids = {name: code for name, code in new.items() if 1 <= code <= 255}
    legend = make_legend(new, stored=stored, ids=ids, colors={name: colors[code] for name, code in new.items() if code in colors})
    # Names of a raster stand for its values, so that ids mean something even where a value could not stay one.
    return Legend(legend.classes)


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
