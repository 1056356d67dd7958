"""What a user lays over the images while deciding: vectors and rasters of their own, and addresses of background maps.

They are kept in the project folder under `overlays/` and have no say in any map. A vector is placed by its CRS and cut to the image; a raster is warped to the
image's grid, nearest neighbour. The server itself fetches nothing: an address is for browsers, and these ask it only where their user says so.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import shapely
from cachetools import LRUCache
from PIL import Image

from ..errors import InputError, LabelError
from ..features.blocks import spread_blocks
from ..scene import Scene
from ..types import AnyArray, Grid, UInt8Array, Window, default_color
from .errors import NoSuchItemError
from .ownfiles import require_own_data
from .pictures import TILE, png, tile_window
from .project import Project, write_json
from .transfer import geojson

Kind = Literal["vector", "raster", "address"]
RASTERS = (".tif", ".tiff")
VECTORS = (".geojson", ".json", ".gpkg", ".fgb", ".kml", ".zip")
MOST_OVERLAYS = 50
_MOST_VERTICES = 200_000
"""Of a vector on one image: what a browser still draws at once."""
_MOST_CLASSES = 32
"""Different whole numbers up to which a raster of one band is taken for a map of classes."""
_LONGEST = 2000
_LARGEST = 1 << 30
_SHAPEFILE = (".shp", ".shx", ".dbf", ".prj", ".cpg")


@dataclass(frozen=True)
class Overlay:
    """One of them."""

    id: str
    name: str
    kind: Kind
    source: str
    """File in the folder, or the address with {z}, {x}, {y} or {bbox} in it."""


class Overlays:
    """Those of a project. All methods may be called from any thread."""

    def __init__(self, project: Project, tell: Callable[[], None]) -> None:
        """Read the list.

        Args:
            project: Open project.
            tell: Called when the list changes.
        """
        self._project, self._tell = project, tell
        self._folder = project.folder / "overlays"
        self._lock = threading.Lock()
        self._styles: LRUCache[str, _Style] = LRUCache(MOST_OVERLAYS)

    def all(self) -> list[Overlay]:
        """In the order in which they were added."""
        path = self._folder / "overlays.json"
        return [Overlay(**row) for row in json.loads(path.read_text("utf-8"))["overlays"]] if path.is_file() else []

    def get(self, overlay_id: str) -> Overlay:
        """One by its id; NoSuchItemError."""
        for one in self.all():
            if one.id == overlay_id:
                return one
        raise NoSuchItemError(f"there is no overlay {overlay_id!r}; it may have been removed in another tab. Reload the page.")

    def origin(self, overlay_id: str) -> str | None:
        """Where a browser gets the tiles of a background map from, as a Content-Security-Policy names it; None for anything else."""
        found = next((one for one in self.all() if one.id == overlay_id and one.kind == "address"), None)
        if found is None:
            return None
        parts = urlsplit(found.source)
        return f"{parts.scheme}://{parts.netloc}"

    def add_file(self, path: Path, name: str, scene_id: str) -> Overlay:
        """Copy a file in.

        Args:
            path: Vector or raster.
            name: What it is called.
            scene_id: An image that it must fit.

        Raises:
            InputError: It cannot be read, or placed on the image.
        """
        scene, overlay_id = self._project.scene(scene_id), uuid.uuid4().hex[:12]
        suffix = path.suffix.lower()
        kind: Kind = "raster" if suffix in RASTERS else "vector"
        folder = self._folder / overlay_id
        folder.mkdir(parents=True)
        try:
            require_own_data(path)
            kept = _unpacked(path, folder) if suffix == ".zip" else Path(shutil.copy(path, folder / f"overlay{suffix}"))
            if kind == "raster":
                with _opened(kept) as source, _warped(source, scene.grid, scene.grid.window, (1, 1)):
                    pass
            else:
                _shapes(kept, scene)
            return self._add(Overlay(overlay_id, name, kind, kept.relative_to(self._folder).as_posix()))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def add_address(self, address: str, name: str) -> Overlay:
        """Keep the address of a background map; InputError where a browser cannot ask it for tiles."""
        return self._add(Overlay(uuid.uuid4().hex[:12], name, "address", tile_address(address)))

    def remove(self, overlay_id: str) -> None:
        """Take one away, its file with it."""
        gone = self.get(overlay_id)
        with self._lock:
            self._write([one for one in self.all() if one.id != overlay_id])
        shutil.rmtree(self._folder / gone.id, ignore_errors=True)
        self._tell()

    def shapes(self, overlay_id: str, scene_id: str) -> list[dict[str, Any]]:
        """A vector as GeoJSON geometries in the image's pixel space, cut to the image; simplified where they are too many to draw.

        Raises:
            InputError: It cannot be placed on this image.
        """
        return _shapes(self._file(overlay_id, "vector"), self._project.scene(scene_id))

    def tile(self, overlay_id: str, scene_id: str, z: int, x: int, y: int) -> bytes:
        """A PNG tile of a raster on the image's grid, as `pictures.tile_window` counts them; InputError where it cannot be placed."""
        path, grid = self._file(overlay_id, "raster"), self._project.scene(scene_id).grid
        window = tile_window(grid, z, x, y)
        rgba = np.zeros((TILE, TILE, 4), np.uint8)
        if window is not None:
            shape = -(-window.height >> z) or 1, -(-window.width >> z) or 1
            with _opened(path) as source:
                if overlay_id not in self._styles:
                    self._styles[overlay_id] = _Style.of(source)
                with _warped(source, grid, window, shape) as (warped, part):
                    rgba[: shape[0], : shape[1]] = self._styles[overlay_id].colours(warped, shape, part)
        return png(Image.fromarray(rgba))

    def _file(self, overlay_id: str, kind: Kind) -> Path:
        overlay = self.get(overlay_id)
        if overlay.kind != kind:
            raise NoSuchItemError(f"overlay {overlay_id!r} is of kind {overlay.kind!r}, expected {kind!r}.")
        return self._folder / overlay.source

    def _add(self, overlay: Overlay) -> Overlay:
        with self._lock:
            known = self.all()
            if len(known) >= MOST_OVERLAYS:
                raise InputError(f"the project has {len(known)} overlays, expected fewer than {MOST_OVERLAYS}. Remove one.")
            self._folder.mkdir(exist_ok=True)
            self._write([*known, overlay])
        self._tell()
        return overlay

    def _write(self, overlays: list[Overlay]) -> None:
        write_json(self._folder / "overlays.json", {"overlays": [dataclasses.asdict(one) for one in overlays]})


