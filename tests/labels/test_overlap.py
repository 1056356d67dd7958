"""Features that meet, and pixels that only one of them may have."""

import numpy as np
import pytest
import shapely

from pixelkin.errors import InputError, LabelError
from pixelkin.labels import Annotation, Annotations, find_overlaps, rasterize
from pixelkin.types import Grid

GRID = Grid(10, 10, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), None)


def drawn(*features):
    return Annotations.from_features([Annotation(shape, name) for shape, name in features], None)


def test_overlap_of_two_classes_names_both_features_and_the_pixel():
    annotations = drawn((shapely.Point(9.5, 9.5), "sand"), (shapely.box(0, 0, 4, 4), "water"), (shapely.box(3, 2, 6, 6), "land"))
    with pytest.raises(LabelError) as caught:
        rasterize(annotations, GRID)
    assert str(caught.value) == (
        "feature 2 of 3 ('water', at 4, 0) and feature 3 of 3 ('land', at 6, 2) both mark 2 pixels, the first at row 2, col 3; "
        "expected one class a pixel. "
        "Erase one of the two, or use overlap='last' to let the later one win."
    )


def test_the_last_feature_wins_where_asked():
    annotations = drawn((shapely.box(0, 0, 4, 4), "water"), (shapely.box(2, 2, 6, 6), "land"), (shapely.Point(2.5, 2.5), "water"))
    mask = rasterize(annotations, GRID, overlap="last").to_mask(GRID.shape)
    expected = np.zeros(GRID.shape, np.uint8)
    expected[:4, :4] = 1
    expected[2:6, 2:6] = 2
    expected[2, 2] = 1
    np.testing.assert_array_equal(mask, expected)


def test_a_pixel_marked_twice_with_one_class_counts_once_where_it_came_first():
    annotations = drawn((shapely.Point(5.5, 5.5), "water"), (shapely.box(5, 5, 7, 7), "water"), (shapely.Point(5.2, 5.2), "water"))
    labels = rasterize(annotations, GRID)
    assert list(zip(labels.rows.tolist(), labels.cols.tolist(), strict=True)) == [(5, 5), (5, 6), (6, 5), (6, 6)]


def test_a_class_that_later_features_cover_whole_is_an_error_that_names_it():
    annotations = drawn((shapely.Point(1.5, 1.5), "sand"), (shapely.box(0, 0, 4, 4), "water"))
    with pytest.raises(
        LabelError, match=r"class 'sand' has no pixel left: later features of other classes cover feature 1 of 2 \('sand', at 1.5, 1.5\)"
    ):
        rasterize(annotations, GRID, overlap="last")


def test_overlaps_list_every_pair_with_its_pixels():
    annotations = drawn(
        (shapely.box(0, 0, 4, 4), "water"),
        (shapely.box(3, 3, 6, 6), "land"),
        (shapely.box(3, 3, 4, 5), "sand"),
        (shapely.box(0, 0, 2, 2), "water"),
        (shapely.Point(50, 50), "sand"),
    )
    overlaps = find_overlaps(annotations, GRID)
    found = [(c.first_index, c.second_index, list(zip(c.rows.tolist(), c.cols.tolist(), strict=True))) for c in overlaps]
    assert found == [(0, 1, [(3, 3)]), (0, 2, [(3, 3)]), (1, 2, [(3, 3), (4, 3)])]
    assert overlaps[2].first is annotations.features[1]
    assert overlaps[2].second is annotations.features[2]


def test_overlaps_agree_with_a_loop_over_pairs():
    rng = np.random.default_rng(5)
    features = []
    for i in range(25):
        x, y = rng.integers(0, 8, 2)
        features.append((shapely.box(x, y, x + rng.integers(1, 4), y + rng.integers(1, 4)), f"class {i % 3}"))
    masks = [rasterize(drawn(feature), GRID).to_mask(GRID.shape) > 0 for feature in features]
    expected = [
        (i, j, np.argwhere(masks[i] & masks[j]).tolist())
        for i in range(25)
        for j in range(i + 1, 25)
        if features[i][1] != features[j][1] and (masks[i] & masks[j]).any()
    ]
    found = [(c.first_index, c.second_index, np.column_stack([c.rows, c.cols]).tolist()) for c in find_overlaps(drawn(*features), GRID)]
    assert found == expected


def test_no_overlap_is_no_conflict():
    assert find_overlaps(drawn((shapely.box(0, 0, 4, 4), "water"), (shapely.box(4, 0, 6, 6), "land")), GRID) == []
    assert find_overlaps(Annotations.from_features([], None), GRID) == []


def test_an_unknown_overlap_is_refused():
    with pytest.raises(InputError, match=r"overlap is 'first', expected one of \['error', 'last'\]"):
        rasterize(drawn((shapely.Point(1, 1), "a")), GRID, overlap="first")
