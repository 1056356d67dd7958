"""One run on a machine with a GPU: does CUDA learn what the CPU does, how fast, and the paper's training to its plateau.

    python -m benchmarks.device prepare .device            # here: imagery, tasks and versions, 25 MiB, no GDAL needed to read them
    python -m benchmarks.device run .device OUT            # there: about seven minutes on one H100 and 16 cores
    python -m benchmarks.device adopt OUT .results-cache   # here again: cells and models where `pixelkin reproduce` looks for them

In its time (`--seconds`) `run` does, side by side:

1. the first 100 losses of preset `paper` on CPU and GPU, with and without TF32, and pairs/s of both presets;
2. preset `paper` on dubai and boadella, both forms of the critics, with the scores of local and global mutual information and of L1 at
   eight points of the run;
3. every encoder of Tables 1 to 3 and of `variants` at the budget `medium`, and its cells: first seed 0 of all, then 1, then 2.

What was not done in time is left out. OUT gets `results.json`, `cells.jsonl` and zip archives of models, of 15 MiB at most each.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import json
import multiprocessing
import os
import shutil
import sys
import time
import types
import zipfile
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

MERGED = {"built-up": ("building", "road"), "ground": ("land", "vegetation"), "water": ("water",)}
"""N = 3 on dubai."""
POINTS = (250, 500, 1000, 2000, 4000, 6000, 9000, 12000)
PLATEAU_TASKS = 8
ARCHIVE_BYTES = 15 * 2**20
_KEPT_SEED = 0
"""Models of this seed come back; cells of all do."""


def prepare(folder: Path) -> None:
    """Write what `run` reads."""
    import cachetools

    from pixelkin.experiments.datasets import open_data
    from pixelkin.experiments.protocol import BUDGETS, _some
    from pixelkin.scene import Series

    from .similarity import DATA

    shutil.rmtree(folder, ignore_errors=True)
    (folder / "images").mkdir(parents=True)
    kept = BUDGETS["medium"].images
    for name in ("dubai", "boadella"):
        data = open_data(DATA / name)
        data = replace(data, merged=MERGED) if name == "dubai" else data
        arrays: dict[str, Any] = {}
        head: dict[str, Any] = {
            "name": name, "kind": data.kind, "legend": data.legend.to_json(), "fingerprint": data.fingerprint, "merged": dict(data.merged), "bands": data.bands,
        }  # fmt: skip
        if data.kind == "series":
            (series,) = data.training
            assert isinstance(series, Series)
            head["dates"] = [[scene.name, str(scene.date)] for scene in series]
            for scene in series:
                arrays[f"image-{scene.name}"] = scene.read().data
            for task in data.tasks:
                arrays[f"classes-{task.name}"] = task.labelled.classes
        else:
            for scene in data.training:
                shutil.copy(DATA / name / "images" / f"{scene.name}.jpg", folder / "images")
            for task in _some(data.tasks, kept):
                arrays[f"image-{task.name}"] = task.labelled.scene.read().data
                arrays[f"classes-{task.name}"] = task.labelled.classes
            head["training"] = [scene.name for scene in data.training]
        head["tasks"] = [key.removeprefix("classes-") for key in arrays if key.startswith("classes-")]
        np.savez_compressed(folder / f"{name}.npz", **arrays)
        (folder / f"{name}.json").write_text(json.dumps(head))
    packages = {name: version(name) for name in ("pixelkin", "torch")}
    (folder / "versions.json").write_text(json.dumps(packages))
    # The package runs from its sources there; its version is asked for all the same.
    info = folder / "site" / f"pixelkin-{packages['pixelkin']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pixelkin\nVersion: {packages['pixelkin']}\n")
    # Of what the package imports, all but this is there.
    shutil.copytree(Path(cachetools.__file__).parent, folder / "site" / "cachetools", ignore=shutil.ignore_patterns("__pycache__"))
    print(f"{folder}: {sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 2**20:.1f} MiB")


def load(folder: Path, name: str) -> Any:
    """A data set as `open_data` gives it, from what `prepare` wrote."""
    import datetime as dt

    from PIL import Image

    from pixelkin.experiments.dataset import Dataset, Task, Truth
    from pixelkin.scene import ArrayScene, Series
    from pixelkin.types import Legend

    head = json.loads((folder / f"{name}.json").read_text())
    arrays = np.load(folder / f"{name}.npz")
    bands = tuple(head["bands"])
    legend = Legend.from_json(head["legend"])

    def truth(task: str) -> Truth:
        date = dt.date.fromisoformat(dates[task]) if dates else None
        classes = arrays[f"classes-{task}"]
        return Truth(ArrayScene(arrays[f"image-{task}"], name=task, bands=bands, date=date), lambda: classes)

    dates = dict(head.get("dates", []))
    if dates:
        scenes = [
            ArrayScene(arrays[f"image-{scene}"], name=scene, bands=bands, date=dt.date.fromisoformat(date)) for scene, date in dates.items()
        ]
        truths = [truth(task) for task in head["tasks"]]
        tasks = [Task(one, tuple(other for other in truths if other is not one)) for one in truths]
        return Dataset(name, "series", legend, (Series(tuple(scenes)),), tuple(tasks), head["fingerprint"])
    training = [
        ArrayScene(np.asarray(Image.open(folder / "images" / f"{scene}.jpg")).transpose(2, 0, 1).copy(), name=scene, bands=bands)
        for scene in head["training"]
    ]
    tasks = [Task(one, (one,)) for one in map(truth, head["tasks"])]
    return Dataset(name, "images", legend, tuple(training), tuple(tasks), head["fingerprint"], head["merged"])


_FILES_ONLY = ("rasterio", "shapely", "geopandas", "pyogrio", "pyproj", "xarray", "zarr", "dask", "fastapi")
"""Packages that read and write files: nothing of them is called here, but modules beside those that are name them."""


class _Placeholder(type):
    """A class for every name of a package that is not there."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Placeholder(name, (Exception,), {})


