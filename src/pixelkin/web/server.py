"""Run the web application: as a server, or for one request."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from ..errors import InputError
from ..session.project import is_project, open_project
from ..session.session import Session
from ..session.sources import Reading
from .app import create_app
from .events import CLOSING
from .people import read_people
from .sample import SampleProject
from .settings import WebSettings

DEFAULT_PORT = 8642
TOKEN = "PIXELKIN_TOKEN"
"""Environment variable with the token that requests must bring."""
_PORTS_TRIED = 20
_SWITCH_S = 0.0005


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int
    token: str | None

    @property
    def url(self) -> str:
        """What a browser opens; holds the token where there is one."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        # 0.0.0.0 and :: mean every address of this machine; a browser needs one of them.
        if self.host in ("0.0.0.0", "::"):
            name = socket.gethostname()
        return f"http://{name}:{self.port}/" + (f"?token={self.token}" if self.token else "")


def serve(
    paths: Sequence[str | Path],
    *,
    project: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = False,
    train: bool = True,
    announce: Callable[[Address], None] | None = None,
    reading: Reading | None = None,
    people: str | Path | None = None,
    public_url: str | None = None,
) -> None:
    """Serve the labelling page until interrupted.

    Args:
        paths: A project folder, or rasters and folders of dates.
        project: Folder of the project; by default `<first path>.pixelkin` beside the first path.
        host: Address to listen on. Any but loopback makes a token, which the announced address holds; a program that starts the server
            gives it one on loopback too by the environment variable `PIXELKIN_TOKEN`, so that other users of the machine have no say.
        port: Port to listen on, 0 = any free one; None = 8642 or the next free one.
        open_browser: Open the page.
        train: Train an encoder in the background where the project has none.
        announce: Told the address once requests are taken.
        reading: How to read the images; see `open_project`.
        people: TOML file of the people who may use it, each with name, role and token; see `pixelkin.web.people.read_people`.
        public_url: Where they reach it through a reverse proxy, which passes the Host header on.

    Raises:
        InputError: The images do not fit the project, or the address cannot be used.
        MissingFileError: An image is not there.
    """
    with _listen(host, port) as listener:
        known = () if people is None else read_people(people)
        if public_url is not None and (urlsplit(public_url).scheme not in ("http", "https") or not urlsplit(public_url).hostname):
            raise InputError(
                f"the public address is {public_url!r}, expected one such as https://labels.example.org. Correct --public-url."
            )
        token = os.environ.get(TOKEN) or (None if (_is_loopback(host) and public_url is None) or known else secrets.token_urlsafe(24))
        address = Address(host, listener.getsockname()[1], token)
        opened = open_project(paths, project=project, reading=reading)
        session = Session(opened, train=train)
        try:
            server = make_server(
                session, WebSettings(host=host, token=address.token, people=known, public_url=public_url, roots=_roots(paths))
            )
            if announce is not None:
                announce(address)
            if open_browser:
                threading.Thread(target=webbrowser.open, args=(address.url,), daemon=True).start()
            _run_until_interrupted(server, listener)
        finally:
            session.close()


def _run_until_interrupted(server: uvicorn.Server, listener: socket.socket) -> None:
    """Ctrl-C and SIGTERM end the server, and then the program closes its project in peace."""
    # Requests wait for the interpreter while blocks are computed: 5 ms at a time, by default.
    sys.setswitchinterval(_SWITCH_S)
    if threading.current_thread() is threading.main_thread():
        # uvicorn stops at the signal and then raises it again for whoever comes next: us.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def make_server(session: Session, settings: WebSettings) -> uvicorn.Server:
    """A server for a session, not yet running."""
    app = create_app(session, settings)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
        lifespan="off",
        ws="none",
    )
    return _Server(config, session, app.state.sample)


class _Server(uvicorn.Server):
    """Ends the event streams of open pages, which never end by themselves, before it waits for what is under way."""

    def __init__(self, config: uvicorn.Config, session: Session, sample: SampleProject | None) -> None:
        super().__init__(config)
        self._session = session
        self._sample = sample

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        opened = None if self._sample is None else self._sample.session
        for session in (self._session, opened):
            if session is not None:
                session.events.publish(CLOSING, {})
        await super().shutdown(sockets)
        if self._sample is not None:
            self._sample.close()


@dataclass(frozen=True)
class Answer:
    """The answer to one request."""

    status: int
    content_type: str
    body: bytes


def get(path: str, paths: Sequence[str | Path], *, project: str | Path | None = None, reading: Reading | None = None) -> Answer:
    """Answer one GET request, as the server would, and end.

    Args:
        path: '/api/...' with its query.
        paths: As for `serve`.
        project: As for `serve`.
        reading: As for `serve`.

    Raises:
        InputError: The path does not start with /api/, or names the event stream, which never ends.
    """
    if not path.startswith("/api/") or path.startswith("/api/events"):
        raise InputError(f"path is {path!r}, expected one under /api/ that ends, such as /api/project. See /api/openapi.json.")
    session = Session(open_project(paths, project=project, reading=reading), train=False)
    try:
        if "/map/" in path or "/confidence/" in path or path.split("?")[0].endswith(("/areas", "/suggestions", "/pixel", "/project")):
            session.engine.start()
            session.tiles.compute_all()
        app = create_app(session, WebSettings(roots=_roots(paths)))
        # On a thread of its own: a notebook's has an event loop already.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, _ask(app, path)).result()
    finally:
        session.close()


async def _ask(app: Any, path: str) -> Answer:
    """One GET request to an ASGI application."""
    raw_path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": raw_path,
        "raw_path": raw_path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
    }
    status, headers, body = 500, {}, b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, headers, body
        if message["type"] == "http.response.start":
            status, headers = message["status"], {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            body += message.get("body", b"")

    await app(scope, receive, send)
    return Answer(status, headers.get("content-type", ""), body)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tried = [port] if port is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED), 0]
    for candidate in tried:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(256)
        except (OSError, OverflowError) as exc:
            listener.close()
            if candidate == tried[-1]:
                raise InputError(f"{host}:{candidate} cannot be listened on ({exc}). Choose another --host or --port.") from exc
        else:
            return listener
    raise AssertionError  # the loop returns or raises


def _roots(paths: Sequence[str | Path]) -> tuple[Path, ...]:
    """Folders of the images named, whose other images may be mapped too."""
    return tuple(
        dict.fromkeys(
            Path(path).absolute() if Path(path).is_dir() else Path(path).absolute().parent for path in paths if not is_project(path)
        )
    )
