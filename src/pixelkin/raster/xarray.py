"""xarray objects as images; nothing is loaded before a window is asked for.

The coordinate reference system and the affine transform are read where rioxarray and GDAL look for them: a scalar
coordinate `spatial_ref` (or the one that `grid_mapping` names) with `crs_wkt`, and regular `x` and `y` coordinates of pixel centres.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import CRSError

from pixelkin.encoding import SCALED, STORED
from pixelkin.errors import MissingExtraError, RasterError
from pixelkin.scene import Pixels, Scene, Series
from pixelkin.types import AnyArray, BoolArray, Grid, Window

from .bands import select_bands
from .fills import HUGE
from .reader import crs_text

try:
    import xarray as xr
except ImportError as exc:
    raise MissingExtraError("xarray", extra="scale", purpose="an xarray object") from exc

_ROWS = ("y", "latitude", "lat", "northing")
_COLS = ("x", "longitude", "lon", "easting")
_TIMES = ("time", "t", "date")
_BANDS = ("band", "bands", "channel", "wavelength")


@dataclass(frozen=True, eq=False)
class XarrayScene:
    """One image in a DataArray of dimensions (band, row, col), whatever they are called; made by `open_xarray`."""

    array: xr.DataArray
    """(band, row, col); numpy- or dask-backed."""
    name: str
    grid: Grid
    bands: tuple[str, ...]
    date: dt.date | None
    nodata: float | None = None
    valid: xr.DataArray | None = None
    """(row, col), True = usable, beside no-data and NaN; None = all."""
    scaling: tuple[tuple[float, float], ...] | None = None
    """(scale, offset) of each band, of value = scale * stored + offset; None where nothing is applied."""
    encoding: str | None = None
    """What the numbers mean, see `pixelkin.encoding`."""

    @property
    def dtype(self) -> str:
        """Of what `read` returns."""
        if self.scaling is None:
            return str(self.array.dtype)
        return "float32" if self.array.dtype.itemsize <= 2 or self.array.dtype == np.float32 else "float64"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the pixels where they are in memory, else of the recipe (the dask graph) by which they will be read."""
        parts = [self.array] if self.valid is None else [self.array, self.valid]
        how: tuple[object, ...] = (self.bands, self.grid, self.nodata)
        digest = hashlib.sha256(repr(how if self.scaling is None else (*how, self.scaling)).encode())
        for part in parts:
            digest.update(_identity(part).encode())
        return digest.hexdigest()

    def read(self, window: Window | None = None) -> Pixels:
        """Pixels of a window inside the image (default: all of it); computes what is dask-backed."""
        rows, cols = (window or self.grid.window).slices
        data = _values(self.array[:, rows, cols])
        if self.array.dtype.kind == "f":
            valid: BoolArray = np.asarray((np.abs(data) < HUGE).all(axis=0))  # NaN is not
        else:
            valid = np.ones(data.shape[1:], np.bool_)
        if self.nodata is not None:
            valid &= (data != data.dtype.type(self.nodata)).all(axis=0)
        if self.valid is not None:
            valid &= _values(self.valid[rows, cols]).astype(np.bool_)
        if self.scaling is None:
            return Pixels(data, valid)
        values: AnyArray = np.empty(data.shape, self.dtype)
        for value, band, (scale, offset) in zip(values, data, self.scaling, strict=True):
            value[:] = band * np.float64(scale) + offset
        return Pixels(values, valid)


def open_xarray(
    source: xr.DataArray | xr.Dataset,
    *,
    bands: Sequence[str | int] | None = None,
    nodata: float | str | None = None,
    valid: xr.DataArray | None = None,
    name: str | None = None,
    crs: str | None = None,
    scale: bool = True,
) -> Scene | Series:
    """An xarray object as a scene, or with a time dimension as a series.

    Args:
        source: A DataArray with dimensions for rows and columns (y and x, lat and lon, ...), and optionally bands and time; or a Dataset
            whose variables over rows and columns are the bands.
        bands: Names or numbers, from 1, of the bands to use.
        nodata: No-data value; default the one in `_FillValue`, `missing_value` or `nodata`; 'none' where every number is data.
        valid: True where usable, with the rows, columns and times of `source`; a cloud mask, for one.
        name: Name of the scene; default the object's own.
        crs: Coordinate reference system where the object has none, 'EPSG:n' or WKT.
        scale: Apply `scale_factor` and `add_offset` where they stand in the attributes. Where xarray has applied them, they stand in
            `encoding`, and are left alone.

    Raises:
        RasterError: Dimensions are missing or unknown, or coordinates are not regular.
    """
    grid = _grid(source, crs)
    array = _as_array(source)
    names = _names(array)
    scaling = _scaling(source, array, len(names)) if scale else None
    if bands is not None:
        picked = [index - 1 for index in select_bands(name or str(array.name or "the array"), names, bands)]
        array, names = array.isel({_dim(array, _BANDS) or "band": picked}), [names[i] for i in picked]
        scaling = None if scaling is None else tuple(scaling[i] for i in picked)
    if nodata is None:
        nodata = _nodata(source, array)
    elif isinstance(nodata, str):
        nodata = None
    encoding = SCALED if scaling is not None else (STORED if array.dtype.kind in "iu" else None)
    label = name or str(array.name or "array")
    row, col, time = _require(array, _ROWS), _require(array, _COLS), _dim(array, _TIMES)
    band = _dim(array, _BANDS)
    assert band is not None
    if time is None:
        when = next((array.coords[key] for key in _TIMES if key in array.coords and array.coords[key].ndim == 0), None)
        mask = None if valid is None else valid.transpose(row, col)
        return XarrayScene(
            array.transpose(band, row, col),
            label,
            grid,
            tuple(names),
            None if when is None else _day(when),
            nodata,
            mask,
            scaling,
            encoding,
        )
    scenes = []
    for index in range(array.sizes[time]):
        one = array.isel({time: index})
        day = _day(one.coords[time])
        mask = None if valid is None else valid.isel({time: index}).transpose(row, col)
        scenes.append(XarrayScene(one.transpose(band, row, col), day.isoformat(), grid, tuple(names), day, nodata, mask, scaling, encoding))
    return Series(tuple(scenes))


