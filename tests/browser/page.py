"""What a user sees and touches, as functions of image pixels."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.needs import missing

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
Point = tuple[int, int]


class LabellingPage:
    """A tab with the page open. Positions are (row, col) of the image."""

    def __init__(self, tab: Any, url: str) -> None:
        self.tab = tab
        self.url = url
        self.complaints: list[str] = []
        self._known: Any = None
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)

    def open(self) -> LabellingPage:
        self.tab.goto(self.url)
        self.tab.wait_for_selector("#tool-bar strong")
        self.until("document.querySelector('#zoom-level').textContent !== ''")
        self.fit()
        self.pictured()
        return self

    def until(self, condition: str, *, timeout_s: float = 30) -> None:
        """Wait for an expression to hold. Playwright's own wait needs eval, which the page's policy forbids."""
        deadline = time.monotonic() + timeout_s
        while not self.tab.evaluate(condition):
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {condition}"
            time.sleep(0.03)

    def frames(self) -> None:
        """Wait until what was done last is on the screen."""
        self.tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def until_text(self, selector: str, text: str) -> None:
        """Wait until an element's text holds a part."""
        self.until(f"document.querySelector({json.dumps(selector)})?.textContent.includes({json.dumps(text)})")

    # Looking

    def fit(self) -> None:
        self.tab.get_by_role("button", name="Whole image (F)").click()
        self.tab.mouse.move(2, 2)
        self.frames()

    def api(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """Ask the server as the page would."""
        return self.tab.evaluate(
            """async ([path, body, method]) => {
                const options = body === null ? {} : {method, headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)};
                const response = await fetch(path, options);
                return await response.json();
            }""",
            [path, body, method],
        )

    def project(self) -> Any:
        return self.api("api/project")

    def scene(self) -> Any:
        open_id = self.tab.evaluate("document.querySelector('.date[aria-selected=true]')?.dataset.scene ?? null")
        scenes = self.project()["scenes"]
        return next((scene for scene in scenes if scene["id"] == open_id), scenes[0])

    @property
    def scale(self) -> float:
        """Screen pixels an image pixel."""
        return 1 / float(self.tab.locator("#zoom-level").get_attribute("data-resolution"))

    def one_to_one(self) -> None:
        """One screen pixel an image pixel, the image in the middle."""
        self.fit()
        while self.scale != 1:
            self.tab.get_by_role("button", name="Zoom in (+)" if self.scale < 1 else "Zoom out (-)").click()
            self.frames()
        self.tab.mouse.move(2, 2)
        self.pictured()

    def at(self, row: float, col: float) -> tuple[float, float]:
        """Where the centre of an image pixel is on the screen; only where the image is centred, as after `fit`."""
        scene = self._known or self.scene()
        box = self.tab.locator("#map").bounding_box()
        x = box["x"] + box["width"] / 2 + (col + 0.5 - scene["width"] / 2) * self.scale
        y = box["y"] + box["height"] / 2 + (row + 0.5 - scene["height"] / 2) * self.scale
        return x, y

    def remember(self) -> None:
        """Keep where the image lies, for a time without the server."""
        self._known = self.scene()

    def look(self) -> npt.NDArray[np.uint8]:
        """The whole tab, (row, col, RGB)."""
        return np.asarray(Image.open(io.BytesIO(self.tab.screenshot())).convert("RGB"))

    def color(self, row: float, col: float) -> tuple[int, ...]:
        """What is on the screen at the centre of an image pixel."""
        x, y = self.at(row, col)
        return tuple(int(v) for v in self.look()[int(y), int(x)])

    def pictured(self) -> None:
        """Wait until the image is there."""
        self.tab.wait_for_selector("#map[data-pictured=true]")
        self.frames()

    def settled(self) -> int:
        """Wait until the whole view shows the server's newest revision; return it."""
        revision = self.project()["revision"]
        self.until(f"Number(document.querySelector('#map').dataset.settled) >= {revision}", timeout_s=30)
        self.frames()
        return int(revision)

    def saved(self) -> None:
        """Wait until the server has acknowledged everything."""
        self.tab.wait_for_selector("#connection[data-state=saved]", timeout=20_000)

    def counts(self) -> dict[str, int]:
        """Labelled pixels by class, as the panel shows them."""
        rows = self.tab.locator(".class-row")
        return {
            rows.nth(i).get_attribute("data-name"): int(rows.nth(i).locator(".class-counts").inner_text().split()[0].replace(",", ""))
            for i in range(rows.count())
        }

    def has_no_findings(self) -> None:
        """Ask axe-core about the page as it stands, which must have been opened with bypass_csp; see `missing`."""
        if not AXE.exists():
            missing("axe-core is not installed: run `npm ci` in frontend/.")
        self.tab.add_script_tag(path=AXE)
        found = self.tab.evaluate(
            "axe.run(document).then(({violations}) => violations.map(one => [one.id, one.nodes.map(node => node.target.join(' '))]))"
        )
        assert found == [], found

    # Doing

    def key(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)

    def add_class(self, name: str) -> None:
        self.tab.get_by_label("Name of the new class").fill(name)
        self.tab.get_by_role("button", name="Add class").click()
        self.tab.wait_for_selector(f".class-row[data-name='{name}'] [aria-checked=true]")

    def choose(self, name: str) -> None:
        self.tab.locator(f".class-row[data-name='{name}'] .class-choose").click()

    def tool(self, name: str) -> None:
        self.tab.locator(f"#tools [data-tool={name}]").click()

    def point(self, row: int, col: int) -> None:
        self.tool("point")
        self.tab.mouse.click(*self.at(row, col))
        self.saved()

    def drag(self, tool: str, *path: Point) -> None:
        self.tool(tool)
        self.tab.mouse.move(*self.at(*path[0]))
        self.tab.mouse.down()
        for row, col in path[1:]:
            self.tab.mouse.move(*self.at(row, col), steps=4)
        self.tab.mouse.up()
        self.saved()

    def patch(self, row: int, col: int) -> None:
        """Mark 9 x 9 pixels: enough to turn the map there, however the engine smooths."""
        self.drag("box", (row - 4, col - 4), (row + 4, col + 4))

    def two_classes(self, water: Point, land: Point) -> None:
        """The shortest way to a map."""
        self.add_class("water")
        self.add_class("land")
        self.choose("water")
        self.point(*water)
        self.choose("land")
        self.point(*land)
        self.tab.wait_for_selector("#reason", state="hidden")
        self.settled()

    def two_points_each(self, place: Any) -> None:
        """Classes 'water' and 'land' with two points each."""
        self.add_class("water")
        self.add_class("land")
        for name, pixels in (("water", place.water[:2]), ("land", place.land[:2])):
            self.choose(name)
            for pixel in pixels:
                self.point(*pixel)

    def opaque(self) -> None:
        """Nothing but the map: opacity 100 %, marks hidden."""
        self.tab.locator("#map").focus()
        self.key("o", "o", "o", "o", "o", "l")
        self.tab.mouse.move(2, 2)
        self.frames()
