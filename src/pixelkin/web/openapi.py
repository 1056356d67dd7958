"""The OpenAPI document, with the one error shape at every route."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .schemas import ErrorBody

_ERRORS = {
    "400": "The request cannot be understood.",
    "401": "The token is missing.",
    "403": "Another page, or a path outside the project.",
    "404": "Not there.",
    "409": "The revision is superseded, there is no map yet, or nothing to undo.",
    "413": "Too large.",
    "415": "Neither JSON nor a form.",
    "422": "What was sent makes no sense.",
}


def install_openapi(app: FastAPI) -> None:
    """Say of every route that it may answer with an error; FastAPI would give errors the type of the route's picture."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            error = ErrorBody.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= error.pop("$defs")
            schemas["ErrorBody"] = error
            content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
            for operations in made["paths"].values():
                for operation in operations.values():
                    operation["responses"] |= {status: {"description": text, "content": content} for status, text in _ERRORS.items()}
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
