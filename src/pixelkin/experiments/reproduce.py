"""`pixelkin reproduce NAME`: a table, a figure or the timing, with everything that is needed to repeat it."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import require_outputs
from ..training import Device
from . import figures, speed, tables
from .cells import Summary, summarise
from .dataset import Dataset
from .datasets import open_data
from .files import files_under, make_folder, write_json, write_text
from .protocol import BUDGETS, Runner

TABLES = {
    "table1": "global and local mutual information by classes and marks",
    "table2": "similarity measures and what users would pick",
    "table3": "ablation, local mutual information",
    "variants": "form of the critics, longest shift, and where unpaired samples come from",
}
NAMES = (*TABLES, *figures.FIGURES, "speed")
"""What can be reproduced."""

Progress = Callable[[int, int, float, str], None]


def reproduce(
    name: str,
    data: str | Path | Dataset | None = None,
    *,
    budget: str = "small",
    seeds: int | None = None,
    steps: int | None = None,
    out: str | Path = "results",
    cache: str | Path | None = None,
    device: Device = "cpu",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Run a table or a figure and write it.

    Args:
        name: One of `NAMES`.
        data: Folder that `open_data` reads; not needed for 'speed'.
        budget: 'smoke', 'small', 'medium' or 'paper'.
        seeds: Runs to average, instead of the budget's.
        steps: Training steps of each encoder, instead of the budget's.
        out: Folder for DATA-NAME.csv, .md, .json and, for a figure, .png.
        cache: Folder for trained models and cells; default `out`/cache. Give the same one again and nothing is done twice.
        device: Where models are trained; on a CPU, a run gives the same bits again.
        overwrite: Replace files that are there.
        progress: Called with (steps done, steps, seconds left, what is done now).

    Returns:
        The files written.

    Raises:
        InputError: Unknown name or budget, or data that cannot be used; see `open_data`.
        OutputError: A file is there and overwrite is False, or the disk refuses.
    """
    if name not in NAMES:
        raise InputError(f"there is no {name!r} to reproduce, expected one of {list(NAMES)}.")
    if budget not in BUDGETS:
        raise InputError(f"budget is {budget!r}, expected one of {list(BUDGETS)}.")
    for option, value in (("seeds", seeds), ("steps", steps)):
        if value is not None and value < 1:
            raise InputError(f"{option} is {value}, expected >= 1.")
    if data is None and name != "speed":
        raise InputError(f"{name} needs imagery, expected --data PATH: a prepared Potsdam folder, images with label rasters, or a series.")
    chosen = BUDGETS[budget].changed(seeds, steps)
    dataset = None if name == "speed" or data is None else data if isinstance(data, Dataset) else open_data(data)
    stem = Path(out) / (name if dataset is None else f"{dataset.name}-{name}")
    targets = [stem.with_suffix(suffix) for suffix in (".csv", ".md", ".json", *([".png"] if name in figures.FIGURES else []))]
    # Before the work, not after it.
    make_folder(Path(out))
    require_outputs(targets, inputs={"imagery": files_under(data) if isinstance(data, str | Path) else []}, overwrite=overwrite)

    manifest: dict[str, Any] = {"name": name, "budget": budget, **_circumstances()}
    if dataset is None:
        timings = speed.measure_speed(1 if budget == "smoke" else 3)
        table, markdown = speed.to_csv(timings), speed.to_markdown(timings, [_made(manifest)])
    else:
        runner = Runner(dataset, chosen, Path(cache) if cache is not None else Path(out) / "cache", device=device, progress=progress)
        manifest |= _description(dataset, runner)
        if name in TABLES:
            plan = tables.plan(name, dataset)
            rows = summarise(runner.run(plan))
            notes = [*_notes(runner, rows), tables.PAPER[name], _made(manifest)]
            title = f"{name}, {dataset.name}: {TABLES[name]}"
            table = tables.to_csv(rows)
            markdown = tables.to_markdown(title, rows, notes, ratio_to=tables.RAW_L1.name if name == "table2" else None)
            manifest["methods"] = [asdict(method) for method in plan.methods]
        else:
            results = figures.draw(name, runner, targets[3])
            table = figures.to_csv(results)
            lines = [f"| {r.image} | {r.method} | {r.m} | {r.miou:.3f} | {r.accuracy:.3f} |" for r in results]
            head = [f"# {name}, {dataset.name}: {figures.FIGURES[name]}", "", _made(manifest), ""]
            markdown = "\n".join([*head, "| image | method | M | mean IoU | accuracy |", "|---|---|---|---|---|", *lines]) + "\n"
    write_text(targets[0], table)
    write_text(targets[1], markdown)
    write_json(targets[2], manifest)
    return targets


