"""Ways to look at the image while deciding: indices, the stretch, a pixel through time."""

from __future__ import annotations

import re

import numpy as np
import pytest

from .conftest import DATES, Place
from .page import LabellingPage


def band_values(place: Place, date: int, row: int, col: int) -> dict[str, float]:
    import rasterio

    with rasterio.open(place.files[date]) as source:
        return {name.lower(): float(value) for name, value in zip(source.descriptions, source.read()[:, row, col], strict=True)}


def ndvi(values: dict[str, float]) -> float:
    return (values["nir"] - values["red"]) / (values["nir"] + values["red"])


def test_an_index_is_shown_in_its_colours_between_its_ends(page: LabellingPage, place: Place) -> None:
    from matplotlib import colormaps

    page.tab.get_by_label("Band combination").select_option(label="Vegetation (NDVI)")
    page.tab.locator(".index-ramp").wait_for()
    page.pictured()
    low, high = (float(page.tab.get_by_label(f"{end} value of the index").input_value()) for end in ("Lowest", "Highest"))
    assert -1 <= low < high <= 1
    for row, col in (place.water[0], place.land[0]):
        step = round(255 * float(np.clip((ndvi(band_values(place, 0, row, col)) - low) / (high - low), 0, 1)))
        near = [tuple(int(v) for v in colormaps["BrBG"](min(255, max(0, step + d)), bytes=True)[:3]) for d in (-1, 0, 1)]
        assert page.color(row, col) in near
    # The same formula, typed.
    page.tab.get_by_label("Band combination").select_option(label="Own formula…")
    page.tab.get_by_label("Formula of the index").fill("nir / (red + 1)")
    page.key("Enter")
    page.until("Number(document.querySelector('[aria-label=\"Highest value of the index\"]').value) > 1")
    page.tab.get_by_label("Formula of the index").fill("nir.__class__")
    page.key("Enter")
    notice = page.tab.locator(".notice[data-kind=error]")
    notice.wait_for()
    assert "nir.__class__" in notice.inner_text()
    page.tab.get_by_label("Band combination").select_option(label="Natural colour")
    page.tab.get_by_label("Highest value of red").wait_for()


def test_the_ends_of_the_histogram_stretch_the_picture_with_the_keyboard_too(page: LabellingPage, place: Place) -> None:
    before = page.color(*place.land[0])
    number = page.tab.get_by_label("Highest value of red")
    was = float(number.input_value())
    page.tab.get_by_label("Bright end of red").focus()
    page.key(*["ArrowRight"] * 3)
    page.until(f"Number(document.querySelector('[aria-label=\"Highest value of red\"]').value) !== {was}")
    page.tab.get_by_label("Bright end of red").press("End")
    page.pictured()
    assert float(number.input_value()) > was
    assert page.color(*place.land[0])[0] < before[0]
    page.tab.get_by_role("button", name="Automatic stretch").click()
    page.pictured()
    page.tab.mouse.move(2, 2)
    assert page.color(*place.land[0]) == before


def test_a_pixel_is_followed_through_time(page: LabellingPage, place: Place) -> None:
    page.tab.locator("#profile summary").click()
    row, col = place.land[0]
    page.tab.mouse.move(*page.at(row, col))
    page.tab.locator("#profile-chart svg").wait_for()
    page.until_text("#profile-about", f"row {row}, col {col}: red, green, blue")
    told = page.tab.locator("#profile-chart svg").get_attribute("aria-label").split("; ")
    assert len(told) == len(DATES)
    for i, one in enumerate(told):
        reds = float(re.search(r": ([\d,.]+), ", one).group(1).replace(",", ""))  # type: ignore[union-attr]
        assert reds == pytest.approx(band_values(place, i, row, col)["red"], rel=1e-3)
    page.tab.get_by_label("Band combination").select_option(label="Vegetation (NDVI)")
    page.until_text("#profile-about", "(nir - red) / (nir + red)")
    told = page.tab.locator("#profile-chart svg").get_attribute("aria-label").split("; ")
    assert float(told[1].split(": ")[1].replace("−", "-")) == pytest.approx(ndvi(band_values(place, 1, row, col)), abs=1e-3)
