import os
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import rasterio

from pixelkin.errors import OutputError, RasterError
from pixelkin.maps import confusion_figure, overview, score, series_figure, series_table
from pixelkin.maps.figure import _View
from pixelkin.scene import ArrayScene
from pixelkin.segmentation import Segmentation
from pixelkin.types import Grid, LabelledPixels, Legend

DATA = Path(os.environ.get("PIXELKIN_DATA", Path(__file__).parents[2] / "../shared/data"))
UTM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)


def scene_and_map(height=40, width=60, *, transform=UTM, crs="EPSG:32631", mask=None, bands=3):
    data = np.random.default_rng(0).integers(0, 255, (bands, height, width)).astype(np.uint8)
    mask = np.ones((height, width), bool) if mask is None else mask
    scene = ArrayScene(data, mask, transform=transform, crs=crs)
    classes = np.where(np.arange(width) < width // 2, 1, 2).astype(np.uint8)[None].repeat(height, 0) * mask
    return scene, Segmentation(classes, mask.astype(np.float32), mask, Legend.from_names(["water", "land"]), scene.grid)


def colours_in(path):
    """Colours that cover at least 200 pixels of a picture."""
    image = (matplotlib.image.imread(path)[..., :3] * 255).round().astype(int)
    packed, counts = np.unique(image @ [65536, 256, 1], return_counts=True)
    return {(colour >> 16, colour >> 8 & 255, colour & 255) for colour in packed[counts >= 200].tolist()}


def test_overview_shows_the_map_in_the_legends_colours(tmp_path):
    scene, result = scene_and_map()
    labels = LabelledPixels.from_arrays([0, 39], [0, 59], [1, 2], result.legend)
    path = overview(scene, labels, result, tmp_path / "map.png", title="A map")
    assert {entry.color for entry in result.legend} <= colours_in(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["map.png"]


def test_no_data_does_not_take_a_class_colour(tmp_path):
    scene, result = scene_and_map(mask=np.zeros((40, 60), bool))
    path = overview(scene, None, result, tmp_path / "map.png")
    colours = colours_in(path)
    assert (238, 238, 238) in colours  # the hatching's ground
    # Legend patches are the only place where a class colour may appear, and they are small.
    image = (matplotlib.image.imread(path)[..., :3] * 255).round().astype(int)
    assert (image == result.legend.classes[0].color).all(-1).sum() < 0.01 * image.shape[0] * image.shape[1]


def test_undecided_pixels_do_not_look_like_no_data(tmp_path):
    scene, result = scene_and_map()
    result.classes[:] = 0
    assert (238, 238, 238) not in colours_in(overview(scene, None, result, tmp_path / "map.png"))


@pytest.mark.parametrize(
    "options",
    [
        {"crs": None, "transform": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)},
        {"crs": "EPSG:4326", "transform": (1e-4, 0.0, 2.8, 0.0, -1e-4, 42.4)},
        {"crs": "EPSG:4326", "transform": (1e-4, 0.0, 2.8, 0.0, 1e-4, 42.4)},
        {"transform": (8.0, 6.0, 500_000.0, 6.0, -8.0, 5_000_000.0)},
        {"bands": 1},
        {"height": 1, "width": 1},
        {"height": 3, "width": 900},
        {"height": 1300, "width": 5},
    ],
    ids=["no crs", "geographic", "south up", "rotated", "one band", "one pixel", "wide", "tall and thinned"],
)
def test_overview_of_unusual_grids(tmp_path, options):
    scene, result = scene_and_map(**options)
    labels = LabelledPixels.from_arrays([0], [0], [1], result.legend)
    path = overview(scene, labels, result, tmp_path / "map.png")
    height, width = matplotlib.image.imread(path).shape[:2]
    assert 500 < height < 4000
    assert 500 < width < 4000


def test_the_same_picture_has_the_same_bytes(tmp_path):
    scene, result = scene_and_map()
    first, second = (overview(scene, None, result, tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second


def test_a_unit_of_x_is_worth_its_geodesic_metres():
    view = _View.of(Grid(100, 100, (1e-4, 0.0, 2.0, 0.0, -1e-4, 60.005), "EPSG:4326"))
    assert view.metres_per_x == pytest.approx(55_800, rel=1e-3)  # a degree of longitude at 60 degrees north
    assert view.height_over_width == pytest.approx(111_412 / 55_800, rel=1e-3)
    feet = _View.of(Grid(1, 1, (1.0, 0.0, 1e6, 0.0, -1.0, 2e5), "EPSG:2263"))
    assert feet.metres_per_x == pytest.approx(0.3048006)


def test_metres_that_are_said_to_be_degrees_are_drawn_as_pixels():
    view = _View.of(Grid(100, 50, (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0), "EPSG:4326"))
    assert (view.height_over_width, view.xy(2, 3)) == (2.0, (3.5, 2.5))


def test_a_map_of_another_grid_is_refused(tmp_path):
    scene, _ = scene_and_map()
    _, other = scene_and_map(width=50)
    with pytest.raises(RasterError, match=r"expected the grid of image array, .*Give the map of the whole image."):
        overview(scene, None, other, tmp_path / "map.png")
    assert not list(tmp_path.iterdir())


def test_pictures_are_png_and_never_written_over_unless_told(tmp_path):
    scene, result = scene_and_map()
    with pytest.raises(OutputError, match=r"map.jpg ends in '.jpg', expected .png for a picture. Name it map.png."):
        overview(scene, None, result, tmp_path / "map.jpg")
    path = tmp_path / "map.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"map.png is there already"):
        overview(scene, None, result, path)
    assert path.read_bytes() == b"mine"
    overview(scene, None, result, path, overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_confusion_figure_is_darkest_where_the_truth_went(tmp_path):
    # All of class 1 is mapped as 2: upper right is dark, lower left is not.
    path = confusion_figure(score(np.array([[2, 2, 2, 2]]), np.array([[1, 1, 2, 2]])), tmp_path / "matrix.png")
    image = matplotlib.image.imread(path)[..., :3].mean(-1)
    darkest = np.argwhere(image < 0.25)
    height, width = image.shape
    assert (darkest[:, 1] > width * 0.55).mean() > 0.9
    assert (darkest[:, 0] < height * 0.45).any()


def test_series_figure_is_written(tmp_path):
    _, result = scene_and_map()
    _, clouded = scene_and_map(mask=np.arange(40)[:, None].repeat(60, 1) > 10)
    table = series_table([("2020-01-01", result), ("2021-06-01", clouded)])
    assert (0, 114, 178) in colours_in(series_figure(table, tmp_path / "series.png", title="Lake"))


def test_a_chart_that_no_sample_has_checked_says_that_its_areas_have_no_interval(tmp_path, make_map, monkeypatch):
    told = []
    monkeypatch.setattr("matplotlib.axes.Axes.set_title", lambda axes, text, **_: told.append(text))
    series_figure(series_table([("2020-01-01", make_map(np.ones((4, 4))))]), tmp_path / "series.png")
    assert told[0].startswith("Pixels counted on the maps, without their error")


def test_overview_of_a_real_scene(tmp_path):
    path = DATA / "boadella" / "2020-06-21.tif"
    if not path.exists():
        pytest.skip(f"real imagery is not there: {DATA} (set PIXELKIN_DATA)")
    with rasterio.open(path) as file:
        scene = ArrayScene(file.read(), bands=file.descriptions, transform=tuple(file.transform)[:6], crs="EPSG:4326")
    green, infrared = scene.data[1].astype(np.float32), scene.data[3].astype(np.float32)
    index = (green - infrared) / (green + infrared)
    classes = np.where(index > 0, 1, 2).astype(np.uint8)
    result = Segmentation(
        classes, np.clip(abs(index), 0, 1), np.ones(classes.shape, bool), Legend.from_names(["water", "land"]), scene.grid
    )
    assert (0, 114, 178) in colours_in(overview(scene, None, result, tmp_path / "map.png"))
