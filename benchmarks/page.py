"""How quickly the labelling page answers, measured in the browser.

    python benchmarks/page.py --out page.json

Three figures: from the end of a mark's gesture to the frame in which the whole visible map is the new one (1 Mpx in view at 1:1,
60 labels there already, a trained encoder, every block computed), and from starting `pixelkin serve` on a 10,000 x 10,000
Cloud-Optimized GeoTIFF to the frame in which the image is there, and from a key that answers a sample point to the frame that shows the next, over
300 points of an image or a folder of dates (`--validation FOLDER`, alone).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# An image of 1024 x 1024 pixels at 1:1 beside the page's own parts, with the margin that the page leaves around it.
VIEW = {"width": 1024 + 53 + 316 + 40, "height": 1024 + 49 + 27 + 40}
_WATCH = """() => {
  window.times = [];
  const map = document.querySelector("#map");
  map.addEventListener("pointerup", event => { window.began = performance.now(); }, true);
  new MutationObserver(() => {
    const began = window.began, settled = performance.now();
    requestAnimationFrame(() => window.times.push([settled - began, performance.now() - began]));
  }).observe(map, {attributes: true, attributeFilter: ["data-settled"]});
}"""


def _image(path: Path, size: int) -> None:
    """Fields of four covers with noise, four uint16 bands, written as a COG."""
    import rasterio

    rng = np.random.default_rng(5)
    profile = {
        "driver": "COG", "height": size, "width": size, "count": 4, "dtype": "uint16", "crs": "EPSG:32631", "nodata": 0,
        "transform": rasterio.Affine(10, 0, 500000, 0, -10, 4700000), "compress": "DEFLATE", "level": 1, "num_threads": "ALL_CPUS",
    }  # fmt: skip
    means = np.array([[700, 900, 1000, 300], [1200, 1100, 900, 3200], [2400, 2100, 1800, 2700], [900, 1000, 800, 1900]])
    step = 1000
    covers = rng.integers(0, 4, (size // 50 + 1, size // 50 + 1))
    with rasterio.open(path, "w", **profile) as target:
        for top in range(0, size, step):
            rows = np.arange(top, min(size, top + step))
            cover = covers[rows[:, None] // 50, np.arange(size)[None, :] // 50]
            noise = rng.normal(0, 80, (4, *cover.shape)).astype(np.float32)
            block = (means[cover].transpose(2, 0, 1) + noise).clip(1).astype(np.uint16)
            target.write(block, window=((top, int(rows[-1]) + 1), (0, size)))
        target.descriptions = ("red", "green", "blue", "nir")


@contextlib.contextmanager
def _served(image: Path, project: Path) -> Iterator[tuple[str, float]]:
    """The server's address, and the time at which it was started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "pixelkin",
        "serve",
        str(image),
        "--project",
        str(project),
        "--port",
        str(port),
        "--no-open",
        "--no-train",
    ]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}/"
        while True:
            with (
                contextlib.suppress(urllib.error.URLError, ConnectionError),
                urllib.request.urlopen(url + "api/health", timeout=5) as answer,
            ):
                answer.read()
                break
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with code {process.returncode}")
            time.sleep(0.01)
        yield url, began
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _ask(tab: Any, path: str, body: Any = None) -> Any:
    return tab.evaluate(
        """async ([path, body]) => (await fetch(path, body === null ? {} : {method: "POST",
            headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)})).json()""",
        [path, body],
    )


