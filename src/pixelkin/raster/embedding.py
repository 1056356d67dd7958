"""Scenes of ready-made embeddings: a vector a pixel that somebody's network made of satellite imagery of a year.

AlphaEarth (Satellite Embedding): bands A00 to A63, int8, no-data -128, value sign(x) (x / 127.5)^2, unit length, files stored bottom-up.
TESSERA: 128 numbers, int8 times a scale for each pixel, or float32; as `geotessera` writes them (.npy, GeoTIFF, Zarr) and as `tessera-eval` keeps them (.npz).
generic: any other raster whose bands are the numbers of one vector; scale and offset that it declares are applied.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pixelkin.encoding import EMBEDDING
from pixelkin.errors import MissingFileError, RasterError
from pixelkin.scene import Pixels, Scene, inside
from pixelkin.types import AnyArray, BoolArray, Grid, Window

from .reader import RasterScene, crs_text, open_dataset, stamp

Kind = Literal["auto", "image", "alphaearth", "tessera", "generic"]
KINDS = ("auto", "image", "alphaearth", "tessera", "generic")

_ALPHAEARTH = tuple(f"A{i:02d}" for i in range(64))
_TESSERA = 128
_NUMBERED = re.compile(r"(?:emb|embedding|feature|feat|dim|z)[_ -]?\d+", re.IGNORECASE)
_YEAR = re.compile(r"(?<![\d.])(20[0-4]\d)(?![\d.])")
_ROWS = 16
"""Rows of an array that are put into our order at a time."""
_LANDMASKS = "global_0.1_degree_tiff_all"
"""Where `geotessera` puts the rasters whose grids its arrays are on."""
_SIDECAR = "tessera_metadata.json"
"""What `geotessera` writes of the arrays below it: version and variant."""
_FIRST_VARIANT = "vultr"
"""The one variant of version 1.0; files of before there were others do not name it."""

# Index x as uint8 gives the value of the int8 of the same bits, as the publisher writes it, in float64 and rounded once.
_SIGNED = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float64)
_DEQUANTISED = (np.sign(_SIGNED) * (_SIGNED / 127.5) ** 2).astype(np.float32)


@dataclass(frozen=True, eq=False)
class EmbeddingScene:
    """Vectors on a grid, north up; made by `open_scene`. A vector of zeros has no direction, and is no data."""

    source: Scene
    """Where the numbers are read."""
    product: str
    """'AlphaEarth', 'TESSERA' or 'generic'."""
    version: str | None
    date: dt.date | None
    """The first of January of the year that the embedding is of."""
    quantised: bool = False
    """True where numbers are AlphaEarth's int8."""
    bottom_up: bool = False
    """True where the first row of the source is the southernmost."""

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.name

    @property
    def bands(self) -> tuple[str, ...]:
        """The source's."""
        return self.source.bands

    @property
    def embedding_bands(self) -> tuple[str, ...]:
        """Bands that are the numbers of a vector: all."""
        return self.source.bands

    @property
    def path(self) -> str | None:
        """The source's file."""
        path: str | None = getattr(self.source, "path", None)
        return path

    @property
    def dtype(self) -> str:
        """Of what `read` returns."""
        return "float32"

    @property
    def encoding(self) -> str:
        """Product and version: vectors of two versions do not compare."""
        return f"{EMBEDDING}{self.product}" + (f" {self.version}" if self.version else "")

    @property
    def notes(self) -> tuple[str, ...]:
        """The source's."""
        return getattr(self.source, "notes", ())

    @property
    def grid(self) -> Grid:
        """Where the pixels lie, north up."""
        grid = self.source.grid
        if not self.bottom_up:
            return grid
        a, b, c, d, e, f = grid.transform
        return replace(grid, transform=(a, -b, c + b * grid.height, d, -e, f + e * grid.height))

    @property
    def fingerprint(self) -> str:
        """Follows from the source and how it is read."""
        how = (self.source.fingerprint, self.product, self.quantised, self.bottom_up)
        return hashlib.sha256(repr(how).encode()).hexdigest()

    def read(self, window: Window | None = None) -> Pixels:
        """Vectors of a window inside the image (default: all of it): (band, row, col) float32."""
        window = inside(window, self.grid, self.name)
        if self.bottom_up:
            window = replace(window, row=self.grid.height - window.row - window.height)
        data, valid = self.source.read(window)
        values = _DEQUANTISED[data.view(np.uint8)] if self.quantised else data.astype(np.float32, copy=False)
        known = valid & _any(values)
        if self.bottom_up:
            values, known = values[:, ::-1], known[::-1]
        return Pixels(np.ascontiguousarray(values), np.ascontiguousarray(known))

    def aligned(self, grid: Grid) -> EmbeddingScene:
        """The same vectors on another grid, each from the nearest pixel: between two vectors lies none that means anything.

        Raises:
            RasterError: A grid has no CRS, or the source is no raster that GDAL reads.
        """
        if not isinstance(self.source, RasterScene):
            raise RasterError(f"{self.name} cannot be warped to another grid, because it is an array. Write it as GeoTIFF first.")
        return replace(self, source=self.source.aligned(grid, resampling="nearest"), bottom_up=False)


