"""Files with names of their own from `pixelkin segment PROJECT`."""

from __future__ import annotations

import re
from pathlib import Path

import geopandas
import pytest
from click.testing import CliRunner, Result

from pixelkin.cli.segment import segment_command
from pixelkin.errors import OutputError, PkError
from pixelkin.session import AddClass, AddMark, Session, open_project

from .conftest import write_image


def make_project(folder: Path, images: int) -> Path:
    """A project of some images, with two marks on the first."""
    session = Session(open_project([write_image(folder / f"field{i}.tif", seed=i, shape=(90, 80)) for i in range(images)]), train=False)
    session.edit([AddClass("low"), AddClass("high")])
    for class_id, row in ((1, 10.5), (2, 80.5)):
        session.edit([AddMark("field0", class_id, "point", {"type": "Point", "coordinates": [40.5, row]})])
    session.close()
    return session.project.folder


def run(*args: object) -> Result:
    return CliRunner().invoke(segment_command, [str(arg) for arg in args])


@pytest.mark.parametrize("ids", [["field0"], ["field0", "field1"]])
def test_polygons_and_areas_go_where_they_are_named(ids: list[str], tmp_path: Path) -> None:
    project = make_project(tmp_path, len(ids))
    (tmp_path / "other").mkdir()
    ran = run(project, "-o", tmp_path / "maps", "--polygons", tmp_path / "other" / "p.geojson", "--areas", tmp_path / "maps" / "a.json")
    assert ran.exit_code == 0, ran.exception
    behind = [f"_{i}" for i in ids] if len(ids) > 1 else [""]
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == [f"p{end}.geojson" for end in behind]
    made = sorted([*(f"a{end}.json" for end in behind), *(f"{i}.tif{more}" for i in ids for more in ("", ".aux.xml"))])
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == made
    assert set(geopandas.read_file(tmp_path / "other" / f"p{behind[0]}.geojson").class_name) == {"low", "high"}
    again = run(project, "-o", tmp_path / "maps2", "--polygons", tmp_path / "other" / "p.geojson")
    assert isinstance(again.exception, OutputError)
    assert not (tmp_path / "maps2").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("p.shp", r"expected .gpkg, .geojson or .json for polygons"),
        ("nowhere/p.gpkg", r"folder .*nowhere is not there"),
        ("field0.pixelkin/labels.gpkg", r"labels.gpkg is the project that is read"),
        ("field0.pixelkin/project.json", r"project.json is the project that is read"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(tmp_path: Path, name: str, message: str) -> None:
    project = make_project(tmp_path, 1)
    before = {path for path in tmp_path.rglob("*") if not path.name.startswith("labels.gpkg-")}
    labels = (project / "labels.gpkg").read_bytes()
    ran = run(project, "-o", tmp_path / "maps", "--polygons", tmp_path / name, "--overwrite")
    assert isinstance(ran.exception, PkError)
    assert re.search(message, str(ran.exception)), ran.exception
    assert {path for path in tmp_path.rglob("*") if not path.name.startswith("labels.gpkg-")} == before
    assert (project / "labels.gpkg").read_bytes() == labels
