"""Maps as xarray objects, whole or lazily, with their georeference where rioxarray and GDAL look for it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from rasterio.crs import CRS

from pixelkin.errors import InputError, MissingExtraError
from pixelkin.scene import Scene
from pixelkin.segmentation import Segmentation
from pixelkin.types import AnyArray, Grid, Window

try:
    import xarray as xr
except ImportError as exc:
    raise MissingExtraError("xarray", extra="scale", purpose="an xarray object") from exc


def to_xarray(segmentation: Segmentation) -> xr.Dataset:
    """A map as a Dataset: `classes` with CF flag attributes, `confidence` with NaN where the image had no data."""
    grid = segmentation.grid
    classes = np.where(segmentation.valid, segmentation.classes, np.uint8(0))
    confidence = np.where(segmentation.valid, segmentation.confidence, np.float32(np.nan))
    return _dataset(classes, confidence, segmentation, grid)


def segment_lazily(scene: Scene, segmenter: Any, *, tile: int = 1024) -> xr.Dataset:
    """The map of an image as a dask-backed Dataset: nothing is read or computed before its values are asked for.

    Args:
        scene: Image of any size.
        segmenter: Fitted Segmenter; what it has learned later does not count.
        tile: Side of the result's chunks in pixels, a multiple of 256. The values do not depend on it.

    Returns:
        `classes` uint8 and `confidence` float32 over (y, x), as `to_xarray` gives them.
    """
    import dask.array as da
    from dask.delayed import delayed

    from pixelkin.features import BLOCK

    if tile < BLOCK or tile % BLOCK:
        raise InputError(f"tile is {tile} pixels, expected a multiple of {BLOCK}. Use {max(1, round(tile / BLOCK)) * BLOCK}.")
    grid = scene.grid
    replica = segmenter.replica(cache_bytes=0)
    provenance = segmenter.provenance(scene)
    token = hashlib.sha256(repr((scene.fingerprint, sorted(provenance.items()), tile)).encode()).hexdigest()[:16]
    held = delayed((scene, replica), name=f"pixelkin-kernel-{token}", traverse=False)
    rows = []
    for row in range(0, grid.height, tile):
        line = []
        for col in range(0, grid.width, tile):
            window = Window(row, col, min(tile, grid.height - row), min(tile, grid.width - col))
            both = delayed(_both)(held, window, dask_key_name=f"pixelkin-tile-{token}-{row}-{col}")
            line.append(da.from_delayed(both, (2, window.height, window.width), np.float32, name=f"pixelkin-map-{token}-{row}-{col}"))
        rows.append(da.concatenate(line, axis=2))
    layers = da.concatenate(rows, axis=1)
    empty = Segmentation(
        np.empty((0, 0), np.uint8), np.empty((0, 0), np.float32), np.empty((0, 0), np.bool_), segmenter.references.legend, grid, provenance
    )
    return _dataset(layers[0].astype(np.uint8), layers[1], empty, grid)


def _both(held: tuple[Scene, Any], window: Window) -> AnyArray:
    scene, segmenter = held
    found = segmenter.predict(scene, window)
    # uint8 ids are exact in float32, so one array carries both.
    return np.stack([np.where(found.valid, found.classes, 0), np.where(found.valid, found.confidence, np.nan)]).astype(np.float32)


def _dataset(classes: Any, confidence: Any, segmentation: Segmentation, grid: Grid) -> xr.Dataset:
    legend = segmentation.legend
    flags = {
        "flag_values": np.array(legend.ids, np.uint8),
        "flag_meanings": " ".join(name.replace(" ", "_") for name in legend.names),
        "flag_colors": " ".join("#{:02x}{:02x}{:02x}".format(*entry.color) for entry in legend),
        "grid_mapping": "spatial_ref",
    }
    a, b, _, d, _, _ = grid.transform
    coordinates: dict[str, Any] = {}
    if b == 0 and d == 0:
        coordinates["x"] = ("x", np.array([grid.xy(0, col)[0] for col in range(grid.width)]))
        coordinates["y"] = ("y", np.array([grid.xy(row, 0)[1] for row in range(grid.height)]))
    reference: dict[str, Any] = {
        "GeoTransform": " ".join(repr(float(v)) for v in (grid.transform[2], a, b, grid.transform[5], d, grid.transform[4]))
    }
    if grid.crs is not None:
        reference |= {"crs_wkt": CRS.from_user_input(grid.crs).to_wkt(), "spatial_ref": CRS.from_user_input(grid.crs).to_wkt()}
    coordinates["spatial_ref"] = ((), 0, reference)
    return xr.Dataset(
        {
            "classes": (("y", "x"), classes, {**flags, "_FillValue": 0}),
            "confidence": (("y", "x"), confidence, {"grid_mapping": "spatial_ref"}),
        },
        coords=coordinates,
        attrs={f"pixelkin_{key}": value for key, value in segmentation.provenance.items()},
    )
