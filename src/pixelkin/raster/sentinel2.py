"""How Sentinel-2 products store reflectance: since processing baseline 04.00 (January 2022) with an offset of 1000."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

from pixelkin.encoding import BEFORE_0400, SINCE_0400
from pixelkin.errors import RasterError

Scaling = tuple[float, float]
"""(scale, offset) of value = scale * stored + offset."""

_PRODUCT = re.compile(r"S2[ABCD]_MSIL(?:1C|2A)_\d{8}T\d{6}_N(?P<baseline>\d{4})_")
_BAND_FILE = re.compile(r"_(?P<band>B(?:0\d|1[0-2]|8A))(?:_\d\dm)?\.jp2$", re.IGNORECASE)
# Numbers of bands in the product's metadata.
_BAND_IDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")


def baseline_encoding(name: str, tags: Mapping[str, str]) -> str | None:
    """What a product name, or the tag that GDAL copies from its metadata, tells of stored numbers; None where neither is there."""
    match = _PRODUCT.search(name)
    text = match["baseline"] if match else tags.get("PROCESSING_BASELINE", "").replace(".", "")
    if not re.fullmatch(r"\d{4}", text):
        return None
    return SINCE_0400 if int(text) >= 400 else BEFORE_0400


def product_scaling(path: str) -> Scaling | None:
    """Scale and offset of a band file inside a SAFE product, from the product's metadata; None for any other file.

    Raises:
        RasterError: The metadata cannot be read.
    """
    match = _BAND_FILE.search(path)
    if match is None:
        return None
    for folder in list(Path(path).parents)[:5]:
        for name in ("MTD_MSIL2A.xml", "MTD_MSIL1C.xml"):
            if (folder / name).is_file():
                return _scalings(str(folder / name)).get(match["band"].upper())
    return None


@lru_cache(maxsize=64)
def _scalings(path: str) -> dict[str, Scaling]:
    try:
        root = ElementTree.parse(path).getroot()
        values = {
            child.tag.rsplit("}", 1)[-1]: float(child.text or "nan")
            for child in root.iter()
            if "QUANTIFICATION_VALUE" in child.tag and not len(child)
        }
        divisor = values.get("BOA_QUANTIFICATION_VALUE") or values.get("QUANTIFICATION_VALUE") or 10_000.0
        offsets = {
            int(child.attrib["band_id"]): float(child.text or 0)
            for child in root.iter()
            if child.tag.rsplit("}", 1)[-1] in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")
        }
    except (ElementTree.ParseError, KeyError, ValueError, OSError) as exc:
        raise RasterError(f"{path} cannot be read ({exc}), expected the product's metadata. Download the product again.") from exc
    return {name: (1 / divisor, offsets.get(number, 0.0) / divisor) for number, name in enumerate(_BAND_IDS)}


def band_files(product: Path) -> list[Path]:
    """The band files of a SAFE folder, each band at its finest resolution, in the order of their names."""
    finest: dict[str, tuple[int, Path]] = {}
    for path in sorted(product.glob("GRANULE/*/IMG_DATA/**/*.jp2")):
        match = _BAND_FILE.search(path.name)
        if match is None:
            continue
        side = int(found[1]) if (found := re.search(r"_(\d\d)m\.jp2$", path.name)) else 0
        if match["band"] not in finest or side < finest[match["band"]][0]:
            finest[match["band"]] = side, path
    return [finest[name][1] for name in sorted(finest, key=_BAND_IDS.index)]


def band_of(path: Path) -> str:
    """The band that a file of a product is."""
    match = _BAND_FILE.search(path.name)
    assert match is not None, "a name that band_files gave"
    return match["band"].upper()
