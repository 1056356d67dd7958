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
from collections.abc import Iterator, Mapping
from contextlib import suppress
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
from .mapfile import add_color_table, confidence_path, is_ours, map_tags, map_targets, sidecar_path, sidecar_xml
from .reader import open_dataset

_BLOCK = 512  # of the GeoTIFF, in pixels
_AT_ONCE = 1 << 22  # pixels held in memory where whole files are filled or compared


class MapWriter:
    """Streaming writer of a map; a context manager, safe to write to from several threads.

    On success `path` is a Cloud-Optimized GeoTIFF: uint8 class ids, 0 = no data, colour table, overviews by majority, legend and
    provenance as tags, and class names for GDAL and QGIS in `<path>.aux.xml`. With `confidence`, `<stem>_confidence.tif` is
    float32 in [0, 1], NaN where the image had no data. The same map gives the same bytes. Pixels never written are no data.

    On any error, Ctrl-C included, nothing is left behind, and files that were there stay as they were. While it works it needs
    one byte a pixel of disk space beside the target (five with confidence) and little memory.

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
        confidence: bool = False,
        scratch: Path | None = None,
    ) -> None:
        """Check that the map can be written; nothing is written yet.

        Args:
            path: File to write, `.tif` or `.tiff`.
            grid: Grid of the whole map.
            legend: Classes of the map.
            provenance: What it takes to make this map again; stored as it is.
            overwrite: Replace files that are there.
            confidence: Also write `<stem>_confidence.tif`.
            scratch: Folder on the same disk for what is not finished, which only a killed process leaves behind; default beside the target.

        Raises:
            OutputError: A file is there and overwrite is False; the folder is not there; the name does not end in .tif.
        """
        self.path = Path(path)
        self.grid = grid
        self.legend = legend
        self._overwrite = overwrite
        self._confidence = confidence
        self._tags = map_tags(legend, provenance or {}, confidence=confidence)
        self._scratch = scratch or self.path.parent
        self._folder: Path | None = None
        self._files: dict[str, int] = {}
        self._check_target()

    def __enter__(self) -> Self:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self._scratch))
            self._reserve("classes", None)
            if self._confidence:
                self._reserve("confidence", np.float32(np.nan))
        except BaseException as exc:
            self._discard()
            if isinstance(exc, OSError):
                raise self._refused(exc) from exc
            raise
        return self

    def write(self, segmentation: Segmentation, window: Window) -> None:
        """Write one window of the map, in any order; what was written there before is replaced.

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
        layers = {"classes": np.where(segmentation.valid, segmentation.classes, np.uint8(0))}
        if self._confidence:
            layers["confidence"] = np.where(segmentation.valid, segmentation.confidence, np.float32(np.nan)).astype("<f4")
        for layer, array in layers.items():
            try:
                self._write_rows(self._files[layer], np.ascontiguousarray(array), window)
            except OSError as exc:
                raise self._refused(exc) from exc

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _check_target(self) -> None:
        require_outputs(map_targets(self.path, confidence=self._confidence), overwrite=self._overwrite)

    def _raw(self, layer: str) -> Path:
        assert self._folder is not None, "MapWriter is used in a with statement"
        return self._folder / f"{layer}.raw"

    def _reserve(self, layer: str, fill: np.float32 | None) -> None:
        """Take the disk space now, so that a disk that is too small is found before hours of work rather than after."""
        height, width = self.grid.shape
        file = self._files[layer] = os.open(self._raw(layer), os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        if fill is not None:
            at_once = max(1, _AT_ONCE // width)
            for row in range(0, height, at_once):
                rows = min(at_once, height - row)
                self._write_rows(file, np.full((rows, width), fill, "<f4"), Window(row, 0, rows, width))
        else:
            os.truncate(file, height * width)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file, 0, height * width)

    def _write_rows(self, file: int, array: AnyArray, window: Window) -> None:
        """Raw rows into their places; positioned writes, so threads need no lock."""
        whole = window.width == self.grid.width
        for start, row in enumerate([array] if whole else array):
            offset = ((window.row + start) * self.grid.width + window.col) * array.itemsize
            left = memoryview(row.reshape(-1).view(np.uint8))
            while left:
                done = _write_at(file, left, offset)
                left, offset = left[done:], offset + done

    def _finish(self) -> None:
        assert self._folder is not None
        try:
            for file in self._files.values():
                os.fsync(file)
            with small_cache():
                finals = {self.path: self._to_cog("classes", np.dtype("u1"), resampling="MODE")}
                if self._confidence:
                    finals[confidence_path(self.path)] = self._to_cog("confidence", np.dtype("<f4"), resampling="AVERAGE")
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
        others = confidence_path(self.path)
        if not self._confidence and self._overwrite and others.exists() and is_ours(others):
            others.unlink()  # the confidence of the map that is being replaced would pass for this one's
        for target, made in reversed(finals.items()):
            sidecar_path(target).unlink(missing_ok=True)  # may hold statistics of the file that is being replaced
            if target == self.path:
                sidecar.replace(sidecar_path(target))
            made.replace(target)

    def _to_cog(self, layer: str, dtype: np.dtype[np.generic], *, resampling: str) -> Path:
        """Cloud-Optimized GeoTIFF of a raw file, read back and compared."""
        assert self._folder is not None
        vrt = self._folder / f"{layer}.vrt"
        vrt.write_bytes(self._vrt(layer, dtype))
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
            self._compare(cog, layer, dtype)
        # SystemError is what rasterio raises where GDAL fails without saying why.
        except (RasterError, RasterioError, CPLE_BaseError, SystemError) as exc:
            raise OSError(f"the {layer} did not reach the disk whole ({one_line(exc)})") from exc
        return cog

    def _compare(self, cog: Path, layer: str, dtype: np.dtype[np.generic]) -> None:
        """GDAL can lose its last blocks on a full disk without a word; nobody may take such a file for a map."""
        with open_dataset(str(cog)) as dataset:
            for window in _tiles(self.grid):
                part = RasterioWindow(window.col, window.row, window.width, window.height)
                offset = window.row * self.grid.width * dtype.itemsize
                # Mapped anew for each strip, or the whole file would end in memory; bytes, since NaN differs from itself.
                raw = np.memmap(self._raw(layer), dtype, "r", offset=offset, shape=(window.height, self.grid.width))
                if dataset.read(1, window=part).tobytes() != raw[:, window.slices[1]].tobytes():
                    raise RasterError("it reads back as other pixels")
            overviews = len(dataset.overviews(1))
        for level in range(overviews):
            with open_dataset(str(cog), overview_level=level) as dataset:
                for _, block in dataset.block_windows(1):
                    dataset.read(1, window=block)

    def _vrt(self, layer: str, dtype: np.dtype[np.generic]) -> bytes:
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
        band = ET.SubElement(
            root, "VRTRasterBand", dataType="Float32" if dtype.kind == "f" else "Byte", band="1", subClass="VRTRawRasterBand"
        )
        ET.SubElement(band, "Description").text = "confidence" if dtype.kind == "f" else "class"
        ET.SubElement(band, "NoDataValue").text = "nan" if dtype.kind == "f" else "0"
        if dtype.kind == "u":
            ET.SubElement(band, "ColorInterp").text = "Palette"
            add_color_table(band, self.legend)
        ET.SubElement(band, "SourceFilename", relativeToVRT="1").text = self._raw(layer).name
        for tag, number in (("ImageOffset", 0), ("PixelOffset", dtype.itemsize), ("LineOffset", dtype.itemsize * width)):
            ET.SubElement(band, tag).text = str(number)
        ET.SubElement(band, "ByteOrder").text = "LSB"
        text: bytes = ET.tostring(root, encoding="utf-8")
        return text

    def _refused(self, exc: OSError) -> OutputError:
        reason = exc.strerror or str(exc)
        needed = math.ceil(2 * self.grid.height * self.grid.width * (5 if self._confidence else 1) / 1e6)
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


_seek_lock = threading.Lock()


def _write_at(file: int, data: memoryview, offset: int) -> int:
    """`os.pwrite`, also where there is none (Windows)."""
    if hasattr(os, "pwrite"):
        return os.pwrite(file, data, offset)
    with _seek_lock:
        os.lseek(file, offset, os.SEEK_SET)
        return os.write(file, data)


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
        confidence: Also write `<stem>_confidence.tif`.

    Returns:
        The path written.

    Raises:
        OutputError: A file is there and overwrite is False, or the disk refuses it.
    """
    writer = MapWriter(
        path, segmentation.grid, segmentation.legend, provenance=segmentation.provenance, overwrite=overwrite, confidence=confidence
    )
    with writer:
        writer.write(segmentation, segmentation.grid.window)
    return writer.path
