"""Files of one band each that belong to one image, as Landsat and Sentinel-2 are delivered: which, and what their bands are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_COLOURS = (
    "coastal",
    "blue",
    "green",
    "red",
    "rededge[1-4]?",
    "nir(?:0[89])?",
    "swir(?:16|22|[12])?",
    "pan",
    "cirrus",
    "vv",
    "vh",
    "hh",
    "hv",
)
# A band's name between separators, with what USGS writes before it (surface reflectance, temperature) and ESA behind it (metres).
_BAND = re.compile(
    rf"(?:^|(?<=[_.\- ]))(?P<band>(?:(?:sr|st|rt|toa|sur_refl)_)?(?:b\d{{1,2}}a?|{'|'.join(_COLOURS)}))(?P<side>_\d\dm)?(?=$|[_.\- ])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class BandSet:
    """One image in files of one band each."""

    name: str
    """What the names of the files have in common; empty where that is nothing."""
    bands: tuple[str, ...]
    paths: tuple[str, ...]


def band_sets(paths: Sequence[Path | str]) -> list[BandSet] | None:
    """Files of one band each sorted into images, by their names without the band; None where they are no band sets.

    They are where every image has the same bands, two at least, each once. `LC08_..._20200621_..._SR_B4.TIF` is band SR_B4 of image `LC08_..._20200621_...`,
    and `red.tif` the band red of an image without a name.
    """
    images: dict[str, dict[str, str]] = {}
    for path in map(str, paths):
        stem = PurePosixPath(path.replace("\\", "/")).stem
        matches = list(_BAND.finditer(stem))
        if not matches:
            return None
        last = matches[-1]
        key = (stem[: last.start()] + stem[last.end() :]).strip("_.- ")
        bands = images.setdefault(key, {})
        if last["band"] in bands:
            return None
        bands[last["band"]] = path
    sets = [
        BandSet(key, tuple(sorted(bands, key=_order)), tuple(bands[band] for band in sorted(bands, key=_order)))
        for key, bands in images.items()
    ]
    if any(len(image.bands) < 2 or image.bands != sets[0].bands for image in sets):
        return None
    return sets


def is_band_file(path: Path) -> bool:
    """True where a name says which band the file is."""
    return _BAND.search(path.stem) is not None


def _order(band: str) -> tuple[float, str]:
    """B2 before B10, B8A between B8 and B9, colours from blue to infrared."""
    number = re.search(r"b(\d+)(a?)$", band, re.IGNORECASE)
    if number:
        return int(number[1]) + (0.5 if number[2] else 0), band
    for position, colour in enumerate(_COLOURS):
        if re.fullmatch(f"(?:.*_)?(?:{colour})", band, re.IGNORECASE):
            return position, band
    return 99, band
