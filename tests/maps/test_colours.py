import numpy as np
import pytest

from pixelkin.errors import LabelError, RasterError, ShapeError
from pixelkin.maps import colorize, colorize_confidence, display_bands, rgb, stretch, stretch_limits
from pixelkin.maps.colours import NO_DATA_COLOR, read_reduced
from pixelkin.scene import ArrayScene
from pixelkin.types import Legend, Window


def coordinate_scene(height, width, **options):
    """Band 0 = row, band 1 = column."""
    rows, cols = np.mgrid[:height, :width]
    return ArrayScene(np.stack([rows, cols]).astype(np.float32), **options)


def scene_of(names):
    return ArrayScene(np.zeros((len(names), 2, 2)), bands=names)


@pytest.mark.parametrize(
    ("names", "bands", "expected"),
    [
        (("nir", "Blue", "Green", "Red"), None, (3, 2, 1)),
        (("a", "b", "c", "d"), None, (0, 1, 2)),
        (("a", "b"), None, (0,)),
        (("a", "b", "c", "d"), ("d", "b", 0), (3, 1, 0)),
        (("a", "b"), (1,), (1,)),
    ],
)
def test_bands_to_show(names, bands, expected):
    assert display_bands(scene_of(names), bands) == expected


def test_bands_that_cannot_be_shown_are_refused():
    with pytest.raises(RasterError, match=r"band 'swir' is not in the image, expected some of \['a', 'b'\] or 0 to 1."):
        display_bands(scene_of(("a", "b")), ["swir"])
    with pytest.raises(RasterError, match=r"2 bands to show \['a', 'b'\], expected one \(grey\) or three \(red, green, blue\)."):
        display_bands(scene_of(("a", "b")), ["a", "b"])


@pytest.mark.parametrize("step", [1, 3, 7, 600])
def test_reduced_read_takes_every_nth_pixel_across_strips(step):
    scene = coordinate_scene(1100, 11)
    pixels = read_reduced(scene, (0, 1), window=Window(5, 2, 1090, 9), step=step)
    np.testing.assert_array_equal(pixels.data, scene.data[:, 5:1095:step, 2:11:step])
    assert pixels.valid.shape == pixels.data.shape[1:]


def test_reduced_read_holds_one_strip_at_a_time():
    class Watched(ArrayScene):
        largest = 0

        def read(self, window=None):
            Watched.largest = max(Watched.largest, window.height)
            return super().read(window)

    read_reduced(Watched(np.zeros((1, 3000, 4))), (0,), step=2)
    assert Watched.largest <= 512


def test_stretch_maps_limits_to_black_and_white():
    image = stretch(np.array([[[0.0, 10.0, 15.0, 20.0, 99.0, np.nan]]]), [[10, 20]])
    np.testing.assert_array_equal(image[..., 0], [[0, 0, 128, 255, 255, 0]])


def test_stretch_of_unsigned_pixels_does_not_wrap_around():
    np.testing.assert_array_equal(stretch(np.array([[[0, 200]]], np.uint8), [[100, 200]])[..., 0], [[0, 255]])


def test_a_constant_band_is_mid_grey():
    np.testing.assert_array_equal(rgb(ArrayScene(np.full((1, 2, 2), 7))), 128)


def test_rgb_keeps_rows_columns_and_bands_apart():
    rows, cols = np.mgrid[:5, :9]
    scene = ArrayScene(np.stack([rows, cols, 0 * rows]).astype(np.float32))
    image = rgb(scene, limits=[[0, 4], [0, 8], [-1, 0]])
    np.testing.assert_array_equal(image[4, 0], [255, 0, 255])
    np.testing.assert_array_equal(image[0, 8], [0, 255, 255])


def test_limits_of_the_image_make_windows_alike():
    scene = coordinate_scene(20, 30)
    limits = stretch_limits(scene, ["band_2"])
    whole = rgb(scene, ["band_2"], limits=limits)
    part = rgb(scene, ["band_2"], window=Window(3, 20, 5, 10), limits=limits)
    np.testing.assert_array_equal(part, whole[3:8, 20:30])
    np.testing.assert_allclose(limits, [np.percentile(scene.data[1], [2, 98])])


def test_no_data_is_grey_and_does_not_sway_the_stretch():
    data = np.array([[[0.0, 1.0, 1e9]]])
    image = rgb(ArrayScene(data, mask=np.array([[True, True, False]])))
    np.testing.assert_array_equal(image[0], [[0, 0, 0], [255, 255, 255], NO_DATA_COLOR])


def test_an_image_without_data_is_all_grey():
    np.testing.assert_array_equal(rgb(ArrayScene(np.full((3, 2, 2), np.nan))), np.broadcast_to(NO_DATA_COLOR, (2, 2, 3)))


def test_a_large_image_is_thinned():
    assert rgb(coordinate_scene(50, 101), max_size=25).shape == (10, 21, 3)


def test_classes_take_the_legends_colours_and_zero_is_clear():
    legend = Legend.from_names(["water", "land"])
    image = colorize(np.array([[0, 2]], np.uint8), legend)
    np.testing.assert_array_equal(image, [[[0, 0, 0, 0], [230, 159, 0, 255]]])
    with pytest.raises(LabelError, match=r"class id 9 is not in the legend, expected one of \[1, 2\]."):
        colorize(np.array([[9]], np.uint8), legend)


def test_confidence_brightens_and_is_clear_without_data():
    image = colorize_confidence(np.array([[0.0, 0.5, 1.0, 1.0]], np.float32), np.array([[True, True, True, False]]))
    luminance = image[0, :3, :3] @ [0.2126, 0.7152, 0.0722]
    assert luminance[0] < luminance[1] < luminance[2]
    np.testing.assert_array_equal(image[0, :, 3], [255, 255, 255, 0])
    with pytest.raises(ShapeError, match="confidence has shape"):
        colorize_confidence(np.zeros((1, 2)), np.ones((2, 1), bool))
