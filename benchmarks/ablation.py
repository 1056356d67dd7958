"""What every constant and every part of the decision is worth: each halved and doubled, each left out, on all labelled imagery.

    python -m benchmarks.ablation --workers 16                   # one process a worker; minutes on 16 cores, hours on one
    python -m benchmarks.ablation --only vegas --draws 2 --variants "radius" "no smoothing"

vegas, boadella and flanders as `benchmarks.labels` asks them (the default method); dubai: 5 and 20 points a class scattered over one image of each tile,
scored on that image and on another of its tile. Labelled pixels are never scored. Constants are to be chosen by the odd draws
and reported by the even ones: every figure comes in both. Variants that differ in confidence only are judged by the negative log likelihood.
Needs no network: models are trained here, and kept in --models. Writes JSON and a Markdown table.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import pixelkin as pk
from pixelkin.training import PRESETS
from pixelkin.types import Legend, Window

from .labels import BUDGETS, PATCH_SIZE, RESULTS, Case, band, cases
from .similarity import DATA, draw, obtain

DATA_SETS = ("vegas", "boadella", "flanders", "dubai")
_AT_ONCE = 8
"""Variants a process runs on features that it embeds once."""
_SIDE = 640
"""Pixels a side of a dubai image, cut from its middle."""


@dataclass(frozen=True)
class Variant:
    """One change to the decision."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    """Constants by name (see `changed`), or a function of the learner."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of the Segmenter."""
    describes: bool = False
    """True where features or guides are others, so that nothing embedded before serves."""
    confident: bool = False
    """True where only confidence may change."""


