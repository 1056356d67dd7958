"""A look at a few places of a file: what its values are like, without reading it all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from pixelkin.types import AnyArray

from ._gdal import Dataset

_SIDE = 64
_SMALL = 512


def look(dataset: Dataset, indexes: Sequence[int]) -> list[AnyArray]:
    """Stored values of bands at the same pixels: of all where the image is small, of an overview, or of nine places from corner to corner.

    Args:
        dataset: Open file.
        indexes: Numbers of bands, from 1.

    Returns:
        For each band, shape (n,); no value where the file is damaged, which is for the reader to say.
    """
    try:
        parts = [_places(dataset, index) for index in indexes]
    except RasterioError:
        return [np.empty(0, dataset.dtypes[index - 1]) for index in indexes]
    return [np.concatenate([part.ravel() for part in places]) for places in parts]


def _places(dataset: Dataset, index: int) -> list[AnyArray]:
    height, width = dataset.height, dataset.width
    factors = [factor for factor in dataset.overviews(index) if max(height, width) / factor <= 2 * _SMALL]
    if max(height, width) <= _SMALL:
        return [dataset.read(index)]
    if factors:
        return [dataset.read(index, out_shape=(-(-height // factors[0]), -(-width // factors[0])))]
    rows, cols = ([0, max(0, (size - _SIDE) // 2), max(0, size - _SIDE)] for size in (height, width))
    windows = [RasterioWindow(col, row, min(_SIDE, width), min(_SIDE, height)) for row in rows for col in cols]
    return [dataset.read(index, window=window) for window in windows]