def _any(values: AnyArray) -> BoolArray:
    """(row, col): whether a vector of (band, row, col) is more than zeros; a band at a time, without a copy of all."""
    found: BoolArray = np.zeros(values.shape[1:], np.bool_)
    for band in values:
        found |= band != 0
    return found


def as_embedding(scene: Scene, kind: str, tags: Mapping[str, Any]) -> Scene:
    """A scene as one of embeddings where `kind` says so, or 'auto' knows it by its bands and tags; else as it is.

    Raises:
        RasterError: It is not of the kind that was asked for, or a TESSERA array without its scales.
    """
    if kind == "image" or not isinstance(getattr(scene, "dtype", None), str):
        return scene
    dtype = np.dtype(scene.dtype)  # type: ignore[attr-defined]
    alphaearth = set(scene.bands) <= set(_ALPHAEARTH) and len(scene.bands) > 1
    tessera = "TESSERA_DATASET_VERSION" in tags or all(band.startswith("Tessera_Band_") for band in scene.bands)
    if kind == "alphaearth" and len(scene.bands) != 64 and not alphaearth:
        raise RasterError(f"{scene.name} has {len(scene.bands)} bands, expected the 64 of AlphaEarth. Open it with kind='generic'.")
    if kind == "alphaearth" or (kind == "auto" and alphaearth and (dtype == np.int8 or dtype.kind == "f")):
        if dtype == np.int8 and isinstance(scene, RasterScene):
            scene = replace(scene, nodata=(-128.0,) * len(scene.bands), notes=())
        return EmbeddingScene(
            scene, "AlphaEarth", _text(tags.get("VERSION")), year_of(scene, tags), dtype == np.int8, scene.grid.transform[4] > 0
        )
    if kind == "tessera" or (kind == "auto" and tessera):
        if dtype.kind != "f":
            raise RasterError(
                f"{scene.name} holds {dtype.name} numbers of TESSERA without a scale for each pixel, expected floats. "
                "Give the .npy file with its _scales.npy, or a GeoTIFF that geotessera exported."
            )
        version = tags.get("TESSERA_DATASET_VERSION") or str(tags.get("TESSERA_MODEL", "")).rpartition("/")[2]
        version = _tessera_version(version, tags.get("TESSERA_DATASET_VARIANT"))
        return EmbeddingScene(scene, "TESSERA", version, year_of(scene, tags), bottom_up=scene.grid.transform[4] > 0)
    if kind == "generic" or (kind == "auto" and len(scene.bands) >= 8 and all(map(_NUMBERED.fullmatch, scene.bands))):
        return EmbeddingScene(scene, "generic", None, year_of(scene, tags), bottom_up=scene.grid.transform[4] > 0)
    return scene


def year_of(scene: Scene, tags: Mapping[str, Any]) -> dt.date | None:
    """The first of January of the year in the tags or the name; numbers of tiles are no dates."""
    path = str(getattr(scene, "path", None) or scene.name)
    for text in (str(tags.get("TESSERA_YEAR", "")), scene.name, *(part for part in reversed(Path(path).parts[:-1]) if len(part) == 4)):
        if match := _YEAR.search(text):
            return dt.date(int(match[1]), 1, 1)
    return None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _tessera_version(version: Any, variant: Any) -> str | None:
    """Version and variant as one text; 'v1' and '1.0' are the same. Vectors of two variants of a version do not compare either."""
    if not version:
        return None
    number = str(version).removeprefix("v")
    number = number if "." in number else f"{number}.0"
    return number if variant in (None, "", _FIRST_VARIANT) else f"{number} {variant}"


def _version_beside(file: Path) -> str | None:
    """Version of an array by what `geotessera` writes above it, or by the folder that `tessera-eval` keeps it in."""
    for parent in file.parents:
        if match := re.fullmatch(r"tiles-v?(\d+(?:\.\d+)?)-(.+)", parent.name):
            return _tessera_version(match[1], match[2])
        try:
            told = json.loads((parent / _SIDECAR).read_text())
            return _tessera_version(told.get("dataset_version"), told.get("dataset_variant"))
        except (OSError, ValueError, AttributeError):
            continue
    return None


@dataclass(frozen=True)
class ArrayFile:
    """TESSERA in an .npy or .npz file: (row, col, 128), with the scales beside it; read a window at a time."""

    path: str
    name: str
    grid: Grid
    bands: tuple[str, ...]
    scales: str | None
    """File of the scales; None of floats, which need none, and of .npz, which holds them."""
    source: str
    """Identity of the files' content."""
    notes: tuple[str, ...] = ()
    date: dt.date | None = None
    dtype: str = "float32"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the files' identity."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @cached_property
    def _arrays(self) -> tuple[AnyArray, AnyArray | None]:
        return _load(self.path, self.scales)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_arrays"}

    def read(self, window: Window | None = None) -> Pixels:
        """Vectors of a window, (band, row, col) float32: the numbers times their scale, as `geotessera.dequantize_embedding` gives them."""
        rows, cols = inside(window, self.grid, self.name).slices
        numbers, scales = self._arrays
        height, width = rows.stop - rows.start, cols.stop - cols.start
        out = np.empty((len(self.bands), height, width), np.float32)
        # Some rows at a time: what lies between the file's order and ours is then small beside the vectors.
        for start in range(0, height, _ROWS):
            part = slice(rows.start + start, min(rows.start + start + _ROWS, rows.stop))
            values = _part(numbers, part, cols).astype(np.float32)
            if scales is not None:
                factor = _part(scales, part, cols)
                values *= factor[..., None] if factor.ndim == 2 else factor
            out[:, start : start + _ROWS] = values.transpose(2, 0, 1)
        valid: BoolArray = np.ones((height, width), np.bool_)
        for band in out:
            valid &= np.isfinite(band)
        return Pixels(out, valid)


