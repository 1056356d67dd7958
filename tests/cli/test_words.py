"""The command line speaks of its options, and helps with names that are none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import pytest
import rasterio

import pixelkin
from pixelkin.cli import cli
from pixelkin.cli.words import ALIASES, LABEL_ALIASES, Words, command_of

SEGMENT = Words(command_of(cli, ["segment"]))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Replace it with overwrite=True.", "Replace it with --overwrite."),
        ("Choose one with crs=....", "Choose one with --crs."),
        ("Start anew with resume=False.", "Start anew with --restart."),
        ("Allow more with memory='900MiB', or less.", "Allow more with --memory 900MiB, or less."),
        ("Choose it with bands=[1] if it is data.", "Choose it with --bands 1 if it is data."),
        ("Choose or name them when opening it: open_scene(path, bands=[...]).", "Choose or name them when opening it: --bands."),
        ("Use bands=['red', 'nir'].", "Use --bands red,nir."),
        ("or use overlap='last' to let it win.", "or use --overlap last to let it win."),
        ("name it: names={0: 'NAME', 1: 'LAND'}.", "name it: --names 0=NAME,1=LAND."),
        ("name them with xy=('lon', 'lat').", "name them with --xy lon,lat."),
        ("memory is 'x', expected a size.", "--memory is 'x', expected a size."),
        ("date is '21.06.2020', expected a day.", "--labels-date is '21.06.2020', expected a day."),
        ("leave it out with label_transfer=False", "leave it out with --no-label-transfer"),
        ("/data/crs=3035/a&bands=1.tif is not there: overwrite=True.", "/data/crs=3035/a&bands=1.tif is not there: --overwrite."),
        ("labels is a list, expected one.", "labels is a list, expected one."),
        ("no word of ours: colour=red", "no word of ours: colour=red"),
    ],
)
def test_arguments_become_options(message, said):
    assert SEGMENT.say(message) == said


def test_the_crs_of_labels_is_an_option_of_its_own():
    assert SEGMENT.say("State the labels' own CRS with crs=..., or delete it.", of_labels=True) == (
        "State the labels' own CRS with --labels-crs, or delete it."
    )


PYTHON_ONLY = {"align", "shift", "transform", "project"}
"""Arguments that no command has."""


def test_every_argument_that_a_message_names_has_an_option():
    """Whoever words an error `like=this` is understood by the command line, or said to be for Python alone."""
    options = set(ALIASES) | set(LABEL_ALIASES) | PYTHON_ONLY
    names = [
        ["segment"],
        ["train"],
        ["embed"],
        ["evaluate"],
        ["labels", "convert"],
        ["labels", "check"],
        ["info"],
        ["serve"],
        ["reproduce"],
    ]
    for name in names:
        command = command_of(cli, name)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                options |= {opt.lstrip("-").replace("-", "_") for opt in (*parameter.opts, *parameter.secondary_opts)}
    unknown = set()
    for path in Path(pixelkin.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            texts = [part.value for part in ast.walk(node.exc) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            for text in texts:
                found = re.findall(r"(?<![\w./&?])([a-z_]{3,})=(?=\.\.\.|True|False|\[|'|$)", text)
                unknown |= {(path.name, name) for name in found if name not in options}
    assert not unknown


@pytest.mark.parametrize(
    ("args", "meant"),
    [
        (["segmnt"], "segment"),
        (["Train"], "train"),
        (["evalute", "map.tif"], "evaluate"),
        (["labels", "covert"], "convert"),
        (["label"], "labels"),
    ],
)
def test_a_command_that_is_none_suggests_one(run, capsys, args, meant):
    assert run(*args) == 2
    assert f"Did you mean {meant!r}?" in capsys.readouterr().err


def test_an_option_that_is_none_suggests_one(run, capsys):
    assert run("segment", "x.tif", "--label", "y") == 2
    assert "--labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "sp ace ü水.tif",
        "a#b.tif",
        "a?b.tif",
        "a%20b.tif",
        "a!b.tif",
        "10:50:00.tif",
        "a&bands=1.tif",
        "x.TIF",
        "b[1].tif",
        "-dash.tif",
        "a'b.tif",
        "a|b.tif",
        "100%.tif",
    ],
)
def test_odd_names_work(folder, image, run, capsys, monkeypatch, name):
    odd = folder / "odd"
    odd.mkdir()
    (odd / name).write_bytes(image.read_bytes())
    monkeypatch.chdir(odd)
    assert (
        run(
            "segment",
            "--raw",
            "-l",
            folder / "labels.csv",
            "-o",
            f"./m_{name}",
            "--areas",
            f"{name}.csv" if name[0] != "-" else "a.csv",
            "--",
            name,
        )
        == 0
    )
    assert run("segment", "--raw", "-l", folder / "labels.csv", "-o", f"./{name}", "--overwrite", "--", name) == 2
    assert "is the image that is read" in capsys.readouterr().err


def test_an_image_without_a_place_is_no_warning(folder, image, run, capsys):
    with rasterio.open(image) as source:
        profile, data = {**source.profile, "crs": None, "transform": None}, source.read()
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(folder / "plain.tif", "w", **profile) as out:
        out.write(data)
    (folder / "plain.csv").write_text("x,y,class\n3.5,5.5,dark\n40.5,9.5,light\n")
    capsys.readouterr()
    made = ("--polygons", folder / "p.gpkg", "--areas", folder / "a.csv", "--picture", folder / "p.png", "--confidence")
    assert run("segment", folder / "plain.tif", "--raw", "-l", folder / "plain.csv", "-o", folder / "map.tif", *made) == 0
    assert run("evaluate", folder / "map.tif", "-t", folder / "plain.csv") == 0
    assert "georeference" not in capsys.readouterr().err


def test_a_file_that_may_not_be_read_gets_one_line(folder, image, run, capsys, monkeypatch):
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(folder / "labels.csv"))

    monkeypatch.setattr("pixelkin.labels.read_labels", forbidden)
    assert run("segment", image, "--raw", "-l", folder / "labels.csv", "-o", folder / "map.tif") == 2
    assert "labels.csv: Permission denied" in capsys.readouterr().err
