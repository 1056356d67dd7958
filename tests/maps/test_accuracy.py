import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics

from pixelkin.errors import LabelError, ShapeError
from pixelkin.maps import score
from pixelkin.types import LabelledPixels, Legend, LegendClass


def test_rows_of_the_confusion_matrix_are_the_truth():
    truth = np.array([[1, 1, 1, 2]])
    result = np.array([[2, 2, 1, 2]])
    # Two pixels that are 1 were mapped as 2: row of 1, column of 2.
    np.testing.assert_array_equal(score(result, truth).confusion, [[1, 2, 0], [0, 1, 0]])


def test_orientation_is_said_wherever_the_matrix_is_shown():
    result = score(np.array([[2, 2, 1, 2]]), np.array([[1, 1, 1, 2]]), legend=Legend.from_names(["water", "land"]))
    table = result.to_table()
    assert "rows = truth, columns = predicted" in table
    assert table.splitlines()[-2].split() == ["water", "1", "2", "0"]
    shown = result.to_json()["confusion"]
    assert (shown["rows"], shown["columns"]) == ("truth", "predicted")
    assert shown["counts"] == [[1, 2, 0], [0, 1, 0]]
    assert shown["column_names"] == ["water", "land", "undecided"]


def test_producers_and_users_accuracy_are_not_swapped():
    result = score(np.array([[2, 2, 1, 2]]), np.array([[1, 1, 1, 2]]))
    np.testing.assert_allclose(result.producers_accuracy, [1 / 3, 1])  # of the truth of 1, a third is found
    np.testing.assert_allclose(result.users_accuracy, [1, 1 / 3])  # of what is mapped as 2, a third is 2


@given(
    arrays(np.uint8, (6, 7), elements=st.integers(0, 4)),
    arrays(np.uint8, (6, 7), elements=st.integers(1, 4)),
)
def test_metrics_are_those_of_scikit_learn(truth, result):
    truth[0, 0] = 1
    found = score(result, truth, legend=Legend.from_names("abcd"))
    y, p = truth[truth > 0], result[truth > 0]
    ids = [1, 2, 3, 4]
    assert found.accuracy == pytest.approx(metrics.accuracy_score(y, p))
    options = {"labels": ids, "average": None, "zero_division": np.nan}
    np.testing.assert_allclose(found.iou, metrics.jaccard_score(y, p, **{**options, "zero_division": 0}) + _nan_where_absent(y, p, ids))
    np.testing.assert_allclose(found.producers_accuracy, metrics.recall_score(y, p, **options))
    np.testing.assert_allclose(found.users_accuracy, metrics.precision_score(y, p, **options))
    np.testing.assert_allclose(found.f1, metrics.f1_score(y, p, **options))
    present = [i for i in ids if (y == i).any()]
    assert found.miou == pytest.approx(metrics.jaccard_score(y, p, labels=present, average="macro", zero_division=0))
    assert found.ignored == (truth == 0).sum()
    np.testing.assert_array_equal(found.support, [(y == i).sum() for i in ids])


def _nan_where_absent(y, p, ids):
    return np.array([0.0 if (y == i).any() or (p == i).any() else np.nan for i in ids])


def test_a_class_without_pixels_has_no_figure_rather_than_zero():
    found = score(np.array([[1, 1]]), np.array([[1, 1]]), legend=Legend.from_names(["water", "land"]))
    assert np.isnan(found.iou[1])
    assert np.isnan(found.users_accuracy[1])
    assert found.miou == 1.0  # over classes that occur in the truth
    line = next(line for line in found.to_table().splitlines() if line.startswith("land"))
    assert line.split() == ["land", "-", "-", "-", "-", "0"]
    assert found.to_json()["classes"][1]["iou"] is None
    json.dumps(found.to_json(), allow_nan=False)


def test_an_undecided_pixel_is_wrong_and_has_its_own_column(make_map):
    found = score(make_map([[1, 0, 2, 2]]), np.array([[1, 1, 2, 0]]))
    np.testing.assert_array_equal(found.confusion, [[1, 0, 1], [0, 1, 0]])
    assert found.undecided == 1
    assert found.accuracy == pytest.approx(2 / 3)
    np.testing.assert_allclose(found.iou, [0.5, 1])


def test_a_pixel_without_data_is_not_counted(make_map):
    result = make_map([[1, 0, 2, 2]], valid=[[True, False, True, True]])
    found = score(result, np.array([[1, 1, 2, 0]]))
    assert found.accuracy == 1.0
    assert found.ignored == 2  # one without data, one unlabelled


def test_ignored_classes_are_left_out_of_arrays_and_of_labels():
    result = np.array([[1, 2, 1]])
    assert score(result, np.array([[1, 2, 99]]), ignore=[99]).ignored == 1
    labels = LabelledPixels.from_arrays([0, 0, 0], [0, 1, 2], [1, 2, 2])
    found = score(result, labels, ignore=[2])
    assert (found.accuracy, found.ignored) == (1.0, 2)


def test_classes_of_two_legends_meet_by_name_not_by_number(make_map):
    result = make_map([[1, 1, 2, 2]], legend=Legend.from_names(["water", "land"]))
    truth = LabelledPixels.from_arrays([0] * 4, range(4), [2, 2, 1, 3], Legend.from_names(["land", "water", "ice"]))
    found = score(result, truth)
    assert found.legend.names == ("water", "land", "ice")
    np.testing.assert_array_equal(found.confusion, [[2, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]])


