"""What a user lays over the image, and that nothing is loaded from elsewhere before they ask for it."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import rasterio
from PIL import Image

from .conftest import DATES, Place, Server
from .page import LabellingPage

RED = (220, 30, 40)


class TileServer(ThreadingHTTPServer):
    """Another server, whose tiles are all red; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        picture = io.BytesIO()
        Image.new("RGB", (256, 256), RED).save(picture, "PNG")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers.get("Referer")))
                self.send_response(200)
                self.send_header("Content-Type", "image/png")
                self.end_headers()
                self.wfile.write(picture.getvalue())

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def tile_server() -> Iterator[TileServer]:
    server = TileServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def parcel(place: Place, folder: Path) -> Path:
    """A polygon in degrees around the first water pixel."""
    from pyproj import Transformer

    row, col = place.water[0]
    with rasterio.open(place.files[0]) as source:
        move = Transformer.from_crs(source.crs, "EPSG:4326", always_xy=True).transform
        corners = [(-12, -12), (-12, 12), (12, 12), (12, -12), (-12, -12)]
        ring = [move(*(source.transform @ (col + 0.5 + x, row + 0.5 + y))) for y, x in corners]
    path = folder / "parcels.geojson"
    shape = {"type": "Polygon", "coordinates": [[list(point) for point in ring]]}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, "geometry": shape}]}))
    return path


@pytest.fixture(autouse=True)
def no_overlays(page: LabellingPage) -> Iterator[None]:
    yield
    for one in page.api("api/overlays", None, "GET")["overlays"]:
        page.tab.evaluate("id => fetch(`api/overlays/${id}`, {method: 'DELETE'}).then(answer => answer.text())", one["id"])


def add(page: LabellingPage, path: Path) -> None:
    if page.tab.locator("#overlays").get_attribute("open") is None:
        page.tab.locator("#overlays summary").click()
    with page.tab.expect_file_chooser() as chosen:
        page.tab.locator("#overlay-add").press("Enter")
    chosen.value.set_files(path)
    page.tab.wait_for_selector(f".overlay[data-overlay='{path.stem}']")


def test_a_vector_and_a_raster_lie_over_the_image(
    tabs: Callable[..., LabellingPage], page: LabellingPage, shared_server: Server, place: Place, tmp_path: Path
) -> None:
    row, col = place.water[0]
    plain = page.color(row - 12, col)
    add(page, parcel(place, tmp_path))
    page.until("document.querySelectorAll('.layer-overlay').length === 1")

    def shows(pixel: tuple[int, int], color: str) -> None:
        wanted = tuple(int(color[at : at + 2], 16) for at in (1, 3, 5))
        for _ in range(100):
            if all(abs(a - b) < 40 for a, b in zip(page.color(*pixel), wanted, strict=True)):
                return
            page.frames()
        raise AssertionError(f"{pixel} is {page.color(*pixel)}, expected about {wanted}")

    page.tab.mouse.move(2, 2)
    shows((row - 12, col), "#ff3ea5")
    assert page.color(row - 18, col) != page.color(row - 12, col)
    style = page.tab.locator(".overlay[data-overlay=parcels]")
    style.get_by_label("Colour of parcels").fill("#00ff00")
    shows((row - 12, col), "#00ff00")
    before = page.color(row, col)
    style.get_by_label("fill areas").check()
    page.frames()
    assert page.color(row, col) != before
    style.get_by_role("switch").uncheck()
    page.frames()
    page.frames()
    assert page.color(row - 12, col) == plain
    # An old map: any raster, here another date of the same place in grey.
    with rasterio.open(place.files[1]) as source:
        old = (source.read(4) > source.read(2)).astype("uint8") + 1
        profile = {"driver": "GTiff", "height": source.height, "width": source.width, "count": 1, "dtype": "uint8"}
        with rasterio.open(tmp_path / "old.tif", "w", **profile, crs=source.crs, transform=source.transform) as target:
            target.write(old, 1)
    add(page, tmp_path / "old.tif")
    opacity = page.tab.get_by_label("Opacity of old")
    opacity.fill("100")
    color = {1: "#0072b2", 2: "#e69f00"}[int(old[place.water[0]])]
    shows(place.water[0], color)
    asked: list[str] = []
    page.tab.on("request", lambda request: asked.append(request.url) if "/api/overlays/" in request.url else None)
    style.get_by_label("fill areas").uncheck()
    style.get_by_role("switch").check()
    page.tab.locator(".date").nth(1).click()
    page.pictured()
    shows(place.water[0], color)
    page.tab.locator(".date").first.click()
    page.pictured()
    assert asked == [], "the dates of a series lie on one grid"
    style.get_by_role("switch").uncheck()
    # It is everybody's: another page has it too, on every date, and it is gone where it is removed.
    other = tabs(shared_server, width=390, height=844, has_touch=True, bypass_csp=True)
    other.tab.wait_for_selector(".overlay[data-overlay=old]", state="attached")
    other.tab.locator("#overlays summary").tap()
    other.tab.get_by_role("button", name="Remove old").tap()
    page.tab.wait_for_selector(".overlay[data-overlay=old]", state="detached")
    other.tab.locator("#spectra summary").tap()
    other.has_no_findings()


