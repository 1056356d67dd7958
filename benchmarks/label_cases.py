"""What the benchmark of few labels asks: sets of labelled images, and protocols that say where marks and scores lie.

    python -m benchmarks.label_cases FOLDER      # writes the sets as .npz files, for a machine without rasterio: PIXELKIN_DATA=FOLDER

Protocols: *scattered* marks lie anywhere and all other pixels are scored; *objects* marks lie in a third of the connected regions of each class and the
other regions are scored (of a class that is mostly one region, a half, with a gap between); *dates* marks lie on one date and other dates are scored.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

import pixelkin as pk
from pixelkin.scene import Scene, Series
from pixelkin.types import LabelledPixels, Legend

from .similarity import DATA, FLANDERS, VEGAS, WATER, draw

DUBAI = Legend.from_names(["building", "land", "road", "vegetation", "water"])
LEGENDS = {"dubai": DUBAI, "vegas": VEGAS, "boadella": WATER, "flanders": FLANDERS}
PROTOCOLS = {"dubai": ("scattered", "objects"), "vegas": ("scattered", "objects"), "boadella": ("dates",), "flanders": ("dates", "objects")}
BUDGETS = {
    ("dubai", "scattered"): ("5", "50", "s2"), ("dubai", "objects"): ("5", "20", "s2"),
    ("vegas", "scattered"): ("1", "5", "20", "50", "s2"), ("vegas", "objects"): ("1", "5", "20", "s2"),
    ("boadella", "dates"): ("2", "5", "10"), ("flanders", "dates"): ("5", "20"), ("flanders", "objects"): ("2", "5", "20", "s2"),
}  # fmt: skip
"""Points a class of each set and protocol; with an s, scribbles a class."""
SIDE = 512
"""Of the middle of an image of dubai that is used, pixels."""
FEWEST = 1000
"""Pixels of a class in an image; rarer classes are left out there."""
_REGION = 100
"""Pixels of a region that counts as an object."""


@dataclass(frozen=True)
class Image:
    """One labelled image."""

    scene: Scene
    truth: np.ndarray
    """(row, col) class ids, 0 = not scored."""


@dataclass(frozen=True)
class Case:
    """Marks on one image, and images to score."""

    protocol: str
    budget: str
    draw: int
    scene: Scene
    labels: LabelledPixels
    targets: list[Image]
    only: str | None = None
    """The class whose IoU counts; None for the mean of all."""


@cache
def images(name: str) -> tuple[Image, ...]:
    """The labelled images of a set, in order; the dates of a series are on one grid."""
    packed = DATA / f"{name}.npz"
    return _unpack(packed) if packed.exists() else tuple(_read(name))


def cases(name: str, number: int, protocol: str, budget: str, draws: int) -> Iterator[Case]:
    """What is asked with marks on one image of a set."""
    every, legend = images(name), LEGENDS[name]
    image = every[number]
    for seed in range(draws):
        if protocol == "dates":
            marked, others = image.truth, [other for other in every if other is not image]
        else:
            marked, scored = (image.truth, image.truth) if protocol == "scattered" else apart(image.truth, legend, seed)
            others = [Image(image.scene, scored)]
        asked = [i for i in legend.ids if (marked == i).any() and all((other.truth == i).any() for other in others)]
        if len(asked) < 2:
            continue
        some = Legend(tuple(entry for entry in legend if entry.id in asked))
        marked = np.where(np.isin(marked, asked), marked, 0)
        labels = scribbles(marked, some, int(budget[1:]), seed) if budget[0] == "s" else draw(marked, some, int(budget), seed)
        if protocol != "dates":
            unseen = np.where(np.isin(others[0].truth, asked), others[0].truth, 0)
            unseen[labels.rows, labels.cols] = 0
            others = [Image(image.scene, unseen)]
        yield Case(protocol, budget, seed, image.scene, labels, others, "water" if name == "boadella" else None)


def apart(truth: np.ndarray, legend: Legend, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth for marks and truth for scores, in different objects: of each class a third of its regions, or one half of its only one, is marked."""
    rng = np.random.default_rng(1000 + seed)
    marked, scored = np.zeros_like(truth), np.zeros_like(truth)
    for class_id in legend.ids:
        inside = truth == class_id
        if not inside.any():
            continue
        regions, _ = ndimage.label(inside, structure=np.ones((3, 3)))
        sizes = np.bincount(regions.ravel())
        sizes[0] = 0
        least = min(_REGION, truth.size // 400)
        large = np.flatnonzero(sizes >= least)
        if len(large) >= 3 and sizes.max() < 0.75 * sizes.sum():
            order = rng.permutation(large)
            upto = int(np.searchsorted(np.cumsum(sizes[order]), sizes[large].sum() / 3)) + 1
            chosen = np.isin(regions, order[:upto])
            rest = inside & ~chosen
        else:
            rows, cols = np.nonzero(inside)
            axis = 0 if np.ptp(rows) >= np.ptp(cols) else 1
            along, middle, gap = np.indices(truth.shape)[axis], np.median((rows, cols)[axis]), truth.shape[axis] / 60
            before, after = inside & (along < middle - gap), inside & (along > middle + gap)
            chosen, rest = (before, after) if rng.integers(2) else (after, before)
        marked[chosen], scored[rest] = class_id, class_id
    return marked, scored


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


def _read(name: str) -> Iterator[Image]:
    if name == "vegas":
        yield Image(_held(pk.open_scene(DATA / name / "image.tif")), _band(DATA / name / "classes.tif"))
    elif name == "dubai":
        for path in sorted((DATA / name / "images").glob("*.jpg")):
            yield _middle(path.stem, pk.open_scene(path).read().data, _band(DATA / name / "labels" / f"{path.stem}.tif"))
    else:
        series = pk.open_scene(DATA / name)
        assert isinstance(series, Series)
        codes = None if name == "boadella" else _band(DATA / name / "LC.tif")
        for scene in series:
            if codes is not None:
                truth = np.zeros(codes.shape, np.uint8)
                for class_id, code in enumerate((11, 13, 60), start=1):
                    truth[codes == code] = class_id
                yield Image(_held(scene), truth)
            elif (path := DATA / name / f"{scene.date}_water.tif").exists():
                yield Image(_held(scene), _band(path) + 1)


def _middle(name: str, data: np.ndarray, truth: np.ndarray) -> Image:
    """The middle of an image of dubai; the largest images, which show things twice as large as the others, are halved first."""
    height, width = truth.shape
    if min(height, width) > 1500:
        rows, cols = height // 2, width // 2
        data = data[:, : 2 * rows, : 2 * cols].reshape(len(data), rows, 2, cols, 2).mean(axis=(2, 4)).round().astype(np.uint8)
        truth = truth[: 2 * rows : 2, : 2 * cols : 2]
        height, width = truth.shape
    top, left = max(0, (height - SIDE) // 2), max(0, (width - SIDE) // 2)
    truth = truth[top : top + SIDE, left : left + SIDE].copy()
    for class_id in DUBAI.ids:
        if (truth == class_id).sum() < FEWEST:
            truth[truth == class_id] = 0
    return Image(pk.ArrayScene(data[:, top : top + SIDE, left : left + SIDE].copy(), name=name, bands=("red", "green", "blue")), truth)


def _held(scene: Scene) -> pk.ArrayScene:
    pixels = scene.read()
    return pk.ArrayScene(
        pixels.data, pixels.valid, name=scene.name, bands=scene.bands, date=scene.date, transform=scene.grid.transform, crs=scene.grid.crs
    )


def _band(path: Path) -> np.ndarray:
    return pk.open_scene(path).read().data[0]


def _unpack(path: Path) -> tuple[Image, ...]:
    with np.load(path) as stored:
        return tuple(
            Image(
                pk.ArrayScene(
                    stored[f"data{i}"],
                    stored[f"valid{i}"],
                    name=about["name"],
                    bands=tuple(about["bands"]),
                    date=dt.date.fromisoformat(about["date"]) if about["date"] else None,
                    transform=tuple(about["transform"]),
                    crs=about["crs"],
                ),
                stored[f"truth{i}"],
            )
            for i, about in enumerate(json.loads(str(stored["about"])))
        )


def pack(folder: Path) -> None:
    """Write all sets as .npz files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LEGENDS:
        arrays: dict[str, np.ndarray] = {}
        about = []
        for i, image in enumerate(images(name)):
            pixels, scene = image.scene.read(), image.scene
            arrays |= {f"data{i}": pixels.data, f"valid{i}": pixels.valid, f"truth{i}": image.truth}
            date = None if scene.date is None else scene.date.isoformat()
            about.append({"name": scene.name, "bands": scene.bands, "date": date, "transform": scene.grid.transform, "crs": scene.grid.crs})
        np.savez_compressed(folder / f"{name}.npz", about=np.array(json.dumps(about)), **arrays)


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
