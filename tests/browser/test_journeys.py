"""Journeys that a user makes on the labelling page, each on the real server with a real raster."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from pixelkin.web.tiles import HEADER

from .conftest import DATES, Place, Serve, Server
from .page import LabellingPage

Tabs = Callable[..., LabellingPage]


def hex_color(color: str) -> tuple[int, int, int]:
    return tuple(bytes.fromhex(color[1:]))  # type: ignore[return-value]


def color_of(page: LabellingPage, name: str) -> tuple[int, int, int]:
    return hex_color(next(one["color"] for one in page.project()["classes"] if one["name"] == name))


# Open


def test_the_image_shows_at_once_and_the_page_says_what_to_do(page: LabellingPage, place: Place) -> None:
    page.until("document.querySelector('#reason').textContent.includes('two classes')")
    assert page.tab.title().endswith("pixelkin")
    picture = page.look()
    x, y = (int(v) for v in page.at(*place.water[0]))
    assert len(np.unique(picture[y - 40 : y + 40, x - 40 : x + 40].reshape(-1, 3), axis=0)) > 50


def test_the_position_is_told_in_the_image_s_crs_and_in_degrees(page: LabellingPage, place: Place) -> None:
    import rasterio
    from pyproj import Transformer

    row, col = place.land[0]
    with rasterio.open(place.files[0]) as source:
        x, y = source.xy(row, col)
        longitude, latitude = Transformer.from_crs(source.crs, "EPSG:4326", always_xy=True).transform(x, y)
        size = source.transform.a
    page.tab.mouse.move(*page.at(row, col))
    page.until_text("#at-pixel", f"row {row}, col {col}")
    told = page.tab.locator("#at-crs").inner_text().split(maxsplit=1)[1].split(", ")
    np.testing.assert_allclose([float(v) for v in told], [x, y], atol=size)
    north, east = page.tab.locator("#at-degrees").inner_text().split(", ")
    assert north.endswith("N")
    assert east.endswith("E")
    np.testing.assert_allclose([float(north.split("°")[0]), float(east.split("°")[0])], [latitude, longitude], atol=1e-4)


def test_one_image_pixel_is_never_resampled_into_another(tabs: Tabs, serve: Serve, tmp_path: Path) -> None:
    import rasterio

    # Band values encode the position, so a pixel shown at the wrong place or mixed with another cannot hide.
    rows, cols = np.mgrid[0:300, 0:280]
    pixels = np.stack([rows % 256, cols % 256, (rows // 256) * 100 + (cols // 256) * 50 + 5]).astype(np.uint8)
    path = tmp_path / "position.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=300, width=280, count=3, dtype="uint8", transform=rasterio.Affine(1, 0, 10, 0, -1, 20)
    ) as target:
        target.write(pixels)
    page = tabs(serve([path], "--no-train"))
    for i in range(3):
        page.tab.get_by_label(f"Lowest value of {('red', 'green', 'blue')[i]}").fill("0")
        page.tab.get_by_label(f"Lowest value of {('red', 'green', 'blue')[i]}").press("Enter")
        page.tab.get_by_label(f"Highest value of {('red', 'green', 'blue')[i]}").fill("255")
        page.tab.get_by_label(f"Highest value of {('red', 'green', 'blue')[i]}").press("Enter")
    for _ in range(3):
        page.tab.get_by_role("button", name="Zoom in (+)").click()
        page.frames()
    assert page.scale >= 8
    page.pictured()
    page.tab.mouse.move(2, 2)
    page.frames()
    picture, scale = page.look(), int(page.scale)
    for row, col in ((150, 140), (141, 131), (158, 149)):
        x, y = page.at(row, col)
        left, top = round(x - scale / 2), round(y - scale / 2)
        block = picture[top + 1 : top + scale - 1, left + 1 : left + scale - 1].reshape(-1, 3)
        np.testing.assert_array_equal(np.unique(block, axis=0), [pixels[:, row, col]])


def test_no_data_is_shown_as_no_data_and_never_mapped(tabs: Tabs, serve: Serve, tmp_path: Path) -> None:
    import rasterio

    pixels = np.full((3, 200, 200), 90, np.uint16)
    pixels[0, :, 100:] = 900
    pixels[:, 60:140, 60:140] = 0
    path = tmp_path / "hole.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=200, width=200, count=3, dtype="uint16", nodata=0, transform=rasterio.Affine(1, 0, 10, 0, -1, 20)
    ) as target:
        target.write(pixels)
    page = tabs(serve([path], "--no-train"))
    page.two_classes((20, 20), (20, 180))
    page.opaque()
    hole = {page.color(row, col) for row in range(80, 120, 3) for col in (90, 110)}
    classes = {color_of(page, "water"), color_of(page, "land")}
    assert len(hole) == 2, "a checkerboard has two colours"
    assert not hole & classes
    assert page.color(20, 60) == color_of(page, "water")


# Mark


def test_two_marks_make_a_map_and_a_third_repaints_it(page: LabellingPage, place: Place) -> None:
    page.two_classes(place.water[0], place.land[0])
    page.opaque()
    assert page.color(*place.water[0]) == color_of(page, "water")
    assert page.color(*place.land[0]) == color_of(page, "land")
    page.add_class("field")
    page.patch(*place.land[1])
    page.settled()
    page.tab.mouse.move(2, 2)
    page.frames()
    assert page.color(*place.land[1]) == color_of(page, "field")
    assert page.color(*place.water[0]) == color_of(page, "water")
    assert page.counts() == {"water": 1, "land": 1, "field": 81}
    page.until("[...document.querySelectorAll('.class-area')].every(one => one.textContent.includes('%'))")


def test_scribble_box_and_polygon_mark_what_they_cover(page: LabellingPage, place: Place) -> None:
    page.add_class("water")
    row, col = place.water[0]
    page.drag("box", (row, col), (row + 2, col + 3))
    assert page.counts() == {"water": 12}
    page.tool("scribble")
    page.tab.get_by_label("Brush width in image pixels").fill("1")
    row, col = place.water[1]
    page.drag("scribble", (row, col), (row, col + 6))
    assert page.counts() == {"water": 12 + 7}
    page.tool("polygon")
    row, col = place.land[0]
    for corner in ((row - 10, col - 10), (row - 10, col + 10), (row + 10, col + 10)):
        page.tab.mouse.click(*page.at(*corner))
    page.tab.mouse.dblclick(*page.at(row + 10, col - 10))
    page.saved()
    assert page.counts()["water"] == pytest.approx(19 + 400, abs=41)
    kinds = [mark["kind"] for mark in page.api(f"api/scenes/{DATES[0]}/marks")["marks"]]
    assert kinds == ["box", "scribble", "polygon"]


def test_the_eraser_takes_labels_away(page: LabellingPage, place: Place) -> None:
    page.add_class("water")
    row, col = place.water[0]
    page.drag("box", (row - 3, col - 3), (row + 3, col + 3))
    assert page.counts() == {"water": 49}
    page.drag("erase", (row, col - 6), (row, col + 6))
    assert 0 < page.counts()["water"] < 49
    page.key("Control+z")
    page.saved()
    page.until("document.querySelector('.class-counts').textContent.startsWith('49 ')")


def test_undo_and_redo_go_back_and_forth(page: LabellingPage, place: Place) -> None:
    page.two_classes(place.water[0], place.land[0])
    page.opaque()
    assert page.color(*place.land[1]) == color_of(page, "land")
    page.choose("water")
    page.patch(*place.land[1])
    page.settled()
    page.tab.mouse.move(2, 2)
    assert page.color(*place.land[1]) == color_of(page, "water")
    page.tab.locator("#undo").click()
    page.saved()
    page.settled()
    assert page.counts() == {"water": 1, "land": 1}
    assert page.color(*place.land[1]) == color_of(page, "land")
    page.key("Control+Shift+z")
    page.saved()
    page.settled()
    assert page.counts() == {"water": 82, "land": 1}
    assert page.color(*place.land[1]) == color_of(page, "water")


def test_a_reload_keeps_everything(page: LabellingPage, place: Place) -> None:
    page.two_classes(place.water[0], place.land[0])
    page.opaque()
    before = page.look()
    page.open()
    page.settled()
    page.opaque()
    assert page.counts() == {"water": 1, "land": 1}
    box = page.tab.locator("#map").bounding_box()
    part = np.s_[int(box["y"]) + 90 : int(box["y"] + box["height"]) - 60, int(box["x"]) + 60 : int(box["x"] + box["width"]) - 60]
    np.testing.assert_array_equal(page.look()[part], before[part])


def test_classes_are_renamed_recoloured_merged_and_deleted(page: LabellingPage, place: Place) -> None:
    page.two_classes(place.water[0], place.land[0])
    page.add_class("pond")
    page.point(*place.water[1])
    page.tab.get_by_role("button", name="Edit class water").click()
    page.tab.get_by_label("Name", exact=True).fill("lake")
    page.tab.get_by_label("Colour").fill("#102030")
    page.tab.get_by_role("button", name="Save").click()
    page.saved()
    page.settled()
    page.opaque()
    assert page.color(*place.water[0]) == (0x10, 0x20, 0x30)
    page.tab.get_by_role("button", name="Edit class pond").click()
    page.tab.get_by_label("Merge into").select_option(label="lake")
    page.tab.get_by_role("button", name="Merge").click()
    page.tab.wait_for_selector(".class-row[data-name=pond]", state="detached")
    assert page.counts() == {"lake": 2, "land": 1}
    page.tab.get_by_role("button", name="Edit class land").click()
    page.tab.get_by_role("button", name="Delete class and its marks").click()
    page.tab.wait_for_selector(".class-row[data-name=land]", state="detached")
    page.saved()
    assert page.counts() == {"lake": 2}
    for _ in range(3):
        page.key("Control+z")
    page.saved()
    page.tab.wait_for_selector(".class-row[data-name=water]")
    assert page.counts() == {"water": 1, "land": 1, "pond": 1}


def test_a_refusal_is_shown_in_the_server_s_words(page: LabellingPage) -> None:
    page.add_class("water")
    page.tab.get_by_label("Name of the new class").fill("water")
    page.tab.get_by_role("button", name="Add class").click()
    notice = page.tab.locator(".notice[data-kind=error]")
    notice.wait_for()
    assert "water" in notice.inner_text()
    assert page.counts() == {"water": 0}
    notice.get_by_role("button", name="Dismiss").click()
    notice.wait_for(state="detached")


def test_overlapping_marks_are_shown(page: LabellingPage, place: Place) -> None:
    page.add_class("water")
    page.add_class("land")
    row, col = place.water[0]
    page.choose("water")
    page.drag("box", (row, col), (row + 1, col + 1))
    page.choose("land")
    page.drag("box", (row + 1, col + 1), (row + 2, col + 2))
    overlap = page.tab.locator("#overlaps")
    overlap.wait_for()
    assert overlap.inner_text().startswith("1 pixel marked with two classes")
    overlap.click()
    page.frames()
    box = page.tab.locator("#map").bounding_box()
    page.tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.until_text("#at-pixel", f"row {row + 1}, col {col + 1}")
    assert page.counts() == {"water": 3, "land": 4}


def test_a_mark_that_contradicts_the_others_is_listed_and_shown(page: LabellingPage, place: Place) -> None:
    page.add_class("water")
    page.add_class("land")
    for name, pixels in (("water", place.water), ("land", place.land)):
        page.choose(name)
        for row, col in pixels:
            page.point(row, col)
    page.settled()
    plain = page.look()
    wrong = (place.water[0][0] + 12, place.water[0][1])
    page.point(*wrong)
    item = page.tab.locator("#checks .check-item")
    item.wait_for()
    assert item.count() == 1
    assert item.inner_text().split() == f"land looks like water row {wrong[0]}, col {wrong[1]}".split()
    page.settled()
    page.tab.mouse.move(2, 2)
    page.frames()
    # A diamond stands on the pixel: wide at its middle, pointed at its top.
    x, y = (int(v) for v in page.at(*wrong))
    above = np.s_[y - 24 : y, x - 12 : x + 13]
    widths = (np.abs(page.look()[above].astype(int) - plain[above]).max(axis=2) > 60).sum(axis=1)
    assert widths[-10] >= 15
    assert widths[-18] <= 6
    # The keyboard reaches the list, and the list the place.
    item.focus()
    page.key("Enter")
    page.frames()
    box = page.tab.locator("#map").bounding_box()
    page.tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.until_text("#at-pixel", f"row {wrong[0]}, col {wrong[1]}")
    page.choose("water")
    page.tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.saved()
    page.tab.locator("#checks").wait_for(state="hidden")
    assert page.counts() == {"water": len(place.water) + 1, "land": len(place.land)}


def test_the_page_shows_where_to_mark_next(page: LabellingPage, place: Place) -> None:
    page.two_classes(place.water[0], place.land[0])
    page.key("n")
    page.tab.locator("#suggestion").wait_for()
    text = page.tab.locator("#suggestion").inner_text()
    row, col = (int(part) for part in text.split("row ")[1].split(":")[0].split(", col "))
    box = page.tab.locator("#map").bounding_box()
    page.frames()
    page.tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.until_text("#at-pixel", f"row {row}, col {col}")


# Look


def test_dates_are_stepped_with_the_strip_and_with_keys(page: LabellingPage, place: Place) -> None:
    page.until("[...document.querySelectorAll('.date img')].every(image => image.complete && image.naturalWidth > 0)")
    assert page.tab.locator(".date").count() == len(DATES)
    page.two_classes(place.water[0], place.land[0])
    first = page.color(*place.water[0])
    page.tab.locator(".date").first.focus()
    page.key("ArrowRight")
    page.tab.wait_for_selector(f".date[data-scene='{DATES[1]}'][aria-selected=true]")
    page.settled()
    page.pictured()
    assert page.color(*place.water[0]) != first
    page.tab.locator("#map").focus()
    page.key(".")
    page.tab.wait_for_selector(f".date[data-scene='{DATES[2]}'][aria-selected=true]")
    page.key(",", ",")
    page.tab.wait_for_selector(f".date[data-scene='{DATES[0]}'][aria-selected=true]")
    # The map of a date that was not marked comes from the labels of the one that was.
    areas = page.api(f"api/scenes/{DATES[1]}/areas")
    assert {one["name"] for one in areas["classes"] if one["pixels"] > 0} == {"water", "land"}


def test_two_dates_are_compared_and_a_mark_belongs_to_the_one_below_it(page: LabellingPage, place: Place) -> None:
    page.add_class("water")
    page.pictured()
    page.key("m")
    single = page.look()
    page.key("w")
    divider = page.tab.get_by_role("slider", name="Divider between two dates")
    divider.wait_for()
    page.pictured()
    row, _ = place.water[0]
    middle = page.scene()["width"] // 2
    both = page.look()
    left, right = (tuple(int(v) for v in page.at(row, middle + step)) for step in (-90, 90))
    around = np.s_[-6:7]
    for (x, y), same in ((left, True), (right, False)):
        patch = np.s_[y - 6 : y + 7, x - 6 : x + 7]
        assert (both[patch] == single[patch]).all() == same, around
    page.point(row, middle + 90)
    page.point(row, middle - 90)
    assert [mark["scene"] for date in DATES for mark in page.api(f"api/scenes/{date}/marks")["marks"]] == [DATES[0], DATES[1]]
    divider.focus()
    page.key("ArrowLeft", "ArrowLeft")
    assert divider.get_attribute("aria-valuenow") == "46"


def test_space_peeks_below_the_map(page: LabellingPage, place: Place) -> None:
    page.pictured()
    plain = page.color(*place.water[0])
    page.two_classes(place.water[0], place.land[0])
    page.opaque()
    assert page.color(*place.water[0]) == color_of(page, "water")
    page.tab.keyboard.down(" ")
    page.frames()
    assert page.color(*place.water[0]) == plain
    page.tab.keyboard.up(" ")
    page.frames()
    assert page.color(*place.water[0]) == color_of(page, "water")


def test_the_confidence_layer_has_a_legend_and_its_own_colours(page: LabellingPage, place: Place) -> None:
    page.two_classes(place.water[0], place.land[0])
    page.opaque()
    page.key("c")
    page.tab.locator(".legend").wait_for()
    page.pictured()
    page.until(f"document.querySelector('#map').dataset.confident === '{page.project()['revision']}'")
    page.frames()
    ramp = {hex_color(color) for color in page.api("api/confidence-ramp")}
    for row, col in (place.water[0], place.land[0], place.land[2]):
        assert page.color(row, col) in ramp


def test_band_combination_and_stretch_change_the_picture(page: LabellingPage, place: Place) -> None:
    page.pictured()
    natural = page.look()
    page.tab.get_by_label("Band combination").select_option(label="False colour (near infrared)")
    page.pictured()
    false_color = page.color(*place.land[0])
    x, y = (int(v) for v in page.at(*place.land[0]))
    assert false_color != tuple(natural[y, x])
    page.tab.get_by_label("Highest value of red").fill("10000")
    page.tab.get_by_label("Highest value of red").press("Enter")
    page.pictured()
    assert page.color(*place.land[0])[0] < false_color[0]
    page.tab.get_by_role("button", name="Automatic stretch").click()
    page.pictured()
    assert page.color(*place.land[0]) == false_color


# Answer


def test_a_late_answer_never_overwrites_a_newer_one_and_old_tiles_stay_until_then(page: LabellingPage, place: Place) -> None:
    page.two_classes(place.water[0], place.land[0])
    page.opaque()
    row, col = place.land[1]
    revision = page.project()["revision"]
    water = next(one["id"] for one in page.project()["classes"] if one["name"] == "water")
    held: list[Any] = []
    page.tab.route(f"**/tiles/classes/{revision + 1}/**", lambda route: held.append(route))
    page.choose("water")
    page.point(row, col)
    page.frames()
    page.tab.mouse.move(2, 2)
    assert held
    assert page.color(row, col) == color_of(page, "land"), "the old tile stays on show while the new one is under way"
    page.key("Control+z")
    page.saved()
    for route in held:
        # What the server said of the superseded revision, had it been quick.
        route.fulfill(status=200, content_type="application/octet-stream", body=_all_water(route.request.url, water))
    held.clear()
    page.settled()
    assert page.color(row, col) == color_of(page, "land")
    assert page.color(*place.water[0]) == color_of(page, "water")


def _all_water(url: str, water: int) -> bytes:
    """Every tile that is asked for, of one class."""
    places = [part.split(",") for part in parse_qs(urlsplit(url).query)["at"][0].split(";")]
    return b"".join(HEADER.pack(int(x), int(y), 1.0) + bytes([water]) * 256 * 256 for x, y in places)


def test_what_is_exported_is_what_was_shown(page: LabellingPage, shared_server: Server, place: Place, tmp_path: Path) -> None:
    import rasterio

    page.two_classes(place.water[0], place.land[0])
    row, col = place.land[1]
    page.drag("box", (row, col), (row + 3, col + 4))
    assert page.counts() == {"water": 1, "land": 21}
    page.one_to_one()
    page.settled()
    page.opaque()
    shown = page.look()
    page.key("x")
    page.tab.locator("#export-scope").select_option(value="this")
    page.tab.get_by_label("File name").fill("shown")
    page.tab.get_by_role("dialog").get_by_role("button", name="Export").click()
    link = page.tab.locator(".job[data-kind=export] a[download^='shown'][download$='.tif']").first
    link.wait_for(timeout=20_000)
    with page.tab.expect_download() as download:
        link.click()
    download.value.save_as(tmp_path / "map.tif")
    page.key("Escape")
    with rasterio.open(tmp_path / "map.tif") as source:
        exported = source.read(1)

    colors = np.zeros((256, 3), np.uint8)
    for one in page.project()["classes"]:
        colors[one["id"]] = hex_color(one["color"])
    height, width = exported.shape
    left, top = (int(np.floor(v)) for v in page.at(0, 0))
    # The page's own controls float over the image's edge.
    part = np.s_[50 : height - 50, 20 : width - 20]
    np.testing.assert_array_equal(shown[top : top + height, left : left + width][part], colors[exported][part])

    np.testing.assert_array_equal(exported, _predicted(page, place))
    command = [sys.executable, "-m", "pixelkin", "segment", str(shared_server.project), "--out", str(tmp_path / "maps")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with rasterio.open(next((tmp_path / "maps").glob(f"*{DATES[0]}*.tif"))) as source:
        np.testing.assert_array_equal(source.read(1), exported)


def _predicted(page: LabellingPage, place: Place) -> Any:
    """The map that Python makes of the same labels, drawn by hand."""
    import pixelkin as pk

    ids = {one["name"]: one["id"] for one in page.project()["classes"]}
    row, col = place.land[1]
    box = [(r, c) for r in range(row, row + 4) for c in range(col, col + 5)]
    pixels = [place.water[0], place.land[0], *box]
    classes = [ids["water"]] + [ids["land"]] * (1 + len(box))
    labels = pk.LabelledPixels.from_arrays([r for r, _ in pixels], [c for _, c in pixels], classes)
    scene = pk.open_scene(place.files[0])
    return pk.Segmenter().fit(scene, labels).predict(scene).classes


def test_all_dates_are_mapped_at_one_go(page: LabellingPage, place: Place) -> None:
    page.two_classes(place.water[0], place.land[0])
    page.key("x")
    page.tab.locator("#export-scope").select_option(value="all")
    page.tab.get_by_label("File name").fill("all")
    page.tab.get_by_role("dialog").get_by_role("button", name="Export").click()
    links = page.tab.locator(".job[data-kind=export][data-state=done] a[download*='all']")
    links.first.wait_for(timeout=30_000)
    names = [link.get_attribute("download") for link in links.all()]
    assert all(any(date in name and name.endswith(".tif") for name in names) for date in DATES), names


# Labels in and out


def test_labels_are_imported_from_a_file_and_come_out_again(page: LabellingPage, place: Place, tmp_path: Path) -> None:
    import geopandas
    import rasterio
    from shapely.geometry import Point

    with rasterio.open(place.files[0]) as source:
        places = [("water", place.water[0]), ("water", place.water[1]), ("land", place.land[0])]
        points = [Point(*source.xy(*pixel)) for _, pixel in places]
        frame = geopandas.GeoDataFrame({"class": [name for name, _ in places]}, geometry=points, crs=source.crs)
    path = tmp_path / "labels.geojson"
    frame.to_crs("EPSG:4326").to_file(path, driver="GeoJSON")
    page.key("i")
    page.tab.get_by_label("Label file").set_input_files(path)
    page.tab.get_by_role("button", name="Import 3 marks").click()
    page.tab.wait_for_selector(".class-row[data-name=land]")
    assert page.counts() == {"water": 2, "land": 1}
    page.settled()
    page.key("x")
    with page.tab.expect_download() as download:
        page.tab.get_by_role("link", name="GeoJSON").click()
    download.value.save_as(tmp_path / "back.geojson")
    page.key("Escape")
    back = geopandas.read_file(tmp_path / "back.geojson")
    assert sorted(back["class"]) == ["land", "water", "water"]
    distance = back.to_crs(frame.crs).geometry.apply(lambda one: min(one.distance(point) for point in points))
    with rasterio.open(place.files[0]) as source:
        assert distance.max() < source.transform.a / 2
    page.key("Control+z")
    page.saved()
    page.tab.wait_for_selector(".class-row[data-name=land]", state="detached")
    assert page.counts() == {}


def test_a_file_that_is_no_label_file_is_refused_in_one_line(page: LabellingPage, tmp_path: Path) -> None:
    path = tmp_path / "nonsense.geojson"
    path.write_text("{ not json")
    page.key("i")
    page.tab.get_by_label("Label file").set_input_files(path)
    refusal = page.tab.get_by_role("dialog").get_by_role("alert")
    refusal.wait_for()
    assert "\n" not in refusal.inner_text().strip()
    assert page.tab.locator("#import-go").is_disabled()
    page.key("Escape")
    assert page.counts() == {}


def test_what_an_import_will_do_is_chosen_and_shown_before_it_is_done(page: LabellingPage, place: Place, tmp_path: Path) -> None:
    import geopandas
    import rasterio
    from shapely.geometry import Point

    page.add_class("water")
    with rasterio.open(place.files[0]) as source:
        covers = [("lake", place.water[0]), ("lake", place.water[1]), ("wood", place.land[0]), ("cloud", place.land[1])]
        places = [Point(*source.xy(*pixel)) for _, pixel in covers] + [Point(*source.xy(-50, -50))]
        frame = geopandas.GeoDataFrame({"cover": [*(name for name, _ in covers), "wood"], "class": "x"}, geometry=places, crs=source.crs)
    path = tmp_path / "covers.gpkg"
    frame.to_file(path, layer="survey")
    frame[:1].to_file(path, layer="other")
    page.key("i")
    dialog = page.tab.get_by_role("dialog")
    dialog.get_by_label("Label file").set_input_files(path)
    dialog.get_by_role("alert").wait_for()
    dialog.get_by_label("Layer").fill("survey")
    dialog.get_by_label("Class field").fill("cover")
    dialog.get_by_label("Class field").press("Tab")
    page.until("document.querySelector('.warning[role=alert]').textContent.includes('outside')")
    dialog.get_by_label("Leave out marks outside the image").check()
    dialog.get_by_role("button", name="Import 4 marks").wait_for()
    assert [row.split()[:3] for row in dialog.locator("tr").all_inner_texts()[1:]] == [
        ["lake", "2", "2"],
        ["wood", "1", "1"],
        ["cloud", "1", "1"],
    ]
    dialog.get_by_label("What becomes of lake").select_option(label="water")
    dialog.get_by_label("What becomes of cloud").select_option(label="leave out")
    assert page.counts() == {"water": 0}
    dialog.get_by_role("button", name="Import 3 marks").click()
    page.tab.wait_for_selector(".class-row[data-name=wood]")
    page.until("document.querySelector('.class-counts').textContent.startsWith('2 ')")
    assert page.counts() == {"water": 2, "wood": 1}


# Start, stop, train


def test_the_server_is_killed_and_nothing_acknowledged_is_lost(tabs: Tabs, serve: Serve, place: Place) -> None:
    server = serve([place.folder], "--no-train")
    page = tabs(server)
    page.two_classes(place.water[0], place.land[0])
    page.remember()
    server.kill()
    page.tab.wait_for_selector("#connection[data-state=offline]")
    # Other dates can be opened meanwhile, and what the server does not tell of them is no fault of the page.
    for key, date in ((".", DATES[1]), (",", DATES[0])):
        page.key(key)
        page.tab.wait_for_selector(f".date[data-scene='{date}'][aria-selected=true]")
    page.tool("point")
    page.tab.mouse.click(*page.at(*place.land[1]))
    page.until("document.querySelector('#connection').textContent.includes('1 to send')")
    server.start()
    page.saved()
    page.settled()
    assert page.counts() == {"water": 1, "land": 2}
    page.key("Control+z")
    page.saved()
    page.until("document.querySelectorAll('.class-counts')[1].textContent.startsWith('1 ')")


def test_an_encoder_trains_in_the_background_and_takes_over_with_the_labels_kept(
    tabs: Tabs, serve: Serve, place: Place, tmp_path: Path
) -> None:
    page = tabs(serve([_part(place, tmp_path)], "--no-train"))
    # The shore: the part is centred on the first water pixel, and the first land pixel seen from there is marked too.
    water, land = (48, 48), _first_land(place)
    page.two_classes(water, land)
    chip = page.tab.locator("#model")
    assert chip.inner_text() == "Map from photo features"
    chip.click()
    page.until_text("dialog", "The map stands on band values and features learned from photographs.")
    page.tab.get_by_role("button", name="Train an encoder on these images").click()
    page.tab.get_by_role("button", name="Cancel").click()
    page.tab.wait_for_selector(".job[data-kind=train][data-state=cancelled]", timeout=60_000)
    page.key("Escape")
    page.api("api/jobs/train", {"preset": "fast", "steps": 20})
    page.tab.wait_for_selector("#model[data-state=training]")
    page.tab.wait_for_selector("#model[data-state=ready]", timeout=90_000)
    page.tab.wait_for_selector('#model[data-measure="learner on features"]')
    page.until_text("#notices", "of the pixels shown changed their class")
    # They lie over the map.
    while (dismiss := page.tab.locator("#notices").get_by_role("button", name="Dismiss")).count():
        dismiss.first.click()
    page.settled()
    assert page.counts() == {"water": 1, "land": 1}
    page.opaque()
    assert page.color(*water) == color_of(page, "water")
    assert page.color(*land) == color_of(page, "land")


def _part(place: Place, folder: Path) -> Path:
    """96 x 96 pixels around the first water pixel: enough to learn from in seconds."""
    import rasterio
    from rasterio.windows import Window

    row, col = place.water[0]
    window = Window(col - 48, row - 48, 96, 96)
    with rasterio.open(place.files[0]) as source:
        a, b, c, d, e, f = source.transform[:6]
        corner = rasterio.Affine(a, b, c + a * window.col_off + b * window.row_off, d, e, f + d * window.col_off + e * window.row_off)
        profile = source.profile | {"height": 96, "width": 96, "transform": corner, "driver": "GTiff"}
        pixels, names = source.read(window=window), source.descriptions
    path = folder / "part.tif"
    with rasterio.open(path, "w", **profile) as target:
        target.write(pixels)
        target.descriptions = names
    return path


def _first_land(place: Place) -> tuple[int, int]:
    """A pixel near a corner of the part that is land."""
    import rasterio

    row, col = place.water[0]
    corners = [(12, 12), (12, 83), (83, 12), (83, 83)]
    with rasterio.open(place.files[0]) as source:
        pixels = source.read()
    brightness = [int(pixels[3, row - 48 + r, col - 48 + c]) for r, c in corners]
    return corners[int(np.argmax(brightness))]


def test_two_tabs_stay_consistent(tabs: Tabs, page: LabellingPage, shared_server: Server, place: Place) -> None:
    other = tabs(shared_server)
    page.two_classes(place.water[0], place.land[0])
    other.until("document.querySelectorAll('.class-row').length === 2")
    other.settled()
    assert other.counts() == {"water": 1, "land": 1}
    other.choose("water")
    other.point(*place.water[1])
    page.until("document.querySelector('.class-counts').textContent.startsWith('2 ')")
    page.key("Control+z")
    other.until("document.querySelector('.class-counts').textContent.startsWith('1 ')")
    page.saved()
    other.settled()
    page.opaque()
    other.opaque()
    for pixel in (*place.water, *place.land):
        assert page.color(*pixel) == other.color(*pixel)


def test_a_foreign_page_cannot_drive_the_server(browser: Any, page: LabellingPage, shared_server: Server) -> None:
    class Foreign(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>elsewhere</title>")

        def log_message(self, *_: Any) -> None:
            pass

    page.add_class("water")
    before = page.project()["revision"]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        context = browser.new_context()
        tab = context.new_page()
        tab.goto(f"http://127.0.0.1:{elsewhere.server_port}/")
        # A simple request needs no preflight: the server itself must refuse it.
        tab.evaluate(
            """url => fetch(url + "api/undo", {method: "POST", mode: "no-cors", headers: {"Content-Type": "text/plain"},
                body: JSON.stringify({key: "foreign"})}).then(() => null, () => null)""",
            shared_server.url,
        )
        read = tab.evaluate("url => fetch(url + 'api/project').then(() => 'read', () => 'refused')", shared_server.url)
        context.close()
        elsewhere.shutdown()
    assert read == "refused"
    assert page.project()["revision"] == before
    assert page.counts() == {"water": 0}


# Habits


def test_everything_goes_with_the_keyboard_alone(page: LabellingPage) -> None:
    tab = page.tab
    page.key("a")
    tab.keyboard.type("water")
    page.key("Enter")
    tab.wait_for_selector(".class-row[data-name=water]")
    tab.keyboard.type("land")
    page.key("Enter")
    tab.wait_for_selector(".class-row[data-name=land]")
    # From the top of the page, the first stop leads to the map.
    tab.reload()
    tab.wait_for_selector(".class-row[data-name=land]")
    page.pictured()
    page.key("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    page.key("Enter")
    assert tab.evaluate("document.activeElement.id") == "map"
    page.key("1", "p", "Enter", "Enter")
    page.saved()
    page.key("2", *["Shift+ArrowRight"] * 6, "Enter")
    page.saved()
    assert page.counts() == {"water": 1, "land": 1}
    tab.wait_for_selector("#reason", state="hidden")
    page.settled()
    page.key("b", "Enter", "ArrowRight", "ArrowDown", "Enter")
    page.saved()
    assert page.counts() == {"water": 1, "land": 4}
    page.key("s", "[", "[", "[", "[", "[", "Enter", "ArrowLeft", "ArrowLeft", "Enter")
    page.saved()
    page.key("Control+z", "Control+z")
    page.saved()
    assert page.counts() == {"water": 1, "land": 1}
    page.key("?")
    assert tab.get_by_role("dialog", name="Keys").is_visible()
    page.key("Escape")
    assert tab.get_by_role("dialog").count() == 0


def test_every_control_has_a_name_and_focus_is_seen(page: LabellingPage) -> None:
    page.add_class("water")
    unnamed = page.tab.evaluate(
        """() => [...document.querySelectorAll("button, input, select, a, [role=slider]")].filter(one => {
            const label = one.getAttribute("aria-label") || one.textContent.trim() || one.closest("label")?.textContent.trim() || one.labels?.[0]?.textContent;
            return !label && one.offsetParent !== null;
        }).map(one => one.outerHTML.slice(0, 120))"""
    )
    assert unnamed == []
    page.tab.reload()
    page.tab.wait_for_selector(".class-row")
    seen = set()
    for _ in range(60):
        page.key("Tab")
        focus = page.tab.evaluate(
            """() => { const one = document.activeElement; const style = getComputedStyle(one);
                return [one.tagName + one.id + (one.getAttribute("aria-label") ?? one.textContent), style.outlineStyle, style.outlineWidth]; }"""
        )
        if focus[0].startswith("BODY"):
            break
        assert focus[1] != "none", focus
        seen.add(focus[0])
    assert len(seen) > 25


def test_a_finger_marks_on_a_tablet(tabs: Tabs, page: LabellingPage, shared_server: Server, place: Place) -> None:
    tablet = tabs(shared_server, width=1024, height=768, has_touch=True)
    tablet.add_class("water")
    tablet.tab.touchscreen.tap(*tablet.at(*place.water[0]))
    tablet.saved()
    tablet.until("document.querySelector('.class-counts').textContent.startsWith('1 ')")
    row, col = place.water[0]
    marks = tablet.api(f"api/scenes/{DATES[0]}/marks")["marks"]
    assert [mark["geometry"]["coordinates"] for mark in marks] == [[col + 0.5, row + 0.5]]


def test_light_and_dark_follow_the_system(tabs: Tabs, shared_server: Server) -> None:
    means = [tabs(shared_server, color_scheme=scheme).look()[:40].mean() for scheme in ("light", "dark")]
    assert means[0] > 200
    assert means[1] < 80
