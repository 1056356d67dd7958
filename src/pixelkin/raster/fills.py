"""Fill values that a file holds and does not declare: no data that would be taken for data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pixelkin.types import AnyArray

HUGE = 1e19
"""No physical quantity in a raster is as large; 1e20, 9.97e36 and 3.4e38 are fill values of netCDF, ESRI and GDAL."""

USUAL = (-9999, -32768, -32767, -28672, -999, -99999, 65535, -2147483648)
"""As files of all kinds use them. Zero and 255 are left out: they are values as often as not."""


def find_fill(samples: Sequence[AnyArray]) -> float | None:
    """The fill value that stands out in samples of bands without a declared one; None where nothing does.

    One of the usual numbers counts where it makes up a thousandth of a band, and all other values keep far from it: nothing lies beyond
    half of a negative one, or three quarters of a positive one.
    """
    for sample in samples:
        known = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
        huge = known[np.abs(known) >= HUGE] if known.dtype.kind == "f" else known[:0]
        if huge.size:
            return float(huge[0])
        for value in USUAL:
            if _stands_out(known, value):
                return float(value)
    return None


def _stands_out(known: AnyArray, value: int) -> bool:
    if known.dtype.kind != "f" and not np.iinfo(known.dtype).min <= value <= np.iinfo(known.dtype).max:
        return False
    found = known == known.dtype.type(value)
    others = known[~found]
    if np.count_nonzero(found) < max(4, known.size / 1000) or not others.size:
        return False
    return bool(others.min() > value / 2 if value < 0 else others.max() < 0.75 * value)
