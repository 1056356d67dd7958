"""The server as users start it, and as it is killed."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner

import pixelkin
import pixelkin.session.project
from pixelkin.cli.serve import serve_command
from pixelkin.errors import InputError, MissingExtraError
from pixelkin.scene import ArrayScene
from pixelkin.session import Project, Session, segment_project
from pixelkin.web.notebook import label
from pixelkin.web.server import Address, get

from .conftest import CLASSES, ServerProcess, add_mark, key, write_image
from .durability import hammer

Serve = Callable[..., ServerProcess]


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path: Path, serve: Serve) -> None:
    server = serve(write_image(tmp_path / "field.tif"))
    report = hammer(server, marks=60, undos=15, kills=2, seed=7)
    assert report.kills == 2
    assert report.lost == []
    assert report.twice == []


def test_two_servers_on_one_project_stay_together(tmp_path: Path, serve: Serve) -> None:
    image = write_image(tmp_path / "field.tif")
    one = serve(image)
    other = serve(image)
    one.client.post("/api/edits", json={"key": key(), "edits": [*CLASSES, add_mark(1, 20, 30, id="a")]}).raise_for_status()
    other.client.post("/api/edits", json={"key": key(), "edits": [add_mark(2, 50, 60, id="b")]}).raise_for_status()
    for server in (one, other):
        changes = server.client.get("/api/changes", params={"since": 0}).json()
        assert [mark["id"] for mark in changes["marks"]] == ["a", "b"]
    assert other.client.post("/api/undo", json={"key": key()}).json()["revision"] == 3
    assert one.client.get("/api/project").json()["revision"] == 3


def test_events_tell_of_edits_here_and_elsewhere(tmp_path: Path, serve: Serve) -> None:
    image = write_image(tmp_path / "field.tif")
    one = serve(image)
    other = serve(image)
    heard: list[tuple[str, dict[str, Any]]] = []
    ready, enough = threading.Event(), threading.Event()

    def listen() -> None:
        with httpx.Client(base_url=one.client.base_url, timeout=30) as client, client.stream("GET", "/api/events") as stream:
            kind = ""
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    heard.append((kind, json.loads(line.removeprefix("data: "))))
                    ready.set()
                if sum(kind == "revision" and data["cause"] in ("edit", "remote") for kind, data in heard) == 2:
                    enough.set()
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert ready.wait(10)
    one.client.post("/api/edits", json={"key": "mine", "edits": CLASSES}).raise_for_status()
    other.client.post("/api/edits", json={"key": "theirs", "edits": [add_mark(1, 20, 30)]}).raise_for_status()
    assert enough.wait(10)
    thread.join()
    assert heard[0][0] == "hello"
    told = [(data["revision"], data["cause"], data["key"]) for kind, data in heard if kind == "revision" and data["cause"] != "model"]
    assert told == [(1, "edit", "mine"), (2, "remote", None)]


def test_the_map_on_the_page_is_that_of_the_command_line(tmp_path: Path, serve: Serve) -> None:
    server = serve(write_image(tmp_path / "field.tif"))
    server.client.post(
        "/api/edits", json={"key": key(), "edits": [*CLASSES, add_mark(1, 20, 30), add_mark(2, 200, 350)]}
    ).raise_for_status()
    for _ in range(200):
        if server.client.get("/api/project").json()["map"]["ready"]:
            break
        time.sleep(0.05)
    job = server.client.post("/api/jobs/export", json={}).json()
    while not server.client.get(f"/api/jobs/{job['id']}").json()["finished"]:
        time.sleep(0.05)
    exported = server.client.get("/api/exports/field.tif").content
    server.kill()
    (tmp_path / "page.tif").write_bytes(exported)
    (written,) = segment_project(tmp_path / "field.pixelkin", tmp_path / "out")
    with rasterio.open(tmp_path / "page.tif") as one, rasterio.open(written) as other:
        np.testing.assert_array_equal(one.read(1), other.read(1))


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_end_leaves_one_whole_file(tmp_path: Path, serve: Serve, sent: signal.Signals) -> None:
    server = serve(write_image(tmp_path / "field.tif"))
    server.client.post("/api/edits", json={"key": key(), "edits": CLASSES}).raise_for_status()
    with server.client.stream("GET", "/api/events") as events:  # a page that is open
        lines = events.iter_lines()
        assert next(lines) == "event: hello"
        server.process.send_signal(sent)
        assert all(not line.startswith("event: closing") for line in lines)
    # An engine that is half loaded is waited for.
    assert server.process.wait(timeout=60) == 0
    assert "Traceback" not in server.errors()
    assert "ERROR" not in server.errors()
    assert sorted(path.name for path in (tmp_path / "field.pixelkin").glob("labels*")) == ["labels.gpkg"]


def test_one_request_is_answered_without_a_server(tmp_path: Path) -> None:
    image = write_image(tmp_path / "field.tif")
    answer = get("/api/scenes/field/thumbnail.png?size=40", [image])
    assert (answer.status, answer.content_type, answer.body[:4]) == (200, "image/png", b"\x89PNG")
    result = CliRunner().invoke(serve_command, [str(image), "--get", "/api/project"])
    assert result.exit_code == 0
    assert json.loads(result.output)["scenes"][0]["id"] == "field"
    assert CliRunner().invoke(serve_command, [str(image), "--get", "/api/nothing"]).exit_code == 2
    for path in ("/", "/api/events"):
        with pytest.raises(InputError, match="expected one under /api/ that ends"):
            get(path, [image])


def test_the_address_of_another_host_holds_its_token() -> None:
    assert Address("127.0.0.1", 8642, None).url == "http://127.0.0.1:8642/"
    assert Address("::1", 8642, None).url == "http://[::1]:8642/"
    assert Address("192.168.1.5", 80, "abc").url == "http://192.168.1.5:80/?token=abc"


def test_an_array_is_labelled_in_a_notebook(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(size=(2, 40, 50)).astype(np.float32)
    mask = np.ones((40, 50), bool)
    mask[:5] = False
    scene = ArrayScene(data, mask=mask, name="plot", bands=("a", "b"))
    with label(scene, project=tmp_path / "plot.pixelkin", train=False) as page:
        frame = page._repr_html_()
        assert f'src="{page.url}"' in frame
        client = httpx.Client(base_url=page.url)
        mark = add_mark(1, 20, 30) | {"scene": "plot"}
        client.post("/api/edits", json={"key": key(), "edits": [*CLASSES, mark]}).raise_for_status()
        labels = page.labels()
        assert (labels.rows.tolist(), labels.cols.tolist(), labels.classes.tolist()) == ([20], [30], [1])
        kept = page.session.project.scene("plot").read()
        np.testing.assert_array_equal(kept.valid, mask)
        np.testing.assert_array_equal(kept.data[:, mask], data[:, mask])
        client.close()
    with label(scene, project=tmp_path / "plot.pixelkin", train=False) as again:
        assert len(again.labels()) == 1
    other = ArrayScene(data + 1, mask=mask, name="plot", bands=("a", "b"))
    with pytest.raises(pixelkin.session.project.ProjectError, match="is a project of other images"):
        label(other, project=tmp_path / "plot.pixelkin")


def test_the_frame_in_a_notebook_shows_the_page(tmp_path: Path) -> None:
    image = write_image(tmp_path / "field.tif")
    with pixelkin.label(image, height_px=480, train=False) as page:
        frame = ElementTree.fromstring(page._repr_html_())
        assert (frame.tag, frame.get("height"), frame.get("title")) == ("iframe", "480", "pixelkin labelling page")
        address = frame.get("src") or ""
        answer = httpx.get(address)
        assert answer.status_code == 200
        assert "text/html" in answer.headers["content-type"]
        assert "<title>pixelkin" in answer.text
        # A notebook of this machine may frame it, and what the page asks for is there.
        assert "frame-ancestors" in answer.headers["content-security-policy"]
        assert "x-frame-options" not in answer.headers
        for name in re.findall(r'(?:src|href)="\./([^"]+)"', answer.text):
            assert httpx.get(address + name).status_code == 200
        assert httpx.get(address + "api/project").json()["scenes"][0]["id"] == "field"
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


def test_a_frame_too_low_is_refused_however_the_image_is_named(tmp_path: Path) -> None:
    image = write_image(tmp_path / "field.tif")
    for source in (str(image), image, pixelkin.open_scene(image)):
        with pytest.raises(InputError, match="height_px is 50, expected at least 100"):
            pixelkin.label(source, height_px=50)
    assert [path.name for path in tmp_path.iterdir()] == ["field.tif"]


def test_a_session_that_was_never_closed_is_opened_again(tmp_path: Path) -> None:
    session = Session(Project.create(tmp_path / "p", ArrayScene(np.ones((1, 9, 9), np.uint8), name="one")), train=False)
    session.close()
    assert Project.open(tmp_path / "p").store.revision == 0


def test_without_the_web_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "pixelkin.web.notebook" or name.split(".")[0] == "uvicorn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "pixelkin.web.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match=r"the labelling page needs uvicorn.* pip install '\.\[web\]'"):
        _ = pixelkin.label
