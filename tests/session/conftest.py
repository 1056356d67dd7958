"""A small georeferenced image whose pixels encode their place, and a project on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pixelkin.session import Project, Session, open_project

HEIGHT, WIDTH = 300, 420


def write_image(
    path: Path, *, seed: int = 0, shape: tuple[int, int] = (HEIGHT, WIDTH), nodata_rows: int = 4, crs: str | None = "EPSG:32631"
) -> Path:
    """Band 1 = row, band 2 = column, band 3 = a few grey levels, so that many pixels are equally near to two labels."""
    rows, cols = np.indices(shape)
    grey = np.random.default_rng(seed).integers(1, 5, shape)
    data = np.stack([rows + 1, cols + 1, grey]).astype(np.uint16)
    data[:, :nodata_rows] = 0
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=3, dtype="uint16", nodata=0, crs=crs,
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000), tiled=True, blockxsize=128, blockysize=128,
    ) as dataset:  # fmt: skip
        dataset.write(data)
        dataset.descriptions = ("row", "col", "grey")
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_image(tmp_path / "field.tif")


@pytest.fixture
def project(image: Path) -> Iterator[Project]:
    opened = open_project([image])
    yield opened
    opened.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Session]]:
    """Starts sessions that are closed at the end of the test."""
    sessions: list[Session] = []

    def begin(folder: Path, *, engine: bool = True, train: bool = False) -> Session:
        session = Session(open_project([folder]), train=train)
        sessions.append(session)
        if engine:
            session.engine.start()
        return session

    yield begin
    for session in sessions:
        session.close()