def test_a_background_map_is_asked_for_only_where_it_is_switched_on(page: LabellingPage, tile_server: TileServer, place: Place) -> None:
    host = f"http://127.0.0.1:{tile_server.server_port}"
    page.tab.locator("#overlays summary").click()
    page.tab.locator("#background-add").click()
    page.tab.locator("#background-name").fill("ortho")
    page.tab.locator("#background-address").fill(f"{host}/wms")
    page.key("Enter")
    page.until_text("#notices", "LAYERS=")
    page.tab.locator("#background-address").fill(host + "/tiles/{z}/{x}/{y}.png")
    page.key("Enter")
    switch = page.tab.locator(".overlay[data-overlay=ortho]").get_by_role("switch")
    switch.wait_for()
    assert not switch.is_checked()
    page.frames()
    assert tile_server.asked == []
    page.tab.evaluate(
        "url => new Promise(done => { const image = new Image(); image.onload = image.onerror = done; image.src = url; })", host + "/secret"
    )
    assert tile_server.asked == [], "the page's policy stops what was not asked for"
    with page.tab.expect_navigation():
        switch.check()
    page.pictured()
    page.tab.get_by_label("Opacity of ortho").fill("100")
    for _ in range(200):
        page.frames()
        if all(abs(a - b) < 12 for a, b in zip(page.color(*place.land[0]), RED, strict=True)):
            break
    assert all(abs(a - b) < 12 for a, b in zip(page.color(*place.land[0]), RED, strict=True))
    path, referer = tile_server.asked[0]
    assert path.startswith("/tiles/")
    assert referer == page.url
    page.tab.goto("about:blank")
    tile_server.asked.clear()
    page.tab.goto(page.url)
    page.pictured()
    page.frames()
    assert not page.tab.locator(".overlay[data-overlay=ortho] [role=switch]").is_checked()
    page.complaints.clear()  # the browser's word on what the policy stopped
    assert tile_server.asked == [], "a page opened anew loads nothing from elsewhere"


def test_classes_show_their_spectra(page: LabellingPage, place: Place) -> None:
    page.two_points_each(place)
    page.tab.locator("#spectra summary").click()
    page.until("document.querySelectorAll('#spectra-chart path').length === 4")
    told = page.tab.locator("#spectra-chart svg").get_attribute("aria-label")
    values = [page.api(f"api/scenes/{DATES[0]}/pixel?row={row}&col={col}", None, "GET")["values"][3] for row, col in place.water[:2]]
    assert told.startswith("water: red ")
    assert f"nir {float(f'{sum(values) / 2:.4g}'):,g}" in told.split(";")[0]
