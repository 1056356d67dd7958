"""Find all like this: from one click to an area, a class and files."""

from __future__ import annotations

import re

import numpy as np
from playwright.sync_api import expect

from .conftest import Place
from .page import LabellingPage


def area(page: LabellingPage) -> float:
    """Hectares, as the page says."""
    found = re.match(r"([\d,.]+) ha", page.tab.locator("#similar-area").inner_text())
    assert found
    return float(found[1].replace(",", ""))


def test_one_click_finds_all_like_it_and_becomes_a_class_and_files(page: LabellingPage, place: Place) -> None:
    tab = page.tab
    before = page.project()["revision"]
    bare = page.color(*place.land[0])
    tab.get_by_role("button", name="Find all like this").click()
    tab.mouse.click(*page.at(*place.water[0]))
    page.until("document.querySelector('#map').dataset.similar !== undefined")
    page.until("document.querySelector('#similar-take').disabled === false")
    page.frames()
    # Nothing was marked; water elsewhere is shown as alike, land is not.
    assert page.project()["revision"] == before
    alike, other = np.array(page.color(*place.water[1]), int), np.array(page.color(*place.land[0]), int)
    assert np.abs(alike - other).sum() > 60
    assert tuple(other) != bare
    wide = area(page)
    slider = tab.locator("#similar-threshold")
    slider.press("End")
    assert area(page) < wide
    slider.press("ArrowLeft")
    for _ in range(50):
        if area(page) >= 20:
            break
        slider.press("PageDown")
    chosen = area(page)
    assert chosen >= 20
    tab.locator("#similar-export").click()
    expect(tab.locator(".notice", has_text="ready under Jobs")).to_be_visible(timeout=30_000)
    files = {file["name"].rsplit("_", 1)[-1] for file in page.api("api/jobs")["jobs"][0]["files"]}
    assert {"similarity.tif", "areas.csv"} <= files
    tab.locator("#similar-take").click()
    tab.locator("dialog[open] input[type=text]").fill("water")
    tab.locator("dialog[open] button[type=submit]").click()
    tab.wait_for_selector(".class-row[data-name=water]")
    page.until("document.querySelector('#map').dataset.similar === undefined")
    marked = page.counts()["water"]
    metres = page.scene()["metres_per_pixel"]
    assert abs(marked * metres[0] * metres[1] / 1e4 - chosen) < 0.02 * chosen
    assert tab.locator("#similar-found").is_hidden()
    tab.locator("#map").focus()
    page.key("Control+z")
    tab.wait_for_selector(".class-row[data-name=water]", state="detached")
    assert page.complaints == []
