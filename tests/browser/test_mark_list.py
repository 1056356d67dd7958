"""The list of marks: find, show, change and delete them, several at a time."""

from __future__ import annotations

from .conftest import DATES, Place
from .page import LabellingPage


def listed(page: LabellingPage) -> list[str]:
    return [" ".join(text.split()) for text in page.tab.locator(".mark-list .check-item").all_inner_texts()]


def marked(page: LabellingPage, place: Place) -> None:
    page.two_points_each(place)
    page.patch(*place.land[2])
    page.tab.locator("#marks summary").click()
    page.until_text("#marks-summary", "5 marks")


def test_marks_are_sorted_filtered_and_shown(page: LabellingPage, place: Place) -> None:
    marked(page, place)
    assert listed(page) == ["land box · 81 pixels", *["land point · 1 pixel"] * 2, *["water point · 1 pixel"] * 2]
    page.tab.locator("#marks-order").select_option("class")
    assert listed(page)[0].startswith("water")
    page.tab.locator("#marks-class").select_option(label="land")
    assert len(listed(page)) == 3
    page.tab.locator("#marks-order").select_option("size")
    # By key, while the mouse rests in the middle of the map: the line at the bottom says what came under it.
    box = page.tab.locator("#map").bounding_box()
    page.tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.tab.locator(".mark-list .check-item").first.press("Enter")
    page.until_text("#at-pixel", f"row {place.land[2][0]}, col {place.land[2][1]}")
    page.tab.locator(f".date[data-scene='{DATES[1]}']").click()
    page.until_text("#marks-summary", "0 marks")
    page.tab.locator("#marks-images").select_option("all")
    page.until_text("#marks-summary", "3 marks")
    page.tab.locator(".mark-list .check-item").first.click()
    page.tab.wait_for_selector(f".date[data-scene='{DATES[0]}'][aria-selected=true]")


def test_several_marks_change_class_split_one_and_go_in_one_step_of_undo(page: LabellingPage, place: Place) -> None:
    marked(page, place)
    page.tab.locator("#marks-class").select_option(label="water")
    page.tab.locator("#marks-everything").check()
    page.until_text("#marks-summary", "2 of 2 chosen")
    page.tab.locator("#marks-into").select_option(label="land")
    page.saved()
    assert page.counts() == {"water": 0, "land": 85}
    page.key("Control+z")
    page.saved()
    page.until("document.querySelector('.class-counts').textContent.startsWith('2 ')")
    # A class is split: some of its marks get one of their own.
    page.tab.locator(".mark-list input").first.check()
    page.tab.locator("#marks-into").select_option(label="New class…")
    page.tab.get_by_role("dialog").get_by_label("Name").fill("pond")
    page.key("Enter")
    page.tab.wait_for_selector(".class-row[data-name=pond]")
    assert page.counts() == {"water": 1, "land": 83, "pond": 1}
    page.tab.locator("#map").focus()
    page.key("Control+z")
    page.tab.wait_for_selector(".class-row[data-name=pond]", state="detached")
    assert page.counts() == {"water": 2, "land": 83}
    # With the keyboard alone.
    page.tab.locator("#marks-everything").focus()
    page.key("Space")
    page.tab.locator("#marks-delete").focus()
    page.key("Enter")
    page.saved()
    page.until_text("#marks-summary", "0 marks")
    page.tab.locator("#marks-class").select_option(label="all classes")
    page.until_text("#marks-summary", "3 marks")


def test_accuracy_is_estimated_while_marking(page: LabellingPage, place: Place) -> None:
    page.tab.locator("#accuracy summary").click()
    page.until_text("#accuracy-summary", "Mark at least two classes")
    page.add_class("water")
    page.add_class("land")
    for name, pixels in (("water", place.water), ("land", place.land)):
        page.choose(name)
        for pixel in pixels:
            page.point(*pixel)
    page.until("/^\\d+% \\(\\d+% – \\d+%\\)/.test(document.querySelector('#accuracy-summary').textContent)")
    page.tab.wait_for_selector("#accuracy[data-checked=true]")
    rows = page.tab.locator("#accuracy-classes tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["Class", "water", "land"]
    told = page.api("api/accuracy", None, "GET")["accuracy"]
    assert page.tab.locator("#accuracy-summary").inner_text().startswith(f"{round(100 * told['value'])}%")
