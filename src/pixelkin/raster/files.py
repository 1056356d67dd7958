"""One file as a scene: what it holds, how its numbers are read, and where it lies."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from pixelkin.crs import same_grid
from pixelkin.encoding import SCALED, STORED, common_encoding
from pixelkin.errors import InputError, RasterError
from pixelkin.scene import Scene
from pixelkin.types import Grid

from ._gdal import Dataset, one_line, quiet
from .bands import band_names, mask_band, nodata_of, palette_of, scalings_of, select_bands, tagged_alpha
from .dates import date_from_name, date_from_tags
from .embedding import KINDS, as_embedding
from .fills import HUGE
from .mapfile import LEGEND_TAG
from .reader import RasterScene, absolute, crs_text, open_dataset, stamp
from .sample import look
from .sentinel2 import baseline_encoding, product_scaling
from .stack import Stack

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenOptions:
    """How to open a source; the keyword arguments of `open_scene`."""

    bands: Sequence[str | int] | None = None
    nodata: float | str | None = None
    date: dt.date | None = None
    align: bool = False
    scale: bool = True
    missing: str = "drop"
    kind: str = "auto"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"kind is {self.kind!r}, expected one of {', '.join(map(repr, KINDS))}.")
        if self.missing not in ("drop", "fill"):
            raise InputError(f"missing is {self.missing!r}, expected 'drop' or 'fill'.")
        if isinstance(self.nodata, str) and self.nodata != "none":
            raise InputError(f"nodata is {self.nodata!r}, expected a number, or 'none' where every number is data.")


def open_file(path: str, options: OpenOptions) -> Scene:
    """A file as a scene, one of several pages as a stack of them, one of embeddings as such; see `open_scene`."""
    scene = _open_pages(path, options)
    if options.kind == "image" or isinstance(scene, Stack):
        return scene
    with open_dataset(scene.path) as dataset:
        tags = dataset.tags()
    return as_embedding(scene, options.kind, tags)


def _open_pages(path: str, options: OpenOptions) -> RasterScene | Stack:
    path, _ = absolute(path)
    pages, alike = _pages(path)
    if len(pages) < 2:
        return open_raster(path, options)
    if not alike:
        note = f"it has {len(pages)} pages of several sizes, of which the first is read. Name another: {pages[1]}"
        scene = open_raster(path, options)
        return replace(scene, notes=(*scene.notes, note))
    parts: list[RasterScene] = []
    for number, page in enumerate(pages, 1):
        scene = open_raster(page, replace(options, bands=None))
        named = all(band == f"band_{i}" for i, band in enumerate(scene.bands, 1))
        names = (
            (f"page_{number}",)
            if len(scene.bands) == 1 and named
            else tuple(f"page_{number}_{band}" if named else band for band in scene.bands)
        )
        parts.append(replace(scene, bands=names))
    note = f"its {len(pages)} pages are read as bands; for one page alone, name it: {pages[0]}"
    name = PurePosixPath(path.replace("\\", "/")).stem
    return stack_of(parts, name, options, date=date_from_name(name), path=path, notes=(note,))


def stack_of(
    parts: Sequence[RasterScene],
    name: str,
    options: OpenOptions,
    *,
    date: dt.date | None,
    path: str | None = None,
    notes: tuple[str, ...] = (),
) -> Stack:
    """Parts on the grid of the finest of them as one scene, with the bands asked for.

    Raises:
        RasterError: Parts lie in different places, share the name of a band, or differ in scale.
    """
    finest = min(parts, key=lambda part: abs(part.grid.transform[0]) if part.grid.crs else 0).grid
    common_encoding(parts)
    names = [band for part in parts for band in part.bands]
    if len(set(names)) < len(names):
        names = [f"band_{i}" for i in range(1, len(names) + 1)]
    on_grid: list[RasterScene] = []
    for part in parts:
        if (part.grid.crs is None and part.grid.shape == finest.shape) or same_grid(part.grid, finest):
            part = replace(part, grid=finest)
        else:
            part = part.aligned(finest)
        on_grid.append(part)
    warped = [part.name for part in on_grid if part.warped]
    if warped:
        notes += (f"coarser bands are resampled to the finest grid (bilinear): {', '.join(warped)}",)
    if options.bands is not None:
        picked = [index - 1 for index in select_bands(name, names, options.bands)]
        singles = [_one_band(part, i) for part in on_grid for i in range(len(part.bands))]
        on_grid, names = [singles[i] for i in picked], [names[i] for i in picked]
    return Stack(
        name=name,
        grid=finest,
        bands=tuple(names),
        date=options.date or date or on_grid[0].date,
        dtype=np.result_type(*(part.dtype for part in on_grid)).name,
        layers=tuple(on_grid),
        fills_missing=options.missing == "fill",
        path=path,
        notes=notes + tuple(dict.fromkeys(note for part in on_grid for note in part.notes)),
    )


def _one_band(part: RasterScene, at: int) -> RasterScene:
    if len(part.bands) == 1:
        return part
    if part.palette is not None:
        return replace(part, bands=part.bands[at : at + 1], palette=part.palette.take([at + 1]))
    pick = slice(at, at + 1)
    return replace(
        part,
        bands=part.bands[pick],
        indexes=part.indexes[pick],
        nodata=part.nodata[pick],
        scaling=None if part.scaling is None else part.scaling[pick],
        fills=None if part.fills is None else part.fills[pick],
    )


def open_raster(path: str, options: OpenOptions | None = None) -> RasterScene:
    """One file, or one page of it, as a scene; see `open_scene`."""
    options = options or OpenOptions()
    path, local = absolute(path)
    notes: list[str] = []
    with open_dataset(path) as dataset:
        if dataset.count == 0:
            parts = ", ".join(dataset.subdatasets[:8]) or "none"
            raise RasterError(f"{path} holds several images or none, expected one. Open one of its parts: {parts}")
        palette = None if LEGEND_TAG in dataset.tags() else palette_of(dataset)
        names = band_names(dataset)
        if palette is None:
            indexes, alpha = _select(dataset, path, names, options.bands, notes)
            bands = tuple(names[index - 1] for index in indexes)
        else:
            alpha, indexes = None, (1,)
            colours = ["red", "green", "blue"] if len(palette.channels) == 3 else names
            chosen = list(range(1, len(colours) + 1)) if options.bands is None else select_bands(path, colours, options.bands)
            palette, bands = palette.take(chosen), tuple(colours[index - 1] for index in chosen)
            notes.append("its palette is read as colours, as the indices in the file are in no order")
        dtypes = [np.dtype(dataset.dtypes[i - 1]) for i in indexes if "complex" not in dataset.dtypes[i - 1]]
        if len(dtypes) < len(indexes):
            raise RasterError(f"{path} holds complex numbers, expected real ones. Write their magnitude or intensity to a raster first.")
        name = PurePosixPath(path.split("?")[0].replace("\\", "/")).stem
        tags = {**dataset.tags(), **dataset.tags(ns="IMAGERY")}
        files = [stamp(part) for part in (dataset.files or [path] if local else [])]
        identity = [path, tags, dataset.profile, dataset.nodatavals, names, *files]
        scaling, encoding = _numbers(dataset, path, indexes, tags, options) if palette is None else (None, None)
        stored = np.result_type(*dtypes)
        grid, by_points = _place(dataset, notes)
        scene = RasterScene(
            path=path,
            name=name,
            grid=grid,
            bands=bands,
            date=options.date or date_from_name(name) or date_from_tags(tags),
            # Adjacent numbers of 16 bits stay apart in float32, wider ones need more.
            dtype=stored.name if scaling is None else ("float32" if stored.itemsize <= 2 or stored == np.float32 else "float64"),
            indexes=indexes,
            nodata=nodata_of(dataset, indexes, options.nodata, notes),
            source=hashlib.sha256(repr(identity).encode()).hexdigest(),
            warped=by_points,
            by_points=by_points,
            scaling=scaling,
            encoding=encoding,
            mask_band=alpha,
            palette=palette,
            notes=tuple(notes),
        )
        return scene if options.missing == "drop" else replace(scene, fills=_fills(dataset, scene))


def _select(
    dataset: Dataset, path: str, names: list[str], bands: Sequence[str | int] | None, notes: list[str]
) -> tuple[tuple[int, ...], int | None]:
    """Numbers of the bands asked for, all but a mask by default, and of the mask. An alpha band that is asked for is data."""
    if bands is not None:
        indexes = tuple(select_bands(path, names, bands))
        return indexes, None if tagged_alpha(dataset) in indexes else mask_band(dataset, names, [])
    alpha = mask_band(dataset, names, notes)
    indexes = tuple(i for i in range(1, len(names) + 1) if i != alpha)
    if not indexes:
        raise RasterError(f"{path} has only an alpha band, expected bands of data. Choose it with bands=[1] if it is data.")
    return indexes, alpha


def _numbers(
    dataset: Dataset, path: str, indexes: Sequence[int], tags: dict[str, str], options: OpenOptions
) -> tuple[tuple[tuple[float, float], ...] | None, str | None]:
    """Scale and offset of each band where they are to be applied, and what the numbers then mean."""
    whole = all(np.dtype(dataset.dtypes[index - 1]).kind != "f" for index in indexes)
    if not options.scale:
        return None, STORED if whole else None
    declared = scalings_of(dataset, indexes)
    product = product_scaling(path) if declared is None else None
    if product is not None:
        declared = (product,) * len(indexes)
    if declared is not None:
        return declared, SCALED
    return None, (baseline_encoding(path, tags) or STORED) if whole else None


def _place(dataset: Dataset, notes: list[str]) -> tuple[Grid, bool]:
    """Where a file lies, and whether ground control points say so."""
    transform = tuple(dataset.transform)[:6]
    # GDAL's way to say that there is no transform, and what programs make of it that let y grow upward.
    if transform not in ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)):
        return Grid(dataset.height, dataset.width, transform, crs_text(dataset.crs)), False
    points, crs = dataset.gcps
    if points and crs:
        try:
            with quiet(), WarpedVRT(dataset, crs=crs) as warped:
                grid = Grid(warped.height, warped.width, tuple(warped.transform)[:6], crs_text(crs))
        except (RasterioError, CPLE_BaseError, InputError) as exc:
            notes.append(f"its {len(points)} ground control points cannot place it ({one_line(exc)}): it is read without coordinates")
        else:
            notes.append(f"it is placed by {len(points)} ground control points and warped to a grid by them")
            return grid, True
    elif points:
        notes.append(
            f"its {len(points)} ground control points have no CRS: it is read without coordinates. Give them one with: gdal_edit.py -a_srs EPSG:n FILE"
        )
    elif dataset.rpcs:
        notes.append(
            "it is placed by a camera model (RPC), which needs the heights of the ground: it is read as it lies, without coordinates. "
            "Place it with: gdalwarp -rpc -to RPC_DEM=DEM.tif -t_srs EPSG:n FILE OUT.tif"
        )
    elif dataset.crs:
        notes.append(
            "it has a CRS and no transform, so its place is not known: it is read without coordinates. "
            "Set it with: rio edit-info --transform '[a, b, c, d, e, f]' FILE"
        )
    return Grid(dataset.height, dataset.width, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None), False


def _fills(dataset: Dataset, scene: RasterScene) -> tuple[float, ...]:
    """The median of what is valid of each band where it is looked at, in the units of `read`; 0 of a band without a valid pixel."""
    fills = []
    for sample, nodata in zip(look(dataset, scene.indexes), scene.nodata, strict=True):
        known = sample[np.abs(sample) < HUGE] if sample.dtype.kind == "f" else sample
        known = known if nodata is None else known[known != known.dtype.type(nodata)]
        fills.append(float(np.percentile(known, 50, method="nearest")) if known.size else 0.0)
    if scene.scaling is None:
        return tuple(fills)
    return tuple(fill * scale + offset for fill, (scale, offset) in zip(fills, scene.scaling, strict=True))


def _pages(path: str) -> tuple[list[str], bool]:
    """Names of the pages of a TIFF that has several, and whether they are of one size, as the bands of an image are."""
    with open_dataset(path) as dataset:
        pages = [name for name in dataset.subdatasets if name.startswith("GTIFF_DIR:")]
    shapes = set()
    for page in pages:
        with open_dataset(page) as dataset:
            shapes.add(dataset.shape)
    return pages, len(shapes) == 1


def tell_notes(scenes: Sequence[Scene]) -> None:
    """Log what was taken to be so of some scenes, each thing once."""
    told: dict[str, list[str]] = {}
    for scene in scenes:
        for note in getattr(scene, "notes", ()):
            told.setdefault(note, []).append(scene.name)
    for note, names in told.items():
        _log.warning("%s: %s", names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more", note)
