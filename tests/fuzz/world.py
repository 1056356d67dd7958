"""A small world of right files for a run to go wrong with: an image, a series, labels in six formats, a model, references, a map, a project."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import numpy as np
import rasterio
from shapely.geometry import Point, box

from tests.fuzz.command import run
from tests.networks import random_model

SIZE = 40
TRANSFORM = rasterio.Affine(10, 0, 500_000, 0, -10, 4_600_000)
CRS = "EPSG:32631"
_kept = TemporaryDirectory(prefix="pixelkin-fuzz-")
MARKS = ((5, 3, "dark"), (30, 10, "dark"), (9, 32, "light"), (35, 28, "light"))


def pixels(seed: int = 0, bands: int = 3) -> np.ndarray:
    """Left half dark, right half light."""
    data = np.random.default_rng(seed).integers(20, 60, (bands, SIZE, SIZE), dtype=np.uint8)
    data[:, :, SIZE // 2 :] += 120
    return data


def write_image(path: Path, data: np.ndarray, **profile: object) -> Path:
    """A raster in the world's place."""
    profile = {"driver": "GTiff", "crs": CRS, "transform": TRANSFORM, "dtype": data.dtype.name, **profile}
    with rasterio.open(path, "w", count=len(data), height=data.shape[1], width=data.shape[2], **profile) as file:
        file.write(data)
    return path


def points() -> geopandas.GeoDataFrame:
    """The marks as points in the image's CRS."""
    at = [TRANSFORM @ (col + 0.5, row + 0.5) for row, col, _ in MARKS]
    return geopandas.GeoDataFrame({"class": [name for *_, name in MARKS]}, geometry=[Point(*xy) for xy in at], crs=CRS)


def write_labels(folder: Path) -> dict[str, Path]:
    """The same marks in six formats."""
    frame = points()
    made = {kind: folder / f"labels.{kind}" for kind in ("geojson", "gpkg", "shp", "csv", "tif", "fgb")}
    frame.to_crs("EPSG:4326").to_file(made["geojson"], driver="GeoJSON")
    frame.to_file(made["gpkg"], driver="GPKG")
    frame.to_file(made["shp"])
    frame.to_file(made["fgb"], driver="FlatGeobuf")
    lines = [f"{point.x},{point.y},{name}\n" for point, name in zip(frame.geometry, frame["class"], strict=True)]
    made["csv"].write_text("x,y,class\n" + "".join(lines))
    classes = np.zeros((1, SIZE, SIZE), np.uint8)
    for row, col, name in MARKS:
        classes[0, row, col] = 1 if name == "dark" else 2
    write_image(made["tif"], classes, nodata=0)
    return made


@cache
def world() -> Path:
    """The files, made once; copy before use."""
    folder = Path(_kept.name)
    write_image(folder / "image.tif", pixels())
    (folder / "series").mkdir()
    for number, date in enumerate(("2020-01-05", "2020-03-01")):
        write_image(folder / "series" / f"{date}.tif", pixels(number))
    write_labels(folder)
    shapes = geopandas.GeoDataFrame({"class": ["dark"]}, geometry=[box(500_020, 4_599_700, 500_060, 4_599_900)], crs=CRS)
    shapes.to_file(folder / "polygons.gpkg", driver="GPKG")
    random_model(patch_size=7).save(folder / "model.safetensors")
    made = run("segment", folder / "image.tif", "-m", folder / "model.safetensors", "-l", folder / "labels.csv", "-o", folder / "map.tif",
               "--confidence", "--save-references", folder / "refs.safetensors")  # fmt: skip
    assert made.code == 0, made.said
    make_project(folder)
    return folder


def make_project(folder: Path) -> None:
    """A project of the labelling page with the image and four marks."""
    from pixelkin.session import Session, open_project
    from pixelkin.session.edits import AddClass, AddMark

    session = Session(open_project([folder / "image.tif"], project=folder / "project"), train=False)
    try:
        scene = next(iter(session.project.scenes))
        session.edit([AddClass("dark"), AddClass("light")])
        for row, col, name in MARKS:
            at = {"type": "Point", "coordinates": [col + 0.5, row + 0.5]}
            session.edit([AddMark(scene, 1 if name == "dark" else 2, "point", at)])
    finally:
        session.close()


def copy_of_world(folder: Path) -> Path:
    """A world of one's own."""
    return Path(shutil.copytree(world(), folder / "world"))
