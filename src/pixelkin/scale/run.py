"""`segment`: a map of any raster within a memory budget, on this machine or on a cluster, that survives being killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import rasterio

from ..errors import InputError
from ..products import Outputs, SeriesOutputs, Written, made_folder, write_products
from ..raster.inputs import files_of
from ..raster.layers import LAYERS, known_layers
from ..raster.mapfile import carries, map_tags, map_targets
from ..scene import Scene, Series, as_scenes
from ..segmenter import Segmenter
from ..types import LabelledPixels, Legend, Window
from .kernel import TileKernel, block_bytes_of
from .local import run_local
from .manifest import Run
from .plan import MemoryPlan, TilePlan, plan_memory

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
    layers: Iterable[str] = (),
    polygons: str | Path | None = None,
    areas: str | Path | None = None,
    picture: str | Path | None = None,
    chart: str | Path | None = None,
    labels: Mapping[str, LabelledPixels] | None = None,
    level: int | None = None,
    memory: int | str = "2GiB",
    tile: int | None = None,
    workers: int | None = None,
    client: Client | None = None,
    overwrite: bool = False,
    resume: bool = True,
    progress: Callable[[SegmentProgress], None] | None = None,
) -> Path:
    """Write the map of an image of any size as a Cloud-Optimized GeoTIFF; a series gives a folder with one map a date.

    The bits are those of `segmenter.predict`, whatever the tile size, the number of workers, the machine, and however often the
    run was killed. Finished tiles are kept in a hidden folder beside `out`; the same call goes on from them.

    Args:
        scene: Image or series.
        segmenter: Fitted, or with references loaded. It is not changed, and its cache is not used.
        out: File to write, `.tif`; for a series a folder, which is made.
        layers: Rasters to write beside each map, as `<stem>_<layer>.tif`: 'confidence', 'probabilities', 'entropy', 'margin'.
        polygons: File to outline the classes in, `.gpkg` or `.geojson`; of a series a file a date, with the map's name behind its own.
        areas: Table of the area of each class, `.csv` or `.json`; of a series one table of all dates.
        picture: Image, marks, map and confidence, `.png`; of a series a file a date, as for polygons.
        chart: Areas of a series over time, `.png`.
        labels: Marked pixels that pictures show, by the fingerprint of the image that they were drawn on.
        level: Level of the classes that is mapped, 1 = the highest, where the labels' legend has levels; default the classes themselves.
        memory: Memory of this process (on a cluster: of each worker), bytes or text such as '2GiB'.
        tile: Side of a tile in pixels, a multiple of 256; default as large as the memory allows, up to 1024.
        workers: Threads that compute; default those of the Segmenter.
        client: A `distributed.Client` whose workers compute, see `pixelkin.scale.dask.connect`; they must see the image under the
            same path. Default this process.
        overwrite: Replace files that are there.
        resume: Go on from the tiles of an unfinished run of the same target; False starts anew.
        progress: Called after each tile.

    Returns:
        `out`.

    Raises:
        NotFittedError: The Segmenter has no labels.
        ModelError: The scene's bands are not the model's.
        InputError: The memory is too small for one tile; a layer is not known.
        OutputError: A file is there and overwrite is False; an unfinished run had other inputs; the disk is full (finished
            tiles are kept). Ctrl-C leaves as KeyboardInterrupt with finished tiles kept.
    """
    if level is not None and segmenter.method == "similar":
        raise InputError(f"level is {level}, and a search for one class has no others to join it with. Leave level out.")
    how = _How(segmenter, memory, tile, workers, client, resume, progress, labels or {}, level)
    wanted = outputs_of(scene, out, layers=layers, polygons=polygons, areas=areas, picture=picture, chart=chart)
    if isinstance(wanted, Outputs):
        assert not isinstance(scene, Series)
        _segment_scene(scene, how, wanted, overwrite)
        return Path(out)
    assert isinstance(scene, Series)
    inputs = {
        "scenes": [[date.fingerprint, how.provenance(date)] for date in scene],
        "layers": wanted.each.kept,
        "tile": tile,
        "counted": wanted.each.counted,
    }
    run = Run(wanted.folder / "series", inputs, resume=resume)
    whose = {stem: [date.fingerprint, how.provenance(date)] for date, stem, _ in wanted.by_date(scene)}

    def finished(stem: str) -> bool:
        return resume and run.facts(stem).get("inputs") == whose[stem]

    wanted.require(scene, how.legend, overwrite=overwrite, finished=finished)
    with made_folder(wanted.folder), run:
        for date, stem, outputs in wanted.by_date(scene):
            if not finished(stem):
                table = _segment_scene(date, how, outputs, True).areas
                run.mark(stem, {"inputs": whose[stem], "areas": None if table is None else table.to_json()})
        if wanted.each.counted:
            from ..maps.areas import AreaTable

            wanted.write(
                scene, [AreaTable.from_json(run.facts(stem)["areas"]) for _, stem, _ in wanted.by_date(scene)], overwrite=overwrite
            )
        run.discard()
    return wanted.folder


def outputs_of(
    scene: Scene | Series,
    out: str | Path,
    *,
    layers: Iterable[str] = (),
    polygons: str | Path | None = None,
    areas: str | Path | None = None,
    picture: str | Path | None = None,
    chart: str | Path | None = None,
) -> Outputs | SeriesOutputs:
    """The files that `segment` makes when it is asked like this.

    Raises:
        InputError: A layer is not known, or a chart is asked for of one image.
    """
    paths = {"polygons": polygons, "areas": areas, "picture": picture, "chart": chart}
    named = {name: None if path is None else Path(path) for name, path in paths.items()}
    names = known_layers(layers)
    if isinstance(scene, Series):
        counted = named["areas"] is not None or named["chart"] is not None
        each = Outputs(None, names, polygons=named["polygons"], picture=named["picture"], counted=counted)
        return SeriesOutputs(Path(out), each, areas=named["areas"], chart=named["chart"])
    if chart is not None:
        raise InputError("a chart shows a series over time, and one image was given. Leave out chart=..., or give a series.")
    return Outputs(Path(out), names, polygons=named["polygons"], areas=named["areas"], picture=named["picture"])


@dataclass(frozen=True)
class _How:
    """What stays the same from image to image."""

    segmenter: Segmenter
    memory: int | str
    tile: int | None
    workers: int | None
    client: Client | None
    resume: bool
    progress: Callable[[SegmentProgress], None] | None
    labels: Mapping[str, LabelledPixels]
    level: int | None

    @property
    def legend(self) -> Legend:
        """Of the maps."""
        legend = self.segmenter.references.legend
        return legend if self.level is None else legend.at_level(self.level)[0]

    def provenance(self, scene: Scene) -> dict[str, str]:
        """Of the map of an image."""
        return {**self.segmenter.provenance(scene), **({} if self.level is None else {"level": str(self.level)})}


def _segment_scene(scene: Scene, how: _How, outputs: Outputs, overwrite: bool) -> Written:
    segmenter, out = how.segmenter, outputs.map
    assert out is not None  # a run is known by the map that it makes
    provenance, legend = how.provenance(scene), how.legend
    if segmenter.model is not None:
        segmenter.model.band_index(scene)
    tile = Run.tile_of(out) if how.tile is None and how.resume else how.tile
    replica, budget = _with_memory(scene, how, tile)
    plan = TilePlan(scene.grid, budget.tile)
    inputs = {**provenance, "fingerprint": scene.fingerprint, "tile": plan.tile, "layers": outputs.kept}
    run = Run(out, inputs, resume=how.resume)
    if how.resume and run.folder.exists():
        # Killed between its last renames, a run leaves files in place; the same files may replace them.
        left = [path for path in map_targets(out, LAYERS) if path.exists()]
        overwrite = overwrite or all(carries(path, map_tags(legend, provenance, outputs.layers)) for path in left)
    outputs.require(scene.grid, legend, inputs={"image": files_of(scene)}, overwrite=overwrite)
    kernel = TileKernel(scene, scene.fingerprint, replica, outputs.kept, how.level)
    with run, rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE):
        todo = [window for window in plan.windows() if not run.finished(window)]
        told = Teller(scene.name, len(plan), len(plan) - len(todo), how.progress)
        for window, data in _results(kernel, todo, budget, how.client, inputs):
            run.put(window, data)
            told(window)
        parts = ((window, run.get(window, scene.grid, legend)) for window in plan.windows())
        written = write_products(
            outputs,
            scene,
            legend,
            parts,
            provenance=provenance,
            labels=how.labels.get(scene.fingerprint),
            overwrite=overwrite,
            scratch=run.scratch,
        )
        run.discard()
    return written


def _results(
    kernel: TileKernel, windows: Iterable[Window], budget: MemoryPlan, client: Client | None, inputs: dict[str, object]
) -> Iterator[tuple[Window, bytes]]:
    if client is None:
        return run_local(kernel, windows, in_flight=budget.in_flight)
    from .dask import run_dask

    return run_dask(kernel, windows, client, inputs)


def _with_memory(scene: Scene, how: _How, tile: int | None) -> tuple[Segmenter, MemoryPlan]:
    """A Segmenter for the tiles and its share of the memory: where nobody says how many threads compute, as many as the memory is enough for."""
    most = how.workers or how.segmenter.workers
    needs: dict[str, Any] = {
        "pixel_bytes": _pixel_bytes(scene),
        "block_bytes": block_bytes_of(how.segmenter, len(scene.bands)),
        "tile": tile,
    }
    for workers in range(most, 0, -1):
        try:
            plan = plan_memory(how.memory, workers=workers, **needs)
        except InputError:
            if how.workers is not None or workers == 1:
                raise
        else:
            break
    return how.segmenter.replica(cache_bytes=0, workers=workers), plan


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
