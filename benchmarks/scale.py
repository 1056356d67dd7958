"""What mapping costs: seconds of CPU a megapixel for reading, embedding, matching and writing, and how they grow.

Run: python benchmarks/scale.py [--only split growth bounded dask] [--out report.json]. Prints JSON, then a table; parts that were not asked for
stay in the report as they are.
CPU time of the process is measured beside wall time, since it says on a busy machine too what a free one would need: a rate on two
cores is 2 / (CPU seconds a megapixel). Imagery is generated: fields of grain, so that files compress as images do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window as RasterioWindow

PATCH = 9


def make_raster(path: Path, side: int, bands: int = 4) -> Path:
    """A compressed, tiled uint8 raster of side x side pixels, written block by block; one that is there is taken as it is."""
    if path.exists():
        return path
    base = np.random.default_rng(0).integers(40, 200, (bands, 8, 8))
    grain = np.random.default_rng(1).integers(-6, 7, (bands, 512, 512))
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=bands, dtype="uint8", crs="EPSG:32631",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 4_600_000), tiled=True, blockxsize=512, blockysize=512, compress="deflate", zlevel=1,
        bigtiff="if_safer",
    ) as file:  # fmt: skip
        for row in range(0, side, 512):
            for col in range(0, side, 512):
                turned = np.roll(base, (row // 512, col // 512), axis=(1, 2))
                block = (np.kron(turned, np.ones((1, 64, 64), int)) + grain).clip(1, 255).astype(np.uint8)
                height, width = min(512, side - row), min(512, side - col)
                file.write(block[:, :height, :width], window=RasterioWindow(col, row, width, height))
    return path


def make_segmenter(scene: Any, references: int, workers: int = 2) -> Any:
    """References drawn at random for an untrained network: the cost does not depend on what it has learned."""
    import pixelkin as pk
    from pixelkin.model import Model, ModelConfig, Network, Standardisation
    from pixelkin.types import LabelledPixels

    bands = len(scene.bands)
    network = Network(ModelConfig(bands=scene.bands, patch_size=PATCH))
    model = Model(network, Standardisation(np.full(bands, 120, np.float32), np.full(bands, 50, np.float32)))
    rng = np.random.default_rng(2)
    rows, cols = rng.integers(0, min(scene.grid.shape), (2, references))
    labels = LabelledPixels.from_arrays(rows, cols, np.arange(references) % 4 + 1)
    return pk.Segmenter(model, measure="local", workers=workers).fit(scene, labels)


def cpu(function: Callable[[], Any]) -> tuple[float, float]:
    """CPU and wall seconds."""
    started, began = time.process_time(), time.perf_counter()
    function()
    return time.process_time() - started, time.perf_counter() - began


def split(folder: Path, side: int, references: int, bands: int = 4) -> dict[str, float]:
    """CPU seconds a megapixel of each step, on one thread, and of the whole from file to file."""
    import torch

    import pixelkin as pk
    from pixelkin.features import blocks_of, embed
    from pixelkin.raster import MapWriter
    from pixelkin.scale import segment
    from pixelkin.scale.kernel import pack
    from pixelkin.scale.plan import with_halo
    from pixelkin.types import Window

    torch.set_num_threads(1)
    scene = pk.open_scene(make_raster(folder / f"split-{side}-{bands}.tif", side, bands))
    segmenter = make_segmenter(scene, references, workers=1)
    mpx = side * side / 1e6
    tiles = [Window(row, col, min(1024, side - row), min(1024, side - col)) for row in range(0, side, 1024) for col in range(0, side, 1024)]
    parts: dict[str, float] = {}
    parts["read"] = cpu(lambda: [scene.read(with_halo(tile, PATCH // 2, scene.grid)) for tile in tiles])[0] / mpx
    memory = pk.ArrayScene(scene.read().data, bands=scene.bands)
    blocks = list(blocks_of(memory.grid, memory.grid.window))
    parts["embed"] = cpu(lambda: [embed(segmenter.model, memory, block) for block in blocks])[0] / mpx
    replica = segmenter.replica(cache_bytes=0, workers=1)
    parts["match"] = cpu(lambda: replica.predict(memory))[0] / mpx - parts["embed"]
    result = replica.predict(memory)

    def write() -> None:
        pack(result, confidence=False)
        with MapWriter(folder / "write.tif", result.grid, result.legend, overwrite=True) as writer:
            writer.write(result, result.grid.window)

    parts["write"] = cpu(write)[0] / mpx
    parts["file_to_file"], wall = (
        value / mpx for value in cpu(lambda: segment(scene, segmenter, folder / "map.tif", workers=2, overwrite=True))
    )
    parts["file_to_file_wall"] = wall
    return parts


def fit(xs: list[float], ys: list[float]) -> dict[str, float]:
    """Exponent b of y = a x^b with its standard error, by least squares of logarithms."""
    design = np.stack([np.ones(len(xs)), np.log(xs)], axis=1)
    (_, exponent), residual, *_ = np.linalg.lstsq(design, np.log(ys), rcond=None)
    spread = float(residual[0]) / max(1, len(xs) - 2) if len(residual) else 0.0
    return {"exponent": float(exponent), "standard_error": float(np.sqrt(spread * np.linalg.inv(design.T @ design)[1, 1]))}


def growth(folder: Path) -> dict[str, Any]:
    """CPU seconds of a whole run against pixels, labels, bands and dates."""
    import pixelkin as pk
    from pixelkin.scale import segment
    from pixelkin.scene import Series

    def whole(side: int, references: int, bands: int, dates: int = 1) -> float:
        scene = pk.open_scene(make_raster(folder / f"grow-{side}-{bands}.tif", side, bands))
        segmenter = make_segmenter(scene, references)
        if dates == 1:
            return cpu(lambda: segment(scene, segmenter, folder / "grow.tif", overwrite=True))[0]
        from dataclasses import replace

        series = Series(tuple(replace(scene, name=f"d{i}", date=np.datetime64("2020-01-01").astype(object)) for i in range(dates)))
        return cpu(lambda: segment(series, segmenter, folder / f"dates{dates}", overwrite=True))[0]

    cases: dict[str, list[tuple[float, float]]] = {
        "pixels": [(side * side, whole(side, 20, 4)) for side in (512, 768, 1024, 1536)],
        "labels": [(n, whole(512, n, 4)) for n in (10, 20, 40, 80)],
        "bands": [(n, whole(512, 20, n)) for n in (3, 4, 8, 16)],
        "dates": [(n, whole(512, 20, 4, n)) for n in (1, 2, 4)],
    }
    return {name: {"points": points, **fit([x for x, _ in points], [y for _, y in points])} for name, points in cases.items()}


BOUNDED = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[4])
import scale as bench, pixelkin as pk
from pixelkin.scale import segment
path, memory, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
scene = pk.open_scene(path)
segmenter = bench.make_segmenter(scene, int(sys.argv[5]))
started, began, done = time.process_time(), time.perf_counter(), []
def tell(told):
    done.append((told.tiles_done, told.tiles, time.process_time() - started, time.perf_counter() - began))
    if time.perf_counter() - began > seconds:
        raise KeyboardInterrupt
finished = True
try:
    segment(scene, segmenter, path + ".map.tif", memory=memory, overwrite=True, resume=False, progress=tell)
except KeyboardInterrupt:
    finished = False
tiles, total, cpu, wall = done[-1]
share = tiles / total
mpx = scene.grid.height * scene.grid.width / 1e6
print(json.dumps({"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "share_done": share, "finished": finished,
    "cpu_s_per_mpx": cpu / (mpx * share), "mpx_per_s_wall": mpx * share / wall}))
"""


