"""What helps and what harms who labels, on vegas: labels that `suggest` asks for, bad labels, and seconds a click. Parts of `benchmarks.labels`."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from typing import Any

import numpy as np

import pixelkin as pk
from pixelkin.experiments.classical import FeatureCache, PixelClassifier
from pixelkin.types import LabelledPixels, Legend

from .similarity import DATA, VEGAS, band, draw


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