def tile_address(address: str) -> str:
    """The address of tiles of Web Mercator: XYZ with {z}, {x} and {y}, or a WMS, which gets its parameters.

    Raises:
        InputError: It is neither.
    """
    text = address.strip()
    try:
        parts = urlsplit(text)
    except ValueError:  # brackets that do not close
        parts = urlsplit("")
    if (
        parts.scheme not in ("https", "http")
        # The page's content security policy names it: nothing but a host may stand there.
        or not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]+)?", parts.netloc)
        or len(text) > _LONGEST
        or not text.isprintable()
        or " " in text
    ):
        raise InputError(f"the address is {text[:100]!r}, expected https://... without user and password. Correct it.")
    if all(place in text for place in ("{z}", "{x}", "{y}")) or "{bbox}" in text:
        return text
    given = {pair.partition("=")[0].lower() for pair in parts.query.split("&")}
    if "layers" not in given:
        raise InputError(
            f"the address is {text[:100]!r}, expected {{z}}, {{x}} and {{y}} in it, or a WMS with LAYERS=..., such as https://example.org/wms?LAYERS=ortho."
        )
    wanted = {
        "service": "WMS", "request": "GetMap", "version": "1.3.0", "crs": "EPSG:3857", "styles": "", "format": "image/png", "transparent": "true",
        "width": "256", "height": "256", "bbox": "{bbox}",
    }  # fmt: skip
    more = "&".join(f"{name.upper()}={value}" for name, value in wanted.items() if name not in given)
    return text + ("" if text.endswith(("?", "&")) else "&") + more


