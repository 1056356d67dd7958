"""A project to try the page on, made when somebody first asks for it and gone when the server ends."""

from __future__ import annotations

import dataclasses
import tempfile
import threading
from collections.abc import Callable
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

import anyio.to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from ..demo import landsat
from ..errors import PkError
from ..session.project import open_project
from ..session.session import Session
from .errors import error_response
from .settings import WebSettings

PREFIX = "/sample"
"""Where it is mounted."""


def is_available() -> bool:
    """Whether the sample scene is installed."""
    return find_spec("localtileserver") is not None


class SampleProject:
    """ASGI application of a project of its own: the scene and the marks of `pixelkin demo`, which anyone may change."""

    def __init__(self, settings: WebSettings, serve: Callable[[Session, WebSettings], ASGIApp]) -> None:
        """Nothing is made yet.

        Args:
            settings: Of the page beside which it stands.
            serve: Makes an application of a session.
        """
        self._serve = serve
        self._settings = dataclasses.replace(settings, offers_sample=False, roots=())
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._app: ASGIApp | None = None
        self.session: Session | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the page of any project does."""
        try:
            app = await anyio.to_thread.run_sync(self._open) if self._app is None else self._app
        except PkError as exc:
            await error_response(type(exc).__name__, str(exc), exc.status)(scope, receive, send)
            return
        await app(scope, receive, send)

    def _open(self) -> ASGIApp:
        with self._lock:
            if self._app is not None:
                return self._app
            scene = landsat()
            self._folder = tempfile.TemporaryDirectory(prefix="pixelkin-sample-", ignore_cleanup_errors=True)
            project = open_project([scene], project=Path(self._folder.name) / "Great Salt Lake")
            # Its user came to mark: an encoder in training would take the machine from the page.
            session = Session(project, train=False)
            with as_file(files("pixelkin") / "data" / "great_salt_lake.geojson") as marks:
                session.import_labels(marks, next(iter(project.scenes)))
            self.session, self._app = session, self._serve(session, self._settings)
            return self._app

    def close(self) -> None:
        """End it and delete its folder."""
        with self._lock:
            if self.session is not None:
                self.session.close()
            if self._folder is not None:
                self._folder.cleanup()
