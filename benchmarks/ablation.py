"""What every constant and every part of the decision is worth: each halved and doubled, each left out, on labelled imagery.

    python -m benchmarks.ablation --workers 16                        # minutes on 16 cores, hours on one
    python -m benchmarks.ablation --variants "length scale" "no smoothing"
    python -m benchmarks.ablation --table                             # of the rows that are there

Cases are those of `benchmarks.label_cases`, 256 x 256 pixels of the middle of each image, by where a map's labels are: on the image itself, there also without
pretrained features, on other dates of the site, and on another image of the same tile. Labelled pixels are never scored. Constants are chosen by odd images of dubai and odd draws of
the others, and reported by even ones: every figure comes in both. Variants that change confidence only are judged by the negative log likelihood. Encoders are trained here,
and kept in --models. A row is written as soon as it is known; rows that are there are not computed again.
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
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import pixelkin as pk
from pixelkin.features import References
from pixelkin.scene import Scene, Series
from pixelkin.types import LabelledPixels, Legend, Window

from .label_cases import LEGENDS, images, scribbles
from .labels import PATCH_SIZE
from .report import RESULTS
from .similarity import draw

SIDE = 256
PROCESS, REGRESSIONS, DATES, ELSEWHERE = "labelled image", "labelled image, no pretrained", "other dates", "another image"
PATHS = (PROCESS, REGRESSIONS, DATES, ELSEWHERE)
MANY = "600"
"""Labels a class of the cases that ask what a budget of labels is worth."""


@dataclass(frozen=True)
class Variant:
    """One change to the decision."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    """Constants by name, an item of a dictionary behind a dot; or a function."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of the Segmenter."""
    paths: tuple[str, ...] = PATHS
    """Where it may change anything."""
    describes: bool = False
    """True where features or guides are others, so that nothing embedded before serves."""
    confident: bool = False
    """True where only confidence may change."""
    many: bool = False
    """True where it needs many labels to change anything."""


