"""Sentinel-2 as the paper uses it: a series of 12 dates of 512 x 512 pixels, four bands at 10 m, patches of 9 x 9.

Sources are SAFE products (L1C or L2A, as folders or as the zip archives that are downloaded) or a folder of dated
rasters. View pairs for training come from another date plus augmentation, which is what `pixelkin.train` does with
a series.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as RasterioWindow

from ..errors import InputError, MissingFileError, OutputError, RasterError
from ..files import replacing, require_outputs
from ..raster import open_scene
from ..raster._gdal import borrow, one_line, quiet
from ..raster.inputs import files_of
from ..raster.reader import crs_text, open_dataset
from ..scene import Pixels, Scene, Series
from ..types import Grid, Window
from .files import files_under, make_folder, read_bytes

_log = logging.getLogger(__name__)

BANDS = {"red": "B04", "green": "B03", "blue": "B02", "nir": "B08"}
"""The bands at 10 m, in the order in which they are read."""

PATCH_SIZE = 9
"""Side of the paper's patches on Sentinel-2."""
SIDE = 512
DATES = 12

# The metadata number bands 0 to 12 in order of wavelength, B8A after B08.
_BAND_IDS = {"B04": "3", "B03": "2", "B02": "1", "B08": "7"}
_PRODUCT = re.compile(
    r"(?P<name>S2[A-D]_MSI(?P<level>L1C|L2A)_(?P<date>\d{8})T\d{6}_N(?P<baseline>\d{4})_R\d{3}_T(?P<tile>\w{5})_\d{8}T\d{6})"
)


@dataclass(frozen=True)
class SafeScene:
    """A Sentinel-2 product, read band by band when pixels are asked for.

    Values are reflectance x 10000 in uint16 whatever the processing baseline: the offset of -1000 that products carry since
    baseline 04.00 is taken off. A digital number of 0 is no-data; a reflectance below 1 / 10000 is given as 1, so that
    it does not turn into no-data.
    """

    name: str
    paths: tuple[str, ...]
    """One file a band, in the order of `bands`."""
    offsets: tuple[int, ...]
    """Added to each band's digital numbers, from the product's metadata."""
    grid: Grid
    date: dt.date
    bands: tuple[str, ...] = tuple(BANDS)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the product's name, which ESA never uses twice, its files and offsets."""
        return hashlib.sha256(repr((self.name, self.paths, self.offsets)).encode()).hexdigest()

    def read(self, window: Window | None = None) -> Pixels:
        """Pixels of a window inside the image (default: all of it). Safe to call from several threads."""
        window = window or self.grid.window
        part = RasterioWindow(window.col, window.row, window.width, window.height)
        data = np.empty((len(self.paths), window.height, window.width), np.uint16)
        valid = np.ones(data.shape[1:], np.bool_)
        for band, path, offset in zip(data, self.paths, self.offsets, strict=True):
            try:
                stored = borrow(path, partial(open_dataset, path)).read(1, window=part)
            except RasterioError as exc:
                raise RasterError(f"{path} cannot be read: {one_line(exc)}. Download the product again.") from exc
            band[:] = np.maximum(stored.astype(np.int32) + offset, 1)
            valid &= stored != 0
        return Pixels(data, valid)


def open_safe(source: str | Path) -> SafeScene:
    """Open one product.

    Args:
        source: Its .SAFE folder, or the zip archive of it.

    Raises:
        MissingFileError: The source, a band or the metadata is not there; the message names them.
        RasterError: It is not a Sentinel-2 product, or its bands do not lie on one grid.
    """
    names = files_under(source)
    match = next((found for found in map(_PRODUCT.search, [Path(source).name, *names]) if found), None)
    if match is None:
        raise RasterError(f"{source} is not a Sentinel-2 product, expected a folder or zip named S2?_MSIL1C_... or S2?_MSIL2A_....")
    level = match["level"]
    suffix = "_10m" if level == "L2A" else ""
    paths, missing = [], []
    for band in BANDS.values():
        wanted = re.compile(rf"IMG_DATA/.*_{band}{suffix}\.(jp2|tif)$")
        path = next((name for name in names if wanted.search(name)), None)
        if path is None:
            missing.append(f"IMG_DATA/..._{band}{suffix}.jp2")
        else:
            paths.append(path)
    metadata = next((name for name in names if name.endswith(f"MTD_MSI{level}.xml")), None)
    if metadata is None:
        missing.append(f"MTD_MSI{level}.xml")
    if missing or metadata is None:
        raise MissingFileError(f"{match['name']} lacks {', '.join(missing)}, expected a whole {level} product. Download it again.")
    offsets = _offsets(read_bytes(metadata), metadata, match["baseline"])
    grids = []
    for path in paths:
        with quiet(), rasterio.open(path) as dataset:
            grids.append(Grid(dataset.height, dataset.width, tuple(dataset.transform)[:6], crs_text(dataset.crs)))
    for path, grid in zip(paths, grids, strict=True):
        if grid != grids[0]:
            raise RasterError(
                f"{Path(path).name} lies on {grid}, expected {grids[0]} as {Path(paths[0]).name}. Download the product again."
            )
    date = dt.datetime.strptime(match["date"], "%Y%m%d").date()
    return SafeScene(match["name"], tuple(paths), offsets, grids[0], date)


