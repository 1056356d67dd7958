"""Embeddings of an image in a Zarr archive: label edits over years of imagery without touching the imagery again.

The local measure reads the feature map C_psi only through the critic's projection u = f(c) (32 numbers a pixel instead of 64), and
v = g(S) follows from S (10 numbers). So u and S are all that is kept, each channel as int8 with its own scale and offset, or as float16.
An opened archive (`embedded`) is a scene whose bands are these channels, scaled back: the rest of the program does not know the difference,
and labels on one archive map all archives of a model.

One difference there is: past the image's edge an archive is continued by reflecting features, an image by reflecting pixels, so within
a patch's radius of the edge distances differ a little.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ..errors import InputError, MissingExtraError, OutputError, RasterError
from ..features import BLOCK, blocks_of
from ..features import embed as embed_window
from ..files import require_outputs, require_writable
from ..model import Model, Standardisation
from ..products import FILE_SUFFIXES, made_folder, map_names
from ..raster.inputs import files_of
from ..scene import Scene, Series
from ..types import AnyArray, BoolArray, FloatArray, Grid, Window
from .embedded import VERSION, is_archive, projected_width, quantisation_of
from .kernel import TileScene
from .manifest import Run
from .plan import TilePlan, parse_bytes, with_halo
from .run import SegmentProgress, Teller

try:
    import zarr
    from zarr.codecs import BloscCodec
except ImportError as exc:
    raise MissingExtraError("zarr", extra="scale", purpose="an embedding archive") from exc

Dtype = Literal["int8", "float16", "float32"]

_SHARD = 4 * BLOCK
"""Side of a file of the archive; a reader fetches the chunks of 256 x 256 pixels in it one by one."""
_LEVELS = 127
"""int8 codes on each side of a channel's middle."""


def embed(
    scene: Scene | Series,
    model: Model,
    out: str | Path,
    *,
    dtype: Dtype = "int8",
    memory: int | str = "2GiB",
    workers: int | None = None,
    overwrite: bool = False,
    resume: bool = True,
    progress: Callable[[SegmentProgress], None] | None = None,
) -> Path:
    """Write what the local measure (and the L1 of S) needs to know of each pixel to a Zarr v3 group; of a series, a group a date.

    The group holds `0`, shape (channel, y, x), with 32 channels of u and z_dim of S; overviews `1`, `2`, ..., each half the size, of mean
    embeddings; `valid`; and attributes with scales, offsets, place, model and scene.

    Args:
        scene: Image or series.
        model: Encoder and critics.
        out: Folder to make, usually named `.zarr`; for a series, the folder of these, where archives of the same inputs count as finished.
        dtype: 'int8' (with a scale and an offset a channel), 'float16', or 'float32' (for comparison).
        memory: Memory of this process.
        workers: Threads; default two.
        overwrite: Replace an archive that is there.
        resume: Go on with an unfinished run.
        progress: Called after each tile.

    Returns:
        `out`.

    Raises:
        InputError: No model, or an unknown dtype.
        ModelError: The scene's bands are not the model's.
        OutputError: The archive is there, an unfinished run had other inputs, or the disk is full.
    """
    if dtype not in ("int8", "float16", "float32"):
        raise InputError(f"dtype is {dtype!r}, expected 'int8', 'float16' or 'float32'.")
    if not isinstance(model, Model):
        raise InputError(
            f"model is {model!r}, expected a Model: an archive keeps what its encoder says. Train one; ready-made embeddings need no archive."
        )
    target = Path(out)
    if not isinstance(scene, Series):
        return _embed_scene(scene, model, target, dtype, memory, workers, overwrite, resume, progress)
    require_writable(target, overwrite=True, folder=True)
    if target.suffix.lower() in FILE_SUFFIXES or target.is_file():
        raise OutputError(f"{target} names a file or an archive, and {len(scene)} dates give an archive each. Name a folder for them.")
    archives = [path.with_name(f"{path.stem}.zarr") for path in map_names(scene, target)]
    todo = [
        (date, archive)
        for date, archive in zip(scene, archives, strict=True)
        if not (resume and is_archive(archive) and _inputs_of(archive) == _inputs(date, model, dtype))
    ]
    if target.is_dir():
        for date, archive in todo:
            _require_archive(archive, date, overwrite=overwrite)
    with made_folder(target):
        for date, archive in todo:
            _embed_scene(date, model, archive, dtype, memory, workers, overwrite, resume, progress)
    return target


def _require_archive(target: Path, scene: Scene, *, overwrite: bool) -> None:
    """Refuse an archive that cannot be written; only an archive is ever replaced by one."""
    require_outputs([], folders=[target], inputs={"image": files_of(scene)}, overwrite=overwrite)
    if target.exists() and not is_archive(target):
        raise OutputError(f"{target} is no archive of embeddings, and only such a one is replaced by one. Choose another name.")


