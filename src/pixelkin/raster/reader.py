"""`RasterScene`: a file that GDAL reads, window by window, from any thread or process."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from pixelkin.crs import same_crs
from pixelkin.errors import MissingFileError, RasterError
from pixelkin.scene import Pixels, inside
from pixelkin.types import AnyArray, BoolArray, Grid, Window

from ._gdal import Dataset, borrow, one_line, quiet
from .dates import date_from_name, date_from_tags


@dataclass(frozen=True)
class RasterScene:
    """One image in a file, opened when pixels are asked for; made by `open_scene`.

    Pixel values are those stored in the file; scale and offset of a band are not applied. Instances hold no open file, so they
    can be pickled and sent to another process that sees the same path.
    """

    path: str
    """Absolute path, or a name that GDAL knows, such as /vsizip/... or https://..."""
    name: str
    """File name without folder and extension."""
    grid: Grid
    bands: tuple[str, ...]
    """Names of the selected bands: their descriptions in the file, else 'band_1', ..."""
    date: dt.date | None
    dtype: str
    """Of what `read` returns, in numpy's words; the common type where bands differ."""
    indexes: tuple[int, ...]
    """Numbers of the selected bands in the file, from 1."""
    nodata: tuple[float | None, ...]
    """No-data value of each selected band, None where it has none that a finite pixel could have."""
    source: str
    """Identity of the file's content, from sizes and times of its files and its metadata; no pixel is read for it."""
    warped: bool = False
    """True where the file lies on another grid and is warped to `grid` (bilinear)."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file's identity (path, size, time of change, metadata) and of how it is read."""
        how = (self.source, self.indexes, self.nodata, self.grid if self.warped else None)
        return hashlib.sha256(repr(how).encode()).hexdigest()

    def read(self, window: Window | None = None) -> Pixels:
        """Pixels of a window inside the image (default: all of it). Safe to call from several threads.

        A pixel is valid where every selected band differs from its no-data value and is finite, and where mask and alpha bands
        of the file are not zero.

        Raises:
            RasterError: The window reaches past the image, or the file is damaged there.
        """
        window = inside(window, self.grid, self.name)
        dataset = borrow(self, self._open)
        try:
            if self.warped:
                return self._read_blocks(dataset, window)
            return self._read_part(dataset, window)
        except RasterioError as exc:
            raise RasterError(
                f"{self.path} cannot be read at rows {window.row} to {window.row + window.height - 1}, columns {window.col} to "
                f"{window.col + window.width - 1}: {one_line(exc)}. The file is damaged or cut short: copy or download it again."
            ) from exc

    def aligned(self, grid: Grid) -> RasterScene:
        """The same image warped (bilinear) to another grid; pixels outside its footprint are not valid.

        Raises:
            RasterError: One of the grids has no CRS, or the file mixes kinds of no-data that a warp cannot keep apart.
        """
        if self.grid.crs is None or grid.crs is None:
            raise RasterError(
                f"{self.name} cannot be warped to the series' grid, because an image has no CRS. "
                "Set one with: rio edit-info --crs EPSG:n FILE"
            )
        scene = replace(self, grid=grid, warped=True)
        borrow(scene, scene._open)
        return scene

    def _open(self) -> Dataset:
        dataset = open_dataset(self.path)
        if not self.warped:
            if (dataset.height, dataset.width) != self.grid.shape or dataset.count < max(self.indexes):
                raise RasterError(
                    f"{self.path} is not the file it was: its size or bands changed since it was opened. Open it again with open_scene."
                )
            return dataset
        alpha = _alpha_index(dataset)
        kinds = set(self.nodata)
        masks = alpha is not None or not {MaskFlags.all_valid, MaskFlags.nodata}.issuperset(dataset.mask_flag_enums[0])
        if len(kinds) > 1 or (masks and kinds != {None}) or (alpha is None and ColorInterp.alpha in dataset.colorinterp):
            raise RasterError(
                f"{self.name} cannot be warped here, because its bands have different no-data values, or it has both a no-data value "
                "and a mask. Warp it to the series' grid with gdalwarp first."
            )
        nodata = self.nodata[0]
        try:
            return WarpedVRT(
                dataset,
                crs=CRS.from_user_input(self.grid.crs),
                transform=Affine(*self.grid.transform),
                height=self.grid.height,
                width=self.grid.width,
                resampling=Resampling.bilinear,
                # Nearly exact (zero makes rasterio fail): the approximation depends on the window's extent, and a pixel must not.
                tolerance=1e-6,
                src_nodata=nodata,
                nodata=nodata,
                add_alpha=nodata is None and alpha is None,
            )
        except RasterioError as exc:
            raise RasterError(f"{self.path} cannot be warped to {self.grid}: {one_line(exc)}. Warp it with gdalwarp first.") from exc

    def _read_blocks(self, dataset: Dataset, window: Window) -> Pixels:
        """A window cut from whole blocks of a warped image.

        GDAL resamples the rim of what it warps at once in another way, so a pixel would depend on the window it was read with.
        """
        rows, cols = dataset.block_shapes[0]
        top, left = window.row // rows * rows, window.col // cols * cols
        bottom = min(math.ceil((window.row + window.height) / rows) * rows, self.grid.height)
        right = min(math.ceil((window.col + window.width) / cols) * cols, self.grid.width)
        data: AnyArray = np.empty((len(self.indexes), bottom - top, right - left), self.dtype)
        valid: BoolArray = np.empty(data.shape[1:], np.bool_)
        for row in range(top, bottom, rows):
            for col in range(left, right, cols):
                block = Window(row, col, min(rows, bottom - row), min(cols, right - col))
                place = Window(row - top, col - left, block.height, block.width).slices
                data[:, *place], valid[place] = self._read_part(dataset, block)
        wanted = Window(window.row - top, window.col - left, window.height, window.width).slices
        return Pixels(data[:, *wanted], valid[wanted])

    def _read_part(self, dataset: Dataset, window: Window, shape: tuple[int, int] | None = None) -> Pixels:
        """A window; of fewer rows and columns where a shape is given, through the file's overviews."""
        part = RasterioWindow(window.col, window.row, window.width, window.height)
        shape = shape or (window.height, window.width)
        data = self._read_bands(dataset, part, shape)
        valid = self._file_mask(dataset, part, shape)
        for band, nodata in zip(data, self.nodata, strict=True):
            if nodata is not None:
                valid &= band != band.dtype.type(nodata)
        if data.dtype.kind == "f":
            finite = np.isfinite(data)
            valid &= finite.all(axis=0)
            data[~finite] = np.nan
        return Pixels(data, valid)

    def _read_bands(self, dataset: Dataset, part: RasterioWindow, shape: tuple[int, int]) -> AnyArray:
        if len({dataset.dtypes[index - 1] for index in self.indexes}) == 1:
            data: AnyArray = dataset.read(list(self.indexes), window=part, out_shape=(len(self.indexes), *shape))
            return data
        # rasterio reads bands of different types only one by one.
        return np.stack([dataset.read(index, window=part, out_shape=shape) for index in self.indexes]).astype(self.dtype)

    def _file_mask(self, dataset: Dataset, part: RasterioWindow, shape: tuple[int, int]) -> BoolArray:
        """What mask and alpha bands say; no-data values are left to the caller, as GDAL ignores them where there is a mask."""
        valid: BoolArray = np.ones(shape, np.bool_)
        alpha = _alpha_index(dataset)
        if alpha is not None and alpha not in self.indexes:
            valid &= dataset.read(alpha, window=part, out_shape=shape) != 0
        flags = dataset.mask_flag_enums
        for index in self.indexes:
            band_flags = set(flags[index - 1])
            if MaskFlags.per_dataset in band_flags and MaskFlags.alpha not in band_flags:
                valid &= dataset.read_masks(index, window=part, out_shape=shape) != 0
                break
            if not band_flags:  # a mask of this band alone
                valid &= dataset.read_masks(index, window=part, out_shape=shape) != 0
        return valid


