"""What meets every new user: the five-minute guide, the wheel and the trackpad, keys, and screens of all sizes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.needs import missing

from .conftest import DATES, Place, Server
from .page import LabellingPage
from .test_journeys import Tabs, color_of

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "labelling-page.md"
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
DEVICES = {
    "desktop": (1440, 900, False),
    "laptop": (1280, 720, False),
    "tablet": (1024, 768, True),
    "tablet upright": (800, 1100, True),
    "phone": (390, 844, True),
}
BUTTONS = "#header button, #tools button, .zoom button, .class-row button, .add-class button"


# The guide


def test_the_five_minute_guide_does_what_it_says(page: LabellingPage, place: Place) -> None:
    guide = GUIDE.read_text().split("## In five minutes")[1].split("\n## ")[0]
    steps = re.findall(r"^\d\. (.*(?:\n   .*)*)", guide, re.MULTILINE)
    keys = [re.findall(r"\*\*(\w+)\*\*", step) for step in steps]
    assert keys == [["A"], ["1", "2"], [], ["N"], ["X"]]
    tab = page.tab
    page.key(keys[0][0].lower())
    for name in ("water", "land"):
        tab.keyboard.type(name)
        page.key("Enter")
        tab.wait_for_selector(f".class-row[data-name={name}]")
    for key, pixel in zip(keys[1], (place.water[0], place.land[0]), strict=True):
        page.key(key)
        tab.mouse.click(*page.at(*pixel))
        page.saved()
    assert page.counts() == {"water": 1, "land": 1}
    page.settled()
    tab.wait_for_selector("#reason", state="hidden")
    page.key("1")
    tab.mouse.click(*page.at(*place.water[1]))
    page.saved()
    page.settled()
    page.key(keys[3][0].lower())
    tab.wait_for_selector("#suggestion")
    page.key(keys[4][0].lower())
    for what in ("Cloud-Optimized GeoTIFF", "Confidence", "Polygons", "Areas"):
        assert tab.get_by_role("dialog").get_by_text(what).count() > 0


# Wheel and trackpad


def wheel(page: LabellingPage, at: tuple[float, float], *events: dict[str, Any]) -> None:
    """Wheel events as a device sends them, in one burst."""
    page.tab.mouse.move(*at)
    page.tab.evaluate(
        """([[x, y], events]) => {
            const target = document.elementFromPoint(x, y);
            for (const one of events) target.dispatchEvent(new WheelEvent("wheel", {clientX: x, clientY: y, bubbles: true, cancelable: true, ...one}));
        }""",
        [at, list(events)],
    )
    page.frames()


def test_a_pinch_zooms_as_far_as_the_fingers_go_and_stays_at_the_pointer(page: LabellingPage, place: Place) -> None:
    row, col = place.water[1]
    at = page.at(row, col)
    page.tab.mouse.move(*at)
    page.until_text("#at-pixel", f"row {row}, col {col}")
    before = page.scale
    wheel(page, at, *[{"deltaY": -3, "deltaX": 0, "ctrlKey": True}] * 10)
    assert page.scale == before, "a pinch by a third is no step"
    wheel(page, at, *[{"deltaY": -7, "ctrlKey": True}] * 10)
    assert before < page.scale <= 2 * before
    page.tab.mouse.move(at[0] + 40, at[1])
    page.tab.mouse.move(*at)
    page.until_text("#at-pixel", f"row {row}, col {col}")
    zoomed = page.scale
    wheel(page, at, *[{"deltaY": 9, "ctrlKey": True}] * 10)
    assert page.scale < zoomed


def test_a_notch_of_the_wheel_is_one_step_and_two_fingers_move_the_view(page: LabellingPage, place: Place) -> None:
    at = page.at(*place.water[1])
    wheel(page, at, {"deltaY": -120})
    assert page.scale in (1, 2, 4)
    zoomed = page.scale
    page.until("document.querySelector('#at-pixel').textContent.startsWith('row')")
    pixel = [int(v) for v in re.findall(r"\d+", page.tab.locator("#at-pixel").inner_text())]
    # The pause that ends a gesture.
    page.tab.evaluate("new Promise(done => setTimeout(done, 450))")
    wheel(page, at, *[{"deltaX": 4, "deltaY": 2}] * 10)
    assert page.scale == zoomed
    page.tab.mouse.move(at[0] + 30, at[1])
    page.tab.mouse.move(*at)
    moved = [pixel[0] + 20 / zoomed, pixel[1] + 40 / zoomed]
    page.until(f"document.querySelector('#at-pixel').textContent !== {json.dumps(f'row {pixel[0]}, col {pixel[1]}')}")
    now = [int(v) for v in re.findall(r"\d+", page.tab.locator("#at-pixel").inner_text())]
    np.testing.assert_allclose(now, moved, atol=1.01)


def test_the_whole_image_fills_the_view_and_stays_whole(page: LabellingPage) -> None:
    def share() -> float:
        box, scene = page.tab.locator("#map").bounding_box(), page.scene()
        return float(max(scene["width"] * page.scale / box["width"], scene["height"] * page.scale / box["height"]))

    assert 0.85 <= share() <= 1
    page.tab.get_by_role("button", name="Show or hide the side panel").click()
    page.tab.set_viewport_size({"width": 900, "height": 500})
    page.frames()
    assert 0.8 <= share() <= 1
    page.tab.get_by_role("button", name="Zoom in (+)").click()
    page.frames()
    assert np.log2(page.scale) == int(np.log2(page.scale)), "beside the fitted scale there are powers of two only"


def test_a_pinch_in_safari_zooms_the_map_by_whole_steps_where_the_fingers_are(page: LabellingPage, place: Place) -> None:
    """Safari has gesture events of its own; they are sent as it would send them."""
    page.one_to_one()
    x, y = page.at(*place.water[0])
    prevented = page.tab.evaluate(
        """([clientX, clientY]) => [["gesturestart", 1], ["gesturechange", 1.2], ["gesturechange", 1.7], ["gesturechange", 2.1], ["gestureend", 2.1]].map(([name, scale]) => {
            const event = Object.assign(new Event(name, {bubbles: true, cancelable: true}), {scale, clientX, clientY});
            document.querySelector("#map").dispatchEvent(event);
            return event.defaultPrevented;
        })""",
        [x, y],
    )
    assert all(prevented), "or the browser would zoom its whole page"
    page.frames()
    assert 1 < page.scale <= 2, "a pinch that doubles is one step, to the next power of two or to the fitted scale on the way"
    page.tab.mouse.move(x, y)
    page.until_text("#at-pixel", f"row {place.water[0][0]}, col {place.water[0][1]}")


# Keys


def test_keys_work_from_the_empty_field_of_the_next_class(page: LabellingPage) -> None:
    page.key("a")
    for name in ("water", "land"):
        page.tab.keyboard.type(name)
        page.key("Enter")
        page.tab.wait_for_selector(f".class-row[data-name={name}] [aria-checked=true]")
    field = page.tab.get_by_label("Name of the new class")
    page.key("?")
    page.tab.get_by_role("dialog", name="Keys").wait_for()
    page.key("Escape")
    page.tab.get_by_role("dialog", name="Keys").wait_for(state="hidden")
    page.key("F2")
    page.tab.get_by_role("dialog", name="Class land").wait_for()
    page.key("Escape")
    page.tab.get_by_role("dialog", name="Class land").wait_for(state="hidden")
    field.focus()
    page.tab.keyboard.type("forest 1?")
    assert field.input_value() == "forest 1?", "in a name these are letters like others"
    field.fill("")
    page.key("1")
    assert page.tab.locator(".class-row[data-name=water] [aria-checked=true]").count() == 1
    assert field.input_value() == ""
    assert page.tab.evaluate("document.activeElement.id") == "map"


# What is said, and when


def test_a_click_outside_the_image_marks_nothing_and_is_no_error(page: LabellingPage) -> None:
    page.add_class("water")
    box = page.tab.locator("#map").bounding_box()
    page.tab.mouse.click(box["x"] + 4, box["y"] + box["height"] / 2)
    notice = page.tab.locator(".notice")
    notice.wait_for()
    assert notice.get_attribute("data-kind") == "info"
    assert page.counts() == {"water": 0}
    assert page.complaints == []


def test_quick_marking_leaves_the_console_empty(page: LabellingPage, place: Place) -> None:
    page.two_classes(place.water[0], place.land[0])
    row, col = place.land[1]
    for step in range(8):
        page.tab.mouse.click(*page.at(row + 2 * (step // 4), col + 2 * (step % 4)))
    page.saved()
    page.settled()
    assert page.counts() == {"water": 1, "land": 9}
    assert page.complaints == []


def test_the_hand_that_marks_a_suggestion_does_not_erase(page: LabellingPage, place: Place) -> None:
    page.two_classes(place.water[0], place.land[0])
    page.tool("erase")
    page.key("n")
    page.tab.locator("#suggestion").wait_for()
    assert page.tab.locator("#tools [data-tool=point]").get_attribute("aria-pressed") == "true"
    page.tool("erase")
    page.tab.locator("#suggestion").wait_for(state="hidden")


def test_the_bottom_line_tells_of_the_date_on_show(page: LabellingPage, place: Place) -> None:
    row, col = place.land[0]
    page.tab.mouse.move(*page.at(row, col))
    told = []
    for date in DATES[:2]:
        page.tab.locator(f".date[data-scene='{date}']").focus()
        if date != DATES[0]:
            page.key("ArrowRight")
            page.tab.wait_for_selector(f".date[data-scene='{date}'][aria-selected=true]")
        values = page.api(f"api/scenes/{date}/pixel?row={row}&col={col}", None, "GET")["values"]
        page.until_text("#at-values", f"{values[0]:g}")
        told.append(page.tab.locator("#at-values").inner_text())
    assert told[0] != told[1]


def test_the_earlier_date_lies_left_of_the_divider_whichever_is_open(page: LabellingPage, place: Place) -> None:
    page.add_class("water")
    page.tab.locator(".date").last.click()
    page.tab.wait_for_selector(f".date[data-scene='{DATES[2]}'][aria-selected=true]")
    page.key("w")
    page.tab.locator("#divider").wait_for()
    assert page.tab.locator(".swipe-date").all_inner_texts() == ["Jun 21, 2020", "Jul 16, 2021"]
    row, middle = place.water[0][0], page.scene()["width"] // 2
    page.point(row, middle - 90)
    page.point(row, middle + 90)
    assert [len(page.api(f"api/scenes/{date}/marks", None, "GET")["marks"]) for date in DATES] == [0, 1, 1]


def test_a_single_point_is_seen_on_the_whole_image(page: LabellingPage, place: Place) -> None:
    plain = page.look()
    page.add_class("water")
    page.point(*place.water[0])
    page.tab.mouse.move(2, 2)
    page.frames()
    x, y = (int(v) for v in page.at(*place.water[0]))
    around = np.s_[y - 9 : y + 10, x - 9 : x + 10]
    changed = np.abs(page.look()[around].astype(int) - plain[around]).max(axis=2) > 40
    assert changed.sum() > 150
    assert page.color(*place.water[0]) == color_of(page, "water")


# Screens


@pytest.mark.parametrize("device", DEVICES)
def test_nothing_is_cut_off_or_covered(tabs: Tabs, page: LabellingPage, shared_server: Server, device: str) -> None:
    page.add_class("water")
    width, height, touch = DEVICES[device]
    other = tabs(shared_server, width=width, height=height, has_touch=touch)
    other.tab.wait_for_selector(".class-row")
    overflow = other.tab.evaluate(
        "[document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]"
    )
    assert overflow == [0, 0]
    hidden = other.tab.evaluate(
        """buttons => [...document.querySelectorAll(buttons)].filter(one => one.checkVisibility()).filter(one => {
            const {left, right, top, bottom} = one.getBoundingClientRect();
            const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
            return left < 0 || top < 0 || right > innerWidth || bottom > innerHeight || !(one.contains(hit));
        }).map(one => one.id || one.ariaLabel)""",
        BUTTONS,
    )
    assert hidden == []
    status = other.tab.evaluate(
        "(one => [one.scrollWidth - one.clientWidth, one.scrollHeight - one.clientHeight])(document.querySelector('#status'))"
    )
    assert status == [0, 0]
    box = other.tab.locator("#map").bounding_box()
    assert min(box["width"], box["height"]) >= 250


def test_a_finger_marks_on_a_phone(tabs: Tabs, page: LabellingPage, shared_server: Server, place: Place) -> None:
    phone = tabs(shared_server, width=390, height=844, has_touch=True, is_mobile=True)
    phone.tab.get_by_label("Name of the new class").fill("water")
    phone.tab.get_by_role("button", name="Add class").tap()
    phone.tab.wait_for_selector(".class-row[data-name=water] [aria-checked=true]")
    phone.tab.touchscreen.tap(*phone.at(*place.water[0]))
    phone.saved()
    phone.until("document.querySelector('.class-counts').textContent.startsWith('1 ')")


@pytest.mark.parametrize("device", ["laptop", "phone"])
def test_axe_finds_nothing(tabs: Tabs, page: LabellingPage, shared_server: Server, place: Place, device: str) -> None:
    if not AXE.exists():
        missing("axe-core is not installed: run `npm ci` in frontend/.")
    page.two_classes(place.water[0], place.land[0])
    width, height, touch = DEVICES[device]
    other = tabs(shared_server, width=width, height=height, has_touch=touch, bypass_csp=True)
    other.settled()
    other.tab.locator("#marks summary").click()
    other.tab.locator("#marks-everything").check()
    other.tab.add_script_tag(path=AXE)
    for opened in (None, "x", "?", "F2", "i", "j"):
        if opened:
            other.key(opened)
            other.tab.get_by_role("dialog").wait_for()
        found = other.tab.evaluate(
            "axe.run(document).then(({violations}) => violations.map(one => [one.id, one.nodes.map(node => node.target.join(' '))]))"
        )
        assert found == [], opened
        if opened:
            other.key("Escape")
            other.tab.get_by_role("dialog").wait_for(state="detached")
