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
import dataclasses
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
    """Constants by module and name, or a function."""
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
    """Its module and name."""
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
        return [Variant(f"{self.meaning}: {self.value:g} -> {to:g}", derived(self.name, to), **self.kinds) for to in tried]


_REGRESSING = (REGRESSIONS, DATES, ELSEWHERE)
_OF_BANDS = (REGRESSIONS, DATES)
_SAMPLED = (PROCESS, DATES, ELSEWHERE)
CONSTANTS = (
    Constant("squares.OBJECT_SIZE", 16, "size of an object, pixels", {"describes": True}),
    Constant("references.GROUPS", 8, "spatial groups along an image", {"paths": _REGRESSING, "confident": True}),
    Constant("fitting.EVEN", 4, "half-saturation, spatial groups", {"confident": True}),
    Constant("fitting.UNEVEN", 0.125, "half-saturation of pretrained features", {"paths": (PROCESS,)}),
    Constant("fitting.ENOUGH", 0.9, "share of pretrained features that is enough", {"paths": (PROCESS,)}, (0.45, 1.1)),
    Constant("fitting.MOST_LABELS", 512, "labels of a class that are asked", {"many": True}),
    Constant("fitting.VARIANCE", 0.03, "prior variance of weights", {"paths": _REGRESSING}),
    Constant("kernels.KERNEL_VARIANCE", 4.0, "kernel variance", {"paths": (PROCESS, *_OF_BANDS)}),
    Constant("kernels.SPECTRAL_LENGTH_SCALE", 0.5, "spectral length scale", {"paths": _OF_BANDS}),
    Constant("gaussian_process.LENGTH_SCALE_OF_PARTS", 0.5, "spectral length scale, pretrained", {"paths": (PROCESS,)}),
    Constant("gaussian_process.NEARNESS", 0.1, "nearness beside pretrained features", {"paths": (PROCESS,)}),
    Constant("label_transfer._LEAST_CHANCE", 0.5, "least chance of a transferred label", {"paths": (DATES,)}),
    Constant("smoothing.RIDGE", 0.02, "epsilon of the guided filter", {"describes": True}),
    Constant("smoothing.MOST_BANDS", 4, "bands in the guide", {"describes": True}, (2, 3)),
    Constant("blocks._BLOCKS", 64, "blocks of the sample", {"describes": True, "paths": _SAMPLED}),
    Constant("calibration.PRIOR", 2.5, "inverse temperature before labels", {"confident": True}),
    Constant("coverage._BEYOND", 3.0, "how far is foreign", {"confident": True, "paths": (DATES, ELSEWHERE)}),
    Constant("backbone.PATCH", 5, "patch beside pretrained features", {"describes": True, "paths": (PROCESS,)}, (3, 9)),
    Constant("backbone.WEIGHT", 1.5, "weight of the bands beside pretrained features", {"describes": True, "paths": (PROCESS,)}),
)  # fmt: skip
"""Numbers that, were they others, would give other maps. Not counted: what decides where work is done and not what comes out, guards against division by nothing, and the
frozen network. `derived` follows from the size of an object and from GROUPS."""


def derived(constant: str, value: float) -> dict[str, Any]:
    """A constant's value with what is worked out of it."""
    changes: dict[str, Any] = {constant: value}
    if constant == "squares.OBJECT_SIZE":
        size = int(value)
        changes |= {
            "squares.NEAR": size // 2 + 1, "squares.FAR": 3 * size // 2 + 1, "squares.CONTEXT": 3 * size // 4, "blocks.REFERENCE_BLOCK": 2 * size, "sample._STEP": size // 2,
            "references._LARGEST_GROUP": 4 * size, "kernels.LENGTH_SCALE": float(size), "smoothing.RADIUS": size // 4, "smoothing.REACH": size,
        }  # fmt: skip
    if constant == "references.GROUPS":
        changes["calibration.FOLDS"] = int(value) // 2
    return changes


def variants() -> list[Variant]:
    """The default first, then constants, then parts left out."""
    found = [Variant("default", confident=True), Variant("default, many labels", many=True)]
    found += [variant for constant in CONSTANTS for variant in constant.variants()]
    found += [
        Variant("no vote", {"fitting.half_saturating": _always}, paths=_REGRESSING),
        Variant("no spatial kernel", {"kernels.LENGTH_SCALE": 1e-3}, paths=(PROCESS, *_OF_BANDS)),
        Variant("no pretrained features", options={"features": ["encoder", "bands"]}, paths=(PROCESS,)),
        Variant("no prior correction", options={"priors": "equal"}, paths=_SAMPLED),
        Variant("no label transfer", options={"label_transfer": False}, paths=(DATES,)),
        Variant("no smoothing", {"smoothing.filtered": _unfiltered}),
        *(Variant(f"method {method}", options={"method": method}, paths=_REGRESSING) for method in ("vote", "logistic")),
    ]
    # What needs features of its own comes last, so that most is known soon.
    return sorted(found, key=lambda variant: variant.describes)


def _always(count: int, even: float | None = None) -> float:
    """Half-saturation at no labels."""
    return 1.0


def _unfiltered(probabilities: Any, guide: Any) -> Any:
    """Probabilities as they are, in place of the guided filter."""
    from pixelkin.decision import smoothing

    margin = 2 * smoothing.RADIUS
    inner = probabilities[:, margin:-margin, margin:-margin].clamp(min=1e-6)
    return inner[:, None, None].expand(-1, smoothing.STRIDE, smoothing.STRIDE, -1, -1).contiguous()


@contextmanager
def changed(changes: dict[str, Any]) -> Iterator[None]:
    """Give constants, named by their module, other values, also in the modules of the two rooms that import them."""
    modules = {
        found.name.removeprefix(f"{room.__name__}."): importlib.import_module(found.name)
        for room in (importlib.import_module(f"pixelkin.{name}") for name in ("decision", "features"))
        for found in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")
    }
    before, after = [], []
    for constant, value in changes.items():
        of, name = constant.split(".")
        usual = getattr(modules[of], name)
        for module in modules.values():
            # Two modules may have different things by one name.
            if getattr(module, name, None) is usual or (module is modules[of]):
                before.append((module, name, usual))
                after.append((module, name, value))
    try:
        for module, name, value in after:
            setattr(module, name, value)
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
        # Afresh, or what is worked out of references once (their spatial groups) would stay from one variant to the next.
        segmenter.references = dataclasses.replace(self._references[number, described])
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
