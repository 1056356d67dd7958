"""The demo: a real scene, trained on without labels, mapped from some sixty marks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import MissingExtraError

if TYPE_CHECKING:
    from .maps import AreaTable
    from .training import TrainingProgress

TRUE_COLOUR = ("B3", "B2", "B1")
"""Red, green and blue of Landsat 7."""


@dataclass(frozen=True)
class Demo:
    """What the demo made."""

    files: tuple[Path, ...]
    """Model, labels, map, confidence, polygons, area table, picture."""
    areas: AreaTable


def landsat() -> Path:
    """The Landsat 7 scene of the Great Salt Lake that the package localtileserver ships.

    Raises:
        MissingExtraError: The package is not installed.
    """
    # Found, not imported: only its file is wanted, not its server.
    spec = find_spec("localtileserver")
    if spec is None or spec.origin is None:
        raise MissingExtraError("localtileserver", extra="demo", purpose="pixelkin demo")
    return Path(spec.origin).parent / "tiler" / "data" / "landsat.tif"


def run_demo(out: Path, *, seed: int = 0, progress: Callable[[TrainingProgress], None] | None = None) -> Demo:
    """Train on the scene without labels, map it from the marks that come with the package, and write everything to a folder.

    Args:
        out: Folder; made if it is not there, files in it are replaced.
        seed: Seed of the training.
        progress: Told of each training step.

    Raises:
        MissingExtraError: The extra `demo` is not installed.
    """
    from .labels import read_labels, write_labels
    from .maps import area_table, overview, write_area_table, write_polygons
    from .raster import open_scene
    from .scene import Series
    from .segmenter import Segmenter
    from .training import train

    scene = open_scene(landsat())
    assert not isinstance(scene, Series)
    out.mkdir(parents=True, exist_ok=True)
    with as_file(files("pixelkin") / "data" / "great_salt_lake.geojson") as marks:
        labels = read_labels(marks, scene)
    model = train(scene, patch_size=9, seed=seed, progress=progress)
    result = Segmenter(model).fit(scene, labels).predict(scene)
    areas = area_table(result)
    title = f"Great Salt Lake, Landsat 7: {len(labels)} marked pixels"
    return Demo(
        (
            model.save(out / "model.safetensors", overwrite=True),
            write_labels(labels, scene.grid, out / "marks.geojson", overwrite=True),
            result.write(out / "map.tif", overwrite=True, confidence=True),
            out / "map_confidence.tif",
            write_polygons(result, out / "map.gpkg", overwrite=True, min_pixels=4),
            write_area_table(areas, out / "areas.csv", overwrite=True),
            overview(scene, labels, result, out / "picture.png", bands=TRUE_COLOUR, title=title, overwrite=True),
        ),
        areas,
    )