def _inputs(scene: Scene, model: Model, dtype: Dtype) -> dict[str, Any]:
    """All that decides what an archive holds."""
    return {"fingerprint": scene.fingerprint, "scene": scene.name, "model": model.hash, "dtype": dtype, "tile": _SHARD}


def _inputs_of(path: Path) -> Any:
    attributes: Any = zarr.open_group(str(path), mode="r").attrs["pixelkin"]
    return attributes["inputs"]


def _embed_scene(
    scene: Scene,
    model: Model,
    target: Path,
    dtype: Dtype,
    memory: int | str,
    workers: int | None,
    overwrite: bool,
    resume: bool,
    progress: Callable[[SegmentProgress], None] | None,
) -> Path:
    _require_archive(target, scene, overwrite=overwrite)
    model.band_index(scene)
    workers = workers or 2
    _require_memory(memory, model, scene, dtype, workers)
    inputs = _inputs(scene, model, dtype)
    with Run(target, inputs, resume=resume) as run:
        made = run.folder / "embeddings.zarr"
        try:
            if not run.marked("created"):
                _create(made, scene, model, dtype, inputs)
                run.mark("created")
            _fill(made, scene, model, run, workers, progress)
            _overviews(made)
            if target.exists():
                _remove(target)
            made.replace(target)
        except OSError as exc:
            if isinstance(exc, OutputError | RasterError):
                raise
            raise OutputError(
                f"{target} cannot be written: {exc.strerror or exc}. Finished parts are kept: free some space and run again."
            ) from exc
        run.discard()
    return target


def _project(scene: Scene, model: Model, block: Window) -> tuple[FloatArray, BoolArray]:
    """U and S of one block: (channel, row, col)."""
    embedding = embed_window(model, scene, block)
    k = (embedding.c.shape[1] - block.height) // 2
    with torch.inference_mode():
        c = embedding.c[:, k : k + block.height, k : k + block.width]
        u = model.network.local_critic.project_map(c.unsqueeze(0))[0]
    return torch.cat([u, embedding.s]).cpu().numpy(), embedding.valid


def _create(path: Path, scene: Scene, model: Model, dtype: Dtype, inputs: dict[str, Any]) -> None:
    _remove(path)
    center, scale = _sample(scene, model) if dtype == "int8" else (None, None)
    grid = scene.grid
    attributes = {
        "kind": "embeddings", "version": VERSION, "inputs": inputs, "date": None if scene.date is None else scene.date.isoformat(),
        "grid": {"height": grid.height, "width": grid.width, "transform": list(grid.transform), "crs": grid.crs},
        "channels": {"u": projected_width(model), "s": model.config.z_dim},
        "scale": None if scale is None else scale.tolist(), "offset": None if center is None else center.tolist(),
    }  # fmt: skip
    levels = _level_shapes(grid)
    group = zarr.create_group(str(path), zarr_format=3, attributes={"pixelkin": attributes, **_conventions(grid, levels)})
    channels = projected_width(model) + model.config.z_dim
    # Neighbours differ in their lower bits only: planes of bits shrink a sixth further than bytes do.
    compressor = BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle", typesize=np.dtype(dtype).itemsize)
    for level, (height, width) in enumerate(levels):
        group.create_array(
            str(level), shape=(channels, height, width), dtype=dtype, chunks=(channels, BLOCK, BLOCK), shards=(channels, _SHARD, _SHARD),
            compressors=compressor, dimension_names=("channel", "y", "x"),
        )  # fmt: skip
    group.create_array("valid", shape=grid.shape, dtype="bool", chunks=(BLOCK, BLOCK), shards=(_SHARD, _SHARD), dimension_names=("y", "x"))


