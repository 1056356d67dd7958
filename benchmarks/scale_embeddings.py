"""What storing embeddings costs: bytes a pixel on disk, and mean IoU lost against float32.

Run: python benchmarks/scale_embeddings.py [--steps 600] (imagery through PIXELKIN_DATA). Prints JSON, then a table.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np

import pixelkin as pk
from pixelkin.scale.archive import embed, open_embeddings
from pixelkin.types import LabelledPixels

DATA = Path(os.environ.get("PIXELKIN_DATA", "../shared/data"))
WATER_DATES = ("2020-02-02", "2020-06-21", "2020-09-14", "2021-07-16")


def truth(path: Path) -> np.ndarray:
    """A label raster."""
    return pk.open_scene(path).read().data[0]


def draw(mask: np.ndarray, per_class: int, seed: int) -> LabelledPixels:
    """Labelled pixels of each class at random."""
    rng = np.random.default_rng(seed)
    places = [rng.permutation(np.argwhere(mask == value))[:per_class] for value in np.unique(mask) if value]
    rows, cols = np.concatenate(places).T
    return LabelledPixels.from_arrays(rows, cols, mask[rows, cols])


def mean_iou(result: np.ndarray, mask: np.ndarray) -> float:
    """Over the classes of the truth, where it has one."""
    known = mask > 0
    ious = []
    for value in np.unique(mask[known]):
        found, wanted = (result == value) & known, mask == value
        ious.append((found & wanted).sum() / (found | wanted).sum())
    return float(np.mean(ious))


def compare(name: str, scenes: dict[str, pk.ArrayScene], masks: dict[str, np.ndarray], model: pk.Model, draws: int, folder: Path) -> dict:
    """Mean IoU from imagery and from each kind of archive, labels drawn on each image and scored on it and the others."""
    report: dict = {"bytes_per_pixel": {}, "mean_iou": {}}
    for dtype in ("imagery", "float32", "float16", "int8"):
        sources, encoder, sizes = dict(scenes), model, []
        if dtype != "imagery":
            for key, scene in scenes.items():
                path = embed(scene, model, folder / f"{name}-{key}-{dtype}.zarr", dtype=dtype)
                full = sum(file.stat().st_size for part in ("0", "valid") for file in (path / part).rglob("*") if file.is_file())
                every = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                sizes.append((full / (scene.grid.height * scene.grid.width), every / (scene.grid.height * scene.grid.width)))
                sources[key] = open_embeddings(path, model)
            encoder = next(iter(sources.values())).model
            report["bytes_per_pixel"][dtype] = dict(
                zip(("full_resolution", "with_overviews"), np.mean(sizes, axis=0).tolist(), strict=True)
            )
        scores = []
        for key, mask in masks.items():
            for seed in range(draws):
                segmenter = pk.Segmenter(encoder, measure="local").fit(sources[key], draw(mask, 10, seed))
                scores += [mean_iou(segmenter.predict(sources[other]).classes, masks[other]) for other in masks]
        report["mean_iou"][dtype] = {"mean": float(np.mean(scores)), "n": len(scores)}
        report.setdefault("_scores", {})[dtype] = scores
    base = np.array(report["_scores"]["float32"])
    for dtype in ("float16", "int8"):
        lost = 100 * (base - np.array(report["_scores"][dtype]))
        report["mean_iou"][dtype] |= {"points_lost": float(lost.mean()), "points_lost_worst": float(lost.max())}
    del report["_scores"]
    return report


def main() -> None:
    """Measure both scenes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--draws", type=int, default=3)
    arguments = parser.parse_args()
    reports = {}
    with tempfile.TemporaryDirectory() as folder:
        vegas = pk.open_scene(DATA / "vegas" / "image.tif")
        model = pk.train(vegas, patch_size=9, steps=arguments.steps)
        reports["vegas"] = compare(
            "vegas", {"v": vegas}, {"v": truth(DATA / "vegas" / "classes.tif")}, model, arguments.draws, Path(folder)
        )
        series = pk.open_scene(DATA / "boadella")
        model = pk.train(series, patch_size=9, steps=arguments.steps)
        scenes = {date: series.at(date) for date in WATER_DATES}
        masks = {date: truth(DATA / "boadella" / f"{date}_water.tif") + 1 for date in WATER_DATES}
        reports["boadella"] = compare("boadella", scenes, masks, model, arguments.draws, Path(folder))
    print(json.dumps(reports, indent=1))
    for name, report in reports.items():
        for dtype, scores in report["mean_iou"].items():
            size = report["bytes_per_pixel"].get(dtype, {})
            print(
                f"{name:10} {dtype:8} mean IoU {scores['mean']:.4f}  lost {scores.get('points_lost', 0):+.2f} points  {size.get('full_resolution', 0):5.1f} B/px"
            )


if __name__ == "__main__":
    main()
