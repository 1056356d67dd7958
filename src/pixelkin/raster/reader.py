"""`RasterScene`: a file that GDAL reads, window by window, from any thread or process."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

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
from .bands import Palette
from .fills import HUGE


@dataclass(frozen=True)
class RasterScene:
    """One image in a file, opened when pixels are asked for; made by `open_scene`.

    Instances hold no open file, so they can be pickled and sent to another process that sees the same path.
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
    """Of what `read` returns, in numpy's words; the common type where bands differ, a float where values are scaled."""
    indexes: tuple[int, ...]
    """Numbers of the selected bands in the file, from 1."""
    nodata: tuple[float | None, ...]
    """No-data value of each selected band as it is stored, None where it has none that a finite pixel could have."""
    source: str
    """Identity of the file's content, from sizes and times of its files and its metadata; no pixel is read for it."""
    warped: bool = False
    """True where the file lies on another grid and is warped to `grid`."""
    resampling: Literal["bilinear", "nearest"] = "bilinear"
    """How it is warped; a palette always by the nearest pixel."""
    by_points: bool = False
    """True where ground control points place the file; `grid` is then the one that GDAL suggests."""
    scaling: tuple[tuple[float, float], ...] | None = None
    """(scale, offset) of each selected band, of value = scale * stored + offset; None where nothing is applied."""
    encoding: str | None = None
    """What the numbers mean, see `pixelkin.encoding`."""
    mask_band: int | None = None
    """Number of the band that masks the others."""
    palette: Palette | None = None
    """Colours of the one band's indices; `bands` are then channels of these."""
    fills: tuple[float, ...] | None = None
    """What stands where a band is missing and others are not; None where such a pixel is not valid."""
    notes: tuple[str, ...] = ()
    """What was taken to be so without the file saying it, a sentence each."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file's identity (path, size, time of change, metadata) and of how it is read."""
        how: tuple[object, ...] = (self.source, self.indexes, self.nodata, self.grid if self.warped else None)
        # What does nothing here is left out, so that what earlier versions kept of a file still counts.
        how += tuple(part for part in (self.scaling, self.palette, self.fills) if part is not None)
        how += (self.resampling,) if self.warped and self.resampling != "bilinear" else ()
        return hashlib.sha256(repr(how).encode()).hexdigest()

    def read(self, window: Window | None = None) -> Pixels:
        """Pixels of a window inside the image (default: all of it). Safe to call from several threads.

        A pixel is valid where every selected band differs from its no-data value and is finite (`fills`: where one does), and where
        mask and alpha bands of the file are not zero.

        Raises:
            RasterError: The window reaches past the image, or the file is damaged there.
        """
        data, valid = self.read_bands(window)
        if self.fills is None:
            return Pixels(data, np.logical_and.reduce(valid, axis=0))
        for band, there, fill in zip(data, valid, self.fills, strict=True):
            band[~there] = fill
        return Pixels(data, np.logical_or.reduce(valid, axis=0))

    def read_bands(self, window: Window | None = None) -> tuple[AnyArray, BoolArray]:
        """Like `read`, but validity is told for each band: both arrays are (band, row, col), and no band is filled."""
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

    def aligned(self, grid: Grid, *, resampling: Literal["bilinear", "nearest"] = "bilinear") -> RasterScene:
        """The same image warped to another grid (a palette always by the nearest pixel); pixels outside its footprint are not valid.

        Raises:
            RasterError: One of the grids has no CRS, or the file mixes kinds of no-data that a warp cannot keep apart.
        """
        if self.grid.crs is None or grid.crs is None:
            raise RasterError(
                f"{self.name} cannot be warped to the series' grid, because an image has no CRS. "
                "Set one with: rio edit-info --crs EPSG:n FILE"
            )
        if self.by_points:
            raise RasterError(
                f"{self.name} is placed by ground control points, and cannot be warped to another grid here. Warp it with gdalwarp first."
            )
        scene = replace(self, grid=grid, warped=True, resampling=resampling)
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
        alpha = self.mask_band
        kinds = set(self.nodata)
        masks = alpha is not None or not {MaskFlags.all_valid, MaskFlags.nodata}.issuperset(dataset.mask_flag_enums[0])
        if len(kinds) > 1 or (masks and kinds != {None}):
            raise RasterError(
                f"{self.name} cannot be warped here, because its bands have different no-data values, or it has both a no-data value "
                "and a mask. Warp it to the series' grid with gdalwarp first."
            )
        if alpha is None and ColorInterp.alpha in dataset.colorinterp:
            raise RasterError(
                f"{self.name} cannot be warped here, because a band of data is tagged alpha. "
                "Write it anew with: gdal_translate -colorinterp_4 undefined IN OUT"
            )
        nodata = self.nodata[0]
        try:
            return WarpedVRT(
                dataset,
                crs=CRS.from_user_input(self.grid.crs),
                # Of a transform that is given, rasterio takes the source to have one, too.
                **(
                    {}
                    if self.by_points
                    else {"transform": Affine(*self.grid.transform), "height": self.grid.height, "width": self.grid.width}
                ),
                resampling=Resampling.bilinear if self.palette is None and self.resampling == "bilinear" else Resampling.nearest,
                # Nearly exact (zero makes rasterio fail): the approximation depends on the window's extent, and a pixel must not.
                tolerance=1e-6,
                src_nodata=nodata,
                nodata=nodata,
                add_alpha=nodata is None and alpha is None,
            )
        except RasterioError as exc:
            raise RasterError(f"{self.path} cannot be warped to {self.grid}: {one_line(exc)}. Warp it with gdalwarp first.") from exc

    def _read_blocks(self, dataset: Dataset, window: Window) -> tuple[AnyArray, BoolArray]:
        """A window cut from whole blocks of a warped image.

        GDAL resamples the rim of what it warps at once in another way, so a pixel would depend on the window it was read with.
        """
        rows, cols = dataset.block_shapes[0]
        top, left = window.row // rows * rows, window.col // cols * cols
        bottom = min(math.ceil((window.row + window.height) / rows) * rows, self.grid.height)
        right = min(math.ceil((window.col + window.width) / cols) * cols, self.grid.width)
        data: AnyArray = np.empty((len(self.bands), bottom - top, right - left), self.dtype)
        valid: BoolArray = np.empty(data.shape, np.bool_)
        for row in range(top, bottom, rows):
            for col in range(left, right, cols):
                block = Window(row, col, min(rows, bottom - row), min(cols, right - col))
                place = Window(row - top, col - left, block.height, block.width).slices
                data[:, *place], valid[:, *place] = self._read_part(dataset, block)
        wanted = Window(window.row - top, window.col - left, window.height, window.width).slices
        return data[:, *wanted], valid[:, *wanted]

    def _read_part(self, dataset: Dataset, window: Window, shape: tuple[int, int] | None = None) -> tuple[AnyArray, BoolArray]:
        """A window, and where each band is valid; of fewer rows and columns where a shape is given, through the file's overviews."""
        part = RasterioWindow(window.col, window.row, window.width, window.height)
        shape = shape or (window.height, window.width)
        data = self._read_stored(dataset, part, shape)
        valid: BoolArray = np.empty(data.shape, np.bool_)
        valid[:] = self._file_mask(dataset, part, shape)
        flags = dataset.mask_flag_enums
        for band, index, there, nodata in zip(data, self.indexes, valid, self.nodata, strict=True):
            if not flags[index - 1]:  # a mask of this band alone
                there &= dataset.read_masks(index, window=part, out_shape=shape) != 0
            if nodata is not None:
                there &= band != band.dtype.type(nodata)
            if band.dtype.kind == "f":
                usable = np.abs(band) < HUGE  # NaN is not
                there &= usable
                band[~usable] = np.nan
        if self.palette is not None:
            data, opaque = self.palette.expand(data[0])
            valid = np.repeat(valid & opaque, len(data), axis=0)
        return self._scaled(data), valid

    def _read_stored(self, dataset: Dataset, part: RasterioWindow, shape: tuple[int, int]) -> AnyArray:
        types = {dataset.dtypes[index - 1] for index in self.indexes}
        if len(types) == 1:
            data: AnyArray = dataset.read(list(self.indexes), window=part, out_shape=(len(self.indexes), *shape))
            return data
        # rasterio reads bands of different types only one by one.
        return np.stack([dataset.read(index, window=part, out_shape=shape) for index in self.indexes], dtype=np.result_type(*types))

    def _scaled(self, stored: AnyArray) -> AnyArray:
        if self.scaling is None:
            return stored
        values: AnyArray = np.empty(stored.shape, self.dtype)
        for value, band, (scale, offset) in zip(values, stored, self.scaling, strict=True):
            # In float64, and rounded once: the same reflectance, stored in two ways, is the same number but for that rounding.
            value[:] = band * np.float64(scale) + offset
        return values

    def _file_mask(self, dataset: Dataset, part: RasterioWindow, shape: tuple[int, int]) -> BoolArray:
        """What mask and alpha bands say; no-data values are left to the caller, as GDAL ignores them where there is a mask."""
        valid: BoolArray = np.ones(shape, np.bool_)
        # Where nothing else tells, the warp adds a band that says which pixels it filled.
        added = dataset.count if self.warped and self.nodata[0] is None else None
        if (mask := self.mask_band or added) is not None:
            valid &= dataset.read(mask, window=part, out_shape=shape) != 0
        flags = dataset.mask_flag_enums
        for index in self.indexes:
            if MaskFlags.per_dataset in flags[index - 1] and MaskFlags.alpha not in flags[index - 1]:
                valid &= dataset.read_masks(index, window=part, out_shape=shape) != 0
                break
        return valid


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


def absolute(path: str) -> tuple[str, bool]:
    """A path that another working directory understands too, and whether it is on a local disk."""
    local = _is_local(path) or Path(path).exists()
    return (os.path.abspath(path) if local else path), local  # noqa: PTH100 - Path.absolute keeps '..', which names one file in two ways


def stamp(path: str) -> tuple[str, int, int]:
    """Path, size and time of change of a file; -1 where it cannot be asked."""
    try:
        stat = Path(path).stat()
    except OSError:
        return path, -1, -1
    return path, stat.st_size, stat.st_mtime_ns
