"""The best map from the fewest labels: the default beside what it is made of and beside classical stacks, same labels, same seeds, in one run.

    python -m benchmarks.labels                              # all sets, five draws, on all cores; kept cells are not computed again
    python -m benchmarks.labels --only dubai --draws 1 --workers 16 --cache cells
    python -m benchmarks.labels --parts saving clicks        # what `benchmarks.label_parts` measures on vegas

Sets and protocols: `benchmarks.label_cases`. Constants were chosen on the odd images of dubai (the first, the third, ...) and on odd dates of flanders; even ones
are reported. Of vegas there is one image: some of the draws that report also chose. Labelled pixels are never scored. Differences are paired: same image, same labels;
their 95 % intervals are of the mean over images, or over draws where there is one image. Writes JSON, a Markdown table and a chart for each set.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import pixelkin as pk
from pixelkin.experiments.classical import FeatureCache, PixelClassifier
from pixelkin.scene import Series
from pixelkin.types import LabelledPixels

from .label_cases import BUDGETS, LEGENDS, PROTOCOLS, Case, cases, images
from .label_parts import clicks, robustness, saving
from .report import machine

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]
PATCH_SIZE = {"dubai": 13, "vegas": 13, "boadella": 9, "flanders": 9}
PARTS = {"saving": saving, "robustness": robustness, "clicks": clicks}
OURS = ("auto", "no encoder", "no pretrained", "bands", "nearest")
WITH_ENCODER = ("auto", "no pretrained", "nearest")
STACKS = {
    "patches + trees": ("patches", "extratrees"),
    "multiscale + trees": ("multiscale", "extratrees"),
    "multiscale + svm": ("multiscale", "svm"),
}
"""All smoothed; on other dates taught anew on each, with the labels of that date's sites."""


@dataclass(frozen=True)
class Cell:
    """What one process computes and keeps: all draws of one method on one image."""

    data: str
    number: int
    protocol: str
    budget: str
    draws: int
    method: str

    def key(self) -> str:
        """Of the cell and of the code that decides its figures."""
        rooms = ("src/pixelkin/features", "src/pixelkin/decision", "src/pixelkin/similarity", "src/pixelkin/training", "src/pixelkin/model")
        ours = rooms if self.method in OURS else ("src/pixelkin/experiments/classical.py",)
        return hashlib.sha256(repr((self, _source(*ours, "benchmarks/label_cases.py"))).encode()).hexdigest()[:24]


class OnEachDate:
    """A classical stack that is taught anew on every image it maps, by the pixels of that image under the same marks."""

    def __init__(self, classifier: PixelClassifier) -> None:
        self._classifier = classifier

    def fit(self, scene: pk.Scene, labels: LabelledPixels) -> OnEachDate:
        """Keep the marks."""
        self._labels = labels
        return self

    def predict(self, scene: pk.Scene) -> Any:
        """Teach, and map."""
        return self._classifier.fit(scene, self._labels).predict(scene)


def competitor(method: str, model: pk.Model | None, *, dates: bool) -> Any:
    """One of `OURS` or of `STACKS`."""
    given: dict[str, dict[str, Any]] = {
        "auto": {"model": model},
        "no encoder": {"model": None},
        "no pretrained": {"model": model, "features": ["encoder", "bands"]},
        "bands": {"model": None, "features": ["bands"]},
        "nearest": {"model": model, "method": "nearest"},
    }
    if method in given:
        return pk.Segmenter(**given[method], check_labels=False, cache_bytes=2 << 30, workers=1)
    stack = PixelClassifier(*STACKS[method], smoothing=3.0, cache=_features)  # type: ignore[arg-type]
    return OnEachDate(stack) if dates else stack


_features = FeatureCache(limit=16)


def compute(some: list[Cell], models: dict[str, Path], cache: Path) -> list[tuple[Cell, list[list[float]], float]]:
    """The cells of one image and protocol: mIoU of each map (of water, on boadella), and seconds a map."""
    done = []
    for cell in some:
        kept = cache / f"{cell.key()}.json"
        if not kept.exists():
            model = pk.load(models[cell.data]) if cell.method in WITH_ENCODER else None
            subject = competitor(cell.method, model, dates=cell.protocol == "dates")
            began, found = time.perf_counter(), []
            for case in cases(cell.data, cell.number, cell.protocol, cell.budget, cell.draws * (2 if cell.data == "vegas" else 1)):
                found.append(_score(subject, case))
            kept.write_text(json.dumps({"miou": found, "seconds": (time.perf_counter() - began) / max(1, len(found))}))
        stored = json.loads(kept.read_text())
        done.append((cell, stored["miou"], stored["seconds"]))
    return done


