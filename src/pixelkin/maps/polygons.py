"""A map as polygons: one a patch of pixels of the same class."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import rasterio
import shapely
from affine import Affine
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.features import shapes
from skimage.measure import label

from pixelkin.crs import transformer
from pixelkin.errors import InputError, OutputError
from pixelkin.segmentation import Segmentation
from pixelkin.types import AnyArray, Grid, IntArray, Legend

from ..files import replacing, require_suffix
from ..raster.reader import open_dataset
from ..silence import silenced
from .cells import SQUARE_METRES_PER_HECTARE, cell_areas

_AT_ONCE = 10_000
"""Polygons that are written together."""
_DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON"}


def polygonize(segmentation: Segmentation, *, min_pixels: int = 0, connectivity: Literal[4, 8] = 4) -> Any:
    """Outline every patch of pixels of one class.

    Pixels without data or left undecided lie in no polygon. Edges follow pixel edges, so rasterizing the polygons gives the map
    back, and `area_ha` is that of their pixels (see `pixelkin.maps.cell_areas`), so that sums agree with the area table.

    Args:
        segmentation: The map.
        min_pixels: Leave out patches of fewer pixels than this; they become gaps.
        connectivity: 4: pixels of a patch share edges. 8: touching corners are enough; a patch is then a multi-polygon where it
            hangs together by a corner only.

    Returns:
        A geopandas.GeoDataFrame in the map's CRS, in the order of the patches' first pixels, with class_id, class_name, color
        ('#rrggbb'), pixels, area_ha (NaN without a CRS) and geometry.

    Raises:
        InputError: connectivity is neither 4 nor 8.
        LabelError: The map has a class id that its legend has not.
    """
    if connectivity not in (4, 8):
        raise InputError(f"connectivity is {connectivity}, expected 4 (pixels share an edge) or 8 (or a corner).")
    grid = segmentation.grid
    classes = np.where(segmentation.valid, segmentation.classes, 0)
    # skimage is half typed: this function is not.
    patches = label(classes, background=0, connectivity=1 if connectivity == 4 else 2).astype(np.int32)  # type: ignore[no-untyped-call]
    pixels = np.bincount(patches.ravel())
    class_of = np.zeros(len(pixels), np.int64)
    class_of[patches.ravel()] = classes.ravel()

    kept = (pixels >= min_pixels) & (np.arange(len(pixels)) > 0)
    # Outlining patch numbers, not classes, ties each polygon to the pixels that it is made of.
    outlines = shapes(patches, mask=kept[patches], connectivity=connectivity, transform=Affine(*grid.transform))
    numbers, rings, rings_each = [], [], []
    for outline, number in outlines:
        numbers.append(int(number))
        rings_each.append(len(outline["coordinates"]))
        rings += outline["coordinates"]
    polygons = _polygons(rings, rings_each)
    order = np.argsort(numbers, kind="stable")
    ids = np.array(numbers, np.int64)[order]
    polygons = polygons[order]
    if connectivity == 8:
        # GDAL lets a ring touch itself at the shared corner, which the simple-features standard does not.
        polygons = shapely.make_valid(polygons)

    cells, _ = cell_areas(grid)
    if cells is None:
        hectares = np.full(len(pixels), np.nan)
    else:
        weights = np.broadcast_to(cells, grid.shape).ravel()
        hectares = np.bincount(patches.ravel(), weights=weights) / SQUARE_METRES_PER_HECTARE
    return _frame(polygons, class_of[ids], pixels[ids], hectares[ids], segmentation.legend, grid.crs)


def _frame(polygons: Any, class_ids: IntArray, pixels: AnyArray, hectares: AnyArray, legend: Legend, crs: str | None) -> Any:
    entries = [legend.by_id(int(class_id)) for class_id in class_ids]
    return geopandas.GeoDataFrame(
        {
            "class_id": class_ids.astype(np.int32),
            "class_name": np.array([entry.name for entry in entries], object),
            "color": np.array(["#{:02x}{:02x}{:02x}".format(*entry.color) for entry in entries], object),
            "pixels": pixels.astype(np.int64),
            "area_ha": hectares,
        },
        geometry=polygons,
        crs=crs,
    )


def _polygons(rings: list[list[tuple[float, float]]], rings_each: list[int]) -> Any:
    """An array of polygons from the rings of all of them and how many each has: one call, not one a polygon."""
    if not rings:
        return np.empty(0, object)
    ring_offsets = np.cumsum([0, *(len(ring) for ring in rings)])
    coordinates = np.array([point for ring in rings for point in ring], np.float64)
    return shapely.from_ragged_array(shapely.GeometryType.POLYGON, coordinates, (ring_offsets, np.cumsum([0, *rings_each])))


def write_polygons(
    segmentation: Segmentation,
    path: str | Path,
    *,
    overwrite: bool = False,
    min_pixels: int = 0,
    connectivity: Literal[4, 8] = 4,
) -> Path:
    """Write the polygons of a map as GeoPackage (.gpkg) or GeoJSON (.geojson, .json).

    A GeoPackage keeps the map's CRS; GeoJSON is in WGS 84, as its standard (RFC 7946) asks.

    Args:
        segmentation: The map.
        path: File to write.
        overwrite: Replace a file that is there.
        min_pixels: See `polygonize`.
        connectivity: See `polygonize`.

    Returns:
        The path written.

    Raises:
        OutputError: Another suffix or none; GeoJSON of a map without CRS; the file is there and overwrite is False; the disk refuses it.
    """
    path = polygon_target(path, segmentation.grid)
    driver = _DRIVERS[path.suffix.lower()]
    with replacing(path, overwrite=overwrite) as temporary:
        frame = polygonize(segmentation, min_pixels=min_pixels, connectivity=connectivity)
        _write(frame.to_crs("EPSG:4326") if driver == "GeoJSON" else frame, temporary, path, driver)
    return path


def polygon_target(path: str | Path, grid: Grid) -> Path:
    """The path, where polygons of a map on this grid can be written to it; else OutputError."""
    path = require_suffix(Path(path), tuple(_DRIVERS), "polygons")
    if _DRIVERS[path.suffix.lower()] == "GeoJSON" and (grid.crs is None or transformer(grid.crs, "EPSG:4326") is None):
        why = "the map has no CRS" if grid.crs is None else f"no transformation leads there from the map's CRS, {grid.crs}"
        raise OutputError(f"{path.name} cannot be GeoJSON, which is always WGS 84: {why}. Write a .gpkg file instead.")
    return path


def write_polygons_of(
    source: str | Path,
    grid: Grid,
    legend: Legend,
    path: str | Path,
    *,
    overwrite: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> Path:
    """Write the polygons of a map that is in a file, as GeoPackage or GeoJSON: those of `write_polygons`, without the map in memory.

    What is held are the outlines. They come in the order in which they close, some thousand at a time.

    Args:
        source: Raster of class ids, 0 = none, on the grid.
        grid: The map's grid. Where pixels of a row differ in area, as in a rotated grid in degrees, the map is held in memory after all.
        legend: The map's classes.
        path: File to write; see `write_polygons`.
        overwrite: Replace a file that is there.
        progress: Called now and then; may raise to end it.

    Returns:
        The path written.

    Raises:
        OutputError: As `write_polygons`.
        LabelError: The map has a class id that its legend has not.
    """
    path = polygon_target(path, grid)
    driver = _DRIVERS[path.suffix.lower()]
    cells, _ = cell_areas(grid)
    # Hectares of one pixel of each row from the top, summed: in these coordinates the area of a polygon is that of its pixels.
    down = None if cells is None else np.append(0, np.broadcast_to(cells[:, 0], grid.height).cumsum()) / SQUARE_METRES_PER_HECTARE
    inverse = ~Affine(*grid.transform)

    def frame_of(part: list[Any]) -> Any:
        rings = [ring for outline, _ in part for ring in outline["coordinates"]]
        polygons = _polygons(rings, [len(outline["coordinates"]) for outline, _ in part])

        def to_pixels(x: Any, y: Any) -> tuple[Any, Any]:
            cols, rows = inverse @ (x, y)
            return np.rint(cols), np.rint(rows)

        def to_hectares(cols: Any, rows: Any) -> tuple[Any, Any]:
            assert down is not None
            return cols, down[rows.astype(np.int64)]

        in_pixels = shapely.transform(polygons, to_pixels, interleaved=False)
        hectares = (
            np.full(len(part), np.nan) if down is None else shapely.area(shapely.transform(in_pixels, to_hectares, interleaved=False))
        )
        return _frame(polygons, np.array([value for _, value in part], np.int64), shapely.area(in_pixels), hectares, legend, grid.crs)

    with replacing(path, overwrite=overwrite) as temporary, open_dataset(str(source)) as dataset:
        progress()
        if cells is not None and cells.shape[1] > 1:
            classes = dataset.read(1)
            whole = Segmentation(classes, np.zeros(classes.shape, np.float32), classes > 0, legend, grid)
            frame = polygonize(whole)
            _write(frame.to_crs("EPSG:4326") if driver == "GeoJSON" else frame, temporary, path, driver)
            return path
        band = rasterio.band(dataset, 1)
        outlines = shapes(band, mask=band, connectivity=4)
        if driver == "GeoJSON":
            # GDAL would read a GeoJSON file again for each part that it adds.
            frames = [frame_of(part) for part in iter(lambda: list(islice(outlines, _AT_ONCE)), [])] or [frame_of([])]
            _write(pd.concat(frames, ignore_index=True).to_crs("EPSG:4326"), temporary, path, driver)
            return path
        part = list(islice(outlines, _AT_ONCE))
        _write(frame_of(part), temporary, path, driver)
        while part := list(islice(outlines, _AT_ONCE)):
            progress()
            _write(frame_of(part), temporary, path, driver, append=True)
    return path


def _write(frame: Any, temporary: Path, path: Path, driver: str, *, append: bool = False) -> None:
    # A map without CRS gives a layer without CRS: that is what was asked for.
    with silenced(UserWarning, "'crs' was not provided"):
        try:
            pyogrio.write_dataframe(
                frame, temporary, driver=driver, layer=path.stem, geometry_type="MultiPolygon", promote_to_multi=True, append=append
            )
        except (DataSourceError, DataLayerError) as error:
            raise OutputError(f"{path} cannot be written: {error}. Check free space and permissions of {path.parent}.") from error
