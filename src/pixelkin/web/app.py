"""The web application, built from explicit parts; nothing happens at import."""

from __future__ import annotations

import uuid
from importlib.metadata import version

from fastapi import FastAPI, Response
from starlette.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ..session.session import Session
from .errors import install_error_handlers
from .guard import Guard
from .openapi import install_openapi
from .routes import Services, make_router
from .sample import PREFIX, SampleProject
from .settings import WebSettings

_NO_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>pixelkin</title></head>
<body><h1>The page is not built</h1>
<p>This installation has the server but not the labelling page. A released wheel has both; in a source tree build it with:</p>
<pre>npm --prefix frontend ci &amp;&amp; npm --prefix frontend run build</pre>
<p>The API works all the same: <a href="./api/project">./api/project</a>, described by <a href="./api/openapi.json">./api/openapi.json</a>.</p>
</body></html>
"""


def create_app(session: Session, settings: WebSettings) -> FastAPI:
    """The application for one session.

    Args:
        session: What is labelled; the caller closes it.
        settings: How the server behaves.

    Returns:
        An ASGI application.
    """
    app = FastAPI(
        title="pixelkin",
        version=version("pixelkin"),
        summary="The labelling page's API: images, marks, the map they give, and files.",
        openapi_url="/api/openapi.json",
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    install_error_handlers(app)
    app.include_router(make_router(Services(session, settings, uuid.uuid4().hex)))
    app.state.sample = SampleProject(settings, create_app) if settings.offers_sample else None
    if app.state.sample is not None:
        app.mount(PREFIX, app.state.sample)
    _add_page(app, settings)
    install_openapi(app)
    app.add_middleware(Guard, settings=settings, image_source=session.overlays.origin)
    return app


def _add_page(app: FastAPI, settings: WebSettings) -> None:
    index = settings.static / "index.html"

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        if not index.is_file():
            return HTMLResponse(_NO_PAGE, headers={"Cache-Control": "no-store"})
        return FileResponse(index, headers={"Cache-Control": "no-cache"})

    if index.is_file():
        app.mount("/", _Assets(directory=settings.static), name="static")


class _Assets(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        # Vite puts a hash of the content into these names.
        if path.startswith("assets/") and response.status_code == 200:
            response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        return response
