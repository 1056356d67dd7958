"""How the command line says how an image is read, and what it refuses because of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio

from pixelkin.raster import read_map


@pytest.fixture
def image(tmp_path):
    """Eight bands of 60 x 50 pixels, left half dark, and labels."""

    def write(name="a.tif", *, dtype="int16", nodata=-1, missing=(), scale=None, add=0):
        data = np.random.default_rng(0).integers(200, 260, (4, 60, 50)).astype(dtype) + np.dtype(dtype).type(add)
        data[:, :, 25:] += 120
        for band, rows in missing:
            data[band, rows] = -1 if nodata is None else nodata
        with rasterio.open(
            tmp_path / name, "w", driver="GTiff", count=4, height=60, width=50, dtype=dtype, nodata=nodata, crs="EPSG:32631",
            transform=rasterio.Affine(10, 0, 500000, 0, -10, 4600000),
        ) as file:  # fmt: skip
            file.write(data)
            if scale:
                file.scales, file.offsets = [scale] * 4, [-scale * add] * 4
        marks = ((5, 3, "dark"), (40, 10, "dark"), (9, 40, "light"), (50, 30, "light"))
        (tmp_path / "labels.csv").write_text("x,y,class\n" + "".join(f"{500005 + 10 * c},{4599995 - 10 * r},{k}\n" for r, c, k in marks))
        return tmp_path / name

    return write


def test_info_tells_how_numbers_are_read(run, image, capsys):
    path = image(scale=0.001, add=100, missing=[(2, slice(0, 15))])
    assert run("info", path, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["type"] == "float32"
    assert told["scale, offset applied"] == dict.fromkeys(told["bands"], "0.001, -0.1")
    assert told["no-data"] == [-1]
    assert told["valid of each band"] == {"band_1": 1, "band_2": 1, "band_3": 0.75, "band_4": 1}
    assert told["valid"] == 0.75
    assert told["colour interpretation"] == ["1 gray", "2 undefined", "3 undefined", "4 undefined"]
    assert 0.2 <= told["min, median, max"]["band_1"][0] < 0.21
    assert run("info", path, "--no-scale", "--nodata", "none", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["type"], told["valid"], "scale, offset applied" in told) == ("int16", 1, False)
    assert 300 <= told["min, median, max"]["band_1"][0] < 310


def test_a_dead_band_is_named_and_the_advice_works(run, image, tmp_path, capsys):
    path = image(missing=[(1, slice(None))])
    command = ["segment", path, "--raw", "--labels", tmp_path / "labels.csv", "--out", tmp_path / "map.tif"]
    for words in (command, ["train", path, "--out", tmp_path / "m.safetensors"]):
        assert run(*words) == 2
        error = capsys.readouterr().err
        assert "band 'band_2' has no data at all" in error
        assert "--bands band_1,band_3,band_4" in error
    assert run(*command, "--bands", "band_1,band_3,band_4") == 0
    assert read_map(tmp_path / "map.tif").valid.all()


def test_a_stack_in_which_no_pixel_has_all_bands(run, image, tmp_path, capsys):
    path = image(missing=[(0, slice(0, 30)), (1, slice(30, 60)), (2, slice(0, 6))])
    command = ["segment", path, "--raw", "--labels", tmp_path / "labels.csv", "--out", tmp_path / "map.tif"]
    assert run(*command) == 2
    error = capsys.readouterr().err
    assert "no pixel in which all 4 bands are data (each band is, in 50% to 100% of the pixels)" in error
    assert "--missing fill" in error
    assert run(*command, "--missing", "fill") == 0
    found = read_map(tmp_path / "map.tif")
    assert found.valid.all()
    assert (found.classes[:, :23] == 1).mean() > 0.95
    assert (found.classes[:, 27:] == 2).mean() > 0.95


def test_references_of_raw_bands_know_their_scale(run, image, tmp_path, capsys):
    scaled, plain = image("scaled.tif", scale=0.001), image("plain.tif")
    common = ["segment", "--raw", "--out", tmp_path / "map.tif", "--overwrite"]
    assert run(*common, scaled, "--labels", tmp_path / "labels.csv", "--save-references", tmp_path / "r.safetensors") == 0
    assert run(*common, plain, "--references", tmp_path / "r.safetensors") == 2
    assert "plain is not on the scale of the labelled image" in capsys.readouterr().err
    assert run(*common, scaled, "--references", tmp_path / "r.safetensors") == 0


@pytest.mark.parametrize("command", ["segment", "train", "embed", "info"])
def test_a_no_data_value_that_is_no_number(run, image, capsys, command):
    assert run(command, image(), "--nodata", "empty") == 2
    assert "'empty' is no number, expected one such as -9999, or none" in capsys.readouterr().err


def test_band_files_train_as_one_image(run, tmp_path, capsys):
    data = np.random.default_rng(0).integers(1, 3000, (3, 40, 50), dtype=np.uint16)
    files = []
    for name, band in zip(("B02", "B03", "B04"), data, strict=True):
        files.append(tmp_path / f"T31TDG_20200202T105221_{name}.tif")
        with rasterio.open(files[-1], "w", driver="GTiff", count=1, height=40, width=50, dtype="uint16", crs="EPSG:32631",
                           transform=rasterio.Affine(10, 0, 500000, 0, -10, 4600000)) as file:  # fmt: skip
            file.write(band, 1)
    assert run("train", *files, "--out", tmp_path / "m.safetensors", "--steps", 1, "--patch-size", 7) == 0
    assert "for bands B02, B03, B04" in capsys.readouterr().out


def test_embeddings_are_mapped_without_training(run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    kinds = rng.integers(-90, 90, (2, 64))
    numbers = kinds[(np.arange(50) >= 25).astype(int)].T[:, None, :] + rng.integers(-20, 20, (64, 60, 50))
    with rasterio.open(tmp_path / "e_2021.tif", "w", driver="GTiff", count=64, height=60, width=50, dtype="int8", nodata=-128, crs="EPSG:32631",
                       transform=rasterio.Affine(10, 0, 500000, 0, 10, 4599400)) as file:  # fmt: skip
        file.write(numbers.astype("int8"))
        file.descriptions = [f"A{i:02d}" for i in range(64)]
    marks = ((5, 3, "left"), (40, 10, "left"), (9, 40, "right"), (50, 30, "right"))
    (tmp_path / "labels.csv").write_text("x,y,class\n" + "".join(f"{500005 + 10 * c},{4599995 - 10 * r},{k}\n" for r, c, k in marks))
    assert run("segment", tmp_path / "e_2021.tif", "--labels", tmp_path / "labels.csv", "--out", tmp_path / "map.tif") == 0
    assert "training" not in capsys.readouterr().err
    found = read_map(tmp_path / "map.tif")
    assert (found.classes[:, :22] == 1).mean() > 0.99
    assert (found.classes[:, 28:] == 2).mean() > 0.99
    assert not list(tmp_path.glob("*.safetensors"))
    assert run("info", tmp_path / "e_2021.tif", "--json") == 0
    assert json.loads(capsys.readouterr().out)["encoding"] == "embedding: AlphaEarth"


def test_info_advises_in_options_of_the_command(tmp_path, run, capsys):
    data = np.random.default_rng(0).integers(0, 200, (4, 40, 40), dtype=np.uint8)
    with rasterio.open(
        tmp_path / "a.tif",
        "w",
        driver="GTiff",
        count=4,
        height=40,
        width=40,
        dtype="uint8",
        photometric="RGB",
        alpha="YES",
        transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
    ) as file:
        file.write(data)
    assert run("info", tmp_path / "a.tif", "--json") == 0
    (note,) = json.loads(capsys.readouterr().out)["taken to be so"]
    assert note.endswith("leave it out: --bands band_1,band_2,band_3")