def _scaled(name: str, value: float, *, whole: bool = False, **kinds: bool) -> list[Variant]:
    values = (max(1, value // 2), value * 2) if whole else (value / 2, value * 2)
    return [Variant(f"{name} {value:g} -> {to:g}", {name: to}, **kinds) for to in values]


def variants() -> list[Variant]:
    """The default first, then every constant on the path from labels to a map, then parts left out, then constants merged."""
    out = [Variant("default", confident=True)]
    for name, value in (("TEMPERATURE", 1.0), ("LENGTH_SCALE", 16.0), ("LENGTH_SCALE_OF_BANDS", 0.5), ("KERNEL_VARIANCE", 4.0), ("NUGGET", 1e-3), ("LEAST_PROPORTION", 0.01),
                        ("_LEAST_CHANCE", 0.5), ("EVEN_REGRESSION", 3), ("EVEN_BANDS", 2), ("EVEN_CURVES", 5), ("EVEN_PROPORTIONS", 4)):  # fmt: skip
        out += _scaled(name, value)
    for name, value in (("MOST_VOTERS", 256), ("MOST_EXAMPLES", 2000), ("MOST_LANDMARKS", 512), ("MOST_TRANSFERRED", 256), ("_GROUPS", 8), ("_SMALLEST_GROUP", 4),
                        ("_LARGEST_GROUP", 64),):  # fmt: skip
        out += _scaled(name, value, whole=True)
    out += _scaled("_BLOCKS", 64, whole=True, describes=True) + _scaled("_STEP", 8, whole=True, describes=True)
    for part in ("learned", "bands"):
        usual = {"learned": 0.03, "bands": 0.1}
        out += [Variant(f"VARIANCE of {part} x {by:g}", {"VARIANCE": {**usual, part: usual[part] * by}}) for by in (0.5, 2)]
    for part in ("here", "transferred"):
        usual = {"here": 0.5, "transferred": 0.3}
        out += [Variant(f"BANDS_SHARE {part} x {by:g}", {"BANDS_SHARE": {**usual, part: usual[part] * by}}) for by in (0.5, 1.5)]
    for radius in (2, 8):
        out.append(Variant(f"RADIUS 4 -> {radius}", {"RADIUS": radius, "REACH": 4 * radius}, describes=True))
    out += _scaled("RIDGE", 0.02, describes=True) + _scaled("MOST_BANDS", 4, whole=True, describes=True)
    out += [Variant(f"NEAR 9 -> {side}", {"NEAR": side}, describes=True) for side in (5, 17)]
    out += [Variant(f"FAR 25 -> {side}", {"FAR": side, "CONTEXT": side // 2}, describes=True) for side in (13, 49)]
    out += [Variant(f"REFERENCE_BLOCK 32 -> {side}", {"REFERENCE_BLOCK": side}, describes=True) for side in (16, 64)]
    for name, value, whole in (("FOLDS", 4, True), ("PRIOR", 2.5, False), ("_PRIOR_WEIGHT", 20.0, False)):
        out += _scaled(name, value, whole=whole, confident=True)
    out += [
        Variant("no vote", {"EVEN_REGRESSION": 1e-6}),
        Variant("no regression on what is learned", {"EVEN_REGRESSION": 1e6}),
        Variant("no bands", {"BANDS_SHARE": {"here": 0.0, "transferred": 0.0}}),
        Variant("no spectral kernel", {"EVEN_CURVES": 1e6}),
        Variant("no straight lines on the bands", {"EVEN_CURVES": 1e-6}),
        Variant("no spatial kernel", {"LENGTH_SCALE": 1e-3}),
        Variant("no prior correction", options={"priors": "equal"}),
        Variant("no label transfer", options={"label_transfer": False}),
        Variant("no smoothing", {"filtered": _unfiltered}),
        Variant("no model", options={"model": None}, describes=True),
        *(Variant(f"method {method}", options={"method": method}) for method in ("vote", "logistic")),
    ]
    for even in (2, 3, 4):
        names = ("EVEN_REGRESSION", "EVEN_BANDS", "EVEN_CURVES", "EVEN_PROPORTIONS")
        out.append(Variant(f"one half-saturation, {even}", dict.fromkeys(names, even)))
    for most in (256, 512):
        out.append(
            Variant(f"one budget, {most}", dict.fromkeys(("MOST_VOTERS", "MOST_LANDMARKS", "MOST_TRANSFERRED", "MOST_EXAMPLES"), most))
        )
    for share in (0.3, 0.4, 0.5):
        out.append(Variant(f"one share of the bands, {share}", {"BANDS_SHARE": {"here": share, "transferred": share}}))
    for variance in (0.03, 0.05, 0.1):
        out.append(Variant(f"one variance, {variance}", {"VARIANCE": {"learned": variance, "bands": variance}}))
    out.append(Variant("no smallest group", {"_SMALLEST_GROUP": 1}))
    out.append(Variant("no largest group", {"_LARGEST_GROUP": 1 << 20}))
    return out


def _unfiltered(probabilities: Any, guide: Any) -> Any:
    """Probabilities as they are, in place of the guided filter."""
    from pixelkin.decision import smoothing

    margin = 2 * smoothing.RADIUS
    inner = probabilities[:, margin:-margin, margin:-margin].clamp(min=1e-6)
    return inner[:, None, None].expand(-1, smoothing.STRIDE, smoothing.STRIDE, -1, -1).contiguous()


@contextmanager
def changed(changes: dict[str, Any]) -> Iterator[None]:
    """Give module constants other values, in every module of the two rooms that knows them by this name."""
    import pixelkin.decision
    import pixelkin.features

    modules = [
        importlib.import_module(found.name)
        for room in (pixelkin.decision, pixelkin.features)
        for found in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")
    ]
    before = [(module, name, getattr(module, name)) for module in modules for name in changes if hasattr(module, name)]
    missing = set(changes) - {name for _, name, _ in before}
    if missing:
        raise ValueError(f"no module has {sorted(missing)}")
    try:
        for module, name, _ in before:
            setattr(module, name, changes[name])
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def dubai(draws: int) -> Iterator[Case]:
    """Points on one image of each tile, scored on it and on another of its tile."""
    entries = json.loads((DATA / "dubai" / "legend.json").read_text())
    names = entries if isinstance(entries, dict) else {str(entry["id"]): entry["name"] for entry in entries}
    tiles = defaultdict(list)
    for path in sorted((DATA / "dubai" / "images").glob("*.jpg")):
        tiles[path.stem.split("_")[0]].append(path)
    for paths in tiles.values():
        (scene, truth), (other, unseen) = (_cut(path) for path in paths[:2])
        present = [i for i in range(1, 6) if (truth == i).sum() >= 200]
        known, of_other = (np.isin(values, present) * np.searchsorted([0, *present], values) for values in (truth, unseen))
        legend = Legend.from_names([str(names.get(str(i), i)) for i in present])
        for budget in ("5", "20"):
            for seed in range(draws):
                labels = draw(known.astype(np.uint8), legend, int(budget), seed)
                rest = known.astype(np.uint8)
                rest[labels.rows, labels.cols] = 0
                yield Case("dubai, same image", budget, scene, labels, [(scene, rest)])
                yield Case("dubai, another image", budget, scene, labels, [(other, of_other.astype(np.uint8))])


def _cut(path: Path) -> tuple[pk.ArrayScene, np.ndarray]:
    scene = pk.open_scene(path)
    side = min(_SIDE, *scene.grid.shape)
    window = Window((scene.grid.height - side) // 2, (scene.grid.width - side) // 2, side, side)
    truth = band(DATA / "dubai" / "labels" / f"{path.stem}.tif")[window.slices]
    return pk.ArrayScene(scene.read(window).data, name=path.stem, bands=scene.bands), truth


def model_of(name: str, models: Path) -> pk.Model:
    """The data set's model, trained now or kept from before."""
    if name == "dubai":
        source: Any = [pk.open_scene(path) for path in sorted((DATA / "dubai" / "images").glob("*.jpg"))[::3]]
    else:
        source = pk.open_scene(DATA / "vegas" / "image.tif" if name == "vegas" else DATA / name)
    return obtain(name, source, PATCH_SIZE.get(name, 13), PRESETS["fast"], models)[0]


def run(name: str, chunk: list[Variant], draws: int, models: Path) -> list[dict[str, Any]]:
    """Some variants on all cases of a data set: one row a variant, group, budget and parity of the draw."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    model = model_of(name, models)
    every = list(dubai(draws) if name == "dubai" else cases(name, BUDGETS[name], draws))
    figures: dict[tuple[str, str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    shared: dict[str, pk.Segmenter] = {}
    for variant in chunk:
        options = {"model": model, "method": "auto", **variant.options}
        key = repr((variant.options, variant.name if variant.describes else ""))
        with changed(variant.changes):
            if key not in shared:
                shared[key] = pk.Segmenter(options.pop("model"), **options, check_labels=False, cache_bytes=2 << 30, workers=1)
            segmenter, counts = shared[key], defaultdict(int)
            for case in every:
                # Draws come in the same order for each group and budget; several labelled images a draw count as one.
                at = case.group, case.budget
                per_draw = sum((other.group, other.budget) == at for other in every) // draws
                seed, counts[at] = counts[at] // per_draw, counts[at] + 1
                entry = figures[variant.name, *at, "odd" if seed % 2 else "even"]
                segmenter.fit(case.scene, case.labels)
                # Of a long series every third date will do.
                for target, truth in case.targets if len(case.targets) < 5 else case.targets[::3]:
                    if variant.confident:
                        result = segmenter.predict(target)
                        classes, known = result.classes, truth > 0
                        right = classes[known] == truth[known]
                        sure = np.clip(result.confidence[known], 1e-3, 1 - 1e-3)
                        entry["nll"].append(float(-np.log(np.where(right, sure, 1 - sure)).mean()))
                    else:
                        classes = segmenter.classify(target)[0]
                    score = pk.score(classes, truth, legend=case.labels.legend)
                    entry["miou"].append(score.miou if case.only is None else float(score.iou[score.legend.names.index(case.only)]))
    return [
        {
            "variant": key[0],
            "group": key[1],
            "budget": key[2],
            "draws": key[3],
            **{what: float(np.mean(values)) for what, values in entry.items()},
        }
        for key, entry in figures.items()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """One line a variant: what it costs against the default, in points, on each group; odd draws / even draws; the most first."""
    groups = list(dict.fromkeys(row["group"] for row in rows))
    by: dict[tuple[str, str, str, str], dict[str, Any]] = {(r["variant"], r["group"], r["budget"], r["draws"]): r for r in rows}

    def gain(variant: str, group: str, draws: str, what: str) -> float:
        found = [
            row[what] - by["default", group, budget, draws][what]
            for (name, of, budget, which), row in by.items()
            if (name, of, which) == (variant, group, draws) and what in row
        ]
        return 100 * float(np.mean(found)) if found else np.nan

    names = [name for name in dict.fromkeys(row["variant"] for row in rows) if name != "default"]
    means = {name: np.nanmean([gain(name, group, half, "miou") for group in groups for half in ("odd", "even")]) for name in names}
    lines = [
        "Points of mean IoU gained over the default (boadella: IoU of water), odd draws / even draws. *nll*: nats x 100, less is better, of variants that change confidence only.",
        "",
        f"| variant | mean | {' | '.join(groups)} | nll |",
        "|---|---|" + "---|" * (len(groups) + 1),
        "| default | | " + " | ".join(f"{100 * np.mean([r['miou'] for k, r in by.items() if k[0] == 'default' and k[1] == g]):.1f}" for g in groups) + " | |",
    ]  # fmt: skip
    for name in sorted(names, key=lambda name: means[name]):
        cells = [f"{gain(name, group, 'odd', 'miou'):+.2f} / {gain(name, group, 'even', 'miou'):+.2f}" for group in groups]
        nll = [np.nanmean([gain(name, group, half, "nll") for group in groups]) for half in ("odd", "even")] if any("nll" in r for k, r in by.items() if k[0] == name) else None  # fmt: skip
        lines.append(f"| {name} | {means[name]:+.2f} | {' | '.join(cells)} | {'' if nll is None else f'{nll[0]:+.2f} / {nll[1]:+.2f}'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--draws", type=int, default=4, help="draws of labels; half of them odd")
    parser.add_argument("--only", nargs="*", choices=DATA_SETS, default=list(DATA_SETS))
    parser.add_argument("--variants", nargs="*", help="parts of names; default all")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where trained models are kept")
    parser.add_argument("--output", type=Path, default=RESULTS / "ablation", help="without suffix: .json and .md are written")
    given = parser.parse_args()
    chosen = [v for v in variants() if v.name == "default" or given.variants is None or any(part in v.name for part in given.variants)]
    plain, others = [v for v in chosen if not v.describes], [v for v in chosen if v.describes]
    jobs = [(name, chunk) for name in given.only for chunk in [*([v] for v in others), *(plain[i : i + _AT_ONCE] for i in range(0, len(plain), _AT_ONCE))]]  # fmt: skip
    os.environ["OMP_NUM_THREADS"] = "1"
    rows: list[dict[str, Any]] = []
    began = time.monotonic()
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(model_of, name, given.models) for name in given.only]):
            done.result()
        waiting = [pool.submit(run, name, chunk, given.draws, given.models) for name, chunk in jobs]
        for number, done in enumerate(as_completed(waiting), start=1):
            rows += done.result()
            print(f"{number}/{len(jobs)} after {(time.monotonic() - began) / 60:.1f} min", file=sys.stderr, flush=True)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.with_suffix(".json").write_text(json.dumps({"draws": given.draws, "rows": rows}, indent=1) + "\n")
    given.output.with_suffix(".md").write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
