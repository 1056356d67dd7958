"""`segment`: a map of any raster within a memory budget, on this machine or on a cluster, that survives being killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import rasterio

from ..errors import OutputError
from ..files import Name, require_outputs, require_space
from ..products import Outputs
from ..raster import MapWriter
from ..raster.inputs import files_of
from ..raster.mapfile import carries, map_tags, map_targets
from ..scene import Scene, Series, as_scenes
from ..segmenter import Segmenter
from ..types import Window
from .kernel import TileKernel, block_bytes_of
from .local import run_local
from .manifest import Run
from .plan import MemoryPlan, TilePlan, plan_memory

if TYPE_CHECKING:
    from distributed import Client

_GDAL_CACHE = 64 * 2**20
"""GDAL's own default is a twentieth of the machine's memory, whatever the budget."""


FILE_SUFFIXES = (".tif", ".tiff", ".png", ".gpkg", ".geojson", ".json", ".csv", ".zarr", ".vrt", ".zip")
"""Suffixes that nobody gives a folder of maps."""


class SegmentProgress(NamedTuple):
    """What a progress callback is told after each tile."""

    name: str
    """The scene's name: a series has one map a date."""
    tiles_done: int
    """Finished tiles, those of an earlier run that is being resumed included."""
    tiles: int
    pixels_per_s: float
    """Of this run."""
    seconds_left: float


def segment(
    scene: Scene | Series,
    segmenter: Segmenter,
    out: str | Path,
    *,
    memory: int | str = "2GiB",
    tile: int | None = None,
    workers: int | None = None,
    client: Client | None = None,
    overwrite: bool = False,
    resume: bool = True,
    confidence: bool = False,
    progress: Callable[[SegmentProgress], None] | None = None,
) -> Path:
    """Write the map of an image of any size as a Cloud-Optimized GeoTIFF; a series gives a folder with one map a date.

    The bits are those of `segmenter.predict`, whatever the tile size, the number of workers, the machine, and however often the
    run was killed. Finished tiles are kept in a hidden folder beside `out`; the same call goes on from them.

    Args:
        scene: Image or series.
        segmenter: Fitted, or with references loaded. It is not changed, and its cache is not used.
        out: File to write, `.tif`; for a series a folder, which is made.
        memory: Memory of this process (on a cluster: of each worker), bytes or text such as '2GiB'.
        tile: Side of a tile in pixels, a multiple of 256; default as large as the memory allows, up to 1024.
        workers: Threads that compute; default those of the Segmenter.
        client: A `distributed.Client` whose workers compute, see `pixelkin.scale.dask.connect`; they must see the image under the
            same path. Default this process.
        overwrite: Replace maps that are there.
        resume: Go on from the tiles of an unfinished run of the same target; False starts anew.
        confidence: Also write `<stem>_confidence.tif`.
        progress: Called after each tile.

    Returns:
        `out`.

    Raises:
        NotFittedError: The Segmenter has no labels.
        ModelError: The scene's bands are not the model's.
        InputError: The memory is too small for one tile.
        OutputError: A map is there and overwrite is False; an unfinished run had other inputs; the disk is full (finished
            tiles are kept). Ctrl-C leaves as KeyboardInterrupt with finished tiles kept.
    """
    if not isinstance(scene, Series):
        return _segment_scene(scene, segmenter, Path(out), memory, tile, workers, client, overwrite, resume, confidence, progress)
    folder = Path(out)
    inputs = {"scenes": [[date.fingerprint, segmenter.provenance(date)] for date in scene], "confidence": confidence, "tile": tile}
    run = Run(folder / "series", inputs, resume=resume)
    require_series(scene, folder, confidence=confidence, overwrite=overwrite, finished=run.marked if resume else None)
    with made_folder(folder), run:
        for date, target in zip(scene, map_names(scene, folder), strict=True):
            if not run.marked(target.stem):
                _segment_scene(date, segmenter, target, memory, tile, workers, client, True, resume, confidence, progress)
                run.mark(target.stem)
        run.discard()
    return folder


def require_series(
    series: Series,
    folder: Path,
    *,
    confidence: bool = False,
    overwrite: bool = False,
    inputs: Mapping[str, Iterable[Name]] | None = None,
    finished: Callable[[str], bool] | None = None,
) -> None:
    """Refuse, before any work, a folder that cannot hold the maps of a series.

    Args:
        series: What is mapped.
        folder: Folder of the maps, there or not.
        confidence: Also of their confidence.
        overwrite: Replace maps that are there.
        inputs: What is read beside the images; see `pixelkin.files.require_outputs`.
        finished: Says whether the map of a name was finished by a run that is being resumed, and may be there.

    Raises:
        OutputError: It is a file, or its name is that of one; a map is there; a map would replace an image; the disk is too small.
    """
    if folder.suffix.lower() in FILE_SUFFIXES or folder.is_file():
        raise OutputError(f"{folder} names a file, and {len(series)} dates give a map each, expected a folder for them. Name a folder.")
    above = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be made in {above}, expected a folder that takes files. Choose another folder for the maps.")
    targets = [file for path in map_names(series, folder) for file in map_targets(path, confidence=confidence)]
    read = {"image": files_of(series), **(inputs or {})}
    if folder.is_dir():
        there = [path for path in targets if finished is None or not finished(path.stem.removesuffix("_confidence"))]
        require_outputs(there, inputs=read, overwrite=overwrite)
    require_space(folder / "map", len(series) * series.grid.height * series.grid.width * (5 if confidence else 1), "the maps")


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; where the work in it fails, what was made goes again, unless it holds something."""
    missing = [path for path in (folder.absolute(), *folder.absolute().parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise OutputError(f"{folder} cannot be made: {exc.strerror or exc}. Choose another folder.") from exc
        yield
    finally:
        with suppress(OSError):
            for path in missing:
                path.rmdir()  # refuses where there is something in it


def map_names(series: Series, folder: Path) -> list[Path]:
    """Where the map of each date of a series goes: the scene's name, with a number where two have the same."""
    names: list[str] = []
    for scene in series:
        name, again = scene.name, 1
        while name in names:
            again += 1
            name = f"{scene.name}_{again}"
        names.append(name)
    return [folder / f"{name}.tif" for name in names]