def open_raster(
    path: str, *, bands: Sequence[str | int] | None = None, nodata: float | None = None, date: dt.date | None = None
) -> RasterScene:
    """One file as a scene; see `open_scene`."""
    path, local = _absolute(path)
    with open_dataset(path) as dataset:
        if dataset.count == 0:
            parts = ", ".join(dataset.subdatasets[:8]) or "none"
            raise RasterError(f"{path} holds several images or none, expected one. Open one of its parts: {parts}")
        names = _band_names(dataset)
        indexes = _select(path, names, bands, _alpha_index(dataset))
        dtypes = [np.dtype(dataset.dtypes[i - 1]) for i in indexes if "complex" not in dataset.dtypes[i - 1]]
        if len(dtypes) < len(indexes):
            raise RasterError(f"{path} holds complex numbers, expected real ones. Write their magnitude or intensity to a raster first.")
        name = PurePosixPath(path.split("?")[0].replace("\\", "/")).stem
        tags = {**dataset.tags(), **dataset.tags(ns="IMAGERY")}
        identity = [
            path,
            tags,
            dataset.profile,
            dataset.nodatavals,
            names,
            *(_stamp(part) for part in (dataset.files or [path] if local else [])),
        ]
        return RasterScene(
            path=path,
            name=name,
            grid=Grid(dataset.height, dataset.width, tuple(dataset.transform)[:6], crs_text(dataset.crs)),
            bands=tuple(names[i - 1] for i in indexes),
            date=date or date_from_name(name) or date_from_tags(tags),
            dtype=np.result_type(*dtypes).name,
            indexes=indexes,
            nodata=tuple(_as_stored(dataset.nodatavals[i - 1] if nodata is None else nodata, dataset.dtypes[i - 1]) for i in indexes),
            source=hashlib.sha256(repr(identity).encode()).hexdigest(),
        )


