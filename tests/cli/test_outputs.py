"""No output replaces an input, what can be refused is refused before the work, and a refusal leaves nothing behind."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pixelkin.errors import TrainingError


def state(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, and what it holds; every folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


@pytest.fixture
def refuse(folder, run, capsys, monkeypatch):
    """Runs a command that must be refused: one line, exit code 2, nothing changed, nothing trained or mapped."""

    def worked(*_: object, **__: object) -> None:
        raise AssertionError("it went to work")

    def one(*args: object, work: bool = False) -> str:
        before = state(folder)
        with monkeypatch.context() as patched:
            if not work:
                patched.setattr("pixelkin.training.train", worked)
                patched.setattr("pixelkin.segmenter.Segmenter.predict", worked)
            assert run(*args) == 2
        err = capsys.readouterr().err
        lines = [line for line in err.splitlines() if line.startswith(("pixelkin: error:", "Error:"))]
        assert len(lines) == 1, err
        assert "Traceback" not in err
        assert state(folder) == before
        return lines[0]

    return one


def aliases(path: Path) -> dict[str, Path]:
    """The same file under other names."""
    link, hard, up = (
        path.with_name(f"link{path.suffix}"),
        path.with_name(f"hard{path.suffix}"),
        path.parent / ".." / path.parent.name / path.name,
    )
    link.symlink_to(path)
    os.link(path, hard)
    relative = Path(os.path.relpath(path))
    return {"itself": path, "symlink": link, "hard link": hard, "dots": up, "relative": relative}


@pytest.mark.parametrize("alias", ["itself", "symlink", "hard link", "dots", "relative"])
def test_segment_never_writes_over_its_image(folder, image, refuse, alias):
    out = aliases(image)[alias]
    assert "is the image that is read" in refuse("segment", image, "--raw", "-l", folder / "labels.csv", "-o", out, "--overwrite")


@pytest.mark.parametrize(
    ("option", "name", "word"),
    [
        ("--areas", "labels.csv", "labels"),
        ("--save-references", "model.safetensors", "model"),
        ("--save-references", "refs.safetensors", "references"),
    ],
)
def test_segment_writes_nothing_over_what_it_reads(folder, image, refuse, run, capsys, option, name, word):
    model, labels = ("-m", folder / "model.safetensors"), ("-l", folder / "labels.csv")
    run("segment", image, *model, *labels, "-o", folder / "first.tif", "--save-references", folder / "refs.safetensors")
    capsys.readouterr()
    said = refuse(
        "segment", image, *model, *labels, "--references", folder / "refs.safetensors", "-o", folder / "map.tif", option, folder / name, "--overwrite",
    )  # fmt: skip
    assert f"is the {word} that is read" in said


def test_a_label_raster_and_polygon_labels_are_kept(folder, image, refuse, run):
    run("labels", "convert", folder / "labels.csv", folder / "labels.tif", "--scene", image)
    run("labels", "convert", folder / "labels.csv", folder / "labels.gpkg", "--scene", image)
    assert "is the labels" in refuse("segment", image, "--raw", "-l", folder / "labels.tif", "-o", folder / "labels.tif", "--overwrite")
    polygons = folder / "labels.gpkg"
    assert "is the labels" in refuse(
        "segment", image, "--raw", "-l", polygons, "-o", folder / "map.tif", "--polygons", polygons, "--overwrite"
    )


def test_members_of_series_mosaics_and_virtual_rasters_are_kept(folder, image, refuse):
    labels = ("-l", folder / "labels.csv")
    assert "2020-01-05.tif is the image" in refuse("segment", folder / "series", "--raw", *labels, "-o", folder / "series", "--overwrite")
    tiles = folder / "tiles"
    tiles.mkdir()
    shutil.copy(image, tiles / "a.tif")
    assert "a.tif is the image" in refuse("segment", tiles, "--mosaic", "--raw", *labels, "-o", tiles / "a.tif", "--overwrite")
    (folder / "virtual.vrt").write_text(
        '<VRTDataset rasterXSize="50" rasterYSize="60"><SRS>EPSG:32631</SRS><GeoTransform>500000, 10, 0, 4600000, 0, -10</GeoTransform>'
        + "".join(
            f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename relativeToVRT="1">series/2020-01-05.tif'
            f"</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
            for band in (1, 2, 3)
        )
        + "</VRTDataset>"
    )
    for name in ("virtual.vrt", "virtual.VRT"):
        (folder / name).exists() or (folder / "virtual.vrt").rename(folder / name)
        assert "2020-01-05.tif is the image" in refuse("segment", folder / name, "--raw", *labels, "-o", image, "--overwrite")
    with zipfile.ZipFile(folder / "archive.tif", "w") as archive:  # GDAL opens it by /vsizip, whatever it is called
        archive.write(image, "inner.tif")
    said = refuse("segment", f"/vsizip/{{{folder}/archive.tif}}/inner.tif", "--raw", *labels, "-o", folder / "archive.tif", "--overwrite")
    assert "archive.tif is the image" in said


def test_what_gdal_reads_along_is_kept(folder, image, refuse):
    """A mask and band names beside the image, and the tables of a Shapefile."""
    os.link(image, folder / "mask.tif")
    with rasterio.open(image) as source:
        profile = source.profile
    (folder / "labels.tif.aux.xml").write_text("<PAMDataset/>")
    with rasterio.open(folder / "labels.tif", "w", **profile) as out:
        out.write(rasterio.open(image).read())
    said = refuse(
        "segment", folder / "labels.tif", "--raw", "-l", folder / "labels.csv", "-o", folder / "series" / ".." / "labels.tif", "--overwrite"
    )
    assert "labels.tif is the image" in said


def test_convert_evaluate_train_and_embed_keep_their_inputs(folder, image, refuse, run, capsys):
    labels, model = folder / "labels.csv", folder / "model.safetensors"
    assert "is the labels" in refuse("labels", "convert", labels, labels, "--overwrite")
    run("labels", "convert", labels, folder / "labels.tif", "--scene", image)
    assert "is the image" in refuse("labels", "convert", labels, image, "--scene", image, "--overwrite")
    run("labels", "convert", labels, folder / "marks.shp", "--scene", image)
    (folder / "table").mkdir()
    (folder / "marks.dbf").rename(folder / "table" / "marks.dbf")
    os.link(folder / "table" / "marks.dbf", folder / "marks.dbf")
    assert "would replace" in refuse("labels", "convert", folder / "table" / "marks.dbf", folder / "marks.shp", "--overwrite")
    run("segment", image, "--raw", "-l", labels, "-o", folder / "map.tif")
    capsys.readouterr()
    assert "is the truth" in refuse("evaluate", folder / "map.tif", "-t", labels, "--areas", labels, "--overwrite")
    assert "is the image" in refuse("train", image, "-o", folder / "m.safetensors", "--log", image, "--overwrite")
    assert "is the image" in refuse("train", image, "-o", folder / "m.safetensors", "--checkpoint", image)
    assert "is the model" in refuse("embed", image, "-m", model, "-o", model, "--overwrite")
    assert "no archive of embeddings" in refuse("embed", image, "-m", model, "-o", folder / "table", "--overwrite")
    assert "would be replaced as a whole" in refuse("embed", image, "-m", model, "-o", folder / "series", "--overwrite")


def test_a_zarr_store_is_no_place_for_results(folder, image, refuse, run):
    run("embed", image, "-m", folder / "model.safetensors", "-o", folder / "a.zarr")
    assert "lies inside of" in refuse(
        "segment", folder / "a.zarr", "-m", folder / "model.safetensors", "-l", folder / "labels.csv", "-o", folder / "a.zarr" / "map.tif"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--areas", "x.xlsx"], "expected .csv or .json"),
        (["--areas", "nofolder/x.csv"], "nofolder is not there"),
        (["--polygons", "x.shp"], "expected .gpkg, .geojson or .json"),
        (["--polygons", "x"], "x has no suffix, expected .gpkg, .geojson or .json for polygons. Name it x.gpkg."),
        (["--picture", "x.jpg"], "expected .png"),
        (["--picture", "series"], "is a directory"),
        (["--save-references", "refs.bin"], "does not end in .safetensors"),
        (["--areas", "x.json", "--polygons", "x.json"], "is to hold two results"),
        (["--save-references", "labels.csv"], "does not end in .safetensors"),
        (["--picture", "labels.png"], "is there already"),
        (["--memory", "plenty"], "--memory is 'plenty', expected a size"),
        (["--memory", "1MiB"], "--memory"),
        (["--tile", "100"], "expected a multiple of 256"),
        (["--labels-date", "2020-01-05"], "is for a series"),
        (["--areas", "a" * 300 + ".csv"], "is a name of 304 bytes"),
    ],
)
@pytest.mark.parametrize("model", [["--raw"], ["--steps", "2", "--patch-size", "7"]])
def test_what_cannot_be_written_is_refused_before_the_work(folder, image, refuse, monkeypatch, model, extra, said):
    (folder / "labels.png").write_bytes(b"precious")
    monkeypatch.chdir(folder)
    assert said in refuse("segment", image, "-l", "labels.csv", "-o", "map.tif", *model, *extra)


@pytest.mark.parametrize("date", ["21.06.2020", "2020-13-01", "yesterday", "2021-01-01", "2020-01-05T10:00"])
def test_a_date_that_is_none_is_refused(folder, refuse, date):
    said = refuse("segment", folder / "series", "--steps", 2, "-l", folder / "labels.csv", "--labels-date", date, "-o", folder / "maps")
    assert date in said


def test_geojson_needs_a_place_on_earth(folder, image, refuse):
    with rasterio.open(image) as source:
        profile, data = {**source.profile, "crs": None}, source.read()
    with rasterio.open(folder / "nowhere.tif", "w", **profile) as out:
        out.write(data)
    said = refuse(
        "segment",
        folder / "nowhere.tif",
        "--raw",
        "-l",
        folder / "labels.csv",
        "-o",
        folder / "map.tif",
        "--polygons",
        folder / "x.geojson",
    )
    assert "the map has no CRS" in said


@pytest.mark.parametrize("option", ["--polygons", "--picture", "--areas"])
def test_an_empty_name_is_refused_for_a_series_too(folder, refuse, option):
    assert "has no suffix" in refuse("segment", folder / "series", "--raw", "-l", folder / "labels.csv", "-o", folder / "maps", option, "")


@pytest.mark.parametrize("name", ["maps.tif", "maps.png", "labels.csv", "labels.csv/maps"])
def test_a_series_makes_no_folder_of_a_files_name(folder, refuse, name):
    said = refuse("segment", folder / "series", "--raw", "-l", folder / "labels.csv", "-o", folder / name)
    assert "expected a folder" in said


def test_a_series_that_is_refused_makes_no_folder(folder, refuse):
    maps = folder / "new" / "maps"
    assert "MiB" in refuse("segment", folder / "series", "--raw", "-l", folder / "labels.csv", "-o", maps, "--memory", "1MiB", work=True)
    assert not (folder / "new").exists()


def test_a_map_of_a_series_that_is_there_is_kept(folder, refuse):
    (folder / "maps").mkdir()
    (folder / "maps" / "2020-03-01.tif").write_bytes(b"precious")
    assert "is there already" in refuse("segment", folder / "series", "--steps", 2, "-l", folder / "labels.csv", "-o", folder / "maps")


def test_an_image_that_breaks_off_leaves_nothing_that_stands_in_the_way(folder, image, run, capsys):
    """The advice is to write the file again: a run of the new file must not be refused for the old one's sake."""
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) - 3000])
    args = ("segment", image, "--raw", "-l", folder / "labels.csv", "-o", folder / "map.tif")
    assert run(*args) == 2
    assert "damaged or cut short" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["labels.csv", "model.safetensors", "series"]
    image.write_bytes(whole)
    assert run(*args) == 0


