"""`pixelkin segment --mosaic`: images of two UTM zones, one map."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio

from pixelkin.cli import main
from pixelkin.raster import open_mosaic, read_map


@pytest.fixture
def tiles(tmp_path):
    """Two halves of a place at 6 degrees east, dark in the north and light in the south, one in zone 31 and one in 32."""
    (tmp_path / "tiles").mkdir()
    rng = np.random.default_rng(0)
    for zone, left in ((31, 747_000.0), (32, 250_000.0)):
        data = np.where(np.arange(60)[:, None] < 30, 40, 160) + rng.integers(0, 20, (2, 60, 70))
        with rasterio.open(
            tmp_path / "tiles" / f"zone{zone}.tif", "w", driver="GTiff", count=2, height=60, width=70, dtype="uint8", nodata=0,
            crs=f"EPSG:326{zone}", transform=rasterio.Affine(10.0, 0.0, left, 0.0, -10.0, 4_700_000.0),
        ) as file:  # fmt: skip
            file.write(data.astype("uint8"))
    return tmp_path / "tiles"


def run(*words):
    try:
        main([str(word) for word in words])
    except SystemExit as exc:
        return int(exc.code or 0)
    return 0


def test_tiles_of_two_zones_give_one_map(tiles, tmp_path, capsys):
    mosaic = open_mosaic(tiles, crs="EPSG:3035", resolution=10)
    valid = mosaic.read().valid
    data = mosaic.read().data
    points = [
        {"type": "Feature", "properties": {"class": name}, "geometry": {"type": "Point", "coordinates": mosaic.grid.xy(*map(int, place))}}
        for name, wanted in (("dark", data[0] < 60), ("light", data[0] >= 160))
        for place in np.argwhere(wanted & valid)[[5, -5]]
    ]
    labels = {"type": "FeatureCollection", "features": points}
    (tmp_path / "labels.geojson").write_text(json.dumps(labels))
    common = [
        "segment",
        tiles,
        "--labels",
        tmp_path / "labels.geojson",
        "--labels-crs",
        "EPSG:3035",
        "--raw",
        "--out",
        tmp_path / "map.tif",
    ]
    assert run(*common, "--mosaic") == 2
    assert "2 coordinate systems, EPSG:32631, EPSG:32632" in capsys.readouterr().err
    assert run(*common, "--crs", "EPSG:3035") == 2
    assert "--crs and --resolution are for --stac or --mosaic" in capsys.readouterr().err
    assert (
        run("segment", "--stac", "https://stac.invalid", "--with", tmp_path / "dem.tif", "--labels", labels, "--out", tmp_path / "m") == 2
    )
    assert "--with and --terrain put files beside IMAGE" in capsys.readouterr().err
    assert run(*common, "--mosaic", "--crs", "EPSG:3035", "--resolution", 10) == 0
    result = read_map(tmp_path / "map.tif")
    assert result.grid == mosaic.grid
    np.testing.assert_array_equal(result.valid, valid)
    truth = np.where(data[0] < 80, 1, 2)
    clear = valid & ((data[0] < 62) | (data[0] > 155))
    assert (result.classes == truth)[clear].mean() > 0.99
