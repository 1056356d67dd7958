"""A project served in this process, and as a process of its own."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from fastapi.testclient import TestClient

from pixelkin.session import Session, open_project
from pixelkin.web import WebSettings, create_app

HEIGHT, WIDTH = 300, 420
_numbers = itertools.count()


def write_image(path: Path, *, shape: tuple[int, int] = (HEIGHT, WIDTH), seed: int = 0) -> Path:
    """Band 1 = row, band 2 = column, band 3 = noise; four rows of no data at the top."""
    rows, cols = np.indices(shape)
    data = np.stack([rows + 1, cols + 1, np.random.default_rng(seed).integers(1, 200, shape)]).astype(np.uint16)
    data[:, :4] = 0
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=3, dtype="uint16", nodata=0, crs="EPSG:32631",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000), tiled=True, blockxsize=128, blockysize=128,
    ) as dataset:  # fmt: skip
        dataset.write(data)
        dataset.descriptions = ("row", "col", "noise")
    return path


def key() -> str:
    """A new idempotency key."""
    return f"key-{next(_numbers)}"


def point(row: int, col: int) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [col + 0.5, row + 0.5]}


def add_mark(class_id: int, row: int, col: int, **more: Any) -> dict[str, Any]:
    return {"op": "add_mark", "scene": "field", "class_id": class_id, "kind": "point", "geometry": point(row, col), **more}


CLASSES = [{"op": "add_class", "name": "water"}, {"op": "add_class", "name": "land"}]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    opened = Session(open_project([write_image(tmp_path / "field.tif")]), train=False)
    opened.engine.start()
    yield opened
    opened.close()


@pytest.fixture
def client(session: Session, tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(session, WebSettings(upload_bytes=200_000, body_bytes=50_000, roots=(tmp_path,)))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as opened:
        yield opened


class ServerProcess:
    """`pixelkin serve` in a process that can be killed."""

    def __init__(self, target: Path, *options: str) -> None:
        self._command = [sys.executable, "-c", "from pixelkin.cli.serve import serve_command; serve_command()", str(target)]
        self._command += ["--no-open", "--no-train", "--port", "0", *options]
        self.client = httpx.Client(timeout=30)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed when the test is over
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("pixelkin is at http://"), line
        self.client.base_url = httpx.URL(line.removeprefix("pixelkin is at ").strip())
        for _ in range(200):
            try:
                self.client.get("/api/health")
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def errors(self) -> str:
        """What it has told on standard error."""
        self._errors.seek(0)
        return self._errors.read()

    def memory_mb(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture
def serve() -> Iterator[Callable[..., ServerProcess]]:
    servers: list[ServerProcess] = []

    def begin(target: Path, *options: str) -> ServerProcess:
        servers.append(ServerProcess(target, *options))
        return servers[-1]

    yield begin
    for server in servers:
        server.kill()
        server.client.close()
        server._errors.close()