def test_a_date_that_is_damaged_costs_no_other_date(folder, run, capsys):
    """Dates that are finished are kept; with the damaged one copied again the same command ends well, and maps only that one."""
    last = folder / "series" / "2020-03-01.tif"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) - 3000])
    args = ("segment", folder / "series", "--raw", "-l", folder / "labels.csv", "-o", folder / "maps", "--areas", folder / "areas.csv")
    assert run(*args) == 2
    first = folder / "maps" / "2020-01-05.tif"
    made = first.stat().st_mtime_ns
    last.write_bytes(whole)
    assert run(*args) == 0, capsys.readouterr().err
    assert first.stat().st_mtime_ns == made
    assert len((folder / "areas.csv").read_text().splitlines()) == 5
    assert not list((folder / "maps").glob(".*"))


def test_files_that_are_broken_get_one_line(folder, image, refuse):
    """What fuzzing found: a file without layers, text in no encoding, complex numbers, values beyond reason, a transform without area."""
    labels = ("-l", folder / "labels.csv")
    (folder / "empty.gpkg").write_bytes(b"")
    with rasterio.open(image) as source:
        profile, data = source.profile, source.read()
    huge = np.where(np.arange(50) % 2, 9e18, data.astype(np.float64))
    for name, array, more in (
        ("complex.tif", data[:1].astype(np.complex64), {}), ("huge.tif", huge, {}), ("line.tif", data, {"transform": rasterio.Affine(0, 0, 5, 0, 0, 5)}),
    ):  # fmt: skip
        with rasterio.open(folder / name, "w", **{**profile, "count": len(array), "dtype": array.dtype.name, **more}) as out:
            out.write(array)
    assert "empty.gpkg" in refuse("segment", image, "--raw", "-l", folder / "empty.gpkg", "-o", folder / "map.tif")
    assert "complex numbers" in refuse("segment", image, "--raw", "-l", folder / "complex.tif", "-o", folder / "map.tif")
    assert "give each pixel an area" in refuse("segment", folder / "line.tif", "--raw", *labels, "-o", folder / "map.tif")
    assert "--nodata" in refuse("segment", folder / "huge.tif", "--raw", *labels, "-o", folder / "map.tif")


