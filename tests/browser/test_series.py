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
    assert "50 % of it" in note.inner_text()
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
