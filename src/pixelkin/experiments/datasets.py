"""Imagery with truth, whatever its layout, as tasks: mark some pixels of one image, map it or others.

Three layouts are read: a folder made by `pixelkin.experiments.potsdam.prepare`; a folder of images with label rasters;
and a time series, of which some dates have a label raster.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LabelError, MissingFileError, RasterError
from ..labels.label_raster import read_label_raster, require_grid
from ..raster import open_scene
from ..raster.reader import open_dataset
from ..raster.series import IMAGE_SUFFIXES as RASTER_SUFFIXES
from ..scene import ArrayScene, Scene, Series
from ..types import Legend, LegendClass, UInt8Array, Window, default_color
from .dataset import Dataset, Task, Truth

IMAGE_SUFFIXES = (*RASTER_SUFFIXES, ".jpg", ".jpeg", ".png")
CROP = 200
"""Side of the images of the paper; larger single images are cut into crops of this size."""

SPLIT_FROM = 4
"""Images from which on some are learned from and the others scored, as in the paper."""


def open_data(path: str | Path) -> Dataset:
    """Find out what a folder holds, and open it.

    - With a `dataset.json`: prepared images, labels in `labels/NAME.tif`, and a split.
    - Several dated images on one grid: a series. Truth of a date is the raster `DATE_something.tif`.
    - Else images, each with the raster `IMAGE_something.tif`, or `labels/IMAGE.tif`; a single image takes the only raster of
      one band. Images larger than 200 x 200 are cut into crops of that size, the paper's; a rest at the edge is left out.
      Of four and more images that all have labels, in the order of their names, the first, third, ... are learned from, without
      their labels, and the others scored, as in the paper. Of fewer, all are learned from and scored.

    Class names and colours come from `legend.json` ([{"id", "name", "color"}, ...], or {"1": "building", ...}), else from
    the rasters, else they are numbers. 0 is unlabelled, unless only one class occurs: then 0 is everything else.

    Raises:
        MissingFileError: No such folder, no image in it, or no truth for any.
        RasterError: Images differ in their bands.
        LabelError: A label raster that fits no image, or does not lie on it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise MissingFileError(f"{folder} is not a folder, expected one of images and label rasters. Check the path.")
    if (folder / "dataset.json").exists():
        return _open_prepared(folder)
    if (folder / "progress.json").exists():
        raise MissingFileError(f"{folder} is not prepared to the end, expected dataset.json in it. Run its preparation again; it goes on.")
    return _open_folder(folder)


def _open_prepared(folder: Path) -> Dataset:
    head = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    split = json.loads((folder / head["split"]).read_text(encoding="utf-8"))
    legend = Legend.from_json(head["legend"])

    def scene(name: str) -> Scene:
        opened = open_scene(folder / "images" / f"{name}.tif")
        assert isinstance(opened, Scene)  # what a file gives
        return opened

    def truth(name: str) -> Truth:
        image = scene(name)
        return Truth(image, lambda: _read_classes(folder / "labels" / f"{name}.tif", image)[0])

    tests = [truth(name) for name in split["test"]]
    files = [folder / "images" / f"{name}.tif" for key in ("unlabelled", "test") for name in split[key]]
    files += [folder / "labels" / f"{name}.tif" for name in split["test"]]
    return Dataset(
        head["name"],
        "images",
        legend,
        tuple(scene(name) for name in split["unlabelled"]),
        tuple(Task(one, (one,)) for one in tests),
        _digest([*files, folder / head["split"]]),
        head["merged"],
    )


