"""Small files that the command line is tried on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from tests.networks import random_model

from pixelkin.cli import main


def command(*args: object) -> int:
    """Exit code of a command."""
    try:
        main([str(arg) for arg in args])
    except SystemExit as exc:
        return int(exc.code or 0)
    return 0


@pytest.fixture
def run() -> Callable[..., int]:
    return command


@pytest.fixture
def folder(tmp_path, rng) -> Path:
    """Two dates of 60 x 50 pixels, left half dark, labels on both halves, and a model."""
    (tmp_path / "series").mkdir()
    for date in ("2020-01-05", "2020-03-01"):
        data = rng.integers(20, 60, (3, 60, 50), dtype=np.uint8)
        data[:, :, 25:] += 120
        with rasterio.open(
            tmp_path / "series" / f"{date}.tif", "w", driver="GTiff", count=3, height=60, width=50, dtype="uint8", crs="EPSG:32631",
            transform=rasterio.Affine(10, 0, 500000, 0, -10, 4600000),
        ) as file:  # fmt: skip
            file.write(data)
    marks = ((5, 3, "dark"), (40, 10, "dark"), (9, 40, "light"), (50, 30, "light"))
    lines = [f"{500005 + 10 * col},{4599995 - 10 * row},{name}\n" for row, col, name in marks]
    (tmp_path / "labels.csv").write_text("x,y,class\n" + "".join(lines))
    random_model().save(tmp_path / "model.safetensors")
    return tmp_path


@pytest.fixture
def image(folder) -> Path:
    return folder / "series" / "2020-01-05.tif"
