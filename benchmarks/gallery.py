"""Six cases, each made by one command from a few marks: python -m benchmarks.gallery [FOLDER] [--only NAME].

Marks are drawn at random from the known cover, as a person would click them. FOLDER (default demo-out/gallery) gets the inputs, the maps and the
pictures; docs/gallery gets the table of what each took, and the pictures of generated imagery and of the demo's. That of the first case is docs/picture.png; other imagery is not ours to show.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image

from pixelkin.demo import landsat

DOCS = Path(__file__).parents[1] / "docs" / "gallery"
MOST_BYTES = 150_000


@dataclass(frozen=True)
class Case:
    """What is mapped."""

    name: str
    title: str
    prepare: Callable[[Path, Path], int]
    """Puts image.tif, or the folder dates, and marks.geojson into a folder, from the folder of imagery; how many marks."""
    command: str
    picture: str
    shown: bool = False
    """Whether the picture may be committed."""


@dataclass(frozen=True)
class Took:
    """What a case took."""

    case: str
    command: str
    marks: int
    seconds: float


def mark(truth: Path, target: Path, count: int, names: dict[int, str], seed: int = 0) -> int:
    """Random pixels a class as points in pixel centres."""
    rng = np.random.default_rng(seed)
    with rasterio.open(truth) as source:
        classes, transform, crs = source.read(1), source.transform, source.crs
    features = []
    for value, name in names.items():
        for row, col in rng.permutation(np.argwhere(classes == value))[:count].tolist():
            x, y = transform @ (col + 0.5, row + 0.5)
            features.append({"type": "Feature", "properties": {"class": name}, "geometry": {"type": "Point", "coordinates": [x, y]}})
    collection = {"type": "FeatureCollection", "features": features}
    if crs is not None:
        collection["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs.to_epsg()}"}}
    target.write_text(json.dumps(collection))
    return len(features)


def lake(folder: Path, imagery: Path) -> int:
    """The demo brings its own."""
    del folder, imagery
    return len(json.loads((files("pixelkin") / "data" / "great_salt_lake.geojson").read_text(encoding="utf-8"))["features"])


def reservoir(folder: Path, imagery: Path) -> int:
    """Ten dates; marks on one."""
    (folder / "dates").mkdir()
    for path in sorted((imagery / "boadella").glob("????-??-??.tif")):
        shutil.copy(path, folder / "dates")
    with rasterio.open(imagery / "boadella" / "2020-02-02_water.tif") as source:
        profile, water = source.profile, source.read(1)
    with rasterio.open(folder / "truth.tif", "w", **{**profile, "nodata": None}) as target:
        target.write(water + 1, 1)
    return mark(folder / "truth.tif", folder / "marks.geojson", 10, {1: "land", 2: "water"})


def roofs(folder: Path, imagery: Path) -> int:
    """An aerial tile."""
    shutil.copy(imagery / "vegas" / "image.tif", folder)
    return mark(imagery / "vegas" / "classes.tif", folder / "marks.geojson", 15, {1: "building", 2: "road", 3: "tree"})


def fields(folder: Path, imagery: Path) -> int:
    """One date of farmland."""
    shutil.copy(imagery / "flanders" / "2018-05-11.tif", folder / "image.tif")
    return mark(imagery / "flanders" / "LC.tif", folder / "marks.geojson", 8, {11: "crops", 13: "grass", 60: "built-up"})


def embeddings(folder: Path, imagery: Path) -> int:
    """Generated: vectors of 32 numbers of four kinds of patches, each pixel's its kind's and noise, all of length one."""
    del imagery
    rng = np.random.default_rng(5)
    centres = rng.uniform(0, 400, (60, 2))
    rows, cols = np.mgrid[:400, :400]
    nearest = ((rows[..., None] - centres[:, 0]) ** 2 + (cols[..., None] - centres[:, 1]) ** 2).argmin(axis=2)
    kinds = rng.integers(1, 5, 60)[nearest].astype(np.uint8)
    vectors = rng.normal(0, 1, (5, 32))[kinds] + rng.normal(0, 0.4, (60, 32))[nearest] + rng.normal(0, 1.2, (400, 400, 32))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    profile = {
        "driver": "GTiff", "width": 400, "height": 400, "crs": "EPSG:32631", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 4.7e6)
    }  # fmt: skip
    with rasterio.open(folder / "image.tif", "w", count=32, dtype="float32", **profile) as target:
        target.write(vectors.transpose(2, 0, 1).astype(np.float32))
    with rasterio.open(folder / "truth.tif", "w", count=1, dtype="uint8", **profile) as target:
        target.write(kinds, 1)
    return mark(folder / "truth.tif", folder / "marks.geojson", 5, {1: "one", 2: "two", 3: "three", 4: "four"})


def alike(folder: Path, imagery: Path) -> int:
    """The demo's scene, and one of its marks."""
    del imagery
    shutil.copy(landsat(), folder / "image.tif")
    marks = json.loads((files("pixelkin") / "data" / "great_salt_lake.geojson").read_text(encoding="utf-8"))
    one = next(feature for feature in marks["features"] if feature["properties"]["class"] == "salt flat")
    (folder / "mark.geojson").write_text(json.dumps({**marks, "features": [one]}))
    return 1