def _score(subject: Any, case: Case) -> list[float]:
    subject.fit(case.scene, case.labels)
    found = []
    for target in case.targets:
        classes, known = subject.predict(target.scene).classes, target.truth > 0
        asked = [entry.id for entry in case.labels.legend if case.only in (None, entry.name)]
        both = [((classes == i) & known, target.truth == i) for i in asked]
        found.append(float(np.mean([(one & other).sum() / max(1, (one | other).sum()) for one, other in both])))
    return found


def plan(only: list[str], draws: int, methods: list[str], *, odd: bool, most: int) -> list[list[Cell]]:
    """Cells in groups that share what they make of an image; the dearest first."""
    groups = []
    for data in only:
        for protocol in PROTOCOLS[data]:
            for number in numbers(data, odd=odd, most=most):
                cells = [
                    Cell(data, number, protocol, budget, draws, method)
                    for method in methods
                    for budget in BUDGETS[data, protocol]
                    if not (method == "nearest" and data == "dubai")
                ]
                # Of a set with one image, each method is a group.
                alone = data in ("vegas", "boadella")
                groups += [[cell for cell in cells if cell.method == method] for method in methods] if alone else [cells]
    return [group for group in groups if group]


def numbers(data: str, *, odd: bool, most: int) -> list[int]:
    """Images that are marked, at most so many: even ones, or those on which constants are chosen."""
    count = len(images(data))
    if data in ("vegas", "boadella"):
        return list(range(count))
    every = list(range(0 if odd else 1, count, 2))
    chosen = every if data == "dubai" else every[::2]
    return chosen if len(chosen) <= most else [chosen[i] for i in np.linspace(0, len(chosen) - 1, most).round().astype(int)]


def train(name: str, cache: Path) -> Path:
    """The default encoder of a set, which takes its images without labels."""
    path = cache / f"{name}-{_source('src/pixelkin/training', 'src/pixelkin/model')}.safetensors"
    if not path.exists():
        scenes = [image.scene for image in images(name)]
        source = Series(tuple(scenes)) if name in ("boadella", "flanders") else scenes
        pk.train(source, patch_size=PATCH_SIZE[name], preset="fast").save(path)
    return path


