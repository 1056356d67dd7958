"""`pixelkin report`: of a map with its image, of a project, and as PDF."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from tests.needs import CHROMIUM, missing

from pixelkin.assessment import design_sample, write_sample
from pixelkin.cli import cli
from pixelkin.errors import OutputError
from pixelkin.raster import read_map
from pixelkin.session import AddClass, AddMark, Session, open_project
from pixelkin.session.answers import Answer


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Dark at the left, bright at the right."""
    cols = np.arange(120) * np.ones((90, 1))
    data = np.where(cols < 60, 60, 160) + np.random.default_rng(0).normal(0, 8, (3, 90, 120))
    with rasterio.open(
        tmp_path / "field.tif", "w", driver="GTiff", height=90, width=120, count=3, dtype="uint8", crs="EPSG:32631",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as target:  # fmt: skip
        target.write(data.clip(1, 255).astype(np.uint8))
    return tmp_path / "field.tif"


@pytest.fixture
def project(image: Path) -> Path:
    """With two marks of each class, and a sample that anna has answered."""
    session = Session(open_project([image]), train=False)
    try:
        marks = [(1, 10, 10), (1, 70, 40), (2, 20, 80), (2, 60, 110)]
        points = [AddMark("field", c, "point", {"type": "Point", "coordinates": [col + 0.5, row + 0.5]}) for c, row, col in marks]
        session.edit([AddClass("dark"), AddClass("bright"), *points])
        folder = session.project.folder
    finally:
        session.close()
    ran("segment", folder, "--out", image.parent / "maps")
    session = Session(open_project([folder]), train=False)
    try:
        write_sample(design_sample(read_map(image.parent / "maps" / "field.tif"), 40), image.parent / "points.gpkg")
        sample = session.validation.add(image.parent / "points.gpkg")
        for point in session.validation.points(sample.id, "anna"):
            session.validation.answer(sample.id, Answer(point.point, "anna", "dark" if point.col < 60 else "bright"), f"k{point.point}")
    finally:
        session.close()
    return folder


def ran(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_report_of_a_project_has_its_image_its_marks_and_what_was_answered(project: Path) -> None:
    written = Path(ran("report", project).strip().splitlines()[-1])
    assert written == project.with_suffix(".html")
    page = written.read_text()
    assert "Image, marked pixels, map and confidence." in page
    assert "stratified by map class" in page
    assert "from 40 points" in page
    assert "Overall accuracy 1.000" in page
    assert "http" not in page


def test_a_project_is_mapped_at_a_level(project: Path, image: Path) -> None:
    (image.parent / "legend.csv").write_text("id,name,parent,colour\n1,ground,,#102030\n2,dark,ground,\n3,bright,ground,\n")
    ran("segment", project, "--out", image.parent / "level", "--legend", image.parent / "legend.csv", "--level", 1)
    found = read_map(image.parent / "level" / "field.tif")
    assert [(entry.name, entry.color) for entry in found.legend] == [("ground", (16, 32, 48))]
    assert (found.classes == 1).all()


def test_a_report_of_a_map_draws_the_image_that_is_named(project: Path, image: Path) -> None:
    shown = image.parent / "maps" / "field.tif"
    ran("report", shown, "--image", image, "--out", image.parent / "a.html")
    assert "the map was written without its confidence" in (image.parent / "a.html").read_text()


def test_a_browser_prints_the_report_as_pdf(project: Path, image: Path) -> None:
    if not any(map(shutil.which, (CHROMIUM, "google-chrome"))):
        missing("No Chromium is there to print with.")
    ran("report", image.parent / "maps" / "field.tif", "--out", image.parent / "a.pdf")
    assert (image.parent / "a.pdf").read_bytes().startswith(b"%PDF")


def test_without_a_browser_a_pdf_is_refused_in_one_line_and_before_any_work(
    project: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXELKIN_CHROMIUM", str(image.parent / "nowhere"))
    result = CliRunner().invoke(cli, ["report", str(project), "--out", str(image.parent / "a.pdf")])
    assert isinstance(result.exception, OutputError)
    assert "no browser is there to write a PDF" in str(result.exception)
    assert "\n" not in str(result.exception)
