"""The best map from the fewest labels: every method of a Segmenter beside the classical ones, same labels, same seeds, in one run.

    python -m benchmarks.labels                                  # all data sets, five draws; an hour or two on two cores
    python -m benchmarks.labels --only vegas --draws 1 --budgets 5 20 --models models
    python -m benchmarks.labels --only vegas --parts saving      # one part again; the others stay as they are in the JSON file

vegas: 1, 5, 20, 50 scattered points or 1, 3 scribbles a class; scored on all of the image, or labelled left and scored right.
boadella: 2, 5, 10 points a class on one date; mean IoU of water on each other labelled date. flanders: 5, 20 points a class on one
date; mean IoU on all others. Labelled pixels are never scored. On vegas also what labels that are asked for save, and how bad labels are
borne. Writes JSON, Markdown tables and a chart for each data set.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pixelkin as pk
from pixelkin.experiments.classical import FeatureCache, PixelClassifier
from pixelkin.scene import Scene, Series
from pixelkin.training import PRESETS
from pixelkin.types import LabelledPixels, Legend

from .similarity import DATA, FLANDERS, VEGAS, WATER, band, draw, obtain

RESULTS = Path(__file__).parent / "results"
PATCH_SIZE = {"vegas": 13, "boadella": 9, "flanders": 9}
PARTS = ("methods", "saving", "robustness", "clicks")
BUDGETS = {"vegas": ("1", "5", "20", "50", "s1", "s3"), "boadella": ("2", "5", "10"), "flanders": ("5", "20")}
"""Points a class; with an s, scribbles a class."""


@dataclass(frozen=True)
class Case:
    """Labels on one image, and images to score."""

    group: str
    budget: str
    scene: Scene
    labels: LabelledPixels
    targets: list[tuple[Scene, np.ndarray]]
    """Images and their truth, 0 = not scored."""
    only: str | None = None
    """The class whose IoU counts; None for the mean of all."""


def scribbles(truth: np.ndarray, legend: Legend, n: int, seed: int, length: int = 40) -> LabelledPixels:
    """N scribbles a class: smooth random walks of up to `length` pixels that stay inside their class."""
    rng = np.random.default_rng(seed)
    pixels: dict[tuple[int, int], int] = {}
    for class_id in legend.ids:
        inside = truth == class_id
        starts = np.argwhere(inside)
        for _ in range(n):
            walks = [_walk(inside, starts[rng.integers(len(starts))], length, rng) for _ in range(20)]
            pixels |= dict.fromkeys(max(walks, key=len), class_id)
    rows, cols = np.array(list(pixels)).T
    return LabelledPixels.from_arrays(rows, cols, list(pixels.values()), legend)


def _walk(inside: np.ndarray, start: np.ndarray, length: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    row, col, heading = float(start[0]), float(start[1]), rng.uniform(0, 2 * np.pi)
    path = [(int(start[0]), int(start[1]))]
    for _ in range(length):
        for _ in range(8):
            turned = heading + rng.normal(0, 0.25)
            to = row + np.sin(turned), col + np.cos(turned)
            at = round(to[0]), round(to[1])
            if 0 <= at[0] < inside.shape[0] and 0 <= at[1] < inside.shape[1] and inside[at]:
                break
            heading += rng.normal(0, 1.5)
        else:
            break
        row, col, heading = *to, turned
        path.append(at)
    return list(dict.fromkeys(path))


def cases(name: str, budgets: tuple[str, ...], draws: int) -> Iterator[Case]:
    """Everything that is asked of each method on a data set."""
    if name == "vegas":
        scene = pk.open_scene(DATA / "vegas" / "image.tif")
        truth = band(DATA / "vegas" / "classes.tif")
        half = truth.shape[1] // 2
        left, right = truth.copy(), truth.copy()
        left[:, half:], right[:, :half] = 0, 0
        for group, labelled, scored in (("scattered", truth, truth), ("left to right", left, right)):
            for budget in budgets:
                for seed in range(draws):
                    if budget[0] == "s":
                        labels = scribbles(labelled, VEGAS, int(budget[1:]), seed)
                    else:
                        labels = draw(labelled, VEGAS, int(budget), seed)
                    unseen = scored.copy()
                    unseen[labels.rows, labels.cols] = 0
                    yield Case(f"vegas, {group}", budget, scene, labels, [(scene, unseen)])
        return
    series = pk.open_scene(DATA / name)
    if name == "boadella":
        truths = {path.name[:10]: band(path) + 1 for path in sorted((DATA / name).glob("*_water.tif"))}
        legend, only, labelled_dates = WATER, "water", list(truths)
    else:
        codes = band(DATA / name / "LC.tif")
        truth = np.zeros(codes.shape, np.uint8)
        for class_id, code in enumerate((11, 13, 60), start=1):
            truth[codes == code] = class_id
        truths = {str(date): truth for date in series.dates}
        legend, only, labelled_dates = FLANDERS, None, list(truths)[::3]
    for budget in budgets:
        for seed in range(draws):
            for date in labelled_dates:
                targets = [(series.at(other), other_truth) for other, other_truth in truths.items() if other != date]
                yield Case(f"{name}, other dates", budget, series.at(date), draw(truths[date], legend, int(budget), seed), targets, only)


class OnEachDate:
    """A classical stack that is taught anew on every image it maps, by the pixels of that image under the same marks."""

    def __init__(self, classifier: PixelClassifier) -> None:
        self._classifier = classifier

    def fit(self, scene: Scene, labels: LabelledPixels) -> OnEachDate:
        """Keep the marks."""
        self._labels = labels
        return self

    def predict(self, scene: Scene) -> Any:
        """Teach, and map."""
        return self._classifier.fit(scene, self._labels).predict(scene)


def methods(model: pk.Model, *, dates: bool) -> dict[str, Any]:
    """What is compared, by name; on other dates than the labelled one with what a classical stack makes of our way of using them."""
    cache = FeatureCache(limit=16)
    ours = {name: pk.Segmenter(model, method=name, cache_bytes=4 << 30) for name in ("auto", "vote", "logistic", "nearest")}
    classical = {
        f"{features} + {learner}{', smoothed' if sigma else ''}": PixelClassifier(features, learner, smoothing=sigma, cache=cache)
        for features, learner in (("patches", "extratrees"), ("multiscale", "extratrees"), ("multiscale", "svm"))
        for sigma in (0.0, 3.0)
    }
    again = {
        f"{name}, taught on each date": OnEachDate(classical[name])
        for name in ("patches + extratrees, smoothed", "multiscale + svm, smoothed")
        if dates
    }
    return {**ours, "raw bands, auto": pk.Segmenter(None, cache_bytes=4 << 30), **classical, **again}


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: |mean confidence - accuracy| over bins of equal width, weighted by pixels."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    gaps = np.bincount(place, confidence, minlength=bins) - np.bincount(place, right, minlength=bins)
    return float(np.abs(gaps).sum() / counts.sum())


def run(name: str, model: pk.Model, budgets: tuple[str, ...], draws: int, only: list[str] | None) -> list[dict[str, Any]]:
    """One row a group, budget and method, of some methods or all."""
    figures: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    competitors = {
        method: segmenter for method, segmenter in methods(model, dates=name != "vegas").items() if only is None or method in only
    }
    for segmenter in competitors.values():
        first = next(cases(name, budgets[-1:], 1))
        segmenter.fit(first.scene, first.labels)
        for target, _ in first.targets:  # features are cached before the clock runs
            segmenter.predict(target)
    every = list(cases(name, budgets, draws))
    started_all = time.monotonic()
    for number, case in enumerate(every):
        left = (time.monotonic() - started_all) / max(1, number) * (len(every) - number)
        print(f"\r\x1b[K{case.group}, {case.budget}: {number}/{len(every)}, {left / 60:.0f} min left", end="", file=sys.stderr, flush=True)
        for method, segmenter in competitors.items():
            entry = figures[case.group, case.budget, method]
            started = time.perf_counter()
            segmenter.fit(case.scene, case.labels)
            results = [segmenter.predict(target) for target, _ in case.targets]
            entry["seconds"].append((time.perf_counter() - started) / len(results))
            for result, (_, truth) in zip(results, case.targets, strict=True):
                score = pk.score(result, truth)
                entry["miou"].append(score.miou if case.only is None else float(score.iou[score.legend.names.index(case.only)]))
                known = truth > 0
                entry["ece"].append(calibration_error(result.confidence[known], (result.classes == truth)[known]))
    return [
        {
            "data": group,
            "budget": budget,
            "method": method,
            "miou": round(float(np.mean(entry["miou"])), 4),
            "spread": round(float(np.std(entry["miou"])), 4),
            "worst": round(float(np.min(entry["miou"])), 4),
            "ece": round(float(np.mean(entry["ece"])), 4),
            "seconds": round(float(np.median(entry["seconds"])), 3),
            "maps": len(entry["miou"]),
        }
        for (group, budget, method), entry in figures.items()
    ]


def saving(model: pk.Model, draws: int) -> list[dict[str, Any]]:
    """Label saving on vegas: from one label a class, mIoU of labels that `suggest` asks for, five at a time, beside random ones."""
    scene = pk.open_scene(DATA / "vegas" / "image.tif")
    truth = band(DATA / "vegas" / "classes.tif")
    counts = list(range(3, 49, 5))
    curves: dict[str, list[np.ndarray]] = defaultdict(list)
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        start = draw(truth, VEGAS, 1, seed)
        for how in ("suggested", "random"):
            segmenter = pk.Segmenter(model, check_labels=False).fit(scene, start)
            found: dict[int, float] = {}
            while not found or max(found) < counts[-1]:
                found[len(segmenter.references)] = pk.score(segmenter.predict(scene), truth).miou
                if how == "suggested":
                    # The one asked knows nothing of pixels without truth, and skips them.
                    asked = [(s.row, s.col) for s in segmenter.suggest(scene, 15) if truth[s.row, s.col]][:5]
                else:
                    asked = [divmod(int(i), truth.shape[1]) for i in rng.permutation(np.flatnonzero(truth))[:5]]
                if not asked:
                    break
                places = np.array(asked)
                labels = LabelledPixels.from_arrays(places[:, 0], places[:, 1], truth[places[:, 0], places[:, 1]], VEGAS)
                segmenter.add(scene, labels)
            # Of 15 suggestions fewer than 5 may have truth, so draws do not meet at the same counts.
            curves[how].append(np.interp(counts, list(found), list(found.values()), right=np.nan))
    means = {how: np.nanmean(curve, axis=0) for how, curve in curves.items()}
    return [
        {"labels": n, **{how: round(float(mean[i]), 4) if np.isfinite(mean[i]) else "-" for how, mean in means.items()}, "draws": draws}
        for i, n in enumerate(counts)
    ]


def robustness(model: pk.Model, draws: int) -> list[dict[str, Any]]:
    """Labels that are bad in the ways that real ones are, on vegas with the default method: mIoU, and labels or classes warned about."""
    scene = pk.open_scene(DATA / "vegas" / "image.tif")
    truth = band(DATA / "vegas" / "classes.tif")
    halves = Legend.from_names([*VEGAS.names, "road again"])
    rows: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        labels = draw(truth, VEGAS, 20, seed)
        places = np.stack([labels.rows, labels.cols], axis=1)
        wrong = labels.classes.copy()
        changed = rng.permutation(len(labels))[: len(labels) // 10]
        wrong[changed] = wrong[changed] % 3 + 1
        many = draw(truth, VEGAS, 500, seed)
        lone = np.concatenate([np.flatnonzero(many.classes == i)[:count] for i, count in ((1, 500), (2, 20), (3, 1))])
        even = np.concatenate([np.flatnonzero(many.classes == i)[:count] for i, count in ((1, 20), (2, 20), (3, 1))])
        twins = labels.classes.copy()
        twins[np.flatnonzero(twins == 2)[::2]] = 4
        for name, taken, classes, legend in (
            ("20 a class", places, labels.classes, VEGAS),
            ("20 a class, 10 % of them wrong", places, wrong, VEGAS),
            ("20 a class, each given three times", np.concatenate([places] * 3), np.concatenate([labels.classes] * 3), VEGAS),
            ("building 20, road 20, tree 1", np.stack([many.rows, many.cols], 1)[even], many.classes[even], VEGAS),
            ("building 500, road 20, tree 1", np.stack([many.rows, many.cols], 1)[lone], many.classes[lone], VEGAS),
            ("20 a class, half of road as a class of its own", places, twins, halves),
        ):
            given = LabelledPixels.from_arrays(taken[:, 0], taken[:, 1], classes, legend)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # counted below
                segmenter = pk.Segmenter(model).fit(scene, given)
            found = segmenter.predict(scene).classes
            # The twins are one thing: whichever of them a road pixel gets is right.
            merged = np.where(found == 4, 2, found)
            expected = truth.copy()
            expected[given.rows, given.cols] = 0
            named = {(c.index if c.index is not None else c.classes) for c in segmenter.suspect_labels}
            right = named & set(changed.tolist()) if "wrong" in name else named
            rows[name].append((pk.score(merged, expected, legend=VEGAS).miou, len(named), len(right)))
    return [
        {
            "labels": name,
            "miou": round(float(np.mean([value for value, _, _ in found])), 4),
            "conflicts named": round(float(np.mean([count for _, count, _ in found])), 1),
            "of these really there": round(float(np.mean([count for _, _, count in found])), 1) if "wrong" in name else "-",
            "draws": len(found),
        }
        for name, found in rows.items()
    ]


def clicks(model: pk.Model, draws: int) -> list[dict[str, Any]]:
    """Seconds from one more label to the new map, with 100 labels and everything cached that can be; median of clicks. Needs an idle machine."""
    image = pk.open_scene(DATA / "vegas" / "image.tif")
    pixels, truth = image.read().data, band(DATA / "vegas" / "classes.tif")
    rows = []
    for height, width in ((782, 622), (1000, 1000)):
        around = (0, height - truth.shape[0]), (0, width - truth.shape[1])
        scene = pk.ArrayScene(np.pad(pixels, ((0, 0), *around), mode="symmetric"), bands=image.bands)
        classes = np.pad(truth, around, mode="symmetric")
        labels = draw(classes, VEGAS, 40, 0)
        order = np.random.default_rng(0).permutation(len(labels))

        def some(start: int, stop: int, labels: LabelledPixels = labels, order: np.ndarray = order) -> LabelledPixels:
            at = order[start:stop]
            return LabelledPixels.from_arrays(labels.rows[at], labels.cols[at], labels.classes[at], VEGAS)

        spent: dict[str, list[float]] = defaultdict(list)
        segmenter = pk.Segmenter(model, cache_bytes=4 << 30).fit(scene, some(0, 100))
        segmenter.predict(scene)
        for k in range(100, min(len(labels), 100 + 3 * draws)):
            times = [time.perf_counter()]
            segmenter.add(scene, some(k, k + 1))
            segmenter.predict(scene)
            times.append(time.perf_counter())
            segmenter.suggest(scene, 5)
            times.append(time.perf_counter())
            for what, seconds in zip(("a click, auto", "suggest(5) after it"), np.diff(times), strict=True):
                spent[what].append(float(seconds))
        for features, learner in (("patches", "extratrees"), ("multiscale", "extratrees"), ("multiscale", "svm")):
            classifier = PixelClassifier(features, learner, smoothing=3.0, cache=FeatureCache())
            classifier.fit(scene, some(0, 100)).predict(scene)
            for k in (100, 101, 102):
                began = time.perf_counter()
                classifier.fit(scene, some(0, k)).predict(scene)
                spent[f"a click, {features} + {learner}, smoothed"].append(time.perf_counter() - began)
        rows += [
            {"image": f"{height} x {width} x {len(pixels)}", "what": k, "seconds": round(float(np.median(v)), 3)} for k, v in spent.items()
        ]
    return rows


def chart(rows: list[dict[str, Any]], path: Path) -> None:
    """MIoU over number of labels, a line a method."""
    import matplotlib.pyplot as plt

    groups = list(dict.fromkeys(row["data"] for row in rows))
    figure, axes = plt.subplots(1, len(groups), figsize=(6.5 * len(groups) + 4, 5), squeeze=False, layout="constrained")
    for axis, group in zip(axes[0], groups, strict=True):
        for method in dict.fromkeys(row["method"] for row in rows):
            line = [row for row in rows if row["data"] == group and row["method"] == method]
            points = [row for row in line if row["budget"][0] != "s"] or line
            style = {"auto": ("C0-o", 2.5), "vote": ("C1-o", 1.5), "logistic": ("C2-o", 1.5), "nearest": ("C3-o", 1.5)}.get(method)
            at = [int(row["budget"].lstrip("s")) for row in points]
            values = [row["miou"] for row in points]
            if style is None:
                axis.plot(at, values, "--", linewidth=1, marker=".", label=method)
            else:
                axis.plot(at, values, style[0], linewidth=style[1], label=method)
        axis.set(title=group, xlabel="labelled points a class", xscale="log", ylabel="mean IoU")
        axis.set_xticks(at, [str(value) for value in at])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    figure.legend(*axes[0, -1].get_legend_handles_labels(), fontsize=8, loc="outside right upper")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows])


def main(arguments: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(BUDGETS), default=list(BUDGETS))
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--budgets", nargs="*", help="Some of each data set's budgets.")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS), help="Measure only these.")
    parser.add_argument(
        "--methods", nargs="*", help="Measure only these methods again; the others' rows stay as they are in the JSON file."
    )
    parser.add_argument("--models", type=Path, help="Folder that keeps trained models.")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        source = pk.open_scene(DATA / name / "image.tif" if name == "vegas" else DATA / name)
        assert isinstance(source, Scene | Series)
        model, _ = obtain(name, source, PATCH_SIZE[name], PRESETS["fast"], options.models)
        budgets = tuple(b for b in BUDGETS[name] if options.budgets is None or b in options.budgets)
        kept = options.out / f"labels-{name}.json"
        report = json.loads(kept.read_text()) if kept.exists() and set(options.parts) < set(PARTS) else {}
        if "methods" in options.parts:
            rows = run(name, model, budgets, options.draws, options.methods)
            again = {(row["data"], row["budget"], row["method"]): row for row in rows}
            old = json.loads(kept.read_text()).get("methods", []) if options.methods and kept.exists() else []
            report["methods"] = [again.pop((row["data"], row["budget"], row["method"]), row) for row in old] + list(again.values())
        if name == "vegas":
            for part, measure in (("saving", saving), ("robustness", robustness), ("clicks", clicks)):
                if part in options.parts:
                    report[part] = measure(model, options.draws)
        report = {part: rows for part, rows in report.items() if rows}
        text = "\n\n".join(table(part) for part in report.values()) + "\n"
        kept.write_text(json.dumps(report, indent=1))
        (options.out / f"labels-{name}.md").write_text(text)
        if "methods" in report:
            chart(report["methods"], options.out / f"labels-{name}.png")
        print(text, flush=True)


if __name__ == "__main__":
    main()