def run(
    only: list[str], draws: int, methods: list[str], workers: int, cache: Path, *, odd: bool, most: int
) -> dict[Cell, tuple[list[list[float]], float]]:
    """All cells, kept ones from the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"
    results: dict[Cell, tuple[list[list[float]], float]] = {}
    began = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        learning = only if set(methods) & set(WITH_ENCODER) else []
        models = dict(zip(learning, pool.map(train, learning, [cache] * len(learning)), strict=True))
        print(f"encoders: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        groups = plan(only, draws, methods, odd=odd, most=most)
        futures = [pool.submit(compute, group, models, cache) for group in groups]
        for number, future in enumerate(as_completed(futures), 1):
            for cell, found, seconds in future.result():
                results[cell] = found, seconds
            print(f"\r\x1b[K{number}/{len(groups)}, {time.monotonic() - began:.0f} s", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def rows_of(data: str, results: dict[Cell, tuple[list[list[float]], float]]) -> Iterator[dict[str, Any]]:
    """A row a protocol and budget: means, and paired differences in points."""
    for protocol in PROTOCOLS[data]:
        for budget in BUDGETS[data, protocol]:
            by_method: dict[str, dict[int, list[list[float]]]] = defaultdict(dict)
            for cell, (found, _) in results.items():
                if (cell.data, cell.protocol, cell.budget) == (data, protocol, budget) and found:
                    # Of vegas, even draws report.
                    by_method[cell.method][cell.number] = found[1::2] if data == "vegas" else found
            first = next((m for m in OURS if m in by_method), None)
            if first is None:
                continue
            means = {m: float(np.mean([np.mean(v) for v in per.values()])) for m, per in by_method.items()}
            stacks = [m for m in means if m in STACKS]
            row: dict[str, Any] = {"protocol": protocol, "labels a class": budget, "images": len(by_method[first])}
            row |= {m: round(means[m], 3) for m in (*OURS, *STACKS) if m in means}
            row["worst"] = round(float(min(np.min(v) for v in by_method[first].values())), 3)
            if stacks:
                best = max(stacks, key=means.__getitem__)
                row[f"{first} - best stack"] = paired(by_method[first], by_method[best])
            for name, without in (("encoder adds", "no encoder"), ("pretrained adds", "no pretrained"), ("both add", "bands")):
                if without in by_method and without != first:
                    row[name] = paired(by_method[first], by_method[without])
            yield row


def paired(one: dict[int, list[list[float]]], other: dict[int, list[list[float]]]) -> str:
    """Mean difference in points, with its 95 % interval."""
    both = [number for number in one if number in other]
    draws = [np.mean(np.subtract(one[n], other[n]), axis=1) for n in both]
    values = 100 * (np.array([d.mean() for d in draws]) if len(both) > 2 else np.concatenate(draws))
    if len(values) < 2:
        return f"{values.mean():+.1f}"
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.1f} ± {half:.1f}"


def chart(data: str, rows: list[dict[str, Any]], path: Path) -> None:
    """MIoU over the number of labels, a line a method, a panel a protocol."""
    import matplotlib.pyplot as plt

    protocols = list(dict.fromkeys(row["protocol"] for row in rows))
    figure, axes = plt.subplots(1, len(protocols), figsize=(5.5 * len(protocols) + 3, 4.5), squeeze=False, layout="constrained")
    for axis, protocol in zip(axes[0], protocols, strict=True):
        lines = [row for row in rows if row["protocol"] == protocol and row["labels a class"][0] != "s"]
        at = [int(row["labels a class"]) for row in lines]
        for k, method in enumerate(m for m in (*OURS, *STACKS) if m in rows[0]):
            style = {"marker": "o", "linewidth": 2.5 if method == "auto" else 1.2, "linestyle": "--" if method in STACKS else "-"}
            axis.plot(at, [row.get(method, np.nan) for row in lines], color=f"C{k}", label=method, **style)
        axis.set(title=f"{data}, {protocol}", xlabel="labelled points a class", xscale="log", ylabel="mean IoU")
        axis.set_xticks(at, [str(value) for value in at])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8, loc="outside right upper")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(str(row.get(name, "")) for name in names) + " |" for row in rows]) + "\n"


@functools.cache
def _source(*paths: str) -> str:
    """Hash of some of the project's files."""
    digest = hashlib.sha256()
    for path in paths:
        root = ROOT / path
        for file in [root] if root.is_file() else sorted(root.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(LEGENDS), default=list(LEGENDS))
    parser.add_argument("--draws", type=int, default=5, help="Of vegas, which has one image, twice as many.")
    parser.add_argument("--images", type=int, default=100, help="At most so many marked images of a set, evenly chosen.")
    parser.add_argument("--methods", nargs="*", choices=[*OURS, *STACKS], default=[*OURS, *STACKS])
    parser.add_argument("--odd", action="store_true", help="The images on which constants are chosen, instead of those that report.")
    parser.add_argument("--parts", nargs="*", choices=list(PARTS), default=[], help="Instead of this, what these measure on vegas.")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="Processes, each on one core.")
    parser.add_argument("--cache", type=Path, default=ROOT / ".results-cache" / "labels", help="Folder that keeps encoders and cells.")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.parts:
        options.cache.mkdir(parents=True, exist_ok=True)
        model = pk.load(train("vegas", options.cache))
        for part in options.parts:
            rows = PARTS[part](model, options.draws)
            (options.out / f"labels-{part}.md").write_text(table(rows))
            print(table(rows), flush=True)
        return
    results = run(options.only, options.draws, options.methods, options.workers, options.cache, odd=options.odd, most=options.images)
    for data in options.only:
        rows = list(rows_of(data, results))
        if rows:
            (options.out / f"labels-{data}.json").write_text(json.dumps(rows, indent=1))
            made = f"`python -m benchmarks.labels {shlex.join(arguments if arguments is not None else sys.argv[1:])}`, {', '.join(machine().values())}\n\n"
            (options.out / f"labels-{data}.md").write_text(made + table(rows))
            chart(data, rows, options.out / f"labels-{data}.png")
            print(f"{data}\n{table(rows)}", flush=True)


if __name__ == "__main__":
    main()
