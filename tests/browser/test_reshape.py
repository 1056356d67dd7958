"""A mark taken in hand: moved, reshaped, and back again; by mouse, finger and keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conftest import Place, Server
from .page import LabellingPage, Point


def shapes(page: LabellingPage) -> list[Any]:
    page.saved()
    return [mark["geometry"]["coordinates"] for mark in page.api(f"api/scenes/{page.scene()['id']}/marks", None, "GET")["marks"]]


def centre(pixel: Point) -> list[float]:
    return [pixel[1] + 0.5, pixel[0] + 0.5]


def drag(page: LabellingPage, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.tab.mouse.move(*page.at(*start))
    page.tab.mouse.down()
    page.tab.mouse.move(*page.at(*end), steps=3)
    page.tab.mouse.up()
    page.saved()


def test_a_mark_is_moved_and_reshaped_and_undone(page: LabellingPage, place: Place) -> None:
    first, second, third = place.water
    page.add_class("water")
    page.point(*first)
    page.patch(*second)
    row, col = second
    square = [[col - 4, row - 4], [col + 5, row - 4], [col + 5, row + 5], [col - 4, row + 5], [col - 4, row - 4]]
    assert shapes(page) == [centre(first), [square]]
    page.key("r")
    drag(page, first, third)
    assert shapes(page)[0] == centre(third)
    page.key("Control+z")
    page.saved()
    page.until("document.querySelector('#redo').disabled === false")
    assert shapes(page)[0] == centre(first)
    page.tab.mouse.click(*page.at(*second))
    drag(page, (row - 4.5, col - 4.5), (row - 10, col - 12))
    assert shapes(page)[1][0][0] == [col - 12, row - 10]
    assert page.counts() == {"water": 1 + 15 * 17}
    page.key("Delete")
    page.saved()
    page.until("document.querySelector('.class-counts').textContent.startsWith('1 ')")
    assert page.tab.locator("#map").get_attribute("data-held") == ""
    drag(page, first, (first[0], -40))  # not off the image
    assert shapes(page) == [centre(first)]


def test_the_keyboard_alone_moves_a_mark(page: LabellingPage, place: Place) -> None:
    page.add_class("water")
    page.tab.locator("#map").focus()
    page.key("ArrowRight", "Enter")
    (before,) = shapes(page)
    page.key("r", "Enter", "ArrowDown", "ArrowDown", "ArrowLeft", "Enter")
    assert shapes(page) == [[before[0] - 1, before[1] + 2]]
    page.key("Enter", "ArrowDown", "Escape")
    assert shapes(page) == [[before[0] - 1, before[1] + 2]], "given up"


def test_a_finger_moves_a_mark(tabs: Callable[..., LabellingPage], page: LabellingPage, shared_server: Server, place: Place) -> None:
    page.add_class("water")
    page.point(*place.water[0])
    phone = tabs(shared_server, width=390, height=844, has_touch=True, is_mobile=True)
    phone.tab.locator("#tools [data-tool=edit]").tap()
    cdp = phone.tab.context.new_cdp_session(phone.tab)
    for kind, pixel in (("touchStart", place.water[0]), ("touchMove", place.water[1]), ("touchMove", place.water[2]), ("touchEnd", None)):
        points = [] if pixel is None else [dict(zip("xy", phone.at(*pixel), strict=True))]
        cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    phone.saved()
    phone.until("document.querySelector('#undo').title.includes('Move or reshape')")
    assert [round(value) for value in shapes(phone)[0]] == [round(value) for value in centre(place.water[2])]