def _level_shapes(grid: Grid) -> list[tuple[int, int]]:
    shapes = [grid.shape]
    while max(shapes[-1]) > BLOCK:
        shapes.append(((shapes[-1][0] + 1) // 2, (shapes[-1][1] + 1) // 2))
    return shapes


def _conventions(grid: Grid, levels: list[tuple[int, int]]) -> dict[str, Any]:
    """Place and pyramid in the words of the GeoZarr conventions, for other programs."""
    code = {"proj:code": grid.crs} if grid.crs and ":" in grid.crs[:10] else {"proj:wkt2": grid.crs} if grid.crs else {}
    layout = [
        {"asset": str(level), **({"derived_from": str(level - 1), "factors": [1, 2, 2]} if level else {})} for level in range(len(levels))
    ]
    return {
        **code,
        "spatial:dimensions": ["y", "x"],
        "spatial:transform": list(grid.transform),
        "multiscales": {"layout": layout, "resampling_method": "average"},
    }


def _sample(scene: Scene, model: Model, blocks: int = 24) -> tuple[FloatArray, FloatArray]:
    """Offset and scale of each channel from blocks spread at random: int8 spans what was seen there, and clips the little that lies beyond."""
    every = TilePlan(scene.grid, BLOCK)
    picks = np.random.default_rng(0).permutation(len(every))[:blocks]
    lows, highs = [], []
    for index in picks:
        values, valid = _project(scene, model, every.window(int(index)))
        if valid.any():
            inside = values[:, valid]
            lows.append(inside.min(axis=1))
            highs.append(inside.max(axis=1))
    if not lows:
        raise RasterError(f"{scene.name} has no valid pixel in {len(picks)} blocks, expected imagery. Check its no-data value.")
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    return (low + high) / 2, np.maximum((high - low) / (2 * _LEVELS), np.float32(1e-12))


def _stored(values: FloatArray, quantisation: Standardisation, dtype: str) -> AnyArray:
    if dtype != "int8":
        return values.astype(dtype)
    steps = (values - quantisation.center[:, None, None]) / quantisation.scale[:, None, None]
    codes: AnyArray = np.clip(np.rint(steps), -_LEVELS, _LEVELS).astype(np.int8)
    return codes


def _fill(path: Path, scene: Scene, model: Model, run: Run, workers: int, progress: Callable[[SegmentProgress], None] | None) -> None:
    group = zarr.open_group(str(path), mode="r+")
    data: Any = group["0"]
    valid: Any = group["valid"]
    quantisation = quantisation_of(dict(group.attrs)["pixelkin"])  # type: ignore[arg-type]
    fingerprint, stop = scene.fingerprint, threading.Event()

    def one(window: Window) -> None:
        around = with_halo(window, model.config.radius, scene.grid)
        tile = TileScene(scene, around, scene.read(around), fingerprint, stop)
        codes = np.empty((data.shape[0], window.height, window.width), data.dtype)
        usable = np.empty((window.height, window.width), np.bool_)
        for block in blocks_of(scene.grid, window):
            inside = (
                slice(block.row - window.row, block.row - window.row + block.height),
                slice(block.col - window.col, block.col - window.col + block.width),
            )
            values, usable[inside] = _project(tile, model, block)
            codes[:, *inside] = _stored(values, quantisation, str(data.dtype))
        rows, cols = window.slices
        data[:, rows, cols], valid[rows, cols] = codes, usable
        run.mark(f"{window.row}-{window.col}")

    plan = TilePlan(scene.grid, _SHARD)
    todo = [window for window in plan.windows() if not run.marked(f"{window.row}-{window.col}")]
    told = Teller(scene.name, len(plan), len(plan) - len(todo), progress)
    waiting, under_way = iter(todo), dict[Future[None], Window]()
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            while True:
                under_way |= {pool.submit(one, window): window for window in islice(waiting, workers - len(under_way))}
                if not under_way:
                    return
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    window = under_way.pop(future)
                    future.result()
                    told(window)
        finally:
            stop.set()


def _overviews(path: Path) -> None:
    """Each level from the one below, a shard at a time."""
    group = zarr.open_group(str(path), mode="r+")
    level = 1
    while str(level) in group:
        finer: Any = group[str(level - 1)]
        coarser: Any = group[str(level)]
        height, width = coarser.shape[1:]
        for row in range(0, height, _SHARD):
            for col in range(0, width, _SHARD):
                bottom, right = min(height, row + _SHARD), min(width, col + _SHARD)
                source = np.asarray(finer[:, 2 * row : 2 * bottom, 2 * col : 2 * right])
                coarser[:, row:bottom, col:right] = _halved(source)
        level += 1


def _halved(values: AnyArray) -> AnyArray:
    """Means of 2 x 2, the last row and column standing for the one they lack."""
    padded = np.pad(values, ((0, 0), (0, values.shape[1] % 2), (0, values.shape[2] % 2)), mode="edge")
    means = padded.reshape(len(padded), padded.shape[1] // 2, 2, padded.shape[2] // 2, 2).mean(axis=(2, 4), dtype=np.float32)
    rounded: AnyArray = (np.rint(means) if values.dtype.kind == "i" else means).astype(values.dtype)
    return rounded


def _require_memory(memory: int | str, model: Model, scene: Scene, dtype: str, workers: int) -> None:
    channels = projected_width(model) + model.config.z_dim
    # A tile in its own type, its packed copy, and the feature maps of a block.
    tile = _SHARD**2 * (2 * channels * np.dtype(dtype).itemsize + 16 * len(scene.bands))
    needed = 600 * 2**20 + workers * (tile + 4 * (BLOCK + 2 * model.config.radius) ** 2 * (2 * sum(model.config.widths) + 3 * channels))
    if parse_bytes(memory) < needed:
        raise InputError(
            f"memory is {parse_bytes(memory) // 2**20} MiB, expected at least {needed // 2**20 + 1} MiB for {workers} workers. Allow more, or use fewer workers."
        )


def _remove(path: Path) -> None:
    import shutil

    if path.exists():
        shutil.rmtree(path)
