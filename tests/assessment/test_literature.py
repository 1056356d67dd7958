"""Estimates against the worked examples of the literature, to the last printed digit."""

import numpy as np
import pytest

from pixelkin.assessment import Reference, Sample, evaluate, ratio
from pixelkin.segmentation import Segmentation
from pixelkin.types import Grid, Legend


def stratified(strata, sizes):
    strata = np.asarray(strata)
    drawn = np.bincount(strata)
    weights = (np.asarray(sizes, float) / drawn)[strata]
    return Sample(weights, strata, np.arange(len(strata)), np.ones(len(strata)), drawn / np.asarray(sizes, float))


# The printed figures; standard errors to seven digits are those of R's mapac::aa_stratified for the same data, without the
# finite population correction.
STEHMAN_USERS = {"A": (0.7419355, 0.1645627), "B": (0.5744681, 0.1248023), "C": (0.5, 0.2151657), "D": (0.7, 0.1527525)}
STEHMAN_PRODUCERS = {"A": (0.6571429, 0.1477318), "B": (0.7941176, 0.1165671), "C": (0.3, 0.1504438)}
STEHMAN_F1 = {"A": 0.6969697, "B": 0.6666667, "C": 0.3750000}
STEHMAN_CELLS = {
    "AA": 0.23,
    "AB": 0.04,
    "AC": 0.04,
    "BA": 0.12,
    "BB": 0.27,
    "BC": 0.08,
    "CB": 0.02,
    "CC": 0.06,
    "CD": 0.04,
    "DB": 0.01,
    "DC": 0.02,
    "DD": 0.07,
}


class TestStehman2014:
    """International Journal of Remote Sensing 35, 4923-4939, table 2 and pages 4932 to 4936: 40 pixels, strata of another map."""

    strata = np.repeat([0, 1, 2, 3], 10)
    mapped = np.array(list("AAAAAAABBB" + "ABBBBBBBBB" + "BBCCCCCCBB" + "DDDDDDDDDD"))
    truth = np.array(list("AAAAACBABC" + "ABBBBBAABB" + "CCCCCDDBBA" + "DDDDDDDCCB"))
    sample = stratified(strata, [40_000, 30_000, 20_000, 10_000])

    def figure(self, y, x):
        found = ratio(self.sample, y, x, finite=False)
        return round(found.value, 7), round(found.standard_error, 7)

    def test_data_are_those_of_table_2(self):
        assert len(self.strata) == len(self.mapped) == len(self.truth) == 40

    def test_overall_accuracy_and_areas_are_as_printed(self):
        one = np.ones(40)
        overall = ratio(self.sample, self.mapped == self.truth, one)
        assert (round(overall.value, 2), round(overall.standard_error, 3)) == (0.63, 0.085)
        for name, share, error in (("A", 0.35, 0.082), ("C", 0.20, 0.064)):
            found = ratio(self.sample, self.truth == name, one)
            assert (round(found.value, 2), round(found.standard_error, 3)) == (share, error)

    @pytest.mark.parametrize("name", list("ABCD"))
    def test_users_accuracy(self, name):
        hit = (self.mapped == name) & (self.truth == name)
        assert self.figure(hit, self.mapped == name) == STEHMAN_USERS[name]

    @pytest.mark.parametrize("name", list("ABC"))
    def test_producers_accuracy_and_f1(self, name):
        hit = (self.mapped == name) & (self.truth == name)
        assert self.figure(hit, self.truth == name) == STEHMAN_PRODUCERS[name]
        assert self.figure(2 * hit, (self.truth == name) * 1 + (self.mapped == name))[0] == STEHMAN_F1[name]

    def test_every_cell_of_the_error_matrix(self):
        for mapped in "ABCD":
            for truth in "ABCD":
                found = ratio(self.sample, (self.mapped == mapped) & (self.truth == truth), np.ones(40)).value
                assert round(found, 2) == STEHMAN_CELLS.get(mapped + truth, 0)