def _wait(tab: Any, condition: str, timeout_s: float = 600) -> None:
    deadline = time.monotonic() + timeout_s
    while not tab.evaluate(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(condition)
        time.sleep(0.02)


def repaint(browser: Any, image: Path, project: Path, marks: int, steps: int) -> dict[str, float]:
    """Milliseconds from the end of a click to the frame that shows the new map."""
    rng = np.random.default_rng(1)
    with _served(image, project) as (url, _):
        tab = browser.new_context(viewport=VIEW).new_page()
        tab.goto(url)
        tab.wait_for_selector("#map[data-pictured]")
        scene = _ask(tab, "api/project")["scenes"][0]
        edits: list[dict[str, Any]] = [
            {"op": "add_class", "name": name, "id": i + 1} for i, name in enumerate(("water", "forest", "soil", "field"))
        ]
        for i in range(60):
            col, row = (float(v) + 0.5 for v in rng.integers(0, scene["width"], 2))
            edits.append(
                {"op": "add_mark", "scene": scene["id"], "class_id": i % 4 + 1, "kind": "point", "brush_px": 1,
                 "geometry": {"type": "Point", "coordinates": [col, row]}}
            )  # fmt: skip
        _ask(tab, "api/edits", {"key": "labels", "edits": edits})
        job = _ask(tab, "api/jobs/train", {"preset": "fast", "steps": steps})
        while (state := _ask(tab, f"api/jobs/{job['id']}"))["state"] not in ("done", "failed", "cancelled"):
            time.sleep(0.5)
        if state["state"] != "done":
            raise RuntimeError(f"training ended as {state['state']}: {state['error']}")
        _wait(tab, "document.querySelector('#model').dataset.measure === 'learner on features'", timeout_s=60)
        while _ask(tab, f"api/scenes/{scene['id']}/areas")["complete"] < 1:
            time.sleep(0.5)
        tab.wait_for_timeout(1000)
        if tab.locator("#zoom-level").inner_text() != "1 : 1":
            raise RuntimeError(f"the view is at {tab.locator('#zoom-level').inner_text()}, expected 1 : 1")
        tab.keyboard.press("p")
        tab.evaluate(_WATCH)
        box = tab.locator("#map").bounding_box()
        for i in range(marks):
            before = tab.evaluate("window.times.length")
            tab.keyboard.press(str(i % 4 + 1))
            tab.mouse.click(box["x"] + int(rng.integers(80, box["width"] - 80)), box["y"] + int(rng.integers(80, box["height"] - 80)))
            _wait(tab, f"window.times.length > {before}")
            # People do not click within a frame; the background work of the last mark may go on, as it would.
            tab.wait_for_timeout(150)
        times = np.array(tab.evaluate("window.times"))
        tab.context.close()
    shown = times[:, 1]
    return {
        "marks": len(times), "view_megapixels": round(box["width"] * box["height"] / 1e6, 2),
        "settled_median_ms": float(np.median(times[:, 0])), "median_ms": float(np.median(shown)), "p95_ms": float(np.percentile(shown, 95)), "max_ms": float(shown.max()),
    }  # fmt: skip


def first_pixels(browser: Any, image: Path, folder: Path, runs: int) -> dict[str, float]:
    """Seconds from starting the server to the image on the screen; each run is a new project."""
    times, health = [], []
    for i in range(runs):
        tab = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
        with _served(image, folder / f"first{i}") as (url, began):
            health.append(time.perf_counter() - began)
            tab.goto(url)
            tab.wait_for_selector("#map[data-pictured]")
            times.append(time.perf_counter() - began)
        tab.context.close()
    return {
        "runs": runs,
        "server_answers_median_s": float(np.median(health)),
        "median_s": float(np.median(times)),
        "max_s": float(np.max(times)),
    }


_TIMED = """() => {
  const answered = performance.getEntriesByName("pixelkin:answered"), shown = performance.getEntriesByName("pixelkin:point");
  return answered.slice(0, -1).map(({startTime}) => (shown.find(one => one.startTime >= startTime)?.startTime ?? Infinity) - startTime);
}"""


def validation(browser: Any, imagery: Path, folder: Path, count: int) -> dict[str, float]:
    """Milliseconds from a key that answers a sample point to the next point drawn on all dates, and how many answers were kept."""
    from pixelkin.assessment import design_sample, write_sample
    from pixelkin.raster import open_scene
    from pixelkin.scene import as_scenes
    from pixelkin.segmentation import Segmentation
    from pixelkin.types import Legend

    scenes = as_scenes(open_scene(imagery))
    grid = scenes[0].grid
    classes = np.where(np.arange(grid.width) < grid.width // 2, 1, 2) * np.ones((grid.height, 1), int)
    valid = np.ones(grid.shape, bool)
    half = Segmentation(classes.astype(np.uint8), valid.astype(np.float32), valid, Legend.from_names(["left", "right"]), grid)
    points = write_sample(design_sample(half, count), folder / "points.gpkg")
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.add_init_script("localStorage.setItem('pixelkin.tour', 'yes')")
    tab = context.new_page()
    with _served(imagery, folder / "validated") as (url, _):
        tab.goto(url)
        tab.locator("#validate").click()
        tab.locator("#sample-file").set_input_files(points)
        tab.locator(".start-answering").click()
        loaded = tab.evaluate("performance.timeOrigin")
        for point in range(count):
            _wait(tab, f"() => document.querySelector('.chips')?.dataset.shown === '{point}'")
            tab.keyboard.press("1")
        _wait(tab, "() => document.querySelector('#validation-saved').dataset.state === 'saved'")
        times = np.array(tab.evaluate(_TIMED))
        (sample,) = _ask(tab, "api/samples")["samples"]
        kept = _ask(tab, f"api/samples/{sample['id']}/progress?interpreter=1")["answered"]
        reloads = int(loaded != tab.evaluate("performance.timeOrigin"))
    context.close()
    return {
        "dates": len(scenes), "points": count, "kept": kept, "reloads": reloads,
        "median_ms": float(np.median(times)), "p95_ms": float(np.quantile(times, 0.95)), "max_ms": float(times.max()),
    }  # fmt: skip


@click.command()
@click.option("--validation", "imagery", type=click.Path(exists=True), help="Only time the answering of 300 sample points of this imagery.")
@click.option("--marks", default=60, show_default=True, help="Marks to time.")
@click.option("--steps", default=30, show_default=True, help="Training steps: their number does not change the time of an answer.")
@click.option("--runs", default=5, show_default=True, help="Starts of the server to time.")
@click.option("--size", default=10_000, show_default=True, help="Side of the large image, pixels.")
@click.option("--out", type=click.Path(dir_okay=False), help="JSON file for the figures.")
@click.option("--chromium", default="/usr/bin/chromium", show_default=True)
def main(imagery: str | None, marks: int, steps: int, runs: int, size: int, out: str | None, chromium: str) -> None:
    """Measure the page."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS), headless=True)
        figures: dict[str, Any] = {}
        if imagery is not None:
            figures["validation"] = validation(browser, Path(imagery), folder, 300)
        else:
            _image(folder / "view.tif", 1024)
            figures["repaint"] = repaint(browser, folder / "view.tif", folder / "project", marks, steps)
            click.echo(json.dumps(figures))
            _image(folder / "large.tif", size)
            figures["first_pixels"] = first_pixels(browser, folder / "large.tif", folder, runs)
        browser.close()
    text = json.dumps(figures, indent=2)
    click.echo(text)
    if out:
        Path(out).write_text(text + "\n")


if __name__ == "__main__":
    main()
