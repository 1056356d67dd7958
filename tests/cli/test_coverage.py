"""A date or place that no reference covers is named, with numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from pixelkin.cli import main
from pixelkin.features import References


def write(path: Path, data: np.ndarray) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", height=40, width=50, count=len(data), dtype=data.dtype, crs="EPSG:32631",
        transform=Affine(10, 0, 400_000, 0, -10, 4_700_000),
    ) as out:  # fmt: skip
        out.write(data)


@pytest.fixture
def series(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two alike dates, and one on which half of the image is something never seen."""
    folder = tmp_path / "dates"
    folder.mkdir()
    for date in ("2020-01-05", "2020-02-05", "2020-03-05"):
        data = rng.integers(90, 110, (3, 40, 50))
        data[:, :, 25:] += 60
        if date == "2020-03-05":
            data[:, 20:] = 250
        write(folder / f"{date}.tif", data.astype(np.uint8))
    labels = np.zeros((1, 40, 50), np.uint8)
    labels[0, [3, 30], [4, 9]], labels[0, [5, 20], [30, 44]] = 1, 2
    write(tmp_path / "labels.tif", labels)
    return folder


def run(*arguments: str) -> int:
    """Exit code of a command."""
    try:
        main(list(arguments))
    except SystemExit as left:
        return int(left.code or 0)
    return 0


@pytest.mark.filterwarnings("ignore:labels.tif. value 0 is taken as not labelled")
def test_foreign_dates_are_named_and_the_limit_travels(series, tmp_path, capsys):
    references = tmp_path / "references.safetensors"
    marks = ["--labels", str(tmp_path / "labels.tif"), "--labels-date", "2020-01-05", "--raw"]
    assert run("segment", str(series), *marks, "--out", str(tmp_path / "maps"), "--save-references", str(references)) == 0
    said = capsys.readouterr().err
    assert "40 % of 2020-03-05 is further from every label" in said
    assert "of 2020-02-05 is further" not in said
    assert References.load(references).limit is not None
    for date, foreign in (("2020-02-05", False), ("2020-03-05", True)):
        out = str(tmp_path / f"{date}-map.tif")
        assert run("segment", str(series / f"{date}.tif"), "--references", str(references), "--raw", "--out", out) == 0
        assert ("is further from every label" in capsys.readouterr().err) == foreign