def bounded(folder: Path, side: int, references: int, seconds: float, memory: str = "2GiB") -> dict[str, Any]:
    """Peak memory and rate of a large raster in a process of its own, stopped after some time."""
    path = make_raster(folder / f"large-{side}.tif", side)
    run = subprocess.run(
        [sys.executable, "-c", BOUNDED, path, memory, str(seconds), Path(__file__).parent, str(references)],
        check=True,
        capture_output=True,
        text=True,
    )
    answer: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return {"side": side, "references": references, "file_mb": path.stat().st_size / 1e6, **answer}


def dask_scaling(folder: Path, side: int, references: int, rounds: int = 2) -> dict[str, Any]:
    """Rates of one and of two cluster workers of one thread each, by the wall clock, in turns: the best of each, as the machine is shared."""
    import pixelkin as pk
    from pixelkin.scale import segment
    from pixelkin.scale.dask import connect

    small = pk.open_scene(make_raster(folder / "dask-small.tif", 512))
    scene = pk.open_scene(make_raster(folder / f"dask-{side}.tif", side))
    segmenter = make_segmenter(scene, references)
    report: dict[str, Any] = {"side": side}
    seconds: dict[int, list[float]] = {1: [], 2: []}

    def run(source: Any, client: Any) -> float:
        moments: list[float] = []
        began = time.perf_counter()
        segment(
            source,
            segmenter,
            folder / "dask.tif",
            tile=256,
            client=client,
            overwrite=True,
            progress=lambda _: moments.append(time.perf_counter()),
        )
        return moments[-1] - began

    with connect(workers=1) as one, connect(workers=2) as two:
        for client in (one, two):
            run(small, client)
        for _ in range(rounds):
            for workers, client in ((1, one), (2, two)):
                started = time.process_time()
                seconds[workers].append(run(scene, client))
                report[f"{workers}_workers_client_cpu_s"] = time.process_time() - started
    report |= {f"{workers}_workers_s": found for workers, found in seconds.items()}
    report["speed_up"] = min(seconds[1]) / min(seconds[2])
    return report


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--large", type=int, default=30_000, help="side of the raster for the memory test")
    parser.add_argument("--seconds", type=float, default=120, help="time given to the large raster")
    parser.add_argument("--only", nargs="*", default=["split", "growth", "bounded", "dask"])
    parser.add_argument("--folder", type=Path, help="folder to keep the rasters in; default a temporary one")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out and arguments.out.exists() else {}
    report |= {"cores": os.cpu_count(), "load": {**report.get("load", {}), **dict.fromkeys(arguments.only, os.getloadavg()[0])}}
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        if "split" in arguments.only:
            report["split"] = {str(n): split(folder, arguments.side, n) for n in (20, 60)}
        if "growth" in arguments.only:
            report["growth"] = growth(folder)
        if "bounded" in arguments.only:
            report["bounded"] = [bounded(folder, side, 60, arguments.seconds) for side in (4096, arguments.large)]
        if "dask" in arguments.only:
            report["dask"] = dask_scaling(folder, arguments.side, 20)
    text = json.dumps(report, indent=1)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)
    for references, parts in report.get("split", {}).items():
        print(f"\n{references} references, s = {PATCH}: CPU seconds a Mpx")
        for part, seconds in parts.items():
            print(f"  {part:18} {seconds:7.3f}")
        print(f"  by the clock       {1 / parts['file_to_file_wall']:7.2f} Mpx/s")
    for name, found in report.get("growth", {}).items():
        print(f"cost ~ {name}^{found['exponent']:.2f} +- {found['standard_error']:.2f}")
    for found in report.get("bounded", []):
        print(
            f"{found['side']} x {found['side']}: peak {found['peak_mib']:.0f} MiB, {found['cpu_s_per_mpx']:.2f} CPU s/Mpx, {found['share_done']:.1%} done"
        )
    if "dask" in report:
        print(f"two Dask workers against one: {report['dask']['speed_up']:.2f} x")


if __name__ == "__main__":
    main()
