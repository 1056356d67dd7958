"""Write a map tile by tile, in any order, and end with a Cloud-Optimized GeoTIFF or with nothing.

Tiles go to plain raw files in a hidden folder beside the target; on success GDAL turns these into the final files, which are read
back, compared, and only then renamed into place. Raw files, because GDAL reports a full disk late or, when it closes a file, not at
all, while the operating system reports it at once: the space is reserved before the first tile.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from pixelkin.errors import OutputError, RasterError, ShapeError
from pixelkin.files import require_outputs
from pixelkin.segmentation import Segmentation
from pixelkin.types import AnyArray, Grid, Legend, Window

from ._gdal import one_line, small_cache
from .layers import LAYERS, known_layers, layer_path, pixel_bytes
from .mapfile import add_color_table, is_ours, map_tags, map_targets, printable, sidecar_path, sidecar_xml
from .reader import open_dataset

_CLASSES = "classes"
_BLOCK = 512  # of the GeoTIFF, in pixels
_AT_ONCE = 1 << 22  # pixels held in memory where whole files are filled or compared


class MapWriter:
    """Streaming writer of a map; a context manager, safe to write to from several threads.

    On success `path` is a Cloud-Optimized GeoTIFF: uint8 class ids, 0 = no data, colour table, overviews by majority, legend and
    provenance as tags, and class names for GDAL and QGIS in `<path>.aux.xml`. Of each layer there is `<stem>_<layer>.tif`; see
    `pixelkin.raster.layers`. The same map gives the same bytes. Pixels never written are no data.

    On any error, Ctrl-C included, nothing is left behind, and files that were there stay as they were. While it works it needs
    one byte a pixel of disk space beside the target, as many more as its layers have, and little memory.

    >>> with MapWriter("map.tif", scene.grid, seg.legend) as writer:  # doctest: +SKIP
    ...     for window in windows:
    ...         writer.write(seg.predict(scene, window), window)
    """

    def __init__(
        self,
        path: str | Path,
        grid: Grid,
        legend: Legend,
        *,
        provenance: Mapping[str, str] | None = None,
        overwrite: bool = False,
        layers: Iterable[str] = (),
        scratch: Path | None = None,
    ) -> None:
        """Check that the map can be written; nothing is written yet.

        Args:
            path: File to write, `.tif` or `.tiff`.
            grid: Grid of the whole map.
            legend: Classes of the map.
            provenance: What it takes to make this map again; stored as it is.
            overwrite: Replace files that are there.
            layers: Also write these of `pixelkin.raster.layers.LAYERS`, such as 'confidence'.
            scratch: Folder on the same disk for what is not finished, which only a killed process leaves behind; default beside the target.

        Raises:
            OutputError: A file is there and overwrite is False; the folder is not there; the name does not end in .tif.
        """
        self.path = Path(path)
        self.grid = grid
        self.legend = legend
        self._overwrite = overwrite
        self._layers = known_layers(layers)
        self._tags = map_tags(legend, provenance or {}, self._layers)
        self._scratch = scratch or self.path.parent
        self._folder: Path | None = None
        self._files: dict[str, int] = {}
        self._check_target()

    def __enter__(self) -> Self:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self._scratch))
            for name in (_CLASSES, *self._layers):
                self._reserve(name)
        except BaseException as exc:
            self._discard()
            if isinstance(exc, OSError):
                raise self._refused(exc) from exc
            raise
        return self

    def write(self, segmentation: Segmentation, window: Window, layers: Mapping[str, AnyArray] | None = None) -> None:
        """Write one window of the map, in any order; what was written there before is replaced.

        Args:
            segmentation: The map of the window.
            window: Where it lies.
            layers: Values of layers as their `encode` gives them, (band, row, col); confidence is the segmentation's own.

        Raises:
            ShapeError: The segmentation is not of the window's size.
            OutputError: The window reaches past the map, or the disk refuses the data.
        """
        height, width = window.height, window.width
        if segmentation.classes.shape != (height, width):
            raise ShapeError(
                "segmentation",
                expected=(height, width),
                got=segmentation.classes.shape,
                fix="Write each segmentation to the window it was made of.",
            )
        if window.row < 0 or window.col < 0 or window.row + height > self.grid.height or window.col + width > self.grid.width:
            raise OutputError(f"{window} reaches past the map of {self.grid.height} x {self.grid.width} pixels. Write windows inside it.")
        if segmentation.legend != self.legend:
            raise OutputError(
                f"the tile has classes {list(segmentation.legend.names)}, expected {list(self.legend.names)} as in the map. Use one legend."
            )
        values: dict[str, AnyArray] = {_CLASSES: np.where(segmentation.valid, segmentation.classes, np.uint8(0))[None]}
        for name in self._layers:
            values[name] = (layers or {})[name] if LAYERS[name].of_probabilities else LAYERS[name].encode(segmentation, None)
        for name, array in values.items():
            try:
                for number, band in enumerate(array):
                    _write_rows(self._files[name], self.grid, np.ascontiguousarray(band), window, number)
            except OSError as exc:
                raise self._refused(exc) from exc

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _check_target(self) -> None:
        require_outputs(map_targets(self.path, self._layers), overwrite=self._overwrite)

    def _raw(self, layer: str) -> Path:
        assert self._folder is not None, "MapWriter is used in a with statement"
        return self._folder / f"{layer}.raw"

    def _reserve(self, layer: str) -> None:
        """Take the disk space now, so that a disk that is too small is found before hours of work rather than after."""
        height, width = self.grid.shape
        file = self._files[layer] = os.open(self._raw(layer), os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        if layer != _CLASSES:
            at_once = max(1, _AT_ONCE // width)
            for band, row in product(range(len(self._bands(layer))), range(0, height, at_once)):
                rows = min(at_once, height - row)
                _write_rows(file, self.grid, np.full((rows, width), LAYERS[layer].nodata, _dtype(layer)), Window(row, 0, rows, width), band)
        else:
            os.truncate(file, height * width)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file, 0, height * width)

    def _finish(self) -> None:
        assert self._folder is not None
        try:
            for file in self._files.values():
                os.fsync(file)
            with small_cache():
                finals = {self.path: self._to_cog(_CLASSES, resampling="MODE")}
                for name in self._layers:
                    finals[layer_path(self.path, name)] = self._to_cog(name, resampling="AVERAGE")
            sidecar = self._folder / "sidecar.xml"
            sidecar.write_bytes(sidecar_xml(self.legend))
            self._check_target()
            self._publish(finals, sidecar)
        except OutputError:
            raise
        except OSError as exc:
            raise self._refused(exc) from exc

    def _publish(self, finals: dict[Path, Path], sidecar: Path) -> None:
        """Rename into place; the map itself comes last, so that its presence means that all is there."""
        for name in set(LAYERS) - set(self._layers):
            other = layer_path(self.path, name)
            if self._overwrite and other.exists() and is_ours(other):
                other.unlink()  # a layer of the map that is being replaced would pass for this one's
        for target, made in reversed(finals.items()):
            sidecar_path(target).unlink(missing_ok=True)  # may hold statistics of the file that is being replaced
            if target == self.path:
                sidecar.replace(sidecar_path(target))
            made.replace(target)

    def _bands(self, layer: str) -> tuple[str, ...]:
        return ("class",) if layer == _CLASSES else LAYERS[layer].bands(self.legend)

    def _to_cog(self, layer: str, *, resampling: str) -> Path:
        """Cloud-Optimized GeoTIFF of a raw file, read back and compared."""
        assert self._folder is not None
        dtype = _dtype(layer)
        vrt = self._folder / f"{layer}.vrt"
        vrt.write_bytes(self._vrt(layer))
        cog = self._folder / f"{layer}.tif"
        try:
            rasterio.shutil.copy(
                vrt,
                cog,
                driver="COG",
                compress="DEFLATE",
                predictor="YES" if dtype.kind == "f" else "NO",
                blocksize=_BLOCK,
                overview_resampling=resampling,
                bigtiff="IF_SAFER",
            )
            self._compare(cog, layer)
        # SystemError is what rasterio raises where GDAL fails without saying why.
        except (RasterError, RasterioError, CPLE_BaseError, SystemError) as exc:
            raise OSError(f"the {layer} did not reach the disk whole ({one_line(exc)})") from exc
        return cog

    def _compare(self, cog: Path, layer: str) -> None:
        """GDAL can lose its last blocks on a full disk without a word; nobody may take such a file for a map."""
        dtype = _dtype(layer)
        with open_dataset(str(cog)) as dataset:
            for window, band in product(_tiles(self.grid), range(dataset.count)):
                part = RasterioWindow(window.col, window.row, window.width, window.height)
                offset = (band * self.grid.height + window.row) * self.grid.width * dtype.itemsize
                # Mapped anew for each strip, or the whole file would end in memory; bytes, since NaN differs from itself.
                raw = np.memmap(self._raw(layer), dtype, "r", offset=offset, shape=(window.height, self.grid.width))
                if dataset.read(band + 1, window=part).tobytes() != raw[:, window.slices[1]].tobytes():
                    raise RasterError("it reads back as other pixels")
            overviews = len(dataset.overviews(1))
        for level in range(overviews):
            with open_dataset(str(cog), overview_level=level) as dataset:
                for _, block in dataset.block_windows(1):
                    dataset.read(1, window=block)

    def _vrt(self, layer: str) -> bytes:
        """GDAL's description of a raw file, with all that the final file is to carry."""
        height, width = self.grid.shape
        root = ET.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
        if self.grid.crs is not None:
            ET.SubElement(root, "SRS").text = CRS.from_user_input(self.grid.crs).to_wkt()
        a, b, c, d, e, f = self.grid.transform
        if (a, b, c, d, e, f) != (1, 0, 0, 0, 1, 0):
            ET.SubElement(root, "GeoTransform").text = ", ".join(map(repr, (c, a, b, f, d, e)))
        metadata = ET.SubElement(root, "Metadata")
        for key, value in self._tags.items():
            ET.SubElement(metadata, "MDI", key=key).text = value
        dtype = _dtype(layer)
        for number, description in enumerate(self._bands(layer)):
            kind = "Float32" if dtype.kind == "f" else "Byte"
            band = ET.SubElement(root, "VRTRasterBand", dataType=kind, band=str(number + 1), subClass="VRTRawRasterBand")
            ET.SubElement(band, "Description").text = printable(description)
            ET.SubElement(band, "NoDataValue").text = "0" if layer == _CLASSES else f"{LAYERS[layer].nodata:g}"
            if layer == _CLASSES:
                ET.SubElement(band, "ColorInterp").text = "Palette"
                add_color_table(band, self.legend)
            elif LAYERS[layer].scale != 1:
                ET.SubElement(band, "Scale").text = repr(LAYERS[layer].scale)
            ET.SubElement(band, "SourceFilename", relativeToVRT="1").text = self._raw(layer).name
            offset = number * height * width * dtype.itemsize
            for tag, place in (("ImageOffset", offset), ("PixelOffset", dtype.itemsize), ("LineOffset", dtype.itemsize * width)):
                ET.SubElement(band, tag).text = str(place)
            ET.SubElement(band, "ByteOrder").text = "LSB"
        text: bytes = ET.tostring(root, encoding="utf-8")
        return text

    def _refused(self, exc: OSError) -> OutputError:
        reason = exc.strerror or str(exc)
        needed = math.ceil(2 * self.grid.height * self.grid.width * pixel_bytes(self._layers, self.legend) / 1e6)
        return OutputError(
            f"{self.path} cannot be written: {reason}. Nothing was left behind; the map needs up to {needed} MB in "
            f"{self.path.parent}: free some space there or choose another folder."
        )

    def _discard(self) -> None:
        for file in self._files.values():
            with suppress(OSError):
                os.close(file)
        self._files.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _dtype(layer: str) -> np.dtype[np.generic]:
    return np.dtype("u1") if layer == _CLASSES else np.dtype(LAYERS[layer].dtype)