def _offsets(metadata: bytes, name: str, baseline: str) -> tuple[int, ...]:
    """BOA_ADD_OFFSET (L2A) or RADIO_ADD_OFFSET (L1C) of each band; 0 before baseline 04.00, which had none."""
    try:
        root = ElementTree.fromstring(metadata)
    except ElementTree.ParseError as exc:
        raise RasterError(f"{name} is damaged ({exc}), expected the product's metadata. Download it again.") from exc
    found = {
        element.get("band_id"): int(element.text or 0)
        for element in root.iter()
        if element.tag.rpartition("}")[2] in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")
    }
    if not found and int(baseline) >= 400:
        raise RasterError(f"{name} has no offsets, expected them since the baseline is {baseline}. Download the product again.")
    return tuple(found.get(_BAND_IDS[band], 0) for band in BANDS.values())


def open_products(source: str | Path) -> Series:
    """A series from a folder of SAFE products, or of dated rasters where it holds no product.

    Raises:
        MissingFileError: The folder is not there or holds neither.
        RasterError: Two products of one day, or products of several tiles.
    """
    folder = Path(source)
    if not folder.is_dir():
        raise MissingFileError(f"{folder} is not a folder, expected one of SAFE products or of dated rasters. Check the path.")
    products = sorted(entry for entry in folder.iterdir() if _PRODUCT.match(entry.name) and (entry.is_dir() or entry.suffix == ".zip"))
    if not products:
        series = open_scene(folder)
        assert isinstance(series, Series)  # what a folder gives
        return series
    days: dict[dt.date, str] = {}
    scenes = []
    for product in products:
        scene = open_safe(product)
        if scene.date in days:
            raise RasterError(
                f"{days[scene.date]} and {scene.name} are both of {scene.date}, expected one product a day. Keep one of them."
            )
        days[scene.date] = scene.name
        scenes.append(scene)
    return Series(tuple(scenes))


def crop_series(
    series: Series, target: str | Path, *, window: Window | None = None, dates: int = DATES, overwrite: bool = False
) -> list[Path]:
    """Write the paper's kind of series: some dates, cut to one window, as one GeoTIFF a date.

    Dates with the fewest pixels without data come first, and among equals an even spread over time is kept.

    Args:
        series: Products or rasters of one place.
        target: Folder to write DATE.tif into.
        window: Pixels to keep; default 512 x 512 around the centre, less where the image is smaller.
        dates: How many dates to keep; all of them where there are fewer, with a warning in the log.
        overwrite: Replace files that are there.

    Returns:
        The files, by date.

    Raises:
        InputError: The window is not inside the image.
        RasterError: Fewer than two dates have data in the window.
        OutputError: A file is there and overwrite is False, or the disk refuses.
    """
    target = Path(target)
    window = window or _centre(series.grid)
    height, width = series.grid.shape
    if window.row < 0 or window.col < 0 or window.row + window.height > height or window.col + window.width > width:
        raise InputError(f"{window} reaches past the image of {height} x {width} pixels. Choose a window inside it.")
    # One number a date is kept, not its pixels: a year of products does not fit in memory.
    shares = [float(scene.read(window).valid.mean()) for scene in series]
    chosen = _choose(shares, dates)
    if len(chosen) < 2:
        raise RasterError(f"{len(chosen)} of {len(series)} dates have data in {window}, expected at least two. Choose another window.")
    if len(chosen) < dates:
        _log.warning("%d dates have data in the window, fewer than the %d asked for: all are kept", len(chosen), dates)
    scenes = [series.scenes[i] for i in chosen]
    paths = [target / f"{scene.date}.tif" for scene in scenes]
    if target.is_dir():
        require_outputs(paths, inputs={"image": files_of(series)}, overwrite=overwrite)
    make_folder(target)
    for scene, path in zip(scenes, paths, strict=True):
        _write(scene, window, path)
    return paths


def _centre(grid: Grid) -> Window:
    height, width = min(SIDE, grid.height), min(SIDE, grid.width)
    return Window((grid.height - height) // 2, (grid.width - width) // 2, height, width)


def _choose(shares: Sequence[float], count: int) -> list[int]:
    """Indices of dates to keep, in order: the fullest, thinned evenly where more of them are equally full than fit."""
    usable = [i for i, share in enumerate(shares) if share > 0]
    if len(usable) <= count:
        return usable
    cut = sorted((shares[i] for i in usable), reverse=True)[count - 1]
    better, equal = [i for i in usable if shares[i] > cut], [i for i in usable if shares[i] == cut]
    room = count - len(better)
    even = np.unique(np.linspace(0, len(equal) - 1, room).round().astype(int)) if room > 1 else np.array([len(equal) // 2])
    return sorted(better + [equal[i] for i in even])


def _write(scene: Scene, window: Window, path: Path) -> None:
    pixels = scene.read(window)
    grid = scene.grid.crop(window)
    data = np.where(pixels.valid, pixels.data, 0)
    try:
        with (
            replacing(path, overwrite=True) as temporary,
            rasterio.open(
                temporary, "w", driver="GTiff", width=grid.width, height=grid.height, count=len(data), dtype=data.dtype, nodata=0,
                crs=grid.crs, transform=Affine(*grid.transform), compress="deflate", tiled=True, blockxsize=256, blockysize=256,
            ) as out,
        ):  # fmt: skip
            out.write(data)
            out.descriptions = scene.bands
            out.update_tags(ACQUISITION_DATE=str(scene.date), SOURCE=scene.name)
    except RasterioError as exc:
        raise OutputError(f"{path} cannot be written: {one_line(exc)}. Check free space and permissions of {path.parent}.") from exc
