"""Many dates on the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import Serve
from .test_journeys import Tabs


@pytest.fixture
def foreign_date(tmp_path: Path) -> Path:
    """Two alike dates, and one of which half is something never seen."""
    import rasterio

    folder = tmp_path / "dates"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for date in ("2020-01-05", "2020-02-05", "2020-03-05"):
        data = rng.integers(90, 110, (3, 80, 100))
        data[:, :, 50:] += 60
        if date == "2020-03-05":
            data[:, 40:] = 250
        profile: dict[str, Any] = {"driver": "GTiff", "height": 80, "width": 100, "count": 3, "dtype": "uint8", "crs": "EPSG:32631"}
        with rasterio.open(folder / f"{date}.tif", "w", transform=rasterio.Affine(10, 0, 400_000, 0, -10, 4_700_000), **profile) as out:
            out.write(data.astype(np.uint8))
    return folder


def test_a_date_that_no_label_covers_is_named_on_strip_map_and_export_until_it_is_marked(
    tabs: Tabs, serve: Serve, foreign_date: Path
) -> None:
    page = tabs(serve([foreign_date], "--no-train"))
    page.add_class("dark")
    page.add_class("bright")
    for name, pixels in (("dark", ((6, 8), (60, 18))), ("bright", ((10, 60), (40, 88)))):
        page.choose(name)
        for pixel in pixels:
            page.point(*pixel)
    page.tab.locator(".date[data-scene='2020-03-05'] .uncovered").wait_for()
    assert [date.locator(".uncovered").is_visible() for date in page.tab.locator(".date").all()] == [False, False, True]
    assert page.tab.locator("#uncovered").is_hidden()
    page.tab.locator(".date").last.click()
    note = page.tab.locator("#uncovered")
    note.wait_for()
    assert "50% of it" in note.inner_text()
    page.key("x")
    warning = page.tab.locator("#export-uncovered p")
    assert "of 2020-03-05 is" in warning.inner_text()
    page.tab.locator("#export-scope").select_option(value="all")
    assert warning.count() == 1
    page.tab.get_by_label("File name").fill("covered")
    page.tab.get_by_role("dialog").get_by_role("button", name="Export").click()
    page.tab.locator(".job[data-kind=export] .warning").first.wait_for()
    page.key("Escape")
    page.point(60, 30)
    note.wait_for(state="hidden")
    page.tab.locator(".date .uncovered").last.wait_for(state="hidden")


def test_a_long_series_loads_what_is_near_and_plays(tabs: Tabs, serve: Serve, tmp_path: Path) -> None:
    import rasterio

    folder = tmp_path / "long"
    folder.mkdir()
    for month in range(60):
        profile: dict[str, Any] = {"driver": "GTiff", "height": 64, "width": 64, "count": 1, "dtype": "uint8", "crs": "EPSG:32631"}
        path = folder / f"{2015 + month // 12}-{month % 12 + 1:02d}-01.tif"
        with rasterio.open(path, "w", transform=rasterio.Affine(10, 0, 400_000, 0, -10, 4_700_000), **profile) as out:
            out.write(np.full((1, 64, 64), month * 4, np.uint8))
    page = tabs(serve([folder], "--no-train"), unopened=True)
    asked: list[str] = []
    page.tab.on("request", lambda request: asked.append(request.url) if "thumbnail" in request.url else None)
    page.open()
    assert page.tab.locator(".date").count() == 60
    page.until("[...document.querySelectorAll('.date img')].filter(one => one.naturalWidth > 0).length >= 10")
    assert len({url.split("/thumbnail")[0] for url in asked}) < 50
    last = page.tab.locator(".date").last
    last.scroll_into_view_if_needed()
    page.until("[...document.querySelectorAll('.date img')].at(-1).naturalWidth > 0")
    page.tab.get_by_role("button", name="Play the dates").click()
    for date in ("2015-02-01", "2015-03-01"):
        page.tab.wait_for_selector(f".date[data-scene='{date}'][aria-selected=true]")
    page.tab.get_by_role("button", name="Play the dates").click()
    assert page.tab.locator("#play").get_attribute("aria-pressed") == "false"
    page.tab.locator(".date[aria-selected=true]").focus()
    page.key("End")
    page.tab.wait_for_selector(".date[data-scene='2019-12-01'][aria-selected=true]")


@pytest.fixture
def cloudy_dates(tmp_path: Path) -> Path:
    """Four dates, of which the clouds are masked: none, a third, none, most."""
    import rasterio

    folder = tmp_path / "cloudy"
    folder.mkdir()
    for month, rows in enumerate((0, 27, 0, 70), 1):
        data = np.random.default_rng(month).integers(90, 110, (1, 80, 100)).astype(np.uint8)
        data[:, :rows] = 0
        profile: dict[str, Any] = {
            "driver": "GTiff",
            "height": 80,
            "width": 100,
            "count": 1,
            "dtype": "uint8",
            "nodata": 0,
            "crs": "EPSG:32631",
        }
        transform = rasterio.Affine(10, 0, 400_000, 0, -10, 4_700_000)
        with rasterio.open(folder / f"2020-0{month}-05.tif", "w", transform=transform, **profile) as out:
            out.write(data)
    return folder


def test_cloudy_dates_are_left_out_and_marks_are_copied_to_another(tabs: Tabs, serve: Serve, cloudy_dates: Path) -> None:
    page = tabs(serve([cloudy_dates], "--no-train"), width=768, height=1024, has_touch=True, bypass_csp=True)

    def shown() -> list[str]:
        return [date.get_attribute("data-scene")[5:7] for date in page.tab.locator(".date").all() if date.is_visible()]

    assert shown() == ["01", "02", "03", "04"]
    page.tab.get_by_label("Dates on show").select_option(label="≤ 50% no data")
    page.until("document.querySelectorAll('.date[hidden]').length === 1")
    assert shown() == ["01", "02", "03"]
    page.tab.get_by_label("Dates on show").select_option(label="≤ 5% no data")
    page.until("document.querySelectorAll('.date[hidden]').length === 2")
    page.tab.locator("#map").focus()
    page.key(".")
    page.tab.wait_for_selector(".date[data-scene='2020-03-05'][aria-selected=true]")
    page.key(",")
    page.tab.wait_for_selector(".date[data-scene='2020-01-05'][aria-selected=true]")
    page.add_class("field")
    page.point(75, 10)
    page.point(76, 50)
    page.tab.locator("#marks summary").click()
    page.tab.locator("#marks-everything").check()
    page.tab.locator("#marks-copy").select_option("2020-04-05")
    page.until_text("#notices", "2 marks copied")
    page.saved()
    assert page.counts() == {"field": 4}
    assert [len(page.api(f"api/scenes/2020-0{month}-05/marks", None, "GET")["marks"]) for month in (1, 2, 3, 4)] == [2, 0, 0, 2]
    page.key("Control+z")
    page.saved()
    page.until("document.querySelector('.class-counts').textContent.startsWith('2 ')")
    page.has_no_findings()


def test_each_date_of_the_strip_shows_how_much_each_class_covers(tabs: Tabs, serve: Serve, foreign_date: Path) -> None:
    page = tabs(serve([foreign_date], "--no-train"))
    page.two_classes((20, 20), (20, 80))
    page.until("document.querySelectorAll('.area-bar[data-complete=true]').length === 3", timeout_s=60)
    told = [bar.get_attribute("title") for bar in page.tab.locator(".area-bar").all()]
    # The first two dates are half dark, half bright; each bar is as wide as its share.
    assert told[0] == told[1] == "water 50%, land 50% (pixels counted on the map, without its error)"
    wide = page.tab.evaluate("[...document.querySelector('.area-bar').children].map(one => one.getBoundingClientRect().width)")
    assert wide[0] == pytest.approx(wide[1], abs=0.5)