def open_zarr(
    store: Any,
    *,
    group: str | None = None,
    bands: Sequence[str | int] | None = None,
    nodata: float | str | None = None,
    scale: bool = True,
    storage_options: dict[str, Any] | None = None,
) -> Scene | Series:
    """An image in a Zarr store (version 2 or 3), lazily; see `open_xarray`.

    Args:
        store: A folder, a URL such as 's3://bucket/image.zarr' (read with fsspec), or a Zarr store object such as obstore's.
        group: Group inside the store.
        bands: As in `open_xarray`.
        nodata: As in `open_xarray`.
        scale: As in `open_xarray`.
        storage_options: For fsspec: credentials, endpoint.

    Raises:
        RasterError: There is no Zarr store, or no image in it.
    """
    try:
        # Stored numbers and their no-data value, not floats: what a GeoTIFF of the same image would give.
        dataset = xr.open_zarr(
            store, group=group, mask_and_scale=False, decode_coords="all", storage_options=storage_options, consolidated=False
        )
    except (OSError, KeyError, ValueError) as exc:
        raise RasterError(f"{store} cannot be read as Zarr ({exc}). Check the path and the group.") from exc
    name = (
        str(store).rstrip("/").rsplit("/", 1)[-1].removesuffix(".zarr")
        if isinstance(store, str) or hasattr(store, "__fspath__")
        else "zarr"
    )
    return open_xarray(dataset, bands=bands, nodata=nodata, name=name, scale=scale)


def zarr_attributes(store: str) -> dict[str, Any]:
    """What is said of a Zarr store as a whole."""
    return dict(xr.open_zarr(store, mask_and_scale=False, consolidated=False).attrs)


def _as_array(source: xr.DataArray | xr.Dataset) -> xr.DataArray:
    """Bands, rows and columns in one DataArray."""
    if isinstance(source, xr.Dataset):
        layers = {str(key): value for key, value in source.data_vars.items() if _dim(value, _ROWS) and _dim(value, _COLS)}
        if not layers:
            raise RasterError(
                f"the Dataset has variables {list(source.data_vars)}, expected one over rows and columns. Give one with y and x."
            )
        if len(layers) == 1 and _dim(next(iter(layers.values())), _BANDS):
            return next(iter(layers.values()))
        if {"embeddings", "scales"} <= set(layers):
            raise RasterError(
                "the Zarr store is one of TESSERA over a whole zone, expected a tile or a region. Write yours as GeoTIFF with: geotessera download --source zarr"
            )
        if len({value.dims for value in layers.values()}) > 1:
            dims = ", ".join(f"{key} {tuple(map(str, value.dims))}" for key, value in layers.items())
            raise RasterError(f"the variables have the dimensions {dims}, expected the same for all. Give one of them as a DataArray.")
        return xr.concat(
            list(layers.values()),
            dim=xr.Variable("band", list(layers)),
            coords="minimal",
            compat="override",
            combine_attrs="drop_conflicts",
        )
    return source if _dim(source, _BANDS) else source.expand_dims("band")


def _names(array: xr.DataArray) -> list[str]:
    band = _dim(array, _BANDS)
    assert band is not None
    if "long_name" in array.attrs and len(np.atleast_1d(array.attrs["long_name"])) == array.sizes[band]:
        return [str(name) for name in np.atleast_1d(array.attrs["long_name"])]
    if band in array.coords and array.coords[band].dtype.kind in "UOST":
        return [str(name) for name in array.coords[band].values]
    return [f"band_{i + 1}" for i in range(array.sizes[band])]


