"""Chromium, the served project and the place it shows."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixelkin
from tests.needs import CHROMIUM, missing, require_chromium

from .page import LabellingPage, Point

# Nothing of the browser's own may reach for the network, and no GPU is needed.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--force-color-profile=srgb",
)  # fmt: skip
DATES = ("2020-02-02", "2020-06-21", "2021-07-16")
STATIC = Path(pixelkin.__file__).parent / "web" / "static"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    require_chromium()
    if not (STATIC / "index.html").exists():
        missing("The labelling page is not built: run `pip install -e .`, or `npm ci && npm run build` in frontend/.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), headless=True)
        yield chromium
        chromium.close()


@dataclass(frozen=True)
class Place:
    """Images on disk, and pixels whose cover is known."""

    folder: Path
    files: tuple[Path, ...]
    water: tuple[Point, ...]
    """Pixels in the middle of water on the first date, far apart."""
    land: tuple[Point, ...]


def _middles(mask: Any, count: int) -> tuple[Point, ...]:
    """Pixels farthest from the edge of a mask, far from each other."""
    from scipy.ndimage import distance_transform_edt

    found: list[Point] = []
    left = mask.copy()
    left[:30], left[-30:], left[:, :30], left[:, -30:] = False, False, False, False
    for _ in range(count):
        row, col = np.unravel_index(distance_transform_edt(left).argmax(), left.shape)
        found.append((int(row), int(col)))
        left[max(0, row - 25) : row + 26, max(0, col - 25) : col + 26] = False
    return tuple(found)


def _made_up(folder: Path) -> Any:
    """A lake that shrinks from date to date: what stands in where the real imagery is absent."""
    import rasterio

    rows, cols = np.mgrid[0:300, 0:320]
    rng = np.random.default_rng(7)
    water = None
    for i, date in enumerate(DATES):
        lake = np.hypot((rows - 150) / 100, (cols - 150) / 120) < 1 - 0.15 * i
        water = lake if water is None else water
        base = np.array([[700, 900, 1000, 300], [1200, 1100, 900, 3200]], np.float64)[1 - lake.astype(int)]
        pixels = (base + rng.normal(0, 60, base.shape)).clip(1).astype(np.uint16).transpose(2, 0, 1)
        profile = {"driver": "GTiff", "height": 300, "width": 320, "count": 4, "dtype": "uint16", "crs": "EPSG:32631", "nodata": 0}
        with rasterio.open(folder / f"{date}.tif", "w", transform=rasterio.Affine(10, 0, 500000, 0, -10, 4700000), **profile) as target:
            target.write(pixels)
            target.descriptions = ("red", "green", "blue", "nir")
    return water


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    import rasterio

    folder = tmp_path_factory.mktemp("place") / "boadella"
    folder.mkdir()
    data = Path(os.environ.get("PIXELKIN_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")) / "boadella"
    if data.is_dir():
        for date in DATES:
            shutil.copy(data / f"{date}.tif", folder)
        with rasterio.open(data / f"{DATES[0]}_water.tif") as source:
            water = source.read(1) == 1
    else:
        water = _made_up(folder)
    return Place(folder, tuple(folder / f"{date}.tif" for date in DATES), _middles(water, 3), _middles(~water, 4))


class Server:
    """`pixelkin serve` in a process of its own, which can be killed and started again at the same address."""

    def __init__(self, sources: list[Path], project: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.project = project
        self.url = f"http://127.0.0.1:{self.port}/"
        self._command = [sys.executable, "-m", "pixelkin", "serve", *map(str, sources)]
        self._command += ["--project", str(project), "--port", str(self.port), "--no-open", *options]
        self._log = project.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=environment, start_new_session=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(self.url + "api/health", timeout=2).close()
                return
            except urllib.error.HTTPError:
                return  # it asks for a token: it is there
            except (urllib.error.URLError, ConnectionError):
                pass
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"the server did not start: {self._log.read_text()[-3000:]}")

    def kill(self) -> None:
        """kill -9, training processes and all."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()


Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def shared_server(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server([place.folder], tmp_path_factory.mktemp("served") / "project", "--no-train")
    yield server
    server.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers of a test's own."""
    servers: list[Server] = []

    def start(sources: list[Path], *options: str) -> Server:
        servers.append(Server(sources, tmp_path / f"project{len(servers)}", *options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def tabs(browser: Any) -> Iterator[Callable[..., LabellingPage]]:
    """Open pages; at the end none may have complained on its console."""
    contexts: list[Any] = []
    pages: list[LabellingPage] = []

    def open_tab(
        server: Server, *, width: int = 1280, height: int = 720, newcomer: bool = False, unopened: bool = False, **options: Any
    ) -> LabellingPage:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **options))
        contexts[-1].set_default_timeout(30_000)
        if not newcomer:
            contexts[-1].add_init_script("localStorage.setItem('pixelkin.tour', 'yes')")
        pages.append(LabellingPage(contexts[-1].new_page(), server.url))
        return pages[-1] if unopened else pages[-1].open()

    yield open_tab
    for context in contexts:
        context.close()
    # Chromium itself logs refused requests (server away, 409 of a superseded tile); anything else is a fault of the page.
    faults = [text for page in pages for text in page.complaints if not text.startswith("Failed to load resource")]
    assert faults == []


@pytest.fixture
def page(tabs: Callable[..., LabellingPage], shared_server: Server) -> LabellingPage:
    """A page on the shared project, emptied of classes and marks."""
    opened = tabs(shared_server)
    classes = opened.project()["classes"]
    if classes:
        opened.api("api/edits", {"key": os.urandom(8).hex(), "edits": [{"op": "delete_class", "id": one["id"]} for one in classes]})
        opened.until("document.querySelectorAll('.class-row').length === 0")
    first = opened.tab.locator(".date").first
    if first.get_attribute("aria-selected") != "true":
        first.click()
    return opened
