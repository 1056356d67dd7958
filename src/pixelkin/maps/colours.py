"""Pixels as colours: stretched imagery, class colours and confidence, as uint8 arrays that any page or picture can show."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pixelkin.errors import RasterError, ShapeError
from pixelkin.scene import Pixels, Scene
from pixelkin.types import AnyArray, BoolArray, Legend, UInt8Array, Window

Float64Array = npt.NDArray[np.float64]

NO_DATA_COLOR = (225, 225, 225)
"""Light grey that stands for "no data" in an RGB image."""

_STRIP_ROWS = 512


def display_bands(scene: Scene, bands: Sequence[int | str] | None = None) -> tuple[int, ...]:
    """Indices of the one (grey) or three (red, green, blue) bands to show.

    Args:
        scene: The image.
        bands: One or three names or 0-based indices. Default: the bands named red, green and blue; else the first three; else
            the first.

    Raises:
        RasterError: A band that the image has not, or another number of bands.
    """
    if bands is None:
        names = [name.lower() for name in scene.bands]
        if {"red", "green", "blue"} <= set(names):
            return tuple(names.index(name) for name in ("red", "green", "blue"))
        return (0, 1, 2) if len(names) >= 3 else (0,)
    if len(bands) not in (1, 3):
        raise RasterError(f"{len(bands)} bands to show {list(bands)}, expected one (grey) or three (red, green, blue).")
    indices = []
    for band in bands:
        index = scene.bands.index(band) if band in scene.bands else band
        if not isinstance(index, int) or not 0 <= index < len(scene.bands):
            raise RasterError(f"band {band!r} is not in the image, expected some of {list(scene.bands)} or 0 to {len(scene.bands) - 1}.")
        indices.append(index)
    return tuple(indices)


def reduction_step(shape: tuple[int, int], max_size: int | None) -> int:
    """Every how many pixels to take one, so that neither side of the picture is longer than `max_size`."""
    return 1 if max_size is None else max(1, math.ceil(max(shape) / max_size))


def read_reduced(scene: Scene, bands: Sequence[int], *, window: Window | None = None, step: int = 1) -> Pixels:
    """Every `step`-th row and column of some bands of a window, read by strips so that memory holds one strip at a time."""
    window = window or scene.grid.window
    strip_rows = step * max(1, _STRIP_ROWS // step)  # a multiple of the step: strips continue each other's rows
    data, valid = [], []
    for row in range(window.row, window.row + window.height, strip_rows):
        strip = scene.read(Window(row, window.col, min(strip_rows, window.row + window.height - row), window.width))
        data.append(strip.data[list(bands), ::step, ::step].copy())
        valid.append(strip.valid[::step, ::step].copy())
    return Pixels(np.concatenate(data, axis=1), np.concatenate(valid))


def _limits(pixels: Pixels, percentiles: tuple[float, float]) -> Float64Array:
    values = pixels.data[:, pixels.valid].astype(np.float64)
    return np.percentile(values, percentiles, axis=1).T if values.size else np.tile([0.0, 1.0], (len(values), 1))


def stretch_limits(
    scene: Scene, bands: Sequence[int | str] | None = None, *, percentiles: tuple[float, float] = (2, 98), max_size: int = 1024
) -> Float64Array:
    """Values shown as black and as full brightness, shape (band, 2), from a reduced read of the whole image.

    Give them to `rgb` where windows of one image must look alike.
    """
    step = reduction_step(scene.grid.shape, max_size)
    return _limits(read_reduced(scene, display_bands(scene, bands), step=step), percentiles)


def stretch(data: AnyArray, limits: npt.ArrayLike) -> UInt8Array:
    """Values between a band's limits spread over 0..255, clipped outside.

    Args:
        data: Shape (band, row, col), any real dtype; NaN becomes 0.
        limits: Shape (band, 2): the value shown as 0 and the one shown as 255. Where the two are equal the band is mid grey.

    Returns:
        Shape (row, col, band).
    """
    low, high = np.asarray(limits, np.float64).T[:, :, None, None]
    flat = high <= low
    scaled = np.nan_to_num((data - low) / np.where(flat, 1, high - low), nan=0.0)
    levels = np.where(flat, 128, np.clip(np.rint(scaled * 255), 0, 255))
    return np.moveaxis(levels.astype(np.uint8), 0, -1)


def rgb(
    scene: Scene,
    bands: Sequence[int | str] | None = None,
    *,
    window: Window | None = None,
    limits: npt.ArrayLike | None = None,
    max_size: int | None = None,
) -> UInt8Array:
    """An image as colours to look at.

    Args:
        scene: The image.
        bands: See `display_bands`; one band is shown in grey.
        window: Part to show (default: all).
        limits: From `stretch_limits`. Default: the 2nd and 98th percentile of the valid pixels shown, band by band.
        max_size: Longest side of the result in pixels; a larger image is thinned to every n-th row and column.

    Returns:
        uint8 of shape (row, col, 3); pixels without data are `NO_DATA_COLOR`.

    Raises:
        RasterError: See `display_bands`.
    """
    chosen = display_bands(scene, bands)
    window = window or scene.grid.window
    pixels = read_reduced(scene, chosen, window=window, step=reduction_step((window.height, window.width), max_size))
    image = stretch(pixels.data, _limits(pixels, (2, 98)) if limits is None else limits)
    image = np.repeat(image, 3, axis=-1) if len(chosen) == 1 else image
    image[~pixels.valid] = NO_DATA_COLOR
    return image


def colorize(classes: UInt8Array, legend: Legend) -> UInt8Array:
    """Class ids in the legend's colours.

    Returns:
        Red, green, blue and opacity, uint8 of shape (row, col, 4); class 0 is transparent.

    Raises:
        LabelError: A class id that the legend has not.
    """
    table = np.zeros((256, 4), np.uint8)
    for class_id in np.unique(classes):
        if class_id:
            table[class_id] = (*legend.by_id(int(class_id)).color, 255)
    return table[classes]


def colorize_confidence(confidence: AnyArray, valid: BoolArray) -> UInt8Array:
    """Confidence from 0 (dark) to 1 (bright) in the viridis colour map, whose steps look equally large.

    Returns:
        Red, green, blue and opacity, uint8 of shape (row, col, 4); transparent where not valid.
    """
    from matplotlib import colormaps

    if confidence.shape != valid.shape:
        raise ShapeError("confidence", expected=valid.shape, got=confidence.shape, fix="Give one confidence a pixel of the valid mask.")
    colours = np.array(colormaps["viridis"](confidence, bytes=True), np.uint8)
    colours[~valid] = 0
    return colours