def _segment_scene(
    scene: Scene,
    segmenter: Segmenter,
    out: Path,
    memory: int | str,
    tile: int | None,
    workers: int | None,
    client: Client | None,
    overwrite: bool,
    resume: bool,
    confidence: bool,
    progress: Callable[[SegmentProgress], None] | None,
) -> Path:
    provenance = segmenter.provenance(scene)
    legend = segmenter.references.legend
    if segmenter.model is not None:
        segmenter.model.band_index(scene)
    if tile is None and resume:
        tile = Run.tile_of(out)
    replica = segmenter.replica(cache_bytes=0, workers=workers)
    budget = _memory(scene, replica, memory, tile)
    plan = TilePlan(scene.grid, budget.tile)
    inputs = {**provenance, "fingerprint": scene.fingerprint, "tile": plan.tile, "confidence": confidence}
    run = Run(out, inputs, resume=resume)
    outputs = Outputs(out, confidence=confidence)
    if resume and run.folder.exists():
        # Killed between its last renames, a run leaves files in place; the same files may replace them.
        left = [path for path in map_targets(out, confidence=True) if path.exists()]
        overwrite = overwrite or all(carries(path, map_tags(legend, provenance, confidence=confidence)) for path in left)
    outputs.require(scene.grid, inputs={"image": files_of(scene)}, overwrite=overwrite)
    writer = MapWriter(out, scene.grid, legend, provenance=provenance, overwrite=overwrite, confidence=confidence, scratch=run.scratch)
    kernel = TileKernel(scene, scene.fingerprint, replica, confidence)
    with run, rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE):
        todo = [window for window in plan.windows() if not run.finished(window)]
        told = Teller(scene.name, len(plan), len(plan) - len(todo), progress)
        for window, data in _results(kernel, todo, budget, client, inputs):
            run.put(window, data)
            told(window)
        with writer:
            for window in plan.windows():
                writer.write(run.get(window, scene.grid, legend), window)
        run.discard()
    return out


def _results(
    kernel: TileKernel, windows: Iterable[Window], budget: MemoryPlan, client: Client | None, inputs: dict[str, object]
) -> Iterator[tuple[Window, bytes]]:
    if client is None:
        return run_local(kernel, windows, in_flight=budget.in_flight)
    from .dask import run_dask

    return run_dask(kernel, windows, client, inputs)


def _memory(scene: Scene, segmenter: Segmenter, memory: int | str, tile: int | None) -> MemoryPlan:
    block_bytes = block_bytes_of(segmenter, len(scene.bands))
    return plan_memory(memory, pixel_bytes=_pixel_bytes(scene), block_bytes=block_bytes, workers=segmenter.workers, tile=tile)


def require_memory(scene: Scene | Series, memory: int | str, tile: int | None) -> None:
    """Refuse, before there is a model, memory that no model could do with; `segment` asks again with the model that it has.

    Raises:
        InputError: The memory is no size or too small, or the tile has no whole number of blocks.
    """
    if tile is not None:
        TilePlan(scene.grid, tile)
    plan_memory(memory, pixel_bytes=max(map(_pixel_bytes, as_scenes(scene))), block_bytes=0, workers=1, tile=tile)


def _pixel_bytes(scene: Scene) -> int:
    """Read pixels and their masks; classes, confidence and validity of the map; packed and as it is put into the archive."""
    # A scene that does not say is taken to hold the widest numbers.
    width = np.dtype(getattr(scene, "dtype", None) or getattr(scene, "data", np.empty(0, np.float64)).dtype).itemsize
    return len(scene.bands) * width * 2 + 24


class Teller:
    """Counts tiles and tells how fast it goes."""

    def __init__(self, name: str, tiles: int, done: int, progress: Callable[[SegmentProgress], None] | None) -> None:
        self._name, self._tiles, self._done, self._progress = name, tiles, done, progress
        self._pixels, self._new, self._started = 0, 0, time.monotonic()

    def __call__(self, window: Window) -> None:
        """One more tile is finished."""
        self._done, self._new, self._pixels = self._done + 1, self._new + 1, self._pixels + window.height * window.width
        elapsed = max(time.monotonic() - self._started, 1e-9)
        if self._progress is not None:
            left = (self._tiles - self._done) * elapsed / self._new
            self._progress(SegmentProgress(self._name, self._done, self._tiles, self._pixels / elapsed, left))
