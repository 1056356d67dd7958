"""The command line as a user types it: real files in, real files out, one clear line when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from tests.cli.conftest import command as run

from pixelkin.raster import open_scene, read_map
from pixelkin.segmenter import Segmenter
from pixelkin.types import LabelledPixels, Legend


def test_segment_writes_the_map_that_the_api_gives(folder, capsys):
    image = folder / "series" / "2020-01-05.tif"
    out = folder / "map.tif"
    assert run("segment", image, "--labels", folder / "labels.csv", "--model", folder / "model.safetensors", "--measure", "local", "--out", out,
               "--confidence", "--polygons", folder / "map.gpkg", "--areas", folder / "areas.csv", "--picture", folder / "map.png",
               "--save-references", folder / "refs.safetensors", "--json") == 0  # fmt: skip
    written = json.loads(capsys.readouterr().out)["written"]
    assert [Path(path).name for path in written] == ["refs.safetensors", "map.tif", "map.gpkg", "areas.csv", "map.png"]
    assert all(Path(path).stat().st_size > 0 for path in written)

    from pixelkin.labels import read_labels
    from pixelkin.model import load_model

    scene = open_scene(image)
    expected = (
        Segmenter(load_model(folder / "model.safetensors"), measure="local")
        .fit(scene, read_labels(folder / "labels.csv", scene))
        .predict(scene)
    )
    result = read_map(out)
    np.testing.assert_array_equal(result.classes, expected.classes)
    np.testing.assert_array_equal(result.confidence, expected.confidence)
    assert result.legend.names == ("dark", "light")


def test_references_of_one_date_map_another_without_labels(folder):
    common = ("--model", folder / "model.safetensors")
    first, second = (folder / "series" / f"{date}.tif" for date in ("2020-01-05", "2020-03-01"))
    run(
        "segment",
        first,
        *common,
        "--labels",
        folder / "labels.csv",
        "--out",
        folder / "a.tif",
        "--save-references",
        folder / "refs.safetensors",
    )
    assert run("segment", second, *common, "--references", folder / "refs.safetensors", "--out", folder / "b.tif") == 0
    run("segment", folder / "series", *common, "--labels", folder / "labels.csv", "--labels-date", "2020-01-05", "--out", folder / "maps")
    whole = read_map(next((folder / "maps").glob("*2020-03-01*.tif")))
    np.testing.assert_array_equal(read_map(folder / "b.tif").classes, whole.classes)


def test_references_of_pretrained_features_alone_need_no_model(folder):
    first, second = (folder / "series" / f"{date}.tif" for date in ("2020-01-05", "2020-03-01"))
    common = ("--features", "pretrained")
    kept = ("--labels", folder / "labels.csv", "--save-references", folder / "refs.safetensors")
    assert run("segment", first, *common, *kept, "--out", folder / "a.tif") == 0
    assert run("segment", second, *common, "--references", folder / "refs.safetensors", "--out", folder / "b.tif") == 0
    assert (read_map(folder / "b.tif").classes > 0).any()


def test_a_series_says_which_date_the_labels_are_taken_to_be_of(folder, capsys):
    assert run("segment", folder / "series", "--raw", "--labels", folder / "labels.csv", "--out", folder / "maps") == 0
    assert "the labels are taken to be of 2020-01-05, the first of 2 dates" in capsys.readouterr().err
    assert len(list((folder / "maps").glob("*.tif"))) == 2


def test_train_then_segment_then_evaluate(folder, capsys):
    model = folder / "trained.safetensors"
    assert run("train", folder / "series", "--out", model, "--patch-size", 7, "--steps", 2, "--log", folder / "log.csv", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["options"]["steps"] == 2
    assert not Path(f"{model}.checkpoint").exists()
    assert len((folder / "log.csv").read_text().splitlines()) == 3
    run("segment", folder / "series" / "2020-01-05.tif", "--raw", "--labels", folder / "labels.csv", "--out", folder / "map.tif")
    capsys.readouterr()
    assert run("evaluate", folder / "map.tif", "--truth", folder / "labels.csv", "--json") == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == 1.0


def test_dates_named_one_by_one_train_as_their_folder_does(folder, capsys):
    dates = sorted((folder / "series").iterdir())
    options = ("--steps", 2, "--patch-size", 7, "--json")
    models = []
    for images in ([folder / "series"], dates, dates[::-1], dates[:1]):
        assert run("train", *images, "-o", folder / "m.safetensors", "--overwrite", *options) == 0
        told = capsys.readouterr()
        models.append(json.loads(told.out))
        assert ("1 more are dates of one place" in told.err) == (len(images) == 2)
    assert models[0]["hash"] == models[1]["hash"] == models[2]["hash"] != models[3]["hash"]
    assert [model["date_pairs"] for model in models] == [True, True, True, False]


def test_segment_without_a_model_trains_one_and_keeps_it(folder, capsys):
    image = folder / "series" / "2020-01-05.tif"
    base = ("segment", image, "--labels", folder / "labels.csv", "--patch-size", 7, "--steps", 2)
    assert run(*base, "--out", folder / "map.tif") == 0
    assert "training one on this image first" in capsys.readouterr().err
    assert (folder / "map.model.safetensors").exists()
    assert run(*base, "--out", folder / "map.tif", "--overwrite") == 0
    assert "trained on the same with the same options by an earlier run" in capsys.readouterr().err


def test_one_image_with_the_bands_of_a_photograph_is_mapped_without_training(tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 60, 70)).astype(np.uint8)
    with rasterio.open(
        tmp_path / "image.tif",
        "w",
        driver="GTiff",
        height=60,
        width=70,
        count=3,
        dtype="uint8",
        crs="EPSG:32631",
        transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6),
    ) as file:
        file.write(pixels)
        file.descriptions = ("red", "green", "blue")
    (tmp_path / "labels.csv").write_text("x,y,class\n500005.5,4999994.5,a\n500060.5,4999950.5,b\n")
    command = ("segment", tmp_path / "image.tif", "--labels", tmp_path / "labels.csv", "--out", tmp_path / "map.tif")
    assert run(*command) == 0
    assert "no --model, deciding by the bands and by pretrained features" in capsys.readouterr().err
    assert not (tmp_path / "map.model.safetensors").exists()
    run("info", tmp_path / "map.tif", "--json")
    assert json.loads(capsys.readouterr().out)["provenance"]["features"] == "bands,pretrained"
    assert run(*command, "--features", "bands,colour", "--overwrite") == 2
    assert "--features is 'bands,colour', expected some of encoder, bands and pretrained" in capsys.readouterr().err
    assert run(*command, "--raw", "--features", "bands", "--overwrite") == 2
    assert "--raw compares the bands alone" in capsys.readouterr().err


def test_labels_convert_keeps_every_mark(folder, capsys):
    image = folder / "series" / "2020-01-05.tif"
    assert run("labels", "convert", folder / "labels.csv", folder / "labels.tif", "--scene", image) == 0
    assert run("labels", "check", folder / "labels.tif", "--scene", image, "--json") == 0
    assert json.loads(capsys.readouterr().out.split("\n", 1)[1]) == {"dark": 2, "light": 2}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.safetensors", "model"),
        ("series", "series"),
        ("series/2020-01-05.tif", "image"),
        ("refs.safetensors", "references"),
        ("map.tif", "map"),
    ],
)
def test_info_knows_every_kind_of_file(folder, capsys, name, kind):
    run(
        "segment",
        folder / "series" / "2020-01-05.tif",
        "--raw",
        "--labels",
        folder / "labels.csv",
        "--out",
        folder / "map.tif",
        "--save-references",
        folder / "refs.safetensors",
    )
    capsys.readouterr()
    assert run("info", folder / name, "--json") == 0
    assert json.loads(capsys.readouterr().out)["kind"] == kind
    assert run("info", folder / name) == 0
    assert kind in capsys.readouterr().out


def test_doctor_finds_nothing_wrong(capsys):
    assert run("doctor", "--json") == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert len(checks) == 3
    assert set(checks.values()) == {"ok"}


def bad(folder: Path, capsys, *args: object) -> str:
    """The one line that a mistake gets."""
    assert run(*args) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "error" in line.lower()]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    assert not list(folder.glob("map*.tif")), "nothing is left half-written"
    return lines[0]


def test_mistakes_get_one_line_and_exit_code_2(folder, capsys):
    image = folder / "series" / "2020-01-05.tif"
    out = ("--out", folder / "map.tif")
    labels = ("--labels", folder / "labels.csv")
    assert "gone.tif does not exist" in bad(folder, capsys, "segment", folder / "gone.tif", *labels, *out, "--raw")
    assert "expected --labels FILE or --references FILE" in bad(folder, capsys, "segment", image, *out, "--raw")
    assert "--raw compares raw bands without a model" in bad(
        folder, capsys, "segment", image, *labels, *out, "--raw", "--model", folder / "model.safetensors"
    )
    assert "no image of 2021-01-01 in the series" in bad(
        folder, capsys, "segment", folder / "series", *labels, "--labels-date", "2021-01-01", "--out", folder / "maps", "--raw"
    )
    (folder / "one.csv").write_text("x,y,class\n500005,4599995,dark\n")
    assert "has one class only ('dark')" in bad(folder, capsys, "segment", image, "--labels", folder / "one.csv", *out, "--raw")
    (folder / "text.tif").write_text("this is no raster")
    assert "text.tif" in bad(folder, capsys, "segment", folder / "text.tif", *labels, *out, "--raw")
    (folder / "pickle.safetensors").write_bytes(b"\x80\x04\x95.")
    assert "Pickles are never loaded" in bad(folder, capsys, "segment", image, *labels, *out, "--model", folder / "pickle.safetensors")
    assert "nowhere is not there" in bad(folder, capsys, "train", image, "--out", folder / "nowhere" / "model.safetensors")


def test_a_map_that_is_there_is_kept(folder, capsys):
    image = folder / "series" / "2020-01-05.tif"
    (folder / "map.tif").write_bytes(b"precious")
    assert run("segment", image, "--labels", folder / "labels.csv", "--raw", "--out", folder / "map.tif") == 2
    assert "map.tif is there already" in capsys.readouterr().err
    assert (folder / "map.tif").read_bytes() == b"precious"


def test_a_usage_error_is_exit_code_2(capsys):
    assert run("segment", "--nonsense") == 2
    assert "No such option" in capsys.readouterr().err


def test_ctrl_c_is_exit_code_130(monkeypatch, folder, capsys):
    import pixelkin.training as training

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    assert run("train", folder / "series", "--out", folder / "m.safetensors") == 130
    assert "interrupted" in capsys.readouterr().err


def test_help_is_quick_and_complete():
    code = "import sys; from pixelkin.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint('torch' in sys.modules, 'rasterio' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    for name in ("demo", "train", "segment", "evaluate", "reproduce", "info", "labels", "serve", "doctor"):
        assert name in out
    assert out.splitlines()[-1] == "False False"


def test_references_of_other_classes_join_those_of_labels(folder):
    """A class mapped elsewhere comes along."""
    image = folder / "series" / "2020-01-05.tif"
    scene = open_scene(image)
    legend = Legend.from_names(["snow", "light"])
    elsewhere = Segmenter(None).fit(scene, LabelledPixels.from_arrays([0, 1], [0, 30], [1, 2], legend))
    elsewhere.references.save(folder / "refs.safetensors")
    run(
        "segment",
        image,
        "--raw",
        "--labels",
        folder / "labels.csv",
        "--references",
        folder / "refs.safetensors",
        "--out",
        folder / "map.tif",
    )
    assert read_map(folder / "map.tif").legend.names == ("snow", "light", "dark")