def open_dataset(path: str, **options: int) -> Dataset:
    """A rasterio dataset; MissingFileError or RasterError where there is none. Options are GDAL's, such as overview_level."""
    if _is_local(path) and not Path(path).exists():
        raise MissingFileError(f"{path} does not exist, expected a raster file. Check the path.")
    try:
        with quiet():
            return rasterio.open(path, **options)
    except (RasterioError, OSError, ValueError) as exc:
        raise RasterError(f"{path} cannot be opened as a raster: {one_line(exc)}. Give a GeoTIFF or another file that GDAL reads.") from exc


def crs_text(crs: CRS | None) -> str | None:
    """'EPSG:n' where that code means exactly this CRS, else WKT; None where there is none."""
    if not crs:
        return None
    return _crs_text(str(crs.to_wkt()))


@lru_cache(maxsize=256)
def _crs_text(wkt: str) -> str:
    # Kept, since GDAL looks through all of EPSG for a CRS that is not in it.
    code = CRS.from_wkt(wkt).to_epsg()
    return f"EPSG:{code}" if code is not None and same_crs(f"EPSG:{code}", wkt) else wkt


def _is_local(path: str) -> bool:
    """False for names that only GDAL understands: URLs, /vsi..., DRIVER:..., XML text of a VRT."""
    return "://" not in path and not path.startswith(("/vsi", "<")) and ":" not in path[2:]


def _absolute(path: str) -> tuple[str, bool]:
    """A path that another working directory understands too, and whether it is on a local disk."""
    local = _is_local(path) or Path(path).exists()
    return (os.path.abspath(path) if local else path), local  # noqa: PTH100 - Path.absolute keeps '..', which names one file in two ways


def _stamp(path: str) -> tuple[str, int, int]:
    try:
        stat = Path(path).stat()
    except OSError:
        return path, -1, -1
    return path, stat.st_size, stat.st_mtime_ns


def _as_stored(nodata: float | None, dtype: str) -> float | None:
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


def _alpha_index(dataset: Dataset) -> int | None:
    """Number of the alpha band. GDAL marks the fourth of four uint8 bands as alpha by default; a description that says otherwise wins."""
    for index, (meaning, description) in enumerate(zip(dataset.colorinterp, dataset.descriptions, strict=True), 1):
        if meaning == ColorInterp.alpha and (description or "alpha").strip().lower() in ("", "a", "alpha", "mask"):
            return index
    return None


def _band_names(dataset: Dataset) -> list[str]:
    names: list[str] = []
    for index, description in enumerate(dataset.descriptions, 1):
        name = (description or "").strip()
        names.append(name if name and name not in names else f"band_{index}")
    return names


def _select(path: str, names: list[str], bands: Sequence[str | int] | None, alpha: int | None) -> tuple[int, ...]:
    """Numbers of the bands asked for; all but alpha by default. An alpha band that is asked for is data."""
    if bands is None:
        indexes = tuple(i for i in range(1, len(names) + 1) if i != alpha)
        if not indexes:
            raise RasterError(f"{path} has only an alpha band, expected bands of data. Choose it with bands=[1] if it is data.")
        return indexes
    return tuple(select_bands(path, names, bands))


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