CASES = (
    Case("lake", "Great Salt Lake, Landsat 7: a model trained on the scene", lake, "demo --out out", "out/picture.png"),
    Case(
        "reservoir", "A reservoir on ten dates, Sentinel-2: marks on one date map them all", reservoir,
        "segment dates --labels marks.geojson --labels-date 2020-02-02 --out maps --areas areas.csv --chart chart.png", "chart.png",
    ),
    Case("roofs", "City roofs, aerial, 0.3 m", roofs, "segment image.tif --labels marks.geojson --out map.tif --picture picture.png", "picture.png"),
    Case("fields", "Fields, Sentinel-2, one date", fields, "segment image.tif --labels marks.geojson --out map.tif --picture picture.png", "picture.png"),
    Case(
        "embeddings", "Ready-made embeddings, 32 numbers a pixel (generated)", embeddings,
        "segment image.tif --kind generic --labels marks.geojson --out map.tif --picture picture.png", "picture.png", shown=True,
    ),
    Case(
        "alike", "Great Salt Lake: one mark of salt, and everything like it", alike,
        "similar image.tif --labels mark.geojson --out map.tif --picture picture.png", "picture.png", shown=True,
    ),
)  # fmt: skip


def run(case: Case, folder: Path, imagery: Path) -> Took:
    """Make one case anew; its picture is left in the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    count = case.prepare(folder, imagery)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pixelkin", *case.command.split()], cwd=folder, check=True)
    seconds = time.perf_counter() - start
    return Took(case.name, f"pixelkin {case.command}", count, round(seconds, 1))


def small(source: Path, target: Path) -> None:
    """The picture in at most MOST_BYTES."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    for width in (1200, 1000, 800, 600):
        scaled = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
        scaled.quantize(96).save(target, optimize=True)
        if target.stat().st_size <= MOST_BYTES:
            return
    raise SystemExit(f"{target} is larger than {MOST_BYTES} bytes at 600 pixels.")


def main() -> None:
    """Run the cases, keep what each took, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo-out/gallery"))
    parser.add_argument("--only", choices=[case.name for case in CASES])
    options = parser.parse_args()
    imagery = Path(os.environ.get("PIXELKIN_DATA", "../shared/data"))
    DOCS.mkdir(exist_ok=True)
    kept = DOCS / "took.json"
    took = {entry["case"]: entry for entry in json.loads(kept.read_text())} if kept.exists() else {}
    for case in CASES:
        if options.only in (None, case.name):
            took[case.name] = asdict(run(case, options.folder.absolute() / case.name, imagery))
            if case.shown:
                small(options.folder / case.name / case.picture, DOCS / f"{case.name}.png")
            kept.write_text(json.dumps([took[one.name] for one in CASES if one.name in took], indent=1) + "\n", encoding="utf-8")
    lines = ["| case | command | marks | seconds |", "|---|---|---|---|"]
    for case in CASES:
        marks, seconds = (took[case.name]["marks"], round(took[case.name]["seconds"])) if case.name in took else ("-", "-")
        lines.append(f"| {case.title} | `pixelkin {case.command}` | {marks} | {seconds} |")
    (DOCS / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
