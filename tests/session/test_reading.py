"""A project reads its images as its maker asked for, every time, through every door."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

from pixelkin.cli.serve import serve_command
from pixelkin.errors import InputError
from pixelkin.raster import open_scene
from pixelkin.session import Project, open_project
from pixelkin.session.errors import ProjectError
from pixelkin.session.location import location_of, lonlat_of_pixel
from pixelkin.session.project import read_sources

from .conftest import write_image


@pytest.fixture
def with_dead_band(tmp_path: Path) -> Path:
    """Four bands, of which the last has no data at all."""
    path = write_image(tmp_path / "plain.tif")
    with rasterio.open(path) as plain, rasterio.open(tmp_path / "dead.tif", "w", **{**plain.profile, "count": 4}) as dataset:
        dataset.write(plain.read(), (1, 2, 3))
        dataset.descriptions = (*plain.descriptions, "dead")
    return tmp_path / "dead.tif"


def test_bands_and_no_data_are_kept_in_the_project(with_dead_band: Path) -> None:
    reading = {"bands": ["row", "col"], "nodata": 7.0}
    project = open_project([with_dead_band], reading=reading)
    folder, expected = project.folder, open_scene(with_dead_band, **reading)
    project.close()
    again = Project.open(folder)
    again.close()
    (source,) = read_sources(folder)  # as who trains reads them
    for scene in (*project.scenes.values(), *again.scenes.values(), source.imagery):
        assert scene.fingerprint == expected.fingerprint
        assert scene.read().valid.mean() > 0.9
    open_project([with_dead_band], reading=reading).close()
    with pytest.raises(
        ProjectError, match=r"dead.pixelkin is a project whose images are read with bands=\['row', 'col'\], nodata=7.0, expected the same"
    ):
        open_project([with_dead_band])
    with pytest.raises(InputError, match=r"dead.pixelkin is a project, whose images are read as when it was made. Leave scale=False out"):
        open_project([folder], reading={"scale": False})


def test_the_command_takes_them(with_dead_band: Path) -> None:
    ran = CliRunner().invoke(serve_command, [str(with_dead_band), "--bands", "grey,1", "--nodata", "none", "--get", "/api/project"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.output)["scenes"][0]["bands"] == ["grey", "row"]
    assert json.loads((with_dead_band.with_suffix(".pixelkin") / "project.json").read_text())["reading"] == {
        "bands": ["grey", "1"],
        "nodata": "none",
    }


@pytest.mark.parametrize("reading", [[], {"band": [1]}, {"bands": 3}, {"scale": "no"}, {"nodata": [0]}])
def test_a_damaged_document_is_refused(with_dead_band: Path, reading: object) -> None:
    project = open_project([with_dead_band])
    project.close()
    document = json.loads((project.folder / "project.json").read_text())
    (project.folder / "project.json").write_text(json.dumps({**document, "reading": reading}))
    with pytest.raises(ProjectError, match=r"project.json reads its images with .*expected some of bands, nodata"):
        Project.open(project.folder)


def test_a_scene_that_its_file_does_not_give_back_is_copied(with_dead_band: Path, tmp_path: Path) -> None:
    """Opened in Python with options that the file knows nothing of."""
    scene = open_scene(with_dead_band, bands=["row", "grey"], nodata="none", date="2020-01-01")
    project = Project.create(tmp_path / "p", scene)
    project.close()
    (kept,) = Project.open(tmp_path / "p").scenes.values()
    assert (kept.bands, kept.date) == (scene.bands, scene.date)
    for one, other in zip(kept.read(), scene.read(), strict=True):
        np.testing.assert_array_equal(one, other)
    plain = open_scene(with_dead_band.with_name("plain.tif"))
    (kept,) = Project.create(tmp_path / "q", plain).scenes.values()
    assert kept.fingerprint == plain.fingerprint
    assert not (tmp_path / "q" / "images").exists()


def test_an_image_in_a_local_crs_opens(tmp_path: Path) -> None:
    """No transformation leads from it to degrees; surveys and drones write such."""
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    project = open_project([write_image(tmp_path / "a.tif", crs=local)])
    try:
        (scene,) = project.scenes.values()
        assert location_of(scene.grid).mesh is None
        assert lonlat_of_pixel(scene.grid, 3, 4) is None
    finally:
        project.close()


def test_dates_that_share_a_fill_value_open(tmp_path: Path) -> None:
    """One date has undeclared -9999 where the other is looked at, so both lose them."""
    folder = tmp_path / "dates"
    folder.mkdir()
    for number, date in enumerate(("2020-01-05", "2020-02-05")):
        data = np.random.default_rng(number).normal(50, 5, (2, 90, 90)).astype(np.float32)
        data[:, :30] = -9999 if number else 40
        with rasterio.open(folder / f"{date}.tif", "w", driver="GTiff", height=90, width=90, count=2, dtype="float32", crs="EPSG:32631",
                           transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)) as dataset:  # fmt: skip
            dataset.write(data)
    project = open_project([folder])
    try:
        assert [scene.fingerprint for scene in project.scenes.values()] == [scene.fingerprint for scene in open_scene(folder)]
    finally:
        project.close()
