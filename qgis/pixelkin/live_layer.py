"""The map as a raster layer that is written anew after each mark."""

import tempfile
from pathlib import Path

from osgeo import gdal  # QGIS's own
from qgis.core import QgsColorRampShader, QgsPalettedRasterRenderer, QgsRasterLayer, QgsRasterShader, QgsSingleBandPseudoColorRenderer
from qgis.PyQt.QtGui import QColor

from .server import TILE

_MOST_TILES = 64
"""Tiles of a view; of larger views coarser tiles are asked for."""


class LiveLayer:
    """A file of one byte a pixel, and the layer that shows it."""

    def __init__(self, frame, wkt, name):
        """An empty layer on the grid of an image.

        Args:
            frame: Its PixelFrame.
            wkt: Its CRS as WKT, may be empty.
            name: What the layer is called.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="pixelkin-")
        self._path = str(Path(self._folder.name) / "map.tif")
        self._frame = frame
        options = ["TILED=YES", f"BLOCKXSIZE={TILE}", f"BLOCKYSIZE={TILE}", "SPARSE_OK=TRUE"]
        file = gdal.GetDriverByName("GTiff").Create(self._path, frame.width, frame.height, 1, gdal.GDT_Byte, options)
        file.SetGeoTransform(frame.geo_transform())
        if wkt:
            file.SetProjection(wkt)
        file.GetRasterBand(1).SetNoDataValue(0)
        file = None  # GDAL writes when the last reference goes
        self.layer = QgsRasterLayer(self._path, name)

    def close(self):
        """Remove the file; the layer has to be gone from the project."""
        self.layer = None
        self._folder.cleanup()

    def wanted(self, box, levels):
        """The level and the tiles of a part of the image, from its middle outwards.

        Args:
            box: First column and row, columns and rows.
            levels: The coarsest level.
        """
        left, top, width, height = box
        for level in range(levels + 1):
            side = TILE << level
            xs = range(left // side, (left + width - 1) // side + 1)
            ys = range(top // side, (top + height - 1) // side + 1)
            if len(xs) * len(ys) <= _MOST_TILES:
                break
        middle = (left + width / 2) / side - 0.5, (top + height / 2) / side - 0.5
        tiles = [(x, y) for y in ys for x in xs]
        return level, sorted(tiles, key=lambda tile: (tile[0] - middle[0]) ** 2 + (tile[1] - middle[1]) ** 2)

    def write(self, level, tiles):
        """Put tiles in and paint the layer anew; coarse ones fill the pixels that each of theirs stands for."""
        file = gdal.Open(self._path, gdal.GA_Update)
        band = file.GetRasterBand(1)
        side = TILE << level
        for (x, y), data in tiles.items():
            col, row = x * side, y * side
            cols, rows = min(side, self._frame.width - col), min(side, self._frame.height - row)
            across, down = -(-cols // (1 << level)), -(-rows // (1 << level))
            if across < TILE:
                data = b"".join(data[start : start + across] for start in range(0, down * TILE, TILE))
            band.WriteRaster(col, row, cols, rows, data[: across * down], across, down, gdal.GDT_Byte)
        band = file = None
        self.layer.dataProvider().reloadData()
        self.layer.triggerRepaint()

    def show_classes(self, classes):
        """Colours and names as in the panel."""
        entries = [QgsPalettedRasterRenderer.Class(entry["id"], QColor(entry["color"]), entry["name"]) for entry in classes]
        self.layer.setRenderer(QgsPalettedRasterRenderer(self.layer.dataProvider(), 1, entries))
        self.layer.setOpacity(0.7)
        self.layer.emitStyleChanged()

    def show_confidence(self):
        """From dark, unsure, to bright, sure."""
        ramp = QgsColorRampShader(1, 255)
        ramp.setColorRampItemList(
            [QgsColorRampShader.ColorRampItem(value, QColor(color), f"{value / 255:.0%}")
             for value, color in ((1, "#440154"), (64, "#3b528b"), (128, "#21918c"), (192, "#5ec962"), (255, "#fde725"))]
        )  # fmt: skip
        shader = QgsRasterShader()
        shader.setRasterShaderFunction(ramp)
        self.layer.setRenderer(QgsSingleBandPseudoColorRenderer(self.layer.dataProvider(), 1, shader))
        self.layer.setOpacity(0.7)