NAMED = Legend.from_names(["water", "land"])


def numbered(*numbers):
    """Labels of one row whose classes have no names."""
    return LabelledPixels.from_arrays([0] * len(numbers), range(len(numbers)), numbers)


def test_numbers_without_names_meet_names_by_id(make_map):
    found = score(make_map([[1, 1, 2, 2]], legend=NAMED), numbered(1, 1, 2, 1))
    assert found.accuracy == 0.75
    assert found.legend == NAMED
    assert found.notes == ("one side has no class names, so the truth and the map are matched by id: 1 = 'water', 2 = 'land'.",)
    unnamed = make_map([[1, 1, 2, 2]], legend=Legend.from_names(["1", "2"]))
    assert score(unnamed, LabelledPixels.from_arrays([0] * 4, range(4), [1, 1, 2, 1], NAMED)).accuracy == 0.75


def test_names_that_were_numbered_in_order_of_appearance_do_not_meet_numbers(make_map):
    unnamed = make_map([[1, 1, 2, 2]], legend=Legend.from_names(["1", "2"]))
    truth = LabelledPixels.from_arrays([0] * 4, range(4), [1, 1, 2, 1], Legend(NAMED.classes, by_order=True))
    with pytest.raises(LabelError, match=r"the truth has classes 1 = 'water', 2 = 'land', the map has 1 = '1', 2 = '2': none is the same"):
        score(unnamed, truth)


def test_nothing_in_common_is_refused_rather_than_all_wrong(make_map):
    truth = LabelledPixels.from_arrays([0] * 4, range(4), [1, 1, 2, 1], Legend.from_names(["ice", "snow"]))
    with pytest.raises(LabelError, match="none is the same"):
        score(make_map([[1, 1, 2, 2]], legend=NAMED), truth)


def test_a_0_without_a_name_that_the_map_does_not_know_is_not_guessed(make_map):
    legend = Legend((LegendClass(1, "1", (0, 0, 0)), LegendClass(2, "0", (1, 1, 1))))
    truth = LabelledPixels.from_arrays([0] * 4, range(4), [1, 1, 2, 2], legend)
    with pytest.raises(LabelError, match=r"the truth has class '0', which has no name.*names=\{0: 'NAME'\}, or leave it out with ignore=0"):
        score(make_map([[1, 1, 2, 2]], legend=NAMED), truth)
    assert score(make_map([[1, 1, 2, 2]], legend=NAMED), truth, ignore=[2]).accuracy == 1


def test_names_that_differ_in_case_or_spaces_meet_with_a_word(make_map):
    truth = LabelledPixels.from_arrays([0] * 4, range(4), [1, 1, 2, 1], Legend.from_names([" Water", "LAND"]))
    found = score(make_map([[1, 1, 2, 2]], legend=NAMED), truth)
    assert found.accuracy == 0.75
    assert "class ' Water' of the truth is taken as 'water' of the map" in found.notes[0]


def test_a_class_that_the_map_does_not_know_counts_as_wrong_with_a_word(make_map):
    truth = LabelledPixels.from_arrays([0] * 4, range(4), [1, 1, 2, 3], Legend.from_names(["water", "land", "ice"]))
    found = score(make_map([[1, 1, 2, 2]], legend=NAMED), truth)
    assert found.accuracy == 0.75
    assert found.notes == ("class 'ice' of the truth is none of the map's: its 1 pixels count as wrong.",)


def test_figures_say_what_sample_they_hold_for(make_map):
    found = score(make_map([[1, 1, 2, 2]], legend=NAMED), numbered(1, 1, 2, 1))
    assert "simple random sample" in found.to_table()
    assert "simple random sample" in found.to_json()["holds_for"]


def test_the_last_row_and_column_count():
    truth = np.zeros((4, 5), np.uint8)
    truth[3, 4] = 2
    result = np.ones((4, 5), np.uint8)
    np.testing.assert_array_equal(score(result, truth).confusion, [[0, 0, 0], [1, 0, 0]])


def test_one_pixel():
    assert score(np.array([[3]]), np.array([[3]])).accuracy == 1.0


@pytest.mark.parametrize(
    ("result", "truth", "error", "message"),
    [
        (
            np.ones((2, 2), int),
            np.ones((2, 3), int),
            ShapeError,
            "truth has shape (2, 3), expected (2, 2). Give the truth on the map's grid.",
        ),
        (np.ones(4, int), np.ones((2, 2), int), ShapeError, "result has shape (4,), expected ('row', 'col'). Give one class id a pixel."),
        (np.ones((1, 1)), np.ones((1, 1), int), LabelError, "result holds float64 values, expected whole numbers: class ids."),
        (np.ones((1, 1), int), np.zeros((1, 1), int), LabelError, "no pixel of the truth can be compared"),
        (
            np.ones((2, 2), int),
            LabelledPixels.from_arrays([0, 2], [0, 1], [1, 1]),
            LabelError,
            "labelled pixel (row 2, col 1) lies outside the map of 2 x 2 pixels. Use labels of this image.",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(result, truth, error, message):
    with pytest.raises(error) as caught:
        score(result, truth)
    assert message in str(caught.value)


def test_a_class_that_no_legend_has_is_refused(make_map):
    with pytest.raises(
        LabelError, match=r"truth has class id 99, expected one of \[1, 2\]. Add it to the legend or to the ignored classes."
    ):
        score(make_map([[1, 2]]), np.array([[1, 99]]))
