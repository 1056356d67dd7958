"""The page in other languages."""

from __future__ import annotations

import pytest

from .conftest import DATES, Place, Server
from .page import LabellingPage
from .test_journeys import Tabs


def test_a_language_is_chosen_in_the_header_and_kept(page: LabellingPage, place: Place) -> None:
    page.two_classes(place.water[0], place.land[0])
    with page.tab.expect_navigation():
        page.tab.get_by_label("Language").select_option(label="Deutsch")
    page.tab.wait_for_selector(".class-row")
    assert page.tab.evaluate("document.documentElement.lang") == "de"
    page.tab.get_by_role("button", name="Ganzes Bild (F)").click()
    assert page.tab.locator("#connection").inner_text() == "Gespeichert"
    assert page.tab.locator("#classes-title").inner_text().lower() == "klassen"
    assert page.tab.locator(f".date[data-scene='{DATES[0]}']").inner_text().split()[0] == "02.02.2020"
    page.until("[...document.querySelectorAll('.class-area')].every(one => /\\d\\s%/.test(one.textContent))")
    page.key("x")
    page.tab.get_by_role("dialog", name="Exportieren").wait_for()
    page.key("Escape")
    page.tab.reload()
    page.tab.wait_for_selector(".class-row")
    assert page.tab.get_by_label("Sprache").input_value() == "de"


@pytest.mark.parametrize(("locale", "word"), [("fr-CA", "Enregistré"), ("es-MX", "Guardado"), ("zh-CN", "已保存"), ("pt-BR", "Saved")])
def test_the_browser_s_language_comes_first(tabs: Tabs, page: LabellingPage, shared_server: Server, locale: str, word: str) -> None:
    other = tabs(shared_server, locale=locale, newcomer=True, unopened=True)
    other.tab.goto(other.url)
    other.tab.wait_for_selector("#connection[data-state=saved]")
    assert other.tab.locator("#connection").inner_text() == word
    overflow = other.tab.evaluate(
        "[document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]"
    )
    assert overflow == [0, 0]