def test_a_training_that_is_refused_leaves_no_state(folder, image, run, capsys, monkeypatch):
    def stopped(*_: object, checkpoint: str, **__: object) -> None:
        Path(checkpoint).write_bytes(b"state of step 50")
        raise TrainingError("the loss is nan at step 60")

    monkeypatch.setattr("pixelkin.training.train", stopped)
    for args in (
        ("train", image, "-o", folder / "m.safetensors"),
        ("segment", image, "-l", folder / "labels.csv", "-o", folder / "map.tif"),
    ):
        assert run(*args, "--steps", 3, "--patch-size", 7) == 2
        assert sorted(path.name for path in folder.iterdir()) == ["labels.csv", "model.safetensors", "series"]


def test_the_model_beside_the_map_is_used_for_the_same_only(folder, image, run, capsys, refuse):
    base = ("-l", folder / "labels.csv", "-o", folder / "map.tif", "--patch-size", 7)
    assert run("segment", image, *base, "--steps", 2) == 0
    first = (folder / "map.model.safetensors").read_bytes()
    (folder / "map.tif").unlink()
    other = folder / "series" / "2020-03-01.tif"
    capsys.readouterr()
    assert "(images)" in refuse("segment", other, *base, "--steps", 2)
    assert "(steps)" in refuse("segment", image, *base, "--steps", 3)
    assert (folder / "map.model.safetensors").read_bytes() == first
    assert run("segment", image, *base, "--steps", 2) == 0
    assert "trained on the same with the same options" in capsys.readouterr().err
    assert run("segment", other, *base, "--steps", 2, "--overwrite") == 0
    assert "other options (images), and is replaced" in capsys.readouterr().err
    assert (folder / "map.model.safetensors").read_bytes() != first


def test_a_model_of_the_users_own_beside_the_map_is_never_replaced(folder, image, refuse):
    shutil.copy(folder / "model.safetensors", folder / "map.model.safetensors")
    said = refuse("segment", image, "-l", folder / "labels.csv", "-o", folder / "map.tif", "--steps", 3, "--overwrite")
    assert "does not say of which image it was made" in said
    assert f"--model {folder / 'map.model.safetensors'}" in said


def test_a_series_maps_into_the_folder_one_stands_in(folder, run, monkeypatch):
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    assert run("segment", folder / "series", "-l", folder / "labels.csv", "-o", ".", "--steps", 2, "--patch-size", 7) == 0
    assert (folder / "here.model.safetensors").exists()
    assert (folder / "here" / "2020-03-01.tif").exists()
