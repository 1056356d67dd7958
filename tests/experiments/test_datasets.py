"""Finding out what a folder holds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pixelkin.errors import InputError, LabelError, MissingFileError, RasterError
from pixelkin.experiments.datasets import open_data
from pixelkin.experiments.potsdam import prepare
from pixelkin.types import Window

from .conftest import fields, picture, write_raster
from .test_potsdam import SMALL, source  # noqa: F401 - a fixture


def test_images_with_label_rasters(images_folder):
    data = open_data(images_folder)
    assert data.kind == "images"
    assert [task.name for task in data.tasks] == ["north", "south"]
    assert [scene.name for scene in data.training] == ["north", "south", "west"]
    assert data.patch_size == 13
    np.testing.assert_array_equal(data.tasks[0].labelled.classes, fields(40, 48))
    assert data.tasks[0].scored == (data.tasks[0].labelled,)


def test_of_many_labelled_images_some_are_learned_from_and_the_others_scored(tmp_path, rng):
    for name in "abcde":
        truth = fields(40, 48)
        write_raster(tmp_path / "images" / f"{name}.tif", picture(truth, rng))
        write_raster(tmp_path / "labels" / f"{name}.tif", truth[None])
    data = open_data(tmp_path)
    assert [scene.name for scene in data.training] == ["a", "c", "e"]
    assert [task.name for task in data.tasks] == ["b", "d"]


def test_photographs_are_images_too(tmp_path, rng):
    from PIL import Image

    truth = fields(40, 48)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    Image.fromarray(truth).save(tmp_path / "labels" / "yard.png")
    Image.fromarray(np.repeat(picture(truth, rng)[:1], 3, 0).transpose(1, 2, 0)).save(tmp_path / "images" / "yard.jpg")
    assert [task.name for task in open_data(tmp_path).tasks] == ["yard"]


def test_a_legend_file_names_classes(images_folder):
    (images_folder / "legend.json").write_text(json.dumps({"1": "road", "2": "roof", "3": "tree"}))
    assert open_data(images_folder).legend.names == ("road", "roof", "tree")
    (images_folder / "legend.json").write_text("[1, 2]")
    with pytest.raises(LabelError, match=r"legend\.json is not a legend"):
        open_data(images_folder)


def test_a_series_scores_other_dates_and_one_class_means_the_rest_is_another(series_folder):
    data = open_data(series_folder)
    assert data.kind == "series"
    assert data.legend.names == ("water", "not water")
    assert data.patch_size == 9
    assert [(task.name, [truth.scene.name for truth in task.scored]) for task in data.tasks] == [
        ("2020-01-05", ["2020-08-05"]),
        ("2020-08-05", ["2020-01-05"]),
    ]
    assert len(data.training[0]) == 3
    assert set(np.unique(data.tasks[0].labelled.classes)) == {1, 2}


def test_large_images_become_crops_of_the_papers_size(tmp_path, rng):
    truth = fields(450, 410)
    truth[:200, :200] = 0
    write_raster(tmp_path / "big.tif", picture(truth, rng))
    write_raster(tmp_path / "truth.tif", truth[None])
    data = open_data(tmp_path)
    assert [task.name for task in data.tasks] == ["big-0-200", "big-200-0", "big-200-200"]
    assert data.skipped == ("big-0-0",)
    crop = data.tasks[2].labelled
    window = Window(200, 200, 200, 200)
    np.testing.assert_array_equal(crop.classes, truth[window.slices])
    np.testing.assert_array_equal(crop.scene.read().data, data.training[0].read(window).data)
    assert crop.scene.grid == data.training[0].grid.crop(window)


def test_prepared_potsdam(source, tmp_path):  # noqa: F811
    folder = prepare(source, tmp_path / "prepared", layout=SMALL)
    data = open_data(folder)
    assert data.name == "potsdam"
    assert data.class_counts == (6, 3)
    assert len(data.tasks) == 3
    assert len(data.training) == 9, "the tile without labels"
    assert not {task.name for task in data.tasks} & {scene.name for scene in data.training}
    six, _ = data.classes(data.tasks[0].labelled, 6)
    three, legend = data.classes(data.tasks[0].labelled, 3)
    assert (six[0, 0], legend.by_id(int(three[0, 0])).name) in {
        (1, "road and car"), (2, "building and clutter"), (3, "vegetation and tree"),
        (4, "vegetation and tree"), (5, "road and car"), (6, "building and clutter"),
    }  # fmt: skip
    with pytest.raises(InputError, match=r"N is 4, expected one of \[6, 3\]"):
        data.classes(data.tasks[0].labelled, 4)
    # Training may be on a part of many small images.
    assert len(data.training_sample(5 * 16, seed=0)) == 5
    assert len(data.training_sample(10**9, seed=0)) == 9


def test_the_fingerprint_is_of_the_content(images_folder, rng):
    before = open_data(images_folder).fingerprint
    moved = images_folder.rename(images_folder.with_name("elsewhere"))
    assert open_data(moved).fingerprint == before
    write_raster(moved / "west.tif", picture(fields(40, 48), rng), ("red", "nir"))
    assert open_data(moved).fingerprint != before


def test_folders_that_cannot_be_used(tmp_path, images_folder, rng):
    with pytest.raises(MissingFileError, match=r"is not a folder"):
        open_data(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match=r"has no image"):
        open_data(tmp_path / "empty")
    write_raster(images_folder / "odd.tif", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(RasterError, match=r"odd has bands .*'band_3'.*expected \['red', 'nir'\]"):
        open_data(images_folder)
    (images_folder / "odd.tif").unlink()
    write_raster(images_folder / "attic_classes.tif", fields(40, 48)[None])
    with pytest.raises(LabelError, match=r"attic_classes\.tif fits no image"):
        open_data(images_folder)
    (images_folder / "attic_classes.tif").unlink()
    write_raster(images_folder / "north_classes.tif", fields(30, 48)[None])
    with pytest.raises(LabelError, match=r"north_classes\.tif: it has 30 x 48 pixels, expected 40 x 48"):
        open_data(images_folder)
    for path in images_folder.glob("*_classes.tif"):
        path.unlink()
    with pytest.raises(MissingFileError, match=r"has no label raster"):
        open_data(images_folder)


def test_an_unfinished_preparation_is_named(tmp_path):
    (tmp_path / "progress.json").write_text("{}")
    with pytest.raises(MissingFileError, match=r"not prepared to the end"):
        open_data(tmp_path)


def test_real_imagery(imagery):
    vegas, boadella = open_data(imagery / "vegas"), open_data(imagery / "boadella")
    assert (vegas.kind, len(vegas.tasks), len(vegas.legend)) == ("images", 6, 3)
    assert (boadella.kind, sum(len(task.scored) for task in boadella.tasks)) == ("series", 12)
    assert boadella.legend.names == ("water", "not water")
