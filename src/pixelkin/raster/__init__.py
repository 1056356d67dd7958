"""The only room that opens image files: readers behind the `Scene` protocol, series, and writers of maps."""

from .checks import require_bands, require_crs, require_valid
from .mapfile import read_map
from .mosaic import Mosaic, open_mosaic
from .opening import open_scene
from .reader import RasterScene
from .together import open_stack
from .writer import MapWriter, write_map

__all__ = [
    "MapWriter",
    "Mosaic",
    "RasterScene",
    "open_mosaic",
    "open_scene",
    "open_stack",
    "read_map",
    "require_bands",
    "require_crs",
    "require_valid",
    "write_map",
]
