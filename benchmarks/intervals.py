"""Coverage of the 95 % intervals of `pixelkin evaluate`: how often they hold the truth, over samples of six designs on three maps.

Run: python -m benchmarks.intervals [--samples 2000] [--maps generated vegas dubai] [--out report.json]. Imagery through PIXELKIN_DATA.
The population is every pixel whose true class is known, and the map is pixelkin's own from forty marks on raw bands, or generated.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from pixelkin.assessment import Reference, design_sample
from pixelkin.assessment.evaluation import Evaluation, evaluate
from pixelkin.segmentation import Segmentation
from pixelkin.types import Grid, LabelledPixels, Legend

DATA = Path(os.environ.get("PIXELKIN_DATA", Path(__file__).parents[2] / "shared" / "data"))
POINTS = 300
DESIGNS: dict[str, dict[str, Any]] = {
    "simple": {"simple": True},
    "proportional": {"allocation": "proportional"},
    "equal": {"allocation": "equal"},
    "floor of 50": {"allocation": "proportional", "floor": 50},
    "strata of another map": {"floor": 50},
    "clusters": {"cluster_px": 20, "per_cluster": 5},
}


def generated() -> tuple[Segmentation, np.ndarray]:
    """Patches of four classes, of which one covers 3 %, and a map that errs along their edges and in patches."""
    rng = np.random.default_rng(0)
    shape = (400, 500)
    fields = [gaussian_filter(rng.normal(size=shape), 12) for _ in range(3)]
    truth = 1 + np.argmax(np.stack([field / field.std() for field in fields]), axis=0)
    rare = gaussian_filter(rng.normal(size=shape), 6)
    truth[rare > np.quantile(rare, 0.97)] = 4
    shaken = [field / field.std() + 0.5 * gaussian_filter(rng.normal(size=shape), 3) / 0.09 for field in fields]
    mapped = 1 + np.argmax(np.stack(shaken), axis=0)
    mapped[rare + 0.3 * rare.std() * rng.normal(size=shape) > np.quantile(rare, 0.965)] = 4
    return _map(mapped, truth, "abcd")


def _of_imagery(path: Path, labels: Path, names: str | list[str]) -> tuple[Segmentation, np.ndarray]:
    import rasterio

    from pixelkin import Segmenter, open_scene
    from pixelkin.scene import as_scenes

    scene = as_scenes(open_scene(path))[0]
    with rasterio.open(labels) as dataset:
        truth = dataset.read(1)
    rng = np.random.default_rng(1)
    marks = np.concatenate([rng.choice(np.flatnonzero(truth.ravel() == c), 10, replace=False) for c in np.unique(truth[truth > 0])])
    rows, cols = np.divmod(marks, truth.shape[1])
    found = Segmenter().fit(scene, LabelledPixels.from_arrays(rows, cols, truth[rows, cols])).predict(scene)
    return _map(np.asarray(found.classes), truth, names)


def vegas() -> tuple[Segmentation, np.ndarray]:
    """The labelled part of `vegas`: building, road, tree."""
    folder = DATA / "vegas"
    image = next(path for path in sorted(folder.glob("*.tif")) if path.name != "classes.tif")
    return _of_imagery(image, folder / "classes.tif", ["building", "road", "tree"])


def dubai() -> tuple[Segmentation, np.ndarray]:
    """An even image of `dubai`: building, land, road, vegetation, water as far as they occur."""
    folder = DATA / "dubai"
    return _of_imagery(
        folder / "images" / "t1_002.jpg", folder / "labels" / "t1_002.tif", ["building", "land", "road", "vegetation", "water"]
    )


MAPS: dict[str, Callable[[], tuple[Segmentation, np.ndarray]]] = {"generated": generated, "vegas": vegas, "dubai": dubai}


def _map(mapped: np.ndarray, truth: np.ndarray, names: str | list[str]) -> tuple[Segmentation, np.ndarray]:
    valid = truth > 0
    classes = np.where(valid, mapped, 0).astype(np.uint8)
    grid = Grid(*classes.shape, (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0), "EPSG:32631")
    return Segmentation(classes, valid.astype(np.float32), valid, Legend.from_names(names), grid), truth


def truths(segmentation: Segmentation, truth: np.ndarray) -> dict[str, dict[str, float]]:
    """The figures of the whole population."""
    valid = segmentation.valid
    mapped, true = segmentation.classes[valid], truth[valid]
    found: dict[str, dict[str, float]] = {"overall": {"": float((mapped == true).mean())}}
    for kind in ("users", "producers", "f1", "area"):
        found[kind] = {}
    for entry in segmentation.legend:
        is_mapped, is_true = mapped == entry.id, true == entry.id
        hit = float((is_mapped & is_true).sum())
        if is_mapped.any() and is_true.any():
            found["users"][entry.name] = hit / is_mapped.sum()
            found["producers"][entry.name] = hit / is_true.sum()
            found["f1"][entry.name] = 2 * hit / (is_mapped.sum() + is_true.sum())
        if is_true.any():
            found["area"][entry.name] = float(is_true.mean())
    return found


def intervals(found: Evaluation) -> dict[str, dict[str, tuple[float, float]]]:
    """What the evaluation of one sample says."""
    said: dict[str, dict[str, tuple[float, float]]] = {"overall": {"": found.overall.interval()}}
    for kind in ("users", "producers", "f1"):
        said[kind] = {name: estimate.interval() for name, estimate in zip(found.names, getattr(found, kind), strict=True)}
    said["area"] = {}
    for i, name in enumerate(found.names):
        said["area"][name] = found.area_interval(i)
    return said


def run(name: str, samples: int) -> dict[str, Any]:
    """Coverage of each kind of figure and design on one map."""
    segmentation, truth = MAPS[name]()
    known = truths(segmentation, truth)
    names = np.array(["", *segmentation.legend.names])
    # Another map, for strata that are not this one's classes: this one, moved.
    other = np.where(segmentation.valid, np.roll(segmentation.classes, 15, axis=1), 0)
    other[segmentation.valid & (other == 0)] = 1
    table: dict[str, Any] = {}
    for design, options in DESIGNS.items():
        strata = other if design == "strata of another map" else None
        hits: dict[str, list[bool]] = {kind: [] for kind in known}
        for seed in range(samples):
            drawn = design_sample(segmentation, POINTS, strata=strata, seed=seed, **options)
            reference = Reference.from_design(drawn, names[truth[drawn.rows, drawn.cols]].tolist())
            if len(set(reference.classes) & set(segmentation.legend.names)) == 0:
                continue
            said = intervals(evaluate(segmentation, reference))
            for kind, values in known.items():
                for entry, value in values.items():
                    low, high = said[kind].get(entry, (np.nan, np.nan))
                    if np.isfinite(low):
                        hits[kind].append(bool(low <= value <= high))
        table[design] = {kind: round(float(np.mean(values)), 4) for kind, values in hits.items()}
        print(f"{name}: {design:<24}" + "".join(f"{kind:>11} {100 * value:.1f} %" for kind, value in table[design].items()), flush=True)
    return {"figures": {kind: {k: round(v, 4) for k, v in values.items()} for kind, values in known.items()}, "coverage": table}


def main() -> None:
    """Print a table a map, and write all as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--maps", nargs="+", choices=list(MAPS), default=list(MAPS))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report = {}
    for name in arguments.maps:
        start = time.perf_counter()
        report[name] = run(name, arguments.samples)
        print(
            f"{name}, {arguments.samples} samples of {POINTS} points ({time.perf_counter() - start:.0f} s); accuracy {report[name]['figures']['overall']['']:.3f}"
        )
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