class _Missing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Asked last, for packages that only read and write files."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Any module of such a package."""
        if name.split(".")[0] not in _FILES_ONLY:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def exec_module(self, module: types.ModuleType) -> None:
        """A module that has every name."""

        def named(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return _Placeholder(name, (Exception,), {})

        module.__getattr__ = named  # type: ignore[method-assign]


class _LateError(Exception):
    """The time is up."""


def _without_gdal(folder: Path) -> None:
    sys.path.append(str(folder / "site"))
    sys.meta_path.append(_Missing())


def _set_up(folder: str, stop: float) -> None:
    """In every worker."""
    global _folder, _stop
    _folder, _stop = Path(folder), stop
    _without_gdal(_folder)
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from pixelkin.experiments import encoders

    torch.set_num_threads(1)
    known = json.loads((_folder / "versions.json").read_text())
    # Cells are for the installation that prepared this one; theirs is what keys are made of.
    encoders.version = lambda name: known[name] if name in known else version(name)  # type: ignore[attr-defined]


def _check(*_: Any) -> None:
    if time.time() > _stop:
        raise _LateError


def losses(device: str, tf32: bool, steps: int, threads: int) -> dict[str, Any]:
    """The first losses of preset `paper` on dubai."""
    import torch

    import pixelkin as pk

    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = tf32
    data = load(_folder, "dubai")
    told: list[float] = []
    pk.train(list(data.training[:4]), preset="paper", steps=steps, device=device, progress=lambda step: told.append(step.loss))  # type: ignore[arg-type]
    return {"device": device, "tf32": tf32, "losses": told}


def speed(device: str, preset: str, steps: int, threads: int) -> dict[str, Any]:
    """Pairs a second, without the first ten steps."""
    import torch

    import pixelkin as pk
    from pixelkin.training import PRESETS

    torch.set_num_threads(threads)
    times: list[float] = []
    data = load(_folder, "dubai")
    pk.train(list(data.training[:4]), preset=preset, steps=steps, device=device, progress=lambda _: times.append(time.perf_counter()))  # type: ignore[arg-type]
    skipped = min(10, steps // 2)
    rate = (len(times) - skipped) * PRESETS[preset].batch_size / (times[-1] - times[skipped - 1])
    return {"device": device, "preset": preset, "threads": threads, "pairs_per_s": rate}


def plateau(name: str, critic: str, device: str, points: tuple[int, ...], count: int, out: str) -> dict[str, Any]:
    """Preset `paper`, scored at points of its run."""
    import torch

    import pixelkin as pk
    from pixelkin.experiments.cells import _score
    from pixelkin.experiments.protocol import draw_marks
    from pixelkin.maps import score

    data = load(_folder, name)
    rows, curve = [], []
    state = Path(out) / f"plateau-{name}-{critic}.checkpoint"
    seconds = 0.0
    tasks = [data.tasks[i] for i in np.unique(np.linspace(0, len(data.tasks) - 1, count).round().astype(int))]
    for point in points:
        started = time.perf_counter()

        def tell(told: Any) -> None:
            _check()
            if told.step % 25 == 0 or told.step == 1:
                curve.append([told.step, told.loss, told.global_mi, told.local_mi, told.l1])

        model = pk.train(
            list(data.training), preset="paper", steps=point, critic=critic, patch_size=data.patch_size, device=device, checkpoint=state, progress=tell
        )  # type: ignore[arg-type]  # fmt: skip
        seconds += time.perf_counter() - started
        model.save(Path(out) / f"plateau-{name}-{critic}.safetensors", overwrite=True)
        torch.set_num_threads(1)
        for m in (10,) if data.kind == "series" else (10, 50):
            for measure in ("local", "global", "l1"):
                segmenter = pk.Segmenter(model, measure=measure, method="nearest", workers=2)  # type: ignore[arg-type]
                confusions = []
                for task in tasks:
                    _check()
                    marks, _ = draw_marks(task.labelled.classes, data.legend, m, 0, task.name)
                    segmenter.fit(task.labelled.scene, marks)
                    for truth in task.scored:
                        expected = truth.classes.copy()
                        if truth is task.labelled:
                            expected[marks.rows, marks.cols] = 0
                        if expected.any():
                            confusions.append(score(segmenter.predict(truth.scene).classes, expected, legend=data.legend).confusion)
                pooled = _score(np.sum(confusions, axis=0))
                rows.append({"step": point, "measure": measure, "m": m, "miou": pooled.miou, "accuracy": pooled.accuracy})
        # Whole only: a table of some points of a run is of use, half a point is not.
        (Path(out) / f"plateau-{name}-{critic}.json").write_text(
            json.dumps({"data": name, "critic": critic, "device": device, "training_seconds": seconds, "scores": rows, "curve": curve})
        )
    return {}


def cells(name: str, seed: int, device: str, out: str, budget: str) -> dict[str, Any]:
    """All cells of one encoder and seed."""
    from pixelkin.experiments.protocol import BUDGETS, Plan, Runner

    data = load(_folder, "dubai")
    started = time.perf_counter()
    cache = Path(out) / "cache" / f"{name.replace(' ', '_')}-{seed}"
    runner = Runner(data, BUDGETS[budget], cache, device=device, workers=1, progress=_check)  # type: ignore[arg-type]
    for method, counts, marks in _rows(data):
        if _encoder(method) == name:
            runner.run(Plan((method,), counts, marks), [seed])
    return {"encoder": name, "seed": seed, "seconds": time.perf_counter() - started}


def _rows(data: Any) -> list[tuple[Any, tuple[int, ...], tuple[int, ...]]]:
    """Every row of every table: method, N, M."""
    from pixelkin.experiments import tables

    plans = [tables.plan(name, data) for name in ("table1", "table2", "table3", "variants")]
    return [(method, plan.class_counts, plan.marks) for plan in plans for method in plan.methods]


def _encoder(method: Any) -> str:
    """What a row needs trained: rows of one encoder are one job."""
    if method.encoder is None:
        return "without"
    # Random phi is the baseline with another critic; ours is the baseline under the paper's training.
    name = method.encoder.name
    return "baseline" if name in ("ours", "our default", "random phi") else name


def run(folder: Path, out: Path, *, seconds: float, device: str, workers: int, smoke: bool) -> None:
    """Everything, within a time."""
    started = time.time()
    _without_gdal(folder)
    out.mkdir(parents=True, exist_ok=True)
    scratch = out / "scratch" if smoke else Path("/tmp") / f"pixelkin-device-{os.getpid()}"
    scratch.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    stop = started + seconds
    found: dict[str, Any] = {"machine": _machine(device), "seconds": seconds}
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _set_up, (str(folder), stop))
    short = 3 if smoke else 100
    points = (1, 2) if smoke else POINTS
    budget = "smoke" if smoke else "medium"
    names = list(dict.fromkeys(_encoder(method) for method, *_ in _rows(load(folder, "dubai"))))
    names = names[:2] if smoke else names
    # Alone, so that what is timed is timed alone.
    asked = [
        ("losses", losses, ("cpu", False, short, 4)),
        *(("losses", losses, (device, tf32, short, 1)) for tf32 in (False, True)),
        *(
            ("speed", speed, ("cpu", preset, 4 if smoke else 30, threads))
            for preset in ("fast", "paper")
            for threads in ((1,) if smoke else (1, 4))
        ),
        *(("speed", speed, (device, preset, 4 if smoke else 200, 1)) for preset in ("fast", "paper")),
    ]
    for kind, work, arguments in asked:
        try:
            found.setdefault(kind, []).append(pool.submit(work, *arguments).result(timeout=120))
        except Exception as exc:
            found.setdefault("errors", []).append(f"{kind} {arguments}: {exc!r}")
    found["alone_seconds"] = time.time() - started
    jobs: list[Future[dict[str, Any]]] = [
        pool.submit(plateau, name, critic, device, points, 1 if smoke else PLATEAU_TASKS, str(scratch))
        for name in ("dubai", "boadella")
        for critic in ("separable", "concatenated")
    ]
    for seed in range(1 if smoke else 3):
        jobs += [pool.submit(cells, name, seed, device, str(scratch), budget) for name in names if name != "without"]
    # Raw bands and what users would pick need no GPU, and can be done elsewhere.
    jobs += [pool.submit(cells, "without", seed, device, str(scratch), budget) for seed in range(1 if smoke else 3)]
    todo = set(jobs)
    while todo and time.time() < stop:
        done, todo = wait(todo, timeout=5, return_when=FIRST_COMPLETED)
        for job in done:
            error = job.exception()
            if error is None:
                found.setdefault("jobs", []).append(job.result())
            elif not isinstance(error, _LateError):
                found.setdefault("errors", []).append(repr(error))
        print(f"{time.time() - started:.0f} s, {len(todo)} of {len(jobs)} jobs to do, {len(found.get('errors', []))} errors", flush=True)
    children = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for child in children:
        child.kill()
        child.join(10)
    found["plateau"] = [json.loads(path.read_text()) for path in sorted(scratch.glob("plateau-*.json"))]
    found["total_seconds"] = time.time() - started
    collect(scratch, out)
    (out / "results.json").write_text(json.dumps(found))
    shutil.rmtree(scratch)
    print(
        json.dumps({key: value for key, value in found.items() if key in ("machine", "errors", "speed", "alone_seconds", "total_seconds")})
    )


def collect(scratch: Path, out: Path) -> None:
    """All cells in one file, models in a few archives."""
    with (out / "cells.jsonl").open("w") as file:
        for path in sorted(scratch.glob("cache/*/cells.jsonl")):
            file.writelines(line + "\n" for line in path.read_text().splitlines() if line.endswith("}}"))
    models = sorted(scratch.glob("plateau-*.safetensors"))
    models += sorted(path for path in scratch.glob(f"cache/*-{_KEPT_SEED}/models/*.safetensors"))
    archives: list[list[Path]] = [[]]
    for path in models:
        if sum(other.stat().st_size for other in archives[-1]) + path.stat().st_size > ARCHIVE_BYTES:
            archives.append([])
        archives[-1].append(path)
    # Few files, which are easily copied: four archives of models and two of figures.
    for number, members in enumerate(archives[:4], 1):
        with zipfile.ZipFile(out / f"models-{number}.zip", "w") as archive:
            for path in members:
                archive.write(path, path.name)


def adopt(out: Path, cache: Path) -> None:
    """Cells and models of a run, into the cache of `reproduce`."""
    (cache / "models").mkdir(parents=True, exist_ok=True)
    for path in sorted(out.glob("models-*.zip")):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(cache / "models")
    with (cache / "cells.jsonl").open("a") as file:
        file.write((out / "cells.jsonl").read_text())


def _machine(device: str) -> dict[str, Any]:
    import torch

    gpu = torch.cuda.get_device_name() if device == "cuda" else None
    return {"gpu": gpu, "cores": os.cpu_count(), "torch": torch.__version__, "python": sys.version.split()[0]}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["prepare", "run", "adopt"])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=400)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--smoke", action="store_true", help="A few steps of everything, to see that it runs.")
    asked = parser.parse_args()
    if asked.what == "prepare":
        prepare(asked.folders[0])
    elif asked.what == "adopt":
        adopt(*asked.folders)
    else:
        run(*asked.folders, seconds=asked.seconds, device=asked.device, workers=asked.workers, smoke=asked.smoke)


if __name__ == "__main__":
    main()
