"""How well the similarity maps real imagery: the paper's measures beside L1, on the same labels, in one run.

    python -m benchmarks.similarity                        # boadella and vegas, default options, one model each
    python -m benchmarks.similarity --only boadella --seeds 3 --patch-size 9 --patch-size 13
    python -m benchmarks.similarity --only vegas --preset paper --json paper.json
    python -m benchmarks.similarity --only vegas --set gamma=0.1 --set unit_spread=false

Boadella (time series): ten labelled pixels a class on one date; the IoU of water on each of the other labelled dates.
Vegas (one aerial tile): M labelled pixels a class; scores where the labels were scattered over the scored image, and
where they come from its left half and the score from its right half; and the paper's protocol, crops of 200 x 200 pixels.
Flanders (time series of farmland): 20 labelled pixels a class on one date, mean IoU on other dates.

`--models` keeps trained models in a folder, by the hash of all that made them, and takes them from there the next time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

import pixelkin as pk
from pixelkin.scene import Scene, Series
from pixelkin.training import PRESETS, TrainingOptions
from pixelkin.types import LabelledPixels, Legend

from .report import RESULTS, machine

DATA = Path(os.environ.get("PIXELKIN_DATA", Path(__file__).parents[2] / "shared" / "data"))
MEASURES = ("local", "global", "l1")
WATER = Legend.from_names(["land", "water"])
VEGAS = Legend.from_names(["building", "road", "tree"])
FLANDERS = Legend.from_names(["crops", "grass", "built-up"])

Row = dict[str, Any]
"""One line of the table: where it comes from, which measure, and its figures."""


def band(path: Path) -> np.ndarray:
    """Values of a label raster, (row, col)."""
    return pk.open_scene(path).read().data[0]


def draw(truth: np.ndarray, legend: Legend, m: int, seed: int) -> LabelledPixels:
    """M pixels of each class drawn at random, or all where there are fewer; classes without a pixel leave the legend."""
    rng = np.random.default_rng(seed)
    places = [rng.permutation(np.flatnonzero(truth == class_id))[:m] for class_id in legend.ids]
    flat = np.concatenate(places)
    present = Legend(tuple(entry for entry, place in zip(legend, places, strict=True) if len(place)))
    return LabelledPixels.from_arrays(flat // truth.shape[1], flat % truth.shape[1], truth.flat[flat], present)


def segmenters(model: pk.Model) -> Iterator[tuple[str, pk.Segmenter]]:
    """The paper's measures, L1 on the same representations, and L1 on the bands."""
    for measure in MEASURES:
        yield f"{measure} (S)" if measure == "l1" else f"{measure} MI", pk.Segmenter(model, measure=measure, method="nearest")
    yield "l1 (raw bands)", pk.Segmenter(method="nearest")


def obtain(name: str, source: Scene | Series, patch_size: int, options: TrainingOptions, models: Path | None) -> tuple[pk.Model, float]:
    """A model, trained now or kept from before, and the seconds that its training took."""
    key = hashlib.sha256(repr((name, patch_size, options)).encode()).hexdigest()[:12]
    path = None if models is None else models / f"{name}-{patch_size}-{key}.safetensors"
    if path is not None and path.exists():
        model = pk.load(path)
        return model, float(model.info.get("seconds", 0))
    started = time.perf_counter()
    model = pk.train(source, patch_size=patch_size, preset=options)
    seconds = time.perf_counter() - started
    model.info["seconds"] = seconds
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return model, seconds


def summary(name: str, setting: str, figures: dict[str, dict[str, list[float]]]) -> list[Row]:
    """A row a measure: means over all maps, and the worst map."""
    return [
        {
            "data": name,
            "setting": setting,
            "measure": measure,
            **{figure: round(float(np.mean(values)), 4) for figure, values in by_figure.items()},
            "worst": round(min(by_figure["miou"]), 4),
            "maps": len(by_figure["miou"]),
        }
        for measure, by_figure in figures.items()
    ]


def note(figures: dict[str, dict[str, list[float]]], measure: str, accuracy: float, miou: float) -> None:
    """Add one map's figures."""
    entry = figures.setdefault(measure, {"accuracy": [], "miou": []})
    entry["accuracy"].append(accuracy)
    entry["miou"].append(miou)


def boadella(model: pk.Model, draws: int, setting: str) -> list[Row]:
    """Water on other dates than the labelled one; `miou` is the mean IoU of water over the ordered pairs of dates."""
    series = pk.open_scene(DATA / "boadella")
    assert isinstance(series, Series)
    truths = {path.name[:10]: band(path) + 1 for path in sorted((DATA / "boadella").glob("*_water.tif"))}
    figures: dict[str, dict[str, list[float]]] = {}
    for measure, segmenter in segmenters(model):
        for seed in range(draws):
            for labelled, truth in truths.items():
                segmenter.fit(series.at(labelled), draw(truth, WATER, 10, seed))
                for other in truths.keys() - {labelled}:
                    score = pk.score(segmenter.predict(series.at(other)), truths[other])
                    note(figures, measure, score.accuracy, float(score.iou[score.legend.names.index("water")]))
    return summary("boadella", setting, figures)