def _open_folder(folder: Path) -> Dataset:
    nested = folder / "images"
    images, rasters = _rasters(nested if nested.is_dir() else folder)
    if nested.is_dir() and (folder / "labels").is_dir():
        rasters += sorted(p for p in (folder / "labels").iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    scenes: list[Scene] = [scene for scene in map(open_scene, images) if isinstance(scene, Scene)]
    for scene in scenes[1:]:
        if scene.bands != scenes[0].bands:
            raise RasterError(
                f"{scene.name} has bands {list(scene.bands)}, expected {list(scenes[0].bands)} as {scenes[0].name}. Keep images of one kind in a folder."
            )
    pairs = _pair(scenes, rasters)
    if not pairs:
        raise MissingFileError(f"{folder} has no label raster, expected IMAGE_classes.tif of one band beside IMAGE.tif. Add the truth.")
    read = [_read_classes(path, scene) for scene, path in pairs]
    legend, background = _legend(folder, [part for _, part in read], [path.stem for _, path in pairs])
    loaded = [np.where(classes == 0, background, classes).astype(np.uint8) for classes, _ in read]
    truths = [Truth(scene, lambda classes=classes: classes) for (scene, _), classes in zip(pairs, loaded, strict=True)]  # type: ignore[misc]
    digest = _digest([*images, *(path for _, path in pairs), *([folder / "legend.json"] if (folder / "legend.json").exists() else [])])

    dated = len(scenes) > 1 and all(scene.date for scene in scenes) and len({scene.grid for scene in scenes}) == 1
    apart = not dated and len(scenes) >= SPLIT_FROM and len(truths) == len(scenes)
    learned = scenes[::2] if apart else scenes
    scored = [truth for truth in truths if not apart or not any(truth.scene is scene for scene in learned)]
    kept, skipped = _with_two_classes(scored if dated else [crop for truth in scored for crop in _crops(truth)])
    if not kept:
        raise LabelError(f"no image of {folder} has two known classes, expected at least one that does. Add labels.")
    if dated:
        if len(truths) < 2:
            raise LabelError(
                f"{folder} is a series with truth for one date, expected at least two: one is labelled, the others are scored."
            )
        tasks = [Task(one, tuple(other for other in truths if other is not one)) for one in kept]
        return Dataset(folder.name, "series", legend, (Series(tuple(scenes)),), tuple(tasks), digest, skipped=skipped)
    return Dataset(folder.name, "images", legend, tuple(learned), tuple(Task(one, (one,)) for one in kept), digest, skipped=skipped)


def _rasters(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images of several bands, and rasters of one band, of a folder."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file())
    if not files:
        raise MissingFileError(f"{folder} has no image, expected files that end in {', '.join(IMAGE_SUFFIXES)}. Check the folder.")
    single = []
    for path in files:
        with open_dataset(str(path)) as dataset:
            if dataset.count == 1:
                single.append(path)
    images = [path for path in files if path not in single]
    if not images:
        raise MissingFileError(f"{folder} has no image of several bands, expected at least one beside its label rasters. Check the folder.")
    return images, single


def _pair(scenes: Sequence[Scene], rasters: Sequence[Path]) -> list[tuple[Scene, Path]]:
    if len(scenes) == 1 and len(rasters) == 1:
        return [(scenes[0], rasters[0])]
    pairs: dict[str, tuple[Scene, Path]] = {}
    for path in rasters:
        # The longest name wins: scene_1 and scene_10 both begin like scene_10_classes.
        fitting = [scene for scene in scenes if path.stem == scene.name or path.stem.startswith(scene.name + "_")]
        if not fitting:
            raise LabelError(
                f"label raster {path.name} fits no image, expected IMAGE_something{path.suffix} for one of {[s.name for s in scenes][:8]}. Rename it."
            )
        scene = max(fitting, key=lambda scene: len(scene.name))
        if scene.name in pairs:
            raise LabelError(f"{path.name} and {pairs[scene.name][1].name} both give labels of {scene.name}, expected one. Move one away.")
        pairs[scene.name] = scene, path
    return list(pairs.values())


def _read_classes(path: Path, scene: Scene) -> tuple[UInt8Array, Legend]:
    if not path.exists():
        raise MissingFileError(f"{path} is not there, expected the label raster of {scene.name}. Prepare the data again.")
    try:
        found = read_label_raster(path, zero=False)
        labels, grid = found.labels, found.grid
        require_grid(grid, scene.grid)
    except LabelError as exc:
        raise LabelError(f"{path.name}: {exc}") from exc
    return labels.to_mask(grid.shape), labels.legend


def _legend(folder: Path, parts: Sequence[Legend], stems: Sequence[str]) -> tuple[Legend, int]:
    """The legend of all rasters, and the id that 0 stands for: 0 itself, or a class of everything else."""
    entries: dict[int, LegendClass] = {entry.id: entry for part in parts for entry in part}
    named = _named(folder / "legend.json")
    entries = {i: named.get(i, entry) for i, entry in sorted(entries.items())}
    if len(entries) > 1:
        return Legend(tuple(entries.values())), 0
    (only,) = entries.values()
    # A class that nobody named is named by its files: 2020-02-02_water.tif.
    suffixes = {stem.rpartition("_")[2] for stem in stems}
    name = suffixes.pop() if only.name == str(only.id) and len(suffixes) == 1 else only.name
    rest = 1 if only.id != 1 else 2
    return Legend((LegendClass(only.id, name, only.color), LegendClass(rest, f"not {name}", default_color(1)))), rest


def _named(path: Path) -> dict[int, LegendClass]:
    if not path.exists():
        return {}
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return {int(i): LegendClass(int(i), str(name), default_color(k)) for k, (i, name) in enumerate(content.items())}
        return {entry.id: entry for entry in Legend.from_json(content)}
    except (ValueError, KeyError, TypeError) as exc:
        raise LabelError(f'{path} is not a legend ({exc}), expected {{"1": "building", ...}} or a list of id, name and color.') from exc


def _crops(truth: Truth) -> list[Truth]:
    height, width = truth.scene.grid.shape
    if height <= CROP or width <= CROP:
        return [truth]
    crops = []
    classes = truth.load()
    for row in range(0, height - CROP + 1, CROP):
        for col in range(0, width - CROP + 1, CROP):
            window = Window(row, col, CROP, CROP)
            pixels = truth.scene.read(window)
            grid = truth.scene.grid.crop(window)
            scene = ArrayScene(
                pixels.data, pixels.valid, f"{truth.scene.name}-{row}-{col}", truth.scene.bands, None, grid.transform, grid.crs
            )
            part = np.ascontiguousarray(classes[window.slices])
            crops.append(Truth(scene, lambda part=part: part))  # type: ignore[misc]
    return crops


def _with_two_classes(truths: Sequence[Truth]) -> tuple[list[Truth], tuple[str, ...]]:
    known = [len(np.unique(truth.classes[truth.classes > 0])) > 1 for truth in truths]
    return [t for t, two in zip(truths, known, strict=True) if two], tuple(
        t.scene.name for t, two in zip(truths, known, strict=True) if not two
    )


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
