"""The example page maps a local GeoTIFF in Chromium as the map model does elsewhere."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio

import pixelkin as pk
from pixelkin.portable import export_onnx
from pixelkin.portable.map_model import MapModel
from tests.browser.conftest import FLAGS
from tests.needs import CHROMIUM, missing, require_chromium

PAGE = Path(__file__).parents[2] / "examples" / "browser"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    """The page, served on loopback."""
    require_chromium()
    if not (PAGE / "node_modules" / "onnxruntime-web").is_dir():
        # Node.js of the environment, where the machine has none.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        done = subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=PAGE, env=os.environ | {"PATH": path}, capture_output=True, text=True)
        if done.returncode:
            missing(f"npm cannot install what the page needs: {done.stderr.strip()[-200:]}.")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=PAGE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def case(tmp_path):
    """A map model by name, and an image with a hole and its bands in another order, as a file and as an array."""
    rng = np.random.default_rng(11)
    truth = (np.add.outer(np.arange(300) // 40, np.arange(280) // 40) % 3 + 1).astype(np.uint8)
    data = np.clip(40 * truth + rng.normal(0, 25, (3, 300, 280)), 1, 255).astype(np.uint8)
    labels = np.where(rng.random(truth.shape) < 0.003, truth, 0)
    other = data[:, ::-1].copy()
    other[:, 40:60, 100:130] = 0
    with rasterio.open(tmp_path / "image.tif", "w", driver="GTiff", width=280, height=300, count=3, dtype="uint8", nodata=0) as file:
        file.write(other[[2, 0, 1]])
        file.descriptions = ("blue", "red", "green")
    return pk.ArrayScene(data, bands=("red", "green", "blue")), labels, other


def open_page(address, then):
    # In a thread of its own: the labelling page's tests leave a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_in_chromium, address, then).result()


def _in_chromium(address, then):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), headless=True)
        page = chromium.new_page()
        trouble = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.goto(address)
        found = then(page)
        chromium.close()
    assert not trouble
    return found


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_the_page_maps_a_local_file(address, case, tmp_path):
    scene, labels, other = case
    export_onnx(pk.Segmenter(None, features=["bands"], check_labels=False).fit(scene, labels), tmp_path / "out")
    model = MapModel(tmp_path / "out")
    expected = model.predict(other, (other != 0).all(axis=0))[0]

    def use(page):
        page.set_input_files("#model", [tmp_path / "out" / "map_model.json"])
        page.get_by_text("expected two files, map_model.onnx and map_model.json").wait_for()
        page.set_input_files("#model", [tmp_path / "out" / name for name in ("map_model.onnx", "map_model.json")])
        page.get_by_text("Bands: red, green, blue.").wait_for()
        page.set_input_files("#image", tmp_path / "image.tif")
        page.get_by_text("image.tif: 280 x 300 pixels in").wait_for()
        assert page.locator("#legend li").count() == 3
        return page.evaluate("Array.from(document.getElementById('map').getContext('2d').getImageData(0, 0, 280, 300).data)")

    picture = np.array(open_page(address, use), np.uint8).reshape(300, 280, 4)
    colours = np.zeros((256, 4), np.uint8)
    for entry in model.classes:
        colours[entry["id"]] = (*entry["color"], 255)
    assert (picture == colours[expected]).all(axis=2).mean() >= 0.999
