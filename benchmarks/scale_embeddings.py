"""What storing embeddings costs: bytes a pixel on disk, and mean IoU lost against float32.

Run: python -m benchmarks.scale_embeddings [--models FOLDER] [--out report.json] (imagery through PIXELKIN_DATA). Prints JSON, then a table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import pixelkin as pk
from pixelkin.scale.archive import embed
from pixelkin.scale.embedded import open_embeddings
from pixelkin.training import PRESETS
from pixelkin.types import LabelledPixels

from .similarity import DATA, obtain

METHODS = {"local": {"measure": "local"}, "auto": {}}
"""The measure that archives are for, and the default decision."""
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
    scores: dict[str, dict[str, list[float]]] = {}
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
        for method, named in METHODS.items():
            for key, mask in masks.items():
                for seed in range(draws):
                    segmenter = pk.Segmenter(encoder, workers=1, **named).fit(sources[key], draw(mask, 10, seed))
                    scores.setdefault(method, {}).setdefault(dtype, []).extend(
                        mean_iou(segmenter.predict(sources[other]).classes, masks[other]) for other in masks
                    )
    for method, by_dtype in scores.items():
        base = np.array(by_dtype["float32"])
        for dtype, found in by_dtype.items():
            lost = 100 * (base - np.array(found))
            report["mean_iou"].setdefault(method, {})[dtype] = {
                "mean": float(np.mean(found)), "n": len(found), "points_lost": float(lost.mean()), "points_lost_worst": float(lost.max())
            }  # fmt: skip
    return report


def main() -> None:
    """Measure both scenes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--models", type=Path, help="folder where models are kept")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    reports = {}
    with tempfile.TemporaryDirectory() as folder:
        vegas = pk.open_scene(DATA / "vegas" / "image.tif")
        model, _ = obtain("vegas", vegas, 13, PRESETS["fast"], arguments.models)
        reports["vegas"] = compare(
            "vegas", {"v": vegas}, {"v": truth(DATA / "vegas" / "classes.tif")}, model, arguments.draws, Path(folder)
        )
        series = pk.open_scene(DATA / "boadella")
        model, _ = obtain("boadella", series, 9, PRESETS["fast"], arguments.models)
        scenes = {date: series.at(date) for date in WATER_DATES}
        masks = {date: truth(DATA / "boadella" / f"{date}_water.tif") + 1 for date in WATER_DATES}
        reports["boadella"] = compare("boadella", scenes, masks, model, arguments.draws, Path(folder))
    text = json.dumps(reports, indent=1)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)
    for name, report in reports.items():
        for method, by_dtype in report["mean_iou"].items():
            for dtype, found in by_dtype.items():
                size = report["bytes_per_pixel"].get(dtype, {}).get("full_resolution", 0)
                print(
                    f"{name:9} {method:6} {dtype:8} mean IoU {found['mean']:.4f}  lost {found['points_lost']:+.3f} points, "
                    f"worst {found['points_lost_worst']:+.3f}  {size:5.1f} B/px"
                )


if __name__ == "__main__":
    main()