def _unpacked(archive: Path, folder: Path) -> Path:
    """The Shapefile of a ZIP archive, in a folder; InputError where there is none, or several."""
    try:
        with zipfile.ZipFile(archive) as packed:
            parts = [info for info in packed.infolist() if Path(info.filename).suffix.lower() in _SHAPEFILE]
            if sum(Path(info.filename).suffix.lower() == ".shp" for info in parts) != 1 or sum(info.file_size for info in parts) > _LARGEST:
                raise InputError(
                    f"{archive.name} holds {len(parts)} parts of Shapefiles, expected one Shapefile of 1 GiB at most. Pack it alone."
                )
            for info in parts:
                with packed.open(info) as source, (folder / f"overlay{Path(info.filename).suffix.lower()}").open("wb") as target:
                    shutil.copyfileobj(source, target)
    except zipfile.BadZipFile as exc:
        raise InputError(f"{archive.name} is damaged ({exc}), expected a ZIP archive. Pack it again.") from exc
    require_own_data(folder / "overlay.shp")
    return folder / "overlay.shp"


def _shapes(path: Path, scene: Scene) -> list[dict[str, Any]]:
    from ..labels.rasterize import in_pixels

    grid, found = scene.grid, []
    try:
        for crs, shapes in _layers(path):
            if crs is None and grid.crs is not None:
                raise InputError(f"the overlay has no CRS, expected one that places it on {scene.name}. Save it with a CRS.")
            if crs is not None and grid.crs is None:
                raise InputError(f"{scene.name} has no CRS, expected an overlay without one, in the image's own coordinates.")
            kept = np.array([shape for shape in shapes if shape is not None and not shape.is_empty], object)
            found += [shape for shape in in_pixels(kept, crs, grid) if shape is not None]
    except LabelError as exc:
        raise InputError(str(exc)) from exc
    cut = [shapely.clip_by_rect(shape, -1, -1, grid.width + 1, grid.height + 1) for shape in found]
    cut = [part for shape in cut for part in getattr(shape, "geoms", [shape]) if not part.is_empty]
    tolerance = 0.05
    while sum(shapely.get_num_coordinates(cut)) > _MOST_VERTICES and tolerance < max(grid.shape):
        cut = [shape for shape in shapely.simplify(cut, tolerance) if not shape.is_empty]
        tolerance *= 2
    return [geojson(shape) for shape in cut]


def _layers(path: Path) -> Iterator[tuple[str | None, Any]]:
    """CRS and shapes of each layer of a file that has shapes."""
    import pyogrio.errors
    import pyogrio.raw

    try:
        for name, kind in pyogrio.list_layers(path):
            if kind is not None:
                meta, _, shapes, _ = pyogrio.raw.read(path, layer=name, columns=[], force_2d=True)
                yield meta["crs"], shapely.from_wkb(shapes)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, shapely.errors.ShapelyError) as exc:
        raise InputError(
            f"the overlay cannot be read as a vector ({exc}), expected GeoJSON, GeoPackage, FlatGeobuf, KML or a zipped Shapefile."
        ) from exc


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A raster; InputError where it cannot be read."""
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path, driver="GTiff") as source:
            yield source
    except RasterioError as exc:
        raise InputError(f"the overlay cannot be read as a raster ({exc}), expected a GeoTIFF. Convert it.") from exc


@contextmanager
def _warped(source: Any, grid: Grid, window: Window, shape: tuple[int, int]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A raster on a window of an image's grid, of so many rows and columns, and what to read of it: no more of the file than the window needs."""
    import rasterio
    from rasterio.vrt import WarpedVRT

    if source.crs is None or grid.crs is None:
        if (source.height, source.width) != grid.shape:
            raise InputError(
                f"the overlay has {source.height} x {source.width} pixels and {'no CRS' if source.crs is None else 'a CRS'}, expected a CRS that places it, "
                f"or the image's {grid.height} x {grid.width} pixels."
            )
        yield source, {"window": rasterio.windows.Window(window.col, window.row, window.width, window.height)}
        return
    steps = rasterio.Affine.scale(window.width / shape[1], window.height / shape[0])
    with WarpedVRT(
        source,
        crs=grid.crs,
        transform=rasterio.Affine(*grid.transform) @ rasterio.Affine.translation(window.col, window.row) @ steps,
        height=shape[0],
        width=shape[1],
        add_alpha=source.nodata is None and source.count not in (2, 4),
    ) as warped:
        yield warped, {}


