"""References travel: to files, to other dates, into other references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.networks import random_model

from pixelkin.errors import LabelError, MissingFileError, ModelError, OutputError
from pixelkin.features import References, collect, stack_of
from pixelkin.scene import ArrayScene
from pixelkin.types import LabelledPixels, Legend, LegendClass


@pytest.fixture
def scene(rng) -> ArrayScene:
    return ArrayScene(rng.integers(0, 255, (3, 40, 50), dtype=np.uint8))


def make(scene, model, pixels, names=("water", "land"), classes=None) -> References:
    rows, cols = np.array(pixels).T
    legend = Legend.from_names(names)
    classes = np.arange(len(pixels)) % len(names) + 1 if classes is None else classes
    return collect(stack_of(model), scene, LabelledPixels.from_arrays(rows, cols, classes, legend))


def assert_same(left: References, right: References) -> None:
    np.testing.assert_array_equal(left.classes, right.classes)
    assert left.legend == right.legend
    assert (left.model_hash, left.band_names) == (right.model_hash, right.band_names)
    torch.testing.assert_close(left.s, right.s, rtol=0, atol=0)
    torch.testing.assert_close(left.bands, right.bands, rtol=0, atol=0)
    torch.testing.assert_close(left.c[left.windows], right.c[right.windows], rtol=0, atol=0)


def test_a_file_gives_back_the_same_references(scene, tmp_path):
    references = make(scene, random_model(), [(3, 4), (20, 30), (39, 49)])
    references.save(tmp_path / "refs.safetensors")
    loaded = References.load(tmp_path / "refs.safetensors")
    assert_same(references, loaded)
    assert loaded.hash == references.hash


def test_the_file_is_not_written_over(scene, tmp_path):
    references = make(scene, None, [(3, 4), (20, 30)])
    references.save(tmp_path / "refs.safetensors")
    with pytest.raises(OutputError, match=r"refs\.safetensors is there already.*overwrite=True"):
        references.save(tmp_path / "refs.safetensors")
    references.save(tmp_path / "refs.safetensors", overwrite=True)


def test_taking_then_merging_is_the_identity(scene):
    references = make(scene, random_model(), [(3, 4), (3, 5), (3, 6), (20, 30)])
    assert_same(references.take([0, 1]).merge(references.take([2, 3])), references)


def test_dropping_a_class_drops_its_pixels_and_its_name(scene):
    references = make(scene, random_model(), [(3, 4), (3, 5), (3, 6), (20, 30)]).drop("land")
    assert references.legend.names == ("water",)
    np.testing.assert_array_equal(references.classes, [1, 1])
    assert len(references.c) < 2 * 25, "positions of the dropped class are gone"


def test_merging_matches_classes_by_name_and_finds_free_ids(scene):
    model = random_model()
    ours = make(scene, model, [(3, 4), (20, 30)], names=("water", "land"))
    theirs = make(scene, model, [(7, 8), (9, 9)], names=("land", "snow"))
    both = ours.merge(theirs)
    assert both.legend.names == ("water", "land", "snow")
    np.testing.assert_array_equal(both.classes, [1, 2, 2, 3])


def test_references_of_another_model_are_refused(scene):
    with pytest.raises(ModelError, match="cannot join references of model"):
        make(scene, random_model(seed=1), [(1, 1)]).merge(make(scene, random_model(seed=2), [(2, 2)]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged or not a safetensors file"),
        (b"\x80\x04\x95 a pickle", "Pickles are never loaded"),
        (b"\x00" * 64, "damaged or not a safetensors file"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(tmp_path, content, message):
    (tmp_path / "refs.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        References.load(tmp_path / "refs.safetensors")


@pytest.mark.parametrize("name", ["features", "background", "bands", "s", "c"])
def test_numbers_that_are_none_are_refused(scene, tmp_path, name):
    references = make(scene, random_model(), [(3, 4), (20, 30)])
    getattr(references, name).view(-1)[0] = float("nan")
    path = references.save(tmp_path / "refs.safetensors")
    with pytest.raises(ModelError, match=r"refs.safetensors does not hold the references .*numbers that are not finite.* save them again"):
        References.load(path)


def test_a_model_file_is_not_references(tmp_path):
    random_model().save(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="holds 'model', expected a pixelkin references"):
        References.load(tmp_path / "model.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"gone\.safetensors is not there"):
        References.load(tmp_path / "gone.safetensors")


def test_labels_outside_the_image_are_named(scene):
    with pytest.raises(LabelError, match=r"labelled pixel 1 at row 40, column 2 is outside array, expected rows 0 to 39"):
        make(scene, None, [(0, 0), (40, 2)])


def test_labels_on_no_data_are_named(scene):
    mask = np.ones((40, 50), bool)
    mask[5, 6] = False
    with pytest.raises(LabelError, match="labelled pixel 1 at row 5, column 6 of array is no-data"):
        make(ArrayScene(scene.data, mask), None, [(0, 0), (5, 6)])


def test_more_than_255_classes_are_refused(scene):
    many = Legend(tuple(LegendClass(i, f"class {i}", (0, 0, 0)) for i in range(1, 256)))
    ours = collect(stack_of(None), scene, LabelledPixels.from_arrays([1], [1], [1], many))
    with pytest.raises(LabelError, match="more than 255 classes"):
        ours.merge(make(scene, None, [(2, 2)], names=("one more",)))
