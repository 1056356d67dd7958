"""Tiles and thumbnails: windows of an image as PNG files, one image pixel never blended with another.

Tile (z, x, y) covers columns [x 256 2^z, (x + 1) 256 2^z) and rows likewise; one tile pixel stands for 2^z x 2^z image
pixels. z = 0 is the image itself.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError
from ..maps.colours import display_bands, stretch
from ..raster.overview import read_overview
from ..scene import Scene
from ..types import AnyArray, BoolArray, FloatArray, Grid, UInt8Array, Window
from .formula import Formula, parse_formula
from .project import Project

TILE = 256
_STATISTICS_SIDE = 1024
_NO_DATA_SIDE = 256
# Pixels of a tile change little when packed harder, and packing is what a tile mostly costs.
_PNG_LEVEL = 1


@dataclass(frozen=True)
class BandStatistics:
    """What a page needs to offer a stretch; from an overview of the image."""

    band: int
    """1-based."""
    name: str
    min: float
    max: float
    p2: float
    p98: float
    mean: float
    valid_fraction: float
    histogram: list[int]
    """Counts in 64 steps of equal width from min to max."""


def levels(grid: Grid) -> int:
    """The z at which the whole image fits into one tile."""
    return max(0, int(np.ceil(np.log2(max(grid.shape) / TILE))))


def tile_window(grid: Grid, z: int, x: int, y: int) -> Window | None:
    """The pixels that a tile covers, cut at the image's edges; None outside.

    Raises:
        InputError: z is not one of the image's levels.
    """
    if not 0 <= z <= levels(grid):
        raise InputError(f"tile level z is {z}, expected 0 to {levels(grid)} for an image of {grid.height} x {grid.width} pixels.")
    side = TILE << z
    row, col = y * side, x * side
    if not (0 <= row < grid.height and 0 <= col < grid.width):
        return None
    return Window(row, col, min(side, grid.height - row), min(side, grid.width - col))


def statistics(scene: Scene) -> list[BandStatistics]:
    """Statistics of every band, from an overview of about a million pixels."""
    factor = max(1, -(-max(scene.grid.shape) // _STATISTICS_SIDE))
    pixels = read_overview(scene, scene.grid.window, 1 << (factor - 1).bit_length())
    share = float(pixels.valid.mean())
    out = []
    for index, name in enumerate(scene.bands):
        out.append(_describe(index + 1, name, pixels.data[index][pixels.valid].astype(np.float64), share))
    return out


def formula_statistics(scene: Scene, formula: Formula) -> BandStatistics:
    """Statistics of an index, as of a band; its number is 0. Pixels where it has no value are left out."""
    factor = max(1, -(-max(scene.grid.shape) // _STATISTICS_SIDE))
    pixels = read_overview(scene, scene.grid.window, 1 << (factor - 1).bit_length())
    values = formula(pixels.data)
    has_value = pixels.valid & np.isfinite(values)
    return _describe(0, formula.text, values[has_value].astype(np.float64), float(has_value.mean()))


def _describe(band: int, name: str, values: AnyArray, share: float) -> BandStatistics:
    if not values.size:
        return BandStatistics(band, name, 0.0, 1.0, 0.0, 1.0, 0.0, share, [0] * 64)
    low, p2, p98, high = (float(v) for v in np.percentile(values, [0, 2, 98, 100]))
    histogram, _ = np.histogram(values, bins=64, range=(low, high if high > low else low + 1))
    return BandStatistics(band, name, low, high, p2, p98, float(values.mean()), share, histogram.tolist())


def default_bands(scene: Scene) -> tuple[int, ...]:
    """1-based numbers of the bands shown at first: red, green, blue where named, else the first three, else the first."""
    return tuple(index + 1 for index in display_bands(scene))


@dataclass(frozen=True)
class Display:
    """How an image is shown."""

    bands: tuple[int, ...]
    """One (grey) or three (red, green, blue) 1-based band numbers."""
    limits: tuple[tuple[float, float], ...]
    """Values shown as black and as full brightness, a pair a band."""
    gamma: float = 1.0
    """Brightness is raised to 1 / gamma; 0.1..10."""
    formula: Formula | None = None
    """Shown in place of the bands, in the colours of `index_ramp`; its only pair of limits holds their ends."""


def make_display(
    scene: Scene, stats: Sequence[BandStatistics], bands: Sequence[int] | None, limits: Sequence[tuple[float, float]] | None, gamma: float
) -> Display:
    """A checked Display; what is None is the scene's default.

    Raises:
        InputError: A band that is not there, another number of bands or ranges, or a gamma out of range.
    """
    chosen = default_bands(scene) if bands is None else tuple(bands)
    if len(chosen) not in (1, 3) or any(not 1 <= band <= len(scene.bands) for band in chosen):
        raise InputError(f"bands are {list(chosen)}, expected one or three numbers from 1 to {len(scene.bands)}.")
    pairs = [(stats[band - 1].p2, stats[band - 1].p98) for band in chosen] if limits is None else list(limits)
    if len(pairs) != len(chosen) or not np.isfinite(pairs).all():
        raise InputError(f"{len(pairs)} ranges {pairs} for {len(chosen)} bands, expected a low and a high number a band.")
    if not 0.1 <= gamma <= 10:
        raise InputError(f"gamma is {gamma}, expected 0.1 to 10.")
    return Display(chosen, tuple(pairs), gamma)


def make_index(scene: Scene, text: str, limits: Sequence[tuple[float, float]] | None) -> Display:
    """A checked Display of an index layer; limits of None are -1 and 1, between which normalised differences lie.

    Raises:
        InputError: The formula cannot be read, or there is another number of ranges than one.
    """
    formula = parse_formula(text, scene.bands)
    pairs = [(-1.0, 1.0)] if limits is None else list(limits)
    if len(pairs) != 1 or not np.isfinite(pairs).all():
        raise InputError(f"{len(pairs)} ranges {pairs} for a formula, expected a low and a high number.")
    return Display((), tuple(pairs), formula=formula)


class Pictures:
    """The images of a project as pictures. All methods may be called from any thread."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._statistics: dict[str, list[BandStatistics]] = {}
        self._no_data: dict[str, float] = {}

    def statistics(self, scene_id: str) -> list[BandStatistics]:
        """Statistics of a scene's bands, from an overview."""
        scene = self._project.scene(scene_id)
        if scene_id not in self._statistics:
            self._statistics[scene_id] = statistics(scene)
        return self._statistics[scene_id]

    def no_data(self, scene_id: str) -> float:
        """Share of an image's pixels without data, 0..1: clouds, where they are masked. From an overview."""
        scene = self._project.scene(scene_id)
        if scene_id not in self._no_data:
            factor = max(1, max(scene.grid.shape) // _NO_DATA_SIDE)
            pixels = read_overview(scene, scene.grid.window, 1 << (factor.bit_length() - 1))
            self._no_data[scene_id] = 1 - float(pixels.valid.mean())
        return self._no_data[scene_id]

    def display(
        self,
        scene_id: str,
        bands: Sequence[int] | None = None,
        limits: Sequence[tuple[float, float]] | None = None,
        gamma: float = 1.0,
        formula: str | None = None,
    ) -> Display:
        """How to show a scene; None = its default. A formula takes the place of the bands."""
        scene = self._project.scene(scene_id)
        if formula is not None:
            return make_index(scene, formula, limits)
        # Statistics cost a read of the overview: skipped where nothing of them is used.
        return make_display(scene, self.statistics(scene_id) if limits is None else [], bands, limits, gamma)

    def tile(self, scene_id: str, display: Display, z: int, x: int, y: int) -> bytes:
        """A PNG tile of an image."""
        return image_tile(self._project.scene(scene_id), display, z, x, y)

    def thumbnail(self, scene_id: str, display: Display, size: int) -> bytes:
        """A PNG of a whole image."""
        return thumbnail(self._project.scene(scene_id), display, size)


def image_tile(scene: Scene, display: Display, z: int, x: int, y: int) -> bytes:
    """A tile of the image; transparent where there is no data and past the edges."""
    rgba = np.zeros((TILE, TILE, 4), np.uint8)
    window = tile_window(scene.grid, z, x, y)
    if window is not None:
        part = _shown(scene, display, window, 1 << z)
        rgba[: part.shape[0], : part.shape[1]] = part
    return png(Image.fromarray(rgba))


def thumbnail(scene: Scene, display: Display, size: int) -> bytes:
    """The whole image, its longest side `size` pixels."""
    height, width = scene.grid.shape
    factor = max(1, max(height, width) // (2 * size))
    factor = 1 << (factor.bit_length() - 1)
    image = Image.fromarray(_shown(scene, display, scene.grid.window, factor))
    scale = size / max(height, width)
    return png(image.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.NEAREST))


def _shown(scene: Scene, display: Display, window: Window, factor: int) -> UInt8Array:
    pixels = read_overview(scene, window, factor)
    if display.formula is not None:
        return _index_colours(display.formula(pixels.data), pixels.valid, display.limits[0])
    colours = stretch(pixels.data[[band - 1 for band in display.bands]], display.limits)
    if display.gamma != 1.0:
        table = np.round(255 * (np.arange(256) / 255) ** (1 / display.gamma)).astype(np.uint8)
        colours = table[colours]
    rgba = np.empty((*colours.shape[:2], 4), np.uint8)
    rgba[..., :3] = colours
    rgba[..., 3] = 255
    rgba[~pixels.valid] = 0
    return rgba


def _index_colours(values: FloatArray, valid: BoolArray, limits: tuple[float, float]) -> UInt8Array:
    steps = stretch(values[None], [limits])[..., 0]
    rgba = np.empty((*values.shape, 4), np.uint8)
    rgba[..., :3] = index_ramp()[steps]
    rgba[..., 3] = 255
    rgba[~(valid & np.isfinite(values))] = 0
    return rgba


def index_ramp() -> UInt8Array:
    """Colours of an index from its low to its high end, shape (256, 3): Matplotlib's BrBG, brown to green, told apart by colour-blind readers."""
    from matplotlib import colormaps

    return np.asarray(colormaps["BrBG"](np.arange(256), bytes=True)[:, :3], np.uint8)


def confidence_ramp() -> UInt8Array:
    """Colours of confidence 0..255, dark to light, shape (256, 3): Matplotlib's cividis, made for colour-blind readers."""
    from matplotlib import colormaps

    return np.asarray(colormaps["cividis"](np.arange(256), bytes=True)[:, :3], np.uint8)


def confidence_index(confidence: UInt8Array, valid: BoolArray) -> UInt8Array:
    """Steps of the ramp, 0 where not valid: the lowest confidence shares the next colour."""
    return np.where(valid, np.maximum(confidence, 1), 0).astype(np.uint8)


def full_tile(index: UInt8Array) -> UInt8Array:
    """(TILE, TILE) with 0 past the image's edges."""
    full = np.zeros((TILE, TILE), np.uint8)
    full[: index.shape[0], : index.shape[1]] = index
    return full


def png(image: Any, **options: Any) -> bytes:
    """A picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=_PNG_LEVEL, **options)
    return buffer.getvalue()
