"""A raster of three by four blocks with ragged edges and no-data, and a Segmenter for it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

import pixelkin as pk
from pixelkin.types import LabelledPixels

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import random_model

HEIGHT, WIDTH = 600, 830


def make_image(height: int = HEIGHT, width: int = WIDTH, bands: int = 3) -> np.ndarray:
    rng = np.random.default_rng(3)
    fields = np.kron(rng.integers(30, 220, (bands, height // 40 + 1, width // 40 + 1)), np.ones((40, 40)))[:, :height, :width]
    image = np.clip(fields + rng.normal(0, 12, fields.shape), 1, 255).astype(np.uint8)
    image[:, 100:180, 200:330] = 0
    return image


@pytest.fixture(scope="session")
def model() -> pk.Model:
    return random_model(bands=3, patch_size=9)


@pytest.fixture(scope="session")
def scene_path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scale") / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=HEIGHT, width=WIDTH, count=3, dtype="uint8", nodata=0, crs="EPSG:32631",
        transform=Affine(10, 0, 500_000, 0, -10, 4_600_000), tiled=True, blockxsize=256, blockysize=256, compress="deflate",
    ) as file:  # fmt: skip
        file.write(make_image())
    return path


@pytest.fixture(scope="session")
def scene(scene_path) -> pk.ArrayScene:
    return pk.open_scene(scene_path)


@pytest.fixture(scope="session")
def labels() -> LabelledPixels:
    rng = np.random.default_rng(5)
    return LabelledPixels.from_arrays(rng.integers(200, 600, 9), rng.integers(0, 830, 9), np.arange(9) % 3 + 1)


@pytest.fixture(scope="session")
def segmenter(model, scene, labels) -> pk.Segmenter:
    return pk.Segmenter(model, workers=2).fit(scene, labels)


@pytest.fixture(scope="session")
def whole(segmenter, scene):
    """The map that every way of computing must give."""
    return segmenter.predict(scene)


@pytest.fixture(scope="session")
def saved(tmp_path_factory, model, segmenter, scene_path) -> Path:
    """Model, references and image in files, for processes of their own."""
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder / "model.safetensors")
    segmenter.references.save(folder / "references.safetensors")
    (folder / "scene.json").write_text(json.dumps(str(scene_path)))
    return folder