@dataclass(frozen=True)
class _Style:
    """What all tiles of a raster are coloured by."""

    bands: tuple[int, ...]
    """One, or red, green and blue; from 1."""
    limits: tuple[tuple[float, float], ...] = ()
    """Of each band what is black and what is white; none where numbers are colours."""
    table: UInt8Array | None = None
    """(number, RGBA) of a palette."""
    is_classes: bool = False
    """True of a map of classes, whose numbers have colours of their own."""

    @classmethod
    def of(cls, source: Any) -> _Style:
        """From the palette, or from some thousand pixels that are spread over the raster."""
        from rasterio.enums import ColorInterp

        bands = tuple(index + 1 for index, meaning in enumerate(source.colorinterp) if meaning != ColorInterp.alpha)[:3]
        bands = bands if len(bands) == 3 else bands[:1]
        if ColorInterp.palette in source.colorinterp:
            colors = source.colormap(bands[0])
            table = np.zeros((1 << 16, 4), np.uint8)
            for number, color in colors.items():
                table[number] = color
            return cls(bands, table=table)
        kinds = {np.dtype(source.dtypes[band - 1]) for band in bands}
        if len(bands) == 3 and kinds == {np.dtype(np.uint8)}:
            return cls(bands)
        seen = [_spread(source, band) for band in bands]
        if len(bands) == 1 and all(kind.kind in "iu" for kind in kinds) and len(np.unique(seen[0])) <= _MOST_CLASSES:
            return cls(bands, is_classes=True)
        finite = [values[np.isfinite(values)] for values in seen]
        limits = tuple(tuple(map(float, np.percentile(values, [2, 98]))) if len(values) else (0.0, 1.0) for values in finite)
        return cls(bands, limits)  # type: ignore[arg-type]

    def colours(self, source: Any, shape: tuple[int, int], part: dict[str, Any]) -> UInt8Array:
        """(row, col, RGBA): red, green and blue, a palette, classes in colours of their own, or grey."""
        there = source.dataset_mask(out_shape=shape, **part)
        values = source.read(self.bands, out_shape=(len(self.bands), *shape), **part)
        rgba: UInt8Array
        if self.table is not None:
            rgba = self.table[values[0]]
            rgba[there == 0] = 0
        elif self.is_classes:
            known, place = np.unique(values[0], return_inverse=True)
            colors = np.array(
                [(0, 0, 0, 0) if number == 0 else (*default_color(abs(number) - 1), 255) for number in known.tolist()], np.uint8
            )
            rgba = colors[place.reshape(shape)]
            rgba[there == 0] = 0
        else:
            limits = self.limits or ((0.0, 255.0),) * len(values)
            stretched = [
                np.nan_to_num((band - low) / ((high - low) or 1) * 255).clip(0, 255)
                for band, (low, high) in zip(values, limits, strict=True)
            ]
            rgba = np.concatenate([np.broadcast_to(stretched, (3, *shape)), there[None]]).transpose(1, 2, 0).astype(np.uint8)
        return rgba


def _spread(source: Any, band: int) -> AnyArray:
    """Numbers of a band from squares that are spread over it, without those that are no data."""
    import rasterio

    grid = Grid(source.height, source.width, tuple(source.transform)[:6], None)
    parts = [
        source.read(band, window=rasterio.windows.Window(block.col, block.row, block.width, block.height), masked=True).compressed()
        for block in spread_blocks(grid)
    ]
    return np.concatenate(parts)
