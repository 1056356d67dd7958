"""A short film of the labelling page, by the means of its browser tests: python -m benchmarks.screencast. Writes docs/gallery/labelling.gif, under 3 MB.

The scene and the marks are the demo's; what is seen is a real server and a real browser.
"""

from __future__ import annotations

import json
import tempfile
from importlib.resources import files
from pathlib import Path

import rasterio
from PIL import Image
from playwright.sync_api import sync_playwright
from tests.browser.conftest import CHROMIUM, FLAGS, Server
from tests.browser.page import LabellingPage

from pixelkin.demo import landsat

TARGET = Path(__file__).parents[1] / "docs" / "gallery" / "labelling.gif"
WIDTH, HEIGHT = 1100, 680
EACH = 3
"""Marks of each class."""
MOST_BYTES = 3_000_000


class Film:
    """Pictures of a page, and how long each is shown."""

    def __init__(self, page: LabellingPage) -> None:
        self._page = page
        self._frames: list[tuple[Image.Image, int]] = []

    def take(self, ms: int) -> None:
        """One picture of what is on the screen."""
        self._page.frames()
        self._frames.append((Image.fromarray(self._page.look()), ms))

    def save(self, path: Path) -> None:
        """As a GIF, with as many colours as fit; SystemExit where it is too large all the same."""
        path.parent.mkdir(exist_ok=True)
        for colours in (128, 64, 32):
            palette = self._frames[-1][0].quantize(colours)
            first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame, _ in self._frames]
            first.save(path, save_all=True, append_images=rest, duration=[ms for _, ms in self._frames], loop=0, optimize=True)
            if path.stat().st_size < MOST_BYTES:
                return
        raise SystemExit(f"{path} is larger than {MOST_BYTES} bytes.")


def places(count: int) -> dict[str, list[tuple[int, int]]]:
    """Rows and columns of the demo's first marks, by class."""
    found: dict[str, list[tuple[int, int]]] = {}
    marks = json.loads((files("pixelkin") / "data" / "great_salt_lake.geojson").read_text(encoding="utf-8"))
    with rasterio.open(landsat()) as scene:
        for feature in marks["features"]:
            shape, name = feature["geometry"], feature["properties"]["class"]
            if shape["type"] == "Point" and len(found.setdefault(name, [])) < count:
                found[name].append(scene.index(*shape["coordinates"][:2]))
    return {name: at for name, at in found.items() if at}


def main() -> None:
    """Mark the demo's scene on the page, and keep what is seen."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server([landsat()], Path(folder) / "project", "--no-train")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), headless=True)
        try:
            context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
            context.set_default_timeout(60_000)
            context.add_init_script("localStorage.setItem('pixelkin.tour', 'yes')")
            page = LabellingPage(context.new_page(), server.url).open()
            page.pictured()
            film, wanted = Film(page), places(EACH)
            film.take(1500)
            for name in wanted:
                page.add_class(name)
                film.take(400)
            for turn in range(EACH):
                for name, at in wanted.items():
                    if turn < len(at):
                        page.choose(name)
                        page.point(*at[turn])
                        if turn or name == list(wanted)[-1]:
                            page.settled()
                        film.take(600)
            page.tab.mouse.move(2, 2)
            page.settled()
            film.take(2500)
            page.opaque()
            film.take(3000)
            film.save(TARGET)
        finally:
            browser.close()
            server.stop()
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1e6:.2f} MB, {len(film._frames)} pictures")


if __name__ == "__main__":
    main()
