"""What a job may need of an image, each as one question with one clear refusal."""

from __future__ import annotations

from collections.abc import Sequence

from pixelkin.errors import RasterError
from pixelkin.scene import Scene
from pixelkin.types import Window

from .summary import summarise


def require_crs(scene: Scene, purpose: str = "labels cannot be placed by coordinates") -> str:
    """The CRS of a scene; RasterError with the fix where it has none."""
    if scene.grid.crs is None:
        raise RasterError(f"{scene.name} has no CRS, so {purpose}. Set one with: rio edit-info --crs EPSG:n FILE")
    return scene.grid.crs


def require_bands(scene: Scene, bands: Sequence[str]) -> None:
    """RasterError with both lists where a scene's bands are not these, in this order."""
    if tuple(scene.bands) != tuple(bands):
        raise RasterError(f"{scene.name} has bands {list(scene.bands)}, expected {list(bands)}. Choose or reorder them with bands=[...].")


def require_valid(scene: Scene, at_once: int = 1 << 23) -> None:
    """RasterError where not one pixel of a scene is valid; reads so many numbers at a time, until it finds one."""
    height, width = scene.grid.shape
    rows_at_once = min(512, max(1, at_once // (width * len(scene.bands))))
    for row in range(0, height, rows_at_once):
        if scene.read(Window(row, 0, min(rows_at_once, height - row), width)).valid.any():
            return
    raise RasterError(_without_a_pixel(scene))


def _without_a_pixel(scene: Scene) -> str:
    """Which bands are to blame that no pixel is valid, and what to do."""
    bands, _ = summarise(scene)
    dead = [name for name, band in zip(scene.bands, bands, strict=True) if band.valid == 0]
    alive = [name for name in scene.bands if name not in dead]
    if not alive:
        return f"{scene.name} has no valid pixel, expected imagery. Check its no-data value ({_nodata(scene)}) and mask."
    if dead:
        named = f"band {dead[0]!r} has" if len(dead) == 1 else f"bands {dead} have"
        return f"{scene.name} has no valid pixel, because {named} no data at all. Leave them out: bands={alive}"
    shares = [band.valid for band in bands]
    return (
        f"{scene.name} has no pixel in which all {len(bands)} bands are data (each band is, in {min(shares):.0%} to {max(shares):.0%} of the pixels). "
        "Fill what is missing with missing='fill', or choose bands that go together with bands=[...]."
    )


def _nodata(scene: Scene) -> str:
    values = {value for value in getattr(scene, "nodata", ()) if value is not None}
    return ", ".join(f"{value:g}" for value in sorted(values)) or "none"