def _scaling(source: xr.DataArray | xr.Dataset, array: xr.DataArray, count: int) -> tuple[tuple[float, float], ...] | None:
    """Scale and offset of each band, from the attributes of CF; None where there are none."""
    layers = [array]
    if isinstance(source, xr.Dataset):
        several = [value for value in source.data_vars.values() if _dim(value, _ROWS) and _dim(value, _COLS)]
        layers = several if len(several) == count else layers

    def pairs(layer: xr.DataArray) -> list[tuple[float, float]]:
        scales, offsets = (np.atleast_1d(layer.attrs.get(key, default)) for key, default in (("scale_factor", 1.0), ("add_offset", 0.0)))
        both = np.broadcast_arrays(scales, offsets, np.zeros(count if len(layers) == 1 else 1))
        return [(float(a), float(b)) for a, b in zip(both[0], both[1], strict=True)]

    found = tuple(pair for layer in layers for pair in pairs(layer))
    return None if all(pair == (1.0, 0.0) for pair in found) else found


def _dim(array: xr.DataArray, names: tuple[str, ...]) -> str | None:
    return next((str(dim) for dim in array.dims if str(dim).lower() in names), None)


def _require(array: xr.DataArray, names: tuple[str, ...]) -> str:
    dim = _dim(array, names)
    if dim is None:
        raise RasterError(
            f"the array has dimensions {list(array.dims)}, expected one of {list(names)}. Rename them with array.rename(...)."
        )
    return dim


def _grid(source: xr.DataArray | xr.Dataset, crs: str | None) -> Grid:
    array = (
        source
        if isinstance(source, xr.DataArray)
        else next((v for v in source.data_vars.values() if _dim(v, _ROWS) and _dim(v, _COLS)), None)
    )
    if array is None:
        raise RasterError(f"the Dataset has variables {list(source)}, expected one over rows and columns. Give one with y and x.")
    row, col = _require(array, _ROWS), _require(array, _COLS)
    height, width = array.sizes[row], array.sizes[col]
    e, f = _axis(array, row, height)
    a, c = _axis(array, col, width)
    return Grid(height, width, (a, 0.0, c, 0.0, e, f), crs or _crs(source, array))


def _axis(array: xr.DataArray, dim: str, size: int) -> tuple[float, float]:
    """Step, and outer edge of the first pixel; row and column numbers where there are no coordinates."""
    if dim not in array.coords:
        return 1.0, 0.0
    centres = np.asarray(array.coords[dim].values, np.float64)
    step = (centres[-1] - centres[0]) / (size - 1) if size > 1 else 1.0
    if step == 0 or np.abs(np.diff(centres) - step).max(initial=0) > 1e-3 * abs(step):
        raise RasterError(f"coordinate {dim!r} is not regular, expected equal steps. Resample the array to a regular grid first.")
    return float(step), float(centres[0] - step / 2)


def _crs(source: xr.DataArray | xr.Dataset, array: xr.DataArray) -> str | None:
    name = str(array.attrs.get("grid_mapping", array.encoding.get("grid_mapping", "spatial_ref")))
    places = [source.coords.get(name), source.attrs, array.attrs]
    for place in places:
        attributes = {} if place is None else getattr(place, "attrs", place)
        for key in ("crs_wkt", "spatial_ref", "crs", "proj:code"):
            try:
                if key in attributes:
                    return crs_text(CRS.from_user_input(str(attributes[key])))
            except CRSError:
                continue
    return None


def _nodata(source: xr.DataArray | xr.Dataset, array: xr.DataArray) -> float | None:
    layers = [array, *(source.data_vars.values() if isinstance(source, xr.Dataset) else [])]
    for layer in layers:
        for key in ("_FillValue", "missing_value", "nodata"):
            value = layer.attrs.get(key, layer.encoding.get(key))
            if value is not None and np.isfinite(float(np.atleast_1d(value)[0])):
                return float(np.atleast_1d(value)[0])
    return None


def _day(value: xr.DataArray) -> dt.date:
    day: dt.date = np.asarray(value.values).astype("datetime64[D]").item()
    return day


def _values(array: xr.DataArray) -> AnyArray:
    if array.chunks is None:
        return np.asarray(array.values)
    return np.asarray(array.data.compute(scheduler="synchronous"))


def _identity(array: xr.DataArray) -> str:
    if array.chunks is None:
        return hashlib.sha256(np.ascontiguousarray(array.values).tobytes()).hexdigest()
    return str(array.data.name) + repr(array.chunks) + _sources(array)


def _sources(array: xr.DataArray) -> str:
    """Sizes and times of the files of a local Zarr store, whose graph has the same name when they change."""
    from pathlib import Path

    source = array.encoding.get("source")
    if not source or not Path(source).exists():
        return ""
    return repr(sorted((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in Path(source).rglob("*") if file.is_file()))
