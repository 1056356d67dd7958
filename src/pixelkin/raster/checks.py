"""What a job may need of an image, each as one question with one clear refusal."""

from __future__ import annotations

from collections.abc import Sequence

from pixelkin.errors import RasterError
from pixelkin.scene import Scene
from pixelkin.types import Window


def require_crs(scene: Scene, purpose: str = "labels cannot be placed by coordinates") -> str:
    """The CRS of a scene; RasterError with the fix where it has none."""
    if scene.grid.crs is None:
        raise RasterError(f"{scene.name} has no CRS, so {purpose}. Set one with: rio edit-info --crs EPSG:n FILE")
    return scene.grid.crs


def require_bands(scene: Scene, bands: Sequence[str]) -> None:
    """RasterError with both lists where a scene's bands are not these, in this order."""
    if tuple(scene.bands) != tuple(bands):
        raise RasterError(f"{scene.name} has bands {list(scene.bands)}, expected {list(bands)}. Choose or reorder them with bands=[...].")


def require_valid(scene: Scene, rows_at_once: int = 512) -> None:
    """RasterError where not one pixel of a scene is valid; reads until it finds one."""
    height, width = scene.grid.shape
    for row in range(0, height, rows_at_once):
        if scene.read(Window(row, 0, min(rows_at_once, height - row), width)).valid.any():
            return
    raise RasterError(f"{scene.name} has no valid pixel, expected imagery. Check its no-data value ({_nodata(scene)}) and mask.")


def _nodata(scene: Scene) -> str:
    values = {value for value in getattr(scene, "nodata", ()) if value is not None}
    return ", ".join(f"{value:g}" for value in sorted(values)) or "none"
