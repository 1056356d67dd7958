"""Sample points answered on the page: by keyboard, without the map, and without losing an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pixelkin.assessment import design_sample, write_sample
from pixelkin.cli import cli
from pixelkin.raster import open_scene, write_map
from pixelkin.segmentation import Segmentation
from pixelkin.types import Legend

from .conftest import Place, Serve, Server
from .page import LabellingPage

Tabs = Callable[..., LabellingPage]
POINTS = 40


@pytest.fixture
def segmentation(place: Place) -> Segmentation:
    """'left' and 'right' of the middle."""
    grid = open_scene(place.files[0]).grid
    classes = np.where(np.arange(grid.width) < grid.width // 2, 1, 2) * np.ones((grid.height, 1), int)
    valid = np.ones(grid.shape, bool)
    return Segmentation(classes.astype(np.uint8), valid.astype(np.float32), valid, Legend.from_names(["left", "right"]), grid)


@pytest.fixture
def points(segmentation: Segmentation, tmp_path: Path) -> Path:
    return write_sample(design_sample(segmentation, POINTS), tmp_path / "points.gpkg")


def begin(page: LabellingPage, points: Path | None = None) -> None:
    page.key("t")
    if points is not None:
        page.tab.locator("#sample-file").set_input_files(points)
    page.tab.locator(".start-answering").click()
    page.until("document.querySelector('.chips')?.dataset.shown !== undefined")


def asked(page: LabellingPage) -> list[dict[str, Any]]:
    (sample,) = page.api("api/samples", None)["samples"]
    return list(page.api(f"api/samples/{sample['id']}/points?interpreter=1", None)["points"])


def answer(page: LabellingPage, some: list[dict[str, Any]], middle: int) -> None:
    for point in some:
        page.until(f"document.querySelector('.chips').dataset.shown === '{point['point']}'")
        page.key("1" if point["col"] < middle else "2")


def test_answers_by_keyboard_survive_kills_of_server_and_tab(
    tabs: Tabs, serve: Serve, place: Place, segmentation: Segmentation, points: Path, tmp_path: Path
) -> None:
    server = serve([place.folder], "--no-train")
    page = tabs(server)
    begin(page, points)
    todo = asked(page)
    middle = segmentation.grid.width // 2
    answer(page, todo[:10], middle)
    page.until("document.querySelector('#validation-saved').dataset.state === 'saved'")
    server.kill()
    # The pictures of the next points are there, so that whoever answers goes on.
    answer(page, todo[10:13], middle)
    page.until("document.querySelector('#validation-saved').dataset.state === 'offline'")
    page.tab.close(run_before_unload=False)
    server.start()
    again = LabellingPage(page.tab.context.new_page(), server.url).open()
    begin(again)
    assert [point["answer"] is not None for point in asked(again)] == [True] * 13 + [False] * (POINTS - 13)
    answer(again, todo[13:], middle)
    again.until("document.querySelector('#validation-where').textContent.includes('All points')")
    again.until("document.querySelector('#validation-saved').dataset.state === 'saved'")
    assert "± 2%" in again.tab.locator("#validation-width").inner_text()
    again.key("Escape")
    with again.tab.expect_download() as download:
        again.tab.get_by_role("link", name="GeoPackage").click()
    download.value.save_as(tmp_path / "answered.gpkg")
    write_map(segmentation, tmp_path / "map.tif")
    result = CliRunner().invoke(cli, ["evaluate", str(tmp_path / "map.tif"), "--truth", str(tmp_path / "answered.gpkg"), "--json"])
    found = json.loads(result.stdout)
    assert (found["points"], found["overall_accuracy"]["value"]) == (POINTS, 1.0)


def test_two_people_answer_and_settle_what_differs(page: LabellingPage, shared_server: Server, points: Path) -> None:
    for name in ("left", "right"):
        page.add_class(name)
    page.tab.locator("#map").focus()
    for who, keys in (("anna", "12u"), ("ben", "112")):
        page.key("t")
        page.tab.locator("#interpreter").fill(who)
        page.tab.locator("#sample-file").set_input_files(points)
        page.tab.locator(".start-answering").click()
        for at, key in enumerate(keys):
            page.until_text("#validation-where", f"Point {at + 1} of")
            page.key(key)
        page.until("document.querySelector('#validation-saved').dataset.state === 'saved'")
        page.key("ArrowLeft")
        assert page.tab.locator(".answer[aria-pressed=true]").get_attribute("data-answer") == {"2": "right", "u": "unsure"}[keys[-1]]
        page.key("Escape")
        page.tab.get_by_role("button", name="Close").click()
    page.key("t")
    page.until_text(".agreement", "anna and ben said the same at 33% of 3 points")
    page.tab.get_by_role("button", name="Settle 2 differences").click()
    page.until_text("#validation-said", "anna: right · ben: left")
    page.key("2")
    page.until_text("#validation-said", "anna: unsure · ben: right")
    page.key("Escape")
    page.until_text(".samples", "Settle 1 difference")