class TestOlofsson2014:
    """Remote Sensing of Environment 148, 42-57, tables 8 and 9 and page 54: 640 pixels, four strata that are the map's classes.

    Two printed half-widths do not follow from the paper's own equation 7, and R's mapaccuracy does not give them either: producer's
    accuracy of forest gain (0.23; the equation gives 0.25) and of stable non-forest (0.01; 0.02). These are held to the equation.
    """

    counts = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])  # rows: map, columns: truth
    sizes = np.array([200_000, 150_000, 3_200_000, 6_450_000])
    mapped = np.repeat(np.arange(4), counts.sum(axis=1))
    truth = np.concatenate([np.repeat(np.arange(4), row) for row in counts])
    sample = stratified(mapped, sizes)
    z = 1.96  # as in the paper

    def figure(self, y, x, digits):
        found = ratio(self.sample, y, x, finite=False)
        return round(found.value, digits), round(self.z * found.standard_error, digits)

    def test_overall_accuracy(self):
        assert self.figure(self.mapped == self.truth, np.ones(640), 2) == (0.95, 0.02)

    @pytest.mark.parametrize(("index", "printed"), list(enumerate([(0.88, 0.07), (0.73, 0.10), (0.93, 0.04), (0.96, 0.02)])))
    def test_users_accuracy(self, index, printed):
        hit = (self.mapped == index) & (self.truth == index)
        assert self.figure(hit, self.mapped == index, 2) == printed

    @pytest.mark.parametrize(("index", "printed"), list(enumerate([(0.75, 0.21), (0.85, 0.25), (0.93, 0.03), (0.96, 0.02)])))
    def test_producers_accuracy(self, index, printed):
        hit = (self.mapped == index) & (self.truth == index)
        value, half = self.figure(hit, self.truth == index, 2)
        assert (value, half) == printed

    @pytest.mark.parametrize(
        ("index", "hectares", "half"), [(0, 21_158, 6_158), (1, 11_686, 3_756), (2, 285_770, 15_510), (3, 581_386, 16_282)]
    )
    def test_areas_in_hectares_to_the_last_digit(self, index, hectares, half):
        found = ratio(self.sample, self.truth == index, np.ones(640), finite=False)
        whole = self.sizes.sum() * 0.09
        assert round(found.value * whole) == hectares
        assert round(self.z * found.standard_error * whole) == half

    def test_shares_of_table_9(self):
        cells = {(0, 0): 0.0176, (0, 2): 0.0013, (0, 3): 0.0011, (1, 1): 0.0110, (1, 2): 0.0016, (1, 3): 0.0024, (2, 0): 0.0019,
                 (2, 2): 0.2967, (2, 3): 0.0213, (3, 0): 0.0040, (3, 1): 0.0020, (3, 2): 0.0179, (3, 3): 0.6212}  # fmt: skip
        for (mapped, truth), printed in cells.items():
            found = ratio(self.sample, (self.mapped == mapped) & (self.truth == truth), np.ones(640)).value
            assert round(found, 4) == printed

    def test_a_whole_evaluation_gives_the_same_figures(self):
        # The map with a pixel for every 1000 of the paper's, and its points in the pixels of their classes.
        sizes = self.sizes // 1000
        classes = np.repeat(np.arange(1, 5), sizes).astype(np.uint8)[None, :]
        names = ("deforestation", "forest gain", "stable forest", "stable non-forest")
        grid = Grid(1, classes.shape[1], (30.0, 0.0, 500_000.0, 0.0, -30.0, 5_000_000.0), "EPSG:32631")
        segmentation = Segmentation(classes, np.ones(classes.shape, np.float32), classes > 0, Legend.from_names(names), grid)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        place = np.concatenate([np.arange(n) % size for n, size in zip(self.counts.sum(axis=1), sizes, strict=True)])
        reference = Reference(
            Sample(self.sample.weights / 1000, self.mapped, np.arange(640), np.full(640, 900.0), self.sample.sampling_fractions * 1000),
            tuple(names[i] for i in self.truth), np.zeros(640, int), starts[self.mapped] + place, float(sizes.sum() * 900), names, False, (),
        )  # fmt: skip
        found = evaluate(segmentation, reference, finite=False)
        assert found.strata_are_classes
        np.testing.assert_array_equal(found.counts[:, :-1], self.counts.T)
        assert [round(value.value, 2) for value in found.users] == [0.88, 0.73, 0.93, 0.96]
        assert round(found.hectares * found.areas[0].stratified.value * 1000) == 21_158
        # Where strata are the map's classes the map has nothing to add: all three estimators agree.
        for area in found.areas:
            assert area.regression[0] == pytest.approx(area.stratified.value)
            assert area.ratio[0] == pytest.approx(area.stratified.value)


class TestOlofsson2013:
    """Remote Sensing of Environment 129, 122-131, example 1, as R's mapaccuracy and mapAccuracy document it."""

    counts = np.array([[97, 0, 3], [3, 279, 18], [2, 1, 97]])
    mapped = np.repeat(np.arange(3), counts.sum(axis=1))
    truth = np.concatenate([np.repeat(np.arange(3), row) for row in counts])
    sample = stratified(mapped, [22_353, 1_122_543, 610_228])

    def test_accuracies_and_area(self):
        def share(y, x):
            return round(ratio(self.sample, y, x).value, 2)

        hit = (self.mapped == 0) & (self.truth == 0)
        assert share(hit, self.mapped == 0) == 0.97  # equation 14
        assert share(hit, self.truth == 0) == 0.48  # equation 15
        assert round(ratio(self.sample, self.truth == 0, np.ones(500)).value * self.sample.weights.sum()) == 45_112