@dataclass(frozen=True)
class Constant:
    """A number that somebody chose."""

    name: str
    """In its module; an item of a dictionary behind a dot."""
    value: float
    meaning: str
    kinds: dict[str, Any] = field(default_factory=dict)
    """Fields of its variants."""
    others: tuple[float, ...] = ()
    """Tried instead of half and double."""

    def variants(self) -> list[Variant]:
        """It, halved and doubled."""
        whole = isinstance(self.value, int)
        tried = self.others or ((max(1, self.value // 2), self.value * 2) if whole else (self.value / 2, self.value * 2))
        return [Variant(f"{self.meaning}: {self.value:g} -> {to:g}", {self.name: to}, **self.kinds) for to in tried]


_REGRESSING = (REGRESSIONS, DATES, ELSEWHERE)
_OF_BANDS = (REGRESSIONS, DATES)
CONSTANTS = (
    Constant("TEMPERATURE", 1.0, "temperature of the vote", {"paths": _REGRESSING}),
    Constant("VARIANCE.learned", 0.03, "prior variance of weights, learned", {"paths": _REGRESSING}),
    Constant("VARIANCE.bands", 0.1, "prior variance of weights, bands", {"paths": _OF_BANDS}),
    Constant("KERNEL_VARIANCE", 4.0, "kernel variance", {"paths": (PROCESS, *_OF_BANDS)}),
    Constant("NUGGET", 1e-3, "nugget", {"paths": (PROCESS, *_OF_BANDS)}),
    Constant("LENGTH_SCALE", 16.0, "length scale, spatial", {"paths": (PROCESS, *_OF_BANDS)}),
    Constant("LENGTH_SCALE_OF_BANDS", 0.5, "length scale, spectral", {"paths": _OF_BANDS}),
    Constant("LENGTH_SCALE_OF_PARTS", 0.5, "length scale, pretrained", {"paths": (PROCESS,)}),
    Constant("NEARNESS", 0.1, "nearness beside pretrained", {"paths": (PROCESS,)}),
    Constant("EVEN_REGRESSION", 3, "half-saturation, regression", {"paths": _REGRESSING}, (1.5, 6)),
    Constant("EVEN_BANDS", 2, "half-saturation, bands", {"paths": _OF_BANDS}, (1, 4)),
    Constant("EVEN_CURVES", 5, "half-saturation, spectral kernel", {"paths": _OF_BANDS}, (2.5, 10)),
    Constant("EVEN_PROPORTIONS", 4, "half-saturation, proportions", {}, (2, 8)),
    Constant("UNEVEN", 0.125, "half-saturation, pretrained", {"paths": (PROCESS,)}),
    Constant("ENOUGH", 0.9, "share of pretrained that is enough", {"paths": (PROCESS,)}, (0.0, 0.5, 1.1)),
    Constant("BANDS_SHARE.here", 0.5, "share of the bands, labelled image", {"paths": (REGRESSIONS,)}, (0.25, 0.75)),
    Constant("BANDS_SHARE.transferred", 0.3, "share of the bands, other dates", {"paths": (DATES,)}, (0.15, 0.6)),
    Constant("LEAST_PROPORTION", 0.01, "least proportion", {"paths": (PROCESS, ELSEWHERE, DATES)}),
    Constant("_LEAST_CHANCE", 0.5, "least chance of a transferred label", {"paths": (DATES,)}),
    Constant("MOST_VOTERS", 256, "budget of voters", {"paths": _REGRESSING, "many": True}),
    Constant("MOST_EXAMPLES", 2000, "budget of examples", {"many": True}, (512,)),
    Constant("MOST_LANDMARKS", 512, "budget of landmarks", {"many": True, "paths": (PROCESS, *_OF_BANDS)}),
    Constant("MOST_TRANSFERRED", 256, "budget of transferred labels", {"paths": (DATES,), "many": True}),
    Constant("_GROUPS", 8, "spatial groups along an image", {"paths": _REGRESSING}),
    Constant("_SMALLEST_GROUP", 4, "smallest spatial group", {"paths": _REGRESSING}, (1, 8)),
    Constant("_LARGEST_GROUP", 64, "largest spatial group", {"paths": _REGRESSING}),
    Constant("FOLDS", 4, "folds", {"confident": True}),
    Constant("PRIOR", 2.5, "inverse temperature before labels", {"confident": True}),
    Constant("_PRIOR_WEIGHT", 20.0, "labels that it counts for", {"confident": True}),
    Constant("WARN", 0.1, "foreign share that warns", {"confident": True, "paths": (ELSEWHERE, DATES)}),
    Constant("_BEYOND", 3.0, "how far is foreign", {"confident": True, "paths": (ELSEWHERE, DATES)}),
    Constant("RIDGE", 0.02, "epsilon of the guided filter", {"describes": True}),
    Constant("MOST_BANDS", 4, "bands in the guide", {"describes": True}, (2, 3)),
    Constant("_STEP", 8, "step of the sample", {"describes": True, "paths": (PROCESS, ELSEWHERE, DATES)}),
    Constant("_BLOCKS", 64, "blocks of the sample", {"describes": True, "paths": (PROCESS, ELSEWHERE, DATES)}),
    Constant("NEAR", 9, "smaller square", {"describes": True, "paths": _REGRESSING}, (5, 17)),
    Constant("REFERENCE_BLOCK", 32, "block around a label", {"describes": True, "paths": _REGRESSING}),
    Constant("_PATCH", 5, "patch beside pretrained", {"describes": True, "paths": (PROCESS,)}, (3, 9)),
    Constant("_WEIGHT", 1.5, "weight of the bands beside pretrained", {"describes": True, "paths": (PROCESS,)}),
    Constant("_ENLARGED", 2, "enlargement of the image", {"describes": True, "paths": (PROCESS,)}, (1,)),
)  # fmt: skip


def variants() -> list[Variant]:
    """The default first, then constants, then parts left out, then constants merged or derived."""
    found = [Variant("default", confident=True), Variant("default, many labels", many=True)]
    found += [variant for constant in CONSTANTS for variant in constant.variants()]
    found += [
        Variant(f"larger square: 25 -> {side}", {"FAR": side, "CONTEXT": side // 2}, paths=_REGRESSING, describes=True) for side in (13, 49)
    ]
    found += [Variant(f"radius of the filter: 4 -> {r}", {"RADIUS": r, "REACH": 4 * r}, describes=True) for r in (2, 8)]
    halves = ("EVEN_REGRESSION", "EVEN_BANDS", "EVEN_CURVES", "EVEN_PROPORTIONS")
    budgets = ("MOST_VOTERS", "MOST_LANDMARKS", "MOST_TRANSFERRED", "MOST_EXAMPLES")
    found += [
        Variant("no vote", {"EVEN_REGRESSION": 1e-6}, paths=_REGRESSING),
        Variant("no regression on what is learned", {"EVEN_REGRESSION": 1e6}, paths=_REGRESSING),
        Variant("no bands", {"BANDS_SHARE": {"here": 0.0, "transferred": 0.0}}, paths=_OF_BANDS),
        Variant("no spectral kernel", {"EVEN_CURVES": 1e6}, paths=_OF_BANDS),
        Variant("no straight lines on the bands", {"EVEN_CURVES": 1e-6}, paths=_OF_BANDS),
        Variant("no spatial kernel", {"LENGTH_SCALE": 1e-3}, paths=(PROCESS, *_OF_BANDS)),
        Variant("no prior correction", options={"priors": "equal"}),
        Variant("no label transfer", options={"label_transfer": False}, paths=(DATES,)),
        Variant("no smoothing", {"filtered": _unfiltered}),
        *(Variant(f"method {method}", options={"method": method}, paths=_REGRESSING) for method in ("vote", "logistic")),
        *(Variant(f"one half-saturation, {even}", dict.fromkeys(halves, even)) for even in (3, 4)),
        *(Variant(f"one budget, {most}", dict.fromkeys(budgets, most), many=True) for most in (256, 512)),
        *(Variant(f"one share of the bands, {share}", {"BANDS_SHARE": {"here": share, "transferred": share}}, paths=_OF_BANDS) for share in (0.4, 0.5)),
        *(Variant(f"one variance, {v}", {"VARIANCE": {"learned": v, "bands": v, "pretrained": v}}, paths=_REGRESSING) for v in (0.03, 0.05, 0.1)),
        Variant("no largest group", {"_LARGEST_GROUP": 1 << 20}, paths=_REGRESSING),
    ]  # fmt: skip
    # What needs features of its own comes last, so that most is known soon.
    return sorted(found, key=lambda variant: variant.describes)


def _unfiltered(probabilities: Any, guide: Any) -> Any:
    """Probabilities as they are, in place of the guided filter."""
    from pixelkin.decision import smoothing

    margin = 2 * smoothing.RADIUS
    inner = probabilities[:, margin:-margin, margin:-margin].clamp(min=1e-6)
    return inner[:, None, None].expand(-1, smoothing.STRIDE, smoothing.STRIDE, -1, -1).contiguous()


@contextmanager
def changed(changes: dict[str, Any]) -> Iterator[None]:
    """Give module constants other values, in every module of the two rooms that knows them by this name."""
    modules = [
        importlib.import_module(found.name)
        for room in (importlib.import_module(f"pixelkin.{name}") for name in ("decision", "features"))
        for found in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")
    ]
    changes = dict(changes)
    for name in [name for name in changes if "." in name]:
        table, item = name.split(".")
        usual = next(getattr(module, table) for module in modules if hasattr(module, table))
        changes[table] = {**usual, item: changes.pop(name)}
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


@dataclass(frozen=True)
class Case:
    """Labels on one image, and images to score."""

    path: str
    data: str
    odd: bool
    budget: str
    scene: Scene
    labels: LabelledPixels
    targets: list[tuple[Scene, np.ndarray]]
    only: str | None = None


def cases(count: int) -> Iterator[Case]:
    """`count` odd and `count` even ones of each kind; twice, for budgets."""
    for name in ("dubai", "vegas"):
        every = images(name)
        for odd in (True, False):
            numbers = np.linspace(0, len(every) // 2 - 1, count).round().astype(int) * 2 + (not odd) if name == "dubai" else [0] * count
            for k, number in enumerate(numbers):
                scene, truth = _middle(every[number])
                seed = 0 if name == "dubai" else 2 * k + odd
                for budget in ("5", "20", "s2", MANY):
                    given = _labels(truth, LEGENDS[name], budget, seed)
                    if given is None:
                        continue
                    labels, legend_ids = given
                    rest = np.where(np.isin(truth, legend_ids), truth, 0)
                    rest[labels.rows, labels.cols] = 0
                    yield Case(PROCESS, name, odd, budget, scene, labels, [(scene, rest)])
                    yield Case(REGRESSIONS, name, odd, budget, scene, labels, [(scene, rest)])
                    if name == "dubai":
                        other, unseen = _middle(every[number + 2 if number + 2 < len(every) else number - 2])
                        yield Case(ELSEWHERE, name, odd, budget, scene, labels, [(other, np.where(np.isin(unseen, legend_ids), unseen, 0))])
    for name in ("boadella", "flanders"):
        every = images(name)
        for odd in (True, False):
            for k in range(count):
                number = (2 * k + odd) * (1 if name == "boadella" else 3) % len(every)
                scene, truth = _middle(every[number])
                others = [_middle(image) for i, image in enumerate(every) if i != number]
                for budget in ("5", "20", MANY):
                    given = _labels(truth, LEGENDS[name], budget, 2 * k + odd)
                    if given is not None:
                        targets = others if name == "boadella" else others[:: len(others) // 3]
                        yield Case(DATES, name, odd, budget, scene, given[0], targets, "water" if name == "boadella" else None)


def _labels(truth: np.ndarray, legend: Legend, budget: str, seed: int) -> tuple[LabelledPixels, list[int]] | None:
    """Labels, and the classes that have any."""
    ids = [i for i in legend.ids if (truth == i).sum() >= 200]
    if len(ids) < 2:
        return None
    some = Legend(tuple(entry for entry in legend if entry.id in ids))
    marked = np.where(np.isin(truth, ids), truth, 0)
    return scribbles(marked, some, int(budget[1:]), seed) if budget[0] == "s" else draw(marked, some, int(budget), seed), ids


def _middle(image: Any) -> tuple[Scene, np.ndarray]:
    """The middle of an image, and of its truth."""
    scene, truth = image.scene, image.truth
    height, width = (min(SIDE, size) for size in truth.shape)
    window = Window((truth.shape[0] - height) // 2, (truth.shape[1] - width) // 2, height, width)
    pixels = scene.read(window)
    grid = scene.grid.crop(window)
    cut = pk.ArrayScene(
        pixels.data, pixels.valid, name=scene.name, bands=scene.bands, date=scene.date, transform=grid.transform, crs=grid.crs
    )
    return cut, truth[window.slices]


def encoder(name: str, folder: Path, steps: int) -> pk.Model:
    """The encoder of a set, trained now or kept from before."""
    path = folder / f"{name}-{steps}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        scenes = [image.scene for image in images(name)]
        source = Series(tuple(scenes)) if name in ("boadella", "flanders") else scenes
        pk.train(source, patch_size=PATCH_SIZE[name], steps=steps).save(path)
    return pk.load(path)


class Bench:
    """Maps of all cases by one variant after another."""

    def __init__(self, count: int, models: dict[str, pk.Model]) -> None:
        self._models, self._cases = models, list(cases(count))
        self._shared: dict[str, pk.Segmenter] = {}
        self._references: dict[tuple[int, str], References] = {}

    def rows(self, variant: Variant) -> Iterator[dict[str, Any]]:
        """A row a case."""
        for number, case in enumerate(self._cases):
            # What few labels say says nothing of a budget, and the other way round.
            if case.path in variant.paths and (case.budget == MANY) == variant.many:
                with changed(variant.changes):
                    yield {
                        "variant": variant.name,
                        "path": case.path,
                        "data": case.data,
                        "odd": case.odd,
                        "budget": case.budget,
                        **self._score(variant, number, case),
                    }
        if variant.describes:
            self._shared = {key: value for key, value in self._shared.items() if variant.name not in key}
            self._references = {key: value for key, value in self._references.items() if key[1] != variant.name}

    def _score(self, variant: Variant, number: int, case: Case) -> dict[str, float]:
        described = variant.name if variant.describes else ""
        features = ["encoder", "bands"] if case.path == REGRESSIONS else None
        key = repr((case.data, features, variant.options, described))
        if key not in self._shared:
            options = {"features": features, "cache_bytes": 1 << 30, "workers": 1, "check_labels": False, **variant.options}
            self._shared[key] = pk.Segmenter(self._models[case.data], **options)
        segmenter = self._shared[key]
        if (number, described) not in self._references:
            self._references[number, described] = segmenter.fit(case.scene, case.labels).references
        segmenter.references = self._references[number, described]
        scores, losses = [], []
        for target, truth in case.targets:
            known = truth > 0
            if variant.confident:
                result = segmenter.predict(target)
                classes = result.classes
                sure = np.clip(result.confidence[known], 1e-3, 1 - 1e-3)
                losses.append(float(-np.log(np.where(classes[known] == truth[known], sure, 1 - sure)).mean()))
            else:
                classes = segmenter.classify(target)[0]
            asked = [e.id for e in case.labels.legend if case.only in (None, e.name) and (truth == e.id).any()]
            pairs = [((classes == i) & known, truth == i) for i in asked]
            scores.append(float(np.mean([(one & other).sum() / max(1, (one | other).sum()) for one, other in pairs])))
        return {"miou": float(np.mean(scores)), **({"nll": float(np.mean(losses))} if losses else {})}


def run(chunk: list[Variant], count: int, steps: int, folder: Path, output: Path) -> None:
    """Some variants, each row written once it is known."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    bench, began = Bench(count, {name: encoder(name, folder, steps) for name in LEGENDS}), time.monotonic()
    for variant in chunk:
        rows = list(bench.rows(variant))
        with output.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        print(f"{time.monotonic() - began:5.0f} s  {variant.name}", file=sys.stderr, flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """One line a variant: what it gains over the default, in points, on each path; odd / even; the dearest first."""
    by = {(r["variant"], r["path"], r["data"], r["odd"], r["budget"], k): r for k, r in _numbered(rows)}
    many = {name for name, *_, budget, _ in by if budget == MANY}
    names = [name for name in dict.fromkeys(row["variant"] for row in rows) if not name.startswith("default")]

    def gains(variant: str, path: str, odd: bool | None, what: str) -> list[float]:
        usual = "default, many labels" if variant in many else "default"
        return [
            100 * (row[what] - by[usual, *key][what])
            for (name, *key), row in by.items()
            if name == variant and key[0] == path and odd in (None, key[2]) and what in row and what in by.get((usual, *key), {})
        ]

    def cell(variant: str, path: str, what: str) -> str:
        halves = [gains(variant, path, odd, what) for odd in (True, False)]
        return " / ".join(f"{np.mean(half):+.1f}" for half in halves) if all(halves) else ""

    def mean(variant: str) -> float:
        paths = [gains(variant, path, None, "miou") for path in PATHS]
        return float(np.mean([np.mean(path) for path in paths if path]))

    usual = [[r["miou"] for r in rows if r["variant"] == "default" and r["path"] == path] for path in PATHS]
    lines = [
        f"| what | mean | {' | '.join(PATHS)} | nll |",
        "|---|---|" + "---|" * (len(PATHS) + 1),
        "| default, mean IoU | | " + " | ".join(f"{100 * np.mean(path):.1f}" for path in usual) + " | |",
    ]
    for name in sorted(names, key=mean):
        losses = [gain for path in PATHS for gain in gains(name, path, None, "nll")]
        lines.append(
            f"| {name} | {mean(name):+.2f} | {' | '.join(cell(name, path, 'miou') for path in PATHS)} | {f'{np.mean(losses):+.1f}' if losses else ''} |"
        )
    return "\n".join(lines) + "\n"


def _numbered(rows: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its number among those of its variant and kind of case."""
    seen: dict[tuple[Any, ...], int] = {}
    for row in rows:
        key = tuple(row[name] for name in ("variant", "path", "data", "odd", "budget"))
        seen[key] = seen.get(key, -1) + 1
        yield seen[key], row


def main() -> None:
    """Run, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--count", type=int, default=4, help="Odd images, or draws, of each kind of case, and even ones.")
    parser.add_argument("--steps", type=int, default=600, help="Of the training of each encoder.")
    parser.add_argument("--variants", nargs="*", help="Parts of names; default all.")
    parser.add_argument("--models", type=Path, default=Path(".results-cache") / "ablation", help="Where encoders are kept.")
    parser.add_argument("--output", type=Path, default=RESULTS / "ablation", help="Without suffix: .jsonl and .md are written.")
    parser.add_argument("--table", action="store_true", help="Write the table of the rows that are there, and compute nothing.")
    given = parser.parse_args()
    kept = given.output.with_suffix(".jsonl")
    kept.parent.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    if not given.table:
        there = {json.loads(line)["variant"] for line in kept.open()} if kept.exists() else set()
        wanted = [
            v
            for v in variants()
            if v.name not in there
            and (given.variants is None or v.name.startswith("default") or any(part in v.name for part in given.variants))
        ]
        work = partial(run, count=given.count, steps=given.steps, folder=given.models, output=kept)
        if given.workers == 1:
            work(wanted)
        else:
            with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
                list(pool.map(partial(encoder, folder=given.models, steps=given.steps), LEGENDS))
                list(pool.map(work, [wanted[i :: given.workers] for i in range(given.workers)]))
    found = table([json.loads(line) for line in kept.open()])
    given.output.with_suffix(".md").write_text(found)
    print(found)


if __name__ == "__main__":
    main()
