"""The files that are made of a map, checked before there is one.

A new kind of output file has its place here: a field of `Outputs`, and its check in `targets`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .files import Name, require_outputs, require_space
from .raster.mapfile import map_targets
from .types import Grid


@dataclass(frozen=True)
class Outputs:
    """Which files to make of one map."""

    map: Path
    """The classes, `.tif`."""
    confidence: bool = False
    """Also `<stem>_confidence.tif`."""
    polygons: Path | None = None
    """Outlines of the classes, `.gpkg` or `.geojson`."""
    areas: Path | None = None
    """Area of each class, `.csv` or `.json`."""
    picture: Path | None = None
    """Image, marks, map and confidence, `.png`."""

    def targets(self, grid: Grid) -> list[Path]:
        """The files, by their whole names.

        Raises:
            OutputError: A suffix is none of the kind's, or the format cannot hold a map on this grid.
        """
        found = map_targets(self.map, confidence=self.confidence)
        # What draws and outlines takes a second to import: only for who asks for it.
        if self.polygons is not None:
            from .maps.polygons import polygon_target

            found.append(polygon_target(self.polygons, grid))
        if self.areas is not None:
            from .maps.areas import table_target

            found.append(table_target(self.areas))
        if self.picture is not None:
            from .maps.figure import picture_target

            found.append(picture_target(self.picture))
        return found

    def require(
        self, grid: Grid, *, inputs: Mapping[str, Iterable[Name]] | None = None, overwrite: bool = False, beside: Iterable[Name] = ()
    ) -> None:
        """Refuse, before any work, what cannot be written or must not.

        Args:
            grid: Of the map.
            inputs: What is read, by the word for it; see `pixelkin.files.require_outputs`.
            overwrite: Files that are there may be replaced.
            beside: Other files that the same command writes.

        Raises:
            OutputError: See `targets`, `pixelkin.files.require_outputs` and `pixelkin.files.require_space`.
        """
        require_outputs([*self.targets(grid), *beside], inputs=inputs, overwrite=overwrite)
        # What is compressed on the way shrinks, so this asks for the plain map only.
        require_space(self.map, grid.height * grid.width * (5 if self.confidence else 1))