def vegas(model: pk.Model, draws: int, setting: str, points: tuple[int, ...] = (1, 5, 10, 50)) -> list[Row]:
    """Building, road and tree on one tile, scattered labels and a spatial split."""
    scene = pk.open_scene(DATA / "vegas" / "image.tif")
    truth = band(DATA / "vegas" / "classes.tif")
    half = truth.shape[1] // 2
    left, right = truth.copy(), truth.copy()
    left[:, half:], right[:, :half] = 0, 0
    rows: list[Row] = []
    for split, labelled, scored in (("scattered", truth, truth), ("left to right", left, right)):
        for m in points:
            figures: dict[str, dict[str, list[float]]] = {}
            for measure, segmenter in segmenters(model):
                for seed in range(draws):
                    score = pk.score(segmenter.fit(scene, draw(labelled, VEGAS, m, seed)).predict(scene), scored)
                    note(figures, measure, score.accuracy, score.miou)
            rows += summary("vegas", f"{setting}, {split}, M = {m}", figures)
    return rows


def vegas_crops(model: pk.Model, draws: int, setting: str, m: int = 50, side: int = 200) -> list[Row]:
    """The paper's protocol: labels and score on one 200 x 200 image, all such crops with all three classes."""
    scene = pk.open_scene(DATA / "vegas" / "image.tif")
    truth = band(DATA / "vegas" / "classes.tif")
    pixels = scene.read()
    figures: dict[str, dict[str, list[float]]] = {}
    for row in range(0, truth.shape[0] - side + 1, side // 2):
        for col in range(0, truth.shape[1] - side + 1, side // 2):
            at = slice(row, row + side), slice(col, col + side)
            if any((truth[at] == class_id).sum() < 2 * m for class_id in VEGAS.ids):
                continue
            crop = pk.ArrayScene(np.ascontiguousarray(pixels.data[:, *at]), np.ascontiguousarray(pixels.valid[at]), bands=scene.bands)
            for measure, segmenter in segmenters(model):
                for seed in range(draws):
                    score = pk.score(segmenter.fit(crop, draw(truth[at], VEGAS, m, seed)).predict(crop), truth[at])
                    note(figures, measure, score.accuracy, score.miou)
    return summary("vegas", f"{setting}, crops of {side}, N = 3, M = {m}", figures)


def flanders(model: pk.Model, draws: int, setting: str) -> list[Row]:
    """Land cover on other dates than the labelled one: every fourth date labelled, every third one scored."""
    series = pk.open_scene(sorted((DATA / "flanders").glob("20*.tif")))
    assert isinstance(series, Series)
    codes = band(DATA / "flanders" / "LC.tif")
    truth = np.select([codes == 11, codes == 13, codes == 60], [1, 2, 3], 0).astype(np.uint8)
    figures: dict[str, dict[str, list[float]]] = {}
    for measure, segmenter in segmenters(model):
        for seed in range(draws):
            for i in range(0, len(series), 4):
                segmenter.fit(series.scenes[i], draw(truth, FLANDERS, 20, seed))
                for j in range(1, len(series), 3):
                    if i != j:
                        score = pk.score(segmenter.predict(series.scenes[j]), truth)
                        note(figures, measure, score.accuracy, score.miou)
    return summary("flanders", setting, figures)


SETS: dict[str, tuple[str, tuple[int, ...], list[Callable[[pk.Model, int, str], list[Row]]]]] = {
    "boadella": ("boadella", (9, 13), [boadella]),
    "vegas": ("vegas/image.tif", (13,), [vegas, vegas_crops]),
    "flanders": ("flanders", (9,), [flanders]),
}
"""Name -> what to train on, patch sizes, and what to score."""


def run(
    only: tuple[str, ...] = ("boadella", "vegas"),
    *,
    preset: str = "fast",
    seeds: int = 1,
    draws: int = 3,
    patch_sizes: tuple[int, ...] = (),
    without_dates: bool = True,
    options: dict[str, Any] | None = None,
    models: Path | None = None,
) -> dict[str, Any]:
    """All rows.

    Args:
        only: Data sets.
        preset: Training preset.
        seeds: Models trained for each setting, with seeds 0, 1, ...
        draws: Draws of the labelled pixels for each model.
        patch_sizes: Instead of those of each data set.
        without_dates: Also train on Boadella without date pairs.
        options: Fields of TrainingOptions, of its objective or of its views, instead of the preset's.
        models: Folder that keeps trained models.

    Returns:
        'rows' (data, setting, measure, accuracy, miou, worst, maps), 'training' (data, setting, seed, seconds, loss terms)
        and 'settings'. On Boadella, `miou` is the mean IoU of water.
    """
    rows: list[Row] = []
    training: list[Row] = []
    for name in only:
        folder, sizes, scorers = SETS[name]
        source = pk.open_scene(DATA / folder) if name != "flanders" else pk.open_scene(sorted((DATA / folder).glob("20*.tif")))
        for size in patch_sizes or sizes:
            for dates in (True, False) if name == "boadella" and without_dates else (True,):
                setting = f"s = {size}" + ("" if dates else ", no date pairs")
                collected: list[list[Row]] = []
                for seed in range(seeds):
                    asked = with_fields(replace(PRESETS[preset], seed=seed), {**(options or {}), "dates": dates})
                    model, seconds = obtain(name, source, size, asked, models)
                    training.append({"data": name, "setting": setting, "seed": seed, "seconds": round(seconds, 1)})
                    collected.append([row for score in scorers for row in score(model, draws, setting)])
                rows += [mean_of(same) for same in zip(*collected, strict=True)]
    return {"rows": rows, "training": training, "settings": {"preset": preset, "seeds": seeds, "draws": draws, "options": asdict(asked)}}


def with_fields(options: TrainingOptions, fields: dict[str, Any]) -> TrainingOptions:
    """Options with some fields replaced, wherever they belong."""
    parts = {"objective": options.objective, "views": options.views}
    for name, value in fields.items():
        owner = next((part for part, value_ in parts.items() if name in vars(value_)), None)
        if owner is None:
            options = replace(options, **{name: value})
        else:
            parts[owner] = replace(parts[owner], **{name: value})
    return replace(options, **parts)


def mean_of(rows: tuple[Row, ...]) -> Row:
    """One row for several models: means, their spread, and the worst of all."""
    mious = [row["miou"] for row in rows]
    return {
        **rows[0],
        "accuracy": round(float(np.mean([row["accuracy"] for row in rows])), 4),
        "miou": round(float(np.mean(mious)), 4),
        "spread": round(float(np.std(mious)), 4),
        "worst": min(row["worst"] for row in rows),
    }


def table(result: dict[str, Any]) -> str:
    """Plain text, a line a setting and measure."""
    lines = [f"{'data':9} {'setting':44} {'measure':15} {'accuracy':>8} {'mIoU':>6} {'worst':>6} {'seeds +-':>8}"]
    for r in result["rows"]:
        lines.append(
            f"{r['data']:9} {r['setting']:44} {r['measure']:15} {r['accuracy']:8.3f} {r['miou']:6.3f} {r['worst']:6.3f} {r['spread']:8.3f}"
        )
    lines += [f"training {t['data']} {t['setting']} seed {t['seed']}: {t['seconds']} s" for t in result["training"]]
    return "\n".join(lines)


def targets(result: dict[str, Any]) -> list[str]:
    """The figures to reach, each beside what was reached; one is left out where its rows were not asked for."""

    def water(setting: str) -> float | None:
        rows = [r for r in result["rows"] if r["data"] == "boadella" and r["setting"] == setting and r["measure"] == "local MI"]
        return rows[0]["miou"] if rows else None

    lines = []
    reached, without = water("s = 9"), water("s = 9, no date pairs")
    if reached is not None:
        lines.append(f"boadella, other dates, local MI: {reached:.3f}, to reach >= 0.82 (aim 0.85)")
        if without is not None:
            lines.append(f"boadella, with date pairs minus without: {reached - without:.3f}, to reach >= 0.2")
    return lines


def main(arguments: Sequence[str] | None = None) -> str:
    """Command line; returns the table and writes it, with all figures, to `results/similarity.md` and `.json` or where --json says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=sorted(SETS), help="data set; may be repeated (default: boadella and vegas)")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="fast")
    parser.add_argument("--seeds", type=int, default=1, help="models per setting")
    parser.add_argument("--draws", type=int, default=3, help="draws of labels per model")
    parser.add_argument("--patch-size", type=int, action="append", default=[])
    parser.add_argument("--dates-only", action="store_true", help="boadella: leave out the model trained without date pairs")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=JSON", help="training option, e.g. --set gamma=0.01")
    parser.add_argument("--models", type=Path, help="folder that keeps trained models")
    parser.add_argument("--json", type=Path, default=RESULTS / "similarity.json", help="all figures; the table goes beside it")
    args = parser.parse_args(arguments)
    if not DATA.is_dir():
        return f"similarity: skipped, {DATA} is not there. Set PIXELKIN_DATA to the folder of boadella, vegas and flanders."
    fields = {name: json.loads(value) for name, _, value in (pair.partition("=") for pair in args.set)}
    result = run(
        tuple(args.only or ("boadella", "vegas")), preset=args.preset, seeds=args.seeds, draws=args.draws,
        patch_sizes=tuple(args.patch_size), without_dates=not args.dates_only, options=fields, models=args.models,
    )  # fmt: skip
    facts = machine()
    text = "\n".join([table(result), *targets(result)])
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"machine": facts, **result}, indent=1) + "\n")
    args.json.with_suffix(".md").write_text(f"```text\n{text}\n```\n\n{', '.join(f'{key} {value}' for key, value in facts.items())}\n")
    return text


if __name__ == "__main__":
    print(main())
