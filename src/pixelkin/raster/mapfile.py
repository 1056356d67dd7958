"""What a written map holds beside its pixels, and how to read it back.

Two places, because no single one serves everybody: tags inside the GeoTIFF carry legend and provenance without loss and cannot be
parted from it; a small `.aux.xml` beside it carries class names as GDAL and QGIS look for them, since GeoTIFF has no field for these.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from rasterio.errors import RasterioError

from pixelkin.errors import OutputError, PkError, RasterError
from pixelkin.segmentation import Segmentation
from pixelkin.types import AnyArray, FloatArray, Grid, Legend

from ._gdal import Dataset, one_line
from .layers import known_layers, layer_path
from .reader import crs_text, open_dataset

LEGEND_TAG = "PIXELKIN_LEGEND"
PROVENANCE_TAG = "PIXELKIN_PROVENANCE"
CONFIDENCE_TAG = "PIXELKIN_CONFIDENCE"
_AGAIN = "Write the map again, or copy it anew."
_CONFIDENCE = {"YES": "confidence", "SIMILARITY": "similarity"}
"""What the tag says of a map whose confidence is in a layer beside it."""


def map_targets(path: Path, layers: Iterable[str] = ()) -> list[Path]:
    """The rasters of a map, beside its sidecar; OutputError where the name is none of a GeoTIFF."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise OutputError(f"{path} does not end in .tif, and a map is written as GeoTIFF. Name it {path.stem or 'map'}.tif.")
    return [path, *(layer_path(path, name) for name in known_layers(layers))]


def sidecar_path(path: Path) -> Path:
    """Where GDAL looks for class names of a map."""
    return path.with_name(f"{path.name}.aux.xml")


def map_tags(legend: Legend, provenance: Mapping[str, str], layers: Iterable[str] = ()) -> dict[str, str]:
    """Tags of all files of a map."""
    return {
        "TIFFTAG_SOFTWARE": "pixelkin",
        LEGEND_TAG: json.dumps(legend.to_json(), ensure_ascii=False),
        PROVENANCE_TAG: json.dumps(dict(provenance), ensure_ascii=False, sort_keys=True),
        CONFIDENCE_TAG: next((word for word, layer in _CONFIDENCE.items() if layer in layers), "NO"),
    }


def add_color_table(band: ET.Element, legend: Legend) -> None:
    """Colours of the classes; 0, no data, is transparent."""
    colors = {entry.id: entry.color for entry in legend}
    table = ET.SubElement(band, "ColorTable")
    for value in range(max(legend.ids, default=0) + 1):
        red, green, blue = colors.get(value, (0, 0, 0))
        ET.SubElement(table, "Entry", c1=str(red), c2=str(green), c3=str(blue), c4="255" if value else "0")


def sidecar_xml(legend: Legend) -> bytes:
    """GDAL's auxiliary file: category names, and an attribute table with value, name and colour of each class."""
    band = ET.Element("PAMRasterBand", band="1")
    names = {entry.id: entry.name for entry in legend}
    categories = ET.SubElement(band, "CategoryNames")
    for value in range(max(legend.ids, default=0) + 1):
        ET.SubElement(categories, "Category").text = printable(names.get(value, ""))
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    # Type: 0 whole number, 2 text. Usage: 5 value, 2 name, 6 to 8 red, green, blue.
    for index, (name, kind, usage) in enumerate([("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8)]):
        field = ET.SubElement(table, "FieldDefn", index=str(index))
        for tag, content in (("Name", name), ("Type", kind), ("Usage", usage)):
            ET.SubElement(field, tag).text = str(content)
    for index, entry in enumerate(legend):
        row = ET.SubElement(table, "Row", index=str(index))
        for cell in (entry.id, printable(entry.name), *entry.color):
            ET.SubElement(row, "F").text = str(cell)
    root = ET.Element("PAMDataset")
    root.append(band)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8")
    return text


def printable(text: str) -> str:
    """XML has no way to write control characters."""
    return "".join(character if character.isprintable() else " " for character in text)


def is_ours(path: Path) -> bool:
    """True where a file is a map or a layer of one that `MapWriter` wrote."""
    try:
        with open_dataset(str(path)) as dataset:
            return LEGEND_TAG in dataset.tags()
    except RasterError:
        return False


def carries(path: Path, tags: Mapping[str, str]) -> bool:
    """True where a file is there and has all of these tags, as `map_tags` gives them."""
    try:
        with open_dataset(str(path)) as dataset:
            return bool(tags.items() <= dataset.tags().items())
    except RasterError:
        return False


def read_map(path: str | Path) -> Segmentation:
    """Read a map that `write_map` or `MapWriter` wrote.

    Args:
        path: The map; its `<stem>_confidence.tif` is read too where the map was written with one.

    Returns:
        The segmentation as it was written. Without a confidence file, confidence is 0 everywhere, and a pixel on which
        the segmenter abstained cannot be told from one without data, so neither is valid.

    Raises:
        MissingFileError: The map, or the confidence that belongs to it, is not there.
        RasterError: The file is no map of ours, or is damaged.
    """
    path = Path(path)
    with open_dataset(str(path)) as dataset:
        tags = dataset.tags()
        if LEGEND_TAG not in tags or dataset.dtypes[0] != "uint8":
            raise RasterError(
                f"{path} is not a map that pixelkin wrote, expected the tag {LEGEND_TAG}. Read other label rasters with read_labels."
            )
        classes = _read_band(path, dataset)
        grid = Grid(dataset.height, dataset.width, tuple(dataset.transform)[:6], crs_text(dataset.crs))
    if tags.get(CONFIDENCE_TAG) in _CONFIDENCE:
        beside = layer_path(path, _CONFIDENCE[tags[CONFIDENCE_TAG]])
        with open_dataset(str(beside)) as dataset:
            stored = _read_band(beside, dataset)
        valid = ~np.isnan(stored)
        confidence: FloatArray = np.where(valid, stored, np.float32(0))
    else:
        valid = classes != 0
        confidence = np.zeros(classes.shape, np.float32)
    legend, provenance = stored_tags(path, tags)
    strange = set(np.unique(classes).tolist()) - {0, *legend.ids}
    if strange:
        raise RasterError(f"{path} has pixels of class {min(strange)}, which its legend does not name (ids {list(legend.ids)}). {_AGAIN}")
    return Segmentation(classes, confidence, valid, legend, grid, provenance)


def stored_tags(path: str | Path, tags: Mapping[str, str]) -> tuple[Legend, dict[str, str]]:
    """Legend and provenance that `map_tags` made the tags of.

    Raises:
        RasterError: They are damaged, or not there.
    """
    try:
        legend, provenance = Legend.from_json(json.loads(tags[LEGEND_TAG])), json.loads(tags[PROVENANCE_TAG])
        sound = isinstance(provenance, dict) and all(
            len(entry.color) == 3 and all(int(channel) in range(256) for channel in entry.color) for entry in legend
        )
    except (PkError, TypeError, KeyError, ValueError) as exc:
        raise RasterError(f"{path} has damaged tags ({exc!r}), expected legend and provenance as pixelkin writes them. {_AGAIN}") from exc
    if not sound:
        raise RasterError(f"{path} has damaged tags, expected legend and provenance as pixelkin writes them. {_AGAIN}")
    return legend, provenance


def _read_band(path: Path, dataset: Dataset) -> AnyArray:
    try:
        band: AnyArray = dataset.read(1)
        return band
    except RasterioError as exc:
        raise RasterError(f"{path} cannot be read: {one_line(exc)}. The file is damaged or cut short: write or copy it again.") from exc
