"""`segment`: a map of any raster within a memory budget, on this machine or on a cluster, that survives being killed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import rasterio

from ..errors import OutputError
from ..raster import MapWriter
from ..raster.mapfile import carries, confidence_path, map_tags
from ..scene import Scene, Series
from ..segmenter import Segmenter
from ..types import Window
from .kernel import TileKernel, block_bytes_of
from .local import run_local
from .manifest import Run
from .plan import MemoryPlan, TilePlan, parse_bytes, plan_memory

if TYPE_CHECKING:
    from distributed import Client

_GDAL_CACHE = 64 * 2**20
"""GDAL's own default is a twentieth of the machine's memory, whatever the budget."""


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(f"{folder} cannot be made: {exc.strerror or exc}. Choose another folder for the maps.") from exc
    targets = map_names(scene, folder)
    inputs = {"scenes": [[date.fingerprint, segmenter.provenance(date)] for date in scene], "confidence": confidence, "tile": tile}
    with Run(folder / "series", inputs, resume=resume) as run:
        for target in targets:
            if target.exists() and not overwrite and not run.marked(target.stem):
                raise OutputError(f"{target} exists already. Choose another folder, or replace it with overwrite=True (--overwrite).")
        for date, target in zip(scene, targets, strict=True):
            if not run.marked(target.stem):
                _segment_scene(date, segmenter, target, memory, tile, workers, client, True, resume, confidence, progress)
                run.mark(target.stem)
        run.discard()
    return folder


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
    if resume and run.folder.exists():
        # Killed between its last renames, a run leaves files in place; the same files may replace them.
        left = [path for path in (out, confidence_path(out)) if path.exists()]
        overwrite = overwrite or all(carries(path, map_tags(legend, provenance, confidence=confidence)) for path in left)
    # Checks the name and what is there, before hours of work.
    writer = MapWriter(out, scene.grid, legend, provenance=provenance, overwrite=overwrite, confidence=confidence, scratch=run.scratch)
    _require_space(out, scene, confidence)
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
    # A scene that does not say is taken to hold the widest numbers.
    width = np.dtype(getattr(scene, "dtype", None) or getattr(scene, "data", np.empty(0, np.float64)).dtype).itemsize
    # Read pixels and their masks; classes, confidence and validity of the map; packed and as it is put into the archive.
    return plan_memory(
        parse_bytes(memory),
        pixel_bytes=len(scene.bands) * width * 2 + 24,
        block_bytes=block_bytes_of(segmenter, len(scene.bands)),
        workers=segmenter.workers,
        tile=tile,
    )


def _require_space(out: Path, scene: Scene, confidence: bool) -> None:
    """A disk that is too small is found before hours of work. Tiles shrink, so this asks for the plain map only."""
    needed = scene.grid.height * scene.grid.width * (5 if confidence else 1)
    free = shutil.disk_usage(out.parent).free
    if free < needed:
        raise OutputError(
            f"{out.parent} has {free / 1e6:.0f} MB free, expected at least {needed / 1e6:.0f} MB for the map. Free some space or choose another folder."
        )


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
