"""The answer: a class and a confidence for every pixel."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .types import BoolArray, FloatArray, Grid, Legend, UInt8Array


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A map of an image or of a window of it."""

    classes: UInt8Array
    """Class ids, shape (row, col); 0 where not valid or where the segmenter abstained."""
    confidence: FloatArray
    """Shape (row, col), in [0, 1]; 0 where not valid."""
    valid: BoolArray
    """Shape (row, col), True = the image had data there."""
    legend: Legend
    grid: Grid
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Model hash, label hash, options, versions, seed: what it takes to make this map again."""

    def write(self, path: str | Path, *, overwrite: bool = False, confidence: bool = False) -> Path:
        """Write the classes as a Cloud-Optimized GeoTIFF; see `pixelkin.raster.write_map`.

        Args:
            path: File to write.
            overwrite: Replace a file that is there.
            confidence: Also write `<stem>_confidence.tif`, or `<stem>_similarity.tif` of what `pixelkin.similar` found, float32.

        Returns:
            The path written.

        Raises:
            OutputError: The file is there and overwrite is False, or the disk refuses it.
        """
        written: Path = _door("raster").write_map(self, path, overwrite=overwrite, confidence=confidence)
        return written

    def plot(self, axes: Any = None) -> Any:
        """Draw the classes in their colours, with a legend.

        Args:
            axes: Where, matplotlib's; default new ones.

        Returns:
            The axes.
        """
        return _door("maps.notebook").plot(self, axes)

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` of `classes` and `confidence` with coordinates, CRS and legend, as rioxarray and GDAL read them."""
        return _door("raster.xarray_maps").to_xarray(self)

    def _repr_html_(self) -> str:
        written: str = _door("maps.notebook").html(self)
        return written


def _door(room: str) -> Any:
    """A room above this one, for methods that are its functions by another name: looked up when they are called, since the pure rooms open no files."""
    return importlib.import_module(f".{room}", __package__)
