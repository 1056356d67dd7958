"""What the bands of a file are: names, which of them is a mask, colours of a palette, scale and offset, and no-data values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags

from pixelkin.errors import RasterError
from pixelkin.types import AnyArray

from ._gdal import Dataset
from .fills import HUGE, find_fill
from .sample import look


@dataclass(frozen=True)
class Palette:
    """The colours that indices of a band stand for."""

    channels: tuple[bytes, ...]
    """Red, green and blue of each index, or one channel of grey."""
    opaque: bytes
    """1 where an index is a colour, 0 where it is transparent."""

    def expand(self, indices: AnyArray) -> tuple[AnyArray, AnyArray]:
        """Colours (channel, row, col) uint8 and validity (row, col) of indices (row, col)."""
        tables = np.stack([np.frombuffer(channel, np.uint8) for channel in self.channels])
        # An index past the table has no colour.
        known = indices < tables.shape[1]
        at = np.where(known, indices, 0)
        return tables[:, at], known & np.frombuffer(self.opaque, np.bool_)[at]

    def take(self, indexes: Sequence[int]) -> Palette:
        """Some of the channels, numbered from 1."""
        return Palette(tuple(self.channels[index - 1] for index in indexes), self.opaque)


def palette_of(dataset: Dataset) -> Palette | None:
    """The palette of a file of one band; None where it has none."""
    if dataset.count != 1 or dataset.colorinterp[0] != ColorInterp.palette or np.dtype(dataset.dtypes[0]).kind != "u":
        return None
    try:
        table = dataset.colormap(1)
    except ValueError:  # rasterio's way to say that there is none
        return None
    colours = np.zeros((max(table) + 1, 4), np.uint8)
    for index, colour in table.items():
        colours[index] = colour
    grey = (colours[:, :1] == colours[:, 1:3]).all()
    return Palette(tuple(colours[:, i].tobytes() for i in range(1 if grey else 3)), (colours[:, 3] > 0).tobytes())


def band_names(dataset: Dataset) -> list[str]:
    """Descriptions of the bands, 'band_1', ... where there is none or one that was there already."""
    names: list[str] = []
    for index, description in enumerate(dataset.descriptions, 1):
        name = (description or "").strip()
        names.append(name if name and name not in names else f"band_{index}")
    return names


def tagged_alpha(dataset: Dataset) -> int | None:
    """Number of the band that is tagged alpha. A description that says otherwise wins."""
    for index, (meaning, description) in enumerate(zip(dataset.colorinterp, dataset.descriptions, strict=True), 1):
        if meaning == ColorInterp.alpha and (description or "alpha").strip().lower() in ("", "a", "alpha", "mask"):
            return index
    return None


def mask_band(dataset: Dataset, names: Sequence[str], notes: list[str]) -> int | None:
    """Number of the band that masks the others: tagged alpha, and with the values of a mask.

    GDAL tags the fourth of four uint8 bands by default, infrared as well as a mask, so the values decide, and a note says how.
    """
    alpha = tagged_alpha(dataset)
    if alpha is None:
        return None
    (values,) = look(dataset, [alpha])
    opaque = values.max(initial=0)
    # A mask with soft edges is 0 or opaque nearly everywhere.
    if not values.size or np.count_nonzero((values == 0) | (values == opaque)) >= 0.9 * values.size:
        notes.append(f"band {alpha} is taken as alpha, a mask and no data. If it is data, choose it: bands={list(names)}")
        return alpha
    others = [name for index, name in enumerate(names, 1) if index != alpha]
    notes.append(
        f"band {alpha} is tagged alpha and does not look like a mask, with {len(np.unique(values))} different values: it is taken as data. "
        f"If it is a mask, leave it out: bands={others}"
    )
    return None


def scalings_of(dataset: Dataset, indexes: Sequence[int]) -> tuple[tuple[float, float], ...] | None:
    """(scale, offset) that the file declares for each band; None where it declares none."""
    found = tuple((float(dataset.scales[index - 1]), float(dataset.offsets[index - 1])) for index in indexes)
    return None if all(pair == (1.0, 0.0) for pair in found) else found


def nodata_of(dataset: Dataset, indexes: Sequence[int], nodata: float | str | None, notes: list[str]) -> tuple[float | None, ...]:
    """No-data value of each band: the one given, else the file's own, else a fill value that stands out, which a note names."""
    if nodata == "none":
        return (None,) * len(indexes)
    if nodata is not None:
        return tuple(as_stored(float(nodata), dataset.dtypes[index - 1]) for index in indexes)
    declared = [as_stored(dataset.nodatavals[index - 1], dataset.dtypes[index - 1]) for index in indexes]
    # A mask says what is data. Of 8 bits, every value is as likely as another.
    masked = MaskFlags.per_dataset in dataset.mask_flag_enums[0]
    silent = [
        index
        for index, value in zip(indexes, declared, strict=True)
        if value is None and not masked and np.dtype(dataset.dtypes[index - 1]).itemsize > 1
    ]
    fill = find_fill(look(dataset, silent)) if silent else None
    if fill is None:
        return tuple(declared)
    notes.append(
        f"it holds {fill:g}, which looks like a fill value that the file does not declare: it is taken as no data. "
        f"Confirm it with nodata={fill:g}, or say with nodata='none' that it is data."
    )
    if abs(fill) >= HUGE:
        return tuple(declared)  # never valid, whatever is declared
    return tuple(
        as_stored(fill, dataset.dtypes[index - 1]) if index in silent else value for index, value in zip(indexes, declared, strict=True)
    )


def as_stored(nodata: float | None, dtype: str) -> float | None:
    """A no-data value as the band stores it, None where no finite pixel can have it.

    -3.4028235e38 as metadata says it is not the float32 of that name; -9999 never occurs in uint8; NaN is never valid anyway.
    """
    if nodata is None or not np.isfinite(nodata):
        return None
    if np.dtype(dtype).kind == "f":
        with np.errstate(over="ignore"):
            return float(np.dtype(dtype).type(nodata))
    limits = np.iinfo(dtype)
    return float(nodata) if float(nodata).is_integer() and limits.min <= nodata <= limits.max else None


def select_bands(owner: str, names: Sequence[str], bands: Sequence[str | int]) -> list[int]:
    """Numbers, from 1, of bands given by name or number; RasterError with the bands there are where one is not.

    Digits in text are a name where a band has it, such as the wavelengths '490' and '842', and else a number.
    """
    wanted = [bands] if isinstance(bands, str) else list(bands)
    indexes = []
    for band in wanted:
        if isinstance(band, str) and band in names:
            indexes.append(names.index(band) + 1)
        elif (not isinstance(band, str) or band.isdecimal()) and 1 <= int(band) <= len(names):
            indexes.append(int(band))
        else:
            raise RasterError(
                f"{owner} has no band {band!r}, expected names among {list(names)} or numbers from 1 to {len(names)}. Correct the bands."
            )
    if not indexes or len(set(indexes)) < len(indexes):
        raise RasterError(f"bands are {wanted}, expected at least one and each once. Correct the bands.")
    return indexes