def open_array_file(path: str) -> EmbeddingScene:
    """A TESSERA tile in an .npy or .npz file; its grid is that of the companion file that `geotessera` writes.

    Raises:
        MissingFileError: It is not there.
        RasterError: It is no tile of TESSERA, or its scales are not there.
    """
    file = Path(path).absolute()
    if not file.is_file():
        raise MissingFileError(f"{path} does not exist, expected an array of TESSERA. Check the path.")
    beside = file.with_name(f"{file.stem}_scales.npy")
    scales = str(beside) if file.suffix == ".npy" and beside.is_file() else None
    numbers, factors = _load(str(file), scales)
    if numbers.ndim != 3 or numbers.shape[2] != _TESSERA:
        raise RasterError(f"{path} has shape {numbers.shape}, expected (row, col, {_TESSERA}) of a TESSERA tile. Give another file.")
    if numbers.dtype.kind != "f" and factors is None:
        raise RasterError(
            f"{path} holds {numbers.dtype} numbers and {beside.name} is not beside it, expected a scale for each pixel. Download it again."
        )
    if factors is not None and factors.shape not in (numbers.shape[:2], numbers.shape):
        raise RasterError(f"the scales of {path} have shape {factors.shape}, expected {numbers.shape[:2]}. Download the tile again.")
    grid, notes = _grid_of(file, numbers.shape[:2])
    identity = [stamp(name) for name in (str(file), scales) if name]
    bands = tuple(f"Tessera_Band_{i}" for i in range(_TESSERA))
    scene = ArrayFile(str(file), file.stem, grid, bands, scales, repr((identity, grid)), notes)
    return EmbeddingScene(scene, "TESSERA", _version_beside(file), year_of(scene, {}))


def _load(path: str, scales: str | None) -> tuple[AnyArray, AnyArray | None]:
    try:
        if path.endswith(".npz"):
            with np.load(path, allow_pickle=False) as archive:
                return archive["q"], archive["scales"]
        numbers = np.load(path, mmap_mode="r", allow_pickle=False)
        return numbers, None if scales is None else np.load(scales, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError) as exc:
        raise RasterError(f"{path} cannot be read as an array of TESSERA ({exc}). Download it again.") from exc


def _part(array: AnyArray, rows: slice, cols: slice) -> AnyArray:
    """Some rows and columns of (row, col, ...), in memory."""
    if not isinstance(array, np.memmap) or not array.flags.c_contiguous:
        return np.asarray(array[rows, cols])
    # Read, not mapped: of a mapped file the system keeps far more in this process's memory than it is asked for.
    out: AnyArray = np.empty((rows.stop - rows.start, cols.stop - cols.start, *array.shape[2:]), array.dtype)
    with Path(str(array.filename)).open("rb") as file:
        for number, line in enumerate(out, rows.start):
            file.seek(array.offset + number * array.strides[0] + cols.start * array.strides[1])
            if file.readinto(line.data.cast("B")) != line.nbytes:
                raise RasterError(f"{array.filename} ends before row {number}, expected {array.shape[0]} rows. Download it again.")
    return out


def _grid_of(file: Path, shape: Sequence[int]) -> tuple[Grid, tuple[str, ...]]:
    height, width = shape
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as archive:
            if {"transform", "crs"} <= set(archive.files):
                from rasterio.crs import CRS

                transform = tuple(float(value) for value in archive["transform"])
                return Grid(height, width, transform, crs_text(CRS.from_user_input(str(archive["crs"])))), ()  # type: ignore[arg-type]
    name = _YEAR.sub("", file.stem).rstrip("_")
    places = [parent / _LANDMASKS for parent in file.parents] + [file.parent]
    for place in places:
        for suffix in (".tiff", ".tif"):
            companion = place / f"{name}{suffix}"
            if companion.is_file():
                with open_dataset(str(companion)) as dataset:
                    if dataset.shape == (height, width):
                        return Grid(height, width, tuple(dataset.transform)[:6], crs_text(dataset.crs)), ()
    note = f"{name}.tiff, whose grid it lies on, is not in a folder {_LANDMASKS} above it: it is read without coordinates"
    return Grid(height, width, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None), (note,)


def is_array_file(source: Any) -> bool:
    """True for names of arrays."""
    return isinstance(source, str | os.PathLike) and os.fspath(source).lower().endswith((".npy", ".npz"))
