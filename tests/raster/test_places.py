"""Images that are placed by points, by a camera model, or not at all."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.transform import Affine

from pixelkin.raster import open_scene
from pixelkin.types import Window

CAMERA = RPC(
    height_off=100, height_scale=500, lat_off=42, lat_scale=0.1, long_off=2, long_scale=0.1, line_off=20, line_scale=20, samp_off=25, samp_scale=25,
    line_num_coeff=[0, 0, -1] + [0] * 17, line_den_coeff=[1] + [0] * 19, samp_num_coeff=[0, 1] + [0] * 18, samp_den_coeff=[1] + [0] * 19,
)  # fmt: skip


@pytest.fixture
def unplaced(tmp_path, coordinates):
    def write(data=None, *, crs=None, transform=None, points=(), points_crs=None, camera=None, **profile):
        data = coordinates(2, height=600, width=700) if data is None else data
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            count, height, width = data.shape
            with rasterio.open(
                tmp_path / "a.tif",
                "w",
                driver="GTiff",
                count=count,
                height=height,
                width=width,
                dtype=data.dtype,
                crs=crs,
                transform=transform,
                **profile,
            ) as dataset:
                dataset.write(data)
                if points:
                    dataset.gcps = (list(points), rasterio.crs.CRS.from_string(points_crs) if points_crs else rasterio.crs.CRS())
                if camera:
                    dataset.rpcs = camera
        return tmp_path / "a.tif"

    return write


def corners(height=600, width=700):
    return [GroundControlPoint(row, col, 500_000 + 10 * col, 4_600_000 - 10 * row) for row in (0, height) for col in (0, width)]


def test_control_points_place_an_image(unplaced, coordinates, caplog):
    scene = open_scene(unplaced(points=corners(), points_crs="EPSG:32631"))
    assert scene.grid.crs == "EPSG:32631"
    assert scene.grid.shape == (600, 700)
    np.testing.assert_allclose(scene.grid.transform, (10, 0, 500_000, 0, -10, 4_600_000), atol=1e-6)
    pixels = scene.read()
    assert pixels.valid[1:-1, 1:-1].all()
    np.testing.assert_array_equal(pixels.data[:, 1:-1, 1:-1], coordinates(2, height=600, width=700)[:, 1:-1, 1:-1])
    np.testing.assert_array_equal(scene.read(Window(500, 300, 40, 222)).data, pixels.data[:, 500:540, 300:522])
    assert "a: it is placed by 4 ground control points and warped to a grid by them" in caplog.text


@pytest.mark.parametrize("at", [lambda row, col: (0.0, 0.0), lambda row, col: (float("inf"), row)])
def test_control_points_that_place_nothing(unplaced, coordinates, caplog, at):
    points = [GroundControlPoint(row, col, *at(row, col)) for row in (0, 600) for col in (0, 700)]
    scene = open_scene(unplaced(points=points, points_crs="EPSG:32631"))
    assert scene.grid.crs is None
    np.testing.assert_array_equal(scene.read().data, coordinates(2, height=600, width=700))
    assert "a: its 4 ground control points cannot place it" in caplog.text
    assert "it is read without coordinates" in caplog.text


def test_control_points_turn_an_image(unplaced):
    # North is to the right.
    points = [GroundControlPoint(row, col, 500_000 + 10 * row, 4_600_000 + 10 * col) for row in (0, 600) for col in (0, 700)]
    scene = open_scene(unplaced(points=points, points_crs="EPSG:32631"))
    assert scene.grid.shape == (700, 600)
    # The first row from the top is the last column: band 1 counts columns.
    assert abs(int(scene.read().data[1, 5, 300]) - 694) <= 1


@pytest.mark.parametrize(("options", "said"), [
    ({"points": corners()}, "its 4 ground control points have no CRS"),
    ({"camera": CAMERA}, "it is placed by a camera model .* Place it with: gdalwarp -rpc"),
    ({"camera": CAMERA, "crs": "EPSG:4326"}, "it is placed by a camera model"),
    ({"crs": "EPSG:4326"}, "it has a CRS and no transform, .* rio edit-info --transform"),
    ({"crs": "EPSG:32631", "transform": Affine(1, 0, 0, 0, -1, 0)}, "it has a CRS and no transform"),
])  # fmt: skip
def test_an_image_without_a_place_has_no_coordinates_and_it_is_said_why(unplaced, caplog, options, said):
    scene = open_scene(unplaced(**options))
    assert scene.grid.crs is None
    assert scene.grid.transform == (1, 0, 0, 0, 1, 0)
    assert scene.read().valid.all()
    (record,) = caplog.records
    assert re.search(said, record.getMessage())


def test_no_warning_of_rasterio_is_passed_on(unplaced):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({}, {"points": corners()}, {"camera": CAMERA}, {"points": corners(), "points_crs": "EPSG:32631"}):
            open_scene(unplaced(**options)).read()