_seek_lock = threading.Lock()


def _write_at(file: int, data: memoryview, offset: int) -> int:
    """`os.pwrite`, also where there is none (Windows)."""
    if hasattr(os, "pwrite"):
        return os.pwrite(file, data, offset)
    with _seek_lock:
        os.lseek(file, offset, os.SEEK_SET)
        return os.write(file, data)


def _write_rows(file: int, grid: Grid, array: AnyArray, window: Window, band: int) -> None:
    """Raw rows of a window into their places; positioned writes, so threads need no lock."""
    whole = window.width == grid.width
    for start, row in enumerate([array] if whole else array):
        offset = ((band * grid.height + window.row + start) * grid.width + window.col) * array.itemsize
        left = memoryview(row.reshape(-1).view(np.uint8))
        while left:
            done = _write_at(file, left, offset)
            left, offset = left[done:], offset + done


def _tiles(grid: Grid) -> Iterator[Window]:
    """Windows of whole GeoTIFF blocks that cover a grid."""
    across = _AT_ONCE // _BLOCK
    for row in range(0, grid.height, _BLOCK):
        for col in range(0, grid.width, across):
            yield Window(row, col, min(_BLOCK, grid.height - row), min(across, grid.width - col))


def write_map(segmentation: Segmentation, path: str | Path, *, overwrite: bool = False, confidence: bool = False) -> Path:
    """Write a segmentation as a Cloud-Optimized GeoTIFF; see `MapWriter` for what the file holds.

    Args:
        segmentation: The map of an image or of a window of it.
        path: File to write, `.tif` or `.tiff`.
        overwrite: Replace files that are there.
        confidence: Also write `<stem>_confidence.tif`; of what `pixelkin.similar` found, `<stem>_similarity.tif`.

    Returns:
        The path written.

    Raises:
        OutputError: A file is there and overwrite is False, or the disk refuses it.
    """
    layer = "similarity" if segmentation.provenance.get("method") == "similar" else "confidence"
    writer = MapWriter(
        path,
        segmentation.grid,
        segmentation.legend,
        provenance=segmentation.provenance,
        overwrite=overwrite,
        layers=[layer] if confidence else [],
    )
    with writer:
        writer.write(segmentation, segmentation.grid.window)
    return writer.path
