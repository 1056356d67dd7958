"""A map model that was exported says what `segment` says, without torch."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

import pixelkin as pk
from pixelkin.cli import main
from pixelkin.errors import InputError, OutputError
from pixelkin.features import BandFeatures
from pixelkin.model import Model, Standardisation
from pixelkin.portable import export_onnx
from pixelkin.portable.map_model import MapModel
from tests.networks import random_model

OWN = ["encoder", "bands"]


def marks(truth, count, names, seed=0, until=None):
    """Some pixels a class, from the columns up to `until`."""
    rng, found = np.random.default_rng(seed), []
    for i in range(1, len(names) + 1):
        rows, cols = np.nonzero(truth[:, :until] == i)
        chosen = rng.choice(len(rows), count, replace=False)
        found.append((rows[chosen], cols[chosen], np.full(count, i, np.uint8)))
    return pk.LabelledPixels(*(np.concatenate(part) for part in zip(*found, strict=True)), pk.Legend.from_names(names))


def model_of(scene):
    """Random weights, with the statistics of a scene."""
    model, pixels = random_model(bands=len(scene.bands)), scene.read()
    return Model(model.network, Standardisation.estimate(pixels.data[:, pixels.valid], scene.bands))


def compare(segmenter, scene, folder, image=None):
    """Share of pixels of the same class, the largest difference of confidence but for one in a thousand, and the map model's map."""
    export_onnx(segmenter, folder, image)
    model, pixels = MapModel(folder, threads=1), scene.read()
    classes, confidence = model.predict(pixels.data, pixels.valid)
    expected = segmenter.predict(scene)
    assert (classes[~pixels.valid] == 0).all()
    difference = np.abs(confidence - expected.confidence)[pixels.valid]
    return (classes == expected.classes)[pixels.valid].mean(), np.quantile(difference, 0.999), classes, confidence


@pytest.fixture(scope="module")
def lake(imagery):
    """Two dates of a part of a reservoir, and marks on the first."""
    names = ("2020-02-02", "2021-07-16", "2020-02-02_water")
    data = [pk.open_scene(imagery / "boadella" / f"{name}.tif").read().data[:, 100:300, 90:290] for name in names]
    colours = ("red", "green", "blue", "nir")
    scene, other = (pk.ArrayScene(part, bands=colours, transform=(10, 0, 0, 0, -10, 0), crs="EPSG:32631") for part in data[:2])
    return scene, other, marks(data[2][0] + 1, 20, ["land", "water"])


@pytest.mark.parametrize("method", ["auto", "vote", "logistic"])
def test_another_date_is_mapped_as_segment_maps_it(lake, method, tmp_path):
    scene, other, labels = lake
    segmenter = pk.Segmenter(model_of(scene), method=method, label_transfer=False).fit(scene, labels)
    agreement, difference, *_ = compare(segmenter, other, tmp_path)
    assert agreement >= 0.999
    assert difference <= 0.01


def test_the_labelled_image_is_mapped_as_segment_maps_it(imagery, tmp_path):
    """By pretrained features, by what is near, and by its labels themselves."""
    image, truth = (pk.open_scene(imagery / "vegas" / f"{name}.tif").read().data[:, 120:400, 200:500] for name in ("image", "classes"))
    scene = pk.ArrayScene(image, bands=("red", "green", "blue", "nir"))
    labels = marks(truth[0], 40, ["building", "road", "tree"], until=150)
    segmenter = pk.Segmenter().fit(scene, labels)
    assert "pretrained" in segmenter.features.names
    agreement, difference, classes, confidence = compare(segmenter, scene, tmp_path, scene)
    assert agreement >= 0.999
    assert difference <= 0.01
    assert (classes[labels.rows, labels.cols] == labels.classes).all()
    assert (confidence[labels.rows, labels.cols] == 1).all()
    with pytest.raises(ValueError, match="expected all of"):
        MapModel(tmp_path).predict(image[:, :100])


def test_a_date_that_labels_are_transferred_to_is_mapped_as_segment_maps_it(lake, tmp_path):
    scene, other, labels = lake
    agreement, *_ = compare(pk.Segmenter(model_of(scene), features=OWN).fit(scene, labels), other, tmp_path, other)
    assert agreement >= 0.999


