"""Every error as one JSON shape: {"error": {"type", "message", "status", "revision"}}."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from ..errors import NotFittedError, PkError
from ..session.errors import ForbiddenError, HistoryError, NoSuchItemError, StaleError, TooLargeError

_log = logging.getLogger(__name__)

# What the page acts on has a name of its own; everything else is called by its class.
_NAMES: dict[type[PkError], str] = {
    StaleError: "Stale",
    NotFittedError: "NotReady",
    NoSuchItemError: "NotFound",
    HistoryError: "NothingToUndo",
    ForbiddenError: "Forbidden",
    TooLargeError: "TooLarge",
}
_HTTP_NAMES = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "TooLarge",
    415: "UnsupportedMediaType",
}


def error_body(kind: str, message: str, status: int, revision: int | None = None) -> dict[str, Any]:
    """The one shape."""
    return {"error": {"type": kind, "message": message, "status": status, "revision": revision}}


def error_response(kind: str, message: str, status: int, revision: int | None = None) -> JSONResponse:
    """The one shape as a response that nobody keeps."""
    return JSONResponse(error_body(kind, message, status, revision), status, headers={"Cache-Control": "no-store"})


def install_error_handlers(app: FastAPI) -> None:
    """Turn what routes raise into responses."""

    @app.exception_handler(PkError)
    async def ours(request: Request, exc: PkError) -> JSONResponse:
        if exc.status >= 500:
            _log.error("%s %s failed", request.method, request.url.path, exc_info=exc)
        kind = _NAMES.get(type(exc), type(exc).__name__)
        if isinstance(exc, HistoryError) and request.url.path.endswith("/redo"):
            kind = "NothingToRedo"
        return error_response(kind, str(exc), exc.status, getattr(exc, "revision", None))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, exc: RequestValidationError) -> JSONResponse:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return error_response("ValidationError", f"{where}: {first['msg']}. See /api/openapi.json for what this route takes.", 422)

    @app.exception_handler(HTTPException)
    async def http(request: Request, exc: HTTPException) -> JSONResponse:
        kind = _HTTP_NAMES.get(exc.status_code, "HttpError")
        response = error_response(kind, f"{request.method} {request.url.path}: {exc.detail}.", exc.status_code)
        response.headers.update(exc.headers or {})
        return response

    @app.exception_handler(Exception)
    async def unexpected(request: Request, exc: Exception) -> JSONResponse:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=exc)
        return error_response("InternalError", "the request failed for a reason of ours; the server's log says more.", 500)