def reproduce_all(
    data: str | Path,
    *,
    out: str | Path = "results",
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> list[Path]:
    """Everything that a data set allows: tables, figures and the timing. An interrupted run goes on; what is finished is kept.

    Args:
        data: Folder that `open_data` reads, or the files of ISPRS Potsdam as they are distributed, which are prepared in `out`/potsdam first.
        out: Folder for all files.
        overwrite: Write tables and figures anew that are there; cells and models are kept.
        progress: As for `reproduce`.
        **options: Others of `reproduce`.
    """
    # Only preparing needs it.
    from .potsdam import is_source, prepare

    folder = Path(data)
    if folder.exists() and not (folder / "dataset.json").exists() and is_source(folder):
        folder = prepare(
            folder, Path(out) / "potsdam", progress=progress and (lambda done, total: progress(done, total, 0.0, "preparing tiles"))
        )
    dataset = open_data(folder)
    single = dataset.kind == "images"
    lacking = {"figure6" if single else "figure7"} | (set() if dataset.merged else {"figure3"})
    written = []
    for name in (*TABLES, *(figure for figure in figures.FIGURES if figure not in lacking), "speed"):
        stem = Path(out) / (name if name == "speed" else f"{dataset.name}-{name}")
        manifest = stem.with_suffix(".json")
        if not overwrite and _is_finished(manifest, options):
            continue
        # What was cut short has no manifest.
        again = overwrite or not manifest.exists()
        written += reproduce(name, None if name == "speed" else dataset, out=out, overwrite=again, progress=progress, **options)
    return written


def _is_finished(manifest: Path, options: Mapping[str, Any]) -> bool:
    """Whether what these options ask for is there; the manifest comes last."""
    if not manifest.exists():
        return False
    kept = json.loads(manifest.read_text(encoding="utf-8"))
    name = options.get("budget", "small")
    budget = BUDGETS[name].changed(options.get("seeds"), options.get("steps"))
    # The timing trains nothing.
    asked = (budget.seeds, budget.training.steps)
    return kept["budget"] == name and ("seeds" not in kept or (len(kept["seeds"]), kept["training"]["steps"]) == asked)


def _circumstances() -> dict[str, Any]:
    """Date, machine, commit and versions."""
    packages = ("pixelkin", "torch", "numpy", "scikit-learn", "scikit-image", "scipy", "rasterio")
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor")


def _commit() -> str | None:
    """Commit of the source tree, with '+' where the package's sources differ from it; None outside of one."""
    package = Path(__file__).parents[1]
    try:
        commit = _git("rev-parse", "HEAD", folder=package)
        return commit + ("+" if _git("status", "--porcelain", "--", str(package), folder=package) else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str, folder: Path) -> str:
    # A package installed inside somebody else's repository is not of its commit: ask for our own file first.
    subprocess.run(["git", "ls-files", "--error-unmatch", __file__], cwd=folder, check=True, capture_output=True)
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def _made(manifest: dict[str, Any]) -> str:
    commit = manifest["commit"] or "unknown"
    return f"Made on {manifest['date']} with budget `{manifest['budget']}` at commit `{commit[:12]}{'+' if commit.endswith('+') else ''}` on {manifest['machine']}."


def _description(dataset: Dataset, runner: Runner) -> dict[str, Any]:
    return {
        "data": {
            "name": dataset.name,
            "kind": dataset.kind,
            "fingerprint": dataset.fingerprint,
            "classes": list(dataset.legend.names),
            "bands": list(dataset.bands),
            "tasks": [task.name for task in runner.tasks],
            "skipped": list(dataset.skipped),
        },
        "patch_size": dataset.patch_size,
        "seeds": list(range(runner.budget.seeds)),
        "training": asdict(runner.budget.training),
    }


def _notes(runner: Runner, rows: Sequence[Summary]) -> list[str]:
    dataset = runner.dataset
    where = (
        "on the other dates than the labelled one" if dataset.kind == "series" else "on the labelled image itself, marked pixels left out"
    )
    notes = [
        f"{rows[0].images} scored images a seed, {rows[0].seeds} seed(s), {runner.budget.training.steps} training steps, "
        f"patches of {dataset.patch_size} x {dataset.patch_size}. Scored {where}; mean ± standard deviation over seeds (weights and marks)."
    ]
    for m in sorted({row.m for row in rows}):
        short = max(row.short for row in rows if row.m == m)
        if short:
            notes.append(f"M = {m}: {short} times a class had fewer pixels in an image than that; all of them were marked.")
    if dataset.skipped:
        notes.append(f"{len(dataset.skipped)} images or crops with fewer than two known classes are left out.")
    return notes
