"""Preparing Potsdam, on a generated folder of the same layout with smaller tiles whose blocks are known."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from pixelkin.errors import InputError, LabelError, MissingFileError, OutputError, RasterError
from pixelkin.experiments import potsdam
from pixelkin.experiments.dataset import merge_classes
from pixelkin.experiments.potsdam import LEGEND, MERGED, Layout, classes_of, halve, prepare, split_images

SMALL = Layout(labelled=("2_10", "6_7"), unlabelled=("7_13",), blocks=3, block_px=8)


def write(path: Path, data: np.ndarray, west: float = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=data.shape[1],
        width=data.shape[2],
        count=len(data),
        dtype=data.dtype,
        transform=Affine(0.05, 0, west, 0, -0.05, 5_800_000),
    ) as out:
        out.write(data)


def tile_classes(number: int) -> np.ndarray:
    """The class of each block: blocks count through the legend, starting at the tile's number."""
    blocks = (np.arange(9).reshape(3, 3) + number) % 6 + 1
    return np.kron(blocks, np.ones((8, 8), int)).astype(np.uint8)


def tile_image(number: int) -> np.ndarray:
    """Band 0 says the row, band 1 the column, band 2 the tile, band 3 is 100 times the parity of row + column."""
    row, col = np.mgrid[:24, :24]
    return np.stack([row, col, np.full_like(row, number), 100 * ((row + col) % 2)]).astype(np.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    colours = np.zeros((256, 3), np.uint8)
    for entry in LEGEND:
        colours[entry.id] = entry.color
    for number, tile in enumerate(("2_10", "6_7", "7_13")):
        write(tmp_path / "isprs/4_Ortho_RGBIR" / f"top_potsdam_{tile}_RGBIR.tif", tile_image(number), 1000 * number)
        painted = colours[tile_classes(number)].transpose(2, 0, 1)
        # Labels of the tile without labels come with 5_Labels_all, and must not be used.
        write(tmp_path / "isprs/5_Labels_all" / f"top_potsdam_{tile}_label.tif", painted, 1000 * number)
    return tmp_path / "isprs"


def test_the_real_layout_has_the_papers_numbers():
    split = split_images()
    assert (len(split.unlabelled), len(split.train) + len(split.test), len(split.test)) == (3150, 5400, 855)
    assert len({*split.unlabelled, *split.train, *split.test}) == 8550
    assert len(potsdam.POTSDAM.labelled) == 24
    assert potsdam.POTSDAM.tile_px == 6000
    assert split == split_images(seed=0)
    assert split.test != split_images(seed=1).test


def test_blocks_are_cut_halved_and_placed(source, tmp_path):
    out = prepare(source, tmp_path / "out", layout=SMALL)
    assert len(list((out / "images").iterdir())) == 27
    assert len(list((out / "labels").iterdir())) == 18
    with rasterio.open(out / "images" / "6_7_01_02.tif") as image:
        data = image.read()
        assert image.descriptions == ("red", "green", "blue", "nir")
        # Pixel (0, 0) of block (1, 2) covers rows 8, 9 and columns 16, 17 of the tile.
        np.testing.assert_allclose(image.transform.c, 1000 + 16 * 0.05)
        np.testing.assert_allclose(image.transform.f, 5_800_000 - 8 * 0.05)
        assert image.res == (0.1, 0.1)
    rows = 8 + 2 * np.arange(4)
    # The mean of r, r, r + 1, r + 1 is r + 1/2, rounded half up.
    np.testing.assert_array_equal(data[0], np.repeat(rows[:, None] + 1, 4, axis=1))
    np.testing.assert_array_equal(data[1], np.repeat(rows[None] + 9, 4, axis=0))
    assert set(data[2].ravel()) == {1}
    assert set(data[3].ravel()) == {50}
    with rasterio.open(out / "labels" / "6_7_01_02.tif") as label:
        np.testing.assert_array_equal(label.read(1), np.full((4, 4), (5 + 1) % 6 + 1))
        assert label.nodata == 0
        assert label.colormap(1)[2][:3] == (0, 0, 255)


def test_the_split_file_repeats_the_run(source, tmp_path):
    out = prepare(source, tmp_path / "out", layout=SMALL, seed=3)
    written = json.loads((out / "split.json").read_text())
    split = split_images(SMALL, 3)
    assert written["seed"] == 3
    assert tuple(written["test"]) == split.test
    assert len(split.test) == 3
    assert all((out / "labels" / f"{name}.tif").exists() for name in written["test"] + written["train"])


def test_zip_archives_give_the_same_as_folders(source, tmp_path):
    packed = tmp_path / "packed"
    packed.mkdir()
    for folder in source.iterdir():
        with zipfile.ZipFile(packed / f"{folder.name}.zip", "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"{folder.name}/{file.name}")
    a, b = prepare(source, tmp_path / "a", layout=SMALL), prepare(packed, tmp_path / "b", layout=SMALL)
    names = sorted(path.relative_to(a) for path in a.rglob("*.tif"))
    assert len(names) == 45
    for name in names:
        with rasterio.open(a / name) as left, rasterio.open(b / name) as right:
            np.testing.assert_array_equal(left.read(), right.read())


def test_an_interrupted_run_goes_on(source, tmp_path):
    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise StopError

    with pytest.raises(StopError):
        prepare(source, tmp_path / "out", layout=SMALL, progress=stop)
    first = tmp_path / "out/images/2_10_00_00.tif"
    before = first.stat().st_mtime_ns
    assert not (tmp_path / "out/dataset.json").exists()
    prepare(source, tmp_path / "out", layout=SMALL)
    assert first.stat().st_mtime_ns == before
    assert Counter(path.name[:4] for path in (tmp_path / "out/images").iterdir()) == {"2_10": 9, "6_7_": 9, "7_13": 9}
    with pytest.raises(OutputError, match="made with other options"):
        prepare(source, tmp_path / "out", layout=SMALL, seed=1)


def test_what_is_missing_is_named(source, tmp_path):
    (source / "5_Labels_all" / "top_potsdam_6_7_label.tif").unlink()
    (source / "4_Ortho_RGBIR" / "top_potsdam_7_13_RGBIR.tif").unlink()
    with pytest.raises(MissingFileError, match=r"2 Potsdam file.*top_potsdam_7_13_RGBIR\.tif, top_potsdam_6_7_label\.tif.*ISPRS"):
        prepare(source, tmp_path / "out", layout=SMALL)
    with pytest.raises(MissingFileError, match=r"is not there"):
        prepare(tmp_path / "nowhere", tmp_path / "out", layout=SMALL)


def test_an_unknown_colour_is_named_with_its_place(source, tmp_path):
    path = source / "5_Labels_all" / "top_potsdam_6_7_label.tif"
    with rasterio.open(path, "r+") as label:
        data = label.read()
        data[:, 17, 5] = (252, 240, 0)
        label.write(data)
    with pytest.raises(LabelError, match=r"top_potsdam_6_7_label\.tif has colour \(252, 240, 0\) at row 17, column 5.*\(255, 255, 0\) car"):
        prepare(source, tmp_path / "out", layout=SMALL)


def test_a_colour_next_to_a_class_is_that_class_with_a_word(caplog):
    """Tile 4_12 as distributed has such pixels."""
    colours = np.array([[[255, 252, 0]], [[255, 255, 0]], [[0, 0, 255]]], np.uint8)
    car, blue = (next(entry.id for entry in LEGEND if entry.color == color) for color in ((255, 255, 0), (0, 0, 255)))
    np.testing.assert_array_equal(classes_of(colours, "top_potsdam_4_12_label.tif"), [[car, car, blue]])
    assert "top_potsdam_4_12_label.tif: 1 pixels" in caplog.text


def test_tiles_that_do_not_fit_are_refused(source, tmp_path):
    label = source / "5_Labels_all" / "top_potsdam_2_10_label.tif"
    with rasterio.open(label) as opened:
        data = opened.read()
    write(label, data[:, :16])
    with pytest.raises(RasterError, match=r"top_potsdam_2_10_label\.tif has 3 bands of 16 x 24 uint8, expected 3 bands of 24 x 24"):
        prepare(source, tmp_path / "a", layout=SMALL)
    write(label, data, west=77)
    with pytest.raises(RasterError, match=r"not of one tile"):
        prepare(source, tmp_path / "b", layout=SMALL)


def test_a_folder_of_something_else_is_left_alone(source, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"not empty"):
        prepare(source, tmp_path / "mine", layout=SMALL)


def test_halving_is_the_mean_of_four(rng):
    image = rng.integers(0, 256, (2, 6, 8)).astype(np.uint8)
    mean = image.reshape(2, 3, 2, 4, 2).mean(axis=(2, 4))
    np.testing.assert_array_equal(halve(image), np.floor(mean + 0.5))


def test_six_classes_become_three():
    classes, legend = merge_classes(np.array([[0, 1, 2, 3, 4, 5, 6]], np.uint8), LEGEND, MERGED)
    np.testing.assert_array_equal(classes, [[0, 1, 3, 2, 2, 1, 3]])
    assert legend.names == ("road and car", "vegetation and tree", "building and clutter")
    with pytest.raises(InputError, match=r"expected each of .* once"):
        merge_classes(classes, LEGEND, {"all": ("car",)})
