"""Who may drive the server, and how much it takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from pixelkin.session import Session
from pixelkin.web import WebSettings, create_app

from .conftest import key


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8642", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.5", "", "[::1"]
)
def test_a_foreign_host_name_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/project", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "Forbidden")
    assert client.get("/", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost:8642", "127.0.0.1", "[::1]:8642"])
def test_this_machine_is_welcome(client: TestClient, host: str) -> None:
    assert client.get("/api/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:9999", "https://localhost.evil.example"])
def test_a_foreign_page_drives_nothing(client: TestClient, origin: str) -> None:
    for answer in (
        client.post("/api/undo", json={"key": key()}, headers={"Origin": origin}),
        client.get("/api/project", headers={"Origin": origin}),
        client.options("/api/edits", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}),
    ):
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "Forbidden")
        assert "access-control-allow-origin" not in answer.headers
    assert client.get("/api/health", headers={"Origin": "http://localhost"}).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_foreign_page_shows_nothing_of_ours(client: TestClient, site: str) -> None:
    # <img src="http://localhost:8642/api/..."> sends no Origin, but browsers say where it comes from.
    assert client.get("/api/scenes/field/image/0/0/0.png", headers={"Sec-Fetch-Site": site}).status_code == 403
    assert client.get("/api/health", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_what_a_form_can_send_is_not_taken(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.post("/api/undo", content=b'{"key": "x"}', headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["error"]["type"]) == (415, "UnsupportedMediaType")


def test_large_requests_are_refused_before_they_are_read(client: TestClient) -> None:
    long = client.post("/api/edits", content=b" " * 60_000, headers={"Content-Type": "application/json"})
    assert (long.status_code, long.json()["error"]["type"]) == (413, "TooLarge")

    def stream() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 10_000

    endless = client.post("/api/edits", content=stream(), headers={"Content-Type": "application/json"})
    assert endless.status_code == 413
    upload = client.post("/api/labels/import", params={"scene": "field"}, files={"file": ("a.geojson", b" " * 250_000)})
    assert upload.status_code == 413


def test_every_answer_forbids_what_the_page_does_not_need(client: TestClient) -> None:
    for path in ("/", "/api/project", "/api/nothing", "/api/scenes/field/thumbnail.png"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "http:" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_another_address_needs_the_token(session: Session) -> None:
    app = create_app(session, WebSettings(host="0.0.0.0", token="s3cret"))
    with TestClient(app, base_url="http://192.168.1.5:8642", follow_redirects=False) as client:
        for path in ("/", "/api/project", "/api/project?token=s3cret", "/?token=wrong"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["error"]["type"]) == (401, "Unauthorized")
        assert client.get("/api/health", headers={"Authorization": "Bearer s3cret"}).status_code == 200
        assert client.get("/api/health", headers={"Authorization": "Bearer s3cre"}).status_code == 401
        opened = client.get("/?token=s3cret&scene=1")
        assert (opened.status_code, opened.headers["location"]) == (303, "./?scene=1")
        assert "HttpOnly" in opened.headers["set-cookie"]
        assert "samesite=strict" in opened.headers["set-cookie"].lower()
        assert client.get("/api/health").status_code == 200  # the cookie is there now
        assert client.get("/api/health", headers={"Host": "evil.example"}).status_code == 403


def test_a_notebook_of_this_machine_may_frame_the_page(session: Session) -> None:
    with TestClient(create_app(session, WebSettings(in_notebook=True)), base_url="http://localhost") as client:
        assert "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*" in client.get("/").headers["content-security-policy"]


def test_without_the_built_page_the_server_says_how_to_build_it(session: Session, tmp_path: Path) -> None:
    with TestClient(create_app(session, WebSettings(static=tmp_path)), base_url="http://localhost") as client:
        answer = client.get("/")
        assert answer.status_code == 200
        assert "npm --prefix frontend" in answer.text
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>page</title>")
    (tmp_path / "assets" / "index-123.js").write_text("1")
    with TestClient(create_app(session, WebSettings(static=tmp_path)), base_url="http://localhost") as client:
        assert "<title>page" in client.get("/").text
        assert "immutable" in client.get("/assets/index-123.js").headers["cache-control"]
        assert client.get("/assets/../../project.json").status_code == 404