@pytest.fixture(scope="module")
def patchwork():
    """An image of odd size with a hole and a lonely column, without bands of a photograph; and marks."""
    rng = np.random.default_rng(7)
    truth = (np.add.outer(np.arange(301) // 40, np.arange(277) // 40) % 3 + 1).astype(np.uint8)
    data = (60 * truth + rng.normal(0, 12, (2, 301, 277))).astype(np.float32)
    data[:, 50:80, 30:60] = np.nan
    labels = truth.copy()
    labels[45:85, 25:65] = 0
    return pk.ArrayScene(data), marks(labels, 25, ["a", "b", "c"])


@pytest.mark.parametrize("priors", ["image", "equal"])
def test_holes_and_edges_are_mapped_as_segment_maps_them(patchwork, priors, tmp_path):
    scene, labels = patchwork
    other = pk.ArrayScene(scene.read().data[:, :290] + 15)
    segmenter = pk.Segmenter(None, features=["bands"], priors=priors).fit(scene, labels)
    agreement, difference, *_ = compare(segmenter, other, tmp_path)
    assert agreement >= 0.999
    assert difference <= 0.01


def test_parts_with_a_margin_make_the_map_of_the_whole(lake, tmp_path):
    scene, other, labels = lake
    export_onnx(pk.Segmenter(model_of(scene), features=OWN).fit(scene, labels), tmp_path)
    model, data = MapModel(tmp_path), other.read().data
    priors = model.proportions(data)
    whole, halo = model.predict(data)[0], model.halo + model.halo % 2
    rows, cols = slice(60 - halo, 120 + halo), slice(40 - halo, 140 + halo)
    part = model.predict(data[:, rows, cols], priors=priors)[0][halo:-halo, halo:-halo]
    assert (part == whole[60:120, 40:140]).mean() >= 0.999
    alone = model.predict(data[:, 60:120, 40:140], priors="equal")[0]
    assert (alone != whole[60:120, 40:140]).any()


def test_it_runs_without_pixelkin_and_torch(patchwork, tmp_path):
    scene, labels = patchwork
    segmenter = pk.Segmenter(None, features=["bands"]).fit(scene, labels)
    export_onnx(segmenter, tmp_path / "out")
    other = scene.read().data[:, 100:200, 100:200] + 5
    np.save(tmp_path / "bands.npy", other)
    code = """
import sys, numpy as np
sys.path.insert(0, "out")
from map_model import MapModel
classes, _ = MapModel("out").predict(np.load("bands.npy"))
np.save("map.npy", classes)
assert not {"torch", "pixelkin", "rasterio", "scipy", "sklearn"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    expected = segmenter.predict(pk.ArrayScene(other)).classes
    assert (np.load(tmp_path / "map.npy") == expected).mean() >= 0.999


class Vectors(BandFeatures):
    """Somebody's own source."""

    name = "vectors"

    def group(self, scene):
        return dataclasses.replace(super().group(scene), name="vectors")


def test_what_cannot_be_exported_is_refused_and_nothing_is_written(patchwork, tmp_path):
    scene, labels = patchwork
    with pytest.raises(InputError, match="'nearest', expected 'auto', 'vote' or 'logistic'"):
        export_onnx(pk.Segmenter(None, method="nearest").fit(scene, labels), tmp_path / "out")
    with pytest.raises(InputError, match="'vectors', expected some of 'encoder', 'bands', 'pretrained'"):
        export_onnx(pk.Segmenter(None, features=[Vectors(None)]).fit(scene, labels), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    segmenter = pk.Segmenter(None, features=["bands"]).fit(scene, labels)
    export_onnx(segmenter, tmp_path / "out")
    with pytest.raises(OutputError, match="is there already"):
        export_onnx(segmenter, tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file, expected a folder"):
        export_onnx(segmenter, tmp_path / "file")
    model = MapModel(tmp_path / "out")
    with pytest.raises(ValueError, match=r"expected \(band, row, col\)"):
        model.predict(np.zeros((5, 10, 10)))
    with pytest.raises(ValueError, match="expected 'image', 'equal'"):
        model.predict(np.zeros((2, 10, 10)), priors="rare")


def test_export_is_a_command(patchwork, tmp_path, capsys):
    scene, labels = patchwork
    references = pk.Segmenter(None, features=["bands"]).fit(scene, labels).references
    references.save(tmp_path / "refs.safetensors")

    def run(*args):
        try:
            main([str(arg) for arg in args])
        except SystemExit as exc:
            return exc.code, capsys.readouterr()
        return 0, capsys.readouterr()

    command = ["export", tmp_path / "refs.safetensors", "--onnx", tmp_path / "out"]
    code, said = run(*command, "--json")
    assert code == 0, said.err
    assert [name.rsplit("/")[-1] for name in json.loads(said.out)["written"]] == ["map_model.onnx", "map_model.json", "map_model.py"]
    code, said = run(*command)
    assert code == 2
    assert "is there already, expected a new name. Choose another name, or replace it with --overwrite." in said.err
    code, said = run(*command, "--overwrite", "--method", "nearest")
    assert code == 2
    assert "--method is 'nearest', expected 'auto', 'vote' or 'logistic'" in said.err
    code, said = run(*command, "--overwrite", "--model", "m.safetensors")
    assert code == 2
    assert "was made without a model. Leave --model out." in said.err
