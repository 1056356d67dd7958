"""Two people with a browser each on one project: who is where, whose mark is whose, and images that were reviewed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .conftest import DATES, Place, Serve
from .page import LabellingPage

TOKENS = {"Ada": "ada-0123456789abcdef", "Ben": "ben-0123456789abcdef"}
PEOPLE = "".join(
    f'[[people]]\nname = "{name}"\nrole = "{role}"\ntoken = "{TOKENS[name]}"\n' for name, role in (("Ada", "review"), ("Ben", "label"))
)


def test_two_people_label_one_project(tabs: Callable[..., LabellingPage], serve: Serve, place: Place, tmp_path: Path) -> None:
    (tmp_path / "people.toml").write_text(PEOPLE)
    server = serve([place.folder], "--no-train", "--people", str(tmp_path / "people.toml"))
    ada = tabs(server, unopened=True)
    ben = tabs(server, unopened=True, width=390, height=844, has_touch=True, is_mobile=True, bypass_csp=True)
    for page, name in ((ada, "Ada"), (ben, "Ben")):
        page.tab.goto(f"{server.url}?token={TOKENS[name]}")
        assert page.tab.url == server.url, "the token has left the address"
        page.open()
    # Marks of both, each with its name.
    ada.add_class("water")
    ada.point(*place.water[0])
    ben.tab.wait_for_selector(".class-row[data-name=water]")
    ben.tab.touchscreen.tap(*ben.at(*place.water[1]))
    ben.saved()
    ada.until("document.querySelector('.class-counts').textContent.startsWith('2 ')")
    ada.tab.locator("#marks summary").click()
    ada.until_text(".mark-list", "Ben")
    assert [text.split("·")[-1].strip() for text in ada.tab.locator(".mark-list .check-item").all_inner_texts()] == ["Ben", "Ada"]
    # Where they are.
    ben.tab.locator(f".date[data-scene='{DATES[1]}']").tap()
    ada.until_text(f".date[data-scene='{DATES[1]}']", "B")
    ada.tab.get_by_role("button", name="Who is here").click()
    ada.until_text("dialog", "Ben")
    # A page that was closed a moment ago may be listed still.
    ada.tab.locator(".people li", has_text="Ben").get_by_role("button", name="Go there").last.click()
    ada.tab.wait_for_selector(f".date[data-scene='{DATES[1]}'][aria-selected=true]")
    # Ada locks what she has gone through; Ben is told before he draws in vain.
    ada.tab.get_by_label("This image is reviewed").check()
    ada.until_text("#review-about", "Reviewed by Ada")
    ben.until_text("#review-about", "Reviewed by Ada")
    assert ben.tab.get_by_label("This image is reviewed").is_disabled()
    ben.tab.touchscreen.tap(*ben.at(*place.water[0]))
    ben.until_text("#notices", "This image is reviewed")
    assert len(ben.api(f"api/scenes/{DATES[1]}/marks", None, "GET")["marks"]) == 0
    ada.tab.get_by_label("This image is reviewed").uncheck()
    ben.until("document.querySelector('#review-about').textContent === ''")
    ben.tab.touchscreen.tap(*ben.at(*place.water[0]))
    ben.saved()
    ada.until("document.querySelector('.class-counts').textContent.startsWith('3 ')")
    # Sample points are answered in one's own name.
    ada.key("t")
    named = ada.tab.locator("#interpreter")
    assert (named.input_value(), named.is_editable()) == ("Ada", False)
    ben.has_no_findings()
