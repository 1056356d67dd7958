"""The tour, the sample project and what an empty page says."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from .conftest import Place, Server
from .page import LabellingPage
from .test_journeys import Tabs


def test_the_tour_goes_on_as_its_steps_are_done_and_is_shown_once(
    tabs: Tabs, page: LabellingPage, shared_server: Server, place: Place
) -> None:
    new = tabs(shared_server, newcomer=True)
    tour = new.tab.locator("#tour")
    assert "Name what you look for" in tour.inner_text()
    new.key("a")
    for name in ("water", "land"):
        new.tab.keyboard.type(name)
        new.key("Enter")
        new.tab.wait_for_selector(f".class-row[data-name={name}]")
    new.until_text("#tour", "Mark a pixel of each")
    for key, pixel in (("1", place.water[0]), ("2", place.land[0])):
        new.key(key)
        new.tab.mouse.click(*new.at(*pixel))
    new.until_text("#tour", "Mend it, then export")
    tour.get_by_role("button", name="Done").click()
    tour.wait_for(state="hidden")
    new.key("?")
    new.tab.get_by_role("button", name="First steps").click()
    assert "Step 1 of 3" in tour.inner_text()
    tour.get_by_role("button", name="Skip the tour").click()
    tour.wait_for(state="hidden")


def test_the_tour_is_skipped_for_good(tabs: Tabs, page: LabellingPage, shared_server: Server) -> None:
    new = tabs(shared_server, newcomer=True, width=390, height=844, has_touch=True)
    new.tab.get_by_role("button", name="Skip the tour").tap()
    new.tab.reload()
    new.pictured()
    assert new.tab.locator("#tour").is_hidden()
    assert new.tab.locator(".classes .empty").is_visible()


@pytest.mark.skipif(find_spec("localtileserver") is None, reason="the sample scene is in the extra `demo`")
def test_the_sample_project_is_one_click_away(tabs: Tabs, page: LabellingPage, shared_server: Server) -> None:
    new = tabs(shared_server, newcomer=True)
    with new.tab.context.expect_page() as opened:
        new.tab.locator("#tour").get_by_role("link", name="Try it on a sample project").click()
    sample = LabellingPage(opened.value, shared_server.url + "sample/")
    sample.tab.wait_for_selector("#map[data-pictured=true]")
    assert "Great Salt Lake" in sample.tab.title()
    assert set(sample.counts()) == {"deep water", "evaporation pond", "mountain and scrub", "salt flat", "turquoise water"}
    sample.settled()
    assert page.counts() == {}


def test_empty_places_say_what_to_do(page: LabellingPage) -> None:
    assert "Name the first class" in page.tab.locator(".classes").inner_text()
    page.tab.locator("#marks summary").click()
    page.tab.locator("#marks .empty").wait_for()
    assert "No marks here yet" in page.tab.locator("#marks").inner_text()
    page.key("j")
    assert "Nothing has run yet" in page.tab.get_by_role("dialog").inner_text()
